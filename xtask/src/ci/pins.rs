//! Are the pinned things still where media.toml says, and is there anything newer? For a person to decide: nothing
//! is changed, and a server that does not answer is a remark, not an error.

use anyhow::Result;

use crate::{
    config::{Config, Profile},
    ctx::Ctx,
    exec::fetch,
    plan::Cmd,
};

/// What was found, as the body of an issue; `None` when there is nothing to do.
///
/// # Errors
/// On Ctrl-C.
pub fn report(ctx: &Ctx, config: &Config) -> Result<Option<String>> {
    let mut remarks = ipxe(ctx, config);
    for profile in config.profiles() {
        ctx.check_interrupt()?;
        remarks.extend(files(ctx, profile));
        remarks.extend(newer_release(ctx, profile));
    }
    let list = remarks.iter().map(|r| format!("- {r}\n")).collect::<String>();
    let head = "What media.toml pins is not as it was, or there is something newer.\n\n";
    Ok((!remarks.is_empty()).then(|| format!("{head}{list}")))
}

fn ipxe(ctx: &Ctx, config: &Config) -> Vec<String> {
    let pin = &config.ipxe;
    let mut remarks = Vec::new();
    for repository in &pin.repositories {
        let Some(tags) = tags(ctx, repository) else {
            remarks.push(format!("iPXE: {repository} does not answer"));
            continue;
        };
        let tag = format!("v{}", pin.version);
        match tags.iter().find(|(name, _)| *name == tag) {
            None => remarks.push(format!("iPXE: {repository} has no {tag}")),
            Some((_, commit)) if *commit != pin.commit => {
                remarks
                    .push(format!("iPXE: {tag} of {repository} is {commit}, and `{}` is pinned", pin.commit));
            }
            Some(_) => {}
        }
        let names = tags.iter().map(|(name, commit)| (name.as_str(), commit.as_str()));
        remarks.extend(newest(names, &pin.version).map(|(version, commit)| {
            format!("iPXE {version} is out: set `version = \"{version}\"`, `commit = \"{commit}\"` in [ipxe]")
        }));
    }
    remarks.sort();
    remarks.dedup();
    remarks
}

fn files(ctx: &Ctx, profile: &Profile) -> Vec<String> {
    let urls = profile.media.released().into_iter().flat_map(|r| &r.urls);
    let gone = urls.filter_map(|url| {
        let answer = fetch::agent().head(url).call();
        answer.err().map(|e| format!("{}: {url} does not answer: {e}", profile.name))
    });
    let gone: Vec<String> = gone.collect();
    if gone.is_empty() && profile.media.released().iter().any(|r| !r.urls.is_empty()) {
        ctx.report.note(format!("{}: every address answers", profile.name));
    }
    gone
}

/// A newer tag of the GitHub repository that a profile's first address is in.
fn newer_release(ctx: &Ctx, profile: &Profile) -> Option<String> {
    let released = profile.media.released();
    let url = released.iter().flat_map(|r| &r.urls).find_map(|u| repository(u))?;
    let tags = tags(ctx, &url)?;
    let version = profile.version.as_deref()?;
    let names = tags.iter().map(|(name, commit)| (name.as_str(), commit.as_str()));
    let (newer, _) = newest(names, version)?;
    let name = &profile.name;
    Some(format!(
        "{name}: {newer} is out, {version} is pinned: set `version = \"{newer}\"` in [profile.{name}], then \
         `cargo xtask fetch --update {name}`"
    ))
}

/// `https://github.com/OWNER/NAME` of a release's address.
fn repository(url: &str) -> Option<String> {
    let mut words = url.strip_prefix("https://github.com/")?.split('/');
    Some(format!("https://github.com/{}/{}", words.next()?, words.next()?))
}

fn tags(ctx: &Ctx, repository: &str) -> Option<Vec<(String, String)>> {
    let cmd = Cmd::new("git", "list tags")
        .args(["ls-remote", "--tags", repository])
        .env("GIT_TERMINAL_PROMPT", "0")
        .deadline(std::time::Duration::from_secs(60));
    ctx.runner.run(&cmd).ok().map(|o| parse_tags(&o.text()))
}

/// Tags and commits of `git ls-remote --tags`; of an annotated tag, the commit that it stands for.
fn parse_tags(text: &str) -> Vec<(String, String)> {
    let mut tags: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        let Some((commit, name)) = line.split_once("\trefs/tags/") else { continue };
        match (name.strip_suffix("^{}"), tags.last_mut()) {
            (Some(peeled), Some(last)) if last.0 == peeled => commit.clone_into(&mut last.1),
            _ => tags.push((name.to_owned(), commit.to_owned())),
        }
    }
    tags
}

/// The newest tag `v1.2.3` above `version`; release candidates and other names are none.
fn newest<'t>(tags: impl Iterator<Item = (&'t str, &'t str)>, version: &str) -> Option<(&'t str, &'t str)> {
    let now = numbers(version)?;
    let all = tags.filter_map(|(name, commit)| {
        let version = name.strip_prefix('v')?;
        Some((numbers(version)?, version, commit))
    });
    let (_, version, commit) = all.filter(|(n, ..)| *n > now).max()?;
    Some((version, commit))
}

fn numbers(version: &str) -> Option<Vec<u64>> {
    version.split('.').map(|n| n.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "aaa\trefs/tags/v1.9.3\nbbb\trefs/tags/v1.10.0\nccc\trefs/tags/v1.10.0^{}\n\
                        ddd\trefs/tags/v2.0.0-rc1\neee\trefs/heads/main\n";

    #[test]
    fn an_annotated_tag_stands_for_its_commit() {
        let tags = parse_tags(SAID);
        assert_eq!(tags[1], ("v1.10.0".to_owned(), "ccc".to_owned()));
        assert_eq!(tags.len(), 3, "{tags:?}");
    }

    #[test]
    fn newer_is_by_number_and_a_release_candidate_is_none() {
        let tags = parse_tags(SAID);
        let of = |v| newest(tags.iter().map(|(n, c)| (n.as_str(), c.as_str())), v).map(|(v, _)| v);
        assert_eq!(of("1.9.3"), Some("1.10.0"));
        assert_eq!(of("1.10.0"), None);
    }

    #[test]
    fn a_release_is_in_a_repository() {
        let url = "https://github.com/burmilla/os/releases/download/v1/x.iso";
        assert_eq!(repository(url).as_deref(), Some("https://github.com/burmilla/os"));
        assert_eq!(repository("https://releases.rancher.com/os/x.iso"), None);
    }
}
