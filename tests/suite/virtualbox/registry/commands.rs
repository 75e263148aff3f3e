//! Commands that change something, with the failures and the silent acceptances of the real ones.

use core::net::Ipv4Addr;

use vmspec::virtualbox::System;

use super::{
    Dhcp, FILE_ERROR, IN_USE, INVALID_ARG, INVALID_STATE, NOT_FOUND, Net, VboxAnswer, VboxInterface,
    VboxRegistry, Vm, Wrong, wrong, wrong_argument,
};

const SILENT: VboxAnswer = Ok(String::new());

impl VboxRegistry {
    pub(super) fn change(&mut self, args: &[&str]) -> VboxAnswer {
        match args {
            [
                "createvm",
                "--name",
                name,
                "--platform-architecture",
                "x86",
                "--ostype",
                os,
                "--basefolder",
                base,
                "--uuid",
                uuid,
                "--register",
            ] => self.create(name, os, base, uuid),
            ["registervm", file] => self.register(file),
            ["unregistervm", id] => self.unregister(id, false),
            ["unregistervm", id, "--delete"] => self.unregister(id, true),
            ["modifyvm", id, options @ ..] => self.modify(id, options),
            ["hostonlyif", "create"] => self.create_interface(),
            ["hostonlyif", "ipconfig", name, "--ip", ip, "--netmask", mask] => self.ipconfig(name, ip, mask),
            ["dhcpserver", verb, network, options @ ..] => {
                let network = network.strip_prefix("--network=").expect("the network is named").to_owned();
                self.dhcp_server(verb, network, options)
            }
            ["hostonlynet", verb, "--name", name, options @ ..] => self.host_only_net(verb, name, options),
            ["createmedium", "disk", "--filename", path, "--size", mib, "--format", "VDI"] => {
                self.create_disk(path, mib)
            }
            ["modifymedium", "disk", path, "--resizebyte", bytes] => self.resize(path, bytes),
            ["closemedium", "disk", path] => self.close(path, false),
            ["closemedium", "disk", path, "--delete"] => self.close(path, true),
            ["storagectl", id, "--name", name, "--add", "ide"] => self.add_controller(id, name),
            [
                "storageattach",
                id,
                "--storagectl",
                controller,
                "--port",
                port,
                "--device",
                device,
                "--type",
                _,
                "--medium",
                medium,
            ] => self.attach(id, controller, (port.parse().unwrap(), device.parse().unwrap()), medium),
            ["discardstate", id] => {
                self.vm(id)?.state = "poweroff".to_owned();
                SILENT
            }
            ["controlvm", id, "poweroff"] => self.power_off(id),
            ["startvm", id, "--type", "headless"] => self.start(id),
            other => panic!("the registry knows no {other:?}"),
        }
    }

    fn create(&mut self, name: &str, os: &str, base: &str, uuid: &str) -> VboxAnswer {
        let folder = self.system.join(base, name);
        let file = self.system.join(&folder, &format!("{name}.vbox"));
        if self.files.contains_key(&file) {
            return Err(wrong(&format!("Machine settings file '{file}' already exists"), FILE_ERROR));
        }
        if !super::answers::OS.iter().any(|(id, _)| *id == os) {
            return Err(wrong(&format!("Guest OS type '{os}' is invalid"), NOT_FOUND));
        }
        self.files.insert(file.clone(), Some(uuid.to_owned()));
        if self.vms.contains_key(uuid) {
            return Err(wrong(
                &format!("Registered machine with UUID {{{uuid}}} ('x') already exists"),
                INVALID_ARG,
            ));
        }
        self.vms.insert(uuid.to_owned(), Vm { file: file.clone(), ..Vm::new(name, os) });
        Ok(format!(
            "Virtual machine '{name}' is created and registered.\nUUID: {uuid}\nSettings file: '{file}'\n"
        ))
    }

    fn register(&mut self, file: &str) -> VboxAnswer {
        let Some(Some(uuid)) = self.files.get(file).cloned() else {
            return Err(wrong("Could not find file", FILE_ERROR));
        };
        let name = file.rsplit(['/', '\\']).next().unwrap().trim_end_matches(".vbox").to_owned();
        if self.vms.contains_key(&uuid) {
            let text = format!(
                "Trying to open a VM config '{file}' which has the same UUID as an existing virtual machine"
            );
            return Err(wrong(&text, INVALID_ARG));
        }
        self.vms.insert(uuid, Vm { file: file.to_owned(), ..Vm::new(&name, "Linux_64") });
        SILENT
    }

    /// With `--delete`, every attached disk goes, wherever it lies; at one that cannot be read it stops half-way. The
    /// disks that stay are known by the machine's settings file alone.
    fn unregister(&mut self, id: &str, delete: bool) -> VboxAnswer {
        self.unlocked()?;
        let vm = self.vm(id)?.clone();
        if vm.state == "running" {
            return Err(wrong(
                &format!("Cannot unregister the machine '{}' while it is locked", vm.name),
                INVALID_STATE,
            ));
        }
        self.vms.remove(id);
        let lost = vm.slots.values().find(|m| self.hdds.get(*m).is_some_and(|h| !h.accessible)).cloned();
        if !delete || lost.is_some() {
            self.hdds.retain(|location, _| !vm.slots.values().any(|m| m == location));
        }
        if let Some(lost) = lost.filter(|_| delete) {
            let text = format!("Could not delete the medium storage unit '{lost}'.");
            return Err(wrong(&format!("Machine delete failed\n{text}"), FILE_ERROR));
        }
        if delete {
            let mut gone: Vec<String> = vm.slots.into_values().filter(|m| !m.ends_with(".iso")).collect();
            gone.extend(vm.snapshots);
            for disk in gone {
                self.files.remove(&disk);
                self.hdds.remove(&disk);
            }
            self.files.retain(|_, owner| owner.as_deref() != Some(id));
            if !vm.accessible {
                return Err(wrong("The object functionality is limited", "E_ACCESSDENIED (0x80070005)"));
            }
        }
        SILENT
    }

    /// The server goes on showing a machine whose folder is gone, and can write nothing of it.
    fn can_save(&self, id: &str) -> Result<(), Wrong> {
        let Some(vm) = self.vms.get(id).filter(|vm| !self.files.contains_key(&vm.file)) else {
            return Ok(());
        };
        let text = format!(
            "Runtime error opening '{}-tmp' for overwriting VERR_FILE_NOT_FOUND (File not found.).",
            vm.file
        );
        Err(wrong(&text, "NS_ERROR_FAILURE (0x80004005)"))
    }

    fn unlocked(&mut self) -> Result<(), Wrong> {
        if self.locked == 0 {
            return Ok(());
        }
        self.locked -= 1;
        Err(wrong("The machine 'smoke' is already locked for a session (or being unlocked)", INVALID_STATE))
    }

    /// All or nothing.
    fn modify(&mut self, id: &str, options: &[&str]) -> VboxAnswer {
        self.unlocked()?;
        self.can_save(id)?;
        let vm = self.vm(id)?;
        if vm.state == "running" {
            return Err(wrong("The machine is already locked for a session", INVALID_STATE));
        }
        let mut changed = vm.clone();
        let mut options = options.iter().copied();
        while let Some(option) = options.next() {
            let mut next = || options.next().unwrap_or_else(|| panic!("{option} needs a value"));
            changed.set(option, &mut next)?;
        }
        *vm = changed;
        SILENT
    }

    fn create_interface(&mut self) -> VboxAnswer {
        assert_ne!(self.system, System::MacOs, "macOS has no host-only interfaces");
        let n = self.interfaces.len();
        let name = match (self.system, n) {
            (System::Windows, 0) => "VirtualBox Host-Only Ethernet Adapter".to_owned(),
            (System::Windows, n) => format!("VirtualBox Host-Only Ethernet Adapter #{}", n + 1),
            _ => format!("vboxnet{n}"),
        };
        let number = u8::try_from(n).unwrap();
        let default = (self.system == System::Linux).then(|| Ipv4Addr::new(192, 168, 56 + number, 1));
        self.interfaces.push(VboxInterface {
            name: name.clone(),
            address: default,
            netmask: default.map(|_| Ipv4Addr::new(255, 255, 255, 0)),
            up: false,
            configured: false,
        });
        Ok(format!("Interface '{name}' was successfully created\n"))
    }

    fn ipconfig(&mut self, name: &str, ip: &str, mask: &str) -> VboxAnswer {
        let found = self.interfaces.iter_mut().find(|i| i.name == name);
        let text = format!("The host network interface named '{name}' could not be found");
        let found = found.ok_or_else(|| wrong(&text, INVALID_ARG))?;
        // Something must be plugged in before an interface is up.
        (found.address, found.netmask) = (ip.parse().ok(), mask.parse().ok());
        found.configured = true;
        SILENT
    }

    fn dhcp_server(&mut self, verb: &str, network: String, options: &[&str]) -> VboxAnswer {
        let at = self.dhcp.iter().position(|d| d.network == network);
        match (verb, at) {
            ("remove", Some(i)) => {
                self.dhcp.remove(i);
                return SILENT;
            }
            ("remove" | "modify", None) => return Err(wrong_argument("DHCP server does not exist")),
            ("add", Some(_)) => return Err(wrong_argument("DHCP server already exists")),
            ("add", None) => {
                self.dhcp.push(Dhcp { network, addresses: [Ipv4Addr::UNSPECIFIED; 4], enabled: false })
            }
            ("modify", Some(_)) => {}
            other => panic!("the registry knows no {other:?}"),
        }
        let server = match at {
            Some(i) => &mut self.dhcp[i],
            None => self.dhcp.last_mut().unwrap(),
        };
        let [a, b, c, d, "--enable"] = options else { panic!("dhcpserver {options:?}") };
        let read =
            |option: &str, text: &str| -> Ipv4Addr { text.strip_prefix(option).unwrap().parse().unwrap() };
        let wanted =
            [read("--server-ip=", a), read("--netmask=", b), read("--lower-ip=", c), read("--upper-ip=", d)];
        if wanted[2] > wanted[3] {
            // The server made above stays, with addresses of 0.0.0.0.
            return Err(wrong_argument(&format!(
                "Lower bound must be less or eqaul than the upper: {} vs {}",
                wanted[2], wanted[3]
            )));
        }
        (server.addresses, server.enabled) = (wanted, true);
        SILENT
    }

    fn host_only_net(&mut self, verb: &str, name: &str, options: &[&str]) -> VboxAnswer {
        assert_eq!(self.system, System::MacOs);
        let at = self.nets.iter().position(|n| n.name == name);
        let addresses = match options {
            ["--enable"] => None,
            ["--netmask", mask, "--lower-ip", lower, "--upper-ip", upper, "--enable"] => {
                Some([mask, lower, upper].map(|t| t.parse().unwrap()))
            }
            other => panic!("hostonlynet {other:?}"),
        };
        match (verb, at, addresses) {
            ("add", None, Some(addresses)) => {
                self.nets.push(Net { name: name.to_owned(), addresses, enabled: true })
            }
            ("modify", Some(i), addresses) => {
                self.nets[i].enabled = true;
                self.nets[i].addresses = addresses.unwrap_or(self.nets[i].addresses);
            }
            other => panic!("hostonlynet {other:?}"),
        }
        SILENT
    }

    fn create_disk(&mut self, path: &str, mib: &str) -> VboxAnswer {
        if self.files.contains_key(path) {
            return Err(wrong(
                &format!(
                    "Could not create the medium storage unit '{path}'.\nVDI: cannot create image '{path}' (VERR_ALREADY_EXISTS)"
                ),
                FILE_ERROR,
            ));
        }
        if self.hdds.contains_key(path) {
            return Err(wrong(
                &format!(
                    "Cannot register the hard disk '{path}' because a hard disk '{path}' already exists"
                ),
                INVALID_ARG,
            ));
        }
        self.add_disk(path, mib.parse().unwrap());
        Ok("Medium created. UUID: aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee\n".to_owned())
    }

    fn resize(&mut self, path: &str, bytes: &str) -> VboxAnswer {
        let hdd = self.hdds.get_mut(path).expect("only known disks are resized");
        hdd.mib = bytes.parse::<u64>().unwrap() >> 20;
        SILENT
    }

    fn close(&mut self, path: &str, delete: bool) -> VboxAnswer {
        if self.vms.values().any(|vm| vm.slots.values().any(|m| m == path)) {
            return Err(wrong(
                &format!(
                    "Medium '{path}' cannot be closed because it is still attached to 1 virtual machines"
                ),
                IN_USE,
            ));
        }
        let gone = self.hdds.remove(path);
        if delete {
            assert!(gone.as_ref().is_some_and(|h| h.accessible), "{path} cannot be opened to be deleted");
            self.files.remove(path);
        }
        gone.map(|_| String::new()).ok_or_else(|| wrong("Could not find file for the medium", FILE_ERROR))
    }

    fn add_controller(&mut self, id: &str, name: &str) -> VboxAnswer {
        let vm = self.vm(id)?;
        if vm.controllers.iter().any(|c| c == name) {
            return Err(wrong(&format!("Storage controller named '{name}' already exists"), IN_USE));
        }
        vm.controllers.push(name.to_owned());
        SILENT
    }

    /// The same attachment again is not an error. A disk that is not known yet is opened and known from then on.
    fn attach(&mut self, id: &str, controller: &str, slot: (u32, u32), medium: &str) -> VboxAnswer {
        self.unlocked()?;
        self.can_save(id)?;
        if medium.ends_with(".vdi") && !self.hdds.contains_key(medium) {
            if !self.files.contains_key(medium) {
                return Err(wrong("Could not find file for the medium", FILE_ERROR));
            }
            if self.damaged.contains_key(medium) {
                let text =
                    format!("Could not get the storage format of the medium '{medium}' (VERR_NOT_SUPPORTED)");
                return Err(wrong(&text, "VBOX_E_IPRT_ERROR (0x80bb0005)"));
            }
            self.add_disk(medium, 10_000);
        }
        let vm = self.vm(id)?;
        assert!(vm.controllers.iter().any(|c| c == controller), "no controller `{controller}`");
        match medium {
            "none" => _ = vm.slots.remove(&slot),
            _ => _ = vm.slots.insert(slot, medium.to_owned()),
        }
        SILENT
    }

    fn start(&mut self, id: &str) -> VboxAnswer {
        self.unlocked()?;
        self.vm(id)?.state = "running".to_owned();
        Ok("Waiting for VM to power on...\n".to_owned())
    }

    /// The lock outlives the power-off.
    fn power_off(&mut self, id: &str) -> VboxAnswer {
        let vm = self.vm(id)?;
        if vm.state != "running" {
            return Err(Wrong(1, format!("Machine '{}' is not currently running.", vm.name), None));
        }
        vm.state = "poweroff".to_owned();
        self.locked = 3;
        SILENT
    }
}

impl Vm {
    /// What `createvm` makes: the first card is NAT, the boot order floppy, dvd, disk, none.
    pub(in super::super) fn new(name: &str, os: &str) -> Self {
        let os = super::answers::os_description(os);
        let settings = [
            ("ostype", os),
            ("memory", "128"),
            ("cpus", "1"),
            ("acpi", "on"),
            ("ioapic", "off"),
            ("firmware", "BIOS"),
            ("boot1", "floppy"),
            ("boot2", "dvd"),
            ("boot3", "disk"),
            ("boot4", "none"),
            ("nic1", "nat"),
            ("nictype1", "82540EM"),
            ("cableconnected1", "on"),
        ];
        Self {
            name: name.to_owned(),
            accessible: true,
            state: "poweroff".to_owned(),
            settings: settings.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
            ..Self::default()
        }
    }

    fn set<'a>(&mut self, option: &str, next: &mut dyn FnMut() -> &'a str) -> Result<(), Wrong> {
        let word = option.trim_end_matches(|c: char| c.is_ascii_digit());
        let number = &option[word.len()..];
        if word == "--nat-pf" {
            return self.forward(number.parse().unwrap(), next);
        }
        let value = next();
        let (key, value) = match word {
            // Any word is stored, and a name that is known is shown as its description.
            "--os-type" => ("ostype", super::answers::os_description(value)),
            "--memory" => ("memory", value),
            "--cpus" => ("cpus", value),
            "--acpi" => ("acpi", value),
            "--ioapic" => ("ioapic", value),
            "--firmware" => match value {
                "bios" => ("firmware", "BIOS"),
                "efi" => ("firmware", "EFI"),
                _ => return Err(wrong("Invalid --firmware argument", INVALID_ARG)),
            },
            "--boot" => ("boot", value),
            "--nic" => ("nic", if value == "hostonlynet" { "hostonlynetwork" } else { value }),
            "--host-only-adapter" => ("hostonlyadapter", value),
            "--host-only-net" => ("hostonly-network", value),
            "--nat-net" => ("natnet", if value == "default" { "nat" } else { value }),
            "--nic-type" => ("nictype", value),
            "--cable-connected" => ("cableconnected", value),
            "--nic-promisc" => {
                self.promiscuous.insert(number.parse().unwrap(), value.to_owned());
                return Ok(());
            }
            "--uart" => {
                assert_eq!((value, next()), ("0x3F8", "4"));
                ("uart", "0x03f8,4")
            }
            "--uart-mode" => {
                assert_eq!(value, "file");
                self.settings.insert(format!("uartmode{number}"), format!("file,{}", next()));
                return Ok(());
            }
            _ => panic!("the registry knows no {option}"),
        };
        if key == "nic" {
            self.settings.entry(format!("cableconnected{number}")).or_insert_with(|| "on".to_owned());
        }
        self.settings.insert(format!("{key}{number}"), value.to_owned());
        Ok(())
    }

    /// Rules stay with a card that is not NAT for a while.
    fn forward<'a>(&mut self, card: usize, next: &mut dyn FnMut() -> &'a str) -> Result<(), Wrong> {
        let rules = self.rules.entry(card).or_default();
        let name = |rule: &str| rule.split(',').next().unwrap().to_owned();
        match next() {
            "delete" => {
                let gone = next();
                let at = rules.iter().position(|r| name(r) == gone);
                rules.remove(at.ok_or_else(|| wrong("No such NAT rule", INVALID_ARG))?);
            }
            rule if rules.iter().any(|r| name(r) == name(rule)) => {
                return Err(wrong("A NAT rule of this name already exists", INVALID_ARG));
            }
            rule => rules.push(rule.to_owned()),
        }
        Ok(())
    }
}
