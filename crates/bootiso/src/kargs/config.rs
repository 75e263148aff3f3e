//! Loader configurations of anybody: where kernel arguments stand, what is included, what may go to make room.

use std::ops::Range;

use super::{grub, isolinux, systemd_boot};
use crate::embed::Loader;

/// One place with kernel arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ArgsLine {
    /// The menu entry, as far as it has a name; `$name` for a variable that lines take words from.
    pub(super) entry: String,
    /// Where the arguments stand, in the order in which the kernel reads them. At least one; an empty one is
    /// where arguments would go.
    pub(super) parts: Vec<Range<usize>>,
    /// What has to be in front of arguments in the last part where there are none yet.
    pub(super) lead: String,
    /// Whether the last part is written as `-` when it becomes empty: without one, the arguments for all labels of
    /// ISOLINUX would apply.
    pub(super) dash: bool,
    /// Whether words are added here. Without it, they are only deleted and replaced.
    pub(super) takes_words: bool,
    /// Variables that whole arguments are taken from; `@` for the arguments of the function around it.
    pub(super) uses: Vec<String>,
    /// Variables that stand within words.
    pub(super) embeds: Vec<String>,
    /// Whether it is the value of a variable: words without quotes.
    pub(super) is_value: bool,
    /// The program, as it is written, where the command starts programs of any kind.
    pub(super) program: Option<String>,
}

/// Arguments that were found where they cannot be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FixedArgs {
    /// As in [`ArgsLine`].
    pub(super) entry: String,
    /// The arguments, where they are known.
    pub(super) args: Option<String>,
    /// As in [`ArgsLine`].
    pub(super) takes_words: bool,
    /// Why they cannot be changed.
    pub(super) reason: String,
}

impl FixedArgs {
    /// Of words that are known and stand where they cannot be changed.
    pub(super) fn words(entry: String, args: String, reason: String) -> Self {
        Self { entry, args: Some(args), takes_words: true, reason }
    }

    /// Of an entry that continues in another file, with arguments that are not known.
    pub(super) fn continued(entry: String, reason: String) -> Self {
        Self { entry, args: None, takes_words: true, reason }
    }
}

/// A value that a variable, or an argument of a function, may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct VariableValue {
    /// The variable; `@` for all arguments of functions.
    pub(super) name: String,
    /// The menu entry that it stands in, for arguments of functions.
    pub(super) entry: String,
    /// The text, without the quotes around it.
    pub(super) text: String,
    /// Where the text stands, when words of it can be changed there.
    pub(super) part: Option<Range<usize>>,
    /// Variables in it.
    pub(super) uses: Vec<String>,
}

/// What a configuration says.
#[derive(Default)]
pub(super) struct LoaderConfig {
    pub(super) lines: Vec<ArgsLine>,
    pub(super) fixed: Vec<FixedArgs>,
    pub(super) values: Vec<VariableValue>,
    /// Other files of the same loader, as they are written.
    pub(super) includes: Vec<String>,
    /// ISOLINUX: folders that relative paths of an included file begin at, as they are written.
    pub(super) folders: Vec<String>,
    /// GRUB: files of ISOLINUX that it shows as a menu.
    pub(super) menus: Vec<String>,
    /// GRUB: files that it reads variables from.
    pub(super) environments: Vec<String>,
    /// Entries of the Boot Loader Specification that GRUB reads from elsewhere than usual: files and folders.
    pub(super) entries: Vec<String>,
    /// Kernels and other programs that are started, as they are written: what they are is told by what is in them.
    pub(super) programs: Vec<String>,
    /// ISOLINUX: whether an `append` above the first label gives arguments to labels that have none.
    pub(super) has_common: bool,
    /// Lines that are nothing but a comment, with their line ends.
    pub(super) comments: Vec<Range<usize>>,
    /// Blanks in front of statements, which mean nothing.
    pub(super) indents: Vec<Range<usize>>,
}

impl LoaderConfig {
    /// Notes a comment when its line has nothing else.
    pub(super) fn comment(&mut self, text: &str, range: Range<usize>) {
        let start = text[..range.start].rfind('\n').map_or(0, |n| n + 1);
        if text[start..range.start].trim().is_empty() {
            let end = text[range.end..].find('\n').map_or(text.len(), |n| range.end + n + 1);
            self.comments.push(start..end);
        }
    }

    /// Notes the blanks between the start of a line and the statement at `at`.
    pub(super) fn indent(&mut self, text: &str, at: usize) {
        let start = text[..at].rfind('\n').map_or(0, |n| n + 1);
        // Behind a backslash, a line goes on, and blanks end its last word.
        let goes_on = text[..start].trim_end_matches(['\r', '\n']).ends_with('\\');
        if start < at && text[start..at].trim().is_empty() && !goes_on {
            self.indents.push(start..at);
        }
    }
}

/// Reads a configuration. `has_common` is [`LoaderConfig::has_common`] of the file that includes this one.
pub(super) fn parse(loader: Loader, text: &str, has_common: bool) -> LoaderConfig {
    match loader {
        Loader::Isolinux => isolinux::parse(text, has_common),
        Loader::Grub => grub::parse(text),
        Loader::SystemdBoot => systemd_boot::parse(text),
    }
}

/// How a file ends its lines: as its first one.
pub(super) fn line_end(text: &str) -> &'static str {
    let first = text.find('\n').filter(|n| text[..*n].ends_with('\r'));
    if first.is_some() { "\r\n" } else { "\n" }
}

/// Whether a path is that of a program that loaders start like a kernel, and that takes no kernel arguments.
pub(super) fn is_other_program(path: &str) -> bool {
    let name = file_name(path);
    if name.contains("vmlinu") {
        return false;
    }
    let other = ["memtest", "memdisk", "ipxe", "gpxe", "netboot.xyz", "plop", "hdt.", "mt86plus"];
    other.iter().any(|o| name.contains(o)) || name.ends_with(".lkrn") || name.ends_with(".iso")
}

/// Whether words behind `memdisk` say that the image which it starts is that of a disc, with loaders of its own.
pub(super) fn starts_inner_image<'w>(program: &str, mut words: impl Iterator<Item = &'w str>) -> bool {
    file_name(program).contains("memdisk")
        && words.any(|w| w == "iso" || w.to_ascii_lowercase().contains(".iso"))
}

/// Whether a path looks like a Linux kernel where other programs may stand too.
pub(super) fn looks_like_linux(path: &str) -> bool {
    let name = file_name(path);
    let names = ["vmlinu", "bzimage", "zimage"];
    (names.iter().any(|n| name.contains(n)) || name.starts_with("linux") || name.starts_with("kernel"))
        && !is_other_program(path)
}

/// The last part of a path, in lower case.
pub(super) fn file_name(path: &str) -> String {
    path.rsplit(['/', '\\']).next().unwrap_or(path).to_ascii_lowercase()
}
