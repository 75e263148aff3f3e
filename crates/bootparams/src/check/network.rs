//! Selectors of interfaces.

use std::{collections::BTreeMap, ops::Range};

use super::LineChecker;
use crate::{codes, tree::ConfigValue};

const PREFIX: &str = "rancher.network.interfaces.";

/// A selector, where it first stands, and whether it gives an address.
struct Selector {
    span: Range<usize>,
    addressed: bool,
}

impl LineChecker<'_> {
    pub(super) fn network(&mut self) {
        let selectors = self.selectors();
        if selectors.is_empty() {
            return;
        }
        self.useless_patterns(&selectors);
        let by_mac = |name: &str| name.starts_with("mac:") || name.starts_with("mac=");
        let macs = selectors.iter().find(|(name, _)| by_mac(name));
        let names = selectors.iter().find(|(name, _)| !by_mac(name) && name.as_str() != "lo");
        if let (Some((mac, selector)), Some((name, _))) = (macs, names) {
            let message = format!("`{mac}` and `{name}` may be one interface");
            let help = "select by name or by address, not by both";
            self.found.say(
                &codes::NIC_TWICE,
                selector.span.clone(),
                message,
                "one of them wins; which one is undefined",
                help,
            );
        }
        let (first, span) =
            selectors.iter().next().map(|(n, s)| (n.clone(), s.span.clone())).unwrap_or_default();
        let nics = &self.context.nics;
        let matched = nics.is_empty() || selectors.keys().any(|s| nics.iter().any(|n| matches(s, n)));
        if !matched {
            let message = format!("the machine has no interface `{first}` (it has {})", nics.join(", "));
            self.found.say(
                &codes::NIC_NONE,
                span,
                message,
                "the machine has no network",
                "select an existing one",
            );
        } else if !selectors.values().any(|s| s.addressed) {
            let message = format!("neither DHCP nor an address is set for `{first}`");
            let help = format!("add `{PREFIX}{first}.dhcp=true`");
            self.found.say(
                &codes::NIC_NONE,
                span,
                message,
                "the machine has no network: DHCP on eth* is gone",
                help,
            );
        }
    }

    fn selectors(&self) -> BTreeMap<String, Selector> {
        let mut selectors = BTreeMap::new();
        for setting in &self.settings {
            let Some((name, key)) = setting.path.strip_prefix(PREFIX).and_then(|p| p.split_once('.')) else {
                continue;
            };
            let entry = selectors
                .entry(name.to_owned())
                .or_insert(Selector { span: setting.span(), addressed: false });
            entry.addressed |= match (key, &setting.node) {
                ("dhcp" | "ipv4ll", Ok(ConfigValue::Bool(on))) => *on,
                ("address" | "addresses" | "bridge" | "bond", Ok(_)) => true,
                _ => false,
            };
        }
        selectors
    }

    fn useless_patterns(&mut self, selectors: &BTreeMap<String, Selector>) {
        for (name, selector) in selectors {
            let pattern = name.strip_prefix("mac:").is_some_and(|m| m.contains(['*', '?']));
            let wrong = if name.starts_with("mac=") {
                "`mac=` is not a selector"
            } else if pattern && !self.os.since(1, 5, 2) {
                "address patterns are supported from 1.5.2 on"
            } else {
                continue;
            };
            let help = "write `mac:` and the full address";
            self.found.say(&codes::NIC_GLOB, selector.span.clone(), wrong, "it matches no interface", help);
        }
    }
}

/// Whether a selector takes an interface; `*` stands for anything.
fn matches(selector: &str, nic: &str) -> bool {
    let mut parts = selector.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = nic.strip_prefix(first) else { return false };
    if !selector.contains('*') {
        return rest.is_empty();
    }
    let parts: Vec<&str> = parts.collect();
    let (last, middle) = parts.split_last().expect("there is a star");
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}
