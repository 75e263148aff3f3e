//! A release as a folder: every profile's media, once by date and once as `latest`, with lists over all of it.
//!
//! ```text
//! <to>/<date>/<profile>-<version>-<engine>/…   the media as `dist` wrote them
//! <to>/<date>/SHA256SUMS SHA512SUMS NOTES.md
//! <to>/latest/                                 the same
//! ```

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use super::sums::{SHA256, SHA512};
use crate::{
    attest::Manifest,
    error::{Explain as _, Failure, Kind},
    exec::tree,
    plan::digest::sha512,
};

/// A folder of media that goes into a release.
#[derive(Clone, Debug)]
pub struct Part {
    /// Where it is now.
    pub dir: Utf8PathBuf,
    /// Its manifest.
    pub manifest: Manifest,
}

impl Part {
    /// Its folder in the release.
    #[must_use]
    pub fn name(&self) -> String {
        let engine = match self.manifest.engine {
            crate::config::Engine::Source => "source",
            crate::config::Engine::Prebuilt => "prebuilt",
        };
        format!("{}-{}-{engine}", self.manifest.profile, self.manifest.version)
    }
}

/// The text of the newest section of a changelog: from its first `## ` heading to the next.
#[must_use]
pub fn notes(changelog: &str) -> String {
    let mut lines = changelog.lines().skip_while(|l| !l.starts_with("## "));
    let head = lines.next().unwrap_or_default();
    let rest: Vec<&str> = lines.take_while(|l| !l.starts_with("## ")).collect();
    format!("{head}\n{}\n", rest.join("\n").trim_end())
}

/// Writes the release of `parts` to `<to>/<channel>` for each channel: beside it, then by rename.
///
/// # Errors
/// [`Kind::Usage`] when two parts would have one name, [`Kind::Storage`] when the disk cannot be written.
pub fn write(to: &Utf8Path, channels: &[&str], parts: &[Part], notes: &str) -> Result<()> {
    let mut names: Vec<String> = parts.iter().map(Part::name).collect();
    names.sort();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Failure::new(Kind::Usage, format!("two folders are both {}", pair[0])).into());
    }
    for channel in channels {
        let new = to.join(format!(".{channel}.new"));
        tree::remove(&new)?;
        let written = fill(&new, parts, notes);
        if written.is_err() {
            _ = tree::remove(&new);
        }
        written.explain(Kind::Storage, || format!("cannot write {to}/{channel}"))?;
        tree::swap(&new, &to.join(channel))?;
    }
    Ok(())
}

fn fill(new: &Utf8Path, parts: &[Part], notes: &str) -> Result<()> {
    fs_err::create_dir_all(new)?;
    for part in parts {
        tree::copy(&part.dir, &new.join(part.name()))?;
    }
    fs_err::write(new.join("NOTES.md"), notes)?;
    let (mut short, mut long) = (String::new(), String::new());
    for file in tree::files(new)? {
        let path = new.join(&file);
        short += &format!("{}  {file}\n", tree::digest(&path)?.0);
        long += &format!("{}  {file}\n", sha512(&mut fs_err::File::open(&path)?)?);
    }
    fs_err::write(new.join(SHA256), short)?;
    fs_err::write(new.join(SHA512), long)?;
    tree::readable_by_all(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_the_newest_section() {
        let text = "# Changes\n\nAbout.\n\n## 2\n\n- new\n\n## 1\n\n- old\n";
        assert_eq!(notes(text), "## 2\n\n- new\n");
        assert_eq!(notes(""), "\n\n");
    }
}
