//! Who signed what UEFI starts: each program in its turn, and whether that is the chain of the profile.

use anyhow::{Context as _, Result, bail};

use bootiso::Iso;
use camino::Utf8Path;
use mediabuild::builtin::sign::read_certificate;
use mediaplan::config::{Profile, SecureBoot};
use secureboot::{MICROSOFT, Program, RsaCertificate, Signature};

/// No loader and no kernel is larger.
const LIMIT: u64 = 128 << 20;
/// The FAT image for UEFI.
const EFI: &str = "/efi.img";
/// What firmware starts, what that starts, and what is started in the end.
const STAGES: [&str; 3] = ["/EFI/BOOT/BOOTX64.EFI", "/EFI/BOOT/grubx64.efi", "/vmlinuz"];

/// An ISO, and what its profile says of who signs it.
pub(super) struct Chain<'a> {
    pub(super) profile: &'a Profile,
    /// The repository.
    pub(super) root: &'a Utf8Path,
    pub(super) iso: &'a Iso,
}

impl Chain<'_> {
    /// Reads every signature of what UEFI starts; a line for each stage.
    ///
    /// # Errors
    /// When a program is not signed by whom the profile has.
    pub(super) fn check(&self, is_ipxe: bool) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        if let Some(signed) = self.profile.ipxe_signed.as_ref().filter(|_| is_ipxe) {
            return self.others_ipxe(&format!("/EFI/BOOT/{}", signed.loads));
        }
        if let Some(path) = &self.profile.certificate {
            let own = read_certificate(&self.root.join(path))?;
            let stages = if is_ipxe { &STAGES[..1] } else { &STAGES };
            for stage in stages {
                let trusted = |c: &RsaCertificate| *c == own;
                lines.push(by(&program(self.iso, stage)?, stage, &own.subject(), trusted)?);
            }
        }
        if self.profile.secure_boot != SecureBoot::Off && !is_ipxe {
            lines.extend(self.distribution()?);
        }
        Ok(lines)
    }

    /// iPXE that somebody else signed: firmware trusts Microsoft, that shim whom it carries; a person's key may stand for
    /// either.
    fn others_ipxe(&self, path: &str) -> Result<Vec<String>> {
        let own = self.profile.certificate.as_ref();
        let own = own.map(|path| read_certificate(&self.root.join(path))).transpose()?;
        let or_own = |found: Result<String>, program: &Program, path: &str| match &own {
            Some(own) => found.or_else(|e| by(program, path, &own.subject(), |c| c == own).map_err(|_| e)),
            None => found,
        };
        let (shim, ipxe) = (program(self.iso, STAGES[0])?, program(self.iso, path)?);
        let vendor = shim.vendor.as_ref();
        let whose = vendor.map_or_else(|| "the shim".to_owned(), RsaCertificate::subject);
        let by_vendor = |c: &RsaCertificate| vendor.is_some_and(|v| is_of(c, v));
        Ok(vec![
            or_own(by(&shim, STAGES[0], "Microsoft", is_microsofts), &shim, STAGES[0])?,
            or_own(by(&ipxe, path, &whose, by_vendor), &ipxe, path)?,
        ])
    }

    /// Firmware trusts Microsoft, shim the distribution whose certificate is in it. A released kernel is not the
    /// distribution's.
    fn distribution(&self) -> Result<Vec<String>> {
        let [shim, grub, kernel] = STAGES;
        let mut lines = Vec::new();
        let first = program(self.iso, shim)?;
        lines.push(by(&first, shim, "Microsoft", is_microsofts)?);
        let vendor =
            first.vendor.as_ref().context("the shim trusts no distribution: it has no certificate")?;
        let kernel = Some(kernel).filter(|_| self.profile.media.is_distributions());
        for path in [grub].into_iter().chain(kernel) {
            let trusted = |c: &RsaCertificate| is_of(c, vendor);
            lines.push(by(&program(self.iso, path)?, path, &vendor.subject(), trusted)?);
        }
        Ok(lines)
    }
}

fn is_microsofts(certificate: &RsaCertificate) -> bool {
    MICROSOFT.contains(&certificate.fingerprint().as_str())
}

/// Whether a shim that carries `vendor` trusts the certificate.
fn is_of(certificate: &RsaCertificate, vendor: &RsaCertificate) -> bool {
    certificate == vendor || certificate.is_issued_by(vendor)
}

/// The line of a program that `whose` key must have signed.
fn by(
    program: &Program,
    path: &str,
    whose: &str,
    trusted: impl Fn(&RsaCertificate) -> bool,
) -> Result<String> {
    let found = program.signatures.iter().find_map(|s| Some((s, s.leads_to(&trusted)?)));
    let Some((signature, _)) = found else {
        let signers: Vec<String> = program.signatures.iter().map(signer).collect();
        let signers = if signers.is_empty() { "nobody".to_owned() } else { signers.join(", ") };
        bail!("{path} is signed by {signers}, not by {whose}");
    };
    let sbat =
        program.sbat.as_deref().map(|text| format!(", SBAT {}", generations(text))).unwrap_or_default();
    let signer = signer(signature);
    Ok(format!("{path} is signed by {signer} for {whose}, sha256 {}{sbat}", &program.digest_hex()[..16]))
}

fn signer(signature: &Signature) -> String {
    format!("`{}`", signature.signer.subject())
}

/// `shim 4, shim.debian 1`: of each component its generation, below which it can be revoked.
fn generations(sbat: &str) -> String {
    let component = |line: &str| {
        let mut fields = line.split(',');
        Some(format!("{} {}", fields.next()?, fields.next()?))
    };
    let all: Vec<String> =
        sbat.lines().filter(|line| !line.starts_with("sbat,")).filter_map(component).collect();
    all.join(", ")
}

fn program(iso: &Iso, path: &str) -> Result<Program> {
    let bytes = if path.starts_with("/EFI/") {
        let at = iso.find(EFI)?.extents.first().map_or(0, |e| e.offset);
        let files = iso.fat_files(at)?;
        let file = files.iter().find(|f| f.path.eq_ignore_ascii_case(path));
        iso.read(file.with_context(|| format!("{EFI} has no {path}"))?, LIMIT)?
    } else {
        iso.read(&iso.find(path)?, LIMIT)?
    };
    Program::read(&bytes).with_context(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sbat_is_shown_by_component_and_generation() {
        let sbat =
            "sbat,1,SBAT Version,sbat,1,https://x\nshim,4,UEFI shim,shim,1,https://x\nshim.debian,1,Debian\n";
        assert_eq!(generations(sbat), "shim 4, shim.debian 1");
    }
}
