//! What texts hold in another spelling: base64, hexadecimal, zlib, and what `decode` undoes.

use super::{alphabets, decode};
use base64::{Engine as _, alphabet, engine};

/// Shorter runs hold no key, and are words.
const SHORTEST: usize = 24;
/// What a run this long decodes to is looked at even when it is not a text.
const LONG: usize = 40;
/// Shorter runs of text inside of other bytes are names and messages.
const PASSAGE: usize = 64;

/// How decoded bytes are called on the way in.
pub(super) const BASE64: &str = "base64";
pub(super) const HEX: &str = "hex";
pub(super) const ZLIB: &str = "zlib";
pub(super) const DECODED: &str = "decoded";
pub(super) const BASE32: &str = "base32";
pub(super) const UUENCODE: &str = "uuencode";
pub(super) const WIDE: &str = "UTF-16";
/// All of them.
pub(super) const SPELLINGS: [&str; 7] = [BASE64, HEX, ZLIB, DECODED, BASE32, UUENCODE, WIDE];

/// Bytes that were spelled in another way, with how that way is called.
pub(super) type Decoded = Vec<(&'static str, Vec<u8>)>;

/// What `text` spells; runs of base64 only when they begin before `until`.
pub(super) fn spellings(text: &[u8], until: usize, hidden: &mut Decoded) {
    hidden.extend(base64_runs(text, until).map(|bytes| (BASE64, bytes)));
    hidden.extend(decode::hex_runs(text).into_iter().map(|bytes| (HEX, bytes)));
    hidden.extend(decode::zlib_runs(text).into_iter().map(|bytes| (ZLIB, bytes)));
    hidden.extend(decode::plain(text).map(|bytes| (DECODED, bytes)));
    hidden.extend(alphabets::base32_runs(text).into_iter().map(|bytes| (BASE32, bytes)));
    hidden.extend(alphabets::uuencoded(text).into_iter().map(|bytes| (UUENCODE, bytes)));
}

/// What passages of text in other bytes spell, and what zlib packed there.
pub(super) fn inside_binary(bytes: &[u8], hidden: &mut Decoded) {
    let shown = |b: &u8| (b' '..0x7F).contains(b) || b"\n\r\t".contains(b);
    for passage in bytes.split(|b| !shown(b)).filter(|p| p.len() >= PASSAGE) {
        hidden.extend(base64_runs(passage, passage.len()).map(|bytes| (BASE64, bytes)));
        hidden.extend(decode::hex_runs(passage).into_iter().map(|bytes| (HEX, bytes)));
        hidden.extend(decode::plain(passage).map(|bytes| (DECODED, bytes)));
        hidden.extend(alphabets::base32_runs(passage).into_iter().map(|bytes| (BASE32, bytes)));
        hidden.extend(alphabets::uuencoded(passage).into_iter().map(|bytes| (UUENCODE, bytes)));
    }
    hidden.extend(alphabets::wide_runs(bytes).into_iter().map(|bytes| (WIDE, bytes)));
    hidden.extend(decode::zlib_runs(bytes).into_iter().map(|bytes| (ZLIB, bytes)));
}

/// Lenient: a run may be cut where a text says nothing about padding.
const ENGINE: engine::GeneralPurpose = engine::GeneralPurpose::new(
    &alphabet::STANDARD,
    engine::GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(engine::DecodePaddingMode::RequireNone),
);

/// What each run of base64 that begins before `until` decodes to, in the alphabet of addresses, too. A run goes on over
/// line ends, real or escaped.
fn base64_runs(text: &[u8], until: usize) -> impl Iterator<Item = Vec<u8>> {
    let url = |b: u8| is_digit(b) || matches!(b, b'-' | b'_');
    let both = runs(text, until, is_digit).chain(runs(text, until, url).filter_map(|mut digits| {
        let mut other = false;
        for digit in &mut digits {
            let plain = match digit {
                b'-' => b'+',
                b'_' => b'/',
                _ => continue,
            };
            (*digit, other) = (plain, true);
        }
        other.then_some(digits)
    }));
    both.map(|digits| (digits.len(), decode(digits)))
        .filter(|(length, bytes)| *length >= LONG || decode::says_something(bytes))
        .map(|(_, bytes)| bytes)
}

fn runs(text: &[u8], until: usize, is_digit: fn(u8) -> bool) -> impl Iterator<Item = Vec<u8>> {
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
            at = take_run(text, at, is_digit, &mut digits);
            return Some(digits);
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
fn take_run(text: &[u8], mut at: usize, is_digit: fn(u8) -> bool, digits: &mut Vec<u8>) -> usize {
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
