//! What GRUB carries within itself, behind its modules (`include/grub/kernel.h`): configurations, a memdisk.

use std::io::Read as _;

use super::efi::le32;

/// Files in one GRUB.
const MOST: usize = 256;
/// A configuration.
const LONGEST_TEXT: u64 = 1 << 20;

/// The configurations in GRUB's modules: objects of a type and a length behind a header.
pub(super) fn built_in(mods: &[u8]) -> Vec<(String, String)> {
    const MEMDISK: usize = 1;
    const CONFIG: usize = 2;
    let mut found = Vec::new();
    if mods.get(..4) != Some(b"mimg") {
        return found;
    }
    // 64-bit firmware has a blank word and longer fields.
    let is_wide = le32(mods, 4) == Some(0);
    let (start, end) = if is_wide { (le32(mods, 8), le32(mods, 16)) } else { (le32(mods, 4), le32(mods, 8)) };
    let (mut at, end) = (start.unwrap_or(mods.len()), end.unwrap_or(0).min(mods.len()));
    while at < end && found.len() < MOST {
        let (Some(kind), Some(size)) = (le32(mods, at), le32(mods, at + 4)) else { break };
        let Some(object) = at.checked_add(size).filter(|_| size >= 8).and_then(|e| mods.get(at + 8..e))
        else {
            break;
        };
        match kind {
            CONFIG => found.push((String::new(), text(object))),
            MEMDISK => found.extend(archived(object)),
            _ => {}
        }
        at += size;
    }
    found
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// The configurations in a tar archive, which is what a memdisk is.
fn archived(bytes: &[u8]) -> Vec<(String, String)> {
    let mut archive = tar::Archive::new(bytes);
    let entries = archive.entries().into_iter().flatten().take(1 << 14).filter_map(Result::ok);
    let mut found = Vec::new();
    for entry in entries {
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if path.ends_with(".cfg") && found.len() < MOST {
            let mut bytes = Vec::new();
            if entry.take(LONGEST_TEXT).read_to_end(&mut bytes).is_ok() {
                found.push((path, text(&bytes)));
            }
        }
    }
    found
}
