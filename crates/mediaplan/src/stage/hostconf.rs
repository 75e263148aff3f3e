//! The Docker system's configuration program: compiled here, since it is the checker's own code, and linked with the
//! pinned distribution's C library by the linker that comes with rustc. So rustc alone decides its bytes: neither the
//! machine's libc nor its linker is in them.

use std::time::Duration;

use anyhow::Result;

use super::{
    crates::PinnedCrate,
    packages::{PackageTree, in_tree},
};
use buildplan::{Arg, Artifact, CmdSpec, Material, Planner, RustFolder, Stage};

/// What it is linked with: the C library, and the newest of the packages that have GCC's own.
pub(super) const LIBC: &str = "libc6-dev";
pub(super) const GCC: &str = "libgcc-*-dev";

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The program that turns a configuration into files, linked statically.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct HostConf {
    pub(super) sources: Vec<String>,
    pub(super) crates: Vec<PinnedCrate>,
    pub(super) libc: PackageTree,
    pub(super) gcc: String,
}

/// The program, and the licences of what is in it.
#[derive(Clone, Debug)]
pub(super) struct Compiled {
    pub(super) program: Artifact,
    pub(super) licences: Artifact,
}

impl Stage for HostConf {
    type Out = Compiled;
    const NAME: &'static str = "hostconf";
    const FORMAT: u32 = 2;

    fn plan(&self, p: &mut Planner) -> Result<Compiled> {
        let libc = p.ensure(&self.libc)?;
        let mut node = p.node::<Self>("the Docker system's configuration program");
        let (to, licences) = (node.out("hostconf"), node.out("copyright"));
        for PinnedCrate { name, version, sha256 } in &self.crates {
            let (name, version) = (name.clone(), version.clone());
            node.material(Material::Crate { name, version, sha256: *sha256 });
        }
        let work = |path: &str| Arg::Work(path.to_owned());
        for source in &self.sources {
            node.copy(Arg::Src(source.clone()), work(&format!("source/{source}")));
        }
        // A workspace of these crates alone, so that an edit elsewhere does not build it again.
        node.builtin(
            "guest-workspace",
            [("manifest", Arg::Src("Cargo.toml".to_owned())), ("to", work("source/Cargo.toml"))],
        );
        node.run(
            CmdSpec::new("cargo", "build the configuration program")
                .args(["rustc", "--quiet", "--package", "hostconf", "--bin", "hostconf"])
                .args(["--profile", "guest", "--target", TARGET, "--target-dir"])
                .arg(work("target"))
                .arg("--")
                .args(self.linking(&libc))
                .env("CARGO_ENCODED_RUSTFLAGS", flags())
                .cwd(work("source"))
                .deadline(Duration::from_secs(1200))
                .uses("rustc"),
        );
        node.copy(work(&format!("target/{TARGET}/guest/hostconf")), to);
        node.builtin("crate-licences", self.licences(licences));
        let id = node.finish();
        Ok(Compiled { program: id.artifact("hostconf"), licences: id.artifact("copyright") })
    }
}

impl HostConf {
    /// Where the compiler just read the crates' sources, and which they are.
    fn licences(&self, to: Arg) -> Vec<(&'static str, Arg)> {
        let mut args = vec![("cargo", Arg::Rust(RustFolder::Crates)), ("to", to)];
        args.extend(self.crates.iter().map(|c| ("crate", format!("{}-{}", c.name, c.version).into())));
        args.extend(["LICENSE-MIT", "LICENSE-APACHE"].map(|file| ("own", Arg::Src(file.to_owned()))));
        args
    }

    /// How the program is linked, in words for LLD. With GCC as the linker's driver these would be its own choice, and
    /// of the machine.
    fn linking(&self, libc: &Artifact) -> Vec<Arg> {
        let library = "usr/lib/x86_64-linux-gnu";
        let gcc = format!("usr/lib/gcc/x86_64-linux-gnu/{}", self.gcc);
        let option = |option: &str, path: &str| Arg::join([Arg::from(option), in_tree(libc, path)]);
        let mut words = vec![Arg::from("-Clinker=rust-lld"), "-Clinker-flavor=ld.lld".into()];
        words.extend([library, &gcc].map(|folder| option("-Lnative=", folder)));
        // `libm.a` is a script that names its parts by absolute paths: they are looked for in here.
        words.push(Arg::join([Arg::from("-Clink-arg=--sysroot="), Arg::from(libc)]));
        for start in ["rcrt1.o", "crti.o"] {
            words.push(option("-Clink-arg=", &format!("{library}/{start}")));
        }
        for frame in ["crtbeginS.o", "crtendS.o"] {
            words.push(option("-Clink-arg=", &format!("{gcc}/{frame}")));
        }
        // It closes the section that crti.o opens.
        words.push(option("-Clink-arg=", &format!("{library}/crtn.o")));
        words
    }
}

/// Flags for every crate. Cargo wants 0x1f between them, so a folder may have a blank in its name.
fn flags() -> Arg {
    Arg::join([
        Arg::from("-Ctarget-feature=+crt-static"),
        "\x1f--remap-path-prefix=".into(),
        Arg::Rust(RustFolder::Crates),
        "=/cargo".into(),
        "\x1f--remap-path-prefix=".into(),
        Arg::Rust(RustFolder::Library),
        "=".into(),
        Arg::Rust(RustFolder::LibraryName),
    ])
}
