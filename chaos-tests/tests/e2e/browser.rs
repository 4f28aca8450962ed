//! A headless Chromium, spoken to in the DevTools protocol over two pipes: JSON texts, each ended by a zero byte. Where there
//! is none the test says so and passes, but for the gate (which sets `CI`), where it fails.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use rotunda_chaos::wait;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::oneshot;

/// What it is called, on one system or another.
const NAMES: &[&str] = &["chromium", "chromium-browser", "google-chrome"];

/// Nothing of what it does by itself; as root it has no sandbox, and it sees only our own page.
const FLAGS: &str = "--headless --remote-debugging-pipe --no-sandbox --disable-gpu --no-first-run --disable-sync \
     --disable-background-networking --disable-component-update --disable-default-apps --disable-extensions \
     --disable-dev-shm-usage --hide-scrollbars --force-color-profile=srgb --no-proxy-server about:blank";

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Value>>>>;

/// The browser; ends when it is dropped.
pub(crate) struct Browser {
    _child: Child,
    _profile: TempDir,
    pipe: tokio::sync::Mutex<ChildStdin>,
    next: AtomicU64,
    waiting: Waiting,
    events: Arc<Mutex<Vec<Value>>>,
}

impl Browser {
    /// Starts one, where there is one.
    pub(crate) fn start() -> Option<Arc<Self>> {
        let found = std::env::split_paths(&std::env::var_os("PATH")?)
            .flat_map(|folder| NAMES.iter().map(move |name| folder.join(name)))
            .find(|path| path.is_file());
        let Some(program) = found else {
            assert!(
                std::env::var_os("CI").is_none(),
                "there is no Chromium here; `.ci/setup browser` installs it"
            );
            eprintln!("NOT CHECKED: there is no Chromium here; `.ci/setup browser` installs it");
            return None;
        };
        let profile = TempDir::new().expect("a folder for the profile");
        // It reads from descriptor 3 and writes to 4; what it says besides is noise.
        let mut child = Command::new("/bin/sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1"])
            .arg(program)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args(FLAGS.split_whitespace())
            .env("HOME", profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("a shell");
        let pipe = child.stdin.take().expect("a pipe");
        let (waiting, events) = (Waiting::default(), Arc::default());
        tokio::spawn(listen(
            child.stdout.take().expect("a pipe"),
            Arc::clone(&waiting),
            Arc::clone(&events),
        ));
        Some(Arc::new(Self {
            _child: child,
            _profile: profile,
            pipe: tokio::sync::Mutex::new(pipe),
            next: AtomicU64::new(1),
            waiting,
            events,
        }))
    }

    async fn call(&self, session: Option<&str>, method: &str, params: Value) -> Value {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (tell, told) = oneshot::channel();
        self.waiting.lock().insert(id, tell);
        let mut message = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let mut text = serde_json::to_vec(&message).unwrap();
        text.push(0);
        self.pipe
            .lock()
            .await
            .write_all(&text)
            .await
            .expect("the browser reads");
        let answer = tokio::time::timeout(wait::PATIENCE, told).await;
        let answer = answer
            .unwrap_or_else(|_| panic!("{method}: no answer"))
            .expect("the browser lives");
        assert!(answer.get("error").is_none(), "{method} {params}: {answer}");
        answer["result"].clone()
    }

    /// Opens a page of this size, in the light or the dark.
    pub(crate) async fn open(self: &Arc<Self>, url: &str, width: u32, height: u32, is_dark: bool) -> Tab {
        let target = self
            .call(None, "Target.createTarget", json!({ "url": "about:blank" }))
            .await;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = self.call(None, "Target.attachToTarget", attach).await;
        let tab = Tab {
            browser: Arc::clone(self),
            session: attached["sessionId"].as_str().expect("a session").to_owned(),
        };
        for domain in ["Page", "Runtime", "Log", "Network"] {
            tab.call(&format!("{domain}.enable"), json!({})).await;
        }
        let is_phone = width < 600;
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone });
        tab.call("Emulation.setDeviceMetricsOverride", size).await;
        let scheme = if is_dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        tab.call("Emulation.setEmulatedMedia", json!({ "features": features }))
            .await;
        tab.call("Page.navigate", json!({ "url": url })).await;
        tab
    }
}

async fn listen(pipe: ChildStdout, waiting: Waiting, events: Arc<Mutex<Vec<Value>>>) {
    let mut pipe = BufReader::new(pipe);
    let mut text = Vec::new();
    while pipe.read_until(0, &mut text).await.is_ok_and(|read| read > 0) {
        text.pop();
        let message: Value = serde_json::from_slice(&text).expect("the browser speaks JSON");
        text.clear();
        match message["id"].as_u64().and_then(|id| waiting.lock().remove(&id)) {
            Some(tell) => drop(tell.send(message)),
            None => events.lock().push(message),
        }
    }
    // Whoever still waits is told by this that nothing comes any more.
    waiting.lock().clear();
}

/// A page.
pub(crate) struct Tab {
    browser: Arc<Browser>,
    session: String,
}

impl Tab {
    async fn call(&self, method: &str, params: Value) -> Value {
        self.browser.call(Some(&self.session), method, params).await
    }

    /// The value of a JavaScript expression.
    pub(crate) async fn value(&self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let found = self.call("Runtime.evaluate", params).await;
        assert!(found.get("exceptionDetails").is_none(), "{expression}: {found}");
        found["result"]["value"].clone()
    }

    /// The text of an element, as it is seen.
    pub(crate) async fn text(&self, selector: &str) -> String {
        let found = self
            .value(&format!("document.querySelector('{selector}')?.innerText ?? ''"))
            .await;
        found.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the text of an element is as wanted.
    pub(crate) async fn until(&self, what: &str, selector: &str, wanted: impl Fn(&str) -> bool) -> String {
        wait::until(what, async || {
            let text = self.text(selector).await;
            if wanted(&text) { Ok(text) } else { Err(text) }
        })
        .await
    }

    /// Presses a key.
    pub(crate) async fn press(&self, key: &str, code: u32, text: &str) {
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            let params = json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text });
            self.call("Input.dispatchKeyEvent", params).await;
        }
    }

    /// A PNG of what is in the window, in base64.
    pub(crate) async fn picture(&self) -> String {
        let taken = self.call("Page.captureScreenshot", json!({ "format": "png" })).await;
        taken["data"].as_str().expect("a picture").to_owned()
    }

    /// Addresses of all that the page has asked for.
    pub(crate) fn requests(&self) -> Vec<String> {
        let url = |event: &Value| event["params"]["request"]["url"].as_str().map(str::to_owned);
        self.events(&["Network.requestWillBeSent"])
            .iter()
            .filter_map(url)
            .collect()
    }

    /// What went wrong, as its console says.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let is_bad = |event: &Value| {
            let params = &event["params"];
            match event["method"].as_str() {
                Some("Runtime.consoleAPICalled") => {
                    ["error", "warning", "assert"].contains(&params["type"].as_str().unwrap_or(""))
                }
                Some("Log.entryAdded") => {
                    ["error", "warning"].contains(&params["entry"]["level"].as_str().unwrap_or(""))
                }
                _ => true,
            }
        };
        let events = self.events(&["Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"]);
        events
            .into_iter()
            .filter(is_bad)
            .map(|event| event["params"].to_string())
            .collect()
    }

    fn events(&self, methods: &[&str]) -> Vec<Value> {
        let is_ours = |event: &&Value| {
            event["sessionId"] == *self.session && methods.contains(&event["method"].as_str().unwrap_or(""))
        };
        self.browser.events.lock().iter().filter(is_ours).cloned().collect()
    }
}
