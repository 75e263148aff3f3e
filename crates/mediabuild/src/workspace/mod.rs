//! Where the work happens: what the repository says, what the build machine has, where outputs land.
//!
//! `exec` runs any plan and knows nothing of media; this stands between it and the commands.

pub mod archive;
pub mod load;
pub mod preflight;
pub mod publish;
pub mod update;
