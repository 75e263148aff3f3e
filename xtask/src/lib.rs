//! What `cargo xtask` is: commands that parse, call the crates in `crates/`, and print.
//!
//! `docs/architecture.md` describes the crates and which may depend on which.

pub mod ci;
pub mod cli;
pub mod cmd;
mod dev;
pub mod help;
mod reliability;
mod start;

pub use start::start;
