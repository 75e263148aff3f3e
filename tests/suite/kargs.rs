//! Kernel arguments changed in images of our layout and of other writers.

use bootiso::{
    Iso,
    kargs::{self, Edit, Flush, ImageArgs},
};
use bootparams::Os;
use buildplan::Digest;
use camino::Utf8Path;
use failure::Kind;
use fs_err as fs;

use super::fixtures::{Lab, has};

fn list(words: &[&str]) -> Vec<String> {
    words.iter().map(|w| (*w).to_owned()).collect()
}

fn apply(path: &Utf8Path, edit: &Edit) -> anyhow::Result<ImageArgs> {
    let plan = kargs::plan(&Iso::open(path)?, edit, None)?;
    plan.apply(path, Flush::No)?;
    let after = kargs::show(&Iso::open(path)?, None)?;
    assert_eq!(after, plan.after);
    Ok(after)
}

fn args(state: &ImageArgs) -> Vec<&str> {
    state.slots.iter().map(|s| s.args.as_str()).collect()
}

fn digest(path: &Utf8Path) -> Digest {
    Digest::of(&fs::read(path).unwrap())
}

#[test]
fn an_edit_of_our_image_changes_both_loaders_and_reset_gives_the_pristine_bytes_back() {
    let lab = Lab::new();
    if !lab.ours() {
        return;
    }
    let path = lab.utf8("ours.iso");
    let pristine = digest(&path);
    let state = apply(&path, &Edit::Append(list(&["media.nonce=abc", "a=\"b c\""]))).unwrap();
    assert_eq!(
        args(&state),
        ["quiet console=ttyS0 media.nonce=abc a=\"b c\"", "quiet console=ttyS0 media.nonce=abc 'a=b c'"]
    );
    assert_eq!((state.has_embed_areas, state.pristine), (true, Some(false)));
    apply(&path, &Edit::Replace(list(&["console=tty0"]))).unwrap();
    let state = apply(&path, &Edit::Delete(list(&["quiet", "a"]))).unwrap();
    assert_eq!(args(&state), ["console=tty0 media.nonce=abc"; 2]);
    kargs::embed(&Iso::open(&path).unwrap(), "hostname: other\n").unwrap().apply(&path, Flush::No).unwrap();
    assert_eq!(
        kargs::show(&Iso::open(&path).unwrap(), None).unwrap().cloud_config.unwrap(),
        "hostname: other\n"
    );
    assert_ne!(digest(&path), pristine);
    assert_eq!(apply(&path, &Edit::Reset).unwrap().pristine, Some(true));
    assert_eq!(digest(&path), pristine);
}

#[test]
fn a_word_that_grub_has_to_split_is_edited_as_the_one_that_it_is() {
    let lab = Lab::new();
    if !lab.ours() {
        return;
    }
    let path = lab.utf8("ours.iso");
    let apply = |edit: Edit| {
        let plan = kargs::plan(&Iso::open(&path).unwrap(), &edit, Some(Os::Smoke)).unwrap();
        plan.apply(&path, Flush::No).unwrap();
        plan.after
    };
    let state = apply(Edit::Append(list(&["cc.hostname=\"a b\""])));
    assert!(state.agree && state.slots[1].args.ends_with("'cc.hostname=\"a' 'b\"'"), "{state:#?}");
    let state = apply(Edit::Replace(list(&["cc.hostname=\"c d\""])));
    assert!(state.agree && state.slots[0].args.ends_with("cc.hostname=\"c d\""), "{state:#?}");
    assert_eq!(args(&apply(Edit::Delete(list(&["cc.hostname"])))), ["quiet console=ttyS0"; 2]);
}

#[test]
fn a_copy_and_a_stream_are_what_an_edit_in_place_makes() {
    let lab = Lab::new();
    if !lab.ours() {
        return;
    }
    let (path, copied) = (lab.utf8("ours.iso"), lab.utf8("copy.iso"));
    let pristine = digest(&path);
    let iso = Iso::open(&path).unwrap();
    let plan = kargs::plan(&iso, &Edit::Append(list(&["x=y"])), None).unwrap();
    plan.copy(&path, &copied).unwrap();
    let mut streamed = Vec::new();
    let mut take = |bytes: &[u8]| {
        streamed.extend_from_slice(bytes);
        Ok::<_, bootiso::Error>(())
    };
    plan.stream(&iso, &mut take).unwrap();
    assert_eq!(digest(&path), pristine);
    plan.apply(&path, Flush::Yes).unwrap();
    assert_eq!((Digest::of(&streamed), digest(&copied)), (digest(&path), digest(&path)));
}

#[test]
fn what_cannot_be_done_leaves_our_image_untouched() {
    let lab = Lab::new();
    if !lab.ours() {
        return;
    }
    let path = lab.utf8("ours.iso");
    let pristine = digest(&path);
    let wrong = |edit: Edit| {
        let error = apply(&path, &edit).unwrap_err();
        assert_eq!(digest(&path), pristine);
        (failure::kind_of(&error).unwrap(), error.to_string())
    };
    let long = format!("a={}", "x".repeat(2048));
    assert!(matches!(wrong(Edit::Append(vec![long])), (Kind::Params, text) if text.contains("do not fit")));
    assert!(
        matches!(wrong(Edit::Delete(list(&["nothing"]))), (Kind::Usage, text) if text.contains("no kernel argument"))
    );
    // ISOLINUX could say this one; GRUB cannot, so neither is changed.
    assert!(matches!(wrong(Edit::Append(list(&["a=it's"]))), (Kind::Params, text) if text.contains("GRUB")));
    let iso = Iso::open(&path).unwrap();
    assert!(kargs::embed(&iso, &"x".repeat(20_000)).err().unwrap().to_string().contains("does not fit"));
}

#[test]
fn an_interrupted_edit_is_seen_and_reset_repairs_it() {
    let lab = Lab::new();
    if !lab.ours() {
        return;
    }
    let path = lab.utf8("ours.iso");
    let pristine = digest(&path);
    let offset = Iso::open(&path).unwrap().find("/isolinux.cfg").unwrap().extents[0].offset;
    let mut bytes = fs::read(&path).unwrap();
    let at = usize::try_from(offset).unwrap() + 90;
    bytes[at..at + 20].copy_from_slice(b"half of another word");
    fs::write(&path, bytes).unwrap();
    let iso = Iso::open(&path).unwrap();
    assert!(kargs::show(&iso, None).unwrap_err().to_string().contains("an edit was interrupted"));
    assert!(kargs::plan(&iso, &Edit::Append(list(&["x"])), None).is_err());
    kargs::reset(&path).unwrap();
    assert_eq!(digest(&path), pristine);
}

/// Edits an image of another writer there and back; what it says in the end is what it said.
fn there_and_back(lab: &Lab, name: &str, places: usize) {
    let path = lab.utf8(name);
    let before = kargs::show(&Iso::open(&path).unwrap(), None).unwrap();
    assert_eq!((before.slots.len(), before.has_embed_areas), (places, false), "{before:#?}");
    let state = apply(&path, &Edit::Append(list(&["media.nonce=0123456789"]))).unwrap();
    assert!(args(&state).iter().all(|a| a.ends_with(" media.nonce=0123456789")), "{state:#?}");
    let state = apply(&path, &Edit::Delete(list(&["media.nonce"]))).unwrap();
    assert_eq!(state, before);
    assert!(
        apply(&path, &Edit::Reset)
            .unwrap_err()
            .to_string()
            .contains("does not record its original arguments")
    );
}

#[test]
fn every_loader_file_of_an_image_of_genisoimage_is_changed() {
    let lab = Lab::new();
    lab.write("tree/md5sum.txt", "00  ./isolinux/isolinux.cfg\n");
    if !lab.genisoimage() {
        return;
    }
    there_and_back(&lab, "gen.iso", 3);
    let plan =
        kargs::plan(&Iso::open(&lab.utf8("gen.iso")).unwrap(), &Edit::Append(list(&["x"])), None).unwrap();
    assert_eq!(plan.stale, ["/md5sum.txt in the image may list the old contents"]);
    assert_eq!(trees_of_one_length(&lab, "gen.iso"), 2, "Joliet's too");
}

/// How many trees an image has, each of which says the same length of a file.
fn trees_of_one_length(lab: &Lab, name: &str) -> usize {
    let iso = Iso::open(&lab.utf8(name)).unwrap();
    let sizes = |t: &Vec<bootiso::Entry>| {
        t.iter().find(|e| e.path.eq_ignore_ascii_case("/isolinux/txt.cfg")).unwrap().size
    };
    let sizes: Vec<_> = iso.walk_all().unwrap().iter().map(sizes).collect();
    assert!(sizes.iter().all(|size| *size == sizes[0]), "{sizes:?}");
    sizes.len()
}

/// Ubuntu, Fedora and Arch write a second tree for the partition, by which Linux and GRUB read a stick; xorriso writes
/// another one yet for ISO 9660:1999.
#[test]
fn a_file_grows_in_the_trees_of_the_partition_and_of_iso_9660_1999_too() {
    let lab = Lab::new();
    if !lab.xorriso() {
        return;
    }
    let long = format!("a={}", "x".repeat(400));
    apply(&lab.utf8("xor.iso"), &Edit::Append(vec![long.clone()])).unwrap();
    assert_eq!(trees_of_one_length(&lab, "xor.iso"), 4);
    // The partition by itself, as a kernel mounts it.
    let image = fs::read(lab.path("xor.iso")).unwrap();
    let partition = Iso::over(std::sync::Arc::new(image[16 * 2048..].to_vec())).unwrap();
    let text = partition.read(&partition.find("/isolinux/txt.cfg").unwrap(), 1 << 20).unwrap();
    assert!(String::from_utf8(text).unwrap().contains(&long));

    let made = "-as mkisofs -quiet -o 1999.iso -iso-level 4 -r -J tree";
    lab.run("xorriso", &made.split(' ').collect::<Vec<_>>());
    apply(&lab.utf8("1999.iso"), &Edit::Append(vec![long])).unwrap();
    assert_eq!(trees_of_one_length(&lab, "1999.iso"), 3);
}

#[test]
fn a_file_does_not_grow_where_apples_map_alone_leads_to_another_tree() {
    let lab = Lab::new();
    let made = "-as mkisofs -quiet -o apple.iso -r -hfsplus tree";
    if !has("xorriso") || !lab.run("xorriso", &made.split(' ').collect::<Vec<_>>()) {
        return;
    }
    let long = format!("a={}", "x".repeat(400));
    let error = apply(&lab.utf8("apple.iso"), &Edit::Append(vec![long])).unwrap_err().to_string();
    assert!(error.contains("bytes too small") && error.contains("HFS tree"), "{error}");
}

#[test]
fn the_configuration_in_the_fat_image_of_an_image_of_xorriso_is_changed_too() {
    let lab = Lab::new();
    if !lab.xorriso() {
        return;
    }
    // isolinux.cfg, txt.cfg, grub.cfg, and grub.cfg in the FAT image, which is there twice.
    there_and_back(&lab, "xor.iso", 5);
    if lab.run("mtype", &["-i", "tree/efi.img", "::EFI/BOOT/grub.cfg"]) {
        let iso = Iso::open(&lab.utf8("xor.iso")).unwrap();
        let efi = iso.find("/efi.img").unwrap();
        fs::write(lab.path("after.img"), iso.read(&efi, 2 << 20).unwrap()).unwrap();
        assert!(lab.run("mtype", &["-i", "after.img", "::EFI/BOOT/grub.cfg"]));
    }
}

#[test]
fn an_image_of_grub_mkrescue_is_changed_within_its_comments_since_it_has_another_tree() {
    let lab = Lab::new();
    if !lab.grub_mkrescue() {
        return;
    }
    there_and_back(&lab, "grub.iso", 1);
    let path = lab.utf8("grub.iso");
    let before = digest(&path);
    let long = format!("a={}", "x".repeat(400));
    let error = apply(&path, &Edit::Append(vec![long])).unwrap_err().to_string();
    assert!(error.contains("bytes too small") && error.contains("HFS tree"), "{error}");
    assert_eq!(digest(&path), before);
}

#[test]
fn a_file_that_cannot_grow_gives_its_indents_away() {
    let lab = Lab::new();
    let text = "function f {\n\techo 'a\n    b'\n}\nmenuentry a {\n\t\tset gfxpayload=keep\n\t\tlinux /k a\\\n  b\n\t\tinitrd /i\n}\n";
    lab.write("tree/boot/grub/grub.cfg", text);
    if !lab.grub_mkrescue() {
        return;
    }
    let path = lab.utf8("grub.iso");
    apply(&path, &Edit::Append(list(&["word"]))).unwrap();
    let iso = Iso::open(&path).unwrap();
    let after = iso.read(&iso.find("/boot/grub/grub.cfg").unwrap(), 1 << 20).unwrap();
    let expected = text.replace("  b\n\t\tinitrd", "  b word\ninitrd").replace("\t\tlinux", "linux");
    assert_eq!(String::from_utf8(after).unwrap().trim_end(), expected.replace("\t\tset", "set").trim_end());
}

#[test]
fn an_image_without_a_loader_for_linux_says_so() {
    let lab = Lab::new();
    lab.write("bare/file", "x");
    if lab.run("genisoimage", &["-quiet", "-o", "bare.iso", "bare"]) {
        let error = apply(&lab.utf8("bare.iso"), &Edit::Append(list(&["x"]))).unwrap_err().to_string();
        assert!(error.contains("no ISOLINUX, GRUB or systemd-boot configuration"), "{error}");
    }
}

#[test]
fn a_configuration_with_windows_line_ends_keeps_them() {
    let lab = Lab::new();
    let text = "default a\r\nlabel a\r\n kernel /k\r\nlabel b\r\n kernel /k\r\n append b=1\r\n";
    lab.write("crlf/isolinux.cfg", text);
    if !lab.run("genisoimage", &["-quiet", "-o", "crlf.iso", "-R", "crlf"]) {
        return;
    }
    let path = lab.utf8("crlf.iso");
    let read = || {
        let iso = Iso::open(&path).unwrap();
        String::from_utf8(iso.read(&iso.find("/isolinux.cfg").unwrap(), 1 << 20).unwrap()).unwrap()
    };
    for edit in [Edit::Append(list(&["word=1"])), Edit::Delete(list(&["word"])), Edit::Delete(list(&["b"]))] {
        apply(&path, &edit).unwrap();
        assert!(!read().replace("\r\n", "").contains(['\r', '\n']), "{:?}", read());
    }
}

#[test]
fn words_go_in_front_of_dashes_behind_which_a_kernel_reads_nothing() {
    let lab = Lab::new();
    lab.write("d/isolinux.cfg", "label a\n kernel /k\n append quiet -- user\n");
    if lab.run("genisoimage", &["-quiet", "-o", "d.iso", "-R", "d"]) {
        let state = apply(&lab.utf8("d.iso"), &Edit::Append(list(&["word=1"]))).unwrap();
        assert_eq!(args(&state), ["quiet word=1 -- user"]);
    }
}

#[test]
fn which_initrd_is_loaded_is_no_disagreement() {
    let lab = Lab::new();
    lab.write("i/isolinux.cfg", "label a\n kernel /k\n append initrd=/i base=1\n");
    lab.write("i/boot/grub/grub.cfg", "set a=base=1\nmenuentry a {\n linux /k $a\n initrd /i\n}\n");
    if lab.run("genisoimage", &["-quiet", "-o", "i.iso", "-R", "i"]) {
        assert!(kargs::show(&Iso::open(&lab.utf8("i.iso")).unwrap(), None).unwrap().agree);
    }
}
