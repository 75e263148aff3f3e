//! iPXE by its two engines.
//!
//! *source* compiles the pinned commit: `checkout → tree (patched, configured) → objects → programs → patch`. They are
//! compiled once around a placeholder; a script is then written over it. One that is too long costs a link of seconds,
//! since make sees what is up to date. *prebuilt* puts the script beside the distribution's binaries.

use anyhow::Result;

use super::{
    image::{EfiImage, IpxeIso},
    packages::{IPXE_EFI, IPXE_LKRN, PackageFiles, Pins, Tools},
    script::Script,
    signed::SignedProgram,
};
use crate::config::{IpxePin, SHIM};
use buildplan::{Arg, Artifact, CmdSpec, Material, NodeId, Planner, Resource, Stage};

/// What an engine made: names in `dist/` and artifacts.
pub(crate) type IpxeFiles = Vec<(String, Artifact)>;

/// What UEFI starts of it, signed where there is a certificate.
fn signed(p: &mut Planner, files: IpxeFiles, certificate: Option<&String>) -> Result<IpxeFiles> {
    let one = |(name, program): (String, Artifact)| {
        let certificate = certificate.filter(|_| name.ends_with(".efi"));
        Ok((name, SignedProgram::maybe(p, program, certificate)?))
    };
    files.into_iter().map(one).collect()
}

fn named<'f>(files: &'f IpxeFiles, name: &str) -> &'f Artifact {
    files.iter().find(|(n, _)| n == name).map(|(_, file)| file).expect("it is in the list")
}

const ISO: &str = "ipxe.iso";

/// iPXE for UEFI that somebody else signed, and what starts it.
pub(super) struct SignedByOthers<'a> {
    /// The shim, then iPXE.
    pub(super) programs: [Artifact; 2],
    /// The name under which the shim looks for iPXE.
    pub(super) loads: &'a str,
    /// What it runs, as `autoexec.ipxe` beside it.
    pub(super) script: Artifact,
    /// Whether the engine's programs carry the script in themselves.
    pub(super) is_embedded: bool,
    /// What `ipxe.iso` is made with.
    pub(super) tools: Tools,
}

impl SignedByOthers<'_> {
    /// Puts it in the place of what an engine made for UEFI; BIOS keeps the engine's.
    ///
    /// # Errors
    /// None of its own.
    pub(super) fn replace(self, p: &mut Planner, mut made: IpxeFiles) -> Result<IpxeFiles> {
        let [shim, program] = self.programs;
        made.retain(|(name, _)| name != ISO && !name.ends_with(".efi"));
        let files = [
            ("EFI/BOOT/BOOTX64.EFI".to_owned(), Arg::from(&shim)),
            (format!("EFI/BOOT/{}", self.loads), Arg::from(&program)),
            ("autoexec.ipxe".to_owned(), Arg::from(&self.script)),
        ];
        let efi = Some(p.ensure(&EfiImage::new(files))?);
        let lkrn = Arg::from(named(&made, "ipxe.lkrn"));
        let script = Some(self.script).filter(|_| !self.is_embedded);
        let iso = p.ensure(&IpxeIso { lkrn, script, efi, tools: self.tools })?;
        made.insert(0, (ISO.to_owned(), iso));
        made.extend([(SHIM.to_owned(), shim), (self.loads.to_owned(), program)]);
        Ok(made)
    }
}

/// The distribution's binaries, with their names in `dist/`.
const BINARIES: &[(&str, &str)] = &[
    (IPXE_LKRN, "ipxe.lkrn"),
    ("usr/lib/ipxe/undionly.kpxe", "undionly.kpxe"),
    (IPXE_EFI, "ipxe.efi"),
    ("usr/lib/ipxe/snponly.efi", "snponly.efi"),
];

/// The targets that `make` is asked for, with their names in `dist/`.
const TARGETS: &[(&str, &str)] = &[
    ("bin/ipxe.lkrn", "ipxe.lkrn"),
    ("bin/undionly.kpxe", "undionly.kpxe"),
    ("bin-x86_64-efi/ipxe.efi", "ipxe.efi"),
    ("bin-x86_64-efi/snponly.efi", "snponly.efi"),
];
/// Those of them that are packed, out of a `.bin` and by a `.zinfo` that make keeps when it is asked for them.
const PACKED: &[&str] = &["bin/ipxe.lkrn", "bin/undionly.kpxe"];
/// What packs them, in the source folder.
const ZBIN: &str = "util/zbin32";
/// Bytes that programs have for a script.
pub(crate) const PLACEHOLDER: usize = 8192;
/// Object files of all targets, about: what a progress bar counts to.
const OBJECTS: u64 = 1950;

/// The pinned commit's files, verified.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Checkout(IpxePin);

impl Stage for Checkout {
    type Out = Artifact;
    const NAME: &'static str = "ipxe-src";
    const FORMAT: u32 = 1;

    fn plan(&self, p: &mut Planner) -> Result<Artifact> {
        let pin = &self.0;
        let mut node = p.node::<Self>(format!("iPXE {} sources", pin.version));
        let to = node.out("ipxe");
        let mut args = vec![("commit", pin.commit.as_str().into()), ("to", to)];
        args.extend(pin.repositories.iter().map(|r| ("repository", Arg::Origin(r.clone()))));
        node.material(Material::Commit {
            name: "iPXE".to_owned(),
            version: pin.version.clone(),
            commit: pin.commit.clone(),
        });
        node.resource(Resource::Net).builtin("git-checkout", args);
        Ok(node.finish_one())
    }
}

/// The sources with our patches and our configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct IpxeTree {
    pin: IpxePin,
    patches: Vec<String>,
    config: Vec<String>,
}

impl Stage for IpxeTree {
    type Out = Artifact;
    const NAME: &'static str = "ipxe-tree";
    const FORMAT: u32 = 1;

    fn plan(&self, p: &mut Planner) -> Result<Artifact> {
        let sources = p.ensure(&Checkout(self.pin.clone()))?;
        let mut node = p.node::<Self>("iPXE patched and configured");
        let to = node.out("ipxe");
        node.copy(&sources, to.clone());
        for patch in &self.patches {
            node.material(Material::Patch { path: patch.clone() });
            node.builtin("git-apply", [("tree", to.clone()), ("patch", Arg::Src(patch.clone()))]);
        }
        for header in &self.config {
            let name = header.rsplit('/').next().unwrap_or(header);
            node.copy(
                Arg::Src(header.clone()),
                Arg::join([to.clone(), format!("/src/config/local/{name}").into()]),
            );
        }
        node.builtin("ipxe-config", [("tree", to)]);
        Ok(node.finish_one())
    }
}

/// What iPXE is compiled around.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ScriptSlot {
    /// Nothing yet: the objects that all scripts share.
    Placeholder,
    /// A script that is written over the placeholder, in well under a second.
    Patched(Script),
    /// A script that may be longer than the placeholder: make links it, in seconds.
    Linked(Script),
}

/// iPXE compiled from source around a script.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct IpxeFromSource {
    /// Which commit, from where.
    pub pin: IpxePin,
    /// Patches, in order, from the repository's root.
    pub patches: Vec<String>,
    /// Headers for `config/local`, from the repository's root.
    pub config: Vec<String>,
    /// What it is compiled around.
    pub around: ScriptSlot,
    /// Certificates that it trusts, from the repository's root; without any, those that iPXE brings.
    pub roots: Vec<String>,
    /// The certificate of the key that signs what UEFI starts, from the repository's root; `None` leaves it unsigned.
    pub certificate: Option<String>,
    /// What `ipxe.iso` is made with.
    pub tools: Tools,
}

impl Stage for IpxeFromSource {
    type Out = IpxeFiles;
    const NAME: &'static str = "ipxe";
    const FORMAT: u32 = 2;

    fn plan(&self, p: &mut Planner) -> Result<IpxeFiles> {
        let id = match &self.around {
            ScriptSlot::Placeholder => return self.compiled(p),
            ScriptSlot::Patched(script) => self.patched(p, script)?,
            ScriptSlot::Linked(script) => self.linked(p, script)?,
        };
        let made = TARGETS.iter().map(|(_, name)| ((*name).to_owned(), id.artifact(*name))).collect();
        let mut made = signed(p, made, self.certificate.as_ref())?;
        let program = Arg::from(named(&made, "ipxe.efi"));
        let efi = p.ensure(&EfiImage::new([("EFI/BOOT/BOOTX64.EFI", program)]))?;
        let lkrn = Arg::from(&id.artifact("ipxe.lkrn"));
        let iso = p.ensure(&IpxeIso { lkrn, script: None, efi: Some(efi), tools: self.tools.clone() })?;
        made.insert(0, (ISO.to_owned(), iso));
        Ok(made)
    }
}

impl IpxeFromSource {
    fn objects(&self, p: &mut Planner) -> Result<Artifact> {
        let shared =
            Self { around: ScriptSlot::Placeholder, roots: Vec::new(), certificate: None, ..self.clone() };
        Ok(p.ensure(&shared)?.swap_remove(0).1)
    }

    fn compiled(&self, p: &mut Planner) -> Result<IpxeFiles> {
        let tree =
            IpxeTree { pin: self.pin.clone(), patches: self.patches.clone(), config: self.config.clone() };
        let sources = p.ensure(&tree)?;
        let mut node = p.node::<Self>("iPXE compiled");
        let tree = node.out("ipxe");
        node.copy(&sources, tree.clone());
        let to = Arg::join([tree.clone(), "/src/embed.ipxe".into()]);
        node.builtin("ipxe-placeholder", [("length", PLACEHOLDER.to_string().into()), ("to", to)]);
        let parts = PACKED.iter().flat_map(|target| [format!("{target}.bin"), format!("{target}.zinfo")]);
        let make = self.make(&tree, "embed.ipxe", "compile iPXE").args(parts);
        node.run(make.progress("[BUILD]", OBJECTS));
        node.resource(Resource::AllCpus);
        Ok(vec![("ipxe".to_owned(), node.finish_one())])
    }

    /// Of the compiled tree, what a script is written into: a hundredth of it, so that it is soon read and compared.
    fn patched(&self, p: &mut Planner, script: &Script) -> Result<NodeId> {
        let objects = self.objects(p)?;
        let mut node = p.node::<Self>("iPXE's programs around a placeholder");
        let from = |path: &str| Arg::join([Arg::from(&objects), format!("/src/{path}").into()]);
        let mut copy = |path: &str, name: String| {
            let out = node.out(&name);
            node.copy(from(path), out);
            name
        };
        copy(ZBIN, "zbin".to_owned());
        let mut parts = Vec::new();
        for (target, name) in TARGETS {
            parts.push(match PACKED.contains(target) {
                true => {
                    (copy(&format!("{target}.bin"), format!("{name}.bin")), Some(format!("{name}.zinfo")))
                }
                false => (copy(target, (*name).to_owned()), None),
            });
            if let (_, Some(zinfo)) = &parts[parts.len() - 1] {
                copy(&format!("{target}.zinfo"), zinfo.clone());
            }
        }
        let programs = node.finish();
        let script = p.ensure(script)?;
        let mut node = p.node::<Self>("iPXE around the script");
        let part = |name: &str| Arg::from(&programs.artifact(name));
        let mut args = vec![("script", Arg::from(&script)), ("zbin", part("zbin"))];
        args.push(("length", PLACEHOLDER.to_string().into()));
        for ((_, name), (program, zinfo)) in TARGETS.iter().zip(&parts) {
            let zinfo = zinfo.as_deref().map_or_else(|| "".into(), part);
            args.extend([("name", (*name).into()), ("program", part(program)), ("zinfo", zinfo)]);
            args.push(("to", node.out(*name)));
        }
        node.builtin("ipxe-script", args);
        Ok(node.finish())
    }

    fn linked(&self, p: &mut Planner, script: &Script) -> Result<NodeId> {
        let objects = self.objects(p)?;
        let script = p.ensure(script)?;
        let mut node = p.node::<Self>("iPXE linked around the script");
        let tree = Arg::Work("ipxe".to_owned());
        let embed = Arg::join([tree.clone(), "/src/bootscript".into()]);
        node.copy(&objects, tree.clone()).copy(&script, embed);
        let mut make = self.make(&tree, "bootscript", "link iPXE around the script");
        if !self.roots.is_empty() {
            // TRUST is what it believes, by digest; CERT carries the certificates, which servers need not send.
            // make takes lists apart at commas, so the files get names of ours.
            let names: Vec<_> = (0..self.roots.len()).map(|i| format!("root{i}.crt")).collect();
            for (root, name) in self.roots.iter().zip(&names) {
                node.copy(Arg::Src(root.clone()), Arg::join([tree.clone(), format!("/src/{name}").into()]));
            }
            let list = names.join(",");
            make = make.arg(format!("TRUST={list}")).arg(format!("CERT={list}")).uses("openssl");
        }
        node.run(make);
        for (target, name) in TARGETS {
            let out = node.out(*name);
            node.copy(Arg::join([tree.clone(), format!("/src/{target}").into()]), out);
        }
        node.resource(Resource::AllCpus);
        Ok(node.finish())
    }

    /// `make` for all targets at once. The compiler's identity matters as much as make's; `HOST_CC` builds the
    /// tools that pack the binaries. make compares times and the name in EMBED: a script out of the store may be older
    /// than the objects, so another script needs another name.
    fn make(&self, tree: &Arg, script: &str, why: &str) -> CmdSpec {
        CmdSpec::new("make", why)
            .cwd(Arg::join([tree.clone(), "/src".into()]))
            .deadline(std::time::Duration::from_secs(45 * 60))
            .arg(Arg::Jobs)
            .args(TARGETS.iter().map(|(target, _)| *target))
            .arg(format!("EMBED={script}"))
            // A checksum of the objects otherwise, the script's among them: two scripts would differ in more than the script.
            .arg(format!("BUILD_ID_CMD=echo 0x{}", &self.pin.commit[..8]))
            // What each source depends on is of use to a compile of changed sources, which this never is: a quarter of the
            // time. The link around another script depends on what iPXE's Makefile names.
            .arg("AUTO_DEPS=")
            // Debug information names the folder of the compile, and the EFI build id is a checksum of the objects.
            // make fills in the folder, so that the text, and with it the key, is the same everywhere.
            // By -MD ccache learns what was read, without a second run of the preprocessor.
            .arg("EXTRA_CFLAGS=-ffile-prefix-map=$(CURDIR)=. -MD")
            .reuses("CC", "gcc")
            .arg(format!("GITVERSION={}", &self.pin.commit[..8]))
            .uses("gcc")
            .uses("ld")
            .uses("perl")
    }
}

/// The distribution's binaries with the script beside them, which they look for as `autoexec.ipxe`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Prebuilt {
    /// The script that they run.
    pub script: Script,
    /// iPXE's binaries out of the distribution's package.
    files: PackageFiles,
    /// The certificate of the key that signs what UEFI starts, from the repository's root; `None` leaves it unsigned.
    certificate: Option<String>,
    /// What `ipxe.iso` is made with.
    tools: Tools,
}

impl Prebuilt {
    /// The recorded package's, around `script`.
    ///
    /// # Errors
    /// When media.lock lacks the package.
    pub(crate) fn new(
        script: Script,
        pins: &Pins<'_>,
        certificate: Option<String>,
        tools: Tools,
    ) -> Result<Self> {
        let files = PackageFiles::new(pins, "ipxe", BINARIES)?;
        Ok(Self { script, files, certificate, tools })
    }
}

impl Stage for Prebuilt {
    type Out = IpxeFiles;
    const NAME: &'static str = "ipxe-package";
    const FORMAT: u32 = 2;

    fn plan(&self, p: &mut Planner) -> Result<IpxeFiles> {
        let script = p.ensure(&self.script)?;
        let binaries = p.ensure(&self.files)?;
        let names = BINARIES.iter().map(|(_, name)| (*name).to_owned());
        let mut made = signed(p, names.zip(binaries).collect(), self.certificate.as_ref())?;
        let (lkrn, efi) = (Arg::from(named(&made, "ipxe.lkrn")), Arg::from(named(&made, "ipxe.efi")));
        let files = [("EFI/BOOT/BOOTX64.EFI", efi), ("autoexec.ipxe", Arg::from(&script))];
        let efi = Some(p.ensure(&EfiImage::new(files))?);
        let iso = IpxeIso { lkrn, script: Some(script), efi, tools: self.tools.clone() };
        made.insert(0, (ISO.to_owned(), p.ensure(&iso)?));
        Ok(made)
    }
}
