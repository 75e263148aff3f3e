//! A cloud-config, checked without a machine: YAML, types by the schema, keys that are keys.
//!
//! It is read with the OS's own YAML, so that what passes here is what the OS will hold.

mod text;

use std::ops::Range;

pub use text::{Leaf, NoText, leaves, masked, text};

use super::{
    check::{AT_BOOT, SCHEMA, advice, is_secret, nearest},
    codes,
    convert::{self, ConfigVerdict, Misfit, as_text},
    diagnostic::{Diagnostic, Findings},
    host::{self, Host, UserData},
    os::Os,
    schema::{Key, Schema, Type},
    ssh,
    tree::ConfigValue,
    yaml::{
        Stop,
        document::{self, Data, MapEntry, ValueTree},
    },
};

/// Larger than any cloud-config by far.
const MAX_BYTES: usize = 1 << 20;

/// What a machine must know before it can fetch a cloud-config.
const EARLY: [&str; 3] = ["rancher.state.dev", "rancher.state.autoformat", "rancher.cloud_init.datasources"];

const SKIPPED: &str = "the whole file is skipped, and the boot goes on without it";
const CRASHES: &str =
    "PID 1 crashes on a file in the initrd or on the disk; one that is fetched is dropped whole";
const IGNORED: &str = "it is silently ignored";

/// How the OS takes a file with this text: into its configuration, not at all, or by a panic of PID 1. The first line
/// does not matter here; only a datasource asks for it.
#[must_use]
pub fn boot(text: &str, os: Os) -> ConfigVerdict {
    if os.version().is_none() || text.is_empty() {
        return ConfigVerdict::Ok;
    }
    match document::read(text) {
        Ok(tree) => convert::verdict(&tree, os),
        Err((Stop::Bad(bad), _)) => ConfigVerdict::Refused(bad.0.to_owned()),
        Err((Stop::Crash(crash), _)) => ConfigVerdict::Panic(crash.to_string()),
    }
}

/// Checks the text of a cloud-config. The diagnostics stand in the order of the text and hold no secret.
#[must_use]
pub fn check(text: &str, os: Os) -> Vec<Diagnostic> {
    let mut c = ConfigChecker { os, found: Findings::default() };
    if os == Os::Docker {
        c.host(text);
        return c.found.in_order();
    }
    c.header(text);
    if text.len() > MAX_BYTES {
        let help = "carry large files in the medium itself";
        c.found.say(&codes::CC_YAML, 0..0, "more than a megabyte", SKIPPED, help);
        return c.found.in_order();
    }
    match document::read(text) {
        Err((Stop::Bad(bad), span)) => {
            let help = "check quotes, brackets and indentation here";
            c.found.say(&codes::CC_YAML, span, bad.0, SKIPPED, help);
        }
        Err((Stop::Crash(crash), span)) => {
            let message = format!("the parser fails on this: {crash}");
            let help = "write out values instead of using anchors, and write keys as strings";
            c.found.say(&codes::CC_CRASH, span, message, CRASHES, help);
        }
        Ok(tree) => {
            c.second_document(text);
            c.root(&tree);
        }
    }
    c.found.in_order()
}

const HEADER_HELP: &str = "write `#cloud-config` as the first line";

/// What to do about a value of the wrong type.
fn type_help(key: &Key, inside: bool) -> String {
    match key.row.ty {
        Type::Commands | Type::Command | Type::TextOrList | Type::Labels | Type::Assignments if inside => {
            "put it in double quotes: numbers and words such as yes are not strings here".to_owned()
        }
        ty => format!("write {} here", ty.wanted()),
    }
}

struct ConfigChecker {
    os: Os,
    found: Findings,
}

impl ConfigChecker {
    fn header(&mut self, text: &str) {
        let first = text.split('\n').next().unwrap_or_default();
        if first.ends_with('\r') {
            let help = "save the file with LF line ends";
            let at_boot = "the OS reads it, but `ros config validate` refuses it";
            self.found.say(&codes::CC_CRLF, 0..first.len(), "CRLF line ends", at_boot, help);
        }
        // The OS drops white space at the end of this line.
        if first.trim_end() == "#cloud-config" {
            return;
        }
        let (message, help) = match first.strip_prefix('\u{feff}') {
            Some(_) => (
                "a byte order mark stands before `#cloud-config`",
                "save the file as UTF-8 without a byte order mark",
            ),
            None if first.starts_with("#!") => ("this is a script, not a cloud-config", HEADER_HELP),
            None if first.starts_with("#cloud-config") => {
                ("something follows `#cloud-config` on the first line", HEADER_HELP)
            }
            None => ("the first line is not `#cloud-config`", HEADER_HELP),
        };
        let at_boot = "a datasource's text without it is dropped";
        self.found.say(&codes::CC_HEADER, 0..first.len(), message, at_boot, help);
    }

    fn second_document(&mut self, text: &str) {
        if let Some(at) = document::second(text).filter(|_| self.os.dialect().is_some()) {
            let message = "a second document begins here";
            let at_boot = "what follows is never read";
            self.found.say(&codes::CC_SECOND, at..at, message, at_boot, "put everything into one document");
        }
    }

    /// The system's own code takes the values, and what that refuses is said here.
    fn host(&mut self, text: &str) {
        let tree = match host::user_data(text) {
            Ok(UserData::Values(tree)) => tree,
            Ok(UserData::Script) => return,
            Err(wrong) => {
                let first = 0..text.split('\n').next().unwrap_or_default().len();
                let (code, span) =
                    wrong.span.map_or((&codes::CC_HEADER, first), |span| (&codes::CC_YAML, span));
                let help = "a cloud-config is YAML behind a first line `#cloud-config`";
                self.found.say(code, span, format!("this {}", wrong.reason), SKIPPED, help);
                return;
            }
        };
        self.second_document(text);
        let mut host = Host::default();
        for refusal in host::tree(&mut host, &tree) {
            let (code, help) = advice(refusal.part);
            self.found.say(code, refusal.span, refusal.message, AT_BOOT, help);
        }
        for message in host.render().refused {
            self.found.say(&codes::HOST_VALUE, 0..0, message, AT_BOOT, "complete it, or remove it");
        }
        for path in EARLY {
            if let Some(span) = tree.key(path.split('.')) {
                self.early(&span, path);
            }
        }
    }

    fn root(&mut self, tree: &ValueTree) {
        if self.os.version().is_none() {
            // Somebody else's cloud-init: its keys are not known here.
            return;
        }
        for misfit in convert::misfits(tree, self.os) {
            self.misfit(&misfit);
        }
        self.garbled(tree);
        self.map(&SCHEMA, tree, &mut Vec::new());
    }

    /// Characters beyond ASCII that the OS takes for others.
    fn garbled(&mut self, tree: &ValueTree) {
        match &tree.data {
            Data::Scalar(ConfigValue::Str(text), _) if convert::garbles(text) => {
                let message = "non-ASCII characters are garbled here";
                let help = "write it in ASCII; the content of a file can be base64 (`encoding: b64`)";
                let span = tree.span.clone();
                self.found.say(&codes::CC_MANGLED, span, message, "the changed text is used", help);
            }
            Data::Scalar(..) => {}
            Data::List(list) => list.iter().for_each(|item| self.garbled(item)),
            Data::Map(map) => map.iter().for_each(|entry| self.garbled(&entry.value)),
        }
    }

    fn misfit(&mut self, misfit: &Misfit) {
        let Misfit { span, path, key, kind, inside, verdict } = misfit;
        let name = path.join(".");
        let crashes = matches!(verdict, ConfigVerdict::Panic(_));
        let at_boot = if crashes { CRASHES } else { SKIPPED };
        let (code, message, help) = match key {
            None if path.is_empty() => {
                let message = format!("a map is wanted, and this is {kind}");
                (&codes::CC_TYPE, message, "write `key: value`".to_owned())
            }
            None if crashes => {
                let message = format!("`{name}` has binary data as a key");
                (&codes::CC_CRASH, message, "write the key as a text".to_owned())
            }
            None => {
                let message = format!("`{name}` has a character that the OS refuses");
                let help = "write it in ASCII; the content of a file can be base64 (`encoding: b64`)";
                (&codes::CC_TEXT, message, help.to_owned())
            }
            Some(key) if crashes && key.row.followed => {
                let message = format!("`{name}` is null");
                (&codes::CC_CRASH, message, "give the service an `image`, or remove its name".to_owned())
            }
            Some(key) => {
                let wanted = key.row.ty.wanted();
                let what = if *inside { "there is" } else { "this is" };
                let of = if *inside { " in it" } else { "" };
                let message = format!("`{name}` wants {wanted}, and {what} {kind}{of}");
                (if crashes { &codes::CC_CRASH } else { &codes::CC_TYPE }, message, type_help(key, *inside))
            }
        };
        self.found.say(code, span.clone(), message, at_boot, help);
    }

    fn map(&mut self, schema: &'static Schema, tree: &ValueTree, path: &mut Vec<String>) {
        let Data::Map(entries) = &tree.data else { return };
        for (i, MapEntry { span, key, value }) in entries.iter().enumerate() {
            let name = as_text(key).unwrap_or_default();
            if entries[..i].iter().any(|other| other.key == *key) {
                let message = format!("`{name}` is set a second time");
                self.found.say(
                    &codes::CC_TWICE,
                    span.clone(),
                    message,
                    "the last one wins",
                    "keep one of them",
                );
            }
            path.push(name);
            self.entry(schema, span, value, path);
            path.pop();
        }
    }

    fn entry(
        &mut self,
        schema: &'static Schema,
        span: &Range<usize>,
        value: &ValueTree,
        path: &mut Vec<String>,
    ) {
        let name = path.last().map(String::as_str).unwrap_or_default();
        let Some(child) = schema.child(name) else { return self.unknown(schema, span, path) };
        let Some(key) = child.key() else { return };
        if !key.known_to(self.os) {
            return self.other_version(span, key, path);
        }
        let right = key.path.rsplit('.').next().filter(|right| *right != "*" && *right != name);
        if let Some(right) = right {
            let message = format!("`{name}` is spelled `{right}`");
            let at_boot = "it is read, but a value or default under the right spelling overrides it";
            self.found.say(&codes::CC_UNKNOWN, span.clone(), message, at_boot, format!("write `{right}`"));
        }
        self.known(child, span, key, value, path);
    }

    fn unknown(&mut self, schema: &'static Schema, span: &Range<usize>, path: &[String]) {
        let wrong = path.last().map(String::as_str).unwrap_or_default();
        let (message, help) = if wrong == "<<" {
            let message = "`<<` is an unknown key here: merge keys are not supported";
            (message.to_owned(), "write the keys out".to_owned())
        } else {
            let help = nearest(wrong, &schema.names(self.os)).map_or_else(
                || "remove it; this OS reads only its own keys".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            (format!("unknown key `{}`", path.join(".")), help)
        };
        self.found.say(&codes::CC_UNKNOWN, span.clone(), message, IGNORED, help);
    }

    fn other_version(&mut self, span: &Range<usize>, key: &Key, path: &[String]) {
        let too_new = self.os.version().is_some_and(|v| v < key.row.since);
        let when = if too_new {
            format!("came with {}", key.row.since)
        } else {
            format!("went with {}", key.row.until.map(|v| v.to_string()).unwrap_or_default())
        };
        let message = format!("`{}` {when}", path.join("."));
        self.found.say(&codes::CC_VERSION, span.clone(), message, IGNORED, "take it out");
    }

    fn known(
        &mut self,
        schema: &'static Schema,
        span: &Range<usize>,
        key: &Key,
        value: &ValueTree,
        path: &mut Vec<String>,
    ) {
        let name = path.join(".");
        if matches!(key.row.ty, Type::Password | Type::Terminal) {
            let message = format!("`{name}` is read from the kernel's command line only");
            let help = "use ssh_authorized_keys; passwords are set on the command line";
            return self.found.say(&codes::CC_PASSWORD, span.clone(), message, IGNORED, help);
        }
        self.early(span, &name);
        match (name.as_str(), &value.data) {
            ("ssh_authorized_keys", Data::List(keys)) => return self.keys(keys),
            ("mounts", Data::List(mounts)) => mounts.iter().for_each(|m| self.mount(m)),
            ("runcmd" | "bootcmd", Data::List(commands)) => commands.iter().for_each(|c| self.command(c)),
            _ => {}
        }
        match (key.row.ty, &value.data) {
            (Type::Map, _) => self.map(schema, value, path),
            (Type::Maps, Data::List(list)) => {
                for item in list {
                    if let Some(element) = schema.child("*") {
                        self.map(element, item, path);
                    }
                    self.file(item);
                }
            }
            (Type::List, Data::List(list)) => list.iter().for_each(|v| self.mangled(v, &name)),
            (Type::Text, _) => self.mangled(value, &name),
            _ => {}
        }
    }

    /// What is needed before a cloud-config that must be fetched is there.
    fn early(&mut self, span: &Range<usize>, name: &str) {
        if EARLY.contains(&name) {
            let message = format!("`{name}` is needed before a cloud-config is fetched");
            let at_boot = "in a fetched one it comes too late";
            let help = "write it on the kernel's command line as well";
            self.found.say(&codes::CC_EARLY, span.clone(), message, at_boot, help);
        }
    }

    /// A scalar that the OS sees as another text.
    fn mangled(&mut self, value: &ValueTree, name: &str) {
        let Data::Scalar(node, written) = &value.data else { return };
        if matches!(node, ConfigValue::Str(_)) {
            return;
        }
        let Some(seen) = as_text(node).filter(|seen| seen != written && !written.is_empty()) else { return };
        let secret = is_secret(name);
        let message = if secret {
            format!("the value of `{name}` is read as {}, which changes its text", node.kind())
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

    fn keys(&mut self, keys: &[ValueTree]) {
        for key in keys {
            let Data::Scalar(_, text) = &key.data else { continue };
            if let Err(wrong) = ssh::check_key(text) {
                let at_boot = "this key opens no login";
                let help = "paste the whole line of a file that ends in .pub";
                self.found.say(&codes::CC_KEY, key.span.clone(), wrong, at_boot, help);
            }
        }
    }

    fn file(&mut self, file: &ValueTree) {
        let Data::Map(entries) = &file.data else { return };
        let value = |name: &str| entries.iter().find(|e| e.name() == name).map(|e| &e.value);
        if value("path").is_none() {
            let message = "a file without a path";
            let at_boot = "the file is not written";
            self.found.say(&codes::CC_SHAPE, file.span.clone(), message, at_boot, "add `path: /…`");
        }
        if let Some(content) = value("content") {
            self.fixed_password(content);
        }
    }

    fn mount(&mut self, mount: &ValueTree) {
        let four = matches!(&mount.data, Data::List(list) if list.len() == 4);
        if !four {
            let message = "a mount is a list of exactly four texts";
            let help = "write `[device, folder, type, options]`, with \"\" for what is not needed";
            self.found.say(&codes::CC_SHAPE, mount.span.clone(), message, "it is not mounted", help);
        }
    }

    fn command(&mut self, command: &ValueTree) {
        match &command.data {
            Data::List(words) => words.iter().for_each(|w| self.fixed_password(w)),
            _ => self.fixed_password(command),
        }
    }

    /// The password that everybody knows, set by a command.
    fn fixed_password(&mut self, value: &ValueTree) {
        let Data::Scalar(_, text) = &value.data else { return };
        if text.contains("rancher:rancher") {
            let message = "this sets the first password that attackers try";
            let help = "use ssh_authorized_keys, or a hash with `chpasswd -e`";
            self.found.say(&codes::CC_PASSWORD, value.span.clone(), message, "anybody can log in", help);
        }
    }
}

#[cfg(test)]
mod tests;
