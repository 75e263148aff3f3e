//! Images made to break a reader: each is an error that names the byte and the reason.

use std::{sync::Arc, time::Duration};

use bootiso::Iso;
use failure::Kind;
use proptest::prelude::*;

use super::fixtures::Lab;

const SECTOR: usize = 2048;
const ROOT: u32 = 18;

/// A field in both byte orders.
fn both32(to: &mut [u8], n: u32) {
    to[..4].copy_from_slice(&n.to_le_bytes());
    to[4..8].copy_from_slice(&n.to_be_bytes());
}

fn record(name: &[u8], sector: u32, size: u32, flags: u8) -> Vec<u8> {
    let length = (33 + name.len()).next_multiple_of(2);
    let mut r = vec![0; length];
    r[0] = u8::try_from(length).unwrap();
    both32(&mut r[2..], sector);
    both32(&mut r[10..], size);
    r[25] = flags;
    r[32] = u8::try_from(name.len()).unwrap();
    r[33..33 + name.len()].copy_from_slice(name);
    r
}

/// An image of 24 sectors with these records in its root, the smallest that is one.
fn image(records: &[Vec<u8>]) -> Vec<u8> {
    let mut image = vec![0; 24 * SECTOR];
    let pvd = &mut image[16 * SECTOR..17 * SECTOR];
    pvd[..6].copy_from_slice(b"\x01CD001");
    both32(&mut pvd[80..], 24);
    pvd[128..132].copy_from_slice(&[0, 8, 8, 0]);
    pvd[156..190].copy_from_slice(&record(&[0], ROOT, SECTOR as u32, 2));
    image[17 * SECTOR..17 * SECTOR + 6].copy_from_slice(b"\xFFCD001");
    let mut at = ROOT as usize * SECTOR;
    for r in
        [record(&[0], ROOT, SECTOR as u32, 2), record(&[1], ROOT, SECTOR as u32, 2)].iter().chain(records)
    {
        image[at..at + r.len()].copy_from_slice(r);
        at += r.len();
    }
    image
}

/// The smallest image that isolinux would boot Linux from, made without a tool.
pub(crate) fn isolinux_image() -> Vec<u8> {
    const CFG: &str =
        "default live\n# A useless comment, to make room.\nlabel live\n  kernel /vmlinuz\n  append quiet\n";
    let mut image = image(&[record(b"ISOLINUX.CFG;1", 20, CFG.len() as u32, 0)]);
    image[20 * SECTOR..20 * SECTOR + CFG.len()].copy_from_slice(CFG.as_bytes());
    image
}

fn open(image: Vec<u8>) -> anyhow::Result<Iso> {
    Ok(Iso::over(Arc::new(image))?)
}

fn walk_error(image: Vec<u8>) -> String {
    let error = open(image).and_then(|iso| Ok(iso.walk()?)).unwrap_err();
    assert_eq!(failure::kind_of(&error), Some(Kind::Input));
    let text = error.to_string();
    assert!(text.contains("at byte "), "{text}");
    text
}

#[test]
fn a_file_in_several_extents_is_one_file() {
    let mut image =
        image(&[record(b"A.;1", 19, 2048, 0x80), record(b"A.;1", 21, 10, 0), record(b"B.TXT;1", 22, 3, 0)]);
    image[19 * SECTOR..20 * SECTOR].fill(b'x');
    image[21 * SECTOR..21 * SECTOR + 10].copy_from_slice(b"0123456789");
    let iso = open(image).unwrap();
    let a = iso.find("/a").unwrap();
    assert_eq!((a.path.as_str(), a.size, a.extents.len()), ("/A", 2058, 2));
    assert!(iso.read(&a, 4096).unwrap().ends_with(b"xx0123456789"));
    assert!(iso.read(&a, 100).unwrap_err().to_string().contains("more than the 100 allowed"));
    assert_eq!(iso.walk().unwrap().len(), 2);
}

#[test]
fn a_file_whose_last_extent_is_missing_is_an_error() {
    assert!(walk_error(image(&[record(b"A.;1", 19, 2048, 0x80)])).contains("last part of /A is missing"));
    let other = image(&[record(b"A.;1", 19, 2048, 0x80), record(b"B.;1", 20, 1, 0)]);
    assert!(walk_error(other).contains("next part of /A should be here"));
}

#[test]
fn a_folder_that_contains_itself_is_an_error() {
    assert!(walk_error(image(&[record(b"LOOP", ROOT, SECTOR as u32, 2)])).contains("inside itself"));
}

#[test]
fn bytes_beyond_the_end_are_an_error() {
    let text = walk_error(image(&[record(b"A.;1", 23, 2049, 0)]));
    assert!(text.contains("2049 bytes should be here, but the file ends at byte 49152"), "{text}");
    assert!(walk_error(image(&[record(b"A.;1", u32::MAX, u32::MAX, 0)])).contains("should be here"));
    let empty = image(&[record(b"A.;1", u32::MAX, 0, 0)]);
    assert_eq!(open(empty).unwrap().walk().unwrap()[0].size, 0);
}

#[test]
fn copies_that_differ_are_an_error() {
    let mut bad = record(b"A.;1", 19, 1, 0);
    bad[17] = 9;
    assert!(walk_error(image(&[bad])).contains("the little-endian copy says 1, the big-endian 9"));
}

#[test]
fn records_that_are_too_short_or_cross_a_sector_are_errors() {
    let mut short = record(b"A.;1", 19, 1, 0);
    short[0] = 20;
    assert!(walk_error(image(&[short])).contains("a directory record of 20 bytes"));
    let mut name = record(b"A.;1", 19, 1, 0);
    name[32] = 200;
    assert!(walk_error(image(&[name])).contains("ends beyond its record"));
    let filler = vec![record(&[b'F'; 200], 19, 1, 0); 8];
    let mut long = filler;
    long.push(vec![0xFF; 30]);
    assert!(walk_error(image(&long)).contains("a directory record of 255 bytes"));
}

/// An image with Rock Ridge, whose one file has these system use entries.
fn rock_ridge(entries: &[u8]) -> Vec<u8> {
    let with = |mut record: Vec<u8>, entries: &[u8]| {
        record.extend(entries);
        record[0] = u8::try_from(record.len()).unwrap();
        record
    };
    let mut image = image(&[]);
    let root = &mut image[ROOT as usize * SECTOR..];
    let mut at = 0;
    for r in [
        with(record(&[0], ROOT, SECTOR as u32, 2), b"SP\x07\x01\xBE\xEF\x00\0"),
        record(&[1], ROOT, SECTOR as u32, 2),
        with(record(b"A.;1", 19, 1, 0), entries),
    ] {
        root[at..at + r.len()].copy_from_slice(&r);
        at += r.len();
    }
    image
}

/// A pointer to a continuation area of 28 bytes.
fn continuation(sector: u32, offset: u32) -> Vec<u8> {
    let mut ce = b"CE\x1C\x01".to_vec();
    ce.resize(28, 0);
    both32(&mut ce[4..], sector);
    both32(&mut ce[12..], offset);
    both32(&mut ce[20..], 28);
    ce
}

#[test]
fn a_name_goes_on_in_a_continuation_area() {
    let mut image = rock_ridge(&[b"NM\x08\x01\x01Rea".to_vec(), continuation(22, 100)].concat());
    image[22 * SECTOR + 100..][..12].copy_from_slice(b"NM\x0C\x01\0l na-me");
    let iso = open(image).unwrap();
    assert_eq!((iso.walk().unwrap()[0].path.as_str(), iso.naming().unwrap()), ("/Real na-me", "rock ridge"));
}

#[test]
fn continuation_areas_that_loop_or_lie_outside_are_errors() {
    let mut image = rock_ridge(&continuation(22, 0));
    image[22 * SECTOR..][..28].copy_from_slice(&continuation(22, 0));
    assert!(walk_error(image).contains("continuation areas lead on without an end"));
    assert!(walk_error(rock_ridge(&continuation(9999, 0))).contains("28 bytes should be here"));
    assert!(walk_error(rock_ridge(b"NM\x02\x01")).contains("shorter than its header"));
    assert!(walk_error(rock_ridge(b"NM\x08\x01\0../")).contains("is not a valid name"));
    assert!(
        walk_error(rock_ridge(b"CL\x0C\x01\x13\0\0\0\0\0\0\x13"))
            .contains("no moved folder is at byte 38912")
    );
}

/// A system use entry of a file that is packed with `algorithm`, in blocks of 32 KiB.
fn packed(algorithm: &[u8; 2], size: u32) -> Vec<u8> {
    let mut zf = [&b"ZF\x10\x01"[..], algorithm, &[4, 15]].concat();
    zf.resize(16, 0);
    both32(&mut zf[8..], size);
    zf
}

/// The bytes of a packed file of one block, with `change` made to them.
fn zisofs(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = b"\x37\xE4\x53\x96\xC9\xDB\xD6\x07\x05\0\0\0\x04\x0F\0\0".to_vec();
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut zlib, b"hello").unwrap();
    let block = zlib.finish().unwrap();
    bytes.extend([24u32.to_le_bytes(), (24 + block.len() as u32).to_le_bytes()].concat());
    bytes.extend(block);
    change(&mut bytes);
    bytes
}

fn unpacked(entry: &[u8], bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut image = rock_ridge(entry);
    image[19 * SECTOR..19 * SECTOR + bytes.len()].copy_from_slice(bytes);
    // The record of the one file says how long it is as it is packed.
    let at = ROOT as usize * SECTOR + usize::from(image[ROOT as usize * SECTOR]) + 34;
    both32(&mut image[at + 10..], bytes.len() as u32);
    let iso = open(image).unwrap();
    let entry = iso.find("/a").unwrap();
    iso.read(&entry, 1 << 20).map_err(|e| format!("{e:#}"))
}

#[test]
fn a_packed_file_is_unpacked_or_refused() {
    let zf = packed(b"pz", 5);
    assert_eq!(unpacked(&zf, &zisofs(|_| ())).unwrap(), b"hello");
    let zeros = zisofs(|b| {
        b.truncate(24);
        b[20] = 24;
    });
    assert_eq!(unpacked(&zf, &zeros).unwrap(), [0; 5]);
    let wrong = |entry: &[u8], change: fn(&mut Vec<u8>)| unpacked(entry, &zisofs(change)).unwrap_err();
    for (text, why) in [
        (wrong(&zf, |b| b[0] = 0), "its magic number is missing"),
        (wrong(&zf, |b| b[8] = 6), "disagree"),
        (wrong(&zf, |b| b[12] = 8), "disagree"),
        (wrong(&zf, |b| b[16] = 200), "ends before it starts"),
        (wrong(&zf, |b| b[22] = 9), "longer than zlib can make one"),
        (wrong(&zf, |b| b[30] ^= 0xFF), "cannot be unpacked"),
        (wrong(&zf, |b| b.truncate(30)), "ends too early"),
        (wrong(&packed(b"pz", 6), |b| b[8] = 6), "wrong length"),
        (wrong(&packed(b"pz", 4), |b| b[8] = 4), "wrong length"),
        (wrong(&packed(b"PZ", 5), |_| ()), "zisofs2"),
        (wrong(&packed(b"xz", 5), |_| ()), "the algorithm `xz`"),
        (wrong(b"SF\x15\x01\0\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\x05\x01", |_| ()), "sparse"),
    ] {
        assert!(text.contains(why), "{why} in {text}");
    }
}

#[test]
fn a_folder_of_no_bytes_or_beyond_the_end_is_an_error() {
    assert!(walk_error(image(&[record(b"D", 4000, 0, 2)])).contains("/D is a folder of 0 bytes"));
    assert!(walk_error(image(&[record(b"D", 4000, 2048, 2)])).contains("should be here"));
}

#[test]
fn a_boot_catalog_that_is_damaged_is_an_error() {
    let with_catalog = |catalog: &[u8]| {
        let mut image = image(&[]);
        let end = image[17 * SECTOR..18 * SECTOR].to_vec();
        // The root's sector is free: these images are not walked.
        image[18 * SECTOR..19 * SECTOR].copy_from_slice(&end);
        image[17 * SECTOR..][..30].copy_from_slice(b"\x00CD001\x01EL TORITO SPECIFICATION");
        image[17 * SECTOR + 71] = 20;
        image[20 * SECTOR..][..catalog.len()].copy_from_slice(catalog);
        open(image).unwrap().boot_entries().map_err(|e| e.to_string())
    };
    let mut good = vec![0; 64];
    good[0] = 1;
    good[28..32].copy_from_slice(&[0xAA, 0x55, 0x55, 0xAA]);
    good[32] = 0x88;
    good[38] = 4;
    good[40] = 22;
    assert_eq!(with_catalog(&good).unwrap()[0].offset, 22 * SECTOR as u64);
    let wrong = |at: usize, byte: u8| {
        let mut catalog = good.clone();
        catalog[at] = byte;
        with_catalog(&catalog).unwrap_err()
    };
    assert!(wrong(5, 9).contains("checksum is wrong"));
    assert!(wrong(32, 7).contains("a boot entry starts with 0x07"));
    assert!(wrong(40, 200).contains("should be here"));
    let mut section = good.clone();
    section.extend([0x91, 0xEF, 0xFF, 0xFF]);
    assert!(with_catalog(&section).is_err());
}

#[test]
fn names_that_lead_out_of_a_folder_are_errors() {
    for name in [&b"../x"[..], b"..", b"a/b", b"a\0b"] {
        assert!(walk_error(image(&[record(name, 19, 1, 0)])).contains("is not a valid name"));
    }
}

#[test]
fn what_is_no_image_is_an_error() {
    let kind = |bytes: Vec<u8>| failure::kind_of(&open(bytes).err().unwrap());
    for bytes in [Vec::new(), b"not an image".to_vec(), vec![0; 17 * SECTOR - 1]] {
        assert_eq!(open(bytes).err().unwrap().to_string(), "not an ISO image: too short");
    }
    assert_eq!(kind(Vec::new()), Some(Kind::Input));
    assert_eq!(kind(vec![0; 1 << 20]), Some(Kind::Input));
    let mut endless = vec![0; 200 * SECTOR];
    endless.chunks_mut(SECTOR).for_each(|s| s[..6].copy_from_slice(b"\x05CD001"));
    assert!(open(endless).err().unwrap().to_string().contains("volume descriptors without a terminator"));
}

#[test]
fn damage_to_images_of_others_is_survived() {
    let lab = Lab::new();
    let mut images = Vec::new();
    for (made, name) in [(lab.genisoimage(), "gen.iso"), (lab.xorriso(), "xor.iso"), (lab.ours(), "ours.iso")]
    {
        images.extend(made.then(|| fs_err::read(lab.path(name)).unwrap()));
    }
    let rounds = fuzz::images::run(&images, 1, Duration::from_secs(2), 0).unwrap();
    assert!(images.is_empty() || rounds > 0);
}

proptest! {
    #[test]
    fn arbitrary_records_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..1500)) {
        fuzz::images::exercise(Arc::new(image(&[bytes])));
    }

    #[test]
    fn arbitrary_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..4000), at in 0usize..24 * SECTOR) {
        let mut image = image(&[record(b"ISOLINUX.CFG;1", 20, 2048, 0), record(b"D", 21, 2048, 2)]);
        let end = image.len().min(at + bytes.len());
        image[at..end].copy_from_slice(&bytes[..end - at]);
        fuzz::images::exercise(Arc::new(image));
    }
}
