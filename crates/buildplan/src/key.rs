//! Keys: what a node's outputs depend on, as one digest.

use std::collections::BTreeMap;

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

/// One labelled input of a node, for `manifest.json` and `--explain`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Input {
    /// What it is: `src bootscripts/boot.ipxe`, `tool xorriso`, `node os-4f2a…`, `action 3`.
    pub label: String,
    /// Its digest or version. For `action`, the digest of its text.
    pub value: String,
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

    /// What went into the key, by label.
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
        for (i, action) in node.actions.iter().enumerate() {
            let mut own = Fields::default();
            self.action(&mut own, action);
            let digest = own.finish();
            self.input(format!("action {i} {}", kind(action)), digest.to_string());
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
                self.input("fetch sha256".to_owned(), fetch.sha256.to_string());
                // No part of the key: the same bytes may be had from anywhere.
                if let Some(url) = fetch.public_url() {
                    self.input("fetch url".to_owned(), url.to_owned());
                }
                if let Some(purl) = &fetch.purl {
                    self.input("fetch purl".to_owned(), purl.clone());
                }
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
                        self.input(format!("builtin {name}"), code.to_string());
                    }
                    Err(missing) => self.missing.push(missing),
                }
                for (label, arg) in args {
                    self.arg(f, label, arg);
                    // What is had from outside by a builtin, for those who compare a manifest with the lock, or
                    // compute its keys again.
                    if let ("sha256" | "size" | "commit" | "purl", Arg::Lit(text)) = (*label, arg) {
                        self.input(format!("{name} {label}"), text.clone());
                    }
                }
            }
        }
    }

    fn run(&mut self, f: &mut Fields, cmd: &CmdSpec) {
        f.add("program", cmd.program.as_bytes());
        if let Some(tree) = &cmd.start.tree {
            let before = self.inputs.len();
            self.arg(f, "tree", tree);
            // A node that a program comes from is no part of what the program makes.
            for input in &mut self.inputs[before..] {
                input.label = format!("tool-{}", input.label);
            }
        }
        let own = cmd.start.tree.is_none().then_some(&cmd.program);
        for program in own.into_iter().chain(&cmd.start.uses) {
            match self.host.tool(program) {
                Ok(tool) if !cmd.start.any_version => {
                    f.add("version", tool.version.as_bytes());
                    self.input(format!("tool {program}"), tool.version);
                }
                Ok(_) => {}
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
        if matches!(arg, Arg::Origin(_)) {
            return;
        }
        f.add("label", label.as_bytes());
        match arg {
            Arg::Lit(text) | Arg::Secret(text) => f.add("text", text.as_bytes()),
            Arg::Src(path) => {
                let digest = self.host.source(path);
                self.file(f, "src", path, digest);
            }
            Arg::In(artifact) => {
                let key = self.keys.key(artifact.node);
                f.add("in", key.bytes());
                f.add("name", artifact.name.as_bytes());
                let stage = self.plan.node(artifact.node).stage;
                self.input(format!("node {stage} {}", artifact.name), key.to_string());
            }
            Arg::Origin(_) | Arg::Jobs => {}
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

    fn file(&mut self, f: &mut Fields, kind: &str, path: &str, digest: Result<Digest, Missing>) {
        f.add(kind, path.as_bytes());
        match digest {
            Ok(digest) => {
                f.add("content", digest.bytes());
                self.input(format!("{kind} {path}"), digest.to_string());
            }
            Err(missing) => self.missing.push(missing),
        }
    }

    fn input(&mut self, label: String, value: String) {
        let input = Input { label, value };
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
