//! Effects: running commands, fetching, the store, the scheduler.

pub mod run;
pub mod signals;
