//! Images: FAT for UEFI firmware, GRUB in it, ISO 9660 around everything.

use anyhow::Result;

use super::packages::{Tools, in_tree};
use buildplan::{Arg, Artifact, CmdSpec, IsoSpec, Material, Planner, Product, Stage};

/// What GRUB must know to find the ISO on a CD or a partitioned stick and start a kernel from it (0.7 MB).
const GRUB_MODULES: &[&str] = &[
    "part_gpt",
    "part_msdos",
    "fat",
    "iso9660",
    "normal",
    "linux",
    "search",
    "search_fs_file",
    "configfile",
    "serial",
    "terminal",
    "echo",
    "efi_gop",
];

/// A FAT image with the files UEFI firmware looks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct EfiImage {
    files: Vec<(String, Arg)>,
}

impl EfiImage {
    /// An image of these files, by path.
    pub(crate) fn new<P: Into<String>>(files: impl IntoIterator<Item = (P, Arg)>) -> Self {
        Self { files: files.into_iter().map(|(path, content)| (path.into(), content)).collect() }
    }
}

impl Stage for EfiImage {
    type Out = Artifact;
    const NAME: &'static str = "efi-image";
    const FORMAT: u32 = 1;

    fn plan(&self, p: &mut Planner) -> Result<Artifact> {
        let mut node = p.node::<Self>("FAT image for UEFI");
        let to = node.out("efi.img");
        node.product(Product::Fat(self.files.clone()), to);
        Ok(node.finish_one())
    }
}

/// GRUB as one EFI program that looks for the file `marker` and runs the `grub.cfg` beside it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Grub {
    /// A tree with `grub-mkimage`.
    pub tree: Artifact,
    /// A tree with GRUB's modules.
    pub modules: Artifact,
    /// A file that only this ISO has, from its root.
    pub marker: String,
}

impl Stage for Grub {
    type Out = Artifact;
    const NAME: &'static str = "grub";
    const FORMAT: u32 = 1;

    fn plan(&self, p: &mut Planner) -> Result<Artifact> {
        let mut node = p.node::<Self>("GRUB for UEFI");
        node.derived().material(Material::Loader { name: "GRUB".to_owned() });
        let (early, to) = (Arg::Work("early.cfg".to_owned()), node.out("BOOTX64.EFI"));
        node.write(early.clone(), [to_grub(&self.marker)]);
        node.run(
            CmdSpec::new("usr/bin/grub-mkimage", "make the GRUB image")
                .in_tree(&self.tree)
                .args(["-O", "x86_64-efi", "-p", "/boot/grub", "-d"])
                .arg(in_tree(&self.modules, "usr/lib/grub/x86_64-efi"))
                .arg("-c")
                .arg(early)
                .arg("-o")
                .arg(to)
                .args(GRUB_MODULES.iter().copied()),
        );
        Ok(node.finish_one())
    }
}

/// The `grub.cfg` of the FAT image, for a GRUB that was not made for this ISO.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ToGrub {
    /// A file that only this ISO has, from its root.
    pub(super) marker: String,
}

impl Stage for ToGrub {
    type Out = Artifact;
    const NAME: &'static str = "to-grub";
    const FORMAT: u32 = 1;

    fn plan(&self, p: &mut Planner) -> Result<Artifact> {
        let mut node = p.node::<Self>("grub.cfg of the FAT image");
        let to = node.out("grub.cfg");
        node.write(to, [to_grub(&self.marker)]);
        Ok(node.finish_one())
    }
}

/// Looks for the file `marker` and runs the `grub.cfg` of the ISO that has it.
fn to_grub(marker: &str) -> String {
    format!(
        "search --no-floppy --set=root --file {marker}\nset prefix=($root)/boot/grub\nconfigfile /boot/grub/grub.cfg\n"
    )
}

/// An ISO that starts from CD and stick, under BIOS (isolinux) and, with an EFI image, under UEFI.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct HybridIso {
    /// The file's name.
    pub name: String,
    /// The volume id: up to 32 characters.
    pub volume: String,
    /// Files by their path in the ISO.
    pub files: Vec<(String, Arg)>,
    /// The FAT image for UEFI.
    pub efi: Option<Artifact>,
    /// What it is made with, and starts with under BIOS.
    pub tools: Tools,
}

impl Stage for HybridIso {
    type Out = Artifact;
    const NAME: &'static str = "iso";
    const FORMAT: u32 = 2;

    fn plan(&self, p: &mut Planner) -> Result<Artifact> {
        let mut node = p.node::<Self>(self.name.clone());
        let to = node.out(&self.name);
        let mut files = self.files.clone();
        files.push((BIOS.to_owned(), Arg::from(&self.tools.isolinux)));
        files.push(("/isolinux/ldlinux.c32".to_owned(), Arg::from(&self.tools.ldlinux)));
        files.extend(self.efi.iter().map(|efi| (EFI.to_owned(), Arg::from(efi))));
        // What a changed parameter changes comes last, so that everything before it stays as it was.
        files.sort_by(|a, b| (is_text(&a.0), &a.0).cmp(&(is_text(&b.0), &b.0)));
        let iso = IsoSpec {
            label: self.volume.clone(),
            code: Arg::from(&self.tools.mbr),
            bios: BIOS.to_owned(),
            catalog: "/isolinux/boot.cat".to_owned(),
            efi: self.efi.as_ref().map(|_| EFI.to_owned()),
            files,
        };
        node.product(Product::Iso(iso), to);
        Ok(node.finish_one())
    }
}

/// ISOLINUX's program.
const BIOS: &str = "/isolinux/isolinux.bin";
/// The FAT image for UEFI.
const EFI: &str = "/efi.img";

/// Whether a file of the image holds parameters, a script or a cloud-config.
fn is_text(path: &str) -> bool {
    [".cfg", ".json", ".ipxe", ".id", ".cpio"].iter().any(|end| path.ends_with(end))
}

/// iPXE as an ISO of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct IpxeIso {
    /// iPXE as isolinux starts it.
    pub lkrn: Arg,
    /// The script given to it as initrd; `None` when it is embedded.
    pub script: Option<Artifact>,
    /// iPXE for UEFI in a FAT image.
    pub efi: Option<Artifact>,
    /// What it is made with.
    pub tools: Tools,
}

impl Stage for IpxeIso {
    type Out = Artifact;
    const NAME: &'static str = "ipxe-iso";
    const FORMAT: u32 = 1;

    fn plan(&self, p: &mut Planner) -> Result<Artifact> {
        let mut node = p.node::<Self>("isolinux.cfg of ipxe.iso");
        let to = node.out("isolinux.cfg");
        let mut text = "DEFAULT ipxe\nPROMPT 0\nLABEL ipxe\n  KERNEL /ipxe.lkrn\n".to_owned();
        let mut files = vec![("/ipxe.lkrn".to_owned(), self.lkrn.clone())];
        if let Some(script) = &self.script {
            text += "  INITRD /embed.ipxe\n";
            files.push(("/embed.ipxe".to_owned(), Arg::from(script)));
        }
        node.write(to, [text]);
        files.push(("/isolinux.cfg".to_owned(), Arg::from(&node.finish_one())));
        p.ensure(&HybridIso {
            name: "ipxe.iso".to_owned(),
            volume: "IPXE".to_owned(),
            files,
            efi: self.efi.clone(),
            tools: self.tools.clone(),
        })
    }
}
