//! What a command line becomes: the values the OS holds, and how a reading may end badly.

use std::{collections::BTreeMap, fmt};

pub use super::yaml::gotime::GoTime;

/// A value as the OS's parser holds it.
#[derive(Clone, Debug, PartialEq)]
pub enum ConfigValue {
    /// `~`, `null`, an anchor or a tag alone.
    Null,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float, infinities and NaN among them.
    Float(f64),
    /// A text.
    Str(String),
    /// A date, with or without a time.
    Time(GoTime),
    /// What a `!!binary` text decodes to.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<ConfigValue>),
    /// A map. Keys of other types than text are written as Go prints them.
    Map(BTreeMap<String, ConfigValue>),
}

impl ConfigValue {
    /// An empty map.
    #[must_use]
    pub(crate) fn map() -> Self {
        Self::Map(BTreeMap::new())
    }

    /// The value at a path of keys.
    #[must_use]
    pub(crate) fn get<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> Option<&Self> {
        path.into_iter().try_fold(self, |node, key| match node {
            Self::Map(map) => map.get(key),
            _ => None,
        })
    }

    /// The tree as one line of JSON. What JSON lacks is written as Go writes it: infinities, `NaN`, and other
    /// types as `type:value`.
    ///
    /// serde_json is not used for the numbers: it writes a large float with an exponent where Go writes its
    /// digits, and readers that tell integers from floats would then see another number.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        self.write_json(&mut out, false);
        out
    }

    /// The same with types that stay apart: a float has a point or an exponent, and one that JSON has no number for
    /// is an object, `{"float":"NaN"}`, so that no text looks like it.
    #[must_use]
    pub fn to_typed_json(&self) -> String {
        let mut out = String::new();
        self.write_json(&mut out, true);
        out
    }

    fn write_json(&self, out: &mut String, typed: bool) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(b) => *out += &b.to_string(),
            Self::Int(n) => *out += &n.to_string(),
            // Rust's `Debug` keeps the point of a whole number.
            Self::Float(f) if f.is_finite() && typed => *out += &format!("{f:?}"),
            Self::Float(f) if f.is_finite() => *out += &json_float(*f),
            Self::Float(f) if typed => *out += &format!("{{\"float\":{}}}", json_text(&go_float(*f))),
            Self::Float(f) => *out += &json_text(&go_float(*f)),
            Self::Str(s) => *out += &json_text(s),
            Self::Time(t) => *out += &json_text(&format!("time.Time:{t}")),
            Self::Bytes(b) => *out += &json_text(&format!("[]uint8:{}", go_bytes(b))),
            Self::List(list) => {
                let items = list.iter().map(|node| ("", node));
                write_items(out, ['[', ']'], items, typed);
            }
            Self::Map(map) => {
                let items = map.iter().map(|(k, v)| (k.as_str(), v));
                write_items(out, ['{', '}'], items, typed);
            }
        }
    }

    /// What kind of value this is, for messages.
    #[must_use]
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Str(_) => "a text",
            Self::Time(_) => "a date",
            Self::Bytes(_) => "binary data",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

fn write_items<'a>(
    out: &mut String,
    ends: [char; 2],
    items: impl Iterator<Item = (&'a str, &'a ConfigValue)>,
    typed: bool,
) {
    out.push(ends[0]);
    for (i, (key, node)) in items.enumerate() {
        if i > 0 {
            out.push(',');
        }
        if ends[0] == '{' {
            *out += &json_text(key);
            out.push(':');
        }
        node.write_json(out, typed);
    }
    out.push(ends[1]);
}

fn json_text(text: &str) -> String {
    serde_json::to_string(text).expect("texts are always JSON")
}

/// Go's JSON: digits without an exponent up to 1e21.
fn json_float(f: f64) -> String {
    if f != 0.0 && !(1e-6..1e21).contains(&f.abs()) { format!("{f:e}") } else { f.to_string() }
}

/// Go's `%v`.
impl fmt::Display for ConfigValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("<nil>"),
            Self::Bool(b) => write!(f, "{b}"),
            Self::Int(n) => write!(f, "{n}"),
            Self::Float(x) => f.write_str(&go_float(*x)),
            Self::Str(s) => f.write_str(s),
            Self::Time(t) => write!(f, "{t}"),
            Self::Bytes(b) => f.write_str(&go_bytes(b)),
            Self::List(list) => {
                let items: Vec<String> = list.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", items.join(" "))
            }
            Self::Map(map) => {
                let items: Vec<String> = map.iter().map(|(k, v)| format!("{k}:{v}")).collect();
                write!(f, "map[{}]", items.join(" "))
            }
        }
    }
}

fn go_bytes(bytes: &[u8]) -> String {
    let items: Vec<String> = bytes.iter().map(ToString::to_string).collect();
    format!("[{}]", items.join(" "))
}

/// Go's `%v` of a float: shortest digits, an exponent of at least two digits from 1e6 on and below 1e-4.
pub(super) fn go_float(x: f64) -> String {
    if x.is_nan() {
        return "NaN".to_owned();
    }
    if x.is_infinite() {
        return if x < 0.0 { "-Inf" } else { "+Inf" }.to_owned();
    }
    let scientific = format!("{x:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return format!("{x}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// A reading that does not end with values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process dies: an integer that does not fit (up to 0.4.4), a list as a map's key, an anchor used
    /// right behind itself.
    Panic,
    /// The reader never comes to an end, or takes all memory: aliases that multiply.
    Endless,
    /// Deeper than a kernel's line can nest; not followed further here.
    TooDeep,
    /// Longer than any kernel's line by far; not read here.
    TooLong,
}

impl Crash {
    /// The word that stands in place of a tree.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Panic => "PANIC",
            Self::Endless => "HANG",
            Self::TooDeep => "TOO DEEP",
            Self::TooLong => "TOO LONG",
        }
    }
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Panic => "the parser takes its process down, which is PID 1: the kernel panics",
            Self::Endless => "the parser never ends, so the boot hangs",
            Self::TooDeep => "the value nests too deep",
            Self::TooLong => "the line is too long to be read",
        })
    }
}

impl std::error::Error for Crash {}
