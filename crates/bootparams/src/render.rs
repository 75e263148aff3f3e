//! Typed values → words that the OS reads back as those values.
//!
//! Each value is tried in a few spellings, simplest first, and the OS's own parser says which one holds. So a
//! spelling is right by construction, in every dialect, and what none can spell is an error.

use std::fmt::Write as _;

use super::{
    line::{self, Word},
    os::{Dialect, Os},
    tree::ConfigValue,
    value::{Param, Value},
};

/// Why a parameter cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` cannot be written on the command line of {os}: {reason}")]
pub struct RenderError {
    /// The key; values may be secret and are not repeated.
    pub key: String,
    /// Who would read it.
    pub os: Os,
    /// What stands in the way.
    pub reason: String,
    /// What to write instead.
    pub help: String,
}

const CLOUD_CONFIG: &str = "set it in a cloud-config, which is carried in the medium";

/// Writes parameters as words, in order.
///
/// # Errors
/// All parameters that cannot be written, each with another way.
pub fn render(params: &[Param], os: Os) -> Result<Vec<String>, Vec<RenderError>> {
    let (mut words, mut errors) = (Vec::new(), Vec::new());
    for param in params {
        match param {
            // Blanks at the ends would only make the line longer.
            Param::Verbatim(text) => words.extend(Some(text.trim().to_owned()).filter(|t| !t.is_empty())),
            Param::Typed(key, value) => render_value(key, value, os, &mut words, &mut errors),
        }
    }
    if errors.is_empty() { Ok(words) } else { Err(errors) }
}

fn render_value(key: &str, value: &Value, os: Os, words: &mut Vec<String>, errors: &mut Vec<RenderError>) {
    if let Value::Table(table) = value {
        for (sub, value) in table {
            if sub.contains('.') {
                let reason = format!("the key `{sub}` has a dot in it, which stands for a level");
                errors.push(error(&format!("{key}.{sub}"), os, &reason));
            } else {
                render_value(&format!("{key}.{sub}"), value, os, words, errors);
            }
        }
        return;
    }
    match word(key, value, os) {
        Ok(word) => words.push(word),
        Err(reason) => errors.push(error(key, os, &reason)),
    }
}

fn error(key: &str, os: Os, reason: &str) -> RenderError {
    let ours = key.starts_with("rancher.") || key.starts_with("cc.");
    let help = if ours { CLOUD_CONFIG } else { "write it verbatim as a string" };
    RenderError { key: key.to_owned(), os, reason: reason.to_owned(), help: help.to_owned() }
}

fn word(key: &str, value: &Value, os: Os) -> Result<String, String> {
    if key.is_empty() || !key.chars().all(|c| c.is_ascii_graphic() && !"=\"'[]\\".contains(c)) {
        return Err("the key has characters that end or group words".to_owned());
    }
    let dialect = os.dialect();
    let named = Word { span: 0..0, text: key.to_owned() };
    match dialect.filter(|d| named.path(*d).is_some()) {
        Some(dialect) => os_word(key, value, dialect),
        None if key.starts_with("cc.") && dialect.is_some() => Err("`cc.` is read from 0.8.0 on".to_owned()),
        None => kernel_word(key, value),
    }
}

/// A parameter of the kernel or of a driver: `key`, `key=5`, `key=text`, `key="a text"`.
fn kernel_word(key: &str, value: &Value) -> Result<String, String> {
    match value {
        Value::Bool(true) => Ok(key.to_owned()),
        Value::Bool(false) => Err("the kernel has no form for `false`; leave it out".to_owned()),
        Value::Int(n) => Ok(format!("{key}={n}")),
        Value::Text(text) if text.contains('"') || text.contains(char::is_control) => {
            Err("the kernel has no form for a quote or a control character".to_owned())
        }
        Value::Text(text) if text.contains(char::is_whitespace) => Ok(format!("{key}=\"{text}\"")),
        Value::Text(text) if unbalanced(text) => {
            Err("its quotes or brackets would swallow the words behind it".to_owned())
        }
        Value::Text(text) => Ok(format!("{key}={text}")),
        Value::List(_) | Value::Table(_) => {
            Err("only the kernel's own forms are known for this key".to_owned())
        }
    }
}

/// Whether a 1.5.5 splitter would still be inside a group at the end.
pub(super) fn unbalanced(text: &str) -> bool {
    let dialect = Dialect::of(super::os::Version::new(1, 5, 8));
    line::words(&format!("{text} x"), dialect).last().is_none_or(|last| last.text != "x")
}

fn os_word(key: &str, value: &Value, dialect: Dialect) -> Result<String, String> {
    let want = node(value)?;
    let spellings: &[fn(&Value) -> Option<String>] = if dialect.yaml {
        &[plain, |v| Some(quoted(v, &|t| format!("\"{t}\""))), |v| Some(quoted(v, &escape))]
    } else {
        &[plain]
    };
    let spelled = spellings.iter().filter_map(|spell| spell(value));
    for word in spelled.map(|text| format!("{key}={text}")) {
        if reads_as(&word, key, &want, dialect) {
            return Ok(word);
        }
    }
    Err(reason(value, dialect))
}

/// Whether the OS reads exactly this value out of the word, and the next word is safe from it. A blank inside
/// is safe only between double quotes, since the kernel splits at any other.
fn reads_as(word: &str, key: &str, want: &ConfigValue, dialect: Dialect) -> bool {
    let line = format!("{word} rancher.next");
    let words = line::words(&line, dialect);
    let [first, next] = words.as_slice() else { return false };
    let Some(path) = first.path(dialect) else { return false };
    next.text == "rancher.next"
        && first.name() == key
        && kernel_keeps_together(word)
        && line::parse_words(&words[..1], dialect).is_ok_and(|tree| tree.get(path.split('.')) == Some(want))
}

fn kernel_keeps_together(word: &str) -> bool {
    let mut quoted = false;
    word.chars().all(|c| {
        quoted ^= c == '"';
        quoted || !c.is_whitespace()
    })
}

fn node(value: &Value) -> Result<ConfigValue, String> {
    Ok(match value {
        Value::Text(text) => ConfigValue::Str(text.clone()),
        Value::Int(n) => ConfigValue::Int(*n),
        Value::Bool(b) => ConfigValue::Bool(*b),
        Value::List(list) => ConfigValue::List(list.iter().map(node).collect::<Result<_, _>>()?),
        Value::Table(_) => return Err("a map inside a list has no form there".to_owned()),
    })
}

fn plain(value: &Value) -> Option<String> {
    Some(match value {
        Value::Text(text) => text.clone(),
        Value::Int(n) => n.to_string(),
        Value::Bool(b) => b.to_string(),
        Value::List(list) => format!("[{}]", list.iter().map(plain).collect::<Option<Vec<_>>>()?.join(",")),
        Value::Table(_) => return None,
    })
}

/// As [`plain`], with texts in quotes.
fn quoted(value: &Value, quote: &impl Fn(&str) -> String) -> String {
    match value {
        Value::Text(text) => quote(text),
        Value::List(list) => {
            let items: Vec<String> = list.iter().map(|v| quoted(v, quote)).collect();
            format!("[{}]", items.join(","))
        }
        other => plain(other).unwrap_or_default(),
    }
}

/// In double quotes, with everything as `\x..` that anybody between here and YAML could take for something.
fn escape(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || "-_./:=@+,".contains(c) {
            out.push(c);
            continue;
        }
        let code = u32::from(c);
        _ = match code {
            0..0x100 => write!(out, "\\x{code:02x}"),
            0x100..0x1_0000 => write!(out, "\\u{code:04x}"),
            _ => write!(out, "\\U{code:08x}"),
        };
    }
    out.push('"');
    out
}

/// What most likely stands in the way; the value itself may be secret.
fn reason(value: &Value, dialect: Dialect) -> String {
    let text = match value {
        Value::Text(text) => Some(text),
        _ => None,
    };
    match value {
        _ if dialect.yaml
            && matches!(text, Some(t) if ["~", "null", "Null", "NULL"].contains(&t.as_str())) =>
        {
            "the text is read as null even in quotes"
        }
        _ if dialect.yaml => "no spelling of the value is read back as it is",
        Value::Int(_) => "a negative integer is read as a text",
        Value::List(list) if list.iter().any(|v| !matches!(v, Value::Text(_))) => {
            "all elements of a list are read as texts"
        }
        Value::List(_) => "a list is cut at commas and blanks, and an empty one has one empty element",
        _ => "it cannot be quoted: blanks end it, and digits, `true` and `[…]` are not read as strings",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    fn list(items: &[&str]) -> Value {
        Value::List(items.iter().map(|t| text(t)).collect())
    }

    fn one(key: &str, value: Value, os: &str) -> Result<String, String> {
        render(&[Param::Typed(key.to_owned(), value)], os.parse().unwrap())
            .map(|words| words.join(" "))
            .map_err(|errors| errors.iter().map(|e| e.reason.as_str()).collect::<Vec<_>>().join("; "))
    }

    #[test]
    fn the_simplest_spelling_that_holds_is_taken() {
        let word = |value, os| one("rancher.x", value, os).unwrap();
        let os = "rancheros-1.5.8";
        assert_eq!(word(list(&["/dev/sda", "/dev/vda"]), os), "rancher.x=[/dev/sda,/dev/vda]");
        assert_eq!(word(text("007"), os), r#"rancher.x="007""#);
        assert_eq!(word(text("yes"), os), r#"rancher.x="yes""#);
        assert_eq!(word(text("a b"), os), r#"rancher.x="a b""#);
        assert_eq!(word(text("a b"), "rancheros-1.4.3"), r#"rancher.x="a\x20b""#);
        assert_eq!(word(list(&["url:http://h/p"]), os), "rancher.x=[url:http://h/p]");
        assert_eq!(word(list(&["url:http://h/p"]), "rancheros-0.4.5"), r#"rancher.x=["url:http://h/p"]"#);
        assert_eq!(word(list(&["url:http://h/p"]), "rancheros-0.4.4"), "rancher.x=[url:http://h/p]");
        assert_eq!(word(list(&["url:http://h/?a"]), "rancheros-0.7.1"), r#"rancher.x=["url:http://h/?a"]"#);
        assert_eq!(word(text("it's"), os), r#"rancher.x="it's""#);
        assert!(one("rancher.x", text("007"), "rancheros-0.4.4").unwrap_err().contains("cannot be quoted"));
    }

    #[test]
    fn a_key_of_the_kernel_has_the_kernels_forms() {
        let os = "rancheros-1.5.8";
        assert_eq!(one("console", text("ttyS0,115200n8"), os).unwrap(), "console=ttyS0,115200n8");
        assert_eq!(one("quiet", Value::Bool(true), os).unwrap(), "quiet");
        assert_eq!(one("dyndbg", text("file a.c +p"), os).unwrap(), r#"dyndbg="file a.c +p""#);
        assert_eq!(one("panic", Value::Int(10), "linux").unwrap(), "panic=10");
        assert_eq!(
            one("quiet", Value::Bool(false), os),
            Err("the kernel has no form for `false`; leave it out".to_owned())
        );
        assert!(one("x", text("it's"), os).unwrap_err().contains("swallow"));
    }

    #[test]
    fn a_key_that_would_end_its_word_or_group_others_is_refused() {
        for key in ["", "a b", "a=b", "a\"b", "a[b", "a\\b", "ä"] {
            let refused = one(key, Value::Bool(true), "rancheros-1.5.8").unwrap_err();
            assert!(refused.contains("characters that end or group words"), "{key}: {refused}");
        }
    }

    #[test]
    fn what_cannot_be_written_has_a_reason_and_another_way() {
        let said = |key: &str, value: Value, os: &str| {
            let mut errors = render(&[Param::Typed(key.to_owned(), value)], os.parse().unwrap()).unwrap_err();
            let error = errors.remove(0);
            (error.reason, error.help)
        };
        for key in ["rancher.x", "cc.x"] {
            let (reason, help) = said(key, text("null"), "rancheros-1.5.8");
            assert!(reason.contains("null even in quotes") && help == CLOUD_CONFIG, "{reason}");
        }
        assert_eq!(said("x", Value::Bool(false), "linux").1, "write it verbatim as a string");
        for (value, why) in [
            (Value::Int(-1), "a negative integer"),
            (Value::List(vec![Value::Int(1)]), "all elements"),
            (list(&[]), "cut at commas"),
            (text("true"), "cannot be quoted"),
        ] {
            assert!(said("rancher.x", value, "rancheros-0.4.4").0.contains(why), "{why}");
        }
    }

    #[test]
    fn a_verbatim_text_loses_its_blanks() {
        let words = [" quiet ", "  "].map(|text| Param::Verbatim(text.to_owned()));
        assert_eq!(render(&words, Os::Linux).unwrap(), ["quiet"]);
    }

    proptest! {
        #[test]
        fn what_is_rendered_is_read_back(value in value(), os in oses()) {
            let param = Param::Typed("rancher.x.y".to_owned(), value.clone());
            if let Ok(words) = render(&[param], os) {
                let line = format!("quiet {} rancher.z=1", words.join(" "));
                let tree = line::parse(&line, os).unwrap();
                prop_assert_eq!(tree.get(["rancher", "x", "y"]), Some(&node(&value).unwrap()), "{}", line);
                prop_assert_eq!(tree.get(["rancher", "z"]), Some(&ConfigValue::Int(1)), "{}", line);
            } else {
                // From 0.4.5 on only nulls cannot be spelt; before, much cannot.
                prop_assert!(!os.dialect().unwrap().yaml || matches!(value, Value::Text(t) if t == "~" || t.eq_ignore_ascii_case("null")));
            }
        }
    }

    fn oses() -> impl Strategy<Value = Os> {
        let all: &'static [_] = &["0.4.4", "0.4.5", "0.6.1", "0.7.1", "0.8.0", "0.9.2", "1.4.3", "1.5.8"];
        prop::sample::select(all).prop_map(|v| format!("rancheros-{v}").parse().unwrap())
    }

    fn value() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            "[ -~]{0,12}",
            "\\PC{0,8}",
            "[\\[\\]{}\"'\\\\,: #&*!|>?%@`\n\t-]{0,8}",
            prop::sample::select(
                &["yes", "007", "1.10", "null", "~", "2015-01-01", "0x1F", ".inf", "", "true"][..]
            )
            .prop_map(str::to_owned),
        ]
        .prop_map(Value::Text);
        let leaf = prop_oneof![3 => text, 1 => any::<i64>().prop_map(Value::Int), 1 => any::<bool>().prop_map(Value::Bool)];
        leaf.prop_recursive(2, 12, 4, |inner| prop::collection::vec(inner, 0..4).prop_map(Value::List))
    }
}
