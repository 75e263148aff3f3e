//! Selectors of interfaces.

use std::{collections::BTreeMap, ops::Range};

use super::LineChecker;
use crate::{codes, host::hardware_address, tree::ConfigValue};

const PREFIX: &str = "rancher.network.interfaces.";
/// Behind it is the address of a card, or a pattern of addresses.
const MAC: &str = "mac:";

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
        self.rivals(&selectors);
        let (first, span) =
            selectors.iter().next().map(|(n, s)| (n.clone(), s.span.clone())).unwrap_or_default();
        let nics = &self.context.nics;
        let fits =
            |selector: &str| selector.starts_with(MAC) || nics.iter().any(|nic| matches(selector, nic));
        let matched = nics.is_empty() || selectors.keys().any(|s| fits(s));
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

    /// An address is over a name, and a name over a pattern; between others of one kind it is chance.
    fn rivals(&mut self, selectors: &BTreeMap<String, Selector>) {
        for (name, selector) in selectors.iter().filter(|(name, _)| name.contains('*')) {
            let rival = |other: &&String| {
                let same_kind = other.starts_with(MAC) == name.starts_with(MAC);
                let ranked = !name.starts_with(MAC) && !other.contains('*');
                *other != name && same_kind && !ranked && matches(name, other)
            };
            if let Some(other) = selectors.keys().find(rival) {
                self.found.say(
                    &codes::NIC_TWICE,
                    selector.span.clone(),
                    format!("`{name}` and `{other}` may select the same interface"),
                    "one of them wins; which one is undefined",
                    "let no two patterns match one interface",
                );
            }
        }
    }

    fn useless_patterns(&mut self, selectors: &BTreeMap<String, Selector>) {
        for (name, selector) in selectors {
            let Some(address) = name.strip_prefix(MAC) else { continue };
            let wrong = match address.contains('*') {
                true if !self.os.since(1, 5, 2) => "address patterns are supported from 1.5.2 on",
                true if address.contains(|c: char| c.is_ascii_uppercase()) => {
                    "address patterns are compared with lower-case addresses"
                }
                false if hardware_address(address).is_none() => "the address is not a hardware address",
                _ => continue,
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

#[cfg(test)]
mod tests {
    use crate::{Context, Os, check};

    #[test]
    fn only_selectors_between_which_chance_decides_are_rivals() {
        let codes = |selectors: &[&str], nics: &[&str]| -> Vec<&str> {
            let line: Vec<String> =
                selectors.iter().map(|s| format!("rancher.network.interfaces.{s}.dhcp=true")).collect();
            let context =
                Context { nics: nics.iter().map(|n| (*n).to_owned()).collect(), ..Context::default() };
            let found = check(&line.join(" "), "rancheros-1.5.8".parse::<Os>().unwrap(), &context);
            found.iter().map(|d| d.code.id).collect()
        };
        let card = "mac:00:11:22:33:44:55";
        assert_eq!(codes(&[card, "eth*"], &["eth0"]), [""; 0]);
        assert_eq!(codes(&[card, "eth0", "eth1", "eth*"], &[]), [""; 0]);
        assert_eq!(codes(&[card], &["eth0"]), [""; 0]);
        assert_eq!(codes(&["eth*", "e*"], &[]), ["W0504"]);
        assert_eq!(codes(&[card, "mac:00:11:*"], &[]), ["W0504"]);
        assert_eq!(codes(&["mac:00:11:22:33:44"], &[]), ["W0506"]);
        assert_eq!(codes(&["mac:AA:*"], &[]), ["W0506"]);
        assert_eq!(codes(&["mac:00-11-22-33-44-AA"], &[]), [""; 0]);
    }
}
