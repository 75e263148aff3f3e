//! Errors of this crate: what a caller can act on, a message, the next step, the cause.

use std::{error::Error as StdError, fmt, io};

/// What went wrong, as far as a caller can act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// What was asked for does not exist: a file, a word, a value.
    Request,
    /// The image is malformed, or lacks what was asked of it.
    Image,
    /// A file cannot be opened, read or written.
    Storage,
    /// Kernel arguments or a cloud-config cannot be put there: they do not fit, or a loader cannot carry them.
    Arguments,
    /// A layout does not suit the file that it describes.
    Layout,
}

/// An error of this crate. `{:#}` shows the causes, too.
#[derive(Debug, thiserror::Error)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    help: Option<String>,
    source: Option<BoxedError>,
}

type BoxedError = Box<dyn StdError + Send + Sync>;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let mut cause = StdError::source(self).filter(|_| f.alternate());
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// What a caller can act on.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The next step, where one is known.
    #[must_use]
    pub fn help_text(&self) -> Option<&str> {
        self.help.as_deref()
    }

    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), help: None, source: None }
    }

    pub(crate) fn image(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Image, message)
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn source(mut self, source: impl Into<BoxedError>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl From<io::Error> for Error {
    fn from(e: io::Error) -> Self {
        let is_missing = e.kind() == io::ErrorKind::NotFound;
        Self::new(if is_missing { ErrorKind::Request } else { ErrorKind::Storage }, e.to_string())
    }
}

impl From<std::num::TryFromIntError> for Error {
    fn from(e: std::num::TryFromIntError) -> Self {
        Self::image("a number is larger than this machine can address").source(e)
    }
}

/// Puts a kind and a message on any error.
pub(crate) trait ErrorContext<T> {
    fn explain(self, kind: ErrorKind, message: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<BoxedError>> ErrorContext<T> for Result<T, E> {
    fn explain(self, kind: ErrorKind, message: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|e| Error::new(kind, message()).source(e))
    }
}

/// What the system said, without the temporary name that it said it of, which is nothing to a person.
pub(crate) fn nameless(e: &io::Error) -> io::Error {
    e.raw_os_error().map_or_else(|| e.kind().into(), io::Error::from_raw_os_error)
}

/// A failure to open the file `path`, which the caller named.
pub(crate) fn cannot_open(path: &impl fmt::Display, e: io::Error) -> Error {
    match e.kind() {
        io::ErrorKind::NotFound => Error::new(ErrorKind::Request, format!("no such file: {path}")),
        _ => e.into(),
    }
}
