//! Ctrl-C and termination: one flag that every wait looks at.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::Result;

use crate::error::{Failure, Kind};

/// Whether the person asked to stop. Clones share the flag.
#[derive(Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Sets the flag on SIGINT, SIGTERM and (on Unix) SIGHUP. A second signal ends the process at once, for
    /// the case that cleaning up hangs.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn install() -> Result<Self> {
        let this = Self::default();
        #[cfg(unix)]
        let all = [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP];
        #[cfg(not(unix))]
        let all = [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM];
        for signal in all {
            signal_hook::flag::register_conditional_shutdown(
                signal,
                i32::from(Kind::Interrupted.exit_code()),
                Arc::clone(&this.0),
            )?;
            signal_hook::flag::register(signal, Arc::clone(&this.0))?;
        }
        Ok(this)
    }

    /// Whether a signal came.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Acts as a signal would; for tests and for stopping helpers.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Fails once a signal came.
    ///
    /// # Errors
    /// [`Kind::Interrupted`].
    pub fn check(&self) -> Result<()> {
        if self.is_set() { Err(Failure::new(Kind::Interrupted, "interrupted").into()) } else { Ok(()) }
    }
}
