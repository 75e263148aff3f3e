//! The scripts of our guests: each command in them is one that the guest has.

#![expect(clippy::disallowed_methods, reason = "the guest's own BusyBox is asked what it can do")]

use std::{collections::BTreeSet, iter::Peekable, process::Command, str::Chars};

use buildexec::tree;
use fs_err as fs;

use super::{packages, repository};

/// What BusyBox's shell does itself.
const BUILTINS: &[&str] = &[
    ".", ":", "break", "cd", "command", "continue", "eval", "exec", "exit", "export", "local", "read",
    "return", "set", "shift", "trap", "umask", "unset", "wait",
];
const KEYWORDS: &[&str] =
    &["if", "then", "else", "elif", "fi", "while", "until", "do", "done", "esac", "!", "{", "}"];

/// A script without comments and quoted text: `Q` stands for what was quoted, `V` for a variable. What is substituted
/// is kept behind `$(`, and ends with a character that no script has.
fn bare(text: &mut Peekable<Chars<'_>>, substituted: bool, out: &mut String) {
    while let Some(c) = text.next() {
        match c {
            '#' if out.is_empty() || out.ends_with([' ', '\n']) => {
                while text.next_if(|c| *c != '\n').is_some() {}
            }
            '\\' => {
                text.next();
            }
            '\'' => {
                out.push('Q');
                text.find(|c| *c == '\'');
            }
            '"' => {
                out.push('Q');
                quoted(text, out);
            }
            '$' => expanded(text, out),
            ')' if substituted => {
                out.push('\u{1}');
                return;
            }
            c => out.push(c),
        }
    }
}

fn quoted(text: &mut Peekable<Chars<'_>>, out: &mut String) {
    while let Some(c) = text.next() {
        match c {
            '"' => return,
            '\\' => {
                text.next();
            }
            '$' => expanded(text, out),
            _ => {}
        }
    }
}

fn expanded(text: &mut Peekable<Chars<'_>>, out: &mut String) {
    if text.next_if_eq(&'{').is_some() {
        out.push('V');
        let mut open = 1;
        text.find(|c| {
            open += i32::from(*c == '{') - i32::from(*c == '}');
            open == 0
        });
    } else if text.next_if_eq(&'(').is_some() {
        if text.peek() == Some(&'(') {
            out.push('V');
            let mut last = ' ';
            text.find(|c| std::mem::replace(&mut last, *c) == ')' && *c == ')');
        } else {
            out.push_str("V $(");
            bare(text, true, out);
        }
    } else {
        out.push('V');
        while text.next_if(|c| c.is_ascii_alphanumeric() || "_?*@#".contains(*c)).is_some() {}
    }
}

/// The commands of a script, and the functions that it defines.
fn commands(script: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let mut text = String::new();
    bare(&mut script.chars().peekable(), false, &mut text);
    let text = text.replace("$(", "\n").replace([';', '&'], "\n").replace('\u{1}', " ");
    let (mut found, mut functions) = (BTreeSet::new(), BTreeSet::new());
    for line in text.lines() {
        // `a | b) command` is a pattern in front of a command, `a() {` begins a function.
        let line = match line.split_once("()") {
            Some((name, body)) => {
                functions.insert(name.trim().to_owned());
                body
            }
            None => line.rsplit_once(')').map_or(line, |(_, command)| command),
        };
        found
            .extend(line.split('|').filter_map(|part| command(&part.split_whitespace().collect::<Vec<_>>())));
    }
    (found, functions)
}

/// The command that these words call, also through a command that calls another.
fn command(words: &[&str]) -> Option<String> {
    let assigns = |w: &str| w.split_once('=').is_some_and(|(n, _)| !n.is_empty() && !n.contains(['[', 'Q']));
    let first = words.iter().position(|w| !KEYWORDS.contains(w) && !assigns(w))?;
    let (name, rest) = (words[first], &words[first + 1..]);
    let behind = |n: usize| command(rest.get(n..).unwrap_or_default());
    match name {
        "case" | "for" | "in" => None,
        "/bin/busybox" if rest.first() == Some(&"--install") => None,
        // The configuration program makes these.
        _ if name.starts_with("/etc/host/") => None,
        "exec" | "xargs" | "/bin/busybox" => {
            behind(rest.iter().take_while(|w| w.starts_with('-')).count()).or(Some(name.to_owned()))
        }
        "timeout" | "try" => behind(1),
        "find" if rest.contains(&"-exec") => behind(rest.iter().position(|w| *w == "-exec")? + 1),
        _ if name.contains(['Q', 'V', '*', '<', '>']) || name.starts_with(|c: char| c.is_ascii_digit()) => {
            None
        }
        _ => Some(name.to_owned()),
    }
}

/// What the guest has: BusyBox's programs by name, and programs by path.
fn programs(plan: &str, busybox: &str) -> BTreeSet<String> {
    let words = plan.split_whitespace().filter_map(|w| w.split_once('='));
    let paths = words.filter(|(key, _)| ["program", "link", "place"].contains(key)).map(|(_, path)| path);
    let both =
        paths.flat_map(|path| [format!("/{path}"), path.rsplit('/').next().unwrap_or(path).to_owned()]);
    both.chain(busybox.lines().map(str::to_owned)).chain(["hostconf".to_owned()]).collect()
}

#[test]
fn every_command_of_a_guest_script_is_in_the_guest() {
    let Some(packages) = packages::of("smoke") else { return };
    let found = tree::files(packages.store()).unwrap();
    let busybox = found.iter().find(|f| f.ends_with("usr/bin/busybox")).unwrap();
    let said = Command::new(packages.store().join(busybox)).arg("--list").output().unwrap();
    let busybox = String::from_utf8(said.stdout).unwrap();
    let plan = fs::read_to_string(repository().join("tests/snapshots/plans/docker_prebuilt.snap")).unwrap();
    let have = programs(&plan, &busybox);
    let folder = repository().join("isofs/docker");
    let read = |path: &str| fs::read_to_string(folder.join(path)).unwrap();
    let (_, shared) = commands(&read("system/usr/lib/host/lib"));
    let mut wrong = Vec::new();
    let mut all = BTreeSet::new();
    for file in tree::files(&folder).unwrap() {
        let script = String::from_utf8_lossy(&fs::read(folder.join(&file)).unwrap()).into_owned();
        if !script.starts_with("#!") && !file.ends_with("lib") {
            continue;
        }
        let (called, functions) = commands(&script);
        for name in &called {
            let known = |set: &BTreeSet<String>| set.contains(name);
            if !(known(&have) || known(&shared) || known(&functions) || BUILTINS.contains(&name.as_str())) {
                wrong.push(format!("{file}: {name}"));
            }
        }
        all.extend(called);
    }
    assert!(wrong.is_empty(), "the guest has no such command:\n{}", wrong.join("\n"));
    let seen =
        ["mount", "dockerd", "/usr/sbin/e2fsck", "modprobe", "wget", "head", "udhcpc", "/usr/sbin/mke2fs"];
    let unseen: Vec<_> = seen.iter().filter(|s| !all.contains(**s)).collect();
    assert!(unseen.is_empty(), "not found among the commands: {unseen:?} in {all:?}");
}

#[test]
fn commands_are_found_wherever_a_shell_starts_one() {
    let script = "#!/bin/sh\n# a comment | no\nf() {\n  a=$(one \"$(two 'x; no')\" | three); four \"no; no\"\n}\n\
                  case \"$1\" in\n  no | no) five ;;\n  \"no \"*) six && ! seven || exec eight -x ;;\nesac\n\
                  for i in no no; do nine ${i#no} $((no + 1)) >no; done\nif [ ten ]; then try \"no no\" eleven; fi\n\
                  find no -exec twelve {} +; timeout 3 thirteen | xargs -r fourteen; /bin/busybox fifteen\n";
    let (found, functions) = commands(script);
    let wanted = [
        "[", "eight", "eleven", "fifteen", "five", "four", "fourteen", "nine", "one", "seven", "six",
        "thirteen", "three", "twelve", "two",
    ];
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), wanted);
    assert_eq!(functions.into_iter().collect::<Vec<_>>(), ["f"]);
}
