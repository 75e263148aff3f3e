//! The kernel's command line as RancherOS and BurmillaOS read it: parse, check, explain, render.
//!
//! Pure: texts in, values out; no file, process, network or clock, and no panic whatever the text, since this also runs
//! in a PID 1. `os` says which parser, `line` and `yaml` are that parser, quirk for quirk; `schema` has the types of
//! every key, `convert` is what the OS does with a value of the wrong one.
//!
//! ```
//! use bootparams::{ConfigVerdict, Context, Os, check, cloud_config, line};
//!
//! let os: Os = "rancheros-1.5.8".parse()?;
//! assert_eq!(line::parse("quiet rancher.debug=yes", os)?.to_json(), r#"{"rancher":{"debug":true}}"#);
//!
//! // How the boot ends, in the OS's own words.
//! let refused = ConfigVerdict::Refused("Invalid boolean: '1'".to_owned());
//! assert_eq!(line::boot("rancher.debug=1", os), refused);
//! assert_eq!(cloud_config::boot("#cloud-config\nruncmd: [[sleep, 5]]\n", os).word(), "refused");
//!
//! // And what to do about it.
//! let found = check("rancher.debug=1", os, &Context::default());
//! assert_eq!((found[0].code.id, found[0].help.as_str()), ("E0202", "write `rancher.debug=true` or `rancher.debug=false`"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
pub use convert::ConfigVerdict;
pub use diagnostic::{Diagnostic, Severity, SourceText};
pub use explain::explain;
pub use line::{Word, parse, parse_alone, words};
pub use os::{Dialect, Os, Version};
pub use render::{RenderError, render};
pub use target::Target;
pub use tree::{ConfigValue, Crash};
pub use value::{Param, Params, Value};
