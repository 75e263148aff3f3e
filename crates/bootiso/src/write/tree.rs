//! The files of an image as a tree of folders, in the order of path tables.

use std::collections::BTreeMap;

use super::{WriteError, records::NameSet};

/// All folders; the first is the root. Parents come before children, level by level.
#[derive(Debug)]
pub(super) struct FolderTree {
    pub(super) folders: Vec<Folder>,
}

/// A folder.
#[derive(Debug)]
pub(super) struct Folder {
    /// Its name; empty for the root.
    pub(super) name: String,
    /// The number of the folder above; the root is above itself.
    pub(super) parent: usize,
    /// What is in it, sorted by plain name.
    pub(super) entries: Vec<FolderEntry>,
}

/// A file or folder in a folder.
#[derive(Debug)]
pub(super) struct FolderEntry {
    /// The name that people gave it.
    pub(super) name: String,
    /// The name that the plain tree has: upper case, one dot.
    pub(super) plain: String,
    /// The whole path.
    pub(super) path: String,
    /// The number of the folder that it is, if it is one.
    pub(super) folder: Option<usize>,
}

impl Folder {
    /// Entries in the order that a set of names has.
    pub(super) fn ordered(&self, names: NameSet) -> Vec<&FolderEntry> {
        let mut entries: Vec<&FolderEntry> = self.entries.iter().collect();
        if names == NameSet::Joliet {
            entries.sort_by(|a, b| a.name.cmp(&b.name));
        }
        entries
    }

    /// How many folders are in it.
    pub(super) fn folders(&self) -> u32 {
        self.entries.iter().filter(|e| e.folder.is_some()).count().try_into().unwrap_or(u32::MAX)
    }
}

impl FolderTree {
    /// The tree that holds `paths`.
    pub(super) fn of(paths: &[&str]) -> Result<Self, WriteError> {
        let mut children: BTreeMap<String, BTreeMap<String, bool>> =
            BTreeMap::from([(String::new(), BTreeMap::new())]);
        for path in paths {
            let names = path.strip_prefix('/').ok_or_else(|| bad(path, "a path begins with /"))?;
            let names: Vec<&str> = names.split('/').collect();
            // ECMA-119, 6.8.2.1: eight levels, the root among them.
            if names.len() > 7 {
                return Err(bad(path, "more than seven folders deep"));
            }
            let mut folder = String::new();
            for (level, name) in names.iter().enumerate() {
                check(path, name)?;
                let is_file = level + 1 == names.len();
                let here = children.entry(folder.clone()).or_default();
                if here.insert((*name).to_owned(), is_file).is_some_and(|was| was || is_file) {
                    return Err(bad(path, "it is listed twice"));
                }
                folder = format!("{folder}/{name}");
            }
        }
        Self::numbered(&children)
    }

    fn numbered(children: &BTreeMap<String, BTreeMap<String, bool>>) -> Result<Self, WriteError> {
        let mut folders = vec![Folder { name: String::new(), parent: 0, entries: Vec::new() }];
        let mut paths = vec![String::new()];
        let mut at = 0;
        while at < folders.len() {
            let mut entries: Vec<FolderEntry> = children[&paths[at]]
                .iter()
                .map(|(name, is_file)| FolderEntry {
                    name: name.clone(),
                    plain: plain(name, *is_file),
                    path: format!("{}/{name}", paths[at]),
                    folder: (!is_file).then_some(0),
                })
                .collect();
            entries.sort_by(|a, b| a.plain.cmp(&b.plain));
            if let Some(pair) = entries.windows(2).find(|pair| pair[0].plain == pair[1].plain) {
                return Err(bad(
                    &pair[1].path,
                    "ignoring case and punctuation, it has the name of another file",
                ));
            }
            for entry in entries.iter_mut().filter(|e| e.folder.is_some()) {
                entry.folder = Some(folders.len());
                paths.push(entry.path.clone());
                folders.push(Folder { name: entry.name.clone(), parent: at, entries: Vec::new() });
            }
            folders[at].entries = entries;
            at += 1;
        }
        Ok(Self { folders })
    }
}

fn check(path: &str, name: &str) -> Result<(), WriteError> {
    // What Joliet has no place for.
    let allowed = |c: char| !c.is_control() && !matches!(c, '*' | ':' | ';' | '?' | '\\');
    if name.is_empty() || name == "." || name == ".." {
        return Err(bad(path, "a name in it is empty, `.` or `..`"));
    }
    if name.len() > 60 || !name.chars().all(allowed) {
        return Err(bad(path, "a name has up to 60 bytes and none of *:;?\\"));
    }
    Ok(())
}

/// The plain name of a folder.
pub(super) fn plain_folder(name: &str) -> String {
    plain(name, false)
}

/// Up to 30 characters of `A-Z0-9_`, with one dot in a file's. ISOLINUX finds a file by this, whatever its case.
fn plain(name: &str, is_file: bool) -> String {
    let sign = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let spelled = |text: &str| text.chars().map(sign).collect::<String>();
    if !is_file {
        return spelled(name).chars().take(30).collect();
    }
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let extension: String = spelled(extension).chars().take(15).collect();
    let stem: String = spelled(stem).chars().take(29 - extension.len()).collect();
    format!("{stem}.{extension}")
}

fn bad(path: &str, why: &'static str) -> WriteError {
    WriteError::Name(path.to_owned(), why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_are_upper_case_with_one_dot() {
        for (name, want) in [
            ("isolinux.cfg", "ISOLINUX.CFG"),
            ("vmlinuz", "VMLINUZ."),
            ("smoke-6.1.192-2.id", "SMOKE_6_1_192_2.ID"),
            ("initrd.img-6.1", "INITRD_IMG_6.1"),
        ] {
            assert_eq!(plain(name, true), want);
        }
        assert_eq!(plain("a.b", false), "A_B");
    }

    #[test]
    fn folders_are_numbered_level_by_level() {
        let tree = FolderTree::of(&["/z/y/x", "/a/b", "/c"]).unwrap();
        let names: Vec<_> = tree.folders.iter().map(|f| (f.name.as_str(), f.parent)).collect();
        assert_eq!(names, [("", 0), ("a", 0), ("z", 0), ("y", 2)]);
    }

    #[test]
    fn names_that_collide_or_lead_away_are_refused() {
        for paths in [
            &["/a", "/A"][..],
            &["/a", "/a"],
            &["/a/b", "/a"],
            &["/a", "/a/b"],
            &["a"],
            &["/../a"],
            &["/a?b"],
        ] {
            FolderTree::of(paths).unwrap_err();
        }
    }
}
