//! Kernel and initrd of a profile.

use anyhow::Result;

use super::host::{Package, Packages};
use crate::config::{KernelFlavour, Locked, Media, Released};
use buildplan::{Arg, Artifact, CmdSpec, FetchSpec, Planner, Resource, Source, Stage, purl};
use failure::{Failure, Kind};

/// No kernel, initrd or ISO that we make media of is larger.
const LIMIT: u64 = 4 << 30;

/// What a machine starts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Os {
    /// The kernel.
    pub kernel: Artifact,
    /// The initrd.
    pub initrd: Artifact,
}

/// A package of the distribution, as downloaded and checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Deb {
    /// `debian`, `ubuntu`.
    pub distribution: String,
    /// Which package.
    pub package: Package,
}

impl Stage for Deb {
    type Out = Artifact;
    const NAME: &'static str = "deb";
    const FORMAT: u32 = 1;

    fn plan(&self, p: &mut Planner) -> Result<Artifact> {
        let Package { name, version, sha256, size } = &self.package;
        let mut node = p.node::<Self>(format!("package {name} {version}"));
        let to = node.out(format!("{name}.deb"));
        node.resource(Resource::Net).builtin(
            "apt-download",
            [
                ("package", name.as_str().into()),
                ("version", version.as_str().into()),
                ("sha256", sha256.to_string().into()),
                ("size", size.to_string().into()),
                ("purl", purl::deb(&self.distribution, name, version).into()),
                ("to", to),
            ],
        );
        Ok(node.finish_one())
    }
}

/// Kernel and modules out of the distribution's packages.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kernel {
    packages: Vec<Deb>,
    flavour: KernelFlavour,
}

/// The modules that find a disk, a CD and a network card, in words of `modules.dep`. Those a kernel has built in
/// or not at all are passed over; what they need comes along.
const MODULES: &[&str] =
    &["virtio_pci", "virtio_blk", "virtio_scsi", "virtio_net", "ata_piix", "sd_mod", "sr_mod", "isofs"];
/// What real machines need on top of that.
const MORE_MODULES: &[&str] =
    &["ahci", "nvme", "xhci_pci", "ehci_pci", "uas", "usb_storage", "e1000", "e1000e", "igb", "r8169"];

impl Stage for Kernel {
    /// The kernel, and a folder of modules with their load order.
    type Out = (Artifact, Artifact);
    const NAME: &'static str = "kernel";
    const FORMAT: u32 = 1;

    fn plan(&self, p: &mut Planner) -> Result<Self::Out> {
        let debs: Result<Vec<_>> = self.packages.iter().map(|d| p.ensure(d)).collect();
        let mut node = p.node::<Self>("kernel and modules");
        let (vmlinuz, modules) = (node.out("vmlinuz"), node.out("modules"));
        for deb in &debs? {
            node.run(unpack(deb));
        }
        let mut args =
            vec![("root", Arg::Work("root".to_owned())), ("kernel", vmlinuz), ("modules", modules)];
        args.extend(MODULES.iter().map(|m| ("module", (*m).into())));
        if self.flavour == KernelFlavour::Generic {
            args.extend(MORE_MODULES.iter().map(|m| ("module", (*m).into())));
        }
        node.builtin("pick-kernel", args);
        let id = node.finish();
        Ok((id.artifact("vmlinuz"), id.artifact("modules")))
    }
}

fn unpack(deb: &Artifact) -> CmdSpec {
    CmdSpec::new("dpkg-deb", format!("unpack {}", deb.name))
        .any_version()
        .arg("-x")
        .arg(deb)
        .arg(Arg::Work("root".to_owned()))
}

/// The smoke system: the distribution's kernel, and an initrd of ours that behaves as RancherOS does for the
/// parameters we set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Smoke {
    /// What it is made of.
    pub packages: Packages,
    /// Which kernel.
    pub flavour: KernelFlavour,
}

impl Stage for Smoke {
    type Out = Os;
    const NAME: &'static str = "initrd";
    const FORMAT: u32 = 2;

    fn plan(&self, p: &mut Planner) -> Result<Os> {
        let deb = |package: &Package| Deb {
            distribution: self.packages.distribution.clone(),
            package: package.clone(),
        };
        let packages = self.packages.kernel.iter().map(deb).collect();
        let kernel = Kernel { packages, flavour: self.flavour };
        let (kernel, modules) = p.ensure(&kernel)?;
        let tools = std::iter::once(&self.packages.busybox).chain(&self.packages.mke2fs);
        let debs: Result<Vec<_>> = tools.map(|d| p.ensure(&deb(d))).collect();
        let mut node = p.node::<Self>("initrd of the smoke system");
        let initrd = node.out("initrd");
        for deb in &debs? {
            node.run(unpack(deb));
        }
        node.builtin(
            "smoke-initrd",
            [
                ("root", Arg::Work("root".to_owned())),
                ("modules", Arg::from(&modules)),
                ("init", Arg::Src("isofs/smoke/init".to_owned())),
                ("udhcpc", Arg::Src("isofs/smoke/udhcpc".to_owned())),
                ("to", initrd),
            ],
        );
        Ok(Os { kernel, initrd: node.finish_one() })
    }
}

/// A file that somebody releases, as the lock says it must be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Download {
    name: String,
    urls: Vec<String>,
    artifacts: Option<String>,
    sha256: buildplan::Digest,
    size: Option<u64>,
}

impl Stage for Download {
    type Out = Artifact;
    const NAME: &'static str = "download";
    const FORMAT: u32 = 1;

    fn plan(&self, p: &mut Planner) -> Result<Artifact> {
        let mut node = p.node::<Self>(self.name.clone());
        let to = node.out(&self.name);
        let file = self.artifacts.iter().map(|dir| Source::File(format!("{dir}/{}", self.name)));
        let sources = file.chain(self.urls.iter().cloned().map(Source::Url)).collect();
        let limit = self.size.unwrap_or(LIMIT);
        node.fetch(FetchSpec { to, sources, sha256: self.sha256, size: self.size, limit });
        Ok(node.finish_one())
    }
}

/// Kernel and initrd out of a released ISO whose digest vouches for both.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct FromIso {
    iso: Download,
    kernel: String,
    initrd: String,
}

impl Stage for FromIso {
    type Out = Os;
    const NAME: &'static str = "os";
    const FORMAT: u32 = 1;

    fn plan(&self, p: &mut Planner) -> Result<Os> {
        let iso = p.ensure(&self.iso)?;
        let mut node = p.node::<Self>(format!("kernel and initrd of {}", iso.name));
        let (kernel, initrd) = (node.out("vmlinuz"), node.out("initrd"));
        for (pattern, to) in [(&self.kernel, kernel), (&self.initrd, initrd)] {
            node.builtin(
                "iso-extract",
                [("iso", Arg::from(&iso)), ("file", pattern.as_str().into()), ("to", to)],
            );
        }
        let id = node.finish();
        Ok(Os { kernel: id.artifact("vmlinuz"), initrd: id.artifact("initrd") })
    }
}

/// What a profile's media need from outside: the lock's entries for it, the distribution's packages, and a folder
/// that is tried before the network.
#[derive(Clone, Debug, Default)]
pub struct Supply<'a> {
    /// The profile's name, for messages.
    pub profile: &'a str,
    /// What the lock has, by file name.
    pub locked: Vec<(&'a str, &'a Locked)>,
    /// `--artifacts`, absolute.
    pub artifacts: Option<String>,
    /// The distribution's packages.
    pub packages: Option<&'a Packages>,
}

impl Supply<'_> {
    fn download(&self, released: &Released) -> Result<Download> {
        let found = self.locked.iter().find(|(name, _)| *name == released.name);
        let Some((_, locked)) = found else {
            return Err(Failure::new(
                Kind::Config,
                format!("media.lock has no digest for `{}`", released.name),
            )
            .help(format!(
                "record it, and see what vouches for it, with `cargo xtask fetch --update {}{}`",
                self.profile,
                if released.urls.is_empty() { " --artifacts DIR" } else { "" }
            ))
            .into());
        };
        Ok(Download {
            name: released.name.clone(),
            urls: released.urls.clone(),
            artifacts: self.artifacts.clone(),
            sha256: locked.sha256,
            size: locked.size,
        })
    }
}

/// Plans kernel and initrd of `media`.
///
/// # Errors
/// [`Kind::Config`] when the lock lacks a file, [`Kind::MissingTool`] when the distribution's packages are needed
/// and there are none.
pub fn plan(p: &mut Planner, media: &Media, supply: &Supply<'_>) -> Result<Os> {
    match media {
        Media::Distribution { kernel } => {
            let Some(packages) = supply.packages else {
                return Err(Failure::new(
                    Kind::MissingTool,
                    "this profile is made of Debian's or Ubuntu's packages",
                )
                .help("run it on Debian 12 or Ubuntu 24.04, or choose another profile")
                .into());
            };
            p.ensure(&Smoke { packages: packages.clone(), flavour: *kernel })
        }
        Media::Iso { file, kernel, initrd } => {
            p.ensure(&FromIso { iso: supply.download(file)?, kernel: kernel.clone(), initrd: initrd.clone() })
        }
        Media::Files { kernel, initrd } => {
            let (kernel, initrd) = (supply.download(kernel)?, supply.download(initrd)?);
            Ok(Os { kernel: p.ensure(&kernel)?, initrd: p.ensure(&initrd)? })
        }
    }
}
