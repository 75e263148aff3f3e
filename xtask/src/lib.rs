//! What `cargo xtask` is: commands that parse, call the crates in `crates/`, and print.
//!
//! `docs/architecture.md` describes the crates and which may depend on which.

pub mod cli;
pub mod cmd;
pub mod help;
pub mod reliability;
mod start;

pub use start::start;
