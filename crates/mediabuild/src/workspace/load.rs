//! Reads `media.toml`, `media.lock` and the lists of files beside them.

use anyhow::Result;
use camino::Utf8Path;

use buildexec::ctx::Ctx;
use buildexec::{paths, regular, store::TEXT_LIMIT};
use failure::{Explain as _, Failure, Kind};
use mediaplan::config::{Config, Lock};
use mediaplan::stage::{crates, docker, media::Bootscripts};

/// What the repository says.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// `media.toml`.
    pub config: Config,
    /// `media.lock`.
    pub lock: Lock,
    /// What `bootscripts/` holds for iPXE.
    pub bootscripts: Bootscripts,
}

/// Reads everything.
///
/// # Errors
/// [`Kind::Config`] with file, line and reason; [`Kind::Usage`] where there is no repository.
pub fn load(ctx: &Ctx) -> Result<Loaded> {
    ctx.require_repository()?;
    read(&ctx.root)
}

/// Reads everything below `root`.
///
/// # Errors
/// As [`load`].
pub fn read(root: &Utf8Path) -> Result<Loaded> {
    let mut config = Config::parse(&text(&root.join("media.toml"))?)?;
    for profile in config.profiles_mut() {
        profile.overlay = list(&root.join("isofs").join(&profile.name))?;
        // Scripts and cloud-configs of single machines are for `serve`; an ISO is for any.
        profile.overlay.retain(|f| !f.starts_with("machines/"));
        if let Some(file) = profile.cloud_config.as_ref().filter(|f| !root.join(f).is_file()) {
            return Err(Failure::new(
                Kind::Config,
                format!("profile.{}: no such file: {file}", profile.name),
            )
            .into());
        }
    }
    let lock = Lock::parse(&text(&root.join("media.lock"))?)
        .map_err(|e| Failure::new(Kind::Config, "media.lock cannot be read").source(e))?;
    let bootscripts = Bootscripts {
        patches: below(root, "bootscripts/patches", "patch")?,
        config: below(root, "bootscripts/config", "h")?,
        // A script that is missing is named by the node that reads it; what needs no iPXE goes on without one.
        embed_length: std::fs::metadata(root.join("bootscripts/embed.ipxe")).map_or(0, |m| m.len()) as usize,
    };
    Ok(Loaded { config, lock, bootscripts })
}

/// What the Docker system in the repository at `root` is made of. Sources alone: tests and their records make nothing.
///
/// # Errors
/// [`Kind::Config`] when Cargo.lock or a manifest cannot be read.
pub fn docker_sources(root: &Utf8Path) -> Result<docker::Sources> {
    let mut program = vec!["Cargo.lock".to_owned()];
    let mut manifests = Vec::new();
    for krate in ["crates/bootparams", "crates/hostconf"] {
        let manifest = format!("{krate}/Cargo.toml");
        // A copy of what people edit has no sources.
        if root.join(&manifest).is_file() {
            manifests.push(text(&root.join(&manifest))?);
        }
        program.push(manifest);
        let files = below(root, &format!("{krate}/src"), "rs")?;
        program.extend(files.into_iter().filter(|f| !f.ends_with("/tests.rs")));
    }
    program.retain(|f| root.join(f).is_file());
    let lock = if manifests.is_empty() { String::new() } else { text(&root.join("Cargo.lock"))? };
    let crates = crates::behind(&lock, manifests.iter().map(String::as_str))
        .explain(Kind::Config, || "Cargo.lock or a manifest of crates/ cannot be read".to_owned())?;
    let files = list(&root.join("isofs/docker/system"))?;
    let root = files.into_iter().map(|f| format!("isofs/docker/system/{f}")).collect();
    Ok(docker::Sources { root, program, crates, ..docker::Sources::default() })
}

fn text(path: &Utf8Path) -> Result<String> {
    if !path.exists() {
        return Err(Failure::new(Kind::Config, format!("no such file: {path}"))
            .help("it belongs to the repository: `git restore` brings it back")
            .into());
    }
    regular::read_text(path, TEXT_LIMIT).explain(Kind::Config, || format!("cannot read {path}"))
}

fn list(dir: &Utf8Path) -> Result<Vec<String>> {
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    Ok(paths::listed(dir)?.into_iter().map(camino::Utf8PathBuf::into_string).collect())
}

fn below(root: &Utf8Path, dir: &str, extension: &str) -> Result<Vec<String>> {
    let mut files = list(&root.join(dir))?;
    files.retain(|f| f.rsplit_once('.').is_some_and(|(_, e)| e == extension));
    Ok(files.into_iter().map(|f| format!("{dir}/{f}")).collect())
}
