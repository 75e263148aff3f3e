//! Which programs and files of the machine a profile is made with, and the packages that bring them.

use crate::config::{Engine, Media};
use buildplan::Missing;

/// One thing that must be there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// A program's name, or a file's absolute path.
    pub what: String,
    /// The package of Debian and Ubuntu that brings it.
    pub package: &'static str,
}

/// The keys of Debian's archive, as its package installs them.
pub const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// The keys of Ubuntu's archive, as its package installs them.
pub const UBUNTU_KEYRING: &str = "/usr/share/keyrings/ubuntu-archive-keyring.gpg";
/// Programs and files by package.
const PACKAGES: &[(&str, &str)] = &[
    ("gpgv", "gpgv"),
    (KEYRING, "debian-archive-keyring"),
    (UBUNTU_KEYRING, "ubuntu-keyring"),
    ("debootstrap", "debootstrap"),
    ("xorriso", "xorriso"),
    ("git", "git"),
    ("make", "make"),
    ("cargo", "rustup"),
    ("rustc", "rustup"),
    ("gcc", "gcc"),
    ("ld", "binutils"),
    ("ccache", "ccache"),
    ("perl", "perl"),
    ("openssl", "openssl"),
    ("/usr/include/lzma.h", "liblzma-dev"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("/usr/share/ovmf/OVMF.fd", "ovmf"),
    ("genisoimage", "genisoimage"),
    ("grub-mkrescue", "grub-common"),
    ("mformat", "mtools"),
    ("/usr/lib/grub/i386-pc", "grub-pc-bin"),
    ("/usr/lib/grub/x86_64-efi", "grub-efi-amd64-bin"),
    ("dnsmasq", "dnsmasq-base"),
    ("ip", "iproute2"),
    ("nginx", "nginx-light"),
    ("tinyproxy", "tinyproxy-bin"),
    ("zsh", "zsh"),
    ("fish", "fish"),
    ("swtpm", "swtpm"),
    ("e2fsck", "e2fsprogs"),
    ("faketime", "faketime"),
    ("/usr/share/i18n/locales/de_DE", "locales"),
    ("musl-gcc", "musl-tools"),
];

/// What builds the Docker system's program.
const COMPILER: &[&str] = &["cargo", "rustc", "gcc"];
const SOURCE: &[&str] = &["git", "make", "gcc", "ld", "perl", "/usr/include/lzma.h"];
/// A disk is looked at after each power cut, and a TPM after a measured boot.
const BOOT: &[&str] = &["qemu-system-x86_64", "/usr/share/ovmf/OVMF.fd", "dnsmasq", "ip", "e2fsck", "swtpm"];
const PAIR: &[&str] = &["faketime", "/usr/share/i18n/locales/de_DE"];
/// What tests build other projects' images with, and check our servers' configurations and completions with.
const TEST: &[&str] = &[
    "dnsmasq",
    "ip",
    "xorriso",
    "genisoimage",
    "grub-mkrescue",
    "mformat",
    "/usr/lib/grub/i386-pc",
    "/usr/lib/grub/x86_64-efi",
    "nginx",
    "tinyproxy",
    "openssl",
    "zsh",
    "fish",
];

/// What `dist` needs for media and an engine: the rest comes out of the distribution's packages.
#[must_use]
pub fn dist(media: &Media, engine: Engine) -> Vec<Need> {
    let system: &[&str] = if matches!(media, Media::Docker { .. }) { COMPILER } else { &[] };
    match engine {
        Engine::Source => needs(&[SOURCE, system]),
        Engine::Prebuilt => needs(&[system]),
    }
}

/// What iPXE reads certificates with that are built into it, and what makes an RSA key.
#[must_use]
pub fn openssl() -> Vec<Need> {
    needs(&[&["openssl"]])
}

/// What `fetch --update` verifies the distribution's signature with: its keys are in the file `keyring`.
#[must_use]
pub fn update(keyring: &str) -> Vec<Need> {
    needs(&[&["gpgv", keyring]])
}

/// What installs another release, whose index is signed with a key in the file `keyring`.
#[must_use]
pub fn installation(keyring: &str) -> Vec<Need> {
    needs(&[&["debootstrap", keyring, "git"]])
}

/// What booting needs.
#[must_use]
pub(crate) fn boot() -> Vec<Need> {
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

/// Everything that any command needs, the tests included, by what it is for.
#[must_use]
pub fn by_purpose() -> Vec<(&'static str, Vec<Need>)> {
    vec![
        ("compile iPXE (`--engine source`)", needs(&[SOURCE])),
        ("build the docker profile", needs(&[COMPILER])),
        ("record packages (`fetch --update`)", update(KEYRING)),
        ("boot media in QEMU (`vm`)", boot()),
        ("serve with --dhcp, and test", needs(&[TEST])),
    ]
}

/// What only saves time, by what it is for.
#[must_use]
pub fn optional() -> Vec<(&'static str, Vec<Need>)> {
    vec![("recompile a changed iPXE quickly", needs(&[&["ccache"]]))]
}

/// Everything that any command needs, the tests included.
#[must_use]
pub fn all() -> Vec<Need> {
    let mut all: Vec<Need> = Vec::new();
    for need in by_purpose().into_iter().flat_map(|(_, needs)| needs) {
        if !all.contains(&need) {
            all.push(need);
        }
    }
    all
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
    let Missing::Tool(what) = missing else { return None };
    let near = PACKAGES.iter().find(|(w, _)| w == what).or_else(|| {
        let folder = what.rsplit_once('/')?.0;
        PACKAGES.iter().find(|(w, _)| w.starts_with(folder))
    });
    Some(Need { what: what.clone(), package: near.map_or("", |(_, p)| p) })
}
