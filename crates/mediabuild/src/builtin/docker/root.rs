//! The root of the Docker system: programs with their libraries, modules, our files, and the licences of all of it.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use buildexec::{action::Call, tree};
use camino::{Utf8Path, Utf8PathBuf};
use failure::{Failure, Kind};

use super::{
    exports::without_exports, libraries::Libraries, modules::KernelModules, positions::without_positions,
};

/// Folders that are there before anything is mounted.
const FOLDERS: &[&str] = &[
    "dev",
    "etc",
    "home",
    "mnt",
    "opt",
    "proc",
    "root",
    "run",
    "state",
    "sys",
    "tmp",
    "usr/bin",
    "usr/lib",
    "usr/lib64",
    "usr/local/bin",
    "usr/sbin",
    "var/lib/openntpd/db",
    "var/lib/openntpd/run",
    "var/log",
];

/// What is said of changed programs.
const REDUCED: &str = "These programs differ from those of their packages, whose code and addresses they have.\n\
    exports: the names of their functions, by which a plug-in written in Go would look them up, are taken out of their \
    dynamic symbols.\n\
    positions: stack traces say the function and the offset in it, and `?:0` for file and line, which the same offset \
    has in the package's program.\n";

/// `kernel` and `packages` (unpacked), `configuration` and its `licences`, `program` (several), `modules` (several), `loaded` (modules
/// that are left out), `link` and `target`, `place` and `file` (pairs, several), `to`.
///
/// # Errors
/// [`Kind::Input`] when a package lacks something, by its name.
pub(in super::super) fn root(call: &Call<'_>) -> Result<()> {
    let to = call.path("to")?;
    for folder in FOLDERS {
        fs_err::create_dir_all(to.join(folder))?;
    }
    for folder in ["bin", "lib", "lib64", "sbin"] {
        tree::link(Utf8Path::new("usr").join(folder).as_std_path(), &to.join(folder))?;
    }
    let packages = call.path("packages")?;
    programs(call, packages, to)?;
    modules(&KernelModules::new(call.path("kernel")?)?, call, to)?;
    certificates(packages, to)?;
    for tree in [packages, call.path("kernel")?] {
        licences(tree, to)?;
    }
    put(&packages.join("etc/mke2fs.conf"), &to.join("etc/mke2fs.conf"), false)?;
    put(call.path("configuration")?, &to.join("usr/sbin/hostconf"), true)?;
    put(call.path("licences")?, &to.join("usr/share/doc/hostconf/copyright"), false)?;
    for (place, file) in call.all("place").zip(call.all("file")) {
        // Not the mode in the checkout, which is not part of the key.
        let script = fs_err::read(file)?.starts_with(b"#!");
        put(Utf8Path::new(file), &to.join(place), script)?;
    }
    for (link, target) in call.all("link").zip(call.all("target")) {
        tree::link(std::path::Path::new(target), &to.join(link))?;
    }
    open_folders(to)
}

fn programs(call: &Call<'_>, packages: &Utf8Path, to: &Utf8Path) -> Result<()> {
    let mut files: Vec<Utf8PathBuf> = call.all("program").map(Utf8PathBuf::from).collect();
    let plugins = Utf8Path::new("usr/lib/x86_64-linux-gnu/xtables");
    let lacks = |what: &Utf8Path| Failure::new(Kind::Input, format!("no package has {what}"));
    for entry in packages.join(plugins).read_dir_utf8().map_err(|e| lacks(plugins).source(e))? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files.push(plugins.join(entry.file_name()));
        } else {
            tree::link(&fs_err::read_link(entry.path())?, &made(&to.join(plugins).join(entry.file_name()))?)?;
        }
    }
    for file in &files {
        let from = packages.join(file);
        if !from.is_file() {
            return Err(lacks(file).into());
        }
        put(&from, &to.join(file), true)?;
    }
    let libraries = Libraries::new(packages)?;
    let closure = libraries.closure(&files)?;
    reduce(&files, packages, &libraries.symbols(closure.values())?, to)?;
    for (name, path) in closure {
        let folder = if name.starts_with("ld-") { "usr/lib64" } else { "usr/lib/x86_64-linux-gnu" };
        put(&packages.join(path), &to.join(folder).join(name), true)?;
    }
    Ok(())
}

/// Takes out of Go programs what nothing in the system reads, and says so beside the licences.
fn reduce(
    files: &[Utf8PathBuf],
    packages: &Utf8Path,
    known: &BTreeSet<Vec<u8>>,
    to: &Utf8Path,
) -> Result<()> {
    let mut text = REDUCED.to_owned();
    for file in files {
        let mut program = fs_err::read(packages.join(file))?;
        let mut changes = Vec::new();
        let fewer = without_exports(&program, known).with_context(|| format!("cannot read {file}"))?;
        if let Some(fewer) = fewer {
            program = fewer;
            changes.push("exports");
        }
        if let Some(fewer) = without_positions(&program) {
            program = fewer;
            changes.push("positions");
        }
        if !changes.is_empty() {
            fs_err::write(to.join(file), program)?;
            text += &format!("/{file}: {}\n", changes.join(", "));
        }
    }
    fs_err::write(made(&to.join("usr/share/doc/changed-programs"))?, text)?;
    Ok(())
}

fn modules(kernel: &KernelModules, call: &Call<'_>, to: &Utf8Path) -> Result<()> {
    let chosen = kernel.choose(call.all("modules"))?;
    let folder = to.join("usr/lib/modules").join(kernel.version());
    let loaded: Vec<&str> = call.all("loaded").collect();
    for (_, module) in chosen.modules.iter().filter(|(name, _)| !loaded.contains(&name.as_str())) {
        fs_err::write(made(&folder.join(&module.path))?, &module.bytes)?;
    }
    fs_err::write(folder.join("modules.dep"), chosen.dependencies())?;
    fs_err::write(folder.join("modules.alias"), chosen.aliases())?;
    fs_err::write(folder.join("modules.builtin"), kernel.list("modules.builtin")?)?;
    Ok(())
}

/// Mozilla's authorities as one file, in the order of their names.
fn certificates(packages: &Utf8Path, to: &Utf8Path) -> Result<()> {
    let folder = packages.join("usr/share/ca-certificates/mozilla");
    let mut bundle = Vec::new();
    for file in tree::files(&folder).with_context(|| format!("no package has {folder}"))? {
        bundle.extend(fs_err::read(folder.join(file))?);
    }
    fs_err::write(made(&to.join("etc/ssl/certs/ca-certificates.crt"))?, bundle)?;
    Ok(())
}

fn licences(packages: &Utf8Path, to: &Utf8Path) -> Result<()> {
    let folder = Utf8Path::new("usr/share/doc");
    for file in tree::files(&packages.join(folder))?.iter().filter(|f| f.file_name() == Some("copyright")) {
        let from = packages.join(folder).join(file);
        // A link to the text of another package.
        if from.is_file() {
            put(&from, &to.join(folder).join(file), false)?;
        }
    }
    Ok(())
}

/// The path, its folder made.
fn made(path: &Utf8Path) -> Result<Utf8PathBuf> {
    if let Some(parent) = path.parent() {
        fs_err::create_dir_all(parent)?;
    }
    Ok(path.to_owned())
}

fn put(from: &Utf8Path, to: &Utf8Path, executable: bool) -> Result<()> {
    let to = made(to)?;
    tree::remove(&to)?;
    fs_err::copy(from, &to)?;
    mode(&to, if executable { 0o755 } else { 0o644 })
}

/// Whatever the umask is.
fn open_folders(dir: &Utf8Path) -> Result<()> {
    mode(dir, 0o755)?;
    for entry in dir.read_dir_utf8()? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_folders(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn mode(path: &Utf8Path, mode: u32) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode))?)
}

#[cfg(not(unix))]
fn mode(_: &Utf8Path, _: u32) -> Result<()> {
    Ok(())
}
