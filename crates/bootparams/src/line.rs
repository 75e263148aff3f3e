//! A line → words → a tree.

use std::{borrow::Cow, ops::Range};

use super::{
    convert::{self, ConfigVerdict},
    os::{Dialect, Os},
    tree::{ConfigValue, Crash},
    yaml::{
        self, Stop,
        document::{Data, MapEntry, ValueTree},
    },
};

/// Longer than any kernel's line by far; what is longer is not read.
pub(crate) const MAX_LINE: usize = 64 * 1024;

/// More dots than any key has; each level costs stack.
const MAX_DEPTH: usize = 256;

/// One word of a line, as the OS splits it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Where it stands in the line as written, in bytes.
    pub span: Range<usize>,
    /// Its text, after `\"` and `\'` lost their backslash where the OS does that.
    pub text: String,
}

impl Word {
    /// The part before the first `=`.
    #[must_use]
    pub(crate) fn name(&self) -> &str {
        self.text.split_once('=').map_or(self.text.as_str(), |(name, _)| name)
    }

    /// The part behind the first `=`, if there is one.
    #[must_use]
    pub(crate) fn value(&self) -> Option<&str> {
        self.text.split_once('=').map(|(_, value)| value)
    }

    /// The path of keys that the OS sets by this word; none when it takes no notice of it.
    #[must_use]
    pub(crate) fn path(&self, dialect: Dialect) -> Option<&str> {
        let name = self.name();
        match name.strip_prefix("cc.").filter(|_| dialect.cc()) {
            Some(rest) => Some(rest),
            // The whole word is asked, so that `rancher.` may even stand with nothing behind it.
            None => name.starts_with("rancher.").then_some(name),
        }
    }
}

/// Reads a line as `os` does.
///
/// # Errors
/// When reading it would kill or stop the reader; see [`Crash`].
pub fn parse(line: &str, os: Os) -> Result<ConfigValue, Crash> {
    read(line, os.dialect())
}

/// Reads a line as the parser of `os` does when it is called by itself, with the line as it is. This is what vectors made
/// with the genuine parsers hold.
///
/// # Errors
/// As [`parse`].
pub fn parse_alone(line: &str, os: Os) -> Result<ConfigValue, Crash> {
    read(line, os.dialect().map(Dialect::alone))
}

/// How the boot of `os` takes a line: laid over the defaults, it becomes the configuration of PID 1.
#[must_use]
pub fn boot(line: &str, os: Os) -> ConfigVerdict {
    let Some(dialect) = os.version().map(Dialect::of) else { return ConfigVerdict::Ok };
    if line.len() > MAX_LINE {
        return ConfigVerdict::Refused(Crash::TooLong.to_string());
    }
    match tree(&words(line, dialect), dialect) {
        Ok(tree) => convert::verdict(&on_the_line(tree, os), os),
        Err(crash) => ConfigVerdict::Panic(crash.to_string()),
    }
}

/// What is left of a line's tree when the metadata is laid over it: since 0.5.0, SSH keys that are not a list
/// are replaced by the list of those that the metadata bring.
pub(super) fn on_the_line(mut tree: ValueTree, os: Os) -> ValueTree {
    if let Data::Map(map) = &mut tree.data
        && let Some(at) = position(map, "ssh_authorized_keys")
        && os.since(0, 5, 0)
        && !matches!(map[at].value.data, Data::List(_))
    {
        map.remove(at);
    }
    tree
}

fn read(line: &str, dialect: Option<Dialect>) -> Result<ConfigValue, Crash> {
    if line.len() > MAX_LINE {
        return Err(Crash::TooLong);
    }
    match dialect {
        Some(dialect) => parse_words(&words(line, dialect), dialect),
        None => Ok(ConfigValue::map()),
    }
}

/// Reads words into a tree: first `=` splits, dots make maps, the last one wins, a key below a scalar is
/// dropped.
///
/// # Errors
/// As [`parse`].
pub(crate) fn parse_words(words: &[Word], dialect: Dialect) -> Result<ConfigValue, Crash> {
    Ok(tree(words, dialect)?.node())
}

/// The same with places: each value has that of its word.
pub(super) fn tree(words: &[Word], dialect: Dialect) -> Result<ValueTree, Crash> {
    let mut root = Vec::new();
    for word in words {
        let Some(path) = word.path(dialect) else { continue };
        if path.bytes().filter(|b| *b == b'.').count() > MAX_DEPTH {
            return Err(Crash::TooDeep);
        }
        if let Some((map, last)) = target(&mut root, path, &word.span) {
            let text = word.value().unwrap_or("true");
            put(map, last, place(value_tree(text, dialect)?, &word.span));
        }
    }
    Ok(ValueTree { span: 0..0, data: Data::Map(root) })
}

/// The map that the path's last key goes into; none when a scalar stands in the way.
fn target<'a, 'p>(
    root: &'a mut Vec<MapEntry>,
    path: &'p str,
    span: &Range<usize>,
) -> Option<(&'a mut Vec<MapEntry>, &'p str)> {
    let (parents, last) = path.rsplit_once('.').map_or((None, path), |(p, l)| (Some(p), l));
    let mut map = root;
    for key in parents.into_iter().flat_map(|p| p.split('.')) {
        let at = position(map, key).unwrap_or_else(|| {
            put(map, key, ValueTree { span: span.clone(), data: Data::Map(Vec::new()) });
            map.len() - 1
        });
        match &mut map[at].value.data {
            Data::Map(inner) => map = inner,
            _ => return None,
        }
    }
    Some((map, last))
}

fn position(map: &[MapEntry], key: &str) -> Option<usize> {
    map.iter().rposition(|e| matches!(&e.key, ConfigValue::Str(name) if name == key))
}

fn put(map: &mut Vec<MapEntry>, key: &str, value: ValueTree) {
    match position(map, key) {
        Some(at) => map[at].value = value,
        None => map.push(MapEntry { span: value.span.clone(), key: ConfigValue::Str(key.to_owned()), value }),
    }
}

/// Gives a value and all in it the place of its word.
fn place(mut tree: ValueTree, span: &Range<usize>) -> ValueTree {
    fn all(tree: &mut ValueTree, span: &Range<usize>) {
        tree.span = span.clone();
        match &mut tree.data {
            Data::Scalar(..) => {}
            Data::List(list) => list.iter_mut().for_each(|t| all(t, span)),
            Data::Map(map) => map.iter_mut().for_each(|e| {
                e.span = span.clone();
                all(&mut e.value, span);
            }),
        }
    }
    all(&mut tree, span);
    tree
}

/// Reads one value.
///
/// # Errors
/// As [`parse`].
pub fn value(text: &str, dialect: Dialect) -> Result<ConfigValue, Crash> {
    Ok(value_tree(text, dialect)?.node())
}

fn value_tree(text: &str, dialect: Dialect) -> Result<ValueTree, Crash> {
    if !dialect.yaml {
        return simple_value(text);
    }
    if let Some(tree) = simple_yaml(text) {
        return Ok(tree);
    }
    yaml_value(text, dialect)
}

/// What most values are, without the whole of YAML: a plain word, a text in double quotes, a list of words. The
/// characters let in mean nothing to YAML where they stand, and none of them is hidden from it.
fn simple_yaml(text: &str) -> Option<ValueTree> {
    // A stand-in that is written out stands for itself.
    if [NEWLINE, COLON, QUESTION].iter().any(|s| text.contains(s)) {
        return None;
    }
    match text.as_bytes() {
        [b'"', inner @ .., b'"']
            if inner.iter().all(|b| matches!(b, b' '..=b'~') && !b"\"\\:?".contains(b)) =>
        {
            let inner = &text[1..text.len() - 1];
            let node =
                if yaml::is_null(inner) { ConfigValue::Null } else { ConfigValue::Str(inner.to_owned()) };
            Some(ValueTree::scalar(node))
        }
        [b'[', inner @ .., b']'] if inner.split(|b| *b == b',').all(is_word) => {
            Some(ValueTree::list(text[1..text.len() - 1].split(',').map(yaml::plain)))
        }
        word if is_word(word) => Some(ValueTree::scalar(yaml::plain(text))),
        _ => None,
    }
}

fn is_word(word: &[u8]) -> bool {
    word.first().is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'/')
        && word.iter().all(|b| b.is_ascii_alphanumeric() || b"/._-=+".contains(b))
}

fn yaml_value(text: &str, dialect: Dialect) -> Result<ValueTree, Crash> {
    let hidden = hide(text, dialect);
    match yaml::read(&hidden) {
        Ok(mut tree) => {
            reveal(&mut tree, dialect);
            Ok(tree)
        }
        Err(Stop::Bad(_)) => Ok(ValueTree::scalar(ConfigValue::Str(reveal_text(&hidden, dialect)))),
        Err(Stop::Crash(crash)) => Err(crash),
    }
}

/// Up to 0.4.4.
fn simple_value(text: &str) -> Result<ValueTree, Crash> {
    if let Some(inner) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        return Ok(ValueTree::list(inner.split(',').map(|e| ConfigValue::Str(e.trim().to_owned()))));
    }
    let node = match text {
        "true" => ConfigValue::Bool(true),
        "false" => ConfigValue::Bool(false),
        _ if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
            text.parse().map(ConfigValue::Int).map_err(|_| Crash::Panic)?
        }
        _ => ConfigValue::Str(text.to_owned()),
    };
    Ok(ValueTree::scalar(node))
}

/// Stand-ins that the parser itself swaps in, so that YAML does not see the characters.
const NEWLINE: &str = "9XsJcx6dR5EERYCC";
const COLON: &str = "V0Rc21pIVknMm2rr";
const QUESTION: &str = "FoPL6JLMAaJqKMJT";

fn swaps(dialect: Dialect) -> impl Iterator<Item = (&'static str, &'static str)> {
    [(true, "\n", NEWLINE), (dialect.hides_colon, ":", COLON), (dialect.hides_question, "?", QUESTION)]
        .into_iter()
        .filter_map(|(on, plain, hidden)| on.then_some((plain, hidden)))
}

fn hide(text: &str, dialect: Dialect) -> Cow<'_, str> {
    swaps(dialect).fold(Cow::Borrowed(text), |text, (plain, hidden)| replace(text, plain, hidden))
}

fn reveal_text(text: &str, dialect: Dialect) -> String {
    swaps(dialect)
        .fold(Cow::Borrowed(text), |text, (plain, hidden)| replace(text, hidden, plain))
        .into_owned()
}

fn replace<'a>(text: Cow<'a, str>, from: &str, to: &str) -> Cow<'a, str> {
    if text.contains(from) { Cow::Owned(text.replace(from, to)) } else { text }
}

/// Values get their characters back, keys do not.
fn reveal(tree: &mut ValueTree, dialect: Dialect) {
    match &mut tree.data {
        Data::Scalar(ConfigValue::Str(text), _) => *text = reveal_text(text, dialect),
        Data::Scalar(..) => {}
        Data::List(list) => list.iter_mut().for_each(|t| reveal(t, dialect)),
        Data::Map(map) => map.iter_mut().for_each(|e| reveal(&mut e.value, dialect)),
    }
}

/// Splits a line into words.
#[must_use]
pub fn words(line: &str, dialect: Dialect) -> Vec<Word> {
    let unescaped = if dialect.unescape { Unescaped::of(line) } else { None };
    let text = unescaped.as_ref().map_or(line, |u| &u.text);
    let origin = |at: usize| unescaped.as_ref().map_or(at, |u| u.origins[at]);
    let inner = text.trim_end();
    let start = inner.len() - inner.trim_start().len();
    split(&inner[start..], dialect.groups)
        .map(|r| (r.start + start)..(r.end + start))
        .map(|r| Word { span: origin(r.start)..origin(r.end - 1) + 1, text: text[r].to_owned() })
        .collect()
}

/// A line without the backslashes of `\"` and `\'`, and where each of its bytes came from.
struct Unescaped {
    text: String,
    origins: Vec<usize>,
}

impl Unescaped {
    /// None when there is nothing to drop.
    fn of(line: &str) -> Option<Self> {
        if !line.contains("\\\"") && !line.contains("\\'") {
            return None;
        }
        // Two passes, as the OS does it: what the first one brings together counts in the second.
        let mut chars: Vec<(usize, char)> = line.char_indices().collect();
        for quote in ['"', '\''] {
            let next: Vec<Option<char>> = chars.iter().skip(1).map(|(_, c)| Some(*c)).chain([None]).collect();
            let mut next = next.into_iter();
            chars.retain(|(_, c)| next.next().flatten() != Some(quote) || *c != '\\');
        }
        let origins = chars.iter().flat_map(|(at, c)| (0..c.len_utf8()).map(move |i| at + i)).collect();
        Some(Self { text: chars.into_iter().map(|(_, c)| c).collect(), origins })
    }
}

/// The ranges of words between blanks; `groups` keeps blanks inside quotes and brackets.
fn split(text: &str, groups: bool) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut closer = None;
    let mut is_gap = move |c: char| {
        if !groups {
            return c == ' ';
        }
        if closer == Some(c) {
            closer = None;
        } else if closer.is_none() {
            match c {
                '[' => closer = Some(']'),
                c if is_quotation_mark(c) => closer = Some(c),
                c => return c == ' ',
            }
        }
        false
    };
    let mut chars = text.char_indices().chain([(text.len(), ' ')]);
    let mut start = None;
    std::iter::from_fn(move || {
        for (at, c) in chars.by_ref() {
            let gap = at == text.len() || is_gap(c);
            match (gap, start) {
                (true, Some(from)) => {
                    start = None;
                    return Some(from..at);
                }
                (false, None) => start = Some(at),
                _ => {}
            }
        }
        None
    })
}

/// Unicode's property Quotation_Mark.
pub(super) fn is_quotation_mark(c: char) -> bool {
    matches!(
        c,
        '"' | '\''
            | '\u{ab}'
            | '\u{bb}'
            | '\u{2018}'..='\u{201f}'
            | '\u{2039}'
            | '\u{203a}'
            | '\u{2e42}'
            | '\u{300c}'..='\u{300f}'
            | '\u{301d}'..='\u{301f}'
            | '\u{fe41}'..='\u{fe44}'
            | '\u{ff02}'
            | '\u{ff07}'
            | '\u{ff62}'
            | '\u{ff63}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tree(line: &str, os: &str) -> String {
        parse(line, os.parse().unwrap()).map_or_else(|c| format!("{:?}", c.word()), |t| t.to_json())
    }

    #[test]
    fn spans_point_into_the_line_as_written() {
        let line = r#"  quiet rancher.a=\"b c\" x"#;
        let words = words(line, Os::Smoke.dialect().unwrap());
        let shown: Vec<&str> = words.iter().map(|w| &line[w.span.clone()]).collect();
        assert_eq!(shown, ["quiet", r#"rancher.a=\"b c\""#, "x"]);
        assert_eq!(words[1].text, r#"rancher.a="b c""#);
    }

    #[test]
    fn an_older_parser_panics_on_a_number_that_does_not_fit() {
        assert_eq!(tree("rancher.a=99999999999999999999", "rancheros-0.4.4"), r#""PANIC""#);
    }

    #[test]
    fn a_list_as_a_maps_key_takes_the_process_down() {
        assert_eq!(tree("rancher.a={[b]}", "rancheros-1.5.8"), r#""PANIC""#);
        assert_eq!(tree("rancher.a=[&a x,*a]", "rancheros-1.5.8"), r#""PANIC""#);
    }

    proptest! {
        #[test]
        fn the_short_cuts_of_yaml_come_to_the_same(text in "\\[?\"?[a-zA-Z0-9/._=+ ,~:?\\\\-]{0,10}\"?\\]?|[tfnyoTFNYO][a-zA-Z]{0,4}") {
            for version in ["0.4.5", "0.7.1", "1.5.8"] {
                let dialect = Dialect::of(version.parse().unwrap());
                if let Some(node) = simple_yaml(&text) {
                    let full = yaml_value(&text, dialect).unwrap();
                    prop_assert_eq!(node.node().to_json(), full.node().to_json());
                }
            }
        }
    }

    #[test]
    fn a_stand_in_that_is_written_out_is_what_it_stands_for() {
        let os = "rancheros-1.5.8";
        assert_eq!(tree(&format!("rancher.a={COLON}"), os), r#"{"rancher":{"a":":"}}"#);
        assert_eq!(tree(&format!("rancher.a=[x{QUESTION}]"), os), r#"{"rancher":{"a":["x?"]}}"#);
    }

    #[test]
    fn an_older_parser_knows_words_numbers_and_lists() {
        let line =
            "rancher.a=false rancher.b=[ rancher.c=] rancher.d=[] rancher.e= rancher.f=1x rancher.g=True";
        let want = r#"{"rancher":{"a":false,"b":"[","c":"]","d":[""],"e":"","f":"1x","g":"True"}}"#;
        assert_eq!(tree(line, "rancheros-0.4.4"), want);
    }

    #[test]
    fn an_escaped_line_keeps_its_other_backslashes_and_the_places_of_its_words() {
        let line = r#"ü=\\"ü\" rancher.ä=\x\'é\' b"#;
        let words = words(line, Os::Smoke.dialect().unwrap());
        let shown: Vec<&str> = words.iter().map(|w| &line[w.span.clone()]).collect();
        assert_eq!(shown, [r#"ü=\\"ü\""#, r"rancher.ä=\x\'é\'", "b"]);
        let texts: Vec<&str> = words.iter().map(|w| w.text.as_str()).collect();
        assert_eq!(texts, [r#"ü=\"ü""#, r"rancher.ä=\x'é'", "b"]);
    }

    /// Everywhere the longest line and the deepest key are still read.
    #[test]
    fn limits_are_the_last_that_is_taken() {
        let os: Os = "rancheros-1.5.8".parse().unwrap();
        for (length, fits) in [(MAX_LINE, true), (MAX_LINE + 1, false)] {
            let line = format!("rancher.debug {}", "x".repeat(length - 14));
            assert_eq!(parse(&line, os).is_ok(), fits);
            assert_eq!(boot(&line, os) == ConfigVerdict::Ok, fits);
            assert_eq!(crate::explain(&line, os).is_ok(), fits);
            let refused = crate::host::Host::default().read_line(&line);
            assert_eq!(refused.iter().any(|reason| reason.contains("bytes")), !fits);
        }
        for (depth, fits) in [(MAX_DEPTH, true), (MAX_DEPTH + 1, false)] {
            assert_eq!(parse(&format!("rancher{}=1", ".a".repeat(depth)), os).is_ok(), fits);
        }
    }

    #[test]
    fn a_plain_kernel_reads_nothing() {
        assert_eq!(tree("rancher.a=1 quiet", "linux"), "{}");
    }
}
