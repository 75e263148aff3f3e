//! Each file of the media, by itself and inside: kernel and initrd, parameters, scripts, iPXE.

use anyhow::Result;

use super::{
    Checks, Subject,
    expect::{Expected, KnownDigest},
    image, measured, own_key, packed, read_file,
};
use attest::MANIFEST;
use bootiso::Iso;
use buildplan::Artifact;
use mediaplan::{config::Engine, stage::measured::REGISTERS};

/// No program that a loader is or starts is larger.
pub(super) const PROGRAM_LIMIT: u64 = 16 << 20;

/// No kernel is larger.
pub(super) const KERNEL_LIMIT: u64 = 128 << 20;

/// Bytes that a filter of packed code may change behind it.
const FILTERED: usize = 8;

pub(super) type CheckResult = Result<String, String>;

/// Checks every file that is planned, or the one that is looked at.
pub(super) fn check(subject: &Subject<'_>, checks: &mut Checks) -> Result<()> {
    let expected = match &subject.expected {
        Ok(expected) => expected,
        Err(reason) => {
            checks.skip("parameters", reason);
            return layout_alone(subject, checks);
        }
    };
    for (path, artifact) in &expected.planned.outputs {
        subject.ctx.check_interrupt()?;
        if path == REGISTERS {
            let iso = measured::iso(subject).filter(|_| subject.wants(path));
            iso.into_iter().for_each(|iso| checks.add("registers", measured::check(subject, &iso)));
        } else if subject.wants(path) && !path.ends_with(".iso") {
            output(subject, expected, path, artifact, checks);
        } else if let Some(file) = medium(subject, path) {
            let iso = image::open(&subject.dir.join(file));
            image::check(subject, expected, (path, iso), artifact, checks);
        }
    }
    binaries(subject, expected, checks);
    Ok(())
}

/// Checks `iso` as if it were the file `file` of the folder.
pub(super) fn check_as(subject: &Subject<'_>, file: &str, iso: Iso, checks: &mut Checks) {
    let expected = match &subject.expected {
        Ok(expected) => expected,
        Err(reason) => return checks.add("iso", Err(reason.clone())),
    };
    match expected.planned.outputs.iter().find(|(path, _)| medium(subject, path).as_deref() == Some(file)) {
        Some((path, artifact)) => image::check(subject, expected, (path, Ok(iso)), artifact, checks),
        None => checks.add("iso", Err(format!("this repository does not produce {file}"))),
    }
}

/// Where the planned ISO `path` is, when it is looked at. Alone, the profile's ISO may have another name.
fn medium(subject: &Subject<'_>, path: &str) -> Option<String> {
    let alone = |only: &&String| subject.manifest.is_none() && path != "ipxe.iso" && *only != "ipxe.iso";
    match &subject.only {
        _ if !path.ends_with(".iso") => None,
        Some(only) => {
            Some(only).filter(|only| *only == path || alone(only) && only.ends_with(".iso")).cloned()
        }
        None => Some(path.to_owned()),
    }
}

/// Of an ISO of which nothing is known, only whether it tells the truth of itself.
fn layout_alone(subject: &Subject<'_>, checks: &mut Checks) -> Result<()> {
    if let Some(only) = subject.only.as_ref().filter(|n| n.ends_with(".iso") && *n != "ipxe.iso") {
        let said = image::open(&subject.dir.join(only)).and_then(|iso: Iso| image::layout(&iso));
        checks.add("embed areas", said.map_err(|e| format!("{e:#}")));
    }
    Ok(())
}

/// A file is what it must be, as far as that can be known without a build.
fn output(subject: &Subject<'_>, expected: &Expected, path: &str, artifact: &Artifact, checks: &mut Checks) {
    let name = match path {
        "netboot/vmlinuz" | "netboot/initrd" => "released",
        "netboot/seed.cpio" => "config initrd",
        "netboot/cloud-config.yml" => "cloud-config",
        key if key.starts_with("secure-boot/") => "secure boot key",
        script if script.starts_with("netboot/") => "boot script",
        _ => "iPXE",
    };
    if is_signed(subject, expected, path, artifact, (name, checks)) {
        return;
    }
    match expected.artifact(artifact) {
        Some((want, what)) if subject.digest(path) == Some(want) => {
            checks.add(name, Ok(format!("{path} is {what}")));
        }
        Some((_, what)) => checks.add(name, Err(format!("{path} is not {what}"))),
        None if name == "iPXE" && subject.manifest.is_none() => {
            checks.skip(name, format!("{path} cannot be checked without {MANIFEST}"));
        }
        // Those that are compiled are looked into; see `binaries`.
        None if name == "iPXE" => {}
        None => checks.skip(name, format!("the source of {path} is not at hand; --fetch gets it")),
    }
}

/// Whether it is known what a key signed, which then was checked.
fn is_signed(
    subject: &Subject<'_>,
    expected: &Expected,
    path: &str,
    artifact: &Artifact,
    (name, checks): (&'static str, &mut Checks),
) -> bool {
    let read = || read_file(&subject.dir.join(path), KERNEL_LIMIT).map_err(|e| format!("{e:#}"));
    let found = own_key::check(expected, &subject.ctx.root, artifact, read);
    let found = found.map(|f| f.map(|said| format!("{path} {said}")).map_err(|why| format!("{path} {why}")));
    found.map(|found| checks.add(name, found)).is_some()
}

/// What is beside it in the manifest: the ISO has the very kernel that the netboot tree has. Only where that file is
/// looked at as well: otherwise nothing but the manifest, which comes with the media, would vouch for it.
pub(super) fn beside(subject: &Subject<'_>, expected: &Expected, artifact: &Artifact) -> Option<KnownDigest> {
    let manifest = subject.manifest.as_ref()?;
    let (path, _) = expected.planned.outputs.iter().find(|(path, a)| a == artifact && subject.wants(path))?;
    Some((manifest.outputs.get(path)?.sha256, path.clone()))
}

/// Programs that are compiled here carry this repository's script, where they were not built on this machine.
fn binaries(subject: &Subject<'_>, expected: &Expected, checks: &mut Checks) {
    const CHECK: &str = "iPXE script";
    if subject.manifest.as_ref().is_none_or(|m| m.engine != Engine::Source) {
        return;
    }
    let program = |path: &str| subject.wants(path) && !path.contains('/') && !path.ends_with(".iso");
    let unknown = |artifact| expected.artifact(artifact).is_none();
    for (name, _) in expected.planned.outputs.iter().filter(|(path, a)| program(path) && unknown(a)) {
        let bytes = read_file(&subject.dir.join(name), PROGRAM_LIMIT).map_err(|e| format!("{e:#}"));
        let text = expected.text("embed.ipxe");
        checks.add(CHECK, bytes.and_then(|bytes| reads_back(&bytes, &text?, name)));
        checks.skip("iPXE", format!("{name} was compiled elsewhere; --rebuild compares it"));
    }
}

/// The script out of a program, which may be packed.
fn reads_back(program: &[u8], text: &str, name: &str) -> CheckResult {
    if name.ends_with(".efi") {
        return carries(program, text, name);
    }
    // The packer's filter for jumps may change what follows a byte of code in front of the script.
    carries(&packed::unpacked(program), text.get(FILTERED..).unwrap_or(text), name)
}

pub(super) fn carries(program: &[u8], text: &str, name: &str) -> CheckResult {
    if memchr::memmem::find(program, text.as_bytes()).is_some() {
        return Ok(format!("{name} carries the script that this repository makes"));
    }
    Err(format!("{name} does not carry the script that this repository makes"))
}

#[cfg(test)]
mod tests {
    use super::{
        super::packed::tests::{noise, packed},
        *,
    };

    #[test]
    fn a_script_is_found_in_a_program_packed_or_not_and_another_is_not() {
        let script = "#!ipxe\nchain --autofree ${base-url}/boot.html\n";
        let around = |text: &str| [&noise(1000)[..], text.as_bytes(), &noise(10)].concat();
        let said = |bytes: &[u8], name: &str| reads_back(bytes, script, name);
        assert!(said(&around(script), "ipxe.efi").unwrap().starts_with("ipxe.efi carries the script"));
        assert!(said(&packed(&around(script)), "ipxe.lkrn").is_ok());
        // The packer's filter changed the bytes in front.
        assert!(said(&packed(&around(&script.replace("#!ipxe", "??????"))), "ipxe.lkrn").is_ok());
        let other = around(&script.replace("--autofree", "--replace "));
        for (bytes, name) in
            [(&other, "ipxe.efi"), (&packed(&other), "ipxe.lkrn"), (&around(script), "a.kpxe")]
        {
            let refusal = said(bytes, name).unwrap_err();
            assert_eq!(refusal, format!("{name} does not carry the script that this repository makes"));
        }
    }
}
