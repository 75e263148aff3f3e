//! The files that a configuration becomes, each under its path from the root.

use std::{collections::BTreeMap, fmt::Write as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{Host, docker::DockerDaemon, network::Interface, take};

/// A file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFile {
    /// Its path, without the leading `/`.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// The user that owns it.
    pub uid: u32,
    /// The group that owns it.
    pub gid: u32,
    /// What is in it.
    pub content: Vec<u8>,
}

/// All files, by path, and what could not be one.
#[derive(Clone, Debug, Default)]
pub struct Rendered {
    /// Files to write, by absolute path in the guest.
    pub files: BTreeMap<String, HostFile>,
    /// What was refused, with reasons.
    pub refused: Vec<String>,
}

const DAEMON_JSON: &str = "etc/docker/daemon.json";
const ENVIRONMENT: &str = "etc/environment";

impl Host {
    /// Renders every file. Their contents are the same for the same configuration, on every machine.
    #[must_use]
    pub fn render(&self) -> Rendered {
        let mut out = Rendered::default();
        self.basics(&mut out);
        self.settings(&mut out);
        self.network_files(&mut out);
        self.docker_files(&mut out);
        self.service_files(&mut out);
        self.own_files(&mut out);
        out
    }

    fn name(&self) -> &str {
        self.hostname.as_deref().or(self.metadata.hostname.as_deref()).unwrap_or("docker")
    }

    fn basics(&self, out: &mut Rendered) {
        let name = self.name();
        let short = name.split('.').next().unwrap_or(name);
        out.add("etc/hostname", 0o644, format!("{name}\n"));
        out.add(
            "etc/hosts",
            0o644,
            format!("127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {name} {short}\n"),
        );
        let more = self.metadata.keys.iter().filter(|key| !self.keys.contains(key));
        let keys = self.keys.iter().chain(more).fold(String::new(), |all, key| all + key + "\n");
        for (home, id) in [("root", 0), ("home/rancher", 1100), ("home/docker", 1101)] {
            let path = format!("{home}/.ssh/authorized_keys");
            out.put(HostFile { path, mode: 0o600, uid: id, gid: id, content: keys.clone().into_bytes() });
        }
        let sysctl =
            self.sysctl.iter().fold(String::new(), |all, (name, value)| format!("{all}{name} = {value}\n"));
        out.add("etc/sysctl.conf", 0o644, sysctl);
        out.add("etc/modules", 0o644, lines(&self.modules));
        if let Some(password) = &self.password {
            let kind = if crate::check::is_hash(password) { "hash" } else { "text" };
            out.add("etc/host/password", 0o600, format!("{kind}\n{password}\n"));
        }
        let mut mounts = String::new();
        for [device, folder, kind, options] in &self.mounts {
            let or = |text: &str, default: &str| {
                if text.is_empty() { default.to_owned() } else { text.to_owned() }
            };
            let (kind, options) = (or(kind, "auto"), or(options, "defaults"));
            // Tabs in a row are one to the shell that reads this.
            let folder = or(folder, "none");
            _ = writeln!(mounts, "{device}\t{folder}\t{kind}\t{options}");
        }
        out.add("etc/host/mounts", 0o644, mounts);
        out.add("etc/host/datasources", 0o644, lines(&self.datasources));
        for (path, commands) in [("etc/host/bootcmd", &self.bootcmd), ("etc/host/runcmd", &self.runcmd)] {
            if !commands.is_empty() {
                out.add(path, 0o700, script(path.rsplit('/').next().unwrap_or(path), commands));
            }
        }
        for registry in
            self.registries.iter().filter(|(_, account)| credentials(account).is_empty()).map(|(r, _)| r)
        {
            out.refused.push(format!("`rancher.registry_auths.{registry}`: it has no username and password"));
        }
        if !self.registries.is_empty() {
            out.add("root/.docker/config.json", 0o600, docker_login(&self.registries));
        }
        if let Some(script) = &self.script {
            out.add("etc/host/user-data", 0o700, script.clone());
        }
    }

    /// What the system's scripts read, as variables of a shell.
    fn settings(&self, out: &mut Rendered) {
        let (state, ssh) = (&self.state, &self.ssh);
        let listen = match &ssh.address {
            Some(address) if address.contains(':') => format!("[{address}]:{}", ssh.port),
            Some(address) => format!("{address}:{}", ssh.port),
            None => ssh.port.to_string(),
        };
        let custom = self.docker.all_args().next().is_some()
            || self.docker.json(None) != Ok(DockerDaemon::default_json())
            || self.files.iter().any(|f| f.path == DAEMON_JSON);
        let values = [
            ("STATE_DEV", state.dev.clone()),
            ("STATE_AUTOFORMAT", state.autoformat.join(" ")),
            ("STATE_FORMATZERO", state.formatzero.to_string()),
            ("STATE_WAIT", state.wait.to_string()),
            ("STATE_REQUIRED", state.required.to_string()),
            ("DNS_SEARCH", self.network.search.join(" ")),
            ("SSH_DAEMON", ssh.daemon.to_string()),
            ("SSH_LISTEN", listen),
            ("DOCKER_CUSTOM", custom.to_string()),
            ("SHUTDOWN_TIMEOUT", self.docker.shutdown.unwrap_or(15).to_string()),
        ];
        let text =
            values.iter().fold(String::new(), |all, (name, value)| format!("{all}{name}={}\n", quote(value)));
        out.add("etc/host/settings", 0o644, text);
    }

    fn network_files(&self, out: &mut Rendered) {
        let network = &self.network;
        let all = BTreeMap::from([("*".to_owned(), Interface { dhcp: true, ..Interface::default() })]);
        let interfaces = if network.interfaces.is_empty() { &all } else { &network.interfaces };
        // A name before a pattern, so that the pattern takes what is left.
        let mut sorted: Vec<_> =
            interfaces.iter().map(|(n, i)| (i.selector.as_deref().unwrap_or(n), i)).collect();
        // The first that fits an interface is its own: addresses are over names, and names over patterns.
        sorted.sort_by_key(|(selector, _)| (!selector.starts_with("mac:"), selector.contains(['*', '?'])));
        let text = sorted.iter().fold(String::new(), |all, (selector, i)| all + &interface(selector, i));
        out.add("etc/host/network", 0o644, text);
        if !network.nameservers.is_empty() {
            let search = network.search.join(" ");
            let mut resolv = if search.is_empty() { String::new() } else { format!("search {search}\n") };
            for server in &network.nameservers {
                _ = writeln!(resolv, "nameserver {server}");
            }
            out.add("etc/resolv.conf", 0o644, resolv.clone());
            out.add("etc/host/nameservers", 0o644, resolv);
        }
        let own =
            self.files.iter().find(|f| f.path == ENVIRONMENT).map(|f| String::from_utf8_lossy(&f.content));
        let (mut variables, wrong) = environment(own.as_deref().unwrap_or_default());
        out.refused.extend(
            wrong.iter().map(|n| format!("`write_files`: /{ENVIRONMENT}: line {n} is not NAME=value")),
        );
        variables.extend(self.environment.clone());
        for (name, value) in &network.proxies {
            variables.insert((*name).to_owned(), value.clone());
            variables.insert(name.to_uppercase(), value.clone());
        }
        out.add(ENVIRONMENT, 0o644, assignments(&variables));
    }

    fn docker_files(&self, out: &mut Rendered) {
        let own = self.files.iter().find(|f| f.path == DAEMON_JSON);
        let json = self.docker.json(own.map(|f| f.content.as_slice())).or_else(|reason| {
            out.refused.push(format!("`write_files`: /{DAEMON_JSON}: {reason}"));
            self.docker.json(None)
        });
        out.add(DAEMON_JSON, 0o644, json.unwrap_or_else(|_| DockerDaemon::default_json()));
        out.add("etc/docker/daemon.default.json", 0o644, DockerDaemon::default_json());
        out.add("etc/docker/args", 0o644, lines(self.docker.all_args()));
        out.add("etc/docker/environment", 0o644, assignments(self.docker.variables()));
    }

    fn service_files(&self, out: &mut Rendered) {
        for (name, service) in &self.services {
            let (Some(words), Some(image)) = (service.words(), &service.image) else {
                out.refused.push(format!("`rancher.services.{name}`: it has no image"));
                continue;
            };
            let words: Vec<String> = words.iter().map(|w| quote(w)).collect();
            let text = format!(
                "#!/bin/sh\n# image {image}\nset -a\n. /etc/environment\nset +a\n\
                 exec docker run --detach --name={name} --label=media.service=\"$sum\" {}\n",
                words.join(" ")
            );
            out.add(&format!("etc/host/services/{name}"), 0o700, text);
        }
    }

    /// What `write_files` asks for, over our own; a folder of one file cannot be another file.
    fn own_files(&self, out: &mut Rendered) {
        // These two are taken over key by key.
        for file in self.files.iter().filter(|f| ![DAEMON_JSON, ENVIRONMENT].contains(&f.path.as_str())) {
            let below = format!("{}/", file.path);
            let clash =
                out.files.keys().any(|p| p.starts_with(&below) || file.path.starts_with(&format!("{p}/")));
            if clash {
                out.refused.push(format!("`write_files`: /{} would be a file and a folder", file.path));
            } else {
                out.put(file.clone());
            }
        }
    }
}

impl Rendered {
    fn add(&mut self, path: &str, mode: u32, content: String) {
        self.put(HostFile { path: path.to_owned(), mode, uid: 0, gid: 0, content: content.into_bytes() });
    }

    fn put(&mut self, file: HostFile) {
        self.files.insert(file.path.clone(), file);
    }
}

fn lines<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> String {
    texts.into_iter().fold(String::new(), |all, text| all + text.as_ref() + "\n")
}

fn assignments(variables: &BTreeMap<String, String>) -> String {
    let assign = |(name, value): (&String, &String)| match name.as_str() {
        "PATH" | "path" => format!("PATH={}\n", quote(&search_path(value))),
        _ => format!("{name}={}\n", quote(value)),
    };
    variables.iter().map(assign).collect()
}

/// The variables of a file as PAM reads it, and the numbers of the lines that are none. The system's scripts read the
/// file as a shell does, which other lines could stop.
fn environment(text: &str) -> (BTreeMap<String, String>, Vec<usize>) {
    let (mut variables, mut wrong) = (BTreeMap::new(), Vec::new());
    for (n, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.strip_prefix("export ").unwrap_or(line).trim_start().split_once('=') {
            Some((name, value)) if take::is_variable(name) && !value.contains(char::is_control) => {
                let bare = ['"', '\''].iter().find_map(|q| value.strip_prefix(*q)?.strip_suffix(*q));
                variables.insert(name.to_owned(), bare.unwrap_or(value).to_owned());
            }
            _ => wrong.push(n + 1),
        }
    }
    (variables, wrong)
}

/// The folders in which programs are looked for: the system's, then those of `more`, which RancherOS separates by commas.
/// Without its own the system would find none of its programs.
fn search_path(more: &str) -> String {
    let own = ["/usr/sbin", "/usr/bin"];
    let more =
        more.split([',', ':']).map(str::trim).filter(|folder| !folder.is_empty() && !own.contains(folder));
    own.into_iter().chain(more).collect::<Vec<_>>().join(":")
}

/// What the Docker client shows a registry.
fn credentials(account: &BTreeMap<&'static str, String>) -> BTreeMap<&'static str, String> {
    let get = |name: &str| account.get(name).cloned();
    let both = || Some(STANDARD.encode(format!("{}:{}", get("username")?, get("password")?)));
    let auth = get("auth").or_else(both).map(|auth| ("auth", auth));
    let tokens = ["identitytoken", "registrytoken"].map(|name| Some((name, get(name)?)));
    auth.into_iter().chain(tokens.into_iter().flatten()).collect()
}

/// The Docker client's file of accounts.
fn docker_login(registries: &BTreeMap<String, BTreeMap<&'static str, String>>) -> String {
    let auths: BTreeMap<_, _> =
        registries.iter().map(|(name, account)| (name, credentials(account))).collect();
    let json = serde_json::json!({ "auths": auths });
    serde_json::to_string_pretty(&json).expect("texts are always JSON") + "\n"
}

fn interface(selector: &str, i: &Interface) -> String {
    let or_empty = |text: Option<String>| quote(&text.unwrap_or_default());
    let fixed = [
        quote(selector),
        or_empty(i.mtu.map(|m| m.to_string())),
        i.dhcp.to_string(),
        or_empty(i.gateway.map(|g| g.to_string())),
        or_empty(i.gateway6.map(|g| g.to_string())),
    ];
    let words: Vec<String> = fixed.into_iter().chain(i.addresses.iter().map(|a| quote(a))).collect();
    format!("interface {}\n", words.join(" "))
}

/// A script whose commands run one after the other; one that fails is named and does not stop the others.
fn script(name: &str, commands: &[Vec<String>]) -> String {
    let mut text =
        format!("#!/bin/sh\n. /usr/lib/host/lib\nstep() {{ \"$@\" || say \"{name}: $1 ended with $?\"; }}\n");
    for command in commands {
        let words: Vec<String> = command.iter().map(|w| quote(w)).collect();
        _ = writeln!(text, "step {}", words.join(" "));
    }
    text + "true\n"
}

/// A word that a shell takes as it is.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
