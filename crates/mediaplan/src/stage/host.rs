//! What was observed of the build machine, as data that stages take as parameters.

use buildplan::Digest;

/// The facts a plan depends on, looked up before planning (`exec/observe.rs`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Host {
    /// Packages of the distribution, where one was asked for.
    pub packages: Option<Packages>,
    /// Whether the distribution's `ipxe.efi` reads `autoexec.ipxe` (2021 and later).
    pub ipxe_efi_reads_autoexec: bool,
}

/// The distribution's packages that the smoke system is made of, as its signed index names them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Packages {
    /// `debian`, `ubuntu`.
    pub distribution: String,
    /// Kernel image, and modules where they are a package of their own.
    pub kernel: Vec<Package>,
    /// Static BusyBox.
    pub busybox: Package,
    /// `mke2fs` and the libraries it is linked to.
    pub mke2fs: Vec<Package>,
}

/// One package at one version.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version, with epoch.
    pub version: String,
    /// The digest that the index gives.
    pub sha256: Digest,
    /// The length that the index gives, in bytes.
    pub size: u64,
}

impl Packages {
    /// The kernel package's version without what cannot stand in a file name.
    #[must_use]
    pub fn kernel_version(&self) -> String {
        let version = self.kernel.first().map_or("0", |p| p.version.as_str());
        let without_epoch = version.split_once(':').map_or(version, |(_, v)| v);
        without_epoch.replace(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-' | '~'), "_")
    }
}

impl Host {
    /// A made-up machine, for plans that are only looked at.
    #[must_use]
    pub fn sample() -> Self {
        let package = |name: &str, version: &str| Package {
            name: name.to_owned(),
            version: version.to_owned(),
            sha256: Digest::of(name.as_bytes()),
            size: 1,
        };
        Self {
            packages: Some(Packages {
                distribution: "debian".to_owned(),
                kernel: vec![package("linux-image-6.1.0-56-cloud-amd64", "6.1.192-2")],
                busybox: package("busybox-static", "1:1.35.0-4"),
                mke2fs: ["e2fsprogs", "libc6"].map(|n| package(n, "1")).into(),
            }),
            ipxe_efi_reads_autoexec: false,
        }
    }
}
