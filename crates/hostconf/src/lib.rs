//! Turns a kernel's command line and cloud-configs into the files of the Docker system.
//!
//! What they mean is in `bootparams::host`, which the checker runs as well; here is only reading and writing. The
//! same code is the program on the medium and `cargo xtask params render-system`.

use std::{
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use bootparams::host::{Host, HostFile, MAX_CONFIG};

/// What to read.
#[derive(Clone, Debug, Default)]
pub struct ConfigInput {
    /// Cloud-configs, each over the ones before it.
    pub configs: Vec<PathBuf>,
    /// A configuration drive's `meta_data.json`, below all of them.
    pub metadata: Option<PathBuf>,
    /// The command line, over all of them.
    pub line: String,
}

/// Whether files get the owners that the configuration names, which only root can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owners {
    /// They do.
    Set,
    /// They belong to the user who runs this.
    Leave,
}

/// Reads the input and writes the files below the new folder `to`. Returns what was refused.
///
/// A cloud-config that cannot be read is refused; the rest is applied.
///
/// # Errors
/// When a file cannot be written.
pub fn compile(input: &ConfigInput, to: &Path, owners: Owners) -> io::Result<Vec<String>> {
    let mut host = Host::default();
    let mut refused = Vec::new();
    for path in &input.configs {
        match read(path) {
            Ok(bytes) => refused.extend(host.read_user_data(&bytes)),
            Err(e) => refused.push(format!("the cloud-config is not used: {e}")),
        }
    }
    if let Some(path) = &input.metadata {
        match read(path) {
            Ok(bytes) => refused.extend(host.read_metadata(&bytes)),
            Err(e) => refused.push(format!("meta_data.json is not used: {e}")),
        }
    }
    refused.extend(host.read_line(&input.line));
    let rendered = host.render();
    fs_err::create_dir_all(to)?;
    for file in rendered.files.values() {
        write(file, to, owners)?;
    }
    refused.extend(rendered.refused);
    Ok(refused)
}

/// A byte more than may be: what is longer is then refused for its length.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs_err::File::open(path)?.take(MAX_CONFIG as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn write(file: &HostFile, to: &Path, owners: Owners) -> io::Result<()> {
    let path = to.join(&file.path);
    if let Some(parent) = path.parent() {
        make_folders(to, parent, file, owners)?;
    }
    let mut out = new_file(&path)?;
    out.write_all(&file.content)?;
    set_mode(&path, file.mode)?;
    set_owner(&path, file, owners)
}

/// Makes the folders of a file. A folder of keys is for its owner alone, or the SSH server does not use it.
fn make_folders(to: &Path, parent: &Path, file: &HostFile, owners: Owners) -> io::Result<()> {
    let below = parent.strip_prefix(to).map_err(io::Error::other)?;
    let mut dir = to.to_owned();
    for part in below.components() {
        dir.push(part);
        if dir.is_dir() {
            continue;
        }
        fs_err::create_dir(&dir)?;
        let keys = part.as_os_str() == ".ssh";
        let private = keys || dir == to.join("root");
        set_mode(&dir, if private { 0o700 } else { 0o755 })?;
        let home = dir.starts_with(to.join("home")) && dir != to.join("home");
        if keys || home {
            set_owner(&dir, file, owners)?;
        }
    }
    Ok(())
}

/// A file that is not there yet, and that other users cannot read before its mode is set.
#[cfg(unix)]
fn new_file(path: &Path) -> io::Result<fs_err::File> {
    use fs_err::os::unix::fs::OpenOptionsExt as _;
    fs_err::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// A file that is not there yet.
#[cfg(not(unix))]
fn new_file(path: &Path) -> io::Result<fs_err::File> {
    fs_err::OpenOptions::new().write(true).create_new(true).open(path)
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs_err::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))
}

/// As on Unix, where there are modes.
#[cfg(not(unix))]
fn set_mode(_: &Path, _: u32) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn set_owner(path: &Path, file: &HostFile, owners: Owners) -> io::Result<()> {
    match owners {
        Owners::Set => std::os::unix::fs::chown(path, Some(file.uid), Some(file.gid)),
        Owners::Leave => Ok(()),
    }
}

/// As on Unix, where there are owners.
#[cfg(not(unix))]
fn set_owner(_: &Path, _: &HostFile, _: Owners) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn files_come_out_with_their_modes_whatever_else_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let (good, bad, to) =
            (dir.path().join("good.yml"), dir.path().join("bad.yml"), dir.path().join("to"));
        fs_err::write(
            &good,
            "#cloud-config\nhostname: a\nwrite_files: [{path: /opt/x, content: y, permissions: 0750}]\n",
        )
        .unwrap();
        fs_err::write(&bad, b"\xff\xfe").unwrap();
        let missing = dir.path().join("missing.yml");
        let input = ConfigInput {
            configs: vec![good, bad, missing],
            metadata: None,
            line: "cc.hostname=b rancher.password=x\n".to_owned(),
        };
        let refused = compile(&input, &to, Owners::Leave).unwrap();
        assert_eq!(refused.len(), 2, "{refused:?}");
        assert_eq!(fs_err::read_to_string(to.join("etc/hostname")).unwrap(), "b\n");
        let mode = |path: &str| fs_err::metadata(to.join(path)).unwrap().mode() & 0o7777;
        let modes = ["opt/x", "etc/host/password", "root/.ssh", "root/.ssh/authorized_keys"].map(mode);
        assert_eq!(modes, [0o750, 0o600, 0o700, 0o600]);
    }

    #[test]
    fn what_is_too_long_is_read_no_further() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("c.yml");
        let text = "#cloud-config\nhostname: a\n".to_owned() + &"#".repeat(10 << 20);
        fs_err::write(&config, text).unwrap();
        let input = ConfigInput { configs: vec![config], ..ConfigInput::default() };
        let refused = compile(&input, &dir.path().join("to"), Owners::Leave).unwrap();
        assert_eq!(refused, ["the cloud-config is not used: it has more than a megabyte"]);
    }
}
