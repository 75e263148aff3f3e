//! The media of a profile: its own ISO, the iPXE binaries, the netboot tree.

use anyhow::Result;

use super::{
    boot_iso::{BootIso, config_initrd},
    embed::CloudConfig,
    ipxe,
    line::Line,
    measured::{PredictedRegisters, REGISTERS},
    os,
    packages::{Tools, Uefi, kernel_package},
    sample::Image,
    script::{Script, ScriptValue},
    signed::Enrolment,
};
use crate::config::{Engine, IpxePin, Media, Profile, SecureBoot};
use bootparams::Target;
use buildplan::{Artifact, Plan, Planner};
use failure::{Failure, Kind};

/// What is asked for: a profile, how, and out of what.
#[derive(Clone, Debug)]
pub struct MediaOrder<'a> {
    /// Profile whose media are planned.
    pub profile: &'a Profile,
    /// Where iPXE comes from.
    pub engine: Engine,
    /// The pinned iPXE; its repositories may have been replaced.
    pub pin: &'a IpxePin,
    /// Patches and headers for iPXE, from the repository's root, sorted.
    pub bootscripts: &'a Bootscripts,
    /// Kernel parameters of the profile, with the password if one was given.
    pub line: Line,
    /// What the lock and the person supply.
    pub supply: os::Supply<'a>,
}

/// What `bootscripts/` holds besides the templates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bootscripts {
    /// `bootscripts/patches/*.patch`, sorted.
    pub patches: Vec<String>,
    /// `bootscripts/config/*.h`, sorted.
    pub config: Vec<String>,
    /// Bytes of `bootscripts/embed.ipxe`.
    pub embed_length: usize,
}

/// A plan and where its outputs land.
#[derive(Clone, Debug)]
pub struct PlannedMedia {
    /// Every node that the outputs need.
    pub plan: Plan,
    /// Artifacts by their path in `dist/<profile>/`, in the order that people read them.
    pub outputs: Vec<(String, Artifact)>,
    /// Outputs that get a signature beside them, by path: what iPXE loads and verifies.
    pub signed: Vec<String>,
    /// The version in file names.
    pub version: String,
}

/// Whether iPXE loads an output, by its path, in a netboot: `boot.html` is the script's second name, which only an
/// unsigned netboot asks for, and the cloud-config as a file of its own is read by the operating system.
#[must_use]
pub fn is_loaded(path: &str) -> bool {
    ["boot.ipxe", "vmlinuz", "initrd", "seed.cpio"].iter().any(|name| path == format!("netboot/{name}"))
}

/// Plans everything that `dist/<profile>/` holds.
///
/// # Errors
/// When the profile cannot be built from the given inputs.
pub fn plan(order: &MediaOrder<'_>) -> Result<PlannedMedia> {
    let mut p = Planner::new();
    let profile = order.profile;
    let version = version(order)?;
    let os = os::plan(&mut p, &profile.media, &order.supply)?.signed(&mut p, profile)?;
    let tools = Tools::plan(&mut p, &order.supply.pins)?;
    let uefi = Uefi::plan(&mut p, &order.supply.pins, profile)?;
    let iso = BootIso {
        profile: profile.clone(),
        line: order.line.clone(),
        os: os.clone(),
        tools: tools.clone(),
        uefi,
        version: version.clone(),
    };
    let iso = p.ensure(&iso)?;
    let made = engine(&mut p, order, tools.clone())?;
    let made = signed_by_others(&mut p, order, tools, made)?;
    let boot = p.ensure(&boot_script(profile, &order.line)?)?;
    let mut outputs = vec![(iso.name.clone(), iso.clone())];
    outputs.extend(made);
    for (name, artifact) in
        [("boot.html", &boot), ("boot.ipxe", &boot), ("vmlinuz", &os.kernel), ("initrd", &os.initrd)]
    {
        outputs.push((format!("netboot/{name}"), artifact.clone()));
    }
    if let (Some(initrd), Some(config)) = (config_initrd(profile), &profile.cloud_config) {
        outputs.push(("netboot/seed.cpio".to_owned(), p.ensure(&initrd)?));
        outputs.push(("netboot/cloud-config.yml".to_owned(), p.ensure(&CloudConfig(config.clone()))?));
    }
    for (path, artifact) in enrolment(&mut p, profile)? {
        outputs.push((path.to_owned(), artifact));
    }
    if profile.secure_boot != SecureBoot::Off {
        outputs.push((REGISTERS.to_owned(), p.ensure(&PredictedRegisters { iso })?));
    }
    if order.supply.docker.samples {
        for (name, image) in [("counter", Image::Counter), ("greeter", Image::Greeter)] {
            outputs.push((format!("sample/{name}.tar"), p.ensure(&order.supply.sample(image)?)?));
        }
    }
    let signed = profile.netboot.is_signed();
    let signed = outputs.iter().map(|(path, _)| path.clone()).filter(|path| signed && is_loaded(path));
    Ok(PlannedMedia { signed: signed.collect(), plan: p.finish(), outputs, version })
}

/// Plans the ISO of a profile with each of these lines of parameters in place of the order's, and nothing else of it.
/// The artifacts are the outputs in order; their names are all the same.
///
/// # Errors
/// As [`plan`].
pub fn variants(order: &MediaOrder<'_>, lines: &[Line]) -> Result<PlannedMedia> {
    let mut p = Planner::new();
    let version = version(order)?;
    let os = os::plan(&mut p, &order.profile.media, &order.supply)?.signed(&mut p, order.profile)?;
    let tools = Tools::plan(&mut p, &order.supply.pins)?;
    let uefi = Uefi::plan(&mut p, &order.supply.pins, order.profile)?;
    let mut outputs = Vec::new();
    for line in lines {
        let iso = p.ensure(&BootIso {
            profile: order.profile.clone(),
            line: line.clone(),
            os: os.clone(),
            tools: tools.clone(),
            uefi: uefi.clone(),
            version: version.clone(),
        })?;
        outputs.push((iso.name.clone(), iso));
    }
    Ok(PlannedMedia { signed: Vec::new(), plan: p.finish(), outputs, version })
}

/// The profile's version; its kernel's, without what cannot stand in a file name, where it has none.
fn version(order: &MediaOrder<'_>) -> Result<String> {
    Ok(match (&order.profile.version, &order.profile.media) {
        (Some(version), _) => version.clone(),
        (None, Media::Distribution { kernel }) => {
            file_version(&order.supply.pins.package(kernel_package(*kernel))?.version)
        }
        (None, Media::Docker { .. }) => {
            let version = &order.supply.pins.package("docker.io")?.version;
            // Docker's own, without what the distribution adds.
            file_version(version.split_once('+').map_or(version.as_str(), |(upstream, _)| upstream))
        }
        (None, _) => "0".to_owned(),
    })
}

fn file_version(version: &str) -> String {
    let without_epoch = version.split_once(':').map_or(version, |(_, v)| v);
    without_epoch.replace(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-' | '~'), "_")
}

/// What a machine learns to trust the media by, where a person's key signs them: files by their path on media and in
/// `dist/`.
pub(super) fn enrolment(p: &mut Planner, profile: &Profile) -> Result<Vec<(&'static str, Artifact)>> {
    match &profile.certificate {
        Some(certificate) => p.ensure(&Enrolment { certificate: certificate.clone() }),
        None => Ok(Vec::new()),
    }
}

/// What people see: name and version.
pub(super) fn title(profile: &Profile) -> ScriptValue {
    let version = profile.version.as_deref().map(|v| format!(" {v}")).unwrap_or_default();
    ScriptValue::Text(format!("{}{version}", profile.name))
}

fn engine(p: &mut Planner, order: &MediaOrder<'_>, tools: Tools) -> Result<ipxe::IpxeFiles> {
    let script = embed_script(order.profile);
    let netboot = &order.profile.netboot;
    if order.engine == Engine::Prebuilt && netboot.is_signed() {
        let text = "netboot.trust = \"signed\" needs iPXE from source: the distribution's has neither imgverify nor your roots";
        return Err(Failure::new(Kind::Config, text).help("build with --engine source").into());
    }
    match order.engine {
        Engine::Source => p.ensure(&ipxe::IpxeFromSource {
            pin: order.pin.clone(),
            patches: order.bootscripts.patches.clone(),
            config: order.bootscripts.config.clone(),
            // Certificates are linked in with the script.
            around: match may_be_long(&script, order.bootscripts) || !netboot.roots.is_empty() {
                true => ipxe::ScriptSlot::Linked(script),
                false => ipxe::ScriptSlot::Patched(script),
            },
            roots: netboot.roots.clone(),
            certificate: order.profile.certificate.clone(),
            tools,
        }),
        Engine::Prebuilt => {
            let certificate = order.profile.certificate.clone();
            p.ensure(&ipxe::Prebuilt::new(script, &order.supply.pins, certificate, tools)?)
        }
    }
}

/// With the programs for UEFI that the profile names, in place of the engine's.
fn signed_by_others(
    p: &mut Planner,
    order: &MediaOrder<'_>,
    tools: Tools,
    made: ipxe::IpxeFiles,
) -> Result<ipxe::IpxeFiles> {
    let Some(signed) = &order.profile.ipxe_signed else { return Ok(made) };
    let programs = order.supply.fetched(p, [&signed.shim, &signed.program])?;
    let others = ipxe::SignedByOthers {
        programs: programs.try_into().expect("two files are asked for"),
        loads: &signed.loads,
        script: p.ensure(&embed_script(order.profile))?,
        is_embedded: order.engine == Engine::Source,
        tools,
    };
    others.replace(p, made)
}

/// The script as it is without signatures, or the one that checks them.
fn template(name: &str, profile: &Profile) -> String {
    let signed = if profile.netboot.is_signed() { "-signed" } else { "" };
    format!("bootscripts/{name}{signed}.ipxe")
}

/// Whether a script may be longer than the programs have bytes for, however often it names its variables.
fn may_be_long(script: &Script, bootscripts: &Bootscripts) -> bool {
    const USES: usize = 8;
    let values = script.variables.iter().map(|(_, value)| match value {
        ScriptValue::Text(text) | ScriptValue::Secret(text) => text.len(),
    });
    bootscripts.embed_length + USES * values.sum::<usize>() >= ipxe::PLACEHOLDER
}

/// What iPXE carries: an address, then the boot script of the server.
fn embed_script(profile: &Profile) -> Script {
    let nic = profile.nic.clone().unwrap_or_default();
    let mut variables = vec![
        ("title", title(profile)),
        ("base-url", ScriptValue::Text(profile.base_url.to_string())),
        ("nic", ScriptValue::Text(nic)),
    ];
    // The pause before the first try is for the key that opens the shell, which a signed netboot does not have.
    if !profile.netboot.is_signed() {
        variables.push(("timeout", ScriptValue::Text(profile.timeout.to_string())));
    }
    Script { template: template("embed", profile), name: "embed.ipxe", variables, embed_area: None }
}

/// What the server gives: kernel, initrd, parameters.
fn boot_script(profile: &Profile, line: &Line) -> Result<Script> {
    let load_config_initrd = match (&profile.cloud_config, profile.netboot.is_signed()) {
        (None, _) => "# No cloud-config: nothing comes before the initrd.",
        (Some(_), false) => "initrd ${base-url}/seed.cpio || goto failed",
        (Some(_), true) => {
            "set file seed.cpio\n\
             initrd ${base-url}/${file} || goto failed\n\
             imgverify ${file} ${base-url}/${file}.sig || goto refused"
        }
    };
    Ok(Script {
        template: template("boot", profile),
        name: "boot.ipxe",
        variables: vec![
            ("title", title(profile)),
            ("base-url", ScriptValue::Text(profile.base_url.to_string())),
            ("load-config-initrd", ScriptValue::Text(load_config_initrd.to_owned())),
            ("args", line.value(line.spelled(Target::Ipxe)?)),
        ],
        embed_area: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_a_file_name() {
        assert_eq!(file_version("6.12.118-1"), "6.12.118-1");
        assert_eq!(file_version("2:6.1+b1~x/y"), "6.1_b1~x_y");
    }
}
