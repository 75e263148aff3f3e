//! What a TPM measures of the default system's ISO: `pcr.json` beside it, and `verify --booted` with what a machine read.
//! That firmware, GRUB and kernel measure just that is what the scenario `measured-boot` shows.

use bootiso::Iso;
use fs_err as fs;
use secureboot::measured::{Prediction, Register};

use super::repo::Repo;

/// The smoke system's media, and the name of its ISO.
fn media() -> Option<(Repo, String)> {
    let repo = Repo::with_packages("measured")?;
    repo.xtask(&["-q", "dist", "smoke"]).assert().success();
    let iso = repo.names("dist/smoke").into_iter().find(|n| n.starts_with("smoke-") && n.ends_with(".iso"));
    Some((repo, iso.unwrap()))
}

/// What a machine reads whose registers are those, with Secure Boot on.
fn told(registers: &[Register]) -> String {
    let all = registers.iter().filter(|r| r.secure_boot != Some(false));
    all.map(|r| format!("/sys/class/tpm/tpm0/pcr-sha256/{}:{}\n", r.pcr, r.sha256.to_uppercase())).collect()
}

fn verify(repo: &Repo, what: &str, code: i32) -> Vec<String> {
    let args = ["verify", what, "--booted", "registers.txt"];
    let said = repo.xtask(&args).assert().code(code).get_output().stdout.clone();
    let said = String::from_utf8(said).unwrap();
    said.lines()
        .filter(|l| l.starts_with("booted") || l.starts_with("registers"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_registers_of_a_started_medium_are_predicted_and_each_that_differs_is_named() {
    let Some((repo, name)) = media() else { return };
    let iso = format!("dist/smoke/{name}");
    let text = repo.read("dist/smoke/pcr.json");
    let built = Prediction::of(&Iso::open(&repo.path(&iso)).unwrap()).unwrap();
    assert_eq!(built.to_json().unwrap(), text);
    assert!(built.unknown.is_empty(), "{:?}", built.unknown);
    let whats: Vec<&str> = built.registers.iter().flat_map(|r| &r.events).map(|e| e.what.as_str()).collect();
    for what in
        ["/vmlinuz", "/seed.cpio", "/initrd", "the initrd, as the kernel got it", "grub_cmd: setparams smoke"]
    {
        assert!(whats.contains(&what), "{what}: {whats:?}");
    }
    assert!(repo.read("dist/smoke/SHA256SUMS").contains("  pcr.json\n"));

    repo.write("registers.txt", told(&built.registers));
    let said = verify(&repo, "dist/smoke", 0);
    assert_eq!(said.iter().filter(|l| l.contains(" pass ")).count(), 4, "{said:?}");
    assert!(said.iter().any(|l| l.contains("PCR 4") && l.ends_with("with Secure Boot on")), "{said:?}");

    // Another command line.
    let mut other = built.registers.clone();
    other.iter_mut().filter(|r| r.pcr == 8).for_each(|r| r.sha256 = "a".repeat(64));
    repo.write("registers.txt", told(&other));
    let said = verify(&repo, "dist/smoke", 5);
    let failed: Vec<&String> = said.iter().filter(|l| l.contains("FAIL")).collect();
    assert!(matches!(failed.as_slice(), [one] if one.contains("PCR 8 (GRUB's commands")), "{said:?}");

    // An edited medium: the built one's registers are not its own.
    fs::create_dir(repo.path("edited")).unwrap();
    fs::copy(repo.path(&iso), repo.path(&format!("edited/{name}"))).unwrap();
    repo.xtask(&["-q", "kargs", "append", &format!("edited/{name}"), "quiet"]).assert().success();
    let edited = Prediction::of(&Iso::open(&repo.path(&format!("edited/{name}"))).unwrap()).unwrap();
    repo.write("registers.txt", told(&built.registers));
    let said = verify(&repo, &format!("edited/{name}"), 5);
    let failed: Vec<&String> = said.iter().filter(|l| l.contains("FAIL")).collect();
    assert!(failed.len() == 2 && failed[0].contains("PCR 8") && failed[1].contains("PCR 9"), "{said:?}");
    repo.write("registers.txt", told(&edited.registers));
    let said = verify(&repo, &format!("edited/{name}"), 5);
    assert!(
        said.iter().all(|l| l.contains(" pass ")) && said.len() == 3,
        "parameters differ alone: {said:?}"
    );

    repo.write("registers.txt", "4: 00\n");
    assert!(verify(&repo, "dist/smoke", 5).iter().any(|l| l.contains("has no SHA-256 registers")));
    repo.write("dist/smoke/pcr.json", text.replacen('8', "9", 1));
    assert!(verify(&repo, "dist/smoke", 5).iter().any(|l| l.contains("is not what starting the ISO leaves")));
}

#[test]
fn a_register_whose_script_does_something_else_is_unknown_and_says_why() {
    let Some((repo, name)) = media() else { return };
    let path = repo.path(&format!("dist/smoke/{name}"));
    let mut bytes = fs::read(&path).unwrap();
    let (from, to) = (b"set default=0", b"search abcdef");
    let at = bytes.windows(from.len()).position(|w| w == from).unwrap();
    bytes[at..at + to.len()].copy_from_slice(to);
    fs::write(&path, bytes).unwrap();
    let prediction = Prediction::of(&Iso::open(&path).unwrap()).unwrap();
    assert!(prediction.registers.iter().all(|r| r.pcr == 4));
    let why: Vec<(u8, &str)> = prediction.unknown.iter().map(|u| (u.pcr, u.why.as_str())).collect();
    let text = "/boot/grub/grub.cfg: what `search abcdef` does is not in its text";
    assert_eq!(why, [(8, text), (9, text)]);
}
