//! Rules that are a pattern around a word: gitleaks' for the tokens of services, and ours for passwords that people
//! choose. A pattern is tried only around its words, and compiled when one of them is first met.

use std::{
    ops::Range,
    sync::{LazyLock, OnceLock},
};

use regex::bytes::{Captures, Regex, RegexBuilder};
use serde::Deserialize;

use super::{chosen, positions, rules::FindKind};

/// gitleaks' rules, MIT, Copyright (c) 2019 Zachary Rice (`gitleaks.LICENSE`). `examples/convert-gitleaks.rs` makes the
/// file.
const GITLEAKS: &str = include_str!("gitleaks.json");

/// Bytes in front of a word and behind it that belong to it.
const BEFORE: usize = 256;
const BEHIND: usize = 768;
/// Shorter words stand everywhere in what is not a text.
const SHORTEST: usize = 4;

/// The file.
#[derive(Deserialize)]
struct Gitleaks {
    allowed: Vec<String>,
    stopwords: Vec<String>,
    rules: Vec<ServiceRule>,
}

/// One rule of gitleaks.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ServiceRule {
    words: Vec<String>,
    pattern: String,
    group: Option<usize>,
    /// The secret has more bits a character than this.
    #[serde(default)]
    entropy: f64,
    #[serde(default)]
    allowed_secret: Vec<String>,
    #[serde(default)]
    allowed_match: Vec<String>,
    #[serde(default)]
    allowed_line: Vec<String>,
    #[serde(default)]
    allowed_stopwords: Vec<String>,
}

/// What tells a secret from what only looks like one.
enum Judge {
    ServiceToken(ServiceToken),
    Chosen(fn(&[u8]) -> Option<FindKind>),
}

struct ServiceToken {
    group: Option<usize>,
    entropy: f64,
    secret: Vec<Regex>,
    whole: Vec<Regex>,
    line: Vec<Regex>,
    stopwords: Vec<String>,
}

/// A pattern and its words.
struct SecretForm {
    pattern: String,
    regex: OnceLock<Regex>,
    judge: Judge,
}

/// All forms.
pub(super) struct Forms {
    list: Vec<SecretForm>,
    words: Vec<(Vec<u8>, usize)>,
    /// Secrets that stand for one, in every service's rule.
    allowed: Vec<Regex>,
    stopwords: Vec<String>,
}

/// The forms, made once.
pub(super) static FORMS: LazyLock<Forms> = LazyLock::new(Forms::new);

fn compile(pattern: &str) -> Regex {
    // Bytes are not text: a letter is one of ASCII's.
    let regex = RegexBuilder::new(pattern).unicode(false).build();
    regex.expect("a test compiles all patterns")
}

fn compile_all(patterns: &[String]) -> Vec<Regex> {
    patterns.iter().map(|p| compile(p)).collect()
}

impl Forms {
    fn new() -> Self {
        let data: Gitleaks = serde_json::from_str(GITLEAKS).expect("a test reads it");
        let mut forms = Self {
            list: Vec::new(),
            words: Vec::new(),
            allowed: compile_all(&data.allowed),
            stopwords: data.stopwords,
        };
        for rule in data.rules {
            let service = ServiceToken {
                group: rule.group,
                entropy: rule.entropy,
                secret: compile_all(&rule.allowed_secret),
                whole: compile_all(&rule.allowed_match),
                line: compile_all(&rule.allowed_line),
                stopwords: rule.allowed_stopwords,
            };
            forms.add(rule.words.iter().map(String::as_str), rule.pattern, Judge::ServiceToken(service));
        }
        for rule in chosen::RULES.iter().chain(positions::RULES) {
            let pattern = rule.pattern.replace("VALUE", chosen::VALUE);
            forms.add(rule.words.iter().copied(), pattern, Judge::Chosen(rule.judge));
        }
        forms
    }

    fn add<'a>(&mut self, words: impl Iterator<Item = &'a str>, pattern: String, judge: Judge) {
        self.words.extend(words.map(|w| (w.as_bytes().to_vec(), self.list.len())));
        self.list.push(SecretForm { pattern, regex: OnceLock::new(), judge });
    }

    /// Each word with the number of its form.
    pub(super) fn words(&self) -> &[(Vec<u8>, usize)] {
        &self.words
    }

    /// Whether a word calls for its form. What people choose stands in texts; tokens are known by their form.
    pub(super) fn counts(&self, number: usize, word: &Range<usize>, is_text: bool) -> bool {
        is_text || word.len() >= SHORTEST && matches!(self.list[number].judge, Judge::ServiceToken(_))
    }

    /// What form `number` finds around its words, which come in the order in which they stand.
    pub(super) fn look(
        &self,
        number: usize,
        window: &[u8],
        words: &[Range<usize>],
    ) -> Vec<(FindKind, usize)> {
        let mut found = Vec::new();
        let mut regions: Vec<Range<usize>> = Vec::new();
        for word in words {
            let region = region(window, word);
            match regions.last_mut() {
                Some(last) if region.start <= last.end => last.end = last.end.max(region.end),
                _ => regions.push(region),
            }
        }
        let form = &self.list[number];
        let regex = form.regex.get_or_init(|| compile(&form.pattern));
        for region in regions {
            for captures in regex.captures_iter(&window[region.clone()]) {
                let at = captures.get(0).map_or(0, |m| m.start());
                found.extend(
                    self.judge(form, &window[region.clone()], &captures).map(|k| (k, region.start + at)),
                );
            }
        }
        found
    }

    fn judge(&self, form: &SecretForm, region: &[u8], captures: &Captures<'_>) -> Option<FindKind> {
        let first = || captures.iter().skip(1).flatten().next();
        match &form.judge {
            Judge::Chosen(judge) => judge(first()?.as_bytes()),
            Judge::ServiceToken(service) => {
                let whole = captures.get(0)?;
                let secret = match service.group {
                    Some(group) => captures.get(group)?,
                    None => first().unwrap_or(whole),
                };
                let secret = secret.as_bytes();
                let any = |list: &[Regex], of: &[u8]| list.iter().any(|r| r.is_match(of));
                let lower = secret.to_ascii_lowercase();
                let stop = |list: &[String]| {
                    list.iter()
                        .any(|w| memchr::memmem::find(&lower, w.to_ascii_lowercase().as_bytes()).is_some())
                };
                let allowed = any(&self.allowed, secret)
                    || any(&service.secret, secret)
                    || any(&service.whole, whole.as_bytes())
                    || any(&service.line, line(region, whole.range()))
                    || stop(&self.stopwords)
                    || stop(&service.stopwords);
                (!allowed && entropy(secret) > service.entropy).then_some(FindKind::Token)
            }
        }
    }
}

/// What belongs to a word, up to where text ends.
fn region(window: &[u8], word: &Range<usize>) -> Range<usize> {
    let before = &window[word.start.saturating_sub(BEFORE)..word.start];
    let behind = &window[word.end..window.len().min(word.end + BEHIND)];
    let start = memchr::memrchr(0, before).map_or(before.len(), |at| before.len() - at - 1);
    word.start - start..word.end + memchr::memchr(0, behind).unwrap_or(behind.len())
}

/// The lines that a match stands on.
fn line(region: &[u8], at: Range<usize>) -> &[u8] {
    let start = memchr::memrchr(b'\n', &region[..at.start]).map_or(0, |n| n + 1);
    let end = memchr::memchr(b'\n', &region[at.end..]).map_or(region.len(), |n| at.end + n);
    &region[start..end]
}

/// Shannon's entropy in bits a byte.
pub(super) fn entropy(bytes: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    bytes.iter().for_each(|b| counts[usize::from(*b)] += 1);
    let length = bytes.len() as f64;
    let shares = counts.iter().filter(|n| **n > 0).map(|n| f64::from(*n) / length);
    -shares.map(|share| share * share.log2()).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles_and_has_words() {
        let forms = Forms::new();
        for (number, form) in forms.list.iter().enumerate() {
            compile(&form.pattern);
            assert!(forms.words.iter().any(|(_, n)| *n == number), "{}", form.pattern);
        }
    }

    #[test]
    fn entropy_is_in_bits_a_byte() {
        assert!(entropy(b"aaaa").abs() < 1e-9);
        assert!((entropy(b"abcdabcd") - 2.0).abs() < 1e-9);
    }
}
