//! Are media what was promised, and do they hold secrets.

pub mod guard;
pub mod verify;
