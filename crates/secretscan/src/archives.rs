//! Archives that are read from front to back: cpio, tar, ar. Names and the targets of links are looked at as well.

use std::io::{self, BufRead as _, Read};

use super::{input::ScannedBytes, walk::ScanWalk};

/// cpio's `TRAILER!!!` and every path are shorter.
const LONGEST_NAME: u64 = 4096;

/// What a cpio header says.
struct CpioHeader {
    size: u64,
    name_size: u64,
    /// Names and contents end at a multiple of this, counted from the header.
    align: u64,
    length: u64,
}

impl CpioHeader {
    /// The form that the kernel unpacks (`newc`, `Documentation/driver-api/early-userspace/buffer-format.rst`), and
    /// POSIX's (`odc`), which busybox and others unpack.
    ///
    /// What is damaged is left in `input`: something else may stand there.
    fn read(input: &mut ScannedBytes<'_>) -> io::Result<Self> {
        let head = input.peek(110)?;
        let number = |from: usize, length: usize, radix| {
            let text = std::str::from_utf8(head.get(from..from + length)?).ok()?;
            u64::from_str_radix(text, radix).ok()
        };
        let (size, name_size, align, length) = if head.starts_with(b"070707") {
            (number(65, 11, 8), number(59, 6, 8), 1, 76)
        } else {
            let newc = |from| number(from, 8, 16).filter(|_| head.starts_with(b"07070"));
            (newc(54), newc(94), 4, 110)
        };
        let damaged = || io::Error::other("a damaged cpio header");
        let (size, name_size) = size.zip(name_size).ok_or_else(damaged)?;
        input.consume(length);
        Ok(Self { size, name_size, align, length: length as u64 })
    }
}

impl ScanWalk<'_> {
    /// A cpio archive up to its trailer.
    pub(super) fn cpio(&mut self, input: &mut ScannedBytes<'_>) -> io::Result<()> {
        loop {
            let head = CpioHeader::read(input)?;
            if head.name_size > LONGEST_NAME {
                return Err(io::Error::other("a cpio name of more than 4096 bytes"));
            }
            let padded = |n: u64| n.next_multiple_of(head.align);
            let mut name = Vec::new();
            input.take(padded(head.length + head.name_size) - head.length).read_to_end(&mut name)?;
            let end = name.iter().position(|b| *b == 0).unwrap_or(name.len());
            let name = String::from_utf8_lossy(&name[..end]).into_owned();
            if name == "TRAILER!!!" {
                return Ok(());
            }
            self.member(name, &mut input.take(head.size))?;
            io::copy(&mut input.take(padded(head.size) - head.size), &mut io::sink())?;
        }
    }

    /// A tar archive up to its end. Each header is taken as it is: what long names and extended headers hold is
    /// looked at as the contents of a member, and never taken into memory.
    pub(super) fn tar(&mut self, input: &mut ScannedBytes<'_>) -> io::Result<()> {
        let mut archive = tar::Archive::new(input);
        for entry in archive.entries()?.raw(true) {
            let mut entry = entry?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            if let Some(target) = entry.link_name_bytes() {
                self.name(&String::from_utf8_lossy(&target))?;
            }
            self.member(name, &mut entry)?;
        }
        Ok(())
    }

    /// A Unix archive: a Debian package, or a library.
    pub(super) fn ar(&mut self, input: &mut ScannedBytes<'_>) -> io::Result<()> {
        input.consume(b"!<arch>\n".len());
        loop {
            let head = input.peek(60)?;
            if head.is_empty() {
                return Ok(());
            }
            let text = String::from_utf8_lossy(head).into_owned();
            let size = text.get(48..58).and_then(|s| s.trim().parse::<u64>().ok());
            let size = size.filter(|_| text.ends_with("`\n"));
            let size = size.ok_or_else(|| io::Error::other("a damaged ar header"))?;
            input.consume(60);
            let name = text.get(..16).unwrap_or_default().trim_end_matches(['/', ' ']);
            self.member(name.to_owned(), &mut input.take(size))?;
            if !size.is_multiple_of(2) && !input.peek(1)?.is_empty() {
                input.consume(1);
            }
        }
    }

    /// A file of an archive, or a link, whose content is its target. Reads it to its end.
    fn member(&mut self, name: String, content: &mut dyn Read) -> io::Result<()> {
        self.way.push(name);
        let path = format!("/{}", self.way[self.way.len() - 1].trim_start_matches(['.', '/']));
        let result = self.name(&path).and_then(|()| self.stream(content));
        let result = self.survive(result);
        self.way.pop();
        result?;
        io::copy(content, &mut io::sink()).map(drop)
    }
}
