//! What a person chooses about a machine on the command line.

/// The back ends by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum BackendChoice {
    /// QEMU, a process of its own for each machine.
    #[default]
    Qemu,
    /// VirtualBox, through VBoxManage.
    Virtualbox,
}

impl BackendChoice {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Qemu, Self::Virtualbox];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Qemu => "qemu",
            Self::Virtualbox => "virtualbox",
        }
    }
}

/// What a machine boots from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum BootMedium {
    /// `ipxe.iso`, then DHCP and HTTP from here.
    #[default]
    Netboot,
    /// The profile's ISO as a CD.
    Cd,
    /// The profile's ISO as a USB stick.
    Usb,
}
