//! What `publish` writes, and what it refuses.

use std::path::PathBuf;

use fs_err as fs;

use super::{MediaCopy, Repository};

pub(super) const CHANGELOG: &str = "# Changes\n\n## Unreleased\n\n- next\n\n## 1.2.3\n\n- first\n";

/// The media, and a folder to publish them into.
struct ReleaseServer {
    media: MediaCopy<'static>,
    dir: tempfile::TempDir,
}

impl ReleaseServer {
    fn new(repository: &'static Repository) -> Self {
        Self { media: repository.media(), dir: tempfile::tempdir().unwrap() }
    }

    fn to(&self) -> PathBuf {
        self.dir.path().join("deep/release")
    }

    fn run(&self, args: &[&str]) -> (i32, String) {
        let (from, to) = (self.media.path(""), self.to());
        let publish = ["publish", "--from", from.to_str().unwrap(), "--to", to.to_str().unwrap()];
        self.media.repository.run(&[&publish[..], args].concat())
    }

    /// Refused with this exit code, and nothing was written anywhere.
    fn refused(&self, code: i32, args: &[&str]) -> String {
        let (is, said) = self.run(&[args, &["--execute"]].concat());
        assert_eq!(is, code, "{said}");
        assert_eq!(fs::read_dir(self.dir.path()).unwrap().count(), 0, "{said}");
        said
    }
}

/// The same repository with another changelog.
fn with_changelog(repository: &Repository, changelog: Option<&str>) -> Repository {
    let own = Repository { dir: tempfile::tempdir().unwrap() };
    for name in ["bootscripts", "isofs"] {
        fs::create_dir_all(own.path(name)).unwrap();
        super::copy(&repository.path(name), &own.path(name));
    }
    for name in ["media.toml", "media.lock"] {
        fs::copy(repository.path(name), own.path(name)).unwrap();
    }
    if let Some(text) = changelog {
        fs::write(own.path("CHANGELOG.md"), text).unwrap();
    }
    own
}

#[test]
fn a_release_is_planned_then_written_whole() {
    let Some(repository) = Repository::get() else { return };
    let release = ReleaseServer::new(repository);
    let (code, said) = release.run(&[]);
    assert!(code == 0 && said.contains("would write") && !release.to().exists(), "{said}");
    let (code, said) = release.run(&["--json"]);
    assert!(
        code == 0 && said.contains(r#""executed": false"#) && said.contains(r#""name": "latest""#),
        "{said}"
    );
    let (code, said) = release.run(&["--execute"]);
    assert_eq!(code, 0, "{said}");
    for channel in ["2025-11-25", "latest"] {
        let channel = release.to().join(channel);
        let list = fs::read_to_string(channel.join("SHA256SUMS")).unwrap();
        assert!(
            list.contains("  mini-1-prebuilt/netboot/vmlinuz\n") && list.contains("  NOTES.md\n"),
            "{list}"
        );
        assert_eq!(fs::read_to_string(channel.join("NOTES.md")).unwrap(), "## Unreleased\n\n- next\n");
        let part = channel.join("mini-1-prebuilt");
        assert_eq!(repository.run(&["verify", part.to_str().unwrap()]).0, 0);
    }
}

#[test]
fn a_tag_names_the_channel_and_chooses_the_notes() {
    let Some(repository) = Repository::get() else { return };
    let release = ReleaseServer::new(repository);
    let (code, said) = release.run(&["--tag", "refs/tags/v1.2.3", "--execute"]);
    assert_eq!(code, 0, "{said}");
    let notes = release.to().join("2025-11-25-v1.2.3/NOTES.md");
    assert_eq!(fs::read_to_string(notes).unwrap(), "## 1.2.3\n\n- first\n");
    let (code, said) = release.run(&["--tag", "refs/heads/main"]);
    assert!(code == 0 && said.contains("/2025-11-25/mini-1-prebuilt/"), "a branch is not a tag: {said}");
    let release = ReleaseServer::new(repository);
    let said = release.refused(3, &["--tag", "v1.3"]);
    assert!(said.contains("CHANGELOG.md has no section `## 1.3`"), "{said}");
    release.refused(2, &["--tag", "a/../../b"]);
}

#[test]
fn notes_that_are_missing_or_hold_a_secret_are_not_published() {
    let Some(repository) = Repository::get() else { return };
    let token = format!("ghp_{}", "a1B2".repeat(9));
    let secret = format!("## 9\n\nx={token}\n");
    let said = |changelog: Option<&str>, code: i32| {
        let repository = with_changelog(repository, changelog);
        let release = ReleaseServer::new(Repository::get().unwrap());
        let (from, to) = (release.media.path(""), release.to());
        let publish =
            ["publish", "--from", from.to_str().unwrap(), "--to", to.to_str().unwrap(), "--execute"];
        let (is, said) = repository.run(&publish);
        assert!(is == code && !to.exists(), "{said}");
        said
    };
    assert!(said(None, 3).contains("cannot read CHANGELOG.md"));
    assert!(said(Some("# Changes\n"), 3).contains("CHANGELOG.md has no section"));
    let said = said(Some(&secret), 13);
    assert!(said.contains("NOTES.md: a token") && !said.contains(&token), "{said}");
}

#[test]
fn a_folder_of_the_repository_is_not_taken_for_a_channel() {
    let Some(repository) = Repository::get() else { return };
    let own = with_changelog(repository, Some(CHANGELOG));
    fs::create_dir_all(own.path("docs")).unwrap();
    fs::write(own.path("docs/read.md"), "mine").unwrap();
    let media = repository.media();
    let from = media.path("");
    let (from, to) = (from.to_str().unwrap(), own.dir.path().to_str().unwrap());
    let publish = ["publish", "--from", from, "--to", to, "--channel", "docs", "--execute"];
    let (code, said) = own.run(&publish);
    assert!(code == 2 && said.contains("docs was not written by `publish`"), "{said}");
    assert_eq!(fs::read_to_string(own.path("docs/read.md")).unwrap(), "mine");
    assert!(!own.path("latest").exists());
}

/// What the last job of a release has built nothing of: the source of each loader is fetched, and compared.
#[test]
fn media_that_another_machine_made_are_compared_with_their_sources() {
    let Some(repository) = Repository::get() else { return };
    let packages = super::packages::of("linux").expect("`can_build` was asked");
    let path = |name| camino::Utf8PathBuf::try_from(repository.path(name)).unwrap();
    packages.seed(&path("target-release/media/store"), &path("media.lock"));
    let media = repository.media();
    let to = tempfile::tempdir().unwrap();
    let (from, to) = (media.path(""), to.path().join("release"));
    let publish = ["publish", "--from", from.to_str().unwrap(), "--to", to.to_str().unwrap(), "--execute"];
    let (code, said) = repository.run_with("target-release", &publish);
    assert!(code == 0 && !said.contains("not known"), "{said}");
    fs::remove_dir_all(&to).unwrap();
    fs::remove_dir_all(repository.path("target-release")).unwrap();
    packages.seed(&path("target-release/media/store"), &path("media.lock"));
    // A byte of GRUB, in the ISO and in all that speaks of it.
    let iso = media.path("mini-1-x86_64.iso");
    let mut bytes = fs::read(&iso).unwrap();
    let text = b"cannot be run in DOS mode";
    let at = bytes.windows(text.len()).position(|w| w == text).expect("it is a program");
    bytes[at] ^= 0x20;
    fs::write(&iso, bytes).unwrap();
    media.refresh_statements();
    let (code, said) = repository.run_with("target-release", &publish);
    assert!(code == 5 && !to.exists(), "{said}");
}
