//! The pipeline behind `cargo xtask`: plan boot media as data, build them through one store, boot them.
//!
//! `docs/architecture.md` shows the house: `plan`, `stage`, `params`, `config` and `machine` decide and touch
//! nothing; `exec`, `serve` and `cmd` act; only `report` prints.

pub mod attest;
pub mod ci;
pub mod cli;
pub mod cmd;
pub mod config;
pub mod cpio;
pub mod ctx;
pub mod dev;
pub mod error;
pub mod exec;
pub mod guard;
pub mod iso;
pub mod machine;
pub mod params;
pub mod plan;
pub mod report;
pub mod serve;
pub mod site;
pub mod stage;
pub mod verify;
pub mod vm;
