//! Programs that pass words to a kernel, and what is built into them.

use super::*;

#[test]
fn what_is_built_into_a_kernel_is_named_wherever_its_headers_and_its_loader_are() {
    let lab = Lab::new();
    tree(&lab, &[]);
    let unified = efi::program(&[(".linux", b"k"), (".cmdline", b"far=1")]);
    let mut far = vec![0; 8192];
    far[..2].copy_from_slice(b"MZ");
    far[0x3C..0x40].copy_from_slice(&8192u32.to_le_bytes());
    far.extend(&unified[0x80..]);
    if fat(&lab, "p.img", &[("/EFI/Linux/far.efi", &far)])
        && made(&lab, &format!("-r {BIOS} -append_partition 2 0xef p.img"))
    {
        named(&lab, "far headers", "/EFI/Linux/far.efi", "built into");
    }
    let systemd = efi::program(&[(".sdmagic", b"#### LoaderInfo: systemd-boot ####")]);
    let is_there = fat(&lab, "esp.img", &[("/EFI/BOOT/BOOTX64.EFI", &systemd)])
        && fat(&lab, "p.img", &[("/loader/entries/a.conf", ENTRY)]);
    if is_there
        && made(&lab, &format!("-r {BIOS} -append_partition 2 0xef esp.img -append_partition 3 0xea p.img"))
    {
        all_changed(&lab, "entries in XBOOTLDR", &["/loader/entries/a.conf [Entry]"]);
    }
}

/// A kernel that UEFI can start, under any name.
fn kernel() -> Vec<u8> {
    let mut bytes = efi::program(&[]);
    bytes[0x202..0x206].copy_from_slice(b"HdrS");
    bytes
}

#[test]
fn what_a_command_starts_is_told_by_what_is_in_it() {
    let lab = Lab::new();
    let grub = b"menuentry name { chainloader /boot/bzImage a=1 }\nmenuentry magic { chainloader /boot/start a=1 }\n\
        menuentry none { chainloader /boot/start }\nmenuentry other { chainloader /other a=1 }\nmenuentry block { chainloader +1 }\n";
    let isolinux = format!("{ISOLINUX}label /boot/start\n append a=1\nlabel /other\n append a=1\n");
    let other = efi::program(&[(".text", b"x")]);
    let files: [(&str, &[u8]); 4] =
        [(GRUB, grub), ("boot/bzImage", &kernel()), ("boot/start", &kernel()), ("other", &other)];
    tree(&lab, &files);
    lab.write("t/isolinux/isolinux.cfg", &isolinux);
    if made(&lab, &format!("-r {BIOS}")) {
        let (mut slots, left) = appended(&lab);
        slots.sort();
        let expected = ["[magic]", "[name]", "[none]"].map(|entry| format!("/boot/grub/grub.cfg {entry}"));
        let of_isolinux = ["[/boot/start]", "[a]"].map(|entry| format!("/isolinux/isolinux.cfg {entry}"));
        assert_eq!((slots, left.len()), ([&expected[..], &of_isolinux].concat(), 0), "{left:?}");
    }
    let unified = efi::program(&[(".linux", b"k"), (".cmdline", b"uki=1")]);
    for config in ["menuentry a { chainloader /boot/start }\n", "menuentry a { linux /boot/start }\n"] {
        tree(&lab, &[(GRUB, config.as_bytes()), ("boot/start", &unified)]);
        if made(&lab, &format!("-r {BIOS}")) {
            named(&lab, config, "/boot/start", "unified");
        }
    }
}

#[test]
fn an_entry_of_systemd_boot_for_a_program_of_any_name_is_changed_or_its_program_named() {
    let lab = Lab::new();
    tree(&lab, &[]);
    let unified = efi::program(&[(".linux", b"k"), (".cmdline", b"uki=1")]);
    let other = efi::program(&[(".text", b"x")]);
    let files: [(&str, &[u8]); 6] = [
        ("/boot/kernel", &kernel()),
        ("/boot/arch", &unified),
        ("/boot/shell", &other),
        ("/loader/entries/a.conf", b"title A\nefi /boot/kernel\n"),
        ("/loader/entries/b.conf", b"title B\nuki /boot/arch\n"),
        ("/loader/entries/c.conf", b"title C\nefi /boot/shell\noptions c=1\n"),
    ];
    if fat(&lab, "p.img", &files) && made(&lab, &format!("-r {BIOS} -append_partition 2 0xef p.img")) {
        let (slots, left) = appended(&lab);
        assert!(slots.len() == 2 && slots[1].ends_with("/loader/entries/a.conf [A]"), "{slots:?}");
        assert!(left.len() == 1 && left[0].contains("/boot/arch"), "{left:?}");
    }
}

#[test]
fn commands_that_pass_words_on_are_changed_or_named() {
    let lab = Lab::new();
    let grub = "menuentry xen { xen_hypervisor /xen a=1; xen_module /vmlinuz x=1 }\nmenuentry arm { xen_linux /vmlinuz x=1 }\n\
        menuentry old { legacy_kernel '/vmlinuz' a=1 }\nmenuentry patched { linux32 /vmlinuz a=1 }\n\
        menuentry source --source 'linux /vmlinuz a=1'\nmenuentry source2 '--source=linux /vmlinuz a=1'\n\
        set cmd='linux /vmlinuz a=1'\nmenuentry eval { eval \"$cmd\" }\nmenuentry variable { $cmd }\n\
        menuentry script { lua /boot/x.lua }\nmenuentry disc { linux16 /memdisk iso raw; initrd16 /x.iso }\n\
        function linux_start { linux /vmlinuz $1 }\nmenuentry harmless { linux_start 'f=1'; eval 'set x=1'; linux16 /memdisk; initrd16 /dos.img }\n";
    let isolinux = "default linux.c32 /vmlinuz d=1\nlabel pick\n com32 ifcpu64.c32\n append /vmlinuz a -- /vmlinuz32 a\n\
        label script\n com32 lua.c32\n append x.lua\nlabel disc\n kernel memdisk\n initrd /x.iso\n append iso raw\n\
        label xen\n kernel mboot.c32 /xen.gz --- /vmlinuz x=1\nlabel more\n com32 config.c32\n append /more/x.cfg\n\
        label harmless\n com32 whichsys.c32\n append -iso- a -pxe- b\nlabel dos\n kernel memdisk\n append initrd=/dos.img\n";
    tree(&lab, &[(GRUB, grub.as_bytes()), ("more/x.cfg", b"label x\n linux /vmlinuz\n")]);
    lab.write("t/isolinux/isolinux.cfg", isolinux);
    if !made(&lab, &format!("-r {BIOS}")) {
        return;
    }
    let plan =
        kargs::plan(&Iso::open(&lab.utf8("x.iso")).unwrap(), &Edit::Append(vec!["w=1".to_owned()]), None);
    let plan = plan.unwrap();
    let mut left: Vec<_> = plan.unreached.iter().map(|u| format!("{} {}", u.file, u.entry)).collect();
    left.sort();
    let of = |file: &str, entries: &[&str]| entries.iter().map(|e| format!("{file} {e}")).collect::<Vec<_>>();
    let of_grub = ["disc", "eval", "old", "patched", "script", "source", "source2", "variable"];
    let of_isolinux = ["default linux.c32", "disc", "pick", "script"];
    assert_eq!(
        left,
        [of("/boot/grub/grub.cfg", &of_grub), of("/isolinux/isolinux.cfg", &of_isolinux)].concat()
    );
    let changed = plan.after.slots.iter().filter(|s| s.args.contains("w=1")).map(|s| s.entry.as_str());
    let mut changed: Vec<_> = changed.collect();
    changed.sort_unstable();
    assert_eq!(changed, ["arm", "linux_start()", "x", "xen", "xen"]);
}

#[test]
fn entries_for_blscfg_are_found_where_grub_is_told_to_look() {
    let lab = Lab::new();
    let grub = b"set blsdir=/my/entries\nblscfg\nblscfg /two/\nblscfg --path /three\nblscfg /four/x.conf\n";
    let places = ["my/entries/x.conf", "two/x.conf", "three/x.conf", "four/x.conf"];
    let entries: Vec<(&str, &[u8])> = places.iter().map(|place| (*place, ENTRY)).collect();
    tree(&lab, &[&[(GRUB, &grub[..])], &entries[..]].concat());
    if made(&lab, &format!("-r {BIOS}")) {
        all_changed(&lab, "blscfg", &places);
    }
}

#[test]
fn configurations_of_other_loaders_are_named() {
    let cases: [(&str, &str); 15] = [
        ("EFI/refind/refind.conf", "include manual.conf\n"),
        ("boot/refind_linux.conf", "\"std\" \"ro r=2\"\n"),
        ("boot/limine/limine.conf", "/Arch\n  protocol: linux\n  cmdline: l=1\n"),
        ("etc/silo.conf", "image=/vmlinuz\n append=\"s=1\"\n"),
        ("boot/menu.ipxe", "#!ipxe\nimgargs vmlinuz i=1\n"),
        ("EFI/xen/xen.cfg", "[linux]\nkernel=vmlinuz root=x\n"),
        ("boot/boot.scr", "\u{27}\u{5}\u{19}\u{56}setenv bootargs b=1; booti\n"),
        ("uEnv.txt", "bootargs=u=1\n"),
        ("cmdline.txt", "root=/dev/x c=1\n"),
        ("boot/aboot.conf", "0:vmlinuz.gz root=/dev/x\n"),
        ("boot/s390x/parmfile", "ro p=1\n"),
        ("images/generic.prm", "ro\n"),
        ("ppc/bootinfo.txt", "<chrp-boot><boot-script>boot cd:,\\vmlinux c=1</boot-script></chrp-boot>\n"),
        ("EFI/fedora/grub.conf", "kernel /vmlinuz g=1\n"),
        ("etc/yaboot.conf", "image=/vmlinux\n append=\"y=1\"\n"),
    ];
    let lab = Lab::new();
    let files: Vec<(&str, &[u8])> = cases.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
    tree(&lab, &files);
    let harmless: [(&str, &[u8]); 3] = [
        ("a/boot.ini", b"[boot loader]\n"),
        ("b/bootinfo.txt", b"boot grub\n"),
        ("b/x.ipxe", b"#!ipxe\nshell\n"),
    ];
    harmless.iter().for_each(|(name, bytes)| lab.write_bytes(&format!("t/{name}"), bytes));
    lab.write("t/pxelinux.cfg/01-52-54-00-12-34-56", "label p\n linux /vmlinuz\n");
    if made(&lab, &format!("-r {BIOS}")) {
        let (slots, left) = appended(&lab);
        for (name, _) in cases {
            assert!(left.iter().any(|l| l.starts_with(&format!("/{name}:"))), "{name} in {left:#?}");
        }
        assert_eq!((left.len(), slots.len()), (cases.len(), 2), "{left:#?} {slots:?}");
    }
}

#[test]
fn what_is_built_into_grub_for_bios_is_named_and_followed() {
    let lab = Lab::new();
    if !has("grub-mkimage") || !std::path::Path::new("/usr/lib/grub/i386-pc").is_dir() {
        return;
    }
    let out = b"menuentry out { linux /vmlinuz out=1 }\n";
    tree(&lab, &[(GRUB, out), ("menu/more.txt", b"menuentry more { linux /vmlinuz more=1 }\n")]);
    lab.write("early.cfg", "linux /vmlinuz early=1\nconfigfile /menu/more.txt\n");
    lab.write_bytes("m/boot/grub/grub.cfg", HIDDEN);
    lab.run("tar", &["-cf", "m.tar", "-C", "m", "boot"]);
    let line = "-O i386-pc-eltorito -o t/boot/core.img -c early.cfg -m m.tar -p /boot/grub \
        memdisk tar normal iso9660 biosdisk linux configfile";
    lab.run("grub-mkimage", &line.split_whitespace().collect::<Vec<_>>());
    if made(&lab, "-r -b boot/core.img -c boot.cat -no-emul-boot -boot-load-size 4 -boot-info-table") {
        let (slots, left) = appended(&lab);
        for place in ["/boot/grub/grub.cfg [out]", "/menu/more.txt [more]"] {
            assert!(slots.iter().any(|s| s == place), "{place} in {slots:?}");
        }
        let all = left.join("\n");
        let is_named =
            |what: &str| left.iter().any(|l| l.starts_with("boot image for BIOS") && l.contains(what));
        assert!(left.len() == 2 && is_named(":/boot/grub/grub.cfg") && is_named("built into GRUB"), "{all}");
    }
}

#[test]
fn a_memdisk_of_any_kind_is_read_or_named() {
    let lab = Lab::new();
    let mut cpio = bootiso::cpio::CpioWriter::new();
    cpio.file("boot/grub/menu.txt", 0o644, HIDDEN).unwrap();
    if !fat(&lab, "m.img", &[("/boot/grub/grub.cfg", HIDDEN)]) {
        return;
    }
    let disk = fs_err::read(lab.path("m.img")).unwrap();
    let kinds: [(&[u8], &str, &str); 3] = [
        (&cpio.finish().unwrap(), "BOOTX64.EFI:/boot/grub/menu.txt", "built into GRUB"),
        (&disk, "BOOTX64.EFI:/boot/grub/grub.cfg", "built into GRUB"),
        (b"something else", "BOOTX64.EFI", "not looked into"),
    ];
    for (memdisk, place, reason) in kinds {
        _ = fs_err::remove_dir_all(lab.path("t"));
        tree(&lab, &[("EFI/BOOT/BOOTX64.EFI", &efi::grub_with(1, memdisk))]);
        if made(&lab, &format!("-r {BIOS}")) {
            named(&lab, place, place, reason);
        }
    }
}

#[test]
fn files_of_udf_alone_are_named() {
    let lab = Lab::new();
    tree(&lab, &[(GRUB, HIDDEN)]);
    // Files do not grow beside UDF, so that room is made within the file.
    lab.write("t/isolinux/isolinux.cfg", &format!("# a comment that may go\n{ISOLINUX}"));
    lab.write("t/boot/grub/grub.cfg", "# a comment that may go\nmenuentry hidden { linux /vmlinuz h=1 }\n");
    for (options, is_hidden) in [("", false), ("-hide grub.cfg", true)] {
        let line = format!("-quiet -o x.iso -udf -R {options} {BIOS} t");
        if lab.run("genisoimage", &line.split_whitespace().collect::<Vec<_>>()) {
            let (slots, left) = appended(&lab);
            assert_eq!(slots.len(), if is_hidden { 1 } else { 2 }, "{slots:?}");
            assert_eq!(left.iter().any(|l| l.starts_with("the UDF tree")), is_hidden, "{left:?}");
            assert_eq!(left.len(), usize::from(is_hidden), "{left:?}");
        }
    }
}
