//! Keys: what a node's outputs depend on, as one digest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Action, Arg, CmdSpec, Digest, NodeId, Plan, digest::Fields};

/// What the planner must know about the machine and the repository to compute keys.
pub trait HostInputs {
    /// The digest of a file of the repository.
    ///
    /// # Errors
    /// When it is not there.
    fn source(&self, path: &str) -> Result<Digest, Missing>;
    /// Which program a name stands for.
    ///
    /// # Errors
    /// When there is none.
    fn tool(&self, program: &str) -> Result<ToolId, Missing>;
    /// The digest of a builtin's code, and of the code that it uses.
    ///
    /// # Errors
    /// When there is none of that name.
    fn builtin(&self, name: &str) -> Result<Digest, Missing>;
    /// Seconds since 1970 that stand for "now" in all outputs.
    fn epoch(&self) -> u64;
}

/// A program's identity, as far as its output depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolId {
    /// Its version, as it or its package says.
    pub version: String,
}

/// Something a plan needs that is not there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Missing {
    /// A file of the repository.
    Source(String),
    /// A program.
    Tool(String),
    /// A function of ours.
    Builtin(String),
}

/// One input of a node, for `manifest.json` and `--explain`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Input {
    /// A step, its paths symbolic.
    Action {
        /// Its place among the node's steps.
        step: usize,
        /// `run`, `fetch`, `copy`, `write`, or the name of a builtin.
        name: String,
        /// The digest of its text.
        sha256: Digest,
    },
    /// A file of the repository.
    Source {
        /// Its path from the root.
        path: String,
        /// Its digest.
        sha256: Digest,
    },
    /// A program of the build machine.
    Tool {
        /// Its name.
        name: String,
        /// Its version, as it says itself.
        version: String,
    },
    /// A function of ours.
    Builtin {
        /// Its name.
        name: String,
        /// The digest of its code, and of the code that it uses.
        sha256: Digest,
    },
    /// An output of another node.
    Node {
        /// That node's stage.
        stage: String,
        /// The output's name.
        output: String,
        /// That node's key.
        key: Digest,
        /// Whether it is only a program that was run, and no part of what was made.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        tool: bool,
    },
}

impl Input {
    /// What it is, for people: `src bootscripts/boot.ipxe`, `tool make`.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Self::Action { step, name, .. } => format!("action {step} {name}"),
            Self::Source { path, .. } => format!("src {path}"),
            Self::Tool { name, .. } => format!("tool {name}"),
            Self::Builtin { name, .. } => format!("builtin {name}"),
            Self::Node { stage, output, tool: false, .. } => format!("node {stage} {output}"),
            Self::Node { stage, output, tool: true, .. } => format!("tool-node {stage} {output}"),
        }
    }

    /// Its digest, key or version, for people.
    #[must_use]
    pub fn value(&self) -> String {
        match self {
            Self::Action { sha256, .. } | Self::Source { sha256, .. } | Self::Builtin { sha256, .. } => {
                sha256.to_string()
            }
            Self::Tool { version, .. } => version.clone(),
            Self::Node { key, .. } => key.to_string(),
        }
    }
}

/// The keys of all nodes that could be computed.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    keys: BTreeMap<NodeId, (Digest, Vec<Input>)>,
}

impl Keys {
    /// Computes the keys of `wanted` and of all they need.
    ///
    /// # Errors
    /// Everything that is missing, sorted.
    pub fn compute(plan: &Plan, wanted: &[NodeId], host: &dyn HostInputs) -> Result<Self, Vec<Missing>> {
        let mut keys = Self::default();
        let mut missing = Vec::new();
        for id in plan.needed(wanted) {
            let mut hasher = KeyHasher { host, keys: &keys, inputs: Vec::new(), missing: &mut missing, plan };
            let digest = hasher.node(id);
            let inputs = hasher.inputs;
            keys.keys.insert(id, (digest, inputs));
        }
        if missing.is_empty() {
            return Ok(keys);
        }
        missing.sort();
        missing.dedup();
        Err(missing)
    }

    /// The key of a node that was asked for.
    #[must_use]
    pub fn key(&self, id: NodeId) -> Digest {
        self.keys[&id].0
    }

    /// What went into the key.
    #[must_use]
    pub fn inputs(&self, id: NodeId) -> &[Input] {
        &self.keys[&id].1
    }

    /// The nodes that have a key.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.keys.keys().copied()
    }
}

struct KeyHasher<'a> {
    plan: &'a Plan,
    host: &'a dyn HostInputs,
    keys: &'a Keys,
    inputs: Vec<Input>,
    missing: &'a mut Vec<Missing>,
}

impl KeyHasher<'_> {
    fn node(&mut self, id: NodeId) -> Digest {
        let node = self.plan.node(id);
        let mut fields = Fields::default();
        fields.add("stage", node.stage.as_bytes());
        fields.add("format", &node.format.to_le_bytes());
        fields.add("epoch", &self.host.epoch().to_le_bytes());
        for (step, action) in node.actions.iter().enumerate() {
            let mut own = Fields::default();
            self.action(&mut own, action);
            let digest = own.finish();
            self.input(Input::Action { step, name: kind(action).to_owned(), sha256: digest });
            fields.add("action", digest.bytes());
        }
        for name in &node.outputs {
            fields.add("output", name.as_bytes());
        }
        fields.finish()
    }

    fn action(&mut self, f: &mut Fields, action: &Action) {
        f.add("kind", kind(action).as_bytes());
        match action {
            Action::Run(cmd) => self.run(f, cmd),
            Action::Fetch(fetch) => {
                self.arg(f, "to", &fetch.to);
                f.add("sha256", fetch.sha256.bytes());
            }
            Action::Copy { from, to } => {
                self.arg(f, "from", from);
                self.arg(f, "to", to);
            }
            Action::Write { to, text } => {
                self.arg(f, "to", to);
                text.iter().for_each(|part| self.arg(f, "text", part));
            }
            Action::Builtin { name, args } => {
                f.add("name", name.as_bytes());
                match self.host.builtin(name) {
                    Ok(code) => {
                        f.add("code", code.bytes());
                        self.input(Input::Builtin { name: (*name).to_owned(), sha256: code });
                    }
                    Err(missing) => self.missing.push(missing),
                }
                for (label, arg) in args {
                    self.arg(f, label, arg);
                }
            }
        }
    }

    fn run(&mut self, f: &mut Fields, cmd: &CmdSpec) {
        f.add("program", cmd.program.as_bytes());
        if let Some(tree) = &cmd.start.tree {
            let before = self.inputs.len();
            self.arg(f, "tree", tree);
            // A node that a program comes from is not part of what the program makes.
            for input in &mut self.inputs[before..] {
                if let Input::Node { tool, .. } = input {
                    *tool = true;
                }
            }
        }
        let own = cmd.start.tree.is_none().then_some(&cmd.program);
        for program in own.into_iter().chain(&cmd.start.uses) {
            match self.host.tool(program) {
                Ok(tool) => {
                    f.add("version", tool.version.as_bytes());
                    self.input(Input::Tool { name: program.clone(), version: tool.version });
                }
                Err(missing) => self.missing.push(missing),
            }
        }
        cmd.args.iter().for_each(|a| self.arg(f, "arg", a));
        for (name, value) in &cmd.env {
            f.add("env", name.as_bytes());
            self.arg(f, "value", value);
        }
        cmd.cwd.iter().for_each(|a| self.arg(f, "cwd", a));
    }

    fn arg(&mut self, f: &mut Fields, label: &str, arg: &Arg) {
        // Neither where it comes from, nor from how many places it might.
        if matches!(arg, Arg::Origin(_) | Arg::Rust(_)) {
            return;
        }
        f.add("label", label.as_bytes());
        match arg {
            Arg::Lit(text) | Arg::Secret(text) => f.add("text", text.as_bytes()),
            Arg::Src(path) => {
                f.add("src", path.as_bytes());
                match self.host.source(path) {
                    Ok(sha256) => {
                        f.add("content", sha256.bytes());
                        self.input(Input::Source { path: path.clone(), sha256 });
                    }
                    Err(missing) => self.missing.push(missing),
                }
            }
            Arg::In(artifact) => {
                let key = self.keys.key(artifact.node);
                f.add("in", key.bytes());
                f.add("name", artifact.name.as_bytes());
                let stage = self.plan.node(artifact.node).stage;
                self.input(Input::Node {
                    stage: stage.to_owned(),
                    output: artifact.name.clone(),
                    key,
                    tool: false,
                });
            }
            Arg::Origin(_) | Arg::Rust(_) | Arg::Jobs => {}
            // Its value is in every node's key.
            Arg::Epoch => f.add("now", b""),
            Arg::Out(name) => f.add("out", name.as_bytes()),
            Arg::Work(name) => f.add("work", name.as_bytes()),
            Arg::Join(parts) => {
                f.add("parts", &(parts.len() as u64).to_le_bytes());
                parts.iter().for_each(|p| self.arg(f, "part", p));
            }
        }
    }

    fn input(&mut self, input: Input) {
        if !self.inputs.contains(&input) {
            self.inputs.push(input);
        }
    }
}

pub(super) fn kind(action: &Action) -> &'static str {
    match action {
        Action::Run(_) => "run",
        Action::Fetch(_) => "fetch",
        Action::Copy { .. } => "copy",
        Action::Write { .. } => "write",
        Action::Builtin { name, .. } => name,
    }
}
