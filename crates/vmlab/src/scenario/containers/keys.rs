//! Keys of a cloud-config, and what the booted system says when it is asked for their effects.

use anyhow::Result;

use super::{Outcome, Trial, outside, passed, wrong};

/// At the top.
const TOP: &str =
    "hostname: keyed\nmounts:\n  - [none, /scratch, tmpfs, size=1m]\nbootcmd:\n  - echo early >/run/early\n";

/// Below `rancher`.
const BELOW: &str = "  password: correct-horse\n  environment: {COLOUR: blue}\n  sysctl: {net.ipv4.ip_default_ttl: \"77\"}\n  \
    modules: [dummy numdummies=2]\n  shutdown_timeout: 21\n  ssh: {listen_address: 0.0.0.0}\n  state: {wait: true}\n  \
    network:\n    dns: {nameservers: [10.0.2.3], search: [example.test]}\n    http_proxy: http://10.0.2.2:9\n    \
    no_proxy: 10.0.2.2\n    interfaces:\n      eth*: {dhcp: true, mtu: 1400, address: 10.0.2.77/24, gateway: 10.0.2.3}\n  \
    services:\n    web:\n      image: sample/counter:1\n      hostname: web1\n      environment: {A: b}\n      \
    ports: [\"8081:80\"]\n      volumes: [\"web:/data\"]\n      labels: {kind: page}\n      mem_limit: 64m\n      \
    restart: always\n      cap_drop: [ALL]\n      read_only: false\n      cpu_shares: 512\n      \
    ulimits: {nofile: {soft: 512, hard: 1024}}\n      log_opt: {max-file: \"2\"}\n";

/// Below `rancher.docker`.
const DOCKER: &str = "    bip: 172.30.0.1/16\n    log_driver: json-file\n    log_opts: {max-size: 2m}\n    \
    extra_args: [--label=place=here]\n    registry_mirror: http://10.0.2.2:9\n    debug: true\n    \
    live_restore: true\n    userland_proxy: false\n    environment: [SHADE=dark]\n";

/// Among `write_files`: RancherOS's own script, as its users write it.
const FILES: &str = "  - path: /etc/rc.local\n    permissions: '0755'\n    content: |\n      #!/bin/bash\n      \
    wait-for-docker\n      [[ -S /run/docker.sock ]] && docker ps --format '{{.Names}}' >/run/late\n";

/// A key, how its effect is asked for, and a part of the answer.
type Effect = (&'static str, &'static str, &'static str);

const EFFECTS: &[Effect] = &[
    ("hostname", "hostname", "keyed"),
    ("mounts", "grep ' /scratch ' /proc/mounts", "tmpfs rw"),
    ("bootcmd", "cat /run/early", "early"),
    ("write_files", "stat -c %a /opt/look", "755"),
    ("/etc/rc.local", "cat /run/late", "web"),
    ("rancher.password", "grep ^rancher: /etc/shadow", "rancher:$6$"),
    ("rancher.environment", "cat /etc/environment", "COLOUR='blue'"),
    ("rancher.sysctl", "cat /proc/sys/net/ipv4/ip_default_ttl", "77"),
    ("rancher.modules", "ls /sys/class/net", "dummy1"),
    ("rancher.shutdown_timeout", "cat /etc/host/settings", "SHUTDOWN_TIMEOUT='21'"),
    ("rancher.ssh.listen_address", "netstat -ltn", "0.0.0.0:22 "),
    ("rancher.network.dns.nameservers", "cat /etc/resolv.conf", "nameserver 10.0.2.3"),
    ("rancher.network.dns.search", "cat /etc/resolv.conf", "search example.test"),
    ("rancher.network.interfaces.*.mtu", "cat /sys/class/net/eth0/mtu", "1400"),
    ("rancher.network.interfaces.*.address", "ip -4 -o addr show eth0", "10.0.2.77/24"),
    ("rancher.network.interfaces.*.dhcp", "ip -4 -o addr show eth0", "10.0.2.15/24"),
    ("rancher.network.interfaces.*.gateway", "ip route get 192.0.2.1", "via 10.0.2.3 dev eth0"),
    ("rancher.network.http_proxy", "docker info -f '{{.HTTPProxy}}'", "http://10.0.2.2:9"),
    ("rancher.network.no_proxy", "docker info -f '{{.NoProxy}}'", "10.0.2.2"),
    ("rancher.docker.bip", "ip -4 -o addr show docker0", "172.30.0.1/16"),
    ("rancher.docker.log_driver", "docker info -f '{{.LoggingDriver}}'", "json-file"),
    ("rancher.docker.log_opts.*", "docker inspect -f '{{.HostConfig.LogConfig.Config}}' web", "max-size:2m"),
    ("rancher.docker.extra_args", "docker info -f '{{.Labels}}'", "place=here"),
    ("rancher.docker.registry_mirror", "docker info -f '{{.RegistryConfig.Mirrors}}'", "http://10.0.2.2:9"),
    ("rancher.docker.debug", "docker info -f '{{.Debug}}'", "true"),
    ("rancher.docker.live_restore", "docker info -f '{{.LiveRestoreEnabled}}'", "true"),
    ("rancher.docker.userland_proxy", "pidof docker-proxy || echo none", "none"),
    ("rancher.docker.environment", "tr '\\0' ' ' </proc/$(pidof dockerd)/environ", "SHADE=dark"),
    ("rancher.services.*.hostname", "docker inspect -f '{{.Config.Hostname}}' web", "web1"),
    ("rancher.services.*.environment", "docker inspect -f '{{.Config.Env}}' web", "A=b"),
    ("rancher.services.*.ports", "wget -q -O - http://127.0.0.1:8081/", "started 1 count"),
    ("rancher.services.*.volumes", "docker volume ls -q", "web"),
    ("rancher.services.*.labels", "docker inspect -f '{{.Config.Labels}}' web", "kind:page"),
    ("rancher.services.*.mem_limit", "docker inspect -f '{{.HostConfig.Memory}}' web", "67108864"),
    ("rancher.services.*.cpu_shares", "docker inspect -f '{{.HostConfig.CpuShares}}' web", "512"),
    ("rancher.services.*.ulimits", "docker exec web sh -c 'ulimit -n; ulimit -Hn'", "512 1024"),
    (
        "rancher.services.*.log_opt.*",
        "docker inspect -f '{{.HostConfig.LogConfig.Config}}' web",
        "max-file:2",
    ),
    ("rancher.services.*.restart", "docker inspect -f '{{.HostConfig.RestartPolicy.Name}}' web", "always"),
    ("rancher.services.*.cap_drop", "docker inspect -f '{{.HostConfig.CapDrop}}' web", "[ALL]"),
];

/// Below `rancher`: two cards by QEMU's addresses, one by the whole of it and one by its end.
const CARDS: &str = "  network:\n    interfaces:\n      \"mac:52:54:00:12:34:57\":\n        \
    address: 10.0.9.20/24\n        gateway: 10.0.9.2\n        mtu: 1400\n      \"mac:*:56\": {dhcp: true}\n";

/// As [`EFFECTS`], of two cards.
const CARD_EFFECTS: &[Effect] = &[
    ("the second card's address", "ip -4 -o addr show $(card 57)", "10.0.9.20/24"),
    ("how many it has", "ip -4 -o addr show $(card 57) | wc -l", "1"),
    ("its mtu", "cat /sys/class/net/$(card 57)/mtu", "1400"),
    ("the first card's address", "ip -4 -o addr show $(card 56)", "10.0.2.15/24"),
    ("how many the first has", "ip -4 -o addr show $(card 56) | wc -l", "1"),
    ("the first card's mtu", "cat /sys/class/net/$(card 56)/mtu", "1500"),
    ("the default route", "ip route get 192.0.2.1", "via 10.0.9.2"),
    ("the card of the default route", "ip route get 192.0.2.1", "src 10.0.9.20"),
    ("the other gateway, which DHCP named", "ip route show default", "via 10.0.2.2"),
];

impl Trial<'_> {
    /// The key of the question over SSH is a key of the cloud-config too.
    pub(super) fn takes_keys(&mut self) -> Result<Outcome> {
        self.lab().settings = [TOP, BELOW, DOCKER, FILES];
        self.show(EFFECTS)?;
        passed(format!("{} keys have their effects", EFFECTS.len() + 1))
    }

    /// One card has an address and the gateway, the other asks for its address, and is told of another gateway.
    pub(super) fn tells_cards_apart(&mut self) -> Result<Outcome> {
        self.lab().settings = ["", CARDS, "", ""];
        self.show(CARD_EFFECTS)?;
        passed("each card has its own address, and the gateway by hand wins over DHCP's")
    }

    /// One boot, and one question over SSH, whose answers show all of `effects`.
    fn show(&mut self, effects: &[Effect]) -> Result<()> {
        let (mut session, _) = self.whole_boot()?;
        let port = self.lab().ssh;
        let said = match outside::ask(self.ctx, self.dir, "root", port, &question(effects))? {
            Ok(said) => said,
            Err(why) => return Err(wrong(&mut session, format!("no login over SSH: {why}"))),
        };
        let without = without_effect(effects, &said);
        if without.is_empty() {
            return Ok(());
        }
        Err(wrong(&mut session, format!("without effect: {}", without.join("; "))))
    }
}

/// A script that answers in one line each. `card` in it names the card whose address ends so; those of Docker's interfaces are
/// random, and may end so too.
fn question(effects: &[Effect]) -> String {
    let card =
        "card() { grep -l \"^52:54:00:12:34:$1\\$\" /sys/class/net/*/address | cut -d/ -f5; }\n".to_owned();
    effects.iter().fold(card, |all, (key, ask, _)| {
        all + &format!("echo \"{key}=$({{ {ask}; }} 2>&1 | tr '\\n' ' ')\"\n")
    })
}

/// The keys whose effects were not in the answers, with what was.
fn without_effect(effects: &[Effect], said: &str) -> Vec<String> {
    let answer =
        |key: &str| said.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix('=')).unwrap_or_default();
    let missing = effects.iter().filter(|(key, _, wanted)| !answer(key).contains(wanted));
    missing.map(|(key, ..)| format!("{key}: `{}`", answer(key).trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_without_its_effect_is_named() {
        let said =
            EFFECTS.iter().fold(String::new(), |all, (key, _, answer)| format!("{all}{key}={answer} \n"));
        assert_eq!(without_effect(EFFECTS, &said), [""; 0]);
        let said = said.replace("hostname=keyed", "hostname=other");
        assert_eq!(without_effect(EFFECTS, &said), ["hostname: `other`"]);
    }
}
