//! Plans of every profile by both engines, on a made-up machine: no tool, no network and no package is needed.

use buildplan::{Digest, Keys, Missing, NodeId, Plan, ToolId, World};
use mediabuild::site::load::{self, Loaded};
use mediaplan::config::{Engine, Profile};
use mediaplan::stage::{
    line::Line,
    media::{self, Order, Planned},
    needs, os,
    packages::{self, Pins},
};

use crate::repository;

/// The repository as it stands, with digests for what the lock leaves to the person, and packages that do not change.
fn loaded() -> Loaded {
    let mut loaded = load::read(&repository()).unwrap();
    loaded.lock.packages = packages::sample(&loaded.config.distribution);
    let profiles: Vec<Profile> = loaded.config.profiles().cloned().collect();
    for profile in profiles {
        let version = profile.version.clone().unwrap_or_default();
        for released in profile.media.released() {
            let files = loaded.lock.files.entry(profile.name.clone()).or_default();
            files.entry(released.name.clone()).or_insert_with(|| mediaplan::config::Locked {
                version: version.clone(),
                sha256: Digest::of(released.name.as_bytes()),
                size: None,
                vouched_by: "this test".to_owned(),
            });
        }
    }
    loaded
}

fn planned(loaded: &Loaded, profile: &Profile, engine: Engine) -> Planned {
    let version = profile.version.as_deref().unwrap_or("");
    let released = profile.media.released();
    let locked = released
        .iter()
        .map(|r| (r.name.as_str(), loaded.lock.get(&profile.name, &r.name, version).unwrap()))
        .collect();
    let pins = Pins::new(&loaded.config.distribution, &loaded.lock);
    media::plan(&Order {
        profile,
        engine,
        pin: &loaded.config.ipxe,
        bootscripts: &loaded.bootscripts,
        line: Line::new(profile, None).unwrap(),
        supply: os::Supply { profile: &profile.name, locked, pins },
    })
    .unwrap()
}

fn each(mut f: impl FnMut(&Loaded, &Profile, Engine)) {
    let loaded = loaded();
    for profile in loaded.config.profiles() {
        for engine in [Engine::Source, Engine::Prebuilt] {
            f(&loaded, profile, engine);
        }
    }
}

#[test]
fn every_profile_by_every_engine_has_the_plan_in_its_snapshot() {
    each(|loaded, profile, engine| {
        let planned = planned(loaded, profile, engine);
        let mut text = buildplan::render(&planned.plan, buildplan::Format::Text);
        for (path, artifact) in &planned.outputs {
            text += &format!("dist/{}/{path} = {artifact:?}\n", profile.name);
        }
        let name = format!("{}_{engine:?}", profile.name).to_lowercase();
        insta::with_settings!({ prepend_module_to_snapshot => false, snapshot_path => "../snapshots/plans" }, {
            insta::assert_snapshot!(name, text);
        });
    });
}

#[test]
fn the_list_of_needs_has_everything_that_a_plan_uses() {
    each(|loaded, profile, engine| {
        let needs = needs::dist(engine);
        assert!(needs.iter().all(|n| !n.package.is_empty()), "{needs:?}");
        for used in needs::used_by(&planned(loaded, profile, engine).plan) {
            let named = needs.iter().any(|n| n.what == used || same_package(&n.what, &used));
            assert!(named, "{} by {engine:?} uses {used}, which `doctor` does not know", profile.name);
        }
    });
}

/// One file stands for all that its package puts into the folder.
fn same_package(need: &str, used: &str) -> bool {
    need.starts_with('/') && need.rsplit_once('/').map(|(f, _)| f) == used.rsplit_once('/').map(|(f, _)| f)
}

/// A world in which every file is what its name says, but for those that were edited.
#[derive(Default)]
struct Edited(Vec<&'static str>);

impl World for Edited {
    fn source(&self, path: &str) -> Result<Digest, Missing> {
        let edits = if self.0.contains(&path) { " edited" } else { "" };
        Ok(Digest::of(format!("{path}{edits}").as_bytes()))
    }

    fn host(&self, path: &str) -> Result<Digest, Missing> {
        self.source(path)
    }

    fn tool(&self, program: &str) -> Result<ToolId, Missing> {
        let version = if self.0.contains(&program) { "2" } else { "1" };
        Ok(ToolId { version: version.to_owned() })
    }

    fn epoch(&self) -> u64 {
        0
    }
}

/// The labels of the nodes whose keys an edit changes.
fn rebuilt(plan: &Plan, edits: &[&'static str]) -> Vec<String> {
    let goals: Vec<NodeId> = plan.ids().collect();
    let keys = |world: &Edited| Keys::compute(plan, &goals, world).unwrap();
    let (before, after) = (keys(&Edited::default()), keys(&Edited(edits.to_vec())));
    let changed = plan.ids().filter(|id| before.key(*id) != after.key(*id));
    changed.map(|id| plan.node(id).label.clone()).collect()
}

/// What an edit rebuilds, by engine: the edit, then the labels of the nodes.
const EDITS: &[(Engine, &str, &[&str])] = &[
    (
        Engine::Source,
        "bootscripts/embed.ipxe",
        &[
            "embed.ipxe from bootscripts/embed.ipxe",
            "iPXE linked around the script",
            "FAT image for UEFI",
            "ipxe.iso",
        ],
    ),
    (Engine::Source, "bootscripts/boot.ipxe", &["boot.ipxe from bootscripts/boot.ipxe"]),
    (
        Engine::Source,
        "bootscripts/config/console.h",
        &[
            "iPXE patched and configured",
            "iPXE compiled",
            "iPXE linked around the script",
            "FAT image for UEFI",
            "ipxe.iso",
        ],
    ),
    (Engine::Prebuilt, "isofs/smoke/init", &["initrd of the smoke system", ISO]),
    (
        Engine::Prebuilt,
        "isofs/common/grub.cfg",
        &["grub.cfg from isofs/common/grub.cfg", "media.json: where the room for parameters is", ISO],
    ),
    (
        Engine::Prebuilt,
        "isofs/smoke/cloud-config.yml",
        &["seed with the cloud-config", "media.json: where the room for parameters is", ISO, "cloud-config"],
    ),
    (Engine::Prebuilt, "a file of no node", &[]),
];
const ISO: &str = "smoke-6.12.118-1-x86_64.iso";

#[test]
fn an_edit_rebuilds_the_nodes_that_depend_on_it_and_no_others() {
    let loaded = loaded();
    let smoke = loaded.config.profile(Some("smoke")).unwrap();
    for (engine, edit, expected) in EDITS {
        let plan = planned(&loaded, smoke, *engine).plan;
        let expected = sorted(expected.iter().map(ToString::to_string).collect());
        assert_eq!(sorted(rebuilt(&plan, &[edit])), expected, "{edit}");
    }
}

#[test]
fn a_newer_package_rebuilds_what_is_made_of_it_and_nothing_else() {
    let loaded = loaded();
    let smoke = loaded.config.profile(Some("smoke")).unwrap().clone();
    let keys = |loaded: &Loaded| {
        let plan = planned(loaded, &smoke, Engine::Prebuilt).plan;
        let goals: Vec<NodeId> = plan.ids().collect();
        let keys = Keys::compute(&plan, &goals, &Edited::default()).unwrap();
        plan.ids().map(|id| (plan.node(id).label.clone(), keys.key(id))).collect::<Vec<_>>()
    };
    let before = keys(&loaded);
    for (package, expected) in [
        ("isolinux", &["packages of isolinux", "files of isolinux", ISO, "ipxe.iso"] as &[&str]),
        ("grub-common", &["packages of grub", "GRUB for UEFI", "FAT image for UEFI", ISO]),
        ("busybox-static", &["packages of smoke", "initrd of the smoke system", ISO]),
    ] {
        let mut loaded = loaded.clone();
        loaded.lock.packages.get_mut(package).unwrap().sha256 = Digest::of(b"newer");
        let changed = keys(&loaded).into_iter().filter(|node| !before.contains(node)).map(|(label, _)| label);
        let expected = expected.iter().map(ToString::to_string).chain([format!("package {package} 1:1.0-1")]);
        assert_eq!(sorted(changed.collect()), sorted(expected.collect()), "{package}");
    }
}

fn sorted(mut list: Vec<String>) -> Vec<String> {
    list.sort();
    list
}
