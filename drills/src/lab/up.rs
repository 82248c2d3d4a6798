//! Starting a lab: its Python, its sources, its process, its settings.

use super::{Error, Lab, error::last_lines, hold, process::Process, sources};
use serde_json::Value;
use std::{
    fs::{self, File},
    os::unix::{fs::DirBuilderExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// moto takes three seconds to load on a good day, and much longer on a bad one.
const READY_SECONDS: u64 = 120;
/// Between two looks for `lab.json`.
const LOOK_MILLISECONDS: u32 = 50;

/// How a lab is started.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Looks until a slow thing is done; 2 if nothing is said.
    pub looks: Option<u32>,
    /// Seconds until it is done, in place of looks.
    pub seconds: Option<f64>,
    /// Ports, if not free ones: AWS, admin, DNS, health.
    pub ports: Ports,
    /// Where runs against it are kept, for its `dr.toml`.
    pub state: Option<PathBuf>,
    /// It ends when the process that started it does.
    pub with_parent: bool,
}

/// Ports of a lab; 0 is a free one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ports {
    /// AWS.
    pub aws: u16,
    /// Its own levers.
    pub admin: u16,
    /// The name server.
    pub dns: u16,
    /// Health.
    pub health: u16,
}

impl Lab {
    /// Starts a lab that outlives this process; returns when it answers.
    pub fn up(dir: &Path, options: &Options, tell: &dyn Fn(&str)) -> Result<Self, Error> {
        let failed = Error::file(format!("the folder {} cannot be made", dir.display()));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        let dir = canonical(dir)?;
        let _held = hold(&dir)?;
        if let Some(lab) = Self::find(&dir)? {
            return Err(Error::AlreadyUp { dir, pid: lab.place.pid, endpoint: lab.place.endpoint });
        }
        // Of a lab that ended without a word.
        fs::remove_file(dir.join("lab.json")).ok();
        let server = sources::server(&dir)?;
        let python = sources::python(&dir, tell)?;
        let lab = Self::start(&dir, Command::new(python).arg(server), options)?;
        lab.write_settings(options)?;
        Ok(lab)
    }

    fn start(dir: &Path, command: &mut Command, options: &Options) -> Result<Self, Error> {
        let log = dir.join("lab.log");
        let cannot = |what: &str| Error::file(format!("{} cannot be {what}", log.display()));
        let out = File::create(&log).map_err(cannot("written"))?;
        let err = out.try_clone().map_err(cannot("written"))?;
        command.arg("--dir").arg(dir).args(options.words());
        // A group of its own: no terminal's Ctrl-C reaches it.
        command.stdin(Stdio::null()).stdout(out).stderr(err).process_group(0);
        let mut child = sources::without_foreign(command).spawn().map_err(Error::file("the lab cannot be started"))?;
        let ended = || {
            let lines = last_lines(&fs::read_to_string(&log).unwrap_or_default());
            match lines.lines().find(|line| line.contains("Address already in use")) {
                Some(line) => Error::PortTaken(line.trim().into()),
                None => Error::Ended { log: log.clone(), lines },
            }
        };
        let Some(process) = Process::open(child.id())? else { return Err(ended()) };
        for _ in 0..READY_SECONDS * 1000 / u64::from(LOOK_MILLISECONDS) {
            if let Some(lab) = Self::find(dir)? {
                return Ok(lab);
            }
            if process.ended_within(LOOK_MILLISECONDS)? {
                child.wait().ok();
                return Err(ended());
            }
        }
        process.end()?;
        child.wait().ok();
        Err(Error::Slow { seconds: READY_SECONDS, log })
    }

    /// Settings for runs against it; `dr lab env` names this file.
    fn write_settings(&self, options: &Options) -> Result<(), Error> {
        let quoted = |text: &str| Value::from(text).to_string();
        let state =
            options.state.as_ref().map(|dir| format!("[state]\ndir = {}\n\n", quoted(&dir.display().to_string())));
        // What AWS does in the background takes looks here, not minutes.
        let text = format!(
            "# Written by `dr lab up`, each time anew: settings for runs against this lab.\n\
             {}[dns]\nnameservers = [{}]\n\n[limits]\npoll_gap_min = \"20ms\"\n\
             # Nobody else calls here: the rates that spare an account's quotas would only be waited for.\n\
             rds_per_second = 1000\nroute53_per_second = 1000\ndynamodb_per_second = 1000\n\
             ecs_per_second = 1000\ncloudfront_per_second = 1000\nsns_per_second = 1000\nsts_per_second = 1000\n\
             \n# An SMS goes no further than the lab: `dr lab dump` shows it.\n[sms]\n",
            state.unwrap_or_default(),
            quoted(&self.place.dns)
        );
        let path = self.settings();
        fs::write(&path, text).map_err(Error::file(format!("{} cannot be written", path.display())))
    }
}

impl Options {
    fn words(&self) -> Vec<String> {
        let Ports { aws, admin, dns, health } = self.ports;
        let mut words: Vec<String> = Vec::new();
        let mut say = |name: &str, value: String| words.extend([name.to_owned(), value]);
        say("--port", aws.to_string());
        say("--admin-port", admin.to_string());
        say("--dns-port", dns.to_string());
        say("--health-port", health.to_string());
        if let Some(looks) = self.looks {
            say("--looks", looks.to_string());
        }
        if let Some(seconds) = self.seconds {
            say("--seconds", seconds.to_string());
        }
        words.extend(self.with_parent.then(|| "--with-parent".to_owned()));
        words
    }
}

fn canonical(dir: &Path) -> Result<PathBuf, Error> {
    dir.canonicalize().map_err(Error::file(format!("the folder {} cannot be read", dir.display())))
}
