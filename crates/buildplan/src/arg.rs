//! Arguments with symbolic paths: what an action reads and writes, visible to the planner.

use std::fmt;

/// A node's place in its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(super) usize);

impl NodeId {
    /// The index into [`super::Plan::nodes`].
    #[must_use]
    pub(crate) fn index(self) -> usize {
        self.0
    }
}

/// One output of one node: a file, or a folder where the node says so.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Artifact {
    /// The node that makes the output.
    pub node: NodeId,
    /// Its name inside the node's outputs.
    pub name: String,
}

/// What rustc would write into a program of the machine's folders: messages of panics name source files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RustFolder {
    /// Where cargo keeps the sources of other crates.
    Crates,
    /// Where the sources of Rust's own library are, when they are installed.
    Library,
    /// What rustc calls that folder when they are not: `/rustc/COMMIT`.
    LibraryName,
}

/// An argument of an action.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Arg {
    /// Text as it is.
    Lit(String),
    /// A file of this repository, by its path from the root; its content enters the key.
    Src(String),
    /// What another node made.
    In(Artifact),
    /// An output of this node.
    Out(String),
    /// A file in this node's scratch folder, which goes when the node is done.
    Work(String),
    /// Text that is never shown.
    Secret(String),
    /// Where something comes from, which does not change what it is: shown, and left out of the key.
    Origin(String),
    /// A folder of the machine's Rust, asked for when the node runs: left out of the key, as [`Arg::Origin`] is.
    Rust(RustFolder),
    /// `-jN`: how much at once, which must not change what is made; left out of the key.
    Jobs,
    /// Seconds since 1970 that stand for now: the lock's, which every key has already.
    Epoch,
    /// Several parts as one argument.
    Join(Vec<Arg>),
}

impl Arg {
    /// Several parts as one argument: `Arg::join(["-map ", …])`.
    #[must_use]
    pub fn join<A: Into<Arg>>(parts: impl IntoIterator<Item = A>) -> Self {
        Self::Join(parts.into_iter().map(Into::into).collect())
    }

    /// Calls `f` for each part that is not a [`Arg::Join`].
    pub(super) fn leaves<'a>(&'a self, f: &mut dyn FnMut(&'a Arg)) {
        match self {
            Self::Join(parts) => parts.iter().for_each(|p| p.leaves(f)),
            leaf => f(leaf),
        }
    }
}

impl From<&str> for Arg {
    fn from(text: &str) -> Self {
        Self::Lit(text.to_owned())
    }
}

impl From<String> for Arg {
    fn from(text: String) -> Self {
        Self::Lit(text)
    }
}

impl From<&Artifact> for Arg {
    fn from(artifact: &Artifact) -> Self {
        Self::In(artifact.clone())
    }
}

/// Secrets are never printed.
impl fmt::Debug for Arg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Arg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lit(text) => f.write_str(text),
            Self::Src(path) => write!(f, "{{src:{path}}}"),
            Self::In(a) => write!(f, "{{node{}:{}}}", a.node.0, a.name),
            Self::Out(name) => write!(f, "{{out:{name}}}"),
            Self::Work(name) => write!(f, "{{work:{name}}}"),
            Self::Origin(text) => write!(f, "{{from:{}}}", super::shown_url(text)),
            Self::Rust(RustFolder::Crates) => f.write_str("{cargo-home}"),
            Self::Rust(RustFolder::Library) => f.write_str("{rust-library}"),
            Self::Rust(RustFolder::LibraryName) => f.write_str("{rust-commit}"),
            Self::Jobs => f.write_str("{-jN}"),
            Self::Epoch => f.write_str("{epoch}"),
            Self::Secret(text) => write!(f, "{{secret, {} bytes}}", text.len()),
            Self::Join(parts) => parts.iter().try_for_each(|p| fmt::Display::fmt(p, f)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Action, Cmd, Digest, FetchSource, FetchSpec};

    #[test]
    fn the_leaves_of_an_argument_and_of_an_action_are_its_parts_in_order() {
        let artifact = Artifact { node: NodeId(7), name: "a".to_owned() };
        let joined = Arg::join([Arg::from("-x="), Arg::join([Arg::from(&artifact), Arg::Jobs])]);
        let copy = Action::Copy { from: joined.clone(), to: Arg::Out("b".to_owned()) };
        let mut seen = Vec::new();
        copy.leaves(&mut |leaf| seen.push(leaf.to_string()));
        assert_eq!(seen, ["-x=", "{node7:a}", "{-jN}", "{out:b}"]);
        assert_eq!(format!("{joined:?}"), "-x={node7:a}{-jN}");
        assert_eq!(artifact.node.index(), 7);
    }

    #[test]
    fn only_an_address_without_credentials_is_public() {
        let with = |sources: Vec<FetchSource>| FetchSpec {
            to: Arg::Out("f".to_owned()),
            sources,
            sha256: Digest::of(b"f"),
            size: None,
            limit: 1,
            purl: None,
        };
        let url = |text: &str| FetchSource::Url(text.to_owned());
        let spec = with(vec![FetchSource::File("/f".to_owned()), url("https://h/f"), url("https://i/f")]);
        assert_eq!(spec.public_url(), Some("https://h/f"));
        assert_eq!(with(vec![url("https://me:secret@h/f")]).public_url(), None);
    }

    #[test]
    fn programs_and_digests_have_the_names_that_people_read() {
        assert_eq!(Cmd::new("usr/bin/tool", "try").name(), "usr/bin/tool");
        let digest = Digest::from([0xAB; 32]);
        assert_eq!((digest.short(5), digest.bytes()), ("ababa".to_owned(), &[0xAB; 32]));
    }
}
