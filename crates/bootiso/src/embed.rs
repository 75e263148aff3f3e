//! Embed areas for kernel arguments: regions of fixed length in the loaders' files, listed in the image itself.
//!
//! A region holds the arguments, a line end, a comment with their checksum, and comment lines up to its length;
//! both loaders ignore those. So an edit changes no length and no offset, and putting back the arguments that `/media.json` has as
//! defaults gives back the very bytes of the built image. The format is described in `docs/formats.md`.

use crate::error::{Error, ErrorContext as _, ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// Where an image of ours says which regions it has.
pub const LAYOUT: &str = "/media.json";
/// The length that we give a region: whole sectors, and enough for the longest command line of x86 kernels
/// (2047 bytes, of which the loader uses some for `BOOT_IMAGE=` and `initrd=`).
pub const REGION: usize = 2048;
/// The version of the layout's format.
const FORMAT: u32 = 1;
/// The line ends and the checksum. Without a checksum, the start of one region and the rest of another can look
/// like a third.
const CHECK: usize = "\n#00000000\n".len();
/// Comment lines are kept short: loaders read lines into buffers.
const LINE: usize = 64;

/// Who reads a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loader {
    /// ISOLINUX and its relatives.
    Isolinux,
    /// GRUB 2.
    Grub,
    /// systemd-boot, and whatever else reads entries of the Boot Loader Specification.
    SystemdBoot,
}

/// A region of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// The file's path in the image.
    pub file: String,
    /// The boot loader that reads this area.
    pub loader: Loader,
    /// The first byte in the file.
    pub offset: u64,
    /// The bytes of the region.
    pub length: u64,
    /// The arguments of the built image, escaped for the loader.
    pub args: String,
}

/// The area of the config initrd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigArea {
    /// The file's path in the image.
    pub file: String,
    /// Its length in bytes.
    pub length: u64,
    /// Where the cloud-config is in the archive.
    pub path: String,
    /// The cloud-config of the built image.
    pub config: Option<String>,
}

impl ConfigArea {
    /// The bytes of the area with this cloud-config, or with none.
    ///
    /// # Errors
    /// As [`super::config_initrd::archive`].
    pub fn archive(&self, config: Option<&str>) -> Result<Vec<u8>> {
        let file = |c: &str| super::config_initrd::ArchiveFile {
            path: self.path.clone(),
            mode: 0o600,
            bytes: c.into(),
        };
        super::config_initrd::archive(
            &config.map(file).into_iter().collect::<Vec<_>>(),
            usize::try_from(self.length)?,
        )
    }
}

/// What `/media.json` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MediaLayout {
    format: u32,
    /// The system that reads the arguments, as `media.toml` names it: `rancheros-1.5.8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    /// The regions, in the order they were added.
    pub regions: Vec<Region>,
    /// The config initrd, when the image has one.
    #[serde(rename = "seed")]
    pub config_initrd: Option<ConfigArea>,
}

impl Default for MediaLayout {
    fn default() -> Self {
        Self { format: FORMAT, os: None, regions: Vec::new(), config_initrd: None }
    }
}

impl MediaLayout {
    /// Adds every place of `text`, the contents of `file`, where the region of these escaped `args` and this
    /// `length` stands.
    ///
    /// # Errors
    /// When there is none, or as [`region`].
    pub fn add(&mut self, file: &str, loader: Loader, text: &str, args: &str, length: usize) -> Result<()> {
        let wanted = region(args, length)?;
        let before = self.regions.len();
        let found = text.match_indices(&wanted).map(|(offset, _)| Region {
            file: file.to_owned(),
            loader,
            offset: offset as u64,
            length: length as u64,
            args: args.to_owned(),
        });
        self.regions.extend(found);
        if self.regions.len() == before {
            let text = format!("{file} does not contain its area of {length} bytes for kernel arguments");
            return Err(Error::new(ErrorKind::Layout, text));
        }
        Ok(())
    }

    /// The text of `/media.json`, with a final newline. It is as long whatever the arguments are, so that no other file
    /// of the image moves when they change.
    #[must_use]
    pub fn to_json(&self) -> String {
        let json = |layout: &Self| serde_json::to_string_pretty(layout).expect("plain data");
        let mut bare = self.clone();
        bare.regions.iter_mut().for_each(|region| region.args.clear());
        let longest = json(&bare).len()
            + self.regions.iter().map(|r| usize::try_from(r.length).unwrap_or(0)).sum::<usize>();
        let mut text = json(self);
        // Characters that JSON escapes may need more.
        let spaces = longest
            .checked_sub(text.len())
            .unwrap_or_else(|| text.len().next_multiple_of(REGION) - text.len());
        text.extend(std::iter::repeat_n(' ', spaces));
        text.push('\n');
        text
    }

    /// Reads `/media.json`.
    ///
    /// # Errors
    /// When it is none, or of a format that this program does not know.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        let layout: Self =
            serde_json::from_slice(bytes).explain(ErrorKind::Image, || format!("cannot parse {LAYOUT}"))?;
        if layout.format != FORMAT {
            let text = format!("{LAYOUT} has format {}, but this program knows {FORMAT}", layout.format);
            return Err(Error::image(text));
        }
        Ok(layout)
    }
}

/// The text of a region: `args`, a line end, and comments up to `length` bytes. Put it behind `append ` or
/// `linux /vmlinuz ` in place of the arguments, with nothing but a line end before what follows.
///
/// # Errors
/// [`ErrorKind::Arguments`] when the arguments are longer than `capacity` allows, or have a line end in them.
pub fn region(args: &str, length: usize) -> Result<String> {
    if args.contains(['\n', '\r', '\0']) {
        return Err(Error::new(ErrorKind::Arguments, "kernel arguments cannot contain line ends"));
    }
    let most = capacity(length);
    if args.len() > most || length < CHECK {
        let text = format!("kernel arguments of {} bytes do not fit into {most} bytes", args.len());
        return Err(Error::new(ErrorKind::Arguments, text).help("move what you can into the cloud-config"));
    }
    let mut crc = flate2::Crc::new();
    crc.update(args.as_bytes());
    let mut text = format!("{args}\n#{:08x}\n", crc.sum());
    while text.len() < length {
        match (length - text.len()).min(LINE) {
            1 => text.push('\n'),
            n => text += &format!("#{}\n", "-".repeat(n - 2)),
        }
    }
    Ok(text)
}

/// How many bytes of arguments a region of `length` bytes holds.
#[must_use]
pub(crate) fn capacity(length: usize) -> usize {
    length.saturating_sub(CHECK)
}

/// The arguments in a region, or nothing when the bytes are not what [`region`] writes for any: the trace of
/// an edit that was interrupted, or of another program.
#[must_use]
pub fn args(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (args, _) = text.split_once('\n')?;
    (region(args, bytes.len()).ok()? == text).then_some(args)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_has_its_length_and_gives_its_arguments_back() {
        for (args, length) in
            [("", 11), ("a", 12), ("a", 13), ("quiet console=ttyS0", 2048), ("x y", 77), ("x y", 79)]
        {
            let text = region(args, length).unwrap();
            assert_eq!((text.len(), super::args(text.as_bytes())), (length, Some(args)));
            assert!(text.lines().skip(1).all(|l| l.is_empty() || l.starts_with('#')), "{text}");
        }
    }

    #[test]
    fn arguments_that_do_not_fit_are_refused() {
        assert!(region("abc", 13).unwrap_err().to_string().contains("do not fit into 2 bytes"));
        assert!(region("", 3).is_err());
        assert!(region("a\nb", 30).unwrap_err().to_string().contains("line end"));
    }

    #[test]
    fn a_torn_region_is_recognised() {
        let (old, new) = (region("quiet", 256).unwrap(), region("quiet a=b c=d", 256).unwrap());
        for cut in 1..256 {
            let torn = [&new.as_bytes()[..cut], &old.as_bytes()[cut..]].concat();
            assert!(
                args(&torn).is_none_or(|_| torn == old.as_bytes() || torn == new.as_bytes()),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn a_layout_finds_its_regions_and_reads_back() {
        let text = format!(
            "label a\n append {}label b\n append {}",
            region("q", 64).unwrap(),
            region("q", 64).unwrap()
        );
        let mut layout = MediaLayout::default();
        layout.add("/isolinux.cfg", Loader::Isolinux, &text, "q", 64).unwrap();
        assert_eq!(layout.regions.iter().map(|r| r.offset).collect::<Vec<_>>(), [16, 96]);
        assert!(layout.add("/x", Loader::Grub, &text, "other", 64).is_err());
        assert_eq!(MediaLayout::from_json(layout.to_json().as_bytes()).unwrap(), layout);
        let mut other = layout.clone();
        other.regions[0].args = "quiet panic=10".to_owned();
        assert_eq!(other.to_json().len(), layout.to_json().len());
        let newer = layout.to_json().replace("\"format\": 1", "\"format\": 2");
        assert!(MediaLayout::from_json(newer.as_bytes()).unwrap_err().to_string().contains("format 2"));
    }
}
