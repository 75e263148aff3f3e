//! `cargo xtask variants`: many ISOs of one profile that differ in their kernel parameters alone.
//!
//! Each is what `dist` would make of these parameters, byte for byte. They share everything up to the loaders' files at
//! the end, which is copied inside the kernel and hashed once.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use super::build::{Build, Selection, show};
use bootparams::{Param, Params};
use buildexec::{
    action::NodeRun,
    ctx::Ctx,
    hash::Sums,
    run::read_limited,
    schedule,
    store::{Store, in_scratch},
    tree,
};
use buildplan::{Artifact, Keys, NodeId};
use failure::{Explain as _, Failure, Kind};
use mediabuild::workspace::{load, preflight};
use mediaplan::{
    config::{Engine, Profile},
    stage::{line::Line, needs},
};
use report::table::count;

/// A list of variants is not longer.
const LIST: u64 = 16 << 20;

/// Arguments of `variants`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n\
\x20 cargo xtask variants smoke --set 'quiet panic=10' --set 'panic=30' --to out\n\
\x20 cargo xtask variants smoke --append --from list.txt --to out  # NAME: WORDS")]
pub struct VariantsArgs {
    /// Profile [default: default-profile in media.toml].
    pub profile: Option<String>,
    /// Kernel parameters of one variant; `NAME: ` in front names its file.
    #[arg(long, value_name = "PARAMETERS", required_unless_present = "from")]
    pub set: Vec<String>,
    /// File with one variant per line, as in --set; `#` begins a comment.
    #[arg(long, value_name = "FILE", required_unless_present = "set")]
    pub from: Option<Utf8PathBuf>,
    /// Append the parameters to the profile's instead of replacing them.
    #[arg(long)]
    pub append: bool,
    /// Folder for the images, SHA256SUMS and SHA512SUMS.
    #[arg(long, value_name = "DIR")]
    pub to: Utf8PathBuf,
    /// Overwrite existing files.
    #[arg(long)]
    pub force: bool,
    /// Look for release files here before downloading.
    #[arg(long, value_name = "DIR")]
    pub artifacts: Option<Utf8PathBuf>,
}

/// One image to make.
struct Variant {
    /// The name of its file; none is named by its number.
    name: Option<String>,
    params: String,
}

/// One image as it was made.
#[derive(Serialize)]
struct WrittenVariant<'a> {
    file: &'a str,
    params: &'a str,
    size: u64,
    sha256: String,
    sha512: &'a str,
}

/// Makes the images.
///
/// # Errors
/// When parameters have errors, files are there already, or an image cannot be made. None of the new files is left then.
pub(crate) fn run(ctx: &Ctx, args: &VariantsArgs) -> Result<()> {
    let variants = wanted(args)?;
    let loaded = load::load(ctx)?;
    let profile = loaded.config.profile(args.profile.as_deref())?;
    preflight::check(ctx, &needs::dist(&profile.media, Engine::Prebuilt), false)?;
    let lines = lines(ctx, profile, &variants, args.append)?;
    let selection = Selection {
        artifacts: args.artifacts.clone(),
        engine: Some(Engine::Prebuilt),
        ..Selection::default()
    };
    let build = Build::variants(ctx, &loaded, profile, &selection, &lines)?;
    let names = names(&variants, profile, &build.planned.version)?;
    check_free(args, &names)?;
    let store = Store::open(&ctx.work, &ctx.report, &ctx.runner.interrupt)?;
    let sums = make(ctx, &build, &store, &args.to, &names)?;
    let made: Vec<WrittenVariant<'_>> = (names.iter().zip(&variants).zip(&sums))
        .map(|((file, variant), sums)| WrittenVariant {
            file,
            params: &variant.params,
            size: sums.size,
            sha256: sums.sha256.to_string(),
            sha512: sums.sha512.as_deref().unwrap_or_default(),
        })
        .collect();
    if ctx.globals.json {
        ctx.report.out_json(&made);
    } else {
        let line = |m: &WrittenVariant<'_>| format!("{}  {}\n", &m.sha256[..12], args.to.join(m.file));
        ctx.report.out(&made.iter().map(line).collect::<String>());
    }
    Ok(())
}

/// What was asked for, on the command line and in the file.
fn wanted(args: &VariantsArgs) -> Result<Vec<Variant>> {
    let mut variants: Vec<Variant> = args.set.iter().map(|text| Variant::parse(text)).collect();
    if let Some(path) = &args.from {
        let text = String::from_utf8(read_limited(path, LIST)?)
            .explain(Kind::Input, || format!("{path} is not UTF-8"))?;
        let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
        variants.extend(lines.map(Variant::parse));
    }
    if variants.is_empty() {
        return Err(Failure::new(Kind::Usage, "no variant is given")
            .help("add one with --set, or one per line in a file for --from")
            .into());
    }
    Ok(variants)
}

impl Variant {
    /// A first word that ends in a colon is a name, unless it is a parameter with a value: `ip=…:` may end so.
    fn parse(text: &str) -> Self {
        let text = text.trim();
        let (first, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        match first.strip_suffix(':').filter(|name| !name.is_empty() && !name.contains('=')) {
            Some(name) => Self { name: Some(name.to_owned()), params: rest.trim().to_owned() },
            None => Self { name: None, params: text.to_owned() },
        }
    }
}

/// Renders the parameters of each, and has them checked as `dist` does.
fn lines(ctx: &Ctx, profile: &Profile, variants: &[Variant], append: bool) -> Result<Vec<Line>> {
    let (mut lines, mut errors) = (Vec::new(), 0);
    for (number, variant) in variants.iter().enumerate() {
        let mut profile = profile.clone();
        if !append {
            profile.params = Params::default();
        }
        if !variant.params.is_empty() {
            profile.params.0.push(Param::Verbatim(variant.params.clone()));
        }
        let line = Line::new(&profile, None)?;
        let name = variant.name.clone().unwrap_or_else(|| format!("variant {}", number + 1));
        errors += show(ctx, &name, &bootparams::masked(&line.shown(), profile.os), &line.check());
        lines.push(line);
    }
    if errors == 0 {
        return Ok(lines);
    }
    let text = format!("{} in the parameters; nothing is written", count(errors, "error"));
    Err(Failure::new(Kind::Params, text).help("docs/params.md explains each code").into())
}

/// The files' names, each once.
fn names(variants: &[Variant], profile: &Profile, version: &str) -> Result<Vec<String>> {
    let width = variants.len().to_string().len();
    let mut names = Vec::new();
    for (number, variant) in variants.iter().enumerate() {
        names.push(match &variant.name {
            Some(name) => format!("{}.iso", checked(name)?),
            None => format!("{}-{version}-{:0width$}-x86_64.iso", profile.name, number + 1),
        });
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(*name)) {
        return Err(Failure::new(Kind::Usage, format!("two variants would be written to {twice}")).into());
    }
    Ok(names)
}

fn checked(name: &str) -> Result<&str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.chars().all(plain) && !name.starts_with(['.', '-']) && name.len() <= 200 {
        return Ok(name);
    }
    let text = format!("`{}` is not a name for a variant's file", failure::shown(name));
    Err(Failure::new(Kind::Usage, text).help("a name has letters, digits, `-`, `_` and `.`").into())
}

fn check_free(args: &VariantsArgs, names: &[String]) -> Result<()> {
    let all = names.iter().map(String::as_str).chain(["SHA256SUMS", "SHA512SUMS"]);
    let there = all.map(|name| args.to.join(name)).find(|path| path.symlink_metadata().is_ok());
    match there.filter(|_| !args.force) {
        Some(path) => Err(Failure::new(Kind::Usage, format!("{path} already exists"))
            .help("--force overwrites it")
            .into()),
        None => Ok(()),
    }
}

/// Builds what the images have in common, then each image beside `to`, and moves them in at the end.
fn make(ctx: &Ctx, build: &Build<'_>, store: &Store, to: &Utf8Path, names: &[String]) -> Result<Vec<Sums>> {
    let plan = &build.planned.plan;
    let isos: Vec<&Artifact> = build.planned.outputs.iter().map(|(_, iso)| iso).collect();
    let keys = build.keys()?;
    let parts: BTreeSet<NodeId> = isos.iter().flat_map(|iso| plan.node(iso.node).inputs()).collect();
    let parts: Vec<NodeId> = parts.into_iter().collect();
    schedule::execute(ctx, plan, &keys, &parts, build.epoch(), store)?;
    fs_err::create_dir_all(to).explain(Kind::Storage, || format!("cannot create {to}"))?;
    let scratch = tempfile::Builder::new().prefix(".variants-").tempdir_in(to)?;
    let scratch = Utf8Path::from_path(scratch.path()).context("the folder is not UTF-8")?;
    let image = |n: usize| write(ctx, build, &keys, isos[n], &scratch.join(n.to_string()));
    let sums = each(ctx, isos.len(), &image)?;
    let list = |digest: &dyn Fn(&Sums) -> String| -> String {
        names.iter().zip(&sums).map(|(name, sums)| format!("{}  {name}\n", digest(sums))).collect()
    };
    fs_err::write(scratch.join("SHA256SUMS"), list(&|s| s.sha256.to_string()))?;
    fs_err::write(scratch.join("SHA512SUMS"), list(&|s| s.sha512.clone().unwrap_or_default()))?;
    tree::readable_by_all(scratch)?;
    for (n, name) in names.iter().enumerate() {
        fs_err::rename(in_scratch(&scratch.join(n.to_string()), &isos[n].name), to.join(name))?;
    }
    for name in ["SHA256SUMS", "SHA512SUMS"] {
        fs_err::rename(scratch.join(name), to.join(name))?;
    }
    Ok(sums)
}

/// The first alone, which may have to hash the beginning; then the others, as many at once as there are processors.
fn each(ctx: &Ctx, count: usize, image: &(dyn Fn(usize) -> Result<Sums> + Sync)) -> Result<Vec<Sums>> {
    let made = Mutex::new(vec![image(0)]);
    made.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .resize_with(count, || Err(anyhow::anyhow!("not made")));
    let next = AtomicUsize::new(1);
    std::thread::scope(|scope| {
        for _ in 0..ctx.jobs().min(count) {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= count {
                        return;
                    }
                    let result = ctx.check_interrupt().and_then(|()| image(n));
                    if result.is_err() {
                        next.store(count, Ordering::Relaxed);
                    }
                    made.lock().unwrap_or_else(PoisonError::into_inner)[n] = result;
                }
            });
        }
    });
    made.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().collect()
}

/// Runs the node of an image in a folder of its own, which is not the store's.
fn write(ctx: &Ctx, build: &Build<'_>, keys: &Keys, iso: &Artifact, scratch: &Utf8Path) -> Result<Sums> {
    let node = NodeRun::new(ctx, &build.planned.plan, keys, iso.node, scratch, build.epoch());
    node.run()?;
    let path = in_scratch(scratch, &iso.name);
    node.hashed(&path).with_context(|| format!("{path} was not hashed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_word_with_a_colon_is_a_name_and_no_other_word_is() {
        let parsed = |text: &str| {
            let variant = Variant::parse(text);
            (variant.name, variant.params)
        };
        assert_eq!(parsed(" node1:  quiet a=b:c "), (Some("node1".to_owned()), "quiet a=b:c".to_owned()));
        assert_eq!(parsed("node1:"), (Some("node1".to_owned()), String::new()));
        assert_eq!(parsed("ip=::::h:: quiet"), (None, "ip=::::h:: quiet".to_owned()));
        assert_eq!(parsed("quiet node1: x"), (None, "quiet node1: x".to_owned()));
        assert_eq!(parsed(""), (None, String::new()));
    }

    #[test]
    fn a_name_leads_nowhere_else() {
        for bad in ["../x", "a/b", ".hidden", "-x", "a b", "ü"] {
            assert!(checked(bad).is_err(), "{bad}");
        }
        assert_eq!(checked("node-1.lab_2").unwrap(), "node-1.lab_2");
    }
}
