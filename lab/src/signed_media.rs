//! A profile's media once more for `vm test`, signed by keys that are gone when they are built.

use core::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use camino::{Utf8Path, Utf8PathBuf};

use buildexec::ctx::Ctx;
use buildplan::Cmd;
use failure::Kind;
use mediabuild::workspace::{load, preflight};
use mediaplan::{
    config::{BaseUrl, Engine, Netboot, Profile, Trust},
    stage::needs,
};
use netboot::Tls;
use vmlab::{
    dist,
    scenario::{BuiltMedia, SignedMedia},
};
use xtask::cmd::{build::Selection, dist as build, key, netboot_key};

/// Signers are for one test: a day is enough.
const SECONDS: u64 = 86_400;
/// Roots last until 2045, so that a clock of 2040 is behind the end of a server's certificate alone, and one of 2060 behind
/// every end.
const ROOTS_UNTIL: u64 = 2_366_841_600;
/// An address that documents use for other hosts (RFC 5737).
const OTHER_HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// Builds them. The inner error says why this machine cannot.
///
/// # Errors
/// When something else goes wrong.
pub(crate) fn build(
    ctx: &Ctx,
    profile: &Profile,
    ipxe_repo: Option<String>,
) -> Result<Result<SignedMedia, String>> {
    match make(ctx, profile, ipxe_repo) {
        Ok(media) => Ok(Ok(media)),
        Err(e) if matches!(failure::kind_of(&e), Some(Kind::Network | Kind::MissingTool)) => {
            let help = failure::helps_of(&e).join("; ");
            Ok(Err(format!("iPXE that checks signatures cannot be compiled here: {e} ({help})")))
        }
        Err(e) => Err(e),
    }
}

fn make(ctx: &Ctx, profile: &Profile, ipxe_repo: Option<String>) -> Result<SignedMedia> {
    preflight::check(ctx, &needs::openssl(), false)?;
    let keys = ctx.temporary("netboot-keys-")?;
    let dir = Utf8Path::from_path(keys.path()).context("the target folder is not UTF-8")?;
    let [first, next, other] = ["first", "next", "other"].map(|name| Ca::new(ctx, dir, name));
    let (first, next, other) = (first?, next?, other?);
    let roots = [&first, &next].map(|ca| ca.root.strip_prefix(&ctx.root).unwrap_or(&ca.root).to_string());
    let (host, port) = (profile.vm.host_only.host, profile.base_url.port);
    let media = |scheme: &str| {
        let mut loaded = load::load(ctx)?;
        for own in loaded.config.profiles_mut().filter(|p| p.name == profile.name) {
            own.netboot = Netboot { trust: Trust::Signed, roots: roots.to_vec() };
            own.base_url = BaseUrl::parse(&format!("{scheme}://{host}:{port}")).map_err(|e| anyhow!(e))?;
        }
        let ctx = Ctx { dist: ctx.work.join("vm").join(format!("signed-{scheme}")), ..ctx.clone() };
        let selection = Selection {
            profile: Some(profile.name.clone()),
            engine: Some(Engine::Source),
            ipxe_repo: ipxe_repo.clone(),
            signer: Some(first.signer.clone()),
            ..Selection::default()
        };
        build::build_loaded(&ctx, &loaded, &selection, false)?;
        let profile = loaded.config.profile(selection.profile.as_deref())?;
        Ok::<_, anyhow::Error>(BuiltMedia {
            dist: dist::find(&ctx, profile)?,
            tree: dist::tree(&ctx, profile),
        })
    };
    let (http, mut https) = (media("http")?, media("https")?);
    // The test's own server speaks HTTPS for them.
    https.dist.network = http.dist.network.clone();
    let (tls, stranger) = (first.server(ctx, host)?, other.server(ctx, host)?);
    let other_host = first.server(ctx, OTHER_HOST)?;
    Ok(SignedMedia { http, https, next: next.signer, tls, stranger, other_host })
}

/// A CA in a folder of its own.
struct Ca {
    dir: Utf8PathBuf,
    root: Utf8PathBuf,
    signer: Arc<pki::Signer>,
}

impl Ca {
    fn new(ctx: &Ctx, dir: &Utf8Path, name: &str) -> Result<Self> {
        ctx.check_interrupt()?;
        let dir = dir.join(name);
        fs_err::create_dir(&dir)?;
        let made = pki::authority(
            &format!("{name} root"),
            pki::Lifetime { until: ROOTS_UNTIL },
            &key::random()?,
            None,
        );
        let lifetime = pki::Lifetime { until: netboot_key::now() + SECONDS };
        let made = made.map_err(|e| anyhow!(e))?;
        let signer = pki::signer(name, lifetime, &key::random()?, None, (&made.secret, None));
        let signer = Arc::new(pki::Signer::open(&signer.map_err(|e| anyhow!(e))?.secret, None)?);
        let root = dir.join("root.crt");
        fs_err::write(&root, &made.certificate)?;
        key::write_secret(&dir.join("root.pem"), &made.secret)?;
        Ok(Self { dir, root, signer })
    }

    /// A certificate for an HTTPS server at `host`, made as docs/netboot.md tells a person to.
    fn server(&self, ctx: &Ctx, host: Ipv4Addr) -> Result<Tls> {
        let config = format!(
            "[req]\ndistinguished_name=dn\nx509_extensions=ext\nprompt=no\n[dn]\nCN={host}\n[ext]\n\
             subjectAltName=IP:{host}\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n"
        );
        fs_err::write(self.dir.join("server.cnf"), config)?;
        let new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -config server.cnf \
                   -CA root.crt -CAkey root.pem -keyout server.key -out server.crt";
        let mut cmd = Cmd::new("openssl", "certify the test's HTTPS server").args(new.split_whitespace());
        cmd.cwd = Some(self.dir.clone());
        ctx.runner.run(&cmd)?;
        Tls::read(&self.dir.join("server.crt"), &self.dir.join("server.key"))
    }
}
