//! The boot script of a netboot tree, changed for one boot.

use std::collections::BTreeMap;

use camino::Utf8Path;

use crate::server::Changes;
use failure::{Failure, Kind};
use netboot::Fault;
use vmspec::scenario::Sabotage;

/// Names under which a boot script is asked for.
pub(crate) const SCRIPTS: [&str; 2] = ["boot.html", "boot.ipxe"];
/// The cloud-config on the server.
pub(crate) const CONFIG: &str = "cloud-config.yml";

/// The archive with the cloud-config that a script loads before the initrd.
const CONFIG_INITRD: &str = "seed.cpio";

/// Whether `script` brings its own cloud-config.
#[must_use]
pub(crate) fn has_config_initrd(script: &str) -> bool {
    script.contains(CONFIG_INITRD)
}

/// `script` without its own cloud-config, so that one from elsewhere is looked for.
#[must_use]
pub(crate) fn without_config_initrd(script: &str) -> String {
    script.split_inclusive('\n').filter(|l| !l.contains(CONFIG_INITRD)).collect()
}

/// `script` with `args` added to its kernel lines, before what follows a failure.
///
/// # Errors
/// [`Kind::Input`] when it has no kernel line.
pub(crate) fn with_args(script: &str, args: &str) -> anyhow::Result<String> {
    let mut found = false;
    let mut out = String::new();
    for line in script.lines() {
        let is_kernel = line.trim_start().starts_with("kernel ");
        found |= is_kernel;
        match line.split_once(" ||") {
            Some((kernel, or)) if is_kernel => out += &format!("{kernel} {args} ||{or}\n"),
            _ if is_kernel => out += &format!("{line} {args}\n"),
            _ => out += &format!("{line}\n"),
        }
    }
    if !found {
        return Err(Failure::new(Kind::Input, "the boot script has no `kernel` line").into());
    }
    Ok(out)
}

/// What the server does differently for a boot with this script and, if given, this cloud-config.
#[must_use]
pub(crate) fn changes(
    script: &str,
    config: Option<&str>,
    kernel_size: u64,
    sabotage: Option<Sabotage>,
) -> Changes {
    let mut changes = Changes::default();
    for name in SCRIPTS {
        changes.overrides.insert(name.to_owned(), script.as_bytes().to_vec());
    }
    if let Some(config) = config {
        changes.overrides.insert(CONFIG.to_owned(), config.as_bytes().to_vec());
    }
    let mut fault = |name: &str, fault| {
        changes.faults.insert(name.to_owned(), fault);
    };
    match sabotage {
        Some(Sabotage::NoScript) => SCRIPTS.iter().for_each(|s| fault(s, Fault::Status(404))),
        Some(Sabotage::NoCloudConfig) => fault(CONFIG, Fault::Status(404)),
        Some(Sabotage::StalledKernel) => fault("vmlinuz", Fault::StallAfter(kernel_size / 2)),
        Some(Sabotage::NoSignature) => fault("initrd.sig", Fault::Status(404)),
        // What is broken elsewhere than on the server.
        Some(_) | None => {}
    }
    changes
}

/// What a server that cannot sign changes of a signed tree, with this kernel.
///
/// # Errors
/// When no key can be made.
pub(crate) fn forged(kernel: &[u8], sabotage: Option<Sabotage>) -> anyhow::Result<Changes> {
    let mut changes = changes("", None, kernel.len() as u64, sabotage);
    changes.overrides.clear();
    match sabotage {
        Some(Sabotage::SwappedKernel) => {
            let mut other = kernel.to_vec();
            // Behind its header: the kernel would run.
            if let Some(byte) = other.last_mut() {
                *byte ^= 1;
            }
            changes.overrides.insert("vmlinuz".to_owned(), other);
        }
        Some(Sabotage::OtherKey) => {
            let script = b"#!ipxe\necho somebody else's script runs\n".to_vec();
            changes.overrides.insert("boot.ipxe.sig".to_owned(), by_another_key(&script)?);
            changes.overrides.insert("boot.ipxe".to_owned(), script);
        }
        _ => {}
    }
    Ok(changes)
}

/// Signatures of everything in `tree` that has one, by another signer.
///
/// # Errors
/// When a file cannot be read or signed.
pub(crate) fn signed_again(
    tree: &Utf8Path,
    signer: &pki::Signer,
) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let mut made = BTreeMap::new();
    for entry in tree.read_dir_utf8()? {
        let path = entry?.into_path();
        if path.extension() == Some("sig") {
            let signature = signer.sign(&fs_err::read(path.with_extension(""))?)?;
            made.insert(path.file_name().unwrap_or_default().to_owned(), signature);
        }
    }
    Ok(made)
}

/// A signature that is right in all but who made it.
fn by_another_key(data: &[u8]) -> anyhow::Result<Vec<u8>> {
    let chance = |n| pki::Chance { key: [n; 32].into(), serial: [n; 16], salt: [n; 16], iv: [n; 16] };
    let lifetime = pki::Lifetime { until: 4_000_000_000 };
    let root = pki::authority("netboot root", lifetime, &chance(1), None).map_err(anyhow::Error::msg)?;
    let signer = pki::signer("netboot", lifetime, &chance(2), None, (&root.secret, None));
    let signer = pki::Signer::open(&signer.map_err(anyhow::Error::msg)?.secret, None)?;
    Ok(signer.sign(data)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_go_in_front_of_the_way_out() {
        let script = "#!ipxe\n  kernel ${base-url}/vmlinuz quiet || goto failed\ninitrd i\nkernel k\n";
        let made = with_args(script, "x=1").unwrap();
        let wanted =
            "#!ipxe\n  kernel ${base-url}/vmlinuz quiet x=1 || goto failed\ninitrd i\nkernel k x=1\n";
        assert_eq!(made, wanted);
        assert!(with_args("#!ipxe\nboot\n", "x").is_err());
    }

    #[test]
    fn only_the_config_initrd_is_taken_out() {
        let script = "#!ipxe\ninitrd ${base-url}/seed.cpio || goto failed\ninitrd i\n";
        assert!(has_config_initrd(script));
        assert_eq!(without_config_initrd(script), "#!ipxe\ninitrd i\n");
    }

    #[test]
    fn each_sabotage_of_the_server_breaks_what_it_says() {
        let faults = |s| changes("s", None, 100, Some(s)).faults;
        assert_eq!(faults(Sabotage::StalledKernel)["vmlinuz"], Fault::StallAfter(50));
        assert_eq!(faults(Sabotage::NoScript).len(), 2);
        assert_eq!(faults(Sabotage::NoCloudConfig)[CONFIG], Fault::Status(404));
        assert!(faults(Sabotage::NoDhcp).is_empty());
    }
}
