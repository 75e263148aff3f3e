//! Actions that are functions of ours, by the name that plans call them.

mod apt;
mod extract;
mod fat;
mod git;
mod initrd;
mod kernel;
mod room;
mod template;

use anyhow::{Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use super::action::Job;
pub use template::text;

/// A call of a builtin: its node and its labelled arguments, paths resolved.
pub struct Call<'a> {
    /// The node under way.
    pub job: &'a Job<'a>,
    /// The arguments, in order; a label may come more than once.
    pub args: Vec<(&'static str, String)>,
}

impl Call<'_> {
    /// The argument `label`.
    ///
    /// # Errors
    /// When the stage gave none.
    pub fn text(&self, label: &str) -> Result<&str> {
        match self.find(label) {
            Some(text) => Ok(text),
            None => bail!("`{}` gives no `{label}`", self.job.label()),
        }
    }

    /// The argument `label`, if the stage gave one.
    #[must_use]
    pub fn find(&self, label: &str) -> Option<&str> {
        self.all(label).next()
    }

    /// The argument `label` as a path.
    ///
    /// # Errors
    /// When the stage gave none.
    pub fn path(&self, label: &str) -> Result<&Utf8Path> {
        self.text(label).map(Utf8Path::new)
    }

    /// The path of an output, its folder made.
    ///
    /// # Errors
    /// When the stage gave none or the folder cannot be made.
    pub fn out(&self, label: &str) -> Result<Utf8PathBuf> {
        let path = self.path(label)?.to_owned();
        if let Some(parent) = path.parent() {
            fs_err::create_dir_all(parent)?;
        }
        Ok(path)
    }

    /// Every argument `label`, in order.
    pub fn all<'s>(&'s self, label: &str) -> impl Iterator<Item = &'s str> {
        let label = label.to_owned();
        self.args.iter().filter(move |(l, _)| *l == label).map(|(_, text)| text.as_str())
    }
}

type Builtin = fn(&Call<'_>) -> Result<()>;

/// Every builtin.
const BUILTINS: &[(&str, Builtin)] = &[
    ("apt-download", apt::download),
    ("fat-image", fat::image),
    ("git-apply", git::apply),
    ("git-checkout", git::checkout),
    ("iso-extract", extract::extract),
    ("pick-kernel", kernel::pick),
    ("room", room::layout),
    ("seed", room::seed),
    ("smoke-initrd", initrd::smoke),
    ("template", template::template),
];

/// Whether a plan may call `name`.
#[must_use]
pub fn exists(name: &str) -> bool {
    BUILTINS.iter().any(|(n, _)| *n == name)
}

/// Calls the builtin `name`.
///
/// # Errors
/// What it returns, or that there is none of that name.
pub fn call(name: &str, call: &Call<'_>) -> Result<()> {
    match BUILTINS.iter().find(|(n, _)| *n == name) {
        Some((_, function)) => function(call),
        None => bail!("`{}` calls the builtin {name}, which does not exist", call.job.label()),
    }
}
