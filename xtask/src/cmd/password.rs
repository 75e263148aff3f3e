//! Where a login password comes from: a prompt, the environment, a file, or chance. Never the command line, which
//! every process of the machine can read.

use std::io::{BufRead as _, IsTerminal as _};

use anyhow::Result;
use camino::Utf8PathBuf;

use buildexec::ctx::Ctx;
use buildexec::run::read_limited;
use failure::{Explain as _, Failure, Kind};

/// Sources of a password, at most one.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(multiple = false)]
pub struct PasswordArgs {
    /// Ask for the password of the user `rancher` on the terminal.
    #[arg(long)]
    pub password_prompt: bool,
    /// Take the password from this environment variable.
    #[arg(long, value_name = "NAME")]
    pub password_env: Option<String>,
    /// Take the password from this file's first line.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<Utf8PathBuf>,
    /// Generate a password of 20 letters and digits and print it once.
    #[arg(long)]
    pub generate_password: bool,
    /// What was asked for or generated already.
    #[arg(skip)]
    known: Option<String>,
}

impl PasswordArgs {
    /// The same, for several steps that need one password.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(super) fn once(&self, ctx: &Ctx) -> Result<Self> {
        Ok(Self { known: self.get(ctx)?, ..self.clone() })
    }

    /// The password, if one was asked for.
    ///
    /// # Errors
    /// [`Kind::Usage`] when the source has none; [`Kind::Params`] for `rancher`, which everyone knows.
    pub fn get(&self, ctx: &Ctx) -> Result<Option<String>> {
        let password = if let Some(known) = &self.known {
            known.clone()
        } else if self.generate_password {
            let made = generate()?;
            ctx.report.err_line(&format!("password of the user rancher: {made}"));
            made
        } else if self.password_prompt {
            ask(ctx, "Password of the user rancher", "--password-env or --password-file")?
        } else if let Some(name) = &self.password_env {
            let value = ctx.env.get(name).map(str::to_owned);
            value.ok_or_else(|| Failure::new(Kind::Usage, format!("the variable {name} is not set")))?
        } else if let Some(file) = &self.password_file {
            let text = String::from_utf8(read_limited(file, 4096)?);
            let text = text.explain(Kind::Usage, || format!("{file} is not UTF-8"))?;
            text.lines().next().unwrap_or("").to_owned()
        } else {
            return Ok(None);
        };
        check(&password)?;
        Ok(Some(password))
    }
}

fn check(password: &str) -> Result<()> {
    if password.is_empty() {
        return Err(Failure::new(Kind::Usage, "the password is empty").into());
    }
    if password == "rancher" {
        return Err(Failure::new(Kind::Params, "`rancher` is the first password that attackers try")
            .help("choose another, or use --generate-password")
            .into());
    }
    Ok(())
}

/// 20 characters out of 57 that cannot be mistaken for one another: 116 bits.
fn generate() -> Result<String> {
    const LETTERS: &[u8] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut password = String::new();
    while password.len() < 20 {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|e| anyhow::anyhow!("no random numbers: {e}"))?;
        // Bytes past the last whole multiple would make some letters likelier.
        let whole = 256 / LETTERS.len() * LETTERS.len();
        let fair = bytes.iter().map(|b| usize::from(*b)).filter(|b| *b < whole);
        password.extend(fair.map(|b| char::from(LETTERS[b % LETTERS.len()])));
    }
    password.truncate(20);
    Ok(password)
}

/// Asks on the terminal, which does not show what is typed; `else_` names the options for scripts.
///
/// # Errors
/// [`Kind::Usage`] without a terminal.
pub(super) fn ask(ctx: &Ctx, what: &str, else_: &str) -> Result<String> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        let why = format!("no terminal to ask on: {}{}", what[..1].to_lowercase(), &what[1..]);
        return Err(Failure::new(Kind::Usage, why).help(format!("use {else_} in scripts")).into());
    }
    ctx.report.err_line(&format!("{what} (it is not shown):"));
    let _hidden = EchoOff::new()?;
    let mut line = String::new();
    input.lock().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Keeps the terminal from showing what is typed, until dropped.
#[cfg(unix)]
struct EchoOff(rustix::termios::Termios);

#[cfg(unix)]
impl EchoOff {
    fn new() -> Result<Self> {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let before = tcgetattr(std::io::stdin())?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(std::io::stdin(), OptionalActions::Now, &hidden)?;
        Ok(Self(before))
    }
}

#[cfg(unix)]
impl Drop for EchoOff {
    fn drop(&mut self) {
        _ = rustix::termios::tcsetattr(std::io::stdin(), rustix::termios::OptionalActions::Now, &self.0);
    }
}

#[cfg(not(unix))]
struct EchoOff;

#[cfg(not(unix))]
impl EchoOff {
    fn new() -> Result<Self> {
        Err(Failure::new(Kind::Usage, "passwords cannot be asked for on this system")
            .help("give them in a variable or a file")
            .into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_password_has_twenty_plain_letters_and_is_new_each_time() {
        let (a, b) = (generate().unwrap(), generate().unwrap());
        assert!(a.len() == 20 && a.bytes().all(|b| b.is_ascii_alphanumeric()) && a != b, "{a} {b}");
    }

    #[test]
    fn the_password_everyone_knows_is_refused() {
        assert!(check("rancher").is_err() && check("").is_err() && check("s3cret").is_ok());
    }
}
