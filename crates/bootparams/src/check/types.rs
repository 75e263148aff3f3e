//! Values against the schema: known, of this version, and of a type that the boot survives.

use super::{Checker, Setting, secrets};
use crate::{
    codes::{self, Code},
    os::Os,
    schema::{Found, Key, OnLine, Type},
    tree::{Node, go_float},
    yaml,
};

/// The rule that a value breaks.
type Misfit = &'static Code;

impl Checker<'_> {
    pub(super) fn types(&mut self) {
        for i in 0..self.settings.len() {
            match self.settings[i].found.clone() {
                Found::Free => {}
                Found::Unknown { known, siblings } => self.unknown(i, known, &siblings),
                Found::Below(key) => self.below(i, key),
                Found::Key(key) if !key.known_to(self.os) => self.other_version(i, key),
                Found::Key(key) => self.known(i, key),
            }
        }
        self.top_level_without_prefix();
    }

    fn unknown(&mut self, i: usize, known: usize, siblings: &[&str]) {
        let setting = &self.settings[i];
        let segments: Vec<&str> = setting.path.split('.').collect();
        let Some(wrong) = segments.get(known) else { return };
        let message = format!("`{}` is no key that the OS knows", setting.word.name());
        let help = match nearest(wrong, siblings) {
            Some(near) => {
                let mut path = segments.clone();
                path[known] = near;
                format!("did you mean `{}`?", path.join("."))
            }
            None => format!("`params list {}` shows what there is", segments[..known].join(".")),
        };
        let span = setting.span();
        self.found.say(&codes::UNKNOWN, span, message, "it is ignored without a word", help);
    }

    fn below(&mut self, i: usize, key: &'static Key) {
        let setting = &self.settings[i];
        let (span, name) = (setting.span(), setting.word.name().to_owned());
        if !key.known_to(self.os) {
            return self.other_version(i, key);
        }
        let (code, message) = if key.path.ends_with(".*") {
            (&codes::DOTTED, format!("`{name}` has a name with dots in it, which makes maps of it"))
        } else {
            (&codes::MAP, format!("`{}` takes {}, and has no key below it", key.path, key.row.ty.wanted()))
        };
        let at_boot = self.mismatch();
        self.found.say(code, span, message, at_boot, "set it in a cloud-config, where names can have dots");
    }

    fn other_version(&mut self, i: usize, key: &'static Key) {
        let setting = &self.settings[i];
        let (span, name) = (setting.span(), setting.word.name().to_owned());
        let too_new = self.os.version().is_some_and(|v| v < key.row.since);
        let (code, message) = if too_new {
            (&codes::TOO_NEW, format!("`{name}` came with {}", key.row.since))
        } else {
            let until = key.row.until.map(|v| v.to_string()).unwrap_or_default();
            (&codes::GONE, format!("`{name}` went with {until}"))
        };
        let help = format!("take it out{}", replacement(&key.path, self.os));
        self.found.say(code, span, message, "it is ignored without a word", help);
    }

    fn known(&mut self, i: usize, key: &'static Key) {
        let setting = &self.settings[i];
        let Ok(node) = setting.node.clone() else { return };
        let (span, name) = (setting.span(), setting.word.name().to_owned());
        if let OnLine::No(why) = key.row.on_line
            && !matches!(key.row.ty, Type::Map)
        {
            let help = "set it in a cloud-config";
            return self.found.say(
                &codes::NOT_ON_LINE,
                span,
                format!("`{name}`: {why}"),
                self.mismatch(),
                help,
            );
        }
        if let Err(code) = fits(key.row.ty, &node) {
            return self.misfit(i, key, code, &node);
        }
        if matches!((key.row.ty, &node), (Type::Map | Type::Free, Node::Null)) {
            let message = format!("`{name}` is null");
            return self.found.say(
                &codes::ERASES,
                span,
                message,
                "all defaults below it are gone",
                "set sub-keys, one by one",
            );
        }
        self.mangled(i, key, &node);
    }

    fn misfit(&mut self, i: usize, key: &'static Key, code: Misfit, node: &Node) {
        let setting = &self.settings[i];
        let (span, name) = (setting.span(), setting.word.name().to_owned());
        let written = setting.written();
        let crashes = key.row.ty == Type::Int && written == Some("");
        let url =
            std::ptr::eq(code, &codes::LIST) && written.is_some_and(|w| w.contains("[") && w.contains(':'));
        let code = if url { &codes::URL_QUOTES } else { code };
        let what = match written {
            None => "the bare key, which is true".to_owned(),
            Some("") => "nothing, which is an empty text".to_owned(),
            Some(_) => node.kind().to_owned(),
        };
        let message = format!("`{name}` wants {}, and this is {what}", key.row.ty.wanted());
        let at_boot = if crashes { "the YAML library crashes, and PID 1 with it" } else { self.mismatch() };
        let help = self.misfit_help(&name, key, written.unwrap_or_default(), url);
        self.found.say(code, span, message, at_boot, help);
    }

    fn misfit_help(&self, name: &str, key: &Key, written: &str, url: bool) -> String {
        let secret = secrets::is_secret(&key.path);
        match key.row.ty {
            _ if url && self.os.since(0, 8, 0) => {
                format!("write `{name}=[\"…\"]`, without quotes around the brackets")
            }
            _ if url => format!("write `{name}=[\"url:http://…\"]`: here the element needs double quotes"),
            Type::List | Type::Commands if secret || written.is_empty() => format!("write `{name}=[a,b]`"),
            Type::List | Type::Commands => {
                let bare = written.trim_matches(['"', '\'', '[', ']']);
                let element = if bare.contains([' ', ',']) { format!("\"{bare}\"") } else { bare.to_owned() };
                format!("write `{name}=[{element}]`")
            }
            Type::Bool => format!("write `{name}=true` or `{name}=false`"),
            Type::Int => format!("write `{name}=NUMBER`"),
            Type::Map | Type::Free => format!("write `{name}.KEY=VALUE`"),
            _ => format!("write `{name}=VALUE`"),
        }
    }

    /// A text that comes out as another one.
    fn mangled(&mut self, i: usize, key: &Key, node: &Node) {
        let setting = &self.settings[i];
        let written = setting.written().unwrap_or("true");
        let changed = match (key.row.ty, node) {
            (Type::Text, Node::Str(_)) => None,
            (Type::Text, _) => Some((written, as_text(node))),
            (Type::Password, Node::Str(_)) => None,
            (Type::Password, _) => Some((written, Some(node.to_string()))),
            (Type::List, Node::List(list)) => changed_element(written, list),
            _ => None,
        };
        let Some((was, Some(seen))) = changed.filter(|(was, seen)| seen.as_deref() != Some(*was)) else {
            return;
        };
        let (span, name) = (setting.span(), setting.word.name());
        let message = if secrets::is_secret(&key.path) {
            format!("the value of `{name}` is read as {}, and is then another text", node.kind())
        } else {
            format!("`{name}`: the OS reads `{was}` and sees `{seen}`")
        };
        let help = match key.row.ty {
            _ if !self.dialect.is_some_and(|d| d.yaml) => "there is no quoting in this version".to_owned(),
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
            self.found.say(
                &codes::NO_PREFIX,
                word.span.clone(),
                message,
                "it is ignored without a word",
                help,
            );
        }
    }
}

/// The first element of a list that comes out as another text.
fn changed_element<'w>(written: &'w str, list: &[Node]) -> Option<(&'w str, Option<String>)> {
    let inner = written.strip_prefix('[')?.strip_suffix(']')?;
    let raw: Vec<&str> = inner.split(',').map(str::trim).collect();
    let changed = |(i, node): (usize, &Node)| {
        let seen = as_text(node)?;
        let was = *raw.get(i).filter(|_| raw.len() == list.len())?;
        (!matches!(node, Node::Str(_)) && was != seen).then_some((was, Some(seen)))
    };
    list.iter().enumerate().find_map(changed)
}

fn replacement(path: &str, os: Os) -> &'static str {
    match path {
        p if p.ends_with("state.formatzero") => ": since 0.7.0 a first MiB of zeros is enough",
        p if p.ends_with(".args") => ", and use `extra_args` or the key of each option",
        p if p.ends_with(".graph") => ", and use `data_root`",
        p if p.ends_with(".data_root") => ", and use `graph`",
        "rancher.autologin" if !os.since(0, 6, 0) => "; there is no autologin before 0.6.0",
        _ => "",
    }
}

/// The nearest of some names, if it is near.
pub(crate) fn nearest<'a>(wrong: &str, names: &[&'a str]) -> Option<&'a str> {
    // Case and `-` for `_` are the commonest slips and cost nothing.
    let plain = |s: &str| s.to_ascii_lowercase().replace('-', "_");
    let distance = |name: &&&str| strsim::damerau_levenshtein(&plain(wrong), &plain(name));
    // A name as long as a line is nobody's slip, and comparing it would take long.
    let near = if wrong.len() > 40 { None } else { names.iter().min_by_key(distance) };
    near.filter(|name| distance(name) <= 1 + wrong.len() / 4).copied()
}

/// Whether the boot survives this value here.
pub(crate) fn fits(ty: Type, node: &Node) -> Result<(), Misfit> {
    let scalar = !matches!(node, Node::List(_) | Node::Map(_));
    let null = matches!(node, Node::Null);
    let (ok, code) = match ty {
        Type::Bool => (null || as_text(node).is_some_and(|t| yaml::boolean(&t).is_some()), &codes::BOOLEAN),
        Type::Int => (null || as_text(node).is_some_and(|t| yaml::gonum::int(&t).is_some()), &codes::INTEGER),
        Type::Text | Type::Password | Type::Terminal => (scalar || ty == Type::Password, &codes::TEXT),
        Type::List => (null || is_list(node, |n| as_text(n).is_some()), &codes::LIST),
        Type::Commands => {
            let command = |n: &Node| as_text(n).is_some() || is_list(n, |n| as_text(n).is_some());
            (null || is_list(node, command), &codes::LIST)
        }
        Type::Maps => (null || is_list(node, |n| matches!(n, Node::Map(_))), &codes::LIST),
        Type::Map | Type::Free => (null || matches!(node, Node::Map(_)), &codes::MAP),
    };
    if ok { Ok(()) } else { Err(code) }
}

fn is_list(node: &Node, element: impl Fn(&Node) -> bool) -> bool {
    matches!(node, Node::List(list) if list.iter().all(element))
}

/// What becomes of a scalar where a text is wanted: it is written as YAML and read back. None for lists, maps.
pub(crate) fn as_text(node: &Node) -> Option<String> {
    Some(match node {
        Node::Null => String::new(),
        Node::Bool(b) => b.to_string(),
        Node::Int(n) => n.to_string(),
        Node::Float(f) if f.is_nan() => ".nan".to_owned(),
        Node::Float(f) if f.is_infinite() => if *f < 0.0 { "-.inf" } else { "+.inf" }.to_owned(),
        Node::Float(f) => go_float(*f),
        Node::Str(text) => text.clone(),
        Node::Time(time) => time.rfc3339(),
        Node::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Node::List(_) | Node::Map(_) => return None,
    })
}

impl Setting<'_> {
    /// Whether the value is of a type that the boot survives.
    pub(super) fn fits(&self) -> bool {
        match (&self.found, &self.node) {
            (Found::Key(key), Ok(node)) => fits(key.row.ty, node).is_ok(),
            _ => false,
        }
    }
}
