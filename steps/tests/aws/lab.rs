//! A lab for these tests: one server, an account of its own for each use.
//!
//! `DR_LAB` names the admin address of one that runs; else one is started from
//! `drills/lab`. Without either a test says loudly that it was not run, and
//! fails where `DR_LAB_REQUIRED=1`.

use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

/// A running lab.
pub(crate) struct Lab {
    pub(crate) endpoint: String,
    admin: String,
    /// Ends with this process: its standard input is our pipe.
    _child: Option<Child>,
}

/// The lab, or `None` after saying that there is none.
pub(crate) fn lab() -> Option<&'static Lab> {
    static LAB: OnceLock<Result<Lab, String>> = OnceLock::new();
    match LAB.get_or_init(start) {
        Ok(lab) => Some(lab),
        Err(why) => {
            assert!(std::env::var("DR_LAB_REQUIRED").as_deref() != Ok("1"), "no lab: {why}");
            eprintln!("not run: no lab ({why})");
            None
        }
    }
}

/// The command line beside the lab's Python.
pub(crate) fn aws_cli() -> PathBuf {
    let python = |name| std::env::var(name).ok().map(PathBuf::from);
    let venv = python("DR_LAB_VENV").map(|venv| venv.join("bin"));
    let beside = python("DR_LAB_PYTHON").and_then(|python| python.parent().map(Path::to_path_buf));
    venv.or(beside).map_or_else(|| "aws".into(), |folder| folder.join("aws"))
}

fn start() -> Result<Lab, String> {
    if let Ok(admin) = std::env::var("DR_LAB") {
        let (_, text) = http("GET", &format!("{admin}/status"), "")?;
        let status: Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
        let endpoint = status["endpoint"].as_str().ok_or("it does not say its endpoint")?.to_owned();
        return Ok(Lab { endpoint, admin, _child: None });
    }
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("../drills/lab");
    if !home.join("serve.py").exists() {
        return Err("drills/lab is not there".into());
    }
    let own = home.join(".venv/bin/python");
    let venv = || std::env::var("DR_LAB_VENV").map(|venv| Path::new(&venv).join("bin/python"));
    let python = std::env::var("DR_LAB_PYTHON").map(Into::into).or_else(|_| venv()).unwrap_or(own);
    let python = if python.exists() { python } else { "python3".into() };
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?.keep();
    // The shell waits for our end, however it comes, and takes the lab with it.
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(r#""$0" "$1" --dir "$2" & lab=$!; exec >/dev/null; read -r _; kill $lab"#)
        .args([python.as_path(), &home.join("serve.py"), &folder])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| e.to_string())?;
    let mut line = String::new();
    let out = child.stdout.take().expect("it is a pipe");
    BufReader::new(out).read_line(&mut line).map_err(|e| e.to_string())?;
    let ready: Value = serde_json::from_str(&line).map_err(|_| format!("{} does not start", python.display()))?;
    let text = |key: &str| ready[key].as_str().unwrap_or_default().to_owned();
    Ok(Lab { endpoint: text("endpoint"), admin: text("admin"), _child: Some(child) })
}

/// A seeded account.
pub(crate) struct Estate {
    pub(crate) lab: &'static Lab,
    pub(crate) account: String,
    pub(crate) params: Value,
    /// What it was seeded with once more.
    again: OnceLock<Value>,
}

impl Lab {
    /// A fresh account with production as it stands before the disaster.
    pub(crate) fn estate(&'static self) -> Estate {
        self.estate_with(json!({}))
    }

    /// The same, with more said to the seed.
    pub(crate) fn estate_with(&'static self, mut seed: Value) -> Estate {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        let account = format!("{:06}{number:06}", std::process::id() % 1_000_000);
        seed["account"] = account.clone().into();
        let text = self.ask("POST", "/seed", &seed);
        Estate {
            lab: self,
            account,
            params: serde_json::from_str(&text).expect("parameters are JSON"),
            again: OnceLock::new(),
        }
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> String {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, text) = http(method, &format!("{}{path}", self.admin), &body).expect("the lab answers");
        assert_eq!(status, 200, "{method} {path}: {text}");
        text
    }
}

impl Drop for Estate {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.lab.ask("POST", "/reset", &json!({ "account": self.account }));
        }
    }
}

impl Estate {
    /// Seeds it once more, from nothing, with more said to the seed.
    pub(crate) fn seed(&self, mut more: Value) {
        more["account"] = self.account.clone().into();
        let text = self.lab.ask("POST", "/seed", &more);
        self.again.set(serde_json::from_str(&text).expect("parameters are JSON")).expect("it is seeded once more");
    }

    /// A parameter of the seed.
    pub(crate) fn param(&self, name: &str) -> &str {
        self.again.get().unwrap_or(&self.params)[name]
            .as_str()
            .unwrap_or_else(|| panic!("the seed has no {name}: {}", self.params))
    }

    /// Lets calls go wrong.
    pub(crate) fn faults(&self, rules: &Value) {
        self.lab.ask("POST", "/fault", &json!({ "account": self.account, "rules": rules }));
    }

    /// Ends all sessions of the account's roles.
    pub(crate) fn expire(&self) {
        self.lab.ask("POST", "/sessions", &json!({ "account": self.account, "expire": true }));
    }

    /// Says who wants no SMS, and what the SMS sandbox allows.
    pub(crate) fn sms(&self, what: &Value) {
        let mut what = what.clone();
        what["account"] = self.account.clone().into();
        self.lab.ask("POST", "/sms", &what);
    }

    /// Takes a region down, in this account only.
    pub(crate) fn region(&self, region: &str, state: &str) {
        let what = json!({ "region": region, "state": state, "account": self.account, "mode": "reset" });
        self.lab.ask("POST", "/region", &what);
    }

    /// The calls so far.
    pub(crate) fn calls(&self) -> Vec<Value> {
        let text = self.lab.ask("GET", &format!("/calls?account={}", self.account), &Value::Null);
        text.lines().map(|line| serde_json::from_str(line).expect("a call is JSON")).collect()
    }

    /// The calls that were to change something: operation and effect.
    pub(crate) fn writes(&self) -> Vec<(String, String)> {
        let text = |call: &Value, key: &str| call[key].as_str().unwrap_or("?").to_owned();
        let writes = self.calls().into_iter().filter(|call| call["rw"] == "write");
        writes.map(|call| (text(&call, "operation"), text(&call, "effect"))).collect()
    }

    /// How often each operation changed something.
    pub(crate) fn changes(&self) -> Vec<String> {
        let mut changed: Vec<_> =
            self.writes().into_iter().filter(|(_, effect)| effect == "changed").map(|(name, _)| name).collect();
        changed.sort();
        changed
    }

    /// The whole state as it is.
    pub(crate) fn state(&self) -> Value {
        let text = self.lab.ask("GET", &format!("/dump?account={}", self.account), &Value::Null);
        serde_json::from_str(&text).expect("a dump is JSON")
    }

    /// The whole state, without what differs from run to run.
    pub(crate) fn dump(&self) -> String {
        let dump = self.lab.ask("GET", &format!("/dump?account={}&mask=1", self.account), &Value::Null);
        // The domain of the seed's distribution holds a part of the account.
        let dump = dump.replace(&format!("edrlab{}", &self.account[4..]), "<distribution>");
        // Nobody waits for the last stage of a TTL: it may last an hour.
        let dump = dump.replace("\"ENABLING\"", "\"ENABLED\"");
        // Automated snapshots are named after the minute.
        let plain = |line: &str| match line.split_once("\"rds:") {
            Some((indent, name)) if name.len() > 20 => {
                let (name, end) = name.split_at(name.find('"').unwrap_or_default());
                format!("{indent}\"rds:{}{end}\n", &name[..name.len().saturating_sub(17)])
            }
            _ => format!("{line}\n"),
        };
        dump.lines().map(plain).collect()
    }
}

fn http(method: &str, url: &str, body: &str) -> Result<(u16, String), String> {
    let rest = url.strip_prefix("http://").ok_or("not http")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(host).map_err(|e| e.to_string())?;
    let length = body.len();
    write!(stream, "{method} /{path} HTTP/1.0\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n{body}")
        .map_err(|e| e.to_string())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(|e| e.to_string())?;
    let (head, text) = answer.split_once("\r\n\r\n").ok_or("not an answer")?;
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or("no status")?;
    Ok((status, text.to_owned()))
}
