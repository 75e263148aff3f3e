//! A cloud-config, checked without a machine: YAML, types by the schema, keys that are keys.
//!
//! It is read with the OS's own YAML, so that what passes here is what the OS will hold.

use std::ops::Range;

use super::{
    check::{AT_BOOT, SCHEMA, advice, as_text, credentials, fits, hide, is_secret_name, nearest},
    codes,
    diagnostic::{Diagnostic, Findings},
    host::{self, Host},
    os::Os,
    schema::{Found, Key, Type},
    ssh,
    tree::Node,
    yaml::{
        self, Stop,
        document::{self, Data, Tree},
    },
};

/// Larger than any cloud-config by far.
const MAX_BYTES: usize = 1 << 20;

/// What a machine must know before it can fetch a cloud-config.
const EARLY: [&str; 3] = ["rancher.state.dev", "rancher.state.autoformat", "rancher.cloud_init.datasources"];

const SKIPPED: &str = "the whole file is skipped, and the boot goes on without it";

/// Checks the text of a cloud-config. The diagnostics stand in the order of the text and hold no secret.
#[must_use]
pub fn check(text: &str, os: Os) -> Vec<Diagnostic> {
    let mut c = Checker { os, found: Findings::default() };
    c.header(text);
    if text.len() > MAX_BYTES {
        c.found.say(
            &codes::CC_YAML,
            0..0,
            "more than a megabyte",
            SKIPPED,
            "carry large files in the medium itself",
        );
        return c.found.in_order();
    }
    match document::read(text) {
        Err((bad, span)) => {
            c.found.say(
                &codes::CC_YAML,
                span,
                bad.0.to_owned(),
                SKIPPED,
                "check quotes, brackets and indentation here",
            );
        }
        Ok(tree) => {
            // The reader of the OS loses events of anchors, and may die of it.
            if let Err(Stop::Crash(crash)) = yaml::read(text) {
                let help = "write the value out in place of its anchor";
                c.found.say(
                    &codes::CC_YAML,
                    tree.span.clone(),
                    "anchors that the reader cannot follow",
                    crash.to_string(),
                    help,
                );
            }
            c.root(&tree);
        }
    }
    c.found.in_order()
}

/// The text with the values of secret keys hidden, each character by a `*`. By lines, not by structure: a text
/// that is no YAML must not show them either.
#[must_use]
pub fn masked(text: &str) -> String {
    let mask = |line: &str| {
        let (name, value) = line.split_once(':')?;
        let name = name.trim_start_matches([' ', '-', '{', ',']).trim_end().trim_matches(['"', '\'']);
        let hidden: String = value.chars().map(|c| if c.is_whitespace() { c } else { '*' }).collect();
        is_secret_name(name).then(|| line[..line.len() - value.len()].to_owned() + &hidden)
    };
    let text = hide(text, &credentials(text));
    text.split_inclusive('\n').map(|line| mask(line).unwrap_or_else(|| line.to_owned())).collect()
}

/// A value that holds no others.
pub struct Leaf {
    /// The keys on the way to it; a place in a list is a number.
    pub keys: Vec<String>,
    /// The text, without its quotes.
    pub text: String,
    /// Whether it is something other than nothing or a truth value.
    pub says_something: bool,
    /// The byte at which it begins.
    pub at: usize,
}

impl Leaf {
    /// The last key that is a name.
    #[must_use]
    pub fn key(&self) -> &str {
        let name = |k: &&String| !k.bytes().all(|b| b.is_ascii_digit());
        self.keys.iter().rfind(name).map_or("", String::as_str)
    }
}

/// Every value of the first document of a text, in its order; nothing when it is no YAML.
#[must_use]
pub fn leaves(text: &str) -> Option<Vec<Leaf>> {
    fn gather(tree: &Tree, keys: &mut Vec<String>, found: &mut Vec<Leaf>) {
        let mut below = |key: String, tree: &Tree| {
            keys.push(key);
            gather(tree, keys, found);
            keys.pop();
        };
        match &tree.data {
            Data::List(list) => list.iter().enumerate().for_each(|(i, tree)| below(i.to_string(), tree)),
            Data::Map(map) => map.iter().for_each(|(_, key, tree)| below(key.clone(), tree)),
            Data::Scalar(node, text) => found.push(Leaf {
                keys: keys.clone(),
                text: text.clone(),
                says_something: !matches!(node, Node::Null | Node::Bool(_)),
                at: tree.span.start,
            }),
        }
    }
    let mut found = Vec::new();
    gather(&document::read(text).ok()?, &mut Vec::new(), &mut found);
    Some(found)
}

struct Checker {
    os: Os,
    found: Findings,
}

impl Checker {
    fn header(&mut self, text: &str) {
        let first = text.split('\n').next().unwrap_or_default();
        if first != "#cloud-config" {
            let message = match first.trim_end() {
                "#cloud-config" => "something follows `#cloud-config` on the first line",
                _ if first.starts_with("#!") => "this is a script, not a cloud-config",
                _ => "the first line is not `#cloud-config`",
            };
            let at_boot = "a datasource's text without it is dropped";
            self.found.say(
                &codes::CC_HEADER,
                0..first.len(),
                message,
                at_boot,
                "write `#cloud-config` as the first line",
            );
        }
    }

    /// The system's own code takes the values, and what that refuses is said here.
    fn host(&mut self, tree: &Tree) {
        let mut host = Host::default();
        for refusal in host::tree(&mut host, tree) {
            let (code, help) = advice(refusal.unknown);
            self.found.say(code, refusal.span, refusal.message, AT_BOOT, help);
        }
        for message in host.render().refused {
            self.found.say(&codes::HOST_VALUE, 0..0, message, AT_BOOT, "complete it, or take it out");
        }
        for path in EARLY {
            if let Some(span) = tree.key(path.split('.')) {
                self.early(&span, path);
            }
        }
    }

    fn root(&mut self, tree: &Tree) {
        if self.os == Os::Docker {
            return self.host(tree);
        }
        if self.os == Os::Linux {
            // Somebody else's cloud-init: its keys are not known here.
            return;
        }
        match &tree.data {
            Data::Map(_) => self.map(tree, &mut Vec::new()),
            Data::Scalar(Node::Null, _) => {}
            _ => {
                let message = format!("a map is wanted, and this is {}", tree.node().kind());
                self.found.say(&codes::CC_TYPE, tree.span.clone(), message, SKIPPED, "write `key: value`");
            }
        }
    }

    fn map<'t>(&mut self, tree: &'t Tree, path: &mut Vec<&'t str>) {
        let Data::Map(entries) = &tree.data else { return };
        for (i, (span, name, value)) in entries.iter().enumerate() {
            if entries[..i].iter().any(|(_, other, _)| other == name) {
                let message = format!("`{name}` is set a second time");
                self.found.say(
                    &codes::CC_TWICE,
                    span.clone(),
                    message,
                    "the last one counts",
                    "keep one of them",
                );
            }
            path.push(name);
            self.entry(span, value, path);
            path.pop();
        }
    }

    fn entry<'t>(&mut self, span: &Range<usize>, value: &'t Tree, path: &mut Vec<&'t str>) {
        let top = if path.first() == Some(&"rancher") { None } else { Some("cc") };
        let top = if path.len() == 1 { Some("cc") } else { top };
        let full = || top.into_iter().chain(path.iter().copied());
        match SCHEMA.find_segments(full()) {
            Found::Free | Found::Below(_) => {}
            Found::Unknown { known, siblings } => {
                let wrong = full().nth(known).unwrap_or_default();
                let help = nearest(wrong, &siblings).map_or_else(
                    || "take it out; this OS reads its own keys only".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                );
                let message = format!("`{}` is no key that the OS knows", path.join("."));
                self.found.say(
                    &codes::CC_UNKNOWN,
                    span.clone(),
                    message,
                    "it is ignored without a word",
                    help,
                );
            }
            Found::Key(key) if !key.known_to(self.os) => self.other_version(span, key, path),
            Found::Key(key) => self.known(span, key, value, path),
        }
    }

    fn other_version(&mut self, span: &Range<usize>, key: &Key, path: &[&str]) {
        let too_new = self.os.version().is_some_and(|v| v < key.row.since);
        let when = if too_new {
            format!("came with {}", key.row.since)
        } else {
            format!("went with {}", key.row.until.map(|v| v.to_string()).unwrap_or_default())
        };
        let message = format!("`{}` {when}", path.join("."));
        self.found.say(
            &codes::CC_VERSION,
            span.clone(),
            message,
            "it is ignored without a word",
            "take it out",
        );
    }

    fn known<'t>(&mut self, span: &Range<usize>, key: &Key, value: &'t Tree, path: &mut Vec<&'t str>) {
        let name = path.join(".");
        if matches!(key.row.ty, Type::Password | Type::Terminal) {
            let message = format!("`{name}` is read from the kernel's command line only");
            let help = "use ssh_authorized_keys; a password is set on the command line";
            return self.found.say(
                &codes::CC_PASSWORD,
                span.clone(),
                message,
                "it is ignored without a word",
                help,
            );
        }
        self.early(span, &name);
        if fits(key.row.ty, &value.node()).is_err() {
            let message =
                format!("`{name}` wants {}, and this is {}", key.row.ty.wanted(), value.node().kind());
            let help = format!("write {} here", key.row.ty.wanted());
            return self.found.say(&codes::CC_TYPE, value.span.clone(), message, SKIPPED, help);
        }
        match (name.as_str(), &value.data) {
            ("ssh_authorized_keys", Data::List(keys)) => self.keys(keys),
            ("write_files", Data::List(files)) => files.iter().for_each(|f| self.file(f)),
            ("mounts", Data::List(mounts)) => mounts.iter().for_each(|m| self.mount(m)),
            ("runcmd" | "bootcmd", Data::List(commands)) => commands.iter().for_each(|c| self.command(c)),
            (_, Data::Map(_)) => self.map(value, path),
            (_, Data::List(list)) if key.row.ty == Type::List => {
                list.iter().for_each(|v| self.mangled(v, &name))
            }
            _ if key.row.ty == Type::Text => self.mangled(value, &name),
            _ => {}
        }
    }

    /// What is needed before a cloud-config that must be fetched is there.
    fn early(&mut self, span: &Range<usize>, name: &str) {
        if EARLY.contains(&name) {
            let message = format!("`{name}` is needed before a cloud-config is fetched");
            let at_boot = "in one that is fetched it comes too late";
            let help = "write it on the kernel's command line as well";
            self.found.say(&codes::CC_EARLY, span.clone(), message, at_boot, help);
        }
    }

    /// A scalar that the OS sees as another text.
    fn mangled(&mut self, value: &Tree, name: &str) {
        let Data::Scalar(node, written) = &value.data else { return };
        let Some(seen) = as_text(node).filter(|seen| seen != written && !written.is_empty()) else { return };
        let secret = is_secret_name(name.rsplit('.').next().unwrap_or(name));
        let message = if secret {
            format!("the value of `{name}` is read as {}, and is then another text", node.kind())
        } else {
            format!("`{name}`: the OS reads `{written}` and sees `{seen}`")
        };
        self.found.say(
            &codes::CC_MANGLED,
            value.span.clone(),
            message,
            "the changed text is used",
            "put it in double quotes",
        );
    }

    fn keys(&mut self, keys: &[Tree]) {
        for key in keys {
            let Data::Scalar(_, text) = &key.data else { continue };
            if let Err(wrong) = ssh::check_key(text) {
                let at_boot = "nobody can log in with it";
                let help = "paste the whole line of a file that ends in .pub";
                self.found.say(&codes::CC_KEY, key.span.clone(), wrong, at_boot, help);
            }
        }
    }

    fn file(&mut self, file: &Tree) {
        let Data::Map(entries) = &file.data else { return };
        if !entries.iter().any(|(_, name, _)| name == "path") {
            let help = "add `path: /…`";
            self.found.say(
                &codes::CC_SHAPE,
                file.span.clone(),
                "a file without a path",
                "the file is not written",
                help,
            );
        }
        let known = ["path", "content", "owner", "permissions", "encoding", "container"];
        for (span, name, value) in entries {
            if !known.contains(&name.as_str()) {
                let near = nearest(name, &known).map(|n| format!("did you mean `{n}`?")).unwrap_or_default();
                let message = format!("`{name}` is no property of a file");
                self.found.say(
                    &codes::CC_UNKNOWN,
                    span.clone(),
                    message,
                    "it is ignored without a word",
                    near,
                );
            } else if as_text(&value.node()).is_none() {
                let message = format!("`{name}` of a file wants a text");
                self.found.say(&codes::CC_TYPE, value.span.clone(), message, SKIPPED, "write a text here");
            } else if name != "content" {
                self.mangled(value, &format!("write_files.{name}"));
            }
        }
        let content = entries.iter().find(|(_, name, _)| name == "content");
        if let Some((_, _, content)) = content {
            self.fixed_password(content);
        }
    }

    fn mount(&mut self, mount: &Tree) {
        let four = matches!(&mount.data, Data::List(list) if list.len() == 4);
        if !four {
            let message = "a mount is a list of exactly four texts";
            let help = "write `[device, folder, type, options]`, with \"\" for what is not needed";
            self.found.say(&codes::CC_SHAPE, mount.span.clone(), message, "it is not mounted", help);
        }
    }

    fn command(&mut self, command: &Tree) {
        match &command.data {
            Data::List(words) => words.iter().for_each(|w| self.fixed_password(w)),
            _ => self.fixed_password(command),
        }
    }

    /// The password that everybody knows, set by a command.
    fn fixed_password(&mut self, value: &Tree) {
        let Data::Scalar(_, text) = &value.data else { return };
        if text.contains("rancher:rancher") {
            let message = "this sets the password that everybody tries first";
            let help = "use ssh_authorized_keys, or a hash with `chpasswd -e`";
            self.found.say(&codes::CC_PASSWORD, value.span.clone(), message, "anybody can log in", help);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "#cloud-config
hostname: box
ssh_authorized_keys:
  - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH me@host
write_files:
  - path: /etc/motd
    permissions: \"0644\"
    content: |
      hello
mounts:
  - [/dev/sdb, /data, ext4, \"\"]
runcmd:
  - [sh, -c, echo]
  - echo hello
rancher:
  sysctl:
    net.ipv4.ip_forward: \"1\"
  network:
    interfaces:
      eth0.100:
        dhcp: true
  services:
    anything: {image: x, command: [a, b]}
";

    fn found(text: &str, os: &str) -> Vec<(&'static str, String)> {
        let found = check(text, os.parse().unwrap());
        found
            .into_iter()
            .map(|d| (d.code.id, text[d.span].lines().next().unwrap_or_default().to_owned()))
            .collect()
    }

    #[test]
    fn a_good_one_has_nothing_to_say() {
        assert_eq!(found(GOOD, "rancheros-1.5.8"), []);
        assert_eq!(found(GOOD, "smoke"), []);
    }

    #[test]
    fn the_place_is_that_of_the_value() {
        let text = "#cloud-config\nwrite_files:\n- path: /ü\n  permissions: 0644\n- content: x\nrancher:\n  debug: 1\n  ssh: {port: x}\n  debgu: true\n";
        let want = [
            ("W0605", "0644".to_owned()),
            ("E0605", "".to_owned()),
            ("E0603", "1".to_owned()),
            ("E0603", "x".to_owned()),
            ("W0601", "debgu".to_owned()),
        ];
        let found = found(text, "rancheros-1.5.8");
        assert_eq!(
            found.iter().map(|f| f.0).collect::<Vec<_>>(),
            want.iter().map(|w| w.0).collect::<Vec<_>>()
        );
        assert_eq!((&found[0].1, &found[2].1, &found[4].1), (&want[0].1, &want[2].1, &want[4].1));
    }

    #[test]
    fn no_text_is_too_strange() {
        for text in [
            "",
            "#cloud-config\n",
            "\u{feff}#cloud-config\n[",
            "- a\n- b",
            "a: &x [*x]",
            "%YAML 1.1\n---\na",
            "\0",
            "? [a]\n: b",
            "a: &x 1\nb: [*x, *x]",
        ] {
            for d in check(text, Os::Smoke) {
                assert!(d.span.start <= text.len(), "{text:?} {d:?}");
                assert!(!super::super::Source { name: "x", text }.show(&d).is_empty());
            }
        }
    }

    #[test]
    fn secrets_are_hidden_by_name_and_in_addresses() {
        let text =
            "rancher:\n  registry_auths:\n    h: \n      password: s3cret \n- {psk: \"x\"}\nhostname: a\n";
        let hidden = masked(text);
        assert_eq!(masked("- u: ftp://me@h/\n"), "- u: ftp://**@h/\n");
        assert!(!hidden.contains("s3cret") && !hidden.contains("\"x\"") && hidden.contains("hostname: a"));
        assert_eq!(hidden.len(), text.len());
    }
}
