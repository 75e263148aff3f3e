//! `cargo xtask params render-system`: the files that the Docker system makes of its parameters, made here.

use anyhow::Result;
use bootparams::Os;
use buildexec::ctx::Ctx;
use camino::Utf8PathBuf;
use clap::Args;
use failure::{Explain as _, Failure, Kind};
use hostconf::{ConfigInput, Owners, compile};
use mediabuild::workspace::load;
use mediaplan::stage::line::Line;
use report::table::count;

/// Arguments of `params render-system`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n\
\x20 cargo xtask params render-system docker --to out               # of a profile\n\
\x20 cargo xtask params render-system --cloud-config c.yml --to out  # of a file")]
pub(super) struct RenderArgs {
    /// Profile of media.toml whose `os` is `docker-1`.
    #[arg(required_unless_present_any = ["line", "cloud_config"])]
    profile: Option<String>,
    /// Kernel command line to use instead of a profile's.
    #[arg(long, conflicts_with = "profile", allow_hyphen_values = true)]
    line: Option<String>,
    /// Cloud-config to use instead of a profile's (repeatable; later ones override earlier ones).
    #[arg(long, value_name = "FILE", conflicts_with = "profile")]
    cloud_config: Vec<Utf8PathBuf>,
    /// New folder for the files.
    #[arg(long, value_name = "DIR")]
    to: Utf8PathBuf,
}

/// Runs `params render-system`.
///
/// # Errors
/// [`Kind::Usage`] for a profile of another system or a folder that is there, and what writing meets.
pub(super) fn run(ctx: &Ctx, args: &RenderArgs) -> Result<()> {
    let to = &args.to;
    if to.exists() {
        let message = format!("{to} already exists");
        return Err(Failure::new(Kind::Usage, message).help("give the path of a new folder").into());
    }
    let refused = compile(&input(ctx, args)?, to.as_std_path(), Owners::Leave)
        .explain(Kind::Storage, || format!("cannot write {to}"))?;
    for line in &refused {
        ctx.report.warn(line.clone());
    }
    ctx.report.note(format!("files in {to}, {} refused", count(refused.len(), "setting")));
    Ok(())
}

fn input(ctx: &Ctx, args: &RenderArgs) -> Result<ConfigInput> {
    let Some(name) = &args.profile else {
        let configs = args.cloud_config.iter().map(|c| ctx.absolute(c.clone()));
        let configs: Result<Vec<_>> = configs.map(|c| Ok(c?.into_std_path_buf())).collect();
        return Ok(ConfigInput {
            configs: configs?,
            line: args.line.clone().unwrap_or_default(),
            ..ConfigInput::default()
        });
    };
    let loaded = load::load(ctx)?;
    let profile = loaded.config.profile(Some(name))?;
    if profile.os != Os::Docker {
        let message = format!("profile {name} is {}, which makes its files itself", profile.os);
        return Err(Failure::new(Kind::Usage, message).help("name a profile whose os is docker-1").into());
    }
    let configs = profile.cloud_config.iter().map(|c| ctx.root.join(c).into_std_path_buf()).collect();
    Ok(ConfigInput { configs, line: Line::new(profile, None)?.shown(), ..ConfigInput::default() })
}
