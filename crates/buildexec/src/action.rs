//! Carries out the actions of one node in its scratch folder.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::Instant,
};

use anyhow::{Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use super::{
    fetch::{self, RetryPolicy},
    hash::Sums,
    objects,
    rust::Rust,
    store, tree,
};
use crate::ctx::Ctx;
use buildplan::{Action, Arg, Artifact, Cmd, CmdSpec, Digest, Keys, Node, NodeId, Plan, digest::Fields};
use failure::{Explain as _, Kind};
use report::{Event, ProgressUnit};

/// A node under way.
pub struct NodeRun<'a> {
    /// The run's context.
    pub ctx: &'a Ctx,
    /// The plan it belongs to.
    pub plan: &'a Plan,
    /// The keys of the plan.
    pub keys: &'a Keys,
    /// Node whose actions run.
    pub id: NodeId,
    /// Its folder, with `out` and `work`.
    pub scratch: &'a Utf8Path,
    /// Seconds since 1970 that stand for now.
    pub epoch: u64,
    /// Where Rust is, once an argument needs it.
    rust: Rust,
    /// What was hashed while it was written, by path.
    sums: Mutex<BTreeMap<Utf8PathBuf, Sums>>,
}

impl<'a> NodeRun<'a> {
    /// The node `id` of `plan`, to run in the folder `scratch`.
    pub fn new(
        ctx: &'a Ctx,
        plan: &'a Plan,
        keys: &'a Keys,
        id: NodeId,
        scratch: &'a Utf8Path,
        epoch: u64,
    ) -> Self {
        Self { ctx, plan, keys, id, scratch, epoch, rust: Rust::default(), sums: Mutex::default() }
    }
}

impl NodeRun<'_> {
    /// Remembers the digests of a file that was just written, which then is not read for them.
    pub fn written(&self, path: &Utf8Path, sums: Sums) {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), sums);
    }

    /// The digests of a file as it was written, if it still has that length.
    #[must_use]
    pub fn hashed(&self, path: &Utf8Path) -> Option<Sums> {
        let sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned()?;
        let meta = fs_err::symlink_metadata(path).ok()?;
        (meta.is_file() && meta.len() == sums.size).then_some(sums)
    }

    /// Carries out every action.
    ///
    /// # Errors
    /// The first that fails.
    pub fn run(&self) -> Result<()> {
        self.plan.node(self.id).actions.iter().try_for_each(|action| {
            self.ctx.check_interrupt()?;
            self.action(action)
        })
    }

    fn action(&self, action: &Action) -> Result<()> {
        match action {
            Action::Run(cmd) => self.command(cmd),
            Action::Fetch(spec) => {
                fetch::fetch(self.ctx, spec, &self.path(&spec.to)?, self.label(), &RetryPolicy::default())
            }
            Action::Copy { from, to } => {
                let (from, to) = (self.path(from)?, self.path(to)?);
                tree::copy(&from, &to).explain(Kind::Storage, || format!("cannot copy {from}"))
            }
            Action::Write { to, text } => {
                let path = self.path(to)?;
                let text: Result<String> = text.iter().map(|part| self.text(part)).collect();
                if let Some(parent) = path.parent() {
                    fs_err::create_dir_all(parent)?;
                }
                fs_err::write(&path, text?).explain(Kind::Storage, || format!("cannot write {path}"))
            }
            Action::Builtin { name, args } => {
                let resolved: Result<Vec<_>> =
                    args.iter().map(|(label, arg)| Ok((*label, self.text(arg)?))).collect();
                (self.builtin(name)?.run)(&Call { job: self, args: resolved? })
            }
        }
    }

    fn builtin(&self, name: &str) -> Result<&'static Builtin> {
        match self.ctx.builtins.iter().find(|builtin| builtin.name == name) {
            Some(builtin) => Ok(builtin),
            None => bail!("`{}` calls the builtin {name}, which does not exist", self.label()),
        }
    }

    /// The node's label.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.plan.node(self.id).label
    }

    fn command(&self, spec: &CmdSpec) -> Result<()> {
        let mut cmd = Cmd::new(&spec.program, &spec.why).deadline(spec.deadline);
        if let Some(tree) = &spec.start.tree {
            out_of_tree(&mut cmd, &self.path(tree)?);
        }
        cmd.cwd = Some(match &spec.cwd {
            Some(cwd) => self.path(cwd)?,
            None => self.scratch.join("work"),
        });
        for arg in &spec.args {
            cmd.args.push(self.text(arg)?);
        }
        cmd.env.insert("SOURCE_DATE_EPOCH".to_owned(), self.epoch.to_string());
        for (name, value) in &spec.env {
            cmd.env.insert(name.clone(), self.text(value)?);
        }
        if let Some((variable, compiler)) = &spec.start.reuses {
            objects::reuse(self.ctx, self.keys.inputs(self.id), (variable, compiler), &mut cmd);
        }
        let started = Instant::now();
        let mut done = 0;
        let mut last = started;
        self.ctx.runner.logged(&cmd, &self.scratch.join("log"), &mut |line| {
            let Some(progress) =
                spec.start.progress.as_ref().filter(|p| line.trim_start().starts_with(&p.marker))
            else {
                return;
            };
            done += 1;
            if last.elapsed().as_millis() > 50 || done == 1 {
                last = Instant::now();
                let total = Some(progress.expected.max(done));
                self.ctx.report.event(&Event::Progress {
                    label: self.label().to_owned(),
                    done,
                    total,
                    unit: ProgressUnit::Steps,
                });
            }
        })
    }

    /// An argument as text: paths resolved, parts joined.
    ///
    /// # Errors
    /// When it is a folder of Rust's, and rustc does not say where that is.
    pub fn text(&self, arg: &Arg) -> Result<String> {
        Ok(match arg {
            Arg::Lit(text) | Arg::Secret(text) | Arg::Origin(text) => text.clone(),
            Arg::Rust(folder) => self.rust.folder(self.ctx, *folder)?,
            Arg::Jobs => format!("-j{}", self.ctx.jobs()),
            Arg::Epoch => self.epoch.to_string(),
            Arg::Join(parts) => parts.iter().map(|p| self.text(p)).collect::<Result<String>>()?,
            Arg::Src(path) => self.ctx.root.join(path).into_string(),
            Arg::In(artifact) => self.artifact(artifact).into_string(),
            Arg::Out(name) => self.scratch.join("out").join(name).into_string(),
            Arg::Work(name) => self.scratch.join("work").join(name).into_string(),
        })
    }

    /// Where an input is.
    #[must_use]
    pub(crate) fn artifact(&self, artifact: &Artifact) -> Utf8PathBuf {
        let dir =
            store::entry_dir(&self.ctx.work, self.plan.node(artifact.node), self.keys.key(artifact.node));
        dir.join("out").join(&artifact.name)
    }

    fn path(&self, arg: &Arg) -> Result<Utf8PathBuf> {
        if matches!(
            arg,
            Arg::Lit(_) | Arg::Secret(_) | Arg::Origin(_) | Arg::Rust(_) | Arg::Jobs | Arg::Epoch
        ) {
            bail!("`{arg}` in `{}` is text where a path is needed", self.label());
        }
        let path = Utf8PathBuf::from(self.text(arg)?);
        if let Some(parent) = path.parent().filter(|_| matches!(arg, Arg::Out(_) | Arg::Work(_))) {
            fs_err::create_dir_all(parent)?;
        }
        Ok(path)
    }
}

/// A call of a builtin: its node and its labelled arguments, paths resolved.
pub struct Call<'a> {
    /// The node under way.
    pub job: &'a NodeRun<'a>,
    /// The arguments, in order; labels may repeat.
    pub args: Vec<(&'static str, String)>,
}

impl Call<'_> {
    /// The node that calls it.
    #[must_use]
    pub fn node(&self) -> &Node {
        self.job.plan.node(self.job.id)
    }

    /// The argument `label`.
    ///
    /// # Errors
    /// When the stage gave none.
    pub fn text(&self, label: &str) -> Result<&str> {
        match self.find(label) {
            Some(text) => Ok(text),
            None => bail!("`{}` gives no `{label}`", self.job.label()),
        }
    }

    /// The argument `label`, if the stage gave one.
    #[must_use]
    pub fn find(&self, label: &str) -> Option<&str> {
        self.all(label).next()
    }

    /// The argument `label` as a path.
    ///
    /// # Errors
    /// When the stage gave none.
    pub fn path(&self, label: &str) -> Result<&Utf8Path> {
        self.text(label).map(Utf8Path::new)
    }

    /// The path of an output, its folder made.
    ///
    /// # Errors
    /// When the stage gave none or the folder cannot be made.
    pub fn out(&self, label: &str) -> Result<Utf8PathBuf> {
        let path = self.path(label)?.to_owned();
        if let Some(parent) = path.parent() {
            fs_err::create_dir_all(parent)?;
        }
        Ok(path)
    }

    /// Every argument `label`, in order.
    pub fn all<'s>(&'s self, label: &str) -> impl Iterator<Item = &'s str> {
        let label = label.to_owned();
        self.args.iter().filter(move |(l, _)| *l == label).map(|(_, text)| text.as_str())
    }
}

/// An action that is a function of ours, with the code that its outputs depend on: an edit of it makes them again.
pub struct Builtin {
    /// The name that plans call it by.
    pub name: &'static str,
    /// Does the work; it reads and writes only paths that the call names.
    pub run: fn(&Call<'_>) -> Result<()>,
    /// Its source and the sources that it uses, by module.
    pub sources: &'static [&'static [SourceFile]],
    /// The crates of others that make its bytes, as `Cargo.lock` has them.
    pub crates: &'static [&'static str],
    /// `Cargo.lock`.
    pub lock: &'static str,
}

/// A source file's path from the repository's root, and its text.
pub type SourceFile = (&'static str, &'static [u8]);

/// All builtins.
pub type BuiltinTable = &'static [Builtin];

impl Builtin {
    /// The digest of its code; `lock` holds what [`Self::lock`] says.
    #[must_use]
    pub fn code(&self, lock: &CargoLock<'_>) -> Digest {
        let mut fields = Fields::default();
        for (path, text) in self.sources.iter().copied().flatten() {
            fields.add(path, text);
        }
        for package in lock.behind(self.crates) {
            fields.add("package", package.as_bytes());
        }
        fields.finish()
    }
}

/// The entries of a `Cargo.lock`, by name. Found once for all builtins: a search for each would be a fifth of a run
/// without work.
pub struct CargoLock<'l>(BTreeMap<&'l str, Vec<&'l str>>);

impl<'l> CargoLock<'l> {
    /// The entries of this text.
    #[must_use]
    pub fn new(text: &'l str) -> Self {
        const HEAD: &str = "\nname = \"";
        let mut known: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for at in memchr::memmem::find_iter(text.as_bytes(), HEAD) {
            let entry = &text[at + 1..];
            let end = memchr::memmem::find(entry.as_bytes(), b"\n\n").unwrap_or(entry.len());
            let name = entry[HEAD.len() - 1..].split('"').next().unwrap_or_default();
            known.entry(name).or_default().push(&entry[..end]);
        }
        Self(known)
    }

    /// The entries that have these names, and those of all that they depend on: name, version, checksum.
    fn behind(&self, names: &[&'l str]) -> BTreeSet<&'l str> {
        let mut todo = names.to_vec();
        let mut found = BTreeSet::new();
        while let Some(name) = todo.pop() {
            for entry in self.0.get(name).into_iter().flatten().filter(|entry| found.insert(**entry)) {
                // `"name",`, or `"name version",` where there are several of that name.
                let needs = entry.lines().filter_map(|l| l.strip_prefix(" \"")?.split([' ', '"']).next());
                todo.extend(needs);
            }
        }
        found
    }
}

/// Lets `cmd` run out of an unpacked tree of packages: its path is in there, and the tree's loader starts it with the
/// tree's libraries alone. The machine's own would be older or newer, and might not be glibc at all.
fn out_of_tree(cmd: &mut Cmd, tree: &Utf8Path) {
    let libraries = tree.join("usr/lib/x86_64-linux-gnu");
    let loader = libraries.join("ld-linux-x86-64.so.2");
    let words = [loader.as_str(), "--inhibit-cache", "--library-path", libraries.as_str()];
    cmd.start.through = words.map(str::to_owned).into();
    cmd.program = tree.join(&cmd.program).into_string();
    // Converters of characters are libraries as well, and locales are of one version of libc: not the machine's.
    cmd.env.insert("GCONV_PATH".to_owned(), libraries.join("gconv").into_string());
    cmd.env.insert("LOCPATH".to_owned(), tree.join("usr/lib/locale").into_string());
    cmd.env.insert("LC_ALL".to_owned(), "C.UTF-8".to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "[[package]]\nname = \"a\"\nversion = \"1\"\ndependencies = [\n \"b 2\",\n]\n\n\
        [[package]]\nname = \"b\"\nversion = \"2\"\n\n[[package]]\nname = \"c\"\nversion = \"3\"\n";

    fn code(text: &'static [u8], lock: &'static str) -> Digest {
        let own: &[SourceFile] = Box::leak(Box::new([("a.rs", text)]));
        let sources: &[&[SourceFile]] = Box::leak(Box::new([own]));
        Builtin { name: "x", run: |_| Ok(()), sources, crates: &["a"], lock }.code(&CargoLock::new(lock))
    }

    #[test]
    fn another_source_or_another_version_of_what_it_uses_is_another_code() {
        assert_eq!(code(b"1", LOCK), code(b"1", LOCK));
        assert_ne!(code(b"1", LOCK), code(b"2", LOCK));
        assert_ne!(code(b"1", LOCK), code(b"1", LOCK.replace("\"2\"", "\"2.1\"").leak()));
        assert_eq!(code(b"1", LOCK), code(b"1", LOCK.replace("\"3\"", "\"3.1\"").leak()));
    }
}
