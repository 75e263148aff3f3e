//! Are the pinned things still where media.toml says, and is there anything newer? For a person to decide: nothing
//! is changed, and a server that does not answer is a remark, not an error,
//! as long as another does.

use std::collections::BTreeMap;

use anyhow::Result;

use buildexec::ctx::Ctx;
use buildexec::fetch;
use buildplan::{Cmd, shown_url};
use failure::{Failure, Kind, kind_of};
use mediabuild::workspace::{
    archive::{self, PackageChange},
    load::Loaded,
};
use mediaplan::config::{Config, LockedPackage, Profile, repository::TRANSPORTS};
use mediaplan::stage::packages;
use report::table::count;

/// What was asked and found.
#[derive(Default)]
struct Survey {
    answers: usize,
    silent: usize,
    remarks: Vec<String>,
    packages: Option<BTreeMap<String, LockedPackage>>,
}

/// What is not as media.toml and media.lock have it.
pub(crate) struct PinReport {
    /// The body of an issue or a change.
    pub body: String,
    /// Today's packages, when they are others than those recorded.
    pub packages: Option<BTreeMap<String, LockedPackage>>,
}

/// What was found; `None` when there is nothing to do.
///
/// # Errors
/// [`Kind::Network`] when no server answers at all: that says nothing of the pins. [`Kind::Digest`] when the distribution's
/// index is not signed as media.toml says. Ctrl-C.
pub(crate) fn report(ctx: &Ctx, loaded: &Loaded) -> Result<Option<PinReport>> {
    let mut survey = Survey::default();
    let config = &loaded.config;
    survey.ipxe(ctx, config);
    survey.packages(ctx, loaded)?;
    for profile in config.profiles() {
        ctx.check_interrupt()?;
        survey.files(ctx, profile);
        survey.newer_release(ctx, profile);
    }
    let Survey { answers, silent, mut remarks, packages } = survey;
    if answers == 0 && silent > 0 {
        return Err(Failure::new(Kind::Network, format!("none of {silent} requests was answered"))
            .help("this machine has no network, so the pins were not checked")
            .into());
    }
    remarks.sort();
    remarks.dedup();
    let list = remarks.iter().map(|r| format!("- {r}\n")).collect::<String>();
    let head = "Something that media.toml pins has changed, or a newer version is out.\n\n";
    Ok((!remarks.is_empty()).then(|| PinReport { body: format!("{head}{list}"), packages }))
}

impl Survey {
    fn ipxe(&mut self, ctx: &Ctx, config: &Config) {
        let pin = &config.ipxe;
        let tag = format!("v{}", pin.version);
        for repository in &pin.repositories {
            let Some(tags) = self.tags(ctx, repository) else {
                self.remarks.push(format!("iPXE: {repository} does not answer"));
                continue;
            };
            match tags.iter().find(|(name, _)| *name == tag) {
                None => self.remarks.push(format!("iPXE: {repository} has no {tag}")),
                Some((_, commit)) if *commit != pin.commit => self
                    .remarks
                    .push(format!("iPXE: {tag} of {repository} is {commit}, and `{}` is pinned", pin.commit)),
                Some(_) => {}
            }
            self.remarks.extend(newest(&tags, &pin.version).map(|(version, commit)| {
                format!(
                    "iPXE {version} is out: set `version = \"{version}\"`, `commit = \"{commit}\"` in [ipxe]"
                )
            }));
        }
    }

    /// The distribution's packages, by its signed indices.
    fn packages(&mut self, ctx: &Ctx, loaded: &Loaded) -> Result<()> {
        let Loaded { config, lock, .. } = loaded;
        let today = match archive::today(ctx, &config.distribution) {
            Err(e) if kind_of(&e) == Some(Kind::Network) => {
                self.silent += 1;
                self.remarks.push(format!("packages: {e}"));
                return Ok(());
            }
            Err(e) if kind_of(&e) == Some(Kind::MissingTool) => {
                ctx.report.warn(format!("the distribution's packages were not checked: {e}"));
                return Ok(());
            }
            today => today?,
        };
        self.answers += 1;
        let wanted = config.profiles().flat_map(|p| packages::wanted(&p.media, p.secure_boot)).collect();
        let new = today.resolve(&wanted, &lock.packages)?;
        let changes = archive::changes(&lock.packages, &new);
        self.remarks.extend(package_remarks(&changes));
        self.packages = Some(new).filter(|_| !changes.is_empty());
        Ok(())
    }

    fn files(&mut self, ctx: &Ctx, profile: &Profile) {
        let mut gone = 0;
        let urls: Vec<_> = profile.released().into_iter().flat_map(|r| &r.urls).collect();
        for url in &urls {
            let Err(e) = fetch::exists(ctx, url) else {
                self.answers += 1;
                continue;
            };
            gone += 1;
            // A server that says no has answered.
            match e {
                ureq::Error::StatusCode(_) => self.answers += 1,
                _ => self.silent += 1,
            }
            self.remarks.push(format!("{}: {} does not answer: {e}", profile.name, shown_url(url)));
        }
        if gone == 0 && !urls.is_empty() {
            ctx.report.note(format!("{}: every address answers", profile.name));
        }
    }

    /// A newer tag of the GitHub repository that a profile's first address is in.
    fn newer_release(&mut self, ctx: &Ctx, profile: &Profile) {
        let released = profile.released();
        let url = released.iter().flat_map(|r| &r.urls).find_map(|u| repository(u));
        let (Some(url), Some(version)) = (url, profile.version.as_deref()) else { return };
        let tags = self.tags(ctx, &url).unwrap_or_default();
        let Some((newer, _)) = newest(&tags, version) else { return };
        let name = &profile.name;
        self.remarks.push(format!(
            "{name}: {newer} is out, {version} is pinned: set `version = \"{newer}\"` in [profile.{name}], then \
             `cargo xtask fetch --update {name}`"
        ));
    }

    fn tags(&mut self, ctx: &Ctx, repository: &str) -> Option<Vec<(String, String)>> {
        let cmd = Cmd::new("git", "list tags")
            .args(["ls-remote", "--tags", "--", repository])
            .env("GIT_ALLOW_PROTOCOL", TRANSPORTS.join(":"))
            .env("GIT_TERMINAL_PROMPT", "0")
            .deadline(std::time::Duration::from_secs(60));
        let tags = ctx.runner.run(&cmd).ok().map(|o| parse_tags(&o.text()));
        if tags.is_some() {
            self.answers += 1;
        } else {
            self.silent += 1;
        }
        tags
    }
}

/// Each security update by its name, and how many other packages are not as they were recorded.
fn package_remarks(changes: &[PackageChange]) -> Vec<String> {
    let security = |c: &&PackageChange| c.archive.as_deref().is_some_and(|a| a.contains("security"));
    let (security, others): (Vec<_>, Vec<_>) = changes.iter().partition(security);
    let mut remarks: Vec<String> =
        security.iter().map(|c| format!("packages: security update of {c}")).collect();
    if !others.is_empty() {
        let names: Vec<&str> = others.iter().map(|c| c.name.as_str()).collect();
        remarks.push(format!(
            "packages: {} changed: {}",
            count(others.len(), "other package"),
            names.join(", ")
        ));
    }
    if !changes.is_empty() {
        remarks
            .push("packages: record them with `cargo xtask fetch --update` and commit media.lock".to_owned());
    }
    remarks
}

/// `https://github.com/OWNER/NAME` of a release's address.
fn repository(url: &str) -> Option<String> {
    let mut words = url.strip_prefix("https://github.com/")?.split('/');
    Some(format!("https://github.com/{}/{}", words.next()?, words.next()?))
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
fn newest<'t>(tags: &'t [(String, String)], version: &str) -> Option<(&'t str, &'t str)> {
    let now = numbers(version)?;
    let all = tags.iter().filter_map(|(name, commit)| {
        let version = name.strip_prefix('v')?;
        Some((numbers(version)?, version, commit.as_str()))
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
        let of = |v| newest(&tags, v).map(|(v, _)| v);
        assert_eq!(of("1.9.3"), Some("1.10.0"));
        assert_eq!(of("1.10.0"), None);
    }

    #[test]
    fn security_updates_are_named_and_the_rest_is_counted() {
        let change = |name: &str, archive: &str| PackageChange {
            name: name.to_owned(),
            old: Some("1".to_owned()),
            new: Some("2".to_owned()),
            archive: Some(archive.to_owned()),
        };
        let changes = [change("a", "debian"), change("runc", "debian-security"), change("b", "debian")];
        assert_eq!(
            package_remarks(&changes),
            [
                "packages: security update of runc 1 → 2 (debian-security)",
                "packages: 2 other packages changed: a, b",
                "packages: record them with `cargo xtask fetch --update` and commit media.lock",
            ]
        );
        assert_eq!(package_remarks(&[]), [""; 0]);
    }

    #[test]
    fn a_release_is_in_a_repository() {
        let url = "https://github.com/burmilla/os/releases/download/v1/x.iso";
        assert_eq!(repository(url).as_deref(), Some("https://github.com/burmilla/os"));
        assert_eq!(repository("https://releases.rancher.com/os/x.iso"), None);
    }
}
