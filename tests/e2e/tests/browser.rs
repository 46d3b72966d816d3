//! Chromium without a window, controlled through the WebDriver protocol.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

pub(crate) struct Browser {
    driver: Child,
    agent: ureq::Agent,
    session: String,
}

impl Browser {
    /// Starts a browser whose window has this size.
    pub(crate) fn start(width: u32, height: u32) -> Self {
        Self::start_with(width, height, &[], &json!({}))
    }

    /// Like [`Browser::start`], but with additional arguments and preferences.
    pub(crate) fn start_with(width: u32, height: u32, arguments: &[&str], preferences: &Value) -> Self {
        // The driver exits if the free port that it has found for IPv4 is in use for IPv6.
        let (driver, port) = (0..10).find_map(|_| start_driver()).expect("chromedriver starts: run ./tests/run");
        let url = format!("http://127.0.0.1:{port}/session");
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build()
            .into();
        let window = format!("--window-size={width},{height}");
        let mut all = vec![
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            &window,
        ];
        all.extend(arguments);
        let capabilities = json!({
            "goog:chromeOptions": {"args": all, "prefs": preferences},
            "goog:loggingPrefs": {"browser": "ALL"},
        });
        let mut this = Self { driver, agent, session: url.clone() };
        let created = this.post("", &json!({"capabilities": {"alwaysMatch": capabilities}}));
        this.session = format!("{url}/{}", created["sessionId"].as_str().expect("an ID"));
        this
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let url = format!("{}{path}", self.session);
        let mut response = self.agent.post(&url).send(body.to_string()).expect("an answer");
        let answer = response.body_mut().read_to_string().expect("UTF-8");
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        assert!(response.status().is_success(), "{path} {body}: {answer}");
        answer["value"].clone()
    }

    /// Opens a page and waits until it has loaded.
    pub(crate) fn open(&self, url: &str) {
        self.post("/url", &json!({"url": url}));
    }

    /// Runs the body of a function in the page and returns its result.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({"script": script, "args": []}))
    }

    /// Presses keys. Special keys are characters from the private-use area, as defined by WebDriver.
    pub(crate) fn press(&self, keys: &str) {
        let actions: Vec<Value> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key.to_string()})))
            .collect();
        self.post("/actions", &json!({"actions": [{"type": "key", "id": "keyboard", "actions": actions}]}));
    }

    /// Returns the errors and warnings in the console since the last call.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = self.post("/se/log", &json!({"type": "browser"}));
        let entries = log.as_array().expect("a list").iter();
        let complaints = entries.filter(|entry| entry["level"] == "SEVERE" || entry["level"] == "WARNING");
        complaints.map(|entry| entry["message"].to_string()).collect()
    }

    /// Calls a method of Chrome's developer protocol.
    pub(crate) fn command(&self, method: &str, parameters: &Value) {
        self.post("/goog/cdp/execute", &json!({"cmd": method, "params": parameters}));
    }
}

/// Starts the driver of the browser. Returns it and its port, or `None` if it exits.
fn start_driver() -> Option<(Child, u16)> {
    let mut driver =
        Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let output = BufReader::new(driver.stdout.take().expect("piped"));
    let port = output.lines().map_while(Result::ok).find_map(|line| {
        let (_, port) = line.split_once("started successfully on port ")?;
        port.trim_end_matches('.').parse().ok()
    });
    if port.is_none() {
        driver.wait().ok();
    }
    Some((driver, port?))
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver does not end the browser when it is killed.
        self.agent.delete(&self.session).call().ok();
        self.driver.kill().ok();
        self.driver.wait().ok();
    }
}
