//! What people type to run this program: `cargo xtask` in the repository, its file where a release brought it.

use std::{borrow::Cow, ffi::OsStr, path::Path, sync::OnceLock};

/// What texts of this program call it.
const IN_REPOSITORY: &str = "cargo xtask";
/// What cargo calls the programs behind that.
const BUILT: [&str; 2] = ["xtask", "lab"];

static TYPED: OnceLock<String> = OnceLock::new();

/// Remembers how this program was started; `first` is the first word of its command line.
pub fn started_as(first: &OsStr) {
    if let Some(name) = other_name(Path::new(first)) {
        // Once a process: nobody starts it twice.
        _ = TYPED.set(name);
    }
}

/// What was typed to start this program, where that is not `cargo xtask`.
#[must_use]
pub fn typed() -> Option<&'static str> {
    TYPED.get().map(String::as_str)
}

/// `text` with what was typed in place of `cargo xtask`, so that its commands can be typed as they are shown.
#[must_use]
pub fn spelled(text: &str) -> Cow<'_, str> {
    in_place(text, typed())
}

fn in_place<'a>(text: &'a str, typed: Option<&str>) -> Cow<'a, str> {
    match typed {
        Some(typed) if text.contains(IN_REPOSITORY) => text.replace(IN_REPOSITORY, typed).into(),
        _ => text.into(),
    }
}

/// The path as it was typed, or the file's name where the path would have to be quoted.
fn other_name(first: &Path) -> Option<String> {
    let file = first.file_name()?.to_str()?;
    if BUILT.iter().any(|name| first.file_stem() == Some(OsStr::new(name))) {
        return None;
    }
    let path = first.to_str().filter(|path| !path.contains(char::is_whitespace));
    Some(path.unwrap_or(file).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_shown_as_the_program_was_started() {
        let shown = |first: &str| {
            in_place("see `cargo xtask iso ls --help`", other_name(Path::new(first)).as_deref()).into_owned()
        };
        for first in ["target/debug/xtask", "target/debug/lab", "/a b/xtask", ""] {
            assert_eq!(shown(first), "see `cargo xtask iso ls --help`", "{first}");
        }
        assert_eq!(shown("./boot-media-linux-x86_64"), "see `./boot-media-linux-x86_64 iso ls --help`");
        assert_eq!(shown("/a folder/boot-media"), "see `boot-media iso ls --help`");
    }
}
