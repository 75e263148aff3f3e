//! iPXE from source: from nothing, and with another script.

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::{
    lab::Lab,
    missing,
    series::{Figures, Goal, Pairs, RowResult, Unit},
};
use buildexec::tree;
use buildplan::Cmd;

/// What `dist` compiles (`mediaplan::stage::ipxe`).
const TARGETS: [&str; 4] =
    ["bin/ipxe.lkrn", "bin/undionly.kpxe", "bin-x86_64-efi/ipxe.efi", "bin-x86_64-efi/snponly.efi"];

/// The system of the profile `smoke`, with iPXE from source.
const PROFILE: &str = "[profile.source]\nabout = \"iPXE from source\"\nos = \"smoke\"\nengine = \"source\"\n\
                       params = [\"quiet\"]\n[profile.source.media]\nkind = \"distribution\"\nkernel = \"cloud\"\n";

/// Both ways to iPXE: this program's repository, and a clone in which somebody runs make by hand.
struct Ways<'l> {
    lab: &'l Lab,
    root: Utf8PathBuf,
    clone: Utf8PathBuf,
    repository: Utf8PathBuf,
    commit: String,
}

impl<'l> Ways<'l> {
    fn new(lab: &'l Lab, name: &str) -> Result<Self> {
        let repository = lab.ipxe_repo.clone();
        let repository = repository
            .ok_or_else(|| missing("no clone of iPXE is given", "name one with --ipxe-repo PATH"))?;
        lab.smoke()?;
        let root = lab.repository(name, PROFILE)?;
        for stage in ["ipxe-src-", "ipxe-tree-", "ipxe-"] {
            forget(&root.join("target/media/store"), stage)?;
        }
        let toml = fs_err::read_to_string(root.join("media.toml"))?;
        let commit = toml.split_once("commit = \"").and_then(|(_, rest)| rest.get(..40));
        let commit = commit.context("media.toml names no commit of iPXE")?.to_owned();
        Ok(Self { lab, root, clone: lab.folder(&format!("{name}-clone"))?.join("ipxe"), repository, commit })
    }

    fn dist(&self) -> Result<f64> {
        let cmd = self.lab.xtask(&self.root, "build iPXE").args(["dist", "source", "--quiet", "--ipxe-repo"]);
        self.lab.time(&cmd.arg(self.repository.as_str()))
    }

    /// Gets the sources as `dist` does: patched and configured.
    fn sources(&self) -> Result<f64> {
        tree::remove(&self.clone)?;
        let git = |why: &str| Cmd::new("git", why).env("GIT_CONFIG_GLOBAL", "/dev/null");
        let clone = git("clone iPXE").args(["-c", "safe.directory=*", "clone", "--quiet", "--no-checkout"]);
        let clone = clone.args([self.repository.as_str(), self.clone.as_str()]);
        let checkout = git("check iPXE out").cwd(&self.clone).args(["checkout", "--quiet", &self.commit]);
        let took = self.lab.time_all(&[clone, checkout])?;
        for patch in tree::files(&self.root.join("bootscripts/patches"))? {
            let patch = self.root.join("bootscripts/patches").join(patch);
            self.lab.ctx.runner.run(&git("patch iPXE").cwd(&self.clone).args(["apply", patch.as_str()]))?;
        }
        for header in tree::files(&self.root.join("bootscripts/config"))? {
            let from = self.root.join("bootscripts/config").join(&header);
            fs_err::copy(from, self.clone.join("src/config/local").join(&header))?;
        }
        Ok(took)
    }

    fn make(&self, script: &str) -> Result<f64> {
        fs_err::write(self.clone.join("src/script.ipxe"), script)?;
        let jobs = format!("-j{}", self.lab.ctx.jobs());
        let make = Cmd::new("make", "make iPXE by hand").cwd(self.clone.join("src")).arg(jobs).args(TARGETS);
        let make = make
            .args(["EMBED=script.ipxe", "GITVERSION=bench", "NO_WERROR=1"])
            .env("SOURCE_DATE_EPOCH", "1795564800");
        self.lab.time(&make.deadline(std::time::Duration::from_secs(3600)))
    }
}

fn forget(store: &Utf8Path, stage: &str) -> Result<()> {
    for entry in fs_err::read_dir(store)? {
        let path = Utf8PathBuf::try_from(entry?.path())?;
        if path.file_name().is_some_and(|name| name.starts_with(stage)) {
            tree::remove(&path)?;
        }
    }
    Ok(())
}

/// Row 1.
pub(super) fn cold(lab: &Lab) -> Result<Vec<RowResult>> {
    let ways = Ways::new(lab, "cold-source")?;
    let (clone, make) = (ways.sources()?, ways.make("#!ipxe\nshell\n")?);
    let ours = ways.dist()?;
    let dist = ways.root.join("dist/source");
    let folder = lab.folder("by-hand")?;
    for part in ["vmlinuz", "initrd"] {
        fs_err::copy(dist.join("netboot").join(part), folder.join(part))?;
    }
    let iso = Cmd::new("xorriso", "make an ISO").cwd(&folder);
    let iso = iso.args(["-as", "mkisofs", "-quiet", "-r", "-J", "-o", "../by-hand.iso", "."]);
    let sums = ["sha256sum", "sha512sum"]
        .map(|program| Cmd::new(program, "hash it").arg("../by-hand.iso").cwd(&folder));
    let rest = lab.time(&iso)? + lab.time_all(&sums)?;
    let (mut recipe, mut bare) = (Pairs::default(), Pairs::default());
    recipe.add(ours, clone + make + rest);
    bare.add(ours, make);
    let limit = "the compiler: 1,950 objects, each compiled once";
    Ok(vec![
        line(
            1,
            "cold-source",
            "`dist` from nothing, iPXE from source",
            "clone, make, xorriso, sums",
            &recipe,
            0.85,
            limit,
        ),
        line(
            1,
            "cold-source-make",
            "`dist` from nothing, iPXE from source",
            "make of the same targets",
            &bare,
            1.05,
            limit,
        ),
    ])
}

/// Row 2.
pub(super) fn script(lab: &Lab) -> Result<Vec<RowResult>> {
    let ways = Ways::new(lab, "script-change")?;
    ways.sources()?;
    ways.make("#!ipxe\nshell\n")?;
    ways.dist()?;
    let embed = ways.root.join("bootscripts/embed.ipxe");
    let text = fs_err::read_to_string(&embed)?;
    let (mut ours_round, mut theirs_round) = (0, 0);
    let ours = || {
        ours_round += 1;
        fs_err::write(&embed, text.replacen("#!ipxe\n", &format!("#!ipxe\n# round {ours_round}\n"), 1))?;
        ways.dist()
    };
    let theirs = || {
        theirs_round += 1;
        ways.make(&format!("#!ipxe\n# round {theirs_round}\nshell\n"))
    };
    let pairs = Pairs::measure(lab.rounds(5), ours, theirs)?;
    let limit = "LZMA of two programs for BIOS by iPXE's zbin, and a process";
    Ok(vec![line(
        2,
        "script-change",
        "another boot script → finished ipxe.iso",
        "iPXE's own link",
        &pairs,
        0.1,
        limit,
    )])
}

fn line(row: u8, name: &str, work: &str, against: &str, pairs: &Pairs, goal: f64, limit: &str) -> RowResult {
    let (ours, theirs): (Figures, Figures) = (pairs.ours(), pairs.theirs());
    RowResult {
        row,
        name: name.to_owned(),
        work: work.to_owned(),
        against: Some(against.to_owned()),
        unit: Unit::Seconds,
        ours,
        theirs: Some(theirs),
        ratio: Some(pairs.ratio()),
        goal: Goal::Ratio(goal),
        limit: limit.to_owned(),
    }
}
