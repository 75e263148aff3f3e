//! Looks at the build machine before planning: packages through apt's signed index, what the distribution's iPXE
//! can do. What was seen is remembered as long as apt's lists stay as they are, so that a run without work asks
//! nobody.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use buildexec::ctx::Ctx;
use buildexec::{store::write_json, world};
use buildplan::{Cmd, Digest};
use failure::{Failure, Kind};
use mediaplan::config::{KernelFlavour, Media, Profile};
use mediaplan::stage::{
    host::{Host, Package, Packages},
    ipxe::PACKAGE_DIR,
};

/// Observes what planning `profile` depends on.
///
/// # Errors
/// When apt is there and does not know a package.
pub fn observe(ctx: &Ctx, profile: &Profile) -> Result<Host> {
    let packages = match &profile.media {
        Media::Distribution { kernel } => packages(ctx, *kernel)?,
        _ => None,
    };
    Ok(Host { packages, ipxe_efi_reads_autoexec: reads_autoexec() })
}

/// The name is in the binary where the code is; the package's version says the same less directly.
fn reads_autoexec() -> bool {
    let needle = b"autoexec.ipxe";
    let program = fs_err::read(format!("{PACKAGE_DIR}/ipxe.efi")).unwrap_or_default();
    program.windows(needle.len()).any(|w| w == needle)
}

/// What was seen, and when: the times of apt's lists and sources.
#[derive(Default, Serialize, Deserialize)]
struct Seen {
    stamp: String,
    /// Output of `apt-get --print-uris` and of `apt-cache depends`, by command line.
    said: BTreeMap<String, String>,
}

/// Asks apt, or the memory of having asked.
struct Apt<'c> {
    ctx: &'c Ctx,
    seen: Seen,
    file: camino::Utf8PathBuf,
}

/// Whatever changes these, changes what apt says.
const APT_STATE: &[&str] = &[
    "/var/lib/apt/lists",
    "/etc/apt/sources.list",
    "/etc/apt/sources.list.d",
    "/etc/apt/preferences.d",
    "/var/lib/dpkg/arch",
];

impl<'c> Apt<'c> {
    fn new(ctx: &'c Ctx) -> Self {
        let time = |path: &&str| {
            let time = fs_err::metadata(path).and_then(|m| m.modified()).ok();
            time.and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok()).map_or(0, |d| d.as_nanos())
        };
        let stamp = APT_STATE.iter().map(|p| time(p).to_string()).collect::<Vec<_>>().join(" ");
        let file = ctx.work.join("apt.json");
        let seen = fs_err::read(&file).ok().and_then(|b| serde_json::from_slice::<Seen>(&b).ok());
        let seen = seen.filter(|s| s.stamp == stamp).unwrap_or(Seen { stamp, said: BTreeMap::new() });
        Self { ctx, seen, file }
    }

    fn ask(&mut self, program: &str, args: &[&str]) -> Result<String> {
        let line = format!("{program} {}", args.join(" "));
        if let Some(said) = self.seen.said.get(&line) {
            return Ok(said.clone());
        }
        let cmd = Cmd::new(program, "ask apt for a package").args(args.iter().copied());
        let said = self.ctx.runner.run(&cmd)?.text();
        self.seen.said.insert(line, said.clone());
        // Not being able to remember costs time, nothing else.
        _ = fs_err::create_dir_all(&self.ctx.work);
        _ = write_json(&self.file, &self.seen);
        Ok(said)
    }

    /// Name, version, digest and size of what apt would download for `name`.
    fn package(&mut self, name: &str) -> Result<Package> {
        let said = self.ask("apt-get", &["download", "--print-uris", name])?;
        let line = said.lines().find(|l| l.starts_with('\''));
        line.and_then(|l| package(name, l)).with_context(|| format!("apt said: {}", said.trim()))
    }

    /// The package that a meta package such as `linux-image-virtual` stands for, itself if it is none.
    fn real(&mut self, meta: &str) -> Result<String> {
        let said = self.ask("apt-cache", &["depends", "--important", meta])?;
        let dependencies = said.lines().filter_map(|l| l.trim().strip_prefix("Depends: "));
        let image = dependencies.map(str::to_owned).find(|d| d.starts_with("linux-image-"));
        match image {
            Some(next) if next != meta => self.real(&next),
            _ => Ok(meta.to_owned()),
        }
    }

    fn depends_on(&mut self, name: &str, prefix: &str) -> Result<Option<String>> {
        let said = self.ask("apt-cache", &["depends", "--important", name])?;
        let mut dependencies = said.lines().filter_map(|l| l.trim().strip_prefix("Depends: "));
        Ok(dependencies.find(|d| d.starts_with(prefix)).map(str::to_owned))
    }
}

/// Reads `'URL' NAME_VERSION_ARCH.deb SIZE SHA256:HEX`.
fn package(name: &str, line: &str) -> Option<Package> {
    let mut words = line.rsplit(' ');
    let sha256: Digest = words.next()?.strip_prefix("SHA256:")?.parse().ok()?;
    let size = words.next()?.parse().ok()?;
    let version = words.next()?.split('_').nth(1)?.replace("%3a", ":");
    Some(Package { name: name.to_owned(), version, sha256, size })
}

fn packages(ctx: &Ctx, flavour: KernelFlavour) -> Result<Option<Packages>> {
    if ctx.find_program("apt-get").is_none() || ctx.find_program("dpkg-deb").is_none() {
        return Ok(None);
    }
    let mut apt = Apt::new(ctx);
    let distribution = world::distribution();
    look_up(&mut apt, &distribution, flavour).map(Some).map_err(|e| {
        Failure::new(Kind::MissingTool, "apt does not know the packages of the smoke system")
            .help("run `apt-get update` (with sudo where you are not root), or `cargo xtask dist --install`")
            .source(e)
            .into()
    })
}

fn look_up(apt: &mut Apt<'_>, distribution: &str, flavour: KernelFlavour) -> Result<Packages> {
    let meta = match (distribution, flavour) {
        ("ubuntu", KernelFlavour::Cloud) => "linux-image-virtual",
        ("ubuntu", KernelFlavour::Generic) => "linux-image-generic",
        (_, KernelFlavour::Cloud) => "linux-image-cloud-amd64",
        (_, KernelFlavour::Generic) => "linux-image-amd64",
    };
    let image = apt.real(meta)?;
    let mut kernel = vec![apt.package(&image)?];
    // Debian has image and modules in one package, Ubuntu in two.
    if let Some(modules) = apt.depends_on(&image, "linux-modules-")? {
        kernel.push(apt.package(&modules)?);
    }
    let libraries = [("libext2fs2", "libext2fs"), ("libblkid1", "libblkid"), ("libuuid1", "libuuid")];
    let mut mke2fs = vec![apt.package("e2fsprogs")?, apt.package("libc6")?];
    for (name, prefix) in libraries {
        // Since the 64-bit time change some names end in `t64`.
        let name = apt.depends_on("e2fsprogs", prefix)?.unwrap_or_else(|| name.to_owned());
        mke2fs.push(apt.package(&name)?);
    }
    let com_err = apt.depends_on("e2fsprogs", "libcom-err")?.unwrap_or_else(|| "libcom-err2".to_owned());
    mke2fs.push(apt.package(&com_err)?);
    let busybox = apt.package("busybox-static")?;
    Ok(Packages { distribution: distribution.to_owned(), kernel, busybox, mke2fs })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_print_uris_gives_version_size_and_digest() {
        let digest = "00be21c0c17f08ddf26e82d3b53fe7a41efa4a288938da6bb69e89c4b25c281d";
        let line = format!(
            "'http://h/busybox.deb' busybox-static_1%3a1.35.0-4+deb12u1_amd64.deb 928188 SHA256:{digest}"
        );
        let package = package("busybox-static", &line).unwrap();
        assert_eq!((package.version.as_str(), package.size), ("1:1.35.0-4+deb12u1", 928_188));
        assert_eq!(package.sha256.to_string(), digest);
    }

    #[test]
    fn a_line_without_a_sha256_is_no_package() {
        assert!(package("a", "'http://h/a.deb' a_1_amd64.deb 10 MD5Sum:00").is_none());
        assert!(package("a", "").is_none());
    }
}
