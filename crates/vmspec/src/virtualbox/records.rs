//! The lists that VBoxManage prints for people: machines, and records of `Key:   value` lines.

/// A registered machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Its name; `<inaccessible>` when its settings file cannot be read.
    pub name: String,
    /// Its UUID, in lower case.
    pub uuid: String,
}

impl Registered {
    /// Whether its settings file can be read.
    #[must_use]
    pub fn is_accessible(&self) -> bool {
        self.name != "<inaccessible>"
    }
}

/// Whether `text` is a UUID in its usual form.
#[must_use]
pub(crate) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

/// Reads `list vms`: `"NAME" {UUID}`.
///
/// The name is printed as it is, quotes and line ends included, so the UUID at the end of a line decides. Before
/// the first machine, a wrapper of Linux packages may warn about a missing driver.
#[must_use]
pub fn machines(text: &str) -> Vec<Registered> {
    let mut found = Vec::new();
    let mut pending = String::new();
    for line in text.lines() {
        if pending.is_empty() && !line.starts_with('"') {
            continue;
        }
        pending += line;
        let ended = pending.strip_suffix('}').and_then(|p| p.rsplit_once(" {")).filter(|(_, u)| is_uuid(u));
        let Some((name, uuid)) = ended else {
            pending.push('\n');
            continue;
        };
        let name = name.strip_prefix('"').and_then(|n| n.strip_suffix('"')).unwrap_or(name).to_owned();
        found.push(Registered { name, uuid: uuid.to_lowercase() });
        pending.clear();
    }
    found
}

/// Some `Key:   value` lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ManageRecord(Vec<(String, String)>);

impl ManageRecord {
    /// The value of the first key among `names` that is there and has a value. Case does not matter: older
    /// releases wrote `lowerIPAddress` where 7.2 writes `LowerIPAddress`.
    #[must_use]
    pub(crate) fn get(&self, names: &[&str]) -> Option<&str> {
        let value =
            |name: &str| self.0.iter().find(|(k, _)| k.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str());
        names.iter().find_map(|n| value(n)).filter(|v| !v.is_empty())
    }
}

/// Reads records; `first` is the key that starts one. Empty lines do not end one: `list hostonlynets` has one
/// in the middle of each record. Indented lines belong to nothing.
#[must_use]
pub(crate) fn records(text: &str, first: &str) -> Vec<ManageRecord> {
    let mut found: Vec<ManageRecord> = Vec::new();
    for line in text.lines().filter(|l| !l.starts_with([' ', '\t'])) {
        let Some((key, value)) = line.split_once(':') else { continue };
        if key == first {
            found.push(ManageRecord::default());
        }
        if let Some(record) = found.last_mut() {
            record.0.push((key.to_owned(), value.trim().to_owned()));
        }
    }
    found
}

/// The version in `--version`, such as `7.2.22` of `7.2.22r168931` or `7.0.20_Debianr163906`. Warnings about a
/// missing driver may stand before it.
#[must_use]
pub(crate) fn version(text: &str) -> Option<[u32; 3]> {
    text.lines().rev().find_map(|line| {
        let line = line.trim();
        let digits = line.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(line.len());
        let mut parts = line[..digits].split('.').map(|p| p.parse().ok());
        let version = [parts.next()??, parts.next()??, parts.next()??];
        parts.next().is_none().then_some(version)
    })
}

/// The name that `hostonlyif create` gave the new interface. With `--machinereadable` it prints just the name,
/// else `Interface 'vboxnet0' was successfully created`.
#[must_use]
pub fn created_interface(text: &str) -> Option<String> {
    let line = text.lines().map(str::trim).rfind(|l| !l.is_empty())?;
    let quoted = line.strip_prefix("Interface '").and_then(|l| l.strip_suffix("' was successfully created"));
    Some(quoted.unwrap_or(line).to_owned())
}

/// The UUID in a settings file: `<Machine uuid="{…}" name=…`. An encrypted or damaged file has none.
#[must_use]
pub fn settings_uuid(text: &str) -> Option<String> {
    let rest = text.split_once("<Machine ")?.1.split_once("uuid=\"{")?.1;
    let uuid = rest.get(..36).filter(|u| is_uuid(u))?;
    Some(uuid.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_quotes_braces_and_line_ends() {
        let uuid = "4a0cbb11-0f8a-4b5e-9f4e-0123456789ab";
        let text = format!(
            "\"service\" {{{uuid}}}\r\n\"quo\"te\" {{{uuid}}}\n\"{{{uuid}}}\" {{{uuid}}}\n\"two\nlines\" {{{uuid}}}\n\"<inaccessible>\" {{{}}}\n",
            uuid.to_uppercase()
        );
        let found = machines(&text);
        let names: Vec<&str> = found.iter().map(|m| m.name.as_str()).collect();
        let braces = format!("{{{uuid}}}");
        assert_eq!(names, ["service", "quo\"te", braces.as_str(), "two\nlines", "<inaccessible>"]);
        assert!(found.iter().all(|m| m.uuid == uuid));
        assert!(!found[4].is_accessible() && found[0].is_accessible());
        let warned = format!(
            "WARNING: The vboxdrv kernel module is not loaded.\n         You will not be able to start VMs.\n\"a\" {{{uuid}}}\n"
        );
        assert_eq!(machines(&warned), [Registered { name: "a".to_owned(), uuid: uuid.to_owned() }]);
        assert_eq!(machines("VirtualBox is odd today\n"), []);
    }

    #[test]
    fn records_have_either_spelling_and_may_hold_empty_lines() {
        let new = "NetworkName:    HostInterfaceNetworking-vboxnet0\nDhcpd IP:       192.168.56.100\n\
            LowerIPAddress: 192.168.56.101\nUpperIPAddress: 192.168.56.254\nNetworkMask:    255.255.255.0\nEnabled:        Yes\n\
            Global Configuration:\n    minLeaseTime:     default\n    1/legacy: 255.255.255.0\nGroups:               None\n\n\
            NetworkName:    intnet\nIP:             10.0.0.1\nlowerIPAddress: 10.0.0.2\nEnabled:        No\n";
        let found = records(new, "NetworkName");
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].get(&["Dhcpd IP", "IP"]), Some("192.168.56.100"));
        assert_eq!(found[0].get(&["LowerIPAddress"]), Some("192.168.56.101"));
        assert_eq!(found[1].get(&["Dhcpd IP", "IP"]), Some("10.0.0.1"));
        assert_eq!(found[1].get(&["LowerIPAddress"]), Some("10.0.0.2"));
        assert_eq!(found[0].get(&["minLeaseTime"]), None);
        let nets = records(
            "Name:            n\r\nGUID:            g\r\n\r\nState:           Enabled\r\nIPV6Address:     \r\n",
            "Name",
        );
        assert_eq!(nets[0].get(&["State"]), Some("Enabled"));
        assert_eq!(nets[0].get(&["IPV6Address"]), None);
        assert_eq!(records("", "Name"), []);
    }

    #[test]
    fn versions_have_suffixes_and_warnings_before_them() {
        assert_eq!(version("7.2.22r168931\n"), Some([7, 2, 22]));
        assert_eq!(
            version("WARNING: The character device /dev/vboxdrv does not exist.\n7.0.20_Debianr163906\r\n"),
            Some([7, 0, 20])
        );
        assert_eq!(version("7.2\n"), None);
        assert_eq!(version("1.2.3.4\n"), None);
        assert_eq!(version(""), None);
    }

    #[test]
    fn a_new_interface_is_named_in_either_form() {
        let windows = "Interface 'VirtualBox Host-Only Ethernet Adapter #2' was successfully created\r\n";
        assert_eq!(created_interface(windows).as_deref(), Some("VirtualBox Host-Only Ethernet Adapter #2"));
        assert_eq!(created_interface("vboxnet3").as_deref(), Some("vboxnet3"));
        assert_eq!(created_interface("\n"), None);
    }

    #[test]
    fn a_settings_file_names_its_machine() {
        let uuid = "4A0CBB11-0f8a-4b5e-9f4e-0123456789ab";
        let xml = format!(
            "<?xml version=\"1.0\"?>\n<VirtualBox><Machine uuid=\"{{{uuid}}}\" name=\"x\"/></VirtualBox>"
        );
        assert_eq!(settings_uuid(&xml), Some(uuid.to_lowercase()));
        assert_eq!(settings_uuid("<Machine uuid=\"{short}\""), None);
        assert_eq!(settings_uuid("<Machine uuid=\"{é"), None);
        assert_eq!(settings_uuid(""), None);
    }
}
