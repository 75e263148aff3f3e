//! iPXE around a script. The programs are compiled once, around a placeholder of fixed length; a script is written over
//! it, in UEFI's programs as they are, and in BIOS's before iPXE's own `zbin` packs them. What comes out is what a link
//! around the same padded script gives.

use anyhow::Result;
use camino::Utf8Path;

use buildexec::action::Call;
use buildplan::Cmd;
use failure::{Explain as _, Failure, Kind};

/// How the placeholder begins and ends: nothing else in iPXE does.
const ENDS: [&str; 2] =
    ["#!ipxe\n# media: the script begins here 7f3c1da2\n", "# media: the script ends here 7f3c1da2\n"];
/// Comment lines are short: iPXE copies each line to its stack.
const LINE: usize = 64;

/// `length`, `to`.
///
/// # Errors
/// When it cannot be written.
pub(super) fn placeholder(call: &Call<'_>) -> Result<()> {
    let to = call.out("to")?;
    fs_err::write(&to, hole(call.text("length")?.parse()?))
        .explain(Kind::Storage, || format!("cannot write {to}"))
}

/// `tree`: gives each header of iPXE's configuration that we leave alone an empty one of ours, as its Makefile would.
///
/// # Errors
/// When it cannot be written.
pub(super) fn config(call: &Call<'_>) -> Result<()> {
    let config = call.path("tree")?.join("src/config");
    let local = config.join("local");
    fs_err::create_dir_all(&local)?;
    for header in config.read_dir_utf8()? {
        let header = header?;
        let ours = local.join(header.file_name());
        if header.path().extension() == Some("h") && !ours.exists() {
            fs_err::write(ours, "")?;
        }
    }
    Ok(())
}

/// `script`, `length` of the placeholder, `zbin`; for each program `name`, `program` (compiled around the placeholder; of BIOS's, what is packed),
/// `zinfo` (empty for UEFI's) and `to`.
///
/// # Errors
/// [`Kind::Input`] when the script is too long, or a program does not hold the placeholder exactly once; when zbin fails.
pub(super) fn script(call: &Call<'_>) -> Result<()> {
    let script = fs_err::read(call.text("script")?)?;
    let length = call.text("length")?.parse()?;
    let Some(script) = &padded(&script, length) else {
        let text = format!("the script is {} bytes long, and {length} fit into the programs", script.len());
        return Err(Failure::new(Kind::Input, text).help("let it load the rest from the server").into());
    };
    let zbin = call.text("zbin")?;
    std::thread::scope(|scope| {
        let programs = call.all("name").zip(call.all("program")).zip(call.all("zinfo").zip(call.all("to")));
        let mut threads = Vec::new();
        for ((name, program), (zinfo, to)) in programs {
            let run = move || patch(call, script, name, program.into(), (zbin, zinfo), to.into());
            threads.push(scope.spawn(run));
        }
        threads
            .into_iter()
            .try_for_each(|t| t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// One program around a padded script.
fn patch(
    call: &Call<'_>,
    script: &[u8],
    name: &str,
    program: &Utf8Path,
    (zbin, zinfo): (&str, &str),
    to: &Utf8Path,
) -> Result<()> {
    let program = around(&fs_err::read(program)?, script, name)?;
    if zinfo.is_empty() {
        return Ok(fs_err::write(to, program)?);
    }
    let unpacked = call.job.scratch.join("work").join(name);
    fs_err::write(&unpacked, program)?;
    let zbin = Cmd::new(zbin, "pack iPXE").arg(unpacked.as_str()).arg(zinfo);
    Ok(fs_err::write(to, call.job.ctx.runner.run(&zbin)?.stdout)?)
}

/// `program` with the padded script in the place of the placeholder.
fn around(program: &[u8], script: &[u8], name: &str) -> Result<Vec<u8>> {
    let hole = hole(script.len());
    let places: Vec<usize> = memchr::memmem::find_iter(program, &hole).take(2).collect();
    let [at] = places[..] else {
        let count = if places.is_empty() { "no place" } else { "more than one place" };
        return Err(Failure::new(Kind::Input, format!("{name} has {count} for a script")).into());
    };
    let mut program = program.to_vec();
    program[at..at + script.len()].copy_from_slice(script);
    Ok(program)
}

/// The bytes that stand where a script goes.
fn hole(length: usize) -> Vec<u8> {
    let mut bytes = ENDS[0].as_bytes().to_vec();
    comments(&mut bytes, length.saturating_sub(ENDS[1].len()));
    bytes.extend_from_slice(ENDS[1].as_bytes());
    bytes
}

/// The script with comments behind it up to the length of the placeholder; nothing when it is longer. This is what the
/// programs carry.
#[must_use]
pub(crate) fn padded(script: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut bytes = script.to_vec();
    if !bytes.ends_with(b"\n") {
        bytes.push(b'\n');
    }
    (bytes.len() <= length).then(|| {
        comments(&mut bytes, length);
        bytes
    })
}

/// Adds lines that iPXE passes over, up to `length` bytes.
fn comments(bytes: &mut Vec<u8>, length: usize) {
    while bytes.len() < length {
        let line = LINE.min(length - bytes.len());
        bytes.extend((1..line).map(|n| if n == 1 { b'#' } else { b'-' }));
        bytes.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: usize = 8192;

    #[test]
    fn a_script_is_padded_by_comments_alone_to_the_length_of_the_placeholder() {
        assert_eq!(hole(LENGTH).len(), LENGTH);
        for length in [0, 1, 7, 63, 64, LENGTH - 66, LENGTH - 2, LENGTH - 1] {
            let script = "x".repeat(length);
            let padded = padded(script.as_bytes(), LENGTH).unwrap();
            let rest = padded.strip_prefix(format!("{script}\n").as_bytes()).unwrap();
            assert_eq!(padded.len(), LENGTH, "{length}");
            let rest = std::str::from_utf8(rest).unwrap();
            assert!(rest.lines().all(|l| (l.is_empty() || l.starts_with('#')) && l.len() < LINE), "{length}");
        }
        assert!(padded("x\n".repeat(LENGTH / 2).as_bytes(), LENGTH).is_some());
        assert!(padded(&[b'x'; LENGTH], LENGTH).is_none(), "with its line end it is longer");
    }

    #[test]
    fn a_placeholder_that_is_missing_damaged_or_there_twice_is_an_error() {
        let script = padded(b"#!ipxe\nshell\n", LENGTH).unwrap();
        let once = [&[1; 10], &hole(LENGTH)[..], &[2; 10]].concat();
        let patched = around(&once, &script, "x").unwrap();
        assert_eq!(patched, [&[1; 10], &script[..], &[2; 10]].concat());
        let error = |bytes: &[u8]| around(bytes, &script, "x").unwrap_err().to_string();
        assert_eq!(error(&patched), "x has no place for a script");
        assert_eq!(error(&[&once[..], &once].concat()), "x has more than one place for a script");
        for at in [10, 10 + LENGTH / 2, 9 + LENGTH] {
            let mut damaged = once.clone();
            damaged[at] ^= 1;
            assert_eq!(error(&damaged), "x has no place for a script", "{at}");
        }
    }
}
