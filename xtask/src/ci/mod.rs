//! What the workflows in `.github/` call, so that they hold no logic of their own, and the means to run a
//! workflow's steps on any machine.
//!
//! GitHub's own parts stay GitHub's: permissions, attestation, its caches. `docs/ci.md` says what only it can show.

pub mod change;
pub mod compare;
pub mod expr;
pub mod finish;
pub mod issue;
pub mod local;
pub mod matrix;
pub mod output;
pub mod pins;
pub mod program;
pub mod reproducible;
mod varied;
pub mod workflow;
