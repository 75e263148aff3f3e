//! A choice of a kernel's modules with all that they need, and the lists that modprobe reads.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use failure::{Failure, Kind};

use super::super::kernel::{decompressed, modinfo};

/// The modules of a kernel package.
pub(super) struct KernelModules {
    folder: Utf8PathBuf,
    /// Paths below the folder, by name with `_` for `-`, as the kernel compares them.
    by_name: BTreeMap<String, Utf8PathBuf>,
    /// Names of what is built in.
    built_in: BTreeSet<String>,
}

/// A module that was chosen.
pub(super) struct Module {
    /// Its path below the folder, without a compressor's extension.
    pub(super) path: Utf8PathBuf,
    pub(super) bytes: Vec<u8>,
    needs: Vec<String>,
}

/// What was chosen, by name, and the names in the order in which they can be loaded.
#[derive(Default)]
pub(super) struct Chosen {
    pub(super) modules: BTreeMap<String, Module>,
    pub(super) order: Vec<String>,
}

fn plain(name: &str) -> String {
    name.replace('-', "_")
}

fn name_of(path: &Utf8Path) -> Option<String> {
    path.file_name()?.split_once(".ko").map(|(name, _)| plain(name))
}

impl KernelModules {
    /// Those below `usr/lib/modules/VERSION` of an unpacked package.
    pub(super) fn new(root: &Utf8Path) -> Result<Self> {
        let missing = || Failure::new(Kind::Input, "the kernel package has no usr/lib/modules/VERSION");
        let versions = root.join("usr/lib/modules");
        let mut entries = versions.read_dir_utf8().map_err(|e| missing().source(e))?;
        let folder = entries.next().transpose()?.ok_or_else(missing)?.path().to_owned();
        let files = buildexec::tree::files(&folder)?;
        let by_name = files.into_iter().filter_map(|f| Some((name_of(&f)?, f))).collect();
        let built_in = fs_err::read_to_string(folder.join("modules.builtin"))?;
        let built_in = built_in.lines().filter_map(|l| name_of(Utf8Path::new(l))).collect();
        Ok(Self { folder, by_name, built_in })
    }

    /// The kernel's version.
    pub(super) fn version(&self) -> &str {
        self.folder.file_name().unwrap_or_default()
    }

    /// The modules of these names or beginnings of paths below `kernel/`, and all that they need.
    pub(super) fn choose<'a>(&self, wanted: impl IntoIterator<Item = &'a str>) -> Result<Chosen> {
        let mut chosen = Chosen::default();
        for wanted in wanted {
            let below =
                |path: &Utf8Path| path.strip_prefix("kernel").is_ok_and(|p| p.as_str().starts_with(wanted));
            let names: Vec<&String> = match self.by_name.get_key_value(&plain(wanted)) {
                Some((name, _)) => vec![name],
                None => self.by_name.iter().filter(|(_, path)| below(path)).map(|(name, _)| name).collect(),
            };
            if names.is_empty()
                && !self.built_in.contains(&plain(wanted.rsplit('/').next().unwrap_or(wanted)))
            {
                let message = format!("kernel {} has no module {wanted}", self.version());
                return Err(Failure::new(Kind::Input, message).into());
            }
            for name in names {
                self.visit(name, wanted, &mut chosen)?;
            }
        }
        Ok(chosen)
    }

    fn visit(&self, name: &str, by: &str, chosen: &mut Chosen) -> Result<()> {
        if chosen.modules.contains_key(name) || self.built_in.contains(name) {
            return Ok(());
        }
        let Some(path) = self.by_name.get(name) else {
            let message = format!("kernel {} has no module {name}, which {by} needs", self.version());
            return Err(Failure::new(Kind::Input, message).into());
        };
        let bytes = decompressed(&self.folder.join(path))?;
        let listed = |key| modinfo(&bytes, key).into_iter().flat_map(words).collect::<Vec<_>>();
        let (needs, soft) = (listed("depends"), listed("softdep"));
        let stem = path.as_str().split_once(".ko").map_or(path.as_str(), |(stem, _)| stem);
        let module = Module { path: format!("{stem}.ko").into(), bytes, needs: needs.clone() };
        chosen.modules.insert(name.to_owned(), module);
        for needed in &needs {
            self.visit(needed, name, chosen)?;
        }
        chosen.order.push(name.to_owned());
        // These may be names of what a module can do; what has no provider at all is fatal like the others.
        for needed in soft {
            for provider in self.providers(&needed)? {
                self.visit(&provider, name, chosen)?;
            }
        }
        Ok(())
    }

    /// The modules behind a soft dependency: itself, or those that go by its name.
    fn providers(&self, name: &str) -> Result<Vec<String>> {
        if self.by_name.contains_key(name) || self.built_in.contains(name) {
            return Ok(vec![name.to_owned()]);
        }
        let mut found = Vec::new();
        let algorithms = self.by_name.iter().filter(|(_, path)| path.as_str().contains("crypto/"));
        for (provider, path) in algorithms {
            let bytes = decompressed(&self.folder.join(path))?;
            if modinfo(&bytes, "alias").iter().any(|a| plain(a) == name) {
                found.push(provider.clone());
            }
        }
        if found.is_empty() { Ok(vec![name.to_owned()]) } else { Ok(found) }
    }

    /// A list of the package, such as `modules.builtin`.
    pub(super) fn list(&self, name: &str) -> Result<Vec<u8>> {
        Ok(fs_err::read(self.folder.join(name))?)
    }
}

/// Names in `depends=` and `softdep=`, without the latter's `pre:` and `post:`.
fn words(text: String) -> Vec<String> {
    let names = text.split([',', ' ']).filter(|w| !w.is_empty() && !w.ends_with(':'));
    names.map(plain).collect()
}

impl Chosen {
    /// `modules.dep`: each module with all that it needs, the last to be loaded first.
    pub(super) fn dependencies(&self) -> String {
        let mut text = String::new();
        for (name, module) in &self.modules {
            let mut needs = BTreeSet::new();
            let mut todo = vec![name];
            while let Some(next) = todo.pop() {
                for needed in self.modules.get(next).map(|m| &m.needs).into_iter().flatten() {
                    if needs.insert(needed) {
                        todo.push(needed);
                    }
                }
            }
            text += &format!("{}:", module.path);
            for needed in self.order.iter().rev().filter(|n| needs.contains(n)) {
                text += &format!(" {}", self.modules[needed].path);
            }
            text.push('\n');
        }
        text
    }

    /// `modules.alias`: by what else the kernel asks for each module.
    pub(super) fn aliases(&self) -> String {
        let mut text = String::new();
        for (name, module) in &self.modules {
            for alias in modinfo(&module.bytes, "alias") {
                text += &format!("alias {alias} {name}\n");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(modules: &[(&str, &str)]) -> (tempfile::TempDir, KernelModules) {
        let dir = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(dir.path()).unwrap().join("usr/lib/modules/6.1");
        for (path, info) in modules {
            let file = folder.join("kernel").join(path);
            fs_err::create_dir_all(file.parent().unwrap()).unwrap();
            fs_err::write(file, format!("\x7fELF\0{}\0", info.replace(' ', "\0"))).unwrap();
        }
        fs_err::write(folder.join("modules.builtin"), "kernel/lib/inside.ko\n").unwrap();
        let kernel = KernelModules::new(Utf8Path::from_path(dir.path()).unwrap()).unwrap();
        (dir, kernel)
    }

    #[test]
    fn modules_come_with_what_they_need_and_lists_for_modprobe() {
        let (_dir, kernel) = kernel(&[
            ("fs/ext4/ext4.ko", "depends=jbd2,inside softdep=pre:,crc32c alias=fs-ext4"),
            ("fs/jbd2/jbd2.ko", "depends=mb-cache"),
            ("fs/mb-cache.ko", "depends="),
            ("crypto/crc32c_generic.ko", "depends= alias=crc32c alias=crypto-crc32c"),
            ("net/other.ko", "depends="),
        ]);
        let chosen = kernel.choose(["fs/ext4/"]).unwrap();
        assert_eq!(chosen.order, ["mb_cache", "jbd2", "ext4", "crc32c_generic"]);
        let dependencies = chosen.dependencies();
        assert!(
            dependencies.contains("kernel/fs/ext4/ext4.ko: kernel/fs/jbd2/jbd2.ko kernel/fs/mb-cache.ko\n")
        );
        assert!(chosen.aliases().contains("alias crypto-crc32c crc32c_generic\n"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let (_dir, kernel) = kernel(&[
            ("a.ko", "depends=gone"),
            ("b.ko", "depends= softdep=pre:,gone"),
            ("c.ko", "depends=inside"),
        ]);
        let said = |name| kernel.choose([name]).map(|_| ()).unwrap_err().to_string();
        assert_eq!(said("a"), "kernel 6.1 has no module gone, which a needs");
        assert_eq!(said("b"), "kernel 6.1 has no module gone, which b needs");
        assert_eq!(said("drivers/x/"), "kernel 6.1 has no module drivers/x/");
        assert!(kernel.choose(["c", "inside"]).is_ok());
    }
}
