//! Damaged input by the thousand: readers and checks must end, with or without an error, and never panic.
//!
//! The suite runs both for a moment; `cargo xtask test --long` runs the program of this package for a minute each.

pub mod images;
pub mod params;
mod random;
