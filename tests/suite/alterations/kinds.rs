//! Alterations of an image that could make it boot something else, or that a reader takes for what it is not.

#![expect(clippy::ptr_arg, reason = "all alterations have one type, and some change the length")]

use super::SECTOR;

fn le32(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

/// The record of `name` in the folder whose records begin at `at`, and where they end.
fn record_in(bytes: &[u8], mut at: usize, name: &[u8]) -> (usize, usize) {
    let mut found = None;
    while bytes[at] != 0 {
        let id = &bytes[at + 33..at + 33 + usize::from(bytes[at + 32])];
        if id == name {
            found = Some(at);
        }
        at += usize::from(bytes[at]);
    }
    (found.unwrap(), at)
}

/// As [`record_in`], of a path in the plain tree.
pub(super) fn record(bytes: &[u8], path: &str) -> (usize, usize) {
    let mut folder = le32(bytes, 16 * SECTOR + 158) * SECTOR;
    let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
    for part in above.split('/').filter(|part| !part.is_empty()) {
        let (at, _) = record_in(bytes, folder, part.as_bytes());
        folder = le32(bytes, at + 2) * SECTOR;
    }
    record_in(bytes, folder, name.as_bytes())
}

fn catalog(bytes: &[u8]) -> usize {
    le32(bytes, 17 * SECTOR + 71) * SECTOR
}

/// Where the FAT image lies, and how long it is.
fn fat(bytes: &[u8]) -> (usize, usize) {
    let (at, _) = record(bytes, "EFI.IMG;1");
    (le32(bytes, at + 2) * SECTOR, le32(bytes, at + 10))
}

/// Another record of a file, which Rock Ridge readers hide, and loaders find.
fn hide(bytes: &mut Vec<u8>, path: &str) {
    let (from, end) = record(bytes, path);
    let mut copy = bytes[from..from + usize::from(bytes[from])].to_vec();
    // Over `PX`, which is longer than `RE`.
    let px = copy.windows(4).position(|w| w == b"PX\x24\x01").unwrap();
    copy[px..px + 4].copy_from_slice(b"RE\x04\x01");
    copy.truncate(px + 4);
    copy[0] = u8::try_from(px + 4).unwrap();
    bytes[end..end + copy.len()].copy_from_slice(&copy);
}

fn hidden_record(bytes: &mut Vec<u8>) {
    hide(bytes, "ISOLINUX.CFG;1");
}

fn hidden_grub_record(bytes: &mut Vec<u8>) {
    hide(bytes, "BOOT/GRUB/GRUB.CFG;1");
}

fn another_boot_section(bytes: &mut Vec<u8>) {
    let at = catalog(bytes);
    let section = bytes[at + 64..at + 128].to_vec();
    bytes[at + 96] = 0;
    bytes[at + 128..at + 192].copy_from_slice(&section);
}

fn partition_with_a_strange_flag(bytes: &mut Vec<u8>) {
    let partition = bytes[446 + 16..446 + 32].to_vec();
    bytes[446 + 32..446 + 48].copy_from_slice(&partition);
    bytes[446 + 32] = 1;
    bytes[446 + 36] = 0xef;
}

fn udf(bytes: &mut Vec<u8>) {
    for (sector, id) in [(20, b"BEA01"), (21, b"NSR02"), (22, b"TEA01")] {
        bytes[sector * SECTOR + 1..sector * SECTOR + 6].copy_from_slice(id);
    }
}

fn name_under_a_name(bytes: &mut Vec<u8>) {
    let (at, _) = record(bytes, "ISOLINUX.CFG;1");
    bytes[at + 33 + 3] = b'X';
}

fn set_user_id(bytes: &mut Vec<u8>) {
    let (at, _) = record(bytes, "INITRD.;1");
    let px = at + bytes[at..at + 100].windows(4).position(|w| w == b"PX\x24\x01").unwrap();
    bytes[px + 5] |= 0x08;
}

fn load_size(bytes: &mut Vec<u8>) {
    let at = catalog(bytes);
    bytes[at + 38] ^= 64;
}

fn load_segment(bytes: &mut Vec<u8>) {
    let at = catalog(bytes);
    bytes[at + 34] = 0x60;
}

fn system_area(bytes: &mut Vec<u8>) {
    bytes[4096..32 * 1024].fill(0x90);
}

fn behind_the_end(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len() + SECTOR, 0);
}

fn another_image_behind_the_end(bytes: &mut Vec<u8>) {
    let (from, length) = fat(bytes);
    let (at, image) = (bytes.len() / 512, bytes[from..from + length].to_vec());
    bytes.extend(image);
    let entry = 446 + 48;
    bytes[entry + 4] = 0xef;
    bytes[entry + 8..entry + 12].copy_from_slice(&u32::try_from(at).unwrap().to_le_bytes());
    bytes[entry + 12..entry + 16].copy_from_slice(&u32::try_from(length / 512).unwrap().to_le_bytes());
}

fn shortened(bytes: &mut Vec<u8>) {
    // By the backup GPT and the padding in front of it.
    bytes.truncate(bytes.len() - 64 * 512);
}

fn backup_table(bytes: &mut Vec<u8>) {
    let at = bytes.len() - 512 + 72;
    bytes[at] ^= 1;
}

fn second_primary_descriptor(bytes: &mut Vec<u8>) {
    bytes.copy_within(16 * SECTOR..17 * SECTOR, 18 * SECTOR);
}

fn joliet_name(bytes: &mut Vec<u8>) {
    let name: Vec<u8> = "vmlinuz".bytes().flat_map(|b| [0, b]).collect();
    let at = bytes.windows(name.len()).position(|w| w == name).unwrap();
    bytes[at + 1] = b'V';
}

fn path_table(bytes: &mut Vec<u8>) {
    let at = le32(bytes, 16 * SECTOR + 140) * SECTOR;
    bytes[at + 2] ^= 1;
}

fn big_path_table(bytes: &mut Vec<u8>) {
    let at = 16 * SECTOR + 148;
    let table = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize * SECTOR;
    bytes[table + 5] ^= 1;
}

fn boot_info_checksum(bytes: &mut Vec<u8>) {
    let at = catalog(bytes);
    let isolinux = le32(bytes, at + 40) * SECTOR;
    bytes[isolinux + 20] ^= 1;
}

fn behind_a_file(bytes: &mut Vec<u8>) {
    let (at, _) = record(bytes, "ISOLINUX.CFG;1");
    let (sector, size) = (le32(bytes, at + 2), le32(bytes, at + 10));
    bytes[sector * SECTOR + size] = b'\n';
}

/// The end of the last cluster, which no file has.
fn fat_slack(bytes: &mut Vec<u8>) {
    let (at, length) = fat(bytes);
    bytes[at + length - 1] = 1;
}

fn fat_label(bytes: &mut Vec<u8>) {
    let (at, _) = fat(bytes);
    bytes[at + 0x2b] ^= 1;
}

fn fat_boot_code(bytes: &mut Vec<u8>) {
    let (at, _) = fat(bytes);
    bytes[at + 0x3e] ^= 1;
}

fn fat_file(bytes: &mut Vec<u8>) {
    let (at, length) = fat(bytes);
    let mut image = std::io::Cursor::new(bytes[at..at + length].to_vec());
    {
        let fs = fatfs::FileSystem::new(&mut image, fatfs::FsOptions::new()).unwrap();
        // Without content: the image has no cluster to spare.
        fs.root_dir().create_file("STARTUP.NSH").unwrap();
    }
    bytes[at..at + length].copy_from_slice(image.get_ref());
}

/// Where the boot catalogue's first entry keeps the name of whoever made it; its checksum is made to fit.
fn catalog_name(bytes: &mut Vec<u8>) {
    let at = catalog(bytes);
    bytes[at + 4..at + 8].copy_from_slice(b"EVIL");
    bytes[at + 28..at + 30].fill(0);
    let words = bytes[at..at + 32].chunks(2).map(|w| u16::from_le_bytes([w[0], w[1]]));
    let sum = words.fold(0_u16, u16::wrapping_add).wrapping_neg();
    bytes[at + 28..at + 30].copy_from_slice(&sum.to_le_bytes());
}

/// Behind its last entry, where some firmware goes on reading.
fn catalog_rest(bytes: &mut Vec<u8>) {
    let at = catalog(bytes);
    bytes[at + SECTOR - 32] = 0x44;
}

/// Readers that heed it begin the file a sector later.
fn extended_attributes(bytes: &mut Vec<u8>) {
    let (at, _) = record(bytes, "ISOLINUX.CFG;1");
    bytes[at + 1] = 1;
}

fn hidden_flag(bytes: &mut Vec<u8>) {
    let (at, _) = record(bytes, "ISOLINUX.CFG;1");
    bytes[at + 25] |= 1;
}

fn interleaved(bytes: &mut Vec<u8>) {
    let (at, _) = record(bytes, "INITRD.;1");
    (bytes[at + 26], bytes[at + 27]) = (1, 1);
}

fn record_date(bytes: &mut Vec<u8>) {
    let (at, _) = record(bytes, "INITRD.;1");
    bytes[at + 18] ^= 1;
}

/// Rock Ridge goes on in a sector that the kernel lies in.
fn continued_record(bytes: &mut Vec<u8>) {
    let (kernel, _) = record(bytes, "VMLINUZ.;1");
    let sector = le32(bytes, kernel + 2);
    let (at, _) = record(bytes, "ISOLINUX.CFG;1");
    let px = at + bytes[at..at + 200].windows(4).position(|w| w == b"PX\x24\x01").unwrap();
    let mut ce = b"CE\x1C\x01".to_vec();
    for number in [sector, 0, 64] {
        let number = u32::try_from(number).unwrap();
        ce.extend([number.to_le_bytes(), number.to_be_bytes()].concat());
    }
    bytes[px..px + ce.len()].copy_from_slice(&ce);
    bytes[px + ce.len()..px + 36].copy_from_slice(b"PD\x08\x01\0\0\0\0");
}

/// Windows and some firmware read Joliet: there the kernel is another file.
fn joliet_elsewhere(bytes: &mut Vec<u8>) {
    let (initrd, _) = record(bytes, "INITRD.;1");
    let extent = bytes[initrd + 2..initrd + 18].to_vec();
    let name: Vec<u8> = "vmlinuz".bytes().flat_map(|b| [0, b]).collect();
    let at = bytes.windows(name.len()).position(|w| w == name).unwrap() - 33;
    bytes[at + 2..at + 18].copy_from_slice(&extent);
}

fn one_byte_behind_the_end(bytes: &mut Vec<u8>) {
    bytes.push(0);
}

fn a_hole_in_front_of_the_end(bytes: &mut Vec<u8>) {
    let at = bytes.len() - SECTOR;
    bytes.splice(at..at, vec![0; 1 << 20]);
}

fn gpt_identifier(bytes: &mut Vec<u8>) {
    bytes[512 + 56] ^= 1;
}

fn gpt_entry(bytes: &mut Vec<u8>) {
    // A name in the first entry of the primary table.
    bytes[1024 + 56] ^= 1;
}

fn disk_signature(bytes: &mut Vec<u8>) {
    bytes[440..444].copy_from_slice(b"EVIL");
}

fn another_active_partition(bytes: &mut Vec<u8>) {
    bytes[446 + 16] ^= 0x80;
}

fn volume_size(bytes: &mut Vec<u8>) {
    bytes[16 * SECTOR + 80] ^= 1;
    bytes[16 * SECTOR + 87] ^= 1;
}

fn application_use(bytes: &mut Vec<u8>) {
    bytes[16 * SECTOR + 883..16 * SECTOR + 887].copy_from_slice(b"EVIL");
}

/// A name that only readers of long names see.
fn fat_long_name(bytes: &mut Vec<u8>) {
    let (at, length) = fat(bytes);
    let mut image = std::io::Cursor::new(bytes[at..at + length].to_vec());
    {
        let fs = fatfs::FileSystem::new(&mut image, fatfs::FsOptions::new()).unwrap();
        fs.root_dir().create_file("a long name.efi").unwrap();
    }
    bytes[at..at + length].copy_from_slice(image.get_ref());
}

/// The second copy of the table, which a repair puts in place of the first.
fn fat_second_table(bytes: &mut Vec<u8>) {
    let (at, _) = fat(bytes);
    let word = |n: usize| usize::from(u16::from_le_bytes([bytes[at + n], bytes[at + n + 1]]));
    let second = (word(14) + word(22)) * word(11);
    bytes[at + second + 40] ^= 1;
}

/// The kernel's name, where it leads to the initrd's bytes: one file under two names.
fn hard_link(bytes: &mut Vec<u8>) {
    let (initrd, _) = record(bytes, "INITRD.;1");
    let extent = bytes[initrd + 2..initrd + 18].to_vec();
    let (kernel, _) = record(bytes, "VMLINUZ.;1");
    bytes[kernel + 2..kernel + 18].copy_from_slice(&extent);
}

/// A file is said to have another name somewhere.
fn link_count(bytes: &mut Vec<u8>) {
    let (at, _) = record(bytes, "VMLINUZ.;1");
    let px = at + bytes[at..at + 200].windows(4).position(|w| w == b"PX\x24\x01").unwrap();
    (bytes[px + 12], bytes[px + 19]) = (2, 2);
}

/// A second name in the FAT image for the clusters of the first file.
fn fat_hard_link(bytes: &mut Vec<u8>) {
    let (at, length) = fat(bytes);
    let program = bytes[at..at + length].windows(11).position(|w| w == b"BOOTX64 EFI").unwrap() + at;
    let mut link = bytes[program..program + 32].to_vec();
    link[..11].copy_from_slice(b"BOOTIA32EFI");
    let free = (program..).step_by(32).find(|at| bytes[*at] == 0).unwrap();
    bytes[free..free + 32].copy_from_slice(&link);
}

/// What is done to an image, by name.
pub(super) type Alteration = (&'static str, fn(&mut Vec<u8>));

pub(super) const ALTERATIONS: &[Alteration] = &[
    ("hidden record", hidden_record),
    ("hidden record of GRUB", hidden_grub_record),
    ("another boot section", another_boot_section),
    ("partition with a strange flag", partition_with_a_strange_flag),
    ("UDF", udf),
    ("name under a name", name_under_a_name),
    ("mode", set_user_id),
    ("load size", load_size),
    ("load segment", load_segment),
    ("system area", system_area),
    ("behind the end", behind_the_end),
    ("another image behind the end", another_image_behind_the_end),
    ("shortened", shortened),
    ("backup table", backup_table),
    ("second primary descriptor", second_primary_descriptor),
    ("Joliet name", joliet_name),
    ("path table", path_table),
    ("big path table", big_path_table),
    ("boot info checksum", boot_info_checksum),
    ("behind a file", behind_a_file),
    ("FAT slack", fat_slack),
    ("FAT label", fat_label),
    ("FAT boot code", fat_boot_code),
    ("FAT file", fat_file),
    ("boot catalogue's name", catalog_name),
    ("boot catalogue's rest", catalog_rest),
    ("extended attributes", extended_attributes),
    ("hidden flag", hidden_flag),
    ("interleaved", interleaved),
    ("record's date", record_date),
    ("continued record", continued_record),
    ("Joliet elsewhere", joliet_elsewhere),
    ("one byte behind the end", one_byte_behind_the_end),
    ("hole in front of the end", a_hole_in_front_of_the_end),
    ("GPT identifier", gpt_identifier),
    ("GPT entry", gpt_entry),
    ("disk signature", disk_signature),
    ("another active partition", another_active_partition),
    ("volume size", volume_size),
    ("application use", application_use),
    ("FAT long name", fat_long_name),
    ("FAT's second table", fat_second_table),
    ("hard link", hard_link),
    ("link count", link_count),
    ("hard link in the FAT image", fat_hard_link),
];
