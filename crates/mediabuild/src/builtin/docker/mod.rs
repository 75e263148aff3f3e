//! The Docker system: its root, its initrd, the containers it carries.

mod containers;
mod crates;
mod exports;
mod initrd;
mod libraries;
mod modules;
mod positions;
mod root;
mod sample;
mod workspace;

pub(super) use containers::containers;
pub(super) use crates::licences;
pub(super) use initrd::initrd;
pub(super) use root::root;
pub(super) use sample::sample;
pub(super) use workspace::workspace;
