//! SBOM and provenance: they follow from the manifest. Those of another version of this program may say it otherwise;
//! then every digest in them is still one of the manifest's.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Check, Checks, Subject, TEXT_LIMIT, Verdict, read_file};
use attest::{GENERATOR, MANIFEST, Manifest, PROVENANCE, SBOM, json, provenance, spdx};

pub(super) fn check(subject: &Subject<'_>, manifest: &Manifest, checks: &mut Checks) {
    let sbom = || json(&spdx::document(manifest));
    let statement = || json(&provenance::statement(manifest));
    let each: [(_, _, _, &dyn Fn() -> String); 2] = [
        ("sbom", SBOM, "/creationInfo/creators/0", &sbom),
        ("provenance", PROVENANCE, "/predicate/runDetails/builder/version/xtask", &statement),
    ];
    for (check, name, generator, text) in each.into_iter().filter(|(_, name, ..)| subject.wants(name)) {
        let there = read_file(&subject.dir.join(name), TEXT_LIMIT).unwrap_or_default();
        let (verdict, reason) = if there == text().as_bytes() {
            (Verdict::Pass, format!("{name} follows from {MANIFEST}"))
        } else {
            match of_another_version(&there, generator, manifest) {
                Some(Ok(())) => (
                    Verdict::Skip,
                    format!(
                        "another version of this program wrote {name}; every digest in it is one of {MANIFEST}"
                    ),
                ),
                Some(Err(strange)) => (Verdict::Fail, format!("{name} {strange}")),
                None => (Verdict::Fail, format!("{name} does not follow from {MANIFEST}")),
            }
        };
        checks.0.push(Check { name: check, verdict, reason });
    }
}

/// What is wrong with the digests of a statement that another version wrote; `None` when none did.
fn of_another_version(there: &[u8], generator: &str, manifest: &Manifest) -> Option<Result<(), String>> {
    let value: Value = serde_json::from_slice(there).ok()?;
    let by = value.pointer(generator).and_then(Value::as_str).unwrap_or_default();
    if by.trim_start_matches("Tool: ") == GENERATOR {
        return None;
    }
    let mut named = BTreeSet::new();
    digests(&value, &mut named);
    let told = serde_json::to_value(manifest).ok()?;
    let mut known = BTreeSet::new();
    digests(&told, &mut known);
    if let Some(strange) = named.iter().find(|d| !known.contains(**d)) {
        return Some(Err(format!("names {strange}, which {MANIFEST} does not")));
    }
    let silent = manifest.outputs.iter().find(|(_, o)| !named.contains(o.sha256.to_string().as_str()));
    Some(silent.map_or(Ok(()), |(path, _)| Err(format!("does not name {path} as {MANIFEST} does"))))
}

/// Every text that is a SHA-256. The parser has limited how deep values are nested.
fn digests<'v>(value: &'v Value, found: &mut BTreeSet<&'v str>) {
    match value {
        Value::String(text) if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) => {
            found.insert(text);
        }
        Value::Array(items) => items.iter().for_each(|v| digests(v, found)),
        Value::Object(fields) => fields.values().for_each(|v| digests(v, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_digest_of_a_statement_is_found_and_nothing_else_is_taken_for_one() {
        let (one, two) = ("a1".repeat(32), "B2".repeat(32));
        let value = serde_json::json!({
            "deep": [{ "sha256": one }, two, 64],
            "commit": "c3".repeat(20),
            "word": "xyzzy ".repeat(11)[..64],
            "longer": "d4".repeat(33),
        });
        let mut found = BTreeSet::new();
        digests(&value, &mut found);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [&two, &one]);
    }
}
