//! Archives of container images, and a list by which the system knows whether Docker has them.

use std::collections::BTreeSet;
use std::io::Read as _;

use anyhow::{Context as _, Result, ensure};
use buildexec::action::Call;
use camino::Utf8Path;
use failure::{Explain as _, Kind};
use serde::Deserialize;

/// No list of layers is longer.
const MANIFEST_LIMIT: u64 = 1 << 20;

/// `archive` (several), `to`.
///
/// # Errors
/// [`Kind::Input`] for a file that `docker save` did not write.
pub(in super::super) fn containers(call: &Call<'_>) -> Result<()> {
    let to = call.path("to")?;
    fs_err::create_dir_all(to)?;
    let (mut index, mut names) = (String::new(), BTreeSet::new());
    for archive in call.all("archive").map(Utf8Path::new) {
        let name = archive.file_name().unwrap_or("image.tar");
        ensure!(names.insert(name), "two archives of images are called {name}");
        let ids =
            ids(archive).explain(Kind::Input, || format!("{name} is not an archive of `docker save`"))?;
        fs_err::copy(archive, to.join(name))?;
        for id in ids {
            index += &format!("{name} {id}\n");
        }
    }
    fs_err::write(to.join("index"), index)?;
    Ok(())
}

#[derive(Deserialize)]
struct ContainerImage {
    #[serde(rename = "Config")]
    config: String,
}

/// The ids of an archive's images: the digests of their configurations, which are their names.
fn ids(archive: &Utf8Path) -> Result<Vec<String>> {
    let mut tar = tar::Archive::new(fs_err::File::open(archive)?);
    for entry in tar.entries()? {
        let entry = entry?;
        if entry.path()?.as_os_str() != "manifest.json" {
            continue;
        }
        let mut text = Vec::new();
        entry.take(MANIFEST_LIMIT).read_to_end(&mut text)?;
        let images: Vec<ContainerImage> = serde_json::from_slice(&text)?;
        return images.iter().map(|image| id(&image.config)).collect();
    }
    anyhow::bail!("it has no manifest.json")
}

/// `HEX.json` of old versions, `blobs/sha256/HEX` since 25.
fn id(config: &str) -> Result<String> {
    let name = config.rsplit('/').next().unwrap_or(config);
    let hex = name.strip_suffix(".json").unwrap_or(name);
    let digest = hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit());
    digest.then(|| format!("sha256:{hex}")).with_context(|| format!("`{config}` is not named by a digest"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_by_the_name_of_its_configuration() {
        let hex = "ab".repeat(32);
        for name in [format!("{hex}.json"), format!("blobs/sha256/{hex}")] {
            assert_eq!(id(&name).unwrap(), format!("sha256:{hex}"));
        }
        assert!(id("config.json").is_err());
    }
}
