//! base64 inside texts.

use base64::{Engine as _, alphabet, engine};

/// Shorter runs hold no key, and are words.
const SHORTEST: usize = 40;

/// Lenient: a run may be cut where a text says nothing about padding.
const ENGINE: engine::GeneralPurpose = engine::GeneralPurpose::new(
    &alphabet::STANDARD,
    engine::GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(engine::DecodePaddingMode::RequireNone),
);

/// What each run of base64 that begins before `until` decodes to. A run goes on over line ends, real or escaped.
pub(super) fn base64_runs(text: &[u8], until: usize) -> impl Iterator<Item = Vec<u8>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < until {
            // Looked at from its end: no run is as long before the last other character.
            let window = text.get(at..at + SHORTEST)?;
            if let Some(other) = window.iter().rposition(|b| !is_digit(*b)) {
                at += other + 1;
                continue;
            }
            let mut digits = Vec::new();
            at = take_run(text, at, &mut digits);
            return Some(decode(digits));
        }
        None
    })
}

/// What base64 with white space in it decodes to.
pub(super) fn decode_all(text: &str) -> Vec<u8> {
    decode(text.bytes().filter(|b| is_digit(*b)).collect())
}

fn decode(mut digits: Vec<u8>) -> Vec<u8> {
    if digits.len() % 4 == 1 {
        digits.pop();
    }
    ENGINE.decode(digits).expect("digits alone decode")
}

fn is_digit(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'+' || b == b'/'
}

/// Collects one run; hands back where to go on.
fn take_run(text: &[u8], mut at: usize, digits: &mut Vec<u8>) -> usize {
    loop {
        let start = at;
        while text.get(at).copied().is_some_and(is_digit) {
            at += 1;
        }
        digits.extend_from_slice(&text[start..at]);
        let next = line_end(text, at);
        if at - start < SHORTEST || next == at {
            return at;
        }
        at = next;
    }
}

/// Where the next line's first character is, when a line ends at `at`.
fn line_end(text: &[u8], mut at: usize) -> usize {
    let from = at;
    let mut ended = false;
    loop {
        match text.get(at..) {
            Some([b'\\', b'n' | b'r', ..]) => (at, ended) = (at + 2, true),
            Some([b'\n' | b'\r', ..]) => (at, ended) = (at + 1, true),
            Some([b' ' | b'\t', ..]) if ended => at += 1,
            _ => return if ended { at } else { from },
        }
    }
}
