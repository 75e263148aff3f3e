//! The machine and the repository as the planner sees them: file digests and tool versions.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::{store::write_json, tree};
use crate::{
    action::{Builtin, CargoLock},
    ctx::Ctx,
};
use buildplan::{Cmd, Digest, HostInputs, Missing, ToolId};

/// The real [`HostInputs`]. Tool versions are remembered in `target/media/tools.json` as long as the program's size
/// and time stay the same, so that a run without work starts no program.
pub struct BuildHost<'c> {
    ctx: &'c Ctx,
    epoch: u64,
    tools: RefCell<BTreeMap<String, RememberedVersion>>,
    digests: RefCell<BTreeMap<String, Digest>>,
    /// Of builtins, by name.
    codes: RefCell<BTreeMap<String, Digest>>,
    /// What builtins are compiled with, by the text that says so; they share one.
    locks: RefCell<BTreeMap<&'static str, Rc<CargoLock<'static>>>>,
}

#[derive(Clone, Serialize, Deserialize)]
struct RememberedVersion {
    path: Utf8PathBuf,
    size: u64,
    time: u128,
    version: String,
}

impl<'c> BuildHost<'c> {
    /// Reads what is remembered of the tools; `epoch` comes from the lock.
    #[must_use]
    pub fn new(ctx: &'c Ctx, epoch: u64) -> Self {
        let known = fs_err::read(ctx.work.join("tools.json")).ok();
        let tools = known.and_then(|b| serde_json::from_slice(&b).ok()).unwrap_or_default();
        Self {
            ctx,
            epoch,
            tools: RefCell::new(tools),
            digests: RefCell::default(),
            codes: RefCell::default(),
            locks: RefCell::default(),
        }
    }

    fn digest(&self, path: Utf8PathBuf) -> Option<Digest> {
        if let Some(digest) = self.digests.borrow().get(path.as_str()) {
            return Some(*digest);
        }
        let (digest, _) = tree::digest(&path).ok()?;
        self.digests.borrow_mut().insert(path.into_string(), digest);
        Some(digest)
    }

    fn lock(&self, builtin: &Builtin) -> Rc<CargoLock<'static>> {
        let mut locks = self.locks.borrow_mut();
        Rc::clone(locks.entry(builtin.lock).or_insert_with(|| Rc::new(CargoLock::new(builtin.lock))))
    }

    fn look_up(&self, program: &str) -> Option<RememberedVersion> {
        let path = self.ctx.find_program(program)?;
        self.remembered(program, path, |path| {
            Some(format!(
                "{} ({})",
                self.said(program),
                self.digest(path.canonicalize_utf8().ok()?)?.short(8)
            ))
        })
    }

    /// What `ask` says about the file `path`, under `name`, as long as the file stays the same.
    fn remembered(
        &self,
        name: &str,
        path: Utf8PathBuf,
        ask: impl FnOnce(&Utf8Path) -> Option<String>,
    ) -> Option<RememberedVersion> {
        let (size, time) = size_and_time(&path)?;
        let old = self.tools.borrow().get(name).cloned();
        if let Some(old) = old.filter(|k| k.path == path && k.size == size && k.time == time) {
            return Some(old);
        }
        let known = RememberedVersion { version: ask(&path)?, path, size, time };
        self.tools.borrow_mut().insert(name.to_owned(), known.clone());
        // Not being able to remember costs time, nothing else.
        _ = fs_err::create_dir_all(&self.ctx.work);
        _ = write_json(&self.ctx.work.join("tools.json"), &*self.tools.borrow());
        Some(known)
    }

    /// The first line of what the program says of itself. The digest beside it tells apart builds that say the
    /// same.
    fn said(&self, program: &str) -> String {
        let flag = match program {
            "xorriso" => "-version",
            "nginx" | "tinyproxy" => "-v",
            _ => "--version",
        };
        let cmd = Cmd::new(program, "ask for a version").arg(flag).deadline(Duration::from_secs(20));
        let Ok(output) = self.ctx.runner.output(&cmd) else { return String::new() };
        let all = output.text() + &output.error_text();
        let lines = || all.lines().map(str::trim).filter(|l| !l.is_empty());
        let numbered = lines().find(|l| l.chars().any(|c| c.is_ascii_digit()));
        numbered.or(lines().next()).unwrap_or("").chars().take(100).collect()
    }
}

fn size_and_time(path: &Utf8Path) -> Option<(u64, u128)> {
    let meta = fs_err::metadata(path).ok()?;
    let time = meta.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some((meta.len(), time.as_nanos()))
}

impl HostInputs for BuildHost<'_> {
    fn source(&self, path: &str) -> Result<Digest, Missing> {
        self.digest(self.ctx.root.join(path)).ok_or_else(|| Missing::Source(path.to_owned()))
    }

    fn tool(&self, program: &str) -> Result<ToolId, Missing> {
        let known = self.look_up(program).ok_or_else(|| Missing::Tool(program.to_owned()))?;
        Ok(ToolId { version: known.version })
    }

    fn builtin(&self, name: &str) -> Result<Digest, Missing> {
        if let Some(code) = self.codes.borrow().get(name) {
            return Ok(*code);
        }
        let found = self.ctx.builtins.iter().find(|builtin| builtin.name == name);
        let found = found.ok_or_else(|| Missing::Builtin(name.to_owned()))?;
        let code = found.code(&self.lock(found));
        self.codes.borrow_mut().insert(name.to_owned(), code);
        Ok(code)
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }
}
