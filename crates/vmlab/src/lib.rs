//! Runs virtual machines and watches what their guests do.
//!
//! `vmspec` decides (command lines, verdicts, scenarios); this crate carries it out: a [`session`] is one
//! running machine with everything that is seen of it joined on one clock.

pub mod backend;
pub mod dist;
pub mod host;
mod lan;
pub mod machines;
pub mod media;
pub mod netboot;
mod outside;
pub mod power;
mod qmp;
mod registry;
pub mod run;
pub mod scenario;
pub mod server;
pub mod session;
pub mod test;
pub mod virtualbox;
