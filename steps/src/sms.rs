//! SMS through Amazon SNS.
//!
//! `Publish` takes a text for one number, and says only that it took it: an SMS that cannot be delivered is told to
//! nobody but the delivery log. So what can be known before is asked before: SNS takes a text for a number that has
//! opted out as well, and drops it.
//!
//! There is no token by which SNS knows a repeat. Whoever asks again after a lost answer may send twice.

use crate::{
    aws::{Aws, Clients, limits},
    world::Accounts,
};
use async_trait::async_trait;
use aws_sdk_sns::types::{MessageAttributeValue, SmsSandboxPhoneNumberVerificationStatus as Status};
use dr_comms::{channel::Trouble, sms::Gateway};
use dr_engine::{
    clock::Clock,
    duration::Dur,
    outcome::Failure,
    phone::Number,
    step::{Guard, StepError},
};
use futures_util::{StreamExt, TryStreamExt, future::join, stream};
use std::{
    collections::BTreeSet,
    fmt,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::OnceCell;

/// Amazon SNS of one region.
pub struct Sns {
    aws: Aws,
    /// The region that sends: one that is to be alive when the primary is not.
    region: String,
    accounts: Accounts,
    sender: Option<Sender>,
    clock: Arc<dyn Clock>,
    clients: OnceCell<Clients>,
    /// The account is known to be out of the SMS sandbox; nobody goes back.
    free: AtomicBool,
}

/// The name that some countries show in the place of a sender's number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender(String);

impl FromStr for Sender {
    type Err = &'static str;

    /// One to eleven letters and digits, a letter among them ("Publishing to a mobile phone", Amazon SNS Developer
    /// Guide, `AWS.SNS.SMS.SenderID`).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let good = (1..=11).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && text.bytes().any(|byte| byte.is_ascii_alphabetic());
        if good {
            Ok(Self(text.into()))
        } else {
            Err("a sender is 1 to 11 letters and digits, with a letter among them")
        }
    }
}

/// Lets every call through. What is recovered is not changed by telling people of it; the book of deliveries sees to
/// it that one process tells. And whoever speaks for a controller that is gone holds no lease.
struct Anybody;

impl Guard for Anybody {
    fn before(&self) -> Result<(), Failure> {
        Ok(())
    }

    fn after(&self) {}
}

impl Sns {
    /// SNS of a region, in one of the accounts that the runbook names, if it names any.
    pub fn new(aws: Aws, region: String, accounts: Accounts, sender: Option<Sender>, clock: Arc<dyn Clock>) -> Self {
        Self { aws, region, accounts, sender, clock, clients: OnceCell::new(), free: AtomicBool::new(false) }
    }

    /// Clients that may act, in the right account. Nothing has been sent when there are none.
    async fn clients(&self) -> Result<&Clients, Trouble> {
        let made = self.clients.get_or_try_init(|| async {
            self.aws.acting(&self.region, &self.clock, &self.accounts, Arc::new(Anybody)).await
        });
        match self.clock.timeout(limits::SMS_LOOK, Box::pin(made)).await {
            Some(clients) => clients.map_err(|failure| trouble(&failure)),
            None => Err(Trouble::passing(late("AWS", limits::SMS_LOOK))),
        }
    }

    /// Whether whoever has this number wants no SMS from this account.
    async fn opted_out(&self, clients: &Clients, number: &Number) -> Result<bool, Trouble> {
        let asked = clients.sns.check_if_phone_number_is_opted_out().phone_number(number.whole()).send();
        match self.clock.timeout(limits::SMS_LOOK, Box::pin(asked)).await {
            Some(Ok(answer)) => Ok(answer.is_opted_out()),
            Some(Err(error)) => Err(trouble(&clients.call("sns", "CheckIfPhoneNumberIsOptedOut").read(&error))),
            None => Err(Trouble::passing(late("sns CheckIfPhoneNumberIsOptedOut", limits::SMS_LOOK))),
        }
    }

    /// The only numbers that get anything, if that is known to be so.
    async fn allowed(&self, clients: &Clients) -> Option<BTreeSet<String>> {
        self.clock.timeout(limits::SMS_LOOK, Box::pin(self.verified(clients))).await?.ok()?
    }

    async fn publish(&self, clients: &Clients, number: &Number, text: &str) -> Result<String, Trouble> {
        let attribute = |value: &str| {
            MessageAttributeValue::builder().data_type("String").string_value(value).build().expect("it has a type")
        };
        let mut publish = clients.sns.publish().phone_number(number.whole()).message(text);
        // Not `Promotional`, which is delivered when it is cheap.
        publish = publish.message_attributes("AWS.SNS.SMS.SMSType", attribute("Transactional"));
        if let Some(Sender(name)) = &self.sender {
            publish = publish.message_attributes("AWS.SNS.SMS.SenderID", attribute(name));
        }
        match self.clock.timeout(limits::SMS_SEND, Box::pin(publish.send())).await {
            Some(Ok(answer)) => Ok(answer.message_id().unwrap_or("without an id").to_owned()),
            Some(Err(error)) => Err(match clients.call("sns", "Publish").wrote(&error) {
                StepError::Doubt(failure) => Trouble { ambiguous: true, refused: false, ..trouble(&failure) },
                StepError::Failed(failure) => trouble(&failure),
                StepError::Ask(_) => unreachable!("a call asks nobody"),
            }),
            None => Err(Trouble::ambiguous(late("sns Publish", limits::SMS_SEND))),
        }
    }

    /// Whether the account may send to anybody, and if not, to whom.
    async fn verified(&self, clients: &Clients) -> Result<Option<BTreeSet<String>>, Failure> {
        if self.free.load(Ordering::SeqCst) {
            return Ok(None);
        }
        let status = clients.sns.get_sms_sandbox_account_status().send().await;
        if !status.map_err(|e| clients.call("sns", "GetSMSSandboxAccountStatus").read(&e))?.is_in_sandbox() {
            self.free.store(true, Ordering::SeqCst);
            return Ok(None);
        }
        let pages = clients.sns.list_sms_sandbox_phone_numbers().into_paginator().items().send();
        let all: Vec<_> = pages
            .collect::<Result<_, _>>()
            .await
            .map_err(|e| clients.call("sns", "ListSMSSandboxPhoneNumbers").read(&e))?;
        let verified = all.into_iter().filter(|it| it.status == Some(Status::Verified));
        Ok(Some(verified.filter_map(|it| it.phone_number).collect()))
    }

    /// What the account may spend in a month, as SNS has it.
    async fn limit(&self, clients: &Clients) -> Result<Option<String>, Failure> {
        let asked = clients.sns.get_sms_attributes().attributes("MonthlySpendLimit").send().await;
        let answer = asked.map_err(|e| clients.call("sns", "GetSMSAttributes").read(&e))?;
        Ok(answer.attributes().and_then(|all| all.get("MonthlySpendLimit")).cloned())
    }

    async fn look(&self, numbers: &[Number]) -> Result<String, Trouble> {
        let clients = self.clients().await?;
        let verified = self.verified(clients).await.map_err(|failure| trouble(&failure))?;
        let limit = self.limit(clients).await.map_err(|failure| trouble(&failure))?;
        let out: Vec<_> = stream::iter(numbers.to_vec())
            .map(|number| async move { self.opted_out(clients, &number).await.map(|out| (number, out)) })
            .buffered(limits::SMS_LOOKS_MAX)
            .try_filter_map(|(number, out)| async move { Ok(out.then(|| number.to_string())) })
            .try_collect()
            .await?;
        let unverified = |known: &BTreeSet<String>| {
            let left = numbers.iter().filter(|number| !known.contains(number.whole()));
            left.map(ToString::to_string).collect::<Vec<_>>()
        };
        let many = numbers.len();
        let mut found = format!("SNS in {}, {many} number{}", self.region, if many == 1 { "" } else { "s" });
        if let Some(limit) = limit {
            found = format!("{found}, at most {limit} USD a month");
        }
        let mut wrong = Vec::new();
        if let Some(known) = &verified {
            found.push_str(", IN THE SMS SANDBOX: only verified numbers get anything");
            let left = unverified(known);
            if !left.is_empty() {
                wrong.push(format!("not verified: {}", left.join(", ")));
            }
        }
        if !out.is_empty() {
            wrong.push(format!("opted out, and get nothing: {}", out.join(", ")));
        }
        if wrong.is_empty() {
            Ok(format!("{found}; whether sns:Publish is allowed shows when one is sent"))
        } else {
            Err(Trouble::refused(format!("{found}; {}", wrong.join("; "))))
        }
    }
}

#[async_trait]
impl Gateway for Sns {
    async fn send(&self, number: &Number, text: &str) -> Result<String, Trouble> {
        let clients = self.clients().await?;
        // Where nobody answers it is sent all the same: better one that is dropped than one that is missing.
        let (out, verified) = join(self.opted_out(clients, number), self.allowed(clients)).await;
        if out == Ok(true) {
            return Err(Trouble::refused("opted out of SMS from this account: SNS would deliver nothing"));
        }
        if verified.is_some_and(|known| !known.contains(number.whole())) {
            return Err(Trouble::refused("not verified in the SMS sandbox of this account: SNS would deliver nothing"));
        }
        self.publish(clients, number, text).await
    }

    async fn check(&self, numbers: &[Number]) -> Result<String, Trouble> {
        let looked = self.clock.timeout(limits::SMS_CHECK, Box::pin(self.look(numbers))).await;
        looked.unwrap_or_else(|| Err(Trouble::passing(late("SNS", limits::SMS_CHECK))))
    }
}

impl fmt::Debug for Sns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sns({})", self.region)
    }
}

fn late(what: &str, limit: Dur) -> String {
    format!("no answer from {what} within {limit}")
}

/// What a failure means for a delivery.
fn trouble(failure: &Failure) -> Trouble {
    // What to answer to a step's question helps nobody here: it is tried again by itself.
    let hint = failure.hint.as_ref().filter(|hint| !hint.contains("`retry`"));
    let what = hint.map_or_else(|| failure.message.clone(), |hint| format!("{} — {hint}", failure.message));
    if failure.transient { Trouble::passing(what) } else { Trouble::refused(what) }
}
