//! Disks and the DVD drive: made, attached, and detached when they are not what is wanted. No image is ever
//! deleted here.

use super::{
    Place, Rule, State, Step,
    check::DISK_SLOTS,
    info::{Attached, Info},
    state::HardDisk,
};
use crate::Disk;
use crate::Machine;
use failure::{Failure, Kind};

const CONTROLLER: &str = "IDE Controller";
/// Where the DVD drive is: the second channel's first place, as in the old scripts.
const DVD_SLOT: (u32, u32) = (1, 0);

/// Plans the controller, the disks and the medium.
///
/// # Errors
/// When a disk would have to shrink.
pub(super) fn plan(place: &Place, machine: &Machine, state: &State) -> Result<Vec<Step>, Failure> {
    let (controller, mut steps) = controller(place, state.info.as_ref());
    let attached = state.info.as_ref().map(Info::attached).unwrap_or_default();
    let slots = Slots { place, controller, attached };
    for (disk, slot) in machine.disks.iter().zip(DISK_SLOTS) {
        steps.extend(slots.disk(disk, slot, state)?);
    }
    let used = &DISK_SLOTS[..machine.disks.len().min(DISK_SLOTS.len())];
    for surplus in slots.attached.iter().filter(|a| a.controller == slots.controller) {
        let slot = (surplus.port, surplus.device);
        if slot != DVD_SLOT && !used.contains(&slot) {
            steps.push(slots.attach(&format!("detach `{}`", surplus.what), slot, "hdd", "none"));
        }
    }
    steps.extend(slots.medium(machine));
    Ok(steps)
}

/// The IDE controller's name. PIIX3 allows one, so one of another name has to do.
fn controller(place: &Place, info: Option<&Info>) -> (String, Vec<Step>) {
    let ide = |kind: &str| ["PIIX3", "PIIX4", "ICH6"].contains(&kind);
    let found = info.and_then(|i| i.controllers().into_iter().find(|(_, kind)| ide(kind)));
    if let Some((name, _)) = found {
        return (name, Vec::new());
    }
    let cmd = place.manage("add an IDE controller");
    let cmd = cmd.args(["storagectl", &place.uuid, "--name", CONTROLLER, "--add", "ide"]);
    (CONTROLLER.to_owned(), vec![Step::new(cmd).rule(Rule::Unlock)])
}

struct Slots<'a> {
    place: &'a Place,
    controller: String,
    attached: Vec<Attached>,
}

impl Slots<'_> {
    fn at(&self, slot: (u32, u32)) -> Option<&str> {
        let here = |a: &&Attached| a.controller == self.controller && (a.port, a.device) == slot;
        self.attached.iter().find(here).map(|a| a.what.as_str())
    }

    fn attach(&self, why: &str, slot: (u32, u32), kind: &str, medium: &str) -> Step {
        let (port, device) = (slot.0.to_string(), slot.1.to_string());
        let cmd = self.place.manage(why).args([
            "storageattach",
            &self.place.uuid,
            "--storagectl",
            &self.controller,
        ]);
        let cmd = cmd.args(["--port", &port, "--device", &device, "--type", kind, "--medium", medium]);
        Step::new(cmd).rule(Rule::Unlock)
    }

    fn disk(&self, disk: &Disk, slot: (u32, u32), state: &State) -> Result<Vec<Step>, Failure> {
        let path = disk.path.as_str();
        let mut steps = Vec::new();
        let mut is_attached = self.at(slot).is_some_and(|w| self.place.system.same_path(w, path));
        let mut known = state.disks.iter().find(|d| self.place.system.same_path(&d.location, path));
        if known.is_some_and(|d| !d.accessible) {
            if is_attached {
                steps.push(self.attach(&format!("detach the lost disk `{path}`"), slot, "hdd", "none"));
                is_attached = false;
            }
            let cmd = self.place.manage(format!("forget the lost disk `{path}`"));
            steps.push(Step::new(cmd.args(["closemedium", "disk", path])).rule(Rule::Unlock));
            known = None;
        }
        if known.is_none() && !state.files.disks.contains(path) {
            let size = disk.size_mib.to_string();
            let cmd = self.place.manage(format!("make the disk `{path}`"));
            let args = ["createmedium", "disk", "--filename", path, "--size", &size, "--format", "VDI"];
            steps.push(Step::new(cmd.args(args)));
        }
        steps.extend(self.resized(disk, known)?);
        if !is_attached {
            steps.push(self.attach(&format!("attach the disk `{path}`"), slot, "hdd", path));
        }
        Ok(steps)
    }

    /// A disk grows without losing anything; to shrink it would need a new one.
    fn resized(&self, disk: &Disk, known: Option<&HardDisk>) -> Result<Option<Step>, Failure> {
        let Some(mib) = known.and_then(|d| d.mib).filter(|mib| *mib != disk.size_mib) else {
            return Ok(None);
        };
        if mib > disk.size_mib {
            let message =
                format!("the disk `{}` has {mib} MiB and cannot shrink to {} MiB", disk.path, disk.size_mib);
            let help =
                format!("remove the machine and its disks with `cargo xtask vm rm {}`", self.place.name);
            return Err(Failure::new(Kind::Config, message).help(help));
        }
        let cmd = self.place.manage(format!("enlarge the disk `{}`", disk.path));
        let args = ["modifymedium", "disk", disk.path.as_str(), "--resize", &disk.size_mib.to_string()];
        Ok(Some(Step::new(cmd.args(args)).rule(Rule::Unlock)))
    }

    fn medium(&self, machine: &Machine) -> Option<Step> {
        let there = self.at(DVD_SLOT);
        match &machine.medium {
            Some(medium) => {
                let path = medium.path.as_str();
                let differs = !there.is_some_and(|w| self.place.system.same_path(w, path));
                differs.then(|| self.attach(&format!("insert `{path}`"), DVD_SLOT, "dvddrive", path))
            }
            None => {
                let loaded = there.is_some_and(|w| w != "emptydrive");
                loaded.then(|| self.attach("empty the DVD drive", DVD_SLOT, "dvddrive", "emptydrive"))
            }
        }
    }
}
