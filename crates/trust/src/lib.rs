//! Verification of media, the scan for secrets, and releases of media that pass both.

pub mod release;
pub mod secret_scan;
pub mod verify;
