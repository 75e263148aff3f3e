//! The distribution's signed programs, and OVMF's variables: real files, whole and damaged.

use fs_err as fs;
use secureboot::{Error, MICROSOFT, Program, variables::Variables};

use super::{harness::lacks, packages};

/// OVMF's variables with Microsoft's keys.
fn ovmf() -> Option<Vec<u8>> {
    let found = fs::read(vmspec::qemu::SECURE_OVMF.1);
    found.inspect_err(|_| lacks("OVMF's variables are missing (package ovmf)")).ok()
}

/// Shim, GRUB and kernel of the default profile.
fn chain() -> Option<[Vec<u8>; 3]> {
    let smoke = packages::of("smoke")?;
    let find = |stage: &str, name: &str| {
        let entries = smoke.store().read_dir_utf8().unwrap().map(Result::unwrap);
        let mut found = entries.map(|e| e.path().join("out").join(name)).filter(|p| p.is_file());
        let path = found.find(|p| p.as_str().contains(&format!("/{stage}-"))).unwrap();
        fs::read(path).unwrap()
    };
    Some([find("files", "shimx64.efi"), find("files", "grubx64.efi"), find("kernel", "vmlinuz")])
}

#[test]
fn each_program_of_the_chain_is_signed_by_the_one_before() {
    let Some([shim, grub, kernel]) = chain() else { return };
    let shim = Program::read(&shim).unwrap();
    let ca = |c: &secureboot::RsaCertificate| MICROSOFT.contains(&c.fingerprint().as_str());
    assert!(shim.signatures.iter().all(|s| s.leads_to(ca).is_some()), "{:?}", shim.signatures);
    assert!(shim.sbat.unwrap().contains("\nshim,"));
    let vendor = shim.vendor.unwrap();
    for program in [&grub, &kernel] {
        let program = Program::read(program).unwrap();
        assert!(!program.signatures.is_empty());
        for signature in &program.signatures {
            assert!(signature.leads_to(|c| c.is_issued_by(&vendor)).is_some());
            assert!(signature.leads_to(ca).is_none(), "Microsoft signs the shim alone");
        }
    }
}

#[test]
fn a_changed_byte_is_found_wherever_it_lies() {
    let Some([_, grub, _]) = chain() else { return };
    let signatures = Program::signatures_at(&grub).unwrap();
    let table = u32::from_le_bytes(grub[signatures.start..signatures.start + 4].try_into().unwrap()) as usize;
    for at in (4096..table).step_by(table / 23) {
        let mut changed = grub.clone();
        changed[at] ^= 1;
        let error = Program::read(&changed).unwrap_err();
        assert!(error.to_string().contains("it belongs to another program"), "byte {at}: {error}");
    }
    let mut unsigned = grub.clone();
    unsigned[signatures].fill(0);
    assert!(Program::read(&unsigned).unwrap().signatures.is_empty());
}

#[test]
fn damaged_programs_are_refused_and_never_believed() {
    let Some([shim, ..]) = chain() else { return };
    let signatures = Program::signatures_at(&shim).unwrap();
    let table = u32::from_le_bytes(shim[signatures.start..signatures.start + 4].try_into().unwrap()) as usize;
    for length in (0..4096).step_by(61).chain((0..shim.len()).step_by(shim.len() / 40)) {
        let cut = Program::read(&shim[..length]);
        assert!(cut.is_err() || cut.unwrap().signatures.is_empty(), "{length}");
    }
    // Inside the signatures: whoever is named then is never Microsoft by another key.
    for at in (table..shim.len()).step_by(311) {
        let mut changed = shim.clone();
        changed[at] ^= 0x10;
        let Ok(program) = Program::read(&changed) else { continue };
        assert!(program.signatures.iter().all(|s| !s.signer.subject().is_empty()), "{at}");
    }
}

#[test]
fn a_revoked_program_is_in_the_firmwares_list_and_nothing_else_changes() {
    let Some(before) = ovmf() else { return };
    let mut variables = Variables::read(before.clone()).unwrap();
    variables.revoke(&[0xa5; 32]).unwrap();
    let after = variables.bytes().to_vec();
    assert_eq!(after.len(), before.len());
    assert_eq!(after.windows(32).filter(|w| *w == [0xa5; 32]).count(), 1);
    // One state is cleared, and what is new lies in space that was free.
    let changed: Vec<usize> = (0..before.len()).filter(|i| before[*i] != after[*i]).collect();
    assert!(changed[1..].iter().all(|i| before[*i] == 0xff), "{:?}", &changed[..4]);
    // Once more: the list keeps what it had.
    variables.revoke(&[0x5a; 32]).unwrap();
    let live = |bytes: &[u8], digest: [u8; 32]| bytes.windows(32).filter(|w| *w == digest).count();
    assert_eq!((live(variables.bytes(), [0xa5; 32]), live(variables.bytes(), [0x5a; 32])), (2, 1));
}

#[test]
fn a_store_that_is_none_or_full_is_refused() {
    for bytes in [Vec::new(), vec![0; 64], vec![0xff; 4096]] {
        assert!(matches!(Variables::read(bytes), Err(Error::Variables(_))));
    }
    let Some(bytes) = ovmf() else { return };
    let mut variables = Variables::read(bytes).unwrap();
    let mut written = 0;
    while variables.revoke(&[7; 32]).is_ok() {
        written += 1;
        assert!(written < 10_000, "a store that never fills");
    }
    assert!(written > 0);
}
