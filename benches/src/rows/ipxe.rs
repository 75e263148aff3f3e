//! iPXE from source: from nothing, and with another script.

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::{
    lab::BenchLab,
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

/// iPXE compiled in both ways, once for all rows: in a repository of this program, and in a clone in which somebody runs
/// make by hand.
pub(crate) struct BothWays {
    root: Utf8PathBuf,
    clone: Utf8PathBuf,
    repository: Utf8PathBuf,
    commit: String,
    /// Seconds of a clone, of make from nothing, and of `dist` from nothing.
    cold: [f64; 3],
}

/// What is measured of iPXE: one machine, two ways.
struct Ways<'l> {
    lab: &'l BenchLab,
    both: &'l BothWays,
}

impl<'l> Ways<'l> {
    /// Compiles both, unless another row did.
    fn new(lab: &'l BenchLab) -> Result<Self> {
        if let Some(both) = lab.ipxe.get() {
            return Ok(Self { lab, both });
        }
        let repository = lab.ipxe_repo.clone();
        let repository = repository
            .ok_or_else(|| missing("no clone of iPXE is given", "name one with --ipxe-repo PATH"))?;
        lab.smoke()?;
        let root = lab.repository("source", PROFILE)?;
        for stage in ["ipxe-src-", "ipxe-tree-", "ipxe-"] {
            forget(&root.join("target/media/store"), stage)?;
        }
        let toml = fs_err::read_to_string(root.join("media.toml"))?;
        let commit = toml.split_once("commit = \"").and_then(|(_, rest)| rest.get(..40));
        let commit = commit.context("media.toml names no commit of iPXE")?.to_owned();
        let clone = lab.folder("source-clone")?.join("ipxe");
        let mut both = BothWays { root, clone, repository, commit, cold: [0.0; 3] };
        let ways = Ways { lab, both: &both };
        let cold = [ways.sources(&ways.both.commit)?, ways.make("#!ipxe\nshell\n")?, ways.dist()?];
        both.cold = cold;
        Ok(Self { lab, both: lab.ipxe.get_or_init(|| both) })
    }

    fn dist(&self) -> Result<f64> {
        let root = &self.both.root;
        let cmd = self.lab.xtask(root, "build iPXE").args(["dist", "source", "--quiet", "--ipxe-repo"]);
        let cmd = cmd.arg(self.both.repository.as_str());
        self.lab.time(&cmd.deadline(std::time::Duration::from_secs(3600)))
    }

    /// Gets the sources of a commit as `dist` does: patched and configured.
    fn sources(&self, commit: &str) -> Result<f64> {
        let BothWays { root, clone: to, repository, .. } = self.both;
        tree::remove(to)?;
        let clone = git("clone iPXE").args(["-c", "safe.directory=*", "clone", "--quiet", "--no-checkout"]);
        let clone = clone.args([repository.as_str(), to.as_str()]);
        let checkout = git("check iPXE out").cwd(to).args(["checkout", "--quiet", commit]);
        let took = self.lab.time_all(&[clone, checkout])?;
        for patch in tree::files(&root.join("bootscripts/patches"))? {
            let patch = root.join("bootscripts/patches").join(patch);
            self.lab.ctx.runner.run(&git("patch iPXE").cwd(to).args(["apply", patch.as_str()]))?;
        }
        for header in tree::files(&root.join("bootscripts/config"))? {
            let from = root.join("bootscripts/config").join(&header);
            fs_err::copy(from, to.join("src/config/local").join(&header))?;
        }
        Ok(took)
    }

    fn make(&self, script: &str) -> Result<f64> {
        fs_err::write(self.both.clone.join("src/script.ipxe"), script)?;
        let jobs = format!("-j{}", self.lab.ctx.jobs());
        let make =
            Cmd::new("make", "make iPXE by hand").cwd(self.both.clone.join("src")).arg(jobs).args(TARGETS);
        let make = make
            .args(["EMBED=script.ipxe", "GITVERSION=bench", "NO_WERROR=1"])
            .env("SOURCE_DATE_EPOCH", "1795564800");
        self.lab.time(&make.deadline(std::time::Duration::from_secs(3600)))
    }
}

fn git(why: &str) -> Cmd {
    Cmd::new("git", why).env("GIT_CONFIG_GLOBAL", "/dev/null")
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
pub(super) fn cold(lab: &BenchLab) -> Result<Vec<RowResult>> {
    let ways = Ways::new(lab)?;
    let [clone, make, ours] = ways.both.cold;
    let dist = ways.both.root.join("dist/source");
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
pub(super) fn script(lab: &BenchLab) -> Result<Vec<RowResult>> {
    let ways = Ways::new(lab)?;
    let embed = ways.both.root.join("bootscripts/embed.ipxe");
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

/// Row 3.
pub(super) fn near(lab: &BenchLab) -> Result<Vec<RowResult>> {
    let ways = Ways::new(lab)?;
    let BothWays { root, repository, commit, .. } = ways.both;
    let list =
        git("look for the next commit of iPXE").args(["-c", "safe.directory=*", "-C", repository.as_str()]);
    let list = list.args(["log", "--reverse", "--format=%H", &format!("{commit}..HEAD"), "--", "src/*.c"]);
    let later = lab.ctx.runner.run(&list)?.text();
    let later = later
        .lines()
        .next()
        .ok_or_else(|| missing("the clone of iPXE ends at the pinned commit", "run `git pull` in it"))?;
    let toml = root.join("media.toml");
    let text = fs_err::read_to_string(&toml)?;
    fs_err::write(&toml, text.replace(commit.as_str(), later))?;
    let ours = ways.dist();
    fs_err::write(&toml, text)?;
    let mut pairs = Pairs::default();
    let theirs = [ways.sources(later)?, ways.make("#!ipxe\nshell\n")?];
    pairs.add(ours?, theirs.iter().sum());
    Ok(vec![line(
        3,
        "near-commit",
        "iPXE at the next commit",
        "clone, make from nothing",
        &pairs,
        0.25,
        "make and ccache look at two thousand objects, and compile those whose sources differ",
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
