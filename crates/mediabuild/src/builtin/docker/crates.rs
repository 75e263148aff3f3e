//! The licences of the crates that a program of ours is compiled from.

use anyhow::Result;
use buildexec::{action::Call, tree};
use camino::Utf8Path;
use failure::{Failure, Kind};
use toml::{Table, Value};

/// How files with licences are called, in capitals.
const NAMES: &[&str] = &["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];

/// `cargo` (Cargo's home), `crate` (several, NAME-VERSION), `own` (several, files), `to`.
///
/// # Errors
/// [`Kind::Input`] when the sources of a crate are not where Cargo unpacks them.
pub(in super::super) fn licences(call: &Call<'_>) -> Result<()> {
    let mut text =
        "The configuration program, hostconf, and Rust's standard library that is in it:\n\n".to_owned();
    for own in call.all("own") {
        text += &fs_err::read_to_string(own)?;
        text.push('\n');
    }
    let sources = call.path("cargo")?.join("registry/src");
    for name in call.all("crate") {
        text += &of(&sources, name)?;
    }
    fs_err::write(call.out("to")?, text)?;
    Ok(())
}

/// What a crate says of its licence, and the texts beside it.
fn of(sources: &Utf8Path, name: &str) -> Result<String> {
    let missing = || {
        Failure::new(Kind::Input, format!("no sources of the crate {name} below {sources}"))
            .help("its licence goes on the medium: let cargo take it from a registry, not from a folder")
    };
    let mut folder = None;
    for registry in sources.read_dir_utf8().map_err(|e| missing().source(e))? {
        let dir = registry?.path().join(name);
        folder = folder.or(Some(dir).filter(|dir| dir.is_dir()));
    }
    let folder = folder.ok_or_else(missing)?;
    let manifest: Table = fs_err::read_to_string(folder.join("Cargo.toml"))?.parse()?;
    let licence = manifest.get("package").and_then(|p| p.get("license")).and_then(Value::as_str);
    let mut text = format!("{:=<78}\n{name}: {}\n\n", "", licence.unwrap_or("see below"));
    for file in tree::files(&folder)? {
        let upper = file.as_str().to_uppercase();
        if !upper.contains('/') && NAMES.iter().any(|n| upper.starts_with(n)) {
            text += &String::from_utf8_lossy(&fs_err::read(folder.join(file))?);
            text.push('\n');
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_comes_with_its_texts_and_a_missing_one_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let sources = Utf8Path::from_path(dir.path()).unwrap();
        let folder = sources.join("index/a-1.0.0");
        fs_err::create_dir_all(folder.join("src")).unwrap();
        for (file, text) in [
            ("Cargo.toml", "[package]\nlicense = \"MIT\"\n"),
            ("LICENSE-MIT", "Permission is hereby granted"),
            ("src/license.rs", "code"),
        ] {
            fs_err::write(folder.join(file), text).unwrap();
        }
        let text = of(sources, "a-1.0.0").unwrap();
        assert!(
            text.contains("a-1.0.0: MIT\n\nPermission is hereby granted\n") && !text.contains("code"),
            "{text}"
        );
        let error = of(sources, "b-1.0.0").unwrap_err().to_string();
        assert_eq!(error, format!("no sources of the crate b-1.0.0 below {sources}"));
    }
}
