//! Each machine's boot progress, from the server's events. Pure: time comes in with each event.
//!
//! A machine is known by what its boot script's query says, else by its connection, else by its address; the
//! last two tell guests behind one NAT apart only as far as they keep their connections.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use super::{
    boot::{BootStage, MachineBoot, MachineLine},
    event::{ClientEvent, ClientEventKind, FileRole, MachineName, ServedRequest},
};

/// Machines that are remembered; the one longest silent goes first.
const MAX_MACHINES: usize = 1024;
/// The boots of all machines.
#[derive(Debug, Default)]
pub struct Timeline {
    machines: Vec<MachineBoot>,
    connections: HashMap<u64, usize>,
    requests: HashMap<u64, Request>,
}

#[derive(Debug)]
struct Request {
    machine: usize,
    path: String,
    start: u64,
    sent: u64,
}

impl Timeline {
    /// Takes an event in; the place of the machine that it was about in [`Self::lines`].
    pub(crate) fn apply(&mut self, event: &ClientEvent) -> Option<usize> {
        match &event.what {
            ClientEventKind::Asked(asked) => self.asked(event, asked),
            ClientEventKind::Moved { request, sent } => self.moved(event.at, *request, *sent),
            ClientEventKind::Ended { request, sent, .. } => {
                let machine = self.moved(event.at, *request, *sent);
                self.requests.remove(request);
                machine
            }
            ClientEventKind::Dhcp { machine } => {
                let index = self.find(event, machine, None);
                self.machines[index].asked_for_address(event.at);
                Some(index)
            }
            ClientEventKind::Up { machine } => {
                let index = self.find(event, machine, Some(event.peer));
                self.machines[index].reach(BootStage::Up, event.at);
                Some(index)
            }
            ClientEventKind::Refused { machine, file, error, clock } => {
                let index = self.find(event, machine, Some(event.peer));
                self.machines[index].refused_by_ipxe(event.at, file, *error, *clock);
                Some(index)
            }
            ClientEventKind::Closed { .. } => {
                self.connections.remove(&event.connection);
                None
            }
        }
    }

    /// All machines, in the order they were first seen.
    #[must_use]
    pub(crate) fn lines(&self, now: Duration) -> Vec<MachineLine> {
        self.machines.iter().map(|m| m.line(now)).collect()
    }

    fn asked(&mut self, event: &ClientEvent, asked: &ServedRequest) -> Option<usize> {
        let stage = match asked.role {
            FileRole::Script => BootStage::Script,
            FileRole::Kernel => BootStage::Kernel,
            FileRole::Initrd => BootStage::Initrd,
            FileRole::CloudConfig => BootStage::CloudConfig,
            FileRole::Other => return None,
        };
        let index = self.find(event, &asked.machine, Some(event.peer));
        let boot = &mut self.machines[index];
        boot.last = event.at;
        if asked.method == "HEAD" {
            return Some(index);
        }
        if stage == BootStage::Script && boot.stage > BootStage::Script {
            boot.start(stage, event.at);
        }
        boot.reach(stage, event.at);
        if asked.status >= 400 {
            boot.refuse(stage, asked);
            return Some(index);
        }
        boot.file(asked);
        let request = Request { machine: index, path: asked.path.clone(), start: asked.start, sent: 0 };
        self.requests.insert(asked.request, request);
        Some(index)
    }

    fn moved(&mut self, at: Duration, request: u64, sent: u64) -> Option<usize> {
        let request = self.requests.get_mut(&request)?;
        let boot = self.machines.get_mut(request.machine)?;
        let new = sent.saturating_sub(request.sent);
        if new > 0 {
            boot.got(at, &request.path, request.start + request.sent, new);
            request.sent = sent;
        }
        Some(request.machine)
    }

    /// The machine an event is about, made when it is new.
    fn find(&mut self, event: &ClientEvent, machine: &MachineName, address: Option<IpAddr>) -> usize {
        let named = *machine != MachineName::default();
        let same = |m: &MachineBoot| {
            (machine.mac.is_some() && m.machine.mac == machine.mac)
                || (machine.uuid.is_some() && m.machine.uuid == machine.uuid)
        };
        let found = if named {
            // A machine that had no name yet may be the one that tells it now.
            let unnamed = |m: &MachineBoot| m.machine == MachineName::default() && m.address == address;
            self.machines.iter().position(same).or_else(|| self.machines.iter().rposition(unnamed))
        } else {
            let here = self.connections.get(&event.connection).copied();
            here.or_else(|| self.latest(address))
        };
        let index = found.unwrap_or_else(|| {
            self.forget_one();
            self.machines.push(MachineBoot::new(event.at));
            self.machines.len() - 1
        });
        let boot = &mut self.machines[index];
        boot.machine.mac = machine.mac.clone().or(boot.machine.mac.take());
        boot.machine.uuid = machine.uuid.clone().or(boot.machine.uuid.take());
        boot.address = address.or(boot.address);
        if event.connection != 0 {
            self.connections.insert(event.connection, index);
        }
        index
    }

    fn latest(&self, address: Option<IpAddr>) -> Option<usize> {
        let here = self.machines.iter().enumerate().filter(|(_, m)| m.address == address);
        here.max_by_key(|(_, m)| m.last).map(|(i, _)| i)
    }

    /// Keeps memory bounded. Forgetting starts over, for indices would move otherwise; 1,024 machines on one
    /// lab server are a scan, not a boot.
    fn forget_one(&mut self) {
        if self.machines.len() >= MAX_MACHINES {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INITRD: u64 = 41_200_000;

    #[derive(Default)]
    struct TimelineLab {
        timeline: Timeline,
        requests: u64,
    }

    impl TimelineLab {
        fn tell(&mut self, at: f64, connection: u64, ip: u8, what: ClientEventKind) {
            let peer = IpAddr::from([10, 0, 0, ip]);
            self.timeline.apply(&ClientEvent { at: Duration::from_secs_f64(at), connection, peer, what });
        }

        /// An answer's head; the number of its request.
        fn ask(&mut self, at: f64, ip: u8, role: FileRole, part: (u16, u64, u64)) -> u64 {
            self.ask_on(at, u64::from(ip), ip, role, part, None)
        }

        fn ask_on(
            &mut self,
            at: f64,
            connection: u64,
            ip: u8,
            role: FileRole,
            (status, start, len): (u16, u64, u64),
            mac: Option<&str>,
        ) -> u64 {
            self.requests += 1;
            let asked = ServedRequest {
                request: self.requests,
                method: "GET".to_owned(),
                path: format!("/{role:?}"),
                role,
                machine: MachineName { mac: mac.map(str::to_owned), uuid: None },
                status,
                start,
                len,
                size: if role == FileRole::Initrd { INITRD } else { 1000 },
            };
            self.tell(at, connection, ip, ClientEventKind::Asked(asked));
            self.requests
        }

        fn moved(&mut self, at: f64, request: u64, sent: u64) {
            self.tell(at, 0, 0, ClientEventKind::Moved { request, sent });
        }

        fn whole(&mut self, at: f64, ip: u8, role: FileRole) {
            let size = if role == FileRole::Initrd { INITRD } else { 1000 };
            let request = self.ask(at, ip, role, (200, 0, size));
            self.tell(at, 0, 0, ClientEventKind::Ended { request, sent: size, whole: true });
        }

        fn text(&self, now: f64) -> Vec<String> {
            let lines = self.timeline.lines(Duration::from_secs_f64(now));
            lines.into_iter().map(|l| format!("{}: {}", l.name, l.text)).collect()
        }
    }

    #[test]
    fn a_boot_goes_through_its_stages() {
        let mut lab = TimelineLab::default();
        let machine = MachineName { mac: Some("52:54:00:00:00:01".to_owned()), uuid: None };
        lab.tell(0.0, 0, 0, ClientEventKind::Dhcp { machine });
        assert_eq!(lab.text(1.0), ["52:54:00:00:00:01: DHCP seen"]);
        lab.ask_on(2.0, 7, 1, FileRole::Script, (200, 0, 1000), Some("52:54:00:00:00:01"));
        let kernel = lab.ask(3.0, 1, FileRole::Kernel, (200, 0, 1000));
        lab.moved(3.0, kernel, 620);
        assert_eq!(lab.text(3.1), ["52:54:00:00:00:01: kernel 62 %"]);
        lab.moved(3.0, kernel, 1000);
        assert_eq!(lab.text(3.1), ["52:54:00:00:00:01: kernel sent"]);
        lab.whole(4.0, 1, FileRole::Initrd);
        assert_eq!(
            lab.text(60.0),
            ["52:54:00:00:00:01: initrd sent, starting"],
            "a kernel may take its time"
        );
        lab.whole(5.0, 1, FileRole::CloudConfig);
        lab.tell(6.0, 1, 1, ClientEventKind::Up { machine: MachineName::default() });
        assert_eq!(lab.text(600.0), ["52:54:00:00:00:01: up"]);
        let line = lab.timeline.lines(Duration::from_secs(7)).remove(0);
        let stages: Vec<_> = line.reached.iter().map(|(s, at)| (*s, *at)).collect();
        let want = [
            (BootStage::Dhcp, 0.0),
            (BootStage::Script, 2.0),
            (BootStage::Kernel, 3.0),
            (BootStage::Initrd, 4.0),
            (BootStage::CloudConfig, 5.0),
            (BootStage::Up, 6.0),
        ];
        assert_eq!(stages, want);
        assert_eq!((line.boots, line.address), (1, Some(IpAddr::from([10, 0, 0, 1]))));
    }

    #[test]
    fn a_machine_that_stops_is_named_with_how_far_and_how_long() {
        let mut lab = TimelineLab::default();
        let initrd = lab.ask(0.0, 1, FileRole::Initrd, (200, 0, INITRD));
        lab.moved(1.0, initrd, 38_000_000);
        assert_eq!(lab.text(2.0), ["10.0.0.1: initrd 92 %"]);
        assert_eq!(lab.text(13.0), ["10.0.0.1: initrd 38.0/41.2 MB, silent for 12 s"]);
        lab.tell(14.0, 1, 1, ClientEventKind::Ended { request: initrd, sent: 38_000_000, whole: false });
        assert_eq!(
            lab.text(14.0),
            ["10.0.0.1: initrd 38.0/41.2 MB, silent for 13 s"],
            "an end moves nothing"
        );
        lab.whole(20.0, 2, FileRole::Script);
        assert_eq!(lab.text(30.0)[1], "10.0.0.2: script sent, silent for 10 s");
    }

    #[test]
    fn a_refusal_is_a_failure_until_something_works() {
        let mut lab = TimelineLab::default();
        lab.whole(0.0, 1, FileRole::Script);
        lab.ask(1.0, 1, FileRole::Kernel, (404, 0, 10));
        assert_eq!(lab.text(99.0), ["10.0.0.1: kernel refused: 404 for /Kernel"]);
        lab.whole(100.0, 1, FileRole::Kernel);
        assert_eq!(lab.text(100.0), ["10.0.0.1: kernel sent"]);
    }

    #[test]
    fn a_signature_that_ipxe_refuses_is_named_with_file_and_reason() {
        let mut lab = TimelineLab::default();
        lab.whole(0.0, 1, FileRole::Script);
        lab.whole(1.0, 1, FileRole::Kernel);
        let machine = MachineName::default();
        let what =
            ClientEventKind::Refused { machine, file: "vmlinuz".to_owned(), error: 0x1c69_e502, clock: None };
        lab.tell(2.0, 1, 1, what);
        let want = "10.0.0.1: iPXE refused vmlinuz: the signature does not match the file (1c69e502)";
        assert_eq!(lab.text(30.0), [want]);
    }

    #[test]
    fn pieces_in_any_order_add_up_and_a_restart_counts_again() {
        let mut lab = TimelineLab::default();
        for (start, len) in [(0, 100), (500, 500), (50, 200)] {
            let request = lab.ask(0.0, 1, FileRole::Kernel, (206, start, len));
            lab.moved(0.0, request, len);
        }
        assert_eq!(lab.text(0.0), ["10.0.0.1: kernel 75 %"]);
        let again = lab.ask(1.0, 1, FileRole::Kernel, (200, 0, 1000));
        lab.moved(1.0, again, 100);
        assert_eq!(lab.text(1.0), ["10.0.0.1: kernel 10 %"]);
    }

    #[test]
    fn a_script_after_the_kernel_is_another_boot() {
        let mut lab = TimelineLab::default();
        for role in [FileRole::Script, FileRole::Script, FileRole::Kernel, FileRole::Initrd] {
            lab.whole(0.0, 1, role);
        }
        assert_eq!(lab.timeline.lines(Duration::ZERO).remove(0).boots, 1, "retries are one boot");
        lab.whole(9.0, 1, FileRole::Script);
        let line = lab.timeline.lines(Duration::from_secs(10)).remove(0);
        assert_eq!((line.boots, line.stage, line.age), (2, BootStage::Script, 1.0));
    }

    #[test]
    fn a_request_for_an_address_is_another_boot_unless_it_is_told_late() {
        let mut lab = TimelineLab::default();
        let dhcp =
            || ClientEventKind::Dhcp { machine: MachineName { mac: Some("m".to_owned()), uuid: None } };
        lab.tell(0.0, 0, 0, dhcp());
        lab.ask_on(1.0, 1, 1, FileRole::Script, (200, 0, 1000), Some("m"));
        lab.tell(1.5, 0, 0, dhcp());
        assert_eq!(lab.timeline.lines(Duration::ZERO).remove(0).boots, 1);
        lab.tell(60.0, 0, 0, dhcp());
        let line = lab.timeline.lines(Duration::from_secs(60)).remove(0);
        assert_eq!((line.boots, line.stage), (2, BootStage::Dhcp));
    }

    #[test]
    fn guests_behind_one_address_are_told_apart_by_name_and_connection() {
        let mut lab = TimelineLab::default();
        lab.ask_on(0.0, 11, 1, FileRole::Script, (200, 0, 1000), Some("52:54:00:00:00:01"));
        lab.ask_on(1.0, 12, 1, FileRole::Script, (200, 0, 1000), Some("52:54:00:00:00:02"));
        let kernel = lab.ask_on(2.0, 11, 1, FileRole::Kernel, (200, 0, 1000), None);
        lab.moved(2.0, kernel, 500);
        assert_eq!(lab.text(2.0), ["52:54:00:00:00:01: kernel 50 %", "52:54:00:00:00:02: script 0 %"]);
    }

    #[test]
    fn the_rate_is_that_of_the_last_two_seconds() {
        let mut lab = TimelineLab::default();
        let initrd = lab.ask(0.0, 1, FileRole::Initrd, (200, 0, INITRD));
        for second in 1..=10 {
            lab.moved(f64::from(second), initrd, u64::try_from(second).unwrap() * 1_000_000);
        }
        let rate = |now| lab.timeline.lines(Duration::from_secs(now)).remove(0).rate;
        assert_eq!((rate(10), rate(13)), (1_000_000, 0));
    }

    #[test]
    fn strangers_make_bounded_work() {
        let mut lab = TimelineLab::default();
        for i in 0..3000u32 {
            let mac = format!("52:54:00:00:{:02x}:{:02x}", i / 256, i % 256);
            lab.ask_on(0.0, u64::from(i) + 1, 1, FileRole::Script, (200, 0, 1000), Some(&mac));
        }
        assert!(lab.text(0.0).len() <= MAX_MACHINES);
        assert!(
            lab.timeline.connections.len() <= MAX_MACHINES && lab.timeline.requests.len() <= MAX_MACHINES
        );
    }
}
