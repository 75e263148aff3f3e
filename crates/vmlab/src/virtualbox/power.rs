//! A machine that runs in VirtualBox, with its switches.

use std::time::{Duration, Instant};

use anyhow::Result;
use camino::Utf8Path;

use super::{Real, VirtualBox};
use crate::power::Power;
use buildexec::ctx::Ctx;
use vmspec::{Machine, boot::Fact};

/// How often VirtualBox is asked what the machine does; each time is a process.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// A running machine. Dropping it powers it off; it stays registered, so that the next run finds it.
pub struct Running {
    vm: VirtualBox<Real>,
    asked: Instant,
    /// Nothing more is to be told of it.
    ended: bool,
    /// It is known to be off; a machine whose processor got lost has ended and is on.
    off: bool,
}

impl Running {
    /// Starts a machine that is ready in `base`, and keeps other runs from it. What is done goes to `command.txt` in
    /// `dir`.
    ///
    /// # Errors
    /// When VirtualBox does not start it, or another run has the machine.
    pub(crate) fn on(
        ctx: &Ctx,
        machine: &Machine,
        base: &Utf8Path,
        dir: &Utf8Path,
        window: bool,
    ) -> Result<Self> {
        let mut vm = VirtualBox::open(ctx, base, &machine.name)?;
        vm.host.hold(&vm.place)?;
        vm.host.write_down(dir.join("command.txt"));
        let mut this = Self { vm, asked: Instant::now(), ended: false, off: false };
        this.vm.start(window)?;
        Ok(this)
    }

    fn state(&mut self) -> Result<String> {
        self.asked = Instant::now();
        Ok(self.vm.vm_state()?.unwrap_or_default())
    }
}

impl Power for Running {
    /// VirtualBox does not tell when the guest resets the machine.
    fn facts(&mut self) -> Result<Vec<Fact>> {
        if self.ended || self.asked.elapsed() < ASK_EVERY {
            return Ok(Vec::new());
        }
        let state = self.state()?;
        let code = match state.as_str() {
            "poweroff" => Some(0),
            // Its process died, or the virtual processor got lost; the machine then hangs, switched on.
            "aborted" | "gurumeditation" | "inaccessible" | "" => None,
            _ => return Ok(Vec::new()),
        };
        self.ended = true;
        self.off = state != "gurumeditation";
        Ok(vec![Fact::Exited { code }])
    }

    fn reset(&mut self) -> Result<()> {
        self.vm.reset()
    }

    /// Also after an interrupt, which is when a person cuts it.
    fn cut(&mut self) -> Result<()> {
        self.ended = true;
        if self.off {
            return Ok(());
        }
        self.vm.host.ignore_interrupt();
        self.vm.power_off()?;
        self.off = true;
        Ok(())
    }

    fn press(&mut self) -> Result<()> {
        self.vm.press_power()
    }

    fn plug(&mut self, _: &Utf8Path) -> Result<()> {
        anyhow::bail!("VirtualBox changes no disk while the machine runs")
    }

    /// Under another name first, so that there is never half a picture.
    fn screenshot(&mut self, path: &Utf8Path) -> Result<()> {
        let part = path.with_file_name(format!("{}.part", path.file_name().unwrap_or("screen")));
        self.vm.screenshot(&part)?;
        Ok(fs_err::rename(&part, path)?)
    }

    fn screen(&mut self) -> Vec<String> {
        Vec::new()
    }

    fn said(&self) -> (&'static str, Vec<String>) {
        let place = &self.vm.place;
        let log = place.system.join(&place.system.join(&place.folder(), "Logs"), "VBox.log");
        let log = fs_err::read(log).unwrap_or_default();
        ("VirtualBox", String::from_utf8_lossy(&log).lines().map(str::to_owned).collect())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.off {
            return;
        }
        self.vm.host.ignore_interrupt();
        if let Err(e) = self.vm.power_off() {
            self.vm.host.complain(&e);
        }
    }
}
