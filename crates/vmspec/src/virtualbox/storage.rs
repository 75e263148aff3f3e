//! Disks and the DVD drive: made, attached, and detached when they are not what is wanted. No image is ever
//! deleted here.

use super::{
    HostState, ManageStep, Place, Rule,
    check::DISK_SLOTS,
    info::{Attached, Info},
    state::{DiskImage, HardDisk},
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
pub(super) fn plan(place: &Place, machine: &Machine, state: &HostState) -> Result<Vec<ManageStep>, Failure> {
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
fn controller(place: &Place, info: Option<&Info>) -> (String, Vec<ManageStep>) {
    let ide = |kind: &str| ["PIIX3", "PIIX4", "ICH6"].contains(&kind);
    let found = info.and_then(|i| i.controllers().into_iter().find(|(_, kind)| ide(kind)));
    if let Some((name, _)) = found {
        return (name, Vec::new());
    }
    let cmd = place.manage("add an IDE controller");
    let cmd = cmd.args(["storagectl", &place.uuid, "--name", CONTROLLER, "--add", "ide"]);
    (CONTROLLER.to_owned(), vec![ManageStep::new(cmd).rule(Rule::Unlock)])
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

    fn attach(&self, why: &str, slot: (u32, u32), kind: &str, medium: &str) -> ManageStep {
        let (port, device) = (slot.0.to_string(), slot.1.to_string());
        let cmd = self.place.manage(why).args([
            "storageattach",
            &self.place.uuid,
            "--storagectl",
            &self.controller,
        ]);
        let cmd = cmd.args(["--port", &port, "--device", &device, "--type", kind, "--medium", medium]);
        ManageStep::new(cmd).rule(Rule::Unlock)
    }

    /// A disk that has snapshots is attached through the newest of their differences: to attach the image itself
    /// would lose everything written since.
    fn disk(&self, disk: &Disk, slot: (u32, u32), state: &HostState) -> Result<Vec<ManageStep>, Failure> {
        let (path, system) = (disk.path.as_str(), self.place.system);
        if let Some(DiskImage::Damaged(how)) = state.files.disks.get(path) {
            return Err(self.damaged(path, how));
        }
        let mut steps = Vec::new();
        let stands_on = |image: &str| {
            system.same_path(image, path)
                || state.base(system, image).is_some_and(|b| system.same_path(&b.location, path))
        };
        let mut current = self.at(slot).filter(|image| stands_on(image)).map(str::to_owned);
        let mut known = state.disk(system, current.as_deref().unwrap_or(path));
        if let Some(lost) = known.filter(|d| !d.accessible || !state.files.disks.contains_key(path)) {
            if lost.parent.is_some() {
                return Err(
                    self.damaged(&lost.location, "a snapshot needs it, and VirtualBox cannot read it")
                );
            }
            if current.take().is_some() {
                steps.push(self.attach(&format!("detach the lost disk `{path}`"), slot, "hdd", "none"));
            }
            let cmd = self.place.manage(format!("forget the lost disk `{path}`"));
            steps.push(ManageStep::new(cmd.args(["closemedium", "disk", path])).rule(Rule::Unlock));
            known = None;
        }
        if known.is_none() && !state.files.disks.contains_key(path) {
            let size = disk.size_mib.to_string();
            let cmd = self.place.manage(format!("make the disk `{path}`"));
            let args = ["createmedium", "disk", "--filename", path, "--size", &size, "--format", "VDI"];
            steps.push(ManageStep::new(cmd.args(args)));
        }
        steps.extend(self.resized(disk, known)?);
        if current.is_none() {
            steps.push(self.attach(&format!("attach the disk `{path}`"), slot, "hdd", path));
        }
        Ok(steps)
    }

    fn damaged(&self, path: &str, how: &str) -> Failure {
        Failure::new(Kind::Storage, format!("the disk `{path}` is damaged: {how}")).help(format!(
            "put a whole copy in its place, or remove the machine and its disks: `{}`",
            self.place.removal()
        ))
    }

    /// A disk grows without losing anything; to shrink it would need a new one. VirtualBox takes a size that is many
    /// times the old one for a slip of the pen, unless it is given in bytes.
    fn resized(&self, disk: &Disk, known: Option<&HardDisk>) -> Result<Option<ManageStep>, Failure> {
        let Some((known, mib)) =
            known.and_then(|d| Some((d, d.mib?))).filter(|(_, mib)| *mib != disk.size_mib)
        else {
            return Ok(None);
        };
        if mib > disk.size_mib {
            let message =
                format!("the disk `{}` has {mib} MiB and cannot shrink to {} MiB", disk.path, disk.size_mib);
            let help = format!("remove the machine and its disks: `{}`", self.place.removal());
            return Err(Failure::new(Kind::Config, message).help(help));
        }
        let cmd = self.place.manage(format!("enlarge the disk `{}`", known.location));
        let bytes = (disk.size_mib << 20).to_string();
        let args = ["modifymedium", "disk", known.location.as_str(), "--resizebyte", &bytes];
        Ok(Some(ManageStep::new(cmd.args(args)).rule(Rule::Unlock)))
    }

    fn medium(&self, machine: &Machine) -> Option<ManageStep> {
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
