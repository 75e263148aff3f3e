//! `cargo xtask kargs`: kernel arguments and cloud-config of a finished image, changed in place.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use clap::{Args, Subcommand};

use crate::{
    ctx::Ctx,
    error::{Explain as _, Failure, Kind},
    exec::{run::read_limited, tree},
    iso::{
        Iso,
        kargs::{self, Edit, Flush, Plan, Slot, State},
        room::Loader,
    },
    params::{self, Context, Diagnostic, Os, Severity, Source, Target},
    plan::Digest,
    report::table::table,
};

/// Arguments of `kargs`.
#[derive(Args, Debug)]
pub struct KargsArgs {
    #[command(subcommand)]
    command: KargsCommand,
}

/// What to do with the arguments.
#[derive(Debug, Subcommand)]
enum KargsCommand {
    /// Print the kernel arguments of each loader, and the cloud-config in the image.
    Show {
        /// The image.
        iso: Utf8PathBuf,
    },
    /// Put words at the end.
    Append(WordsArgs),
    /// Remove words, each named exactly or by its key.
    Delete(WordsArgs),
    /// Give words another value: `key=new`, or `key=old=new` where a key is there more than once.
    Replace(WordsArgs),
    /// Put back arguments and cloud-config as they were built.
    Reset(TargetArgs),
    /// Put a cloud-config into the image's seed.
    EmbedConfig {
        /// The target.
        #[command(flatten)]
        target: TargetArgs,
        /// The cloud-config.
        file: Utf8PathBuf,
    },
}

/// An edit with words.
#[derive(Args, Debug)]
struct WordsArgs {
    /// The target.
    #[command(flatten)]
    target: TargetArgs,
    /// Words as the kernel reads them, each an argument of its own; `--` in front of one that starts with `-`.
    #[arg(required = true, value_name = "WORD")]
    words: Vec<String>,
}

/// The image to change, and where the result goes.
#[derive(Args, Debug)]
struct TargetArgs {
    /// The image; it is changed in place.
    iso: Utf8PathBuf,
    /// Write a changed copy here and leave the image; `-` is standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<Utf8PathBuf>,
    /// Bring SHA256SUMS and manifest.json beside the result up to date.
    #[arg(long)]
    update_sums: bool,
    /// Who reads the arguments, such as `rancheros-1.5.8`, where the image does not say it.
    #[arg(long)]
    os: Option<Os>,
    /// Write what the check calls an error all the same.
    #[arg(long)]
    force: bool,
}

/// Runs `kargs`.
///
/// # Errors
/// When the image is malformed, has no room, nothing matches, or it cannot be written.
pub fn run(ctx: &Ctx, args: &KargsArgs) -> Result<()> {
    let words = |w: &WordsArgs| w.words.clone();
    match &args.command {
        KargsCommand::Show { iso } => show(ctx, iso),
        KargsCommand::Append(w) => edit(ctx, &w.target, &Edit::Append(words(w))),
        KargsCommand::Delete(w) => edit(ctx, &w.target, &Edit::Delete(words(w))),
        KargsCommand::Replace(w) => edit(ctx, &w.target, &Edit::Replace(words(w))),
        KargsCommand::Reset(target) => edit(ctx, target, &Edit::Reset),
        KargsCommand::EmbedConfig { target, file } => {
            let config = String::from_utf8(read_limited(file, 1 << 20)?)
                .explain(Kind::Input, || format!("{file} is not UTF-8"))?;
            embed(ctx, target, &config)
        }
    }
}

fn embed(ctx: &Ctx, target: &TargetArgs, config: &str) -> Result<()> {
    let iso = Iso::open(&target.iso)?;
    let plan = kargs::embed(&iso, config)?;
    let found = params::cloud_config::check(config, reader(target, &plan.after));
    let text = params::cloud_config::masked(config);
    for diagnostic in &found {
        ctx.report.err_line(&Source { name: "cloud-config", text: &text }.show(diagnostic));
    }
    refuse(target, "cloud-config", found.iter())?;
    write(ctx, target, &iso, &plan)
}

/// Who reads the arguments: what the person says, else the image.
fn reader(target: &TargetArgs, state: &State) -> Os {
    target.os.or_else(|| state.os.as_ref()?.parse().ok()).unwrap_or(Os::Linux)
}

/// Stops at errors, unless they are forced.
fn refuse<'d>(target: &TargetArgs, of: &str, found: impl Iterator<Item = &'d Diagnostic>) -> Result<()> {
    let errors = found.filter(|d| d.severity() == Severity::Error).count();
    if errors == 0 || target.force {
        return Ok(());
    }
    let errors = if errors == 1 { "1 error".to_owned() } else { format!("{errors} errors") };
    let text = format!("{errors} in the {of}; nothing is written");
    Err(Failure::new(Kind::Params, text).help("--force writes it all the same").into())
}

fn show(ctx: &Ctx, path: &Utf8Path) -> Result<()> {
    let state = kargs::show(&Iso::open(path)?, None)?;
    if !state.agree {
        ctx.report.warn("the loaders do not say the same");
    }
    if ctx.globals.json {
        ctx.report.out_json(&state);
    } else {
        ctx.report.out(&text(&state));
    }
    Ok(())
}

fn text(state: &State) -> String {
    let row = |s: &Slot| vec![s.file.clone(), s.entry.clone(), s.args.clone()];
    let mut text = table(&["FILE", "ENTRY", "ARGUMENTS"], &state.slots.iter().map(row).collect::<Vec<_>>());
    match state.pristine {
        Some(true) => text += "\nas built\n",
        Some(false) => text += "\nchanged since it was built; `kargs reset` takes that back\n",
        None => {}
    }
    if let Some(config) = &state.cloud_config {
        text += &format!("\ncloud-config:\n{config}");
    }
    text
}

fn edit(ctx: &Ctx, target: &TargetArgs, edit: &Edit) -> Result<()> {
    let iso = Iso::open(&target.iso)?;
    let plan = kargs::plan(&iso, edit, target.os)?;
    if *edit != Edit::Reset {
        check(ctx, target, &kargs::show(&iso, target.os)?, &plan.after)?;
    }
    write(ctx, target, &iso, &plan)
}

/// Checks the lines as they will be. What was found in them before the edit is not said again.
fn check(ctx: &Ctx, target: &TargetArgs, before: &State, after: &State) -> Result<()> {
    let os = reader(target, after);
    let known: Vec<_> = found(before, os).into_iter().map(|(_, d)| (d.code.id, d.message)).collect();
    let is_new = |d: &Diagnostic| !known.iter().any(|(code, text)| *code == d.code.id && *text == d.message);
    let mut new = found(after, os);
    new.retain(|(_, d)| is_new(d));
    let name = target.iso.file_name().unwrap_or_default();
    for (line, diagnostic) in &new {
        // The line is its writer's own, so that nothing in it need be hidden on this terminal.
        ctx.report.err_line(&Source { name, text: line }.show(diagnostic));
    }
    refuse(target, "kernel arguments", new.iter().map(|(_, d)| d))
}

/// What is found in the lines of an image: one line where all loaders say the same.
fn found(state: &State, os: Os) -> Vec<(String, Diagnostic)> {
    let target = |s: &Slot| if s.loader == Loader::Grub { Target::Grub } else { Target::Isolinux };
    let each = |line: String, targets: Vec<Target>| {
        let context = Context { targets, on_medium: true, nics: Vec::new() };
        params::check(&line, os, &context).into_iter().map(|d| (line.clone(), d)).collect::<Vec<_>>()
    };
    if !state.agree {
        return state.slots.iter().flat_map(|s| each(s.line(), vec![target(s)])).collect();
    }
    let first = state.slots.iter().find(|s| s.loader == Loader::Isolinux).or(state.slots.first());
    let mut targets: Vec<_> = state.slots.iter().map(target).collect();
    targets.dedup();
    first.map(|s| each(s.line(), targets)).unwrap_or_default()
}

fn write(ctx: &Ctx, target: &TargetArgs, iso: &Iso, plan: &Plan) -> Result<()> {
    plan.stale.iter().for_each(|text| ctx.report.warn(text));
    let path = match &target.output {
        Some(o) if o == "-" => return plan.stream(iso, &mut |bytes| Ok(ctx.report.out_bytes(bytes)?)),
        Some(output) => {
            plan.copy(&target.iso, output)?;
            output
        }
        None => {
            plan.apply(&target.iso, Flush::Yes)?;
            &target.iso
        }
    };
    sums(ctx, path, target.update_sums)?;
    if ctx.globals.json {
        ctx.report.out_json(&plan.after);
    } else {
        ctx.report.note(format!("{path} is changed"));
    }
    Ok(())
}

/// Deals with the lists of digests beside an image: brings them up to date, or says that they are not.
///
/// The digest that SHA256SUMS has for the image is replaced wherever manifest.json has it, and then both digests
/// in SHA256SUMS, which lists manifest.json too.
fn sums(ctx: &Ctx, path: &Utf8Path, update: bool) -> Result<()> {
    let folder = path.parent().unwrap_or(Utf8Path::new(""));
    let Some(name) = path.file_name() else { return Ok(()) };
    let list = folder.join("SHA256SUMS");
    let Ok(mut sums) = fs_err::read_to_string(&list) else { return Ok(()) };
    let Some(old) = listed(&sums, name)? else { return Ok(()) };
    if !update {
        let text = format!("SHA256SUMS and manifest.json beside {path} no longer match it");
        ctx.report.warn(format!("{text}; --update-sums brings them up to date"));
        return Ok(());
    }
    let new = tree::digest(path)?.0.to_string();
    sums = sums.replace(&old, &new);
    let manifest = folder.join("manifest.json");
    if let Ok(text) = fs_err::read_to_string(&manifest) {
        let text = text.replace(&old, &new);
        replace_file(&manifest, &text)?;
        if let Some(old) = listed(&sums, "manifest.json")? {
            sums = sums.replace(&old, &Digest::of(text.as_bytes()).to_string());
        }
    }
    replace_file(&list, &sums)?;
    if folder.join("SHA256SUMS.minisig").exists() {
        ctx.report.warn(format!("the signature of {list} no longer matches it"));
    }
    Ok(())
}

/// The digest that SHA256SUMS has for a file.
fn listed(sums: &str, name: &str) -> Result<Option<String>> {
    let mut lines = sums.lines().filter_map(|l| l.split_once([' ', '\t']));
    let Some((digest, _)) = lines.find(|(_, n)| n.trim_start_matches([' ', '*']) == name) else {
        return Ok(None);
    };
    let digest: Digest =
        digest.parse().explain(Kind::Input, || format!("SHA256SUMS has no digest for {name}"))?;
    Ok(Some(digest.to_string()))
}

/// Writes beside, then renames.
fn replace_file(path: &Utf8Path, text: &str) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
    let cannot = || format!("cannot write {path}");
    let mut temp =
        tempfile::Builder::new().prefix(".sums-").tempfile_in(folder).explain(Kind::Storage, cannot)?;
    std::io::Write::write_all(&mut temp, text.as_bytes()).explain(Kind::Storage, cannot)?;
    let permissions = fs_err::metadata(path)?.permissions();
    temp.as_file().set_permissions(permissions).explain(Kind::Storage, cannot)?;
    temp.persist(path).map_err(|e| Failure::new(Kind::Storage, cannot()).source(e.error))?;
    Ok(())
}
