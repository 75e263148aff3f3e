//! Stages: checked parameters to nodes. Pure.

mod boot_iso;
pub mod crates;
pub mod docker;
pub mod embed;
pub mod hostconf;
pub mod image;
pub mod ipxe;
pub mod line;
pub mod measured;
pub mod media;
pub mod needs;
pub mod os;
pub mod packages;
mod sample;
pub mod script;
pub mod signed;
