//! The kernel's command line as RancherOS and BurmillaOS read it: parse, check, explain, render.
//!
//! Pure: texts in, values out. `os` says which parser, `line` and `yaml` are that parser, quirk for quirk.

pub mod line;
pub mod os;
pub mod tree;
mod yaml;

pub use line::{Word, parse, words};
pub use os::{Dialect, Os, Version};
pub use tree::{Crash, Node};
