//! Plans of every profile by both engines, on a made-up machine: no tool, no network and no package is needed.

use std::collections::BTreeSet;

use buildplan::{Action, CmdSpec, Digest, HostInputs, Keys, Missing, NodeId, Plan, ToolId};
use mediabuild::workspace::load::{self, Loaded};
use mediaplan::config::{Engine, Media, Netboot, Profile, Trust};
use mediaplan::stage::{
    docker,
    line::Line,
    media::{self, MediaOrder, PlannedMedia},
    needs, os,
    packages::{self, Pins},
};

use crate::repository;

#[path = "plans/orders.rs"]
mod orders;

/// The repository as it stands, with digests for what the lock leaves to the person, and packages that do not change.
fn loaded() -> Loaded {
    let mut loaded = load::read(&repository()).unwrap();
    loaded.lock.packages = packages::sample(&loaded.config.distribution);
    let profiles: Vec<Profile> = loaded.config.profiles().cloned().collect();
    for profile in profiles {
        let version = profile.version.clone().unwrap_or_default();
        for released in profile.released() {
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

fn planned(loaded: &Loaded, profile: &Profile, engine: Engine) -> PlannedMedia {
    planned_with(loaded, profile, engine, load::docker_sources(&repository()).unwrap())
}

fn planned_with(loaded: &Loaded, profile: &Profile, engine: Engine, docker: docker::Sources) -> PlannedMedia {
    media::plan(&order(loaded, profile, engine, docker)).unwrap()
}

fn order<'a>(
    loaded: &'a Loaded,
    profile: &'a Profile,
    engine: Engine,
    docker: docker::Sources,
) -> MediaOrder<'a> {
    let version = profile.version.as_deref().unwrap_or("");
    let released = profile.released();
    let locked = |name: &'a str| Some((name, loaded.lock.get(&profile.name, name, version)?));
    let locked = released.into_iter().filter_map(|r| locked(&r.name)).collect();
    let pins = Pins::new(&loaded.config.distribution, &loaded.lock);
    MediaOrder {
        profile,
        engine,
        pin: &loaded.config.ipxe,
        bootscripts: &loaded.bootscripts,
        line: Line::new(profile, None).unwrap(),
        supply: os::Supply { profile: &profile.name, locked, pins, docker },
    }
}

fn each(mut f: impl FnMut(&Loaded, &Profile, Engine)) {
    let loaded = loaded();
    for profile in loaded.config.profiles() {
        for engine in [Engine::Source, Engine::Prebuilt] {
            f(&loaded, profile, engine);
        }
    }
}

/// Programs and files of the machine that a plan uses.
fn programs_of(plan: &Plan) -> BTreeSet<String> {
    let commands = plan.nodes.iter().flat_map(|node| &node.actions).filter_map(|action| match action {
        Action::Run(cmd) => Some(cmd),
        _ => None,
    });
    let own = |cmd: &CmdSpec| cmd.start.tree.is_none().then(|| cmd.program.clone());
    commands.flat_map(|cmd| own(cmd).into_iter().chain(cmd.start.uses.iter().cloned())).collect()
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

/// Options for the system's folders are none of the carried images' business: the packer refuses them there.
#[test]
fn a_carried_image_is_packed_by_itself() {
    let loaded = loaded();
    let plan = |samples| {
        let profile = loaded.config.profile(Some("docker")).unwrap();
        let docker = docker::Sources { samples, ..load::docker_sources(&repository()).unwrap() };
        planned_with(&loaded, profile, Engine::Prebuilt, docker).plan
    };
    let node = |plan: &buildplan::Plan, stage: &str| {
        plan.nodes.iter().find(|n| n.stage == stage).map(|n| format!("{:?}", n.actions))
    };
    assert_eq!(node(&plan(false), "docker-containers"), None);
    let (containers, image) = (node(&plan(true), "docker-containers"), node(&plan(true), "docker-image"));
    assert!(image.unwrap().contains("root m 700"));
    let containers = containers.unwrap();
    assert!(containers.contains("mksquashfs") && !containers.contains("root m 700"), "{containers}");
}

/// Two roots while one replaces the other; each is built in by digest and whole.
#[test]
fn a_signed_netboot_has_its_roots_built_into_ipxe_and_scripts_that_ask_for_signatures() {
    let loaded = loaded();
    let mut profile = loaded.config.profile(Some("smoke")).unwrap().clone();
    let plan = |profile: &Profile| {
        let planned = planned(&loaded, profile, Engine::Source);
        (buildplan::render(&planned.plan, buildplan::Format::Text), planned.signed)
    };
    let (text, signed) = plan(&profile);
    assert!(!text.contains("TRUST=") && signed.is_empty());
    let roots = ["keys/root.crt", "keys/new/root.crt"].map(str::to_owned).to_vec();
    profile.netboot = Netboot { trust: Trust::Signed, roots };
    let (text, signed) = plan(&profile);
    for wanted in ["TRUST=root0.crt,root1.crt", "CERT=root0.crt,root1.crt", "keys/new/root.crt"] {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
    assert!(text.contains("bootscripts/embed-signed.ipxe") && text.contains("bootscripts/boot-signed.ipxe"));
    let wanted = ["boot.ipxe", "vmlinuz", "initrd", "seed.cpio"].map(|name| format!("netboot/{name}"));
    assert_eq!(signed, wanted);
}

#[test]
fn the_list_of_needs_has_everything_that_a_plan_uses() {
    each(|loaded, profile, engine| {
        let needs = needs::dist(&profile.media, engine);
        assert!(needs.iter().all(|n| !n.package.is_empty()), "{needs:?}");
        for used in programs_of(&planned(loaded, profile, engine).plan) {
            let named = needs.iter().any(|n| n.what == used || same_package(&n.what, &used));
            assert!(named, "{} by {engine:?} uses {used}, which `doctor` does not know", profile.name);
        }
    });
}

#[test]
fn the_docker_system_takes_rustc_of_the_machine_and_nothing_else() {
    each(|loaded, profile, engine| {
        if engine == Engine::Prebuilt && matches!(profile.media, Media::Docker { .. }) {
            // Not gcc, whose linker and C library would be in the program.
            assert!(programs_of(&planned(loaded, profile, engine).plan).iter().eq(["cargo", "rustc"]));
        }
    });
}

/// One file stands for all that its package puts into the folder.
fn same_package(need: &str, used: &str) -> bool {
    need.starts_with('/') && need.rsplit_once('/').map(|(f, _)| f) == used.rsplit_once('/').map(|(f, _)| f)
}

/// A host on which every file is what its name says, but for those that were edited.
#[derive(Default)]
struct Edited(Vec<&'static str>);

impl HostInputs for Edited {
    fn source(&self, path: &str) -> Result<Digest, Missing> {
        let edits = if self.0.contains(&path) { " edited" } else { "" };
        Ok(Digest::of(format!("{path}{edits}").as_bytes()))
    }

    fn tool(&self, program: &str) -> Result<ToolId, Missing> {
        let version = if self.0.contains(&program) { "2" } else { "1" };
        Ok(ToolId { version: version.to_owned() })
    }

    fn builtin(&self, name: &str) -> Result<Digest, Missing> {
        self.source(name)
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
            "iPXE around the script",
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
            "iPXE's programs around a placeholder",
            "iPXE around the script",
            "FAT image for UEFI",
            "ipxe.iso",
        ],
    ),
    (Engine::Prebuilt, "isofs/smoke/init", &["initrd of the smoke system", ISO, MEASURED]),
    (
        Engine::Prebuilt,
        "isofs/common/grub.cfg",
        &["grub.cfg from isofs/common/grub.cfg", "media.json: where the embed areas are", ISO, MEASURED],
    ),
    (
        Engine::Prebuilt,
        "isofs/smoke/cloud-config.yml",
        &[
            "config initrd with the cloud-config",
            "media.json: where the embed areas are",
            ISO,
            MEASURED,
            "cloud-config",
        ],
    ),
    (Engine::Prebuilt, "fat-image", &["FAT image for UEFI", "FAT image for UEFI", ISO, MEASURED, "ipxe.iso"]),
    (Engine::Prebuilt, "embed-layout", &["media.json: where the embed areas are", ISO, MEASURED]),
    (Engine::Prebuilt, "predict-registers", &[MEASURED]),
    (Engine::Prebuilt, "a file of no node", &[]),
];
const ISO: &str = "smoke-6.12.118-1-x86_64.iso";
const MEASURED: &str = "what a TPM measures";

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
        ("isolinux", &["packages of isolinux", "files of isolinux", ISO, MEASURED, "ipxe.iso"] as &[&str]),
        (
            "shim-signed",
            &["packages of shim-signed", "files of shim-signed", "FAT image for UEFI", ISO, MEASURED],
        ),
        ("busybox-static", &["packages of smoke", "initrd of the smoke system", ISO, MEASURED]),
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

/// Crates that read, carry or report bytes and write none into media.
const CARRIERS: &[&str] = &[
    "anyhow",
    "base64",
    "buildexec",
    "buildplan",
    "camino",
    "digest",
    "failure",
    "fs_err",
    "fs_extra",
    "mediaplan",
    "rustix",
    "serde",
    "std",
    "strsim",
    "tempfile",
    "thiserror",
    "toml",
    "unicode_width",
];
/// Modules of `buildexec` that do so, too.
const CARRYING_MODULES: &[&str] = &["action", "ctx", "hash", "midstates", "run", "store"];

/// Every `name::` of a source, but for those of its own modules, types and tests.
fn crates_used(text: &str, known: &[String]) -> Vec<String> {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let mut words: Vec<String> = text
        .match_indices("::")
        .map(|(at, _)| {
            (text[..at].rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |i| i + 1), at)
        })
        // `std::os::windows` is not the crate of that name.
        .filter(|(begin, _)| !text[..*begin].ends_with("std::os::"))
        .map(|(begin, at)| text[begin..at].to_owned())
        .filter(|word| known.contains(word))
        .collect();
    words.sort();
    words.dedup();
    words
}

/// A builtin that uses a module, or another crate, whose edit would not change its keys, would be "cached" with bytes
/// of before.
#[test]
fn the_code_of_each_builtin_is_whole() {
    let lock = fs_err::read_to_string(repository().join("Cargo.lock")).unwrap();
    let name = |l: &str| Some(l.strip_prefix("name = \"")?.trim_end_matches('"').replace('-', "_"));
    let known: Vec<String> = lock.lines().filter_map(name).collect();
    for builtin in mediabuild::builtin::BUILTINS {
        let sources: Vec<(&str, &str)> = builtin
            .sources
            .iter()
            .copied()
            .flatten()
            .map(|(path, text)| (*path, std::str::from_utf8(text).unwrap()))
            .collect();
        let has = |path: &str| sources.iter().any(|(p, _)| p.starts_with(path));
        assert!(has("crates/mediabuild/src/builtin/"), "{} lacks its own source", builtin.name);
        for (path, text) in &sources {
            for used in crates_used(text, &known).iter().filter(|used| !CARRIERS.contains(&used.as_str())) {
                let listed = has(&format!("crates/{used}/src/"))
                    || builtin.crates.iter().any(|name| name.replace('-', "_") == *used);
                assert!(listed, "{} uses {used} in {path}, and its key does not know", builtin.name);
            }
            for (_, rest) in
                text.match_indices("buildexec::").map(|(at, word)| text.split_at(at + word.len()))
            {
                let modules = rest.trim_start_matches('{').split([',', ';']).take(2).map(|m| {
                    m.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
                });
                let many = if rest.starts_with('{') { 2 } else { 1 };
                for module in modules.take(many).filter(|m| !CARRYING_MODULES.contains(&m.as_str())) {
                    let listed = has(&format!("crates/buildexec/src/{module}"));
                    assert!(
                        listed,
                        "{} uses buildexec::{module} in {path}, and its key does not know",
                        builtin.name
                    );
                }
            }
            for module in ["embed", "extract", "fat", "git", "initrd", "kernel", "template"] {
                if text.contains(&format!("super::{module}")) {
                    assert!(
                        has(&format!("crates/mediabuild/src/builtin/{module}")),
                        "{} lacks {module}",
                        builtin.name
                    );
                }
            }
        }
    }
}

/// What consumers of a plan read: a node that gets something from outside says what, with the digest that it is held
/// against, and an image is a list of parts.
#[test]
fn what_comes_from_outside_is_typed_in_the_plan() {
    use buildplan::{Action, Material, Product, Resource};

    each(|loaded, profile, engine| {
        for node in &planned(loaded, profile, engine).plan.nodes {
            let fetched = node.actions.iter().find_map(|a| match a {
                Action::Fetch(fetch) => Some(fetch.sha256),
                _ => None,
            });
            let told = node.materials.iter().find_map(|m| match m {
                Material::Package { sha256, .. } | Material::Download { sha256, .. } => Some(*sha256),
                _ => None,
            });
            assert_eq!(fetched, told, "{}", node.label);
            let is_commit = matches!(node.materials.as_slice(), [Material::Commit { .. }]);
            assert_eq!(node.resource == Resource::Net, told.is_some() || is_commit, "{}", node.label);
            let is_image = node.outputs.iter().any(|o| o.ends_with(".iso") && fetched.is_none());
            assert_eq!(is_image, matches!(node.product, Some(Product::Iso(_))), "{}", node.label);
        }
    });
}

#[test]
fn an_edit_of_a_builtin_builds_what_it_made_again() {
    use buildexec::{
        action::Builtin,
        ctx::{Ctx, Env, Globals},
        host_inputs::BuildHost,
        schedule,
        store::Store,
    };
    use buildplan::{Arg, Planner, Stage};
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    struct Greeting;
    impl Stage for Greeting {
        type Out = buildplan::Artifact;
        const NAME: &'static str = "greeting";
        const FORMAT: u32 = 1;
        fn plan(&self, p: &mut Planner) -> anyhow::Result<buildplan::Artifact> {
            let mut node = p.node::<Self>("a greeting");
            let to = node.out("text");
            node.builtin("greet", [("to", to), ("name", Arg::from("world"))]);
            Ok(node.finish_one())
        }
    }
    fn table(
        text: &'static [u8],
        run: fn(&buildexec::action::Call<'_>) -> anyhow::Result<()>,
    ) -> &'static [Builtin] {
        let own: &[buildexec::action::SourceFile] = Box::leak(Box::new([("greet.rs", text)]));
        let sources: &[&[_]] = Box::leak(Box::new([own]));
        Box::leak(Box::new([Builtin { name: "greet", run, sources, crates: &[], lock: "" }]))
    }
    let dir = tempfile::tempdir().unwrap();
    let root = repository();
    let env = Env::of(&[("MEDIA_ROOT", root.as_str()), ("CARGO_TARGET_DIR", dir.path().to_str().unwrap())]);
    let make = |builtins| {
        let globals = Globals { quiet: true, ..Globals::default() };
        let ctx = Ctx::new(globals, env.clone(), builtins).unwrap();
        let mut planner = Planner::new();
        let goal = planner.ensure(&Greeting).unwrap().node;
        let plan = planner.finish();
        let keys = Keys::compute(&plan, &[goal], &BuildHost::new(&ctx, 0)).unwrap();
        let store = Store::open(&ctx.work, &ctx.report, &ctx.runner.interrupt).unwrap();
        schedule::execute(&ctx, &plan, &keys, &[goal], 0, &store).map(|done| {
            let dir = buildexec::store::entry_dir(&ctx.work, plan.node(goal), keys.key(goal));
            (done.built.len(), fs_err::read_to_string(dir.join("out/text")).unwrap())
        })
    };
    let old = table(b"old", |call| Ok(fs_err::write(call.out("to")?, "hello")?));
    let new = table(b"new", |call| Ok(fs_err::write(call.out("to")?, "good morning")?));
    assert_eq!(make(old).unwrap(), (1, "hello".to_owned()));
    assert_eq!(make(old).unwrap(), (0, "hello".to_owned()));
    assert_eq!(make(new).unwrap(), (1, "good morning".to_owned()));
    // One that panics is a failure with its node's name, and the run ends.
    let broken = table(b"broken", |call| panic!("no greeting for {}", call.text("name").unwrap()));
    let said: Vec<String> = make(broken).unwrap_err().chain().map(ToString::to_string).collect();
    assert_eq!(said[0], "a greeting failed: this program panicked");
    assert!(said[1].starts_with("no greeting for world ("), "{said:?}");
    assert!(said[2].starts_with("its backtrace:\n"), "{said:?}");
}
