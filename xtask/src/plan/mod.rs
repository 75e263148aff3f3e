//! The plan: what to make out of what, as data. Pure; it knows nothing of the rest of the crate.

pub mod cmd;
pub mod digest;

pub use cmd::Cmd;
pub use digest::Digest;
