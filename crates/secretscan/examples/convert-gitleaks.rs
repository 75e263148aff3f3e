//! Converts the rules of gitleaks (<https://github.com/gitleaks/gitleaks>, MIT) into the data of the secret scan:
//!
//! ```sh
//! cargo run -p secretscan --example convert-gitleaks -- gitleaks/config/gitleaks.toml > crates/secretscan/src/gitleaks.json
//! ```
//!
//! One rule per line, so that an update can be read. Only what the scan uses is kept: words, pattern, which group is the
//! secret, least entropy, and what is allowed.

#![expect(clippy::disallowed_macros, clippy::print_stdout, reason = "its output is the file")]

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};
use toml::Table;

/// Rules that are left out, and why.
const LEFT_OUT: &[(&str, &str)] = &[
    ("pkcs12-file", "it looks at names of files alone"),
    ("private-key", "ours also asks for the key's base64, which libraries do not have behind their header"),
    ("kubernetes-secret-yaml", "what it finds is base64, and that is decoded and looked at"),
    ("generic-api-key", "ours want more of what looks random: names of programs are next to the same words"),
    ("hashicorp-tf-password", "ours take any password that is set"),
];

fn main() -> Result<()> {
    let path = std::env::args().nth(1).context("give the path of gitleaks.toml")?;
    let config: Table = fs_err::read_to_string(path)?.parse()?;
    let rules = config["rules"].as_array().context("no rules")?;
    println!("{{");
    println!("\"allowed\": {},", list(&config["allowlist"], "regexes"));
    println!("\"stopwords\": {},", list(&config["allowlist"], "stopwords"));
    println!("\"rules\": [");
    let kept: Vec<String> = rules.iter().filter_map(|rule| convert(rule).map(|r| r.to_string())).collect();
    println!("{}\n]\n}}", kept.join(",\n"));
    Ok(())
}

fn list(of: &toml::Value, key: &str) -> Value {
    let texts = of.get(key).and_then(toml::Value::as_array).into_iter().flatten();
    let escape = |text: &str| if key == "regexes" { braces(text) } else { text.to_owned() };
    texts.filter_map(toml::Value::as_str).map(|text| Value::from(escape(text))).collect()
}

/// Go takes a brace that counts nothing as itself; Rust wants it escaped.
fn braces(pattern: &str) -> String {
    let counts = |rest: &str| {
        let inner = rest.split_once('}').map_or("", |(inner, _)| inner);
        inner.starts_with(|c: char| c.is_ascii_digit())
            && inner.bytes().all(|b| b.is_ascii_digit() || b == b',')
    };
    let (mut made, mut escaped) = (String::new(), false);
    for (at, c) in pattern.char_indices() {
        if c == '{' && !escaped && !counts(&pattern[at + 1..]) {
            made.push('\\');
        }
        made.push(c);
        escaped = c == '\\' && !escaped;
    }
    made
}

fn convert(rule: &toml::Value) -> Option<Value> {
    let id = rule.get("id")?.as_str()?;
    if LEFT_OUT.iter().any(|(left, _)| *left == id) {
        return None;
    }
    let mut made = Map::new();
    made.insert("id".to_owned(), id.into());
    made.insert("words".to_owned(), list(rule, "keywords"));
    made.insert("pattern".to_owned(), braces(rule.get("regex")?.as_str()?).into());
    if let Some(group) = rule.get("secretGroup").and_then(toml::Value::as_integer) {
        made.insert("group".to_owned(), group.into());
    }
    if let Some(entropy) = rule.get("entropy") {
        let entropy = entropy.as_float().or_else(|| entropy.as_integer().map(|n| n as f64))?;
        made.insert("entropy".to_owned(), json!(entropy));
    }
    // A list that holds only in files of certain names is for repositories of source.
    let lists = rule.get("allowlists").and_then(toml::Value::as_array).into_iter().flatten();
    for allowed in lists.filter(|list| list.get("paths").is_none()) {
        let target = allowed.get("regexTarget").and_then(toml::Value::as_str).unwrap_or("secret");
        let all = [(target, list(allowed, "regexes")), ("stopwords", list(allowed, "stopwords"))];
        for (key, mut list) in all {
            let kept = made.entry(format!("allowed-{key}")).or_insert_with(|| json!([]));
            if let (Some(kept), Some(list)) = (kept.as_array_mut(), list.as_array_mut()) {
                kept.append(list);
            }
        }
    }
    made.retain(|_, value| *value != json!([]));
    Some(Value::Object(made))
}
