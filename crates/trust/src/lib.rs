//! Verification of media, and releases of media that pass it and the scan for secrets (`secretscan`).

pub mod release;
pub mod verify;
