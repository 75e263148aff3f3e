//! Where a private key comes from: a file or the environment, and its password from there or from the terminal.

use anyhow::Result;
use camino::Utf8PathBuf;
use zeroize::Zeroizing;

use super::read;
use crate::cmd::password;
use buildexec::{ctx::Ctx, run::read_limited};
use failure::{Explain as _, Kind};

/// No key file is longer.
const KEY_LIMIT: u64 = 256 << 10;

/// The options and variables that lead to a key.
pub(in crate::cmd) struct KeySource<'a> {
    /// The file that was named.
    pub(in crate::cmd) file: Option<&'a Utf8PathBuf>,
    /// The variable that holds the key where no file was named.
    pub(in crate::cmd) variable: &'static str,
    /// The variable that was named for the password.
    pub(in crate::cmd) password_env: Option<&'a str>,
    /// The file that was named for the password.
    pub(in crate::cmd) password_file: Option<&'a Utf8PathBuf>,
    /// The variable that holds the password where neither was named.
    pub(in crate::cmd) password_variable: &'static str,
    /// The options for the password, for messages.
    pub(in crate::cmd) options: &'static str,
}

/// A key as text, not opened yet.
pub(in crate::cmd) struct KeyText {
    /// What messages call it.
    pub(in crate::cmd) name: String,
    /// PEM.
    pub(in crate::cmd) text: Zeroizing<String>,
    /// Its password, where it has one.
    pub(in crate::cmd) password: Option<Zeroizing<String>>,
}

impl KeyText {
    /// The password as what opens keys takes it.
    pub(in crate::cmd) fn password(&self) -> Option<&str> {
        self.password.as_ref().map(|p| p.as_str())
    }
}

impl KeySource<'_> {
    /// The key, when one is given.
    ///
    /// # Errors
    /// [`Kind::Usage`] when it or its password cannot be read.
    pub(in crate::cmd) fn read(&self, ctx: &Ctx) -> Result<Option<KeyText>> {
        let (name, text) = match (self.file, ctx.env.get(self.variable)) {
            (Some(file), _) => {
                let text = String::from_utf8(read_limited(&ctx.absolute(file.clone())?, KEY_LIMIT)?);
                (file.to_string(), text.explain(Kind::Usage, || format!("{file} is not a key in PEM"))?)
            }
            (None, Some(text)) => (format!("the key in {}", self.variable), text.to_owned()),
            (None, None) => return Ok(None),
        };
        let text = Zeroizing::new(text);
        let locked = pki::Signer::is_locked(&text);
        let password = if locked { Some(self.password(ctx, &name)?) } else { None };
        Ok(Some(KeyText { name, text, password }))
    }

    fn password(&self, ctx: &Ctx, name: &str) -> Result<Zeroizing<String>> {
        let given = self.password_env.is_some() || self.password_file.is_some();
        let usual = Some(self.password_variable).filter(|v| !given && ctx.env.get(v).is_some());
        match read(ctx, self.password_env.or(usual), self.password_file.map(|p| p.as_path()))? {
            Some(password) => Ok(password),
            None => Ok(Zeroizing::new(password::ask(ctx, &format!("Password of {name}"), self.options)?)),
        }
    }
}
