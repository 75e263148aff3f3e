//! Debian's packages into one folder: deb(5) is an `ar` archive with a compressed tar archive in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read},
};

use anyhow::{Context as _, Result, bail, ensure};
use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use tar::EntryType;

use buildexec::{action::Call, tree};
use buildplan::Digest;
use failure::{Explain as _, Failure, Kind};

/// What one folder may hold, in bytes: Debian's largest kernels take a quarter of it.
const LIMIT: u64 = 4 << 30;
/// Folders that the installed system has below `usr`, with links in the root, whatever a package says.
const MERGED: &[&str] = &["bin", "lib", "lib32", "lib64", "libx32", "sbin"];

/// `package` (several, in order), `to`.
///
/// # Errors
/// [`Kind::Input`] when a package is damaged or would write outside of the folder.
pub(super) fn unpack(call: &Call<'_>) -> Result<()> {
    let to = call.path("to")?;
    fs_err::create_dir_all(to)?;
    let mut root = Root { dir: to, links: BTreeSet::new(), left: LIMIT };
    for package in call.all("package") {
        let name = Utf8Path::new(package).file_name().unwrap_or(package);
        root.package(fs_err::File::open(package)?)
            .explain(Kind::Input, || format!("cannot unpack {name}"))?;
    }
    for name in MERGED.iter().filter(|name| to.join("usr").join(name).is_dir()) {
        tree::link(Utf8Path::new("usr").join(name).as_std_path(), &to.join(name))?;
    }
    Ok(())
}

/// `file`, `sha256`, `to`.
///
/// # Errors
/// [`Kind::Digest`] when the file is not what was recorded.
pub(super) fn pick(call: &Call<'_>) -> Result<()> {
    let (file, want) = (call.path("file")?, call.text("sha256")?.parse::<Digest>()?);
    let have = tree::digest(file)?.0;
    if have != want {
        let message = format!("{file} has SHA-256 {have}, and media.lock says {want}");
        return Err(Failure::new(Kind::Digest, message)
            .help("record today's packages with `cargo xtask fetch --update`")
            .into());
    }
    fs_err::copy(file, call.out("to")?)?;
    Ok(())
}

/// The digests of files of a package by their paths; of names with a `|` between them, of the first that is a file.
///
/// # Errors
/// [`Kind::Input`] when the package is damaged or lacks one.
pub fn digests(package: &Utf8Path, files: &[&str]) -> Result<BTreeMap<String, Digest>> {
    let dir = tempfile::tempdir()?;
    let dir = Utf8Path::from_path(dir.path()).context("the temporary folder has an odd name")?;
    let mut root = Root { dir, links: BTreeSet::new(), left: LIMIT };
    let is_file = |path: &str| fs_err::symlink_metadata(dir.join(path)).is_ok_and(|m| m.is_file());
    let digest = |names: &&str| {
        let found = names.split('|').map(str::trim).find(|path| is_file(path));
        let path = found.with_context(|| format!("it has no {names}"))?;
        Ok((path.to_owned(), tree::digest(&dir.join(path))?.0))
    };
    root.package(fs_err::File::open(package)?)
        .and_then(|()| files.iter().map(digest).collect())
        .explain(Kind::Input, || format!("cannot read {package}"))
}

/// A reader of what a compressed reader holds; `extension` says how.
///
/// # Errors
/// When the beginning is damaged.
pub(super) fn decoder<'r>(extension: Option<&str>, reader: impl Read + 'r) -> Result<Box<dyn Read + 'r>> {
    Ok(match extension {
        Some("xz") => Box::new(liblzma::read::XzDecoder::new_multi_decoder(reader)),
        Some("zst") => Box::new(ruzstd::decoding::StreamingDecoder::new(reader)?),
        Some("gz") => Box::new(flate2::read::MultiGzDecoder::new(reader)),
        _ => Box::new(reader),
    })
}

/// The folder that packages are unpacked into.
struct Root<'a> {
    dir: &'a Utf8Path,
    /// Links that were made, from the folder: nothing is written through one.
    links: BTreeSet<Utf8PathBuf>,
    /// Bytes that may still be written.
    left: u64,
}

impl Root<'_> {
    fn package(&mut self, deb: impl Read) -> Result<()> {
        let mut members = ar::Archive::new(deb);
        while let Some(member) = members.next_entry() {
            let member = member?;
            let name = String::from_utf8_lossy(member.header().identifier()).into_owned();
            if let Some(rest) = name.strip_prefix("data.tar") {
                return self.files(decoder(rest.strip_prefix('.'), member)?);
            }
        }
        bail!("it holds no data.tar")
    }

    fn files(&mut self, data: impl Read) -> Result<()> {
        let mut archive = tar::Archive::new(data);
        for entry in archive.entries()? {
            let mut entry = entry?;
            let path = Utf8PathBuf::try_from(entry.path()?.into_owned())?;
            let Some(path) = self.place(&path)? else { continue };
            let at = self.dir.join(&path);
            if let Some(parent) = at.parent() {
                fs_err::create_dir_all(parent)?;
            }
            let target = entry.link_name()?.map(|t| t.into_owned());
            match entry.header().entry_type() {
                EntryType::Directory => fs_err::create_dir_all(&at)?,
                EntryType::Regular | EntryType::Continuous => self.file(&at, &mut entry)?,
                EntryType::Symlink => {
                    let target = target.with_context(|| format!("the link {path} has no target"))?;
                    tree::remove(&at)?;
                    tree::link(&target, &at)?;
                    self.links.insert(path);
                }
                EntryType::Link => {
                    let target = Utf8PathBuf::try_from(target.context("a link has no target")?)?;
                    let target = self.place(&target)?.context("a link to the root")?;
                    ensure!(!self.links.contains(&target), "{path} is a second name of a link");
                    fs_err::copy(self.dir.join(target), &at)?;
                }
                other => bail!("{path} is neither a file, a folder nor a link but {other:?}"),
            }
        }
        Ok(())
    }

    /// Where a path of a package is below the folder; `None` for the folder itself.
    fn place(&self, path: &Utf8Path) -> Result<Option<Utf8PathBuf>> {
        let mut place = Utf8PathBuf::new();
        for part in path.components() {
            match part {
                Utf8Component::CurDir | Utf8Component::RootDir => {}
                Utf8Component::Normal(name) => {
                    if place.as_str().is_empty() && MERGED.contains(&name) {
                        place.push("usr");
                    }
                    ensure!(!self.links.contains(&place), "{path} would be written through the link {place}");
                    place.push(name);
                }
                _ => bail!("{path} leads out of the folder"),
            }
        }
        Ok((!place.as_str().is_empty()).then_some(place))
    }

    fn file(&mut self, at: &Utf8Path, entry: &mut tar::Entry<'_, impl Read>) -> Result<()> {
        let executable = entry.header().mode()? & 0o111 != 0;
        tree::remove(at)?;
        let mut file = fs_err::File::create(at)?;
        let written = io::copy(&mut entry.take(self.left + 1), &mut file)
            .explain(Kind::Storage, || format!("cannot write {at}"))?;
        self.left = self.left.checked_sub(written).with_context(|| format!("more than {LIMIT} bytes"))?;
        mode(at, executable)
    }
}

/// Whatever the umask is: the modes of programs reach the media.
#[cfg(unix)]
fn mode(at: &Utf8Path, executable: bool) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = if executable { 0o755 } else { 0o644 };
    Ok(fs_err::set_permissions(at, std::fs::Permissions::from_mode(mode))?)
}

#[cfg(not(unix))]
fn mode(_: &Utf8Path, _: bool) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A package with these entries: path, kind, and content or target.
    fn deb(entries: &[(&str, EntryType, &str)]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, kind, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(if content.starts_with("#!") { 0o4755 } else { 0o600 });
            // The builder refuses what a hostile package would have.
            header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
            let body = if *kind == EntryType::Regular { content.as_bytes() } else { b"" };
            header.set_size(body.len() as u64);
            if *kind != EntryType::Regular {
                header.set_link_name_literal(content).unwrap();
            }
            header.set_cksum();
            tar.append(&header, body).unwrap();
        }
        let mut xz = liblzma::read::XzEncoder::new(io::Cursor::new(tar.into_inner().unwrap()), 1);
        let mut data = Vec::new();
        xz.read_to_end(&mut data).unwrap();
        let mut ar = ar::Builder::new(Vec::new());
        for (name, body) in [("debian-binary", b"2.0\n".as_slice()), ("data.tar.xz", &data)] {
            ar.append(&ar::Header::new(name.into(), body.len() as u64), body).unwrap();
        }
        ar.into_inner().unwrap()
    }

    fn unpacked(packages: &[Vec<u8>]) -> Result<tempfile::TempDir> {
        let dir = tempfile::tempdir().unwrap();
        let mut root =
            Root { dir: Utf8Path::from_path(dir.path()).unwrap(), links: BTreeSet::new(), left: 1000 };
        packages.iter().try_for_each(|package| root.package(package.as_slice()))?;
        Ok(dir)
    }

    #[cfg(unix)]
    #[test]
    fn a_file_is_recorded_by_the_first_of_its_names_that_is_no_link() {
        let dir = tempfile::tempdir().unwrap();
        let package = Utf8Path::from_path(dir.path()).unwrap().join("x.deb");
        let entries = [
            ("./boot/x.efi", EntryType::Regular, "program"),
            ("./usr/lib/x.efi", EntryType::Symlink, "/boot/x.efi"),
        ];
        fs_err::write(&package, deb(&entries)).unwrap();
        let found = digests(&package, &["usr/lib/x.efi | boot/x.efi"]).unwrap();
        assert_eq!(found, BTreeMap::from([("boot/x.efi".to_owned(), Digest::of(b"program"))]));
        let error = digests(&package, &["usr/lib/x.efi | y"]).unwrap_err();
        assert!(format!("{error:#}").ends_with("it has no usr/lib/x.efi | y"), "{error:#}");
    }

    #[test]
    fn files_get_modes_of_ours_and_old_folders_lead_below_usr() {
        use std::os::unix::fs::PermissionsExt as _;
        let one = deb(&[
            ("./", EntryType::Directory, ""),
            ("./bin/su", EntryType::Regular, "#!x"),
            ("./usr/lib/a.so.1", EntryType::Regular, "library"),
            ("./usr/lib/a.so", EntryType::Symlink, "a.so.1"),
            ("./usr/bin/us", EntryType::Link, "./bin/su"),
        ]);
        let dir = unpacked(&[one, deb(&[("./lib/b.so", EntryType::Regular, "b")])]).unwrap();
        let mode = |path: &str| {
            fs_err::symlink_metadata(dir.path().join(path)).unwrap().permissions().mode() & 0o7777
        };
        assert_eq!((mode("usr/bin/su"), mode("usr/bin/us"), mode("usr/lib/b.so")), (0o755, 0o755, 0o644));
        assert_eq!(fs_err::read_to_string(dir.path().join("usr/lib/a.so")).unwrap(), "library");
    }

    #[test]
    fn nothing_is_written_outside_or_through_a_link_or_without_end() {
        let said =
            |entries: &[(&str, EntryType, &str)]| format!("{:#}", unpacked(&[deb(entries)]).unwrap_err());
        assert!(said(&[("a/../../x", EntryType::Regular, "x")]).contains("leads out"));
        let through = [("etc", EntryType::Symlink, "/etc"), ("etc/passwd", EntryType::Regular, "x")];
        assert!(said(&through).contains("through the link etc"));
        let twice = [("a", EntryType::Symlink, "/etc/shadow"), ("b", EntryType::Link, "a")];
        assert!(said(&twice).contains("second name of a link"));
        assert!(said(&[("a", EntryType::Fifo, "")]).contains("neither a file"));
        assert!(said(&[("a", EntryType::Regular, &"x".repeat(1001))]).contains("more than"));
    }

    #[test]
    fn what_is_no_package_is_an_error() {
        assert!(unpacked(&[b"!<arch>\n".to_vec()]).is_err());
        assert!(unpacked(&[b"nothing".to_vec()]).is_err());
    }
}
