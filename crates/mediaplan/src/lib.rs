//! What boot media are made of: `media.toml` and `media.lock` as checked types, and the stages that turn them into a
//! plan. Pure: nothing here touches a file, a process, the network or the clock.

pub mod config;
pub mod stage;
