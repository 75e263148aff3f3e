//! The program on the medium: `hostconf --cmdline FILE [--cloud-config FILE]… [--metadata FILE] --to DIR`.
//!
//! Lines on standard error say what was refused. It ends with 1 when it cannot write, and with 2 when it was called
//! wrongly.

use std::{
    ffi::OsString,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use hostconf::{ConfigInput, Owners, compile};

fn main() -> ExitCode {
    let mut err = io::stderr().lock();
    let result = match arguments(std::env::args_os().skip(1)) {
        Some((input, to)) => compile(&input, &to, Owners::Set),
        None => {
            _ = writeln!(
                err,
                "usage: hostconf --cmdline FILE [--cloud-config FILE]... [--metadata FILE] --to DIR"
            );
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(refused) => {
            for line in refused {
                _ = writeln!(err, "{line}");
            }
            ExitCode::SUCCESS
        }
        Err(e) => {
            _ = writeln!(err, "{e}");
            ExitCode::FAILURE
        }
    }
}

fn arguments(mut args: impl Iterator<Item = OsString>) -> Option<(ConfigInput, PathBuf)> {
    let (mut input, mut to) = (ConfigInput::default(), None);
    while let Some(option) = args.next() {
        let value = PathBuf::from(args.next()?);
        match option.to_str()? {
            // The kernel gives it in a locale of its own; what is not text is not one of our parameters.
            "--cmdline" => input.line = String::from_utf8_lossy(&fs_err::read(value).ok()?).into_owned(),
            "--cloud-config" => input.configs.push(value),
            "--metadata" => input.metadata = Some(value),
            "--to" => to = Some(value),
            _ => return None,
        }
    }
    Some((input, to?))
}
