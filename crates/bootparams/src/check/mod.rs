//! Is this line what its writer means? Says so before it boots.

mod host;
mod limits;
mod lockdown;
mod meaning;
mod network;
mod secrets;
mod shape;
mod types;

use std::{ops::Range, sync::LazyLock};

pub(super) use host::{AT_BOOT, advice};
pub use secrets::masked;
pub(super) use secrets::{credentials, hide, is_hash, is_secret, is_secret_name};
pub(super) use types::nearest;

use super::{
    codes,
    convert::{self, ConfigVerdict, Misfit, as_text},
    diagnostic::{Diagnostic, Findings},
    kernel,
    line::{self, Word},
    os::{Dialect, Os},
    schema::{Schema, SchemaMatch},
    target::Target,
    tree::{ConfigValue, Crash},
};

/// What else is known about the boot.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// The loaders that will carry the line.
    pub targets: Vec<Target>,
    /// The line ends up in a medium that others hold.
    pub on_medium: bool,
    /// The interfaces of the machine, by name or `mac:…`; empty when they are not known.
    pub nics: Vec<String>,
    /// The machine may have Secure Boot on, so that Linux locks itself down.
    pub secure_boot: bool,
}

pub(super) static SCHEMA: LazyLock<Schema> = LazyLock::new(Schema::new);

/// A word that sets something.
struct Setting<'a> {
    /// Which word.
    word: &'a Word,
    /// The path, as the schema writes it: `rancher.…` or `cc.…`.
    path: String,
    /// What the OS makes of the value.
    node: Result<ConfigValue, Crash>,
    /// What the path is.
    found: SchemaMatch<'static>,
    /// What of the value, once the whole line is read, the OS does not take.
    misfit: Option<Misfit>,
    /// A later word has taken its place, or it has none.
    lost: bool,
}

impl Setting<'_> {
    /// The value as it is written; none for a bare key.
    fn written(&self) -> Option<&str> {
        self.word.value()
    }

    fn span(&self) -> Range<usize> {
        self.word.span.clone()
    }

    fn list(&self) -> Option<&[ConfigValue]> {
        match &self.node {
            Ok(ConfigValue::List(list)) => Some(list),
            _ => None,
        }
    }

    fn text(&self) -> Option<String> {
        self.node.as_ref().ok().and_then(as_text)
    }
}

struct LineChecker<'a> {
    line: &'a str,
    os: Os,
    context: &'a Context,
    dialect: Option<Dialect>,
    words: &'a [Word],
    settings: Vec<Setting<'a>>,
    found: Findings,
}

/// Checks a line. The diagnostics stand in the order of the words.
#[must_use]
pub fn check(line: &str, os: Os, context: &Context) -> Vec<Diagnostic> {
    let dialect = os.dialect();
    let words = match dialect {
        Some(dialect) => line::words(line, dialect),
        None => {
            let word =
                |a: kernel::KernelParam<'_>| Word { text: line[a.span.clone()].to_owned(), span: a.span };
            kernel::args(line).map(word).collect()
        }
    };
    let settings = dialect.map(|d| settings(&words, d, os)).unwrap_or_default();
    let mut c =
        LineChecker { line, os, context, dialect, words: &words, settings, found: Findings::default() };
    if os == Os::Docker {
        c.shape();
        c.overlaps();
        c.host();
        c.secrets();
    } else if dialect.is_some() {
        c.shape();
        c.overlaps();
        c.judge();
        c.types();
        c.secrets();
        c.meaning();
        c.network();
    }
    c.limits();
    c.lockdown();
    c.found.in_order()
}

fn settings(words: &[Word], dialect: Dialect, os: Os) -> Vec<Setting<'_>> {
    let setting = |word| {
        let path = schema_path(word, dialect)?;
        let node = line::value(word.value().unwrap_or("true"), dialect);
        let found = SCHEMA.find(&path, os);
        Some(Setting { word, path, node, found, misfit: None, lost: false })
    };
    words.iter().filter_map(setting).collect()
}

/// The path as the schema writes it. `cc.rancher.x` is `rancher.x`.
fn schema_path(word: &Word, dialect: Dialect) -> Option<String> {
    let path = word.path(dialect)?;
    let top = word.name().starts_with("cc.") && !path.starts_with("rancher.");
    Some(if top { format!("cc.{path}") } else { path.to_owned() })
}

impl LineChecker<'_> {
    /// The setting of a path that counts in the end.
    fn last(&self, path: &str) -> Option<&Setting<'_>> {
        self.settings.iter().rfind(|s| s.path == path && !s.lost)
    }

    /// Reads the line as a whole, and gives each word that counts what the OS does not take of it.
    fn judge(&mut self) {
        // A line that cannot be read has no tree; which word it is, its own value says.
        let Some(Ok(tree)) = self.dialect.map(|d| line::tree(self.words, d)) else { return };
        let misfits = convert::misfits(&line::on_the_line(tree, self.os), self.os);
        for setting in self.settings.iter_mut().filter(|s| !s.lost) {
            let path: Vec<&str> =
                setting.path.strip_prefix("cc.").unwrap_or(&setting.path).split('.').collect();
            let above = |m: &Misfit| m.path.len() <= path.len() && m.path.iter().eq(&path[..m.path.len()]);
            setting.misfit = misfits.iter().find(|m| m.span == setting.word.span || above(m)).cloned();
        }
    }

    /// How a value of the wrong type ends.
    fn at_boot(&self, verdict: &ConfigVerdict) -> &'static str {
        match verdict {
            ConfigVerdict::Ok => "",
            ConfigVerdict::Refused(_) => mismatch(self.os),
            ConfigVerdict::Panic(_) => "PID 1 crashes, and the kernel panics on every boot",
        }
    }
}

/// What a value of the wrong type on the command line does to a boot.
fn mismatch(os: Os) -> &'static str {
    if os.since(1, 0, 4) {
        "PID 1 exits, and the kernel panics on every boot"
    } else if os.since(0, 5, 0) {
        "the whole configuration is dropped, and the system runs with none"
    } else {
        "every setting of the command line is dropped"
    }
}
