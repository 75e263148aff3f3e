//! A file with the sections that count, and what remains of it.

use elf::hash::GnuHashTable;

use super::*;

/// Symbols: the name, and whether it is defined.
const SYMBOLS: &[(&str, bool)] = &[
    ("main.first", true),
    ("malloc", false),
    ("runtime.tlsg", true),
    ("main.second", true),
    ("environ", true),
    ("free", false),
];

pub(in super::super) fn le(values: &[u64], size: usize) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()[..size].to_vec()).collect()
}

/// A Go program's tables; the relocations are for `free` and `runtime.tlsg`.
fn program(mark: &'static str) -> Vec<u8> {
    let mut strings = b"\0libc.so.6\0".to_vec();
    let mut symbols = vec![0; SYMBOL];
    for (name, defined) in SYMBOLS {
        symbols.extend(le(&[strings.len() as u64], 4));
        symbols.extend([0x12, 0]);
        symbols.extend(le(&[u64::from(*defined)], 2));
        symbols.extend(le(&[0x1000 + strings.len() as u64, 8], 8));
        strings.extend(name.bytes().chain([0]));
    }
    let relocation = |symbol: u64, kind: u64| le(&[0x2000, symbol << 32 | kind, 7], 8);
    elf(vec![
        (".dynsym", abi::SHT_DYNSYM, symbols, 2, 1),
        (".dynstr", abi::SHT_STRTAB, strings, 0, 0),
        (".gnu.version", abi::SHT_GNU_VERSYM, le(&[0, 1, 2, 1, 1, 1, 3], 2), 1, 0),
        (".gnu.hash", abi::SHT_GNU_HASH, vec![0xff; 64], 1, 0),
        (".rela.dyn", abi::SHT_RELA, [relocation(6, 6), relocation(0, 8), relocation(3, 18)].concat(), 1, 0),
        (".dynamic", abi::SHT_DYNAMIC, le(&[1, 1, 0, 0], 8), 2, 0),
        (mark, abi::SHT_PROGBITS, b"code and data".to_vec(), 0, 0),
    ])
}

/// A section: its name and kind, its bytes, and what it links to.
type ElfSection = (&'static str, u32, Vec<u8>, u32, u32);

/// A file of these sections, between an empty one and that of their names.
pub(in super::super) fn elf(sections: Vec<ElfSection>) -> Vec<u8> {
    let first = ("", abi::SHT_NULL, Vec::new(), 0, 0);
    let last = (".shstrtab", abi::SHT_STRTAB, Vec::new(), 0, 0);
    let sections: Vec<ElfSection> = [first].into_iter().chain(sections).chain([last]).collect();
    let names = sections.iter().fold(Vec::new(), |all, s| [&all[..], s.0.as_bytes(), b"\0"].concat());
    let (mut body, mut headers, mut name) = (vec![0; 64], Vec::new(), 0);
    for (title, kind, data, link, info) in &sections {
        let data = if *title == ".shstrtab" { &names } else { data };
        let entry = [(".dynsym", 24), (".rela.dyn", 24), (".dynamic", 16)].iter().find(|e| e.0 == *title);
        headers.extend(le(&[name, u64::from(*kind)], 4));
        headers.extend(le(&[u64::from(abi::SHF_ALLOC), 0, body.len() as u64, data.len() as u64], 8));
        headers.extend(le(&[u64::from(*link), u64::from(*info)], 4));
        headers.extend(le(&[8, entry.map_or(0, |e| e.1)], 8));
        body.extend(data);
        name += title.len() as u64 + 1;
    }
    let start = body.len() as u64;
    let mut head = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    head.extend([le(&[3, 62], 2), le(&[1], 4), le(&[0, 0, start], 8), le(&[0], 4)].concat());
    head.extend(le(&[64, 56, 0, 64, sections.len() as u64, sections.len() as u64 - 1], 2));
    body[..64].copy_from_slice(&head);
    [body, headers].concat()
}

fn known() -> BTreeSet<Vec<u8>> {
    BTreeSet::from([b"environ".to_vec(), b"stdout".to_vec()])
}

#[test]
fn what_is_looked_up_stays_and_all_other_exports_go() {
    let before = program(".go.buildinfo");
    let after = without_exports(&before, &known()).unwrap().unwrap();
    assert_eq!(after.len(), before.len());
    let file = ElfBytes::<LittleEndian>::minimal_parse(&after).unwrap();
    let (table, names) = file.dynamic_symbol_table().unwrap().unwrap();
    let named = |i: usize| names.get(table.get(i).unwrap().st_name as usize).unwrap();
    assert_eq!(
        (0..7).map(named).collect::<Vec<_>>(),
        ["", "malloc", "free", "runtime.tlsg", "environ", "", ""]
    );
    // With their values and versions.
    assert_eq!(table.get(3).unwrap().st_value, 0x1000 + 29);
    let versions = file.section_header_by_name(".gnu.version").unwrap().unwrap();
    assert_eq!(file.section_data(&versions).unwrap().0, le(&[0, 2, 3, 1, 1, 0, 0], 2));
    let relocations = file.section_header_by_name(".rela.dyn").unwrap().unwrap();
    let relocations =
        file.section_data_as_relas(&relocations).unwrap().map(|r| (r.r_sym, r.r_type, r.r_addend));
    assert_eq!(relocations.collect::<Vec<_>>(), [(2, 6, 7), (0, 8, 7), (3, 18, 7)]);
    let hash = file.section_header_by_name(".gnu.hash").unwrap().unwrap();
    let hash = GnuHashTable::new(LittleEndian, Class::ELF64, file.section_data(&hash).unwrap().0).unwrap();
    let find = |name: &str| hash.find(name.as_bytes(), &table, &names).unwrap().map(|(number, _)| number);
    assert_eq!(
        [find("runtime.tlsg"), find("environ"), find("main.first"), find("malloc")],
        [Some(3), Some(4), None, None]
    );
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(!text(&after).contains("main.") && text(&after).contains("libc.so.6"));
    assert!(text(&after).contains("code and data"));
}

#[test]
fn a_program_that_is_not_gos_or_exports_nothing_more_stays_as_it_is() {
    assert_eq!(without_exports(&program(".rodata"), &known()).unwrap(), None);
    assert_eq!(without_exports(b"#!/bin/sh\n", &known()).unwrap(), None);
    let all = SYMBOLS.iter().map(|(name, _)| name.as_bytes().to_vec()).collect();
    assert_eq!(without_exports(&program(".go.buildinfo"), &all).unwrap(), None);
}

#[test]
fn damaged_tables_are_an_error() {
    let whole = program(".go.buildinfo");
    // The size of the versions' section, in the fourth header.
    let headers = whole.len() - 9 * 64;
    let mut short = whole;
    short[headers + 3 * 64 + 32] = 2;
    let error = without_exports(&short, &known()).unwrap_err().to_string();
    assert_eq!(error, "a table of symbols is too short");
}
