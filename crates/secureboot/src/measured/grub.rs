//! A `grub.cfg` as GRUB measures it: each command that it runs, and what it loads.
//!
//! Only scripts that run the same everywhere are read: settings, menu entries, `linux`, `initrd`, `echo`. A script with a
//! variable, a condition or another command is refused, since what it does then is not in its text.

use bootparams::target::{Target, grub_arguments};

/// One thing that GRUB measures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum GrubStep {
    /// A command, with its words as it gets them.
    Command(String),
    /// A kernel that it loads, and the kernel's command line with the file in front.
    Kernel(String, String),
    /// What it loads as the initrd, in order.
    Initrd(Vec<String>),
}

/// Characters that stand for something else outside of quotes.
const SPECIAL: &[char] = &['$', '`', ';', '|', '&', '<', '>', '*', '?', '[', '{', '}', '#'];
/// Settings by which GRUB finds files.
const PLACES: [&str; 2] = ["root", "prefix"];

/// What GRUB does with a script whose menu nobody touches.
///
/// # Errors
/// The line whose effect its text does not tell.
pub(super) fn steps(text: &str) -> Result<Vec<GrubStep>, String> {
    // GRUB drops lines that begin so before it parses the rest (`read_config_file_getline` in normal/main.c).
    let mut lines = text.split('\n').filter(|line| !line.starts_with('#'));
    let (mut steps, mut entries, mut default) = (Vec::new(), Vec::new(), 0);
    while let Some(line) = lines.next() {
        let words = match line.trim_start().strip_prefix("menuentry ").and(line.strip_suffix('{')) {
            Some(head) => {
                let block = block(&mut lines).ok_or_else(|| unknown(line))?;
                let words = words(head)?;
                let [_, title] = words.as_slice() else { return Err(unknown(line)) };
                steps.push(GrubStep::Command(format!("menuentry {title} {{\n{}", block.join("\n"))));
                entries.push((title.clone(), block));
                continue;
            }
            None => words(line)?,
        };
        match words.as_slice() {
            [] => continue,
            [set, setting] if set == "set" => {
                let (name, value) = setting.split_once('=').ok_or_else(|| unknown(line))?;
                if PLACES.contains(&name) {
                    return Err(unknown(line));
                }
                if name == "default" {
                    default = value.parse().map_err(|_| unknown(line))?;
                }
            }
            _ => return Err(unknown(line)),
        }
        steps.push(GrubStep::Command(words.join(" ")));
    }
    let (title, block) = entries.get(default).ok_or("it has no menu entry to start")?;
    steps.push(GrubStep::Command(format!("setparams {title}")));
    for line in &block[..block.len() - 1] {
        entry_line(line, &mut steps)?;
    }
    Ok(steps)
}

/// The lines up to the one that closes an entry, which is the last.
fn block<'t>(lines: &mut impl Iterator<Item = &'t str>) -> Option<Vec<&'t str>> {
    let mut block = Vec::new();
    loop {
        let line = lines.next()?;
        if line.trim() == "}" {
            block.push(line.trim_end());
            return Some(block);
        }
        block.push(line);
    }
}

fn entry_line(line: &str, steps: &mut Vec<GrubStep>) -> Result<(), String> {
    let words = words(line)?;
    let [command, arguments @ ..] = words.as_slice() else { return Ok(()) };
    steps.push(GrubStep::Command(words.join(" ")));
    match (command.as_str(), arguments) {
        ("echo", _) => {}
        ("linux", [file, ..]) => {
            let at = line.find("linux").map_or(0, |at| at + "linux".len());
            steps.push(GrubStep::Kernel(file.clone(), Target::Grub.read(&line[at..])));
        }
        ("initrd", [_, ..]) => steps.push(GrubStep::Initrd(arguments.to_vec())),
        _ => return Err(unknown(line)),
    }
    Ok(())
}

/// The words of a command that stand for themselves.
fn words(line: &str) -> Result<Vec<String>, String> {
    let (mut quote, mut chars) = (None, line.chars());
    let mut wrong = line.contains('\r');
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(q), c) if q == c => quote = None,
            (None | Some('"'), '\\') => wrong |= chars.next().is_none(),
            (Some('"'), '$') => wrong = true,
            (None, c) => wrong |= SPECIAL.contains(&c),
            (Some(_), _) => {}
        }
    }
    if wrong || quote.is_some() { Err(unknown(line)) } else { Ok(grub_arguments(line)) }
}

fn unknown(line: &str) -> String {
    format!("what `{}` does is not in its text", line.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "# smoke, under UEFI.\nset timeout=0\nset default=0\nmenuentry \"smoke\" {\n  \
                          linux /vmlinuz quiet 'a=[b c]'\n#1234\n#--\n\n  initrd /seed.cpio /initrd\n}\n";

    #[test]
    fn a_script_of_ours_is_measured_as_grub_was_seen_to_do_it() {
        let command = |text: &str| GrubStep::Command(text.to_owned());
        let entry = "menuentry smoke {\n  linux /vmlinuz quiet 'a=[b c]'\n\n  initrd /seed.cpio /initrd\n}";
        let expected = [
            command("set timeout=0"),
            command("set default=0"),
            command(entry),
            command("setparams smoke"),
            command("linux /vmlinuz quiet a=[b c]"),
            GrubStep::Kernel("/vmlinuz".to_owned(), "/vmlinuz quiet \"a=[b c]\"".to_owned()),
            command("initrd /seed.cpio /initrd"),
            GrubStep::Initrd(vec!["/seed.cpio".to_owned(), "/initrd".to_owned()]),
        ];
        assert_eq!(steps(SCRIPT).unwrap(), expected);
    }

    #[test]
    fn the_entry_is_the_one_that_starts_by_itself() {
        let text = "set default=1\nmenuentry a {\n  linux /a\n}\nmenuentry 'b c' {\n  linux /b\n}\n";
        let steps = steps(text).unwrap();
        assert!(steps.contains(&GrubStep::Command("setparams b c".to_owned())), "{steps:?}");
        assert!(steps.contains(&GrubStep::Kernel("/b".to_owned(), "/b".to_owned())), "{steps:?}");
        assert!(!steps.iter().any(|s| matches!(s, GrubStep::Kernel(file, _) if file == "/a")));
    }

    #[test]
    fn a_script_whose_effect_is_not_in_its_text_is_refused_by_the_line() {
        for (line, shown) in [
            ("search --set=root --file /x", "search --set=root --file /x"),
            ("set root=hd0", "set root=hd0"),
            ("set default=saved", "set default=saved"),
            ("set a=$b", "set a=$b"),
            ("if true; then", "if true; then"),
            ("set a='b", "set a='b"),
            ("set a=b\\", "set a=b\\"),
            ("set a=b\r", "set a=b"),
            ("  # later", "# later"),
            ("set", "set"),
        ] {
            let why = steps(&format!("{line}\n{SCRIPT}")).unwrap_err();
            assert_eq!(why, format!("what `{shown}` does is not in its text"), "{line:?}");
        }
        let inside = SCRIPT.replace("  initrd", "  insmod x\n  initrd");
        assert_eq!(steps(&inside).unwrap_err(), "what `insmod x` does is not in its text");
        assert!(steps("").is_err() && steps("menuentry a {\n  linux /a\n").is_err());
        assert!(steps("menuentry a --class b {\n}\n").is_err());
    }
}
