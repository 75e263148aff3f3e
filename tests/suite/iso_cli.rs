//! `cargo xtask iso` and `cargo xtask kargs` as a person calls them: output, exit codes, nothing half-written.

#![expect(clippy::disallowed_methods, reason = "the binary is run as a shell would")]

use std::process::{Command, Output};

use attest::{Manifest, json, manifest, provenance, spdx};
use buildplan::{Digest, digest::sha512};
use fs_err as fs;
use mediaplan::config::Engine;
use trust::verify::sums;

use super::fixtures::Lab;

fn xtask(lab: &Lab, args: &[&str]) -> Output {
    fs::write(lab.path("media.toml"), "default-profile = \"smoke\"\n").unwrap();
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(args)
        .current_dir(lab.path(""))
        .env_remove("GITHUB_ACTIONS")
        .env("MEDIA_ROOT", lab.path(""))
        .output()
        .unwrap()
}

fn ok(lab: &Lab, args: &[&str]) -> String {
    let output = xtask(lab, args);
    assert!(output.status.success(), "{args:?}: {}", err(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn an_image_is_listed_printed_and_taken_out() {
    let lab = Lab::new();
    if !lab.xorriso() {
        return;
    }
    let text = ok(&lab, &["iso", "ls", "xor.iso"]);
    for wanted in
        ["XOR (rock ridge names", "/boot/grub/grub.cfg", "/link -> boot/../boot/initrd", "efi   yes", "gpt 2"]
    {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&ok(&lab, &["iso", "ls", "xor.iso", "--json"])).unwrap();
    assert_eq!((&json["label"], &json["boot"][1]["platform"]), (&"XOR".into(), &"efi".into()));
    assert_eq!(ok(&lab, &["iso", "cat", "xor.iso", "/BOOT/vmlinuz*"]), "kernel");
    ok(&lab, &["iso", "extract", "xor.iso", "--to", "out"]);
    assert_eq!(fs::read_to_string(lab.path("out/d1/d2/d3/d4/d5/d6/d7/d8/d9/deep.txt")).unwrap(), "deep");
    assert!(fs::symlink_metadata(lab.path("out/link")).is_err());
    ok(&lab, &["iso", "extract", "xor.iso", "/boot", "-C", "part"]);
    assert_eq!(fs::read_dir(lab.path("part")).unwrap().count(), 1);
    let again = xtask(&lab, &["iso", "extract", "xor.iso", "--to", "out"]);
    assert_eq!((again.status.code(), err(&again).contains("not an empty folder")), (Some(2), true));
}

/// Linux shows them as what they are; an empty file in their place would be something else.
#[cfg(target_os = "linux")]
#[test]
fn a_pipe_is_named_and_never_an_empty_file() {
    let lab = Lab::new();
    if !lab.xorriso() {
        return;
    }
    lab.write("special/file", "text");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, lab.path("special/pipe"), mode).unwrap();
    assert!(lab.run("xorriso", &["-as", "mkisofs", "-quiet", "-R", "-o", "special.iso", "special"]));
    let text = ok(&lab, &["iso", "ls", "special.iso"]);
    assert!(text.contains("/pipe (device, pipe or socket)"), "{text}");
    let output = xtask(&lab, &["iso", "cat", "special.iso", "/pipe"]);
    assert!(!output.status.success() && err(&output).contains("/pipe is not a file"), "{}", err(&output));
    let output = xtask(&lab, &["iso", "extract", "special.iso", "--to", "out"]);
    assert!(output.status.success() && err(&output).contains("1 special file left out"), "{}", err(&output));
    let left: Vec<_> = fs::read_dir(lab.path("out")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["file"]);
}

#[test]
fn a_failed_extraction_leaves_nothing() {
    let lab = Lab::new();
    if !lab.genisoimage() {
        return;
    }
    let file = fs::OpenOptions::new().write(true).open(lab.path("gen.iso")).unwrap();
    file.set_len(file.metadata().unwrap().len() - 400_000.min(file.metadata().unwrap().len() / 2)).unwrap();
    let output = xtask(&lab, &["iso", "extract", "gen.iso", "--to", "out"]);
    assert_eq!((output.status.code(), err(&output).contains("truncated")), (Some(6), true));
    let left: Vec<_> = fs::read_dir(lab.path("")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|n| n == "out" || n.to_string_lossy().starts_with(".extract-")), "{left:?}");
}

/// A folder as `dist` leaves it, around the lab's image.
fn published(lab: &Lab) -> Vec<u8> {
    let image = fs::read(lab.path("ours.iso")).unwrap();
    let sha256 = Digest::of(&image);
    let output = manifest::Output { size: image.len() as u64, sha256, key: Digest::of(b"key") };
    let manifest = Manifest {
        format: manifest::FORMAT,
        profile: "smoke".to_owned(),
        version: "1".to_owned(),
        engine: Engine::Prebuilt,
        epoch: 0,
        outputs: [("ours.iso".to_owned(), output)].into(),
        nodes: [].into(),
    };
    lab.write("manifest.json", &json(&manifest));
    lab.write("sbom.spdx.json", &json(&spdx::document(&manifest)));
    lab.write("provenance.intoto.json", &json(&provenance::statement(&manifest)));
    lab.write("other", "other");
    let (mut short, mut long) = (String::new(), String::new());
    for name in ["ours.iso", "other", "manifest.json", "sbom.spdx.json", "provenance.intoto.json"] {
        let bytes = fs::read(lab.path(name)).unwrap();
        short += &format!("{}  {name}\n", Digest::of(&bytes));
        long += &format!("{}  {name}\n", sha512(&mut bytes.as_slice()).unwrap());
    }
    lab.write("SHA256SUMS", &short);
    lab.write("SHA512SUMS", &long);
    beside(lab)
}

/// Everything that speaks of the image.
fn beside(lab: &Lab) -> Vec<u8> {
    let names = ["SHA256SUMS", "SHA512SUMS", "manifest.json", "sbom.spdx.json", "provenance.intoto.json"];
    names.iter().flat_map(|n| fs::read(lab.path(n)).unwrap()).collect()
}

#[test]
fn what_speaks_of_a_changed_image_is_brought_up_to_date_or_said_to_be_wrong() {
    let lab = Lab::new();
    if !lab.ours() {
        return;
    }
    let digest = || Digest::of(&fs::read(lab.path("ours.iso")).unwrap()).to_string();
    let (built, lists) = (digest(), published(&lab));
    let output = xtask(&lab, &["kargs", "append", "ours.iso", "x=1"]);
    assert!(output.status.success() && err(&output).contains("--update-sums"), "{}", err(&output));
    assert_eq!(beside(&lab), lists);
    let text = err(&xtask(&lab, &["kargs", "reset", "ours.iso"]));
    assert!(
        text.contains("ours.iso has the parameters that it was built with") && !text.contains("warning"),
        "{text}"
    );
    ok(&lab, &["kargs", "append", "ours.iso", "y=1", "--update-sums"]);
    for (list, digits) in [("SHA256SUMS", 64), ("SHA512SUMS", 128)] {
        for (name, hex) in sums::read(&lab.utf8(""), list, digits).unwrap() {
            let bytes = fs::read(lab.path(&name)).unwrap();
            let now = if digits == 64 {
                Digest::of(&bytes).to_string()
            } else {
                sha512(&mut bytes.as_slice()).unwrap()
            };
            assert_eq!(now, hex, "{name} in {list}");
        }
    }
    for name in ["manifest.json", "sbom.spdx.json", "provenance.intoto.json"] {
        let text = fs::read_to_string(lab.path(name)).unwrap();
        assert!(text.contains(&digest()) && !text.contains(&built), "{name}: {text}");
    }
    ok(&lab, &["kargs", "reset", "ours.iso", "--update-sums"]);
    assert_eq!((digest(), beside(&lab)), (built.clone(), lists));
    // What cannot be followed up is known before the image is touched.
    lab.write("manifest.json", "{}");
    assert_eq!(xtask(&lab, &["kargs", "append", "ours.iso", "z=1", "--update-sums"]).status.code(), Some(6));
    assert_eq!(digest(), built);
}

#[test]
fn a_second_image_of_a_shells_pattern_is_not_taken_for_a_kernel_argument() {
    let lab = Lab::new();
    fs::write(lab.path("small.iso"), super::hostile::isolinux_image()).unwrap();
    fs::write(lab.path("other.iso"), super::hostile::isolinux_image()).unwrap();
    let edit = ["kargs", "append", "small.iso", "other.iso", "panic=10"];
    let output = xtask(&lab, &edit);
    assert_eq!((output.status.code(), err(&output).contains("`other.iso` is a file")), (Some(2), true));
    assert!(!ok(&lab, &["kargs", "show", "small.iso"]).contains("other.iso"));
    ok(&lab, &[&edit[..], &["--force"]].concat());
    let output = xtask(&lab, &["kargs", "append", "small.iso", "a=1", "-o", "new.iso"]);
    assert!(err(&output).contains("new.iso is written"), "{}", err(&output));
}

#[test]
fn the_password_that_everybody_tries_is_refused_and_none_is_shown() {
    let lab = Lab::new();
    fs::write(lab.path("small.iso"), super::hostile::isolinux_image()).unwrap();
    let append = |word: &str, more: &[&str]| {
        let edit = ["kargs", "append", "small.iso", word, "--os", "rancheros-1.5.8"];
        let output = xtask(&lab, &[&edit[..], more].concat());
        (output.status.code(), err(&output))
    };
    let (code, text) = append("rancher.password=hunter2", &["-o", "new.iso"]);
    assert_eq!((code, text.contains("W0202"), text.contains("hunter2")), (Some(0), true, false), "{text}");
    let (code, text) = append("rancher.password=rancher", &[]);
    assert_eq!(
        (code, text.contains("E0405"), text.contains("password=rancher")),
        (Some(11), true, false),
        "{text}"
    );
    assert_eq!(append("rancher.password=rancher", &["--force"]).0, Some(0));
}

#[test]
fn an_edit_needs_no_tool_on_any_system() {
    let lab = Lab::new();
    let built = super::hostile::isolinux_image();
    fs::write(lab.path("small.iso"), &built).unwrap();
    ok(&lab, &["kargs", "append", "small.iso", "panic=10"]);
    assert!(ok(&lab, &["kargs", "show", "small.iso"]).contains("quiet panic=10"));
    ok(&lab, &["kargs", "delete", "small.iso", "panic=10"]);
    assert!(!ok(&lab, &["kargs", "show", "small.iso"]).contains("panic=10"));
    assert_eq!(fs::read(lab.path("small.iso")).unwrap().len(), built.len());
}

#[test]
fn arguments_are_shown_streamed_and_copied() {
    let lab = Lab::new();
    if !lab.ours() {
        return;
    }
    let built = fs::read(lab.path("ours.iso")).unwrap();
    let text = ok(&lab, &["kargs", "show", "ours.iso"]);
    assert!(
        text.contains("quiet console=ttyS0") && text.contains("as built") && text.contains("hostname: built"),
        "{text}"
    );
    let streamed = xtask(&lab, &["kargs", "delete", "ours.iso", "quiet", "-o", "-"]);
    ok(&lab, &["kargs", "delete", "ours.iso", "quiet", "-o", "copy.iso"]);
    assert!(streamed.status.success() && streamed.stdout == fs::read(lab.path("copy.iso")).unwrap());
    assert_eq!(fs::read(lab.path("ours.iso")).unwrap(), built);
    let json: serde_json::Value =
        serde_json::from_str(&ok(&lab, &["kargs", "show", "copy.iso", "--json"])).unwrap();
    assert_eq!((&json["pristine"], &json["slots"][1]["args"]), (&false.into(), &"console=ttyS0".into()));
    lab.write("cloud.yml", "#cloud-config\nhostname: embedded\n");
    ok(&lab, &["kargs", "embed-config", "copy.iso", "cloud.yml"]);
    assert!(ok(&lab, &["kargs", "show", "copy.iso"]).contains("hostname: embedded"));
}

#[test]
fn what_is_wrong_has_its_exit_code_and_changes_nothing() {
    let lab = Lab::new();
    if !lab.ours() {
        return;
    }
    let built = fs::read(lab.path("ours.iso")).unwrap();
    lab.write("none.iso", "not an image");
    let long = format!("a={}", "x".repeat(3000));
    lab.write("bad.yml", "#cloud-config\nhostname: [a\n");
    let wrong: [(&[&str], i32, &str); 11] = [
        (&["iso", "ls", "none.iso"], 6, "not an ISO image: too short"),
        (&["kargs", "append", "ours.iso", "x=1", "-o", "none.iso"], 2, "none.iso already exists"),
        (
            &[
                "kargs",
                "append",
                "ours.iso",
                "rancher.state.autofromat=[/dev/sda]",
                "--os",
                "rancheros-1.5.8",
            ],
            11,
            "did you mean `rancher.state.autoformat`",
        ),
        (&["kargs", "append", "ours.iso", "rancher.state.autofromat=[/dev/sda]"], 11, "nothing is written"),
        (&["kargs", "embed-config", "ours.iso", "bad.yml", "--os", "smoke"], 11, "nothing is written"),
        (&["kargs", "show", "none.iso"], 6, "none.iso"),
        (&["kargs", "append", "ours.iso", "a b"], 11, "not one word"),
        (&["kargs", "append", "ours.iso", &long], 11, "do not fit"),
        (&["kargs", "delete", "ours.iso", "nothing"], 2, "no kernel argument of the image matches `nothing`"),
        (&["iso", "cat", "ours.iso", "/nothing"], 6, "/nothing is not in the image"),
        (&["kargs", "append", "ours.iso", "x", "-o", "no/such/folder/x.iso"], 8, "no/such/folder"),
    ];
    for (args, code, text) in wrong {
        let output = xtask(&lab, args);
        assert_eq!(
            (output.status.code(), err(&output).contains(text)),
            (Some(code), true),
            "{args:?}: {}",
            err(&output)
        );
    }
    assert_eq!(fs::read(lab.path("ours.iso")).unwrap(), built);
}

#[test]
fn an_edit_that_would_panic_the_guest_is_refused_until_it_is_forced() {
    let lab = Lab::new();
    if !lab.ours() {
        return;
    }
    let built = fs::read(lab.path("ours.iso")).unwrap();
    let edit =
        ["kargs", "append", "ours.iso", "rancher.state.autoformat=/dev/vda", "--os", "rancheros-1.5.8"];
    let output = xtask(&lab, &edit);
    let text = err(&output);
    assert_eq!(output.status.code(), Some(11), "{text}");
    assert!(
        text.contains("wants a list") && text.contains("^^^") && text.contains("nothing is written"),
        "{text}"
    );
    assert_eq!(fs::read(lab.path("ours.iso")).unwrap(), built);
    ok(&lab, &[&edit[..], &["--force"]].concat());
    // What is there already does not stop the next edit, nor is it said again.
    let next = xtask(&lab, &["kargs", "append", "ours.iso", "panic=9", "--os", "rancheros-1.5.8"]);
    assert!(next.status.success() && !err(&next).contains("wants a list"), "{}", err(&next));
}

/// The second region is beyond the length that the process may write to, so the first is written and taken back.
#[cfg(unix)]
#[test]
fn a_write_that_fails_half_way_puts_the_old_bytes_back() {
    let lab = Lab::new();
    if !lab.ours() {
        return;
    }
    let built = fs::read(lab.path("ours.iso")).unwrap();
    let iso = bootiso::Iso::open(&lab.utf8("ours.iso")).unwrap();
    let offset = |path: &str| iso.find(path).unwrap().extents[0].offset;
    let (isolinux, grub) = (offset("/isolinux.cfg"), offset("/boot/grub/grub.cfg"));
    let most = isolinux.max(grub) / 512;
    lab.write("media.toml", "default-profile = \"smoke\"\n");
    let script = format!(
        "trap '' XFSZ; ulimit -f {most}; exec '{}' kargs append ours.iso x=1",
        env!("CARGO_BIN_EXE_xtask")
    );
    let mut shell = Command::new("sh");
    let output = shell
        .args(["-c", &script])
        .current_dir(lab.path(""))
        .env("MEDIA_ROOT", lab.path(""))
        .output()
        .unwrap();
    let text = err(&output);
    assert_eq!((output.status.code(), text.contains("it is unchanged")), (Some(8), true), "{text}");
    assert_eq!(fs::read(lab.path("ours.iso")).unwrap(), built);
}

#[test]
fn a_near_miss_and_a_file_that_exists_are_written_when_they_are_forced() {
    let lab = Lab::new();
    fs::write(lab.path("small.iso"), super::hostile::isolinux_image()).unwrap();
    lab.write("new.iso", "old");
    ok(&lab, &["kargs", "append", "small.iso", "rancher.state.autofromat=x", "-o", "new.iso", "--force"]);
    assert!(ok(&lab, &["kargs", "show", "new.iso"]).contains("autofromat"));
}

#[test]
fn an_edit_that_did_not_reach_everything_says_so_with_a_code_of_its_own() {
    let lab = Lab::new();
    lab.write(
        "tree/boot/grub/grub.cfg",
        "menuentry a { linux /vmlinuz quiet }\nmenuentry b { eval \"linux /vmlinuz b=1\" }\n",
    );
    if !lab.genisoimage() {
        return;
    }
    let output = xtask(&lab, &["kargs", "append", "gen.iso", "x=1"]);
    let text = err(&output);
    assert_eq!(output.status.code(), Some(14), "{text}");
    assert!(
        text.contains("not changed: /boot/grub/grub.cfg (b)") && text.contains("gen.iso is changed"),
        "{text}"
    );
    let shown = ok(&lab, &["kargs", "show", "gen.iso"]);
    assert!(shown.contains("quiet x=1") && shown.contains("not changed by `kargs`:"), "{shown}");
    let json: serde_json::Value =
        serde_json::from_str(&ok(&lab, &["kargs", "show", "gen.iso", "--json"])).unwrap();
    assert_eq!(json["unreached"][0]["entry"], "b");
}

#[test]
fn images_and_parameters_of_anybody_need_no_repository() {
    let lab = Lab::new();
    fs::write(lab.path("small.iso"), super::hostile::isolinux_image()).unwrap();
    lab.write("media/SHA256SUMS", &format!("{}  file\n", Digest::of(b"x")));
    lab.write("media/file", "x");
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(args)
            .current_dir(lab.path(""))
            .env_remove("MEDIA_ROOT")
            .env_remove("CARGO_MANIFEST_DIR")
            .output()
            .unwrap();
        (output.status.code(), format!("{}{}", String::from_utf8_lossy(&output.stdout), err(&output)))
    };
    let sound: [(&[&str], &str); 6] = [
        (&["iso", "ls", "small.iso"], "ISOLINUX.CFG"),
        (&["kargs", "append", "sm*.iso", "panic=10"], "small.iso is changed"),
        (&["kargs", "show", "small.iso"], "quiet panic=10"),
        (&["params", "explain", "--os", "rancheros-1.5.8", "--line", "rancher.debug=true"], "debug"),
        (&["verify", "media"], "SHA256SUMS"),
        (&["completions", "bash"], "complete"),
    ];
    for (args, wanted) in sound {
        let (code, text) = run(args);
        assert!(text.contains(wanted), "{args:?}: {code:?} {text}");
        assert!(args[0] == "verify" || code == Some(0), "{args:?}: {text}");
    }
    let (_, text) = run(&["params", "check"]);
    assert!(text.contains("`params` with --os and --line"), "{text}");
    for args in [&["dist"][..], &["plan"], &["verify", "media", "--rebuild"], &["codegen"]] {
        let (code, text) = run(args);
        assert_eq!((code, text.contains("no media.toml in")), (Some(2), true), "{args:?}: {text}");
    }
    assert!(!lab.path("target").exists());
}

/// A release's program has another name, and no cargo around it.
#[test]
fn a_program_of_another_name_shows_commands_that_can_be_typed() {
    let lab = Lab::new();
    let program = lab.path("boot-media");
    fs::copy(env!("CARGO_BIN_EXE_xtask"), &program).unwrap();
    let run = |args: &[&str]| {
        let mut command = Command::new(&program);
        command
            .args(args)
            .current_dir(lab.path(""))
            .env_remove("MEDIA_ROOT")
            .env_remove("CARGO_MANIFEST_DIR");
        let output = command.output().unwrap();
        (output.status.code(), format!("{}{}", String::from_utf8_lossy(&output.stdout), err(&output)))
    };
    for (args, code) in [
        (&["--help"][..], 0),
        (&["kargs", "append", "--help"], 0),
        (&["completions", "--help"], 0),
        (&["completions", "bash"], 0),
        (&["iso", "lss"], 2),
        (&["params", "check"], 2),
        (&["verify", "nothing"], 2),
        (&["dist"], 2),
        (&["--json", "iso", "lss"], 2),
    ] {
        let (ended, text) = run(args);
        assert_eq!(ended, Some(code), "{args:?}: {text}");
        assert!(!text.contains("cargo xtask") && !text.trim().is_empty(), "{args:?}: {text}");
    }
    assert!(run(&["iso", "--help"]).1.contains("boot-media iso"));
    assert!(run(&["completions", "zsh"]).1.starts_with("#compdef boot-media\n"));
}
