//! What takes a machine away: what VirtualBox keeps of it, and the files of ours that VirtualBox leaves.

use super::{
    Act, HostState, ManageStep, Place, Rule,
    info::{Attached, Info},
    plan::{folder, forget, stop},
    records,
};

/// How many disks a machine of ours has had at most, whatever its profile says now.
const DISKS: usize = 3;

/// Whether `file`, a path below the machine's folder with `/` between its parts, is something that we or VirtualBox
/// made for the machine. `settings` is the UUID in a settings file.
#[must_use]
pub fn leftover(place: &Place, file: &str, settings: Option<&str>) -> bool {
    if let Some(disk) = file.strip_prefix("Snapshots/") {
        return disk.strip_prefix('{').and_then(|d| d.strip_suffix("}.vdi")).is_some_and(records::is_uuid);
    }
    if let Some(log) = file.strip_prefix("Logs/") {
        return log.starts_with("VBox");
    }
    let ours = settings == Some(place.uuid.as_str());
    let is_settings = [".vbox", ".vbox-prev", ".vbox-tmp"].iter().any(|end| file.ends_with(end));
    (0..DISKS).any(|i| file == disk_name(i))
        || file == format!("{}.vbox.old", place.name)
        || is_settings && ours
}

/// The name of disk `i` in the machine's folder.
pub(super) fn disk_name(i: usize) -> String {
    format!("disk{i}.vdi")
}

/// Plans the removal of the machine, of its disks in its own folder, and of what runs left there.
///
/// `unregistervm --delete` deletes every attached hard disk, wherever it lies, and an image that was attached as
/// one, so whatever lies elsewhere is detached first; so is a damaged disk, at which it would stop half-way. What it
/// leaves is seen when it is done: plan again, until nothing is left.
#[must_use]
pub fn remove(place: &Place, state: &HostState) -> Vec<ManageStep> {
    let attached = state.info.as_ref().map(Info::attached).unwrap_or_default();
    let attached = if state.is_usable(&place.uuid) { attached } else { Vec::new() };
    let folder = folder(place, state);
    let mut steps = Vec::new();
    if state.registered(&place.uuid).is_some() {
        steps.extend(stop(place, state));
        steps.extend(attached.iter().flat_map(|medium| spared(place, state, &folder, medium)));
        let gone = if state.is_usable(&place.uuid) { unregister(place) } else { forget(place) };
        // It takes disks along that only a snapshot still names.
        steps.push(gone.look_again());
    }
    let with_machine = |file: &str| {
        let base = |m: &Attached| state.base(place.system, &m.what).map(|b| b.location.as_str());
        let is = |path: &str| place.system.same_path(path, file);
        attached.iter().any(|m| is(&m.what) || base(m).is_some_and(is))
    };
    let goes = |file: &str| with_machine(file) || state.is_usable(&place.uuid) && goes_along(file);
    for file in state.files.leftovers.iter().filter(|file| !goes(file)) {
        steps.extend(swept(place, state, file));
    }
    steps
}

fn unregister(place: &Place) -> ManageStep {
    let cmd = place.manage(format!("remove the machine `{}`", place.name));
    ManageStep::new(cmd.args(["unregistervm", &place.uuid, "--delete"])).rule(Rule::Forget)
}

/// Whether `unregistervm --delete` takes this file as well.
fn goes_along(file: &str) -> bool {
    let in_folder = |name: &str| file.replace('\\', "/").contains(name);
    [".vbox", ".vbox-prev", ".vbox-tmp"].iter().any(|end| file.ends_with(end))
        || in_folder("/Logs/")
        || in_folder("/Snapshots/")
}

/// Keeps `medium` from being deleted with the machine, where that must not happen or would fail.
fn spared(place: &Place, state: &HostState, folder: &str, medium: &Attached) -> Vec<ManageStep> {
    let lost = state.disk(place.system, &medium.what).is_some_and(|d| !d.accessible);
    match (place.system.is_inside(&medium.what, folder), lost) {
        _ if medium.what == "emptydrive" => Vec::new(),
        (false, _) => vec![detach(place, medium, "which is not to be deleted")],
        (true, true) => {
            let mut steps = vec![detach(place, medium, "which cannot be read")];
            steps.extend(swept(place, state, &medium.what));
            steps
        }
        (true, false) => Vec::new(),
    }
}

/// Removes a file that is left over. A disk that VirtualBox knows is deleted by VirtualBox, which keeps it when
/// another machine uses it.
fn swept(place: &Place, state: &HostState, file: &str) -> Vec<ManageStep> {
    let remove = Act::Remove { path: file.to_owned(), why: format!("remove `{file}`") };
    let remove = ManageStep { act: remove, rule: Rule::Plain, look_again: false };
    let close = |why: String, more: &[&str]| {
        let cmd = place.manage(why).args(["closemedium", "disk", file]).args(more.iter().copied());
        ManageStep::new(cmd).rule(Rule::Close)
    };
    let there = state.files.leftovers.iter().any(|l| place.system.same_path(l, file));
    match state.disk(place.system, file) {
        Some(disk) if disk.accessible => vec![close(format!("remove the disk `{file}`"), &["--delete"])],
        Some(_) => {
            let forget = close(format!("forget the lost disk `{file}`"), &[]);
            std::iter::once(forget).chain(there.then_some(remove)).collect()
        }
        None => vec![remove],
    }
}

fn detach(place: &Place, medium: &Attached, why: &str) -> ManageStep {
    let kind = if medium.what.to_lowercase().ends_with(".iso") { "dvddrive" } else { "hdd" };
    let (port, device) = (medium.port.to_string(), medium.device.to_string());
    let cmd = place.manage(format!("detach `{}`, {why}", medium.what));
    let cmd = cmd.args(["storageattach", &place.uuid, "--storagectl", &medium.controller]);
    let cmd = cmd.args(["--port", &port, "--device", &device, "--type", kind, "--medium", "none"]);
    ManageStep::new(cmd).rule(Rule::Unlock)
}
