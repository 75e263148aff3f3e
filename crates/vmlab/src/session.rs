//! One running machine, and everything that is seen of it on one clock.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    time::{Duration, Instant},
};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use super::{
    host,
    power::{Power, Qemu, append},
    server::RunningServer,
};
use buildexec::ctx::Ctx;
use buildexec::leftovers::{self, Leftover};
use buildexec::run::LogTail;
use vmspec::{
    Machine,
    boot::{Boot, BootEnd, Fact, Want, clean, words},
    qemu,
    trace::Trace,
};

/// How often a waiting session looks around.
const TICK: Duration = Duration::from_millis(20);
/// A guest that heeds the power button says something within this time.
const HEED: Duration = Duration::from_secs(15);
/// It says something again within this time, until it is off: containers have half a minute to end.
const SILENCE: Duration = Duration::from_secs(60);
/// A guest is off by then, or never.
const SHUTDOWN: Duration = Duration::from_secs(120);
/// A transfer's progress is written to the timeline at most this often.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// Lines of the console and of the screen that a report shows.
const LAST_LINES: usize = 8;

/// A running machine. Dropping it kills it.
pub(crate) struct Session {
    machine: Box<dyn Power>,
    serial: LogTail,
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
    /// Switches `machine` on in QEMU. Its transcripts go to `dir`: the commands in `command.txt`, QEMU's own words
    /// in `qemu.log`, the console in the machine's serial log, and all facts in `timeline.jsonl`.
    ///
    /// # Errors
    /// When QEMU cannot be started.
    pub(crate) fn start(
        ctx: &Ctx,
        machine: &Machine,
        host: &qemu::QemuHost,
        dir: &Utf8Path,
        want: Want,
        window: bool,
    ) -> Result<Self> {
        let packets = dir.join("net0.pcap");
        let traced = want.netboot && !machine.nics.is_empty();
        let packets = traced.then_some(packets.as_path());
        Self::with(&machine.serial, dir, want, packets, || {
            Ok(Box::new(Qemu::on(ctx, machine, host, dir, packets, window)?))
        })
    }

    /// Observes the machine that `switch_on` starts. It writes its console to `serial` and, where the back end can,
    /// the packets of its first card to `packets`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn with(
        serial: &Utf8Path,
        dir: &Utf8Path,
        want: Want,
        packets: Option<&Utf8Path>,
        switch_on: impl FnOnce() -> Result<Box<dyn Power>>,
    ) -> Result<Self> {
        // Both are opened by name by someone else; they are made here so that reading can start from the
        // start.
        fs_err::write(serial, "")?;
        packets.map_or(Ok(()), |p| fs_err::write(p, ""))?;
        let power = Instant::now();
        Ok(Self {
            machine: switch_on()?,
            serial: LogTail::at_start(serial)?,
            prompt: String::new(),
            packets: packets.map(File::open).transpose()?.map(|f| (f, Trace::default())),
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
    pub(crate) fn boot(&self) -> &Boot {
        &self.boot
    }

    /// Whether the machine is off.
    #[must_use]
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Presses the reset button and observes a new boot from here.
    ///
    /// # Errors
    /// When the machine does not take it.
    pub(crate) fn reset(&mut self, want: Want) -> Result<()> {
        self.machine.reset()?;
        self.power = Instant::now();
        self.ready.clone_from(&want.ready);
        self.boot = Boot::new(want);
        self.record(Duration::ZERO, &json!({ "fact": "power" }))
    }

    /// Waits until the boot has come up or cannot any more, calling `on_fact` with each fact.
    ///
    /// # Errors
    /// [`failure::Kind::Interrupted`], or when a source of facts cannot be read.
    pub(crate) fn wait(
        &mut self,
        ctx: &Ctx,
        served: Option<&RunningServer>,
        on_fact: &mut dyn FnMut(Duration, &Fact),
    ) -> Result<BootEnd> {
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
    pub(crate) fn look(
        &mut self,
        served: Option<&RunningServer>,
        on_fact: &mut dyn FnMut(Duration, &Fact),
    ) -> Result<()> {
        let mut facts: Vec<(Instant, Fact)> = served.map(RunningServer::facts).unwrap_or_default();
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
        // A prompt has no line end, and neither has the box in which shim says that it refuses; either matters only when
        // it is what the boot waits for, or ends it.
        let prompt = clean(&self.serial.partial());
        let matters = prompt.contains(&self.ready) || words::refusal(&prompt).is_some();
        if matters && prompt != self.prompt {
            facts.push(Fact::Line { text: prompt.clone() });
        }
        self.prompt = prompt;
        Ok(facts)
    }

    fn machine(&mut self) -> Result<Vec<Fact>> {
        let mut facts = self.machine.facts()?;
        if let Some(at) = facts.iter().position(|f| matches!(f, Fact::Exited { .. })) {
            self.ended = true;
            // What the guest wrote last is in the file by now.
            facts.splice(at..at, self.console()?);
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
    ///
    /// # Errors
    /// When the machine may still run.
    pub(crate) fn cut(&mut self) -> Result<()> {
        self.ended = true;
        self.machine.cut()
    }

    /// Presses the power button and waits as long as the guest does something about it, so that what it wrote is on its
    /// disks. Says whether it went off; if not, its power is still on.
    ///
    /// # Errors
    /// [`failure::Kind::Interrupted`], or when the machine does not take it.
    pub(crate) fn shut_down(
        &mut self,
        ctx: &Ctx,
        served: Option<&RunningServer>,
        on_fact: &mut dyn FnMut(Duration, &Fact),
    ) -> Result<bool> {
        self.machine.press()?;
        let pressed = Instant::now();
        let mut heard = pressed;
        while !self.ended {
            self.look(served, &mut |at, fact| {
                heard = Instant::now();
                on_fact(at, fact);
            })?;
            let timeout = if heard == pressed { HEED } else { SILENCE };
            if heard.elapsed() > timeout || pressed.elapsed() > SHUTDOWN {
                return Ok(false);
            }
            ctx.check_interrupt()?;
            std::thread::sleep(TICK);
        }
        Ok(true)
    }

    /// Plugs in a raw disk while the machine runs.
    ///
    /// # Errors
    /// When the machine does not take it.
    pub(crate) fn plug(&mut self, path: &Utf8Path) -> Result<()> {
        self.machine.plug(path)
    }

    /// Waits until a line of the console holds `words`, or the boot has ended without it.
    ///
    /// # Errors
    /// As [`Self::wait`].
    pub(crate) fn wait_for_line(&mut self, ctx: &Ctx, words: &str) -> Result<()> {
        while !self.boot.lines().iter().any(|line| line.contains(words))
            && self.boot.verdict(self.power.elapsed()).is_none()
        {
            ctx.check_interrupt()?;
            std::thread::sleep(TICK);
            self.look(None, &mut |_, _| {})?;
        }
        Ok(())
    }

    /// Takes a picture of the screen.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn screenshot(&mut self, path: &Utf8Path) -> Result<()> {
        self.machine.screenshot(path)
    }

    /// The last lines of each source, and a picture, for a boot that went wrong. The machine must still run for
    /// the screen; when it does not, the other sources are enough.
    pub(crate) fn evidence(&mut self) -> Vec<String> {
        let mut text = Vec::new();
        let mut section = |name: &str, lines: &[String]| {
            if !lines.is_empty() {
                text.push(format!("{name}:"));
                let from = lines.len().saturating_sub(LAST_LINES);
                text.extend(lines[from..].iter().map(|l| format!("  {l}")));
            }
        };
        section("console", self.boot.lines());
        let (who, said) = self.machine.said();
        section(who, &said);
        if !self.ended {
            let screen = self.machine.screen();
            section("screen", &screen);
            // A picture is welcome and not needed.
            _ = self.screenshot(&self.dir.join("screen.png"));
        }
        text
    }
}

/// Makes the image of a disk that is not there yet: a sparse file of zeros.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn make_disk(disk: &vmspec::Disk) -> Result<()> {
    if disk.path.exists() {
        return Ok(());
    }
    let file = fs_err::File::create(&disk.path)?;
    Ok(file.set_len(disk.size_mib << 20)?)
}

/// QEMUs that run the machine whose files are in `dir`. Where the machine is held, they are those of a killed run.
///
/// # Errors
/// When running programs cannot be listed.
pub(crate) fn left_running(ctx: &Ctx, dir: &Utf8Path) -> Result<Vec<Leftover>> {
    let folder = format!("{dir}/");
    // QEMU's options double commas.
    let doubled = folder.replace(',', ",,");
    leftovers::find(&ctx.runner, "qemu-system-", &[&folder, &doubled])
}

/// Finds QEMU and says what runs the guests.
///
/// # Errors
/// When QEMU is not installed.
pub fn backend(ctx: &Ctx) -> Result<qemu::QemuHost> {
    let host = host::find(ctx)?;
    if host.accel == qemu::Accel::Tcg {
        ctx.report.note("KVM is unavailable: QEMU emulates the processor (TCG), which is slower");
    }
    Ok(host)
}
