//! One command to run, as data: what it is, why, in which folder, and for how long at most.
//!
//! A [`Cmd`] has real paths and is run only by `buildexec`'s runner; the plan's [`CmdSpec`] has symbolic ones and
//! becomes a [`Cmd`] there. Back ends that drive a tool directly (QEMU, VBoxManage) build a [`Cmd`].

use std::{collections::BTreeMap, fmt::Debug, hash::Hash, time::Duration};

use camino::Utf8PathBuf;

use super::Arg;

/// What the words of a command are: symbolic in a plan, text for a process.
pub trait CmdWord: Clone + Debug + Eq + Hash {
    /// A folder.
    type Folder: Clone + Debug + Eq + Hash;
    /// What only commands of this kind say.
    type Start: Clone + Debug + Default + Eq + Hash;
}

/// A command with every path resolved.
pub type Cmd = Invocation<String>;

/// A command of a plan, with symbolic paths.
pub type CmdSpec = Invocation<Arg>;

/// A program to run; no shell is involved.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Invocation<W: CmdWord> {
    /// Name or path of the program, looked up in the search path; with [`Planned::tree`], its path in there.
    pub program: String,
    /// Arguments behind the program's name.
    pub args: Vec<W>,
    /// Its variables besides `PATH`, `HOME` and a locale with UTF-8, which the runner sets: nothing else is inherited.
    pub env: BTreeMap<String, W>,
    /// Working folder; `None` is the repository's root, and in a plan the node's scratch folder.
    pub cwd: Option<W::Folder>,
    /// Completes "could not …".
    pub why: String,
    /// The child and all its children are killed after this long.
    pub deadline: Duration,
    /// What only a process, or only a plan, says of it.
    pub start: W::Start,
}

impl CmdWord for String {
    type Folder = Utf8PathBuf;
    type Start = Process;
}

impl CmdWord for Arg {
    type Folder = Self;
    type Start = Planned;
}

/// What a process gets besides its arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Process {
    /// The program that starts it, and that one's arguments: a loader other than the machine's. Empty is the machine's.
    pub through: Vec<String>,
    /// Bytes for standard input; `None` is an empty input.
    pub stdin: Option<Vec<u8>>,
}

/// What a plan says of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Planned {
    /// A folder with a program, its libraries and their loader, laid out as an installed system has them; `None` is the
    /// build machine.
    pub tree: Option<Arg>,
    /// Programs that it calls in turn and whose versions change the bytes as well.
    pub uses: Vec<String>,
    /// The variable among its arguments that names its compiler, and the compiler: objects that are kept by what they are
    /// compiled from may be taken. They must not change what is made; left out of the key.
    pub reuses: Option<(String, String)>,
    /// How to read progress off its output.
    pub progress: Option<Progress>,
}

/// The progress of a program: the number of its lines that begin with a marker.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Progress {
    /// A line that begins so counts.
    pub marker: String,
    /// How many there will be, about.
    pub expected: u64,
}

impl<W: CmdWord> Invocation<W> {
    /// Runs `program` to `why`, for ten minutes at most; its version enters a key.
    pub fn new(program: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: BTreeMap::new(),
            cwd: None,
            why: why.into(),
            deadline: Duration::from_secs(600),
            start: W::Start::default(),
        }
    }

    /// Appends one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<W>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Appends several arguments.
    #[must_use]
    pub fn args<A: Into<W>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets one variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<W>) -> Self {
        self.env.insert(name.to_owned(), value.into());
        self
    }

    /// Sets the working folder.
    #[must_use]
    pub fn cwd(mut self, cwd: impl Into<W::Folder>) -> Self {
        self.cwd = Some(cwd.into());
        self
    }

    /// Sets the deadline.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }
}

impl Cmd {
    /// What people know the program as.
    #[must_use]
    pub fn name(&self) -> &str {
        match self.start.through.is_empty() {
            true => &self.program,
            false => self.program.rsplit('/').next().unwrap_or(&self.program),
        }
    }
}

impl CmdSpec {
    /// Takes the program out of `tree`, and runs it by the tree's own loader and libraries: the same bytes of code on
    /// every x86-64 Linux, whatever that has installed.
    #[must_use]
    pub fn in_tree(mut self, tree: impl Into<Arg>) -> Self {
        self.start.tree = Some(tree.into());
        self
    }

    /// Names a program that it calls in turn.
    #[must_use]
    pub fn uses(mut self, program: &str) -> Self {
        self.start.uses.push(program.to_owned());
        self
    }

    /// Lets the compiler that `variable` names take objects that are kept by what they are compiled from.
    #[must_use]
    pub fn reuses(mut self, variable: &str, compiler: &str) -> Self {
        self.start.reuses = Some((variable.to_owned(), compiler.to_owned()));
        self
    }

    /// Reads progress off the output.
    #[must_use]
    pub fn progress(mut self, marker: &str, expected: u64) -> Self {
        self.start.progress = Some(Progress { marker: marker.to_owned(), expected });
        self
    }
}
