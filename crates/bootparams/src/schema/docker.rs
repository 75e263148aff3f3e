//! The objects that describe a Docker: `rancher.docker`, `system_docker`, `bootstrap_docker`.
//!
//! Up to 0.6.1 `args` was the daemon's whole command line; from 0.7.0 on there is a key for each option.

use super::{SchemaRow, Type::*, V0_4, Version};

const fn v(major: u16, minor: u16, patch: u16) -> Version {
    Version::new(major, minor, patch)
}

const SYSTEM_ROOT: &[(Version, &str)] = &[(v(0, 7, 0), "/var/lib/system-docker")];
const ROOT: &[(Version, &str)] = &[(v(0, 7, 0), "root")];
const FALSE: &[(Version, &str)] = &[(v(0, 7, 0), "false")];
const OVERLAY: &[(Version, &str)] = &[(v(0, 7, 0), "overlay2")];

/// The keys of every Docker.
pub(super) const COMMON: &[SchemaRow] = &[
    SchemaRow::new("tls", Bool, "whether the API is served with TLS"),
    SchemaRow::new("tls_args", List, "options for TLS"),
    SchemaRow::new("extra_args", List, "options added to the daemon's command line"),
    SchemaRow::new("server_cert", Text, "PEM text").not_on_line("a PEM text has line breaks"),
    SchemaRow::new("server_key", Text, "PEM text").not_on_line("a PEM text has line breaks"),
    SchemaRow::new("ca_cert", Text, "PEM text").not_on_line("a PEM text has line breaks"),
    SchemaRow::new("ca_key", Text, "PEM text").not_on_line("a PEM text has line breaks"),
    SchemaRow::new("environment", List, "variables as `A=b`"),
    SchemaRow::new("storage_context", Text, "the container whose mounts the daemon shares"),
    SchemaRow::new("exec", Bool, "replace the process instead of starting a child").since(0, 4, 3),
    SchemaRow::new("engine", Text, "which engine").since(0, 6, 0),
    SchemaRow::new("args", List, "the daemon's whole command line").until(0, 7, 0),
    SchemaRow::new("bridge", Text, "the network bridge").since(0, 7, 0),
    SchemaRow::new("config_file", Text, "the daemon's configuration file").since(0, 7, 0),
    SchemaRow::new("containerd", Text, "containerd's socket").since(0, 7, 0),
    SchemaRow::new("exec_root", Text, "folder for run-time state").since(0, 7, 0),
    SchemaRow::new("group", Text, "group of the socket").since(0, 7, 0),
    SchemaRow::new("graph", Text, "folder of images and containers").since(0, 7, 0).until(2, 0, 0),
    SchemaRow::new("data_root", Text, "folder of images and containers").since(2, 0, 0),
    SchemaRow::new("log_driver", Text, "how containers log").since(0, 7, 0),
    SchemaRow::new("pid_file", Text, "file with the daemon's process id").since(0, 7, 0),
    SchemaRow::new("registry_mirror", Text, "a mirror of Docker's registry").since(0, 7, 0),
    SchemaRow::new("storage_driver", Text, "how layers are kept").since(0, 7, 0),
    SchemaRow::new("host", List, "sockets to listen on").since(0, 7, 0),
    SchemaRow::new("debug", Bool, "debug messages").since(0, 7, 0),
    SchemaRow::new("live_restore", Bool, "keep containers while the daemon restarts").since(0, 7, 0),
    SchemaRow::new("restart", Bool, "restart containers at the start").since(0, 7, 0),
    SchemaRow::new("selinux_enabled", Bool, "SELinux").since(0, 7, 0).until(2, 0, 0),
    SchemaRow::new("userland_proxy", Bool, "a process for each published port").since(0, 7, 0),
    SchemaRow::new("log_opts", Map, "options of the log driver").since(0, 7, 0),
    SchemaRow::new("log_opts.*", Text, "an option of the log driver").since(0, 7, 0),
    SchemaRow::new("insecure_registry", List, "registries without TLS").since(0, 8, 0),
    SchemaRow::new("bip", Text, "address of the bridge, as address/length").since(1, 4, 0),
    SchemaRow::new("userns_enabled", Bool, "user namespaces").since(1, 9, 2),
];

/// What the user's Docker has as defaults.
pub(super) const USER: &[SchemaRow] = &[
    SchemaRow::new("engine", Text, "which engine")
        .since(0, 6, 0)
        .defaults(&[(v(1, 5, 8), "docker-19.03.15"), (v(2, 0, 0), "latest")]),
    SchemaRow::new("group", Text, "group of the socket").since(0, 7, 0).defaults(&[(v(0, 7, 0), "docker")]),
    SchemaRow::new("host", List, "sockets to listen on")
        .since(0, 7, 0)
        .defaults(&[(v(0, 7, 0), "[\"unix:///var/run/docker.sock\"]")]),
    SchemaRow::new("log_opts.max-size", Text, "size of a log")
        .since(0, 7, 0)
        .defaults(&[(v(0, 7, 0), "25m")]),
    SchemaRow::new("log_opts.max-file", Text, "number of logs")
        .since(0, 7, 0)
        .defaults(&[(v(0, 7, 0), "\"2\"")]),
];

/// What system Docker has as defaults.
pub(super) const SYSTEM: &[SchemaRow] = &[
    SchemaRow::new("exec", Bool, "replace the process instead of starting a child")
        .since(0, 4, 3)
        .defaults(&[(V0_4, "true")]),
    SchemaRow::new("storage_driver", Text, "how layers are kept").since(0, 7, 0).defaults(OVERLAY),
    SchemaRow::new("bridge", Text, "the network bridge").since(0, 7, 0).defaults(&[(v(2, 0, 0), "none")]),
    SchemaRow::new("bip", Text, "address of the bridge, as address/length")
        .since(1, 4, 0)
        .defaults(&[(v(1, 4, 0), "172.18.42.1/16"), (v(2, 0, 0), "")]),
    SchemaRow::new("restart", Bool, "restart containers at the start").since(0, 7, 0).defaults(FALSE),
    SchemaRow::new("graph", Text, "folder of images and containers")
        .since(0, 7, 0)
        .until(2, 0, 0)
        .defaults(SYSTEM_ROOT),
    SchemaRow::new("data_root", Text, "folder of images and containers").since(2, 0, 0).defaults(SYSTEM_ROOT),
    SchemaRow::new("group", Text, "group of the socket").since(0, 7, 0).defaults(ROOT),
    SchemaRow::new("config_file", Text, "the daemon's configuration file")
        .since(0, 7, 0)
        .defaults(&[(v(0, 7, 0), "/etc/docker/system-docker.json")]),
    SchemaRow::new("userland_proxy", Bool, "a process for each published port")
        .since(0, 7, 0)
        .defaults(FALSE),
];

/// What the bootstrap Docker has as defaults.
pub(super) const BOOTSTRAP: &[SchemaRow] = &[
    SchemaRow::new("bridge", Text, "the network bridge").since(0, 7, 0).defaults(&[(v(0, 7, 0), "none")]),
    SchemaRow::new("storage_driver", Text, "how layers are kept").since(0, 7, 0).defaults(OVERLAY),
    SchemaRow::new("restart", Bool, "restart containers at the start").since(0, 7, 0).defaults(FALSE),
    SchemaRow::new("graph", Text, "folder of images and containers")
        .since(0, 7, 0)
        .until(2, 0, 0)
        .defaults(SYSTEM_ROOT),
    SchemaRow::new("data_root", Text, "folder of images and containers").since(2, 0, 0).defaults(SYSTEM_ROOT),
    SchemaRow::new("group", Text, "group of the socket").since(0, 7, 0).defaults(ROOT),
    SchemaRow::new("userland_proxy", Bool, "a process for each published port")
        .since(0, 7, 0)
        .defaults(FALSE),
];
