//! Failures a person or a script tells apart: a kind with an exit code of its own, and the next step.
//!
//! Everything else is an `anyhow::Error` and leaves with exit code 1. Attach a kind where the reason is
//! known: `return Err(Failure::new(Kind::Config, "unknown profile `x`").help("…").into())`, or put it on
//! an existing error with [`Explain`].

use std::fmt;

/// What went wrong, as far as the caller can act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The command line asks for something that does not exist (exit code 2, as clap's own errors).
    Usage,
    /// `media.toml`, `media.lock`, a template or a patch is wrong (3).
    Config,
    /// Programs or files of the host are missing (4).
    MissingTool,
    /// Bytes are not the ones that were promised (5).
    Digest,
    /// An image, archive or other input is malformed (6).
    Input,
    /// A server or repository cannot be reached, or `--offline` forbids it (7).
    Network,
    /// The disk is full or a file cannot be written (8).
    Storage,
    /// A port or address is taken (9).
    Port,
    /// A machine did not boot as promised (10).
    Boot,
    /// Kernel parameters or a cloud-config would not do what they say (11).
    Params,
    /// A program that was run failed (12).
    Command,
    /// A secret or a forbidden default was found in an artifact (13).
    Leak,
    /// Ctrl-C or a termination signal (130).
    Interrupted,
}

impl Kind {
    /// Every kind, for the reference table in the documentation.
    pub const ALL: [Self; 13] = [
        Self::Usage,
        Self::Config,
        Self::MissingTool,
        Self::Digest,
        Self::Input,
        Self::Network,
        Self::Storage,
        Self::Port,
        Self::Boot,
        Self::Params,
        Self::Command,
        Self::Leak,
        Self::Interrupted,
    ];

    /// The process exit code.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Usage => 2,
            Self::Config => 3,
            Self::MissingTool => 4,
            Self::Digest => 5,
            Self::Input => 6,
            Self::Network => 7,
            Self::Storage => 8,
            Self::Port => 9,
            Self::Boot => 10,
            Self::Params => 11,
            Self::Command => 12,
            Self::Leak => 13,
            Self::Interrupted => 130,
        }
    }
}

/// An error that says what to do next.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    message: String,
    help: Option<String>,
    source: Option<anyhow::Error>,
}

impl Failure {
    /// A failure of `kind`; `message` is lower case, names the thing, and has no final dot.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), help: None, source: None }
    }

    /// The next step, as a sentence or a command.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// What caused it.
    #[must_use]
    pub fn source(mut self, source: impl Into<anyhow::Error>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The kind of this failure.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The next step, where one is known.
    #[must_use]
    pub fn help_text(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(AsRef::as_ref)
    }
}

/// Puts a kind and a message on any error.
pub trait Explain<T> {
    /// Turns the error into a [`Failure`] of `kind` with the old error as its cause.
    ///
    /// # Errors
    /// Returns the wrapped error when `self` is one.
    fn explain(self, kind: Kind, message: impl FnOnce() -> String) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> Explain<T> for Result<T, E> {
    fn explain(self, kind: Kind, message: impl FnOnce() -> String) -> anyhow::Result<T> {
        self.map_err(|e| Failure::new(kind, message()).source(e).into())
    }
}

/// The outermost kind in an error's chain.
#[must_use]
pub fn kind_of(error: &anyhow::Error) -> Option<Kind> {
    failures(error).map(Failure::kind).next()
}

/// Every help text in an error's chain, outermost first.
#[must_use]
pub fn helps_of(error: &anyhow::Error) -> Vec<&str> {
    failures(error).filter_map(Failure::help_text).collect()
}

fn failures(error: &anyhow::Error) -> impl Iterator<Item = &Failure> {
    error.chain().filter_map(|e| e.downcast_ref::<Failure>())
}
