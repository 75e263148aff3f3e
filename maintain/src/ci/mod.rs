//! What the workflows in `.github/` call, so that they hold no logic of their own, and the means to run a
//! workflow's steps on any machine.
//!
//! GitHub's own parts stay GitHub's: permissions, attestation, its caches. `docs/ci.md` says what only it can show.

pub(crate) mod change;
pub(crate) mod compare;
pub(crate) mod expr;
pub(crate) mod finish;
pub(crate) mod issue;
pub(crate) mod local;
pub(crate) mod matrix;
pub(crate) mod output;
pub(crate) mod pins;
pub(crate) mod program;
pub(crate) mod reproducible;
mod varied;
pub mod workflow;
