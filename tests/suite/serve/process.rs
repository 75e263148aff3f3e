//! The command as a process.

use std::time::{Duration, Instant};

use buildplan::Cmd;
use rustix::process::{Pid, Signal, kill_process};

use super::{servers::spawn, site};

#[test]
fn two_signals_in_a_row_are_one_wish_and_end_it_in_order() {
    let site = site(|_| {});
    let cmd = Cmd::new(crate::repo::whole_program(), "serve")
        .args(["--json", "serve", "--listen", "127.0.0.1:0", "--tree", site.root.join("netboot").as_str()])
        .env("MEDIA_ROOT", crate::repository());
    let mut job = spawn(&site.root, &cmd);
    let begin = Instant::now();
    while !fs_err::read_to_string(site.root.join("log")).unwrap().contains("Ctrl-C ends it") {
        assert!(begin.elapsed() < Duration::from_secs(10), "it never served");
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = Pid::from_raw(i32::try_from(job.pid().unwrap()).unwrap()).unwrap();
    // Other signals than one twice: the system merges equal ones that wait.
    for signal in [Signal::TERM, Signal::INT] {
        kill_process(pid, signal).unwrap();
    }
    assert_eq!(job.wait(Duration::from_secs(10), &mut || Ok(())).unwrap(), Some(0));
}
