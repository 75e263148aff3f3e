//! Which media a workflow builds: profile × engine, with the firmware that each is booted on.

use serde::Serialize;

use mediaplan::config::{Config, Engine, Lock, Media, Profile};
use xtask::cmd::ci::Purpose;

/// One job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct MatrixJob {
    /// `smoke-prebuilt`: a name for the job and for its artifact.
    pub name: String,
    /// Name of the profile to build.
    pub profile: String,
    /// Where iPXE comes from.
    pub engine: Engine,
    /// What the media are booted on, for people: `bios+uefi`.
    pub firmware: String,
}

/// GitHub's form of a matrix without axes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Matrix {
    /// One job per profile and engine, in GitHub's form.
    pub include: Vec<MatrixJob>,
}

/// The jobs for `purpose`, in the order of media.toml's names.
///
/// A profile whose files are not in the lock, or have no address, cannot be built on a machine that has nothing.
#[must_use]
pub(crate) fn matrix(config: &Config, lock: &Lock, purpose: Purpose, firmware: &str) -> Matrix {
    let job = |profile: &Profile, engine: Engine| MatrixJob {
        name: format!("{}-{}", profile.name, engine_name(engine)),
        profile: profile.name.clone(),
        engine,
        firmware: firmware.to_owned(),
    };
    let wanted = |p: &&Profile| match purpose {
        Purpose::Ci => matches!(p.media, Media::Distribution { .. } | Media::Docker { .. }),
        Purpose::Release => can_be_had(p, lock),
    };
    let engines = |p: &Profile| match purpose {
        // How iPXE is had makes no difference to its containers.
        Purpose::Ci if matches!(p.media, Media::Docker { .. }) => &[Engine::Prebuilt][..],
        _ => &[Engine::Prebuilt, Engine::Source],
    };
    let jobs = |p| engines(p).iter().map(move |engine| job(p, *engine));
    Matrix { include: config.profiles().filter(wanted).flat_map(jobs).collect() }
}

fn engine_name(engine: Engine) -> &'static str {
    match engine {
        Engine::Source => "source",
        Engine::Prebuilt => "prebuilt",
    }
}

fn can_be_had(profile: &Profile, lock: &Lock) -> bool {
    let version = profile.version.as_deref().unwrap_or("");
    let known = |r: &&mediaplan::config::Released| {
        !r.urls.is_empty() && lock.get(&profile.name, &r.name, version).is_some()
    };
    profile.released().iter().all(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> (Config, Lock) {
        let config = Config::parse(include_str!("../../../media.toml")).unwrap();
        (config, Lock::parse(include_str!("../../../media.lock")).unwrap())
    }

    fn names(purpose: Purpose) -> Vec<String> {
        let (config, lock) = ours();
        matrix(&config, &lock, purpose, "bios").include.into_iter().map(|j| j.name).collect()
    }

    #[test]
    fn a_change_is_tried_on_the_small_guest_by_both_engines_and_on_the_docker_system() {
        assert_eq!(names(Purpose::Ci), ["docker-prebuilt", "smoke-prebuilt", "smoke-source"]);
    }

    #[test]
    fn a_release_has_every_profile_whose_inputs_are_known_by_both_engines() {
        let profiles = ["burmillaos", "docker", "rancheros", "smoke"];
        let both = profiles.iter().flat_map(|p| [format!("{p}-prebuilt"), format!("{p}-source")]);
        assert_eq!(names(Purpose::Release), both.collect::<Vec<_>>());
    }

    #[test]
    fn a_profile_that_the_lock_does_not_know_is_left_out() {
        let (config, _) = ours();
        let lock = Lock::parse("epoch = 1").unwrap();
        let jobs = matrix(&config, &lock, Purpose::Release, "bios").include;
        let ours = |j: &MatrixJob| ["docker", "smoke"].contains(&j.profile.as_str());
        assert!(jobs.iter().all(ours) && !jobs.is_empty(), "{jobs:?}");
    }

    #[test]
    fn github_reads_the_jobs_under_include() {
        let (config, lock) = ours();
        let json = serde_json::to_value(matrix(&config, &lock, Purpose::Ci, "bios+uefi")).unwrap();
        let first = &json["include"][0];
        assert_eq!((&first["engine"], &first["firmware"]), (&"prebuilt".into(), &"bios+uefi".into()));
    }
}
