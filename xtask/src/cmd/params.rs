//! `cargo xtask params`: the kernel's command line, read as the OS will read it.

use std::io::Read as _;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::render_system;
use bootparams::{Context, Diagnostic, Os, Severity, SourceText, Target, cloud_config, host, schema};
use buildexec::ctx::Ctx;
use failure::{Explain as _, Failure, Kind};
use mediabuild::workspace::load;
use mediaplan::config::Profile;
use mediaplan::stage::line::Line;
use report::table::count;

/// Arguments of `params`.
#[derive(Args, Debug)]
pub struct ParamsArgs {
    /// Operation on the parameters.
    #[command(subcommand)]
    action: ParamsCommand,
}

#[derive(Debug, Subcommand)]
enum ParamsCommand {
    /// Check parameters and cloud-config; explain each problem, its effect and the fix.
    Check(LineInput),
    /// Print the resulting OS configuration as YAML, with defaults marked.
    Explain(LineInput),
    /// List the known keys: type, versions, default.
    List(ListArgs),
    /// Read command lines from standard input; print the parsed result, one JSON tree per line.
    ///
    /// A line that crashes the parser gives "PANIC", one that it never finishes "HANG". With --json a
    /// float stays one: 1e5 is 100000.0, and NaN is {"float":"NaN"}.
    Parse(ParseArgs),
    /// Write the files that the Docker system generates from parameters and cloud-configs, using its own program.
    RenderSystem(render_system::RenderArgs),
}

/// The parameters to work on.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n\
\x20 cargo xtask params check                                  # the default one\n\
\x20 cargo xtask params check --os docker-1 --line 'quiet panic=5'  # a line\n\
\x20 cargo xtask params explain rancheros                      # what it means")]
struct LineInput {
    /// Profile [default: default-profile in media.toml].
    profile: Option<String>,
    /// Kernel command line to use instead of a profile's.
    #[arg(long, requires = "os", conflicts_with = "profile", allow_hyphen_values = true)]
    line: Option<String>,
    /// OS that reads the line: `rancheros-1.5.8`, `burmillaos-1.9.3`, `docker-1`, `smoke`, `linux`.
    #[arg(long, requires = "line")]
    os: Option<Os>,
}

#[derive(Args, Debug)]
struct ListArgs {
    /// Only keys whose name or description contains this.
    pattern: Option<String>,
    /// Only keys of this OS, with its defaults.
    #[arg(long)]
    os: Option<Os>,
}

#[derive(Args, Debug)]
struct ParseArgs {
    /// OS whose parser to use: `rancheros-1.5.8`, `burmillaos-1.9.3`, `docker-1`, `smoke`, `linux`.
    #[arg(long)]
    os: Os,
}

/// Runs `params`.
///
/// # Errors
/// [`Kind::Params`] for errors in the parameters; errors reading files.
pub(crate) fn run(ctx: &Ctx, args: &ParamsArgs) -> Result<()> {
    match &args.action {
        ParamsCommand::Check(subject) => check(ctx, subject),
        ParamsCommand::Explain(subject) => explain(ctx, subject),
        ParamsCommand::List(args) => {
            list(ctx, args);
            Ok(())
        }
        ParamsCommand::Parse(args) => parse(ctx, args),
        ParamsCommand::RenderSystem(args) => render_system::run(ctx, args),
    }
}

/// A text and what was found in it.
struct Checked {
    name: String,
    /// With secrets hidden.
    text: String,
    found: Vec<Diagnostic>,
}

fn check(ctx: &Ctx, subject: &LineInput) -> Result<()> {
    let checked = match (&subject.line, subject.os) {
        (Some(line), Some(os)) => {
            let context = Context {
                targets: Target::ALL.to_vec(),
                on_medium: true,
                nics: Vec::new(),
                secure_boot: os.locks_down(),
            };
            let found = bootparams::check(line, os, &context);
            vec![Checked { name: os.to_string(), text: bootparams::masked(line, os), found }]
        }
        _ => {
            let loaded = load::load(ctx)?;
            check_profile(ctx, loaded.config.profile(subject.profile.as_deref())?)?
        }
    };
    show(ctx, &checked)
}

fn check_profile(ctx: &Ctx, profile: &Profile) -> Result<Vec<Checked>> {
    let line = Line::new(profile, None)?;
    let name = format!("profile {}, on {}", profile.name, profile.os);
    let text = bootparams::masked(&line.shown(), profile.os);
    let mut checked = vec![Checked { name, text, found: line.check() }];
    if let Some(file) = &profile.cloud_config {
        let text = read_cloud_config(ctx, file)?;
        let found = cloud_config::check(&text, profile.os);
        checked.push(Checked { name: file.clone(), text: cloud_config::masked(&text), found });
    }
    Ok(checked)
}

/// The text of a profile's cloud-config.
///
/// # Errors
/// When it cannot be read, or is not text: says what it is instead.
pub(super) fn read_cloud_config(ctx: &Ctx, file: &str) -> Result<String> {
    let bytes = fs_err::read(ctx.root.join(file)).explain(Kind::Config, || format!("cannot read {file}"))?;
    let text =
        cloud_config::text(&bytes).explain(Kind::Config, || format!("{file} is not a cloud-config"))?;
    Ok(text.to_owned())
}

/// Prints diagnostics and fails when there are errors among them.
fn show(ctx: &Ctx, checked: &[Checked]) -> Result<()> {
    let sources = checked.iter().map(|c| (SourceText { name: &c.name, text: &c.text }, &c.found));
    if ctx.globals.json {
        let reports: Vec<_> = sources.flat_map(|(s, found)| found.iter().map(move |d| s.report(d))).collect();
        ctx.report.out_json(&reports);
    } else {
        let texts: Vec<String> =
            sources.flat_map(|(s, found)| found.iter().map(move |d| s.show(d))).collect();
        if !texts.is_empty() {
            ctx.report.out(&texts.join("\n"));
        }
    }
    let found = || checked.iter().flat_map(|c| &c.found);
    let of = |severity| found().filter(|d| d.severity() == severity).count();
    let (errors, warnings) = (of(Severity::Error), of(Severity::Warning));
    if errors > 0 {
        let message = format!("{}, {} in the parameters", count(errors, "error"), count(warnings, "warning"));
        return Err(Failure::new(Kind::Params, message).help("docs/params.md explains each code").into());
    }
    ctx.report.note(format!("no errors, {}", count(warnings, "warning")));
    Ok(())
}

fn explain(ctx: &Ctx, subject: &LineInput) -> Result<()> {
    let (line, os) = match (&subject.line, subject.os) {
        (Some(line), Some(os)) => (line.clone(), os),
        _ => {
            let loaded = load::load(ctx)?;
            let profile = loaded.config.profile(subject.profile.as_deref())?;
            (Line::new(profile, None)?.shown(), profile.os)
        }
    };
    let yaml =
        bootparams::explain(&line, os).explain(Kind::Params, || format!("{os} crashes on this line"))?;
    if ctx.globals.json {
        ctx.report.out_json(&serde_json::json!({ "os": os, "yaml": yaml }));
    } else if yaml.is_empty() {
        ctx.report.note(format!("this line sets nothing in the configuration of {os}"));
    } else {
        ctx.report.out(&yaml);
    }
    Ok(())
}

/// A key for people and scripts.
#[derive(Serialize)]
struct ListedKey {
    key: String,
    #[serde(rename = "type")]
    ty: &'static str,
    since: String,
    until: Option<String>,
    on_line: &'static str,
    default: Option<String>,
    about: &'static str,
}

/// The keys of `docker-1`, whose table is its own.
fn list_host(ctx: &Ctx, pattern: &str) {
    let wanted = |k: &host::SystemKey| [k.path, k.about].iter().any(|t| t.to_lowercase().contains(pattern));
    let keys: Vec<host::SystemKey> = host::keys().into_iter().filter(wanted).collect();
    if ctx.globals.json {
        return ctx.report.out_json(&keys);
    }
    let row = |k: host::SystemKey| [k.path, k.ty, k.example, k.about].map(str::to_owned).to_vec();
    let rows: Vec<Vec<String>> = keys.into_iter().map(row).collect();
    show_keys(ctx, &["KEY", "TYPE", "EXAMPLE", "WHAT IT IS"], &rows, pattern);
}

/// Says that no key matches, where a table would only have a head.
fn show_keys(ctx: &Ctx, head: &[&str], rows: &[Vec<String>], pattern: &str) {
    if rows.is_empty() {
        return ctx.report.note(format!("no key has `{pattern}` in its name or description"));
    }
    ctx.report.out_table(head, rows);
}

fn list(ctx: &Ctx, args: &ListArgs) {
    let pattern = args.pattern.as_deref().unwrap_or_default().to_lowercase();
    if args.os == Some(Os::Docker) {
        return list_host(ctx, &pattern);
    }
    let wanted = |k: &schema::Key| {
        args.os.is_none_or(|os| k.known_to(os))
            && (k.path.to_lowercase().contains(&pattern) || k.row.about.to_lowercase().contains(&pattern))
    };
    // Without an OS the newest default is shown.
    let newest = Os::Burmilla(bootparams::Version::new(2, 0, 5));
    let listed: Vec<ListedKey> = schema::keys()
        .into_iter()
        .filter(wanted)
        .map(|k| ListedKey {
            ty: k.row.ty.name(),
            since: k.row.since.to_string(),
            until: k.row.until.map(|v| v.to_string()),
            on_line: k.row.on_line.name(),
            default: k.default(args.os.unwrap_or(newest)).map(str::to_owned),
            about: k.row.about,
            key: k.path,
        })
        .collect();
    if ctx.globals.json {
        return ctx.report.out_json(&listed);
    }
    let rows: Vec<Vec<String>> = listed
        .into_iter()
        .map(|l| {
            let (until, default) = (l.until.unwrap_or_default(), l.default.unwrap_or_default());
            vec![l.key, l.ty.to_owned(), l.since, until, l.on_line.to_owned(), default, l.about.to_owned()]
        })
        .collect();
    let head = ["KEY", "TYPE", "SINCE", "UNTIL", "ON THE LINE", "DEFAULT", "WHAT IT IS"];
    show_keys(ctx, &head, &rows, &pattern);
}

fn parse(ctx: &Ctx, args: &ParseArgs) -> Result<()> {
    let mut bytes = Vec::new();
    std::io::stdin()
        .lock()
        .read_to_end(&mut bytes)
        .explain(Kind::Input, || "cannot read lines".to_owned())?;
    let mut out = String::new();
    for line in String::from_utf8_lossy(&bytes).split_terminator('\n') {
        match bootparams::parse_alone(line, args.os) {
            Ok(tree) if ctx.globals.json => out += &tree.to_typed_json(),
            Ok(tree) => out += &tree.to_json(),
            Err(crash) => out += &format!("\"{}\"", crash.word()),
        }
        out.push('\n');
    }
    ctx.report.out_bytes(out.as_bytes())
}
