//! Which loader files an image has: by their names, by what they include, in the ISO tree and in FAT images.

use crate::error::{Error, Result};
use std::{cell::Cell, collections::BTreeSet};

use super::{
    Slot,
    config::{self, ArgsLine, FixedArgs, VariableValue, file_name, is_other_program, looks_like_linux},
    efi::{self, EfiProgram},
    grub,
    grub_modules::{self, BuiltIn},
    paths,
    place::{ConfigFile, FilePlace, Text, joined, packing},
    unreached::{self, Unreached},
    values::{take_values, used},
    volumes::{self, Volume, is_started_by_firmware},
    words::ArgsReader,
};
use crate::{Iso, SECTOR, embed::Loader};
use bootparams::Os;

/// Loader files are a few KiB.
const LONGEST: u64 = 1 << 20;
/// Loader files of one image, and files that they name.
const MOST: usize = 512;
/// What one search may cost, in bytes that are read.
const MOST_WORK: u64 = 2 << 30;
/// The cost of looking at a program, and of comparing a name with a pattern.
const A_PROGRAM: u64 = 1 << 16;
const A_NAME: u64 = 1 << 7;
/// As much of a boot image for BIOS as is looked at: BIOS has room for half a MiB.
const LONGEST_CORE: u64 = 1 << 20;
/// Folders that one file's paths may begin at.
const MOST_FOLDERS: usize = 16;
/// What GRUB's `load_env` reads variables from.
const ENVIRONMENT: &str = "/grubenv";
/// Places with arguments in one file.
const MOST_LINES: usize = 1024;

/// What an image contains.
pub(super) struct LoaderFiles {
    /// Files with places that can be changed.
    pub(super) files: Vec<ConfigFile>,
    pub(super) unreached: Vec<Unreached>,
}

/// A loader file that is to be read.
#[derive(Clone)]
struct ReadTask {
    volume: usize,
    /// In lower case.
    path: String,
    /// Folders that relative paths may begin at.
    folders: Vec<String>,
    loader: Loader,
    /// Whether it is read for its variables alone.
    is_environment: bool,
    has_common: bool,
}

/// Every place with kernel arguments, and everything that was seen and cannot be changed.
pub(super) fn find(iso: &Iso) -> Result<LoaderFiles> {
    let (volumes, mut unreached) = volumes::all(iso)?;
    let mut search = Search::new(iso, &volumes);
    for loader in [Loader::Isolinux, Loader::SystemdBoot, Loader::Grub] {
        search.roots(loader);
        search.work()?;
    }
    let programs = search.programs()?;
    unreached.extend(search.unreached);
    let mut files = search.found;
    take_values(&mut files);
    for file in &files {
        let unreachable = |f: &FixedArgs| Unreached::of(&file.name, f);
        unreached.extend(file.config.fixed.iter().map(unreachable));
    }
    files.retain(|f| !f.config.lines.is_empty());
    unreached.extend(unreached::other_loaders(iso, &volumes)?);
    unreached.extend(unreached::firmware(iso, &volumes, &files, &programs, &unreached)?);
    Ok(LoaderFiles { files, unreached })
}

impl LoaderFiles {
    pub(super) fn slots(&self) -> Vec<Slot> {
        let slot = |file: &ConfigFile, line: &ArgsLine| Slot {
            file: file.name.clone(),
            entry: line.entry.clone(),
            loader: file.loader,
            args: joined(file.parts(line)),
        };
        self.files.iter().flat_map(|f| f.config.lines.iter().map(|l| slot(f, l))).collect()
    }

    /// Whether all entries say the same to the kernel. Which initrd is loaded is said to loaders in several ways.
    pub(super) fn agrees(&self) -> bool {
        let lines = self.files.iter().flat_map(|f| f.config.lines.iter().map(move |l| (f, l)));
        let words = lines.filter(|(_, l)| l.takes_words).map(|(f, l)| self.words(f, l));
        words.collect::<Vec<_>>().windows(2).all(|w| w[0] == w[1])
    }

    /// The words that the kernel gets of a line, with the values of variables that have one only.
    fn words(&self, file: &ConfigFile, line: &ArgsLine) -> Vec<String> {
        let reader = ArgsReader { loader: file.loader, os: Os::Linux, is_value: line.is_value };
        let words = file.parts(line).into_iter().flat_map(|p| reader.words(p)).map(|w| w.value);
        let mut found = Vec::new();
        for word in words {
            let name = word.strip_prefix('$').map(|n| n.trim_start_matches('{').trim_end_matches('}'));
            match name.and_then(|n| self.value(n)) {
                Some(text) => found.extend(text.split_whitespace().map(str::to_owned)),
                None => found.push(word),
            }
        }
        found.retain(|w| !w.starts_with("initrd="));
        found
    }

    fn value(&self, name: &str) -> Option<&str> {
        let entry = format!("${name}");
        let mut found = self.files.iter().flat_map(|f| {
            let of_name = f.config.lines.iter().filter(|l| l.is_value && l.entry == entry);
            of_name.map(|l| &f.text.text[l.parts[0].clone()])
        });
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }
}

/// What in an image speaks of its other bytes and is not changed with them.
pub(super) fn stale(iso: &Iso) -> Result<Vec<String>> {
    let mut stale = Vec::new();
    for name in ["/md5sum.txt", "/sha256sum.txt", "/.disk/md5sum.txt"] {
        if let Some(entry) = iso.find_opt(name)? {
            stale.push(format!("{} in the image may list the old contents", entry.path));
        }
    }
    // `implantisomd5` writes into the primary descriptor's field for applications (ECMA-119, 8.4.32).
    let field = iso.bytes(16 * SECTOR + 883, 512)?;
    if field.windows(12).any(|w| w == b"ISO MD5SUM =") {
        stale.push("the checksum that `implantisomd5` wrote into the image no longer matches".to_owned());
    }
    Ok(stale)
}

/// The loader that looks for a file of this path in lower case.
fn loader_of(path: &str) -> Option<Loader> {
    let (folder, name) = path.rsplit_once('/')?;
    match name {
        "isolinux.cfg" | "syslinux.cfg" | "extlinux.conf" | "syslx64.cfg" | "syslia32.cfg" => {
            Some(Loader::Isolinux)
        }
        // PXELINUX names its files after machines, and so does GRUB.
        _ if folder.ends_with("/pxelinux.cfg") => Some(Loader::Isolinux),
        "grub.cfg" | "loopback.cfg" => Some(Loader::Grub),
        _ if name.starts_with("grub.cfg-") => Some(Loader::Grub),
        _ if path.ends_with(ENVIRONMENT) => Some(Loader::Grub),
        _ if folder.ends_with("/loader/entries") && name.ends_with(".conf") => Some(Loader::SystemdBoot),
        _ => None,
    }
}

struct Search<'i> {
    iso: &'i Iso,
    volumes: &'i [Volume],
    found: Vec<ConfigFile>,
    unreached: Vec<Unreached>,
    /// Files that loaders start, by volume and path in lower case.
    started: BTreeSet<(usize, String)>,
    /// Programs that were looked at.
    examined: BTreeSet<(usize, String)>,
    /// What was spent of [`MOST_WORK`].
    spent: Cell<u64>,
    seen: BTreeSet<(usize, String)>,
    todo: Vec<ReadTask>,
}

impl<'i> Search<'i> {
    fn new(iso: &'i Iso, volumes: &'i [Volume]) -> Self {
        let (found, unreached, todo) = (Vec::new(), Vec::new(), Vec::new());
        let (started, examined, seen) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        Self { iso, volumes, found, unreached, started, examined, spent: Cell::new(0), seen, todo }
    }

    /// Counts work in bytes that are read, so that the search ends in time, whatever an image names.
    fn spend(&self, work: u64) -> Result<()> {
        self.spent.set(self.spent.get().saturating_add(work));
        if self.spent.get() > MOST_WORK { Err(too_many()) } else { Ok(()) }
    }

    /// Notes the files that a loader looks for by name.
    fn roots(&mut self, loader: Loader) {
        for (volume, files) in self.volumes.iter().enumerate() {
            for (name, path) in files.names(loader).filter(|(name, _)| loader_of(name) == Some(loader)) {
                let (path, folders) = (path.clone(), vec![folder_of(name)]);
                let is_environment = path.ends_with(ENVIRONMENT);
                self.todo.push(ReadTask { volume, path, folders, loader, is_environment, has_common: false });
            }
        }
        self.todo.reverse();
    }

    /// Reads what was noted, and what that includes.
    fn work(&mut self) -> Result<()> {
        while let Some(task) = self.todo.pop() {
            if !self.seen.insert((task.volume, task.path.clone())) {
                continue;
            }
            if self.seen.len() + self.found.len() > MOST {
                return Err(too_many());
            }
            let volumes = self.volumes;
            for (path, place) in volumes[task.volume].files.get(&task.path).into_iter().flatten() {
                self.read(&task, path, place)?;
            }
        }
        Ok(())
    }

    fn read(&mut self, task: &ReadTask, path: &str, place: &FilePlace) -> Result<()> {
        let name = format!("{}{path}", self.volumes[task.volume].prefix);
        if let Some(reason) = place.unread(LONGEST) {
            self.unreached.push(Unreached::image(name, reason));
            return Ok(());
        }
        let bytes = place.part(self.iso, 0, place.size)?;
        if let Some(how) = packing(&bytes) {
            self.unreached.push(Unreached::image(name, format!("it is packed ({how}), as GRUB can read it")));
            return Ok(());
        }
        let text = Text::decode(bytes);
        let mut config = match task.is_environment {
            true => grub::environment(&text.text),
            false => config::parse(task.loader, &text.text, task.has_common),
        };
        if config.lines.len() > MOST_LINES || config.values.len() > MOST_LINES || config.includes.len() > MOST
        {
            return Err(too_many());
        }
        self.follow(task, &mut config)?;
        self.keep_kernels(task, &mut config)?;
        self.found.push(ConfigFile { name, loader: task.loader, text, config, place: place.clone() });
        Ok(())
    }

    /// Notes the files that a configuration continues in. A name that is known at boot only is an argument that cannot
    /// be reached.
    fn follow(&mut self, from: &ReadTask, config: &mut config::LoaderConfig) -> Result<()> {
        let others = self.found.iter().filter(|f| f.loader == Loader::Grub).flat_map(|f| &f.config.values);
        let values: Vec<VariableValue> = config.values.iter().chain(others).cloned().collect();
        let folders = from.folders(config);
        for name in &config.programs {
            let patterns = paths::patterns(from.loader, &folders, name, &values).unwrap_or_default();
            let started = self.matching(from.loader, &patterns)?;
            self.started.extend(started);
        }
        let of_entries = config.values.iter().filter(|v| v.name == "blsdir").map(|v| &v.text);
        let entries: Vec<String> =
            config.entries.iter().chain(of_entries).map(|place| entries_at(place)).collect();
        for (names, loader, is_environment) in [
            (entries, Loader::SystemdBoot, false),
            (std::mem::take(&mut config.includes), from.loader, false),
            (std::mem::take(&mut config.menus), Loader::Isolinux, false),
            (std::mem::take(&mut config.environments), Loader::Grub, true),
        ] {
            let has_common = config.has_common;
            let like =
                ReadTask { folders: folders.clone(), loader, is_environment, has_common, ..from.clone() };
            for name in names {
                match paths::patterns(from.loader, &folders, &name, &values) {
                    Some(patterns) => self.note(&patterns, &like)?,
                    // The lines that take its variables are changed all the same.
                    None if is_environment => {}
                    None => {
                        let reason =
                            format!("it continues in the file `{name}`, whose name is known only at boot");
                        config.fixed.push(FixedArgs::continued(String::new(), reason));
                    }
                }
            }
        }
        self.todo.truncate(MOST * 2);
        Ok(())
    }

    /// Notes the files of these names, of all file systems, since scripts search for theirs.
    fn note(&mut self, patterns: &[String], like: &ReadTask) -> Result<()> {
        let found = self.matching(like.loader, patterns)?.into_iter();
        self.todo.extend(found.map(|(volume, path)| ReadTask { volume, path, ..like.clone() }));
        Ok(())
    }

    /// The files of these names, of all file systems.
    fn matching(&self, loader: Loader, patterns: &[String]) -> Result<Vec<(usize, String)>> {
        let mut found = Vec::new();
        for pattern in patterns {
            for (i, volume) in self.volumes.iter().enumerate() {
                self.spend(if pattern.contains('*') { volume.files.len() as u64 * A_NAME } else { A_NAME })?;
                found.extend(volume.matching(loader, pattern).into_iter().map(|path| (i, path)));
            }
        }
        Ok(found)
    }

    /// Drops the lines of commands that start programs of any kind where that is not a kernel.
    fn keep_kernels(&self, task: &ReadTask, config: &mut config::LoaderConfig) -> Result<()> {
        let folders = task.folders(config);
        let mut kept = Vec::new();
        for line in std::mem::take(&mut config.lines) {
            let is_kept = match &line.program {
                Some(program) => {
                    let patterns = paths::patterns(task.loader, &folders, program, &config.values);
                    self.takes_arguments(
                        &line,
                        program,
                        &self.matching(task.loader, &patterns.unwrap_or_default())?,
                    )?
                }
                None => true,
            };
            kept.extend(is_kept.then_some(line));
        }
        config.lines = kept;
        Ok(())
    }

    /// Whether a program of this name, which may be any of `files`, takes the arguments of `line`.
    fn takes_arguments(&self, line: &ArgsLine, name: &str, files: &[(usize, String)]) -> Result<bool> {
        let has_args = line.parts.iter().any(|part| !part.is_empty());
        for (volume, path) in files {
            for (_, place) in self.volumes[*volume].files.get(path).into_iter().flatten() {
                self.spend(A_PROGRAM)?;
                if efi::takes_arguments(self.iso, place, has_args)? {
                    return Ok(true);
                }
            }
        }
        Ok(is_linux_by_name(name, has_args))
    }

    /// Looks at the programs of UEFI, and follows what is built into GRUB. Hands back what each one is.
    fn programs(&mut self) -> Result<Vec<(usize, EfiProgram)>> {
        let mut found = Vec::new();
        for (volume, files) in self.volumes.iter().enumerate() {
            for path in files.files.keys().filter(|path| path.ends_with(".efi")) {
                let programs = self.program(volume, path)?;
                found.extend(programs.into_iter().map(|program| (volume, program)));
            }
        }
        self.bios()?;
        self.work()?;
        // What loaders start by other names, and what the configurations start that are built into that.
        while let Some((volume, path)) = self.started.pop_first() {
            self.program(volume, &path)?;
            self.work()?;
        }
        Ok(found)
    }

    /// Looks at what BIOS starts: a GRUB has more than its first sector says.
    fn bios(&mut self) -> Result<()> {
        for boot in self.iso.boot_entries()?.into_iter().filter(|boot| boot.platform == "bios") {
            let size = self.iso.size()?.saturating_sub(boot.offset).min(LONGEST_CORE);
            let image = self.iso.bytes(boot.offset, size)?;
            if let Some(grub) = grub_modules::of_bios(&image) {
                self.built_in(0, &format!("boot image for BIOS at byte {}", boot.offset), &grub)?;
            }
        }
        Ok(())
    }

    /// Looks at the program at a path in lower case, once. Names that differ by case alone are several.
    fn program(&mut self, volume: usize, path: &str) -> Result<Vec<EfiProgram>> {
        let mut found = Vec::new();
        if !self.examined.insert((volume, path.to_owned())) {
            return Ok(found);
        }
        let files = &self.volumes[volume];
        for (name, place) in files.files.get(path).into_iter().flatten() {
            let name = format!("{}{name}", files.prefix);
            self.spend(A_PROGRAM)?;
            let program = efi::program(self.iso, place)?;
            match &program {
                EfiProgram::Unified(args) => self.unreached.push(Unreached::unified(name, args.clone())),
                EfiProgram::Kernel if is_started_by_firmware(path) => {
                    let reason = "firmware starts this kernel without a loader".to_owned();
                    self.unreached.push(Unreached::image(name, reason));
                }
                EfiProgram::Grub(grub) => {
                    self.spend(place.size)?;
                    self.built_in(volume, &name, grub)?;
                }
                _ => {}
            }
            found.push(program);
        }
        Ok(found)
    }

    /// Configurations within GRUB itself: what they include is read, what they start cannot be changed.
    fn built_in(&mut self, volume: usize, name: &str, grub: &BuiltIn) -> Result<()> {
        if grub.has_unread {
            let reason = "what is built into this GRUB is not looked into".to_owned();
            self.unreached.push(Unreached::image(name.to_owned(), reason));
        }
        for (path, text) in &grub.texts {
            let mut config = config::parse(Loader::Grub, text, false);
            let (path, folders) = (path.clone(), vec![format!("/{}", folder_of(path))]);
            let loader = Loader::Grub;
            let task = ReadTask { volume, path, folders, loader, is_environment: false, has_common: false };
            self.follow(&task, &mut config)?;
            self.keep_kernels(&task, &mut config)?;
            let path = &task.path;
            let name = if path.is_empty() { name.to_owned() } else { format!("{name}:/{path}") };
            let reason = || "the configuration is built into GRUB".to_owned();
            for line in &config.lines {
                let args = line.parts.iter().map(|p| &text[p.clone()]).collect::<Vec<_>>().join(" ");
                let entry = line.entry.clone();
                let fixed =
                    FixedArgs { entry, args: Some(args), takes_words: line.takes_words, reason: reason() };
                self.unreached.push(Unreached::of(&name, &fixed));
            }
            let names = used(&config.lines, &config.values);
            for value in config.values.iter().filter(|v| names.contains(&v.name)) {
                self.unreached.push(Unreached::of(&name, &value.fixed(reason())));
            }
            self.unreached.extend(config.fixed.iter().map(|f| Unreached::of(&name, f)));
        }
        Ok(())
    }
}

impl ReadTask {
    /// Where paths in it may begin: ISOLINUX has one folder at a time, which a `config` may change.
    fn folders(&self, config: &config::LoaderConfig) -> Vec<String> {
        let mut folders = self.folders.clone();
        if self.loader == Loader::Isolinux {
            folders.push(folder_of(&self.path));
            for named in &config.folders {
                let bases = self.folders.iter().filter(|_| !named.starts_with('/'));
                folders.extend(bases.map(|base| format!("{base}/{named}")));
                folders.extend(named.starts_with('/').then(|| named.clone()));
            }
            folders.sort();
            folders.dedup();
            folders.truncate(MOST_FOLDERS);
        }
        folders
    }
}

fn folder_of(path: &str) -> String {
    path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned()
}

/// Whether a program that was not found, or is of no known kind, is Linux by its name.
fn is_linux_by_name(path: &str, has_args: bool) -> bool {
    let in_linux_folder = path.to_ascii_lowercase().replace('\\', "/").contains("/efi/linux/");
    let is_bare_kernel = file_name(path).contains("vmlinu");
    is_bare_kernel || has_args && (looks_like_linux(path) || in_linux_folder && !is_other_program(path))
}

/// The entries in a folder of that kind, or the one file.
fn entries_at(place: &str) -> String {
    if place.ends_with(".conf") { place.to_owned() } else { format!("{place}/*.conf") }
}

fn too_many() -> Error {
    let text = "more loader files and entries than any real image has";
    Error::image(text)
}
