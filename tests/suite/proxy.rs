//! Downloads through a real proxy, set up as a company does it: tunnels to port 443 alone, a name and a password.

use std::{net::TcpListener, time::Duration};

use buildplan::Cmd;
use camino::Utf8Path;

use super::{
    repo::Repo,
    serve::servers::{has, spawn},
    web::{OfferedFile, Web},
};

/// A server that offers what `linux` is made of, and a repository that asks it.
fn lab() -> (Repo, Web) {
    let repo = Repo::with_linux();
    repo.entries("os").iter().for_each(|entry| fs_err::remove_dir_all(entry).unwrap());
    let web = Web::new(&[
        ("/vmlinuz", OfferedFile::whole("a kernel\n")),
        ("/initrd", OfferedFile::whole("an initrd\n")),
    ]);
    for name in ["vmlinuz", "initrd"] {
        let urls = format!("name = \"{name}\", urls = [\"{}/{name}\"]", web.url());
        repo.edit("media.toml", &format!("name = \"{name}\""), &urls);
    }
    (repo, web)
}

/// Starts tinyproxy, and hands back its port. It ends with the job.
fn tinyproxy(root: &Utf8Path) -> (u16, buildexec::run::RunningCommand) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = format!(
        "Port {port}\nListen 127.0.0.1\nTimeout 60\nAllow 127.0.0.1\nConnectPort 443\nBasicAuth me s3cret\n\
         LogFile \"{root}/proxy.log\"\nLogLevel Connect\n"
    );
    fs_err::write(root.join("tinyproxy.conf"), config).unwrap();
    let cmd = Cmd::new("tinyproxy", "run a proxy").args(["-d", "-c", root.join("tinyproxy.conf").as_str()]);
    let job = spawn(root, &cmd);
    for _ in 0..100 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return (port, job);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("tinyproxy does not listen: {}", fs_err::read_to_string(root.join("log")).unwrap());
}

const FETCH: &[&str] = &["-q", "fetch", "linux", "--engine", "prebuilt"];

#[test]
fn a_plain_address_is_asked_of_the_proxy_in_absolute_form_with_its_login() {
    if !has("tinyproxy") {
        return;
    }
    let (repo, web) = lab();
    let (port, _job) = tinyproxy(repo.root());
    let wrong = format!("http://me:wrong@127.0.0.1:{port}");
    let failed = repo.xtask(FETCH).env("http_proxy", wrong).assert().code(7).get_output().stderr.clone();
    let failed = String::from_utf8_lossy(&failed);
    assert!(
        failed.contains("40") || failed.contains("requires a valid name and password"),
        "the proxy's refusal is named: {failed}"
    );
    assert!(!failed.contains("wrong"), "the password is not shown: {failed}");
    assert_eq!(web.asked(), [""; 0]);
    let right = format!("http://me:s%33cret@127.0.0.1:{port}");
    repo.xtask(FETCH).env("http_proxy", right).assert().success();
    assert_eq!(web.asked().len(), 2);
    let log = fs_err::read_to_string(repo.path("proxy.log")).unwrap();
    assert!(log.contains("GET http://127.0.0.1:") && !log.contains("CONNECT 127"), "{log}");
}

#[test]
fn a_host_in_no_proxy_is_asked_directly() {
    let (repo, web) = lab();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let fetch = repo.xtask(FETCH).env("http_proxy", format!("http://{closed}"));
    fetch.env("no_proxy", "localhost, 127.0.0.1").assert().success();
    assert_eq!(web.asked().len(), 2);
}

#[test]
fn a_proxy_that_does_not_answer_or_is_none_is_named() {
    let (repo, web) = lab();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let fetch = repo.xtask(FETCH).env("http_proxy", format!("http://{closed}"));
    let said = fetch.assert().code(7).get_output().stderr.clone();
    assert!(
        String::from_utf8_lossy(&said).contains("through the proxy"),
        "{}",
        String::from_utf8_lossy(&said)
    );
    let socks = repo.xtask(FETCH).env("http_proxy", "socks5://127.0.0.1:9").assert().code(2);
    let said = String::from_utf8_lossy(&socks.get_output().stderr).into_owned();
    assert!(said.contains("http_proxy") && said.contains("socks5"), "{said}");
    let said = repo.xtask(FETCH).env("http_proxy", "http://a b").assert().code(2).get_output().stderr.clone();
    assert!(String::from_utf8_lossy(&said).contains("http_proxy"), "{}", String::from_utf8_lossy(&said));
    assert_eq!(web.asked(), [""; 0]);
}
