//! What a person's key signed: only that key makes the file, but anyone can see that it is what was to be signed, and that
//! the signature is by the profile's certificate.

use camino::Utf8Path;

use super::{expect::Expected, inside::CheckResult};
use buildplan::{Action, Arg, Artifact, Digest};
use mediabuild::builtin::sign::read_certificate;
use mediaplan::stage::signed::BY_KEY;
use secureboot::{Program, sign};

/// Signatures begin on multiples of so many bytes; zeros fill what is in front of them.
const ALIGNED: usize = 8;

/// Checks the file `bytes`, planned as `artifact`. `None` for what no key signs, and where what was signed is not known.
pub(super) fn check(
    expected: &Expected,
    root: &Utf8Path,
    artifact: &Artifact,
    bytes: impl FnOnce() -> Result<Vec<u8>, String>,
) -> Option<CheckResult> {
    let (certificate, program) = signed(expected, artifact)?;
    let known = match program {
        Some(program) => Some(expected.artifact(program)?),
        None => None,
    };
    let check = || {
        let certificate = read_certificate(&root.join(certificate)).map_err(|e| format!("{e:#}"))?;
        let (bytes, who) = (bytes()?, certificate.subject());
        let Some((want, what)) = known else {
            sign::check_key_update(&bytes, &certificate).map_err(|e| e.to_string())?;
            return Ok(format!("is an update of firmware's keys, signed by `{who}`"));
        };
        let read = Program::read(&bytes).map_err(|e| e.to_string())?;
        if read.signatures.last().is_none_or(|last| last.signer != certificate) {
            return Err(format!("is not signed by `{who}`, whose certificate media.toml names"));
        }
        let mut inside = sign::without_last(&bytes).ok_or("cannot be parsed")?;
        for _ in 0..ALIGNED {
            if Digest::of(&inside) == want {
                return Ok(format!("is {what}, signed by `{who}`"));
            }
            match inside.pop() {
                Some(0) => {}
                _ => break,
            }
        }
        Err(format!("is not {what}"))
    };
    Some(check())
}

/// Certificate and program of a node that signs.
fn signed<'e>(expected: &'e Expected, artifact: &Artifact) -> Option<(&'e str, Option<&'e Artifact>)> {
    let [Action::Builtin { name, args }] = expected.planned.plan.node(artifact.node).actions.as_slice()
    else {
        return None;
    };
    let find = |label: &str| args.iter().find(|(l, _)| *l == label).map(|(_, arg)| arg);
    let program = match find("program") {
        Some(Arg::In(program)) => Some(program),
        _ => None,
    };
    match find("certificate").filter(|_| BY_KEY.contains(name)) {
        Some(Arg::Src(path)) => Some((path, program)),
        _ => None,
    }
}
