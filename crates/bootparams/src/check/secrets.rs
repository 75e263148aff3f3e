//! Passwords and keys: those that everybody knows, those in clear text, and keeping them out of what is shown.

use std::ops::Range;

use super::{LineChecker, schema_path};
use crate::{codes, line, os::Os, tree::ConfigValue};

/// Names whose values are secret, wherever they stand.
const SECRET_NAMES: [&str; 8] =
    ["password", "auth", "identitytoken", "registrytoken", "server_key", "ca_key", "psk", "passphrase"];

/// Whether values under this name are secret wherever it stands.
pub(crate) fn is_secret_name(name: &str) -> bool {
    SECRET_NAMES.contains(&name)
}

/// Whether a path's value is secret.
pub(crate) fn is_secret(path: &str) -> bool {
    let last = path.rsplit('.').next().unwrap_or(path);
    is_secret_name(last) || (path.starts_with("rancher.ssh.keys.") && !last.ends_with("-pub"))
}

/// The line with every secret value hidden, each character by a `*`, so that columns stay.
///
/// Words that swallow a secret, and what stands right behind one that was cut, are hidden as well: the search is
/// by text, not by what the OS reads.
#[must_use]
pub fn masked(line: &str, os: Os) -> String {
    let mut spans: Vec<Range<usize>> = Vec::new();
    if let Some(dialect) = os.dialect() {
        for word in line::words(line, dialect) {
            let secret = schema_path(&word, dialect).is_some_and(|p| is_secret(&p));
            if secret && let Some(at) = line[word.span.clone()].find('=') {
                spans.push(word.span.start + at + 1..word.span.end);
            }
        }
    }
    for (at, key) in line.match_indices("rancher.password=") {
        let from = at + key.len();
        let end = line[from..].find(' ').map_or(line.len(), |n| from + n);
        spans.push(from..end);
    }
    spans.extend(credentials(line));
    hide(line, &spans)
}

/// Where addresses such as `https://name:password@host/` name an account.
pub(crate) fn credentials(text: &str) -> Vec<Range<usize>> {
    let account = |(at, mark): (usize, &str)| {
        let from = at + mark.len();
        let host = &text[from..];
        let host = &host[..host.find(['/', '?', '#', ',', ']', '"', '\'', ' ', '\n']).unwrap_or(host.len())];
        host.rfind('@').map(|end| from..from + end)
    };
    text.match_indices("://").filter_map(account).collect()
}

/// The text with each character of `spans` as a `*`.
pub(crate) fn hide(text: &str, spans: &[Range<usize>]) -> String {
    let hidden = |at: usize| spans.iter().any(|s| s.contains(&at));
    text.char_indices().map(|(at, c)| if hidden(at) { '*' } else { c }).collect()
}

/// Where the last character of a text begins.
pub(super) fn last_char(text: &str) -> usize {
    text.char_indices().next_back().map_or(0, |(at, _)| at)
}

impl LineChecker<'_> {
    pub(super) fn secrets(&mut self) {
        for i in 0..self.settings.len() {
            let setting = &self.settings[i];
            if !is_secret(&setting.path) {
                continue;
            }
            let (span, name) = (setting.span(), setting.word.name().to_owned());
            let password = setting.path == "rancher.password";
            let empty = matches!(&setting.node, Ok(ConfigValue::Str(t)) if t.is_empty());
            let known = matches!(&setting.node, Ok(ConfigValue::Str(t)) if t == "rancher");
            let hash = setting.text().is_some_and(|t| is_hash(&t));
            // `docker-1` refuses passwords by its own rules, and takes a hash.
            if password && self.os != Os::Docker {
                self.password(&span, empty, known, hash);
            }
            if self.context.on_medium && !empty {
                let message = format!("the value of `{name}` is stored in clear text on the medium");
                let at_boot = "anyone with the medium or an account can read it";
                let help =
                    "use SSH keys, or set the password when building the medium and keep the medium private";
                self.found.say(&codes::CLEAR_SECRET, span, message, at_boot, help);
            }
        }
    }

    fn password(&mut self, span: &Range<usize>, empty: bool, known: bool, hash: bool) {
        let rules = [
            (
                known,
                &codes::FIXED_PASSWORD,
                "this is the first password that attackers try",
                "anybody can log in",
                "choose another one, or use SSH keys",
            ),
            (
                hash,
                &codes::HASHED,
                "the password is a hash",
                "the hash itself becomes the password",
                "write the password itself; a hash can be set by `chpasswd -e` in a cloud-config's runcmd",
            ),
            (empty, &codes::NO_PASSWORD, "the password is empty", "no password is set", "take the word out"),
        ];
        for (_, code, message, at_boot, help) in rules.into_iter().filter(|r| r.0) {
            self.found.say(code, span.clone(), message, at_boot, help);
        }
    }
}

/// Whether a text looks like what `crypt` makes.
pub(crate) fn is_hash(text: &str) -> bool {
    ["$1$", "$5$", "$6$", "$y$", "$2a$", "$2b$", "$2y$"].iter().any(|p| text.starts_with(p))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_hidden_and_columns_stay() {
        let os: Os = "rancheros-1.5.8".parse().unwrap();
        let line = r#"quiet rancher.password="hünter 2" rancher.registry_auths.h.password=x rancher.debug"#;
        let hidden = masked(line, os);
        assert_eq!(
            hidden,
            "quiet rancher.password=********** rancher.registry_auths.h.password=* rancher.debug"
        );
        assert_eq!(hidden.chars().count(), line.chars().count());
        assert!(!masked("foo=it's rancher.password=hunter2", os).contains("hunter2"));
        assert!(!masked("rancher.password=hunter2", Os::Linux).contains("hunter2"));
        let source = "rancher.cloud_init.datasources=[url:https://me:pass@host/a@b] quiet";
        assert_eq!(masked(source, os), source.replace("me:pass", "*******"));
    }
}
