//! Downloads a package of the distribution, and holds it against the digest of apt's signed index.

use anyhow::Result;

use buildexec::action::Call;
use buildexec::tree;
use buildplan::{Cmd, Digest};
use failure::{Failure, Kind};

/// `package`, `version`, `sha256`, `size`, `to`; `purl` is for the manifest.
///
/// # Errors
/// [`Kind::Network`] with `--offline`, [`Kind::Digest`] when the file is another than the index said.
pub(super) fn download(call: &Call<'_>) -> Result<()> {
    let (name, version) = (call.text("package")?, call.text("version")?);
    let ctx = call.job.ctx;
    let want: Digest = call.text("sha256")?.parse()?;
    if ctx.globals.offline {
        let message = format!("package {name} {version} is not in the store");
        return Err(Failure::new(Kind::Network, message).help("run it once without --offline").into());
    }
    let folder = call.job.scratch.join("work").join("deb");
    fs_err::create_dir_all(&folder)?;
    // Root's apt drops to the user `_apt`, who may not enter this folder: it says so and works on; and several
    // downloads at once do not disturb each other.
    let cmd = Cmd::new("apt-get", format!("download {name}"))
        .args(["-q", "-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=3", "download"])
        .arg(format!("{name}={version}"))
        .cwd(&folder);
    ctx.runner.logged(&cmd, &call.job.scratch.join("log"), &mut |_| {}).map_err(|e| {
        if failure::kind_of(&e) != Some(Kind::Command) {
            return e;
        }
        Failure::new(Kind::Network, format!("apt could not download {name} {version}"))
            .help("check the network; where apt's index is old, `apt-get update` (with sudo) renews it")
            .source(e)
            .into()
    })?;
    let Some(file) = tree::files(&folder)?.pop().map(|f| folder.join(f)) else {
        return Err(Failure::new(Kind::Network, format!("apt downloaded no file for {name}")).into());
    };
    let (have, _) = tree::digest(&file)?;
    if have != want {
        let message = format!("apt gave another {name} than its index promised: SHA-256 {have}");
        return Err(Failure::new(Kind::Digest, message).help("run `apt-get update` and try again").into());
    }
    fs_err::rename(file, call.out("to")?)?;
    Ok(())
}
