//! A VBoxManage that says what was recorded, in order, and refuses any other command.

use core::net::Ipv4Addr;
use std::{collections::VecDeque, time::Duration};

use anyhow::Result;
use buildexec::run::CommandOutput;
use buildplan::Cmd;
use vmlab::virtualbox::ManageHost;
use vmspec::virtualbox::{MachineFiles, ManageStep, Place};

use super::{Pauses, output};

/// One recorded command and what came of it.
pub(super) struct Recorded {
    argv: Vec<String>,
    code: i32,
    stdout: &'static str,
    stderr: &'static str,
}

/// `argv` is split at spaces; a `_` stands for the machine's UUID.
pub(super) fn recorded(argv: &str, code: i32, stdout: &'static str, stderr: &'static str) -> Recorded {
    Recorded { argv: argv.split(' ').map(str::to_owned).collect(), code, stdout, stderr }
}

/// Plays records back.
#[derive(Default)]
pub(super) struct Replay {
    records: VecDeque<Recorded>,
    uuid: String,
    pub(super) pauses: Pauses,
    pub(super) said: Vec<String>,
    /// Paths that exist.
    pub(super) paths: Vec<String>,
}

impl Replay {
    pub(super) fn of(uuid: &str, records: Vec<Recorded>) -> Self {
        Self { records: records.into(), uuid: uuid.to_owned(), ..Self::default() }
    }

    /// Fails unless everything was asked for.
    pub(super) fn is_over(&self) -> bool {
        self.records.is_empty()
    }
}

impl ManageHost for Replay {
    fn call(&mut self, cmd: &Cmd) -> Result<CommandOutput> {
        assert!(cmd.deadline > Duration::from_secs(30), "a command was seen to take 10 s: {:?}", cmd.args);
        let next =
            self.records.pop_front().unwrap_or_else(|| panic!("nothing is recorded for {:?}", cmd.args));
        let expected: Vec<&str> =
            next.argv.iter().map(|a| if a == "_" { self.uuid.as_str() } else { a.as_str() }).collect();
        assert_eq!(cmd.args, expected);
        Ok(output(next.code, next.stdout, next.stderr))
    }

    fn pause(&mut self, time: Duration) -> Result<()> {
        self.pauses.push(time);
        Ok(())
    }

    fn files(&mut self, _: &Place, _: &[&str], _: &[String]) -> Result<MachineFiles> {
        Ok(MachineFiles::default())
    }

    fn exists(&self, path: &str) -> bool {
        self.paths.iter().any(|p| p == path)
    }

    fn has_address(&self, _: Ipv4Addr) -> bool {
        false
    }

    fn doing(&mut self, step: &ManageStep) -> Result<()> {
        self.said.push(step.why().to_owned());
        Ok(())
    }

    fn warn(&mut self, text: &str) {
        self.said.push(format!("warning: {text}"));
    }

    fn rename(&mut self, from: &str, _: &str) -> Result<()> {
        panic!("{from} is not to be renamed here")
    }

    fn remove(&mut self, path: &str) -> Result<()> {
        panic!("{path} is not to be removed here")
    }
}
