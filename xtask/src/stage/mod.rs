//! Stages: checked parameters to nodes. Pure.

pub mod host;
pub mod image;
pub mod ipxe;
pub mod media;
pub mod needs;
pub mod os;
pub mod script;
