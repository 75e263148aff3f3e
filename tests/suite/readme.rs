//! What people are told to type: every command of the help texts and of the documentation parses, and the README says
//! the same in both languages.

use std::collections::BTreeSet;

use clap::error::ErrorKind;
use fs_err as fs;

const COMMAND: &str = "cargo xtask ";

fn read(path: &str) -> String {
    fs::read_to_string(super::repository().join(path)).unwrap()
}

/// The commands of a line, without comments, pipes and redirections.
fn commands(line: &str) -> Vec<String> {
    let line = line.split(" # ").next().unwrap_or(line);
    let parts = line.split(" && ").flat_map(|p| p.split([';', '|', '>'])).map(str::trim);
    parts.filter_map(|p| p.strip_prefix(COMMAND)).map(str::to_owned).collect()
}

/// The commands in code blocks, and those in running text, which may leave arguments out.
fn of_document(text: &str) -> (Vec<String>, Vec<String>) {
    let (mut blocks, mut inline, mut fence) = (Vec::new(), Vec::new(), false);
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fence = !fence;
        } else if fence {
            blocks.extend(commands(line.trim()));
        } else {
            inline.extend(line.split('`').skip(1).step_by(2).flat_map(commands));
        }
    }
    inline.retain(|c| !c.contains('…'));
    (blocks, inline)
}

/// Words as a POSIX shell splits them, as far as examples use it.
fn words(command: &str) -> Vec<String> {
    let mut words = vec!["cargo xtask".to_owned()];
    for (i, part) in command.split('\'').enumerate() {
        if i % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

fn wrong(command: &str) -> Option<String> {
    let error = xtask::help::command().try_get_matches_from(words(command)).err()?;
    (!matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion))
        .then(|| format!("cargo xtask {command}\n{error}"))
}

fn helps(command: &mut clap::Command, texts: &mut Vec<String>) {
    texts.push(command.render_long_help().to_string());
    for sub in command.get_subcommands_mut().filter(|s| s.get_name() != "help") {
        helps(sub, texts);
    }
}

#[test]
fn every_example_of_the_help_texts_parses() {
    let mut texts = Vec::new();
    let mut root = xtask::help::command();
    root.build();
    helps(&mut root, &mut texts);
    let lines = texts.iter().flat_map(|t| t.lines()).filter(|l| l.trim_start().starts_with(COMMAND));
    let found: Vec<_> = lines.flat_map(|l| commands(l.trim())).collect();
    assert!(found.len() > 30, "{found:?}");
    let wrong: Vec<_> = found.iter().filter_map(|c| wrong(c)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_command_of_the_documentation_parses() {
    let files = ["README.md", "README.zh-CN.md", "CONTRIBUTING.md", "docs/cookbook.md", "docs/virtualbox.md"];
    let more = [
        "docs/ci.md",
        "docs/trust.md",
        "docs/verify.md",
        "docs/secure-boot.md",
        "docs/formats.md",
        "docs/architecture.md",
    ];
    let missing = [
        ErrorKind::DisplayHelp,
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
        ErrorKind::MissingSubcommand,
        ErrorKind::MissingRequiredArgument,
    ];
    for file in files.into_iter().chain(more) {
        let (blocks, inline) = of_document(&read(file));
        let wrong: Vec<_> = blocks.iter().filter_map(|c| wrong(c)).collect();
        assert!(wrong.is_empty(), "{file}: {}", wrong.join("\n"));
        for command in inline {
            let Err(error) = xtask::help::command().try_get_matches_from(words(&command)) else { continue };
            assert!(missing.contains(&error.kind()), "{file}: cargo xtask {command}\n{error}");
        }
    }
}

/// Where links of a document lead, but for the document in the other language.
fn links(text: &str) -> BTreeSet<String> {
    let inline = text.split("](").skip(1).filter_map(|t| t.split(')').next());
    let named = text.lines().filter_map(|l| l.strip_prefix('[')?.split_once("]: ")).map(|(_, to)| to);
    let all = inline.chain(named).map(str::to_owned);
    all.filter(|l| !l.starts_with("README")).collect()
}

/// The folders of code, whose paths documents name; `isofs` also holds what people add.
const CODE: [&str; 8] = ["crates/", "xtask/", "lab/", "maintain/", "tests/", "docs/", "benches/", "fuzz/"];

#[test]
fn every_file_that_a_document_names_exists() {
    let root = super::repository();
    let mut files: Vec<String> =
        ["README.md", "README.zh-CN.md", "CONTRIBUTING.md"].map(str::to_owned).to_vec();
    let docs = buildexec::tree::files(&root.join("docs")).unwrap();
    files.extend(docs.iter().filter(|f| f.extension() == Some("md")).map(|f| format!("docs/{f}")));
    let mut named = 0;
    for file in files {
        let text = read(&file);
        let paths = text.split('`').skip(1).step_by(2).filter(|p| CODE.iter().any(|dir| p.starts_with(dir)));
        for path in paths.filter(|p| !p.contains([' ', '<', '*', '{', '…'])) {
            named += 1;
            assert!(root.join(path).exists(), "{file} names {path}, which does not exist");
        }
    }
    assert!(named > 20, "{named}");
}

#[test]
fn both_readmes_have_the_same_commands_links_and_code() {
    let (english, chinese) = (read("README.md"), read("README.zh-CN.md"));
    let commands = |text: &str| {
        let (blocks, inline) = of_document(text);
        (blocks, inline.into_iter().collect::<BTreeSet<_>>())
    };
    assert_eq!(commands(&english), commands(&chinese));
    assert_eq!(links(&english), links(&chinese));
    // What stands in code is the same in every language, so a passage that one of them lacks is seen.
    let code = |text: &str| {
        let outside = text.split("```").step_by(2).collect::<String>();
        let mut code: Vec<String> = outside.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        code.sort();
        code
    };
    assert_eq!(code(&english), code(&chinese));
}

#[test]
fn a_plan_makes_no_password_and_the_version_is_told() {
    assert!(wrong("plan --generate-password").is_some() && wrong("dist --generate-password").is_none());
    let error = xtask::help::command().try_get_matches_from(["cargo xtask", "--version"]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DisplayVersion);
    assert!(error.to_string().contains(env!("CARGO_PKG_VERSION")));
}
