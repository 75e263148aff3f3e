//! Configurations of the servers that do at scale what `serve` does in a lab: dnsmasq and nginx. Pure.
//!
//! `serve --dhcp` runs dnsmasq with the same text that `serve --print dnsmasq` prints, so what is tried in the
//! lab is what a fleet gets.

use std::{
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
};

/// Where iPXE for BIOS lies in the TFTP folder.
pub const BIOS: &str = "undionly.kpxe";
/// Where iPXE for UEFI lies in the TFTP folder.
pub const UEFI: &str = "ipxe.efi";
/// Where the shim lies that starts a signed iPXE, which is beside it.
pub const SHIM: &str = "ipxe-shim.efi";

/// What UEFI firmware loads first out of a folder with these files: the shim where there is one.
#[must_use]
pub fn for_uefi(has: impl Fn(&str) -> bool) -> Option<&'static str> {
    [SHIM, UEFI].into_iter().find(|name| has(name))
}

/// Whether firmware may ask for the file `name` once it was given `first`: a shim loads the program beside it, whose name is
/// that shim's affair.
#[must_use]
pub fn is_asked_for(name: &str, first: &str) -> bool {
    name == first || first == SHIM && name.ends_with(".efi")
}

/// The script that iPXE for UEFI looks for beside itself.
pub(crate) const AUTOEXEC: &str = "autoexec.ipxe";

/// Boot information over DHCP and TFTP.
#[derive(Clone, Debug)]
pub struct Dnsmasq {
    /// This server's address on the network of the machines.
    pub address: Ipv4Addr,
    /// The boot script's address.
    pub script: String,
    /// The folder with [`BIOS`] and what UEFI loads.
    pub tftp: String,
    /// The program for UEFI in it that is loaded first, as [`for_uefi`] has it.
    pub uefi: Option<&'static str>,
    /// What firmware loads over HTTP, by its address: iPXE for UEFI first, then what else it could be given.
    pub http: Vec<String>,
    /// Addresses to give out, for a network without a DHCP server of its own; `None` only adds boot information
    /// to the answers of the one there is.
    pub range: Option<RangeInclusive<Ipv4Addr>>,
}

impl Dnsmasq {
    /// What an iPXE for UEFI without a script inside reads from the TFTP folder, under [`AUTOEXEC`].
    #[must_use]
    pub(crate) fn autoexec(&self) -> String {
        format!("#!ipxe\n:retry\ndhcp && chain --autofree {} || sleep 5\ngoto retry\n", self.asking())
    }

    /// The script's address with who asks, which iPXE fills in as our own embedded script does.
    fn asking(&self) -> String {
        format!("{}?mac=${{netX/mac:hexhyp}}&uuid=${{uuid}}", self.script)
    }

    /// The configuration file.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::from("# DHCP and TFTP for netboot; no DNS.\nport=0\nlog-dhcp\n");
        // Answer on one network only: boot information on a network that did not ask for it breaks other people's
        // machines.
        _ = writeln!(text, "bind-interfaces\nexcept-interface=lo\nlisten-address={}", self.address);
        match &self.range {
            None => {
                text += "# Proxy DHCP: addresses come from the network's own server, boot information from here.\n";
                _ = writeln!(text, "dhcp-range={},proxy", self.address);
            }
            Some(range) => {
                text += "# The only DHCP server of this network.\n";
                _ = writeln!(text, "dhcp-range={},{},1h", range.start(), range.end());
                // No router and no name server: machines must not lose the ones of another network card.
                text += "dhcp-option=option:router\ndhcp-option=option:dns-server\n";
            }
        }
        let programs = match self.uefi {
            Some(uefi) => format!("{BIOS}, {uefi} and {AUTOEXEC}"),
            None => BIOS.to_owned(),
        };
        _ = writeln!(text, "# Holds {programs}.\nenable-tftp\ntftp-root={}", self.tftp);
        if self.uefi.is_some() {
            _ = writeln!(text, "# {AUTOEXEC} is for iPXE for UEFI, and says:");
            self.autoexec().lines().for_each(|l| _ = writeln!(text, "#   {l}"));
        }
        text += "# iPXE itself asks again and gets the script; firmware gets iPXE.\ndhcp-userclass=set:ipxe,iPXE\n";
        self.firmware(&mut text);
        text
    }

    fn firmware(&self, text: &mut String) {
        let script = self.asking();
        // BIOS, then the two numbers that UEFI firmware for x86-64 uses (RFC 4578 and its erratum).
        let mut programs = vec![("x86PC", 0, BIOS)];
        if let Some(uefi) = self.uefi {
            programs.extend([("BC_EFI", 7, uefi), ("X86-64_EFI", 9, uefi)]);
        }
        for (name, number, program) in programs {
            if self.range.is_none() {
                _ = writeln!(text, "pxe-service=tag:!ipxe,{name},\"Loading iPXE\",{program}");
                _ = writeln!(text, "pxe-service=tag:ipxe,{name},\"Loading the boot script\",{script}");
            } else {
                _ = writeln!(text, "dhcp-match=set:{name},option:client-arch,{number}");
                _ = writeln!(text, "dhcp-boot=tag:!ipxe,tag:{name},{program}");
            }
        }
        if self.range.is_some() {
            _ = writeln!(text, "dhcp-boot=tag:ipxe,{script}");
        }
        self.http_boot(text);
    }
}

impl Dnsmasq {
    /// UEFI HTTP Boot: the firmware is given a URL and needs no TFTP. It takes an offer for a web client alone (option
    /// 60), which dnsmasq makes only where it gives out addresses as well.
    fn http_boot(&self, text: &mut String) {
        let Some((program, others)) = self.http.split_first() else { return };
        if self.range.is_none() {
            *text +=
                "# UEFI HTTP Boot is answered where dnsmasq gives out addresses: it needs --dhcp-range.\n";
            return;
        }
        *text += "# UEFI HTTP Boot (architecture 16, RFC 4578), without TFTP.\n\
                  dhcp-match=set:http,option:client-arch,16\n\
                  dhcp-option-force=tag:http,option:vendor-class,HTTPClient\n";
        _ = writeln!(text, "dhcp-boot=tag:!ipxe,tag:http,{program}");
        if !others.is_empty() {
            *text += "# In its place, firmware can be given another; it mounts an ISO as a disk in memory:\n";
            others.iter().for_each(|url| _ = writeln!(text, "# dhcp-boot=tag:!ipxe,tag:http,{url}"));
        }
    }
}

/// A site of nginx for the netboot tree.
#[derive(Clone, Debug)]
pub struct Nginx {
    /// Address and port that nginx listens on.
    pub listen: SocketAddr,
    /// The address in the boot script, which is replaced by the one the requester used.
    pub base_url: String,
    /// The folder with the tree.
    pub root: String,
    /// Whether the script is signed: then not a byte of it may change.
    pub signed: bool,
}

impl Nginx {
    /// The configuration file, for a folder that nginx includes inside `http`.
    #[must_use]
    pub fn render(&self) -> String {
        // Braces are nginx's own here, so the few values are put in by name.
        let text = include_str!("nginx.conf");
        let changes =
            |line: &&str| line.contains("sub_filter") || line.contains("names the host under which");
        let text: String =
            text.split_inclusive('\n').filter(|line| !(self.signed && changes(line))).collect();
        text.replace("{{listen}}", &self.listen.to_string())
            .replace("{{base-url}}", &self.base_url)
            .replace("{{root}}", &self.root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http() -> Vec<String> {
        ["ipxe.efi", "smoke-1-x86_64.iso"].map(|name| format!("http://10.0.0.1:8089/{name}")).to_vec()
    }

    /// The last numbers of a range's ends.
    fn dnsmasq(range: Option<(u8, u8)>) -> String {
        let of = |last| Ipv4Addr::new(10, 0, 0, last);
        let (address, range) = (of(1), range.map(|(first, last)| of(first)..=of(last)));
        let script = "http://10.0.0.1:8089/boot.html".to_owned();
        Dnsmasq { address, script, tftp: "/srv/tftp".to_owned(), uefi: Some(UEFI), http: http(), range }
            .render()
    }

    #[test]
    fn beside_another_server_no_address_is_given_out() {
        let text = dnsmasq(None);
        assert!(text.contains("\ndhcp-range=10.0.0.1,proxy\n"));
        assert!(text.contains("\npxe-service=tag:!ipxe,X86-64_EFI,\"Loading iPXE\",ipxe.efi\n"));
        assert!(!text.contains("1h"));
    }

    #[test]
    fn a_range_is_given_out_where_it_was_asked_for() {
        let text = dnsmasq(Some((100, 199)));
        assert!(text.contains("\ndhcp-range=10.0.0.100,10.0.0.199,1h\n") && !text.contains("proxy"));
    }

    #[test]
    fn http_boot_is_answered_with_urls_where_addresses_are_given_out() {
        let text = dnsmasq(Some((100, 199)));
        assert!(text.contains("\ndhcp-boot=tag:!ipxe,tag:http,http://10.0.0.1:8089/ipxe.efi\n"), "{text}");
        assert!(text.contains("\n# dhcp-boot=tag:!ipxe,tag:http,http://10.0.0.1:8089/smoke-1-x86_64.iso\n"));
        assert!(text.contains("\ndhcp-option-force=tag:http,option:vendor-class,HTTPClient\n"));
        assert!(!dnsmasq(None).contains("HTTPClient"));
    }

    #[test]
    fn nginx_changes_no_byte_of_a_signed_script() {
        let listen = "192.168.56.1:8089".parse().unwrap();
        let nginx = |signed| {
            Nginx { listen, base_url: "http://a".to_owned(), root: "/srv/x".to_owned(), signed }.render()
        };
        assert!(nginx(false).contains("sub_filter") && !nginx(true).contains("sub_filter"));
        assert!(nginx(true).contains("try_files /machines/$netboot_machine.ipxe.sig /boot.ipxe.sig =404;"));
    }

    #[test]
    fn nginx_has_every_value_put_in() {
        let listen = "192.168.56.1:8089".parse().unwrap();
        let nginx =
            Nginx { listen, base_url: "http://a".to_owned(), root: "/srv/x".to_owned(), signed: false };
        let text = nginx.render();
        assert!(
            !text.contains("{{") && text.contains("listen 192.168.56.1:8089;") && text.contains("/srv/x")
        );
    }
}
