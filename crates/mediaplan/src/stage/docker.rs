//! The Docker system: a kernel, and an initrd of a small base and the system's image behind it, which is mounted and
//! never unpacked. So the same two files start from a CD, a stick and the network, and the medium may be pulled out.

use std::time::Duration;

use anyhow::Result;

use super::{crates::PinnedCrate, hostconf::HostConf, os::OsFiles, packages::PackageTree, sample::Sample};
use crate::config::Compress;
use buildplan::{Arg, Artifact, CmdSpec, Planner, Stage};

/// What the system is made of; what these need comes along.
pub(super) const PACKAGES: &[&str] = &[
    "busybox-static",
    "ca-certificates",
    "containerd",
    // Its client is a package of its own since Debian 13.
    "docker-cli | docker.io",
    "docker.io",
    "dropbear-bin",
    "e2fsprogs",
    "iptables",
    "openntpd",
    "runc",
    "tini",
];
/// What packs it.
pub(super) const TOOLS: &[&str] = &["squashfs-tools"];

/// Programs of the system; the libraries that they are linked to are found by their names in them. BusyBox comes out of
/// the base archive, where it has to be anyway.
const PROGRAMS: &[&str] = &[
    "usr/bin/containerd",
    "usr/bin/containerd-shim-runc-v2",
    "usr/bin/docker",
    "usr/bin/dropbearkey",
    "usr/bin/tini-static",
    "usr/sbin/docker-proxy",
    "usr/sbin/dockerd",
    "usr/sbin/dropbear",
    "usr/sbin/e2fsck",
    "usr/sbin/mke2fs",
    "usr/sbin/ntpd",
    "usr/sbin/runc",
    "usr/sbin/xtables-nft-multi",
];

/// Other names of programs.
const LINKS: &[(&str, &str)] = &[
    ("usr/bin/docker-init", "tini-static"),
    ("usr/bin/sh", "busybox"),
    ("usr/sbin/init", "../bin/busybox"),
    ("usr/sbin/ip6tables", "xtables-nft-multi"),
    ("usr/sbin/ip6tables-restore", "xtables-nft-multi"),
    ("usr/sbin/ip6tables-save", "xtables-nft-multi"),
    ("usr/sbin/iptables", "xtables-nft-multi"),
    ("usr/sbin/iptables-restore", "xtables-nft-multi"),
    ("usr/sbin/iptables-save", "xtables-nft-multi"),
    ("usr/sbin/modprobe", "../bin/busybox"),
    // It starts its other processes by this name.
    ("usr/sbin/openntpd", "ntpd"),
];

/// Modules by the beginning of their path below `kernel/`: disks, networks and USB of real and virtual machines, file
/// systems, and what containers' networks load on demand. What they need comes along.
const MODULES: &[&str] = &[
    "drivers/acpi/button",
    "drivers/ata/ahci",
    "drivers/ata/ata_",
    "drivers/ata/sata_mv",
    "drivers/ata/sata_nv",
    "drivers/ata/sata_sil",
    "drivers/ata/sata_svw",
    "drivers/ata/sata_via",
    "drivers/block/loop",
    "drivers/block/nbd",
    "drivers/block/virtio_blk",
    "drivers/block/xen-blkfront",
    "drivers/char/hw_random/virtio-rng",
    "drivers/hid/hid-generic",
    "drivers/hid/usbhid/",
    "drivers/hv/",
    "drivers/input/evdev",
    "drivers/message/fusion/mptspi",
    "drivers/mmc/core/mmc_",
    "drivers/mmc/host/rtsx_pci_sdmmc",
    "drivers/mmc/host/sdhci",
    "drivers/net/bonding/",
    "drivers/net/dummy",
    "drivers/net/ethernet/amazon/",
    "drivers/net/ethernet/amd/pcnet32",
    "drivers/net/ethernet/aquantia/",
    "drivers/net/ethernet/atheros/al",
    "drivers/net/ethernet/atheros/atl1c",
    "drivers/net/ethernet/atheros/atl1e",
    "drivers/net/ethernet/broadcom/tg3",
    "drivers/net/ethernet/intel/e1000/",
    "drivers/net/ethernet/intel/e1000e/",
    "drivers/net/ethernet/intel/igb/",
    "drivers/net/ethernet/intel/igc/",
    "drivers/net/ethernet/intel/ixgbe/",
    "drivers/net/ethernet/marvell/sky2",
    "drivers/net/ethernet/realtek/",
    "drivers/net/hyperv/",
    "drivers/net/ipvlan/",
    "drivers/net/macvlan",
    "drivers/net/phy/aquantia",
    "drivers/net/phy/ax88796b",
    "drivers/net/phy/broadcom",
    "drivers/net/phy/marvell",
    "drivers/net/phy/micrel",
    "drivers/net/phy/microchip",
    "drivers/net/phy/realtek",
    "drivers/net/phy/smsc",
    "drivers/net/tun",
    "drivers/net/usb/aqc111",
    "drivers/net/usb/asix",
    "drivers/net/usb/ax88179_178a",
    "drivers/net/usb/cdc_ether",
    "drivers/net/usb/cdc_ncm",
    "drivers/net/usb/lan78xx",
    "drivers/net/usb/r815",
    "drivers/net/usb/rndis_host",
    "drivers/net/usb/smsc",
    "drivers/net/veth",
    "drivers/net/virtio_net",
    "drivers/net/vmxnet3/",
    "drivers/net/vxlan/",
    "drivers/net/wireguard/",
    "drivers/net/xen-netfront",
    // The disks themselves: beside it are those over networks, which bring InfiniBand along.
    "drivers/nvme/host/nvme.",
    "drivers/scsi/BusLogic",
    "drivers/scsi/hpsa",
    "drivers/scsi/hv_storvsc",
    "drivers/scsi/megaraid/megaraid_sas",
    "drivers/scsi/mpt3sas/",
    "drivers/scsi/sd_mod",
    "drivers/scsi/smartpqi/",
    "drivers/scsi/sr_mod",
    "drivers/scsi/virtio_scsi",
    "drivers/scsi/vmw_pvscsi",
    "drivers/usb/common/",
    "drivers/usb/host/ehci-",
    "drivers/usb/host/ohci-",
    "drivers/usb/host/uhci-",
    "drivers/usb/host/xhci-pci",
    "drivers/usb/storage/uas",
    "drivers/usb/storage/ums-realtek",
    "drivers/usb/storage/usb-storage",
    "drivers/virtio/virtio_balloon",
    "drivers/virtio/virtio_input",
    "drivers/virtio/virtio_m",
    "fs/ext4/",
    "fs/fat/",
    "fs/fuse/fuse",
    "fs/isofs/",
    "fs/nfs/nfs.",
    "fs/nfs/nfsv3",
    "fs/nfs/nfsv4",
    "fs/nls/nls_ascii",
    "fs/nls/nls_cp437",
    "fs/nls/nls_iso8859-1.",
    "fs/nls/nls_utf8",
    "fs/overlayfs/",
    "fs/squashfs/",
    "net/8021q/",
    "net/bridge/br",
    "net/ipv4/ip_tunnel",
    "net/ipv4/netfilter/ip",
    "net/ipv4/netfilter/nf",
    "net/ipv6/netfilter/",
    "net/netfilter/ipvs/",
    "net/netfilter/nf",
    "net/netfilter/xt_",
    "net/sched/cls_u32",
    "net/sched/sch_cake",
    "net/sched/sch_codel",
    "net/sched/sch_fq",
    "net/sched/sch_htb",
    "net/sched/sch_ingress",
    "net/sched/sch_netem",
    "net/sched/sch_pie",
    "net/sched/sch_prio",
    "net/sched/sch_sfq",
    "net/sched/sch_tbf",
    "net/xfrm/xfrm_user",
];
/// What mounts the system's image; there is no second copy of it in there.
const BASE_MODULES: &[&str] = &["loop", "squashfs", "overlay"];

/// Files of the repository that the system is made of, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sources {
    /// `isofs/docker/system/`: what lies in the system's root.
    pub root: Vec<String>,
    /// The configuration program's crates.
    pub program: Vec<String>,
    /// The crates of others that it is compiled from.
    pub crates: Vec<PinnedCrate>,
    /// Whether the medium carries a sample image, with another beside it: for boots that prove what a medium does.
    pub samples: bool,
}

/// A folder as a squashfs image.
fn squash(tools: &Artifact, compress: Compress, from: Arg, to: Arg) -> CmdSpec {
    let compressor: &[&str] = match compress {
        // Larger blocks make it 7 % smaller than those of 128 KiB, and it starts as fast: programs are read whole.
        Compress::Zstd => &["-comp", "zstd", "-Xcompression-level", "22", "-b", "1M"],
        Compress::Xz => &["-comp", "xz", "-Xbcj", "x86", "-b", "1M"],
        Compress::Fast => &["-comp", "zstd", "-Xcompression-level", "2"],
    };
    // Everything is root's, at one time; the order of files is that of their names.
    CmdSpec::new("usr/bin/mksquashfs", "pack the system's image")
        .in_tree(tools)
        .arg(from)
        .arg(to)
        .args(compressor.iter().copied())
        .args(["-all-root", "-no-xattrs", "-noappend", "-quiet", "-no-progress", "-exit-on-error"])
        .deadline(Duration::from_secs(3600))
}

/// The system.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Docker {
    pub(super) kernel: PackageTree,
    pub(super) packages: PackageTree,
    pub(super) tools: PackageTree,
    /// What the configuration program is linked with, and the version of GCC in its paths.
    pub(super) libc: PackageTree,
    pub(super) gcc: String,
    pub(super) sources: Sources,
    pub(super) compress: Compress,
    /// Archives of images that are carried, from the repository's root.
    pub(super) containers: Vec<String>,
    /// A sample image that is carried as well.
    pub(super) sample: Option<Sample>,
}

impl Stage for Docker {
    type Out = OsFiles;
    const NAME: &'static str = "docker";
    const FORMAT: u32 = 1;

    fn plan(&self, p: &mut Planner) -> Result<OsFiles> {
        let image = p.ensure(&SystemImage(self.clone()))?;
        let (tree, packages) = (p.ensure(&self.kernel)?, p.ensure(&self.packages)?);
        let carries = !self.containers.is_empty() || self.sample.is_some();
        let (files, sample) = (self.containers.clone(), self.sample.clone());
        let containers = Containers { files, sample, tools: self.tools.clone() };
        let containers = carries.then(|| p.ensure(&containers)).transpose()?;
        let mut node = p.node::<Self>("kernel and initrd of the Docker system");
        let (vmlinuz, initrd) = (node.out("vmlinuz"), node.out("initrd"));
        let mut args = vec![
            ("kernel", Arg::from(&tree)),
            ("packages", Arg::from(&packages)),
            ("init", Arg::Src("isofs/docker/init".to_owned())),
            ("image", Arg::from(&image)),
            ("vmlinuz", vmlinuz),
            ("to", initrd),
        ];
        args.extend(BASE_MODULES.iter().map(|m| ("module", (*m).into())));
        args.extend(containers.iter().map(|c| ("containers", Arg::from(c))));
        node.builtin("docker-initrd", args);
        let id = node.finish();
        Ok(OsFiles { kernel: id.artifact("vmlinuz"), initrd: id.artifact("initrd") })
    }
}

/// The system's image, which takes minutes to pack well and is kept until something in it changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct SystemImage(Docker);

impl Stage for SystemImage {
    type Out = Artifact;
    const NAME: &'static str = "docker-image";
    const FORMAT: u32 = 1;

    fn plan(&self, p: &mut Planner) -> Result<Artifact> {
        let system = &self.0;
        let Sources { root, program, crates, .. } = &system.sources;
        let program = p.ensure(&HostConf {
            sources: program.clone(),
            crates: crates.clone(),
            libc: system.libc.clone(),
            gcc: system.gcc.clone(),
        })?;
        let (kernel, packages) = (p.ensure(&system.kernel)?, p.ensure(&system.packages)?);
        let tools = p.ensure(&system.tools)?;
        let mut node = p.node::<Self>("image of the Docker system");
        let to = node.out("system.squashfs");
        let work = || Arg::Work("root".to_owned());
        let mut args = vec![
            ("kernel", Arg::from(&kernel)),
            ("packages", Arg::from(&packages)),
            ("configuration", Arg::from(&program.program)),
            ("licences", Arg::from(&program.licences)),
            ("to", work()),
        ];
        args.extend(PROGRAMS.iter().map(|p| ("program", (*p).into())));
        args.extend(MODULES.iter().map(|m| ("modules", (*m).into())));
        args.extend(BASE_MODULES.iter().map(|m| ("loaded", (*m).into())));
        for (link, target) in LINKS {
            args.extend([("link", (*link).into()), ("target", (*target).into())]);
        }
        for source in root {
            let place = source.strip_prefix("isofs/docker/system/").unwrap_or(source);
            args.extend([("place", place.into()), ("file", Arg::Src(source.clone()))]);
        }
        node.builtin("docker-root", args);
        // The one folder that is not for everybody.
        node.run(squash(&tools, system.compress, work(), to).args(["-p", "root m 700 0 0"]));
        Ok(node.finish_one())
    }
}

/// Archives of images as an image of their own, so that another one does not pack the system again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Containers {
    files: Vec<String>,
    sample: Option<Sample>,
    tools: PackageTree,
}

impl Stage for Containers {
    type Out = Artifact;
    const NAME: &'static str = "docker-containers";
    const FORMAT: u32 = 1;

    fn plan(&self, p: &mut Planner) -> Result<Artifact> {
        let tools = p.ensure(&self.tools)?;
        let sample = self.sample.as_ref().map(|s| p.ensure(s)).transpose()?;
        let mut node = p.node::<Self>("carried containers");
        let to = node.out("containers.squashfs");
        let work = || Arg::Work("containers".to_owned());
        let mut args = vec![("to", work())];
        args.extend(self.files.iter().map(|f| ("archive", Arg::Src(f.clone()))));
        args.extend(sample.iter().map(|s| ("archive", Arg::from(s))));
        node.builtin("docker-containers", args);
        node.run(squash(&tools, Compress::Zstd, work(), to));
        Ok(node.finish_one())
    }
}
