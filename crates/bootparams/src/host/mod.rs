//! `docker-1`, the system of this project that runs Docker: what it takes from the command line and from
//! cloud-configs, and the files that it makes of it.
//!
//! One table (`table`) is the schema: each row has the function that takes its value, so a key that is listed
//! does something. The checker and the machine itself run this same code. What is not taken is refused with a
//! reason; the rest is applied.

mod docker;
mod files;
mod metadata;
mod network;
mod refused;
mod services;
mod source;
mod table;
mod take;
mod walk;

use std::collections::BTreeMap;

pub use files::{HostFile, Rendered};
pub(crate) use network::hardware_address;
pub(crate) use source::{UserData, user_data};
pub use table::{SystemKey, keys};
pub(crate) use walk::{RefusedPart, setting, tree};

use crate::{line, os::Os};

/// The longest cloud-config that is read, in bytes.
pub const MAX_CONFIG: usize = 1 << 20;

/// What the machine is to be.
#[derive(Clone, Debug, Default)]
pub struct Host {
    hostname: Option<String>,
    keys: Vec<String>,
    files: Vec<HostFile>,
    mounts: Vec<[String; 4]>,
    bootcmd: Vec<Vec<String>>,
    runcmd: Vec<Vec<String>>,
    password: Option<String>,
    state: StateDisk,
    docker: docker::DockerDaemon,
    environment: BTreeMap<String, String>,
    network: network::Network,
    sysctl: BTreeMap<String, String>,
    modules: Vec<String>,
    ssh: Ssh,
    services: BTreeMap<String, services::Service>,
    script: Option<String>,
    metadata: metadata::Metadata,
    registries: BTreeMap<String, BTreeMap<&'static str, String>>,
    datasources: Vec<String>,
}

/// `rancher.state`.
#[derive(Clone, Debug)]
struct StateDisk {
    dev: String,
    autoformat: Vec<String>,
    formatzero: bool,
    wait: bool,
    required: bool,
}

impl Default for StateDisk {
    /// Where RancherOS 0.4 looks, so that `autoformat` alone is enough.
    fn default() -> Self {
        let dev = "LABEL=RANCHER_STATE".to_owned();
        Self { dev, autoformat: Vec::new(), formatzero: true, wait: false, required: false }
    }
}

/// `rancher.ssh`.
#[derive(Clone, Debug)]
struct Ssh {
    daemon: bool,
    port: u16,
    address: Option<String>,
}

impl Default for Ssh {
    fn default() -> Self {
        Self { daemon: true, port: 22, address: None }
    }
}

impl Host {
    /// Takes what a kernel's command line sets, over what is there. Returns what was refused, with reasons and
    /// without secrets.
    pub fn read_line(&mut self, text: &str) -> Vec<String> {
        let text = text.trim_end_matches('\n');
        if text.len() > line::MAX_LINE {
            return vec![format!("the command line has more than {} bytes", line::MAX_LINE)];
        }
        let Some(dialect) = Os::Docker.dialect() else { return Vec::new() };
        let mut refused = Vec::new();
        for word in line::words(text, dialect) {
            refused.extend(setting(self, &word, dialect).into_iter().map(|r| r.message));
        }
        refused
    }

    /// Takes what a datasource gave, over what is there: see [`Self::read_config`]. It may be packed with gzip.
    pub fn read_user_data(&mut self, bytes: &[u8]) -> Vec<String> {
        match source::text(bytes) {
            Ok(text) => self.read_config(&text),
            Err(reason) => vec![format!("the cloud-config is not used: it {reason}")],
        }
    }

    /// Takes what a cloud-config, or a list of services behind `#compose`, sets over what is there; a script is kept,
    /// and runs at the end of the boot. Returns what was refused.
    pub fn read_config(&mut self, text: &str) -> Vec<String> {
        match user_data(text) {
            Ok(UserData::Values(root)) => tree(self, &root).into_iter().map(|r| r.message).collect(),
            Ok(UserData::Script) => {
                self.script = Some(text.to_owned());
                Vec::new()
            }
            Err(wrong) => vec![format!("the cloud-config is not used: {}", wrong.sentence(text))],
        }
    }
}

/// Whether no key of the table is there or below.
pub(crate) fn is_unknown(path: &[&str]) -> bool {
    matches!(table::find(path), table::TableMatch::Unknown(_))
}

#[cfg(test)]
mod tests;
