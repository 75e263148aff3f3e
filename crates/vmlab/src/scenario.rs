//! Carries out one scenario: prepares its medium, boots it as often as it needs, judges.

mod boots;
mod containers;
mod counter;
mod disks;
mod measured;
mod signed;

use core::net::{Ipv4Addr, SocketAddrV4};
use std::{
    hash::{BuildHasher as _, RandomState},
    sync::Mutex,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use containers::ContainerLab;
pub use containers::Samples;
pub(crate) use containers::lacks_older;
use measured::Tpm;
pub use signed::{BuiltMedia, SignedMedia};

use super::{backend::Backend, media, outside, server::RunningServer, session::Session};
use buildexec::ctx::Ctx;
use report::{Event, ProgressUnit};
use vmspec::{
    Machine, Nic, VmSpec,
    boot::{Boot, BootEnd, Diagnosis, Mark, Want},
    scenario::{Dist, Proof, Sabotage, Scenario, Start},
};

/// What all scenarios of a run share.
pub(crate) struct Setup {
    /// What runs the machines.
    pub backend: Backend,
    /// The profile's machine.
    pub spec: VmSpec,
    /// The outputs in `dist/<profile>/`.
    pub dist: Dist,
    /// Folder that the netboot server serves.
    pub tree: Utf8PathBuf,
    /// The built media with a sample image, when a scenario wants it.
    pub samples: Option<Samples>,
    /// Signed media, when a scenario wants them; otherwise why there are none.
    pub signed: Result<SignedMedia, String>,
    /// Whether there is time for everything.
    pub long: bool,
    /// Power cuts of a torture.
    pub cuts: u64,
    /// The port of the base URL. There is one, so netboots go one after the other.
    pub port: Mutex<u16>,
}

impl Setup {
    /// The media that `scenario` boots.
    #[must_use]
    pub(crate) fn dist_of(&self, scenario: &Scenario) -> &Dist {
        match (scenario.start, &self.signed) {
            (Start::Signed(scheme), Ok(signed)) => &signed.media(scheme).dist,
            _ => &self.dist,
        }
    }

    /// Why the media that `scenario` boots are missing, if they are.
    #[must_use]
    pub(crate) fn missing(&self, scenario: &Scenario) -> Option<String> {
        let why = self.signed.as_ref().err()?;
        matches!(scenario.start, Start::Signed(_)).then(|| why.clone())
    }
}

/// What came of a scenario.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum Outcome {
    /// It came as it must.
    Passed {
        /// How that was seen, when it is not plain.
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// It did not.
    Failed {
        /// In one line.
        why: String,
        /// The last lines of each source.
        evidence: Vec<String>,
    },
    /// It could not be tried.
    Skipped {
        /// Why.
        why: String,
    },
}

/// The cases of a scenario that tries many: how many were tried, and how many passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CaseCount {
    /// Power cuts, or disks.
    pub tried: u64,
    /// Those of them that lost nothing.
    pub held: u64,
}

/// A scenario that was carried out.
#[derive(Clone, Debug, Serialize)]
pub struct FinishedScenario {
    /// Name of the scenario, such as `iso-cd-uefi`.
    pub scenario: &'static str,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Its cases, where it has some.
    pub cases: CaseCount,
    /// How long it took, without the wait for another netboot's port.
    pub seconds: f64,
    /// The marks of its last boot, with seconds since power-on.
    pub stages: Vec<(Mark, f64)>,
    /// Folder with the consoles' transcripts.
    pub folder: Utf8PathBuf,
}

/// Carries out `scenario`, keeping transcripts in `dir`.
///
/// # Errors
/// When it could not be carried out, which says nothing about what was built.
pub(crate) fn run(
    ctx: &Ctx,
    setup: &Setup,
    scenario: &'static Scenario,
    dir: &Utf8Path,
) -> Result<FinishedScenario> {
    fs_err::create_dir_all(dir)?;
    let start = Instant::now();
    let (stages, waited) = (Vec::new(), Duration::ZERO);
    let mut trial = Trial {
        ctx,
        setup,
        scenario,
        dir,
        stages,
        boots: 0,
        waited,
        key: None,
        ssh_port: 0,
        fit: |_| {},
        more_args: None,
        cases: CaseCount::default(),
        lab: None,
        tpm: None,
    };
    let outcome = trial.run();
    outside::forget_key(dir)?;
    let forgotten = setup.backend.forget(ctx, &scenario.machine_name(), dir);
    let outcome = outcome?;
    forgotten?;
    if matches!(outcome, Outcome::Passed { .. }) {
        trial.tidy()?;
    }
    let seconds = |d: Duration| (d.as_secs_f64() * 100.0).round() / 100.0;
    Ok(FinishedScenario {
        scenario: scenario.name,
        outcome,
        cases: trial.cases,
        seconds: seconds(start.elapsed().saturating_sub(trial.waited)),
        stages: trial.stages.iter().map(|(m, at)| (*m, seconds(*at))).collect(),
        folder: dir.to_owned(),
    })
}

struct Trial<'a> {
    ctx: &'a Ctx,
    setup: &'a Setup,
    scenario: &'static Scenario,
    dir: &'a Utf8Path,
    stages: Vec<(Mark, Duration)>,
    boots: u32,
    /// How long it waited for the port.
    waited: Duration,
    /// The public half of the key that the cloud-config lets in.
    key: Option<String>,
    /// The port of this host that leads to the guest's SSH.
    ssh_port: u16,
    /// What is different about the machine of a boot.
    fit: fn(&mut Machine),
    /// Kernel arguments of a boot besides the scenario's.
    more_args: Option<&'static str>,
    /// What was tried, and what held.
    cases: CaseCount,
    /// What stands around a machine whose containers are looked at.
    lab: Option<ContainerLab>,
    /// The TPM of its machine.
    tpm: Option<Tpm>,
}

impl Trial<'_> {
    fn run(&mut self) -> Result<Outcome> {
        match self.scenario.proof {
            Proof::Up
            | Proof::OldClock
            | Proof::Rotated
            | Proof::Kargs
            | Proof::CloudConfig
            | Proof::SecureBoot => self.comes_up(),
            Proof::Fails(sabotage) => self.fails(sabotage),
            Proof::Counts(boots) if self.setup.dist.speaks => self.counts(boots),
            Proof::Counts(boots) => self.keeps_state(boots),
            Proof::Ssh => self.logs_in(),
            Proof::Measured | Proof::Remeasured => self.measured(),
            Proof::PowerCuts(cuts) => self.power_cuts(cuts),
            Proof::Torture => self.torture(self.setup.cuts),
            Proof::Disks => self.disks(),
            Proof::Containers(shown) => {
                let Some(samples) = &self.setup.samples else { bail!("no medium with a sample image") };
                self.lab = Some(ContainerLab::open(self.ctx, self.dir, samples)?);
                self.containers(shown)
            }
        }
    }

    /// Shows how many of its cases are behind it.
    fn report(&self, done: u64, of: u64) {
        let label = self.scenario.name.to_owned();
        self.ctx.report.event(&Event::Progress { label, done, total: Some(of), unit: ProgressUnit::Steps });
    }

    fn comes_up(&mut self) -> Result<Outcome> {
        let (mut session, verdict) = self.boot_once()?;
        let outcome = self.judge(&mut session, verdict);
        let edited = matches!(self.scenario.proof, Proof::Kargs | Proof::CloudConfig)
            && matches!(self.scenario.start, Start::Iso(_));
        if !edited || outcome != (Outcome::Passed { note: None }) {
            return Ok(outcome);
        }
        // The machine has the image open.
        session.cut()?;
        if media::restores(&self.setup.dist.iso, &self.copy())? {
            return Ok(Outcome::Passed {
                note: Some("arrived, and undoing it gives the built image".to_owned()),
            });
        }
        Ok(failed(&mut session, "undoing the edit did not give the built image".to_owned()))
    }

    /// What is booted.
    fn dist(&self) -> &Dist {
        let lab = self.lab.as_ref().zip(self.setup.samples.as_ref());
        lab.map_or_else(
            || self.setup.dist_of(self.scenario),
            |(lab, samples)| match &samples.older {
                Some(older) if lab.older => older,
                _ => &samples.dist,
            },
        )
    }

    fn copy(&self) -> Utf8PathBuf {
        self.dir.join("medium.iso")
    }

    fn fails(&mut self, sabotage: Sabotage) -> Result<Outcome> {
        let (mut session, verdict) = self.boot_once()?;
        let (wanted, by) = (sabotage.cause(), sabotage.refusal());
        let fits = |d: &Diagnosis| d.cause == wanted && by.is_none_or(|who| d.text.starts_with(who));
        match verdict {
            BootEnd::Hung(d) if fits(&d) => Ok(Outcome::Passed { note: Some(d.to_string()) }),
            BootEnd::Up => Ok(failed(&mut session, format!("booted, but {} was expected", wanted.name()))),
            BootEnd::Hung(d) => Ok(failed(&mut session, format!("{d}, but {} was expected", wanted.name()))),
        }
    }

    fn counts(&mut self, boots: u64) -> Result<Outcome> {
        let nonce = nonce();
        let medium = self.medium(&nonce)?;
        let (machine, _, dir) = self.machine(&medium)?;
        let mut session = self.start(&machine, &dir, self.want(&nonce))?;
        for boot in 1..=boots {
            if boot > 1 {
                session.reset(self.want(&nonce))?;
            }
            let verdict = self.wait(&mut session, None)?;
            let how = if boot == 1 { "formatted" } else { "mounted" };
            let state = session.boot().said("state").unwrap_or("not told").to_owned();
            let counted = session.boot().boots();
            if let failure @ Outcome::Failed { .. } = self.judge(&mut session, verdict) {
                return Ok(failure);
            }
            if !state.starts_with(how) || counted != Some(boot) {
                let text = format!(
                    "boot {boot}: state {state}, counter {counted:?}, but {how} and {boot} were expected"
                );
                return Ok(failed(&mut session, text));
            }
        }
        Ok(Outcome::Passed { note: Some(format!("formatted once, counted to {boots}")) })
    }

    /// The state of a guest that tells nothing, read off its disk after each boot.
    fn keeps_state(&mut self, boots: u64) -> Result<Outcome> {
        let label = self.setup.dist.state_label.clone().unwrap_or_default();
        let mut before: Option<outside::DiskState> = None;
        for boot in 1..=boots {
            let (mut session, verdict) = self.boot_once()?;
            if let failure @ Outcome::Failed { .. } = self.judge(&mut session, verdict) {
                return Ok(failure);
            }
            session.shut_down(self.ctx, None, &mut |_, _| {})?;
            session.cut()?;
            let state = outside::state(self.ctx, &self.dir.join("disk0.raw"))?;
            let wrong = state.as_ref().map_or(Some("the state disk has no file system".to_owned()), |s| {
                s.wrong(&label, before.as_ref())
            });
            if let Some(why) = wrong {
                return Ok(failed(&mut session, format!("after boot {boot}: {why}")));
            }
            before = state;
        }
        let names = before.map(|s| s.names.join(", ")).unwrap_or_default();
        Ok(Outcome::Passed {
            note: Some(format!("{label} formatted once, mounted by each of {boots} boots: {names}")),
        })
    }

    fn logs_in(&mut self) -> Result<Outcome> {
        let user = self.setup.dist.login.clone().unwrap_or_default();
        self.key = Some(outside::make_key(self.ctx, self.dir)?);
        self.ssh_port = free_port()?;
        let (mut session, verdict) = self.boot_once()?;
        if let failure @ Outcome::Failed { .. } = self.judge(&mut session, verdict) {
            return Ok(failure);
        }
        let said = outside::log_in(self.ctx, self.dir, &user, self.ssh_port)?;
        outside::forget_key(self.dir)?;
        match said {
            Ok(name) if shows_prompt(session.boot(), &name) => {
                Ok(Outcome::Passed { note: Some(format!("{user}@{name} through port {}", self.ssh_port)) })
            }
            Ok(name) => Ok(failed(&mut session, format!("another host answers over SSH: `{name}`"))),
            Err(why) => Ok(failed(&mut session, format!("no login over SSH: {why}"))),
        }
    }

    /// One boot with all that the scenario changes.
    fn boot_once(&mut self) -> Result<(Session, BootEnd)> {
        self.boot(None)
    }

    /// As [`Self::boot_once`], up to another line than that of a whole boot.
    fn boot(&mut self, ready: Option<&str>) -> Result<(Session, BootEnd)> {
        let nonce = nonce();
        let medium = self.medium(&nonce)?;
        let (mut machine, address, dir) = self.machine(&medium)?;
        let mut want = self.want(&nonce);
        want.ready = ready.map_or(want.ready, str::to_owned);
        // Declared before the server, so that the port is free again when the next one gets it.
        let setup = self.setup;
        let asked = Instant::now();
        let port = (self.scenario.start.is_ipxe_iso())
            .then(|| setup.port.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        self.waited = asked.elapsed();
        let served = match self.scenario.start {
            Start::Network(offer) => {
                let lan = self.network(&nonce, &medium, offer, &dir)?;
                machine.nics = vec![self.setup.spec.card(Nic::Tap(lan.tap()))];
                Some(lan.into())
            }
            _ => port.as_ref().map(|p| self.serve(&nonce, SocketAddrV4::new(address, **p))).transpose()?,
        };
        let mut session = self.start(&machine, &dir, want)?;
        self.wait(&mut session, served.as_ref()).map(|end| (session, end))
    }

    fn want(&self, nonce: &str) -> Want {
        let setup = self.setup;
        let mut want = self.scenario.want(self.dist(), &setup.spec, nonce, setup.backend.accel());
        if matches!(self.scenario.start, Start::Iso(_)) && !setup.dist.embed_areas {
            want.nonce = None;
        }
        want
    }

    fn start(&self, machine: &Machine, dir: &Utf8Path, want: Want) -> Result<Session> {
        self.setup.backend.start(self.ctx, machine, self.dir, dir, want, false)
    }

    fn wait(&mut self, session: &mut Session, served: Option<&RunningServer>) -> Result<BootEnd> {
        let verdict = session.wait(self.ctx, served, &mut |_, _| {})?;
        self.stages = session.boot().marks();
        Ok(verdict)
    }

    fn judge(&self, session: &mut Session, verdict: BootEnd) -> Outcome {
        match verdict {
            BootEnd::Up => Outcome::Passed { note: None },
            BootEnd::Hung(diagnosis) => failed(session, hang(session.boot().furthest(), &diagnosis)),
        }
    }

    /// Removes what is large and can be made again; transcripts stay.
    fn tidy(&self) -> Result<()> {
        let tree = self.dir.join(boots::TREE);
        if tree.exists() {
            fs_err::remove_dir_all(tree)?;
        }
        for name in ["medium.iso", "disk0.raw", "disk1.raw", "variables.fd"] {
            let path = self.dir.join(name);
            if path.exists() {
                fs_err::remove_file(path)?;
            }
        }
        Ok(())
    }
}

fn hang(furthest: Mark, diagnosis: &Diagnosis) -> String {
    format!("hung after {}: {diagnosis}", furthest.label())
}

fn failed(session: &mut Session, why: String) -> Outcome {
    let evidence = session.evidence();
    Outcome::Failed { why, evidence }
}

/// Whether the guest's login prompt has this host name.
fn shows_prompt(boot: &Boot, name: &str) -> bool {
    let prompt = format!("{name} login:");
    !name.is_empty() && boot.lines().iter().any(|line| line.contains(&prompt))
}

/// A port of this host's loopback that nothing listens on now.
fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// A number that no other boot has: the standard library's own random keys are enough, since nothing attacks.
fn nonce() -> String {
    format!("{:016x}", RandomState::new().hash_one(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_boots_have_one_nonce() {
        let nonces: std::collections::BTreeSet<String> = (0..100).map(|_| nonce()).collect();
        assert_eq!(nonces.len(), 100);
        assert!(nonces.iter().all(|n| n.len() == 16));
    }
}
