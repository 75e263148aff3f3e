//! Whose media these are: genuine media of one profile, in the place of another's, are not what a person asked for.

use super::{Checks, Subject};
use crate::release::release_name;
use attest::Manifest;
use bootiso::Iso;
use mediaplan::config::Config;

/// What a person said that the media are.
#[derive(Clone, Debug, Default)]
pub enum Wanted {
    /// Nothing.
    #[default]
    Anything,
    /// Of this profile.
    Profile(String),
    /// What a folder of this name holds: `docker`, or `docker-26.1.5-prebuilt` of a release.
    Folder(String),
}

pub(super) fn check(subject: &Subject<'_>, checks: &mut Checks) {
    let Some(profile) = &subject.profile else {
        return match &subject.wanted {
            Wanted::Profile(wanted) => {
                checks.add("profile", Err(format!("unknown; --profile demands {wanted}")))
            }
            _ => checks.skip("profile", "nothing names it; --profile does"),
        };
    };
    let what = subject.manifest.as_ref().map_or_else(|| profile.clone(), release_name);
    let not_compared = |why: &String| format!("cannot be compared with profile {profile}: {why}");
    let result = match (contradiction(subject, profile), &subject.expected, &subject.wanted) {
        (Some(other), ..) => Err(format!("these are media of {what}, {other}")),
        (None, Ok(_), _) if what == *profile => Ok(format!("compared with profile {profile}")),
        (None, Ok(_), _) => Ok(format!("{what}, compared with profile {profile}")),
        (None, Err(why), Wanted::Profile(_)) if subject.loaded.is_some() => Err(not_compared(why)),
        (None, Err(why), _) => return checks.skip("profile", format!("{what} {}", not_compared(why))),
    };
    checks.add("profile", result);
}

/// How what was said differs from what these media are.
fn contradiction(subject: &Subject<'_>, profile: &str) -> Option<String> {
    match &subject.wanted {
        Wanted::Profile(wanted) if wanted != profile => Some(format!("and --profile demands {wanted}")),
        Wanted::Folder(folder) => {
            let manifest = subject.manifest.as_ref()?;
            let config = subject.loaded.map(|loaded| &loaded.config);
            promises_other(folder, manifest, config?).then(|| {
                format!("in a folder called {folder}: rename it, or ask for them by --profile {profile}")
            })
        }
        _ => None,
    }
}

/// Whether a folder is called as those of other media are.
fn promises_other(folder: &str, manifest: &Manifest, config: &Config) -> bool {
    if folder == manifest.profile || folder == release_name(manifest) {
        return false;
    }
    let is_released = ["-prebuilt", "-source"].iter().any(|engine| folder.ends_with(engine));
    config.profiles().any(|p| folder == p.name || is_released && begins_with(folder, &p.name))
}

fn begins_with(name: &str, profile: &str) -> bool {
    name.strip_prefix(profile).is_some_and(|rest| rest.starts_with('-'))
}

/// The profile that a name of a file begins with; of several, the longest.
#[must_use]
pub fn of_file(config: &Config, name: &str) -> Option<String> {
    let of = config.profiles().filter(|p| begins_with(name, &p.name));
    of.max_by_key(|p| p.name.len()).map(|p| p.name.clone())
}

/// The profile that an ISO says it is of, whatever the file's name: by the file that its GRUB looks for.
#[must_use]
pub fn of_iso(config: &Config, path: &camino::Utf8Path) -> Option<String> {
    let iso: Iso = super::image::open(path).ok()?;
    let entries = iso.walk().ok()?;
    let id = entries.iter().find_map(|e| e.path.strip_prefix("/boot/grub/")?.strip_suffix(".id"))?;
    of_file(config, id)
}
