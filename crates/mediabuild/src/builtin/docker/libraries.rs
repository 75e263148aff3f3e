//! Which libraries programs are linked to: their own words for it, followed to the end.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use elf::{ElfBytes, abi::DT_NEEDED, endian::AnyEndian};
use failure::{Failure, Kind};

/// Where libraries are in a Debian root, by preference.
const FOLDERS: &[&str] = &["usr/lib/x86_64-linux-gnu", "usr/lib64", "usr/lib"];

/// The libraries of a tree.
pub(super) struct Libraries<'a> {
    tree: &'a Utf8Path,
    by_name: BTreeMap<String, Utf8PathBuf>,
}

impl<'a> Libraries<'a> {
    pub(super) fn new(tree: &'a Utf8Path) -> Result<Self> {
        let mut by_name = BTreeMap::new();
        for folder in FOLDERS.iter().filter(|f| tree.join(f).is_dir()) {
            for entry in tree.join(folder).read_dir_utf8()? {
                let entry = entry?;
                if entry.file_name().contains(".so") {
                    let path = Utf8Path::new(folder).join(entry.file_name());
                    by_name.entry(entry.file_name().to_owned()).or_insert(path);
                }
            }
        }
        Ok(Self { tree, by_name })
    }

    /// The libraries that these files need, and those that these need: names to paths in the tree.
    pub(super) fn closure(&self, files: &[Utf8PathBuf]) -> Result<BTreeMap<String, Utf8PathBuf>> {
        let mut found = BTreeMap::new();
        let mut todo: Vec<Utf8PathBuf> = files.to_vec();
        while let Some(file) = todo.pop() {
            let bytes = fs_err::read(self.tree.join(&file))?;
            for name in needed(&bytes).with_context(|| format!("cannot read {file}"))? {
                let path = self.by_name.get(&name).ok_or_else(|| {
                    Failure::new(Kind::Input, format!("no package has {name}, which {file} needs"))
                        .help("add the package that has it to the system's list")
                })?;
                if found.insert(name, path.clone()).is_none() {
                    todo.push(path.clone());
                }
            }
        }
        Ok(found)
    }

    /// The names of all symbols that these files define or look up.
    pub(super) fn symbols<'f>(
        &self,
        files: impl Iterator<Item = &'f Utf8PathBuf>,
    ) -> Result<BTreeSet<Vec<u8>>> {
        let mut all = BTreeSet::new();
        for file in files {
            let bytes = fs_err::read(self.tree.join(file))?;
            let library = ElfBytes::<AnyEndian>::minimal_parse(&bytes)?;
            let Some((table, names)) = library.dynamic_symbol_table()? else { continue };
            for symbol in table.iter() {
                all.insert(names.get_raw(usize::try_from(symbol.st_name)?)?.to_vec());
            }
        }
        Ok(all)
    }
}

/// The names in a file's dynamic section; none for a file that is linked to nothing.
fn needed(bytes: &[u8]) -> Result<BTreeSet<String>> {
    let file = ElfBytes::<AnyEndian>::minimal_parse(bytes)?;
    let common = file.find_common_data()?;
    let (Some(dynamic), Some(names)) = (common.dynamic, common.dynsyms_strs) else {
        return Ok(BTreeSet::new());
    };
    let entries = dynamic.iter().filter(|d| d.d_tag == DT_NEEDED);
    entries.map(|d| Ok(names.get(usize::try_from(d.d_val())?)?.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_names_its_libraries_and_a_miss_is_named() {
        let program = std::env::current_exe().unwrap();
        let names = needed(&fs_err::read(&program).unwrap()).unwrap();
        assert!(names.iter().any(|n| n.starts_with("libc.so")), "{names:?}");
        let dir = tempfile::tempdir().unwrap();
        let tree = Utf8Path::from_path(dir.path()).unwrap();
        fs_err::copy(&program, dir.path().join("program")).unwrap();
        let libraries = Libraries::new(tree).unwrap();
        let error = libraries.closure(&["program".into()]).unwrap_err().to_string();
        assert!(error.starts_with("no package has l") && error.ends_with("which program needs"), "{error}");
        assert!(needed(b"#!/bin/sh").is_err());
    }
}
