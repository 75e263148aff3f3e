//! What a TPM measures of the ISO: the prediction beside it, and what a machine read that started it.

use camino::Utf8Path;

use super::{Checks, Subject, TEXT_LIMIT, image, inside::CheckResult, read_file};
use mediaplan::stage::measured::REGISTERS;
use secureboot::measured::{Prediction, registers};

/// The check of `pcr.json`: it follows from the ISO.
pub(super) fn check(subject: &Subject<'_>, iso: &str) -> CheckResult {
    let written = read_file(&subject.dir.join(REGISTERS), TEXT_LIMIT).map_err(|e| format!("{e:#}"))?;
    let predicted = predict(&subject.dir.join(iso))?;
    let text = predicted.to_json().map_err(|e| e.to_string())?;
    if text.as_bytes() != written {
        return Err(format!("{REGISTERS} is not what starting the ISO leaves in a TPM"));
    }
    let mut numbers: Vec<String> = predicted.registers.iter().map(|r| r.pcr.to_string()).collect();
    numbers.dedup();
    let unknown =
        predicted.unknown.first().map(|u| format!("; not the others: {}", u.why)).unwrap_or_default();
    Ok(format!("{REGISTERS} is what starting the ISO leaves in PCR {}{unknown}", numbers.join(", ")))
}

/// Holds what a machine read of its TPM against what starting the ISO leaves there.
pub fn booted(subject: &Subject<'_>, read: &str, checks: &mut Checks) {
    const CHECK: &str = "booted";
    let machine = registers(read);
    if machine.is_empty() {
        let text =
            "the file has no SHA-256 registers: write it with `grep . /sys/class/tpm/tpm0/pcr-sha256/*`";
        return checks.add(CHECK, Err(text.to_owned()));
    }
    let iso =
        iso(subject).ok_or_else(|| "no ISO of the profile in this folder; name the ISO itself".to_owned());
    let prediction = match iso.and_then(|iso| predict(&subject.dir.join(iso))) {
        Ok(prediction) => prediction,
        Err(why) => return checks.add(CHECK, Err(why)),
    };
    prediction.compare(&machine).into_iter().for_each(|(_, found)| checks.add(CHECK, found));
    for unknown in &prediction.unknown {
        checks.skip(CHECK, format!("PCR {}: {}", unknown.pcr, unknown.why));
    }
}

/// The name of the profile's ISO in the folder, or of the one that is looked at.
pub(super) fn iso(subject: &Subject<'_>) -> Option<String> {
    let is_iso = |name: &str| name.ends_with(".iso") && name != "ipxe.iso";
    match &subject.only {
        Some(only) if is_iso(only) => Some(only.clone()),
        _ => {
            let manifest = subject.manifest.as_ref()?;
            manifest.outputs.keys().find(|name| is_iso(name)).cloned()
        }
    }
}

fn predict(path: &Utf8Path) -> Result<Prediction, String> {
    let iso = image::open(path).map_err(|e| format!("{e:#}"))?;
    Prediction::of(&iso).map_err(|e| format!("cannot predict what a TPM measures of the ISO: {e}"))
}
