//! What every row works with: this program as it was just built, folders, a clock, and a repository of its own.

use std::{
    cell::OnceCell,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use crate::{Args, rows::BothWays};
use buildexec::{
    ctx::Ctx,
    run::{Exit, Streams},
    tree,
};
use buildplan::Cmd;

/// The size of an image that carries a system: what RancherOS's has.
pub(crate) const IMAGE: u64 = 170_000_000;
/// Packages of Debian and Ubuntu with what this program is measured beside.
const ALTERNATIVES: [&str; 10] = [
    "ccache",
    "cpio",
    "curl",
    "grub-common",
    "mtools",
    "nginx-light",
    "qemu-system-x86",
    "squashfs-tools",
    "xorriso",
    "xz-utils",
];
/// How often a child is looked at. A no-op takes 20 ms, so the runner's own pace would be too slow.
const TICK: Duration = Duration::from_micros(200);

/// What every row works with.
pub(crate) struct BenchLab {
    /// Where processes start and what is printed.
    pub(crate) ctx: Ctx,
    /// Where this program is: `xtask`, and `lab` with every command.
    programs: Utf8PathBuf,
    /// Whether little time is to be spent.
    pub(crate) quick: bool,
    /// A clone of iPXE's repository.
    pub(crate) ipxe_repo: Option<Utf8PathBuf>,
    /// iPXE as several rows work with it.
    pub(crate) ipxe: OnceCell<BothWays>,
    folder: tempfile::TempDir,
}

impl BenchLab {
    /// Builds the program in the profile that this one was built in: `cargo run -p benches` measures what
    /// `cargo xtask` runs, and `--release` what a release carries.
    ///
    /// # Errors
    /// When it cannot be built.
    pub(crate) fn new(ctx: Ctx, args: &Args) -> Result<Self> {
        let (profile, dir) = if cfg!(debug_assertions) { ("dev", "debug") } else { ("release", "release") };
        let build = cargo(&ctx, "build this program").args([
            "build",
            "--quiet",
            "-p",
            "xtask",
            "-p",
            "lab",
            "--profile",
            profile,
        ]);
        ctx.runner.run(&build)?;
        let target = ctx.work.parent().context("the store has no folder above")?;
        let programs = target.join(dir);
        for name in ["xtask", "lab"] {
            ensure!(programs.join(name).is_file(), "cargo left no {name} in {programs}");
        }
        let folder = ctx.temporary("bench-")?;
        let ipxe_repo = args.ipxe_repo.clone().map(|path| ctx.absolute(path)).transpose()?;
        Ok(Self { ctx, programs, quick: args.quick, ipxe_repo, ipxe: OnceCell::new(), folder })
    }

    /// Installs what this program is measured beside.
    ///
    /// # Errors
    /// When apt-get cannot, as root or through sudo.
    pub(crate) fn install(&self) -> Result<()> {
        let root = self.ctx.runner.run(&Cmd::new("id", "ask who this is").arg("-u"))?.text().trim() == "0";
        let words = ["apt-get", "install", "--yes", "--no-install-recommends"];
        let words: Vec<&str> =
            ["sudo"].into_iter().filter(|_| !root).chain(words).chain(ALTERNATIVES).collect();
        let cmd = Cmd::new(words[0], "install the alternatives").args(words[1..].iter().copied());
        self.ctx.runner.run(&cmd.env("DEBIAN_FRONTEND", "noninteractive")).map(drop)
    }

    /// How often a pair is measured.
    pub(crate) fn rounds(&self, usual: usize) -> usize {
        if self.quick { usual.div_ceil(2) } else { usual }
    }

    /// A new empty folder, on the file system of the store.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn folder(&self, name: &str) -> Result<Utf8PathBuf> {
        let root = Utf8Path::from_path(self.folder.path()).context("the target folder is not UTF-8")?;
        let folder = root.join(name);
        tree::remove(&folder)?;
        fs_err::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// Seconds that a command takes.
    ///
    /// # Errors
    /// When it fails.
    pub(crate) fn time(&self, cmd: &Cmd) -> Result<f64> {
        let log = tempfile::tempfile()?;
        let streams = Streams { stdout: log.try_clone()?, stderr: log.try_clone()? };
        let begun = Instant::now();
        let mut job = self.ctx.runner.spawn(cmd, streams)?;
        let code = loop {
            if let Some(code) = job.try_wait()? {
                break code;
            }
            ensure!(begun.elapsed() < cmd.deadline, "could not {}: no end after {:?}", cmd.why, cmd.deadline);
            self.ctx.check_interrupt()?;
            std::thread::sleep(TICK);
        };
        let took = begun.elapsed().as_secs_f64();
        ensure!(code == Exit::Code(0), "could not {}: {}", cmd.why, said(log)?);
        Ok(took)
    }

    /// Seconds that commands take one after the other.
    ///
    /// # Errors
    /// When one fails.
    pub(crate) fn time_all(&self, cmds: &[Cmd]) -> Result<f64> {
        cmds.iter().map(|cmd| self.time(cmd)).sum()
    }

    /// Processor seconds of all children that have ended, which the system counts in hundredths.
    ///
    /// # Errors
    /// When the system does not tell.
    pub(crate) fn children(&self) -> Result<f64> {
        let stat = fs_err::read_to_string("/proc/self/stat")?;
        // Behind the name, which may hold anything: fields 16 and 17 of proc_pid_stat(5).
        let fields = stat.rsplit_once(") ").context("/proc/self/stat has no name")?.1;
        let ticks =
            fields.split(' ').skip(13).take(2).map(|f| f.parse::<f64>().unwrap_or_default()).sum::<f64>();
        Ok(ticks / 100.0)
    }

    /// Our program in the repository at `root`.
    pub(crate) fn xtask(&self, root: &Utf8Path, why: &str) -> Cmd {
        self.program("xtask", root, why)
    }

    /// One of our programs in the repository at `root`.
    pub(crate) fn program(&self, name: &str, root: &Utf8Path, why: &str) -> Cmd {
        Cmd::new(self.programs.join(name).as_str(), why).env("MEDIA_ROOT", root.as_str())
    }

    /// Builds the profile `smoke` of this repository, and says where it is.
    ///
    /// # Errors
    /// When it cannot be built.
    pub(crate) fn smoke(&self) -> Result<Utf8PathBuf> {
        self.built("smoke")
    }

    /// Builds a profile of this repository, and says where it is.
    ///
    /// # Errors
    /// When it cannot be built.
    pub(crate) fn built(&self, profile: &str) -> Result<Utf8PathBuf> {
        let dist = self.xtask(&self.ctx.root, &format!("build the profile {profile}"));
        self.ctx.runner.run(&dist.args(["dist", profile, "--quiet"]).deadline(Duration::from_secs(3600)))?;
        Ok(self.ctx.dist.join(profile))
    }

    /// A repository of its own with these profiles, the store of this one and nothing else of it: what is measured
    /// there leaves nothing here.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn repository(&self, name: &str, profiles: &str) -> Result<Utf8PathBuf> {
        let (from, root) = (&self.ctx.root, self.folder(name)?);
        for part in ["bootscripts", "isofs", "media.lock"] {
            tree::copy(&from.join(part), &root.join(part))?;
        }
        write_profiles(from, &root, profiles)?;
        let store = root.join("target/media/store");
        fs_err::create_dir_all(&store)?;
        // Hard links: entries of the store are replaced and never written to.
        let kept = self.ctx.work.join("store/.");
        self.ctx.runner.run(&Cmd::new("cp", "link the store").args([
            "-al",
            kept.as_str(),
            store.as_str(),
        ]))?;
        Ok(root)
    }

    /// A repository with a profile `big`, whose ISO has about the bytes of [`IMAGE`], and a folder with its parts.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn big(&self, name: &str) -> Result<(Utf8PathBuf, Utf8PathBuf)> {
        let smoke = self.smoke()?;
        let parts = self.folder(&format!("{name}-parts"))?;
        fs_err::copy(smoke.join("netboot/vmlinuz"), parts.join("vmlinuz"))?;
        noise(&parts.join("initrd"), IMAGE)?;
        let root = self.repository(name, &big("quiet"))?;
        let update = self.xtask(&root, "record the parts").args([
            "fetch",
            "--update",
            "big",
            "--quiet",
            "--artifacts",
        ]);
        self.ctx.runner.run(&update.arg(parts.as_str()))?;
        Ok((root, parts))
    }
}

/// The profile `big` with these parameters.
pub(crate) fn big(params: &str) -> String {
    format!(
        "[profile.big]\nabout = \"a large initrd\"\nos = \"linux\"\nversion = \"1\"\nengine = \"prebuilt\"\n\
         params = [\"{params}\"]\n[profile.big.media]\nkind = \"files\"\nkernel = {{ name = \"vmlinuz\" }}\n\
         initrd = {{ name = \"initrd\" }}\n"
    )
}

/// Puts other profiles into the `media.toml` of `to`; all else in it is that of `from`.
///
/// # Errors
/// When it cannot be read or written.
pub(crate) fn write_profiles(from: &Utf8Path, to: &Utf8Path, profiles: &str) -> Result<()> {
    let text = fs_err::read_to_string(from.join("media.toml"))?;
    let head = text.split("\n[profile.").next().unwrap_or_default();
    // The comments above the first profile speak of another one.
    let head: String = head
        .lines()
        .filter(|l| !l.starts_with('#') && !l.starts_with("default-profile"))
        .fold(String::new(), |mut all, line| {
            all += line;
            all.push('\n');
            all
        });
    let first = profiles.split(['.', ']']).nth(1).unwrap_or("big");
    fs_err::write(to.join("media.toml"), format!("default-profile = \"{first}\"\n{head}\n{profiles}"))?;
    Ok(())
}

/// Bytes that do not compress, the same every time.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn noise(path: &Utf8Path, length: u64) -> Result<()> {
    use std::io::Write as _;
    let mut file = std::io::BufWriter::with_capacity(1 << 20, fs_err::File::create(path)?);
    for n in 0..length / 8 {
        file.write_all(&n.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(17).to_le_bytes())?;
    }
    file.flush()?;
    Ok(())
}

/// Cargo as it runs this program.
pub(crate) fn cargo(ctx: &Ctx, why: &str) -> Cmd {
    let mut cmd = Cmd::new(ctx.env.get("CARGO").unwrap_or("cargo"), why).deadline(Duration::from_secs(3600));
    for name in ["CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "CARGO_TARGET_DIR"] {
        if let Some(value) = ctx.env.get(name) {
            cmd = cmd.env(name, value);
        }
    }
    cmd.cwd = Some(ctx.root.clone());
    cmd
}

fn said(mut log: std::fs::File) -> Result<String> {
    use std::io::{Read as _, Seek as _};
    let mut text = Vec::new();
    log.rewind()?;
    log.read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
