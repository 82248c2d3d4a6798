//! Who a plan speaks of: the accounts it works in and the people it asks,
//! those of the runbook and those of all that it includes.
//!
//! One name means one account, and one set of people, in the whole plan: where
//! two files disagree nobody is chosen in silence.

use super::{
    Account, Role, VERIFY, account,
    build::{Build, GATE, pair},
    draft::Draft,
    fence,
    scope::{Names, way_out},
};
use crate::{
    problem::{Problem, Span},
    runbook::{AccountText, RoleText},
    yaml::{Kind, R, read},
};
use indexmap::IndexMap;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};

/// The accounts and roles of all files of a plan.
#[derive(Default)]
pub(super) struct Who {
    /// Each account, and where it is written.
    accounts: IndexMap<String, (Account, Span)>,
    /// The people in each role, and where they are written; none where that has a mistake.
    roles: IndexMap<String, (Option<Role>, Span)>,
    /// The accounts that the steps of a file can name, by the prefix of their ids.
    within: HashMap<String, Vec<String>>,
    /// Some account, or all roles, have a mistake that is told elsewhere: what lacks is not.
    accounts_told: bool,
    roles_told: bool,
}

impl Who {
    pub(super) fn accounts(&mut self) -> impl Iterator<Item = (String, Account)> + use<> {
        std::mem::take(&mut self.accounts).into_iter().map(|(name, (account, _))| (name, account))
    }

    /// The names of all roles.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.roles.keys().map(String::as_str)
    }

    /// Whether all roles could be read, so that one that is missing is missing.
    pub(super) fn are_known(&self) -> bool {
        !self.roles_told
    }

    pub(super) fn roles(&mut self) -> impl Iterator<Item = (String, Role)> + use<> {
        std::mem::take(&mut self.roles).into_iter().filter_map(|(name, (role, _))| Some((name, role?)))
    }
}

impl Build<'_> {
    /// Takes in the accounts and roles that a file names.
    pub(super) fn take_who(&mut self, root: R<'_>, prefix: &str, names: &Names) {
        self.who.accounts_told |= names.told.iter().any(|name| name.starts_with("accounts"));
        self.who.within.insert(prefix.to_owned(), names.accounts.keys().cloned().collect());
        for (key, value) in root.get("accounts").into_iter().flat_map(R::pairs) {
            let name = key.text().unwrap_or_default();
            // Its mistakes are told when the whole is read; until then the number speaks for it.
            let Some(id) = names.accounts.get(name).and_then(Value::as_str) else { continue };
            let read = read::<AccountText>(value, key.span(), names, &mut Vec::new()).map(Account::from);
            let one = read.unwrap_or_else(|| Account { id: id.to_owned(), role: None, external_id: None });
            let at = value.get("id").map_or(key.span(), R::span);
            match self.who.accounts.get(name) {
                Some((known, there)) if *known != one => {
                    let there = self.map.place(*there).path;
                    let (one, known) = (account::shown(&one), account::shown(known));
                    let problem = Problem::new(at, format!("account `{name}` is {one} here, and {known} in {there}"));
                    self.problems
                        .push(problem.help("one name means one account in the whole plan: call this one otherwise"));
                }
                Some(_) => {}
                None => drop(self.who.accounts.insert(name.to_owned(), (one, at))),
            }
        }
        let Some((_, node)) = pair(root, "roles") else { return };
        self.who.roles_told |= node.kind() != Kind::Map;
        for (key, value) in node.pairs() {
            let name = key.text().unwrap_or_default();
            let role = read::<RoleText>(value, key.span(), names, &mut Vec::new()).map(Role::from);
            match self.who.roles.get(name) {
                Some((Some(known), there)) if role.as_ref().is_some_and(|role| people(role) != people(known)) => {
                    let (there, who) = (self.map.place(*there).path, list(&people(known)));
                    let message = format!("the role `{name}` is {who} in {there}, and others here");
                    let problem = Problem::new(key.span(), message);
                    self.problems.push(problem.help("name the same people in both, or give this role another name"));
                }
                Some(_) => {}
                None => drop(self.who.roles.insert(name.to_owned(), (role, key.span()))),
            }
        }
    }

    /// What steps want of accounts and people, against those that there are.
    pub(super) fn check_who(&mut self) {
        let Self { who, drafts, problems, .. } = self;
        let mut told = BTreeSet::new();
        for draft in drafts.iter().filter(|draft| who.lacks_account(draft) && told.insert(draft.span)) {
            let message = format!("step `{}` names no account, and there are {}", draft.written(), who.accounts.len());
            problems.push(Problem::new(draft.span, message).help(match who.within.get(&draft.prefix) {
                Some(names) if !names.is_empty() => format!("give it `account: NAME`, one of: {}", names.join(", ")),
                _ => "name its own under `accounts` of this file".to_owned(),
            }));
        }
        if who.roles_told {
            return;
        }
        for (role, at) in drafts.iter().flat_map(|draft| &draft.roles).filter(|(role, _)| !who.roles.contains_key(role))
        {
            let problem = Problem::new(*at, format!("nobody has the role `{role}`"));
            problems.push(problem.help(way_out(role, "roles", who.roles.keys().map(String::as_str))));
        }
        problems.extend(drafts.iter().filter_map(|draft| who.too_few(draft)));
    }
}

impl Who {
    /// Whether it cannot be told in which account a step may change something.
    /// Probes only look, and nothing but a step can name an account.
    fn lacks_account(&self, draft: &Draft) -> bool {
        let step = &draft.step;
        let wants = step.calls_provider && step.account.is_none() && step.kind != VERIFY && !draft.broken;
        wants && self.accounts.len() > 1 && !self.accounts_told
    }

    /// An approval that can never be complete.
    fn too_few(&self, draft: &Draft) -> Option<Problem> {
        if draft.step.fences {
            let all: BTreeSet<_> = self.roles.values().filter_map(|(role, _)| role.as_ref()).flat_map(people).collect();
            return fence::too_few(draft, &all);
        }
        let (_, at) = draft.roles.first().filter(|_| draft.step.kind == GATE)?;
        let count = draft.step.with.get("count").map_or(Some(1), Value::as_u64)?;
        let mut may = BTreeSet::new();
        for (role, _) in &draft.roles {
            may.extend(people(self.roles.get(role)?.0.as_ref()?));
        }
        if may.len() as u64 >= count {
            return None;
        }
        let message = format!("{count} people must approve, and only {} can: {}", may.len(), list(&may));
        Some(Problem::new(*at, message).help("ask for fewer, or name more of them: `deputies` count too"))
    }
}

fn people(role: &Role) -> BTreeSet<&str> {
    role.people().collect()
}

pub(super) fn list(names: &BTreeSet<&str>) -> String {
    names.iter().copied().collect::<Vec<_>>().join(", ")
}
