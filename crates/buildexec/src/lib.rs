//! Carries out any plan: scheduler, store, downloads, processes, and the context of a run. Builtins come as a table from
//! the caller, so nothing here knows what is built.

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
pub mod regular;
pub mod run;
mod rust;
pub mod schedule;
pub mod signals;
pub mod store;
pub mod tree;
