//! What a release says of itself: its section of `CHANGELOG.md`.

use failure::{Failure, Kind};

/// The tag that `text` names: a tag's name, or git's whole name of one, `refs/tags/v1.2.3`. A branch is none.
#[must_use]
pub fn tag(text: &str) -> Option<&str> {
    match text.strip_prefix("refs/") {
        Some(rest) => rest.strip_prefix("tags/"),
        None => Some(text),
    }
}

/// The section of a changelog that is about `tag`, its heading included; without one, the newest.
///
/// # Errors
/// [`Kind::Config`] when there is no such section, or nothing in it.
pub fn section(changelog: &str, tag: Option<&str>) -> Result<String, Failure> {
    let mut lines = changelog.lines().skip_while(|line| match (line.strip_prefix("## "), tag) {
        (Some(title), Some(tag)) => version(title) != version(tag),
        (title, _) => title.is_none(),
    });
    let head = lines.next();
    let rest: Vec<&str> = lines.take_while(|line| !line.starts_with("## ")).collect();
    let rest = rest.join("\n");
    let wanted = tag.map_or("section".to_owned(), |tag| format!("section `## {}`", version(tag)));
    match head {
        Some(head) if !rest.trim().is_empty() => Ok(format!("{head}\n{}\n", rest.trim_end())),
        Some(_) => Err(Failure::new(Kind::Config, format!("the {wanted} of CHANGELOG.md is empty"))),
        None => Err(Failure::new(Kind::Config, format!("CHANGELOG.md has no {wanted}"))
            .help("give what is under `## Unreleased` its version before it is tagged")),
    }
}

/// `1.2.3` of `v1.2.3`, `[1.2.3] - 2025-11-25` and `1.2.3 (2025-11-25)`.
fn version(title: &str) -> &str {
    let word = title.split_whitespace().next().unwrap_or_default();
    let word = word.trim_start_matches('[').trim_end_matches([']', ':']);
    word.strip_prefix('v').unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# Changes\n\nAbout.\n\n## Unreleased\n\n- next\n\n## [1.10.0] - 2025-11-25\n\n- new\n\n## v1.1\n\n- old\n\n## 0.9\n\n";

    #[test]
    fn a_tag_has_its_own_section_and_no_tag_the_newest() {
        let of = |tag| section(TEXT, tag).unwrap();
        assert_eq!(of(Some("v1.10.0")), "## [1.10.0] - 2025-11-25\n\n- new\n");
        assert_eq!(of(Some("1.1")), "## v1.1\n\n- old\n");
        assert_eq!(of(None), "## Unreleased\n\n- next\n");
    }

    #[test]
    fn notes_that_are_missing_or_empty_are_none() {
        let why = |text, tag| section(text, tag).unwrap_err().to_string();
        assert_eq!(why(TEXT, Some("v1.1.0")), "CHANGELOG.md has no section `## 1.1.0`");
        assert_eq!(why(TEXT, Some("v0.9")), "the section `## 0.9` of CHANGELOG.md is empty");
        assert_eq!(why("", None), "CHANGELOG.md has no section");
    }

    #[test]
    fn a_branch_is_no_tag() {
        assert_eq!(tag("refs/tags/v1"), Some("v1"));
        assert_eq!(tag("v1"), Some("v1"));
        assert_eq!(tag("refs/heads/main"), None);
    }
}
