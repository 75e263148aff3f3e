//! Documentation that follows from the code: written by `cargo xtask codegen`, compared by `codegen --check`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use camino::Utf8PathBuf;
use clap::Command;
use serde_json::Value;
use xshell::cmd;

use super::shell;
use buildexec::ctx::Ctx;
use buildplan::Cmd;
use failure::{Explain as _, Failure, Kind};
use xtask::help;

/// The package whose program is shipped.
const PROGRAM: &str = "lab";
/// How wide the reference's help texts are.
const WIDTH: usize = 100;

/// The document whose picture of the crates is drawn.
const ARCHITECTURE: &str = "docs/architecture.md";
/// Where the picture begins and ends.
const PICTURE: [&str; 2] =
    ["<!-- The crates, drawn by `cargo xtask codegen`. -->\n", "<!-- End of the crates. -->\n"];

/// Each generated file, by its path from the root.
fn files(ctx: &Ctx) -> Result<Vec<(&'static str, String)>> {
    Ok(vec![
        (ARCHITECTURE, architecture(ctx)?),
        ("docs/cli.md", cli()),
        ("docs/manifest.schema.json", schema(ctx, "manifest")?),
        ("docs/media.schema.json", schema(ctx, "media")?),
        ("docs/params.md", bootparams::docs::markdown()),
    ])
}

/// Writes what is not as the code says, and returns its paths.
///
/// # Errors
/// When the disk cannot be written.
pub(crate) fn write(ctx: &Ctx) -> Result<Vec<Utf8PathBuf>> {
    let stale = stale(ctx)?;
    for (path, text) in &stale {
        fs_err::create_dir_all(path.parent().expect("each is in a folder"))?;
        fs_err::write(path, text)?;
    }
    Ok(stale.into_iter().map(|(path, _)| path).collect())
}

/// Fails when a file is not as the code says.
///
/// # Errors
/// [`Kind::Config`] with their names.
pub(crate) fn check(ctx: &Ctx) -> Result<()> {
    let stale = stale(ctx)?;
    if stale.is_empty() {
        return Ok(());
    }
    let names: Vec<_> =
        stale.iter().map(|(p, _)| p.strip_prefix(&ctx.root).unwrap_or(p).to_string()).collect();
    Err(Failure::new(Kind::Config, format!("not as the code says: {}", names.join(", ")))
        .help("write them with `cargo xtask codegen`, and commit them")
        .into())
}

fn stale(ctx: &Ctx) -> Result<Vec<(Utf8PathBuf, String)>> {
    let all = files(ctx)?.into_iter().map(|(path, text)| (ctx.root.join(path), text));
    Ok(all.filter(|(path, text)| fs_err::read_to_string(path).ok().as_ref() != Some(text)).collect())
}

/// The architecture with its picture of the crates as `cargo metadata` has them.
fn architecture(ctx: &Ctx) -> Result<String> {
    let text = fs_err::read_to_string(ctx.root.join(ARCHITECTURE))?;
    let [begin, end] = PICTURE;
    let parts = text.split_once(begin).and_then(|(head, rest)| Some((head, rest.split_once(end)?.1)));
    let Some((head, tail)) = parts else {
        return Err(Failure::new(Kind::Config, format!("{ARCHITECTURE} has no place for the crates")).into());
    };
    let words = ["metadata", "--no-deps", "--offline", "--format-version", "1"];
    let said = ctx.runner.run(&Cmd::new("cargo", "ask for the crates").args(words))?;
    let picture = picture(&serde_json::from_slice(&said.stdout)?);
    Ok(format!("{head}{begin}\n```mermaid\n{picture}```\n\n{end}{tail}"))
}

/// Each crate that is shipped, and which of ours it depends on, but for those that it gets through another one.
fn picture(metadata: &Value) -> String {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    let mut needs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in list(&metadata["packages"]) {
        let normal = list(&package["dependencies"]).into_iter().filter(|d| d["kind"].is_null());
        needs.insert(name(&package), normal.map(|d| name(&d)).collect());
    }
    let reach = |from: &str| {
        let (mut seen, mut todo) = (BTreeSet::new(), vec![from.to_owned()]);
        while let Some(next) = todo.pop() {
            let below = needs.get(&next).into_iter().flatten().filter(|d| needs.contains_key(*d));
            todo.extend(below.filter(|d| seen.insert((*d).clone())).cloned().collect::<Vec<_>>());
        }
        seen
    };
    let shipped: BTreeSet<String> = reach(PROGRAM).into_iter().chain([PROGRAM.to_owned()]).collect();
    let mut text = "flowchart TD\n".to_owned();
    for krate in &shipped {
        let direct: Vec<&String> = needs[krate].iter().filter(|d| shipped.contains(*d)).collect();
        for below in &direct {
            if !direct.iter().any(|other| other != below && reach(other).contains(*below)) {
                text += &format!("  {krate} --> {below}\n");
            }
        }
    }
    text
}

/// The reference of every command, and the exit codes.
fn cli() -> String {
    let mut text = String::from(
        "# Command line\n\nWritten by `cargo xtask codegen` from the commands' own help. Results go to standard \
         output, everything else to standard error.\n",
    );
    let mut root = help::command().term_width(WIDTH);
    root.build();
    reference(&root, &mut text);
    text += "\n## Exit codes\n\n| Code | Kind | Meaning |\n| ---: | --- | --- |\n";
    text += "| 0 | | Success. |\n| 1 | | Any other failure. |\n";
    for kind in Kind::ALL {
        text += &format!("| {} | {kind:?} | {} |\n", kind.exit_code(), kind.about());
    }
    text
}

/// Adds a command's help and that of its own commands. Options of every command are shown once, at the top.
fn reference(command: &Command, text: &mut String) {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let mut shown = command.clone();
    if name != "cargo xtask" {
        for option in command.get_arguments().filter(|a| a.is_global_set()) {
            shown = shown.mut_arg(option.get_id(), |a| a.hide(true));
        }
    }
    let help = shown.term_width(WIDTH).render_long_help().to_string();
    let help: Vec<_> = help.trim_end().lines().map(str::trim_end).collect();
    text.push_str(&format!("\n## `{name}`\n\n```text\n{}\n```\n", help.join("\n")));
    for sub in command.get_subcommands().filter(|s| s.get_name() != "help" && !s.is_hide_set()) {
        reference(sub, text);
    }
}

/// What the package `schemas` prints: only there do our crates describe their types.
fn schema(ctx: &Ctx, name: &str) -> Result<String> {
    let sh = shell(ctx)?;
    let said = cmd!(sh, "cargo run --quiet --locked --package schemas -- {name}").quiet().read();
    Ok(said.explain(Kind::Command, || format!("the schema of {name} could not be made"))? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_has_every_command_and_every_exit_code() {
        let text = cli();
        for command in help::command().get_subcommands().filter(|c| !c.is_hide_set()) {
            assert!(text.contains(&format!("\n## `cargo xtask {}`\n", command.get_name())), "{command:?}");
        }
        assert!(text.contains("| 5 | Digest | Bytes do not match their digest. |"));
        assert_eq!(text.matches("--keep-failed").count(), 1, "options of every command are shown once");
    }

    #[test]
    fn a_crate_that_is_reached_through_another_has_no_arrow_of_its_own() {
        let package = |name: &str, needs: &[&str]| {
            let needs: Vec<_> =
                needs.iter().map(|n| serde_json::json!({ "name": n, "kind": null })).collect();
            serde_json::json!({ "name": name, "dependencies": needs })
        };
        let all = [
            package(PROGRAM, &["a", "b", "serde"]),
            package("a", &["b"]),
            package("b", &[]),
            package("fuzz", &["a"]),
        ];
        let text = picture(&serde_json::json!({ "packages": all }));
        assert_eq!(text, "flowchart TD\n  a --> b\n  lab --> a\n");
    }
}
