//! Actions that are functions of ours, by the name that plans call them.
//!
//! Each names the code that makes its bytes, so that an edit of it is seen (`tests/suite/plans.rs` holds the lists
//! against what the sources use). Left out is what only carries bytes: the runner, the context, errors, the report.

mod docker;
mod embed;
mod extract;
pub mod fat;
mod git;
mod initrd;
pub mod ipxe;
pub mod iso;
mod iso_file;
mod kernel;
mod measure;
pub mod sign;
mod template;
mod unpack;

use buildexec::action::{Builtin, BuiltinTable, Call};
pub use template::text;
pub use unpack::digests;

include!(concat!(env!("OUT_DIR"), "/code.rs"));

const LOCK: &str = include_str!("../../../../Cargo.lock");

/// What `bootiso` writes with.
const WRITERS: &[&str] = &["cpio", "flate2", "liblzma", "serde", "serde_json", "sha2", "tar"];

/// What packages are unpacked with.
const UNPACKERS: &[&str] = &["ar", "flate2", "liblzma", "memchr", "ruzstd", "tar"];

/// What the Docker system is put together with.
const DOCKERS: &[&str] =
    &["ar", "cpio", "elf", "flate2", "liblzma", "memchr", "ruzstd", "serde_json", "tar", "toml"];

/// What signatures are made with.
const SIGNERS: &[&str] =
    &["authenticode", "cms", "der", "object", "ring", "sha2", "signature", "spki", "x509-cert"];

/// What a TPM's registers are predicted with.
const MEASURERS: &[&str] = &[
    "authenticode",
    "cms",
    "cpio",
    "der",
    "flate2",
    "liblzma",
    "memchr",
    "object",
    "ring",
    "serde",
    "serde_json",
    "sha2",
    "signature",
    "spki",
    "tar",
    "x509-cert",
];

/// Every builtin.
pub const BUILTINS: BuiltinTable = &[
    builtin("config-initrd", embed::config_initrd, &[EMBED, BOOTISO], WRITERS),
    builtin("crate-licences", docker::licences, &[DOCKER, KERNEL, UNPACK, TREE, BOOTISO], DOCKERS),
    builtin("docker-containers", docker::containers, &[DOCKER, KERNEL, UNPACK, TREE, BOOTISO], DOCKERS),
    builtin("docker-initrd", docker::initrd, &[DOCKER, KERNEL, UNPACK, TREE, BOOTISO], DOCKERS),
    builtin("docker-root", docker::root, &[DOCKER, KERNEL, UNPACK, TREE, BOOTISO], DOCKERS),
    builtin("embed-layout", embed::layout, &[EMBED, BOOTISO], WRITERS),
    builtin("fat-image", fat::image, &[FAT], &["fatfs"]),
    builtin("firmware-key", sign::firmware_key, &[SIGN], SIGNERS),
    builtin("git-apply", git::apply, &[GIT, TREE], &[]),
    builtin("git-checkout", git::checkout, &[GIT, TREE], &[]),
    builtin("guest-workspace", docker::workspace, &[DOCKER, KERNEL, UNPACK, TREE, BOOTISO], DOCKERS),
    builtin("ipxe-config", ipxe::config, &[IPXE], &["memchr"]),
    builtin("ipxe-placeholder", ipxe::placeholder, &[IPXE], &["memchr"]),
    builtin("ipxe-script", ipxe::script, &[IPXE], &["memchr"]),
    builtin("iso", iso::image, &[ISO, BOOTISO], WRITERS),
    builtin("iso-extract", extract::extract, &[EXTRACT, BOOTISO], WRITERS),
    builtin("pick", unpack::pick, &[UNPACK, TREE], UNPACKERS),
    builtin("pick-kernel", kernel::pick, &[KERNEL, UNPACK, TREE], UNPACKERS),
    builtin("predict-registers", measure::predict, &[MEASURE, BOOTISO], MEASURERS),
    builtin("sample-image", docker::sample, &[DOCKER, KERNEL, UNPACK, TREE, BOOTISO], DOCKERS),
    builtin("sign-key-update", sign::key_update, &[SIGN], SIGNERS),
    builtin("sign-program", sign::program, &[SIGN], SIGNERS),
    builtin("smoke-initrd", initrd::smoke, &[INITRD, TREE, BOOTISO], WRITERS),
    builtin("template", template::template, &[TEMPLATE, BOOTISO], WRITERS),
    builtin("unpack", unpack::unpack, &[UNPACK, TREE], UNPACKERS),
];

const fn builtin(
    name: &'static str,
    run: fn(&Call<'_>) -> anyhow::Result<()>,
    sources: &'static [&'static [buildexec::action::SourceFile]],
    crates: &'static [&'static str],
) -> Builtin {
    Builtin { name, run, sources, crates, lock: LOCK }
}
