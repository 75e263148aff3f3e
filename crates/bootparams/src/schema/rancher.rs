//! The top level and everything directly below `rancher.`

use super::{SchemaRow, Type::*, V0_4, Version};

const fn v(major: u16, minor: u16, patch: u16) -> Version {
    Version::new(major, minor, patch)
}

/// The top level: `cc.` on the command line, no prefix in a cloud-config.
pub(super) const TOP: &[SchemaRow] = &[
    SchemaRow::new("ssh_authorized_keys", List, "public keys of the users rancher and docker"),
    SchemaRow::new("hostname", Text, "the host's name").defaults(&[(V0_4, "rancher"), (v(0, 5, 0), "")]),
    SchemaRow::new("write_files", Maps, "files to write"),
    SchemaRow::new("write_files.*", Map, "a file, as an element of the list"),
    SchemaRow::new("write_files.*.path", Text, "where it goes"),
    SchemaRow::new("write_files.*.content", Text, "what is in it"),
    SchemaRow::new("write_files.*.encoding", Text, "base64, gzip or gzip+base64; plain without one"),
    SchemaRow::new("write_files.*.owner", Text, "user:group"),
    SchemaRow::new("write_files.*.permissions", Text, "octal digits, in quotes"),
    SchemaRow::new("write_files.*.container", Text, "the container that it is written in").since(0, 6, 0),
    SchemaRow::new("mounts", Lists, "mounts as lists of four texts: device, folder, type, options")
        .since(0, 5, 0),
    SchemaRow::new("runcmd", Commands, "commands run at the end of the boot").since(0, 6, 0),
    SchemaRow::new(
        "bootcmd",
        Commands,
        "commands run early, in the bootstrap container, which they make run always",
    )
    .since(0, 8, 0),
    SchemaRow::new("default_hostname", Text, "the host's name unless one is set")
        .since(0, 4, 5)
        .until(0, 5, 0),
    SchemaRow::new("rancher", Map, "everything else"),
];

/// Below `rancher.`
pub(super) const ROWS: &[SchemaRow] = &[
    SchemaRow::new(
        "password",
        Password,
        "password of the user rancher, plain text only, set again at every boot",
    )
    .defaults(&[(V0_4, "rancher"), (v(0, 6, 0), "")]),
    SchemaRow::new(
        "autologin",
        Terminal,
        "log in on this terminal without a password; once for each terminal",
    )
    .since(0, 6, 0),
    SchemaRow::new(
        "console",
        Text,
        "which console image: default, alpine, centos, debian, fedora, ubuntu; no terminal",
    )
    .since(0, 5, 0)
    .defaults(&[(v(0, 5, 0), "default")]),
    SchemaRow::new("environment", Map, "variables for services and their images"),
    SchemaRow::new("environment.*", Text, "a variable"),
    SchemaRow::new("environment.REGISTRY_DOMAIN", Text, "the registry of system images")
        .defaults(&[(V0_4, "docker.io")]),
    SchemaRow::new("services", Map, "system services, in compose's first format"),
    SchemaRow::new("services.*", Map, "a service").followed(),
    SchemaRow::new("bootstrap", Map, "services that run before the state is mounted"),
    SchemaRow::new("bootstrap.*", Map, "a service").followed(),
    SchemaRow::new("cloud_init_services", Map, "services that run cloud-init").since(0, 8, 0),
    SchemaRow::new("cloud_init_services.*", Map, "a service"),
    SchemaRow::new(
        "autoformat",
        Map,
        "services that format (not the list of disks: that is state.autoformat)",
    )
    .until(0, 8, 0),
    SchemaRow::new("autoformat.*", Map, "a service").followed(),
    SchemaRow::new("bootstrap_docker", Map, "the Docker that runs before the state is mounted"),
    SchemaRow::new("system_docker", Map, "the Docker that runs the system's services"),
    SchemaRow::new("docker", Map, "the user's Docker").until(3, 0, 0),
    SchemaRow::new("cloud_init", Map, "where a cloud-config comes from"),
    SchemaRow::new("cloud_init.datasources", List, "sources of a cloud-config; all are asked at once")
        .defaults(&[(V0_4, "[\"configdrive:/media/config-2\"]")]),
    SchemaRow::new("debug", Bool, "debug messages of the system and of all Dockers")
        .defaults(&[(V0_4, "false")]),
    SchemaRow::new("rm_usr", Bool, "delete the state's copy of /usr at each boot")
        .defaults(&[(V0_4, "false")]),
    SchemaRow::new("no_sharedroot", Bool, "do not make / a shared mount")
        .since(0, 5, 0)
        .defaults(&[(V0_4, "false")]),
    SchemaRow::new("log", Bool, "messages of services on the console").defaults(&[(V0_4, "false")]),
    SchemaRow::new("force_console_rebuild", Bool, "rebuild the console container")
        .since(0, 4, 5)
        .defaults(&[(V0_4, "false")]),
    SchemaRow::new("recovery", Bool, "a root shell early, without network and state")
        .since(1, 0, 4)
        .defaults(&[(V0_4, "false")]),
    SchemaRow::new("disable", List, "`password`, `autologin`: honoured since 1.5.0"),
    SchemaRow::new("services_include", Map, "services of the repositories to run"),
    SchemaRow::new("services_include.*", Bool, "whether the service runs"),
    SchemaRow::new("modules", List, "kernel modules to load; from 1.4.0 on with parameters after a blank"),
    SchemaRow::new("network", Map, "interfaces, name servers, proxies"),
    SchemaRow::new("default_network", Map, "the network unless one is set").since(0, 4, 5).until(1, 5, 0),
    SchemaRow::new("repositories", Map, "where lists of services come from"),
    SchemaRow::new("repositories.*", Map, "a repository"),
    SchemaRow::new("repositories.*.url", Text, "its address").since(0, 4, 1),
    SchemaRow::new("ssh", Map, "the SSH server"),
    SchemaRow::new("ssh.keys", Map, "host keys: rsa, rsa-pub, dsa, ecdsa, ed25519 and their -pub"),
    SchemaRow::new("ssh.keys.*", Text, "a host key").not_on_line("a host key has line breaks"),
    SchemaRow::new("ssh.daemon", Bool, "whether the SSH server runs")
        .since(1, 0, 4)
        .defaults(&[(V0_4, "true")]),
    SchemaRow::new("ssh.port", Int, "its port, 1 to 65354").since(1, 3, 0),
    SchemaRow::new("ssh.listen_address", Text, "its address").since(1, 3, 0),
    SchemaRow::new("state", Map, "the disk that keeps state"),
    SchemaRow::new(
        "state.dev",
        Text,
        "the device: path, LABEL=, UUID=, PARTUUID= or PARTLABEL=; unset runs in RAM",
    )
    .defaults(&[(V0_4, "LABEL=RANCHER_STATE"), (v(0, 6, 0), "")]),
    SchemaRow::new("state.fstype", Text, "its file system, to mount; never to format")
        .defaults(&[(V0_4, "auto")]),
    SchemaRow::new("state.required", Bool, "stop the boot when it cannot be mounted")
        .defaults(&[(V0_4, "false")]),
    SchemaRow::new("state.wait", Bool, "wait for it, up to a minute, before autoformat")
        .since(0, 6, 0)
        .defaults(&[(V0_4, "false")]),
    SchemaRow::new("state.autoformat", List, "disks of which the first blank one is formatted, whole")
        .defaults(&[(V0_4, "[\"/dev/sda\", \"/dev/vda\"]"), (v(0, 6, 0), "")]),
    SchemaRow::new("state.formatzero", Bool, "format a disk whose first MiB is zero")
        .until(0, 7, 0)
        .defaults(&[(V0_4, "false")]),
    SchemaRow::new("state.directory", Text, "a folder of it to use as root").since(0, 4, 3),
    SchemaRow::new("state.mdadm_scan", Bool, "assemble RAID arrays first")
        .since(0, 4, 3)
        .defaults(&[(V0_4, "false")]),
    SchemaRow::new("state.lvm_scan", Bool, "activate volume groups first")
        .since(1, 5, 0)
        .defaults(&[(V0_4, "false")]),
    SchemaRow::new("state.cryptsetup", Bool, "open LUKS devices first, asking on /dev/console")
        .since(1, 5, 0)
        .defaults(&[(V0_4, "false")]),
    SchemaRow::new("state.rngd", Bool, "feed the kernel's entropy")
        .since(1, 4, 1)
        .defaults(&[(V0_4, "true")]),
    SchemaRow::new("state.script", Text, "a whole script, run in the bootstrap container").since(0, 4, 3),
    SchemaRow::new("state.oem_dev", Text, "mounted at /usr/share/ros/oem")
        .since(0, 4, 3)
        .defaults(&[(V0_4, "LABEL=RANCHER_OEM")]),
    SchemaRow::new("state.oem_fstype", Text, "its file system").since(0, 4, 3).defaults(&[(V0_4, "auto")]),
    SchemaRow::new("state.boot_dev", Text, "mounted at /boot")
        .since(1, 5, 0)
        .defaults(&[(V0_4, "LABEL=RANCHER_BOOT")]),
    SchemaRow::new("state.boot_fstype", Text, "its file system").since(1, 5, 0).defaults(&[(V0_4, "auto")]),
    SchemaRow::new("upgrade", Map, "where releases come from"),
    SchemaRow::new("upgrade.url", Text, "the list of releases"),
    SchemaRow::new("upgrade.image", Text, "the image of a release"),
    SchemaRow::new("upgrade.rollback", Text, "the release to go back to"),
    SchemaRow::new("upgrade.policy", Text, "what an upgrade does")
        .since(1, 4, 3)
        .defaults(&[(V0_4, "download")]),
    SchemaRow::new(
        "registry_auths",
        Map,
        "credentials of registries; on the command line only hosts without dots",
    )
    .since(0, 5, 0),
    SchemaRow::new("registry_auths.*", Map, "a registry").since(0, 5, 0),
    SchemaRow::new("registry_auths.*.username", Text, "the account"),
    SchemaRow::new("registry_auths.*.password", Text, "its password"),
    SchemaRow::new("registry_auths.*.auth", Text, "account:password in base64"),
    SchemaRow::new("registry_auths.*.email", Text, "the account's address; not used any more"),
    SchemaRow::new("registry_auths.*.serveraddress", Text, "the registry's address"),
    SchemaRow::new("registry_auths.*.identitytoken", Text, "a token for the registry's token server"),
    SchemaRow::new("registry_auths.*.registrytoken", Text, "a token for the registry"),
    SchemaRow::new("defaults", Map, "values unless others are set").since(0, 5, 0),
    SchemaRow::new("defaults.hostname", Text, "the host's name unless one is set")
        .since(0, 5, 0)
        .defaults(&[(V0_4, "rancher"), (v(1, 9, 0), "burmilla")]),
    SchemaRow::new("defaults.network", Map, "the network unless one is set").since(0, 5, 0),
    SchemaRow::new("defaults.docker", Map, "the user's Docker unless one is set").since(0, 6, 0),
    SchemaRow::new("defaults.system_docker_logs", Text, "where system Docker logs")
        .since(1, 4, 2)
        .defaults(&[(V0_4, "/var/log/system-docker.log")]),
    SchemaRow::new("resize_device", Text, "grow this device's last partition; fails on a whole-disk state")
        .since(0, 5, 0),
    SchemaRow::new("sysctl", Map, "kernel settings")
        .since(0, 5, 0)
        .not_on_line("the names have dots, which the command line takes for levels"),
    SchemaRow::new("sysctl.*", Text, "a kernel setting without a dot, which no kernel has").since(0, 5, 0),
    SchemaRow::new("restart_services", List, "services to restart after a change").since(0, 6, 0),
    SchemaRow::new("hypervisor_service", Bool, "start the guest tools of the hypervisor found")
        .since(1, 0, 4)
        .defaults(&[(V0_4, "true")]),
    SchemaRow::new("shutdown_timeout", Int, "seconds containers have to stop")
        .since(1, 0, 4)
        .defaults(&[(V0_4, "60")]),
    SchemaRow::new("preload_wait", Bool, "wait until images are loaded")
        .since(1, 4, 0)
        .defaults(&[(V0_4, "false")]),
    SchemaRow::new("http_load_retries", Int, "tries to load a file by HTTP")
        .since(1, 5, 5)
        .defaults(&[(V0_4, "6")]),
];
