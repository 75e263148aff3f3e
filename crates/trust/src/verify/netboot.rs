//! Signatures of a netboot tree: what iPXE will say to each file.

use mediaplan::stage::media;
use pki::{Certificate, Seconds};

use super::{Checks, Subject, read_file};

/// No kernel or initrd is larger.
const FILE_LIMIT: u64 = 4 << 30;
const SIGNATURE_LIMIT: u64 = 1 << 20;

/// The file that a signature of a netboot tree is of, by the signature's path: one that iPXE loads, since `dist` signs no
/// other.
#[must_use]
pub(crate) fn signed_file(path: &str) -> Option<&str> {
    path.strip_suffix(".sig").filter(|file| media::is_loaded(file))
}

/// Checks every signature as iPXE that trusts `roots` would at the time `now`. `None` as roots: not known which.
pub fn check(subject: &Subject<'_>, roots: Option<&[Certificate]>, now: Seconds, checks: &mut Checks) {
    let Some(manifest) = &subject.manifest else { return };
    let profile = subject.loaded.and_then(|l| l.config.profile(Some(&manifest.profile)).ok());
    let wanted = profile.is_some_and(|p| p.netboot.is_signed());
    let all: Vec<&String> =
        manifest.outputs.keys().filter(|file| media::is_loaded(file) && subject.wants(file)).collect();
    let signed = all.iter().any(|file| subject.dir.join(format!("{file}.sig")).is_file());
    if all.is_empty() || !(signed || wanted) {
        return;
    }
    let Some(roots) = roots else {
        return checks
            .skip("netboot", "it is signed; name the certificate that iPXE trusts with --netboot-root");
    };
    checks.add("netboot", signatures(subject, &all, roots, now));
}

fn signatures(
    subject: &Subject<'_>,
    files: &[&String],
    roots: &[Certificate],
    now: Seconds,
) -> Result<String, String> {
    let mut by = None;
    for file in files {
        let read =
            |path: &str, limit| read_file(&subject.dir.join(path), limit).map_err(|e| format!("{e:#}"));
        let signature = format!("{file}.sig");
        if !subject.dir.join(&signature).is_file() {
            return Err(format!("{file} has no signature: iPXE refuses it"));
        }
        let signed = pki::verify(&read(file, FILE_LIMIT)?, &read(&signature, SIGNATURE_LIMIT)?, roots, now)
            .map_err(|refusal| format!("iPXE refuses {file}: {refusal}"))?;
        by = Some(signed);
    }
    let by = by.ok_or("nothing to check")?;
    Ok(format!(
        "{} files signed by {} under {}, until {}",
        files.len(),
        by.by.subject(),
        by.root,
        by.by.last_day()
    ))
}
