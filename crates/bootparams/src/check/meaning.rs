//! Settings that are well formed and still do not do what they say: state, terminals, datasources.

use super::{LineChecker, credentials, hide};
use crate::{codes, kernel, os::Version, ssh, tree::ConfigValue};

/// The label that formatting writes.
const LABEL: &str = "LABEL=RANCHER_STATE";

impl LineChecker<'_> {
    pub(super) fn meaning(&mut self) {
        self.state();
        self.autoformat();
        self.terminals();
        self.datasources();
        self.ssh_keys();
        self.init_asserts();
    }

    fn state(&mut self) {
        let Some(dev) = self.last("rancher.state.dev") else { return };
        let text = dev.text().unwrap_or_default();
        if text != LABEL && text.eq_ignore_ascii_case(LABEL) {
            let span = dev.span();
            self.found.report(&codes::STATE_CASE, span, &[&text["LABEL=".len()..]]);
        }
    }

    fn autoformat(&mut self) {
        let Some(setting) = self.last("rancher.state.autoformat").filter(|s| s.fits()) else { return };
        let (span, disks) = (setting.span(), setting.list().map_or(0, <[ConfigValue]>::len));
        let blank = setting.written() == Some("[]") && !self.dialect.is_some_and(|d| d.yaml);
        if blank {
            return self.found.report(&codes::EMPTY_LIST, span, &[]);
        }
        if disks == 0 {
            return;
        }
        let dev = self.last("rancher.state.dev").map(|s| (s.span(), s.text().unwrap_or_default()));
        match dev {
            None if self.os.since(0, 6, 0) => self.found.report(&codes::NO_STATE, span.clone(), &[]),
            Some((span, dev)) if dev.starts_with('/') => {
                self.found.report(&codes::STATE_PATH, span, &[&dev]);
            }
            Some((span, dev)) if dev != LABEL && !dev.eq_ignore_ascii_case(LABEL) => {
                self.found.report(&codes::STATE_LABEL, span, &[&dev]);
            }
            _ => {}
        }
        self.autoformat_notes(span, disks);
    }

    fn autoformat_notes(&mut self, span: std::ops::Range<usize>, disks: usize) {
        if self.os.since(1, 5, 0)
            && let Some(wait) =
                self.last("rancher.state.wait").filter(|s| s.text().as_deref() == Some("true"))
        {
            let wait = wait.span();
            self.found.report(&codes::WAITS, wait, &[]);
        }
        if disks > 1 {
            self.found.report(&codes::FIRST_BLANK, span.clone(), &[]);
        }
        if self.os.since(0, 7, 0) {
            self.found.report(&codes::WIPES, span, &[]);
        }
    }

    fn terminals(&mut self) {
        let consoles: Vec<_> = kernel::args(self.line).filter(|a| a.name == "console").collect();
        let named = |tty: &str| consoles.iter().any(|a| a.value.is_some_and(|v| v.starts_with(tty)));
        let missing: Vec<_> = self
            .settings
            .iter()
            .filter(|s| s.path == "rancher.autologin" && self.os.since(0, 6, 0))
            .filter_map(|s| Some((s.span(), s.written()?.to_owned())))
            .filter(|(_, tty)| {
                tty == "tty0" || ((tty.starts_with("ttyS") || tty.starts_with("ttyA")) && !named(tty))
            })
            .collect();
        for (span, tty) in missing {
            let help = if tty == "tty0" { "write `tty1`".to_owned() } else { format!("add `console={tty}`") };
            self.found.report(&codes::NO_CONSOLE, span, &[&tty, &help]);
        }
        if let [.., _, last] = consoles.as_slice() {
            let tty = last.value.unwrap_or_default().split(',').next().unwrap_or_default();
            self.found.report(&codes::CONSOLE_ORDER, last.span.clone(), &[tty]);
        }
    }

    fn datasources(&mut self) {
        let listed = self.last("rancher.cloud_init.datasources");
        let (span, list) = match listed {
            Some(s) => (s.span(), s.list().map(<[ConfigValue]>::to_vec).unwrap_or_default()),
            None => (0..0, Vec::new()),
        };
        let sources: Vec<String> = list.iter().filter_map(crate::convert::as_text).collect();
        for source in &sources {
            if let Some((message, help)) = self.datasource(source) {
                let quoted = source.starts_with(['"', '\'']);
                let code = if quoted { &codes::URL_QUOTES } else { &codes::DATASOURCE };
                self.found.say(code, span.clone(), message, "it is silently skipped", help);
            }
        }
        let url = kernel::args(self.line).find(|a| a.name.replace('_', "-") == "cloud-config-url");
        if let Some(url) = url.filter(|_| !sources.iter().any(|s| s == "cmdline")) {
            self.found.report(&codes::CONFIG_URL, url.span, &[]);
        }
    }

    /// What is wrong with a datasource in this version, and what to do.
    fn datasource(&self, source: &str) -> Option<(String, String)> {
        let (name, argument) = source.split_once(':').map_or((source, None), |(n, a)| (n, Some(a)));
        if let Some(bare) = source.strip_prefix(['"', '\'']) {
            let bare = bare.trim_end_matches(['"', '\'']);
            let [source, bare] = [source, bare].map(|text| hide(text, &credentials(text)));
            return Some((format!("quotes become part of `{source}` here"), format!("write `[{bare}]`")));
        }
        let names: Vec<&str> = DATASOURCES.iter().map(|(n, _)| *n).collect();
        let Some((_, since)) = DATASOURCES.iter().find(|(n, _)| *n == name) else {
            let near = super::types::nearest(name, &names).map(|n| format!("did you mean `{n}`?"));
            let help = near.unwrap_or_else(|| format!("the datasources are {}", names.join(", ")));
            return Some((format!("`{name}` is not a known datasource"), help));
        };
        if self.os.version().is_some_and(|v| v < *since) {
            return Some((
                format!("the datasource `{name}` came with {since}"),
                "take another one".to_owned(),
            ));
        }
        let wrong = match (name, argument) {
            ("url", a) if !a.is_some_and(|a| a.starts_with("http://") || a.starts_with("https://")) => {
                "`url:` wants an address that begins with http:// or https://"
            }
            ("tftp", a) if !a.is_some_and(|a| a.contains('/')) => "`tftp:` wants HOST/PATH",
            ("file", None | Some("")) => "`file:` wants a path",
            ("cmdline", Some(_)) => "`cmdline` takes no argument; put the address into cloud-config-url=",
            ("configdrive", None) if !self.os.since(0, 8, 1) => "`configdrive` wants `:/media/config-2` here",
            _ => return None,
        };
        Some((wrong.to_owned(), format!("see `{name}` in the list of datasources")))
    }

    fn ssh_keys(&mut self) {
        let Some(keys) = self.last("cc.ssh_authorized_keys") else { return };
        let span = keys.span();
        let texts: Vec<String> =
            keys.list().unwrap_or_default().iter().filter_map(crate::convert::as_text).collect();
        for (i, wrong) in texts.iter().enumerate().filter_map(|(i, t)| Some((i, ssh::check_key(t).err()?))) {
            self.found.report(&codes::SSH_KEY, span.clone(), &[&(i + 1).to_string(), &wrong.to_string()]);
        }
    }

    /// `root` and `netconsole` are asserted to be texts.
    fn init_asserts(&mut self) {
        if !self.os.since(1, 0, 0) {
            return;
        }
        for word in self.words.iter().filter(|w| w.name() == "root" || w.name() == "netconsole") {
            let Some(dialect) = self.dialect else { return };
            let node = crate::line::value(word.value().unwrap_or("true"), dialect);
            if !matches!(node, Ok(ConfigValue::Str(_))) {
                let name = word.name();
                self.found.report(&codes::NOT_TEXT, word.span.clone(), &[name, name]);
            }
        }
    }
}

const fn v(major: u16, minor: u16, patch: u16) -> Version {
    Version::new(major, minor, patch)
}

/// Datasources and the release that brought each.
const DATASOURCES: &[(&str, Version)] = &[
    ("configdrive", v(0, 4, 0)),
    ("file", v(0, 4, 0)),
    ("url", v(0, 4, 0)),
    ("cmdline", v(0, 4, 0)),
    ("ec2", v(0, 4, 0)),
    ("digitalocean", v(0, 4, 0)),
    ("gce", v(0, 4, 0)),
    ("packet", v(0, 4, 3)),
    ("*", v(1, 0, 3)),
    ("vmware", v(1, 0, 4)),
    ("aliyun", v(1, 1, 2)),
    ("cloudstack", v(1, 4, 0)),
    ("tftp", v(1, 5, 2)),
    ("azure", v(1, 5, 2)),
    ("exoscale", v(1, 5, 5)),
    ("proxmox", v(1, 5, 5)),
];
