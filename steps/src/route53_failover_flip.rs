//! `route53.failover_flip`: users go to the standby because of one object in a
//! bucket of the standby's region.
//!
//! A failover record answers with its secondary while the health check of its
//! primary says *unhealthy*. Such a check can ask for an object: an inverted one
//! turns unhealthy when the object is put, a plain one when it is deleted. So
//! nothing of Route 53 is changed, whose control plane is in us-east-1; health
//! checks and answers are its data plane ("Creating Disaster Recovery Mechanisms
//! Using Amazon Route 53", AWS Networking & Content Delivery Blog: standby takes
//! over primary).
//!
//! Which object a check asks for only Route 53's control plane tells, so nobody
//! looks: that the name servers answer with the standby is the proof.

use crate::{
    aws::{Clients, error::code},
    before::{self, BEFORE},
    dns_verify::{Question, Seen},
    limits,
    promotion::{self, Asked},
    world::World,
};
use async_trait::async_trait;
use aws_sdk_s3::primitives::ByteStream;
use dr_engine::{
    clock::Time,
    kind::{Explained, Reference},
    outcome::{Failure, Output},
    step::{Check, Description, Look, Mistake, OutputName, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// Sends users to the standby by an object that the health check of a failover record asks for: no call of it goes
/// to us-east-1.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FailoverFlip {
    /// The bucket, in the step's region: that of the standby.
    bucket: In<String>,
    /// The key of the object.
    key: In<String>,
    /// Whether the object is to be there: `present` where the health check is inverted, `absent` where it is not.
    state: In<Presence>,
    /// The failover record's name; the dot at the end may be left out.
    name: In<String>,
    /// Its type, as in A or CNAME.
    #[serde(rename = "type")]
    kind: In<String>,
    /// All values with which the standby is answered, in any order.
    values: Vec<In<String>>,
    /// The name servers of the zone: names or addresses, with a port if it is not 53. Written down beforehand, since
    /// Route 53 tells them in us-east-1 alone.
    servers: Vec<In<String>>,
}

/// Whether an object is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// It is.
    Present,
    /// It is not.
    Absent,
}

impl fmt::Display for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Present => "present",
            Self::Absent => "absent",
        })
    }
}

/// The metadata that says which step wrote an object.
const WRITER: &str = "dr-run";
/// What [`before::accepted`] is told of the two directions.
const OVER: &str = "standby";
const HOME: &str = "primary";

/// An object as it can be put again.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Flag {
    tag: String,
    text: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    metadata: BTreeMap<String, String>,
}

/// What was there before this run put or deleted anything.
#[derive(Debug, Serialize, Deserialize)]
struct Before {
    /// When the change was asked for.
    at: Time,
    bucket: String,
    key: String,
    object: Option<Flag>,
    /// What all name servers answered, where they agreed.
    answers: Option<BTreeSet<String>>,
}

impl Before {
    fn asked(&self, cx: &ReadCx) -> Asked {
        Asked { at: self.at, accepted: before::is_accepted(cx, BEFORE, OVER) }
    }
}

/// An object that is there.
struct There {
    tag: String,
    /// It was written by this step.
    ours: bool,
}

impl FailoverFlip {
    fn place(&self) -> String {
        format!("{}/{}", self.bucket, self.key)
    }

    /// What this run asked for, if the call may have been made.
    fn asked(&self, cx: &ReadCx) -> Option<Before> {
        before::asked(cx, |before: &Before| before.bucket == *self.bucket.get() && before.key == *self.key.get())
    }

    /// What this run changed of another object and left so, before a person changed the inputs.
    async fn left(&self, cx: &ReadCx, clients: &Clients) -> Result<Option<Failure>, Failure> {
        let mut changed: BTreeMap<(String, String), bool> = BTreeMap::new();
        for fact in cx.facts.iter().filter(|fact| fact.name == BEFORE) {
            let Ok(Before { bucket, key, object, .. }) = Before::deserialize(&fact.value) else { continue };
            changed.entry((bucket, key)).or_insert(object.is_some());
        }
        changed.remove(&(self.bucket.get().clone(), self.key.get().clone()));
        for ((bucket, key), was) in changed {
            if there(cx, clients, (&bucket, &key)).await?.is_some() != was {
                let hint = if was { "put it there by hand" } else { "delete it by hand" };
                let text = format!("this run changed `{bucket}/{key}` too, before its inputs were changed");
                return Ok(Some(Failure::new(text).hint(format!("{hint}, then answer `retry`"))));
            }
        }
        Ok(None)
    }

    fn servers(&self) -> Vec<String> {
        self.servers.iter().map(|server| server.get().clone()).collect()
    }

    /// What is to be answered when users go to the standby.
    fn standby(&self) -> Result<Question, Failure> {
        Question::new(self.name.get(), self.kind.get(), self.values.iter().map(|value| value.get().as_str()))
    }

    fn wanted(&self) -> bool {
        *self.state.get() == Presence::Present
    }

    async fn there(&self, cx: &ReadCx, clients: &Clients) -> Result<Option<There>, Failure> {
        there(cx, clients, (self.bucket.get(), self.key.get())).await
    }

    /// The object whole, so that it can be put again.
    async fn kept(&self, clients: &Clients, there: &There) -> Result<Flag, Failure> {
        let request = clients.s3.get_object().bucket(self.bucket.get()).key(self.key.get()).if_match(&there.tag);
        let reply = request.send().await.map_err(|e| clients.call("s3", "GetObject").read(&e))?;
        let unfit = |what: &str| {
            Failure::new(format!("`{}` {what}, so that nobody could put it back as it was", self.place())).hint(
                "a health check's object is a short text: is it this one? Delete it by hand, or give the right key",
            )
        };
        if reply.content_length().is_none_or(|bytes| bytes > limits::FLAG_BYTES_MAX) {
            return Err(unfit(&format!("has more than {} bytes", limits::FLAG_BYTES_MAX)));
        }
        let kind = reply.content_type().map(Into::into);
        let metadata = reply.metadata().into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
        let body = reply.body.collect().await.map_err(|e| Failure::passing(format!("{}: {e}", self.place())))?;
        let text = String::from_utf8(body.to_vec()).map_err(|_| unfit("is no text"))?;
        Ok(Flag { tag: there.tag.clone(), text, kind, metadata })
    }

    /// Puts the object where none is. One that somebody has put meanwhile stays.
    async fn put(&self, clients: &Clients, flag: &Flag) -> Result<(), StepError> {
        let request = clients.s3.put_object().bucket(self.bucket.get()).key(self.key.get()).if_none_match("*");
        let metadata = flag.metadata.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let request = request.set_metadata(Some(metadata)).set_content_type(flag.kind.clone());
        match request.body(ByteStream::from(flag.text.clone().into_bytes())).send().await {
            Err(e) if code(&e) != "PreconditionFailed" => Err(clients.call("s3", "PutObject").wrote(&e)),
            _ => Ok(()),
        }
    }

    /// Deletes the object, if it is still the one that was seen.
    async fn delete(&self, clients: &Clients, tag: &str) -> Result<(), StepError> {
        let request = clients.s3.delete_object().bucket(self.bucket.get()).key(self.key.get()).if_match(tag);
        match request.send().await {
            Err(e) if code(&e) == "PreconditionFailed" => Err(self.replaced().into()),
            Err(e) if code(&e) != "NoSuchKey" => Err(clients.call("s3", "DeleteObject").wrote(&e)),
            _ => Ok(()),
        }
    }

    fn replaced(&self) -> Failure {
        Failure::new(format!("somebody else wrote `{}`: it is not deleted", self.place()))
            .hint("make sure who did and why; delete it by hand if users are to go that way, then answer `retry`")
    }

    /// What DNS says once the object is as it is to be.
    async fn followed(&self, cx: &ReadCx, question: &Question) -> Result<Check, Failure> {
        let seen = match question.look(cx, &self.servers()).await {
            Err(failure) if !failure.transient => return Ok(Check::Impossible(failure)),
            seen => seen?,
        };
        cx.progress(&question.says(&seen));
        Ok(if seen.agree() {
            Check::Done(output(&seen))
        } else if seen.contradicted() {
            Check::InProgress
        } else {
            Check::Unknown(question.says(&seen))
        })
    }

    /// Waits until all name servers answer so.
    async fn follow(&self, cx: &ReadCx, question: &Question) -> Result<Seen, Failure> {
        let servers = self.servers();
        cx.poll(|| async {
            let seen = question.look(cx, &servers).await?;
            Ok(if seen.agree() { Look::Ready(seen) } else { Look::Pending(question.says(&seen)) })
        })
        .await
    }

    /// Where the object is not as it was asked for.
    fn not_so(&self, cx: &ReadCx, asked: Option<Asked>) -> Check {
        match asked {
            // S3 shows at once what it took.
            Some(asked) if asked.accepted || asked.is_past(cx) => Check::Unknown(format!(
                "`{}` was changed at {}, and is as before: somebody may have changed it since; `retry` changes it anew",
                self.place(),
                asked.at
            )),
            _ => Check::Absent,
        }
    }

    /// Writes down what is there, then puts or deletes.
    async fn change(&self, cx: &StepCx, clients: &Clients, there: Option<There>) -> Result<(), StepError> {
        let earlier = self.asked(&cx.read);
        let first = earlier.is_none();
        let pending = earlier.as_ref().map(|before| before.asked(&cx.read));
        let pending = pending.is_some_and(|asked| !asked.accepted && !asked.is_past(&cx.read));
        if !pending {
            // What this run found first stays.
            let (object, answers) = match (earlier, &there) {
                (Some(earlier), _) => (earlier.object, earlier.answers),
                (None, Some(there)) => (Some(self.kept(clients, there).await?), self.answers(&cx.read).await),
                (None, None) => (None, self.answers(&cx.read).await),
            };
            let (bucket, key) = (self.bucket.get().clone(), self.key.get().clone());
            before::write(cx, &Before { at: cx.read.clock.now(), bucket, key, object, answers }).await;
        }
        let changed = match there {
            None => self.put(clients, &flag(&cx.read)).await,
            Some(there) => self.delete(clients, &there.tag).await,
        };
        match changed {
            Ok(()) => before::accepted(cx, OVER).await,
            Err(error) => {
                if first && matches!(error, StepError::Failed(_)) {
                    before::refused(cx).await;
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// What the name servers answer now, if they agree, and not on the standby: nothing waits for it.
    async fn answers(&self, cx: &ReadCx) -> Option<BTreeSet<String>> {
        let look = async { self.standby()?.look(cx, &self.servers()).await };
        look.await.ok().filter(|seen| !seen.agree()).and_then(|seen| seen.alike)
    }

    /// What is to be answered when users are back, where that is known.
    fn home(&self, before: &Before) -> Result<Option<Question>, Failure> {
        let Some(answers) = &before.answers else { return Ok(None) };
        Question::new(self.name.get(), self.kind.get(), answers.iter().map(String::as_str)).map(Some)
    }
}

/// What stands under a key.
async fn there(cx: &ReadCx, clients: &Clients, (bucket, key): (&str, &str)) -> Result<Option<There>, Failure> {
    match clients.s3.head_object().bucket(bucket).key(key).send().await {
        Err(e) if matches!(code(&e), "NotFound" | "NoSuchKey") => Ok(None),
        reply => {
            let reply = reply.map_err(|e| clients.call("s3", "HeadObject").read(&e))?;
            let ours = reply.metadata().and_then(|all| all.get(WRITER)) == Some(&cx.token());
            Ok(Some(There { tag: reply.e_tag().unwrap_or_default().into(), ours }))
        }
    }
}

/// The object as this step writes it.
fn flag(cx: &ReadCx) -> Flag {
    Flag {
        tag: String::new(),
        text: format!("{}\n", cx.token()),
        kind: Some("text/plain".into()),
        metadata: [(WRITER.to_owned(), cx.token())].into(),
    }
}

fn output(seen: &Seen) -> Output {
    let mut output = Output::default();
    output.values.insert("servers".into(), seen.servers.into());
    output.values.insert("ttl".into(), seen.ttl.into());
    output
}

impl Explained for FailoverFlip {
    const REFERENCE: Reference = Reference {
        check: "`HeadObject`, and where the object is as wanted every name server itself. Done when all of them answer \
            with the standby; under way while one answers otherwise; unknown where none does and some do not answer. \
            An object that this run changed and that is as before is a question: somebody may have changed it back.",
        run: "Writes down whether the object is there (and it whole, if it is to go) and what the name servers answer. \
            Then `PutObject` with `If-None-Match`, or `DeleteObject` with `If-Match`, so that nobody else's object is \
            touched, and waits until every name server answers with the standby, as long as `timeout` lets it.",
        undo: Some(
            "Deletes the object if this step wrote it and nobody since, or puts it back as it was (text, type, \
             metadata), and waits until the name servers answer as before. `dr undo` asks twice, since users go back. \
             Where the name servers did not agree before, or answered with the standby already, nothing is waited \
             for.",
        ),
        recovery_point: None,
        time: "The health check's interval times its threshold (30 s times 3 by default, 10 s times 3 if fast), then \
            the TTL (Route 53 Developer Guide; not measured).",
        traps: &[
            "The failover pair and its health check have to be there beforehand, and the check has to reach the object \
             as anybody can: `https://BUCKET.s3.REGION.amazonaws.com/KEY`, public by the bucket's policy. Try it in a \
             drill.",
            "`present` goes with an inverted check, `absent` with a plain one. An inverted check fails over by itself \
             only when somebody puts the object; a plain one also when the standby's region or S3 there has trouble.",
            "Where the secondary has a health check too and that is unhealthy, Route 53 answers with the primary.",
            "Caches are not asked: users may get the old answer as long as the TTL says. The output `ttl` is that of \
             the standby's answer.",
            "An object's ACL is not put back: access by the bucket's policy.",
        ],
        example: "
            users_to_standby:
              do:
                route53.failover_flip:
                  bucket: shop-failover-eu-central-1
                  key: failover/shop
                  state: present
                  name: shop.example.com
                  type: A
                  values: [198.51.100.10]
                  servers:
                    - ns-1.awsdns-01.org
                    - ns-2.awsdns-02.com
                    - ns-3.awsdns-03.net
                    - ns-4.awsdns-04.co.uk
              timeout: 15m
        ",
    };
}

#[async_trait]
impl Step for FailoverFlip {
    fn describe(&self) -> Description {
        let values: Vec<_> = self.values.iter().map(ToString::to_string).collect();
        Description {
            summary: format!(
                "have {} {}, so that {} {} is {}",
                self.place(),
                self.state,
                self.name,
                self.kind,
                values.join(", ")
            ),
            actions: vec!["s3:GetObject", "s3:ListBucket", "s3:PutObject", "s3:DeleteObject"],
            moves_traffic: true,
            ..Description::default()
        }
    }

    fn mistakes(&self) -> Vec<Mistake> {
        let empty = |field, message: &str, help: &str| Mistake { field, message: message.into(), help: help.into() };
        let mut found = Vec::new();
        if self.values.is_empty() {
            found.push(empty("values", "nothing says when users are at the standby", "give the standby's values"));
        }
        if self.servers.is_empty() {
            let help = "give the four that the zone's NS record names; Route 53 would tell them in us-east-1 alone";
            found.push(empty("servers", "no name server is named", help));
        }
        found
    }

    fn outputs(&self) -> Vec<OutputName> {
        vec![OutputName::number("servers"), OutputName::number("ttl")]
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let standby = match self.standby() {
            Ok(standby) => standby,
            Err(failure) => return Ok(Check::Impossible(failure)),
        };
        let clients = World::of(cx).aws.read(cx).await?;
        if self.there(cx, &clients).await?.is_some() != self.wanted() {
            return Ok(self.not_so(cx, self.asked(cx).map(|before| before.asked(cx))));
        }
        self.followed(cx, &standby).await
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let (clients, standby) = (World::of(&cx.read).aws.write(cx).await?, self.standby()?);
        let there = self.there(&cx.read, &clients).await?;
        if there.is_some() != self.wanted() {
            Box::pin(self.change(cx, &clients, there)).await?;
        }
        Ok(output(&self.follow(&cx.read, &standby).await?))
    }

    fn can_undo(&self) -> bool {
        true
    }

    async fn check_undone(&self, cx: &ReadCx) -> Result<Check, Failure> {
        if !cx.facts.iter().any(|fact| fact.name == BEFORE) {
            return Ok(Check::Done(Output::default()));
        }
        let clients = World::of(cx).aws.read(cx).await?;
        if let Some(left) = self.left(cx, &clients).await? {
            return Ok(Check::Impossible(left));
        }
        let Some(before) = self.asked(cx) else { return Ok(Check::Done(Output::default())) };
        if self.there(cx, &clients).await?.is_some() != before.object.is_some() {
            return Ok(self.not_so(cx, promotion::back(cx, HOME)));
        }
        match self.home(&before)? {
            Some(home) => self.followed(cx, &home).await,
            None => Ok(Check::Done(Output::default())),
        }
    }

    async fn undo(&self, cx: &StepCx, _: &Output) -> Result<(), StepError> {
        let Some(before) = self.asked(&cx.read) else { return Ok(()) };
        let clients = World::of(&cx.read).aws.write(cx).await?;
        let there = self.there(&cx.read, &clients).await?;
        if there.is_some() != before.object.is_some() {
            cx.record(promotion::BACK, json!(cx.read.clock.now())).await;
            match (&there, &before.object) {
                (Some(There { ours: false, .. }), _) => return Err(self.replaced().into()),
                (Some(there), _) => self.delete(&clients, &there.tag).await?,
                (None, Some(flag)) => self.put(&clients, flag).await?,
                (None, None) => {}
            }
            before::accepted(cx, HOME).await;
        }
        if let Some(home) = self.home(&before)? {
            self.follow(&cx.read, &home).await?;
        } else {
            cx.read.progress("what the name servers answered before is not known: nothing is waited for");
        }
        Ok(())
    }
}
