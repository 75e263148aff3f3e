//! Go programs without the file and line of each instruction.
//!
//! A Go program carries a table from which a stack trace takes the function, file and line of an address. Nothing else reads
//! files and lines, and they are a tenth of the system's image packed. Without them a trace says `?:0` and the offset in the
//! function, from which the package's own program gives the line. Code, addresses, functions' names, and what the garbage
//! collector reads from the same table stay as they are (`docs/adr/0014-go-tables.md`).

use std::{collections::BTreeSet, ops::Range};

use elf::{ElfBytes, endian::LittleEndian};

/// How the table begins since Go 1.20, for instructions of any length and words of 8 bytes (Go's `src/debug/gosym/pclntab.go`).
const MAGIC: [u8; 8] = [0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8];
/// The magic, and eight words.
const HEADER: usize = 72;
/// Where the table is; a program that may be loaded anywhere has it among data that is relocated.
const SECTIONS: [&str; 3] = [".gopclntab", ".data.rel.ro", ".rodata"];
/// Offsets in a function's record (`_func` in Go's `src/runtime/runtime2.go`).
const STACK: usize = 16;
const FILE: usize = 20;
const LINE: usize = 24;
const DATA_COUNT: usize = 28;
const DATA: usize = 44;

/// The table, as ranges of its own bytes.
struct Positions<'a> {
    /// From its magic to the end of the section.
    bytes: &'a [u8],
    /// Where it is in the program.
    start: usize,
    /// How many functions there are.
    count: usize,
    /// Names of files, and which of them each package uses.
    files: Range<usize>,
    /// Streams of numbers by address, one behind the other.
    streams: Range<usize>,
    /// The list of functions, and their records.
    functions: usize,
}

/// A function's record: where it is, and the offsets of its streams; 0 for one that it does not have.
struct Function {
    at: usize,
    file: u32,
    line: u32,
    others: Vec<u32>,
}

/// The program without files and lines. `None` when it has none, or anything about it is not as Go writes it.
pub(super) fn without_positions(program: &[u8]) -> Option<Vec<u8>> {
    let table = Positions::find(program)?;
    let functions = table.functions()?;
    let gone: BTreeSet<u32> = functions.iter().flat_map(|f| [f.file, f.line]).collect();
    let kept: BTreeSet<u32> = functions.iter().flat_map(|f| f.others.iter().copied()).collect();
    let place = |range: &Range<usize>| table.start + range.start..table.start + range.end;
    let mut out = program.to_vec();
    for range in table.ranges(&gone)? {
        out[place(&range)].fill(0);
    }
    // Streams of equal numbers are one.
    for range in table.ranges(&kept)?.iter().map(place) {
        out[range.clone()].copy_from_slice(&program[range]);
    }
    out[place(&table.files)].fill(0);
    for function in &functions {
        let record = table.functions + function.at;
        out[place(&(record + FILE..record + LINE + 4))].fill(0);
    }
    (out != program).then_some(out)
}

impl<'a> Positions<'a> {
    fn find(program: &'a [u8]) -> Option<Self> {
        let file = ElfBytes::<LittleEndian>::minimal_parse(program).ok()?;
        file.section_header_by_name(".go.buildinfo").ok()??;
        let mut found = Vec::new();
        for name in SECTIONS {
            let Some(section) = file.section_header_by_name(name).ok()? else { continue };
            let start = usize::try_from(section.sh_offset).ok()?;
            let data = program.get(start..start.checked_add(usize::try_from(section.sh_size).ok()?)?)?;
            let magics = memchr::memmem::find_iter(data, &MAGIC);
            found.extend(magics.filter_map(|at| Self::read(&data[at..], start + at)));
        }
        let [table] = <[Self; 1]>::try_from(found).ok()?;
        Some(table)
    }

    /// Reads the header; its parts follow each other in one order.
    fn read(bytes: &'a [u8], start: usize) -> Option<Self> {
        let words = bytes.get(MAGIC.len()..HEADER)?.chunks_exact(8);
        let words: Vec<usize> = words.map(|w| usize::from_le_bytes(w.try_into().expect("8 bytes"))).collect();
        let [count, _, _, names, packages, files, streams, functions] = words[..] else { return None };
        let parts = [HEADER, names, packages, files, streams, functions, bytes.len()];
        (count > 0 && parts.is_sorted()).then_some(Self {
            bytes,
            start,
            count,
            files: packages..streams,
            streams: streams..functions,
            functions,
        })
    }

    /// The functions' records, each of which repeats the address that the list gives.
    fn functions(&self) -> Option<Vec<Function>> {
        let bytes = &self.bytes[self.functions..];
        let word = |at: usize| {
            bytes.get(at..at.checked_add(4)?).map(|w| u32::from_le_bytes(w.try_into().expect("4 bytes")))
        };
        let function = |number: usize| {
            let (address, at) = (word(number * 8)?, word(number * 8 + 4)? as usize);
            let data = (0..word(at + DATA_COUNT)? as usize).map(|n| word(at + DATA + 4 * n));
            let others = std::iter::once(word(at + STACK)).chain(data).collect::<Option<_>>()?;
            let known = word(at)? == address;
            known.then_some(Function { at, file: word(at + FILE)?, line: word(at + LINE)?, others })
        };
        (0..self.count).map(function).collect()
    }

    /// Where streams with these offsets are.
    fn ranges(&self, offsets: &BTreeSet<u32>) -> Option<Vec<Range<usize>>> {
        let streams = &self.bytes[self.streams.clone()];
        let range = |offset: &u32| {
            let Range { start, end } = stream(streams, *offset as usize)?;
            Some(self.streams.start + start..self.streams.start + end)
        };
        offsets.iter().filter(|offset| **offset != 0).map(range).collect()
    }
}

/// The stream at `start`: pairs of a number's change and an address's, up to a number that does not change.
fn stream(streams: &[u8], start: usize) -> Option<Range<usize>> {
    let mut at = start;
    loop {
        let change = streams.get(at)?;
        if *change == 0 && at != start {
            return Some(start..at + 1);
        }
        at = behind(streams, behind(streams, at)?)?;
    }
}

/// What is behind a number of seven bits a byte; the last byte has none to follow.
fn behind(streams: &[u8], at: usize) -> Option<usize> {
    let last = streams.get(at..)?.iter().take(5).position(|byte| byte & 0x80 == 0)?;
    Some(at + last + 1)
}

#[cfg(test)]
mod tests;
