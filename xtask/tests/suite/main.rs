//! The integration tests, in one binary: linking is the slow part of a test build. A file a subject.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]

mod fixtures;
mod hostile;
mod iso;
mod iso_cli;
mod kargs;
mod params;
mod tidy;
