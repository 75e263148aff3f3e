use core::net::Ipv4Addr;

use super::*;
use crate::boot::Want;

fn secs(s: u64) -> Duration {
    Duration::from_secs(s)
}

fn want(netboot: bool) -> Want {
    Want {
        netboot,
        nonce: Some("abc".to_owned()),
        ready: "media: done".to_owned(),
        cloud_config: None,
        cmdline: Vec::new(),
        facts: Vec::new(),
        limit: secs(60),
    }
}

/// A boot that saw these facts, one a second from second 1 on.
fn boot(want: Want, facts: &[Fact]) -> Boot {
    let mut boot = Boot::new(want);
    for (i, fact) in facts.iter().enumerate() {
        boot.saw(secs(i as u64 + 1), fact);
    }
    boot
}

fn line(text: &str) -> Fact {
    Fact::Line { text: text.to_owned() }
}

fn asked(request: u64, path: &str, status: u16, total: u64) -> Fact {
    Fact::HttpAsked { request, path: path.to_owned(), status, total }
}

fn got(request: u64, path: &str, total: u64) -> [Fact; 2] {
    [asked(request, path, 200, total), Fact::HttpEnded { request, sent: total }]
}

const ADDRESS: Fact = Fact::DhcpAnswered { address: Ipv4Addr::new(192, 168, 56, 101) };

fn cause(boot: &Boot, now: u64) -> Option<Cause> {
    match boot.verdict(secs(now))? {
        BootEnd::Up => panic!("it is up"),
        BootEnd::Hung(d) => Some(d.cause),
    }
}

fn guest(more: &[&str]) -> Vec<Fact> {
    let start = ["ISOLINUX 6.04", "[    0.000000] Linux version 6.1.0", "media: up", "media: nonce abc"];
    let cmdline = "media: cmdline BOOT_IMAGE=/vmlinuz media.nonce=abc x=1 initrd=/initrd";
    start.iter().copied().chain([cmdline]).chain(more.iter().copied()).map(line).collect()
}

#[test]
fn a_boot_is_up_when_its_own_words_say_so() {
    let up = boot(want(false), &guest(&["media: state none", "media: done"]));
    assert_eq!(up.verdict(secs(8)), Some(BootEnd::Up));
    let marks: Vec<Mark> = up.marks().iter().map(|(m, _)| *m).collect();
    assert_eq!(marks, [Mark::Power, Mark::Loader, Mark::Linux, Mark::Userspace, Mark::State, Mark::Up]);
    assert_eq!(boot(want(false), &guest(&[])).verdict(secs(59)), None, "it may still come up");
}

#[test]
fn a_whole_netboot_passes_every_mark() {
    let mut facts = vec![Fact::DhcpAsked, ADDRESS];
    facts.extend(got(1, "/boot.html?mac=52:54", 10));
    facts.extend(got(2, "/vmlinuz", 20));
    facts.extend(got(3, "//initrd", 30));
    facts.extend(guest(&["media: done"]));
    let up = boot(want(true), &facts);
    assert_eq!(up.verdict(secs(99)), Some(BootEnd::Up));
    assert_eq!(up.marks().len(), 9);
    assert_eq!(up.furthest(), Mark::Up);
}

#[test]
fn words_of_another_boot_are_not_believed() {
    let stale = Want { nonce: Some("new".to_owned()), ..want(false) };
    assert_eq!(cause(&boot(stale, &guest(&["media: done"])), 9), Some(Cause::WrongWords));
}

#[test]
fn an_argument_that_did_not_arrive_is_named() {
    let mut w = want(false);
    w.cmdline = vec!["x=1".to_owned()];
    assert_eq!(boot(w.clone(), &guest(&["media: done"])).verdict(secs(9)), Some(BootEnd::Up));
    w.cmdline = vec!["x=".to_owned()];
    assert_eq!(cause(&boot(w, &guest(&["media: done"])), 9), Some(Cause::WrongWords));
}

#[test]
fn no_answer_to_dhcp_is_named_once_its_time_is_over() {
    let b = boot(want(true), &[line("iPXE"), Fact::DhcpAsked, Fact::DhcpAsked]);
    assert_eq!(cause(&b, 16), None);
    assert_eq!(cause(&b, 17), Some(Cause::NoDhcp));
}

#[test]
fn a_missing_script_is_named_unless_a_later_try_finds_it() {
    let b = boot(want(true), &[Fact::DhcpAsked, ADDRESS, asked(1, "/boot.html", 404, 0)]);
    assert_eq!(cause(&b, 6), None);
    assert_eq!(cause(&b, 7), Some(Cause::ScriptMissing));
    let mut facts = vec![ADDRESS, asked(1, "/boot.html", 404, 0)];
    facts.extend(got(2, "/boot.ipxe", 5));
    assert_eq!(cause(&boot(want(true), &facts), 30), None);
    let b = boot(want(true), &[ADDRESS, asked(1, "/initrd", 403, 0)]);
    assert_eq!(cause(&b, 9), Some(Cause::FileMissing));
}

#[test]
fn a_transfer_that_stands_still_is_named_with_how_far_it_came() {
    let b = boot(
        want(true),
        &[ADDRESS, asked(1, "/vmlinuz", 200, 1000), Fact::HttpMoved { request: 1, sent: 400 }],
    );
    assert_eq!(cause(&b, 12), None);
    let Some(BootEnd::Hung(d)) = b.verdict(secs(13)) else { panic!() };
    assert_eq!(d.to_string(), "stalled: /vmlinuz stopped at 400 of 1000 bytes, silent for 10 s");
}

#[test]
fn a_wrong_initrd_is_told_from_another_panic() {
    let unpack = "[    1.2] Initramfs unpacking failed: invalid magic at start of compressed archive";
    let panic = "[    2.0] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)";
    let b = boot(want(false), &guest(&[unpack, panic]));
    assert_eq!(cause(&b, 8), Some(Cause::WrongInitrd));
    let other = "[    2.0] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100";
    assert_eq!(cause(&boot(want(false), &guest(&[other])), 8), Some(Cause::Panic));
}

#[test]
fn a_guest_without_its_cloud_config_is_up_and_still_wrong() {
    let w = Want { cloud_config: Some("seed # abc".to_owned()), ..want(false) };
    let end = |words: &str| boot(w.clone(), &guest(&[words, "media: done"]));
    assert_eq!(cause(&end("media: cloud-config none"), 9), Some(Cause::NoCloudConfig));
    assert_eq!(cause(&end("media: cloud-config url # abc"), 9), Some(Cause::NoCloudConfig));
    assert_eq!(end("media: cloud-config seed # abc").verdict(secs(9)), Some(BootEnd::Up));
}

#[test]
fn the_machines_own_end_is_named() {
    let exited = |code| boot(want(false), &[line("x"), Fact::Exited { code }]);
    assert_eq!(cause(&exited(Some(1)), 3), Some(Cause::Exited));
    let early = boot(want(false), &[Fact::Reset]);
    assert_eq!(cause(&early, 3), None, "firmware may reset itself");
    let mut facts = guest(&[]);
    facts.push(Fact::Reset);
    assert_eq!(cause(&boot(want(false), &facts), 9), Some(Cause::Reset));
    let mut done = guest(&["media: done"]);
    done.push(Fact::Exited { code: Some(0) });
    assert_eq!(boot(want(false), &done).verdict(secs(9)), Some(BootEnd::Up), "it powered off when done");
}

#[test]
fn at_the_limit_the_last_mark_tells_what_it_waited_for() {
    let at = |netboot, facts: &[Fact]| cause(&boot(want(netboot), facts), 60);
    assert_eq!(at(false, &[]), Some(Cause::NoLoader));
    assert_eq!(at(false, &[line("ISOLINUX")]), Some(Cause::Loader));
    assert_eq!(at(true, &[line("iPXE")]), Some(Cause::NoDhcp));
    assert_eq!(at(true, &[Fact::DhcpAsked, ADDRESS]), Some(Cause::NoScript));
    assert_eq!(at(false, &guest(&[])), Some(Cause::Silent));
    assert_eq!(
        cause(&boot(want(false), &[line("Could not find kernel image: vmlinuz")]), 3),
        Some(Cause::Loader)
    );
    let stopped =
        "[    2.5] rcu: rcu_preempt kthread timer wakeup didn't happen for 5251 jiffies! g-1159 f0x0";
    let verdict = boot(want(false), &guest(&[stopped])).verdict(secs(60)).unwrap();
    let BootEnd::Hung(diagnosis) = verdict else { panic!("{verdict:?}") };
    assert_eq!(diagnosis.cause, Cause::Silent);
    assert!(
        diagnosis.text.contains("a processor's timer stopped, after userspace: `[    2.5] rcu: "),
        "{diagnosis}"
    );
    let mut slow = boot(want(false), &guest(&[]));
    slow.saw(secs(58), &line("[   50.0] still here"));
    // Heard of not long ago, it goes on; silent or far too late, it does not.
    assert_eq!(slow.verdict(secs(72)), None);
    assert_eq!(cause(&slow, 73), Some(Cause::Silent));
    for at in (70..179).step_by(10) {
        slow.saw(secs(at), &line("[   60.0] still here"));
        assert_eq!(slow.verdict(secs(at + 9)), None);
    }
    slow.saw(secs(178), &line("[   99.0] still here"));
    assert_eq!(cause(&slow, 180), Some(Cause::Slow));
    let up = line("media: done");
    slow.saw(secs(179), &up);
    assert_eq!(slow.verdict(secs(180)), Some(BootEnd::Up));
}
