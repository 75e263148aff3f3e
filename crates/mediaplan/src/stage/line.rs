//! A profile's kernel parameters as the one line that every loader is given, each in its own spelling.

use anyhow::{Result, anyhow};

use super::script::ScriptValue;
use crate::config::{Profile, SecureBoot};
use bootparams::{Context, Diagnostic, Param, Params, Target};
use failure::{Failure, Kind};

/// Every loader that a profile's line goes to.
const TARGETS: [Target; 3] = Target::ALL;

/// The line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Line {
    text: String,
    os: bootparams::Os,
    /// Whether machines with Secure Boot start its kernel.
    secure_boot: bool,
    /// What must not be shown; it is in `text`.
    secret: Option<String>,
}

impl Line {
    /// Renders the profile's parameters, and the password that the person gave, for the profile's OS.
    ///
    /// # Errors
    /// [`Kind::Params`] with every parameter that the OS's dialect cannot express.
    pub fn new(profile: &Profile, password: Option<&str>) -> Result<Self> {
        let Params(mut list) = profile.params.clone();
        let password = password.map(|p| bootparams::Value::Text(p.to_owned()));
        list.extend(password.map(|p| Param::Typed("rancher.password".to_owned(), p)));
        let words = bootparams::render(&list, profile.os).map_err(|errors| {
            let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
            Failure::new(Kind::Params, format!("profile {}: parameters cannot be expressed", profile.name))
                .source(anyhow!(all.join("\n")))
        })?;
        let secret = words
            .last()
            .filter(|w| w.starts_with("rancher.password=") && list.len() > profile.params.0.len());
        let secret = secret.and_then(|w| w.split_once('=')).map(|(_, value)| value.to_owned());
        let secure_boot = profile.secure_boot != SecureBoot::Off;
        Ok(Self { text: words.join(" "), os: profile.os, secure_boot, secret })
    }

    /// What a compiler would say of it.
    #[must_use]
    pub fn check(&self) -> Vec<Diagnostic> {
        let context = Context {
            targets: TARGETS.to_vec(),
            on_medium: true,
            nics: Vec::new(),
            secure_boot: self.secure_boot,
        };
        bootparams::check(&self.text, self.os, &context)
    }

    /// The line for people: a given password is asterisks, as many as it has bytes, so that columns stay.
    #[must_use]
    pub fn shown(&self) -> String {
        match &self.secret {
            Some(secret) => self.text.replace(secret.as_str(), &"*".repeat(secret.len())),
            None => self.text.clone(),
        }
    }

    /// The line as the loader must be given it.
    ///
    /// # Errors
    /// [`Kind::Params`] when the loader cannot carry it.
    pub(crate) fn spelled(&self, target: Target) -> Result<String> {
        target.write(&self.text, self.os).map_err(|obstacle| {
            let what = &self.shown()[obstacle.span];
            let message = format!("{} cannot carry `{what}`: {}", target.name(), obstacle.reason);
            Failure::new(Kind::Params, message).help("put it into the cloud-config").into()
        })
    }

    /// `text`, which has the line in it, as a value for a template: hidden where a password is in it.
    #[must_use]
    pub(crate) fn value(&self, text: String) -> ScriptValue {
        if self.secret.is_some() { ScriptValue::Secret(text) } else { ScriptValue::Text(text) }
    }
}
