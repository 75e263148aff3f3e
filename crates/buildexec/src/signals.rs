//! Ctrl-C and termination: one flag that every wait looks at.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

#[cfg(unix)]
use std::time::Instant;

use anyhow::Result;

use failure::{Failure, Kind};

/// Signals that come closer together are one wish to stop.
#[cfg(unix)]
const AGAIN: std::time::Duration = std::time::Duration::from_secs(1);

/// Whether the person asked to stop. Clones share the flag.
#[derive(Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Sets the flag on SIGINT, SIGTERM and (on Unix) SIGHUP. Another signal more than a second later ends the
    /// process at once, for the case that cleaning up hangs.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub(crate) fn install() -> Result<Self> {
        let this = Self::default();
        this.watch()?;
        Ok(this)
    }

    /// `timeout` sends its signal twice in a row, and a shell's Ctrl-C may come from two sides: ending at the second
    /// would leave children behind. Hence a thread that looks at the time, and no handler that exits.
    #[cfg(unix)]
    fn watch(&self) -> Result<()> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
        // A file beyond the limit (`ulimit -f`) is an error of the write then, which is told and cleaned up after.
        signal_hook::flag::register(SIGXFSZ, Arc::default())?;
        let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let this = self.clone();
        let watch = move || {
            let mut first = None;
            for _ in signals.forever() {
                this.0.store(true, Ordering::Relaxed);
                if first.get_or_insert_with(Instant::now).elapsed() > AGAIN {
                    std::process::exit(i32::from(Kind::Interrupted.exit_code()));
                }
            }
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(watch)?;
        Ok(())
    }

    #[cfg(not(unix))]
    fn watch(&self) -> Result<()> {
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            let code = i32::from(Kind::Interrupted.exit_code());
            signal_hook::flag::register_conditional_shutdown(signal, code, Arc::clone(&self.0))?;
            signal_hook::flag::register(signal, Arc::clone(&self.0))?;
        }
        Ok(())
    }

    /// Whether a signal came.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Fails once a signal came.
    ///
    /// # Errors
    /// [`Kind::Interrupted`].
    pub fn check(&self) -> Result<()> {
        if self.is_set() { Err(Failure::new(Kind::Interrupted, "interrupted").into()) } else { Ok(()) }
    }
}
