//! The way into artifacts, in whatever order they are packed. Archives are streamed; images, in which one must seek,
//! go to a temporary file. What is damaged or packed in a way not known here is told and does not stop the rest.

use std::{
    io::{self, Read, Seek as _},
    rc::Rc,
    sync::Arc,
};

use anyhow::Result;
use camino::Utf8Path;

use super::{
    Find, Rules, Scan,
    formats::{self, Packed, packed},
    input::{Limit, ScannedBytes},
    rules::FindKind,
};
use buildexec::ctx::Ctx;
use failure::{Failure, Kind};

/// Bytes that one scan unpacks: many times what our largest medium holds, and an end to archives that are made
/// never to end.
const BUDGET: u64 = 32 << 30;
/// The longest way into something real (ISO, initrd, its packing, container images, a layer, its packing, a file,
/// its packing) is eight.
const DEEPEST: usize = 16;

/// A scan under way.
pub(super) struct ScanWalk<'a> {
    rules: &'a Rules,
    pub(super) limit: Rc<Limit>,
    artifact: String,
    pub(super) way: Vec<String>,
    pub(super) scan: Scan,
}

impl<'a> ScanWalk<'a> {
    pub(super) fn new(ctx: &Ctx, rules: &'a Rules) -> Self {
        let limit = Rc::new(Limit::new(BUDGET, ctx.runner.interrupt.clone()));
        Self { rules, limit, artifact: String::new(), way: Vec::new(), scan: Scan::default() }
    }

    /// Looks through one file.
    pub(super) fn artifact(&mut self, ctx: &Ctx, name: &str, path: &Utf8Path) -> Result<()> {
        name.clone_into(&mut self.artifact);
        let meta = fs_err::symlink_metadata(path)?;
        if !meta.is_file() {
            // A pipe would be waited for without an end.
            let what = if meta.is_symlink() {
                "a link, which is never followed"
            } else {
                "no file, no folder, no link"
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
            _ => self.stream(&mut file),
        };
        self.survive(result).map_err(|e| {
            let text = format!("{} unpacks to more than {} GiB", self.artifact, BUDGET >> 30);
            let quota = Failure::new(Kind::Input, text).source(e);
            ctx.check_interrupt().err().unwrap_or_else(|| quota.into())
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
        self.scan.unread.push(format!("{}{way}: {why}", self.artifact));
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

    /// One archive after the other, as the kernel takes them, and whatever is no archive before, between, behind.
    pub(super) fn stream(&mut self, reader: &mut dyn Read) -> io::Result<()> {
        let limit = Rc::clone(&self.limit);
        self.input(&mut ScannedBytes::new(reader, &limit, 0), &[])
    }

    /// As [`Self::stream`]; what is `inside` an image of these kinds is not taken for one of them.
    pub(super) fn input(&mut self, input: &mut ScannedBytes<'_>, inside: &[Packed]) -> io::Result<()> {
        input.is_program = formats::is_program(input.peek(formats::HEAD)?);
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
            Packed::Gzip => self.inside("gzip", &mut formats::gzip(input)),
            Packed::Xz => self.inside("xz", &mut formats::xz(input)?),
            Packed::Lzma => self.inside("lzma", &mut formats::lzma(input)?),
            Packed::Zstd => self.inside("zstd", &mut formats::zstd(input)?),
            Packed::Utf16(from) => {
                let mut decoder = encoding_rs_io::DecodeReaderBytesBuilder::new();
                self.inside("UTF-16", &mut decoder.encoding(Some(from)).build(input))
            }
            Packed::Cpio => self.cpio(input),
            Packed::Tar => self.tar(input),
            Packed::Ar => self.ar(input),
            Packed::Iso | Packed::Fat | Packed::Disk => self.spooled(kind, input),
            Packed::Unknown(name) => {
                self.unread(&format!("packed with {name}, which is not unpacked here"));
                self.plain(input)
            }
        }
    }

    /// Up to the end, or to an archive that begins in the middle.
    fn plain(&mut self, input: &mut ScannedBytes<'_>) -> io::Result<()> {
        let mut seen = self.rules.look(input);
        for (what, at) in std::mem::take(&mut seen.found) {
            self.found(what, at);
        }
        for (name, bytes) in &seen.hidden {
            self.inside(name, &mut bytes.as_slice())?;
        }
        seen.result
    }

    fn found(&mut self, what: FindKind, at: u64) {
        let find = |way: &[String]| Find { artifact: self.artifact.clone(), inside: way.to_vec(), what };
        // A key's own base64 holds the key.
        let derived = |n: &usize| self.way[*n] == BASE64;
        let again =
            (0..self.way.len()).filter(derived).any(|n| self.scan.found.contains_key(&find(&self.way[..n])));
        let place = find(&self.way);
        if !again {
            self.scan.found.entry(place).or_insert(at);
        }
    }
}

/// How decoded text is called on the way in.
pub(super) const BASE64: &str = "base64";
