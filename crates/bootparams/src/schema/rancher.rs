//! The top level and everything directly below `rancher.`

use super::{Row, Type::*, V0_4, Version};

const fn v(major: u16, minor: u16, patch: u16) -> Version {
    Version::new(major, minor, patch)
}

/// The top level: `cc.` on the command line, no prefix in a cloud-config.
pub(super) const TOP: &[Row] = &[
    Row::new("ssh_authorized_keys", List, "public keys of the users rancher and docker"),
    Row::new("hostname", Text, "the host's name").defaults(&[(V0_4, "rancher"), (v(0, 5, 0), "")]),
    Row::new("write_files", Maps, "files to write"),
    Row::new("write_files.*", Map, "a file, as an element of the list"),
    Row::new("write_files.*.path", Text, "where it goes"),
    Row::new("write_files.*.content", Text, "what is in it"),
    Row::new("write_files.*.encoding", Text, "base64, gzip or gzip+base64; plain without one"),
    Row::new("write_files.*.owner", Text, "user:group"),
    Row::new("write_files.*.permissions", Text, "octal digits, in quotes"),
    Row::new("write_files.*.container", Text, "the container that it is written in").since(0, 6, 0),
    Row::new("mounts", Lists, "mounts as lists of four texts: device, folder, type, options").since(0, 5, 0),
    Row::new("runcmd", Commands, "commands run at the end of the boot").since(0, 6, 0),
    Row::new(
        "bootcmd",
        Commands,
        "commands run early, in the bootstrap container, which they make run always",
    )
    .since(0, 8, 0),
    Row::new("default_hostname", Text, "the host's name unless one is set").since(0, 4, 5).until(0, 5, 0),
    Row::new("rancher", Map, "everything else"),
];

/// Below `rancher.`
pub(super) const ROWS: &[Row] = &[
    Row::new("password", Password, "password of the user rancher, plain text only, set again at every boot")
        .defaults(&[(V0_4, "rancher"), (v(0, 6, 0), "")]),
    Row::new("autologin", Terminal, "log in on this terminal without a password; once for each terminal")
        .since(0, 6, 0),
    Row::new(
        "console",
        Text,
        "which console image: default, alpine, centos, debian, fedora, ubuntu; no terminal",
    )
    .since(0, 5, 0)
    .defaults(&[(v(0, 5, 0), "default")]),
    Row::new("environment", Map, "variables for services and their images"),
    Row::new("environment.*", Text, "a variable"),
    Row::new("environment.REGISTRY_DOMAIN", Text, "the registry of system images")
        .defaults(&[(V0_4, "docker.io")]),
    Row::new("services", Map, "system services, in compose's first format"),
    Row::new("services.*", Map, "a service").followed(),
    Row::new("bootstrap", Map, "services that run before the state is mounted"),
    Row::new("bootstrap.*", Map, "a service").followed(),
    Row::new("cloud_init_services", Map, "services that run cloud-init").since(0, 8, 0),
    Row::new("cloud_init_services.*", Map, "a service"),
    Row::new("autoformat", Map, "services that format (not the list of disks: that is state.autoformat)")
        .until(0, 8, 0),
    Row::new("autoformat.*", Map, "a service").followed(),
    Row::new("bootstrap_docker", Map, "the Docker that runs before the state is mounted"),
    Row::new("system_docker", Map, "the Docker that runs the system's services"),
    Row::new("docker", Map, "the user's Docker").until(3, 0, 0),
    Row::new("cloud_init", Map, "where a cloud-config comes from"),
    Row::new("cloud_init.datasources", List, "sources of a cloud-config; all are asked at once")
        .defaults(&[(V0_4, "[\"configdrive:/media/config-2\"]")]),
    Row::new("debug", Bool, "debug messages of the system and of all Dockers").defaults(&[(V0_4, "false")]),
    Row::new("rm_usr", Bool, "delete the state's copy of /usr at each boot").defaults(&[(V0_4, "false")]),
    Row::new("no_sharedroot", Bool, "do not make / a shared mount")
        .since(0, 5, 0)
        .defaults(&[(V0_4, "false")]),
    Row::new("log", Bool, "messages of services on the console").defaults(&[(V0_4, "false")]),
    Row::new("force_console_rebuild", Bool, "make the console container anew")
        .since(0, 4, 5)
        .defaults(&[(V0_4, "false")]),
    Row::new("recovery", Bool, "a root shell early, without network and state")
        .since(1, 0, 4)
        .defaults(&[(V0_4, "false")]),
    Row::new("disable", List, "`password`, `autologin`: honoured since 1.5.0"),
    Row::new("services_include", Map, "services of the repositories to run"),
    Row::new("services_include.*", Bool, "whether the service runs"),
    Row::new("modules", List, "kernel modules to load; from 1.4.0 on with parameters after a blank"),
    Row::new("network", Map, "interfaces, name servers, proxies"),
    Row::new("default_network", Map, "the network unless one is set").since(0, 4, 5).until(1, 5, 0),
    Row::new("repositories", Map, "where lists of services come from"),
    Row::new("repositories.*", Map, "a repository"),
    Row::new("repositories.*.url", Text, "its address").since(0, 4, 1),
    Row::new("ssh", Map, "the SSH server"),
    Row::new("ssh.keys", Map, "host keys: rsa, rsa-pub, dsa, ecdsa, ed25519 and their -pub"),
    Row::new("ssh.keys.*", Text, "a host key").not_on_line("a host key has line breaks"),
    Row::new("ssh.daemon", Bool, "whether the SSH server runs").since(1, 0, 4).defaults(&[(V0_4, "true")]),
    Row::new("ssh.port", Int, "its port, 1 to 65354").since(1, 3, 0),
    Row::new("ssh.listen_address", Text, "its address").since(1, 3, 0),
    Row::new("state", Map, "the disk that keeps state"),
    Row::new(
        "state.dev",
        Text,
        "the device: path, LABEL=, UUID=, PARTUUID= or PARTLABEL=; unset runs in RAM",
    )
    .defaults(&[(V0_4, "LABEL=RANCHER_STATE"), (v(0, 6, 0), "")]),
    Row::new("state.fstype", Text, "its file system, to mount; never to format").defaults(&[(V0_4, "auto")]),
    Row::new("state.required", Bool, "stop the boot when it cannot be mounted").defaults(&[(V0_4, "false")]),
    Row::new("state.wait", Bool, "wait for it, up to a minute, before autoformat")
        .since(0, 6, 0)
        .defaults(&[(V0_4, "false")]),
    Row::new("state.autoformat", List, "disks of which the first blank one is formatted, whole")
        .defaults(&[(V0_4, "[\"/dev/sda\", \"/dev/vda\"]"), (v(0, 6, 0), "")]),
    Row::new("state.formatzero", Bool, "format a disk whose first MiB is zero")
        .until(0, 7, 0)
        .defaults(&[(V0_4, "false")]),
    Row::new("state.directory", Text, "a folder of it to use as root").since(0, 4, 3),
    Row::new("state.mdadm_scan", Bool, "assemble RAID arrays first")
        .since(0, 4, 3)
        .defaults(&[(V0_4, "false")]),
    Row::new("state.lvm_scan", Bool, "activate volume groups first")
        .since(1, 5, 0)
        .defaults(&[(V0_4, "false")]),
    Row::new("state.cryptsetup", Bool, "open LUKS devices first, asking on /dev/console")
        .since(1, 5, 0)
        .defaults(&[(V0_4, "false")]),
    Row::new("state.rngd", Bool, "feed the kernel's entropy").since(1, 4, 1).defaults(&[(V0_4, "true")]),
    Row::new("state.script", Text, "a whole script, run in the bootstrap container").since(0, 4, 3),
    Row::new("state.oem_dev", Text, "mounted at /usr/share/ros/oem")
        .since(0, 4, 3)
        .defaults(&[(V0_4, "LABEL=RANCHER_OEM")]),
    Row::new("state.oem_fstype", Text, "its file system").since(0, 4, 3).defaults(&[(V0_4, "auto")]),
    Row::new("state.boot_dev", Text, "mounted at /boot")
        .since(1, 5, 0)
        .defaults(&[(V0_4, "LABEL=RANCHER_BOOT")]),
    Row::new("state.boot_fstype", Text, "its file system").since(1, 5, 0).defaults(&[(V0_4, "auto")]),
    Row::new("upgrade", Map, "where releases come from"),
    Row::new("upgrade.url", Text, "the list of releases"),
    Row::new("upgrade.image", Text, "the image of a release"),
    Row::new("upgrade.rollback", Text, "the release to go back to"),
    Row::new("upgrade.policy", Text, "what an upgrade does").since(1, 4, 3).defaults(&[(V0_4, "download")]),
    Row::new("registry_auths", Map, "credentials of registries; on the command line only hosts without dots")
        .since(0, 5, 0),
    Row::new("registry_auths.*", Map, "a registry").since(0, 5, 0),
    Row::new("registry_auths.*.username", Text, "the account"),
    Row::new("registry_auths.*.password", Text, "its password"),
    Row::new("registry_auths.*.auth", Text, "account:password in base64"),
    Row::new("registry_auths.*.email", Text, "the account's address; not used any more"),
    Row::new("registry_auths.*.serveraddress", Text, "the registry's address"),
    Row::new("registry_auths.*.identitytoken", Text, "a token for the registry's token server"),
    Row::new("registry_auths.*.registrytoken", Text, "a token for the registry"),
    Row::new("defaults", Map, "values unless others are set").since(0, 5, 0),
    Row::new("defaults.hostname", Text, "the host's name unless one is set")
        .since(0, 5, 0)
        .defaults(&[(V0_4, "rancher"), (v(1, 9, 0), "burmilla")]),
    Row::new("defaults.network", Map, "the network unless one is set").since(0, 5, 0),
    Row::new("defaults.docker", Map, "the user's Docker unless one is set").since(0, 6, 0),
    Row::new("defaults.system_docker_logs", Text, "where system Docker logs")
        .since(1, 4, 2)
        .defaults(&[(V0_4, "/var/log/system-docker.log")]),
    Row::new("resize_device", Text, "grow this device's last partition; fails on a whole-disk state")
        .since(0, 5, 0),
    Row::new("sysctl", Map, "kernel settings")
        .since(0, 5, 0)
        .not_on_line("the names have dots, which the command line takes for levels"),
    Row::new("sysctl.*", Text, "a kernel setting without a dot, of which there is none").since(0, 5, 0),
    Row::new("restart_services", List, "services to restart after a change").since(0, 6, 0),
    Row::new("hypervisor_service", Bool, "start the guest tools of the hypervisor found")
        .since(1, 0, 4)
        .defaults(&[(V0_4, "true")]),
    Row::new("shutdown_timeout", Int, "seconds containers have to stop")
        .since(1, 0, 4)
        .defaults(&[(V0_4, "60")]),
    Row::new("preload_wait", Bool, "wait until images are loaded")
        .since(1, 4, 0)
        .defaults(&[(V0_4, "false")]),
    Row::new("http_load_retries", Int, "tries to load a file by HTTP")
        .since(1, 5, 5)
        .defaults(&[(V0_4, "6")]),
];
