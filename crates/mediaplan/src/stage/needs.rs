//! Which programs and files of the machine a profile is made with, and the packages that bring them.

use crate::config::{Engine, Media};
use buildplan::{Action, Arg, Missing, Plan};

/// One thing that must be there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// A program's name, or a file's absolute path.
    pub what: String,
    /// The package of Debian and Ubuntu that brings it.
    pub package: &'static str,
}

/// Programs and files by package.
const PACKAGES: &[(&str, &str)] = &[
    ("xorriso", "xorriso"),
    ("grub-mkimage", "grub-common"),
    ("/usr/lib/grub/x86_64-efi", "grub-efi-amd64-bin"),
    ("/usr/lib/ISOLINUX/isolinux.bin", "isolinux"),
    ("/usr/lib/ISOLINUX/isohdpfx.bin", "isolinux"),
    ("/usr/lib/syslinux/modules/bios/ldlinux.c32", "syslinux-common"),
    ("/usr/lib/ipxe/ipxe.lkrn", "ipxe"),
    ("dpkg-deb", "dpkg"),
    ("apt-get", "apt"),
    ("git", "git"),
    ("make", "make"),
    ("gcc", "gcc"),
    ("ld", "binutils"),
    ("perl", "perl"),
    ("/usr/include/lzma.h", "liblzma-dev"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("/usr/share/ovmf/OVMF.fd", "ovmf"),
    ("genisoimage", "genisoimage"),
    ("grub-mkrescue", "grub-common"),
    ("mformat", "mtools"),
    ("/usr/lib/grub/i386-pc", "grub-pc-bin"),
    ("dnsmasq", "dnsmasq-base"),
    ("nginx", "nginx-light"),
    ("tinyproxy", "tinyproxy-bin"),
    ("faketime", "faketime"),
    ("/usr/share/i18n/locales/de_DE", "locales"),
    ("musl-gcc", "musl-tools"),
];

const IMAGES: &[&str] = &[
    "xorriso",
    "grub-mkimage",
    "/usr/lib/grub/x86_64-efi",
    "/usr/lib/ISOLINUX/isolinux.bin",
    "/usr/lib/ISOLINUX/isohdpfx.bin",
    "/usr/lib/syslinux/modules/bios/ldlinux.c32",
];
const DISTRIBUTION: &[&str] = &["dpkg-deb", "apt-get"];
const PREBUILT: &[&str] = &["/usr/lib/ipxe/ipxe.lkrn"];
const SOURCE: &[&str] = &["git", "make", "gcc", "ld", "perl", "/usr/include/lzma.h"];
const BOOT: &[&str] = &["qemu-system-x86_64", "/usr/share/ovmf/OVMF.fd"];
const PAIR: &[&str] = &["faketime", "/usr/share/i18n/locales/de_DE"];
/// What tests build images of others with, and hold our servers' configurations against.
const TEST: &[&str] =
    &["genisoimage", "grub-mkrescue", "mformat", "/usr/lib/grub/i386-pc", "dnsmasq", "nginx", "tinyproxy"];

/// What `dist` needs for a profile's media by an engine.
#[must_use]
pub fn dist(media: &Media, engine: Engine) -> Vec<Need> {
    let media = if super::media::needs_packages(media) { DISTRIBUTION } else { &[] };
    let engine = match engine {
        Engine::Source => SOURCE,
        Engine::Prebuilt => PREBUILT,
    };
    needs(&[IMAGES, media, engine])
}

/// What booting needs.
#[must_use]
pub fn boot() -> Vec<Need> {
    needs(&[BOOT])
}

/// What a program without libraries is compiled with.
#[must_use]
pub fn program() -> Vec<Need> {
    needs(&[&["musl-gcc"]])
}

/// What varies more between two builds.
#[must_use]
pub fn pair() -> Vec<Need> {
    needs(&[PAIR])
}

/// Everything that any command needs, the tests included.
#[must_use]
pub fn all() -> Vec<Need> {
    needs(&[IMAGES, DISTRIBUTION, PREBUILT, SOURCE, BOOT, TEST])
}

fn needs(lists: &[&[&str]]) -> Vec<Need> {
    let need = |what: &&str| Need { what: (*what).to_owned(), package: package(what).unwrap_or("") };
    lists.iter().flat_map(|l| l.iter()).map(need).collect()
}

fn package(what: &str) -> Option<&'static str> {
    PACKAGES.iter().find(|(w, _)| *w == what).map(|(_, p)| *p)
}

/// The need behind something that a plan lacks; `None` for a file of the repository.
#[must_use]
pub fn of_missing(missing: &Missing) -> Option<Need> {
    let (Missing::Tool(what) | Missing::Host(what)) = missing else { return None };
    let near = PACKAGES.iter().find(|(w, _)| w == what).or_else(|| {
        let folder = what.rsplit_once('/')?.0;
        PACKAGES.iter().find(|(w, _)| w.starts_with(folder))
    });
    Some(Need { what: what.clone(), package: near.map_or("", |(_, p)| p) })
}

/// Programs and files that a plan uses, to hold the lists above against.
#[must_use]
pub fn used_by(plan: &Plan) -> Vec<String> {
    let mut used = Vec::new();
    for node in &plan.nodes {
        node.leaves(&mut |arg| {
            if let Arg::Host(path) = arg {
                used.push(path.clone());
            }
        });
        for action in &node.actions {
            if let Action::Run(cmd) = action {
                used.push(cmd.program.clone());
                used.extend(cmd.uses.iter().cloned());
            }
        }
    }
    used.sort();
    used.dedup();
    used
}
