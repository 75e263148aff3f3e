//! Images laid out as others lay them out: an edit reaches every entry of every loader, or names what it left.

use bootiso::{
    Iso,
    kargs::{self, Edit, Flush, ImageArgs},
};
use camino::Utf8Path;

use super::fixtures::Lab;

/// An image of these files, with these in a FAT image that UEFI starts, or nothing when a tool is missing.
fn image(lab: &Lab, tree: &[(&str, &[u8])], fat: &[(&str, &[u8])]) -> bool {
    for (name, bytes) in tree {
        lab.write_bytes(&format!("t/{name}"), bytes);
    }
    lab.write_bytes("t/isolinux/isolinux.bin", &[0; 4096]);
    let bios = "-as mkisofs -quiet -o x.iso -r -J -b isolinux/isolinux.bin -c boot.cat -no-emul-boot";
    let mut args: Vec<&str> = bios.split(' ').collect();
    if !fat.is_empty() {
        lab.write_bytes("efi.img", &vec![0; 2_949_120]);
        if !lab.run("mformat", &["-i", "efi.img", "-f", "2880", "::"]) {
            return false;
        }
        for (name, bytes) in fat {
            lab.write_bytes("part", bytes);
            let folders = name.match_indices('/').map(|(i, _)| format!("::{}", &name[..i]));
            for folder in folders.filter(|f| f != "::") {
                lab.run_loosely("mmd", &["-D", "s", "-i", "efi.img", &folder]);
            }
            lab.run("mcopy", &["-i", "efi.img", "part", &format!("::{name}")]);
        }
        let efi = "-append_partition 2 0xef efi.img -eltorito-alt-boot -e --interval:appended_partition_2:all:: -no-emul-boot";
        args.extend(efi.split(' '));
    }
    args.push("t");
    lab.run("xorriso", &args)
}

/// What an image says after an edit of it in place, with the files that the edit left.
fn edited(path: &Utf8Path, edit: &Edit) -> (ImageArgs, Vec<String>) {
    let plan = kargs::plan(&Iso::open(path).unwrap(), edit, None).unwrap();
    plan.apply(path, Flush::No).unwrap();
    let after = kargs::show(&Iso::open(path).unwrap(), None).unwrap();
    assert_eq!(after, plan.after);
    let left = plan.unreached.iter().map(|u| format!("{} {}", u.file, u.entry).trim().to_owned());
    (after, left.collect())
}

fn append(lab: &Lab) -> (ImageArgs, Vec<String>) {
    edited(&lab.utf8("x.iso"), &Edit::Append(vec!["word=1".to_owned()]))
}

fn delete(lab: &Lab, word: &str) -> (ImageArgs, Vec<String>) {
    edited(&lab.utf8("x.iso"), &Edit::Delete(vec![word.to_owned()]))
}

/// Each place as `file [entry] arguments`.
fn places(state: &ImageArgs) -> Vec<String> {
    state.slots.iter().map(|s| format!("{} [{}] {}", s.file, s.entry, s.args)).collect()
}

const ISOLINUX: &str = "default a\nlabel a\n linux /vmlinuz\n initrd /initrd\n append base=1\n";
const KERNEL: &[u8] = b"kernel";

#[test]
fn systemd_boot_is_edited_in_the_tree_and_in_the_fat_image() {
    let lab = Lab::new();
    let entry = b"title Arch\r\nlinux /arch/vmlinuz\r\ninitrd /arch/i\r\noptions base=1\r\n";
    let bare = b"title Bare\nlinux /vmlinuz\n";
    let tree: [(&str, &[u8]); 2] =
        [("isolinux/isolinux.cfg", ISOLINUX.as_bytes()), ("loader/entries/01.conf", entry)];
    let fat: [(&str, &[u8]); 3] = [
        ("/loader/loader.conf", b"timeout 3\n"),
        ("/loader/entries/a.conf", entry),
        ("/loader/entries/b.conf", bare),
    ];
    if !image(&lab, &tree, &fat) {
        return;
    }
    let (state, left) = append(&lab);
    let expected = [
        "/isolinux/isolinux.cfg [a] base=1 word=1",
        "/loader/entries/01.conf [Arch] base=1 word=1",
        "FAT image: [Arch] base=1 word=1",
        "FAT image: [Bare] word=1",
    ];
    assert_eq!(places(&state).iter().map(|p| without_place(p)).collect::<Vec<_>>(), expected);
    assert!(left.is_empty(), "{left:?}");
    let iso = Iso::open(&lab.utf8("x.iso")).unwrap();
    let text =
        String::from_utf8(iso.read(&iso.find("/loader/entries/01.conf").unwrap(), 1000).unwrap()).unwrap();
    assert!(
        text.ends_with("options base=1 word=1\r\n") && !text.replace("\r\n", "").contains('\n'),
        "{text:?}"
    );
    assert!(places(&delete(&lab, "base").0).iter().all(|p| !p.contains("base")));
}

/// Without the position and the path of a FAT image, which the tools choose.
fn without_place(place: &str) -> String {
    match place.strip_prefix("FAT image at ").and_then(|p| p.split_once(" [")) {
        Some((_, rest)) => format!("FAT image: [{rest}"),
        None => place.to_owned(),
    }
}

#[test]
fn isolinux_is_edited_behind_modules_includes_and_on_kernel_lines() {
    let lab = Lab::new();
    let main = "default b\ninclude sub/more.cfg\nlabel b\n linux /vmlinuz inl=1\nlabel l\n com32 linux.c32\n append /vmlinuz l=1\n\
        label x\n com32 mboot.c32\n append /xen.gz a --- /vmlinuz x=1 --- /initrd\nlabel sub\n config /other/syslinux2.cfg /other\n\
        label menu\n kernel vesamenu.c32\n append menu.cfg\n";
    let tree: [(&str, &[u8]); 4] = [
        ("isolinux/isolinux.cfg", main.as_bytes()),
        ("isolinux/sub/more.cfg", b"label m\n kernel /vmlinuz\n append m=1\n"),
        ("other/syslinux2.cfg", b"label o\n kernel /vmlinuz.efi o=1\n append -\n"),
        ("isolinux/menu.cfg", b"label n\n kernel /vmlinuz\n"),
    ];
    if !image(&lab, &tree, &[]) {
        return;
    }
    let (state, left) = append(&lab);
    let mut found: Vec<_> = state.slots.iter().map(|s| format!("{} {}", s.entry, s.args)).collect();
    found.sort();
    assert_eq!(
        found,
        ["b inl=1 word=1", "l l=1 word=1", "m m=1 word=1", "n word=1", "o o=1 word=1", "x x=1 word=1"]
    );
    assert!(left.is_empty(), "{left:?}");
    let (state, _) = delete(&lab, "inl");
    assert!(state.slots.iter().any(|s| s.entry == "b" && s.args == "word=1"), "{state:?}");
}

#[test]
fn grub_is_edited_through_variables_functions_submenus_and_other_files() {
    let lab = Lab::new();
    let main = "set linux=linuxefi\nset args=\"quiet splash\"\nset dir=/boot/grub\nfunction start {\n  linux /vmlinuz $args \"$1\"\n}\n\
        menuentry fun { start 'f=1' }\nsubmenu more {\n  menuentry sub { $linux /vmlinuz s=1 }\n}\n\
        menuentry xen {\n multiboot2 /xen.gz y\n module2 /vmlinuz placeholder x=1\n module2 /initrd\n}\n\
        for f in ${dir}/parts/*.cfg; do source $f; done\nmenuentry other { configfile ($root)/boot/grub/other.txt }\n";
    let tree: [(&str, &[u8]); 4] = [
        ("boot/grub/grub.cfg", main.as_bytes()),
        ("boot/grub/parts/a.cfg", b"menuentry part { linux16 /vmlinuz p=1 }\n"),
        ("boot/grub/other.txt", b"menuentry o {\n linux /casper/vmlinuz.efi boot=casper quiet --- \n}\n"),
        ("boot/grub/theme.cfg", b"menuentry not { linux /vmlinuz not=1 }\n"),
    ];
    if !image(&lab, &tree, &[]) {
        return;
    }
    let (state, left) = append(&lab);
    let found = places(&state);
    for expected in [
        "[start()] $args \"$1\" word=1",
        "[sub] s=1 word=1",
        "[xen] placeholder x=1 word=1",
        "[part] p=1 word=1",
        "[o] boot=casper quiet --- word=1",
        "[$args] quiet splash",
        "[fun] f=1",
    ] {
        assert!(found.iter().any(|p| p.ends_with(expected)), "{expected} in {found:#?}");
    }
    assert_eq!((found.len(), left.len()), (7, 0), "{found:?} {left:?}");
    let (state, left) = delete(&lab, "quiet");
    assert!(!places(&state).iter().any(|p| p.contains("quiet")) && left.is_empty(), "{state:?}");
    let (state, _) = delete(&lab, "f");
    assert!(places(&state).iter().any(|p| p.ends_with("[fun] ")), "{state:?}");
}

#[test]
fn grub_is_edited_behind_symbolic_links_and_below_blscfg() {
    let lab = Lab::new();
    let menu = "menuentry main { linux /vmlinuz m=1 }\nsource /entries/more.cfg\nset kernelopts='root=x ro'\nload_env\nblscfg\n";
    let environment = "# GRUB Environment Block\nsaved_entry=a b\ntuned_params=isolcpus=1 nohz\n######";
    let tree: [(&str, &[u8]); 4] = [
        ("conf/menu.txt", menu.as_bytes()),
        ("conf/d/more.cfg", b"menuentry more { linux /vmlinuz d=1 }\n"),
        ("boot/grub/grubenv", environment.as_bytes()),
        ("loader/entries/a.conf", b"title A\nlinux /vmlinuz\noptions $kernelopts rhgb $tuned_params\n"),
    ];
    fs_err::create_dir_all(lab.path("t/boot/grub")).unwrap();
    let link = |target: &str, at: &str| buildexec::tree::link(target.as_ref(), &lab.utf8(at)).is_ok();
    let linked = link("../../conf/menu.txt", "t/boot/grub/grub.cfg") && link("conf/d", "t/entries");
    if !linked || !image(&lab, &tree, &[]) {
        return;
    }
    let (state, left) = append(&lab);
    let mut found = places(&state);
    found.sort();
    let expected = [
        "/conf/d/more.cfg [more] d=1 word=1",
        "/conf/menu.txt [$kernelopts] root=x ro",
        "/conf/menu.txt [main] m=1 word=1",
        "/loader/entries/a.conf [A] $kernelopts rhgb $tuned_params word=1",
    ];
    assert_eq!((found, left.len()), (expected.map(str::to_owned).to_vec(), 0), "{left:?}");
    let (state, left) = delete(&lab, "ro");
    assert!(places(&state).contains(&"/conf/menu.txt [$kernelopts] root=x".to_owned()) && left.is_empty());
    let plan = |word: &str| {
        kargs::plan(&Iso::open(&lab.utf8("x.iso")).unwrap(), &Edit::Delete(vec![word.to_owned()]), None)
    };
    let left: Vec<_> = plan("nohz").unwrap().unreached.into_iter().map(|u| u.file).collect();
    assert_eq!(left, ["/boot/grub/grubenv"]);
    assert!(plan("saved_entry").is_err(), "it is no argument of a kernel");
}

#[test]
fn what_cannot_be_changed_is_named() {
    let lab = Lab::new();
    let unified = super::efi::program(&[(".linux", b"kernel"), (".cmdline", b"quiet root=x\0")]);
    let config = b"menuentry built-in { linux /vmlinuz built=1 }\nconfigfile /menu/main.cfg\n";
    let grub = super::efi::grub(config);
    let main =
        b"set a=x\\ quiet\nmenuentry e { eval \"linux /vmlinuz e=1\" }\nmenuentry v { linux /vmlinuz $a }\n\
        menuentry s { source $somewhere }\nmenuentry hurd { multiboot /gnumach.gz }\n";
    let tree: [(&str, &[u8]); 3] = [
        ("boot/grub/grub.cfg", main),
        ("menu/main.cfg", b"menuentry main { linux /vmlinuz m=1 }\n"),
        (
            "boot/refind/refind.conf",
            b"# loader /x\nmenuentry a {\n loader /vmlinuz\n options \"quiet r=1\"\n}\n",
        ),
    ];
    let fat: [(&str, &[u8]); 2] = [("/EFI/BOOT/BOOTX64.EFI", &grub), ("/EFI/Linux/arch.efi", &unified)];
    if !image(&lab, &tree, &fat) {
        return;
    }
    let (state, left) = append(&lab);
    assert_eq!(places(&state), ["/boot/grub/grub.cfg [v] $a word=1", "/menu/main.cfg [main] m=1 word=1"]);
    let all = left.join("\n");
    for expected in ["arch.efi", "BOOTX64.EFI built-in", "grub.cfg e", "grub.cfg hurd", "refind.conf"] {
        assert!(all.contains(expected), "{expected} in {all}");
    }
    assert_eq!(left.len(), 6, "{all}");
    // An edit that concerns some of them alone names those alone.
    let left = |word: &str| {
        let plan =
            kargs::plan(&Iso::open(&lab.utf8("x.iso")).unwrap(), &Edit::Delete(vec![word.to_owned()]), None);
        let left: Vec<_> = plan.unwrap().unreached.into_iter().map(|u| u.args.unwrap_or_default()).collect();
        left
    };
    assert!(left("built").contains(&"built=1".to_owned()));
    assert!(
        left("root").contains(&"quiet root=x".to_owned()) && !left("root").contains(&"built=1".to_owned())
    );
    assert!(left("quiet").iter().any(|a| a.contains("x\\ quiet")), "{:?}", left("quiet"));
}

#[test]
fn an_image_that_only_starts_a_unified_kernel_is_left_as_it_is() {
    let lab = Lab::new();
    let unified = super::efi::program(&[(".linux", b"kernel"), (".cmdline", b"quiet")]);
    if !image(&lab, &[("vmlinuz", KERNEL)], &[("/EFI/BOOT/BOOTX64.EFI", &unified)]) {
        return;
    }
    let path = lab.utf8("x.iso");
    let before = fs_err::read(&path).unwrap();
    let (state, left) = append(&lab);
    assert!(state.slots.is_empty() && left.iter().any(|l| l.contains("BOOTX64.EFI")), "{left:?}");
    assert_eq!(fs_err::read(&path).unwrap(), before);
}

#[test]
fn a_loader_without_a_configuration_is_named() {
    let lab = Lab::new();
    let other = super::efi::program(&[(".text", b"some loader")]);
    let tree = [("isolinux/isolinux.cfg", ISOLINUX.as_bytes())];
    if !image(&lab, &tree, &[("/EFI/BOOT/BOOTX64.EFI", &other)]) {
        return;
    }
    let (_, left) = append(&lab);
    assert!(left.len() == 1 && left[0].starts_with("FAT image at "), "{left:?}");
}

#[test]
fn menus_are_followed_into_other_folders_loaders_and_environments() {
    let lab = Lab::new();
    let isolinux = "label a\n linux /vmlinuz\n append a=1\nlabel more\n config /x/y.cfg /z\n";
    let grub = "menuentry sys { syslinux_configfile -s /menu/other.txt }\n\
        menuentry env { load_env -f /menu/my.env kopts; linux /vmlinuz $kopts }\n\
        menuentry inner { loopback loop /x.iso; set root=(loop); configfile /boot/grub/loopback.cfg }\n\
        menuentry direct { loopback loop /x.iso; source (loop)/a.cfg }\n\
        menuentry old { legacy_configfile /menu/old.txt }\n";
    let tree: [(&str, &[u8]); 6] = [
        ("isolinux/isolinux.cfg", isolinux.as_bytes()),
        ("x/y.cfg", b"label y\n linux /vmlinuz\n append y=1\ninclude w.cfg\n"),
        ("z/w.cfg", b"label w\n linux /vmlinuz\n append w=1\n"),
        ("boot/grub/grub.cfg", grub.as_bytes()),
        ("menu/other.txt", b"label o\n linux /vmlinuz\n append o=1\n"),
        ("menu/my.env", b"kopts=quiet env=1\n####"),
    ];
    if !image(&lab, &tree, &[("/startup.nsh", b"\\vmlinuz.efi nsh=1\r\n")]) {
        return;
    }
    let (state, left) = append(&lab);
    let mut found: Vec<_> = state.slots.iter().map(|s| format!("{} {}", s.entry, s.args)).collect();
    found.sort();
    assert_eq!(found, ["a a=1 word=1", "env $kopts word=1", "o o=1 word=1", "w w=1 word=1", "y y=1 word=1"]);
    let left = left.join("\n");
    for expected in ["grub.cfg inner", "grub.cfg direct", "grub.cfg old", "startup.nsh"] {
        assert!(left.contains(expected), "{expected} in {left}");
    }
    assert_eq!(left.lines().count(), 4, "{left}");
    let plan =
        kargs::plan(&Iso::open(&lab.utf8("x.iso")).unwrap(), &Edit::Delete(vec!["env".to_owned()]), None);
    assert!(plan.unwrap().unreached.iter().any(|u| u.file == "/menu/my.env"));
}
