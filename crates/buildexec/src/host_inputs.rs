//! The machine and the repository as the planner sees them: file digests and tool versions.

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::{store::write_json, tree};
use crate::{action::Builtin, ctx::Ctx};
use buildplan::{Cmd, Digest, HostInputs, Missing, ToolId, purl};

/// The real [`World`]. Tool versions are remembered in `target/media/tools.json` as long as the program's size
/// and time stay the same, so that a run without work starts no program.
pub struct BuildHost<'c> {
    ctx: &'c Ctx,
    epoch: u64,
    tools: RefCell<BTreeMap<String, RememberedVersion>>,
    /// Whether digests of the machine's files are believed while sizes and times stay.
    quick: bool,
    digests: RefCell<BTreeMap<String, Digest>>,
    /// Of builtins, by name.
    codes: RefCell<BTreeMap<String, Digest>>,
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
            quick: false,
            digests: RefCell::default(),
            codes: RefCell::default(),
        }
    }

    /// As [`Self::new`], without reading files of the machine whose sizes and times are those of the last time: to see
    /// whether there is anything to do. Nothing is to be built by keys that come of it.
    #[must_use]
    pub fn quick(ctx: &'c Ctx, epoch: u64) -> Self {
        Self { quick: true, ..Self::new(ctx, epoch) }
    }

    /// The digest of a file or folder of the machine.
    fn host_digest(&self, path: Utf8PathBuf) -> Option<Digest> {
        let name = format!("digest of {path}");
        if !self.quick {
            self.tools.borrow_mut().remove(&name);
        }
        let known = self.remembered(&name, path, |path| Some(self.digest(path.to_owned())?.to_string()));
        known?.version.parse().ok()
    }

    fn digest(&self, path: Utf8PathBuf) -> Option<Digest> {
        if let Some(digest) = self.digests.borrow().get(path.as_str()) {
            return Some(*digest);
        }
        let (digest, _) = tree::digest(&path).ok()?;
        self.digests.borrow_mut().insert(path.into_string(), digest);
        Some(digest)
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

    /// dpkg's word on who brought a file, as a package URL.
    fn brought(&self, path: &Utf8Path) -> Option<String> {
        let ask = |args: &[&str]| {
            let cmd = Cmd::new("dpkg-query", "ask for a file's package").args(args.iter().copied());
            Some(self.ctx.runner.run(&cmd).ok()?.text())
        };
        let owners = ask(&["-S", path.as_str()])?;
        // `isolinux: /usr/…`, or `a, b: /usr/…` for a folder of several.
        let name = owners.split([',', ':']).next()?.to_owned();
        let version = ask(&["-W", "-f", "${Version}", &name])?;
        Some(purl::deb(&distribution(), &name, &version))
    }
}

/// Size and time of a file; of a folder, the number of its files and a digest of the sizes and times of all.
fn size_and_time(path: &Utf8Path) -> Option<(u64, u128)> {
    let meta = fs_err::metadata(path).ok()?;
    if !meta.is_dir() {
        let time = meta.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
        return Some((meta.len(), time.as_nanos()));
    }
    let stamp = tree::stamp(path).ok()?;
    let digest = Digest::of(serde_json::to_string(&stamp).ok()?.as_bytes());
    let (half, _) = digest.bytes().split_first_chunk()?;
    Some((stamp.len() as u64, u128::from_le_bytes(*half)))
}

/// `debian`, `ubuntu`; Debian where nothing says.
#[must_use]
pub fn distribution() -> String {
    let text = fs_err::read_to_string(Utf8Path::new("/etc/os-release")).unwrap_or_default();
    let id = text.lines().find_map(|l| l.strip_prefix("ID="));
    id.unwrap_or("debian").trim_matches('"').to_owned()
}

impl HostInputs for BuildHost<'_> {
    fn source(&self, path: &str) -> Result<Digest, Missing> {
        self.digest(self.ctx.root.join(path)).ok_or_else(|| Missing::Source(path.to_owned()))
    }

    fn host(&self, path: &str) -> Result<Digest, Missing> {
        let real = camino::Utf8Path::new(path).canonicalize_utf8().ok();
        real.and_then(|p| self.host_digest(p)).ok_or_else(|| Missing::Host(path.to_owned()))
    }

    fn is_folder(&self, path: &str) -> bool {
        Utf8Path::new(path).is_dir()
    }

    fn package(&self, path: &str) -> Option<String> {
        // Fetched packages say so themselves; only dpkg knows about the rest.
        self.ctx.find_program("dpkg-query")?;
        self.remembered(&format!("package of {path}"), path.into(), |p| self.brought(p)).map(|k| k.version)
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
        let code = found.map(Builtin::code).ok_or_else(|| Missing::Builtin(name.to_owned()))?;
        self.codes.borrow_mut().insert(name.to_owned(), code);
        Ok(code)
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }
}
