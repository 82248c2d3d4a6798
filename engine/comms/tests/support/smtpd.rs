//! A real mail server for tests, aiosmtpd, and what stands in its mailbox.

use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

/// The password of the user `dr`: it may stand nowhere.
pub(crate) const PASSWORD: &str = "canary-5f1e";

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

pub(crate) fn support(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../comms/tests/support").join(file)
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
