//! The ISO reader on images of three writers.

use std::io::Read as _;

use bootiso::{EntryKind, Iso, PartitionScheme};

use super::fixtures::Lab;

fn content(iso: &Iso, path: &str) -> String {
    let entry = iso.find(path).unwrap();
    let mut text = String::new();
    iso.reader(&entry).read_to_string(&mut text).unwrap();
    text
}

fn check_tree(iso: &Iso) {
    let entries = iso.walk().unwrap();
    let paths: Vec<_> = entries.iter().map(|e| e.path.as_str()).collect();
    for wanted in ["/d1/d2/d3/d4/d5/d6/d7/d8/d9/deep.txt", "/empty", &format!("/{}", "n".repeat(200))] {
        assert_eq!(paths.iter().filter(|p| **p == wanted).count(), 1, "{wanted} in {paths:?}");
    }
    let link = entries.iter().find(|e| e.path == "/link").unwrap();
    assert_eq!(link.kind, EntryKind::Link("boot/../boot/initrd".into()));
    assert_eq!(content(iso, "/BOOT/vmlinuz-*"), "kernel");
    assert_eq!(content(iso, "boot/INITRD"), "initrd".repeat(1000));
    assert_eq!(content(iso, "/d1/d2/d3/d4/d5/d6/d7/d8/d9/deep.txt"), "deep");
    assert_eq!(content(iso, "/empty"), "");
    assert!(iso.find("/boot/nothing").unwrap_err().to_string().contains("/boot/nothing is not in the image"));
    assert!(iso.find("/*").unwrap_err().to_string().contains("may mean any of"));
    assert!(iso.find_opt("/boot/initrd/x").unwrap().is_none());
}

#[test]
fn an_image_of_genisoimage_is_read() {
    let lab = Lab::new();
    if !lab.genisoimage() {
        return;
    }
    let iso = Iso::open(&lab.utf8("gen.iso")).unwrap();
    check_tree(&iso);
    assert_eq!((iso.label(), iso.naming().unwrap()), ("GEN", "rock ridge"));
    let boot = iso.boot_entries().unwrap();
    assert_eq!(boot.len(), 1);
    assert_eq!((boot[0].platform.as_str(), boot[0].bootable, boot[0].length), ("bios", true, 2048));
    assert_eq!(iso.find("/isolinux/isolinux.bin").unwrap().extents[0].offset, boot[0].offset);
}

#[test]
fn joliet_and_plain_names_are_read_where_there_is_no_rock_ridge() {
    let lab = Lab::new();
    let made = lab.run("genisoimage", &["-quiet", "-o", "j.iso", "-J", "-joliet-long", "tree/boot"])
        && lab.run("genisoimage", &["-quiet", "-o", "p.iso", "tree/boot"]);
    if !made {
        return;
    }
    let joliet = Iso::open(&lab.utf8("j.iso")).unwrap();
    assert_eq!(joliet.naming().unwrap(), "joliet");
    assert_eq!(joliet.find("/vmlinuz-*").unwrap().path, "/Vmlinuz-6.1.0_long.name-amd64");
    let plain = Iso::open(&lab.utf8("p.iso")).unwrap();
    assert_eq!(plain.naming().unwrap(), "iso 9660");
    assert_eq!(plain.find("/grub/grub.cfg").unwrap().path, "/GRUB/GRUB.CFG");
    assert_eq!(content(&plain, "/initrd").len(), 6000);
}

#[test]
fn an_image_of_xorriso_is_read_with_its_partitions() {
    let lab = Lab::new();
    if !lab.xorriso() {
        return;
    }
    let iso = Iso::open(&lab.utf8("xor.iso")).unwrap();
    check_tree(&iso);
    let boot = iso.boot_entries().unwrap();
    assert_eq!(boot.iter().map(|b| b.platform.as_str()).collect::<Vec<_>>(), ["bios", "efi"]);
    let partitions = iso.partitions().unwrap();
    let esp = partitions.iter().find(|p| p.kind == "c12a7328-f81f-11d2-ba4b-00a0c93ec93b").unwrap();
    assert_eq!((esp.scheme, esp.length), (PartitionScheme::Gpt, 1_474_560));
    assert_eq!(iso.bytes(esp.offset + 510, 2).unwrap(), [0x55, 0xAA]);
}

#[test]
fn an_image_of_grub_mkrescue_is_read() {
    let lab = Lab::new();
    if !lab.grub_mkrescue() {
        return;
    }
    let iso = Iso::open(&lab.utf8("grub.iso")).unwrap();
    check_tree(&iso);
    assert!(iso.boot_entries().unwrap().iter().any(|b| b.platform == "efi"));
}

#[test]
fn a_truncated_image_is_refused_by_name() {
    let lab = Lab::new();
    if !lab.genisoimage() {
        return;
    }
    let path = lab.utf8("gen.iso");
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    let error = format!("{:#}", Iso::open(&path).err().unwrap());
    assert!(error.contains("gen.iso") && error.contains("truncated"), "{error}");
}

#[test]
fn files_that_were_packed_are_read_as_they_were() {
    let lab = Lab::new();
    let (text, zeros) = ("hello\n".repeat(50_000), "\0".repeat(400_000));
    lab.write("z/text", &text);
    lab.write("z/zeros", &zeros);
    lab.write("z/small", "small");
    for bits in ["32k", "64k", "128k"] {
        let zisofs = format!("-zisofs level=9:block_size={bits}");
        let [option, value] = zisofs.split(' ').collect::<Vec<_>>()[..] else { unreachable!() };
        let made =
            ["-outdev", "z.iso", option, value, "-map", "z", "/", "-set_filter_r", "--zisofs", "/", "--"];
        _ = fs_err::remove_file(lab.path("z.iso"));
        if !lab.run("xorriso", &made) {
            return;
        }
        let iso = Iso::open(&lab.utf8("z.iso")).unwrap();
        assert!(iso.find("/text").unwrap().packing.is_some(), "{bits}");
        for (name, wanted) in [("/text", text.as_str()), ("/zeros", &zeros), ("/small", "small")] {
            assert_eq!(iso.find(name).unwrap().size, wanted.len() as u64);
            assert!(content(&iso, name) == wanted, "{name} {bits}");
        }
    }
}
