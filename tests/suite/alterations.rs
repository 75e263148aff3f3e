//! Images that boot something else, or could: each is made from a good one, lists and statements are made to fit, and
//! `verify` names the byte.

#![expect(clippy::ptr_arg, reason = "all alterations have one type, and some change the length")]
#![expect(clippy::disallowed_macros, reason = "`cargo xtask test --long` collects how many were tried")]

use buildplan::{Digest, digest::sha512};
use fs_err as fs;
use proptest::{
    prelude::{Strategy, any, prop_oneof},
    strategy::ValueTree as _,
    test_runner::TestRunner,
};
use trust::verify::sums;

use super::release::{Media, Repository};

const ISO: &str = "mini-1-x86_64.iso";
const SECTOR: usize = 2048;

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
fn record(bytes: &[u8], path: &str) -> (usize, usize) {
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

/// What is done to an image, by name.
type Alteration = (&'static str, fn(&mut Vec<u8>));

const ALTERATIONS: &[Alteration] = &[
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
];

#[test]
fn media_that_could_boot_something_else_are_refused() {
    let Some(repository) = Repository::get() else { return };
    let good = fs::read(repository.path("dist/mini").join(ISO)).unwrap();
    for (name, alter) in ALTERATIONS {
        let media = repository.media();
        let mut bytes = good.clone();
        alter(&mut bytes);
        assert_ne!(bytes, good, "{name}");
        fs::write(media.path(ISO), bytes).unwrap();
        media.promise_again();
        let (code, said) = media.verify(&["--strict"]);
        let names_the_image = ["verification failed: loaders", "verification failed: iso\n"];
        assert!(code == 5 && names_the_image.iter().any(|text| said.contains(text)), "{name}: {said}");
    }
}

/// A file of another name, which leads where `isolinux.cfg` does.
#[test]
fn an_entry_that_the_plan_does_not_put_there_is_named() {
    let Some(repository) = Repository::get() else { return };
    let media = repository.media();
    let mut bytes = fs::read(media.path(ISO)).unwrap();
    let (from, end) = record(&bytes, "ISOLINUX.CFG;1");
    let mut copy = bytes[from..from + usize::from(bytes[from])].to_vec();
    for (from, to) in [(b"LINUX.CFG", b"EVILS.CFG"), (b"linux.cfg", b"evils.cfg")] {
        let at = copy.windows(from.len()).position(|w| w == from).unwrap();
        copy[at..at + to.len()].copy_from_slice(to);
    }
    bytes[end..end + copy.len()].copy_from_slice(&copy);
    fs::write(media.path(ISO), bytes).unwrap();
    media.promise_again();
    let said = media.broken(&[], "loaders");
    assert!(said.contains("the ISO has /isoevils.cfg, which this repository does not put there"), "{said}");
}

#[test]
fn a_refusal_names_the_first_byte_that_differs_and_where_it_lies() {
    let Some(repository) = Repository::get() else { return };
    let size = usize::try_from(fs::metadata(repository.path("dist/mini").join(ISO)).unwrap().len()).unwrap();
    for (file, at, place) in [
        (ISO, 511, "(the boot sector and its partitions)"),
        (ISO, 4096, "(the system area)"),
        (ISO, 16 * SECTOR + 400, "(the volume descriptors)"),
        (ISO, 21 * SECTOR, "(the path tables, folders and boot catalogue)"),
        (ISO, size - 1024, "(between or behind its files)"),
        ("ipxe.iso", 4096, "(the system area)"),
    ] {
        let media = repository.media();
        media.flip(file, at as u64);
        media.promise_again();
        let (code, said) = media.verify(&[]);
        assert!(code == 5 && said.contains(&format!("byte {at} of ")) && said.contains(place), "{said}");
    }
}

/// Something that is done to bytes without a plan.
#[derive(Clone, Debug)]
enum Mutation {
    Flip(usize, u8),
    Swap(usize, usize, usize),
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
}

impl Mutation {
    fn any() -> impl Strategy<Value = Self> {
        // Half of them where the structures lie, which are few of the bytes.
        let at = || prop_oneof![0..64 * SECTOR, any::<usize>()];
        prop_oneof![
            4 => (at(), 0..8_u8).prop_map(|(at, bit)| Self::Flip(at, bit)),
            2 => (at(), at(), 1..SECTOR).prop_map(|(a, b, length)| Self::Swap(a, b, length)),
            1 => (at(), proptest::collection::vec(any::<u8>(), 1..64)).prop_map(|(at, b)| Self::Insert(at, b)),
            1 => (at(), 1..SECTOR).prop_map(|(at, length)| Self::Remove(at, length)),
        ]
    }

    fn of(&self, good: &[u8]) -> Vec<u8> {
        let (mut bytes, size) = (good.to_vec(), good.len());
        match self {
            Self::Flip(at, bit) => bytes[at % size] ^= 1 << bit,
            Self::Swap(a, b, length) => {
                for i in 0..*length {
                    bytes.swap(a.wrapping_add(i) % size, b.wrapping_add(i) % size);
                }
            }
            Self::Insert(at, content) => {
                bytes.splice(at % size..at % size, content.iter().copied());
            }
            Self::Remove(at, length) => {
                let at = at % size;
                bytes.drain(at..size.min(at + length));
            }
        }
        bytes
    }
}

/// As [`Media::promise_again`], when only the file `name` was changed.
fn promise(media: &Media<'_>, name: &str, bytes: &[u8]) {
    let mut manifest = media.manifest();
    let output = manifest.outputs.get_mut(name).unwrap();
    (output.size, output.sha256) = (bytes.len() as u64, Digest::of(bytes));
    let mut changed = vec![(name, bytes.to_vec())];
    for (name, text) in attest::statements(&manifest) {
        fs::write(media.path(name), &text).unwrap();
        changed.push((name, text.into_bytes()));
    }
    let digests_256 = changed.iter().map(|(name, b)| (*name, Digest::of(b).to_string())).collect();
    let digests_512 = changed.iter().map(|(name, b)| (*name, sha512(&mut b.as_slice()).unwrap())).collect();
    for (list, digits, new) in [(sums::SHA256, 64, digests_256), (sums::SHA512, 128, digests_512)] {
        let text = fs::read_to_string(media.path(list)).unwrap();
        fs::write(media.path(list), sums::with_digests(&text, digits, &new)).unwrap();
    }
}

#[test]
fn an_image_that_was_changed_anywhere_is_refused() {
    let Some(repository) = Repository::get() else { return };
    let media = repository.media();
    let good = fs::read(media.path(ISO)).unwrap();
    let mut runner = TestRunner::deterministic();
    let tried = if super::long() { 10_000 } else { 200 };
    let mut passed = Vec::new();
    for _ in 0..tried {
        let mutation = Mutation::any().new_tree(&mut runner).unwrap().current();
        let bytes = mutation.of(&good);
        if bytes == good {
            continue;
        }
        fs::write(media.path(ISO), &bytes).unwrap();
        promise(&media, ISO, &bytes);
        let (code, said) = repository.run(&["verify", media.path(ISO).to_str().unwrap()]);
        // The lists and the manifest fit, so that it is the image that is refused.
        let refused =
            said.contains("verification failed: ") && !said.contains("verification failed: checksums");
        if code != 5 || !refused {
            passed.push(format!("{mutation:?}: {said}"));
        }
    }
    println!("reliability: verify alterations: {tried} tried, {} held", tried - passed.len());
    assert!(passed.is_empty(), "{}", passed.join("\n"));
}

#[test]
fn what_lies_beside_the_media_is_held_to_the_same() {
    let Some(repository) = Repository::get() else { return };
    let spoiled = |spoil: &dyn Fn(&Media<'_>)| {
        let media = repository.media();
        spoil(&media);
        let (code, said) = media.verify(&[]);
        assert_eq!(code, 5, "{said}");
        said
    };
    let said = spoiled(&|m| fs::remove_file(m.path("SHA512SUMS")).unwrap());
    assert!(said.contains("SHA512SUMS is missing"), "{said}");
    let said = spoiled(&|m| {
        fs::write(m.path("netboot/extra"), "x").unwrap();
        m.promise_again();
    });
    assert!(said.contains("manifest.json does not know netboot/extra"), "{said}");
    let said = spoiled(&|m| {
        let text = fs::read_to_string(m.path("manifest.json")).unwrap();
        fs::write(m.path("manifest.json"), format!("{text}\n")).unwrap();
        m.list();
    });
    assert!(said.contains("manifest.json is not formatted as this program writes it"), "{said}");
}

#[test]
#[cfg(unix)]
fn a_link_is_not_taken_for_the_file_that_it_leads_to() {
    let Some(repository) = Repository::get() else { return };
    let elsewhere = tempfile::tempdir().unwrap();
    for name in ["netboot/vmlinuz", ISO, "ipxe.efi", "manifest.json", "SHA256SUMS", "SHA512SUMS"] {
        let media = repository.media();
        let to = elsewhere.path().join(name.rsplit('/').next().unwrap());
        fs::copy(media.path(name), &to).unwrap();
        fs::remove_file(media.path(name)).unwrap();
        std::os::unix::fs::symlink(&to, media.path(name)).unwrap();
        let (code, said) = media.verify(&[]);
        assert!(code == 5 && said.contains(&format!("{name} is not a regular file")), "{name}: {said}");
    }
}

#[test]
fn a_reset_does_not_vouch_for_an_image_that_was_altered() {
    let Some(repository) = Repository::get() else { return };
    let media = repository.media();
    let iso = media.path(ISO);
    let path = iso.to_str().unwrap();
    assert_eq!(repository.run(&["kargs", "append", path, "panic=5", "--update-sums"]).0, 0);
    let appended = fs::read(&iso).unwrap();
    let some = ["hidden record", "another boot section", "partition with a strange flag", "system area"];
    for (name, alter) in ALTERATIONS.iter().filter(|(name, _)| some.contains(name)) {
        let mut bytes = appended.clone();
        alter(&mut bytes);
        fs::write(&iso, &bytes).unwrap();
        let lists = fs::read_to_string(media.path("SHA256SUMS")).unwrap();
        let (code, said) = repository.run(&["kargs", "reset", path, "--update-sums"]);
        assert!(code == 5 && said.contains("verification failed: loaders"), "{name}: {said}");
        assert_eq!(fs::read(&iso).unwrap(), bytes, "{name}: nothing is written");
        assert_eq!(fs::read_to_string(media.path("SHA256SUMS")).unwrap(), lists, "{name}");
    }
    fs::write(&iso, &appended).unwrap();
    let (code, said) = repository.run(&["kargs", "reset", path, "--update-sums"]);
    assert_eq!(code, 0, "{said}");
    media.accepted(&[]);
}

#[test]
fn a_list_that_a_person_edited_is_brought_up_to_date_as_it_is() {
    let Some(repository) = Repository::get() else { return };
    let media = repository.media();
    let text = fs::read_to_string(media.path("SHA256SUMS")).unwrap();
    let bsd = text.lines().map(|line| format!("SHA256 (./{}) = {}\r\n", &line[66..], &line[..64]));
    let edited = format!("# by hand\r\n{}", bsd.collect::<String>());
    fs::write(media.path("SHA256SUMS"), &edited).unwrap();
    let iso = media.path(ISO);
    for words in [&["append", iso.to_str().unwrap(), "panic=5"][..], &["reset", iso.to_str().unwrap()]] {
        let (code, said) = repository.run(&[&["kargs"], words, &["--update-sums"]].concat());
        assert_eq!(code, 0, "{said}");
    }
    media.accepted(&[]);
    assert_eq!(fs::read_to_string(media.path("SHA256SUMS")).unwrap(), edited);
}
