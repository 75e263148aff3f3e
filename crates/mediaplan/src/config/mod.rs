//! What `media.toml` and `media.lock` say: raw text to checked types. Pure: `mediabuild` reads the files.

mod base_url;
mod distribution;
pub mod lock;
mod netboot;
pub mod raw;
pub mod repository;

use std::collections::BTreeMap;

use anyhow::Result;
pub use base_url::BaseUrl;
pub use distribution::{Archive, Distribution};
pub use lock::{Lock, Locked, LockedPackage};
pub use netboot::{Netboot, Trust};
pub use raw::{Compress, Engine, KernelFlavour, Media, Released, SecureBoot, SignedIpxe};

use bootparams::{Os, Params};
use buildplan::shown_url;
use failure::{Failure, Kind, shown};
use vmspec::VmSpec;

/// `media.toml`, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The profile that commands take when none is named.
    pub default_profile: String,
    /// Where iPXE comes from.
    pub ipxe: IpxePin,
    /// Whose packages media are made of.
    pub distribution: Distribution,
    profiles: BTreeMap<String, Profile>,
}

/// The pinned iPXE.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IpxePin {
    /// Version that messages and the SBOM show, such as `2.0.0`.
    pub version: String,
    /// 40 hex digits.
    pub commit: String,
    /// Tried in order.
    pub repositories: Vec<String>,
}

/// A profile, checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Profile {
    /// Its name: lower-case letters, digits and `-`.
    pub name: String,
    /// One line for people.
    pub about: String,
    /// Whose rules the parameters follow.
    pub os: Os,
    /// The version in file names; `None` takes the kernel's.
    pub version: Option<String>,
    /// Where iPXE comes from, unless the command line says otherwise.
    pub engine: Engine,
    /// Kernel parameters, in order.
    pub params: Params,
    /// Where the netboot tree is served.
    pub base_url: BaseUrl,
    /// The interface iPXE asks on.
    pub nic: Option<String>,
    /// Milliseconds iPXE waits for the failsafe key.
    pub timeout: u32,
    /// The cloud-config's path from the repository's root.
    pub cloud_config: Option<String>,
    /// Lets secrets into published artifacts.
    pub publish_secrets: bool,
    /// Who signs what UEFI starts.
    pub secure_boot: SecureBoot,
    /// The certificate of the key that signs them, by its path from the repository's root, where that is a person's.
    pub certificate: Option<String>,
    /// Where kernel and initrd come from.
    pub media: Media,
    /// What UEFI starts of iPXE, where somebody else signed it.
    pub ipxe_signed: Option<SignedIpxe>,
    /// The machine that its guest needs.
    pub vm: VmSpec,
    /// What iPXE believes of what a server sends; the same for all profiles.
    pub netboot: Netboot,
    /// Files of `isofs/<profile>/`, by their path in it; filled in by the code that reads the disk.
    pub overlay: Vec<String>,
}

impl Profile {
    /// What a machine with Secure Boot does with the media, in one line.
    #[must_use]
    pub fn secure_boot_outlook(&self) -> &'static str {
        match self.secure_boot {
            SecureBoot::Distribution if self.ipxe_signed.is_some() => {
                "Secure Boot: the ISO starts with it on (shim by Microsoft, GRUB and kernel by the distribution), and \
                 ipxe.iso and ipxe-shim.efi do (the shim and iPXE of profile.ipxe.signed)"
            }
            SecureBoot::Distribution => {
                "Secure Boot: the ISO starts with it on (shim by Microsoft, GRUB and kernel by the distribution); \
                 ipxe.iso and *.efi are unsigned and refused"
            }
            SecureBoot::OwnKey => {
                "Secure Boot: the ISO, ipxe.iso and *.efi start with it on once the machine trusts your certificate \
                 (secure-boot/ has it, docs/secure-boot.md says how); until then it refuses the kernel and iPXE"
            }
            SecureBoot::Off => "Secure Boot: nothing here is signed; a machine with it on refuses all of it",
        }
    }
}

impl Profile {
    /// The released files that its media are made of.
    #[must_use]
    pub fn released(&self) -> Vec<&Released> {
        let signed = self.ipxe_signed.iter().flat_map(|ipxe| [&ipxe.shim, &ipxe.program]);
        self.media.released().into_iter().chain(signed).collect()
    }
}

impl Media {
    /// The released files it needs.
    #[must_use]
    pub fn released(&self) -> Vec<&Released> {
        match self {
            Self::Distribution { .. } | Self::Docker { .. } => Vec::new(),
            Self::Iso { file, .. } => vec![file],
            Self::Files { kernel, initrd } => vec![kernel, initrd],
        }
    }

    /// Whether its kernel is the distribution's, signed by it.
    #[must_use]
    pub fn is_distributions(&self) -> bool {
        matches!(self, Self::Distribution { .. } | Self::Docker { .. })
    }

    /// The same with the version filled in where names and addresses have `{version}`.
    fn at(&self, version: &str) -> Self {
        match self {
            Self::Distribution { .. } | Self::Docker { .. } => self.clone(),
            Self::Iso { file, kernel, initrd } => {
                Self::Iso { file: file.at(version), kernel: kernel.clone(), initrd: initrd.clone() }
            }
            Self::Files { kernel, initrd } => {
                Self::Files { kernel: kernel.at(version), initrd: initrd.at(version) }
            }
        }
    }
}

impl Config {
    /// Reads the text of `media.toml`.
    ///
    /// # Errors
    /// [`Kind::Config`] with line and column, or with all that is wrong with the values.
    pub fn parse(text: &str) -> Result<Self> {
        let raw: raw::MediaToml = toml::from_str(text)
            .map_err(|e| Failure::new(Kind::Config, "media.toml cannot be read").source(in_words(&e)))?;
        let mut wrong = Vec::new();
        let profiles: BTreeMap<_, _> =
            raw.profiles.iter().map(|(name, p)| (name.clone(), checked(name, p, &raw, &mut wrong))).collect();
        if !profiles.contains_key(&raw.default_profile) {
            wrong.push(format!("default-profile `{}` is not a profile", raw.default_profile));
        }
        if !is_version(&raw.ipxe.version) {
            wrong.push(format!("ipxe.version `{}` is not a version", raw.ipxe.version));
        }
        for text in &raw.ipxe.repositories {
            if let Err(e) = repository::check(text) {
                wrong.push(format!("ipxe.repositories: `{}` {e}", text));
            }
        }
        if raw.ipxe.commit.len() != 40 || !raw.ipxe.commit.bytes().all(|b| b.is_ascii_hexdigit()) {
            wrong.push(format!("ipxe.commit `{}` is not 40 hex digits", raw.ipxe.commit));
        }
        wrong.extend(raw.distribution.problems());
        wrong.extend(raw.netboot.problems());
        if !wrong.is_empty() {
            let all: Vec<_> = wrong.iter().map(|w| shown(w)).collect();
            let all = anyhow::anyhow!(all.join("\n"));
            return Err(Failure::new(Kind::Config, "media.toml has invalid values").source(all).into());
        }
        let raw::Ipxe { version, commit, repositories } = raw.ipxe;
        let ipxe = IpxePin { version, commit, repositories };
        Ok(Self { default_profile: raw.default_profile, ipxe, distribution: raw.distribution, profiles })
    }

    /// The profile `name`, or the default one.
    ///
    /// # Errors
    /// [`Kind::Usage`] when there is none of that name.
    pub fn profile(&self, name: Option<&str>) -> Result<&Profile> {
        let name = name.unwrap_or(&self.default_profile);
        self.profiles.get(name).ok_or_else(|| {
            let names: Vec<_> = self.profiles.keys().map(String::as_str).collect();
            Failure::new(Kind::Usage, format!("media.toml has no profile `{name}`"))
                .help_choose(name, &names, "profiles")
                .into()
        })
    }

    /// All profiles, by name.
    pub fn profiles(&self) -> impl Iterator<Item = &Profile> {
        self.profiles.values()
    }

    /// All profiles, to fill in what the disk knows.
    pub fn profiles_mut(&mut self) -> impl Iterator<Item = &mut Profile> {
        self.profiles.values_mut()
    }
}

/// What the parser says, without Rust's names of types.
fn in_words(error: &toml::de::Error) -> anyhow::Error {
    let numbers =
        [("u8", u64::from(u8::MAX)), ("u16", u16::MAX.into()), ("u32", u32::MAX.into()), ("u64", u64::MAX)];
    let text = error.to_string();
    let named = numbers.iter().find_map(|(name, most)| {
        let before = text.trim_end().strip_suffix(name)?.strip_suffix("expected ")?;
        Some(format!("{before}expected a whole number from 0 to {most}"))
    });
    anyhow::Error::msg(named.unwrap_or(text))
}

/// What the shim of a signed iPXE is called in `dist/`.
pub(crate) const SHIM: &str = "ipxe-shim.efi";

/// Characters of a profile's name, which names of folders and media begin with.
const LONGEST_NAME: usize = 64;
const NO_CERTIFICATE: &str = "secure-boot = \"own-key\" needs a certificate in [secure-boot]; \
     `cargo xtask key new secure-boot --to keys` makes one, keys/secure-boot.crt";

/// What keeps a profile from being signed as it asks.
fn signing_problem(raw: &raw::ProfileToml, all: &raw::MediaToml) -> Option<String> {
    let outside = |path: &String| {
        (!is_plain_path(path))
            .then(|| format!("secure-boot.certificate: `{path}` is not a path inside the repository"))
    };
    match (raw.secure_boot, &all.secure_boot.certificate) {
        (Some(SecureBoot::Distribution), _) if !raw.media.is_distributions() => {
            Some("secure-boot = \"distribution\" takes a kernel that the distribution signed".to_owned())
        }
        (Some(SecureBoot::OwnKey), None) => Some(NO_CERTIFICATE.to_owned()),
        (Some(SecureBoot::OwnKey), Some(path)) => outside(path),
        _ => None,
    }
}

/// What is wrong with iPXE that somebody else signed.
fn ipxe_problems(raw: &raw::ProfileToml, all: &raw::MediaToml) -> Vec<String> {
    let Some(signed) = &raw.ipxe.signed else { return Vec::new() };
    let mut wrong = Vec::new();
    if !is_plain_path(&signed.loads) || signed.loads.contains('/') || !signed.loads.ends_with(".efi") {
        wrong.push(format!("ipxe.signed: loads `{}` is not the name of an EFI program", signed.loads));
    }
    if [SHIM, "snponly.efi"].contains(&signed.loads.as_str()) {
        wrong.push(format!("ipxe.signed: loads `{}` is the name of another program here", signed.loads));
    }
    if signed.shim.name == signed.program.name {
        wrong.push("ipxe.signed: shim and program have the same name".to_owned());
    }
    if all.netboot.is_signed() {
        wrong.push(
            "ipxe.signed: a released iPXE knows none of your roots, so netboot.trust cannot be \"signed\""
                .to_owned(),
        );
    }
    wrong
}

/// Names and addresses of a profile's files that cannot be used.
fn media_problems(raw: &raw::ProfileToml, version: &str) -> Vec<String> {
    let (media, mut wrong) = (&raw.media, Vec::new());
    if let Media::Docker { containers, .. } = media {
        for file in containers.iter().filter(|f| !is_plain_path(f)) {
            wrong.push(format!("containers: `{file}` must be a path below isofs/<profile>/"));
        }
    }
    let media = media.at(version);
    let signed = raw.ipxe.signed.iter().flat_map(|ipxe| [ipxe.shim.at(version), ipxe.program.at(version)]);
    for released in media.released().into_iter().cloned().chain(signed) {
        if !is_plain_path(&released.name) {
            wrong.push(format!("`{}` is not a valid file name", released.name));
        }
        let is_http = |url: &&String| url.starts_with("http://") || url.starts_with("https://");
        for url in released.urls.iter().filter(|url| !is_http(url)) {
            wrong.push(format!("`{}` must begin with http:// or https://", shown_url(url)));
        }
    }
    wrong
}

/// Checks one profile; what is wrong goes to `wrong`, so that all of it is shown at once.
fn checked(name: &str, raw: &raw::ProfileToml, all: &raw::MediaToml, wrong: &mut Vec<String>) -> Profile {
    let version = raw.version.as_deref().unwrap_or("");
    let (os, base_url) = (raw.os.parse::<Os>(), BaseUrl::parse(&raw.base_url));
    let unread = [
        os.as_ref().err().map(|e| format!("os: {e}")),
        base_url.as_ref().err().map(|e| format!("base-url `{}`: {e}", raw.base_url)),
    ];
    let problems = value_problems(raw, version)
        .into_iter()
        .chain(unread.into_iter().flatten())
        .chain(config_problem(raw))
        .chain(name_problem(name))
        .chain(signing_problem(raw, all))
        .chain(ipxe_problems(raw, all))
        .chain(media_problems(raw, version));
    wrong.extend(problems.map(|problem| format!("profile.{name}: {problem}")));
    let usual = if raw.media.is_distributions() { SecureBoot::Distribution } else { SecureBoot::Off };
    let certificate = all.secure_boot.certificate.clone();
    Profile {
        name: name.to_owned(),
        about: raw.about.clone(),
        os: os.unwrap_or(Os::Linux),
        engine: raw.engine,
        params: raw.params.clone(),
        base_url: base_url.unwrap_or_default(),
        nic: raw.nic.clone(),
        timeout: raw.timeout,
        cloud_config: raw.cloud_config.as_ref().map(|f| format!("isofs/{name}/{f}")),
        publish_secrets: raw.publish_secrets,
        secure_boot: raw.secure_boot.unwrap_or(usual),
        certificate: certificate.filter(|_| raw.secure_boot == Some(SecureBoot::OwnKey)),
        media: raw.media.at(version),
        ipxe_signed: raw.ipxe.signed.as_ref().map(|ipxe| SignedIpxe {
            shim: ipxe.shim.at(version),
            program: ipxe.program.at(version),
            loads: ipxe.loads.clone(),
        }),
        vm: raw.vm.clone(),
        netboot: all.netboot.clone(),
        version: raw.version.clone(),
        overlay: Vec::new(),
    }
}

/// What is wrong with a profile's version and interface.
fn value_problems(raw: &raw::ProfileToml, version: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if !version.is_empty() && !is_version(version) {
        wrong.push(format!("version `{version}` is not a valid file name"));
    }
    if raw.version.is_none() && !raw.media.is_distributions() {
        wrong.push("version is missing".to_owned());
    }
    let nic = raw.nic.as_deref().unwrap_or("net0");
    if !nic.chars().all(|c| c.is_ascii_alphanumeric()) {
        wrong.push(format!("nic `{nic}` is not an interface of iPXE"));
    }
    wrong
}

fn config_problem(raw: &raw::ProfileToml) -> Option<String> {
    let file = raw.cloud_config.as_deref().filter(|file| !is_plain_path(file));
    file.map(|_| "cloud-config must be a path below isofs/<profile>/".to_owned())
}

fn name_problem(name: &str) -> Option<String> {
    if !is_name(name) {
        return Some("the name may hold lower-case letters, digits and `-`".to_owned());
    }
    if name.len() > LONGEST_NAME {
        return Some(format!("the name is longer than {LONGEST_NAME} characters"));
    }
    is_device(name).then(|| "Windows cannot have a folder of this name".to_owned())
}

fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_lowercase())
        && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// Whether Windows takes the name for a device, wherever it stands; media are verified there, too.
fn is_device(name: &str) -> bool {
    let port = |kind: &str| name.strip_prefix(kind).is_some_and(|n| matches!(n.as_bytes(), [b'1'..=b'9']));
    matches!(name, "con" | "prn" | "aux" | "nul") || port("com") || port("lpt")
}

fn is_version_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '~' | '_')
}

/// Nothing that a program would take for an option.
fn is_version(version: &str) -> bool {
    version.chars().all(is_version_char) && !version.starts_with('-')
}

/// No way out of the folder it is in, nothing that make, iPXE or a shell would split, and no name that a program would
/// take for an option.
fn is_plain_path(path: &str) -> bool {
    !path.is_empty()
        && path.split('/').all(|part| !part.is_empty() && part != "." && part != ".." && is_version(part))
}

#[cfg(test)]
mod tests;
