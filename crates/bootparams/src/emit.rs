//! Values → YAML, laid out as candiedyaml lays it out: keys in order, lists not indented, quotes only where the
//! text would be read as something else.

use super::{
    tree::{ConfigValue, go_float},
    yaml,
};

/// A line for each scalar, with what is put behind some of them.
pub(super) struct Emitter<'a> {
    /// The YAML so far.
    pub(super) out: String,
    /// What stands behind a value as a comment, by its path.
    pub(super) remark: &'a dyn Fn(&[&str]) -> Option<String>,
}

impl Emitter<'_> {
    /// Writes the entries of a map.
    pub(super) fn map(&mut self, node: &ConfigValue, path: &mut Vec<String>, indent: usize) {
        let ConfigValue::Map(map) = node else { return };
        for (key, value) in map {
            path.push(key.clone());
            self.out += &" ".repeat(indent);
            self.out += &scalar(&ConfigValue::Str(key.clone()), indent);
            self.out.push(':');
            self.value(value, path, indent);
            path.pop();
        }
    }

    fn value(&mut self, value: &ConfigValue, path: &mut Vec<String>, indent: usize) {
        let names: Vec<&str> = path.iter().map(String::as_str).collect();
        let remark = (self.remark)(&names).map(|r| format!(" # {r}")).unwrap_or_default();
        match value {
            ConfigValue::Map(map) if !map.is_empty() => {
                self.out += &remark;
                self.out.push('\n');
                self.map(value, path, indent + 2);
            }
            ConfigValue::List(list) if !list.is_empty() => {
                self.out += &remark;
                self.out.push('\n');
                for item in list {
                    self.out += &" ".repeat(indent);
                    self.item(item, path, indent);
                }
            }
            other => self.out += &format!(" {}{remark}\n", scalar(other, indent)),
        }
    }

    fn item(&mut self, item: &ConfigValue, path: &mut Vec<String>, indent: usize) {
        let mut inner = Emitter { out: String::new(), remark: &|_| None };
        match item {
            ConfigValue::Map(map) if !map.is_empty() => inner.map(item, path, indent + 2),
            ConfigValue::List(list) if !list.is_empty() => {
                for item in list {
                    inner.out += &" ".repeat(indent + 2);
                    inner.item(item, path, indent + 2);
                }
            }
            other => inner.out = format!("{}\n", scalar(other, indent)),
        }
        self.out += "- ";
        self.out += inner.out.trim_start_matches(' ');
    }
}

fn scalar(node: &ConfigValue, indent: usize) -> String {
    match node {
        ConfigValue::Null => "null".to_owned(),
        ConfigValue::Bool(b) => b.to_string(),
        ConfigValue::Int(n) => n.to_string(),
        ConfigValue::Float(f) if f.is_nan() => ".nan".to_owned(),
        ConfigValue::Float(f) if f.is_infinite() => if *f < 0.0 { "-.inf" } else { "+.inf" }.to_owned(),
        ConfigValue::Float(f) => go_float(*f),
        ConfigValue::Time(time) => time.rfc3339().unwrap_or_default(),
        ConfigValue::Str(text) => string(text, indent),
        ConfigValue::Bytes(bytes) => {
            use base64::Engine as _;
            format!("!!binary {}", base64::engine::general_purpose::STANDARD.encode(bytes))
        }
        ConfigValue::List(_) => "[]".to_owned(),
        ConfigValue::Map(_) => "{}".to_owned(),
    }
}

fn string(text: &str, indent: usize) -> String {
    let lines = text.contains('\n') && !text.starts_with([' ', '\n']) && !text.ends_with('\n');
    let odd = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}');
    if lines && !text.chars().any(|c| c != '\n' && odd(c)) {
        let margin = format!("\n{}", " ".repeat(indent + 2));
        return format!("|-{margin}{}", text.replace('\n', &margin));
    }
    if text.chars().any(odd) || !matches!(yaml::plain(text), ConfigValue::Str(_)) {
        return quoted(text);
    }
    let first = text.chars().next().unwrap_or(' ');
    let second = text.chars().nth(1).unwrap_or(' ');
    let indicator = ",[]{}#&*!|>'\"%@`".contains(first) || ("-?:".contains(first) && second == ' ');
    let marker = text.starts_with("---") || text.starts_with("...");
    let inside = text.contains(": ") || text.contains(" #") || text.ends_with(':');
    if indicator || marker || inside || text.trim() != text {
        return format!("'{}'", text.replace('\'', "''"));
    }
    text.to_owned()
}

fn quoted(text: &str) -> String {
    let escape = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        '\n' => "\\n".to_owned(),
        '\t' => "\\t".to_owned(),
        c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
            format!("\\u{:04x}", u32::from(c))
        }
        c => c.to_string(),
    };
    format!("\"{}\"", text.chars().map(escape).collect::<String>())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn emit(node: &ConfigValue) -> String {
        let mut emitter = Emitter { out: String::new(), remark: &|_| None };
        emitter.map(node, &mut Vec::new(), 0);
        emitter.out
    }

    #[test]
    fn it_is_laid_out_as_the_os_does_it() {
        let text = "a: \"1\"\nb:\n- x\n- 'y: z'\n- null\n- \"007\"\n- 1.5\n- true\n- - p\n  - q\n- k: v\nc: {}\nd: []\n\
                    e: null\nf: |-\n  multi\n  line\ng: '#x'\nh: 2015-01-01T00:00:00Z\ni: \"2015-01-01\"\nj: \"\"\n\
                    k: ' lead'\nl: a, b\nm: it's\no:\n  p:\n    q: 1\nr: a\"b\ns: '[a'\nt: 1e+21\nu: '- a'\nv: '...'\nw: \"tab\\tx\"\nx: '--- a'\n\
                    z:\n- - - deep\n    - er\n  - k:\n    - v\n    - |-\n      two\n      lines\n";
        let node = yaml::document::read(text).unwrap().node();
        assert_eq!(emit(&node), text);
    }

    #[test]
    fn what_is_not_seen_is_written_as_its_number() {
        let written = |text: &str| scalar(&ConfigValue::Str(text.to_owned()), 0);
        assert_eq!(written("\u{1}\n"), r#""\u0001\n""#);
        assert_eq!(written("\u{2028}"), r#""\u2028""#);
        assert_eq!(written("a\u{feff}"), r#""a\ufeff""#);
        assert_eq!(written("ü"), "ü");
    }

    #[test]
    fn numbers_without_digits_are_yamls_own_words() {
        let words = [(f64::NAN, ".nan"), (f64::INFINITY, "+.inf"), (f64::NEG_INFINITY, "-.inf")];
        for (number, word) in words {
            let map = BTreeMap::from([("a".to_owned(), ConfigValue::Float(number))]);
            assert_eq!(emit(&ConfigValue::Map(map)), format!("a: {word}\n"));
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(map in prop::collection::btree_map("[a-z:# -]{1,4}", node(), 0..4)) {
            let node = ConfigValue::Map(map);
            let text = emit(&node);
            if !matches!(&node, ConfigValue::Map(m) if m.is_empty()) {
                prop_assert_eq!(yaml::document::read(&text).map(|t| t.node()), Ok(node), "{}", text);
            }
        }
    }

    fn node() -> impl Strategy<Value = ConfigValue> {
        let leaf = prop_oneof![
            "[ -~]{0,8}".prop_map(ConfigValue::Str),
            "[a \n\t'\":#\\[-]{0,6}".prop_map(ConfigValue::Str),
            any::<i64>().prop_map(ConfigValue::Int),
            any::<bool>().prop_map(ConfigValue::Bool),
            Just(ConfigValue::Null),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(ConfigValue::List),
                prop::collection::btree_map("[a-z]{1,3}", inner, 0..3)
                    .prop_map(|m: BTreeMap<String, ConfigValue>| ConfigValue::Map(m)),
            ]
        })
    }
}
