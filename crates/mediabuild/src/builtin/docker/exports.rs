//! Go programs without the functions that they offer to plug-ins.
//!
//! A Go program that can load plug-ins exports each of its functions by name, which for dockerd, containerd and its shim
//! comes to a tenth of their size and to an eighth of the system's image. Nothing in the system is such a plug-in. Their
//! code and data stay as they are, byte for byte; so does each symbol that the program itself or one of its libraries
//! looks up (`docs/adr/0014-go-tables.md`).

use std::{collections::BTreeSet, ops::Range};

use anyhow::{Context as _, Result, ensure};
use elf::{
    ElfBytes, abi, endian::LittleEndian, file::Class, gnu_symver::VerNeedIterator, hash::gnu_hash,
    section::SectionHeader,
};

/// The sizes of a symbol, of its version, and of a relocation in a file of 64 bits (ELF-64 Object File Format 1.5).
const SYMBOL: usize = 24;
const VERSION: usize = 2;
const RELOCATION: usize = 24;
/// Where a relocation has its symbol.
const RELOCATION_SYMBOL: usize = 12;

/// What is looked at and changed.
struct Exports<'a> {
    program: &'a [u8],
    file: ElfBytes<'a, LittleEndian>,
    symbols: SectionHeader,
    strings: SectionHeader,
    versions: SectionHeader,
    hash: SectionHeader,
    relocations: Vec<SectionHeader>,
}

/// The symbols that stay, by their numbers.
struct Kept {
    undefined: Vec<usize>,
    defined: Vec<usize>,
}

/// The program without exports that nobody looks up; `known` are the symbols of its libraries. `None` when the file is not a Go
/// program or has no such exports.
pub(super) fn without_exports(program: &[u8], known: &BTreeSet<Vec<u8>>) -> Result<Option<Vec<u8>>> {
    let Some(exports) = Exports::find(program)? else { return Ok(None) };
    let (kept, all) = exports.kept(known)?;
    if 1 + kept.undefined.len() + kept.defined.len() == all {
        return Ok(None);
    }
    exports.reduced(&kept, all).map(Some)
}

impl<'a> Exports<'a> {
    fn find(program: &'a [u8]) -> Result<Option<Self>> {
        let Ok(file) = ElfBytes::<LittleEndian>::minimal_parse(program) else { return Ok(None) };
        let section = |name: &str| file.section_header_by_name(name);
        // A second table of names, and versions of its own, are what libraries have.
        let library = section(".hash")?.is_some() || section(".gnu.version_d")?.is_some();
        if file.ehdr.class != Class::ELF64 || section(".go.buildinfo")?.is_none() || library {
            return Ok(None);
        }
        let sections =
            (section(".dynsym")?, section(".dynstr")?, section(".gnu.version")?, section(".gnu.hash")?);
        let (Some(symbols), Some(strings), Some(versions), Some(hash)) = sections else { return Ok(None) };
        let relocations = file.section_headers().into_iter().flatten();
        let relocations = relocations
            .filter(|s| s.sh_type == abi::SHT_RELA && s.sh_flags & u64::from(abi::SHF_ALLOC) != 0)
            .collect();
        // Symbols that only the file itself sees come first, and their number is told.
        Ok((symbols.sh_info == 1).then_some(Self {
            program,
            file,
            symbols,
            strings,
            versions,
            hash,
            relocations,
        }))
    }

    fn kept(&self, known: &BTreeSet<Vec<u8>>) -> Result<(Kept, usize)> {
        let mut used = BTreeSet::new();
        for section in &self.relocations {
            used.extend(self.file.section_data_as_relas(section)?.map(|r| r.r_sym as usize));
        }
        let (table, names) = self.file.dynamic_symbol_table()?.context("no dynamic symbols")?;
        let mut kept = Kept { undefined: Vec::new(), defined: Vec::new() };
        for (number, symbol) in table.iter().enumerate().skip(1) {
            if symbol.is_undefined() {
                kept.undefined.push(number);
            } else if used.contains(&number) || known.contains(names.get_raw(symbol.st_name as usize)?) {
                kept.defined.push(number);
            }
        }
        Ok((kept, table.len()))
    }

    /// The tables have their places and sizes still, and are zero behind what stays.
    fn reduced(&self, kept: &Kept, all: usize) -> Result<Vec<u8>> {
        let order: Vec<usize> = kept.undefined.iter().chain(&kept.defined).copied().collect();
        let mut out = self.program.to_vec();
        for (section, size) in [(&self.symbols, SYMBOL), (&self.versions, VERSION)] {
            let place = self.place(section)?;
            ensure!(place.len() >= all * size, "a table of symbols is too short");
            out[place.clone()].fill(0);
            for (number, old) in order.iter().enumerate() {
                let (to, from) = (place.start + (number + 1) * size, place.start + old * size);
                out[to..to + size].copy_from_slice(&self.program[from..from + size]);
            }
        }
        for section in &self.relocations {
            for relocation in out[self.place(section)?].chunks_exact_mut(RELOCATION) {
                let symbol = &mut relocation[RELOCATION_SYMBOL..RELOCATION_SYMBOL + 4];
                let old = u32::from_le_bytes(symbol.try_into()?) as usize;
                if old != 0 {
                    let new = order.iter().position(|o| *o == old).context("a relocation has no symbol")? + 1;
                    symbol.copy_from_slice(&u32::try_from(new)?.to_le_bytes());
                }
            }
        }
        let (hash, strings) = (self.place(&self.hash)?, self.place(&self.strings)?);
        let table = self.hash_table(kept)?;
        ensure!(table.len() <= hash.len(), "the hash table is too short");
        out[hash.clone()].fill(0);
        out[hash.start..hash.start + table.len()].copy_from_slice(&table);
        out[strings.clone()].fill(0);
        for offset in self.strings(&order)? {
            let name = self.file.section_data_as_strtab(&self.strings)?.get_raw(offset)?;
            let at = strings.start + offset;
            out[at..at + name.len()].copy_from_slice(name);
        }
        Ok(out)
    }

    fn place(&self, section: &SectionHeader) -> Result<Range<usize>> {
        let start = usize::try_from(section.sh_offset)?;
        let end = start.checked_add(usize::try_from(section.sh_size)?).context("a section without end")?;
        ensure!(end <= self.program.len(), "a section ends beyond the file");
        Ok(start..end)
    }

    /// One bucket with all defined symbols, and a filter that lets each name pass.
    fn hash_table(&self, kept: &Kept) -> Result<Vec<u8>> {
        let (table, names) = self.file.dynamic_symbol_table()?.context("no dynamic symbols")?;
        let first = u32::try_from(1 + kept.undefined.len())?;
        let mut words =
            vec![1, first, 1, 0, u32::MAX, u32::MAX, if kept.defined.is_empty() { 0 } else { first }];
        for number in &kept.defined {
            words.push(gnu_hash(names.get_raw(table.get(*number)?.st_name as usize)?) & !1);
        }
        // The last of a bucket is odd.
        if let (Some(last), false) = (words.last_mut(), kept.defined.is_empty()) {
            *last |= 1;
        }
        Ok(words.iter().flat_map(|word| word.to_le_bytes()).collect())
    }

    /// Where the names begin that are still read: of symbols, of libraries, and of their versions.
    fn strings(&self, order: &[usize]) -> Result<BTreeSet<usize>> {
        let (table, _) = self.file.dynamic_symbol_table()?.context("no dynamic symbols")?;
        let mut offsets = BTreeSet::new();
        for number in order {
            offsets.insert(table.get(*number)?.st_name as usize);
        }
        for entry in self.file.dynamic()?.context("no dynamic section")? {
            if [abi::DT_NEEDED, abi::DT_SONAME, abi::DT_RPATH, abi::DT_RUNPATH].contains(&entry.d_tag) {
                offsets.insert(usize::try_from(entry.d_val())?);
            }
        }
        if let Some(needed) = self.file.section_header_by_name(".gnu.version_r")? {
            let (data, _) = self.file.section_data(&needed)?;
            let libraries =
                VerNeedIterator::new(LittleEndian, Class::ELF64, u64::from(needed.sh_info), 0, data);
            for (library, versions) in libraries {
                offsets.insert(library.vn_file as usize);
                offsets.extend(versions.map(|version| version.vna_name as usize));
            }
        }
        Ok(offsets)
    }
}

#[cfg(test)]
pub(super) mod tests;
