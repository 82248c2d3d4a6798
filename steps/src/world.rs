//! What lies behind the step kinds: folders, name servers, clients.

use crate::{aws::Aws, client::Tls, secret::Source};
use dr_comms::statuspage::Access;
use dr_engine::step::ReadCx;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// What [`ReadCx::world`] holds. Made once for a run; everything that costs
/// something to make is made when it is first wanted.
#[derive(Default)]
pub struct World {
    /// The folder of the run, for logs; none while planning.
    pub run_folder: Option<PathBuf>,
    /// The folder of the runbook: relative paths begin there.
    pub runbook_folder: PathBuf,
    /// Name servers to ask instead of the system's, in labs.
    pub nameservers: Vec<SocketAddr>,
    /// AWS; nothing is loaded before the first step that needs it.
    pub aws: Aws,
    /// The numbers of the accounts that the runbook names.
    pub accounts: Accounts,
    /// The region that the runbook calls `primary`: what is restored ran there,
    /// where a step does not say otherwise.
    pub primary: Option<String>,
    /// How Atlassian Statuspage is reached, where the settings say so.
    pub statuspage: Option<Access>,
    pub(crate) tls: Tls,
}

impl World {
    /// The world of a run.
    pub fn new(run_folder: impl Into<PathBuf>, runbook_folder: impl Into<PathBuf>) -> Self {
        Self { run_folder: Some(run_folder.into()), runbook_folder: runbook_folder.into(), ..Self::default() }
    }

    /// A world outside any run, for a runbook in this folder.
    pub fn beside(runbook_folder: impl Into<PathBuf>) -> Self {
        Self { runbook_folder: runbook_folder.into(), ..Self::default() }
    }

    /// The world behind a step.
    ///
    /// # Panics
    /// When the engine was given another world.
    pub fn of(cx: &ReadCx) -> &Self {
        cx.world.downcast_ref().expect("the engine is given the world of dr-steps")
    }

    /// The folder of logs, if there is one.
    pub fn logs(&self) -> Option<PathBuf> {
        self.run_folder.as_deref().map(|folder| folder.join("logs"))
    }

    /// A path of the runbook.
    pub(crate) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.runbook_folder.join(path)
    }
}

/// The accounts of a runbook, by name.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    /// The account of a step that names none.
    pub default: Option<String>,
    /// Twelve digits for each name.
    pub ids: BTreeMap<String, String>,
    /// The roles that are assumed, of the accounts that name one.
    pub roles: BTreeMap<String, Role>,
    /// The account that the runbook names first: what is of the whole run, as
    /// its claim is, is done there if it has a role.
    pub first: Option<String>,
    /// The folder of the runbook: an external id can stand in a file there.
    pub folder: PathBuf,
}

/// A role that steps of an account work as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// Where the external id is read that it asks for.
    pub external_id: Option<Source>,
}

impl Accounts {
    /// The name and number of the account that a step works in, where the
    /// runbook says.
    pub fn of(&self, cx: &ReadCx) -> Option<(&str, &str)> {
        self.named(cx.step.account.as_deref().or(self.default.as_deref())?)
    }

    /// The names and numbers of the accounts in which that may be done which is
    /// of the whole run: the first that the runbook names, where it has a role;
    /// else any, since there is one caller for all of them.
    pub(crate) fn of_run(&self) -> Vec<(&str, &str)> {
        match self.first.as_deref().filter(|name| self.roles.contains_key(*name)) {
            Some(name) => self.named(name).into_iter().collect(),
            None => self.ids.iter().map(|(name, id)| (name.as_str(), id.as_str())).collect(),
        }
    }

    fn named(&self, name: &str) -> Option<(&str, &str)> {
        self.ids.get_key_value(name).map(|(name, id)| (name.as_str(), id.as_str()))
    }
}
