//! Descriptors, path tables, directory records with Rock Ridge, the boot catalogue: ECMA-119, Joliet, SUSP 1.12,
//! RRIP 1.09, El Torito.

use super::{
    NameTables, Spec, WriteError,
    tree::{Folder, FolderEntry, FolderTree},
};
use crate::SECTOR;

/// Bytes of a sector.
const LENGTH: usize = SECTOR as usize;
/// Which extension the system use areas follow, and where to read about it.
const EXTENSION: [&str; 3] = [
    "RRIP_1991A",
    "THE ROCK RIDGE INTERCHANGE PROTOCOL PROVIDES SUPPORT FOR POSIX FILE SYSTEM SEMANTICS",
    "PLEASE CONTACT DISC PUBLISHER FOR SPECIFICATION SOURCE.  SEE PUBLISHER IDENTIFIER IN PRIMARY VOLUME DESCRIPTOR FOR \
     CONTACT INFORMATION.",
];

/// Which names a tree of records has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameSet {
    /// Upper case, with Rock Ridge beside them.
    Plain,
    /// UCS-2.
    Joliet,
}

/// One directory record.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) identifier: Vec<u8>,
    /// The name that Rock Ridge gives; none for a folder itself and the one above.
    pub(super) rock: Option<String>,
    /// Where the content lies, in sectors.
    pub(super) start: u64,
    /// Bytes of the content.
    pub(super) length: u64,
    pub(super) is_folder: bool,
    /// Folders in it, for the number of its links.
    pub(super) folders_in: u32,
    pub(super) time: u64,
    /// The sector that the root's own record goes on in.
    pub(super) continuation: Option<u64>,
}

impl Record {
    fn bytes(&self, names: NameSet) -> Vec<u8> {
        let mut bytes = vec![0, 0];
        bytes.extend(both32(self.start));
        bytes.extend(both32(self.length));
        bytes.extend(date7(self.time));
        bytes.extend([if self.is_folder { 2 } else { 0 }, 0, 0]);
        bytes.extend(both16(1));
        bytes.push(u8::try_from(self.identifier.len()).expect("names are short"));
        bytes.extend(&self.identifier);
        if bytes.len() % 2 == 1 {
            bytes.push(0);
        }
        if names == NameSet::Plain {
            self.system_use(&mut bytes);
        }
        if bytes.len() % 2 == 1 {
            bytes.push(0);
        }
        bytes[0] = u8::try_from(bytes.len()).expect("names are short");
        bytes
    }

    /// Mode, owner and links; the date; the name; where it goes on.
    fn system_use(&self, bytes: &mut Vec<u8>) {
        if self.continuation.is_some() {
            bytes.extend(*b"SP\x07\x01\xbe\xef\0");
        }
        let (mode, links) = if self.is_folder { (0o040_555, 2 + self.folders_in) } else { (0o100_444, 1) };
        bytes.extend(*b"PX\x24\x01");
        for number in [mode, links, 0, 0] {
            bytes.extend(both32(number.into()));
        }
        bytes.extend(*b"TF\x0c\x01\x02");
        bytes.extend(date7(self.time));
        if let Some(name) = &self.rock {
            bytes.extend([b'N', b'M', u8::try_from(name.len() + 5).expect("names are short"), 1, 0]);
            bytes.extend(name.as_bytes());
        }
        if let Some(sector) = self.continuation {
            bytes.extend(*b"CE\x1c\x01");
            for number in [sector, 0, extension_entry().len() as u64] {
                bytes.extend(both32(number));
            }
        }
    }
}

/// The name that a record has for an entry.
pub(super) fn identifier(entry: &FolderEntry, names: NameSet) -> Vec<u8> {
    match (names, entry.folder) {
        (NameSet::Plain, Some(_)) => entry.plain.clone().into_bytes(),
        (NameSet::Plain, None) => format!("{};1", entry.plain).into_bytes(),
        (NameSet::Joliet, Some(_)) => ucs2(&entry.name),
        (NameSet::Joliet, None) => ucs2(&format!("{};1", entry.name)),
    }
}

/// Records one behind the other; none lies across the end of a sector.
pub(super) fn lay_out(records: &[Record], names: NameSet, length: u64) -> Vec<u8> {
    let mut all = Vec::new();
    for record in records {
        append(&mut all, &record.bytes(names));
    }
    all.resize(usize::try_from(length).expect("folders are small"), 0);
    all
}

fn append(all: &mut Vec<u8>, bytes: &[u8]) {
    let room = LENGTH - all.len() % LENGTH;
    if bytes.len() > room {
        all.resize(all.len() + room, 0);
    }
    all.extend(bytes);
}

/// Bytes of a folder, in whole sectors. Lengths of records do not depend on where anything lies.
pub(super) fn folder_length(tree: &FolderTree, number: usize, folder: &Folder, names: NameSet) -> u64 {
    let record = |identifier: Vec<u8>, rock: Option<String>| Record {
        identifier,
        rock,
        start: 0,
        length: 0,
        is_folder: false,
        folders_in: 0,
        time: 0,
        continuation: None,
    };
    let mut own = record(vec![0], None);
    own.continuation = (number == 0).then_some(0);
    let mut all = Vec::new();
    append(&mut all, &own.bytes(names));
    append(&mut all, &record(vec![1], None).bytes(names));
    for entry in folder.ordered(names) {
        append(&mut all, &record(identifier(entry, names), Some(entry.name.clone())).bytes(names));
    }
    debug_assert!(number < tree.folders.len());
    (all.len() as u64).next_multiple_of(SECTOR)
}

/// Bytes of a path table.
pub(super) fn path_table_length(tree: &FolderTree, names: NameSet) -> u64 {
    tree.folders.iter().map(|f| path_record(f, names, 0, false).len() as u64).sum()
}

/// A path table: where each folder lies, and which one is above it.
pub(super) fn path_table(tree: &FolderTree, table: &NameTables, big: bool) -> Vec<u8> {
    tree.folders
        .iter()
        .zip(&table.starts)
        .flat_map(|(folder, start)| path_record(folder, table.names, *start, big))
        .collect()
}

fn path_record(folder: &Folder, names: NameSet, start: u64, big: bool) -> Vec<u8> {
    let name = match (folder.name.as_str(), names) {
        ("", _) => vec![0],
        (name, NameSet::Joliet) => ucs2(name),
        (name, NameSet::Plain) => super::tree::plain_folder(name).into_bytes(),
    };
    let (start, parent) = (number32(start), u16::try_from(folder.parent + 1).expect("there are few folders"));
    let mut bytes = vec![u8::try_from(name.len()).expect("names are short"), 0];
    if big {
        bytes.extend(start.to_be_bytes());
        bytes.extend(parent.to_be_bytes());
    } else {
        bytes.extend(start.to_le_bytes());
        bytes.extend(parent.to_le_bytes());
    }
    bytes.extend(&name);
    if bytes.len() % 2 == 1 {
        bytes.push(0);
    }
    bytes
}

/// The descriptor of a volume with one set of names.
pub(super) fn descriptor(spec: &Spec, names: NameSet, table: &NameTables, sectors: u64) -> Vec<u8> {
    let joliet = names == NameSet::Joliet;
    let mut bytes = head(if joliet { 2 } else { 1 });
    let text = |text: &str, length: usize| match joliet {
        true => {
            let mut bytes = ucs2(text);
            bytes.truncate(length);
            while bytes.len() + 1 < length {
                bytes.extend([0, b' ']);
            }
            bytes.resize(length, 0);
            bytes
        }
        false => format!("{text:<length$}").into_bytes(),
    };
    put(&mut bytes, 8, &text("", 32));
    put(&mut bytes, 40, &text(&spec.label, 32));
    put(&mut bytes, 80, &both32(sectors));
    if joliet {
        put(&mut bytes, 88, b"%/E");
    }
    put(&mut bytes, 120, &both16(1));
    put(&mut bytes, 124, &both16(1));
    put(&mut bytes, 128, &both16(2048));
    put(&mut bytes, 132, &both32(table.length));
    put(&mut bytes, 140, &number32(table.little).to_le_bytes());
    put(&mut bytes, 148, &number32(table.big).to_be_bytes());
    let root = Record {
        identifier: vec![0],
        rock: None,
        start: table.starts[0],
        length: table.sizes[0],
        is_folder: true,
        folders_in: 0,
        time: spec.time,
        continuation: None,
    };
    // The root's record here has no room for more than ECMA-119 knows.
    put(&mut bytes, 156, &root.bytes(NameSet::Joliet));
    for (at, length) in [(190, 128), (318, 128), (446, 128), (574, 128), (702, 37), (739, 37), (776, 37)] {
        put(&mut bytes, at, &text("", length));
    }
    put(&mut bytes, 813, &date17(Some(spec.time)));
    put(&mut bytes, 830, &date17(Some(spec.time)));
    put(&mut bytes, 847, &date17(None));
    put(&mut bytes, 864, &date17(None));
    bytes[881] = 1;
    bytes
}

/// The descriptor that says where the boot catalogue is.
pub(super) fn boot_record(catalog: u64) -> Vec<u8> {
    let mut bytes = head(0);
    put(&mut bytes, 7, b"EL TORITO SPECIFICATION");
    put(&mut bytes, 71, &number32(catalog).to_le_bytes());
    bytes
}

/// The last descriptor.
pub(super) fn terminator() -> Vec<u8> {
    head(255)
}

/// The sector that the root's own record goes on in: which extension it follows.
pub(super) fn extension() -> Vec<u8> {
    let mut bytes = extension_entry();
    bytes.resize(LENGTH, 0);
    bytes
}

fn extension_entry() -> Vec<u8> {
    let lengths = EXTENSION.map(|text| u8::try_from(text.len()).expect("the texts are short"));
    let all = 8 + lengths.iter().sum::<u8>();
    let mut bytes = vec![b'E', b'R', all, 1, lengths[0], lengths[1], lengths[2], 1];
    EXTENSION.iter().for_each(|text| bytes.extend(text.as_bytes()));
    bytes
}

/// The boot catalogue: ISOLINUX's first four blocks under BIOS, the FAT image under UEFI. Starts are in sectors.
pub(super) fn catalog(bios: u64, efi: Option<(u64, u64)>) -> Result<Vec<u8>, WriteError> {
    let mut bytes = vec![0; LENGTH];
    put(&mut bytes, 0, &[1]);
    put(&mut bytes, 30, &[0x55, 0xaa]);
    let sum = bytes[..32].chunks(2).fold(0_u16, |sum, w| sum.wrapping_add(u16::from_le_bytes([w[0], w[1]])));
    put(&mut bytes, 28, &sum.wrapping_neg().to_le_bytes());
    put(&mut bytes, 32, &entry(bios, 4));
    if let Some((start, length)) = efi {
        let blocks = u16::try_from(length.div_ceil(512))
            .map_err(|_| WriteError::TooLarge("the image for UEFI".to_owned()))?;
        put(&mut bytes, 64, &[0x91, 0xef, 1, 0]);
        put(&mut bytes, 96, &entry(start, blocks));
    }
    Ok(bytes)
}

fn entry(start: u64, blocks: u16) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[0] = 0x88;
    bytes[6..8].copy_from_slice(&blocks.to_le_bytes());
    bytes[8..12].copy_from_slice(&number32(start).to_le_bytes());
    bytes
}

fn head(kind: u8) -> Vec<u8> {
    let mut bytes = vec![0; LENGTH];
    bytes[0] = kind;
    put(&mut bytes, 1, b"CD001\x01");
    bytes
}

fn put(bytes: &mut [u8], at: usize, what: &[u8]) {
    bytes[at..at + what.len()].copy_from_slice(what);
}

/// The size of the whole was checked, so that everything in it fits.
fn number32(number: u64) -> u32 {
    u32::try_from(number).expect("the image is below 2 TiB")
}

fn both32(number: u64) -> [u8; 8] {
    let (little, big) = (number32(number).to_le_bytes(), number32(number).to_be_bytes());
    [little[0], little[1], little[2], little[3], big[0], big[1], big[2], big[3]]
}

fn both16(number: u16) -> [u8; 4] {
    let (little, big) = (number.to_le_bytes(), number.to_be_bytes());
    [little[0], little[1], big[0], big[1]]
}

fn ucs2(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

/// Year, month, day, hour, minute, second, in UTC.
fn calendar(time: u64) -> [u64; 6] {
    // Howard Hinnant's days_from_civil, turned round: years begin in March.
    let (days, seconds) = (time / 86_400 + 719_468, time % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    [year, month, day, seconds / 3_600, seconds / 60 % 60, seconds % 60]
}

fn date7(time: u64) -> [u8; 7] {
    let [year, rest @ ..] = calendar(time);
    let mut bytes = [0; 7];
    bytes[0] = u8::try_from(year.saturating_sub(1900)).unwrap_or(u8::MAX);
    for (byte, number) in bytes[1..6].iter_mut().zip(rest) {
        *byte = u8::try_from(number).expect("calendar numbers are small");
    }
    bytes
}

fn date17(time: Option<u64>) -> Vec<u8> {
    let [year, month, day, hour, minute, second] = time.map_or([0; 6], calendar);
    let mut bytes = format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}00").into_bytes();
    bytes.truncate(16);
    bytes.push(0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_of_the_gregorian_calendar() {
        assert_eq!(calendar(0), [1970, 1, 1, 0, 0, 0]);
        assert_eq!(calendar(951_782_400), [2000, 2, 29, 0, 0, 0]);
        assert_eq!(calendar(1_795_564_799), [2026, 11, 24, 23, 59, 59]);
        assert_eq!(date7(1_795_564_800), [126, 11, 25, 0, 0, 0, 0]);
        assert_eq!(date17(None), b"0000000000000000\0");
    }
}
