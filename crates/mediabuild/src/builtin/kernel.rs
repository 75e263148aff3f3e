//! Picks a kernel and the modules a boot needs out of unpacked packages.

use std::{collections::BTreeMap, io::Read as _};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::unpack::decoder;
use buildexec::action::Call;
use buildexec::{run::read_limited, tree};
use failure::{Failure, Kind};

/// No module is larger.
const MODULE_LIMIT: u64 = 64 << 20;

/// `root` (where the packages were unpacked), `module` (names, in order), `kernel` and `modules` (outputs).
///
/// The folder `modules` gets the files, decompressed, and `order`: their names, each after those it needs. A module
/// that is built in, or that this kernel does not have, is passed over.
///
/// # Errors
/// When there is no kernel, or a module cannot be read.
pub(super) fn pick(call: &Call<'_>) -> Result<()> {
    let root = call.path("root")?;
    let files = tree::files(root)?;
    let kernel = files.iter().find(|f| f.as_str().starts_with("boot/vmlinuz-"));
    let Some(kernel) = kernel else {
        return Err(Failure::new(Kind::Input, "the kernel package holds no boot/vmlinuz-*").into());
    };
    fs_err::copy(root.join(kernel), call.out("kernel")?)?;
    let modules = Modules::new(root, &files);
    let mut order = Vec::new();
    for name in call.all("module") {
        modules.visit(name, &mut order)?;
    }
    let to = call.path("modules")?;
    fs_err::create_dir_all(to)?;
    for (name, bytes) in &order {
        fs_err::write(to.join(format!("{name}.ko")), bytes)?;
    }
    let names: String = order.iter().map(|(name, _)| format!("{name}.ko\n")).collect();
    fs_err::write(to.join("order"), names)?;
    Ok(())
}

/// The modules of a package, by name with `_` for `-`, as the kernel compares them.
struct Modules<'a> {
    root: &'a Utf8Path,
    by_name: BTreeMap<String, &'a Utf8PathBuf>,
}

impl<'a> Modules<'a> {
    fn new(root: &'a Utf8Path, files: &'a [Utf8PathBuf]) -> Self {
        let named = files.iter().filter_map(|f| {
            let (name, _) = f.file_name()?.split_once(".ko")?;
            Some((name.replace('-', "_"), f))
        });
        Self { root, by_name: named.collect() }
    }

    /// Adds `name` behind everything it needs. The package has no `modules.dep` (made at install), so it is read
    /// from each module's own `depends=`.
    fn visit(&self, name: &str, order: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
        let Some(file) = self.by_name.get(&name.replace('-', "_")) else { return Ok(()) };
        if order.iter().any(|(n, _)| n == name) {
            return Ok(());
        }
        let bytes = decompressed(&self.root.join(file))?;
        for needed in depends(&bytes) {
            self.visit(&needed, order)?;
        }
        order.push((name.to_owned(), bytes));
        Ok(())
    }
}

/// The names in the module's `depends=` (kernel `scripts/mod/modpost.c`, `add_depends`). Cycles cannot be: the
/// kernel's build refuses them.
fn depends(module: &[u8]) -> Vec<String> {
    let lists = modinfo(module, "depends");
    let names = lists.iter().flat_map(|list| list.split(',')).filter(|n| !n.is_empty());
    names.map(|n| n.replace('-', "_")).collect()
}

/// The values of `key=` in the section `.modinfo`.
pub(super) fn modinfo(module: &[u8], key: &str) -> Vec<String> {
    let marker = format!("\0{key}=");
    let places = memchr::memmem::find_iter(module, marker.as_bytes());
    let value = |at: usize| module[at + marker.len()..].split(|b| *b == 0).next().unwrap_or_default();
    places.map(|at| String::from_utf8_lossy(value(at)).into_owned()).collect()
}

/// Debian 12 ships modules as they are, later releases xz-compressed, Ubuntu zstd-compressed.
pub(super) fn decompressed(path: &Utf8Path) -> Result<Vec<u8>> {
    let packed = read_limited(path, MODULE_LIMIT)?;
    let read = || {
        let mut bytes = Vec::new();
        decoder(path.extension(), packed.as_slice())?.take(MODULE_LIMIT).read_to_end(&mut bytes)?;
        Ok::<_, anyhow::Error>(bytes)
    };
    read().with_context(|| format!("cannot unpack {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depends_are_read_from_modinfo() {
        let module = b"\x7fELF..\0license=GPL\0depends=net-failover,virtio,,virtio_ring\0name=virtio_net\0";
        assert_eq!(depends(module), ["net_failover", "virtio", "virtio_ring"]);
        assert!(depends(b"\0depends=\0").is_empty());
        assert!(depends(b"nothing").is_empty());
    }
}
