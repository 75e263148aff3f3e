//! The schema of `docker-1`: a row a key, with its type, the function that takes its value, and an example.

use super::{
    Host, docker, network,
    services::Shape,
    take::{self, TakeResult},
};
use crate::yaml::document::ValueTree;

/// What a key takes, and what becomes of it.
#[derive(Clone, Copy)]
pub(crate) enum Handler {
    /// True or false.
    Flag(fn(&mut Host, &Wildcards<'_>, bool) -> TakeResult),
    /// An integer.
    Number(fn(&mut Host, &Wildcards<'_>, i64) -> TakeResult),
    /// A text, as it is written.
    Text(fn(&mut Host, &Wildcards<'_>, String) -> TakeResult),
    /// A list of texts.
    List(fn(&mut Host, &Wildcards<'_>, Vec<String>) -> TakeResult),
    /// A list of commands: texts for a shell, or lists of words.
    Commands(fn(&mut Host, Vec<Vec<String>>) -> TakeResult),
    /// A list of lists or maps.
    Items(fn(&mut Host, &[ValueTree]) -> TakeResult),
    /// An option of `docker run`.
    Run(&'static str, Shape),
}

/// What stands at the places of a path that are `*`.
pub(crate) type Wildcards<'a> = [&'a str];

/// A row.
pub(crate) struct HostRow {
    /// The path; `*` is any one name, `**` a name with dots in it.
    pub(crate) path: &'static str,
    pub(crate) handler: Handler,
    pub(crate) about: &'static str,
    /// A value that it takes, as YAML.
    pub(crate) example: &'static str,
}

use Handler::{Commands, Flag, Items, List, Number, Run, Text};

const fn row(path: &'static str, example: &'static str, handler: Handler, about: &'static str) -> HostRow {
    HostRow { path, handler, about, example }
}

pub(crate) static ROWS: &[HostRow] = &[
    row("hostname", "box", Text(take::own_hostname), "the host's name"),
    row(
        "ssh_authorized_keys",
        "[ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH me@host]",
        List(take::keys),
        "public keys that may log in as rancher, docker or root",
    ),
    row(
        "write_files",
        "[{path: /opt/motd, content: hello, owner: rancher, permissions: \"0600\"}]",
        Items(take::files),
        "files to write: path, content, owner, permissions, encoding (base64, gzip, gzip+base64)",
    ),
    row(
        "mounts",
        "[[/dev/sdb1, /data, ext4, noatime]]",
        Items(take::mounts),
        "device, folder, type, options; of a device with the type swap the folder is not used",
    ),
    row(
        "bootcmd",
        "[[ip, link]]",
        Commands(|h, v| take::commands(&mut h.bootcmd, v)),
        "commands run before the network is up",
    ),
    row(
        "runcmd",
        "[echo up]",
        Commands(|h, v| take::commands(&mut h.runcmd, v)),
        "commands run once Docker answers",
    ),
    row(
        "rancher.password",
        "correct-horse",
        Text(|h, _, v| take::set(&mut h.password, take::password(v))),
        "password of rancher and root for the consoles, plain or as a crypt hash; SSH takes keys only",
    ),
    row(
        "rancher.state.dev",
        "UUID=0a1b",
        Text(|h, _, v| take::put(&mut h.state.dev, take::state_device(v))),
        "the state disk: LABEL=, UUID=, a path, or none",
    ),
    row(
        "rancher.state.autoformat",
        "[/dev/sda]",
        List(take::autoformat),
        "disks of which the first blank one is formatted",
    ),
    row(
        "rancher.state.formatzero",
        "false",
        Flag(|h, _, v| take::assign(&mut h.state.formatzero, v)),
        "whether a first MiB of zeros makes a disk blank; without it only `boot2docker, please format-me` does",
    ),
    row(
        "rancher.state.wait",
        "true",
        Flag(|h, _, v| take::assign(&mut h.state.wait, v)),
        "wait for the disk, up to a minute",
    ),
    row(
        "rancher.state.required",
        "true",
        Flag(|h, _, v| take::assign(&mut h.state.required, v)),
        "start nothing without it",
    ),
    row(
        "rancher.state.fstype",
        "auto",
        Text(|_, _, v| take::only(&v, &["ext4", "auto"])),
        "its file system: ext4",
    ),
    row("rancher.docker.args", "[--log-opt, max-size=1m]", List(docker::args), "as extra_args"),
    row(
        "rancher.docker.extra_args",
        "[--icc=false]",
        List(docker::extra_args),
        "options of dockerd, over all others",
    ),
    row(
        "rancher.docker.insecure_registry",
        "[\"10.0.0.1:5000\"]",
        List(docker::insecure),
        "registries without TLS",
    ),
    row(
        "rancher.docker.registry_mirror",
        "https://mirror.example",
        Text(docker::mirror),
        "a mirror of Docker's registry",
    ),
    row(
        "rancher.docker.log_driver",
        "json-file",
        Text(|h, _, v| docker::text(h, "log-driver", v)),
        "how containers log",
    ),
    row("rancher.docker.log_opts.*", "10m", Text(docker::log_opt), "an option of the log driver"),
    row(
        "rancher.docker.storage_driver",
        "vfs",
        Text(|h, _, v| docker::text(h, "storage-driver", v)),
        "how layers are kept",
    ),
    row("rancher.docker.bip", "172.20.0.1/16", Text(docker::bip), "address of the bridge, as address/length"),
    row("rancher.docker.bridge", "none", Text(|h, _, v| docker::text(h, "bridge", v)), "the bridge, or none"),
    row(
        "rancher.docker.debug",
        "true",
        Flag(|h, _, v| docker::flag(h, "debug", v)),
        "debug messages in the log",
    ),
    row(
        "rancher.docker.live_restore",
        "true",
        Flag(|h, _, v| docker::flag(h, "live-restore", v)),
        "keep containers while dockerd restarts",
    ),
    row(
        "rancher.docker.userland_proxy",
        "false",
        Flag(|h, _, v| docker::flag(h, "userland-proxy", v)),
        "a process for each published port",
    ),
    row("rancher.docker.environment", "[A=b]", List(docker::environment), "variables of dockerd, as A=b"),
    row("rancher.environment.*", "b", Text(take::variable), "a variable for logins, dockerd and services"),
    row(
        "rancher.network.dns.nameservers",
        "[10.0.0.1]",
        List(network::nameservers),
        "name servers, instead of those that DHCP gives",
    ),
    row("rancher.network.dns.search", "[example.com]", List(network::search), "domains to search"),
    row(
        "rancher.network.http_proxy",
        "http://proxy:3128",
        Text(|h, _, v| network::proxy(h, "http_proxy", v)),
        "proxy for HTTP",
    ),
    row(
        "rancher.network.https_proxy",
        "http://proxy:3128",
        Text(|h, _, v| network::proxy(h, "https_proxy", v)),
        "proxy for HTTPS",
    ),
    row(
        "rancher.network.no_proxy",
        "localhost",
        Text(|h, _, v| network::proxy(h, "no_proxy", v)),
        "hosts reached without a proxy",
    ),
    row(
        "rancher.network.interfaces.*.match",
        "\"mac:52:54:*\"",
        Text(network::selector),
        "the selector, where it is not the key",
    ),
    row(
        "rancher.network.interfaces.*.dhcp",
        "true",
        Flag(|h, n, v| network::with(h, n, |i| i.dhcp = v)),
        "ask by DHCP",
    ),
    row(
        "rancher.network.interfaces.*.address",
        "10.0.0.2/24",
        Text(|h, n, v| network::addresses(h, n, vec![v])),
        "an address, as address/length",
    ),
    row(
        "rancher.network.interfaces.*.addresses",
        "[10.0.0.2/24, 10.0.0.3/24]",
        List(network::addresses),
        "addresses",
    ),
    row("rancher.network.interfaces.*.gateway", "10.0.0.1", Text(network::gateway), "the gateway"),
    row(
        "rancher.network.interfaces.*.gateway_ipv6",
        "fd00::1",
        Text(network::gateway),
        "the gateway for IPv6",
    ),
    row("rancher.network.interfaces.*.mtu", "1400", Number(network::mtu), "largest packet, in bytes"),
    row("rancher.sysctl.**", "\"1\"", Text(take::sysctl), "a kernel setting"),
    row("rancher.modules", "[nfs]", List(take::modules), "kernel modules to load, parameters behind a blank"),
    row(
        "rancher.ssh.daemon",
        "false",
        Flag(|h, _, v| take::assign(&mut h.ssh.daemon, v)),
        "whether the SSH server runs",
    ),
    row("rancher.ssh.port", "2222", Number(take::port), "its port"),
    row("rancher.ssh.listen_address", "10.0.0.2", Text(take::listen), "its address"),
    row("rancher.shutdown_timeout", "60", Number(docker::shutdown), "seconds that containers have to stop"),
    row(
        "rancher.registry_auths.*.username",
        "me",
        Text(|h, n, v| take::registry(h, n, "username", v)),
        "account of a registry that services are pulled from",
    ),
    row(
        "rancher.registry_auths.*.password",
        "correct-horse",
        Text(|h, n, v| take::registry(h, n, "password", v)),
        "its password",
    ),
    row(
        "rancher.registry_auths.*.auth",
        "bWU6Y29ycmVjdC1ob3JzZQ==",
        Text(|h, n, v| take::registry(h, n, "auth", v)),
        "account:password in base64, in the place of both",
    ),
    row(
        "rancher.registry_auths.*.identitytoken",
        "t0ken",
        Text(|h, n, v| take::registry(h, n, "identitytoken", v)),
        "a token for the registry's token server",
    ),
    row(
        "rancher.registry_auths.*.registrytoken",
        "t0ken",
        Text(|h, n, v| take::registry(h, n, "registrytoken", v)),
        "a token for the registry",
    ),
    row(
        "rancher.cloud_init.datasources",
        "[\"url:http://192.168.56.1:8089/rancheros.yml\"]",
        List(take::datasources),
        "where a cloud-config or a script comes from: url:ADDRESS, file:PATH, configdrive",
    ),
    row(
        "rancher.services.*.image",
        "nginx",
        Run("", Shape::Image),
        "the image of a container that runs at boot",
    ),
    row("rancher.services.*.command", "[serve, --now]", Run("", Shape::Command), "its command"),
    row(
        "rancher.services.*.entrypoint",
        "[/bin/sh, -c]",
        Run("--entrypoint", Shape::Entrypoint),
        "its program",
    ),
    row("rancher.services.*.ports", "[\"8080:80\"]", Run("--publish", Shape::List), "ports to publish"),
    row(
        "rancher.services.*.volumes",
        "[\"data:/data\"]",
        Run("--volume", Shape::List),
        "volumes and folders",
    ),
    row("rancher.services.*.environment", "{A: b}", Run("--env", Shape::Pairs), "its variables"),
    row(
        "rancher.services.*.env_file",
        "/opt/web.env",
        Run("--env-file", Shape::Texts),
        "files of more variables",
    ),
    row("rancher.services.*.restart", "always", Run("--restart", Shape::Text), "when it is started again"),
    row("rancher.services.*.net", "host", Run("--network", Shape::Text), "its network"),
    row("rancher.services.*.privileged", "true", Run("--privileged", Shape::Flag), "all privileges"),
    row("rancher.services.*.cap_add", "[NET_ADMIN]", Run("--cap-add", Shape::List), "capabilities it gets"),
    row("rancher.services.*.cap_drop", "[ALL]", Run("--cap-drop", Shape::List), "capabilities it loses"),
    row(
        "rancher.services.*.cgroup_parent",
        "/web",
        Run("--cgroup-parent", Shape::Text),
        "the control group above its own",
    ),
    row(
        "rancher.services.*.cpu_quota",
        "50000",
        Run("--cpu-quota", Shape::Number),
        "processor time in each 100 ms, in µs",
    ),
    row(
        "rancher.services.*.cpu_shares",
        "512",
        Run("--cpu-shares", Shape::Number),
        "its share of processor time; others have 1024",
    ),
    row("rancher.services.*.cpuset", "0-1", Run("--cpuset-cpus", Shape::Text), "the processors it may use"),
    row("rancher.services.*.devices", "[/dev/ttyS1]", Run("--device", Shape::List), "devices"),
    row("rancher.services.*.dns", "[10.0.0.1]", Run("--dns", Shape::Texts), "its name servers"),
    row(
        "rancher.services.*.dns_search",
        "example.com",
        Run("--dns-search", Shape::Texts),
        "domains it searches",
    ),
    row("rancher.services.*.domainname", "example.com", Run("--domainname", Shape::Text), "its domain"),
    row(
        "rancher.services.*.expose",
        "[\"80\"]",
        Run("--expose", Shape::List),
        "ports that other containers may use",
    ),
    row(
        "rancher.services.*.extra_hosts",
        "[\"db:10.0.0.2\"]",
        Run("--add-host", Shape::List),
        "names it knows",
    ),
    row("rancher.services.*.hostname", "web", Run("--hostname", Shape::Text), "its host name"),
    row("rancher.services.*.init", "true", Run("--init", Shape::Flag), "a first process that reaps others"),
    row("rancher.services.*.ipc", "host", Run("--ipc", Shape::Text), "whose shared memory it uses"),
    row("rancher.services.*.labels", "{a: b}", Run("--label", Shape::Pairs), "labels"),
    row("rancher.services.*.log_driver", "none", Run("--log-driver", Shape::Text), "how it logs"),
    row("rancher.services.*.log_opt.*", "1m", Run("--log-opt", Shape::Pair), "an option of its log driver"),
    row(
        "rancher.services.*.mac_address",
        "\"02:42:ac:11:00:09\"",
        Run("--mac-address", Shape::Text),
        "its hardware address",
    ),
    row("rancher.services.*.mem_limit", "64m", Run("--memory", Shape::Text), "the most memory it gets"),
    row(
        "rancher.services.*.memswap_limit",
        "128m",
        Run("--memory-swap", Shape::Text),
        "the most memory and swap it gets",
    ),
    row(
        "rancher.services.*.oom_score_adj",
        "500",
        Run("--oom-score-adj", Shape::Number),
        "how soon it ends when memory is short, -1000 to 1000",
    ),
    row("rancher.services.*.pid", "host", Run("--pid", Shape::Text), "its process names"),
    row(
        "rancher.services.*.read_only",
        "true",
        Run("--read-only", Shape::Flag),
        "a root that is not written",
    ),
    row(
        "rancher.services.*.security_opt",
        "[no-new-privileges]",
        Run("--security-opt", Shape::List),
        "options of its security",
    ),
    row("rancher.services.*.stdin_open", "true", Run("--interactive", Shape::Flag), "an open standard input"),
    row("rancher.services.*.tty", "true", Run("--tty", Shape::Flag), "a terminal"),
    row(
        "rancher.services.*.ulimits",
        "{nproc: 512, nofile: {soft: 1024, hard: 4096}}",
        Run("--ulimit", Shape::Limits),
        "limits of its processes",
    ),
    row("rancher.services.*.user", "nobody", Run("--user", Shape::Text), "who runs it"),
    row("rancher.services.*.uts", "host", Run("--uts", Shape::Text), "whose host name it has"),
    row(
        "rancher.services.*.volume_driver",
        "local",
        Run("--volume-driver", Shape::Text),
        "the driver of its volumes",
    ),
    row("rancher.services.*.working_dir", "/data", Run("--workdir", Shape::Text), "the folder it starts in"),
];

impl Handler {
    /// Name as people read it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Flag(_) | Run(_, Shape::Flag) => "boolean",
            Number(_) | Run(_, Shape::Number) => "integer",
            Text(_) | Run(_, Shape::Text | Shape::Image | Shape::Pair) => "text",
            List(_) | Run(_, Shape::List) => "list of texts",
            Run(_, Shape::Command | Shape::Entrypoint | Shape::Texts) => "text or list of texts",
            Run(_, Shape::Pairs) => "map, or list of A=b",
            Run(_, Shape::Limits) => "map of limits",
            Commands(_) => "list of commands",
            Items(_) => "list of entries",
        }
    }
}

/// A key that the system takes, for people and documents.
#[derive(Clone, Debug, serde::Serialize)]
pub struct SystemKey {
    /// The path in a cloud-config; `*` is any one name, `**` a name with dots in it.
    pub path: &'static str,
    /// What it takes.
    #[serde(rename = "type")]
    pub ty: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// A value, as YAML.
    pub example: &'static str,
}

/// Every key, in the order of the table.
#[must_use]
pub fn keys() -> Vec<SystemKey> {
    let key = |r: &'static HostRow| SystemKey {
        path: r.path,
        ty: r.handler.name(),
        about: r.about,
        example: r.example,
    };
    ROWS.iter().map(key).collect()
}

/// What a path is.
pub(crate) enum TableMatch {
    /// A key, and what stands at its stars.
    Row(&'static HostRow, Vec<String>),
    /// Keys are below it.
    Group,
    /// No key; the names that are known at this depth.
    Unknown(Vec<&'static str>),
}

/// Looks a path up.
pub(crate) fn find(path: &[&str]) -> TableMatch {
    let mut group = false;
    let mut near = Vec::new();
    for row in ROWS {
        let segments: Vec<&'static str> = row.path.split('.').collect();
        let mut names = Vec::new();
        let mut depth = 0;
        for (segment, have) in segments.iter().zip(path) {
            match *segment {
                "**" => names.push(path[depth..].join(".")),
                "*" if !have.is_empty() => names.push((*have).to_owned()),
                segment if segment == *have => {}
                _ => break,
            }
            depth += 1;
        }
        let rest = segments.last() == Some(&"**") && depth == segments.len();
        if depth == segments.len() && (rest || path.len() == segments.len()) {
            return TableMatch::Row(row, names);
        }
        group |= depth == path.len() && segments.len() > path.len();
        if depth + 1 == path.len() && segments.get(depth).is_some_and(|s| !s.starts_with('*')) {
            near.push(segments[depth]);
        }
    }
    if group { TableMatch::Group } else { TableMatch::Unknown(near) }
}
