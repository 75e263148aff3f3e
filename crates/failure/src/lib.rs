//! Failures a person or a script tells apart: a kind with an exit code of its own, and the next step.
//!
//! Everything else is an `anyhow::Error` and leaves with exit code 1, but for what the system says of files. Attach a
//! kind where the reason is known: `return Err(Failure::new(Kind::Config, "unknown profile `x`").help("…").into())`, or put it on
//! an existing error with [`Explain`].

use std::{fmt, io};

/// Writes the enum, the list of its members and their exit codes from one table, so that none can be forgotten.
macro_rules! kinds {
    ($(#[doc = $about:literal] $name:ident = $code:literal,)*) => {
        /// What went wrong, as far as the caller can act on it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind {
            $(#[doc = $about] $name,)*
        }

        impl Kind {
            /// Every kind, for the reference table in the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The process exit code.
            #[must_use]
            pub fn exit_code(self) -> u8 {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            /// What it means, as a sentence.
            #[must_use]
            pub fn about(self) -> &'static str {
                match self {
                    $(Self::$name => $about.trim_ascii(),)*
                }
            }
        }
    };
}

kinds! {
    /// The command line asks for something that does not exist (clap's own errors have the same code).
    Usage = 2,
    /// `media.toml`, `media.lock`, a template or a patch is wrong.
    Config = 3,
    /// Programs or files of the host are missing.
    MissingTool = 4,
    /// Bytes do not match their digest.
    Digest = 5,
    /// An image, archive or other input is malformed.
    Input = 6,
    /// A server or repository cannot be reached, or `--offline` forbids it.
    Network = 7,
    /// The disk is full, or a file, a folder or standard output cannot be written or belongs to another user.
    Storage = 8,
    /// A port or address is taken.
    Port = 9,
    /// A machine did not boot as expected.
    Boot = 10,
    /// Kernel parameters or a cloud-config would not do what they say.
    Params = 11,
    /// A program that was run failed.
    Command = 12,
    /// A secret or a forbidden default was found in an artifact.
    Leak = 13,
    /// Some loader entries of an image could not be changed with the others; they are named.
    Incomplete = 14,
    /// Ctrl-C or a termination signal.
    Interrupted = 130,
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

    /// The next step for a person who gave a name that is not among `known`: the name that they may have meant, and
    /// all of them (`plural` says of what) unless they would fill a screen.
    #[must_use]
    pub fn help_choose(self, given: &str, known: &[&str], plural: &str) -> Self {
        const SCREEN: usize = 20;
        let near = known.iter().min_by_key(|name| strsim::damerau_levenshtein(given, name));
        let near = near.filter(|name| strsim::damerau_levenshtein(given, name) <= 1 + given.len() / 4);
        let all = format!("the {plural} are: {}", known.join(", "));
        match near {
            Some(near) if known.len() > SCREEN => self.help(format!("did you mean `{near}`?")),
            Some(near) => self.help(format!("did you mean `{near}`? {all}")),
            None => self.help(all),
        }
    }

    /// The kind of this failure.
    #[must_use]
    pub(crate) fn kind(&self) -> Kind {
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

/// The outermost kind in an error's chain; without one, the kind of the system's error.
#[must_use]
pub fn kind_of(error: &anyhow::Error) -> Option<Kind> {
    let of = |e: &(dyn std::error::Error + 'static)| {
        let image = || e.downcast_ref::<bootiso::Error>().map(|e| e.kind().into());
        e.downcast_ref::<Failure>().map(Failure::kind).or_else(image)
    };
    error.chain().find_map(of).or_else(|| system_kind(error))
}

/// Every help text in an error's chain, outermost first.
#[must_use]
pub fn helps_of<'e>(error: &'e anyhow::Error) -> Vec<&'e str> {
    let of = |e: &'e (dyn std::error::Error + 'static)| {
        let image = || e.downcast_ref::<bootiso::Error>().and_then(bootiso::Error::help_text);
        e.downcast_ref::<Failure>().and_then(Failure::help_text).or_else(image)
    };
    let helps: Vec<_> = error.chain().filter_map(of).collect();
    match system_error(error) {
        Some((Kind::Storage, help)) if helps.is_empty() => vec![help],
        _ => helps,
    }
}

/// A failure to open the file `path`, which a person named.
#[must_use]
pub fn cannot_open(path: &impl fmt::Display, e: io::Error) -> anyhow::Error {
    match e.kind() {
        io::ErrorKind::NotFound => Failure::new(Kind::Usage, format!("no such file: {path}")).into(),
        _ => e.into(),
    }
}

/// What the system said, without the temporary name that it said it of, which is nothing to a person.
#[must_use]
pub fn nameless(e: &io::Error) -> io::Error {
    e.raw_os_error().map_or_else(|| e.kind().into(), io::Error::from_raw_os_error)
}

/// Whether a character would change a terminal, or how other characters read, rather than be read itself: control
/// characters, and Unicode's format characters and separators of lines, which turn the direction of text or are not seen.
#[must_use]
pub fn is_control(c: char) -> bool {
    let format = matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    );
    c.is_control() || format
}

/// A value that somebody else wrote, as it may stand in a message: control characters are spelled out.
#[must_use]
pub fn shown(value: &str) -> String {
    let spell = |c: char| if is_control(c) { c.escape_unicode().to_string() } else { c.to_string() };
    value.chars().map(spell).collect()
}

fn system_kind(error: &anyhow::Error) -> Option<Kind> {
    system_error(error).map(|(kind, _)| kind)
}

/// What to look for where the system lets nothing be written.
pub const UNWRITABLE: &str = "does it belong to another user, or is the disk full or read-only?";

/// The kind of the first error of the system in a chain that has one, and what to do about it.
fn system_error(error: &anyhow::Error) -> Option<(Kind, &'static str)> {
    /// `EIO` and `EMFILE`, which std does not tell from others.
    const FAILING: i32 = 5;
    const TOO_MANY_OPEN: i32 = 24;
    use io::ErrorKind as E;
    let of = |e: &io::Error| match e.kind() {
        E::NotFound => Some((Kind::Usage, "")),
        E::PermissionDenied | E::ReadOnlyFilesystem | E::StorageFull | E::QuotaExceeded => {
            Some((Kind::Storage, UNWRITABLE))
        }
        E::AlreadyExists | E::NotADirectory | E::IsADirectory => {
            Some((Kind::Storage, "something of another kind has that name: move it away"))
        }
        E::ResourceBusy => Some((Kind::Storage, "it is a mount point, or in use: give another folder")),
        E::CrossesDevices => Some((
            Kind::Storage,
            "both must be on one file system: mount or link the folder above them instead",
        )),
        E::FileTooLarge => {
            Some((Kind::Storage, "raise the limit (`ulimit -f`), or use a file system for larger files"))
        }
        _ if cfg!(not(unix)) => None,
        _ => match e.raw_os_error()? {
            FAILING => {
                Some((Kind::Storage, "the disk may be failing: see `dmesg`, and run it again elsewhere"))
            }
            TOO_MANY_OPEN => Some((Kind::Storage, "raise the limit of open files (`ulimit -n 1024`)")),
            _ => None,
        },
    };
    error.chain().filter_map(|e| e.downcast_ref::<io::Error>()).find_map(of)
}

impl From<bootiso::ErrorKind> for Kind {
    fn from(kind: bootiso::ErrorKind) -> Self {
        use bootiso::ErrorKind as E;
        match kind {
            E::Request => Self::Usage,
            E::Storage => Self::Storage,
            E::Arguments => Self::Params,
            E::Layout => Self::Config,
            _ => Self::Input,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_change_how_a_message_reads_is_spelled_out() {
        for c in "\0\u{1b}\u{7f}\u{9b}\u{ad}\u{61c}\u{200b}\u{200d}\u{200f}\u{2028}\u{202e}\u{2060}\u{2066}\u{206f}\u{feff}\u{e0041}".chars() {
            assert_eq!(shown(&format!("a{c}b")), format!("a{}b", c.escape_unicode()));
        }
        let text = "a b-é\u{301}…\u{2027}\u{202f}\u{2010}中文👍";
        assert_eq!(shown(text), text);
    }

    #[test]
    fn a_mistyped_name_is_told_which_one_was_probably_meant() {
        let help = |given: &str, known: &[&str]| {
            let failure = Failure::new(Kind::Usage, "unknown").help_choose(given, known, "profiles");
            failure.help_text().unwrap().to_owned()
        };
        let few = ["docker", "linux", "smoke"];
        assert_eq!(help("dokcer", &few), "did you mean `docker`? the profiles are: docker, linux, smoke");
        assert_eq!(help("nope", &few), "the profiles are: docker, linux, smoke");
        let many: Vec<String> = (10..40).map(|n| format!("scenario-{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(help("scenari-17", &many), "did you mean `scenario-17`?");
        assert!(help("x", &many).starts_with("the profiles are: scenario-10, "));
    }

    #[test]
    fn what_the_system_says_of_a_file_has_a_kind_until_somebody_knows_better() {
        let said = |kind: io::ErrorKind| anyhow::Error::from(io::Error::from(kind)).context("cannot do it");
        assert_eq!(kind_of(&said(io::ErrorKind::NotFound)), Some(Kind::Usage));
        assert_eq!(kind_of(&said(io::ErrorKind::PermissionDenied)), Some(Kind::Storage));
        assert_eq!(helps_of(&said(io::ErrorKind::ReadOnlyFilesystem)).len(), 1);
        assert_eq!(kind_of(&said(io::ErrorKind::TimedOut)), None);
        let code = |code| anyhow::Error::from(io::Error::from_raw_os_error(code));
        // EIO, EBUSY, EEXIST, EXDEV, ENOTDIR, EISDIR, EMFILE, EFBIG.
        for code in
            [5, 16, 17, 18, 20, 21, 24, 27].map(code).into_iter().filter(|_| cfg!(target_os = "linux"))
        {
            assert_eq!((kind_of(&code), helps_of(&code).len()), (Some(Kind::Storage), 1), "{code:#}");
        }
        let known: anyhow::Result<()> =
            Err(said(io::ErrorKind::NotFound)).explain(Kind::Config, || "the template".to_owned());
        assert_eq!(kind_of(&known.unwrap_err()), Some(Kind::Config));
    }
}
