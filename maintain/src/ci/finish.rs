//! The one job that a branch rule requires: did every job pass that this one needs?

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Deserialize;

use failure::{Explain as _, Failure, Kind};

#[derive(Deserialize)]
struct NeededJob {
    result: String,
}

/// Reads GitHub's `toJSON(needs)`.
///
/// # Errors
/// [`Kind::Command`] naming every job that did not pass: one that was skipped or cancelled did not.
pub(crate) fn check(needs: Option<&str>) -> Result<()> {
    let needs = needs.ok_or_else(|| {
        Failure::new(Kind::Usage, "the variable NEEDS is not set")
            .help("in a workflow, set it to `${{ toJSON(needs) }}`")
    })?;
    let needs: BTreeMap<String, NeededJob> = serde_json::from_str(needs)
        .explain(Kind::Usage, || "the variable NEEDS is not GitHub's `toJSON(needs)`".into())?;
    let bad: Vec<String> = needs
        .iter()
        .filter(|(_, n)| n.result != "success")
        .map(|(name, n)| format!("{name} ({})", n.result))
        .collect();
    if bad.is_empty() && !needs.is_empty() {
        return Ok(());
    }
    let bad = if needs.is_empty() { "no job was needed".to_owned() } else { bad.join(", ") };
    Err(Failure::new(Kind::Command, format!("not every job passed: {bad}")).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_was_skipped_did_not_pass() {
        let needs = r#"{"a":{"result":"success","outputs":{}},"b":{"result":"skipped"}}"#;
        assert_eq!(check(Some(needs)).unwrap_err().to_string(), "not every job passed: b (skipped)");
        assert!(check(Some(r#"{"a":{"result":"success"}}"#)).is_ok());
        assert!(check(Some("{}")).is_err());
        assert!(check(Some("")).is_err());
        let unset = check(None).unwrap_err();
        assert_eq!(unset.to_string(), "the variable NEEDS is not set");
        assert_eq!(failure::helps_of(&unset).len(), 1);
    }
}
