//! The completion scripts, loaded into the shells they are for; a shell that is missing is skipped by name.

use buildplan::Cmd;
use camino::{Utf8Path, Utf8PathBuf};

use super::serve::servers::{has, runner};

/// Lines to complete, and what must be offered.
const LINES: &[(&str, &[&str])] = &[
    ("xtask kar", &["kargs"]),
    ("xtask vm ", &["run", "test", "ls", "rm"]),
    ("xtask vm run --back", &["--backend"]),
    ("xtask dist --engine ", &["source", "prebuilt"]),
];

/// zsh completes at a terminal alone: a shell in a pseudo-terminal lists the matches of one line and leaves.
const ZSH: &str = r#"
zmodload zsh/zpty
zpty -b shell zsh -f -i
zpty -w shell 'fpath=($DIR $fpath); autoload -U compinit; compinit -u -d $DIR/dump; bindkey "^I" list-choices; stty -echo; xtask() { : }; print REA""DY'
while zpty -r shell out || sleep 0.1; do [[ $out == *READY* ]] && break; done
zpty -w -n shell "$1"$'\t'
for i in {1..300}; do
    while zpty -r -t shell out; do all+=$out; done
    [[ $all == *$2* ]] && break
    sleep 0.1
done
print -r -- "$all"
"#;

/// bash's function for a command reads the words from variables.
const BASH: &str = r#"
source "$DIR/xtask.bash"
read -ra COMP_WORDS <<< "$1"
[[ $1 == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_LINE=$1 COMP_POINT=${#1}
_xtask xtask "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;

/// A folder with the script of `shell` in a file `name`.
fn script(shell: &str, name: &str) -> (tempfile::TempDir, Utf8PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let root = Utf8Path::from_path(dir.path()).unwrap().to_owned();
    let cmd = Cmd::new(env!("CARGO_BIN_EXE_xtask"), "print a script").args(["completions", shell]);
    fs_err::write(root.join(name), runner(&root).run(&cmd).unwrap().text()).unwrap();
    (dir, root)
}

fn offers(root: &Utf8Path, cmd: impl Fn(&str, &str) -> Cmd) {
    for (line, wanted) in LINES {
        let cmd = cmd(line, wanted[wanted.len() - 1])
            .env("DIR", root.as_str())
            .env("TERM", "dumb")
            .env("COLUMNS", "200");
        let offered = runner(root).run(&cmd.cwd(root)).unwrap().text();
        for word in *wanted {
            let is_there = offered.split(|c: char| c.is_whitespace() || c.is_control()).any(|w| w == *word);
            assert!(is_there, "`{line}` is to be completed by {word}; offered was:\n{offered}");
        }
    }
}

#[test]
fn bash_completes_commands_options_and_values() {
    if has("bash") {
        let (_dir, root) = script("bash", "xtask.bash");
        offers(&root, |line, _| Cmd::new("bash", "complete").args(["--norc", "-c", BASH, "bash", line]));
    }
}

#[test]
fn zsh_completes_commands_options_and_values() {
    if has("zsh") {
        let (_dir, root) = script("zsh", "_xtask");
        offers(&root, |line, last| Cmd::new("zsh", "complete").args(["-f", "-c", ZSH, "zsh", line, last]));
    }
}

#[test]
fn fish_completes_commands_options_and_values() {
    if has("fish") {
        let (_dir, root) = script("fish", "xtask.fish");
        let source = "source $DIR/xtask.fish; complete -C $argv[1]";
        offers(&root, |line, _| Cmd::new("fish", "complete").args(["--no-config", "-c", source, line]));
    }
}
