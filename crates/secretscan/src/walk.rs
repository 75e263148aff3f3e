//! The way into artifacts, in whatever order they are packed. Archives are streamed; images, in which one must seek,
//! go to a temporary file. What is damaged or packed in a way not known here is told and does not stop the rest.

use std::{
    cell::Cell,
    collections::HashSet,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::{self, BufRead, Read, Seek as _},
    rc::Rc,
    sync::Arc,
    time::Instant,
};

use anyhow::Result;
use camino::Utf8Path;

use super::{
    Find, Rules, Scan,
    encoded::SPELLINGS,
    formats::{self, Packed, packed},
    input::{Limit, ScannedBytes, ZEROS},
    rules::FindKind,
    utf16::Utf16,
};
use buildexec::{ctx::Ctx, hash::SumsHasher};
use buildplan::Digest;
use failure::{Failure, Kind};
use report::{Event, ProgressUnit};

/// Bytes that one scan unpacks: many times what our largest medium holds, and an end to archives that are made
/// never to end.
const BUDGET: u64 = 32 << 30;
/// The longest way into something real (ISO, initrd, its packing, container images, a layer, its packing, a file,
/// its packing) is eight.
const DEEPEST: usize = 16;
/// Folders of what packages ship to be read.
const MANUALS: &[&str] = &[
    "usr/share/doc/",
    "usr/share/man/",
    "usr/share/info/",
    "usr/share/help/",
    "usr/share/gtk-doc/",
    "usr/share/locale/",
    "usr/share/bash-completion/",
    "usr/share/zsh/",
    "usr/lib/python3/dist-packages/",
    "usr/lib/python3.",
];
/// Shorter streams are looked through again rather than remembered.
const REMEMBERED: u64 = 64 << 10;
/// Spellings inside of each other that are followed.
const LAYERS: usize = 8;
/// A stream that unpacks to this much, and to so many times what it is packed in, is made to be a bomb. Blocks of zeros do
/// not count: disks are full of them.
const BOMB: (u64, u64) = (8 << 20, 250);

/// A scan under way.
pub(super) struct ScanWalk<'a> {
    rules: &'a Rules,
    pub(super) limit: Rc<Limit>,
    artifact: String,
    pub(super) way: Vec<String>,
    /// What was spelled in another way in this artifact, so that each is looked at once.
    spelled: HashSet<u64>,
    /// How far in the innermost ELF program is.
    elf: Option<usize>,
    /// Streams in which nothing was found, by length and digest: a kernel lies in the netboot tree and in the ISO.
    clean: HashSet<(u64, Digest)>,
    progress: ScanProgress<'a>,
    pub(super) scan: Scan,
}

/// Bytes of the artifacts that were looked through, for a person who waits.
pub(super) struct ScanProgress<'a> {
    pub(super) ctx: &'a Ctx,
    /// The task's.
    pub(super) label: &'a str,
    pub(super) done: u64,
    pub(super) total: u64,
    pub(super) shown: Option<Instant>,
}

impl ScanProgress<'_> {
    /// Shows how far it is, ten times a second at most.
    fn moved_to(&mut self, done: u64) {
        self.done = done.min(self.total);
        if self.shown.is_none_or(|at| at.elapsed().as_millis() >= 100) {
            self.shown = Some(Instant::now());
            let (label, total) = (self.label.to_owned(), Some(self.total));
            self.ctx.report.event(&Event::Progress {
                label,
                done: self.done,
                total,
                unit: ProgressUnit::Bytes,
            });
        }
    }
}

impl<'a> ScanWalk<'a> {
    pub(super) fn new(progress: ScanProgress<'a>, rules: &'a Rules) -> Self {
        let limit = Rc::new(Limit::new(BUDGET, progress.ctx.runner.interrupt.clone()));
        Self {
            rules,
            limit,
            artifact: String::new(),
            way: Vec::new(),
            spelled: HashSet::new(),
            elf: None,
            clean: HashSet::new(),
            progress,
            scan: Scan::default(),
        }
    }

    /// Looks through one file.
    pub(super) fn artifact(&mut self, name: &str, path: &Utf8Path) -> Result<()> {
        let end = self.progress.done + fs_err::symlink_metadata(path)?.len();
        let result = self.whole_artifact(name, path);
        self.progress.moved_to(end);
        result
    }

    fn whole_artifact(&mut self, name: &str, path: &Utf8Path) -> Result<()> {
        name.clone_into(&mut self.artifact);
        self.spelled.clear();
        let meta = fs_err::symlink_metadata(path)?;
        self.limit.begin(meta.len());
        if !meta.is_file() {
            // A pipe would be waited for without an end.
            let what = if meta.is_symlink() {
                "a link, which is never followed"
            } else {
                "neither a file, a folder nor a link"
            };
            self.unread(what);
            return Ok(());
        }
        let mut file = fs_err::File::open(path)?;
        let mut head = Vec::new();
        (&mut file).take(formats::HEAD as u64).read_to_end(&mut head)?;
        file.rewind()?;
        let kind = packed(&head);
        let result = match kind {
            Packed::Iso | Packed::Fat | Packed::Disk => self.image(kind, Arc::new(file.into_parts().0)),
            _ => self.stream_once(meta.len(), || fs_err::File::open(path)),
        };
        if result.is_err() && self.limit.is_bomb() {
            self.unread("there is more to look into than its size allows, so it is taken for a bomb");
            return Ok(());
        }
        self.survive(result).map_err(|e| {
            let text = format!("{} unpacks to more than {} GiB", self.artifact, BUDGET >> 30);
            let quota = Failure::new(Kind::Input, text).source(e);
            self.progress.ctx.check_interrupt().err().unwrap_or_else(|| quota.into())
        })
    }

    /// An error of what is being read is told; only the limit ends the scan.
    pub(super) fn survive(&mut self, result: io::Result<()>) -> io::Result<()> {
        match result {
            Err(e) if !self.limit.reached() => {
                self.unread(&e.to_string());
                Ok(())
            }
            other => other,
        }
    }

    pub(super) fn unread(&mut self, why: &str) {
        let way: String = self.way.iter().map(|w| format!(" > {w}")).collect();
        let text = format!("{}{way}: {why}", self.artifact);
        // A zip has its mark in front of each file.
        if self.scan.unread.last() != Some(&text) {
            self.scan.unread.push(text);
        }
    }

    /// What is inside a thing called `name`.
    pub(super) fn inside(&mut self, name: &str, reader: &mut dyn Read) -> io::Result<()> {
        self.way.push(name.to_owned());
        let result = self.stream(reader);
        let result = self.survive(result);
        self.way.pop();
        result
    }

    /// A name or the target of a link.
    pub(super) fn name(&mut self, name: &str) -> io::Result<()> {
        let limit = Rc::clone(&self.limit);
        self.plain(&mut ScannedBytes::new(&mut name.as_bytes(), &limit, 0))
    }

    /// One archive after the other, as the kernel takes them, and whatever is not an archive before, between, behind.
    pub(super) fn stream(&mut self, reader: &mut dyn Read) -> io::Result<()> {
        let limit = Rc::clone(&self.limit);
        self.input(&mut ScannedBytes::new(reader, &limit, 0), &[])
    }

    /// As [`Self::stream`], of `size` bytes that can be read again. What was looked through before without a find is not
    /// looked through again.
    pub(super) fn stream_once<R: Read>(
        &mut self,
        size: u64,
        open: impl Fn() -> io::Result<R>,
    ) -> io::Result<()> {
        // Other rules are for manuals.
        if size < REMEMBERED || self.is_documentation() {
            return self.stream(&mut open()?);
        }
        if self.clean.iter().any(|(length, _)| *length == size) {
            let (sha256, _) = Digest::read(&mut open()?)?;
            if self.clean.contains(&(size, sha256)) {
                return Ok(());
            }
        }
        let told = (self.scan.found.len(), self.scan.unread.len());
        let mut reader = Hashed { reader: open()?, hasher: SumsHasher::sha256() };
        let result = self.stream(&mut reader);
        let sums = reader.hasher.finish();
        if result.is_ok() && sums.size == size && told == (self.scan.found.len(), self.scan.unread.len()) {
            self.clean.insert((size, sums.sha256));
        }
        result
    }

    /// An entry of an image, of so many bytes, was looked through.
    pub(super) fn moved(&mut self, size: u64) {
        self.progress.moved_to(self.progress.done.saturating_add(size));
    }

    /// As [`Self::stream`]; what is `inside` an image of these kinds is not taken for one of them.
    pub(super) fn input(&mut self, input: &mut ScannedBytes<'_>, inside: &[Packed]) -> io::Result<()> {
        let head = input.peek(formats::HEAD)?;
        let (is_program, is_elf) = (formats::is_program(head), head.starts_with(b"\x7FELF"));
        (input.is_program, input.is_documentation) = (is_program, self.is_documentation());
        let outer = self.elf;
        if is_elf {
            self.elf = Some(self.way.len());
        }
        let result = self.parts(input, inside);
        self.elf = outer;
        result
    }

    /// Whether what stands here is a manual: of a package by its folder, or packed into a program.
    fn is_documentation(&self) -> bool {
        let shipped = |way: &String| MANUALS.iter().any(|folder| way.contains(folder));
        self.elf.is_some_and(|elf| self.way.len() == elf + 1) || self.way.iter().any(shipped)
    }

    fn parts(&mut self, input: &mut ScannedBytes<'_>, inside: &[Packed]) -> io::Result<()> {
        while !input.peek(1)?.is_empty() {
            let mut kind = packed(input.peek(formats::HEAD)?);
            if kind == Packed::Plain {
                // Zeros pad archives; but some images begin with them, too.
                input.skip_zeros()?;
                kind = packed(input.peek(formats::HEAD)?);
            }
            if inside.contains(&kind) {
                kind = Packed::Plain;
            }
            let before = input.position();
            let result = self.unpack(kind, input);
            if result.is_err() || input.position() == before {
                self.survive(result)?;
                // What did not unpack is at least read; a byte of it in any case.
                let result = self.plain(input);
                self.survive(result)?;
            }
        }
        Ok(())
    }

    fn unpack(&mut self, kind: Packed, input: &mut ScannedBytes<'_>) -> io::Result<()> {
        if kind != Packed::Plain && self.way.len() > DEEPEST {
            self.unread(&format!("packed more than {DEEPEST} deep"));
            return self.plain(input);
        }
        match kind {
            Packed::Plain => self.plain(input),
            Packed::Gzip => self.unpacked("gzip", input, |i| Ok(formats::gzip(i))),
            Packed::Xz => self.unpacked("xz", input, formats::xz),
            Packed::Lzma => self.unpacked("lzma", input, formats::lzma),
            Packed::Zlib => self.unpacked("zlib", input, |i| Ok(formats::zlib(i))),
            Packed::Zstd => self.unpacked("zstd", input, formats::zstd),
            Packed::Utf16(endian) => self.inside("UTF-16", &mut Utf16::new(input, endian)),
            Packed::Cpio => self.cpio(input),
            Packed::Tar => self.tar(input),
            Packed::Ar => self.ar(input),
            Packed::Iso | Packed::Fat | Packed::Disk => self.spooled(kind, input),
            Packed::Squashfs => self.squashfs(input),
            Packed::Unknown(name) => {
                self.unread(&format!("packed with {name}, which is not unpacked here"));
                self.plain(input)
            }
        }
    }

    /// What a stream unpacks to, until that shows it to be a bomb.
    fn unpacked<'i, 'b: 'i, R: Read>(
        &mut self,
        name: &str,
        input: &'i mut ScannedBytes<'b>,
        decoder: impl FnOnce(PackedBytes<'i, 'b>) -> io::Result<R>,
    ) -> io::Result<()> {
        let taken = Rc::new(Cell::new(0));
        let reader = decoder(PackedBytes { input, taken: Rc::clone(&taken) })?;
        self.inside(name, &mut Defused { reader, taken, given: 0 })
    }

    /// Up to the end, or to an archive that begins in the middle.
    fn plain(&mut self, input: &mut ScannedBytes<'_>) -> io::Result<()> {
        let mut seen = self.rules.look(input);
        for (what, at) in std::mem::take(&mut seen.found) {
            self.found(what, at);
        }
        for (name, bytes) in seen.hidden {
            self.spelled(name, &bytes)?;
        }
        seen.result
    }

    /// What a text holds in another spelling. It may hold others in turn, up to an end.
    fn spelled(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        let layers = self.way.iter().rev().take_while(|w| SPELLINGS.contains(&w.as_str())).count();
        if layers == LAYERS || !self.spelled.insert(hasher.finish()) {
            return Ok(());
        }
        self.limit.spell(bytes.len())?;
        self.inside(name, &mut &*bytes)
    }

    fn found(&mut self, what: FindKind, at: u64) {
        let find = |way: &[String]| Find { artifact: self.artifact.clone(), inside: way.to_vec(), what };
        // A key's own base64 holds the key, and a password is there before and after variables are put in.
        let derived = |n: &usize| SPELLINGS.contains(&self.way[*n].as_str());
        let again =
            (0..self.way.len()).filter(derived).any(|n| self.scan.found.contains_key(&find(&self.way[..n])));
        let place = find(&self.way);
        if !again {
            self.scan.found.entry(place).or_insert(at);
        }
    }
}

/// Bytes that are hashed as they are read.
struct Hashed<R> {
    reader: R,
    hasher: SumsHasher,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buf)?;
        self.hasher.update(&buf[..n]);
        Ok(n)
    }
}

/// Packed bytes, counted as a decoder takes them.
struct PackedBytes<'i, 'b> {
    input: &'i mut ScannedBytes<'b>,
    taken: Rc<Cell<u64>>,
}

impl Read for PackedBytes<'_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(buf)?;
        self.taken.set(self.taken.get() + n as u64);
        Ok(n)
    }
}

impl BufRead for PackedBytes<'_, '_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.input.fill_buf()
    }

    fn consume(&mut self, n: usize) {
        self.taken.set(self.taken.get() + n as u64);
        self.input.consume(n);
    }
}

/// Unpacked bytes, which end in an error where they are too many for what was packed.
struct Defused<R> {
    reader: R,
    taken: Rc<Cell<u64>>,
    given: u64,
}

impl<R: Read> Read for Defused<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buf)?;
        let blocks = buf[..n].chunks(ZEROS.len()).filter(|block| **block != ZEROS[..block.len()]);
        self.given += blocks.map(|block| block.len() as u64).sum::<u64>();
        let (most, times) = BOMB;
        if self.given > most && self.given / times > self.taken.get() {
            return Err(io::Error::other("it unpacks to so many times its size that it must be a bomb"));
        }
        Ok(n)
    }
}
