//! Kernel and initrd of a profile.

use anyhow::Result;

use super::docker::{self, Docker};
use super::hostconf;
use super::packages::{PackageTree, Pins, SMOKE, kernel_package, number_in};
use super::sample::{self, Image, Sample};
use super::signed::SignedProgram;
use crate::config::{KernelFlavour, Locked, Media, Profile, Released};
use buildplan::{Arg, Artifact, FetchSource, FetchSpec, Material, Planner, Stage};
use failure::{Failure, Kind};

/// No kernel, initrd or ISO that we make media of is larger.
const LIMIT: u64 = 4 << 30;

/// What a machine starts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct OsFiles {
    /// Kernel image that the loaders start.
    pub kernel: Artifact,
    /// Initial RAM disk, without the cloud-config.
    pub initrd: Artifact,
}

impl OsFiles {
    /// With the kernel signed by the profile's key, where it has one.
    ///
    /// # Errors
    /// None of its own.
    pub(super) fn signed(self, p: &mut Planner, profile: &Profile) -> Result<Self> {
        let kernel = SignedProgram::maybe(p, self.kernel, profile.certificate.as_ref())?;
        Ok(Self { kernel, ..self })
    }
}

/// Kernel and modules out of the distribution's packages.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct PackagedKernel {
    packages: PackageTree,
    flavour: KernelFlavour,
}

/// The modules that find a disk, a CD and a network card, in words of `modules.dep`. Those a kernel has built in
/// or not at all are passed over; what they need comes along.
const MODULES: &[&str] = &[
    "virtio_pci",
    "virtio_blk",
    "virtio_scsi",
    "virtio_net",
    "ata_piix",
    "sd_mod",
    "sr_mod",
    "isofs",
    "efivarfs",
];
/// What real machines need on top of that.
const MORE_MODULES: &[&str] =
    &["ahci", "nvme", "xhci_pci", "ehci_pci", "uas", "usb_storage", "e1000", "e1000e", "igb", "r8169"];

impl Stage for PackagedKernel {
    /// The kernel, and a folder of modules with their load order.
    type Out = (Artifact, Artifact);
    const NAME: &'static str = "kernel";
    const FORMAT: u32 = 1;

    fn plan(&self, p: &mut Planner) -> Result<Self::Out> {
        let root = p.ensure(&self.packages)?;
        let mut node = p.node::<Self>("kernel and modules");
        let (vmlinuz, modules) = (node.out("vmlinuz"), node.out("modules"));
        let mut args = vec![("root", Arg::from(&root)), ("kernel", vmlinuz), ("modules", modules)];
        args.extend(MODULES.iter().map(|m| ("module", (*m).into())));
        if self.flavour == KernelFlavour::Generic {
            args.extend(MORE_MODULES.iter().map(|m| ("module", (*m).into())));
        }
        node.derived().builtin("pick-kernel", args);
        let id = node.finish();
        Ok((id.artifact("vmlinuz"), id.artifact("modules")))
    }
}

/// The smoke system: the distribution's kernel, and an initrd of ours that behaves as RancherOS does for the
/// parameters we set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Smoke {
    kernel: PackagedKernel,
    /// BusyBox and `mke2fs`.
    packages: PackageTree,
}

impl Stage for Smoke {
    type Out = OsFiles;
    const NAME: &'static str = "initrd";
    const FORMAT: u32 = 2;

    fn plan(&self, p: &mut Planner) -> Result<OsFiles> {
        let (kernel, modules) = p.ensure(&self.kernel)?;
        let root = p.ensure(&self.packages)?;
        let mut node = p.node::<Self>("initrd of the smoke system");
        let initrd = node.out("initrd");
        node.builtin(
            "smoke-initrd",
            [
                ("root", Arg::from(&root)),
                ("modules", Arg::from(&modules)),
                ("init", Arg::Src("isofs/smoke/init".to_owned())),
                ("udhcpc", Arg::Src("isofs/smoke/udhcpc".to_owned())),
                ("to", initrd),
            ],
        );
        Ok(OsFiles { kernel, initrd: node.finish_one() })
    }
}

/// A file that somebody releases, as the lock says it must be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ReleaseFile {
    name: String,
    urls: Vec<String>,
    artifacts: Option<String>,
    sha256: buildplan::Digest,
    size: Option<u64>,
}

impl Stage for ReleaseFile {
    type Out = Artifact;
    const NAME: &'static str = "download";
    const FORMAT: u32 = 1;

    fn plan(&self, p: &mut Planner) -> Result<Artifact> {
        let mut node = p.node::<Self>(self.name.clone());
        let to = node.out(&self.name);
        let file = self.artifacts.iter().map(|dir| FetchSource::File(format!("{dir}/{}", self.name)));
        let sources = file.chain(self.urls.iter().cloned().map(FetchSource::Url)).collect();
        let limit = self.size.unwrap_or(LIMIT);
        let fetch = FetchSpec { to, sources, sha256: self.sha256, size: self.size, limit, purl: None };
        node.material(Material::Download {
            name: self.name.clone(),
            sha256: self.sha256,
            url: fetch.public_url().map(str::to_owned),
        });
        node.fetch(fetch);
        Ok(node.finish_one())
    }
}

/// Kernel and initrd out of a released ISO whose digest vouches for both.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct FromIso {
    iso: ReleaseFile,
    kernel: String,
    initrd: String,
}

impl Stage for FromIso {
    type Out = OsFiles;
    const NAME: &'static str = "os";
    const FORMAT: u32 = 1;

    fn plan(&self, p: &mut Planner) -> Result<OsFiles> {
        let iso = p.ensure(&self.iso)?;
        let mut node = p.node::<Self>(format!("kernel and initrd of {}", iso.name));
        node.derived();
        let (kernel, initrd) = (node.out("vmlinuz"), node.out("initrd"));
        for (pattern, to) in [(&self.kernel, kernel), (&self.initrd, initrd)] {
            node.builtin(
                "iso-extract",
                [("iso", Arg::from(&iso)), ("file", pattern.as_str().into()), ("to", to)],
            );
        }
        let id = node.finish();
        Ok(OsFiles { kernel: id.artifact("vmlinuz"), initrd: id.artifact("initrd") })
    }
}

/// What a profile's media need from outside: the lock's entries for it, and the distribution's packages.
#[derive(Clone, Debug)]
pub struct Supply<'a> {
    /// The profile's name, for messages.
    pub profile: &'a str,
    /// What the lock has, by file name.
    pub locked: Vec<(&'a str, &'a Locked)>,
    /// The distribution's packages, and the folder that is tried before the network.
    pub pins: Pins<'a>,
    /// What the Docker system is made of besides packages.
    pub docker: docker::Sources,
}

impl Supply<'_> {
    /// A sample image.
    ///
    /// # Errors
    /// [`Kind::Config`] when the lock lacks its package.
    pub(super) fn sample(&self, image: Image) -> Result<Sample> {
        Ok(Sample { packages: self.pins.files("sample", sample::PACKAGES.iter().copied())?, image })
    }

    /// Each of `released`, as the lock has it.
    ///
    /// # Errors
    /// [`Kind::Config`] when the lock lacks one.
    pub(super) fn fetched<const N: usize>(
        &self,
        p: &mut Planner,
        released: [&Released; N],
    ) -> Result<Vec<Artifact>> {
        self.downloads(released)?.iter().map(|file| p.ensure(file)).collect()
    }

    /// Each of `released` as the lock has it.
    fn downloads<const N: usize>(&self, released: [&Released; N]) -> Result<[ReleaseFile; N]> {
        let locked = |name: &str| self.locked.iter().find(|(n, _)| *n == name).map(|(_, locked)| *locked);
        let missing: Vec<&Released> =
            released.iter().copied().filter(|r| locked(&r.name).is_none()).collect();
        let found = released.map(|r| {
            locked(&r.name).map(|locked| ReleaseFile {
                name: r.name.clone(),
                urls: r.urls.clone(),
                artifacts: self.pins.artifacts.clone(),
                sha256: locked.sha256,
                size: locked.size,
            })
        });
        if missing.is_empty() {
            return Ok(found.map(|download| download.expect("none is missing")));
        }
        Err(self.not_locked(&missing))
    }

    fn not_locked(&self, missing: &[&Released]) -> anyhow::Error {
        let names: Vec<String> = missing.iter().map(|r| format!("`{}`", r.name)).collect();
        let names = names.join(" and ");
        let digests = if missing.len() == 1 { "no digest" } else { "no digests" };
        let brought = missing.iter().any(|r| r.urls.is_empty());
        let (artifacts, holds) = if brought {
            (" --artifacts DIR", format!(", where DIR holds {names}"))
        } else {
            ("", String::new())
        };
        Failure::new(Kind::Config, format!("media.lock has {digests} for {names}"))
            .help(format!(
                "record what is missing, and see what vouches for it, with `cargo xtask fetch --update {}{artifacts}`{holds}",
                self.profile,
            ))
            .into()
    }
}

/// Plans kernel and initrd of `media`.
///
/// # Errors
/// [`Kind::Config`] when the lock lacks a file or a package.
pub(crate) fn plan(p: &mut Planner, media: &Media, supply: &Supply<'_>) -> Result<OsFiles> {
    match media {
        Media::Distribution { kernel: flavour } => {
            let packages = supply.pins.tree("kernel", [kernel_package(*flavour)])?;
            let kernel = PackagedKernel { packages, flavour: *flavour };
            let packages = supply.pins.tree("smoke", SMOKE.iter().copied())?;
            p.ensure(&Smoke { kernel, packages })
        }
        Media::Docker { compress, containers } => {
            let folder = |file: &String| format!("isofs/{}/{file}", supply.profile);
            let gcc = supply.pins.named(hostconf::GCC)?.0;
            let number = number_in(hostconf::GCC, gcc).expect("it was found by its number");
            let sample = supply.docker.samples.then(|| supply.sample(Image::Counter)).transpose()?;
            p.ensure(&Docker {
                kernel: supply.pins.tree("docker-kernel", [kernel_package(KernelFlavour::Generic)])?,
                packages: supply.pins.tree("docker", docker::PACKAGES.iter().copied())?,
                tools: supply.pins.tree("squashfs-tools", docker::TOOLS.iter().copied())?,
                libc: supply.pins.files("libc", [gcc, hostconf::LIBC])?,
                gcc: number.to_owned(),
                sources: supply.docker.clone(),
                compress: *compress,
                containers: containers.iter().map(folder).collect(),
                sample,
            })
        }
        Media::Iso { file, kernel, initrd } => {
            let [iso] = supply.downloads([file])?;
            p.ensure(&FromIso { iso, kernel: kernel.clone(), initrd: initrd.clone() })
        }
        Media::Files { kernel, initrd } => {
            let [kernel, initrd] = supply.downloads([kernel, initrd])?;
            Ok(OsFiles { kernel: p.ensure(&kernel)?, initrd: p.ensure(&initrd)? })
        }
    }
}
