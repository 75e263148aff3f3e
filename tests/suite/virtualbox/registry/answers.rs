//! Lists and settings, in VirtualBox's own words and spacing.

use std::fmt::Write as _;

use vmspec::virtualbox::System;

use super::{VboxAnswer, VboxRegistry, Vm, wrong};

impl VboxRegistry {
    /// Answers a question; `None` when `args` is none.
    pub(super) fn answer(&mut self, args: &[&str]) -> Option<VboxAnswer> {
        Some(match args {
            ["--version"] => Ok("7.2.22r170000\n".to_owned()),
            ["list", "vms"] => Ok(self.vms.iter().fold(String::new(), |mut out, (uuid, vm)| {
                let name = if vm.accessible { vm.name.as_str() } else { "<inaccessible>" };
                _ = writeln!(out, "\"{name}\" {{{uuid}}}");
                out
            })),
            ["list", "ostypes"] => Ok(os_types()),
            ["list", "hdds"] => Ok(self.hdd_list()),
            ["list", "hostonlyifs"] => Ok(self.interface_list()),
            ["list", "dhcpservers"] => Ok(self.dhcp_list()),
            ["list", "hostonlynets"] => {
                assert_eq!(self.system, System::MacOs, "only macOS has host-only networks");
                Ok(self.net_list())
            }
            ["list", "extpacks"] => Ok("Extension Packs: 0\n".to_owned()),
            ["showvminfo", id, "--machinereadable"] => self.shown(id, &machine_readable),
            ["showvminfo", id] => self.shown(id, &cards),
            _ => return None,
        })
    }

    fn shown(&mut self, id: &str, show: &dyn Fn(&Vm) -> String) -> VboxAnswer {
        let vm = self.vm(id)?;
        if !vm.accessible {
            return Err(wrong("The object functionality is limited", "E_ACCESSDENIED (0x80070005)"));
        }
        Ok(show(vm))
    }

    fn hdd_list(&self) -> String {
        self.hdds.iter().fold(String::new(), |out, (location, hdd)| {
            let state = if hdd.accessible { "created" } else { "inaccessible" };
            out + &format!(
                "UUID:           {}\nParent UUID:    {}\nState:          {state}\n\
                 Type:           normal (base)\nLocation:       {location}\nStorage format: VDI\n\
                 Capacity:       {} MBytes\nEncryption:     disabled\n\n",
                hdd.uuid,
                hdd.parent.as_deref().unwrap_or("base"),
                hdd.mib
            )
        })
    }

    fn interface_list(&self) -> String {
        self.interfaces.iter().fold(String::new(), |out, i| {
            let address = i.address.map_or("0.0.0.0".to_owned(), |a| a.to_string());
            let mask = i.netmask.map_or("0.0.0.0".to_owned(), |a| a.to_string());
            let status = if i.up { "Up" } else { "Down" };
            out + &format!(
                "Name:            {0}\nGUID:            786f6276-656e-4074-8000-0a0027000000\nDHCP:            Disabled\n\
                 IPAddress:       {address}\nNetworkMask:     {mask}\nIPV6Address:     \nIPV6NetworkMaskPrefixLength: 0\n\
                 HardwareAddress: 0a:00:27:00:00:00\nMediumType:      Ethernet\nWireless:        No\nStatus:          {status}\n\
                 VBoxNetworkName: HostInterfaceNetworking-{0}\n\n",
                i.name
            )
        })
    }

    fn dhcp_list(&self) -> String {
        let one = |d: &super::Dhcp| {
            let [server, mask, first, last] = d.addresses;
            let enabled = if d.enabled { "Yes" } else { "No" };
            format!(
                "NetworkName:    {}\nDhcpd IP:       {server}\nLowerIPAddress: {first}\nUpperIPAddress: {last}\n\
                 NetworkMask:    {mask}\nEnabled:        {enabled}\nGlobal Configuration:\n    minLeaseTime:     default\n\
                 \x20   defaultLeaseTime: default\n    Forced options:   None\n        1/legacy: 255.255.255.0\n\
                 Groups:               None\nIndividual Configs:   None\n",
                d.network
            )
        };
        self.dhcp.iter().map(one).collect::<Vec<_>>().join("\n")
    }

    fn net_list(&self) -> String {
        self.nets.iter().fold(String::new(), |out, n| {
            let [mask, first, last] = n.addresses;
            let state = if n.enabled { "Enabled" } else { "Disabled" };
            out + &format!(
                "Name:            {0}\nGUID:            77777777-bbbb-4ccc-8ddd-eeeeeeeeeeee\n\nState:           {state}\n\
                 NetworkMask:     {mask}\nLowerIP:         {first}\nUpperIP:         {last}\nVBoxNetworkName: hostonly-{0}\n\n",
                n.name
            )
        })
    }
}

/// Some of the kinds of guests: name and description.
pub(super) const OS: [(&str, &str); 3] =
    [("Other", "Other/Unknown"), ("Linux", "Other Linux (32-bit)"), ("Linux_64", "Other Linux (64-bit)")];

/// What is shown for `--os-type id`.
pub(super) fn os_description(id: &str) -> &str {
    OS.iter().find(|(known, _)| *known == id).map_or(id, |(_, description)| description)
}

fn os_types() -> String {
    let one = |(id, description): &(&str, &str)| {
        format!(
            "ID:            {id}\nDescription:   {description}\nFamily ID:     Linux\nFamily Desc:   Linux\n\
             Architecture:  x86\n64 bit:        true\n\n"
        )
    };
    OS.iter().map(one).collect()
}

/// Escaped as VirtualBox escapes.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn machine_readable(vm: &Vm) -> String {
    let mut out = format!("name={}\nencryption=\"disabled\"\n rec_screen0\n", quoted(&vm.name));
    _ = writeln!(out, "CfgFile={}", quoted(&vm.file));
    for key in ["memory", "cpus"] {
        _ = writeln!(out, "{key}={}", vm.settings[key]);
    }
    for key in ["ostype", "firmware", "acpi", "ioapic", "boot1", "boot2", "boot3", "boot4"] {
        _ = writeln!(out, "{key}={}", quoted(&vm.settings[key]));
    }
    _ = writeln!(out, "VMState=\"{}\"", vm.state);
    for (i, name) in vm.controllers.iter().enumerate() {
        _ = writeln!(out, "storagecontrollername{i}={}\nstoragecontrollertype{i}=\"PIIX4\"", quoted(name));
    }
    for name in &vm.controllers {
        for slot in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let what = vm.slots.get(&slot).map_or("none", String::as_str);
            _ = writeln!(out, "\"{name}-{}-{}\"={}", slot.0, slot.1, quoted(what));
            if what != "none" {
                _ = writeln!(
                    out,
                    "\"{name}-ImageUUID-{}-{}\"=\"aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee\"",
                    slot.0, slot.1
                );
            }
        }
    }
    for n in 1..=8 {
        out += &card(vm, n);
    }
    // The serial port's file is printed without escapes.
    match vm.settings.get("uart1") {
        Some(uart) => _ = writeln!(out, "uart1=\"{uart}\"\nuartmode1=\"{}\"", vm.settings["uartmode1"]),
        None => out += "uart1=\"off\"\n",
    }
    out
}

fn card(vm: &Vm, n: usize) -> String {
    let get = |key: &str| vm.settings.get(&format!("{key}{n}")).cloned().unwrap_or_default();
    let kind = get("nic");
    if kind.is_empty() || kind == "none" {
        return format!("nic{n}=\"none\"\n");
    }
    let mut out = String::new();
    match kind.as_str() {
        "hostonly" => out += &format!("hostonlyadapter{n}=\"{}\"\n", get("hostonlyadapter")),
        "hostonlynetwork" => out += &format!("hostonly-network{n}=\"{}\"\n", get("hostonly-network")),
        "nat" => {
            let network = Some(get("natnet")).filter(|net| !net.is_empty()).unwrap_or("nat".to_owned());
            out += &format!("natnet{n}=\"{network}\"\n");
        }
        _ => {}
    }
    _ = writeln!(
        out,
        "macaddress{n}=\"080027EEA5E7\"\ncableconnected{n}=\"{}\"\nnic{n}=\"{kind}\"",
        get("cableconnected")
    );
    _ = writeln!(out, "nictype{n}=\"{}\"\nnicspeed{n}=\"0\"", get("nictype"));
    if kind == "nat" {
        out += "mtu=\"0\"\nsockSnd=\"64\"\n";
        for (i, rule) in vm.rules.get(&n).into_iter().flatten().enumerate() {
            _ = writeln!(out, "Forwarding({i})=\"{rule}\"");
        }
    }
    out
}

fn cards(vm: &Vm) -> String {
    (1..=8).fold(String::new(), |out, n| {
        let kind = vm.settings.get(&format!("nic{n}")).map_or("none", String::as_str);
        if kind == "none" {
            return out + &format!("{:<28} disabled\n", format!("NIC {n}:"));
        }
        let policy = vm.promiscuous.get(&n).map_or("deny", String::as_str);
        out + &format!(
            "{:<28} MAC: 080027EEA5E7, Attachment: X, Cable connected: on, Trace: off (file: none), Type: virtio, \
             Reported speed: 0 Mbps, Boot priority: 0, Promisc Policy: {policy}, Bandwidth group: none\n",
            format!("NIC {n}:")
        )
    })
}
