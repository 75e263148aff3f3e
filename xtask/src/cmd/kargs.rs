//! `cargo xtask kargs`: kernel arguments and cloud-config of a finished image, changed in place.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use clap::{Args, Subcommand};

use super::{
    kargs_lists::{Lists, RESET},
    pattern,
};
use bootiso::{
    Iso,
    embed::Loader,
    kargs::{self, Edit, Flush, ImageArgs, PreparedEdit, Slot, Unreached},
};
use bootparams::{Context, Diagnostic, Os, Severity, SourceText, Target};
use buildexec::ctx::Ctx;
use buildexec::run::read_limited;
use failure::{Explain as _, Failure, Kind};
use report::{fitted, table::count};

/// Arguments of `kargs`.
#[derive(Args, Debug)]
pub struct KargsArgs {
    #[command(subcommand)]
    command: KargsCommand,
}

/// Operation on the arguments.
#[derive(Debug, Subcommand)]
enum KargsCommand {
    /// Print the kernel arguments of each loader, and the cloud-config in the image.
    Show {
        /// ISO image to read or change.
        iso: Utf8PathBuf,
    },
    /// Append words.
    #[command(after_help = "Examples:\n\
\x20 cargo xtask kargs append some.iso quiet panic=10     # in place\n\
\x20 cargo xtask kargs append -o mine.iso some.iso quiet  # in a copy\n\
\x20 cargo xtask kargs append some.iso -- -v              # a word with a dash")]
    Append(WordsArgs),
    /// Remove words, given exactly or by their key.
    #[command(after_help = "Examples:\n\
\x20 cargo xtask kargs delete some.iso quiet console=ttyS0  # these words\n\
\x20 cargo xtask kargs delete some.iso console              # all of this key")]
    Delete(WordsArgs),
    /// Change values: `key=new`, or `key=old=new` for a key that occurs more than once.
    #[command(after_help = "Examples:\n\
\x20 cargo xtask kargs replace some.iso panic=30           # another value\n\
\x20 cargo xtask kargs replace some.iso console=tty1=tty0  # where it says tty1")]
    Replace(WordsArgs),
    /// Restore arguments and cloud-config as they were built.
    #[command(after_help = "Examples:\n\
\x20 cargo xtask kargs reset some.iso --update-sums  # and the lists beside it")]
    Reset(TargetArgs),
    /// Write a cloud-config into the image's config initrd.
    #[command(after_help = "Examples:\n\
\x20 cargo xtask kargs embed-config some.iso cloud-config.yml  # checked first")]
    EmbedConfig {
        /// The target.
        #[command(flatten)]
        target: TargetArgs,
        /// Cloud-config to embed.
        file: Utf8PathBuf,
    },
}

/// Options of an edit with words.
#[derive(Args, Debug)]
struct WordsArgs {
    /// The target.
    #[command(flatten)]
    target: TargetArgs,
    /// Kernel arguments, one word each; put `--` before words that start with `-`.
    #[arg(required = true, value_name = "WORD")]
    words: Vec<String>,
}

/// The image to change, and the destination.
#[derive(Args, Clone, Debug)]
struct TargetArgs {
    /// ISO image; changed in place without --output.
    iso: Utf8PathBuf,
    /// Write a changed copy here and leave the image unchanged; `-` is standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<Utf8PathBuf>,
    /// Update the checksums, manifest, SBOM and provenance beside the result.
    ///
    /// `verify` still reports that the parameters are not the profile's. `kargs reset --update-sums` restores
    /// everything.
    #[arg(long)]
    update_sums: bool,
    /// OS that reads the arguments, such as `rancheros-1.5.8`, if the image does not say.
    #[arg(long)]
    os: Option<Os>,
    /// Write despite errors and probable typos, and overwrite the --output file.
    #[arg(long)]
    force: bool,
}

impl TargetArgs {
    /// With the image that a pattern means.
    fn located(&self) -> Result<Self> {
        Ok(Self { iso: pattern::one(&self.iso)?, ..self.clone() })
    }
}

/// Runs `kargs`.
///
/// # Errors
/// When the image is malformed, has no space left, nothing matches, or it cannot be written. [`Kind::Incomplete`] when some
/// entries could not be changed with the others.
pub(crate) fn run(ctx: &Ctx, args: &KargsArgs) -> Result<()> {
    match &args.command {
        KargsCommand::Show { iso } => show(ctx, &pattern::one(iso)?),
        KargsCommand::Append(w) => edit(ctx, &w.target, &Edit::Append(words(w)?)),
        KargsCommand::Delete(w) => edit(ctx, &w.target, &Edit::Delete(words(w)?)),
        KargsCommand::Replace(w) => edit(ctx, &w.target, &Edit::Replace(words(w)?)),
        KargsCommand::Reset(target) => edit(ctx, target, &Edit::Reset),
        KargsCommand::EmbedConfig { target, file } => {
            let bytes = read_limited(file, 1 << 20)?;
            let config = bootparams::cloud_config::text(&bytes)
                .explain(Kind::Input, || format!("{file} is not a cloud-config"))?;
            embed(ctx, target, config)
        }
    }
}

/// The words, none of which is a file's name: where a shell's `*.iso` stands for two images, the second one would
/// become an argument of the first one's kernel.
fn words(args: &WordsArgs) -> Result<Vec<String>> {
    let file = args.words.iter().find(|w| Utf8Path::new(w).is_file());
    if let Some(file) = file.filter(|_| !args.target.force) {
        let text = format!("`{file}` is a file here, but kernel arguments are expected");
        return Err(Failure::new(Kind::Usage, text)
            .help("name one image: a pattern such as `*.iso` may stand for more; --force takes it as a word")
            .into());
    }
    Ok(args.words.clone())
}

fn embed(ctx: &Ctx, target: &TargetArgs, config: &str) -> Result<()> {
    let target = &target.located()?;
    let iso = Iso::open(&target.iso)?;
    let plan = kargs::embed(&iso, config)?;
    let found = bootparams::cloud_config::check(config, reader(target, &plan.after));
    let text = bootparams::cloud_config::masked(config);
    for diagnostic in &found {
        ctx.report.err_line(&SourceText { name: "cloud-config", text: &text }.show(diagnostic));
    }
    refuse(target, "cloud-config", found.iter())?;
    write(ctx, target, &iso, &plan)
}

/// Who reads the arguments: what the person says, else the image.
fn reader(target: &TargetArgs, state: &ImageArgs) -> Os {
    target.os.or_else(|| state.os.as_ref()?.parse().ok()).unwrap_or(Os::Linux)
}

/// Fails on errors and probable typos, unless forced.
fn refuse<'d>(target: &TargetArgs, of: &str, found: impl Iterator<Item = &'d Diagnostic>) -> Result<()> {
    let (mut errors, mut misses) = (0, 0);
    for diagnostic in found {
        errors += usize::from(diagnostic.severity() == Severity::Error);
        misses += usize::from(diagnostic.is_near_miss());
    }
    let what = match (errors, misses) {
        _ if target.force => return Ok(()),
        (0, 0) => return Ok(()),
        (0, _) => "a key is probably misspelled".to_owned(),
        (n, _) => count(n, "error"),
    };
    let text = format!("{what} in the {of}; nothing is written");
    Err(Failure::new(Kind::Params, text).help("--force writes it anyway").into())
}

fn show(ctx: &Ctx, path: &Utf8Path) -> Result<()> {
    let state = kargs::show(&Iso::open(path)?, None)?;
    if !state.agree {
        ctx.report.warn("the loaders disagree");
    }
    if ctx.globals.json {
        ctx.report.out_json(&state);
    } else {
        ctx.report.out(&text(&state));
    }
    Ok(())
}

fn text(state: &ImageArgs) -> String {
    let row = |s: &Slot| vec![s.file.clone(), s.entry.clone(), in_one_line(&s.args)];
    let rows: Vec<_> = state.slots.iter().map(row).collect();
    let mut text =
        if rows.is_empty() { String::new() } else { fitted(&["FILE", "ENTRY", "ARGUMENTS"], &rows) };
    match state.pristine {
        Some(true) => text += "\nas built\n",
        Some(false) => text += "\nchanged since it was built; `kargs reset` undoes that\n",
        None => {}
    }
    if !state.unreached.is_empty() {
        text += if rows.is_empty() { "" } else { "\n" };
        text += "not changed by `kargs`:\n";
        state.unreached.iter().for_each(|u| text += &format!("  {}\n", described(u)));
    }
    if let Some(config) = &state.cloud_config {
        text += &format!("\ncloud-config:\n{config}");
    }
    text
}

/// Arguments that GRUB's shell has on several lines, each but the last with a backslash at its end.
fn in_one_line(args: &str) -> String {
    let lines = args.lines().map(|line| line.trim_end().trim_end_matches('\\').trim());
    if args.contains('\n') { lines.collect::<Vec<_>>().join(" ") } else { args.to_owned() }
}

/// A place for a person, in one line.
fn described(place: &Unreached) -> String {
    let entry = if place.entry.is_empty() { String::new() } else { format!(" ({})", place.entry) };
    let args = place.args.as_deref().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    let args = if args.is_empty() { String::new() } else { format!(": `{args}`") };
    let text = format!("{}{entry}: {}{args}", place.file, place.reason);
    // An image may have control sequences in its names.
    text.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect()
}

fn edit(ctx: &Ctx, target: &TargetArgs, edit: &Edit) -> Result<()> {
    let target = &target.located()?;
    let iso = Iso::open(&target.iso)?;
    let plan = kargs::plan(&iso, edit, target.os)?;
    for word in &plan.unmatched {
        ctx.report.warn(format!("no kernel argument of the image matches `{word}`"));
    }
    if *edit != Edit::Reset {
        check(ctx, target, &kargs::show(&iso, target.os)?, &plan.after)?;
    }
    write(ctx, target, &iso, &plan)
}

/// Checks the new lines; remarks on the old ones are not repeated.
fn check(ctx: &Ctx, target: &TargetArgs, before: &ImageArgs, after: &ImageArgs) -> Result<()> {
    let os = reader(target, after);
    let known: Vec<_> = found(before, os).into_iter().map(|(_, d)| (d.code.id, d.message)).collect();
    let is_new = |d: &Diagnostic| !known.iter().any(|(code, text)| *code == d.code.id && *text == d.message);
    let mut new = found(after, os);
    new.retain(|(_, d)| is_new(d));
    let name = target.iso.file_name().unwrap_or_default();
    for (line, diagnostic) in &new {
        let text = &bootparams::masked(line, os);
        ctx.report.err_line(&SourceText { name, text }.show(diagnostic));
    }
    refuse(target, "kernel arguments", new.iter().map(|(_, d)| d))
}

/// What is found in the lines of an image: one line where all loaders say the same.
fn found(state: &ImageArgs, os: Os) -> Vec<(String, Diagnostic)> {
    let target = |s: &Slot| if s.loader == Loader::Grub { Target::Grub } else { Target::Isolinux };
    let each = |line: String, targets: Vec<Target>| {
        let context = Context { targets, on_medium: true, nics: Vec::new(), secure_boot: os.locks_down() };
        bootparams::check(&line, os, &context).into_iter().map(|d| (line.clone(), d)).collect::<Vec<_>>()
    };
    let mut found: Vec<_> = if state.agree {
        let first = state.slots.iter().find(|s| s.loader == Loader::Isolinux).or(state.slots.first());
        let mut targets: Vec<_> = state.slots.iter().map(target).collect();
        targets.dedup();
        first.map(|s| each(s.line(), targets)).unwrap_or_default()
    } else {
        state.slots.iter().flat_map(|s| each(s.line(), vec![target(s)])).collect()
    };
    if os == Os::Linux {
        found.extend(state.slots.iter().flat_map(|s| near_misses(s.line())));
    }
    found
}

/// Where the system that reads the arguments is not given, words that only RancherOS reads say it.
fn near_misses(line: String) -> Vec<(String, Diagnostic)> {
    let Ok(os) = "rancheros-1.5.8".parse() else { return Vec::new() };
    let context = Context { on_medium: true, ..Context::default() };
    let found = bootparams::check(&line, os, &context).into_iter().filter(Diagnostic::is_near_miss);
    found.filter(|d| line[d.span.clone()].starts_with("rancher.")).map(|d| (line.clone(), d)).collect()
}

fn write(ctx: &Ctx, target: &TargetArgs, iso: &Iso, plan: &PreparedEdit) -> Result<()> {
    plan.stale.iter().for_each(|text| ctx.report.warn(text));
    plan.unreached.iter().for_each(|place| ctx.report.warn(format!("not changed: {}", described(place))));
    if plan.is_empty() && !plan.unreached.is_empty() {
        return Err(incomplete(plan, "nothing is written"));
    }
    let path = target.output.as_ref().unwrap_or(&target.iso);
    let lists = if path == "-" { None } else { Lists::beside(path)? };
    let lists_that_follow =
        lists.as_ref().filter(|_| target.update_sums && plan.after.pristine == Some(true));
    let reset = match lists_that_follow {
        Some(lists) => lists.vouch(ctx, plan.changed(iso)?)?,
        None => RESET,
    };
    match &target.output {
        Some(o) if o == "-" => plan.stream(iso, &mut |bytes| ctx.report.out_bytes(bytes))?,
        Some(output) => {
            if !target.force && fs_err::symlink_metadata(output).is_ok() {
                let text = format!("{output} already exists");
                return Err(Failure::new(Kind::Usage, text).help("--force overwrites it").into());
            }
            plan.copy(&target.iso, output)?;
        }
        None => plan.apply(&target.iso, Flush::Yes)?,
    }
    if let Some(lists) = lists {
        lists.follow(ctx, target.update_sums)?;
    }
    if path != "-" {
        done(ctx, target, plan, (path, reset));
    }
    if plan.unreached.is_empty() { Ok(()) } else { Err(incomplete(plan, "all others were")) }
}

/// The places that an edit did not reach were named; the exit code says so.
fn incomplete(plan: &PreparedEdit, rest: &str) -> anyhow::Error {
    let text = format!("{} could not be changed; {rest}", count(plan.unreached.len(), "place"));
    Failure::new(Kind::Incomplete, text)
        .help("how the image is booted decides which arguments apply; rebuild it to change these places, too")
        .into()
}

fn done(ctx: &Ctx, target: &TargetArgs, plan: &PreparedEdit, (path, reset): (&Utf8Path, &str)) {
    if ctx.globals.json {
        ctx.report.out_json(&plan.after);
    } else {
        let done = match (&target.output, plan.after.pristine) {
            (_, Some(true)) => reset,
            (Some(_), _) => "is written",
            (None, _) => "is changed",
        };
        ctx.report.note(format!("{path} {done}"));
    }
}
