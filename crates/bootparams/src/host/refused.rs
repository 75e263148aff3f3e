//! Keys of RancherOS and of other systems' cloud-init that this one does not take, and what to do instead.

use super::table::{TableMatch, find};

/// The beginning of a path (`*` is any one name) and the reason; the longest that fits counts.
const REASONS: &[(&str, &str)] = &[
    ("default_hostname", "set hostname"),
    ("users", "the users are rancher, docker and root; give ssh_authorized_keys"),
    ("packages", "the system is read-only and has no packages; run a container"),
    ("coreos", "it is a key of another system"),
    ("apt", "the system is read-only and has no packages; run a container"),
    ("chpasswd", "set rancher.password for the consoles; SSH takes keys only"),
    ("groups", "the users are rancher, docker and root"),
    ("growpart", "disks are not repartitioned"),
    ("manage_etc_hosts", "/etc/hosts has the host's name; write_files may replace it"),
    ("manage_resolv_conf", "set rancher.network.dns"),
    ("network", "set rancher.network"),
    ("ntp", "the time comes from pool.ntp.org; write_files may replace /etc/ntpd.conf"),
    ("package_update", "the system is read-only and has no packages; an update is a new medium"),
    ("package_upgrade", "the system is read-only and has no packages; an update is a new medium"),
    ("password", "set rancher.password"),
    ("ssh_pwauth", "SSH takes keys only"),
    ("swap", "list the device in mounts, with the type swap"),
    ("timezone", "the clock is UTC; give containers TZ in their environment"),
    (
        "rancher.autologin",
        "logging in needs a key or a password; set rancher.password or ssh_authorized_keys",
    ),
    ("rancher.console", "there is one console, the system itself"),
    ("rancher.bootstrap", "nothing runs before the state disk is there; use bootcmd"),
    ("rancher.cloud_init_services", "the system reads cloud-configs itself"),
    ("rancher.autoformat", "it has no service of its own; list disks in rancher.state.autoformat"),
    ("rancher.bootstrap_docker", "the system has one Docker only; set rancher.docker"),
    ("rancher.system_docker", "the system has one Docker only; set rancher.docker"),
    ("rancher.debug", "set rancher.docker.debug"),
    ("rancher.rm_usr", "nothing of /usr is kept"),
    ("rancher.no_sharedroot", "the root is always a shared mount"),
    ("rancher.log", "messages are in /var/log/messages"),
    ("rancher.force_console_rebuild", "the console is not a container"),
    ("rancher.recovery", "boot with rancher.state.dev=none instead"),
    ("rancher.disable", "logins without a key or a password are always off"),
    (
        "rancher.services_include",
        "the system has no service catalogue; describe the service in rancher.services",
    ),
    ("rancher.default_network", "set rancher.network"),
    ("rancher.repositories", "the system has no service catalogue"),
    ("rancher.ssh.keys", "the host key is made at the first boot and kept on the state disk"),
    ("rancher.state.directory", "the root is in memory; only Docker, /home and keys are on the disk"),
    ("rancher.state.mdadm_scan", "RAID arrays are not assembled"),
    ("rancher.state.lvm_scan", "volume groups are not activated"),
    ("rancher.state.cryptsetup", "encrypted disks are not opened"),
    ("rancher.state.rngd", "the kernel collects entropy itself"),
    ("rancher.state.script", "use bootcmd"),
    (
        "rancher.state.oem_dev",
        "a second configuration disk is not supported; put the cloud-config on the medium",
    ),
    ("rancher.state.oem_fstype", "a second configuration disk is not supported"),
    ("rancher.state.boot_dev", "kernel and system are on the medium"),
    ("rancher.state.boot_fstype", "kernel and system are on the medium"),
    ("rancher.upgrade", "an update is a new medium"),
    ("rancher.registry_auths.*.email", "Docker does not use it any more"),
    ("rancher.registry_auths.*.serveraddress", "the registry's address is the key above it"),
    ("rancher.defaults", "set the key itself"),
    ("rancher.resize_device", "disks are not repartitioned"),
    ("rancher.restart_services", "the system's services always run"),
    ("rancher.hypervisor_service", "guest tools are not included"),
    ("rancher.preload_wait", "carried images are loaded before services start"),
    ("rancher.http_load_retries", "a datasource is asked 15 times"),
    ("rancher.docker.tls", "Docker listens on its socket only; use `docker -H ssh://…`"),
    ("rancher.docker.tls_args", "Docker listens on its socket only; use `docker -H ssh://…`"),
    ("rancher.docker.host", "Docker listens on its socket only; use `docker -H ssh://…`"),
    ("rancher.docker.server_cert", "Docker listens on its socket only"),
    ("rancher.docker.server_key", "Docker listens on its socket only"),
    ("rancher.docker.ca_cert", "Docker listens on its socket only"),
    ("rancher.docker.ca_key", "Docker listens on its socket only"),
    ("rancher.docker.storage_context", "Docker does not run in a container here"),
    ("rancher.docker.exec", "Docker does not run in a container here"),
    ("rancher.docker.engine", "there is one Docker, the medium's"),
    ("rancher.docker.config_file", "write /etc/docker/daemon.json with write_files"),
    ("rancher.docker.containerd", "containerd is the system's"),
    ("rancher.docker.exec_root", "it is in memory"),
    ("rancher.docker.group", "the group is docker"),
    ("rancher.docker.graph", "Docker's data is on the state disk"),
    ("rancher.docker.data_root", "Docker's data is on the state disk"),
    ("rancher.docker.pid_file", "it is in memory"),
    ("rancher.docker.restart", "containers are started again by their own restart policy"),
    ("rancher.docker.selinux_enabled", "the kernel runs without SELinux"),
    ("rancher.docker.userns_enabled", "use extra_args: [--userns-remap=default]"),
    ("rancher.network.pre_cmds", "use bootcmd"),
    ("rancher.network.post_cmds", "use runcmd"),
    ("rancher.network.dns.override", "name servers that are set always win over those of DHCP"),
    ("rancher.network.dhcp_timeout", "nothing waits for DHCP"),
    ("rancher.network.wifi_networks", "drivers for wireless networks are not included"),
    ("rancher.network.modem_networks", "drivers for modems are not included"),
    ("rancher.network.interfaces.*.dhcp_args", "the DHCP client has no options here"),
    ("rancher.network.interfaces.*.ipv4ll", "give an address"),
    ("rancher.network.interfaces.*.bridge", "bridges of the host are not made; Docker makes its own"),
    ("rancher.network.interfaces.*.bond", "bonds are not made"),
    ("rancher.network.interfaces.*.bond_opts", "bonds are not made"),
    ("rancher.network.interfaces.*.vlans", "VLANs are not made"),
    ("rancher.network.interfaces.*.pre_up", "use bootcmd"),
    ("rancher.network.interfaces.*.post_up", "use runcmd"),
    ("rancher.network.interfaces.*.wifi_network", "drivers for wireless networks are not included"),
    ("rancher.services.*.links", "use a network of your own, or net: host"),
    ("rancher.services.*.build", "an image is built elsewhere"),
    ("rancher.services.*.container_name", "a container has the name of its service"),
    ("rancher.services.*.dockerfile", "an image is built elsewhere"),
    ("rancher.services.*.external_links", "use a network of your own, or net: host"),
    ("rancher.services.*.name", "a container has the name of its service"),
    ("rancher.services.*.depends_on", "services start in the order of their names"),
    ("rancher.services.*.network_mode", "set net"),
    ("rancher.services.*.volumes_from", "name the volumes in volumes"),
];

/// The place at which a key is known, when it was written at another: `rancher.runcmd`, `docker.debug`.
pub(super) fn elsewhere(path: &[&str]) -> Option<String> {
    let known = |path: &[&str]| !matches!(find(path), TableMatch::Unknown(_));
    match path {
        ["rancher", rest @ ..] if known(rest) => Some(rest.join(".")),
        ["rancher", ..] => None,
        _ => {
            let below: Vec<&str> = ["rancher"].iter().chain(path).copied().collect();
            known(&below).then(|| below.join("."))
        }
    }
}

/// Why a key is not taken, where there is more to say than that it is unknown.
pub(super) fn reason(path: &[&str]) -> Option<&'static str> {
    let fits = |pattern: &str| {
        let mut depth = 0;
        let all = pattern.split('.').all(|segment| {
            let have = path.get(depth);
            depth += 1;
            have.is_some_and(|h| segment == "*" || segment == *h)
        });
        all.then_some(depth)
    };
    let found = REASONS.iter().filter_map(|(pattern, reason)| Some((fits(pattern)?, *reason)));
    found.max_by_key(|(depth, _)| *depth).map(|(_, reason)| reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema;

    #[test]
    fn every_key_of_rancheros_is_taken_or_has_a_reason() {
        let mut silent = Vec::new();
        // Values inside a list are refused by the code that reads the list.
        for key in schema::keys().iter().filter(|k| !k.path.starts_with("cc.write_files.")) {
            let path = key.path.strip_prefix("cc.").unwrap_or(&key.path).replace('*', "x");
            let path: Vec<&str> = path.split('.').collect();
            match find(&path) {
                TableMatch::Row(..) | TableMatch::Group => {}
                TableMatch::Unknown(_) if reason(&path).is_some() => {}
                TableMatch::Unknown(_) => silent.push(key.path.clone()),
            }
        }
        assert_eq!(silent, Vec::<String>::new());
    }

    #[test]
    fn no_reason_is_given_for_what_is_taken() {
        for (pattern, _) in REASONS {
            let path = pattern.replace('*', "x");
            let found = find(&path.split('.').collect::<Vec<_>>());
            assert!(matches!(found, TableMatch::Unknown(_)), "{pattern}");
        }
    }
}
