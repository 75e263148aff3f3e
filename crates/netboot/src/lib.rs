//! The HTTP server of a netboot tree, and what it tells about the machines that boot from it.
//!
//! A lab and CI server: one folder, read-only, HTTP/1.1. Pure parts (`range`, `target`, `script`, `timeline`,
//! `fleet`) decide; `tree` reads files, `wire` moves bytes, `answer` joins them, `server` holds limits, `workers` threads.
//! `tls` decrypts in front of it; uploads and listings are left out: a fleet puts nginx in front of the same folder, with the
//! configuration that `fleet` prints.

mod answer;
pub mod boot;
mod covered;
pub mod dhcp;
pub mod event;
pub mod fleet;
mod host;
mod links;
pub mod log;
mod offer;
mod page;
mod range;
pub mod script;
pub mod server;
mod target;
pub mod timeline;
mod tls;
mod tree;
mod wire;
mod workers;

pub use boot::{BootStage, BootState, MachineLine};
pub use event::{ClientEvent, ClientEventKind, FileRole, MachineName};
pub use server::{Fault, Server, ServerConfig, ServerLimits};
pub use timeline::Timeline;
pub use tls::Tls;
