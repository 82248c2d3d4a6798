//! Who gets mail, and what is kept of whom it could not reach.

use crate::{channel::Memory, parcel::Parcel};
use dr_engine::{plan::Plan, report::clean, run::Run};
use lettre::{Address, message::Mailbox};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use url::Host;

/// How often a parcel is brought to those whose mailbox puts it off while others have it. A mailbox that stays full
/// must not hold up everybody's next update, nor make mail look as if it could not be reached.
const TRIES_MAX: u32 = 3;

/// The people of a run who have an address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recipients {
    all: Vec<Mailbox>,
    roles: BTreeMap<String, Mailbox>,
    names: BTreeMap<String, Mailbox>,
    /// The addresses of roles as the runbook has them, for a deputy who has none.
    offices: BTreeMap<String, Mailbox>,
    /// What stands where an address should, and why it is none.
    wrong: Vec<String>,
}

impl Recipients {
    /// Those of a run. Whoever has taken a role over has an address if the runbook knows them by another role.
    pub fn of(run: &Run) -> Self {
        Self::found(run.plan(), |role| run.holder(role))
    }

    /// Those whom the runbook names: by their roles, and under `comms.email`.
    pub fn planned(plan: &Plan) -> Self {
        Self::found(plan, |role| plan.roles.get(role).map(|role| role.name.as_str()))
    }

    fn found<'a>(plan: &Plan, holder: impl Fn(&str) -> Option<&'a str>) -> Self {
        let mut found = Self::default();
        let mut by_name = BTreeMap::new();
        for (name, role) in &plan.roles {
            if let Some(mailbox) = role.email.as_deref().and_then(|email| found.take(Some(&role.name), email)) {
                by_name.insert(role.name.clone(), mailbox.clone());
                found.offices.insert(name.clone(), mailbox);
            }
        }
        let held = plan.roles.keys().filter_map(|role| Some((role.clone(), by_name.get(holder(role)?)?.clone())));
        found.roles = held.collect();
        found.names = by_name;
        for address in plan.comms.iter().filter_map(|comms| comms.email.as_ref()).flat_map(|email| &email.to) {
            found.take(None, address);
        }
        found
    }

    /// Reads an address and takes it in, once.
    fn take(&mut self, name: Option<&str>, address: &str) -> Option<Mailbox> {
        match mailbox(name, address) {
            Ok(mailbox) => {
                let same = |known: &Mailbox| key(&known.email) == key(&mailbox.email);
                if !self.all.iter().any(same) {
                    self.all.push(mailbox.clone());
                }
                Some(mailbox)
            }
            Err(why) => {
                self.wrong.push(why);
                None
            }
        }
    }

    /// To whom a parcel goes: to whoever has its role, else to all. What is for a deputy without an address goes to
    /// that of the role: somebody has to see it.
    pub fn to(&self, parcel: &Parcel) -> Vec<Mailbox> {
        let Some(role) = &parcel.role else { return self.all.clone() };
        // A role may have passed on since this began to run.
        let person = match &parcel.person {
            Some(name) => self.names.get(name),
            None => self.roles.get(role),
        };
        person.or_else(|| self.offices.get(role)).cloned().into_iter().collect()
    }

    /// Everybody.
    pub fn all(&self) -> &[Mailbox] {
        &self.all
    }

    /// What is no address, for people.
    pub fn wrong(&self) -> &[String] {
        &self.wrong
    }
}

/// An address as it can be sent to, `ana@example.org` or `Ana <ana@example.org>`; `name` where the text has none.
pub(super) fn mailbox(name: Option<&str>, text: &str) -> Result<Mailbox, String> {
    let shown = clean(text);
    let wrong = |why: &str| format!("`{shown}` is no mail address{why}");
    // A control character ends a line of the protocol, and with it what we meant to say.
    let read = if text.chars().any(char::is_control) { None } else { text.trim().parse::<Mailbox>().ok() };
    let Mailbox { name: own, email } = read.ok_or_else(|| wrong(""))?;
    if !email.user().is_ascii() {
        return Err(wrong(" that every server takes: before the @ there are letters outside ASCII"));
    }
    let domain = match email.domain() {
        ascii if ascii.is_ascii() => ascii.to_owned(),
        other => Host::parse(other).map_err(|_| wrong(""))?.to_string(),
    };
    let email = Address::new(email.user(), domain).map_err(|_| wrong(""))?;
    let name = own.as_deref().or(name).map(clean).filter(|name| !name.is_empty());
    Ok(Mailbox::new(name, email))
}

/// By what two addresses are one: the domain in any case, and before the @ too, as every server in use has it.
pub(super) fn key(address: &Address) -> String {
    address.to_string().to_lowercase()
}

/// What is kept between two deliveries.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Account {
    /// The parcel of which some have got the mail and others not yet.
    #[serde(default)]
    parcel: String,
    /// How often it was tried since the first of them got it.
    #[serde(default)]
    tries: u32,
    /// Who has it.
    #[serde(default)]
    reached: BTreeSet<String>,
    /// Whose mailbox put off a mail to the end: nobody waits for them until one has arrived.
    #[serde(default)]
    slow: BTreeSet<String>,
}

/// The name under which it is kept.
const MEMORY: &str = "mail";

impl Account {
    /// What was kept, as far as it is about this parcel.
    pub(super) fn of(memory: &Memory, parcel: &str) -> Self {
        let kept = memory.get(MEMORY).and_then(|kept| Self::deserialize(kept).ok()).unwrap_or_default();
        if kept.parcel == parcel { kept } else { Self { parcel: parcel.into(), slow: kept.slow, ..Self::default() } }
    }

    pub(super) fn keep(&self, memory: &mut Memory) {
        let value = serde_json::to_value(self).expect("texts and numbers are JSON");
        memory.insert(MEMORY.into(), value);
    }

    /// Who has not got it yet.
    pub(super) fn left(&self, to: Vec<Mailbox>) -> Vec<Mailbox> {
        to.into_iter().filter(|mailbox| !self.reached.contains(&key(&mailbox.email))).collect()
    }

    /// So many have it.
    pub(super) fn reached(&self) -> usize {
        self.reached.len()
    }

    /// Takes down who got it and who put it off; whether these are to be tried again.
    pub(super) fn settle<'a>(
        &mut self,
        took: impl IntoIterator<Item = &'a Address>,
        put_off: impl IntoIterator<Item = &'a Address>,
    ) -> bool {
        for address in took {
            self.slow.remove(&key(address));
            self.reached.insert(key(address));
        }
        let put_off: BTreeSet<_> = put_off.into_iter().map(key).collect();
        if self.reached.is_empty() {
            return !put_off.is_empty();
        }
        self.tries += 1;
        let again = self.tries < TRIES_MAX && !put_off.is_subset(&self.slow);
        if !again {
            self.slow.extend(put_off);
        }
        again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().expect("an address")
    }

    #[test]
    fn an_address_is_one_line_and_ascii() {
        let read = |text| mailbox(Some("Ana"), text).map(|it| it.to_string());
        assert_eq!(read("ana@example.org"), Ok("Ana <ana@example.org>".into()));
        assert_eq!(read("Bo Ek <bo@example.org>"), Ok("Bo Ek <bo@example.org>".into()));
        assert_eq!(read("ana@bücher.example"), Ok("Ana <ana@xn--bcher-kva.example>".into()));
        for text in
            ["", "ana", "a b@example.org", "a@b>\r\nRCPT TO:<x@y", "\"a\r\nDATA\"@example.org", "jörg@example.org"]
        {
            let error = read(text).expect_err(text);
            assert!(error.contains("is no mail address") && !error.contains('\n'), "{error}");
        }
        let hostile = mailbox(Some("Ana\r\nBcc: x@y"), "ana@example.org").expect("the address is good");
        assert_eq!(hostile.name.as_deref(), Some("Ana Bcc: x@y"));
    }

    #[test]
    fn who_puts_mails_off_is_waited_for_once() {
        let (ana, bo) = (address("ana@example.org"), address("Bo@example.org"));
        let mut memory = Memory::new();
        for attempt in 1..=TRIES_MAX {
            let mut account = Account::of(&memory, "update-1");
            assert_eq!(account.settle([&ana].into_iter().take(usize::from(attempt == 1)), [&bo]), attempt < TRIES_MAX);
            assert_eq!(account.left(vec![ana.clone().into(), bo.clone().into()]), [Mailbox::from(bo.clone())]);
            account.keep(&mut memory);
        }
        let mut next = Account::of(&memory, "update-2");
        assert_eq!(next.reached(), 0);
        assert!(!next.settle([&ana], [&bo]), "nobody waits for bo any more");
        next.keep(&mut memory);
        let mut third = Account::of(&memory, "update-3");
        assert!(!third.settle([&ana, &bo], []));
        third.keep(&mut memory);
        assert!(Account::of(&memory, "update-4").settle([&ana], [&bo]), "bo could be reached: it is worth the wait");
    }

    #[test]
    fn while_nobody_has_it_it_is_tried_for_ever() {
        let mut account = Account::of(&Memory::new(), "update-1");
        assert!((0..100).all(|_| account.settle([], [&address("ana@example.org")])));
        assert!(!account.settle([], []), "all refused it");
    }
}
