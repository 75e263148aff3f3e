//! The plan: what to make out of what, as data. Pure, and independent of what is planned.
//!
//! A *stage* (kind of work, equal to its parameters) plans *nodes*; a node has actions with symbolic paths and
//! names its outputs; an *artifact* is one output of one node. Dependencies and keys are read out of the
//! actions' arguments, so none can be forgotten.

mod action;
mod arg;
mod cmd;
pub mod digest;
mod key;
mod material;
mod planner;
pub mod purl;
mod render;
mod shown;

pub use action::{Action, FetchSource, FetchSpec, Resource};
pub use arg::{Arg, Artifact, NodeId, RustFolder};
pub use cmd::{Cmd, CmdSpec, CmdWord, Invocation, Planned, Process, Progress};
pub use digest::Digest;
pub use key::{HostInputs, Input, Keys, Missing, ToolId};
pub use material::{IsoSpec, Material, Product, TextSpec};
pub use planner::{Node, NodeBuilder, Plan, Planner, Stage};
pub use render::{Format, render};
pub use shown::shown_url;

#[cfg(test)]
mod tests;
