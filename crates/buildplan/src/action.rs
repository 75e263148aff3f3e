//! What a node does, step by step.

use super::{Arg, CmdSpec, Digest, shown_url};

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
        /// Source file or folder.
        from: Arg,
        /// Destination: an output of this node.
        to: Arg,
    },
    /// Writes a file.
    Write {
        /// Destination: an output of this node.
        to: Arg,
        /// The content, part by part.
        text: Vec<Arg>,
    },
    /// Calls a function of ours that is registered in the executor under `name`.
    Builtin {
        /// Name of the function in the executor's table.
        name: &'static str,
        /// Labelled arguments; labels may repeat.
        args: Vec<(&'static str, Arg)>,
    },
}

/// A file to download. Only its digest and size enter the key: where it comes from does not matter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FetchSpec {
    /// Destination: an output of this node.
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

/// Where a file can be downloaded or found.
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
                cmd.start.tree.iter().for_each(|a| a.leaves(f));
                cmd.args.iter().for_each(|a| a.leaves(f));
                cmd.env.values().for_each(|a| a.leaves(f));
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
