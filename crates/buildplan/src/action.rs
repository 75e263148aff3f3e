//! What a node does, step by step.

use std::time::Duration;

use super::{Arg, Digest, shown_url};

/// How a node touches the world outside the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Effect {
    /// Not at all: the same inputs give the same outputs, so the store may answer instead.
    Pure,
    /// It only looks (a package index, a repository's branches), and what it sees may change.
    Observe,
    /// It puts artifacts where people take them from.
    Publish,
}

/// What a node needs while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resource {
    /// One core.
    Cpu,
    /// All cores: it runs `make -jN`.
    AllCpus,
    /// The network.
    Net,
}

/// One step of a node. Steps run in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Runs a program.
    Run(CmdSpec),
    /// Downloads a file whose digest is known.
    Fetch(FetchSpec),
    /// Copies a file or a folder, as a reflink where the file system can.
    Copy {
        /// From where.
        from: Arg,
        /// To where.
        to: Arg,
    },
    /// Writes a file.
    Write {
        /// To where.
        to: Arg,
        /// The content, part by part.
        text: Vec<Arg>,
    },
    /// Calls a function of ours that is registered in the executor under `name`.
    Builtin {
        /// The function.
        name: &'static str,
        /// Labelled arguments; a label may come more than once.
        args: Vec<(&'static str, Arg)>,
    },
}

/// A program to run, with symbolic paths.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CmdSpec {
    /// Its name, looked up in the search path; with `tree`, its path in there.
    pub program: String,
    /// A folder with a program, its libraries and their loader, laid out as an installed system has them; `None` is the
    /// build machine.
    pub tree: Option<Arg>,
    /// Its arguments.
    pub args: Vec<Arg>,
    /// Its variables, besides those every child gets.
    pub env: Vec<(String, Arg)>,
    /// Its working folder; `None` is the node's scratch folder.
    pub cwd: Option<Arg>,
    /// Completes "could not …".
    pub why: String,
    /// It is killed after this long.
    pub deadline: Duration,
    /// Whether its version changes the bytes it makes, and so enters the key.
    pub identity: bool,
    /// Programs that it calls in turn and whose versions change the bytes as well.
    pub uses: Vec<String>,
    /// How to read progress off its output.
    pub progress: Option<Progress>,
}

/// How far a program is: the number of its lines that begin with a marker.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Progress {
    /// A line that begins so counts.
    pub marker: String,
    /// How many there will be, about.
    pub expected: u64,
}

impl CmdSpec {
    /// Runs `program` to `why`, for ten minutes at most; its version enters the key.
    pub fn new(program: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            program: program.into(),
            tree: None,
            args: Vec::new(),
            env: Vec::new(),
            cwd: None,
            why: why.into(),
            deadline: Duration::from_secs(600),
            identity: true,
            uses: Vec::new(),
            progress: None,
        }
    }

    /// Appends one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<Arg>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Appends several arguments.
    #[must_use]
    pub fn args<A: Into<Arg>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets one variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<Arg>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// Sets the working folder.
    #[must_use]
    pub fn cwd(mut self, cwd: impl Into<Arg>) -> Self {
        self.cwd = Some(cwd.into());
        self
    }

    /// Sets the deadline.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Takes the program out of `tree`, and runs it by the tree's own loader and libraries: the same bytes of code on
    /// every x86-64 Linux, whatever that has installed.
    #[must_use]
    pub fn in_tree(mut self, tree: impl Into<Arg>) -> Self {
        self.tree = Some(tree.into());
        self
    }

    /// Leaves the program's version out of the key: it moves bytes and makes none.
    #[must_use]
    pub fn any_version(mut self) -> Self {
        self.identity = false;
        self
    }

    /// Names a program that it calls in turn.
    #[must_use]
    pub fn uses(mut self, program: &str) -> Self {
        self.uses.push(program.to_owned());
        self
    }

    /// Reads progress off the output.
    #[must_use]
    pub fn progress(mut self, marker: &str, expected: u64) -> Self {
        self.progress = Some(Progress { marker: marker.to_owned(), expected });
        self
    }
}

/// A file to download. Only its digest and size enter the key: where it comes from does not matter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FetchSpec {
    /// To where.
    pub to: Arg,
    /// Where to try, in order.
    pub sources: Vec<FetchSource>,
    /// What it must be.
    pub sha256: Digest,
    /// How long it must be, in bytes, when that is known.
    pub size: Option<u64>,
    /// How long it may be, in bytes.
    pub limit: u64,
    /// The package URL, when it is a package of a distribution: it is known then that mirrors drop old versions.
    pub purl: Option<String>,
}

/// Where a file may be had.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FetchSource {
    /// A file of the machine, by absolute path.
    File(String),
    /// An `http` or `https` address.
    Url(String),
}

impl FetchSpec {
    /// The first address, unless it holds credentials.
    #[must_use]
    pub fn public_url(&self) -> Option<&str> {
        let url = self.sources.iter().find_map(|s| match s {
            FetchSource::Url(url) => Some(url.as_str()),
            FetchSource::File(_) => None,
        });
        url.filter(|u| shown_url(u) == *u)
    }
}

impl Action {
    /// Calls `f` for each argument, joined ones part by part.
    pub(super) fn leaves<'a>(&'a self, f: &mut dyn FnMut(&'a Arg)) {
        match self {
            Self::Run(cmd) => {
                cmd.tree.iter().for_each(|a| a.leaves(f));
                cmd.args.iter().for_each(|a| a.leaves(f));
                cmd.env.iter().for_each(|(_, a)| a.leaves(f));
                cmd.cwd.iter().for_each(|a| a.leaves(f));
            }
            Self::Fetch(fetch) => fetch.to.leaves(f),
            Self::Copy { from, to } => {
                from.leaves(f);
                to.leaves(f);
            }
            Self::Write { to, text } => {
                to.leaves(f);
                text.iter().for_each(|a| a.leaves(f));
            }
            Self::Builtin { args, .. } => args.iter().for_each(|(_, a)| a.leaves(f)),
        }
    }
}
