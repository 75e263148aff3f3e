//! What GRUB carries within itself, behind its modules (`include/grub/kernel.h`): configurations, a memdisk.
//!
//! For UEFI that is a section of the program. For BIOS it is packed (`boot/i386/pc/startup_raw.S`): some code, then a raw
//! stream of LZMA.

use std::io::Read as _;

use liblzma::stream::{Action, Filters, LzmaOptions, Status, Stream};

use super::efi::le32;
use crate::{config_initrd, fat, reader::Reader};

/// Files in one GRUB.
const MOST: usize = 256;
/// A configuration.
const LONGEST_TEXT: u64 = 1 << 20;
/// As long as GRUB's code, with all modules and a memdisk, gets for BIOS.
const LONGEST_CORE: usize = 16 << 20;
/// How the code begins that unpacks GRUB, a jump within the segment where it is loaded. Its length is not said.
const UNPACKER: [u8; 5] = [0xEA, 0x1C, 0x82, 0, 0];
const UNPACKER_LENGTHS: std::ops::Range<usize> = 1 << 10..6 << 10;

/// What is built into a GRUB.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct BuiltIn {
    /// Names and texts of configurations; no name for the one that runs first.
    pub(super) texts: Vec<(String, String)>,
    /// Whether there is something that is not read: a memdisk of an unknown kind.
    pub(super) has_unread: bool,
}

/// What is built into a GRUB for BIOS whose boot image is `image`; nothing for another loader.
pub(super) fn of_bios(image: &[u8]) -> Option<BuiltIn> {
    let at = image.windows(UNPACKER.len()).take(8 << 10).position(|w| w == UNPACKER)?;
    let core = &image[at..];
    let (packed, size) = (le32(core, 8)?, le32(core, 12).filter(|size| *size <= LONGEST_CORE)?);
    let unpacked = |start: usize| {
        // A raw stream begins with a zero byte.
        let stream = core.get(start..start.checked_add(packed)?).filter(|s| s.first() == Some(&0))?;
        let bytes = unpacked(stream, size)?;
        let marks = bytes.windows(4).enumerate().filter(|(_, w)| *w == b"mimg").map(|(at, _)| at);
        // The code has the mark, too; the modules are the last part.
        marks.rev().find_map(|at| modules(&bytes[at..]))
    };
    let found = UNPACKER_LENGTHS.step_by(16).find_map(unpacked);
    Some(found.unwrap_or(BuiltIn { texts: Vec::new(), has_unread: true }))
}

/// `size` bytes out of a stream, with the settings of `grub-mkimage`.
fn unpacked(stream: &[u8], size: usize) -> Option<Vec<u8>> {
    let mut options = LzmaOptions::new_preset(6).ok()?;
    options.dict_size(1 << 16).literal_context_bits(3).literal_position_bits(0).position_bits(2);
    let mut filters = Filters::new();
    filters.lzma1(&options);
    let mut decoder = Stream::new_raw_decoder(&filters).ok()?;
    let mut bytes = Vec::with_capacity(size);
    // The stream has no end of its own, so that what follows the last byte may be taken for more, or for damage.
    while bytes.len() < size {
        let (from, before) = (usize::try_from(decoder.total_in()).ok()?, bytes.len());
        let status = decoder.process_vec(stream.get(from..)?, &mut bytes, Action::Run);
        if !matches!(status, Ok(Status::Ok)) || bytes.len() == before {
            break;
        }
    }
    bytes.truncate(size);
    (bytes.len() == size).then_some(bytes)
}

/// What is in GRUB's modules: objects of a type and a length behind a header. Nothing when that contradicts itself.
pub(super) fn modules(mods: &[u8]) -> Option<BuiltIn> {
    const MEMDISK: usize = 1;
    const CONFIG: usize = 2;
    mods.strip_prefix(b"mimg")?;
    // 64-bit firmware has a blank word and longer fields.
    let is_wide = le32(mods, 4)? == 0;
    let (start, end) =
        if is_wide { (le32(mods, 8)?, le32(mods, 16)?) } else { (le32(mods, 4)?, le32(mods, 8)?) };
    let mut found = BuiltIn::default();
    let mut at = start;
    mods.get(start..end)?;
    while at < end && found.texts.len() < MOST {
        let (kind, size) = (le32(mods, at)?, le32(mods, at + 4)?);
        let next = at.checked_add(size).filter(|_| size >= 8)?;
        let object = mods.get(at + 8..next)?;
        match kind {
            CONFIG => found.texts.push((String::new(), text(object))),
            MEMDISK => found.memdisk(object),
            _ => {}
        }
        at = next;
    }
    Some(found)
}

impl BuiltIn {
    /// The configurations of a memdisk: an archive or a file system. Debian's is a SquashFS that leads to the image's own.
    fn memdisk(&mut self, bytes: &[u8]) {
        let files = match bytes {
            [b'h', b's', b'q', b's', ..] => Vec::new(),
            [b'0', b'7', b'0', b'7', ..] => match config_initrd::list(bytes) {
                Ok(files) => files.into_iter().map(|file| (file.path, file.bytes)).collect(),
                Err(_) => return self.has_unread = true,
            },
            _ if bytes.get(257..262) == Some(b"ustar") => archived(bytes),
            _ => match in_fat(bytes) {
                Some(files) => files,
                None => return self.has_unread = true,
            },
        };
        let texts = files.into_iter().filter(|(path, bytes)| is_script(path, bytes));
        self.texts.extend(texts.map(|(path, bytes)| (path, text(&bytes))).take(MOST));
    }
}

/// Whether a file may be a script. GRUB's lists and modules are in the same archives.
fn is_script(path: &str, bytes: &[u8]) -> bool {
    let other = [".lst", ".mod", ".mo", ".pf2", ".h", ".img"];
    let is_text = !bytes.contains(&0) && std::str::from_utf8(bytes).is_ok();
    is_text && bytes.len() as u64 <= LONGEST_TEXT && !other.iter().any(|end| path.ends_with(end))
}

/// The files of a FAT image.
fn in_fat(bytes: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let image = bytes.to_vec();
    let files = fat::walk(&image, 0).ok()??;
    let content = |file: fat::FatFile| {
        let (path, mut bytes) = (file.path.trim_start_matches('/').to_owned(), Vec::new());
        let entry = file.into_entry();
        Reader::new(&image, &entry.extents).take(LONGEST_TEXT + 1).read_to_end(&mut bytes).ok()?;
        Some((path, bytes))
    };
    Some(files.into_iter().filter_map(content).collect())
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// The files of a tar archive.
fn archived(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(bytes);
    let entries = archive.entries().into_iter().flatten().take(1 << 14).filter_map(Result::ok);
    let mut found = Vec::new();
    for entry in entries {
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let mut bytes = Vec::new();
        if entry.take(LONGEST_TEXT + 1).read_to_end(&mut bytes).is_ok() {
            found.push((path, bytes));
        }
    }
    found
}
