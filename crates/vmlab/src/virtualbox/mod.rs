//! VirtualBox at work: looks at the host, runs what [`vmspec::virtualbox`] plans, tries again what gets
//! better by itself.
//!
//! Everything goes through a [`ManageHost`], so that the tests play VBoxManage from recorded texts (`docs/virtualbox.md`).

mod host;
mod power;
pub mod preflight;

use anyhow::Result;
use camino::Utf8Path;

pub use host::{ManageHost, Real};
pub use power::Running;

use buildexec::ctx::Ctx;
use buildexec::run::CommandOutput;
use buildplan::Cmd;
use failure::{Failure, Kind};
use vmspec::{
    Machine,
    virtualbox::{
        self as planner, Act, HostState, ManageError, ManageStep, Networks, Place, Reaction, Rule, System,
        Todo,
        info::Info,
        outcome::{ACCESS_DENIED, OBJECT_NOT_FOUND},
        records::{self, Registered},
        state::StateQuery,
    },
};

/// How often the host is looked at again before giving up. Four are needed: a lost machine is forgotten, a settings
/// file registered, an interface made, the rest done.
const ROUNDS: usize = 5;

/// One machine in VirtualBox.
pub struct VirtualBox<H> {
    /// What commands run on.
    pub host: H,
    /// Which machine it is.
    pub place: Place,
    /// Host-only networks that the host allows.
    pub allowed: Networks,
}

impl VirtualBox<Real> {
    /// The machine `name` on this computer. Its folder is made in `base` when it is prepared.
    ///
    /// # Errors
    /// When VirtualBox is not installed.
    pub fn open(ctx: &Ctx, base: &Utf8Path, name: &str) -> Result<Self> {
        let system = System::current();
        let program = preflight::find(ctx, system)?.into_string();
        let place = place(ctx, base, name, program);
        Ok(Self { host: Real::new(ctx), allowed: preflight::allowed_networks(system)?, place })
    }
}

/// What would be done now to make `machine` ready and start it; as if VirtualBox had just been installed, where it
/// is not.
///
/// # Errors
/// When the machine is refused, or VBoxManage fails.
pub(crate) fn dry_run(
    ctx: &Ctx,
    base: &Utf8Path,
    name: &str,
    machine: Machine,
    window: bool,
) -> Result<Todo> {
    let missing = |e: &anyhow::Error| failure::kind_of(e) == Some(Kind::MissingTool);
    let (place, mut todo) = match VirtualBox::open(ctx, base, name) {
        Ok(mut vm) => {
            let machine = planner::fitted(&vm.place, machine);
            let todo = vm.plan(&machine)?;
            (vm.place, todo)
        }
        Err(e) if missing(&e) => {
            let place = place(ctx, base, name, "VBoxManage".to_owned());
            let machine = planner::fitted(&place, machine);
            (place, guess(ctx, base, name, &machine)?)
        }
        Err(e) => return Err(e),
    };
    todo.start = Some(planner::start(&place, window));
    todo.later = vec![planner::reset(&place), planner::press_power(&place), planner::power_off(&place)];
    Ok(todo)
}

/// What removing the machine would take now.
///
/// # Errors
/// When VirtualBox is not installed, or VBoxManage fails.
pub(crate) fn dry_removal(ctx: &Ctx, base: &Utf8Path, name: &str) -> Result<Todo> {
    let mut vm = VirtualBox::open(ctx, base, name)?;
    let state = vm.state(&mut Vec::new())?;
    Ok(Todo { steps: planner::remove(&vm.place, &state), ..Todo::default() })
}

/// The machines of this repository that VirtualBox knows, whether or not they have a folder, and whether each runs.
/// `names` are those that they may have got; a person may have renamed one.
///
/// # Errors
/// When VirtualBox is not installed, or VBoxManage fails.
pub(crate) fn known(ctx: &Ctx, names: &[String]) -> Result<Vec<(String, bool)>> {
    let mut vm = VirtualBox::open(ctx, &ctx.work, "")?;
    let [all, running] = ["vms", "runningvms"].map(|list| {
        let cmd = vm.place.manage("ask VirtualBox which machines it has").args(["list", list]);
        vm.ask(StateQuery::Machines, &cmd).map(|text| records::machines(&text))
    });
    Ok(ours(ctx.root.as_str(), names, &all?, &running?))
}

fn ours(root: &str, names: &[String], all: &[Registered], running: &[Registered]) -> Vec<(String, bool)> {
    let mut found: Vec<(String, bool)> = Vec::new();
    for name in names.iter().chain(all.iter().map(|r| &r.name)) {
        let uuid = planner::machine_uuid(root, name);
        let is_in = |list: &[Registered]| list.iter().any(|r| r.uuid == uuid);
        if is_in(all) && !found.iter().any(|(known, _)| known == name) {
            found.push((name.clone(), is_in(running)));
        }
    }
    found
}

/// What a host where VirtualBox cannot be asked would have to do: as if it had just been installed.
///
/// # Errors
/// When the machine is refused.
pub fn guess(ctx: &Ctx, base: &Utf8Path, name: &str, machine: &Machine) -> Result<Todo> {
    let place = place(ctx, base, name, "VBoxManage".to_owned());
    let state = HostState::just_installed(place.system);
    let allowed = preflight::allowed_networks(place.system)?;
    let mut todo = planner::plan(&place, machine, &state, &allowed)?;
    todo.notes
        .push("VirtualBox is not installed here: this is what a new installation would be told".to_owned());
    if place.system == System::Linux && planner::host_only(machine).is_some() {
        todo.notes
            .push("a new installation has the DHCP server of vboxnet0 already, at 192.168.56.100".to_owned());
    }
    Ok(todo)
}

fn place(ctx: &Ctx, base: &Utf8Path, name: &str, program: String) -> Place {
    let uuid = planner::machine_uuid(ctx.root.as_str(), name);
    Place { system: System::current(), program, base: base.to_string(), name: name.to_owned(), uuid }
}

impl<H: ManageHost> VirtualBox<H> {
    /// Makes the machine ready to start. A second call does nothing.
    ///
    /// # Errors
    /// When the machine is refused, or VBoxManage fails.
    pub fn prepare(&mut self, machine: &Machine) -> Result<()> {
        let mut created = None;
        for round in 0..ROUNDS {
            let (machine, state) = self.look(machine)?;
            let state = HostState { created: created.clone(), ..state };
            let todo = planner::plan(&self.place, &machine, &state, &self.allowed)?;
            if round == 0 {
                self.remarks(&machine, &state, &todo).iter().for_each(|r| self.host.warn(r));
            }
            match self.carry_out(&todo)? {
                CarriedOut::All => return Ok(()),
                CarriedOut::LookAgain { interface } => created = interface.or(created),
            }
        }
        let message = format!("the machine `{}` does not reach the wanted state", self.place.name);
        let help = format!("look at it with `VBoxManage showvminfo {}`", self.place.uuid);
        Err(Failure::new(Kind::Command, message).help(help).into())
    }

    /// What [`Self::prepare`] would do now, with remarks.
    ///
    /// # Errors
    /// As [`Self::prepare`].
    pub fn plan(&mut self, machine: &Machine) -> Result<Todo> {
        let (machine, state) = self.look(machine)?;
        let mut todo = planner::plan(&self.place, &machine, &state, &self.allowed)?;
        todo.notes = self.remarks(&machine, &state, &todo);
        Ok(todo)
    }

    /// Switches the machine off where a run that was killed left it on, and says whether it was.
    ///
    /// # Errors
    /// When VBoxManage fails.
    pub fn take_back(&mut self) -> Result<bool> {
        let state = self.state(&mut Vec::new())?;
        let steps =
            if state.is_usable(&self.place.uuid) { planner::stop(&self.place, &state) } else { Vec::new() };
        for step in &steps {
            self.step(step)?;
        }
        Ok(!steps.is_empty())
    }

    /// Whether VirtualBox knows the machine.
    ///
    /// # Errors
    /// When VBoxManage fails.
    pub(crate) fn is_known(&mut self) -> Result<bool> {
        Ok(self.state(&mut Vec::new())?.registered(&self.place.uuid).is_some())
    }

    fn remarks(&self, machine: &Machine, state: &HostState, todo: &Todo) -> Vec<String> {
        let exists = |path: &str| self.host.exists(path);
        let missing = preflight::missing(self.place.system, machine, state, todo, &exists);
        todo.notes.iter().cloned().chain(missing).collect()
    }

    /// Runs steps up to one after which the host must be looked at again.
    fn carry_out(&mut self, todo: &Todo) -> Result<CarriedOut> {
        for step in &todo.steps {
            let output = self.step(step)?;
            if step.look_again {
                let name = step.makes_interface().then(|| records::created_interface(&output.text()));
                return Ok(CarriedOut::LookAgain { interface: name.flatten() });
            }
        }
        Ok(CarriedOut::All)
    }

    /// Starts the machine, with a window or without.
    ///
    /// # Errors
    /// When VirtualBox cannot start it.
    pub fn start(&mut self, window: bool) -> Result<()> {
        self.step(&planner::start(&self.place, window)).map(drop)
    }

    /// Presses reset.
    ///
    /// # Errors
    /// When the machine is not running.
    pub fn reset(&mut self) -> Result<()> {
        self.step(&planner::reset(&self.place)).map(drop)
    }

    /// Takes a picture of the screen as a PNG file, once the guest shows something.
    ///
    /// # Errors
    /// When the machine is not running, or shows nothing for half a minute.
    pub fn screenshot(&mut self, file: &Utf8Path) -> Result<()> {
        self.step(&planner::screenshot(&self.place, file.as_str())).map(drop)
    }

    /// Pulls the plug.
    ///
    /// # Errors
    /// When VBoxManage fails; a machine that is off is not an error.
    pub fn power_off(&mut self) -> Result<()> {
        self.step(&planner::power_off(&self.place)).map(drop)
    }

    /// Removes the machine, the disks in its own folder and what else runs left there; a machine that is not there is
    /// no error. Gives the folders that it may have had, with whatever else is in them.
    ///
    /// # Errors
    /// When VBoxManage fails, or a file cannot be removed.
    pub fn remove(&mut self) -> Result<Vec<String>> {
        let mut folders = Vec::new();
        let mut done = Vec::new();
        // A disk that another machine uses stays, and would be tried for ever.
        loop {
            let state = self.state(&mut folders)?;
            let steps = planner::remove(&self.place, &state);
            if steps == done || steps.is_empty() {
                return Ok(folders);
            }
            for step in &steps {
                self.step(step)?;
                if step.look_again {
                    break;
                }
            }
            done = steps;
        }
    }

    /// Presses the power button, which the guest may heed.
    ///
    /// # Errors
    /// When the machine is not running.
    pub(crate) fn press_power(&mut self) -> Result<()> {
        self.step(&planner::press_power(&self.place)).map(drop)
    }

    /// What the machine does (`running`, `poweroff`, `aborted`, …); `None` when VirtualBox does not know it.
    ///
    /// # Errors
    /// When VBoxManage fails.
    pub fn vm_state(&mut self) -> Result<Option<String>> {
        let [(_, show), _] = planner::look_at_machine(&self.place);
        match self.manage(&show, Rule::Plain)? {
            Ok(output) => Ok(Some(Info::parse(&whole(&show, &output)?).vm_state())),
            Err(fault) if fault.code == Some(OBJECT_NOT_FOUND) => Ok(None),
            Err(fault) if fault.code == Some(ACCESS_DENIED) => Ok(Some("inaccessible".to_owned())),
            Err(fault) => Err(failed(&show.why, &fault)),
        }
    }

    /// Looks at the host, and says where the machine's disks really are.
    fn look(&mut self, machine: &Machine) -> Result<(Machine, HostState)> {
        let mut state = self.asked(Some(machine))?;
        let machine = planner::relocated(&self.place, machine, &state);
        let disks: Vec<&str> = machine.disks.iter().map(|d| d.path.as_str()).collect();
        state.files = self.host.files(&self.place, &disks, &[])?;
        state.host_answers = planner::host_only(&machine).is_some_and(|n| self.host.has_address(n.host));
        Ok((machine, state))
    }

    /// Looks at what exists of the machine, whatever it should be, in all `folders` that it had so far; they get
    /// those that it has now.
    fn state(&mut self, folders: &mut Vec<String>) -> Result<HostState> {
        let mut state = self.asked(None)?;
        for folder in [self.place.folder(), planner::folder(&self.place, &state)] {
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        state.files = self.host.files(&self.place, &[], folders)?;
        Ok(state)
    }

    /// What VirtualBox says.
    fn asked(&mut self, machine: Option<&Machine>) -> Result<HostState> {
        let mut state = HostState::default();
        for (look, cmd) in planner::looks(&self.place, machine) {
            state.take(look, &self.ask(look, &cmd)?);
        }
        if state.registered(&self.place.uuid).is_some_and(Registered::is_accessible) {
            for (look, cmd) in planner::look_at_machine(&self.place) {
                state.take(look, &self.ask(look, &cmd)?);
            }
            let settings = state.info.as_ref().and_then(|i| i.get("CfgFile"));
            state.settings_lost = settings.is_some_and(|file| !self.host.exists(&file));
        }
        Ok(state)
    }

    /// An old release may lack a list that only makes messages better.
    fn ask(&mut self, look: StateQuery, cmd: &Cmd) -> Result<String> {
        match self.manage(cmd, Rule::Plain)? {
            Ok(output) => whole(cmd, &output),
            Err(_) if look == StateQuery::OsTypes => Ok(String::new()),
            Err(fault) => Err(failed(&cmd.why, &fault)),
        }
    }

    fn step(&mut self, step: &ManageStep) -> Result<CommandOutput> {
        self.host.doing(step)?;
        match &step.act {
            Act::Manage(cmd) => self.manage(cmd, step.rule)?.map_err(|fault| failed(&cmd.why, &fault)),
            Act::SetAside { from, to, .. } => self.host.rename(from, to).map(|()| SILENCE),
            Act::Remove { path, .. } => self.host.remove(path).map(|()| SILENCE),
        }
    }

    /// Runs a command until it works, or its failure is one that stays.
    fn manage(&mut self, cmd: &Cmd, rule: Rule) -> Result<Result<CommandOutput, ManageError>> {
        let mut tries = 0;
        loop {
            let output = self.host.call(cmd)?;
            let Some(fault) = ManageError::read(output.code, &output.text(), &output.error_text()) else {
                return Ok(Ok(output));
            };
            tries += 1;
            match rule.react(&fault, tries) {
                Reaction::Again(pause) => self.host.pause(pause)?,
                Reaction::Done => return Ok(Ok(output)),
                Reaction::DoneIfForgotten if self.is_forgotten()? => return Ok(Ok(output)),
                Reaction::Fail | Reaction::DoneIfForgotten => return Ok(Err(fault)),
            }
        }
    }

    fn is_forgotten(&mut self) -> Result<bool> {
        Ok(self.asked(None)?.registered(&self.place.uuid).is_none())
    }
}

/// What a step that is not VBoxManage's prints.
const SILENCE: CommandOutput = CommandOutput { code: Some(0), stdout: Vec::new(), stderr: Vec::new() };

/// How much of a list of steps was carried out.
enum CarriedOut {
    All,
    /// Up to a step that changed what the rest depends on, and made this interface.
    LookAgain {
        interface: Option<String>,
    },
}

/// An answer that was cut off would be a shorter list, and a machine that is there would be missing from it.
fn whole(cmd: &Cmd, output: &CommandOutput) -> Result<String> {
    let text = output.text();
    let Some(rest) = planner::outcome::cut_off(&text) else { return Ok(text) };
    let message = format!(
        "could not {}: the answer of `{}` ends in the middle of a line, at `{rest}`",
        cmd.why,
        cmd.args.join(" ")
    );
    let help = "the next character is none of the locale's: install the locale C.UTF-8, or set LANG to one with UTF-8";
    Err(Failure::new(Kind::Command, message).help(help).into())
}

fn failed(why: &str, fault: &ManageError) -> anyhow::Error {
    let failure = Failure::new(Kind::Command, format!("could not {why}: VBoxManage says: {}", fault.text));
    match fault.help() {
        Some(help) => failure.help(help).into(),
        None => failure.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_ours_by_its_uuid_whatever_it_is_called_now() {
        let uuid = |profile| planner::machine_uuid("/r", &format!("media-{profile}"));
        let machine = |name: &str, uuid: String| Registered { name: name.to_owned(), uuid };
        let all = [
            machine("media-gone-from-media.toml", uuid("gone-from-media.toml")),
            machine("<inaccessible>", uuid("smoke")),
            machine("renamed", uuid("docker")),
            machine("media-linux", "00000000-1111-4222-8333-444444444444".to_owned()),
        ];
        let names = ["smoke", "docker", "linux"].map(|p| format!("media-{p}"));
        let found = ours("/r", &names, &all, &all[2..3]);
        let expected =
            [("media-smoke", false), ("media-docker", true), ("media-gone-from-media.toml", false)];
        assert_eq!(found, expected.map(|(name, runs)| (name.to_owned(), runs)));
    }
}
