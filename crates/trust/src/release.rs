//! A release as a folder: every profile's media, once by date and once as `latest`, with lists over all of it.
//!
//! ```text
//! <to>/<dated>/<profile>-<version>-<engine>/…   the media as `dist` wrote them
//! <to>/<dated>/SHA256SUMS SHA512SUMS NOTES.md
//! <to>/latest/                                  the same
//! ```
//!
//! Publishing adds. A dated channel keeps every part it has, byte for byte; `latest` keeps what is of another profile
//! or engine. A folder that was not written so is never touched. A signature over a channel's list ends with that list.

pub mod notes;
pub mod upload;

use std::collections::BTreeMap;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use super::verify::{
    read_manifest,
    sums::{self, SHA256, SHA512},
};
use attest::{Manifest, SIGNATURE};
use buildexec::{paths, tree};
use buildplan::digest::sha512;
use failure::{Explain as _, Failure, Kind};

/// The channel that always has the newest.
pub(crate) const LATEST: &str = "latest";
/// What people read, in each channel.
pub const NOTES: &str = "NOTES.md";

/// SHA-256 by path.
pub type Sha256Sums = BTreeMap<String, String>;

/// A folder of media that goes into a release.
#[derive(Clone, Debug)]
pub struct ReleaseFolder {
    /// Where it is now.
    pub dir: Utf8PathBuf,
    /// The folder's manifest.json, parsed.
    pub manifest: Manifest,
    /// The SHA-256 of each file when it was verified, where it was.
    pub verified: Option<Sha256Sums>,
}

impl ReleaseFolder {
    /// Its folder in the release.
    #[must_use]
    pub fn name(&self) -> String {
        release_name(&self.manifest)
    }

    /// Whether `latest` has room for only one of the two.
    fn replaces(&self, other: &Self) -> bool {
        (&self.manifest.profile, self.manifest.engine) == (&other.manifest.profile, other.manifest.engine)
    }
}

/// What media are called in a release.
#[must_use]
pub fn release_name(manifest: &Manifest) -> String {
    let engine = match manifest.engine {
        mediaplan::config::Engine::Source => "source",
        mediaplan::config::Engine::Prebuilt => "prebuilt",
    };
    format!("{}-{}-{engine}", manifest.profile, manifest.version)
}

/// A channel as it will be.
#[derive(Debug)]
pub struct Channel {
    /// Name of the channel: `stable`, or a date with the tag.
    pub name: String,
    /// What it has already and keeps.
    pub kept: Vec<ReleaseFolder>,
    /// The list that what is kept has to be as.
    list: Sha256Sums,
}

/// Fails on what cannot be a dated channel's name.
///
/// # Errors
/// [`Kind::Usage`].
pub fn check_channel_name(dated: &str) -> Result<()> {
    if !attest::is_name(dated) || dated == LATEST {
        return Err(Failure::new(Kind::Usage, format!("`{dated}` cannot be a dated channel's name")).into());
    }
    Ok(())
}

/// What `<to>/<dated>` and `<to>/latest` will be once `parts` are added. Nothing is written.
///
/// # Errors
/// [`Kind::Usage`] when two parts would have one name, when a channel is a folder that was not written here, or when
/// the dated one has other bytes under a part's name; [`Kind::Digest`] when what is there is damaged.
pub fn plan(to: &Utf8Path, dated: &str, parts: &[ReleaseFolder]) -> Result<Vec<Channel>> {
    check_channel_name(dated)?;
    for part in parts {
        if to.starts_with(&part.dir) {
            let text = format!("{to} is in {}, which is to be published", part.dir);
            return Err(Failure::new(Kind::Usage, text).help("give a folder elsewhere with --to").into());
        }
        let files = paths::listed(&part.dir)?;
        if let Some(file) = files.iter().find(|file| sums::is_litter(file)) {
            let text = format!("{}/{file} was left by a file manager, and would be published", part.dir);
            return Err(Failure::new(Kind::Usage, text).help("remove it").into());
        }
        part.manifest.check_names().map_err(|e| Failure::new(Kind::Digest, format!("{}: {e}", part.dir)))?;
    }
    let mut names: Vec<String> = parts.iter().map(ReleaseFolder::name).collect();
    names.sort();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Failure::new(Kind::Usage, format!("two folders are both {}", pair[0])).into());
    }
    [dated, LATEST].into_iter().map(|name| channel(to, name, parts)).collect()
}

fn channel(to: &Utf8Path, name: &str, parts: &[ReleaseFolder]) -> Result<Channel> {
    let dir = to.join(name);
    let (list, there) = existing(&dir)?;
    let mut kept = Vec::new();
    for old in there {
        let same = parts.iter().find(|new| new.name() == old.name());
        if let Some(new) = same.filter(|_| name != LATEST) {
            let listed: Sha256Sums =
                below(&list, &old.name()).map(|(p, d)| (p.to_owned(), d.to_owned())).collect();
            if digests(&new.dir)? != listed {
                let text = format!("{dir} already has a different {}", old.name());
                let help = "a dated channel does not change; give this release another name with --channel";
                return Err(Failure::new(Kind::Usage, text).help(help).into());
            }
        }
        if same.is_none() && (name != LATEST || !parts.iter().any(|new| new.replaces(&old))) {
            kept.push(old);
        }
    }
    Ok(Channel { name: name.to_owned(), kept, list })
}

/// The list and the parts of a channel that is there; neither, where none is or the folder is empty.
fn existing(dir: &Utf8Path) -> Result<(Sha256Sums, Vec<ReleaseFolder>)> {
    match fs_err::symlink_metadata(dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Default::default()),
        Ok(meta) if meta.is_dir() && dir.read_dir_utf8()?.next().is_none() => return Ok(Default::default()),
        Ok(meta) if meta.is_dir() && is_ours(dir)? => {}
        other => {
            other?;
            let text = format!("{dir} was not written by `publish`, and is not replaced");
            let help = "give another folder with --to, another name with --channel, or move it away";
            return Err(Failure::new(Kind::Usage, text).help(help).into());
        }
    }
    let broken = |e| Failure::new(Kind::Digest, format!("{dir} is not as it was published: {e}"));
    let list = sums::read(dir, SHA256, 64).map_err(broken)?;
    let mut parts = Vec::new();
    for entry in dir.read_dir_utf8()? {
        let part = entry?.into_path();
        if !part.is_dir() {
            continue;
        }
        let manifest = read_manifest(&part).and_then(|m| m.ok_or_else(|| format!("{part} has no manifest")));
        let part = ReleaseFolder { manifest: manifest.map_err(broken)?, dir: part, verified: None };
        if part.dir.file_name() != Some(part.name().as_str()) {
            return Err(broken(format!("{} holds {}", part.dir, part.name())).into());
        }
        parts.push(part);
    }
    parts.sort_by_key(ReleaseFolder::name);
    Ok((list, parts))
}

/// Whether a folder has what [`fill`] writes, and no file beside it.
fn is_ours(dir: &Utf8Path) -> Result<bool> {
    for entry in dir.read_dir_utf8()? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() && ![NOTES, SHA256, SHA512, SIGNATURE].contains(&entry.file_name()) {
            return Ok(false);
        }
    }
    Ok(dir.join(NOTES).is_file() && dir.join(SHA256).is_file())
}

/// Writes every channel beside the old ones, then puts all in their places.
///
/// # Errors
/// [`Kind::Storage`] when the disk cannot be written, [`Kind::Digest`] when what is kept is damaged; all channels are
/// as they were then.
pub fn write(to: &Utf8Path, channels: &[Channel], parts: &[ReleaseFolder], notes: &str) -> Result<()> {
    fs_err::create_dir_all(to).explain(Kind::Storage, || format!("cannot write {to}"))?;
    let new = tempfile::Builder::new().prefix(".publish-").tempdir_in(to);
    let new = new.explain(Kind::Storage, || format!("cannot write to {to}"))?;
    let new = Utf8Path::from_path(new.path()).expect("it is in a folder whose name is UTF-8");
    for channel in channels {
        let explain = || format!("cannot write {to}/{}", channel.name);
        let list = fill(&new.join(&channel.name), channel, parts, notes).explain(Kind::Storage, explain)?;
        parts.iter().try_for_each(|part| as_verified(part, &list))?;
        for name in channel.kept.iter().map(ReleaseFolder::name) {
            if below(&list, &name).ne(below(&channel.list, &name)) {
                let text = format!("{to}/{}/{name} is not as it was published", channel.name);
                return Err(Failure::new(Kind::Digest, text)
                    .help("move it away, and publish it again")
                    .into());
            }
        }
    }
    for channel in channels {
        tree::swap(&new.join(&channel.name), &to.join(&channel.name))
            .explain(Kind::Storage, || format!("cannot replace {to}/{}", channel.name))?;
    }
    Ok(())
}

/// Fails when what was copied of a part, which `list` has, is not what was verified.
fn as_verified(part: &ReleaseFolder, list: &Sha256Sums) -> Result<()> {
    let name = part.name();
    let copied = below(list, &name).map(|(path, digest)| (path.to_owned(), digest.to_owned()));
    match &part.verified {
        Some(verified) if *verified != copied.collect() => {
            let text = format!("{} changed after it was verified; nothing was published", part.dir);
            Err(Failure::new(Kind::Digest, text).into())
        }
        _ => Ok(()),
    }
}

/// Writes a channel, and returns its list.
fn fill(new: &Utf8Path, channel: &Channel, parts: &[ReleaseFolder], notes: &str) -> Result<Sha256Sums> {
    fs_err::create_dir_all(new)?;
    for part in parts.iter().chain(&channel.kept) {
        tree::copy(&part.dir, &new.join(part.name()))?;
    }
    fs_err::write(new.join(NOTES), notes)?;
    write_sums(new)?;
    tree::readable_by_all(new)?;
    sums::read(new, SHA256, 64).map_err(anyhow::Error::msg)
}

/// Writes `SHA256SUMS` and `SHA512SUMS` over everything in `dir`.
///
/// # Errors
/// When it cannot be read or written.
pub(crate) fn write_sums(dir: &Utf8Path) -> Result<()> {
    let (mut short, mut long) = (String::new(), String::new());
    for file in paths::listed(dir)? {
        let path = dir.join(&file);
        short += &format!("{}  {file}\n", tree::digest(&path)?.0);
        long += &format!("{}  {file}\n", sha512(&mut fs_err::File::open(&path)?)?);
    }
    fs_err::write(dir.join(SHA256), short)?;
    Ok(fs_err::write(dir.join(SHA512), long)?)
}

/// The part of a list that is about one folder, without its name.
fn below<'a>(list: &'a Sha256Sums, folder: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let inside = move |path: &'a str| path.strip_prefix(folder)?.strip_prefix('/');
    list.iter().filter_map(move |(path, digest)| Some((inside(path)?, digest.as_str())))
}

/// The SHA-256 of each file below `dir`, by its path.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn digests(dir: &Utf8Path) -> Result<Sha256Sums> {
    let one = |file: Utf8PathBuf| Ok((file.to_string(), tree::digest(&dir.join(&file))?.0.to_string()));
    paths::listed(dir)?.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use failure::kind_of;
    use mediaplan::config::Engine;

    /// A folder to publish into, and one of folders that are published.
    struct ReleaseFolders {
        _dir: tempfile::TempDir,
        to: Utf8PathBuf,
        from: Utf8PathBuf,
    }

    impl ReleaseFolders {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let root = Utf8Path::from_path(dir.path()).unwrap().to_owned();
            Self { _dir: dir, to: root.join("to"), from: root.join("from") }
        }

        fn part(&self, profile: &str, version: &str, engine: Engine, medium: &str) -> ReleaseFolder {
            let manifest = Manifest {
                format: attest::manifest::FORMAT,
                profile: profile.to_owned(),
                version: version.to_owned(),
                engine,
                epoch: 0,
                outputs: BTreeMap::new(),
                nodes: BTreeMap::new(),
            };
            let dir = self.from.join(format!("{profile}{version}{engine:?}{medium}"));
            fs_err::create_dir_all(&dir).unwrap();
            fs_err::write(dir.join("manifest.json"), attest::json(&manifest)).unwrap();
            fs_err::write(dir.join("medium"), medium).unwrap();
            let verified = digests(&dir).ok();
            ReleaseFolder { dir, manifest, verified }
        }

        fn publish(&self, dated: &str, parts: &[ReleaseFolder]) -> Result<()> {
            write(&self.to, &plan(&self.to, dated, parts)?, parts, "## 1\n\n- first\n")
        }

        fn refused(&self, dated: &str, parts: &[ReleaseFolder]) -> (Kind, String) {
            let before = tree::digest(&self.to).ok();
            let error = self.publish(dated, parts).unwrap_err();
            assert_eq!(tree::digest(&self.to).ok(), before, "nothing is touched: {error:#}");
            (kind_of(&error).unwrap(), format!("{error:#}"))
        }

        /// Every file of a channel, sorted.
        fn files(&self, channel: &str) -> Vec<String> {
            paths::listed(&self.to.join(channel)).unwrap().into_iter().map(Utf8PathBuf::into_string).collect()
        }
    }

    #[test]
    fn a_second_part_is_added_to_the_first() {
        let lab = ReleaseFolders::new();
        lab.publish("day", &[lab.part("a", "1", Engine::Source, "x")]).unwrap();
        lab.publish("day", &[lab.part("a", "1", Engine::Prebuilt, "y")]).unwrap();
        lab.publish("day", &[lab.part("b", "1", Engine::Source, "z")]).unwrap();
        for channel in ["day", LATEST] {
            let files = lab.files(channel);
            for part in ["a-1-source", "a-1-prebuilt", "b-1-source"] {
                assert!(files.contains(&format!("{part}/medium")), "{channel}: {files:?}");
            }
            let list = sums::read(&lab.to.join(channel), SHA256, 64).unwrap();
            assert!(list.contains_key("a-1-source/medium") && list.contains_key(NOTES), "{list:?}");
        }
        assert_eq!(lab.to.read_dir_utf8().unwrap().count(), 2, "nothing temporary stays");
    }

    #[test]
    fn latest_has_one_version_and_a_dated_channel_what_it_was_given() {
        let lab = ReleaseFolders::new();
        lab.publish("one", &[lab.part("a", "1", Engine::Source, "x")]).unwrap();
        lab.publish("two", &[lab.part("a", "2", Engine::Source, "y")]).unwrap();
        assert!(lab.files("one").contains(&"a-1-source/medium".to_owned()));
        let latest = lab.files(LATEST);
        assert!(latest.contains(&"a-2-source/medium".to_owned()), "{latest:?}");
        assert!(latest.iter().all(|f| !f.starts_with("a-1")), "{latest:?}");
    }

    #[test]
    fn a_dated_channel_never_gets_other_bytes_under_a_name_that_it_has() {
        let lab = ReleaseFolders::new();
        let part = lab.part("a", "1", Engine::Source, "x");
        lab.publish("day", std::slice::from_ref(&part)).unwrap();
        lab.publish("day", &[part]).expect("the same bytes change nothing");
        let (kind, why) = lab.refused("day", &[lab.part("a", "1", Engine::Source, "other")]);
        assert!(kind == Kind::Usage && why.contains("already has a different a-1-source"), "{why}");
    }

    #[test]
    fn what_is_kept_is_checked_again() {
        let lab = ReleaseFolders::new();
        lab.publish("day", &[lab.part("a", "1", Engine::Source, "x")]).unwrap();
        fs_err::write(lab.to.join("day/a-1-source/medium"), "rotten").unwrap();
        let (kind, why) = lab.refused("day", &[lab.part("b", "1", Engine::Source, "y")]);
        assert!(kind == Kind::Digest && why.contains("day/a-1-source is not as it was published"), "{why}");
    }

    #[test]
    fn what_changed_after_it_was_verified_is_not_published() {
        let lab = ReleaseFolders::new();
        lab.publish("day", &[lab.part("a", "1", Engine::Source, "x")]).unwrap();
        let spoil: [fn(&Utf8Path); 3] = [
            |dir| fs_err::write(dir.join("medium"), "another").unwrap(),
            |dir| fs_err::write(dir.join("more"), "").unwrap(),
            |dir| fs_err::remove_file(dir.join("medium")).unwrap(),
        ];
        for spoil in spoil {
            let part = lab.part("b", "1", Engine::Source, "y");
            spoil(&part.dir);
            let (kind, why) = lab.refused("day", std::slice::from_ref(&part));
            assert!(kind == Kind::Digest && why.contains("changed after it was verified"), "{why}");
            tree::remove(&part.dir).unwrap();
        }
    }

    #[test]
    fn a_folder_is_not_published_into_itself() {
        let mut lab = ReleaseFolders::new();
        let part = lab.part("a", "1", Engine::Source, "x");
        for to in [part.dir.clone(), part.dir.join("release")] {
            lab.to = to;
            let (kind, why) = lab.refused("day", std::slice::from_ref(&part));
            assert!(kind == Kind::Usage && why.contains("which is to be published"), "{why}");
        }
    }

    #[test]
    fn what_a_file_manager_left_is_not_published() {
        let lab = ReleaseFolders::new();
        lab.publish("day", &[lab.part("a", "1", Engine::Source, "x")]).unwrap();
        let part = lab.part("b", "1", Engine::Source, "y");
        fs_err::write(part.dir.join("._medium"), "x").unwrap();
        let (kind, why) = lab.refused("day", &[part]);
        assert!(kind == Kind::Usage && why.contains("._medium was left by a file manager"), "{why}");
    }

    #[test]
    fn a_folder_of_somebody_is_not_replaced() {
        let lab = ReleaseFolders::new();
        let part = lab.part("a", "1", Engine::Source, "x");
        for file in ["docs/read.md", "docs/SHA256SUMS", "docs/NOTES.md", "docs"] {
            _ = tree::remove(&lab.to);
            let path = lab.to.join(file);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, "mine").unwrap();
            let (kind, why) = lab.refused("docs", std::slice::from_ref(&part));
            assert!(kind == Kind::Usage && why.contains("docs was not written by `publish`"), "{why}");
        }
        // Nor one of ours that somebody has put something into.
        _ = tree::remove(&lab.to);
        lab.publish("docs", std::slice::from_ref(&part)).unwrap();
        fs_err::write(lab.to.join("docs/mine"), "mine").unwrap();
        assert_eq!(lab.refused("docs", &[part]).0, Kind::Usage);
    }

    #[test]
    fn names_that_lead_away_are_refused() {
        let lab = ReleaseFolders::new();
        for (profile, version) in [("a", "/../../../x"), ("..", "1"), ("a", ""), (".a", "1")] {
            let mut part = lab.part("a", "1", Engine::Source, "x");
            (part.manifest.profile, part.manifest.version) = (profile.to_owned(), version.to_owned());
            let (kind, why) = lab.refused("day", &[part]);
            assert!(kind == Kind::Digest && why.contains("is not a plain name"), "{why}");
        }
        for channel in ["", "..", ".git", "a/b", "/tmp/x", LATEST] {
            assert_eq!(lab.refused(channel, &[]).0, Kind::Usage, "{channel}");
        }
        assert!(!lab.to.exists());
    }
}
