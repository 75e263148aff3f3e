//! The switches of a running machine, whatever runs it.

use std::{fs::File, io::Write as _};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use super::qmp::Control;
use buildexec::ctx::Ctx;
use buildexec::run::{RunningCommand, Streams};
use vmspec::{
    Machine,
    boot::Fact,
    qemu::{self, Watch},
    quote,
};

/// A machine that was switched on. Dropping it switches it off.
pub(crate) trait Power {
    /// What the machine itself did since the last call: the guest reset it, or it ended.
    ///
    /// # Errors
    /// When it cannot be watched any more.
    fn facts(&mut self) -> Result<Vec<Fact>>;

    /// Presses the reset button.
    ///
    /// # Errors
    /// When the machine does not take it.
    fn reset(&mut self) -> Result<()>;

    /// Cuts the power: the guest gets no chance to write anything.
    ///
    /// # Errors
    /// When the machine may still run.
    fn cut(&mut self) -> Result<()>;

    /// Presses the power button as a person does who wants the guest to shut down.
    ///
    /// # Errors
    /// When the machine does not take it.
    fn press(&mut self) -> Result<()>;

    /// Plugs in a raw disk while the machine runs.
    ///
    /// # Errors
    /// When the machine does not take it.
    fn plug(&mut self, path: &Utf8Path) -> Result<()>;

    /// Takes a picture of the screen.
    ///
    /// # Errors
    /// When there is none.
    fn screenshot(&mut self, path: &Utf8Path) -> Result<()>;

    /// The text on the screen, while it is in the PC's text mode: iPXE and isolinux speak there. Empty, where it
    /// cannot be read.
    fn screen(&mut self) -> Vec<String>;

    /// What runs the machine, by name, and what it said itself.
    fn said(&self) -> (&'static str, Vec<String>);
}

/// QEMU, as a child of ours.
pub(crate) struct Qemu {
    job: RunningCommand,
    control: Control,
    dir: Utf8PathBuf,
    ended: bool,
}

impl Qemu {
    /// Switches `machine` on. QEMU's own words go to `qemu.log` in `dir`, the command to `command.txt`; with
    /// `trace`, the first card's packets to that file.
    ///
    /// # Errors
    /// When QEMU cannot be started.
    pub(crate) fn on(
        ctx: &Ctx,
        machine: &Machine,
        host: &qemu::QemuHost,
        dir: &Utf8Path,
        trace: Option<&Utf8Path>,
        window: bool,
    ) -> Result<Self> {
        let watch = Watch { control: true, window, trace: trace.map(Utf8Path::to_owned) };
        let cmd = qemu::command(machine, host, &watch)?;
        writeln!(append(&dir.join("command.txt"))?, "{}", quote::line(&cmd, quote::Shell::Sh))?;
        let talk = dir.join("qmp.log");
        let streams = Streams { stdout: File::create(&talk)?, stderr: append(&dir.join("qemu.log"))? };
        let (input, output) = std::io::pipe()?;
        let job = ctx.runner.spawn_piped(&cmd, streams, input)?;
        Ok(Self { job, control: Control::open(output, &talk)?, dir: dir.to_owned(), ended: false })
    }
}

impl Power for Qemu {
    fn facts(&mut self) -> Result<Vec<Fact>> {
        let mut facts = Vec::new();
        for event in self.control.events()? {
            if event["event"] == "RESET" && event["data"]["guest"] == true {
                facts.push(Fact::Reset);
            }
        }
        if !self.ended
            && let Some(exit) = self.job.try_wait()?
        {
            self.ended = true;
            facts.push(Fact::Exited { code: exit.code() });
        }
        Ok(facts)
    }

    fn reset(&mut self) -> Result<()> {
        self.control.execute("system_reset", &Value::Null)?;
        // The event of this reset is not the guest's.
        self.control.events().map(drop)
    }

    fn cut(&mut self) -> Result<()> {
        self.job.kill();
        self.ended = true;
        Ok(())
    }

    fn press(&mut self) -> Result<()> {
        self.control.execute("system_powerdown", &Value::Null).map(drop)
    }

    fn plug(&mut self, path: &Utf8Path) -> Result<()> {
        let node = json!({ "driver": "raw", "node-name": "late",
                           "file": { "driver": "file", "filename": path } });
        self.control.execute("blockdev-add", &node)?;
        let device = json!({ "driver": "virtio-blk-pci", "id": "late-disk", "drive": "late" });
        self.control.execute("device_add", &device).map(drop)
    }

    /// As PNG where QEMU can (7.1 and later) and the name ends so, else as PPM.
    fn screenshot(&mut self, path: &Utf8Path) -> Result<()> {
        let mut arguments = json!({ "filename": path });
        if path.extension() == Some("png") {
            arguments["format"] = json!("png");
        }
        self.control.execute("screendump", &arguments).map(drop)
    }

    fn screen(&mut self) -> Vec<String> {
        if self.ended {
            return Vec::new();
        }
        let dump = self.dir.join("screen.bin");
        let arguments = json!({ "val": 0xb_8000, "size": 80 * 25 * 2, "filename": dump });
        let saved = self.control.execute("pmemsave", &arguments).and_then(|_| Ok(fs_err::read(&dump)?));
        _ = fs_err::remove_file(&dump);
        saved.map(|cells| screen_text(&cells)).unwrap_or_default()
    }

    fn said(&self) -> (&'static str, Vec<String>) {
        let log = fs_err::read(self.dir.join("qemu.log")).unwrap_or_default();
        ("QEMU", String::from_utf8_lossy(&log).lines().map(str::to_owned).collect())
    }
}

/// Opens a file to write behind what it holds.
///
/// # Errors
/// When it cannot be opened.
pub(super) fn append(path: &Utf8Path) -> Result<File> {
    Ok(fs_err::OpenOptions::new().create(true).append(true).open(path)?.into_file())
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
