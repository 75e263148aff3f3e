//! One command to run, as data: what it is, why, in which folder and environment, and for how long at most.
//!
//! A [`Cmd`] has real paths and is run only by `exec/run.rs`; the plan's [`super::CmdSpec`] has symbolic
//! paths and becomes a [`Cmd`] there. Back ends that drive a tool directly (QEMU, VBoxManage) build a `Cmd`.

use std::{collections::BTreeMap, time::Duration};

use camino::Utf8PathBuf;

/// A command with every path resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cmd {
    /// Name or path of the program.
    pub program: String,
    /// The program that starts it, and that one's arguments: a loader other than the machine's. Empty is the machine's.
    pub through: Vec<String>,
    /// Its arguments; no shell is involved.
    pub args: Vec<String>,
    /// The child's whole environment besides `PATH`, `HOME` and a locale with UTF-8, which `exec/run.rs` sets.
    pub env: BTreeMap<String, String>,
    /// Working folder; `None` is the repository's root.
    pub cwd: Option<Utf8PathBuf>,
    /// Bytes for standard input; `None` is an empty input.
    pub stdin: Option<Vec<u8>>,
    /// Completes "could not …".
    pub why: String,
    /// The child and all its children are killed after this long.
    pub deadline: Duration,
}

impl Cmd {
    /// A command with an empty environment, no input and a deadline of ten minutes.
    pub fn new(program: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            program: program.into(),
            through: Vec::new(),
            args: Vec::new(),
            env: BTreeMap::new(),
            cwd: None,
            stdin: None,
            why: why.into(),
            deadline: Duration::from_secs(600),
        }
    }

    /// What people know the program as.
    #[must_use]
    pub fn name(&self) -> &str {
        match self.through.is_empty() {
            true => &self.program,
            false => self.program.rsplit('/').next().unwrap_or(&self.program),
        }
    }

    /// Appends one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Appends several arguments.
    #[must_use]
    pub fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets one variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.insert(name.to_owned(), value.into());
        self
    }

    /// Sets the working folder.
    #[must_use]
    pub fn cwd(mut self, cwd: impl Into<Utf8PathBuf>) -> Self {
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
