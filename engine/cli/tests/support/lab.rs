//! A lab for the tests of the binary: one per process, an account of its own
//! for each use.

use super::{Place, Said};
use dr_drills::lab::{Account, Lab, Options};
use serde_json::{Map, Value, json};
use std::{
    env,
    ffi::OsString,
    iter,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

/// The lab, or `None` after saying that there is none.
#[expect(clippy::print_stderr, reason = "a test says that it was not run")]
pub(crate) fn lab() -> Option<&'static Lab> {
    static LAB: OnceLock<Option<Lab>> = OnceLock::new();
    let begin = || {
        let dir = tempfile::tempdir().expect("a folder").keep();
        match Lab::up(&dir, &Options { with_parent: true, ..Options::default() }, &|_| {}) {
            Ok(lab) => Some(lab),
            Err(error) => {
                assert!(std::env::var("DR_LAB_REQUIRED").as_deref() != Ok("1"), "no lab: {error}");
                eprintln!("NOT RUN: no lab ({error})");
                None
            }
        }
    };
    LAB.get_or_init(begin).as_ref()
}

/// The folder of the lab's own AWS command line.
pub(crate) fn bin() -> PathBuf {
    let named = |name| env::var_os(name).map(PathBuf::from);
    let venv = named("DR_LAB_VENV").map(|venv| venv.join("bin"));
    let beside = || named("DR_LAB_PYTHON").and_then(|python| python.parent().map(Path::to_path_buf));
    venv.or_else(beside).expect("the lab's Python is named")
}

/// What is looked for in `PATH` is looked for there first.
pub(crate) fn path_with(first: &Path) -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    env::join_paths(iter::once(first.to_path_buf()).chain(env::split_paths(&path))).expect("a PATH")
}

/// A seeded account of the lab.
pub(crate) struct Estate {
    pub(crate) lab: &'static Lab,
    pub(crate) account: Account,
    pub(crate) params: Map<String, Value>,
}

impl Estate {
    /// A fresh account with production as it stands before the disaster.
    pub(crate) fn new(lab: &'static Lab) -> Self {
        Self::with(lab, Map::new())
    }

    /// The same, and what the seed has to know beside.
    pub(crate) fn with(lab: &'static Lab, mut seed: Map<String, Value>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let account: Account = format!("{:012}", NEXT.fetch_add(1, Ordering::SeqCst)).parse().expect("an account");
        // A handful of objects shows what forty would: one copy is a call like the next.
        seed.entry("objects").or_insert(json!(4));
        let params = lab.seed(&account, seed).expect("a seed");
        Self { lab, account, params }
    }

    /// `dr` at a place, against this account.
    pub(crate) fn dr(&self, place: &Place, args: &[&str]) -> Command {
        let mut command = place.dr(args);
        for (name, value) in self.lab.env(&self.account, "eu-central-1") {
            command.env(name, value);
        }
        command.env("DR_STATE", place.path("state"));
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, place: &Place, args: &[&str]) -> Said {
        place.end(self.dr(place, args))
    }

    /// A text that the seed gave.
    pub(crate) fn param(&self, name: &str) -> &str {
        self.params[name].as_str().expect("a text")
    }

    /// Lets calls of this account go wrong.
    pub(crate) fn faults(&self, rules: &Value) {
        self.lab.fault(&json!({ "account": self.account.to_string(), "rules": rules })).expect("a script");
    }

    /// Takes a region down or up, for this account.
    pub(crate) fn region(&self, region: &str, state: &str) {
        let what = json!({ "region": region, "state": state, "account": self.account.to_string() });
        self.lab.region(&what).expect("it falls");
    }

    /// What was sent by SMS: to whom, and the text.
    pub(crate) fn texts(&self) -> Vec<(String, String)> {
        let state: Value = serde_json::from_str(&self.lab.dump(&self.account, false).expect("a dump")).expect("JSON");
        let text = |it: &Value, key: &str| it[key].as_str().expect("a text").to_owned();
        state["sns"].as_array().expect("a list").iter().map(|it| (text(it, "to"), text(it, "text"))).collect()
    }

    /// The whole state of the account.
    pub(crate) fn dump(&self) -> String {
        self.lab.dump(&self.account, true).expect("a dump")
    }

    /// The calls so far.
    pub(crate) fn calls(&self) -> Vec<Value> {
        let calls = self.lab.calls(Some(&self.account), 0).expect("calls");
        calls.lines().map(|line| serde_json::from_str(line).expect("a call")).collect()
    }

    /// The calls that were to change something: operation and effect.
    pub(crate) fn writes(&self) -> Vec<(String, String)> {
        let text = |call: &Value, key: &str| call[key].as_str().unwrap_or("?").to_owned();
        let writes = self.calls().into_iter().filter(|call| call["rw"] == "write");
        writes.map(|call| (text(&call, "operation"), text(&call, "effect"))).collect()
    }

    /// What changed something, in order.
    pub(crate) fn changes(&self) -> Vec<String> {
        self.writes().into_iter().filter(|(_, effect)| effect == "changed").map(|(name, _)| name).collect()
    }

    /// Every key of a bucket.
    pub(crate) fn keys(&self, bucket: &str) -> Vec<String> {
        let state: Value = serde_json::from_str(&self.lab.dump(&self.account, false).expect("a dump")).expect("JSON");
        let keys = state["s3"][bucket]["keys"].as_object().expect("a bucket");
        keys.iter()
            .filter(|(_, versions)| versions.as_array().is_some_and(|v| !v.is_empty()))
            .map(|(key, _)| key.clone())
            .collect()
    }
}
