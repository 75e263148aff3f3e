//! Are media what was promised, and do they hold secrets.

pub mod secret_scan;
pub mod verify;
