//! What a scalar's text means.

use base64::Engine as _;

use super::{gonum, gotime::GoTime, parse::YamlEvent};
use crate::tree::ConfigValue;

const BINARY_TAGS: [&str; 2] = ["!binary", "tag:yaml.org,2002:binary"];

pub(crate) fn is_null(text: &str) -> bool {
    matches!(text, "~" | "null" | "Null" | "NULL")
}

/// The value of a scalar event inside a collection.
pub(super) fn event(event: &YamlEvent) -> ConfigValue {
    if event.tag.is_empty() && !event.implicit {
        return ConfigValue::Str(event.value.clone());
    }
    if BINARY_TAGS.contains(&event.tag.as_str()) {
        return binary(&event.value);
    }
    plain(&event.value)
}

/// What a text with the tag `!!binary` becomes: bytes only if it is nothing else.
pub(crate) fn binary(text: &str) -> ConfigValue {
    let bytes =
        || base64::engine::general_purpose::STANDARD.decode(go_base64(text)).ok().map(ConfigValue::Bytes);
    typed(text).or_else(bytes).unwrap_or_else(|| ConfigValue::Str(text.to_owned()))
}

/// What a plain scalar of this text becomes.
pub(crate) fn plain(text: &str) -> ConfigValue {
    typed(text).unwrap_or_else(|| ConfigValue::Str(text.to_owned()))
}

/// Go's decoder skips line breaks inside the text.
fn go_base64(text: &str) -> String {
    text.replace(['\r', '\n'], "")
}

fn typed(text: &str) -> Option<ConfigValue> {
    let first = text.bytes().next().unwrap_or(b'~');
    match first {
        _ if text.is_empty() || is_null(text) => Some(ConfigValue::Null),
        b'-' | b'+' | b'0'..=b'9' => number(text),
        b'.' => gonum::float(text).map(ConfigValue::Float),
        b't' | b'T' | b'f' | b'F' | b'y' | b'Y' | b'n' | b'N' | b'o' | b'O' => {
            boolean(text).map(ConfigValue::Bool)
        }
        _ => None,
    }
}

fn number(text: &str) -> Option<ConfigValue> {
    if let Some(n) = gonum::int(text) {
        return Some(ConfigValue::Int(n));
    }
    if let Some(f) = gonum::float(text) {
        return Some(ConfigValue::Float(f));
    }
    if text.starts_with(['-', '+']) { None } else { GoTime::parse(text).map(ConfigValue::Time) }
}

/// A truth value in any letter case.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    // Go lowers the Kelvin sign and its like too, but no truth value has a letter with such a twin.
    match text.to_lowercase().as_str() {
        "y" | "yes" | "true" | "on" => Some(true),
        "n" | "no" | "false" | "off" => Some(false),
        _ => None,
    }
}
