//! The help pages as people read them: commands grouped by what they are for, a command's own options before the
//! global ones, no global option where it has no effect, an example on every page.

use clap::{Arg, Command, CommandFactory as _};

use crate::{cli::Cli, cmd::completions};
use report::table::wrap;

/// Commands by what people come for. A test compares it with the commands that exist.
const GROUPS: &[(&str, &[&str])] = &[
    ("Make", &["dist", "variants", "profiles", "plan", "fetch"]),
    ("Try", &["vm"]),
    ("Serve", &["serve"]),
    ("Check and change", &["params", "kargs", "iso", "verify"]),
    ("Release", &["key", "sign", "secret-scan", "publish", "ci"]),
    ("Maintain", &["doctor", "gc", "store", "test", "codegen", "completions"]),
];

/// Commands that build or download, by their first word: `--jobs`, `--keep-failed` and `--offline` mean something there.
const BUILDS: &[&str] =
    &["dist", "variants", "fetch", "plan", "verify", "publish", "ci", "test", "vm", "gc", "store"];

/// Examples of commands that have none beside their code.
const EXAMPLES: &[(&str, &[&str])] = &[
    ("vm ls", &["vm ls", "vm ls --json"]),
    ("vm rm", &["vm rm smoke", "vm rm rancheros --backend virtualbox"]),
    ("params parse", &["params parse --os rancheros-1.5.8  # lines from standard input"]),
    ("params list", &["params list", "params list --os burmillaos-1.9.3 --json"]),
    ("kargs show", &["kargs show dist/smoke/smoke-*-x86_64.iso", "kargs show other.iso --json"]),
    (
        "verify",
        &[
            "verify dist/smoke",
            "verify dist/smoke --key release.pub --strict",
            "verify https://example.org/smoke",
        ],
    ),
    ("secret-scan", &["secret-scan dist/smoke"]),
    ("publish", &["publish --to release", "publish --to release --execute"]),
    (
        "test",
        &["test --install", "test --only clippy", "test --long", "test --distribution trixie --only dist"],
    ),
    ("ci matrix", &["ci matrix --for ci"]),
    ("ci relations", &["ci relations noble-main noble-universe  # Packages of Ubuntu"]),
    ("ci cache-key", &["ci cache-key smoke --engine prebuilt"]),
    ("ci finish", &["ci finish"]),
    ("ci pins", &["ci pins"]),
    ("ci reproducible", &["ci reproducible smoke"]),
    ("ci run", &["ci run ci", "ci run release --job build"]),
    ("ci assets", &["ci assets target/media/release/stable --programs program"]),
    ("ci program", &["ci program --to program --install"]),
    ("ci upload", &["ci upload target/media/release/stable --tag v1.2.3"]),
    ("codegen", &["codegen", "codegen --check"]),
];

/// Global options that mean something only where something is built or downloaded.
const BUILD_OPTIONS: &[&str] = &["offline", "jobs", "keep_failed"];

/// The command line with its help arranged.
#[must_use]
pub fn command() -> Command {
    let mut root = Cli::command();
    let hidden: Vec<Arg> = BUILD_OPTIONS
        .iter()
        .filter_map(|id| root.get_arguments().find(|a| a.get_id() == id))
        .map(|a| a.clone().hide(true))
        .collect();
    let names: Vec<String> = root.get_subcommands().map(|c| c.get_name().to_owned()).collect();
    for name in names {
        let hidden = if BUILDS.contains(&name.as_str()) { &[] } else { hidden.as_slice() };
        root = root.mut_subcommand(&name, |c| arrange(c, &name, hidden));
    }
    if let Some(typed) = report::program::typed() {
        let text = completions::scripts_of(completions::file_name(typed));
        root = root.mut_subcommand("completions", |c| c.after_long_help(text));
    }
    let groups = grouped(&root, report::columns().unwrap_or(usize::MAX));
    root.help_template(format!(
        "{{before-help}}{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}Options:\n{{options}}{{after-help}}"
    ))
    .after_help("`cargo xtask COMMAND --help` shows the options and examples of a command.")
}

/// Adds examples, and takes `hidden` out of the help: clap leaves a global option alone that a command has itself.
fn arrange(command: Command, path: &str, hidden: &[Arg]) -> Command {
    let mut command = command.args(hidden);
    if let Some((_, lines)) = EXAMPLES.iter().find(|(p, _)| *p == path) {
        let lines: Vec<_> = lines.iter().map(|l| format!("  cargo xtask {l}")).collect();
        command = command.after_help(format!("Examples:\n{}", lines.join("\n")));
    }
    let names: Vec<String> = command.get_subcommands().map(|c| c.get_name().to_owned()).collect();
    for name in names {
        command = command.mut_subcommand(&name, |c| arrange(c, &format!("{path} {name}"), hidden));
    }
    command
}

/// The list of commands, by group, on a terminal of `width` columns.
fn grouped(root: &Command, width: usize) -> String {
    let mut text = String::new();
    for (group, names) in GROUPS {
        text += &format!("{group}:\n");
        for name in *names {
            let about = root.find_subcommand(name).and_then(Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            text += &wrap(&format!("  {name:<12} {about}"), 15, width);
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(command: &Command, path: &str, each: &mut impl FnMut(&str, String)) {
        pages_of(command, 80, path, each);
    }

    fn pages_of(command: &Command, width: usize, path: &str, each: &mut impl FnMut(&str, String)) {
        let mut shown = command.clone().term_width(width);
        each(path, shown.render_long_help().to_string());
        for sub in command.get_subcommands().filter(|s| s.get_name() != "help" && !s.is_hide_set()) {
            pages_of(sub, width, format!("{path} {}", sub.get_name()).trim(), each);
        }
    }

    fn built() -> Command {
        let mut root = command();
        root.build();
        root
    }

    #[test]
    fn the_first_page_lists_every_command_once_in_80_columns() {
        let mut root = command().term_width(80);
        let page = root.render_long_help().to_string();
        for sub in root.get_subcommands().filter(|s| s.get_name() != "help" && !s.is_hide_set()) {
            let lines = page.lines().filter(|l| l.starts_with(&format!("  {} ", sub.get_name()))).count();
            assert_eq!(lines, 1, "{}", sub.get_name());
        }
        for line in page.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }

    #[test]
    fn the_list_of_commands_fits_a_narrow_terminal() {
        for line in grouped(&command(), 50).lines() {
            assert!(line.chars().count() <= 50, "{line}");
        }
    }

    #[test]
    fn every_page_of_a_command_has_an_example_that_is_not_wrapped() {
        let mut wrong = Vec::new();
        pages(&built(), "", &mut |path, page| {
            let leaf = built_leaf(path);
            if leaf && !page.contains("\n  cargo xtask ") {
                wrong.push(path.to_owned());
            }
        });
        assert!(wrong.is_empty(), "no example: {wrong:?}");
    }

    /// clap breaks a longer line, and the rest of its comment would be taken for a command.
    #[test]
    fn every_example_fits_80_columns() {
        let root = built();
        let mut long = Vec::new();
        pages_of(&root, 1000, "", &mut |_, page| {
            let examples = page.lines().filter(|l| l.starts_with("  cargo xtask "));
            long.extend(examples.filter(|l| l.chars().count() > 80).map(str::to_owned));
        });
        assert!(long.is_empty(), "{long:#?}");
    }

    fn built_leaf(path: &str) -> bool {
        let root = built();
        let mut at = &root;
        for word in path.split_whitespace() {
            at = at.find_subcommand(word).unwrap();
        }
        !at.has_subcommands()
    }

    #[test]
    fn options_without_effect_are_not_shown_and_global_ones_come_last() {
        pages(&built(), "", &mut |path, page| {
            if path.starts_with("sign") || path.starts_with("iso") {
                assert!(!page.contains("--jobs") && !page.contains("--keep-failed"), "{path}");
            }
            if path == "dist" {
                let at = |text| page.find(text).unwrap();
                assert!(at("--install") < at("Global options:") && at("Global options:") < at("--json"));
            }
        });
    }
}
