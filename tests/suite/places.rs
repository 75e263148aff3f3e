//! Places that some firmware or loader reads and others do not: partitions of any type, further boot entries, other
//! trees of names, files too long or packed. An edit reaches what is there, or names it.

mod programs;

use bootiso::{
    Iso,
    kargs::{self, Edit, Flush},
};

use super::{
    efi,
    fixtures::{Lab, has},
};

const ISOLINUX: &str = "default a\nlabel a\n linux /vmlinuz\n append base=1\n";
const GRUB: &str = "boot/grub/grub.cfg";
const HIDDEN: &[u8] = b"menuentry hidden { linux /vmlinuz h=1 }\n";
const ENTRY: &[u8] = b"title Entry\nlinux /vmlinuz\noptions o=1\n";
type Files<'f> = &'f [(&'f str, &'f [u8])];
type Alteration = fn(&mut Vec<u8>);
const BIOS: &str = "-b isolinux/isolinux.bin -c boot.cat -no-emul-boot";

/// Files for the tree `t`, beside ISOLINUX's.
fn tree(lab: &Lab, files: Files<'_>) {
    lab.write("t/isolinux/isolinux.cfg", ISOLINUX);
    lab.write("t/isolinux/isolinux.bin", &format!("ISOLINUX {}", "\0".repeat(4087)));
    lab.write("t/vmlinuz", "kernel");
    files.iter().for_each(|(name, bytes)| lab.write_bytes(&format!("t/{name}"), bytes));
}

/// A FAT image of these files; `false` without the tool.
fn fat(lab: &Lab, image: &str, files: Files<'_>) -> bool {
    lab.write_bytes(image, &vec![0; 1_474_560]);
    if !lab.run("mformat", &["-i", image, "-f", "1440", "::"]) {
        return false;
    }
    for (name, bytes) in files {
        lab.write_bytes("part", bytes);
        for (end, _) in name.match_indices('/').skip(1) {
            lab.run_loosely("mmd", &["-D", "s", "-i", image, &format!("::{}", &name[..end])]);
        }
        lab.run("mcopy", &["-i", image, "part", &format!("::{name}")]);
    }
    true
}

/// `x.iso` of the tree, with these options of xorriso's mkisofs.
fn made(lab: &Lab, options: &str) -> bool {
    let line = format!("-as mkisofs -quiet -o x.iso {options} t");
    lab.run("xorriso", &line.split_whitespace().collect::<Vec<_>>())
}

fn altered(lab: &Lab, alter: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs_err::read(lab.path("x.iso")).unwrap();
    alter(&mut bytes);
    fs_err::write(lab.path("x.iso"), bytes).unwrap();
}

fn position(bytes: &[u8], text: &[u8]) -> usize {
    bytes.windows(text.len()).position(|w| w == text).unwrap()
}

/// Appends a word, and hands back where it went, as `file [entry]`, and what was left, as `file: reason`.
fn appended(lab: &Lab) -> (Vec<String>, Vec<String>) {
    let path = lab.utf8("x.iso");
    let plan = kargs::plan(&Iso::open(&path).unwrap(), &Edit::Append(vec!["w=1".to_owned()]), None).unwrap();
    plan.apply(&path, Flush::No).unwrap();
    let after = kargs::show(&Iso::open(&path).unwrap(), None).unwrap();
    let with_word = |s: &&kargs::Slot| s.args.split(' ').any(|w| w == "w=1");
    let slots = after.slots.iter().filter(with_word).map(|s| format!("{} [{}]", s.file, s.entry));
    let left = plan.unreached.iter().map(|u| format!("{}: {}", u.file, u.reason));
    (slots.collect(), left.collect())
}

/// That what is given was changed, beside ISOLINUX's file, and nothing is left.
fn all_changed(lab: &Lab, what: &str, places: &[&str]) {
    let (slots, left) = appended(lab);
    for place in places {
        assert!(slots.iter().any(|s| s.contains(place)), "{what}: {place} in {slots:?}, left {left:?}");
    }
    assert!(slots.len() > places.len() && left.is_empty(), "{what}: {slots:?} {left:?}");
}

/// That what is given was named.
fn named(lab: &Lab, what: &str, place: &str, reason: &str) {
    let (slots, left) = appended(lab);
    let is_named = left.iter().any(|l| l.contains(place) && l.contains(reason));
    assert!(is_named && left.len() == 1, "{what}: {place} {reason} in {left:?}, changed {slots:?}");
}

#[test]
fn a_fat_partition_of_any_type_is_read() {
    let lab = Lab::new();
    tree(&lab, &[]);
    if !fat(&lab, "p.img", &[("/loader/entries/a.conf", ENTRY)]) {
        return;
    }
    // Linux, XBOOTLDR in an MBR, something else; XBOOTLDR in a GPT.
    let gpt = "-appended_part_as_gpt -append_partition 2 bc13c2ff-59e6-4262-a352-b275fd6f7172 p.img";
    let mbr = ["0x83", "0xea", "0xda"].map(|kind| format!("-append_partition 2 {kind} p.img"));
    for options in mbr.iter().map(String::as_str).chain([gpt]) {
        if made(&lab, &format!("-r {BIOS} {options}")) {
            all_changed(&lab, options, &["/loader/entries/a.conf [Entry]"]);
        }
    }
}

#[test]
fn a_partition_is_read_however_its_table_contradicts_itself() {
    let lab = Lab::new();
    tree(&lab, &[]);
    if !fat(&lab, "p.img", &[("/loader/entries/a.conf", ENTRY)]) {
        return;
    }
    let mbr = "-append_partition 2 0xef p.img";
    let gpt = "-appended_part_as_gpt -append_partition 2 0xef p.img";
    let alterations: [(&str, &str, Alteration); 5] = [
        ("a flag that is neither 0 nor 0x80", mbr, |b| b[446 + 16] = 1),
        ("a GPT with a wrong checksum", gpt, |b| {
            b[446..510].fill(0);
            b[512 + 16] ^= 1;
        }),
        ("a GPT of which only the second is left", gpt, |b| {
            b[446..510].fill(0);
            b[512..1024].fill(0);
        }),
        ("a FAT image without a jump and a signature", mbr, |b| {
            let sector = u32::from_le_bytes(b[470..474].try_into().unwrap());
            let at = usize::try_from(sector).unwrap() * 512;
            b[at..at + 3].fill(0);
            b[at + 510..at + 512].fill(0);
        }),
        ("a logical partition", mbr, |b| {
            let entry = b[462..478].to_vec();
            let sector = u32::from_le_bytes(entry[8..12].try_into().unwrap());
            // The extended partition's table goes where nothing is, in the system area.
            b[462 + 4] = 5;
            b[462 + 8..462 + 12].copy_from_slice(&8u32.to_le_bytes());
            let table = 8 * 512;
            b[table + 446..table + 462].copy_from_slice(&entry);
            b[table + 454..table + 458].copy_from_slice(&(sector - 8).to_le_bytes());
            b[table + 510..table + 512].copy_from_slice(&[0x55, 0xAA]);
        }),
    ];
    for (what, options, alter) in alterations {
        if made(&lab, &format!("-r {BIOS} {options}")) {
            altered(&lab, alter);
            all_changed(&lab, what, &["/loader/entries/a.conf [Entry]"]);
        }
    }
}

#[test]
fn a_partition_with_another_file_system_is_named() {
    let lab = Lab::new();
    tree(&lab, &[]);
    let mut ext = vec![0; 1 << 20];
    ext[0x438..0x43A].copy_from_slice(b"\x53\xEF");
    lab.write_bytes("p.img", &ext);
    if made(&lab, &format!("-r {BIOS} -append_partition 2 0x83 p.img")) {
        named(&lab, "ext4", "partition at ", "ext4");
    }
}

/// Where the boot catalog of an image is: the record behind the primary descriptor says it.
fn catalog(bytes: &[u8]) -> usize {
    let at = 17 * 2048 + 71;
    usize::try_from(u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())).unwrap() * 2048
}

/// A bootable entry for what is at `at`.
fn boot_entry(at: usize) -> [u8; 32] {
    let mut entry = [0; 32];
    (entry[0], entry[6]) = (0x88, 1);
    entry[8..12].copy_from_slice(&u32::try_from(at / 2048).unwrap().to_le_bytes());
    entry
}

#[test]
fn a_boot_entry_that_no_section_has_and_one_of_a_second_catalog_are_read() {
    let lab = Lab::new();
    if !fat(&lab, "p.img", &[("/EFI/BOOT/grub.cfg", HIDDEN)]) {
        return;
    }
    let image = fs_err::read(lab.path("p.img")).unwrap();
    tree(&lab, &[("data.bin", &image)]);
    let made_by = format!("-quiet -o x.iso -R {BIOS} t");
    let made = || lab.run("genisoimage", &made_by.split_whitespace().collect::<Vec<_>>());
    if !made() {
        return;
    }
    altered(&lab, |b| {
        let (at, catalog) = (position(b, &image[..512]), catalog(b));
        b[catalog + 7 * 32..catalog + 8 * 32].copy_from_slice(&boot_entry(at));
    });
    all_changed(&lab, "behind the last section", &["/data.bin:/EFI/BOOT/grub.cfg [hidden]"]);
    made();
    altered(&lab, |b| {
        let (at, end) = (position(b, &image[..512]), b.len());
        let mut catalog = [0; 2048];
        (catalog[0], catalog[1]) = (1, 0xEF);
        catalog[28..32].copy_from_slice(&[0xAA, 0x55u8.wrapping_sub(0xEF), 0x55, 0xAA]);
        let sum = catalog[..32].chunks(2).fold(0u16, |s, c| s.wrapping_add(u16::from_le_bytes([c[0], c[1]])));
        let old = u16::from_le_bytes([catalog[28], catalog[29]]);
        catalog[28..30].copy_from_slice(&old.wrapping_sub(sum).to_le_bytes());
        catalog[32..64].copy_from_slice(&boot_entry(at));
        b.extend(catalog);
        // A second boot record in front of the terminator, which genisoimage leaves an empty sector behind.
        let terminator = b[18 * 2048..19 * 2048].to_vec();
        b[19 * 2048..20 * 2048].copy_from_slice(&terminator);
        let mut record = b[17 * 2048..18 * 2048].to_vec();
        record[71..75].copy_from_slice(&u32::try_from(end / 2048).unwrap().to_le_bytes());
        b[18 * 2048..19 * 2048].copy_from_slice(&record);
    });
    all_changed(&lab, "in a second catalog", &["/data.bin:/EFI/BOOT/grub.cfg [hidden]"]);
}

#[test]
fn the_partitions_of_an_emulated_disk_are_read() {
    let lab = Lab::new();
    if !fat(&lab, "p.img", &[("/syslinux.cfg", b"label in\n linux /vmlinuz\n append d=1\n")]) {
        return;
    }
    let image = fs_err::read(lab.path("p.img")).unwrap();
    let mut disk = vec![0; 63 * 512];
    disk[446..454].copy_from_slice(&[0x80, 1, 1, 0, 6, 1, 18, 80]);
    disk[454..458].copy_from_slice(&63u32.to_le_bytes());
    disk[458..462].copy_from_slice(&u32::try_from(image.len() / 512).unwrap().to_le_bytes());
    disk[510..512].copy_from_slice(&[0x55, 0xAA]);
    disk.extend(image);
    tree(&lab, &[("disk.img", &disk)]);
    if made(&lab, "-r -b disk.img -c boot.cat -hard-disk-boot") {
        all_changed(&lab, "an emulated disk", &["/syslinux.cfg [in]"]);
    }
}

#[test]
fn a_file_is_found_by_each_of_its_names() {
    let lab = Lab::new();
    let more = b"label more\n linux /vmlinuz\n append l=1\n";
    tree(&lab, &[("isolinux/longer_name_of_a_menu.cfg", more), (GRUB, HIDDEN)]);
    lab.write("t/isolinux/isolinux.cfg", &format!("{ISOLINUX}include LONGER_N.CFG\n"));
    if !made(&lab, &format!("-r -iso-level 1 {BIOS}")) {
        return;
    }
    all_changed(&lab, "an include by the plain name", &["/isolinux/longer_name_of_a_menu.cfg [more]"]);
    altered(&lab, |b| {
        let at = position(b, b"grub.cfg");
        b[at..at + 8].copy_from_slice(b"grub.txt");
        let at = position(b, b"isolinux.cfg");
        b[at..at + 12].copy_from_slice(b"isolinux.txt");
    });
    let (slots, _) = appended(&lab);
    let expected = [
        "/isolinux/isolinux.txt [a]",
        "/isolinux/longer_name_of_a_menu.cfg [more]",
        "/boot/grub/grub.txt [hidden]",
    ];
    assert_eq!(slots, expected);
}

#[test]
fn a_file_of_one_tree_alone_is_found() {
    let lab = Lab::new();
    tree(&lab, &[(GRUB, HIDDEN)]);
    for hidden in ["-J -hide-joliet grub.cfg", "-J -hide grub.cfg"] {
        let line = format!("-quiet -o x.iso {hidden} {BIOS} t");
        if lab.run("genisoimage", &line.split_whitespace().collect::<Vec<_>>()) {
            let (slots, _) = appended(&lab);
            assert!(
                slots.iter().any(|s| s.to_lowercase() == "/boot/grub/grub.cfg [hidden]"),
                "{hidden}: {slots:?}"
            );
        }
    }
    // Rock Ridge says that the file is a folder which is shown elsewhere.
    if made(&lab, &format!("-r {BIOS}")) {
        altered(&lab, |b| {
            let record = position(b, b"GRUB.CFG;1") - 33;
            let length = usize::from(b[record]);
            let at = record + position(&b[record..record + length], b"PX");
            b[at..record + length].fill(0);
            b[at..at + 4].copy_from_slice(b"RE\x04\x01");
        });
        let (slots, left) = appended(&lab);
        assert!(
            slots.iter().any(|s| s.to_lowercase() == "/boot/grub/grub.cfg [hidden]"),
            "{slots:?} {left:?}"
        );
    }
}

#[test]
fn a_short_name_of_fat_is_a_name() {
    let lab = Lab::new();
    tree(&lab, &[]);
    let text = b"label short\n linux /vmlinuz\n append s=1\n";
    if !fat(&lab, "p.img", &[("/a name that is long", text)]) {
        return;
    }
    let mut image = fs_err::read(lab.path("p.img")).unwrap();
    let at = position(&image, b"ANAMET~1");
    let short = *b"SYSLINUXCFG";
    image[at..at + 11].copy_from_slice(&short);
    let sum = short.iter().fold(0u8, |s, b| s.rotate_right(1).wrapping_add(*b));
    (1..)
        .map(|i| at - 32 * i)
        .take_while(|at| image[at + 11] == 0x0F)
        .collect::<Vec<_>>()
        .into_iter()
        .for_each(|at| image[at + 13] = sum);
    lab.write_bytes("p.img", &image);
    if made(&lab, &format!("-r {BIOS} -append_partition 2 0x0c p.img")) {
        all_changed(&lab, "a short name", &["/a name that is long [short]"]);
    }
}

#[test]
fn a_configuration_that_is_long_or_packed_is_named() {
    let lab = Lab::new();
    let long = [&b"# padding\n".repeat(110_000)[..], HIDDEN].concat();
    let source = b"source /boot/more.cfg\n";
    let gzip = b"\x1F\x8B\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0";
    let cases: [(Files<'_>, &str, &str); 4] = [
        (&[(GRUB, &long)], "/boot/grub/grub.cfg", "bytes"),
        (&[(GRUB, source), ("boot/more.cfg", &long)], "/boot/more.cfg", "bytes"),
        (&[("limine.conf", &long[..300_000])], "/limine.conf", "bytes"),
        (&[(GRUB, gzip)], "/boot/grub/grub.cfg", "gzip"),
    ];
    for (files, place, reason) in cases {
        _ = fs_err::remove_dir_all(lab.path("t"));
        tree(&lab, files);
        if made(&lab, &format!("-r {BIOS}")) {
            named(&lab, place, place, reason);
        }
    }
    _ = fs_err::remove_dir_all(lab.path("t"));
    tree(&lab, &[(GRUB, &[HIDDEN, &b"# padding\n".repeat(400)].concat())]);
    let zisofs = "-outdev x.iso -padding 0 -map t / -set_filter_r --zisofs /boot --";
    _ = fs_err::remove_file(lab.path("x.iso"));
    if lab.run("xorriso", &zisofs.split(' ').collect::<Vec<_>>()) {
        named(&lab, "zisofs", "/boot/grub/grub.cfg", "zisofs");
    }
}

#[test]
fn a_file_in_several_parts_is_changed_at_its_length() {
    let lab = Lab::new();
    let first = format!("{:2047}\n", "menuentry one { linux /vmlinuz a=1 }");
    let last = format!("{:20}\n", "menuentry two { linux /vmlinuz b=1 }");
    tree(&lab, &[(GRUB, first.as_bytes()), ("boot/grub/z.cfg", last.as_bytes())]);
    if !made(&lab, &format!("-R {BIOS}")) {
        return;
    }
    altered(&lab, |b| {
        let (first, next) = (position(b, b"GRUB.CFG;1") - 33, position(b, b"\x07Z.CFG;1") - 32);
        let mut record = b[first..first + usize::from(b[first])].to_vec();
        record[2..18].copy_from_slice(&b[next + 2..next + 18]);
        b[first + 25] |= 0x80;
        b[next..next + record.len()].copy_from_slice(&record);
    });
    let path = lab.utf8("x.iso");
    let before = kargs::show(&Iso::open(&path).unwrap(), None).unwrap();
    assert_eq!(before.slots.iter().map(|s| s.entry.as_str()).collect::<Vec<_>>(), ["a", "one", "two"]);
    let edit = Edit::Replace(vec!["a=2".to_owned(), "b=2".to_owned()]);
    let plan = kargs::plan(&Iso::open(&path).unwrap(), &edit, None).unwrap();
    plan.apply(&path, Flush::No).unwrap();
    let after = kargs::show(&Iso::open(&path).unwrap(), None).unwrap();
    assert_eq!(after.slots.iter().map(|s| s.args.as_str()).collect::<Vec<_>>(), ["base=1", "a=2", "b=2"]);
    assert!(plan.unreached.is_empty());
}
