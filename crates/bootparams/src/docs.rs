//! `docs/params.md`: the rules and the schema, written from the tables that the code uses.

use std::fmt::Write as _;

use super::{
    codes::{self, Code},
    host,
    schema::{self, Key},
};

const HEAD: &str = "\
# Kernel parameters

Written by `cargo xtask codegen` from the tables in `crates/bootparams/`. `cargo xtask params check` looks for
what follows before a medium is made, `params explain` shows what the OS will hold, `params list` searches the schema.

## Rules

E is an error: the boot panics, the word is dropped, or it cannot be written. W is a warning: the meaning changes, or
this version takes no notice. N is a note.
";

/// The whole file.
#[must_use]
pub fn markdown() -> String {
    let mut out = String::from(HEAD);
    for code in codes::ALL {
        rule(&mut out, code);
    }
    out += "\n## Keys\n\n`*` stands for any one name. *Since* 0.4.0 means: or earlier. BurmillaOS begins at 1.9.0.\n\n";
    out += "| Key | Type | Since | Until | On the line | Default | What it is |\n|---|---|---|---|---|---|---|\n";
    for key in schema::keys() {
        row(&mut out, &key);
    }
    out += HOST;
    for key in host::keys() {
        let cells = [
            format!("`{}`", key.path),
            key.ty.to_owned(),
            format!("`{}`", key.example),
            key.about.to_owned(),
        ];
        _ = writeln!(out, "| {} |", cells.map(|c| c.replace('|', "\\|")).join(" | "));
    }
    out
}

const HOST: &str = "
## Keys of docker-1

The paths are those of a cloud-config. On the command line the first six begin with `cc.`, and lists of maps cannot be
written. `*` is any one name, `**` one with dots in it. Every other key is refused: `params check` says why, and so does
the machine's console. `params render-system` shows what a configuration becomes.

| Key | Type | Example | What it is |
|---|---|---|---|
";

fn rule(out: &mut String, code: &Code) {
    let example = code.example;
    let times = if example.times > 1 { format!(" ({} times)", example.times) } else { String::new() };
    let target = example.target.map(|t| format!(", for {}", t.name())).unwrap_or_default();
    let text = example.text.trim_end().replace('\t', "␉");
    _ = write!(
        out,
        "\n### {}: {}\n\n{}\n\nFor example, on {}{target}{times}:\n\n```text\n{text}\n```\n",
        code.id, code.title, code.why, example.os
    );
}

fn row(out: &mut String, key: &Key) {
    let row = key.row;
    let until = row.until.map(|v| v.to_string()).unwrap_or_default();
    let defaults: Vec<String> = row
        .defaults
        .iter()
        .map(|(since, text)| {
            let text = if text.is_empty() { "unset".to_owned() } else { format!("`{text}`") };
            if row.defaults.len() == 1 { text } else { format!("{since}: {text}") }
        })
        .collect();
    let cells = [
        format!("`{}`", key.path),
        row.ty.name().to_owned(),
        row.since.to_string(),
        until,
        row.on_line.name().to_owned(),
        defaults.join("; "),
        row.about.to_owned(),
    ];
    let cells = cells.map(|c| c.replace('|', "\\|"));
    _ = writeln!(out, "| {} |", cells.join(" | "));
}
