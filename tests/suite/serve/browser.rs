//! The page in a real browser, at 320 pixels and with the keyboard alone. Chromium is driven over its debugging pipe;
//! where it is missing the test is skipped by name.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    time::{Duration, Instant},
};

use buildexec::run::RunningCommand;
use buildplan::Cmd;
use camino::Utf8Path;
use netboot::{ClientEventKind, Fault, MachineName};
use serde_json::{Value, json};

use super::{
    TestServer,
    servers::{has, spawn},
    site,
};

/// Switches that keep a browser from talking to anyone but the page.
const QUIET: &str = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
    --disable-background-networking --disable-component-update --disable-sync --remote-debugging-pipe";

/// A browser with one page.
struct Browser {
    to: File,
    from: BufReader<File>,
    session: Option<String>,
    calls: u64,
    _job: RunningCommand,
    _dir: tempfile::TempDir,
}

impl Browser {
    fn open(url: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(dir.path()).unwrap();
        for name in ["to", "from"] {
            let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
            rustix::fs::mknodat(
                rustix::fs::CWD,
                root.join(name).as_str(),
                rustix::fs::FileType::Fifo,
                mode,
                0,
            )
            .unwrap();
        }
        let script = format!("exec chromium {QUIET} --user-data-dir={root}/user 3<{root}/to 4>{root}/from");
        let job = spawn(
            root,
            &Cmd::new("sh", "start a browser").args(["-c", &script]).env("TMPDIR", root.as_str()),
        );
        let to = File::options().write(true).open(root.join("to")).unwrap();
        let from = BufReader::new(File::open(root.join("from")).unwrap());
        let mut browser = Self { to, from, session: None, calls: 0, _job: job, _dir: dir };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }))["targetId"].clone();
        let attach = json!({ "targetId": target, "flatten": true });
        browser.session =
            browser.call("Target.attachToTarget", attach)["sessionId"].as_str().map(str::to_owned);
        let narrow = json!({ "width": 320, "height": 640, "deviceScaleFactor": 1, "mobile": false });
        browser.call("Emulation.setDeviceMetricsOverride", narrow);
        browser.call("Page.navigate", json!({ "url": url }));
        browser
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        self.calls += 1;
        let mut message = json!({ "id": self.calls, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.to.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let mut answer = Vec::new();
            self.from.read_until(0, &mut answer).unwrap();
            assert!(answer.pop().is_some(), "the browser ended");
            let mut answer: Value = serde_json::from_slice(&answer).unwrap();
            if answer["id"] == self.calls {
                assert_eq!(answer["error"], Value::Null, "{method}");
                return answer["result"].take();
            }
        }
    }

    fn eval(&mut self, script: &str) -> Value {
        self.call("Runtime.evaluate", json!({ "expression": script, "returnByValue": true }))["result"]["value"]
            .take()
    }

    fn wait_for(&mut self, script: &str) {
        let begin = Instant::now();
        while self.eval(script) != json!(true) {
            let page = self.eval("document.body.innerText");
            assert!(begin.elapsed() < Duration::from_secs(20), "never true: {script}; the page says {page}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn press(&mut self, key: &str, code: u32) {
        let text = if key == "Enter" { "\r" } else { "" };
        let mut event = json!({ "type": "keyDown", "key": key, "windowsVirtualKeyCode": code, "text": text });
        self.call("Input.dispatchKeyEvent", event.clone());
        event["type"] = json!("keyUp");
        self.call("Input.dispatchKeyEvent", event);
    }
}

/// One machine that is up and one whose kernel stops half-way.
fn two_machines() -> TestServer {
    let site = site(|c| _ = c.faults.insert("vmlinuz".into(), Fault::StallAfter(150_000)));
    for path in ["/boot.html?mac=52-54-00-00-00-01", "/initrd", "/cloud-config.yml", "/_/up"] {
        site.get(path);
    }
    site.get("/boot.html?mac=52-54-00-00-00-02");
    site
}

#[test]
fn the_page_works_in_a_narrow_browser_with_the_keyboard_alone() {
    if !has("chromium") {
        return;
    }
    let site = two_machines();
    let mut stalled = site.client();
    stalled.send("GET /vmlinuz?mac=52-54-00-00-00-02 HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut browser = Browser::open(&format!("http://{}/_/", site.server.addr()));
    browser.wait_for("document.querySelectorAll('details').length === 2");
    browser.wait_for("document.body.innerText.includes('kernel 50 %')");
    let text = browser.eval("document.body.innerText").as_str().unwrap().to_owned();
    for shown in ["2 machines: 1 up, 1 booting", "52:54:00:00:00:01", "52:54:00:00:00:02"] {
        assert!(text.contains(shown), "{shown} is missing in {text}");
    }
    assert_eq!(browser.eval("document.documentElement.scrollWidth"), 320, "nothing is wider than the window");

    browser.press("Tab", 9);
    browser.press("Tab", 9);
    let second = "document.activeElement === document.querySelectorAll('summary')[1]";
    assert_eq!(browser.eval(second), true);
    browser.press("Enter", 13);
    assert_eq!(browser.eval("document.activeElement.parentElement.open"), true);
    assert_eq!(browser.eval("document.documentElement.scrollWidth"), 320);

    // An update leaves focus and opened details alone.
    let machine = MachineName { mac: Some("52:54:00:00:00:02".to_owned()), uuid: None };
    site.server.tell([127, 0, 0, 1].into(), ClientEventKind::Up { machine });
    browser.wait_for("document.body.innerText.includes('2 machines: 2 up')");
    assert_eq!(browser.eval(second), true);
    assert_eq!(browser.eval("document.activeElement.parentElement.open"), true);
    drop(site.server);
    browser.wait_for("document.body.innerText.includes('No answer from the server')");
}
