//! Tables as Go's linker writes them, and what is read from them afterwards.

use elf::abi::SHT_PROGBITS;
use proptest::prelude::*;

use super::{
    super::exports::tests::{elf, le},
    *,
};

/// A stream: how the number changes, and over how many bytes of code.
type PcSteps = Vec<(i32, u32)>;

/// A function's streams, as places in the list of all: of the stack, the file, the line, and others.
type TableStreams = (usize, usize, usize, Vec<usize>);

fn varint(mut number: u32, to: &mut Vec<u8>) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

/// A table with these streams and functions; where its list of functions is, too.
fn table(streams: &[PcSteps], functions: &[TableStreams]) -> (Vec<u8>, usize) {
    let (mut bytes, mut offsets) = (vec![0], Vec::new());
    for steps in streams {
        offsets.push(bytes.len() as u64);
        for (change, length) in steps {
            varint((*change << 1 ^ *change >> 31) as u32, &mut bytes);
            varint(*length, &mut bytes);
        }
        bytes.push(0);
    }
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    let (mut list, mut records) = (Vec::new(), Vec::new());
    for (number, (stack, file, line, others)) in functions.iter().enumerate() {
        let address = 64 * number as u64;
        list.extend(le(&[address, (8 * functions.len() + 4 + records.len()) as u64], 4));
        let numbers = [address, 7, 0, 0, offsets[*stack], offsets[*file], offsets[*line]];
        records.extend(le(&numbers, 4));
        // The number of the others, the package, the first line; then the kind of function, in bytes.
        records.extend(le(&[others.len() as u64, 3, 12, 0], 4));
        records.extend(le(&others.iter().map(|other| offsets[*other]).collect::<Vec<_>>(), 4));
    }
    list.extend(le(&[64 * functions.len() as u64], 4));
    let (names, packages, files) = (b"main.main\0\0\0\0\0\0\0", [5; 8], b"/src/main.go\0\0\0\0");
    let mut at = HEADER as u64;
    let mut place = |length: usize| {
        let next = at + length as u64;
        std::mem::replace(&mut at, next)
    };
    let places =
        [place(names.len()), place(packages.len()), place(files.len()), place(bytes.len()), place(0)];
    let header = [&[functions.len() as u64, 1, 0], &places[..]].concat();
    let start = places[4] as usize;
    ([&MAGIC[..], &le(&header, 8), names, &packages, files, &bytes, &list, &records].concat(), start)
}

fn program(table: &[u8]) -> Vec<u8> {
    let data = [b"before: 16 bytes", table].concat();
    elf(vec![
        (".go.buildinfo", SHT_PROGBITS, b"go1.24".to_vec(), 0, 0),
        (".data.rel.ro", SHT_PROGBITS, data, 0, 0),
        (".data", SHT_PROGBITS, b"behind".to_vec(), 0, 0),
    ])
}

/// The numbers of a stream as Go's runtime reads them.
fn numbers(streams: &[u8], offset: u32) -> Vec<(u64, i64)> {
    let (mut at, mut address, mut value, mut all) = (offset as usize, 0, -1, Vec::new());
    let read = |at: &mut usize| {
        let end = behind(streams, *at).unwrap();
        let bytes = streams[std::mem::replace(at, end)..end].iter().rev();
        bytes.fold(0_u64, |all, byte| all << 7 | u64::from(byte & 0x7f))
    };
    while streams[at] != 0 || at == offset as usize {
        let change = read(&mut at);
        value += (change >> 1) as i64 ^ -((change & 1) as i64);
        address += read(&mut at);
        all.push((address, value));
    }
    all
}

/// Each function's numbers: of the stack and what the garbage collector reads.
fn kept(program: &[u8]) -> Vec<Vec<Vec<(u64, i64)>>> {
    let table = Positions::find(program).unwrap();
    let streams = &table.bytes[table.streams.clone()];
    let read = |f: &Function| f.others.iter().filter(|o| **o != 0).map(|o| numbers(streams, *o)).collect();
    table.functions().unwrap().iter().map(read).collect()
}

fn steps() -> impl Strategy<Value = PcSteps> {
    let change = prop_oneof![-3..0, 1..100_i32, 100_000..1_000_000];
    // The first number may be what every stream begins with.
    (any::<bool>(), prop::collection::vec((change, 1..5_000_u32), 1..8)).prop_map(|(same, mut steps)| {
        if same {
            steps[0].0 = 0;
        }
        steps
    })
}

proptest! {
    #[test]
    fn what_the_runtime_reads_stays_and_positions_go(
        streams in prop::collection::vec(steps(), 6),
        functions in prop::collection::vec((0..6_usize, 0..6_usize, 0..6_usize, prop::collection::vec(0..6_usize, 0..4)), 1..9),
    ) {
        let (table, list) = table(&streams, &functions);
        let before = program(&table);
        let after = without_positions(&before).unwrap();
        prop_assert_eq!(after.len(), before.len());
        prop_assert_eq!(kept(&after), kept(&before));
        for function in Positions::find(&after).unwrap().functions().unwrap() {
            prop_assert_eq!((function.file, function.line), (0, 0));
        }
        // All other bytes are as they were, and a stream that only positions had is gone.
        let start = memchr::memmem::find(&before, &MAGIC).unwrap();
        prop_assert_eq!(&after[..start + HEADER], &before[..start + HEADER]);
        prop_assert_eq!(&after[start + table.len()..], &before[start + table.len()..]);
        prop_assert!(memchr::memmem::find(&after, b"main.main").is_some());
        prop_assert!(memchr::memmem::find(&after, b"main.go").is_none());
        let used: BTreeSet<usize> = functions.iter().flat_map(|f| f.3.iter().chain([&f.0])).copied().collect();
        let zero = |program: &[u8]| program[start..start + list].iter().filter(|b| **b == 0).count();
        if functions.iter().any(|f| !used.contains(&f.1)) {
            prop_assert!(zero(&after) > zero(&before) + 20);
        }
        prop_assert_eq!(without_positions(&after), None);
    }

    #[test]
    fn a_damaged_table_stays_as_it_is_or_loses_no_more(at in 0..400_usize, byte: u8) {
        let (table, _) = table(&[vec![(1, 4)], vec![(2, 9), (-1, 3)], vec![(5, 5)]], &[(0, 1, 2, vec![0]), (0, 2, 1, vec![])]);
        let mut damaged = program(&table);
        let start = memchr::memmem::find(&damaged, &MAGIC).unwrap();
        let at = start + at % table.len();
        damaged[at] = byte;
        if let Some(after) = without_positions(&damaged) {
            prop_assert_eq!(kept(&after), kept(&damaged));
        }
    }
}

#[test]
fn what_is_not_understood_stays_as_it_is() {
    let (table, list) = table(&[vec![(1, 4)], vec![(2, 9)]], &[(0, 1, 1, vec![0])]);
    assert!(without_positions(&program(&table)).is_some());
    let change = |at: usize, bytes: &[u8]| {
        let mut table = table.clone();
        table[at..at + bytes.len()].copy_from_slice(bytes);
        without_positions(&program(&table))
    };
    assert_eq!(change(0, &[0xf2]), None, "another version of the table");
    assert_eq!(change(HEADER - 8, &[0xff; 4]), None, "a list behind the end");
    assert_eq!(change(list, &[9]), None, "another address in the list than in the record");
    assert_eq!(change(list - 4, &[0x80; 4]), None, "a stream without an end");
    assert_eq!(without_positions(&program(&[&table[..], &table].concat())), None, "two tables");
    assert_eq!(without_positions(b"#!/bin/sh\n"), None);
}
