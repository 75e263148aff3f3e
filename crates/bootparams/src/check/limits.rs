//! What kernel and loaders can hold.

use super::LineChecker;
use crate::{codes, kernel, target::Target};

/// The kernel's CONFIG_INIT_ENV_ARG_LIMIT is 32; HOME and TERM are there already.
const MOST_ARGUMENTS: usize = 32;
const MOST_VARIABLES: usize = 30;

impl LineChecker<'_> {
    pub(super) fn limits(&mut self) {
        self.length();
        self.words_for_init();
        for target in self.context.targets.clone() {
            if let Some(obstacle) = target.obstacle(self.line, self.words, self.os) {
                let message = format!("{} cannot pass this on", target.name());
                let at_boot = obstacle.reason;
                let help = "rewrite it, or move it to a cloud-config";
                self.found.say(&codes::LOADER, obstacle.span, message, at_boot, help);
            }
        }
    }

    fn length(&mut self) {
        let limits = self.context.targets.iter().map(|t| (t.max_length(), t.name()));
        let (limit, who) = limits.min().unwrap_or((kernel::MAX_LINE, "the kernel"));
        let length = self.longest_text();
        if length <= limit {
            return;
        }
        let lead = self.line.len() - self.line.trim_start().len();
        let mut from = (lead + limit).min(self.line.len());
        while !self.line.is_char_boundary(from) {
            from -= 1;
        }
        let message = format!("{length} bytes, and {who} passes {limit} on");
        let help = "move keys and long values to a cloud-config";
        self.found.say(
            &codes::TOO_LONG,
            from..self.line.len(),
            message,
            "the rest is cut off, or nothing boots",
            help,
        );
    }

    /// GRUB's backslashes make the line longer.
    fn longest_text(&self) -> usize {
        let escaped = if self.context.targets.contains(&Target::Grub) {
            self.line.matches(['"', '\'', '\\']).count()
        } else {
            0
        };
        self.line.trim().len() + escaped
    }

    /// Words without a dot that the kernel does not take itself. Which it takes is not known here; those of
    /// every kernel are.
    fn words_for_init(&mut self) {
        let mut behind = false;
        let (mut arguments, mut variables) = (0, 0);
        let mut first_too_many = None;
        for arg in kernel::args(self.line) {
            if arg.name == "--" && arg.value.is_none() {
                behind = true;
                continue;
            }
            if !behind && (arg.name.contains('.') || KERNEL_WORDS.contains(&arg.name)) {
                continue;
            }
            let count = if behind || arg.value.is_none() { &mut arguments } else { &mut variables };
            *count += 1;
            if arguments > MOST_ARGUMENTS || variables > MOST_VARIABLES {
                first_too_many.get_or_insert(arg.span);
            }
        }
        if let Some(span) = first_too_many {
            let message = format!("{arguments} arguments and {variables} variables for init");
            let help = "put values with blanks in double quotes, and remove what is not used";
            self.found.say(
                &codes::TOO_MANY,
                span,
                message,
                "the kernel panics: too many boot arguments or variables",
                help,
            );
        }
    }
}

/// Parameters that every kernel takes itself, so that they do not count.
const KERNEL_WORDS: &[&str] = &[
    "acpi",
    "apparmor",
    "apic",
    "audit",
    "cgroup_disable",
    "clocksource",
    "console",
    "crashkernel",
    "debug",
    "earlycon",
    "earlyprintk",
    "elevator",
    "hugepages",
    "ignore_loglevel",
    "init",
    "initrd",
    "intel_iommu",
    "iommu",
    "ip",
    "ipv6",
    "isolcpus",
    "lapic",
    "loglevel",
    "maxcpus",
    "mem",
    "memmap",
    "mitigations",
    "net",
    "netconsole",
    "nfsroot",
    "nmi_watchdog",
    "noapic",
    "noefi",
    "nokaslr",
    "nomodeset",
    "nosmp",
    "nosmt",
    "noxsave",
    "panic",
    "pci",
    "pcie_aspm",
    "quiet",
    "rdinit",
    "reboot",
    "resume",
    "ro",
    "root",
    "rootdelay",
    "rootflags",
    "rootfstype",
    "rootwait",
    "rw",
    "security",
    "selinux",
    "splash",
    "swapaccount",
    "swiotlb",
    "transparent_hugepage",
    "tsc",
    "vga",
    "video",
];
