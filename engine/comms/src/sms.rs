//! SMS: the fallback. A few lines to those who have to know that the usual way is gone: where to meet, and how to
//! reach the Incident Commander. Nothing else is worth a telephone in the night.
//!
//! Whoever sends them cannot be asked whether it has sent something before. So of whom nobody knows whether they
//! were reached is sent to again, and may read it twice; who was reached is not.

mod account;
mod recipients;
mod text;

pub use recipients::Recipients;
pub use text::{BRIDGE_BYTES_MAX, PARTS_MAX, parts, text};

use crate::{
    channel::{Channel, Memory, Trouble},
    files::Files,
    parcel::{Body, Meet, Notice, Parcel},
};
use account::Account;
use async_trait::async_trait;
use dr_engine::{clock::Clock, duration::Dur, event::Audience, phone::Number, report::clean};
use futures_util::{StreamExt, stream};
use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

/// The name of the channel.
pub const NAME: &str = "sms";
/// What is said of what is not urgent.
const NOTHING: &str = "this is nothing for an SMS";
/// One number takes at most so long. Whoever asks for an SMS gives up after 30 s: that is enough for two after another.
pub const TIMEOUT: Dur = Dur(12_000);
/// So many numbers are sent to at the same time.
const AT_ONCE: usize = 10;
/// How often a notice is brought to those who are not reached while others are.
const TRIES_MAX: u32 = 3;
/// The pause between these tries; with all of them less than the minute after which people are told that a channel
/// cannot be reached.
const AGAIN: Dur = Dur(15_000);
/// So often it is tried while nobody knows whether anybody was reached: twenty minutes of it.
const DOUBTS_MAX: u32 = 6;
/// The pause while nobody knows whether anybody was reached: each attempt may have woken all of them.
const DOUBT: Dur = Dur(5 * 60_000);

/// Whoever brings an SMS to a telephone.
#[async_trait]
pub trait Gateway: Send + Sync {
    /// Hands a text over for one number, and gives the id under which it was taken. `refused` is about this number
    /// or about whoever asks; the others are tried all the same.
    async fn send(&self, number: &Number, text: &str) -> Result<String, Trouble>;

    /// Whether these numbers could be sent to, as far as that can be known without sending: what was found, or
    /// what is in the way.
    async fn check(&self, numbers: &[Number]) -> Result<String, Trouble>;
}

/// SMS, as a way to reach people.
pub struct Sms {
    gateway: Arc<dyn Gateway>,
    recipients: Recipients,
    leaves: bool,
    clock: Arc<dyn Clock>,
}

impl Sms {
    /// SMS by this gateway; `leaves` says whether it brings them further than this machine.
    pub fn new(gateway: Arc<dyn Gateway>, recipients: Recipients, leaves: bool, clock: Arc<dyn Clock>) -> Self {
        Self { gateway, recipients, leaves, clock }
    }

    async fn bring(&self, parcel: &Parcel, notice: &Notice, memory: &mut Memory) -> Result<String, Trouble> {
        let mut account = Account::of(memory, &parcel.id);
        let missed = self.send_all(&text(parcel, notice), &mut account, memory).await;
        let said = self.said(&account, &missed);
        let trouble = Trouble { ambiguous: missed.doubt, ..Trouble::passing(said.clone()) };
        match (account.count(), missed.open) {
            (0, false) => Err(Trouble::refused(said)),
            (0, true) if missed.doubt && account.tries() >= DOUBTS_MAX => {
                let given_up = format!("{said}; given up after {DOUBTS_MAX} tries, each of which may have arrived");
                Err(Trouble::overtaken(given_up))
            }
            (0, true) if missed.doubt => Err(trouble.after(if account.tries() == 1 { AGAIN } else { DOUBT })),
            (0, true) => Err(Trouble { after: missed.after, ..trouble }),
            (_, true) if account.tries() < TRIES_MAX => Err(trouble.after(AGAIN)),
            _ => Ok(said),
        }
    }

    /// Sends to all who have not got it yet.
    async fn send_all(&self, text: &str, account: &mut Account, memory: &mut Memory) -> Missed {
        let all = self.recipients.numbers();
        let left: Vec<_> = all.iter().filter(|number| !account.has(number)).cloned().collect();
        account.tried();
        let mut missed = Missed::default();
        let mut sent = stream::iter(left).map(|number| self.send(number, text)).buffer_unordered(AT_ONCE);
        while let Some((number, outcome)) = sent.next().await {
            match outcome {
                Ok(id) => account.reached(&number, id),
                Err(trouble) => missed.put(&number, &trouble),
            }
            // At once: whoever waits for us may give up before the last has answered.
            account.keep(memory);
        }
        missed
    }

    /// Who has it and who has not, for people.
    fn said(&self, account: &Account, missed: &Missed) -> String {
        let (all, not) = (self.recipients.numbers().len(), missed.told(self.recipients.wrong()));
        format!("taken for {} of {all}{}{not}", account.count(), account.ids())
    }

    async fn send(&self, number: Number, text: &str) -> (Number, Result<String, Trouble>) {
        let sent = self.clock.timeout(TIMEOUT, self.gateway.send(&number, text)).await;
        let sent = sent.unwrap_or_else(|| Err(Trouble::ambiguous(format!("no answer within {TIMEOUT}"))));
        // What the other side says of a number is repeated, the number is not.
        let sent = sent.map_err(|trouble| Trouble { what: number.hide(&trouble.what), ..trouble });
        (number, sent)
    }
}

/// Who did not get it, and why.
#[derive(Default)]
struct Missed {
    /// The numbers of each reason, and whether they may have it all the same.
    why: BTreeMap<(bool, String), Vec<String>>,
    /// It may go well the next time.
    open: bool,
    /// Somebody may have it although nobody heard so.
    doubt: bool,
    /// So long we are asked to wait.
    after: Option<Dur>,
}

impl Missed {
    fn put(&mut self, number: &Number, trouble: &Trouble) {
        self.open |= !trouble.refused;
        self.doubt |= trouble.ambiguous;
        self.after = self.after.max(trouble.after);
        self.why.entry((trouble.ambiguous, clean(&trouble.what))).or_default().push(number.to_string());
    }

    fn told(&self, wrong: &[String]) -> String {
        let why = self.why.iter().map(|((doubt, why), numbers)| {
            let mut numbers = numbers.clone();
            numbers.sort();
            let numbers = numbers.join(", ");
            if *doubt { format!("{numbers} may have it ({why})") } else { format!("not for {numbers} ({why})") }
        });
        why.chain(wrong.iter().cloned()).fold(String::new(), |said, one| said + "; " + &one)
    }
}

#[async_trait]
impl Channel for Sms {
    fn name(&self) -> &'static str {
        NAME
    }

    fn takes(&self, parcel: &Parcel) -> bool {
        urgent(parcel).is_some()
    }

    fn leaves(&self) -> bool {
        self.leaves
    }

    async fn deliver(&self, parcels: &[Parcel], _again: bool, memory: &mut Memory) -> Result<String, Trouble> {
        let mut told = Vec::new();
        for parcel in parcels {
            let notice = urgent(parcel).ok_or_else(|| Trouble::refused(NOTHING))?;
            told.push(self.bring(parcel, notice, memory).await?);
        }
        Ok(told.join("; "))
    }

    /// A telephone that takes no SMS is named, and no mistake.
    async fn check(&self) -> Result<String, Trouble> {
        let with = |what: String| [&[what], self.recipients.wrong()].concat().join("; ");
        let found = self.gateway.check(self.recipients.numbers()).await;
        found.map(with).map_err(|trouble| Trouble { what: with(trouble.what.clone()), ..trouble })
    }

    async fn trial(&self, parcel: &Parcel) -> Result<String, Trouble> {
        let Body::Notice(notice) = &parcel.body else { return Err(Trouble::refused(NOTHING)) };
        let meet = Meet { last: Some(notice.lines.join(" ")), ..notice.meet.clone() };
        let text = text(parcel, &Notice { meet, ..notice.clone() });
        let mut account = Account::default();
        let missed = self.send_all(&text, &mut account, &mut Memory::new()).await;
        let said = self.said(&account, &missed);
        // Whom it does not reach in a trial it does not reach in the night.
        if missed.why.is_empty() { Ok(said) } else { Err(Trouble::refused(said)) }
    }
}

/// What an SMS is for: what has to reach all of us now, and goes by this way too.
fn urgent(parcel: &Parcel) -> Option<&Notice> {
    let for_us = matches!(parcel.audience, Audience::Executives | Audience::Responders) && parcel.role.is_none();
    match &parcel.body {
        Body::Notice(notice) if for_us && notice.urgent && !parcel.not_by.iter().any(|by| by == NAME) => Some(notice),
        _ => None,
    }
}

/// Where nobody can be sent an SMS: the same texts as files, for whoever looks.
pub fn files(folder: PathBuf) -> Files {
    Files::new(
        "sms-file",
        folder,
        "txt",
        |parcel| urgent(parcel).is_some(),
        |parcel| {
            let notice = urgent(parcel).ok_or(NOTHING)?;
            Ok(format!("{}\n", text(parcel, notice)).into_bytes())
        },
    )
}
