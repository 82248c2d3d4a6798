//! What the tests of mail share: a parcel, a runbook's people, a mail server, Python's eye for mail.

use dr_comms::{mail::Recipients, parcel::Parcel};
use dr_engine::{
    clock::Time,
    comms::{Comms, To},
    event::{Event, Kind, Opened, Person, RunKind},
    plan::{Mode, Objectives, Plan, Role, Selection},
    run::Run,
};
use serde_json::{Map, Value};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

/// The password of the user `dr`: it may stand nowhere.
pub(crate) const PASSWORD: &str = "canary-5f1e";

/// A whole update.
pub(crate) fn update() -> Parcel {
    serde_json::from_str(include_str!("../support/update.json")).expect("a parcel")
}

/// A plan that knows these people, `role name address`, and these addresses beside them.
pub(crate) fn plan(roles: &[[&str; 3]], to: &[&str]) -> Plan {
    let role = |[role, name, email]: &[&str; 3]| {
        let email = (!email.is_empty()).then(|| (*email).to_owned());
        ((*role).to_owned(), Role { name: (*name).into(), email, ..Role::default() })
    };
    let email = Some(To { to: to.iter().map(ToString::to_string).collect() });
    Plan {
        format: 1,
        name: "production".into(),
        description: None,
        owner: None,
        regions: [].into(),
        accounts: [].into(),
        objectives: Objectives::default(),
        roles: roles.iter().map(role).collect(),
        params: Map::new(),
        mode: Mode::Ungraceful,
        comms: Some(Comms { email, ..Comms::default() }),
        claim: None,
        failback: None,
        phases: Vec::new(),
        selection: Selection::default(),
        steps: Vec::new(),
    }
}

/// A run of a plan in which a role has been handed over.
pub(crate) fn handed_over(plan: Plan, role: &str, to: &str) -> Run {
    let by = Person { name: None, user: "ana".into(), host: "bunker".into(), message: None };
    let opened = Opened {
        run: "r".into(),
        plan,
        folder: String::new(),
        kind: RunKind::Live,
        incident_at: Time(0),
        incident_assumed: true,
        detected_at: None,
        declared_at: None,
        declared_by: None,
        by: by.clone(),
    };
    let mut run = Run::open(Event { seq: 1, at: Time(0), kind: Kind::Opened(Box::new(opened)) }).expect("it opens");
    let set = Kind::RoleSet { role: role.into(), to: to.into(), by, why: String::new() };
    run.apply(&Event { seq: 2, at: Time(1), kind: set }).expect("it is legal");
    run
}

/// Those addresses, and nobody in a role.
pub(crate) fn people(to: &[&str]) -> Recipients {
    Recipients::planned(&plan(&[], to))
}

/// The Python that has aiosmtpd, or `None` after saying that there is none: loudly where `make test` wants it.
#[expect(clippy::print_stderr, reason = "whoever runs the tests by hand learns what was not run")]
pub(crate) fn python() -> Option<PathBuf> {
    let named = |name| std::env::var(name).ok().map(PathBuf::from);
    let python = named("DR_LAB_PYTHON").or_else(|| named("DR_LAB_VENV").map(|venv| venv.join("bin/python")));
    if python.is_none() {
        assert!(std::env::var("DR_LAB_REQUIRED").as_deref() != Ok("1"), "no mail server: DR_LAB_PYTHON is not set");
        eprintln!("not run: no mail server (DR_LAB_PYTHON is not set)");
    }
    python
}

fn support(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support").join(file)
}

/// What Python reads in a mail.
pub(crate) fn parsed(python: &Path, mail: &[u8]) -> Value {
    let mut child = Command::new(python)
        .arg(support("parse_mail.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    child.stdin.take().expect("it is a pipe").write_all(mail).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    serde_json::from_slice(&output.stdout).expect("it prints JSON")
}

/// A mail server; `smtpd.py` says which.
pub(crate) struct Smtpd {
    folder: TempDir,
    pub(crate) port: u16,
    child: Child,
}

/// A mail that it took.
pub(crate) struct Taken {
    pub(crate) facts: Value,
    pub(crate) mail: Vec<u8>,
}

impl Smtpd {
    /// A server that has begun to listen.
    pub(crate) fn start(python: &Path, mode: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut child = Command::new(python)
            .args([support("smtpd.py").as_os_str(), "--mode".as_ref(), mode.as_ref(), "--dir".as_ref()])
            .arg(folder.path())
            .env("SMTPD_PASSWORD", PASSWORD)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let mut line = String::new();
        let out = child.stdout.take().expect("it is a pipe");
        BufReader::new(out).read_line(&mut line).expect("it says where it listens");
        let ready: Value = serde_json::from_str(&line).expect("it says where it listens");
        let port = ready["port"].as_u64().and_then(|port| u16::try_from(port).ok()).expect("a port");
        fs::write(folder.path().join("password"), format!("{PASSWORD}\n")).expect("a file");
        Self { folder, port, child }
    }

    /// Its folder, with `ca.pem`, `other.pem` and `password`.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it took, in order.
    pub(crate) fn mailbox(&self) -> Vec<Taken> {
        let folder = self.folder.path().join("mailbox");
        let mut names: Vec<_> = fs::read_dir(folder)
            .expect("a mailbox")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|end| end == "json"))
            .collect();
        names.sort();
        let taken = |path: PathBuf| Taken {
            facts: serde_json::from_slice(&fs::read(&path).expect("facts")).expect("JSON"),
            mail: fs::read(path.with_extension("eml")).expect("a mail"),
        };
        names.into_iter().map(taken).collect()
    }
}

impl Drop for Smtpd {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
