//! The parser against what the genuine parsers answered.

use std::{fs, path::Path};

use bootparams::{
    ConfigValue, ConfigVerdict, Context, Diagnostic, Os, Severity, SourceText, check, cloud_config,
    codes::{self, Code},
    line,
};
use serde_json::Value as Json;

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/params").join(name);
    fs::read_to_string(path).unwrap()
}

fn answer(result: Result<ConfigValue, bootparams::Crash>) -> Json {
    result
        .map_or_else(|crash| Json::from(crash.word()), |tree| serde_json::from_str(&tree.to_json()).unwrap())
}

#[test]
fn every_vector_of_1_5_8_is_read_as_rancheros_reads_it() {
    let vectors: Vec<Json> = serde_json::from_str(&fixture("cmdline.json")).unwrap();
    assert!(vectors.len() > 250);
    for os in ["rancheros-1.5.8", "rancheros-1.5.5", "burmillaos-1.9.3", "burmillaos-2.0.5", "smoke"] {
        let os: Os = os.parse().unwrap();
        for vector in &vectors {
            let line = vector["in"].as_str().unwrap();
            assert_eq!(answer(line::parse(line, os)), vector["out"], "{os}: {line}");
        }
    }
}

/// These rows were made by calling the parsers below the step that drops backslashes, except for 1.5.8's.
#[test]
fn every_dialect_reads_its_column() {
    let columns = [
        ("v0.4.4", "0.4.4"),
        ("v0.4.5", "0.4.5"),
        ("v0.7.1", "0.7.1"),
        ("v1.4.3", "1.4.3"),
        ("v1.5.8", "1.5.8"),
    ];
    let rows = fixture("dialects.jsonl");
    assert!(rows.lines().count() > 140);
    for row in rows.lines() {
        let row: Json = serde_json::from_str(row).unwrap();
        for (column, version) in columns {
            let os = Os::Rancher(version.parse().unwrap());
            let line = row["input"].as_str().unwrap();
            let got = answer(line::parse_alone(line, os));
            let text = row[column].as_str().unwrap();
            let want = if text == "PANIC" { Json::from(text) } else { serde_json::from_str(text).unwrap() };
            assert_eq!(got, plain(want), "{os}: {line}");
        }
    }
}

/// `<float64 1.5>` and `<time.Time …>`, as these rows write Go's types, in the form of the other vectors.
fn plain(value: Json) -> Json {
    match value {
        Json::Object(map) => Json::Object(map.into_iter().map(|(k, v)| (k, plain(v))).collect()),
        Json::Array(list) => Json::Array(list.into_iter().map(plain).collect()),
        Json::String(text) => {
            if let Some(float) = text.strip_prefix("<float64 ").and_then(|t| t.strip_suffix('>')) {
                let number: f64 = float.parse().unwrap();
                return serde_json::from_str(&ConfigValue::Float(number).to_json()).unwrap();
            }
            if let Some(time) = text.strip_prefix("<time.Time ").and_then(|t| t.strip_suffix('>')) {
                return Json::String(format!("time.Time:{time}"));
            }
            Json::String(text)
        }
        other => other,
    }
}

/// What the genuine code made of lines and files: `ok`, `refused` or `panic`, and with which words.
fn verdicts(name: &str) -> Vec<Json> {
    fixture(name).lines().map(|row| serde_json::from_str(row).unwrap()).collect()
}

/// The verdict on a row, and what the checks say about it.
fn judged(row: &Json, os: Os) -> (ConfigVerdict, Vec<Diagnostic>) {
    match (row["line"].as_str(), row["file"].as_str()) {
        (Some(text), _) => (line::boot(text, os), check(text, os, &Context::default())),
        (_, Some(text)) => (cloud_config::boot(text, os), cloud_config::check(text, os)),
        _ => panic!("neither a line nor a file: {row}"),
    }
}

#[test]
fn lines_and_files_boot_as_the_genuine_code_boots_them() {
    let os = "rancheros-1.5.8".parse().unwrap();
    for (name, least) in
        [("convert-lines.jsonl", 1_000), ("convert-files.jsonl", 600), ("convert-odd.jsonl", 600)]
    {
        let rows = verdicts(name);
        assert!(rows.len() > least, "{name}");
        for row in rows {
            let (verdict, found) = judged(&row, os);
            assert_eq!(row["boot"], verdict.word(), "{row}");
            let fatal = |d: &Diagnostic| {
                ["kernel panics", "PID 1", "whole file is skipped"].iter().any(|w| d.at_boot.contains(w))
            };
            // What the boot survives is called fatal nowhere, and what it does not survive is an error.
            assert_eq!(found.iter().any(fatal), row["boot"] != "ok", "{row} {found:?}");
            let errors = || found.iter().any(|d| d.severity() == Severity::Error);
            assert!(row["boot"] == "ok" || errors(), "{row} {found:?}");
        }
    }
}

#[test]
fn a_refusal_has_the_words_of_the_genuine_code() {
    let os = "rancheros-1.5.8".parse().unwrap();
    for name in ["convert-lines.jsonl", "convert-files.jsonl"] {
        for row in verdicts(name).iter().filter(|row| row["boot"] != "ok") {
            let (words, theirs) = (judged(row, os).0.to_string(), row["why"].as_str().unwrap());
            // The vectors keep the first hundred characters.
            let words: String = words.chars().take(theirs.chars().count()).collect();
            assert!(theirs.starts_with(&words), "{words} is not {theirs}");
        }
    }
}

/// What the rule's own example raises of it.
fn shown(code: &Code) -> String {
    let os: Os = code.example.os.parse().unwrap();
    let text = code.example.line();
    let context = Context {
        targets: code.example.target.into_iter().collect(),
        on_medium: true,
        nics: Vec::new(),
        secure_boot: true,
    };
    let file = code.id[1..].starts_with("06");
    let found = if file { cloud_config::check(&text, os) } else { check(&text, os, &context) };
    let source = SourceText { name: code.example.os, text: &text };
    let of_this = found.iter().filter(|d| d.code.id == code.id);
    of_this.map(|d| source.show(d)).collect()
}

#[test]
fn every_rule_is_raised_by_its_example_and_shows_this_text() {
    let texts: Vec<String> = codes::ALL.iter().map(|code| shown(code)).collect();
    let silent: Vec<_> =
        codes::ALL.iter().zip(&texts).filter(|(_, t)| t.is_empty()).map(|(c, _)| c.id).collect();
    assert!(silent.is_empty(), "not raised by their examples: {silent:?}");
    insta::assert_snapshot!("diagnostics", texts.join("\n"));
}

#[test]
fn docs_params_md_is_what_the_tables_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/params.md");
    let there = fs::read_to_string(&path).unwrap();
    let text = bootparams::docs::markdown();
    assert!(there == text, "docs/params.md is out of date: `cargo xtask codegen` writes it");
}

#[test]
fn damaged_vectors_are_survived() {
    let vectors: Vec<Json> = serde_json::from_str(&fixture("cmdline.json")).unwrap();
    let lines: Vec<&str> = vectors.iter().map(|v| v["in"].as_str().unwrap()).collect();
    let mut left = 500;
    let rounds = fuzz::params::run(&lines, 1, || {
        left -= 1;
        left >= 0
    });
    assert_eq!(rounds, 500);
}
