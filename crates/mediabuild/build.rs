//! Lists the sources that builtins are made of, for their keys: a constant a module.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// Constants, and the files or folders that each stands for, from the repository's root.
const CODE: &[(&str, &[&str])] = &[
    ("DOCKER", &["crates/mediabuild/src/builtin/docker"]),
    ("EXTRACT", &["crates/mediabuild/src/builtin/extract.rs"]),
    ("FAT", &["crates/mediabuild/src/builtin/fat.rs"]),
    ("GIT", &["crates/mediabuild/src/builtin/git.rs"]),
    ("INITRD", &["crates/mediabuild/src/builtin/initrd.rs"]),
    ("IPXE", &["crates/mediabuild/src/builtin/ipxe.rs"]),
    (
        "ISO",
        &[
            "crates/mediabuild/src/builtin/iso.rs",
            "crates/mediabuild/src/builtin/iso_file.rs",
            "crates/buildexec/src/tree.rs",
            "crates/buildplan/src/digest.rs",
        ],
    ),
    ("KERNEL", &["crates/mediabuild/src/builtin/kernel.rs"]),
    ("EMBED", &["crates/mediabuild/src/builtin/embed.rs"]),
    ("MEASURE", &["crates/mediabuild/src/builtin/measure.rs", "crates/secureboot/src"]),
    (
        "SIGN",
        &[
            "crates/mediabuild/src/builtin/sign.rs",
            "crates/secureboot/src/certificate.rs",
            "crates/secureboot/src/lib.rs",
            "crates/secureboot/src/program.rs",
            "crates/secureboot/src/sign.rs",
            "crates/secureboot/src/variables.rs",
        ],
    ),
    ("TEMPLATE", &["crates/mediabuild/src/builtin/template.rs"]),
    ("TREE", &["crates/buildexec/src/tree.rs"]),
    ("UNPACK", &["crates/mediabuild/src/builtin/unpack.rs"]),
    ("BOOTISO", &["crates/bootiso/src", "crates/bootparams/src"]),
];

#[expect(clippy::disallowed_methods, clippy::disallowed_macros, reason = "this is how a build script speaks")]
fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("two folders down");
    let mut text = String::new();
    for (name, paths) in CODE {
        let mut files = Vec::new();
        for path in paths.iter().map(|p| root.join(p)) {
            println!("cargo::rerun-if-changed={}", path.display());
            list(&path, &mut files);
        }
        files.sort();
        text += &format!("pub(crate) const {name}: &[buildexec::action::SourceFile] = &[\n");
        for file in files {
            let shown = file.strip_prefix(root).expect("it is below").to_str().expect("our names are UTF-8");
            text += &format!("    ({:?}, include_bytes!({file:?})),\n", shown.replace('\\', "/"));
        }
        text += "];\n";
    }
    let out = env::var("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join("code.rs"), text).expect("cargo's folder can be written");
}

fn list(path: &Path, files: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("a folder of ours") {
            list(&entry.expect("a folder of ours").path(), files);
        }
    } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
        files.push(path.to_owned());
    }
}
