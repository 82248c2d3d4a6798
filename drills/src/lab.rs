//! The lab: one Python process on this machine that answers as AWS does, so
//! that a disaster can be rehearsed. This is its switch and its levers; what
//! it does stands in `drills/lab`.
//!
//! All that is known of a lab is in its folder: `lab.json` (its process and
//! its addresses), `dr.toml` (settings for runs against it), `calls.jsonl`,
//! `lab.log`, and what each account was seeded with.

mod error;
mod http;
mod process;
mod sources;
mod up;

use self::process::Process;
pub use error::Error;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::{
    fmt,
    fs::{self, File},
    path::{Path, PathBuf},
    str::FromStr,
};
pub use up::{Options, Ports};

/// A lab that is up.
#[derive(Debug)]
pub struct Lab {
    dir: PathBuf,
    process: Process,
    /// Where it answers.
    pub place: Place,
}

/// `lab.json`: where a lab answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Place {
    /// Its process.
    pub pid: u32,
    /// AWS.
    pub endpoint: String,
    /// Its own levers.
    pub admin: String,
    /// Its name server.
    pub dns: String,
    /// Whether the services of an account are well.
    pub health: String,
}

/// A made-up AWS account: twelve digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account(String);

impl FromStr for Account {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(Self(text.into()));
        }
        Err("an account is twelve digits, such as 000000000001".into())
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Lab {
    /// The lab that is up in a folder.
    pub fn at(dir: &Path) -> Result<Self, Error> {
        let not_up = || Error::NotUp(dir.to_path_buf());
        Self::find(&dir.canonicalize().map_err(|_| not_up())?)?.ok_or_else(not_up)
    }

    fn find(dir: &Path) -> Result<Option<Self>, Error> {
        let Ok(text) = fs::read_to_string(dir.join("lab.json")) else { return Ok(None) };
        let Ok(place) = serde_json::from_str::<Place>(&text) else { return Ok(None) };
        let process = Process::of_lab(place.pid, dir)?;
        Ok(process.map(|process| Self { dir: dir.to_path_buf(), process, place }))
    }

    /// Ends it.
    pub fn down(self) -> Result<(), Error> {
        let _held = hold(&self.dir)?;
        self.process.end()?;
        // It removes this itself, unless it had to be killed.
        fs::remove_file(self.dir.join("lab.json")).ok();
        Ok(())
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The settings for runs against it.
    pub fn settings(&self) -> PathBuf {
        self.dir.join("dr.toml")
    }

    /// What a client needs in its environment, to be in this lab.
    pub fn env(&self, account: &Account, region: &str) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.place.endpoint.clone()),
            ("AWS_ACCESS_KEY_ID", format!("LAB{}", account.0)),
            ("AWS_SECRET_ACCESS_KEY", "lab".into()),
            ("AWS_REGION", region.into()),
            ("AWS_EC2_METADATA_DISABLED", "true".into()),
            ("DR_CONFIG", self.settings().display().to_string()),
            ("DR_LAB_DIR", self.dir.display().to_string()),
        ]
    }

    /// Its addresses, accounts, regions down, faults and number of calls.
    pub fn status(&self) -> Result<Value, Error> {
        self.get("/status").and_then(|text| read(&text))
    }

    /// Takes a region down or up: `{"region", "state", "mode"?, "global"?, "account"?}`.
    pub fn region(&self, wanted: &Value) -> Result<Value, Error> {
        self.post("/region", wanted)
    }

    /// Replaces the script of faults: `{"account"?, "rules": […]}`.
    pub fn fault(&self, script: &Value) -> Result<Value, Error> {
        self.post("/fault", script)
    }

    /// Says who wants no SMS, and what the SMS sandbox allows: `{"account", "opted_out"?, "sandbox"?, "verified"?}`.
    pub fn sms(&self, what: &Value) -> Result<Value, Error> {
        self.post("/sms", what)
    }

    /// Ends the sessions of an account's roles, or says how long the next ones last: `{"account", "expire"?, "seconds"?}`.
    pub fn sessions(&self, what: &Value) -> Result<Value, Error> {
        self.post("/sessions", what)
    }

    /// The calls it took, one JSON object a line.
    pub fn calls(&self, account: Option<&Account>, after: u64) -> Result<String, Error> {
        let account = account.map(|account| format!("account={}&", account.0)).unwrap_or_default();
        self.get(&format!("/calls?{account}after={after}"))
    }

    /// The whole state of an account, as sorted JSON; masked, it is equal byte
    /// for byte for equal runs.
    pub fn dump(&self, account: &Account, mask: bool) -> Result<String, Error> {
        self.get(&format!("/dump?account={}&mask={}", account.0, u8::from(mask)))
    }

    /// Plants production as it stands before the disaster, in place of what
    /// the account had; gives the parameters that a runbook may need.
    pub fn seed(&self, account: &Account, more: Map<String, Value>) -> Result<Map<String, Value>, Error> {
        let mut wanted = more;
        wanted.insert("account".into(), account.0.clone().into());
        let params: Map<String, Value> = serde_json::from_value(self.post("/seed", &Value::Object(wanted))?)
            .map_err(|error| Error::Unreadable(error.to_string()))?;
        let path = self.seeded_file(account);
        let text = Value::Object(params.clone()).to_string();
        fs::write(&path, text).map_err(Error::file(format!("{} cannot be written", path.display())))?;
        Ok(params)
    }

    /// What the last seed of an account gave.
    pub fn seeded(&self, account: &Account) -> Result<Map<String, Value>, Error> {
        // Seeds of an earlier lab of this folder name ports that are gone.
        let known = self.status()?;
        let known = known.get("accounts").and_then(Value::as_array).is_some_and(|all| all.contains(&json!(account.0)));
        let text = fs::read_to_string(self.seeded_file(account)).ok().filter(|_| known);
        read(&text.ok_or_else(|| Error::Unseeded(account.0.clone()))?)
    }

    fn seeded_file(&self, account: &Account) -> PathBuf {
        self.dir.join(format!("seed-{}.json", account.0))
    }

    fn get(&self, path: &str) -> Result<String, Error> {
        http::ask(&self.place.admin, "GET", path, None)
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, Error> {
        http::ask(&self.place.admin, "POST", path, Some(body)).and_then(|text| read(&text))
    }
}

fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| Error::Unreadable(error.to_string()))
}

/// One command at a time starts or ends the lab of a folder.
fn hold(dir: &Path) -> Result<File, Error> {
    let path = dir.join("lock");
    let file = File::create(&path).map_err(Error::file(format!("{} cannot be written", path.display())))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(Error::Busy(dir.to_path_buf())),
        Err(fs::TryLockError::Error(error)) => Err(Error::file(format!("{} cannot be locked", path.display()))(error)),
    }
}
