//! Are media what was promised, do they hold secrets, and a release of those that pass.

pub mod release;
pub mod secret_scan;
pub mod verify;
