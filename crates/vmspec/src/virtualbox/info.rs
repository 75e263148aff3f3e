//! Reads `showvminfo --machinereadable`: `key=value` lines, values quoted or bare numbers.
//!
//! `"` and `\` are escaped in most quoted values but not in all (a serial port's file is printed raw), line ends
//! never are, and some lines have no `=` at all. The promiscuous policy of a network card stands only in the
//! form for people.

use std::collections::BTreeMap;

/// One machine's settings, as printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info {
    pairs: Vec<(String, String)>,
}

/// Something that hangs on a storage controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attached {
    /// The controller's name.
    pub controller: String,
    /// Port of the storage controller, counted from 0.
    pub port: u32,
    /// The device at the port.
    pub device: u32,
    /// The image's path, or `emptydrive`.
    pub what: String,
}

impl Info {
    /// Reads the output.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let lines: Vec<&str> = text.lines().collect();
        let mut pairs = Vec::new();
        let mut at = 0;
        while at < lines.len() {
            let Some((key, value)) = split_pair(lines[at]) else {
                at += 1;
                continue;
            };
            let more = if value.starts_with('"') { lines_until_closed(value, &lines[at + 1..]) } else { 0 };
            let mut value = value.to_owned();
            for line in &lines[at + 1..=at + more] {
                value.push('\n');
                value += line;
            }
            pairs.push((key, value));
            at += 1 + more;
        }
        Self { pairs }
    }

    /// The value of `key`, escapes resolved.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<String> {
        self.printed(key).map(unescaped)
    }

    /// The value of `key` as printed between its quotes.
    #[must_use]
    pub(crate) fn printed(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(k, _)| k == key).map(|(_, v)| unquoted(v))
    }

    /// Whether `key` has this value, printed with escapes or without.
    #[must_use]
    pub(crate) fn is(&self, key: &str, value: &str) -> bool {
        self.printed(key).is_some_and(|v| v == value || unescaped(v) == value)
    }

    /// What the machine does: `poweroff`, `running`, `paused`, `aborted`, `saved`, …
    #[must_use]
    pub fn vm_state(&self) -> String {
        if self.is("name", "<inaccessible>") {
            return "inaccessible".to_owned();
        }
        self.get("VMState").unwrap_or_default()
    }

    /// The controllers: name and type, such as `PIIX4`.
    #[must_use]
    pub(crate) fn controllers(&self) -> Vec<(String, String)> {
        (0u32..)
            .map_while(|i| {
                let name = self.get(&format!("storagecontrollername{i}"))?;
                Some((name, self.get(&format!("storagecontrollertype{i}")).unwrap_or_default()))
            })
            .collect()
    }

    /// What hangs on the controllers.
    #[must_use]
    pub(crate) fn attached(&self) -> Vec<Attached> {
        let controllers = self.controllers();
        let mut found = Vec::new();
        for (key, value) in &self.pairs {
            let slot = controllers.iter().find_map(|(name, _)| {
                let (port, device) = key.strip_prefix(name)?.strip_prefix('-')?.split_once('-')?;
                Some((name, port.parse().ok()?, device.parse().ok()?))
            });
            let what = unescaped(unquoted(value));
            if let Some((name, port, device)) = slot.filter(|_| what != "none") {
                found.push(Attached { controller: name.clone(), port, device, what });
            }
        }
        found
    }

    /// The port forwarding rules of network card `nic` (from 1), each as VBoxManage takes it:
    /// `name,tcp,host address,host port,guest address,guest port`.
    ///
    /// `Forwarding(0)` does not say whose it is: a card's rules follow its own lines.
    #[must_use]
    pub(crate) fn forwards(&self, nic: usize) -> Vec<String> {
        let mut current = 0;
        let mut found = Vec::new();
        for (key, value) in &self.pairs {
            if let Some(n) = key.strip_prefix("nic").and_then(|n| n.parse().ok()) {
                current = n;
            } else if key.starts_with("Forwarding(") && current == nic {
                found.push(unescaped(unquoted(value)));
            }
        }
        found
    }
}

/// The promiscuous policy of each network card that is on, from `showvminfo` for people.
#[must_use]
pub(crate) fn promiscuous(text: &str) -> BTreeMap<usize, String> {
    let policy = |line: &str| {
        let (number, rest) = line.strip_prefix("NIC ")?.split_once(':')?;
        let policy = rest.split_once("Promisc Policy: ")?.1.split(',').next()?;
        Some((number.parse().ok()?, policy.trim().to_owned()))
    };
    text.lines().filter_map(policy).collect()
}

/// Splits `key=value`; a key with spaces is quoted.
fn split_pair(line: &str) -> Option<(String, &str)> {
    let Some(rest) = line.strip_prefix('"') else {
        let (key, value) = line.split_once('=')?;
        return Some((key.to_owned(), value));
    };
    let end = (0..rest.len()).find(|i| rest[..].as_bytes()[*i] == b'"' && is_closing(&rest[..*i]))?;
    Some((unescaped(&rest[..end]), rest[end + 1..].strip_prefix('=')?))
}

/// Whether a quote behind `before` ends the text: an even number of backslashes stands before it.
fn is_closing(before: &str) -> bool {
    before.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 0
}

fn is_closed(value: &str) -> bool {
    value.len() > 1 && value.strip_suffix('"').is_some_and(is_closing)
}

/// How many of `rest` belong to a value that starts with a quote. A value that never ends was printed without
/// escapes, and is one line.
fn lines_until_closed(first: &str, rest: &[&str]) -> usize {
    if is_closed(first) {
        return 0;
    }
    rest.iter().position(|l| l.strip_suffix('"').is_some_and(is_closing)).map_or(0, |i| i + 1)
}

fn unquoted(value: &str) -> &str {
    let value = value.strip_prefix('"').unwrap_or(value);
    value.strip_suffix('"').unwrap_or(value)
}

/// Resolves `\"` and `\\`; a backslash before anything else was printed without escapes.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some('"' | '\\')) => out.extend(chars.next()),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_unescaped_and_may_span_lines() {
        let text = "name=\"quo\\\"te\nUUID=\\\"x\\\"\"\r\nmemory=512\r\n rec_screen0\r\nCfgFile=\"C:\\\\VMs\\\\a.vbox\"\r\n\
            uartmode1=\"file,C:\\VMs\\new\\serial.log\"\r\nempty=\"\"\r\nUUID=\"real\"\r\n";
        let info = Info::parse(text);
        assert_eq!(info.get("name").as_deref(), Some("quo\"te\nUUID=\"x\""));
        assert_eq!(info.get("UUID").as_deref(), Some("real"));
        assert_eq!(info.get("memory").as_deref(), Some("512"));
        assert_eq!(info.get("empty").as_deref(), Some(""));
        assert_eq!(info.get("CfgFile").as_deref(), Some(r"C:\VMs\a.vbox"));
        assert!(info.is("uartmode1", r"file,C:\VMs\new\serial.log"));
        assert!(!info.is("rec_screen0", ""));
    }

    #[test]
    fn a_value_that_never_ends_takes_no_other_lines_with_it() {
        let info = Info::parse("hostonlyadapter1=\"odd\\\"\nmemory=1\nnic1=none");
        assert_eq!(info.get("memory").as_deref(), Some("1"));
        assert_eq!(Info::parse("a=\"").get("a").as_deref(), Some(""));
        assert_eq!(Info::parse("\"a\\\"=\nb=1").get("b").as_deref(), Some("1"));
    }

    #[test]
    fn media_are_found_by_the_names_of_their_controllers() {
        let text = "storagecontrollername0=\"IDE Controller\"\nstoragecontrollertype0=\"PIIX4\"\n\
            \"IDE Controller-0-0\"=\"/vms/a/disk0.vdi\"\n\"IDE Controller-ImageUUID-0-0\"=\"x\"\n\"IDE Controller-0-1\"=\"none\"\n\
            \"IDE Controller-1-0\"=\"/iso/Y.iso\"\n\"IDE Controller-1-1\"=\"emptydrive\"\n\"Other-0-0\"=\"/vms/b.vdi\"\n";
        let found = Info::parse(text).attached();
        let slots: Vec<_> = found.iter().map(|a| (a.port, a.device, a.what.as_str())).collect();
        assert_eq!(slots, [(0, 0, "/vms/a/disk0.vdi"), (1, 0, "/iso/Y.iso"), (1, 1, "emptydrive")]);
    }

    #[test]
    fn forwarded_ports_belong_to_the_card_before_them() {
        let text = "hostonlyadapter1=\"vboxnet0\"\nnic1=\"hostonly\"\nnictype1=\"virtio\"\nnatnet2=\"nat\"\nnic2=\"nat\"\nnicspeed2=\"0\"\n\
            mtu=\"0\"\nForwarding(0)=\"guestssh,tcp,127.0.0.1,2222,,22\"\nForwarding(1)=\"web,tcp,,8080,,80\"\nnatnet3=\"nat\"\nnic3=\"nat\"\nForwarding(0)=\"b,tcp,,1,,1\"\nnic4=\"none\"\n";
        let info = Info::parse(text);
        assert_eq!(info.forwards(1), Vec::<String>::new());
        assert_eq!(info.forwards(2), ["guestssh,tcp,127.0.0.1,2222,,22", "web,tcp,,8080,,80"]);
        assert_eq!(info.forwards(3), ["b,tcp,,1,,1"]);
    }

    #[test]
    fn the_promiscuous_policy_is_in_the_form_for_people() {
        let text = "NIC 1:                       MAC: 080027EEA5E7, Attachment: Host-only Interface 'vboxnet0', Cable connected: on, Trace: off (file: none), Type: virtio, Reported speed: 0 Mbps, Boot priority: 0, Promisc Policy: allow-all, Bandwidth group: none\r\n\
            NIC 2:                       MAC: 08002741A4F8, Attachment: NAT, Cable connected: on, Trace: off (file: none), Type: virtio, Reported speed: 0 Mbps, Boot priority: 0, Promisc Policy: deny, Bandwidth group: none\r\n\
            NIC 2 Settings:  MTU: 0\r\nNIC 3:                       disabled\r\n";
        let found = promiscuous(text);
        assert_eq!(found, [(1, "allow-all".to_owned()), (2, "deny".to_owned())].into());
    }
}
