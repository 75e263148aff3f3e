//! Released media: RancherOS's own ISO as its release scripts lay it out, offered by a server of the test; and any
//! kernel and initrd out of a folder.

use bootiso::Iso;
use buildplan::Digest;
use fs_err as fs;
use mediaplan::config::Engine;
use snapbox::str;

use super::{
    repo::{LINUX, Repo, can_build},
    web::{OfferedFile, Web},
};

const ISO: &str = "/v1.5.8/rancheros.iso";
const DIST: &[&str] = &["-q", "dist", "rancheros", "--engine", "prebuilt"];
const UPDATE: &[&str] = &["-q", "fetch", "--update", "rancheros"];

/// Bytes that no compressor and no reader takes for something else.
fn noise(seed: u8, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        bytes.extend(Digest::of(&[&[seed], bytes.len().to_le_bytes().as_slice()].concat()).bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A repository, an ISO laid out as `scripts/package-iso` of v1.5.8 does, and its kernel and initrd.
struct ReleaseLab {
    repo: Repo,
    iso: Vec<u8>,
    kernel: Vec<u8>,
    initrd: Vec<u8>,
}

impl ReleaseLab {
    fn new() -> Option<Self> {
        if !can_build("rancheros", Engine::Prebuilt) {
            return None;
        }
        let repo = Repo::with_tools();
        repo.edit(
            "media.toml",
            "version = \"1.5.8\"\nengine = \"source\"",
            "version = \"1.5.8\"\nengine = \"prebuilt\"",
        );
        let (kernel, initrd) = (noise(1, 300_001), noise(2, 500_003));
        repo.write("tree/boot/vmlinuz-4.14.138-rancher", &kernel);
        repo.write("tree/boot/initrd-v1.5.8", &initrd);
        repo.write(
            "tree/boot/global.cfg",
            "APPEND rancher.autologin=tty1 console=tty1 printk.devkmsg=on panic=10\n",
        );
        repo.write("tree/boot/linux-current.cfg", "DEFAULT rancheros-v1.5.8\nLABEL rancheros-v1.5.8\n    KERNEL ../vmlinuz-4.14.138-rancher\n    INITRD ../initrd-v1.5.8\n");
        repo.write(
            "tree/boot/isolinux/isolinux.cfg",
            "INCLUDE ../global.cfg\nINCLUDE ../linux-current.cfg\n",
        );
        fs::copy("/usr/lib/ISOLINUX/isolinux.bin", repo.path("tree/boot/isolinux/isolinux.bin")).unwrap();
        repo.write("tree/rancheros/installer.tar.gz", noise(3, 10_000));
        let line = "-as mkisofs -quiet -o made.iso -l -J -R -V RancherOS -no-emul-boot -boot-load-size 4 -boot-info-table \
            -b boot/isolinux/isolinux.bin -c boot/isolinux/boot.cat -isohybrid-mbr /usr/lib/ISOLINUX/isohdpfx.bin tree";
        repo.run("xorriso", &line.split_whitespace().collect::<Vec<_>>());
        let iso = fs::read(repo.path("made.iso")).unwrap();
        Some(Self { repo, iso, kernel, initrd })
    }

    /// Makes media.toml name these servers, in order.
    fn servers(&self, servers: &[&Web]) {
        let urls: Vec<_> =
            servers.iter().map(|w| format!("\"{}/v{{version}}/rancheros.iso\"", w.url())).collect();
        let toml = self.repo.read("media.toml");
        let (before, rest) = toml.split_once("name = \"rancheros.iso\"\nurls = [").unwrap();
        let (_, after) = rest.split_once(']').unwrap();
        let urls = urls.join(", ");
        self.repo.write("media.toml", format!("{before}name = \"rancheros.iso\"\nurls = [{urls}]{after}"));
    }

    /// Makes media.lock ask for `bytes`.
    fn lock(&self, bytes: &[u8]) {
        let known = "968754a3e56d7f99ab19d313e7280a0c806278ba630c0a746bf26a473336c29c";
        self.repo.edit("media.lock", known, &Digest::of(bytes).to_string());
    }

    fn check_dist(&self) {
        let dist = self.repo.path("dist/rancheros");
        let iso = Iso::open(&dist.join("rancheros-1.5.8-x86_64.iso")).unwrap();
        for (name, want) in [("vmlinuz", &self.kernel), ("initrd", &self.initrd)] {
            assert!(fs::read(dist.join("netboot").join(name)).unwrap() == *want, "{name} of netboot/");
            let mut inside = Vec::new();
            let entry = iso.find(name).unwrap();
            std::io::copy(&mut iso.reader(&entry), &mut inside).unwrap();
            assert!(inside == *want, "{name} of the ISO");
        }
        assert_eq!(iso.label(), "RancherOS");
    }
}

#[test]
fn rancheros_is_made_of_the_kernel_and_initrd_in_its_iso() {
    let Some(lab) = ReleaseLab::new() else { return };
    let web = Web::new(&[(ISO, OfferedFile::whole(lab.iso.clone()))]);
    lab.servers(&[&web]);
    lab.lock(&lab.iso);
    lab.repo.xtask(DIST).assert().success();
    lab.check_dist();
    assert_eq!(web.asked(), [ISO]);
    let config = lab.repo.read("dist/rancheros/netboot/boot.ipxe");
    assert!(
        config.contains("rancher.state.dev=LABEL=RANCHER_STATE") && !config.contains("password"),
        "{config}"
    );
    lab.repo.xtask(&[&["--offline"], DIST].concat()).assert().success();
    assert_eq!(web.asked(), [""; 0]);
}

#[test]
fn a_download_that_breaks_off_goes_on_where_it_ended() {
    let Some(lab) = ReleaseLab::new() else { return };
    let web = Web::new(&[(ISO, OfferedFile::broken_once(lab.iso.clone(), 123_456))]);
    lab.servers(&[&web]);
    lab.lock(&lab.iso);
    lab.repo.xtask(DIST).assert().success();
    lab.check_dist();
    assert_eq!(web.asked(), [ISO.to_owned(), format!("{ISO} from 123456")]);
}

#[test]
fn wrong_bytes_of_one_source_do_not_keep_the_next_from_being_tried() {
    let Some(lab) = ReleaseLab::new() else { return };
    let (none, wrong) = (Web::new(&[]), Web::new(&[(ISO, OfferedFile::whole("<html>moved</html>"))]));
    let right = Web::new(&[(ISO, OfferedFile::whole(lab.iso.clone()))]);
    lab.servers(&[&none, &wrong, &right]);
    lab.lock(&lab.iso);
    lab.repo.xtask(DIST).assert().success();
    lab.check_dist();
    assert_eq!((none.asked().len(), wrong.asked().len(), right.asked().len()), (1, 1, 1));
}

#[test]
fn a_beginning_with_wrong_bytes_is_not_gone_on_with_for_ever() {
    let Some(lab) = ReleaseLab::new() else { return };
    let web = Web::new(&[(ISO, OfferedFile::whole(lab.iso.clone()))]);
    lab.servers(&[&web]);
    lab.lock(&lab.iso);
    let part = format!("target/media/downloads/{}.part", Digest::of(&lab.iso));
    lab.repo.write(&part, noise(9, 1000));
    lab.repo.xtask(DIST).assert().success();
    lab.check_dist();
    assert_eq!(web.asked(), [format!("{ISO} from 1000"), ISO.to_owned()]);
}

#[test]
fn other_bytes_from_every_source_are_refused_with_what_each_gave() {
    let Some(lab) = ReleaseLab::new() else { return };
    let (none, wrong) = (Web::new(&[]), Web::new(&[(ISO, OfferedFile::whole("<html>moved</html>"))]));
    lab.servers(&[&none, &wrong]);
    lab.lock(b"something else");
    lab.repo.xtask(DIST).assert().code(5).stdout_eq("").stderr_eq(str![[r#"
error: no source has rancheros.iso with the SHA-256 in media.lock, [..]
  because: http://127.0.0.1:[..]/v1.5.8/rancheros.iso: http status: 404
    http://127.0.0.1:[..]/v1.5.8/rancheros.iso: wrong bytes: 18 bytes with SHA-256 [..]
  help: the source changed the file or the lock is wrong; find out which before using it

"#]]);
    assert_eq!(lab.repo.dist(), None);
    lab.repo.assert_clean();
}

#[test]
fn an_iso_that_ends_too_early_is_refused_by_our_reader() {
    let Some(lab) = ReleaseLab::new() else { return };
    let cut = &lab.iso[..400_000];
    let web = Web::new(&[(ISO, OfferedFile::whole(cut))]);
    lab.servers(&[&web]);
    lab.lock(cut);
    lab.repo.xtask(DIST).assert().code(6).stdout_eq("").stderr_eq(str![[r#"
error: cannot take boot/vmlinuz-* out of rancheros.iso, which is the file that media.lock asks for
  because: cannot read [ROOT]/target/media/store/download-[..]/out/rancheros.iso as an ISO image
  because: malformed image at byte 32848: the volume says 2097152 bytes, the file has 400000: it is truncated

"#]]);
    assert_eq!(lab.repo.dist(), None);
    lab.repo.assert_clean();
}

#[test]
fn a_file_that_is_no_iso_is_refused() {
    let Some(lab) = ReleaseLab::new() else { return };
    let page = noise(7, 100_000);
    let web = Web::new(&[(ISO, OfferedFile::whole(page.clone()))]);
    lab.servers(&[&web]);
    lab.lock(&page);
    lab.repo.xtask(DIST).assert().code(6).stdout_eq("").stderr_eq(str![[r#"
error: cannot take boot/vmlinuz-* out of rancheros.iso, which is the file that media.lock asks for
  because: cannot read [ROOT]/target/media/store/download-[..]/out/rancheros.iso as an ISO image
  because: not an ISO image: no volume descriptor (`CD001`) at byte 32769

"#]]);
    lab.repo.assert_clean();
}

#[test]
fn an_iso_without_the_kernel_is_refused_by_name() {
    let Some(lab) = ReleaseLab::new() else { return };
    let web = Web::new(&[(ISO, OfferedFile::whole(lab.iso.clone()))]);
    lab.servers(&[&web]);
    lab.lock(&lab.iso);
    lab.repo.edit("media.toml", "kernel = \"boot/vmlinuz-*\"", "kernel = \"boot/bzImage\"");
    lab.repo.xtask(DIST).assert().code(6).stdout_eq("").stderr_eq(str![[r#"
error: cannot take boot/bzImage out of rancheros.iso, which is the file that media.lock asks for
  because: boot/bzImage is not in the image
  help: `cargo xtask iso ls` lists its files

"#]]);
    lab.repo.assert_clean();
}

/// What the release itself says, in RancherOS's own form.
fn checksums(iso: &[u8]) -> OfferedFile {
    OfferedFile::whole(format!("sha256: {}  rancheros.iso\nmd5: 0  rancheros.iso\n", Digest::of(iso)))
}

#[test]
fn an_update_records_the_digest_and_what_vouches_for_it() {
    let Some(lab) = ReleaseLab::new() else { return };
    let web = Web::new(&[
        (ISO, OfferedFile::whole(lab.iso.clone())),
        ("/v1.5.8/checksums.txt", checksums(&lab.iso)),
    ]);
    lab.servers(&[&web]);
    lab.repo.forget("rancheros");
    lab.repo.xtask(DIST).assert().code(3).stdout_eq("").stderr_eq(str![[r#"
error: media.lock has no digest for `rancheros.iso`
  help: record what is missing, and see what vouches for it, with `cargo xtask fetch --update rancheros`

"#]]);
    lab.repo.xtask(UPDATE).assert().success().stdout_eq(str![[r#"
rancheros: rancheros.iso SHA-256 [..]
  vouched for by http://127.0.0.1:[..]/v1.5.8/checksums.txt
rancheros: [..] fetched, [..] there already

"#]]);
    let lock = lab.repo.read("media.lock");
    for wanted in [
        format!("sha256 = \"{}\"", Digest::of(&lab.iso)),
        format!("size = {}", lab.iso.len()),
        format!("vouched-by = \"{}/v1.5.8/checksums.txt\"", web.url()),
        "[file.burmillaos.".to_owned(),
    ] {
        assert!(lock.contains(&wanted), "{wanted} in {lock}");
    }
    // What was recorded need not come twice.
    lab.repo.xtask(&[&["--offline"], DIST].concat()).assert().success();
    lab.check_dist();
    // A second time the same bytes change nothing.
    lab.repo.xtask(UPDATE).assert().success();
    assert_eq!(lab.repo.read("media.lock"), lock);
}

#[test]
fn a_size_that_is_not_recorded_is_said_then_recorded_and_then_held_to() {
    let Some(lab) = ReleaseLab::new() else { return };
    let web = Web::new(&[(ISO, OfferedFile::whole(lab.iso.clone()))]);
    lab.servers(&[&web]);
    lab.lock(&lab.iso);
    let fetch = &["-q", "fetch", "rancheros", "--engine", "prebuilt"];
    lab.repo.xtask(fetch).assert().success().stderr_eq(str![[r#"
warning: media.lock has no size for rancheros.iso; `cargo xtask fetch --update rancheros` records it

"#]]);
    let said = lab.repo.xtask(&[UPDATE, &["--json"]].concat()).assert().success().get_output().stdout.clone();
    let said: serde_json::Value = serde_json::from_slice(&said).expect("one document, for a script");
    assert_eq!(said["recorded"]["files"][0]["name"], "rancheros.iso", "{said}");
    assert_eq!(said["recorded"]["files"][0]["sha256"], Digest::of(&lab.iso).to_string(), "{said}");
    let size = format!("sha256 = \"{}\"\nsize = {}\n", Digest::of(&lab.iso), lab.iso.len());
    assert!(lab.repo.read("media.lock").contains(&size));
    for entry in lab.repo.names("target/media/store").iter().filter(|name| name.starts_with("download-")) {
        fs::remove_dir_all(lab.repo.path("target/media/store").join(entry)).unwrap();
    }
    fs::remove_dir_all(lab.repo.path("target/media/downloads")).unwrap();
    web.offer(ISO, OfferedFile::whole([&lab.iso[..], b"more"].concat()));
    let said = lab.repo.xtask(fetch).assert().code(5).get_output().stderr.clone();
    let said = String::from_utf8(said).unwrap();
    let wrong = format!("wrong size: {} bytes offered, {} expected", lab.iso.len() + 4, lab.iso.len());
    assert!(said.contains(&wrong), "{said}");
}

#[test]
fn an_update_against_the_releases_own_list_is_refused() {
    let Some(lab) = ReleaseLab::new() else { return };
    let web = Web::new(&[
        (ISO, OfferedFile::whole(lab.iso.clone())),
        ("/v1.5.8/checksums.txt", checksums(b"other")),
    ]);
    lab.servers(&[&web]);
    lab.repo.forget("rancheros");
    let lock = lab.repo.read("media.lock");
    lab.repo.xtask(UPDATE).assert().code(5).stdout_eq("").stderr_eq(str![[r#"
error: http://127.0.0.1:[..]/v1.5.8/rancheros.iso has SHA-256 [..], and http://127.0.0.1:[..]/v1.5.8/checksums.txt says [..]
  help: one of the two was changed; try again later

"#]]);
    assert_eq!(lab.repo.read("media.lock"), lock);
}

#[test]
fn an_update_says_when_nothing_vouches() {
    let Some(lab) = ReleaseLab::new() else { return };
    let web = Web::new(&[(ISO, OfferedFile::whole(lab.iso.clone()))]);
    lab.servers(&[&web]);
    lab.repo.forget("rancheros");
    lab.repo.xtask(UPDATE).assert().success().stdout_eq(str![[r#"
rancheros: rancheros.iso SHA-256 [..]
  vouched for by nothing: it came over http (http://127.0.0.1:[..]/v1.5.8/rancheros.iso)
rancheros: [..] fetched, [..] there already

"#]]);
}

#[test]
fn an_update_never_replaces_what_the_lock_has() {
    let Some(lab) = ReleaseLab::new() else { return };
    let web = Web::new(&[(ISO, OfferedFile::whole(lab.iso.clone()))]);
    lab.servers(&[&web]);
    lab.lock(&lab.iso);
    lab.repo.xtask(UPDATE).assert().success();
    let lock = lab.repo.read("media.lock");
    web.offer(ISO, OfferedFile::whole("other bytes"));
    lab.repo.xtask(UPDATE).assert().code(5).stdout_eq("").stderr_eq(str![[r#"
error: rancheros.iso from http://127.0.0.1:[..]/v1.5.8/rancheros.iso has SHA-256 [..], and media.lock says [..]
  help: find out which is right before you remove the entry from media.lock and run this again

"#]]);
    assert_eq!(lab.repo.read("media.lock"), lock);
}

#[test]
fn any_kernel_and_initrd_out_of_a_folder_become_media() {
    if !can_build("linux", Engine::Prebuilt) {
        return;
    }
    let repo = Repo::with_tools();
    repo.write("artifacts/vmlinuz", "a kernel\n");
    // Without it, `fetch` would want the sources of iPXE as well.
    repo.edit("media.toml", "version = \"1\"\nengine = \"source\"", "version = \"1\"\nengine = \"prebuilt\"");
    let record = ["-q", "--offline", "fetch", "--update", "linux", "--artifacts", "artifacts"];
    repo.xtask(&record).assert().code(7).stderr_eq(snapbox::str![[r#"
error: no source has initrd
  because: no such file: [ROOT]/artifacts/initrd
  help: give a folder that holds the file with --artifacts DIR

"#]]);
    repo.write("artifacts/initrd", "an initrd\n");
    repo.xtask(&record).assert().success();
    // It is in no place any more: not in the folder, and not in the store, where `fetch` put it.
    fs_err::remove_file(repo.path("artifacts/initrd")).unwrap();
    for name in repo.names("target/media/store") {
        let entry = repo.path("target/media/store").join(name);
        if entry.join("out/initrd").exists() {
            buildexec::tree::remove(&entry).unwrap();
        }
    }
    repo.xtask(LINUX).assert().code(7).stdout_eq("").stderr_eq(snapbox::str![[r#"
error: no source has initrd
  because: [ROOT]/artifacts/initrd: no such file
  help: give a folder that holds the file with --artifacts DIR

"#]]);
    repo.write("artifacts/initrd", "an initrd\n");
    assert!(
        repo.read("media.lock").contains("vouched-by = \"the person who put it into the folder artifacts\"")
    );
    repo.xtask(LINUX).assert().success();
    let dist = repo.path("dist/linux");
    assert_eq!(repo.read("dist/linux/netboot/vmlinuz"), "a kernel\n");
    assert_eq!(repo.read("dist/linux/netboot/initrd"), "an initrd\n");
    let iso = Iso::open(&dist.join("linux-1-x86_64.iso")).unwrap();
    for path in
        ["/vmlinuz", "/initrd", "/isolinux/isolinux.bin", "/isolinux.cfg", "/boot/grub/grub.cfg", "/efi.img"]
    {
        assert!(iso.find_opt(path).unwrap().is_some(), "{path}");
    }
    let sums = repo.run_in("dist/linux", "sha256sum", &["-c", "--quiet", "SHA256SUMS"]);
    assert_eq!(sums, "");
}
