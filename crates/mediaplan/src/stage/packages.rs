//! Packages of the pinned distribution: downloaded by digest, unpacked with all they need into trees that other nodes
//! take files and programs from. Neither apt nor dpkg is asked, and what the build machine runs does not matter.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::{docker, hostconf, signed::SignedProgram};
use crate::config::{Distribution, KernelFlavour, Lock, LockedPackage, Media, Profile, SecureBoot};
use buildplan::{Arg, Artifact, Digest, FetchSource, FetchSpec, Material, Planner, Stage, purl};
use failure::{Failure, Kind};

/// What every profile's images are made with and of.
const TOOLS: &[&str] = &["grub-common", "grub-efi-amd64-bin", "ipxe", "isolinux", "syslinux-common"];
/// What UEFI starts where the distribution signs it.
const SIGNED: &[&str] = &["grub-efi-amd64-signed", "shim-signed"];
/// The distribution's GRUB for CDs: it reads `/boot/grub/grub.cfg` of what it was started from, and is a seventh smaller
/// than the one for disks, `grubx64.efi.signed`.
const SIGNED_GRUB: &str = "usr/lib/grub/x86_64-efi-signed/gcdx64.efi.signed";
const SHIM: &str = "usr/lib/shim/shimx64.efi.signed";
/// What the smoke system is made of, besides its kernel.
pub(super) const SMOKE: &[&str] = &["busybox-static", "e2fsprogs"];

/// Where Debian 13 and Ubuntu 26.04 have iPXE, and where older releases do.
pub(super) const IPXE_EFI: &str = "usr/lib/ipxe/ipxe-amd64.efi | boot/ipxe.efi";
pub(super) const IPXE_LKRN: &str = "boot/ipxe.lkrn | usr/lib/ipxe/ipxe.lkrn";

/// Files that land in media as they are, by package; of names with a `|` between them the first that the package has.
/// Their digests are recorded, so that media can be compared with media.lock without a download.
pub const PICKED: &[(&str, &[&str])] = &[
    ("grub-efi-amd64-signed", &[SIGNED_GRUB]),
    ("ipxe", &[IPXE_EFI, IPXE_LKRN, "usr/lib/ipxe/snponly.efi", "usr/lib/ipxe/undionly.kpxe"]),
    ("isolinux", &["usr/lib/ISOLINUX/isohdpfx.bin", "usr/lib/ISOLINUX/isolinux.bin"]),
    ("shim-signed", &[SHIM]),
    ("syslinux-common", &["usr/lib/syslinux/modules/bios/ldlinux.c32"]),
];

/// Packages that are taken without what they need: files of theirs are read, and no program of theirs runs.
const ALONE: &[&str] = &[hostconf::GCC, hostconf::LIBC];

/// Whether nothing comes along with a wanted package.
#[must_use]
pub fn alone(wanted: &str) -> bool {
    ALONE.contains(&wanted)
}

/// The packages that `media` and the tools need, without those that these need in turn: what `fetch --update` resolves.
/// Of names with a `|` between them the first that the release has is meant (`docs/distributions.md`), and with a `*` in
/// it the one with the highest number there.
#[must_use]
pub fn wanted(media: &Media, secure_boot: SecureBoot) -> BTreeSet<&'static str> {
    let system = match media {
        Media::Distribution { kernel } => [SMOKE, &[kernel_package(*kernel)]].concat(),
        Media::Docker { .. } => {
            let kernel = kernel_package(KernelFlavour::Generic);
            [docker::PACKAGES, docker::TOOLS, &[hostconf::GCC, hostconf::LIBC, kernel]].concat()
        }
        Media::Iso { .. } | Media::Files { .. } => Vec::new(),
    };
    let signed = if secure_boot == SecureBoot::Off { &[] } else { SIGNED };
    TOOLS.iter().chain(signed).copied().chain(system).collect()
}

/// What media of any kind want, whatever media.toml asks for.
#[must_use]
pub fn all_wanted() -> BTreeSet<&'static str> {
    let docker = Media::Docker { compress: Default::default(), containers: Vec::new() };
    let kernels = [KernelFlavour::Cloud, KernelFlavour::Generic];
    let media = kernels.map(|kernel| Media::Distribution { kernel }).into_iter().chain([docker]);
    media.flat_map(|media| wanted(&media, SecureBoot::Distribution)).collect()
}

/// The package that stands for the newest kernel: Debian's name, Ubuntu's name.
pub(super) fn kernel_package(flavour: KernelFlavour) -> &'static str {
    match flavour {
        KernelFlavour::Cloud => "linux-image-cloud-amd64 | linux-image-virtual",
        KernelFlavour::Generic => "linux-image-amd64 | linux-image-generic",
    }
}

/// The recorded packages and where they are had.
#[derive(Clone, Debug)]
pub struct Pins<'a> {
    /// Whose packages they are.
    pub distribution: &'a Distribution,
    /// What is recorded, by name.
    pub packages: &'a BTreeMap<String, LockedPackage>,
    /// `--artifacts`, absolute: a folder that is searched before the network is.
    pub artifacts: Option<String>,
}

impl<'a> Pins<'a> {
    /// The packages of a lock.
    #[must_use]
    pub fn new(distribution: &'a Distribution, lock: &'a Lock) -> Self {
        Self { distribution, packages: &lock.packages, artifacts: None }
    }

    /// The record of one package.
    ///
    /// # Errors
    /// [`Kind::Config`] when media.lock has none.
    pub(crate) fn package(&self, name: &str) -> Result<&'a LockedPackage> {
        self.named(name).map(|(_, package)| package)
    }

    /// The first recorded package that one of [`wanted`]'s names stands for.
    ///
    /// # Errors
    /// [`Kind::Config`] when media.lock has none.
    pub(crate) fn named(&self, wanted: &str) -> Result<(&'a str, &'a LockedPackage)> {
        let of = |name: &str| match name.contains('*') {
            true => self.packages.iter().find(|(known, _)| number_in(name, known).is_some()),
            false => self.packages.get_key_value(name),
        };
        let found = wanted.split('|').find_map(|name| of(name.trim()));
        found.map(|(name, package)| (name.as_str(), package)).ok_or_else(|| unrecorded(wanted))
    }

    /// `packages` and all that they need, as one folder called `name`.
    ///
    /// # Errors
    /// [`Kind::Config`] when media.lock lacks one.
    pub(crate) fn tree<'n>(
        &self,
        name: &'static str,
        packages: impl IntoIterator<Item = &'n str>,
    ) -> Result<PackageTree> {
        let mut names: BTreeSet<&str> = BTreeSet::new();
        let mut todo: Vec<&str> = packages.into_iter().collect();
        while let Some(next) = todo.pop() {
            let (next, package) = self.named(next)?;
            if names.insert(next) {
                todo.extend(package.needs.iter().map(String::as_str));
            }
        }
        self.files(name, names)
    }

    /// `packages` and nothing that they need, for files that no program of theirs reads, as one folder called `name`.
    ///
    /// # Errors
    /// [`Kind::Config`] when media.lock lacks one.
    pub(crate) fn files<'n>(
        &self,
        name: &'static str,
        packages: impl IntoIterator<Item = &'n str>,
    ) -> Result<PackageTree> {
        let deb = |wanted| self.named(wanted).and_then(|(name, package)| self.deb(name, package));
        let mut debs = packages.into_iter().map(deb).collect::<Result<Vec<_>>>()?;
        debs.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(PackageTree { name, debs })
    }

    fn deb(&self, name: &str, package: &LockedPackage) -> Result<Deb> {
        let Some(archive) = self.distribution.archives.get(&package.archive) else {
            let message = format!(
                "package {name} is from the archive `{}`, which media.toml does not have",
                package.archive
            );
            return Err(Failure::new(Kind::Config, message)
                .help("record today's packages with `cargo xtask fetch --update`")
                .into());
        };
        let file = package.path.rsplit('/').next().unwrap_or(&package.path);
        Ok(Deb {
            name: name.to_owned(),
            version: package.version.clone(),
            sha256: package.sha256,
            size: package.size,
            purl: purl::deb(&self.distribution.id, name, &package.version),
            file: self.artifacts.as_ref().map(|dir| format!("{dir}/{file}")),
            urls: archive.addresses(&package.path, &package.snapshot),
        })
    }
}

fn unrecorded(package: &str) -> anyhow::Error {
    Failure::new(Kind::Config, format!("media.lock has no package `{package}`"))
        .help("record today's packages with `cargo xtask fetch --update`")
        .into()
}

/// The number that stands in `name` for the `*` of `pattern`.
#[must_use]
pub fn number_in<'n>(pattern: &str, name: &'n str) -> Option<&'n str> {
    let (before, after) = pattern.split_once('*')?;
    let number = name.strip_prefix(before)?.strip_suffix(after)?;
    (!number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())).then_some(number)
}

/// One package, downloaded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Deb {
    name: String,
    version: String,
    sha256: Digest,
    size: u64,
    purl: String,
    file: Option<String>,
    urls: Vec<String>,
}

impl Stage for Deb {
    type Out = Artifact;
    const NAME: &'static str = "deb";
    const FORMAT: u32 = 2;

    fn plan(&self, p: &mut Planner) -> Result<Artifact> {
        let mut node = p.node::<Self>(format!("package {} {}", self.name, self.version));
        let to = node.out(format!("{}.deb", self.name));
        let file = self.file.iter().cloned().map(FetchSource::File);
        let fetch = FetchSpec {
            to,
            sources: file.chain(self.urls.iter().cloned().map(FetchSource::Url)).collect(),
            sha256: self.sha256,
            size: Some(self.size),
            limit: self.size,
            purl: Some(self.purl.clone()),
        };
        node.material(Material::Package {
            name: self.name.clone(),
            version: self.version.clone(),
            purl: self.purl.clone(),
            sha256: self.sha256,
            url: fetch.public_url().map(str::to_owned),
        });
        node.fetch(fetch);
        Ok(node.finish_one())
    }
}

/// Packages unpacked into one folder, laid out as the installed system has it: programs in `usr/bin` and `usr/sbin`,
/// libraries in `usr/lib/x86_64-linux-gnu`, and `bin`, `lib` and so on as links. Scripts of packages do not run, and
/// modes are 755 or 644.
///
/// A program of it runs on any x86-64 Linux: [`buildplan::CmdSpec::in_tree`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PackageTree {
    name: &'static str,
    debs: Vec<Deb>,
}

impl Stage for PackageTree {
    type Out = Artifact;
    const NAME: &'static str = "tree";
    const FORMAT: u32 = 1;

    fn plan(&self, p: &mut Planner) -> Result<Artifact> {
        let debs: Result<Vec<_>> = self.debs.iter().map(|d| p.ensure(d)).collect();
        let mut node = p.node::<Self>(format!("packages of {}", self.name));
        let mut args = vec![("to", node.out(self.name))];
        args.extend(debs?.iter().map(|deb| ("package", Arg::from(deb))));
        node.builtin("unpack", args);
        Ok(node.finish_one())
    }
}

/// `path` of an unpacked tree.
#[must_use]
pub(crate) fn in_tree(tree: &Artifact, path: &str) -> Arg {
    Arg::join([Arg::from(tree), format!("/{path}").into()])
}

/// What images start with under BIOS: loaders of the distribution.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tools {
    /// `isolinux.bin`.
    pub isolinux: Artifact,
    /// `ldlinux.c32`, which isolinux loads.
    pub ldlinux: Artifact,
    /// `isohdpfx.bin`: the code of the first sector, which starts isolinux from a stick.
    pub mbr: Artifact,
}

impl Tools {
    /// Plans them.
    ///
    /// # Errors
    /// [`Kind::Config`] when media.lock lacks a package.
    pub(crate) fn plan(p: &mut Planner, pins: &Pins<'_>) -> Result<Self> {
        let isolinux = PackageFiles::new(
            pins,
            "isolinux",
            &[
                ("usr/lib/ISOLINUX/isolinux.bin", "isolinux.bin"),
                ("usr/lib/ISOLINUX/isohdpfx.bin", "isohdpfx.bin"),
            ],
        )?;
        let syslinux = [("usr/lib/syslinux/modules/bios/ldlinux.c32", "ldlinux.c32")];
        let syslinux = PackageFiles::new(pins, "syslinux-common", &syslinux)?;
        let [isolinux, mbr] = p.ensure(&isolinux)?.try_into().expect("two files are asked for");
        let [ldlinux] = p.ensure(&syslinux)?.try_into().expect("one file is asked for");
        Ok(Self { isolinux, ldlinux, mbr })
    }
}

/// What UEFI starts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Uefi {
    /// A GRUB that is made for the image.
    Own {
        /// A tree with `usr/bin/grub-mkimage`.
        tree: Artifact,
        /// A tree with GRUB's modules.
        modules: Artifact,
    },
    /// The distribution's signed programs; a person's key may have signed them as well.
    Distribution {
        /// What firmware checks: signed by Microsoft.
        shim: Artifact,
        /// What shim checks: signed by the distribution.
        grub: Artifact,
    },
}

impl Uefi {
    /// Plans it.
    ///
    /// # Errors
    /// [`Kind::Config`] when media.lock lacks a package.
    pub(crate) fn plan(p: &mut Planner, pins: &Pins<'_>, profile: &Profile) -> Result<Self> {
        let mut one = |package, path, name| -> Result<Artifact> {
            let mut files = p.ensure(&PackageFiles::new(pins, package, &[(path, name)])?)?;
            let program = files.pop().expect("one file is asked for");
            SignedProgram::maybe(p, program, profile.certificate.as_ref())
        };
        Ok(match profile.secure_boot {
            SecureBoot::Distribution | SecureBoot::OwnKey => Self::Distribution {
                shim: one("shim-signed", SHIM, "shimx64.efi")?,
                grub: one("grub-efi-amd64-signed", SIGNED_GRUB, "grubx64.efi")?,
            },
            SecureBoot::Off => Self::Own {
                tree: p.ensure(&pins.tree("grub", ["grub-common"])?)?,
                modules: p.ensure(&pins.files("grub-modules", ["grub-efi-amd64-bin"])?)?,
            },
        })
    }
}

/// Single files of a package, each compared with its record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PackageFiles {
    tree: PackageTree,
    /// Path in the tree, name as an output, digest.
    files: Vec<(String, &'static str, Digest)>,
}

impl PackageFiles {
    /// `files` of `package`: path in it, name as an output.
    pub(super) fn new(
        pins: &Pins<'_>,
        package: &'static str,
        files: &[(&'static str, &'static str)],
    ) -> Result<Self> {
        let known = &pins.package(package)?.files;
        let file = |(path, name): &(&'static str, &'static str)| {
            let recorded = path.split('|').find_map(|path| known.get_key_value(path.trim()));
            let (path, digest) = recorded.ok_or_else(|| {
                Failure::new(Kind::Config, format!("media.lock has no digest of {path} in package {package}"))
                    .help("record today's packages with `cargo xtask fetch --update`")
            })?;
            Ok((path.clone(), *name, *digest))
        };
        let files = files.iter().map(file).collect::<Result<_>>()?;
        Ok(Self { tree: pins.files(package, [package])?, files })
    }
}

impl Stage for PackageFiles {
    type Out = Vec<Artifact>;
    const NAME: &'static str = "files";
    const FORMAT: u32 = 1;

    fn plan(&self, p: &mut Planner) -> Result<Self::Out> {
        let tree = p.ensure(&self.tree)?;
        let mut node = p.node::<Self>(format!("files of {}", self.tree.name));
        node.derived();
        for (path, name, sha256) in &self.files {
            let to = node.out(*name);
            node.material(Material::PackageFile {
                package: self.tree.name.to_owned(),
                path: (*path).to_owned(),
                output: (*name).to_owned(),
                sha256: *sha256,
            });
            node.builtin(
                "pick",
                [("file", in_tree(&tree, path)), ("sha256", sha256.to_string().into()), ("to", to)],
            );
        }
        let id = node.finish();
        Ok(self.files.iter().map(|(_, name, _)| id.artifact(*name)).collect())
    }
}

/// A made-up lock in which each wanted package has a version of its own and needs nothing, for plans that are only
/// looked at.
#[must_use]
pub fn sample(distribution: &Distribution) -> BTreeMap<String, LockedPackage> {
    let archive = distribution.archives.keys().next().cloned().unwrap_or_default();
    let package = |name: &str| LockedPackage {
        version: if name.starts_with("linux-image-") { "6.12.118-1" } else { "1:1.0-1" }.to_owned(),
        sha256: Digest::of(name.as_bytes()),
        size: 1,
        archive: archive.clone(),
        path: format!("pool/{name}.deb"),
        snapshot: "20261128T000000Z".to_owned(),
        needs: Vec::new(),
        files: PICKED
            .iter()
            .filter(|(package, _)| *package == name)
            .flat_map(|(_, files)| files.iter())
            .map(|file| file.split(" |").next().unwrap_or(file))
            .map(|file| (file.to_owned(), Digest::of(file.as_bytes())))
            .collect(),
    };
    let first = |name: &'static str| name.split('|').next().unwrap_or(name).trim().replace('*', "14");
    all_wanted().into_iter().map(first).map(|name| (name.clone(), package(&name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Archive;

    fn pins_of(needs: &[(&str, &[&str])]) -> (Distribution, BTreeMap<String, LockedPackage>) {
        let archive = Archive {
            suites: vec!["trixie".to_owned()],
            components: vec!["main".to_owned()],
            mirrors: vec!["http://m".to_owned()],
        };
        let distribution = Distribution {
            id: "debian".to_owned(),
            release: "13".to_owned(),
            keys: Vec::new(),
            keyring: String::new(),
            archives: BTreeMap::from([("debian".to_owned(), archive)]),
        };
        let mut one = sample(&distribution)["isolinux"].clone();
        let mut package = |needs: &[&str]| {
            one.needs = needs.iter().map(ToString::to_string).collect();
            one.clone()
        };
        let packages = needs.iter().map(|(name, needs)| ((*name).to_owned(), package(needs))).collect();
        (distribution, packages)
    }

    #[test]
    fn a_tree_holds_what_its_packages_need_once_and_in_order() {
        let (distribution, packages) =
            pins_of(&[("a", &["lib", "b"]), ("b", &["a", "lib"]), ("lib", &[]), ("other", &[])]);
        let pins = Pins { distribution: &distribution, packages: &packages, artifacts: None };
        let tree = pins.tree("t", ["b"]).unwrap();
        assert_eq!(tree.debs.iter().map(|d| d.name.as_str()).collect::<Vec<_>>(), ["a", "b", "lib"]);
    }

    #[test]
    fn what_is_not_recorded_is_an_error_with_the_next_step() {
        let (distribution, packages) = pins_of(&[("a", &["lib"])]);
        let pins = Pins { distribution: &distribution, packages: &packages, artifacts: None };
        let error = pins.tree("t", ["a"]).unwrap_err();
        assert_eq!(error.to_string(), "media.lock has no package `lib`");
        assert!(failure::helps_of(&error)[0].contains("fetch --update"));
    }

    #[test]
    fn a_star_stands_for_a_number_alone() {
        assert_eq!(number_in("libgcc-*-dev", "libgcc-14-dev"), Some("14"));
        for other in ["libgcc--dev", "libgcc-s-dev", "libgcc-14-dev-x", "lib"] {
            assert_eq!(number_in("libgcc-*-dev", other), None, "{other}");
        }
        let (distribution, packages) = pins_of(&[("libgcc-14-dev", &[])]);
        let pins = Pins { distribution: &distribution, packages: &packages, artifacts: None };
        assert_eq!(pins.named("libgcc-*-dev").unwrap().0, "libgcc-14-dev");
        let error = pins.named("libx-*-dev").unwrap_err();
        assert_eq!(error.to_string(), "media.lock has no package `libx-*-dev`");
    }

    #[test]
    fn of_names_of_several_releases_the_first_recorded_one_is_meant() {
        let (distribution, packages) = pins_of(&[("linux-image-virtual", &["lib"]), ("lib", &[])]);
        let pins = Pins { distribution: &distribution, packages: &packages, artifacts: None };
        let tree = pins.tree("t", ["linux-image-cloud-amd64 | linux-image-virtual"]).unwrap();
        assert_eq!(
            tree.debs.iter().map(|d| d.name.as_str()).collect::<Vec<_>>(),
            ["lib", "linux-image-virtual"]
        );
    }

    #[test]
    fn a_package_is_looked_for_in_the_given_folder_first() {
        let (distribution, packages) = pins_of(&[("a", &[])]);
        let pins =
            Pins { distribution: &distribution, packages: &packages, artifacts: Some("/given".to_owned()) };
        let tree = pins.tree("t", ["a"]).unwrap();
        assert_eq!(tree.debs[0].file.as_deref(), Some("/given/isolinux.deb"));
        assert_eq!(tree.debs[0].urls, ["http://m/pool/isolinux.deb"]);
    }
}
