//! The kernel's command line as RancherOS and BurmillaOS read it: parse, check, explain, render.
//!
//! Pure: texts in, values out. `os` says which parser, `line` and `yaml` are that parser, quirk for quirk.

pub mod check;
pub mod cloud_config;
pub mod codes;
mod convert;
pub mod diagnostic;
pub mod docs;
mod emit;
pub mod explain;
pub mod host;
pub mod kernel;
pub mod line;
pub mod os;
pub mod render;
pub mod schema;
pub mod ssh;
pub mod target;
pub mod tree;
pub mod value;
mod yaml;

pub use check::{Context, check, masked};
pub use convert::Verdict;
pub use diagnostic::{Diagnostic, Severity, Source};
pub use explain::explain;
pub use line::{Word, parse, parse_alone, words};
pub use os::{Dialect, Os, Version};
pub use render::{RenderError, render};
pub use target::Target;
pub use tree::{Crash, Node};
pub use value::{Param, Params, Value};
