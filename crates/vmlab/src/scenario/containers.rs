//! Boots of a system that runs containers.

mod keys;
mod lab;

use std::time::{Duration, Instant};

use anyhow::Result;
use camino::Utf8PathBuf;

pub(super) use lab::ContainerLab;

use super::{Outcome, Session, Setup, Trial, failed, nonce};
use crate::outside;
use lab::Page;
use vmspec::{
    boot::BootEnd,
    scenario::{DiskTrouble, Dist, Proof, Scenario, Shown},
};

/// The built media with a sample image.
pub struct Samples {
    /// The media.
    pub dist: Dist,
    /// The netboot tree.
    pub tree: Utf8PathBuf,
    /// The folder of the sample images' archives.
    pub images: Utf8PathBuf,
    /// Media of an older system.
    pub older: Option<Dist>,
}

/// Why a disk of an older system cannot be tried.
pub(crate) fn lacks_older(setup: &Setup, scenario: &Scenario) -> Option<String> {
    let older = setup.samples.as_ref().is_some_and(|s| s.older.is_some());
    let wants = scenario.proof == Proof::Containers(Shown::Upgrades);
    (wants && !older).then(|| "no older media are given (--older DIR)".to_owned())
}

/// By this line of the kernel, dockerd has begun to start a container with a network.
const STARTS: &str = "docker0: port 1(";
/// A cut comes at most so many milliseconds after its line.
const START: u64 = 8000;
const MOUNT: u64 = 6000;
const WRITE: u64 = 4000;
/// A disk that is soon full.
const FULL_MIB: u64 = 300;
/// What is said once dockerd has failed several times in a row.
const GIVES_UP: &str = "media: service dockerd ends again and again";
/// In so much time a service that is started again at once would have failed again.
const AGAIN: Duration = Duration::from_secs(45);

/// The end of a scenario that did not show what it was to show.
#[derive(Debug, thiserror::Error)]
#[error("the scenario failed")]
struct ContainerFailure(Outcome);

/// When to cut the power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// While the running server writes.
    Write,
    /// Between the start of the server by dockerd and a while after it.
    Start,
    /// From the mount of the disk to dockerd's start.
    Mount,
}

/// Half of the cuts are aimed at the start of the server, where Docker is known to leave a port reserved. Each is
/// followed, at once or after one more boot that is cut, by a boot that is looked at whole.
fn moment(cut: u64) -> Moment {
    match cut % 10 {
        1 | 3 | 4 | 7 | 9 => Moment::Start,
        6 => Moment::Mount,
        _ => Moment::Write,
    }
}

/// A time below `limit` milliseconds that differs from run to run.
fn random(limit: u64) -> Duration {
    let number = u64::from_str_radix(&nonce(), 16).unwrap_or_default();
    Duration::from_millis(number % limit)
}

fn wrong(session: &mut Session, why: impl Into<String>) -> anyhow::Error {
    ContainerFailure(failed(session, why.into())).into()
}

fn passed(note: impl Into<String>) -> Result<Outcome> {
    Ok(Outcome::Passed { note: Some(note.into()) })
}

/// Fails unless a line of the console has `words`.
fn expect(session: &mut Session, words: &str) -> Result<()> {
    if session.boot().lines().iter().any(|line| line.contains(words)) {
        return Ok(());
    }
    Err(wrong(session, format!("the console does not say `{words}`")))
}

impl Trial<'_> {
    pub(super) fn containers(&mut self, shown: Shown) -> Result<Outcome> {
        let outcome = match shown {
            Shown::Run => self.runs(),
            Shown::Cuts(cuts) => self.cuts(if self.setup.long { 10 * cuts } else { cuts }),
            Shown::Heals => self.heals(),
            Shown::PowersOff => self.powers_off(),
            Shown::Closed => self.is_closed(),
            Shown::Disk(trouble) => self.names_disk(trouble),
            Shown::BadConfig => self.bears_configs(),
            Shown::ConfigDrive => self.reads_drive(),
            Shown::Keys => self.takes_keys(),
            Shown::Cards => self.tells_cards_apart(),
            Shown::Upgrades => self.upgrades(),
        };
        outcome.or_else(|e| e.downcast::<ContainerFailure>().map(|wrong| wrong.0))
    }

    fn lab(&mut self) -> &mut ContainerLab {
        self.lab.as_mut().expect("a scenario of containers has one")
    }

    /// A boot up to its end: Docker runs, the server too, its page answers, and its number did not go back.
    fn whole_boot(&mut self) -> Result<(Session, Page)> {
        let (mut session, end) = self.boot(None)?;
        if let failure @ Outcome::Failed { .. } = self.judge(&mut session, end) {
            return Err(ContainerFailure(failure).into());
        }
        let ctx = self.ctx;
        let Some(page) = self.lab().page(ctx)? else {
            return Err(wrong(&mut session, "the server's page does not answer"));
        };
        let log = session.boot().said("log").unwrap_or_default().to_owned();
        let synced = self.lab().synced;
        if log != format!("started {}", page.started) {
            return Err(wrong(
                &mut session,
                format!("the page began at {}, its log with `{log}`", page.started),
            ));
        }
        if page.started <= synced {
            let why = format!("the server began at {}, and {synced} was on the disk", page.started);
            return Err(wrong(&mut session, why));
        }
        self.lab().synced = page.count;
        Ok((session, page))
    }

    /// A boot that is cut so long after a line of its console. Says whether it healed something before.
    fn cut_after(&mut self, line: &str, delay: Duration) -> Result<()> {
        let (mut session, end) = self.boot(Some(line))?;
        if let (BootEnd::Hung(_), failure) = (end.clone(), self.judge(&mut session, end)) {
            return Err(ContainerFailure(failure).into());
        }
        std::thread::sleep(delay);
        session.cut()
    }

    fn runs(&mut self) -> Result<Outcome> {
        let (mut session, page) = self.whole_boot()?;
        expect(&mut session, "media: image loaded counter.tar")?;
        expect(&mut session, "media: pulled a greeting from a-container")?;
        passed(format!("a carried image runs and has counted to {}, another was pulled", page.count))
    }

    fn cuts(&mut self, cuts: u64) -> Result<Outcome> {
        let mut healed = 0;
        for cut in 0..cuts {
            self.report(cut, cuts);
            match moment(cut) {
                Moment::Write => {
                    let (mut session, _) = self.whole_boot()?;
                    healed += heals(&session);
                    self.must_be_mounted(&mut session, cut)?;
                    self.cases.held = cut;
                    self.watch(random(WRITE))?;
                    session.cut()?;
                }
                Moment::Start => self.cut_after(STARTS, random(START))?,
                Moment::Mount => self.cut_after("media: state mounted", random(MOUNT))?,
            }
            self.cases.tried = cut + 1;
        }
        let (mut session, page) = self.whole_boot()?;
        healed += heals(&session);
        self.must_be_mounted(&mut session, cuts)?;
        session.cut()?;
        if let Some(why) = outside::check_disk(self.ctx, &self.dir.join("disk0.raw"))? {
            return Err(wrong(&mut session, format!("after {cuts} power cuts: {why}")));
        }
        self.cases.held = cuts;
        passed(format!("{cuts} cuts, {healed} containers put right, counter at {}, e2fsck clean", page.count))
    }

    fn must_be_mounted(&self, session: &mut Session, cuts: u64) -> Result<()> {
        let state = session.boot().said("state").unwrap_or("not told").to_owned();
        if cuts == 0 || state.starts_with("mounted") {
            return Ok(());
        }
        Err(wrong(session, format!("after {cuts} power cuts: state {state}")))
    }

    /// Reads the number off the page for so long.
    fn watch(&mut self, time: Duration) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < time {
            self.ctx.check_interrupt()?;
            let lab = self.lab();
            lab.synced = lab.ask().map_or(lab.synced, |page| page.count.max(lab.synced));
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// dockerd has reserved the port and nothing else when the power goes: `runc create` is not let through.
    fn heals(&mut self) -> Result<Outcome> {
        self.lab().more = "mv /usr/sbin/runc /run/runc\n\
            cat >/usr/sbin/runc <<'END'\n\
            #!/bin/sh\n\
            case \" $* \" in *' create '*) . /usr/lib/host/lib; sync; say frozen; sleep 9999 ;; esac\n\
            exec /run/runc \"$@\"\n\
            END\n\
            chmod +x /usr/sbin/runc\n\
            docker restart -t 2 counter\n"
            .to_owned();
        self.cut_after("media: frozen", Duration::from_secs(1))?;
        self.lab().more.clear();
        let (mut session, page) = self.whole_boot()?;
        expect(&mut session, "media: containers down, a power cut left their ports reserved: counter;")?;
        expect(&mut session, "media: container counter is up again")?;
        passed(format!("its port was reserved, it runs again and has counted to {}", page.count))
    }

    fn powers_off(&mut self) -> Result<Outcome> {
        let (mut session, _) = self.whole_boot()?;
        if !session.shut_down(self.ctx, None, &mut |_, _| {})? {
            return Err(wrong(&mut session, "the power button did not switch it off"));
        }
        let said: Vec<_> = session.boot().lines().iter().filter_map(|l| l.strip_prefix("media: ")).collect();
        let wanted = ["stopping", "containers and Docker ended", "state unmounted"];
        if said[said.len().saturating_sub(wanted.len())..] != wanted {
            return Err(wrong(&mut session, format!("its end lacks {wanted:?}")));
        }
        if let Some(why) = outside::is_clean(self.ctx, &self.dir.join("disk0.raw"))? {
            return Err(wrong(&mut session, why));
        }
        let (mut session, page) = self.whole_boot()?;
        if session.boot().lines().iter().any(|l| l.starts_with("media: state checked")) {
            return Err(wrong(&mut session, "the disk had to be checked after an orderly end"));
        }
        passed(format!("off in order, the disk clean, the counter went on to {}", page.count))
    }

    fn is_closed(&mut self) -> Result<Outcome> {
        self.lab().line = vec![format!("rancher.password={}", nonce())];
        let (mut session, _) = self.whole_boot()?;
        let port = self.lab().ssh;
        let ask = "docker info -f '{{.SecurityOptions}}'; netstat -ltun | awk 'NR > 2 { print $1, $4 }'";
        let said = match outside::ask(self.ctx, self.dir, "root", port, ask)? {
            Ok(said) => said,
            Err(why) => return Err(wrong(&mut session, format!("no login over SSH: {why}"))),
        };
        if !said.contains("name=seccomp,profile=builtin") {
            return Err(wrong(&mut session, format!("no seccomp: {said}")));
        }
        let open = said.lines().filter_map(|l| l.split_once(' ')?.1.rsplit_once(':'));
        let mut ports: Vec<&str> = open.filter(|(a, _)| !a.starts_with("127.")).map(|(_, p)| p).collect();
        ports.sort_unstable();
        ports.dedup();
        if ports != ["22", "8080"] {
            return Err(wrong(&mut session, format!("it listens on {ports:?}: {said}")));
        }
        let refused = outside::ask_by_password(self.ctx, self.dir, "rancher", port)?;
        if !refused.contains("Permission denied (publickey)") {
            return Err(wrong(&mut session, format!("SSH by password says `{refused}`")));
        }
        passed("22 and 8080 listen, SSH takes keys alone, seccomp is on")
    }

    fn names_disk(&mut self, trouble: DiskTrouble) -> Result<Outcome> {
        let disk = self.dir.join("disk0.raw");
        match trouble {
            DiskTrouble::Missing => {}
            DiskTrouble::Foreign => fs_err::write(&disk, b"\xebfat".repeat(4 << 20))?,
            DiskTrouble::ReadOnly | DiskTrouble::Full | DiskTrouble::Rancher => {
                self.lab().disk_mib = (trouble == DiskTrouble::Full).then_some(FULL_MIB);
                self.lab().more = match trouble {
                    DiskTrouble::Full => "dd if=/dev/zero of=/state/fill bs=1M; sync",
                    DiskTrouble::Rancher => "mkdir -p /state/var/lib/rancher /state/var/lib/docker; sync",
                    _ => "",
                }
                .to_owned();
                let (mut session, _) = self.whole_boot()?;
                session.cut()?;
                self.lab().more.clear();
            }
        }
        let words = match trouble {
            DiskTrouble::Missing => "media: state none: no disk is LABEL=RANCHER_STATE",
            DiskTrouble::Foreign => "media: state: /dev/vda is not empty, and is left alone",
            DiskTrouble::ReadOnly => "media: state none: /dev/vda is write-protected",
            DiskTrouble::Full => return self.names_full_disk("media: state is full"),
            DiskTrouble::Rancher => "media: state: a disk of RancherOS",
        };
        let before = disk.exists().then(|| digest(&disk)).transpose()?;
        let memory = matches!(trouble, DiskTrouble::Missing | DiskTrouble::Foreign | DiskTrouble::ReadOnly);
        self.lab().read_only = trouble == DiskTrouble::ReadOnly;
        self.lab().synced *= u64::from(!memory);
        let (mut session, page) = self.whole_boot()?;
        expect(&mut session, words)?;
        let said = session.boot().lines().iter().filter(|l| l.contains("in MEMORY and gone")).count();
        if said != usize::from(memory) {
            return Err(wrong(&mut session, format!("the console says {said} times that it runs in memory")));
        }
        session.cut()?;
        if memory && before != disk.exists().then(|| digest(&disk)).transpose()? {
            return Err(wrong(&mut session, "the disk was written to"));
        }
        passed(format!("said, and the server has counted to {}", page.count))
    }

    /// dockerd cannot start there. The machine says why, and tries again after minutes.
    fn names_full_disk(&mut self, words: &str) -> Result<Outcome> {
        let (mut session, end) = self.boot(Some(GIVES_UP))?;
        if let failure @ Outcome::Failed { .. } = self.judge(&mut session, end) {
            return Ok(failure);
        }
        expect(&mut session, words)?;
        std::thread::sleep(AGAIN);
        session.look(None, &mut |_, _| {})?;
        let said = session.boot().lines().iter().filter(|l| l.contains(GIVES_UP)).count();
        session.cut()?;
        if said != 1 {
            return Err(wrong(&mut session, format!("dockerd's failure was said {said} times")));
        }
        passed("the disk is named, and dockerd is not started again and again")
    }

    /// Three datasources: one that unfolds without end, one of ten megabytes, one of wrong parts and right ones.
    fn bears_configs(&mut self) -> Result<Outcome> {
        let lab = self.lab();
        let urls: Vec<String> = lab::FETCHED.iter().map(|name| lab.url(name)).collect();
        lab.line = vec![format!("rancher.cloud_init.datasources=[{}]", urls.join(","))];
        lab.more = "say \"host $(hostname) $(ls /opt/right) $(ls /escaped 2>&1 | tail -n 1)\"".to_owned();
        let (mut session, _) = self.whole_boot()?;
        for words in lab::REFUSED {
            expect(&mut session, &format!("media: config {words}"))?;
        }
        for words in lab::RAN {
            expect(&mut session, &format!("media: {words}"))?;
        }
        expect(&mut session, "media: host mixed /opt/right ls: /escaped: No such file")?;
        passed("what is wrong was named, what is right applied")
    }

    /// The guest itself makes the drive, and is started again.
    fn reads_drive(&mut self) -> Result<Outcome> {
        let drive = self.dir.join("disk1.raw");
        let lab = self.lab();
        lab.drive = Some(drive);
        lab.more =
            "mkdosfs -n config-2 /dev/vdb && mount -t vfat /dev/vdb /mnt && mkdir -p /mnt/openstack/latest\n\
            printf '{\"hostname\": \"from-drive\"}' >/mnt/openstack/latest/meta_data.json\n\
            printf '#cloud-config\\nrancher: {sysctl: {net.ipv4.ip_default_ttl: 99}}\\n' >/mnt/openstack/latest/user_data\n\
            umount /mnt\n"
                .to_owned();
        let (mut session, _) = self.whole_boot()?;
        session.cut()?;
        let lab = self.lab();
        lab.line = vec!["rancher.cloud_init.datasources=[configdrive]".to_owned()];
        lab.more = "say \"host $(hostname), ttl $(cat /proc/sys/net/ipv4/ip_default_ttl)\"".to_owned();
        let (mut session, _) = self.whole_boot()?;
        expect(&mut session, "media: cloud-config configdrive read")?;
        expect(&mut session, "media: host from-drive, ttl 99")?;
        passed("the drive's cloud-config was applied")
    }
}

impl Trial<'_> {
    /// The disk is filled by an older system, which pulls the server's image, and taken over after a power cut.
    fn upgrades(&mut self) -> Result<Outcome> {
        self.lab().older = true;
        let (mut session, _) = self.whole_boot()?;
        let before = session.boot().said("docker").unwrap_or("not told").to_owned();
        session.cut()?;
        self.lab().older = false;
        self.lab().more = format!("say \"images {}\"\n", "$(docker images -q --no-trunc | sort -u | wc -l)");
        let (mut session, page) = self.whole_boot()?;
        let after = session.boot().said("docker").unwrap_or("not told").to_owned();
        if before == after {
            return Err(wrong(&mut session, format!("both media have Docker {before}")));
        }
        // The server's, once pulled and once carried, is one image; the greeter's is the other.
        expect(&mut session, "media: images 2")?;
        expect(&mut session, "media: state mounted")?;
        passed(format!("Docker {before}, then {after}: the server went on to {}", page.count))
    }
}

fn heals(session: &Session) -> usize {
    session
        .boot()
        .lines()
        .iter()
        .filter(|l| l.ends_with(" is up again") || l.ends_with(" and is started"))
        .count()
}

fn digest(path: &camino::Utf8Path) -> Result<buildplan::Digest> {
    Ok(buildplan::Digest::read(&mut fs_err::File::open(path)?)?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_cuts_are_aimed_and_no_more_than_one_boot_in_a_row_is_not_looked_at() {
        let moments: Vec<_> = (0..100).map(moment).collect();
        assert_eq!(moments.iter().filter(|m| **m == Moment::Start).count(), 50);
        assert!(moments.contains(&Moment::Mount) && moments[0] == Moment::Write);
        // A boot that is cut has got as far as the container's start, or the one behind it is whole.
        assert!(moments.windows(3).all(|w| w.contains(&Moment::Write)));
    }
}
