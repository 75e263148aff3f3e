//! Looks for what must not be published, before it is. A crate of its own, because what builds media need not wait for it.

#[path = "../../trust/src/secret_scan/mod.rs"]
mod secret_scan;

pub use secret_scan::*;
