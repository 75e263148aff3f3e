//! Effects: running commands, fetching, the store, the scheduler.

pub mod action;
pub mod ctx;
pub mod fetch;
pub mod hash;
pub mod host_inputs;
pub mod keeper;
pub mod leftovers;
pub mod midstates;
pub mod objects;
mod panics;
pub mod paths;
pub mod run;
mod rust;
pub mod schedule;
pub mod signals;
pub mod store;
pub mod tree;
