//! What a configuration drive says of the machine beside the cloud-config: OpenStack's `meta_data.json`, which Proxmox
//! writes as well.

use serde_json::{Map, Value};

use super::{Host, take};
use crate::ssh;

/// A name and keys; those of cloud-configs are over them, as in RancherOS.
#[derive(Clone, Debug, Default)]
pub(super) struct Metadata {
    pub(super) hostname: Option<String>,
    pub(super) keys: Vec<String>,
}

impl Host {
    /// Takes the host's name and the public keys of `meta_data.json`. Returns what was refused.
    pub fn read_metadata(&mut self, bytes: &[u8]) -> Vec<String> {
        let Ok(json) = serde_json::from_slice::<Map<String, Value>>(bytes) else {
            return vec!["meta_data.json is not used: it is not a JSON object".to_owned()];
        };
        let mut said = Vec::new();
        if let Some(name) = json.get("hostname").and_then(Value::as_str).filter(|name| !name.is_empty()) {
            said.extend(take::set(&mut self.metadata.hostname, take::hostname(name.to_owned())));
        }
        let keys = json.get("public_keys").and_then(Value::as_object).into_iter().flat_map(Map::values);
        // A value may end with a line break, or be several keys.
        let lines = keys.filter_map(Value::as_str).flat_map(str::lines).map(str::trim);
        let lines = lines.filter(|line| !line.is_empty()).map(str::to_owned);
        said.extend(take::each(&mut self.metadata.keys, lines, |key| {
            ssh::check_key(&key).map(|()| key.clone())
        }));
        said.into_iter().map(|reason| format!("meta_data.json: {reason}")).collect()
    }
}
