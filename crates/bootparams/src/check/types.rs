//! Values against the schema: known, of this version, and of a type that the boot survives.

use super::{LineChecker, Setting, secrets};
use crate::{
    codes::{self, Code},
    convert::{ConfigVerdict, Misfit, as_text},
    os::Os,
    schema::{Key, OnLine, SchemaMatch, Type},
    tree::ConfigValue,
};

impl LineChecker<'_> {
    pub(super) fn types(&mut self) {
        for i in 0..self.settings.len() {
            match self.settings[i].found.clone() {
                SchemaMatch::Unknown { known, siblings } => self.unknown(i, known, &siblings),
                SchemaMatch::Below(key) => self.below(i, key),
                SchemaMatch::OtherVersion(key) => self.other_version(i, key),
                SchemaMatch::Key(key) => self.known(i, key),
            }
        }
        self.top_level_without_prefix();
    }

    fn unknown(&mut self, i: usize, known: usize, siblings: &[&str]) {
        let setting = &self.settings[i];
        if let Some(misfit) = setting.misfit.clone() {
            return self.unreadable(i, &misfit);
        }
        let segments: Vec<&str> = setting.path.split('.').collect();
        let Some(wrong) = segments.get(known) else { return };
        let message = format!("unknown key `{}`", setting.word.name());
        let help = match nearest(wrong, siblings) {
            Some(near) => {
                let mut path = segments.clone();
                path[known] = near;
                format!("did you mean `{}`?", path.join("."))
            }
            None => format!("`params list {}` lists the known keys", segments[..known].join(".")),
        };
        let span = setting.span();
        self.found.say(&codes::UNKNOWN, span, message, "it is silently ignored", help);
    }

    fn below(&mut self, i: usize, key: &'static Key) {
        let setting = &self.settings[i];
        let (span, name) = (setting.span(), setting.word.name().to_owned());
        let (code, message) = if key.path.ends_with(".*") {
            (&codes::DOTTED, format!("`{name}` contains a name with dots, which is read as nested maps"))
        } else {
            (&codes::MAP, format!("`{}` takes {}, and has no key below it", key.path, key.row.ty.wanted()))
        };
        let at_boot = match &setting.misfit {
            Some(misfit) => self.at_boot(&misfit.verdict),
            None => "it is silently ignored",
        };
        self.found.say(code, span, message, at_boot, "set it in a cloud-config, where names can have dots");
    }

    fn other_version(&mut self, i: usize, key: &'static Key) {
        let setting = &self.settings[i];
        if let Some(misfit) = setting.misfit.clone() {
            return self.unreadable(i, &misfit);
        }
        let (span, name) = (setting.span(), setting.word.name().to_owned());
        let too_new = self.os.version().is_some_and(|v| v < key.row.since);
        let (code, message) = if too_new {
            (&codes::TOO_NEW, format!("`{name}` came with {}", key.row.since))
        } else {
            let until = key.row.until.map(|v| v.to_string()).unwrap_or_default();
            (&codes::GONE, format!("`{name}` was removed in {until}"))
        };
        let help = format!("take it out{}", replacement(&key.path, self.os));
        self.found.say(code, span, message, "it is silently ignored", help);
    }

    fn known(&mut self, i: usize, key: &'static Key) {
        let setting = &self.settings[i];
        let Ok(node) = setting.node.clone() else { return };
        let (span, name) = (setting.span(), setting.word.name().to_owned());
        if let Some(misfit) = setting.misfit.clone() {
            return self.misfit(i, key, &misfit);
        }
        if let OnLine::No(why) = key.row.on_line
            && !matches!(key.row.ty, Type::Map)
        {
            let help = "set it in a cloud-config";
            let message = format!("`{name}`: {why}");
            return self.found.say(&codes::NOT_ON_LINE, span, message, "it does nothing useful", help);
        }
        if self.os.since(0, 5, 0) && key.path == "cc.ssh_authorized_keys" && !is_list_or_null(&node) {
            let message = format!("`{name}` wants {}, and this is {}", key.row.ty.wanted(), node.kind());
            let at_boot = "the keys are dropped, and they open no login";
            return self.found.say(&codes::LIST, span, message, at_boot, format!("write `{name}=[\"…\"]`"));
        }
        if matches!((key.row.ty, &node), (Type::Map, ConfigValue::Null)) {
            let message = format!("`{name}` is null");
            return self.found.say(
                &codes::ERASES,
                span,
                message,
                "all defaults below it are lost",
                "set sub-keys, one by one",
            );
        }
        self.misspelled(i, key);
        self.mangled(i, key, &node);
    }

    /// A key in other letters: it is read, and then the right one is read over it.
    fn misspelled(&mut self, i: usize, key: &Key) {
        let setting = &self.settings[i];
        let right: Vec<&str> = key.path.split('.').zip(setting.path.split('.')).map(spelling).collect();
        let right = right.join(".");
        if right.eq_ignore_ascii_case(&setting.path) && right != setting.path {
            let (span, message) = (setting.span(), format!("`{}` is spelled `{right}`", setting.path));
            let at_boot = "it is read, but a value or default under the right spelling overrides it";
            self.found.say(&codes::CASE, span, message, at_boot, format!("write `{right}`"));
        }
    }

    /// A value that the OS cannot even carry, whichever key it has.
    fn unreadable(&mut self, i: usize, misfit: &Misfit) {
        let setting = &self.settings[i];
        let message = format!("`{}` has a character that the OS refuses", setting.word.name());
        let (span, at_boot) = (setting.span(), self.at_boot(&misfit.verdict));
        let help = "write it in ASCII";
        self.found.say(&codes::UNPRINTABLE, span, message, at_boot, help);
    }

    fn misfit(&mut self, i: usize, key: &'static Key, misfit: &Misfit) {
        let setting = &self.settings[i];
        let Some(wants) = misfit.key else { return self.unreadable(i, misfit) };
        let (span, name) = (setting.span(), setting.word.name().to_owned());
        let written = setting.written();
        let code = code_of(wants.row.ty);
        let url =
            std::ptr::eq(code, &codes::LIST) && written.is_some_and(|w| w.contains("[") && w.contains(':'));
        let code = if url { &codes::URL_QUOTES } else { code };
        let what = match written {
            None => "the bare key, which is true".to_owned(),
            Some("") => "nothing, which is an empty text".to_owned(),
            Some(_) => misfit.kind.to_owned(),
        };
        let (wanted, inside) = (wants.row.ty.wanted(), misfit.inside || wants.path != key.path);
        let message = if inside {
            format!("`{name}` wants {wanted}, and there is {what} in it")
        } else {
            format!("`{name}` wants {wanted}, and this is {what}")
        };
        let at_boot = self.with_words(&misfit.verdict, wants);
        let help = self.misfit_help(&name, wants, written.unwrap_or_default(), url, inside);
        self.found.say(code, span, message, at_boot, help);
    }

    /// How it ends, with what the console then shows, unless that would tell a secret.
    fn with_words(&self, verdict: &ConfigVerdict, key: &Key) -> String {
        let at_boot = self.at_boot(verdict);
        let words = verdict.to_string();
        let plain = words.len() < 60 && !words.ends_with([':', ' ']) && words.contains('\'');
        if plain && !secrets::is_secret(&key.path) {
            format!("{at_boot} ({words})")
        } else {
            at_boot.to_owned()
        }
    }

    fn misfit_help(&self, name: &str, key: &Key, written: &str, url: bool, inside: bool) -> String {
        let secret = secrets::is_secret(&key.path);
        match key.row.ty {
            Type::Commands | Type::Command | Type::TextOrList | Type::Labels if inside => {
                "put numbers and words such as yes in double quotes".to_owned()
            }
            _ if url && self.os.since(0, 8, 0) => {
                format!("write `{name}=[\"…\"]`, without quotes around the brackets")
            }
            _ if url => format!("write `{name}=[\"url:http://…\"]`: here the element needs double quotes"),
            Type::List | Type::Commands | Type::Assignments if secret || inside || written.is_empty() => {
                format!("write `{name}=[\"a\",\"b\"]`")
            }
            Type::List | Type::Commands | Type::Assignments => {
                let bare = written.trim_matches(['"', '\'', '[', ']']);
                let element = if bare.contains([' ', ',']) { format!("\"{bare}\"") } else { bare.to_owned() };
                format!("write `{name}=[{element}]`")
            }
            Type::Bool => format!("write `{name}=true` or `{name}=false`"),
            Type::Int => format!("write `{name}=NUMBER`"),
            Type::Lists => format!("write `{name}=[[\"a\",\"b\"]]`"),
            Type::Maps => "set it in a cloud-config".to_owned(),
            Type::Map | Type::Labels | Type::Limits => format!("write `{name}.KEY=VALUE`"),
            _ => format!("write `{name}=VALUE`"),
        }
    }

    /// A text that comes out as another one.
    fn mangled(&mut self, i: usize, key: &Key, node: &ConfigValue) {
        let setting = &self.settings[i];
        let written = setting.written().unwrap_or("true");
        let changed = match (key.row.ty, node) {
            (Type::Text, ConfigValue::Str(text)) => Some((text.as_str(), as_text(node))),
            (Type::Text, _) => Some((written, as_text(node))),
            (Type::Password, ConfigValue::Str(_)) => None,
            (Type::Password, _) => Some((written, Some(node.to_string()))),
            (Type::List, ConfigValue::List(list)) => changed_element(written, list),
            _ => None,
        };
        let Some((was, Some(seen))) = changed.filter(|(was, seen)| seen.as_deref() != Some(*was)) else {
            return;
        };
        let (span, name) = (setting.span(), setting.word.name());
        let message = if secrets::is_secret(&key.path) {
            format!("the value of `{name}` is read as {}, which changes its text", node.kind())
        } else {
            format!("`{name}`: the OS reads `{was}` and sees `{seen}`")
        };
        let help = match key.row.ty {
            _ if !self.dialect.is_some_and(|d| d.yaml) => "this version has no quoting".to_owned(),
            Type::List => format!("write `{name}=[\"…\"]`, with the element in double quotes"),
            _ => format!("write `{name}=\"…\"`, in double quotes"),
        };
        self.found.say(&codes::MANGLED, span, message, "the changed text is used", help);
    }

    /// `hostname=` and the like, which are written without `cc.` by everybody once.
    pub(super) fn top_level_without_prefix(&mut self) {
        let top = ["hostname", "ssh_authorized_keys", "write_files", "mounts", "runcmd", "bootcmd"];
        for word in self.words.iter().filter(|w| top.contains(&w.name())) {
            let name = word.name();
            let help = if self.dialect.is_some_and(|d| d.cc()) {
                format!("write `cc.{name}=…`")
            } else {
                "this version reads `rancher.` only; set it in a cloud-config".to_owned()
            };
            let message = format!("`{name}` is not read without `cc.`");
            self.found.say(&codes::NO_PREFIX, word.span.clone(), message, "it is silently ignored", help);
        }
    }
}

/// The first element of a list that comes out as another text.
fn changed_element<'w>(written: &'w str, list: &[ConfigValue]) -> Option<(&'w str, Option<String>)> {
    let inner = written.strip_prefix('[')?.strip_suffix(']')?;
    let raw: Vec<&str> = inner.split(',').map(str::trim).collect();
    let changed = |(i, node): (usize, &ConfigValue)| {
        let seen = as_text(node)?;
        let was = *raw.get(i).filter(|_| raw.len() == list.len())?;
        (!matches!(node, ConfigValue::Str(_)) && was != seen).then_some((was, Some(seen)))
    };
    list.iter().enumerate().find_map(changed)
}

fn replacement(path: &str, os: Os) -> &'static str {
    match path {
        p if p.ends_with("state.formatzero") => ": since 0.7.0 a first MiB of zeros is enough",
        p if p.ends_with(".args") => ", and use `extra_args` or the key of each option",
        p if p.ends_with(".graph") => ", and use `data_root`",
        p if p.ends_with(".data_root") => ", and use `graph`",
        "rancher.autologin" if !os.since(0, 6, 0) => "; autologin came with 0.6.0",
        _ => "",
    }
}

/// The nearest of some names, if it is near.
pub(crate) fn nearest<'a>(wrong: &str, names: &[&'a str]) -> Option<&'a str> {
    // Case and `-` for `_` are the commonest slips and cost nothing.
    let plain = |s: &str| s.to_ascii_lowercase().replace('-', "_");
    let distance = |name: &&&str| strsim::damerau_levenshtein(&plain(wrong), &plain(name));
    // A name as long as a line is not a typo, and comparing it would take long.
    let near = if wrong.len() > 40 { None } else { names.iter().min_by_key(distance) };
    near.filter(|name| distance(name) <= 1 + wrong.len() / 4).copied()
}

/// The rule that a value of the wrong type breaks.
fn code_of(ty: Type) -> &'static Code {
    match ty {
        Type::Bool => &codes::BOOLEAN,
        Type::Int => &codes::INTEGER,
        Type::Text | Type::Password | Type::Terminal | Type::Command | Type::TextOrList => &codes::TEXT,
        Type::List | Type::Lists | Type::Commands | Type::Maps | Type::Assignments => &codes::LIST,
        Type::Map | Type::Labels | Type::Limits => &codes::MAP,
    }
}

fn is_list_or_null(node: &ConfigValue) -> bool {
    matches!(node, ConfigValue::List(_) | ConfigValue::Null)
}

/// The schema's name, or the one that was written where any will do.
fn spelling<'a>((schema, written): (&'a str, &'a str)) -> &'a str {
    if schema == "*" { written } else { schema }
}

impl Setting<'_> {
    /// Whether the value is of a type that the boot survives.
    pub(super) fn fits(&self) -> bool {
        match (&self.found, &self.node) {
            (SchemaMatch::Key(_), Ok(_)) => self.misfit.is_none(),
            _ => false,
        }
    }
}
