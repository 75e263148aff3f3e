//! From a selection on the command line to a plan with its keys: what `dist`, `plan` and `verify` share.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use camino::Utf8PathBuf;

use super::{params::read_cloud_config, password::PasswordArgs, secure_boot_key::SecureBootKeyArgs};
use bootparams::{Diagnostic, Severity, SourceText, cloud_config};
use buildexec::ctx::Ctx;
use buildexec::{host_inputs::BuildHost, schedule::Unavailable};
use buildplan::{Action, Arg, FetchSpec, Keys, NodeId};
use failure::{Failure, Kind};
use mediabuild::workspace::{
    load::{self, Loaded},
    preflight,
    publish::Publish,
};
use mediaplan::config::{Engine, IpxePin, Media, Profile, repository};
use mediaplan::stage::{
    docker,
    line::Line,
    media::{self, MediaOrder, PlannedMedia},
    os,
    packages::Pins,
};
use report::table::count;

/// What to build, and the sources to build from.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Selection {
    /// Profile [default: default-profile in media.toml].
    pub profile: Option<String>,
    /// Where iPXE comes from [default: the profile's engine].
    #[arg(long, value_enum)]
    pub engine: Option<Engine>,
    /// Clone of iPXE's repository to use instead of those in media.toml; the pinned commit still applies.
    #[arg(long, value_name = "PATH|URL")]
    pub ipxe_repo: Option<String>,
    /// Where the login password comes from, with the commands that have options for it.
    #[arg(skip)]
    pub password: PasswordArgs,
    /// Whether what was built with a password stays in the store, with the commands that have an option for it.
    #[arg(skip)]
    pub keep_secrets: bool,
    /// Whether a Docker system carries a sample image, for `vm test`.
    #[arg(skip)]
    pub samples: bool,
    /// What signs the netboot tree, with the commands that have options for it.
    #[arg(skip)]
    pub signer: Option<Arc<pki::Signer>>,
    /// What signs programs for Secure Boot, with the commands that have options for it.
    #[arg(skip)]
    pub secure_boot_key: SecureBootKeyArgs,
    /// Look for release files here before downloading.
    #[arg(long, value_name = "DIR")]
    pub artifacts: Option<Utf8PathBuf>,
}

/// A plan of one profile's media.
pub struct Build<'a> {
    ctx: &'a Ctx,
    loaded: &'a Loaded,
    profile: &'a Profile,
    engine: Engine,
    line: Line,
    signer: Option<Arc<pki::Signer>>,
    /// The plan and where its outputs land.
    pub planned: PlannedMedia,
}

impl<'a> Build<'a> {
    /// Plans.
    ///
    /// # Errors
    /// When media.lock lacks something that the profile needs.
    pub fn new(
        ctx: &'a Ctx,
        loaded: &'a Loaded,
        profile: &'a Profile,
        selection: &Selection,
    ) -> Result<Self> {
        let engine = selection.engine.unwrap_or(profile.engine);
        let line = Line::new(profile, selection.password.get(ctx)?.as_deref())?;
        let planned = plan(ctx, loaded, profile, selection, line.clone(), media::plan)?;
        Ok(Self { ctx, loaded, profile, engine, line, signer: selection.signer.clone(), planned })
    }

    /// Plans the ISO of a profile once for each of these lines of parameters.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn variants(
        ctx: &'a Ctx,
        loaded: &'a Loaded,
        profile: &'a Profile,
        selection: &Selection,
        lines: &[Line],
    ) -> Result<Self> {
        let line = Line::new(profile, None)?;
        let variants = |order: &MediaOrder<'_>| media::variants(order, lines);
        let planned = plan(ctx, loaded, profile, selection, line.clone(), variants)?;
        Ok(Self { ctx, loaded, profile, engine: Engine::Prebuilt, line, signer: None, planned })
    }

    /// Checks the parameters and the cloud-config, shows every remark, and fails on errors.
    ///
    /// # Errors
    /// [`Kind::Params`] when one of them would not do what it says, or the file would be thrown away at boot.
    pub fn check_params(&self) -> Result<()> {
        let os = self.profile.os;
        let name = format!("profile {}", self.profile.name);
        let mut errors =
            show(self.ctx, &name, &bootparams::masked(&self.line.shown(), os), &self.line.check());
        let mut where_from = "the parameters".to_owned();
        if let Some(file) = &self.profile.cloud_config {
            let text = read_cloud_config(self.ctx, file)?;
            let in_file = show(self.ctx, file, &cloud_config::masked(&text), &cloud_config::check(&text, os));
            if in_file > 0 {
                where_from = if errors == 0 { file.clone() } else { format!("the parameters and {file}") };
            }
            errors += in_file;
        }
        if errors == 0 {
            return Ok(());
        }
        let message = format!("{} in {where_from}", count(errors, "error"));
        Err(Failure::new(Kind::Params, message).help("docs/params.md explains each code").into())
    }

    /// The nodes behind the outputs.
    #[must_use]
    pub fn goals(&self) -> Vec<NodeId> {
        self.planned.outputs.iter().map(|(_, a)| a.node).collect()
    }

    /// Seconds since 1970 that stand for "now".
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.loaded.lock.epoch
    }

    /// The keys of all nodes.
    ///
    /// # Errors
    /// [`Kind::MissingTool`] with everything that is missing.
    pub fn keys(&self) -> Result<Keys> {
        self.keys_of(&self.goals())
    }

    /// The keys of some nodes and all they need.
    ///
    /// # Errors
    /// As [`Self::keys`].
    pub fn keys_of(&self, goals: &[NodeId]) -> Result<Keys> {
        Keys::compute(&self.planned.plan, goals, &BuildHost::new(self.ctx, self.epoch()))
            .map_err(|missing| preflight::lacking(&missing))
    }

    /// Where inputs are not available: the command that builds from what a person can bring.
    #[must_use]
    pub fn explain_unavailable(&self, e: anyhow::Error) -> anyhow::Error {
        let Some(unavailable) = e.chain().find_map(|cause| cause.downcast_ref::<Unavailable>()) else {
            return e;
        };
        let (mut files, mut sources) = (Vec::new(), false);
        for action in unavailable.nodes.iter().flat_map(|id| &self.planned.plan.node(*id).actions) {
            match action {
                Action::Fetch(FetchSpec { purl: None, to: Arg::Out(name), .. }) => files.push(name.as_str()),
                Action::Builtin { name: "git-checkout", .. } => sources = true,
                _ => {}
            }
        }
        if files.is_empty() {
            return e;
        }
        let engine = match self.engine {
            _ if sources => " --engine prebuilt".to_owned(),
            Engine::Prebuilt if self.profile.engine == Engine::Source => " --engine prebuilt".to_owned(),
            Engine::Source if self.profile.engine == Engine::Prebuilt => " --engine source".to_owned(),
            _ => String::new(),
        };
        let online = if self.ctx.globals.offline { " without --offline" } else { "" };
        let mut help = format!(
            "run `cargo xtask dist {}{engine} --artifacts DIR`{online}, with {} in the folder DIR",
            self.profile.name,
            files.join(" and ")
        );
        if sources {
            help +=
                "; to compile iPXE, name a clone of it with --ipxe-repo PATH in place of --engine prebuilt";
        }
        Failure::new(Kind::Network, e.to_string()).help(help).source(anyhow!("{unavailable}")).into()
    }

    /// What puts the outputs into `dist/`.
    #[must_use]
    pub fn publish(&'a self, keys: &'a Keys) -> Publish<'a> {
        Publish {
            ctx: self.ctx,
            planned: &self.planned,
            keys,
            profile: &self.profile.name,
            engine: self.engine,
            signer: self.signer.as_deref(),
            epoch: self.epoch(),
        }
    }
}

/// Shows what was found in a text, but for notes; returns how many errors are among it.
pub(super) fn show(ctx: &Ctx, name: &str, text: &str, found: &[Diagnostic]) -> usize {
    let source = SourceText { name, text };
    for diagnostic in found.iter().filter(|d| d.severity() != Severity::Note) {
        ctx.report.err_line(&source.show(diagnostic));
    }
    found.iter().filter(|d| d.severity() == Severity::Error).count()
}

fn plan(
    ctx: &Ctx,
    loaded: &Loaded,
    profile: &Profile,
    selection: &Selection,
    line: Line,
    plan: impl FnOnce(&MediaOrder<'_>) -> Result<PlannedMedia>,
) -> Result<PlannedMedia> {
    plan(&MediaOrder {
        profile,
        engine: selection.engine.unwrap_or(profile.engine),
        pin: &pin(ctx, loaded, selection)?,
        bootscripts: &loaded.bootscripts,
        line,
        supply: supply(ctx, loaded, profile, selection)?,
    })
}

fn pin(ctx: &Ctx, loaded: &Loaded, selection: &Selection) -> Result<IpxePin> {
    let mut pin = loaded.config.ipxe.clone();
    // A local run of a workflow cannot add options to its steps.
    let given = selection.ipxe_repo.as_deref().or(ctx.env.get("MEDIA_IPXE_REPO"));
    if let Some(repository) = given {
        repository::check(repository).map_err(|e| {
            Failure::new(Kind::Usage, format!("the repository `{}` {e}", failure::shown(repository)))
        })?;
        let local = !repository.contains("://");
        let path = if local { ctx.absolute(repository.into())?.into_string() } else { repository.to_owned() };
        pin.repositories = vec![path];
    }
    Ok(pin)
}

fn supply<'s>(
    ctx: &Ctx,
    loaded: &'s Loaded,
    profile: &'s Profile,
    selection: &Selection,
) -> Result<os::Supply<'s>> {
    let version = profile.version.as_deref().unwrap_or("");
    let released = profile.released();
    let locked = released
        .iter()
        .filter_map(|r| Some((r.name.as_str(), loaded.lock.get(&profile.name, &r.name, version)?)));
    let given = selection.artifacts.clone().or(ctx.env.get("MEDIA_ARTIFACTS").map(Utf8PathBuf::from));
    let artifacts = given.map(|dir| ctx.absolute(dir)).transpose()?.map(Utf8PathBuf::into_string);
    let pins = Pins { artifacts, ..Pins::new(&loaded.config.distribution, &loaded.lock) };
    let docker = match &profile.media {
        Media::Docker { .. } => {
            docker::Sources { samples: selection.samples, ..load::docker_sources(&ctx.root)? }
        }
        _ => docker::Sources::default(),
    };
    Ok(os::Supply { profile: &profile.name, locked: locked.collect(), pins, docker })
}
