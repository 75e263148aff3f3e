//! The way into artifacts: ISO, FAT, gzip, xz, zstd and cpio, in whatever order they are packed. Everything is
//! streamed; what is damaged is told and does not stop the rest.

use std::{
    cell::Cell,
    io::{self, Read, Seek as _},
    rc::Rc,
};

use anyhow::Result;
use camino::Utf8Path;

use super::{Find, Rules, Scan, input::Input, rules::Scanner};
use crate::{
    error::{Failure, Kind},
    iso::{self, Iso},
};

/// Bytes that one scan unpacks: many times what our largest medium holds, and an end to archives that are made
/// never to end.
const BUDGET: u64 = 32 << 30;
/// An initrd in an ISO with compressed modules in it is three deep.
const DEEPEST: usize = 6;
/// cpio's `TRAILER!!!` and every path are shorter.
const LONGEST_NAME: u64 = 4096;

/// A scan under way.
pub(super) struct Walk<'a> {
    rules: &'a Rules,
    budget: Rc<Cell<u64>>,
    artifact: String,
    way: Vec<String>,
    pub(super) scan: Scan,
}

/// How the bytes that come next are packed.
enum Packed {
    Gzip,
    Xz,
    Zstd,
    Cpio,
    Unknown(&'static str),
    Plain,
}

fn packed(head: &[u8]) -> Packed {
    match head {
        [0x1F, 0x8B, 8, ..] => Packed::Gzip,
        [0xFD, b'7', b'z', b'X', b'Z', 0, ..] => Packed::Xz,
        [0x28, 0xB5, 0x2F, 0xFD, ..] => Packed::Zstd,
        [b'0', b'7', b'0', b'7', b'0', b'1' | b'2', ..] => Packed::Cpio,
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, ..] => Packed::Unknown("bzip2"),
        [0x02, 0x21, 0x4C, 0x18, ..] | [0x04, 0x22, 0x4D, 0x18, ..] => Packed::Unknown("lz4"),
        [0x89, b'L', b'Z', b'O', ..] => Packed::Unknown("lzo"),
        _ => Packed::Plain,
    }
}

impl<'a> Walk<'a> {
    pub(super) fn new(rules: &'a Rules) -> Self {
        let scan = Scan::default();
        Self { rules, budget: Rc::new(Cell::new(BUDGET)), artifact: String::new(), way: Vec::new(), scan }
    }

    /// Looks through one file.
    pub(super) fn artifact(&mut self, name: &str, path: &Utf8Path) -> Result<()> {
        name.clone_into(&mut self.artifact);
        let mut file = fs_err::File::open(path)?;
        let mut magic = [0; 5];
        file.seek(io::SeekFrom::Start(iso::SECTOR * 16 + 1))?;
        if file.read_exact(&mut magic).is_ok() && &magic == b"CD001" {
            return self.iso(path);
        }
        file.rewind()?;
        let result = self.stream(&mut file);
        self.note(result)
    }

    /// Each entry of an ISO and of the FAT images in it. When these are clean, the image as a whole, since bytes
    /// may also stand where no entry leads.
    fn iso(&mut self, path: &Utf8Path) -> Result<()> {
        let before = self.scan.found.len();
        match Iso::open(path).and_then(|iso| self.entries(&iso)) {
            Ok(()) => {}
            Err(e) if quota(&e) => return Err(e),
            Err(e) => self.scan.unread.push(format!("{}: {e:#}", self.artifact)),
        }
        if self.scan.found.len() > before {
            return Ok(());
        }
        let result = self.plain(&mut fs_err::File::open(path)?);
        self.note(result)
    }

    fn entries(&mut self, iso: &Iso) -> Result<()> {
        let mut images: Vec<(String, u64)> = Vec::new();
        for entry in iso.walk()?.iter().filter(|e| e.kind == iso::Kind::File) {
            self.entry(iso, entry)?;
            images.extend(entry.extents.first().map(|x| (entry.path.clone(), x.offset)));
        }
        for boot in iso.boot_entries()?.iter().filter(|b| b.platform == "efi") {
            let known = images.iter().find(|(_, at)| *at == boot.offset);
            self.way.push(known.map_or_else(|| "EFI boot image".to_owned(), |(path, _)| path.clone()));
            for file in iso.fat_files(boot.offset)?.iter().filter(|f| f.kind == iso::Kind::File) {
                self.entry(iso, file)?;
            }
            self.way.pop();
        }
        Ok(())
    }

    fn entry(&mut self, iso: &Iso, entry: &iso::Entry) -> Result<()> {
        self.way.push(entry.path.clone());
        let result = self.stream(&mut iso.reader(entry));
        let result = self.note(result);
        self.way.pop();
        result
    }

    /// An error of what is being read is told; only an exhausted budget ends the scan.
    fn survive(&mut self, result: io::Result<()>) -> io::Result<()> {
        match result {
            Err(e) if e.kind() != io::ErrorKind::QuotaExceeded => {
                self.unread(&e.to_string());
                Ok(())
            }
            other => other,
        }
    }

    fn note(&mut self, result: io::Result<()>) -> Result<()> {
        self.survive(result).map_err(|e| {
            let text = format!("{} unpacks to more than {} GiB", self.artifact, BUDGET >> 30);
            Failure::new(Kind::Input, text).source(e).into()
        })
    }

    fn unread(&mut self, why: &str) {
        let way: String = self.way.iter().map(|w| format!(" > {w}")).collect();
        self.scan.unread.push(format!("{}{way}: {why}", self.artifact));
    }

    /// One archive after the other, as the kernel takes them, then whatever is no archive.
    fn stream(&mut self, reader: &mut dyn Read) -> io::Result<()> {
        let budget = Rc::clone(&self.budget);
        let input = &mut Input::new(reader, &budget);
        loop {
            match packed(input.peek(6)?) {
                Packed::Plain => return self.plain(input),
                _ if self.way.len() > DEEPEST => return self.plain(input),
                Packed::Unknown(name) => {
                    self.unread(&format!("packed with {name}, which is not unpacked here"));
                    return self.plain(input);
                }
                Packed::Gzip => self.inside("gzip", &mut flate2::bufread::GzDecoder::new(&mut *input))?,
                Packed::Xz => self.inside("xz", &mut liblzma::bufread::XzDecoder::new(&mut *input))?,
                Packed::Zstd => {
                    let decoder = ruzstd::decoding::StreamingDecoder::new(&mut *input);
                    self.inside("zstd", &mut decoder.map_err(io::Error::other)?)?;
                }
                Packed::Cpio => self.cpio(input)?,
            }
            input.skip_zeros()?;
            if input.peek(1)?.is_empty() {
                return Ok(());
            }
        }
    }

    fn inside(&mut self, name: &str, reader: &mut dyn Read) -> io::Result<()> {
        self.way.push(name.to_owned());
        let result = self.stream(reader);
        self.way.pop();
        result
    }

    /// A newc archive up to its trailer (`Documentation/driver-api/early-userspace/buffer-format.rst`).
    fn cpio(&mut self, input: &mut Input<'_>) -> io::Result<()> {
        loop {
            let mut head = [0; 110];
            input.read_exact(&mut head)?;
            let number = |i: usize| {
                let text = std::str::from_utf8(&head[6 + 8 * i..14 + 8 * i]).ok();
                let value = text.and_then(|t| u32::from_str_radix(t, 16).ok()).map(u64::from);
                value
                    .filter(|_| head.starts_with(b"07070"))
                    .ok_or_else(|| io::Error::other("a damaged cpio header"))
            };
            let (mode, size, name_size) = (number(1)?, number(6)?, number(11)?);
            if name_size > LONGEST_NAME {
                return Err(io::Error::other("a cpio name of more than 4096 bytes"));
            }
            let mut name = Vec::new();
            input.take((110 + name_size).next_multiple_of(4) - 110).read_to_end(&mut name)?;
            let end = name.iter().position(|b| *b == 0).unwrap_or(name.len());
            let name = String::from_utf8_lossy(&name[..end]).into_owned();
            if name == "TRAILER!!!" {
                return Ok(());
            }
            let mut content = input.take(size);
            if mode & 0o170_000 == 0o100_000 && size > 0 {
                self.way.push(name);
                let result = self.stream(&mut content);
                let result = self.survive(result);
                self.way.pop();
                result?;
            }
            io::copy(&mut content, &mut io::sink())?;
            if content.limit() > 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            io::copy(&mut input.take(size.next_multiple_of(4) - size), &mut io::sink())?;
        }
    }

    fn plain(&mut self, reader: &mut dyn Read) -> io::Result<()> {
        let mut scanner = Scanner::new(self.rules);
        let result = scanner.read(reader);
        for (what, at) in scanner.found {
            let find = Find { artifact: self.artifact.clone(), inside: self.way.clone(), what };
            self.scan.found.entry(find).or_insert(at);
        }
        result
    }
}

fn quota(e: &anyhow::Error) -> bool {
    e.chain().any(|c| c.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::QuotaExceeded))
}
