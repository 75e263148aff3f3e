//! Images of other people's tools, each with its generator. A missing tool is said by name, and is an error when
//! `MEDIA_REQUIRE_VM=1` asks for everything.

#![expect(
    clippy::disallowed_methods,
    reason = "the tools that write fixtures are run by the tests themselves"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::harness::lacks;
use bootiso::{
    config_initrd,
    embed::{self, ConfigArea, Loader, MediaLayout},
};

/// A folder that goes away, with a tree to make images of.
pub(crate) struct Lab {
    dir: tempfile::TempDir,
}

pub(crate) const ISOLINUX_CFG: &str = "default vesamenu.c32\nprompt 0\n# A comment that nobody needs, long enough to make room.\n\
    label live\n  menu label ^Live\n  kernel /boot/vmlinuz\n  append initrd=/boot/initrd quiet splash\n\
    label memtest\n  kernel /boot/memtest.bin\n  append -\ninclude txt.cfg\n";
pub(crate) const TXT_CFG: &str =
    "label safe\n  LINUX /boot/vmlinuz\n  APPEND initrd=/boot/initrd nomodeset\n";
pub(crate) const GRUB_CFG: &str = "set timeout=0\n# Another comment that nobody needs, long enough to make some room.\n\
    menuentry 'Live' {\n  linux /boot/vmlinuz quiet splash\n  initrd /boot/initrd\n}\n";

impl Lab {
    /// The tree: loader files, a kernel, names that need Rock Ridge, nine levels, a link, an empty file.
    pub(crate) fn new() -> Self {
        let lab = Self { dir: tempfile::tempdir().unwrap() };
        lab.write("tree/isolinux/isolinux.cfg", ISOLINUX_CFG);
        lab.write("tree/isolinux/txt.cfg", TXT_CFG);
        lab.write("tree/boot/grub/grub.cfg", GRUB_CFG);
        lab.write("tree/boot/Vmlinuz-6.1.0_long.name-amd64", "kernel");
        lab.write("tree/boot/initrd", &"initrd".repeat(1000));
        lab.write("tree/isolinux/isolinux.bin", &"\0".repeat(4096));
        lab.write("tree/d1/d2/d3/d4/d5/d6/d7/d8/d9/deep.txt", "deep");
        lab.write(&format!("tree/{}", "n".repeat(200)), "a long name");
        lab.write("tree/empty", "");
        #[cfg(unix)]
        std::os::unix::fs::symlink("boot/../boot/initrd", lab.path("tree/link")).unwrap();
        lab
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn utf8(&self, name: &str) -> camino::Utf8PathBuf {
        self.path(name).try_into().unwrap()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        self.write_bytes(name, text.as_bytes());
    }

    pub(crate) fn write_bytes(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Runs a tool that may fail, such as one that makes what is there.
    pub(crate) fn run_loosely(&self, program: &str, args: &[&str]) {
        _ = Command::new(program).args(args).current_dir(self.dir.path()).output();
    }

    /// Runs a tool in the lab; `false` when it is missing and may be.
    pub(crate) fn run(&self, program: &str, args: &[&str]) -> bool {
        if !has(program) {
            return false;
        }
        let output = Command::new(program).args(args).current_dir(self.dir.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{program} {args:?}: {said}");
        true
    }

    /// A FAT image with a GRUB configuration in it.
    pub(crate) fn efi_image(&self) -> bool {
        self.write("grub-in-fat.cfg", GRUB_CFG);
        fs::write(self.path("tree/efi.img"), vec![0; 1_474_560]).unwrap();
        self.run("mformat", &["-i", "tree/efi.img", "-f", "1440", "::"])
            && self.run("mmd", &["-i", "tree/efi.img", "::EFI", "::EFI/BOOT"])
            && self.run("mcopy", &["-i", "tree/efi.img", "grub-in-fat.cfg", "::EFI/BOOT/grub.cfg"])
    }

    /// An image as we lay it out: a region in each loader's file, a config initrd, and the layout.
    pub(crate) fn ours(&self) -> bool {
        let built = "quiet console=ttyS0";
        let region = embed::region(built, embed::REGION).unwrap();
        let isolinux =
            format!("default a\nlabel a\n kernel /vmlinuz\n initrd /seed.cpio,/initrd\n append {region}");
        let grub = format!("menuentry a {{\n linux /vmlinuz {region} initrd /seed.cpio /initrd\n}}\n");
        let mut layout = MediaLayout::default();
        layout.add("/isolinux.cfg", Loader::Isolinux, &isolinux, built, embed::REGION).unwrap();
        layout.add("/boot/grub/grub.cfg", Loader::Grub, &grub, built, embed::REGION).unwrap();
        let config = Some("#cloud-config\nhostname: built\n".to_owned());
        let area = ConfigArea {
            file: "/seed.cpio".into(),
            length: config_initrd::LENGTH as u64,
            path: config_initrd::CLOUD_CONFIG.into(),
            config: config.clone(),
        };
        fs::create_dir_all(self.path("ours")).unwrap();
        fs::write(self.path("ours/seed.cpio"), area.archive(config.as_deref()).unwrap()).unwrap();
        layout.config_initrd = Some(area);
        self.write("ours/isolinux.cfg", &isolinux);
        self.write("ours/boot/grub/grub.cfg", &grub);
        self.write("ours/media.json", &layout.to_json());
        self.run("genisoimage", &["-quiet", "-o", "ours.iso", "-R", "-J", "ours"])
    }

    /// genisoimage: Rock Ridge and Joliet, BIOS only.
    pub(crate) fn genisoimage(&self) -> bool {
        self.run("genisoimage", &args("-quiet -o gen.iso -V GEN -R -J -joliet-long -b isolinux/isolinux.bin -c isolinux/boot.cat -no-emul-boot -boot-load-size 4 -boot-info-table tree"))
    }

    /// xorriso: BIOS and UEFI, also as a disk.
    pub(crate) fn xorriso(&self) -> bool {
        self.efi_image() && self.xorriso_of_tree()
    }

    /// As [`Self::xorriso`], around the FAT image that is in the tree.
    pub(crate) fn xorriso_of_tree(&self) -> bool {
        let bios = "-as mkisofs -quiet -o xor.iso -V XOR -r -J -joliet-long -partition_offset 16 -b isolinux/isolinux.bin -c isolinux/boot.cat -no-emul-boot -boot-load-size 4";
        let efi = "-eltorito-alt-boot -e efi.img -no-emul-boot -appended_part_as_gpt -append_partition 2 0xef tree/efi.img tree";
        self.run("xorriso", &[args(bios), args(efi)].concat())
    }

    /// grub-mkrescue: GRUB for BIOS and UEFI, HFS+ beside ISO 9660.
    pub(crate) fn grub_mkrescue(&self) -> bool {
        fs::remove_dir_all(self.path("tree/isolinux")).unwrap();
        has("mformat") && has("xorriso") && self.run("grub-mkrescue", &["-o", "grub.iso", "tree"])
    }
}

fn args(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

/// Whether a program is there; without it, tests say so and end, or fail when everything must run.
pub(crate) fn has(program: &str) -> bool {
    let found =
        std::env::var("PATH").unwrap_or_default().split(':').any(|d| Path::new(d).join(program).exists())
            || Path::new("/usr/sbin").join(program).exists();
    if !found {
        lacks(&format!("{program} is missing"));
    }
    found
}
