//! Images that boot something else, or could: each is made from a good one, lists and statements are made to fit, and
//! `verify` names the byte.

#![expect(clippy::disallowed_macros, reason = "`cargo xtask test --long` collects how many were tried")]

use buildplan::{Digest, digest::sha512};
use fs_err as fs;
use mediabuild::workspace::load;
use proptest::{
    prelude::{Strategy, any, prop_oneof},
    strategy::ValueTree as _,
    test_runner::TestRunner,
};
use trust::verify::sums;
use xtask::cmd::verify::{self, VerifyArgs};

use self::kinds::{ALTERATIONS, record};
use super::release::{MediaCopy, Repository};

mod kinds;

const ISO: &str = "mini-1-x86_64.iso";
const SECTOR: usize = 2048;

#[test]
fn media_that_could_boot_something_else_are_refused() {
    let Some(repository) = Repository::get() else { return };
    let good = fs::read(repository.path("dist/mini").join(ISO)).unwrap();
    let mut passed = Vec::new();
    for (name, alter) in ALTERATIONS {
        let media = repository.media();
        let mut bytes = good.clone();
        alter(&mut bytes);
        assert_ne!(bytes, good, "{name}");
        fs::write(media.path(ISO), bytes).unwrap();
        media.refresh_statements();
        let (code, said) = media.verify(&["--strict"]);
        // The lists fit, so that it is the image that is refused.
        let names = said.lines().find_map(|line| line.strip_prefix("error: verification failed: "));
        let of_the_image = |names: &str| names.split(", ").any(|n| ["loaders", "iso"].contains(&n));
        if code != 5 || !names.is_some_and(|n| of_the_image(n) && !n.contains("checksums")) {
            passed.push(format!("{name}: {said}"));
        }
    }
    assert!(passed.is_empty(), "{}", passed.join("\n"));
}

/// A file of another name, which leads where `isolinux.cfg` does.
#[test]
fn an_entry_that_the_plan_does_not_put_there_is_named() {
    let Some(repository) = Repository::get() else { return };
    let media = repository.media();
    let mut bytes = fs::read(media.path(ISO)).unwrap();
    let (from, end) = record(&bytes, "ISOLINUX.CFG;1");
    let mut copy = bytes[from..from + usize::from(bytes[from])].to_vec();
    for (from, to) in [(b"LINUX.CFG", b"EVILS.CFG"), (b"linux.cfg", b"evils.cfg")] {
        let at = copy.windows(from.len()).position(|w| w == from).unwrap();
        copy[at..at + to.len()].copy_from_slice(to);
    }
    bytes[end..end + copy.len()].copy_from_slice(&copy);
    fs::write(media.path(ISO), bytes).unwrap();
    media.refresh_statements();
    let said = media.broken(&[], "loaders");
    assert!(said.contains("the ISO has /isoevils.cfg, which this repository does not put there"), "{said}");
}

#[test]
fn a_refusal_names_the_first_byte_that_differs_and_where_it_lies() {
    let Some(repository) = Repository::get() else { return };
    let size = usize::try_from(fs::metadata(repository.path("dist/mini").join(ISO)).unwrap().len()).unwrap();
    for (file, at, place) in [
        (ISO, 511, "(the boot sector and its partitions)"),
        (ISO, 512, "(the system area)"),
        (ISO, 16 * SECTOR + 400, "(the volume descriptors)"),
        (ISO, 20 * SECTOR, "(the path tables, folders and boot catalogue)"),
        (ISO, size - 1024, "(between or behind its files)"),
        ("ipxe.iso", 4096, "(the system area)"),
    ] {
        let media = repository.media();
        media.flip(file, at as u64);
        media.refresh_statements();
        let (code, said) = media.verify(&[]);
        assert!(code == 5 && said.contains(&format!("byte {at} of ")) && said.contains(place), "{said}");
    }
}

/// Something that is done to bytes without a plan.
#[derive(Clone, Debug)]
enum Mutation {
    Flip(usize, u8),
    Swap(usize, usize, usize),
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
}

impl Mutation {
    fn any() -> impl Strategy<Value = Self> {
        // Half of them where the structures lie, which are few of the bytes.
        let at = || prop_oneof![0..64 * SECTOR, any::<usize>()];
        prop_oneof![
            4 => (at(), 0..8_u8).prop_map(|(at, bit)| Self::Flip(at, bit)),
            2 => (at(), at(), 1..SECTOR).prop_map(|(a, b, length)| Self::Swap(a, b, length)),
            1 => (at(), proptest::collection::vec(any::<u8>(), 1..64)).prop_map(|(at, b)| Self::Insert(at, b)),
            1 => (at(), 1..SECTOR).prop_map(|(at, length)| Self::Remove(at, length)),
        ]
    }

    fn of(&self, good: &[u8]) -> Vec<u8> {
        let (mut bytes, size) = (good.to_vec(), good.len());
        match self {
            Self::Flip(at, bit) => bytes[at % size] ^= 1 << bit,
            Self::Swap(a, b, length) => {
                for i in 0..*length {
                    bytes.swap(a.wrapping_add(i) % size, b.wrapping_add(i) % size);
                }
            }
            Self::Insert(at, content) => {
                bytes.splice(at % size..at % size, content.iter().copied());
            }
            Self::Remove(at, length) => {
                let at = at % size;
                bytes.drain(at..size.min(at + length));
            }
        }
        bytes
    }
}

/// As [`MediaCopy::refresh_statements`], when only the file `name` was changed.
fn refresh_statements_of(media: &MediaCopy<'_>, name: &str, bytes: &[u8]) {
    let mut manifest = media.manifest();
    let output = manifest.outputs.get_mut(name).unwrap();
    (output.size, output.sha256) = (bytes.len() as u64, Digest::of(bytes));
    let mut changed = vec![(name, bytes.to_vec())];
    for (name, text) in attest::statements(&manifest) {
        fs::write(media.path(name), &text).unwrap();
        changed.push((name, text.into_bytes()));
    }
    let digests_256 = changed.iter().map(|(name, b)| (*name, Digest::of(b).to_string())).collect();
    let digests_512 = changed.iter().map(|(name, b)| (*name, sha512(&mut b.as_slice()).unwrap())).collect();
    for (list, digits, new) in [(sums::SHA256, 64, digests_256), (sums::SHA512, 128, digests_512)] {
        let text = fs::read_to_string(media.path(list)).unwrap();
        fs::write(media.path(list), sums::with_digests(&text, digits, &new)).unwrap();
    }
}

#[test]
fn an_image_that_was_changed_anywhere_is_refused() {
    let Some(repository) = Repository::get() else { return };
    let media = repository.media();
    let good = fs::read(media.path(ISO)).unwrap();
    let mut runner = TestRunner::deterministic();
    let tried = if super::long() { 10_000 } else { 200 };
    let mut passed = Vec::new();
    // What the repository makes is the same for all; the command plans it anew, and takes ten times as long.
    let ctx = repository.ctx();
    let loaded = load::load(&ctx).unwrap();
    let dir = camino::Utf8PathBuf::try_from(media.path("")).unwrap();
    let args = VerifyArgs::default();
    let mut subject = verify::subject(&ctx, Some(&loaded), dir.clone(), Some(ISO.to_owned()), &args);
    for number in 0..tried {
        let mutation = Mutation::any().new_tree(&mut runner).unwrap().current();
        let bytes = mutation.of(&good);
        if bytes == good {
            continue;
        }
        fs::write(media.path(ISO), &bytes).unwrap();
        refresh_statements_of(&media, ISO, &bytes);
        subject.manifest = trust::verify::read_manifest(&dir).unwrap();
        subject.read = trust::verify::FilesRead::default();
        subject.before = trust::verify::changes::Snapshot::of(&dir, Some(ISO));
        let judged = subject.run(None).unwrap().judge();
        let said = judged.err().map(|e| format!("{e:#}")).unwrap_or_default();
        // The lists and the manifest fit, so that it is the image that is refused.
        let refused =
            |said: &str| said.contains("verification failed: ") && !said.contains("failed: checksums");
        if !refused(&said) {
            passed.push(format!("{mutation:?}: {said}"));
        }
        if number % 50 == 0 {
            let (code, said) = repository.run(&["verify", media.path(ISO).to_str().unwrap()]);
            assert!(code == 5 && refused(&said), "{mutation:?}: {said}");
        }
    }
    println!("reliability: verify alterations: {tried} tried, {} held", tried - passed.len());
    assert!(passed.is_empty(), "{}", passed.join("\n"));
}

#[test]
fn what_lies_beside_the_media_is_held_to_the_same() {
    let Some(repository) = Repository::get() else { return };
    let spoiled = |spoil: &dyn Fn(&MediaCopy<'_>)| {
        let media = repository.media();
        spoil(&media);
        let (code, said) = media.verify(&[]);
        assert_eq!(code, 5, "{said}");
        said
    };
    // What a file manager leaves is said, and is nothing of the media's.
    let media = repository.media();
    fs::write(media.path("netboot/.DS_Store"), "x").unwrap();
    assert!(media.accepted(&[]).contains("netboot/.DS_Store was left by a file manager"));
    let said = spoiled(&|m| fs::remove_file(m.path("SHA512SUMS")).unwrap());
    assert!(said.contains("SHA512SUMS is missing"), "{said}");
    let said = spoiled(&|m| {
        fs::write(m.path("netboot/extra"), "x").unwrap();
        m.refresh_statements();
    });
    assert!(said.contains("manifest.json does not know netboot/extra"), "{said}");
    let said = spoiled(&|m| {
        let text = fs::read_to_string(m.path("manifest.json")).unwrap();
        fs::write(m.path("manifest.json"), format!("{text}\n")).unwrap();
        m.list();
    });
    assert!(said.contains("manifest.json is not formatted as this program writes it"), "{said}");
    // The last of two keys counts for some readers, the first for others.
    spoiled(&|m| {
        let text = fs::read_to_string(m.path("manifest.json")).unwrap();
        fs::write(m.path("manifest.json"), text.replacen('{', "{\n  \"profile\": \"other\",", 1)).unwrap();
        m.list();
    });
    for statement in [attest::SBOM, attest::PROVENANCE] {
        let said = spoiled(&|m| {
            let text = fs::read_to_string(m.path(statement)).unwrap();
            fs::write(m.path(statement), format!("\u{feff}{text}")).unwrap();
            m.list();
        });
        assert!(said.contains("verification failed: "), "{said}");
    }
    // A list that names a file twice, and one whose second name leads out and back.
    for path in ["netboot/vmlinuz", "netboot/../netboot/vmlinuz", "netboot//vmlinuz"] {
        spoiled(&|m| {
            let text = fs::read_to_string(m.path("SHA256SUMS")).unwrap();
            fs::write(m.path("SHA256SUMS"), format!("{text}{}  {path}\n", "0".repeat(64))).unwrap();
        });
    }
    // Beside the files that iPXE loads, under a name that differs in case.
    let said = spoiled(&|m| {
        fs::copy(m.path("netboot/initrd"), m.path("netboot/VMLINUZ")).unwrap();
        m.list();
    });
    assert!(said.contains("manifest.json does not know netboot/VMLINUZ"), "{said}");
}

#[cfg(unix)]
#[test]
fn a_folder_that_is_a_link_and_what_is_no_file_are_refused() {
    let Some(repository) = Repository::get() else { return };
    let elsewhere = tempfile::tempdir().unwrap();
    let media = repository.media();
    super::release::copy(&media.path("netboot"), elsewhere.path());
    fs::remove_dir_all(media.path("netboot")).unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), media.path("netboot")).unwrap();
    let (code, said) = media.verify(&[]);
    assert!(code == 5 && said.contains("netboot is in no list"), "{said}");
    let media = repository.media();
    let pipe = camino::Utf8PathBuf::try_from(media.path("netboot/pipe")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, pipe.as_std_path(), rustix::fs::Mode::from_raw_mode(0o600))
        .unwrap();
    let (code, said) = media.verify(&[]);
    assert!(code == 5 && said.contains("netboot/pipe is in no list"), "{said}");
    // A name that holds a line of a check that passed.
    let media = repository.media();
    fs::write(media.path("x\nchecksums  pass  so it is"), "").unwrap();
    let (code, said) = media.verify(&[]);
    assert!(code == 5 && said.contains("x\\nchecksums  pass  so it is is in no list"), "{said}");
    // A file without an end, which takes no room.
    let media = repository.media();
    fs::OpenOptions::new().write(true).open(media.path("netboot/initrd")).unwrap().set_len(1 << 42).unwrap();
    let (code, said) = media.verify(&[]);
    assert!(
        code == 5 && said.contains("4398046511104 bytes, more than the 17179869184 that are read"),
        "{said}"
    );
}

#[test]
#[cfg(unix)]
fn a_link_is_not_taken_for_the_file_that_it_leads_to() {
    let Some(repository) = Repository::get() else { return };
    let elsewhere = tempfile::tempdir().unwrap();
    for name in ["netboot/vmlinuz", ISO, "ipxe.efi", "manifest.json", "SHA256SUMS", "SHA512SUMS"] {
        let media = repository.media();
        let to = elsewhere.path().join(name.rsplit('/').next().unwrap());
        fs::copy(media.path(name), &to).unwrap();
        fs::remove_file(media.path(name)).unwrap();
        std::os::unix::fs::symlink(&to, media.path(name)).unwrap();
        let (code, said) = media.verify(&[]);
        assert!(code == 5 && said.contains(&format!("{name} is not a regular file")), "{name}: {said}");
    }
}

#[test]
fn a_reset_does_not_vouch_for_an_image_that_was_altered() {
    let Some(repository) = Repository::get() else { return };
    let media = repository.media();
    let iso = media.path(ISO);
    let path = iso.to_str().unwrap();
    assert_eq!(repository.run(&["kargs", "append", path, "panic=5", "--update-sums"]).0, 0);
    let appended = fs::read(&iso).unwrap();
    let some = ["hidden record", "another boot section", "partition with a strange flag", "system area"];
    for (name, alter) in ALTERATIONS.iter().filter(|(name, _)| some.contains(name)) {
        let mut bytes = appended.clone();
        alter(&mut bytes);
        fs::write(&iso, &bytes).unwrap();
        let lists = fs::read_to_string(media.path("SHA256SUMS")).unwrap();
        let (code, said) = repository.run(&["kargs", "reset", path, "--update-sums"]);
        assert!(code == 5 && said.contains("verification failed: loaders"), "{name}: {said}");
        assert_eq!(fs::read(&iso).unwrap(), bytes, "{name}: nothing is written");
        assert_eq!(fs::read_to_string(media.path("SHA256SUMS")).unwrap(), lists, "{name}");
    }
    fs::write(&iso, &appended).unwrap();
    let (code, said) = repository.run(&["kargs", "reset", path, "--update-sums"]);
    assert!(code == 0 && said.contains("is as it was built"), "{said}");
    media.accepted(&[]);
    // Nor when nothing but the lists lies beside it.
    let mut bytes = appended;
    bytes[5000] ^= 1;
    fs::write(&iso, &bytes).unwrap();
    fs::remove_file(media.path("manifest.json")).unwrap();
    let (code, said) = repository.run(&["kargs", "reset", path, "--update-sums"]);
    assert!(code == 5 && said.contains("verification failed: loaders"), "{said}");
    assert_eq!(fs::read(&iso).unwrap(), bytes);
}

#[test]
fn a_list_that_a_person_edited_is_brought_up_to_date_as_it_is() {
    let Some(repository) = Repository::get() else { return };
    let media = repository.media();
    let text = fs::read_to_string(media.path("SHA256SUMS")).unwrap();
    let bsd = text.lines().map(|line| format!("SHA256 (./{}) = {}\r\n", &line[66..], &line[..64]));
    let edited = format!("# by hand\r\n{}", bsd.collect::<String>());
    fs::write(media.path("SHA256SUMS"), &edited).unwrap();
    let iso = media.path(ISO);
    for words in [&["append", iso.to_str().unwrap(), "panic=5"][..], &["reset", iso.to_str().unwrap()]] {
        let (code, said) = repository.run(&[&["kargs"], words, &["--update-sums"]].concat());
        assert_eq!(code, 0, "{said}");
    }
    media.accepted(&[]);
    assert_eq!(fs::read_to_string(media.path("SHA256SUMS")).unwrap(), edited);
}
