//! What the OS's configuration will hold: the YAML that `ros config export --full` prints, cut down to the parts
//! that a line touches.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    check::{SCHEMA, is_secret},
    convert::{self, Misfit, as_text},
    emit::Emitter,
    host, line,
    os::Os,
    schema::{self, SchemaMatch, Type},
    tree::{ConfigValue, Crash},
    yaml,
};

/// The YAML of a line: what it sets, and the defaults beside it, which are marked `# default`. What the OS takes
/// no notice of, or does not survive, is marked as such. Secrets are `***`.
///
/// # Errors
/// When reading the line would kill or stop the reader.
pub fn explain(line: &str, os: Os) -> Result<String, Crash> {
    let Some(dialect) = os.dialect() else { return Ok(String::new()) };
    if line.len() > line::MAX_LINE {
        return Err(Crash::TooLong);
    }
    let read = line::tree(&line::words(line, dialect), dialect)?;
    let set = read.node();
    let misfits = convert::misfits(&line::on_the_line(read, os), os);
    let mut tree = set.clone();
    // These two are read from the line alone and are not part of the configuration.
    let asides = asides(&mut tree);
    let mut defaults = BTreeSet::new();
    for key in schema::keys().iter().filter(|k| k.known_to(os) && !k.path.contains('*')) {
        let path: Vec<&str> = key.path.strip_prefix("cc.").unwrap_or(&key.path).split('.').collect();
        let Some(default) = key.default(os) else { continue };
        if touched(&set, &path) && add_default(&mut tree, &path, default) {
            defaults.insert(path.join("."));
        }
    }
    hide_secrets(&mut tree, &mut Vec::new());
    let remark = |path: &[&str]| {
        let full = path.join(".");
        if defaults.contains(&full) { Some("default".to_owned()) } else { remark(&set, &misfits, path, os) }
    };
    let mut emitter = Emitter { out: String::new(), remark: &remark };
    emitter.map(&tree, &mut Vec::new(), 0);
    Ok(asides + &emitter.out)
}

/// Takes `rancher.password` and `rancher.autologin` out, and says as comments what becomes of them.
fn asides(tree: &mut ConfigValue) -> String {
    let ConfigValue::Map(top) = tree else { return String::new() };
    let Some(ConfigValue::Map(rancher)) = top.get_mut("rancher") else { return String::new() };
    let mut out = String::new();
    if let Some(password) = rancher.remove("password") {
        let kind = password.kind();
        out += &format!(
            "# rancher.password: {kind}, given to chpasswd at each boot; no part of the configuration\n"
        );
    }
    if rancher.remove("autologin").is_some() {
        out += "# rancher.autologin: looked for in the line itself; no part of the configuration\n";
    }
    if rancher.is_empty() {
        top.remove("rancher");
    }
    out
}

/// Whether the line sets something in the same part: `rancher.state` for `rancher.state.fstype`.
fn touched(set: &ConfigValue, path: &[&str]) -> bool {
    match path {
        [top, part, _, ..] => set.get([*top, *part]).is_some_and(|n| matches!(n, ConfigValue::Map(_))),
        _ => false,
    }
}

/// Puts a default in unless something stands there or above it.
fn add_default(tree: &mut ConfigValue, path: &[&str], default: &str) -> bool {
    let Ok(value) = yaml::read(default).map(|tree| tree.node()) else { return false };
    let mut at = tree;
    for (i, segment) in path.iter().enumerate() {
        let ConfigValue::Map(map) = at else { return false };
        if i + 1 == path.len() {
            if map.contains_key(*segment) {
                return false;
            }
            map.insert((*segment).to_owned(), value);
            return true;
        }
        at = map.entry((*segment).to_owned()).or_insert_with(|| ConfigValue::Map(BTreeMap::new()));
    }
    false
}

fn hide_secrets(node: &mut ConfigValue, path: &mut Vec<String>) {
    let ConfigValue::Map(map) = node else { return };
    for (key, value) in map {
        path.push(key.clone());
        match value {
            ConfigValue::Map(_) => hide_secrets(value, path),
            value if is_secret(&path.join(".")) => *value = ConfigValue::Str("***".to_owned()),
            _ => {}
        }
        path.pop();
    }
}

/// Remarks on a value that the line sets.
fn remark(set: &ConfigValue, misfits: &[Misfit], path: &[&str], os: Os) -> Option<String> {
    if os == Os::Docker {
        return host::is_unknown(path).then(|| "not taken".to_owned());
    }
    let node = set.get(path.iter().copied())?;
    let is_fatal = |m: &&Misfit| m.path.len() <= path.len() && m.path.iter().eq(&path[..m.path.len()]);
    let fatal = misfits.iter().find(is_fatal).map(|m| m.key);
    match (fatal, SCHEMA.find_segments(path.iter().copied(), os)) {
        (Some(_), SchemaMatch::Below(key)) => {
            Some(format!("fatal: {} takes {}", key.path, key.row.ty.wanted()))
        }
        (Some(Some(key)), _) => Some(format!("fatal: wants {}", key.row.ty.wanted())),
        (Some(None), _) => Some("fatal: the OS cannot carry this text".to_owned()),
        (None, SchemaMatch::Below(_)) => Some("ignored".to_owned()),
        (None, SchemaMatch::Unknown { .. }) => Some("unknown, ignored".to_owned()),
        (None, SchemaMatch::OtherVersion(_)) => Some("not in this version, ignored".to_owned()),
        (None, SchemaMatch::Key(key)) => match (key.row.ty, node) {
            (Type::Text, ConfigValue::Str(_)) => None,
            (Type::Text, other) => as_text(other).map(|t| format!("becomes the text {t:?}")),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_stands_beside_the_defaults_of_its_part() {
        let line = "quiet cc.hostname=box rancher.debug=yes rancher.password=007 rancher.nope=1 \
                    rancher.environment.V=1.10 rancher.ssh.port=22";
        let want = r#"# rancher.password: an integer, given to chpasswd at each boot; no part of the configuration
hostname: box
rancher:
  debug: true
  environment:
    REGISTRY_DOMAIN: docker.io # default
    V: 1.1 # becomes the text "1.1"
  nope: 1 # unknown, ignored
  ssh:
    daemon: true # default
    port: 22
"#;
        assert_eq!(explain(line, "rancheros-1.5.8".parse().unwrap()).unwrap(), want);
    }

    #[test]
    fn what_does_not_boot_is_said_and_secrets_are_not() {
        let line =
            "rancher.state.autoformat=/dev/sda rancher.registry_auths.h.password=s3cret rancher.sysctl.a.b=1";
        let want = r#"rancher:
  registry_auths:
    h:
      password: '***'
  state:
    autoformat: /dev/sda # fatal: wants a list of texts
    fstype: auto # default
    mdadm_scan: false # default
    oem_dev: LABEL=RANCHER_OEM # default
    oem_fstype: auto # default
    required: false # default
    wait: false # default
  sysctl:
    a: # fatal: wants a text
      b: 1 # fatal: rancher.sysctl.* takes a text
"#;
        assert_eq!(explain(line, "rancheros-1.0.5".parse().unwrap()).unwrap(), want);
    }

    #[test]
    fn a_plain_kernel_holds_nothing() {
        assert_eq!(explain("quiet rancher.debug", Os::Linux), Ok(String::new()));
    }
}
