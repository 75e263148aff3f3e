//! The manifest of a workspace cut down to the crates of one program.

use anyhow::{Context as _, Result};
use buildexec::action::Call;
use toml::{Table, Value};

/// The crates of the configuration program.
const MEMBERS: &[&str] = &["crates/bootparams", "crates/hostconf"];

/// `manifest`, `to`.
///
/// # Errors
/// When the manifest is none of a workspace.
pub(in super::super) fn workspace(call: &Call<'_>) -> Result<()> {
    let text = fs_err::read_to_string(call.path("manifest")?)?;
    fs_err::write(call.out("to")?, cut(&text)?)?;
    Ok(())
}

fn cut(text: &str) -> Result<String> {
    let mut manifest: Table = text.parse().context("Cargo.toml cannot be read")?;
    let workspace = manifest.get_mut("workspace").and_then(Value::as_table_mut);
    let workspace = workspace.context("Cargo.toml has no workspace")?;
    let members = MEMBERS.iter().map(|m| Value::from(*m)).collect::<Vec<_>>();
    workspace.insert("members".to_owned(), members.into());
    workspace.remove("default-members");
    Ok(toml::to_string(&manifest)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_crates_are_no_members_and_the_rest_stays() {
        let text = "[workspace]\nmembers = [\"xtask\", \"crates/*\"]\ndefault-members = [\"xtask\"]\n\
                    [workspace.dependencies]\nserde = \"1\"\n[profile.guest]\nlto = true\n";
        let cut: Table = cut(text).unwrap().parse().unwrap();
        assert_eq!(cut["workspace"]["members"].as_array().unwrap().len(), MEMBERS.len());
        assert!(cut["workspace"].get("default-members").is_none());
        assert_eq!(cut["workspace"]["dependencies"]["serde"].as_str(), Some("1"));
        assert_eq!(cut["profile"]["guest"]["lto"].as_bool(), Some(true));
        assert!(super::cut("[package]\n").is_err());
    }
}
