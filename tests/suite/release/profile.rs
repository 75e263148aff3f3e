//! Genuine media in the place of others.

use fs_err as fs;

use super::{Repository, copy};

/// A repository with a second profile, whose media are other ones.
fn with_two() -> Option<Repository> {
    let repository = Repository::get()?.again();
    let toml = fs::read_to_string(repository.path("media.toml")).unwrap();
    let (from, end) = (toml.find("[profile.mini]").unwrap(), toml.find("[distribution]").unwrap());
    let other = toml[from..end].replace("profile.mini", "profile.other").replace("quiet", "debug");
    fs::write(repository.path("media.toml"), format!("{toml}{other}")).unwrap();
    let lock = fs::read_to_string(repository.path("media.lock")).unwrap();
    // Sections may stand in any order, with blank lines between them or without.
    let is_other = |section: &&str| section.starts_with("file.mini.");
    let files: Vec<&str> = lock.split("\n[").filter(is_other).collect();
    assert_eq!(files.len(), 2, "{lock}");
    let files = files.join("\n[").replace("file.mini.", "file.other.");
    fs::write(repository.path("media.lock"), format!("{lock}\n[{files}\n")).unwrap();
    let folder = repository.path("isofs/other");
    fs::create_dir_all(&folder).unwrap();
    copy(&repository.path("isofs/mini"), &folder);
    Some(repository)
}

#[test]
fn media_of_one_profile_do_not_pass_for_those_of_another() {
    let Some(repository) = with_two() else { return };
    let said = |args: &[&str]| repository.run(&[&["verify"], args].concat());
    let mini = repository.path("dist/mini");
    let mini = mini.to_str().unwrap();
    let (code, text) = said(&[mini]);
    assert!(code == 0 && text.contains("mini-1-prebuilt, compared with profile mini"), "{text}");
    assert_eq!(said(&[mini, "--profile", "mini"]).0, 0);
    let (code, text) = said(&[mini, "--profile", "other"]);
    assert!(code == 5 && text.contains("verification failed: profile\n"), "{text}");
    let (code, text) = said(&[mini, "--profile", "mono"]);
    assert!(code == 2 && text.contains("did you mean `mini`?"), "{text}");
    // Under the name of another, or of what a release calls another.
    for name in ["other", "other-1-prebuilt", "mini-1-source", "mini-2-prebuilt"] {
        let place = repository.path("dist").join(name);
        fs::rename(mini, &place).unwrap();
        let place = place.to_str().unwrap().to_owned();
        let (code, text) = said(&[&place]);
        assert!(code == 5 && text.contains(&format!("in a folder called {name}")), "{text}");
        assert_eq!(said(&[&format!("{place}/"), "--profile", "mini"]).0, 0);
        let to = repository.path("release");
        let (code, text) =
            repository.run(&["publish", "--from", &place, "--to", to.to_str().unwrap(), "--execute"]);
        assert!(code == 5 && text.contains("verification failed: profile\n") && !to.exists(), "{text}");
        fs::rename(place, mini).unwrap();
    }
    for name in ["mine", "others", "mini-1-prebuilt", "mini-of-today"] {
        let place = repository.path("dist").join(name);
        fs::rename(mini, &place).unwrap();
        assert_eq!(said(&[place.to_str().unwrap()]).0, 0, "{name}");
        fs::rename(place, mini).unwrap();
    }
}

#[test]
fn an_iso_alone_is_held_to_what_it_is_called_or_asked_for_or_says_it_is() {
    let Some(repository) = with_two() else { return };
    let alone = tempfile::tempdir().unwrap();
    let said = |name: &str, args: &[&str]| {
        let iso = alone.path().join(name);
        fs::copy(repository.path("dist/mini/mini-1-x86_64.iso"), &iso).unwrap();
        repository.run(&[&["verify", iso.to_str().unwrap()], args].concat())
    };
    for name in ["mini-1-x86_64.iso", "download.iso"] {
        let (code, text) = said(name, &[]);
        assert!(code == 0 && text.contains("/isolinux.cfg has the parameters of profile mini"), "{text}");
        let (code, text) = said(name, &["--profile", "other"]);
        assert!(code == 5 && text.contains("/isolinux.cfg differs from profile other"), "{text}");
    }
    let (code, text) = said("other-1-x86_64.iso", &[]);
    assert!(code == 5 && text.contains("/isolinux.cfg differs from profile other"), "{text}");
    assert_eq!(said("other-1-x86_64.iso", &["--profile", "mini"]).0, 0);
    // What cannot be compared is not what was demanded.
    let lock = fs::read_to_string(repository.path("media.lock")).unwrap();
    fs::write(repository.path("media.lock"), lock.replace("file.other.", "file.others.")).unwrap();
    let (code, text) = said("download.iso", &["--profile", "other"]);
    assert!(code == 5 && text.contains("profile: cannot be compared with profile other: "), "{text}");
}
