//! Command lines as text that a person can paste into a shell.

use buildplan::Cmd;

/// Which shell reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    /// Any POSIX shell.
    Sh,
    /// PowerShell on Windows.
    PowerShell,
}

/// One line that runs `cmd`; its input and deadline are left out.
#[must_use]
pub fn line(cmd: &Cmd, shell: Shell) -> String {
    let words = std::iter::once(&cmd.program).chain(&cmd.args);
    match shell {
        Shell::Sh => words.map(|w| sh(w)).collect::<Vec<_>>().join(" "),
        // Without the call operator, PowerShell prints a quoted program's name instead of running it.
        Shell::PowerShell => format!("& {}", words.map(|w| powershell(w)).collect::<Vec<_>>().join(" ")),
    }
}

/// A word for a POSIX shell: plain where it is harmless, else in single quotes.
#[must_use]
pub(crate) fn sh(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:=,+@%".contains(&b);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A word for PowerShell and the program behind it.
///
/// In single quotes only the quote itself is special. Windows PowerShell hands a `"` to a native program
/// unescaped, so it gets the backslash that the C runtime's rules ask for, and backslashes before it are doubled.
#[must_use]
pub(crate) fn powershell(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:=+\\".contains(&b);
    // `-a.b` would be split at the dot, and `-a:b` at the colon.
    let parameter = word.starts_with('-') && word.contains(['.', ':']);
    if !word.is_empty() && word.bytes().all(plain) && !parameter {
        return word.to_owned();
    }
    let mut out = String::new();
    let mut backslashes = 0;
    for c in word.chars() {
        match c {
            '\\' => backslashes += 1,
            '"' => {
                out.extend(std::iter::repeat_n('\\', backslashes + 1));
                backslashes = 0;
            }
            _ => backslashes = 0,
        }
        out.push(c);
        if c == '\'' {
            out.push(c);
        }
    }
    format!("'{out}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_a_shell_would_change_are_quoted() {
        let cases = [
            ("-m", "-m", "-m"),
            ("", "''", "''"),
            ("a b", "'a b'", "'a b'"),
            ("it's", r"'it'\''s'", "'it''s'"),
            ("user,id=n0", "user,id=n0", "'user,id=n0'"),
            ("$HOME`x`", "'$HOME`x`'", "'$HOME`x`'"),
            (r"C:\a b", r"'C:\a b'", r"'C:\a b'"),
            (r#"a\"b"#, r#"'a\"b'"#, r#"'a\\\"b'"#),
            ("--x.y", "--x.y", "'--x.y'"),
            ("@list", "@list", "'@list'"),
            ("ä", "'ä'", "'ä'"),
        ];
        for (word, posix, power) in cases {
            assert_eq!((sh(word).as_str(), powershell(word).as_str()), (posix, power), "{word}");
        }
    }

    #[test]
    fn a_line_runs_the_program_in_either_shell() {
        let cmd = Cmd::new("C:\\Program Files\\q.exe", "start").arg("-name").arg("a b");
        assert_eq!(line(&cmd, Shell::Sh), r"'C:\Program Files\q.exe' -name 'a b'");
        assert_eq!(line(&cmd, Shell::PowerShell), r"& 'C:\Program Files\q.exe' -name 'a b'");
    }
}
