//! One running machine, and everything that is seen of it on one clock.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    time::{Duration, Instant},
};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use super::{host, qmp::Control, server::Served};
use crate::{
    ctx::Ctx,
    exec::run::{Job, Streams, Tail},
    machine::{
        Machine,
        boot::{Boot, Fact, Verdict, Want, clean},
        qemu::{self, Watch},
        quote,
        trace::Trace,
    },
};

/// How often a waiting session looks around.
const TICK: Duration = Duration::from_millis(20);
/// A transfer's progress is written to the timeline at most this often.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// Lines of the console and of the screen that a report shows.
const LAST_LINES: usize = 8;

/// A running machine. Dropping it kills it.
pub struct Session {
    job: Job,
    control: Control,
    serial: Tail,
    /// What stood on the console without a line end when it was last looked at, such as a prompt.
    prompt: String,
    packets: Option<(File, Trace)>,
    timeline: File,
    power: Instant,
    progress: Option<(u64, Duration)>,
    boot: Boot,
    ready: String,
    dir: Utf8PathBuf,
    ended: bool,
}

impl Session {
    /// Switches `machine` on. Its transcripts go to `dir`: the commands in `command.txt`, QEMU's own words in
    /// `qemu.log`, the console in the machine's serial log, and all facts in `timeline.jsonl`.
    ///
    /// # Errors
    /// When QEMU cannot be started.
    pub fn start(
        ctx: &Ctx,
        machine: &Machine,
        host: &qemu::Host,
        dir: &Utf8Path,
        want: Want,
        window: bool,
    ) -> Result<Self> {
        let packets = dir.join("net0.pcap");
        let traced = want.netboot && !machine.nics.is_empty();
        let watch = Watch { control: true, window, trace: traced.then(|| packets.clone()) };
        let cmd = qemu::command(machine, host, &watch)?;
        let mut note = append(&dir.join("command.txt"))?;
        writeln!(note, "{}", quote::line(&cmd, quote::Shell::Sh))?;
        // QEMU opens these by name; they are made here so that there is something to read from the start.
        fs_err::write(&machine.serial, "")?;
        fs_err::write(&packets, "")?;
        let talk = dir.join("qmp.log");
        let streams = Streams { stdout: File::create(&talk)?, stderr: append(&dir.join("qemu.log"))? };
        let (input, output) = std::io::pipe()?;
        let power = Instant::now();
        let job = ctx.runner.spawn_piped(&cmd, streams, input)?;
        let packets = traced.then(|| File::open(&packets)).transpose()?;
        Ok(Self {
            job,
            control: Control::open(output, &talk)?,
            serial: Tail::at_start(&machine.serial)?,
            prompt: String::new(),
            packets: packets.map(|f| (f, Trace::default())),
            timeline: append(&dir.join("timeline.jsonl"))?,
            power,
            progress: None,
            ready: want.ready.clone(),
            boot: Boot::new(want),
            dir: dir.to_owned(),
            ended: false,
        })
    }

    /// The boot under observation.
    #[must_use]
    pub fn boot(&self) -> &Boot {
        &self.boot
    }

    /// Presses the reset button and observes a new boot from here.
    ///
    /// # Errors
    /// When QEMU does not do it.
    pub fn reset(&mut self, want: Want) -> Result<()> {
        self.control.execute("system_reset", &Value::Null)?;
        // The event of this reset is not the guest's.
        self.control.events()?;
        self.power = Instant::now();
        self.ready.clone_from(&want.ready);
        self.boot = Boot::new(want);
        self.record(Duration::ZERO, &json!({ "fact": "power" }))
    }

    /// Waits until the boot has come up or cannot any more, calling `on_fact` with each fact.
    ///
    /// # Errors
    /// [`crate::error::Kind::Interrupted`], or when a source of facts cannot be read.
    pub fn wait(
        &mut self,
        ctx: &Ctx,
        served: Option<&Served>,
        on_fact: &mut dyn FnMut(Duration, &Fact),
    ) -> Result<Verdict> {
        loop {
            self.look(served, on_fact)?;
            if let Some(verdict) = self.boot.verdict(self.power.elapsed()) {
                return Ok(verdict);
            }
            ctx.check_interrupt()?;
            std::thread::sleep(TICK);
        }
    }

    /// Takes in all that has happened since the last look.
    ///
    /// # Errors
    /// When a source of facts cannot be read.
    pub fn look(&mut self, served: Option<&Served>, on_fact: &mut dyn FnMut(Duration, &Fact)) -> Result<()> {
        let mut facts: Vec<(Instant, Fact)> = served.map(Served::facts).unwrap_or_default();
        let now = Instant::now();
        for fact in self.packets()?.into_iter().chain(self.console()?).chain(self.machine()?) {
            facts.push((now, fact));
        }
        for (at, fact) in facts {
            let at = at.saturating_duration_since(self.power);
            self.boot.saw(at, &fact);
            self.tell(at, &fact)?;
            on_fact(at, &fact);
        }
        Ok(())
    }

    fn packets(&mut self) -> Result<Vec<Fact>> {
        let Some((file, trace)) = &mut self.packets else { return Ok(Vec::new()) };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let facts: Vec<Fact> = trace.push(&bytes).into_iter().map(Fact::from).collect();
        if facts.iter().any(|f| matches!(f, Fact::DhcpAnswered { .. })) {
            // The rest of the trace is the boot's whole traffic, and HTTP is told by the server.
            self.packets = None;
        }
        Ok(facts)
    }

    fn console(&mut self) -> Result<Vec<Fact>> {
        let mut facts = Vec::new();
        self.serial.lines(&mut |line| facts.push(Fact::Line { text: clean(line) }))?;
        // A prompt has no line end; it matters only when it is what the boot waits for.
        let prompt = clean(&self.serial.partial());
        if prompt.contains(&self.ready) && prompt != self.prompt {
            facts.push(Fact::Line { text: prompt.clone() });
        }
        self.prompt = prompt;
        Ok(facts)
    }

    fn machine(&mut self) -> Result<Vec<Fact>> {
        let mut facts = Vec::new();
        for event in self.control.events()? {
            if event["event"] == "RESET" && event["data"]["guest"] == true {
                facts.push(Fact::Reset);
            }
        }
        if !self.ended
            && let Some(code) = self.job.try_wait()?
        {
            self.ended = true;
            // What the guest wrote last is in the file by now.
            facts.extend(self.console()?);
            facts.push(Fact::Exited { code });
        }
        Ok(facts)
    }

    fn tell(&mut self, at: Duration, fact: &Fact) -> Result<()> {
        if let Fact::HttpMoved { request, .. } = fact {
            let due = |(last, when): (u64, Duration)| last != *request || at >= when + PROGRESS_EVERY;
            if !self.progress.is_none_or(due) {
                return Ok(());
            }
            self.progress = Some((*request, at));
        }
        self.record(at, &serde_json::to_value(fact)?)
    }

    fn record(&mut self, at: Duration, fact: &Value) -> Result<()> {
        let mut fact = fact.clone();
        fact["seconds"] = json!((at.as_secs_f64() * 1000.0).round() / 1000.0);
        writeln!(self.timeline, "{fact}")?;
        Ok(())
    }

    /// Cuts the power: the guest gets no chance to write anything.
    pub fn cut(&mut self) {
        self.job.kill();
        self.ended = true;
    }

    /// Presses the power button as a person does who wants the guest to shut down.
    ///
    /// # Errors
    /// When QEMU does not do it.
    pub fn press_power(&mut self) -> Result<()> {
        self.control.execute("system_powerdown", &Value::Null).map(drop)
    }

    /// Takes a picture of the screen, as PNG where QEMU can (7.1 and later) and the name ends so, else as PPM.
    ///
    /// # Errors
    /// When QEMU cannot.
    pub fn screenshot(&mut self, path: &Utf8Path) -> Result<()> {
        let mut arguments = json!({ "filename": path });
        if path.extension() == Some("png") {
            arguments["format"] = json!("png");
        }
        self.control.execute("screendump", &arguments).map(drop)
    }

    /// The text on the screen, while it is in the PC's text mode: iPXE and isolinux speak there.
    fn screen(&mut self) -> Result<Vec<String>> {
        let dump = self.dir.join("screen.bin");
        let arguments = json!({ "val": 0xb_8000, "size": 80 * 25 * 2, "filename": dump });
        self.control.execute("pmemsave", &arguments)?;
        let cells = fs_err::read(&dump)?;
        fs_err::remove_file(&dump)?;
        Ok(screen_text(&cells))
    }

    /// The last lines of each source, and a picture, for a boot that went wrong. The machine must still run for
    /// the screen; when it does not, the other sources are enough.
    pub fn evidence(&mut self) -> Vec<String> {
        let mut text = Vec::new();
        let mut section = |name: &str, lines: &[String]| {
            if !lines.is_empty() {
                text.push(format!("{name}:"));
                let from = lines.len().saturating_sub(LAST_LINES);
                text.extend(lines[from..].iter().map(|l| format!("  {l}")));
            }
        };
        section("console", self.boot.lines());
        let log = fs_err::read(self.dir.join("qemu.log")).unwrap_or_default();
        let said: Vec<String> = String::from_utf8_lossy(&log).lines().map(str::to_owned).collect();
        section("QEMU", &said);
        if !self.ended {
            let screen = self.screen().unwrap_or_default();
            section("screen", &screen);
            // A picture is welcome and not needed.
            _ = self.screenshot(&self.dir.join("screen.png"));
        }
        text
    }
}

/// Text-mode cells (character, attribute) as lines; empty lines are left out.
fn screen_text(cells: &[u8]) -> Vec<String> {
    let rows = cells.chunks(160).map(|row| {
        let text: String =
            row.iter().step_by(2).map(|b| if b.is_ascii_graphic() { char::from(*b) } else { ' ' }).collect();
        text.trim_end().to_owned()
    });
    rows.filter(|r| !r.is_empty()).collect()
}

fn append(path: &Utf8Path) -> Result<File> {
    Ok(fs_err::OpenOptions::new().create(true).append(true).open(path)?.into_file())
}

/// Makes the image of a disk that is not there yet: a sparse file of zeros.
///
/// # Errors
/// When it cannot be written.
pub fn make_disk(disk: &crate::machine::Disk) -> Result<()> {
    if disk.path.exists() {
        return Ok(());
    }
    let file = fs_err::File::create(&disk.path)?;
    Ok(file.set_len(disk.size_mib << 20)?)
}

/// Finds QEMU and says what runs the guests.
///
/// # Errors
/// As [`host::find`].
pub fn backend(ctx: &Ctx) -> Result<qemu::Host> {
    let host = host::find(ctx)?;
    if host.accel == qemu::Accel::Tcg {
        ctx.report.note("KVM is not usable here: QEMU translates (TCG), which is slower");
    }
    Ok(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_screen_is_read_without_its_colours() {
        let mut cells = [b' ', 7].repeat(160);
        cells[160] = b'o';
        cells[162] = b'k';
        cells[164] = 0xc4;
        assert_eq!(screen_text(&cells), ["ok"]);
        assert!(screen_text(&[]).is_empty());
    }
}
