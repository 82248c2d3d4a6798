//! `rds.copy_snapshot`: a snapshot of a database brought to the step's region,
//! or put under another key there.
//!
//! The copy is asked for in the region where it is to stand (AWS RDS API
//! Reference, `CopyDBSnapshot`). It has no idempotency token: the name is the
//! token, and the tags say whose the copy is and what it was made from. A key
//! is of one region, so a copy of what is encrypted names one of its own.
//!
//! A copy is no store that is back: it gives no recovery point, and says in
//! `data_of` of when its data is. What is restored from it does.
//!
//! Left out: clusters, option groups, and the regions of `GovCloud`, which want
//! a signed address of the source.

use crate::{
    aws::{
        Clients,
        error::code,
        limits, moment,
        tags::{self, Owner},
    },
    namesakes::Ran,
    rds::snapshots::{self, Candidate},
    world::World,
};
use async_trait::async_trait;
use aws_sdk_rds::types::{DbSnapshot, Tag};
use dr_engine::{
    clock::Time,
    kind::{Explained, Reference},
    outcome::{Failure, Output},
    step::{Check, Description, Look, OutputName, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Copies a snapshot of a database to the step's region, and waits until it is
/// available.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CopySnapshot {
    /// The database that the snapshot is of.
    source: In<String>,
    /// The region that the snapshot is in, which has to answer; else the
    /// step's own.
    #[serde(default)]
    from: Option<In<String>>,
    /// `latest`, or a snapshot's name or ARN.
    #[serde(default)]
    snapshot: Option<In<String>>,
    /// Only a snapshot whose data is not later than this, as in
    /// `${run.incident_at}`: for corruption.
    #[serde(default)]
    before: Option<In<String>>,
    /// The name of the copy.
    target: In<String>,
    /// The key of the step's region that the copy is encrypted with. Wanted
    /// where what is encrypted comes from another region.
    #[serde(default)]
    kms_key: Option<In<String>>,
}

/// What the step resolved, and will not resolve again in this run while the
/// inputs ask for the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Chosen {
    arn: String,
    data_of: Option<Time>,
    asked: Asked,
}

/// The inputs that a choice follows from. A person can change them with `retry --set`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Asked {
    source: String,
    from: Option<String>,
    snapshot: String,
    before: Option<String>,
    kms_key: Option<String>,
}

/// The name of the fact that holds it.
const CHOSEN: &str = "snapshot";
/// The name of the fact that holds the copy.
const COPY: &str = "copy";

/// What stands under the target's name.
enum Seen {
    Nothing,
    Theirs(String),
    Ours(Box<DbSnapshot>),
}

/// How far a copy of ours is.
enum Stage {
    Moving(String),
    Ready,
    Broken(Failure),
}

impl CopySnapshot {
    /// RDS keeps identifiers in lower case.
    fn target(&self) -> String {
        self.target.get().to_lowercase()
    }

    fn asked(&self) -> Asked {
        let text = |input: &Option<In<String>>| input.as_ref().map(|text| text.get().clone());
        Asked {
            source: self.source.get().to_lowercase(),
            from: text(&self.from),
            snapshot: text(&self.snapshot).unwrap_or_else(|| "latest".into()),
            before: text(&self.before),
            kms_key: text(&self.kms_key),
        }
    }

    /// Which snapshot it will be: what was written down, or what the inputs ask
    /// for. What was written down stands though its region is lost since.
    async fn decide(&self, cx: &ReadCx, here: &Clients) -> Result<Chosen, Failure> {
        let asked = self.asked();
        let known = cx.fact(CHOSEN).and_then(|fact| serde_json::from_value::<Chosen>(fact.clone()).ok());
        if let Some(known) = known.filter(|known| known.asked == asked) {
            return Ok(known);
        }
        let before = asked.before.as_deref().map(|text| moment("before", text)).transpose()?;
        let there = match &asked.from {
            Some(region) => Some(World::of(cx).aws.read_in(cx, Some(region)).await?),
            None => None,
        };
        let clients = there.as_ref().unwrap_or(here);
        let found =
            snapshots::find(clients, &asked.source, &asked.snapshot, before, (Ran::default(), "name the snapshot"))
                .await?;
        let Candidate { id, arn, key, recovery_point } = found;
        if key.is_some() && asked.kms_key.is_none() && clients.region != here.region {
            let text = format!("`{id}` is encrypted, and a key of {} is none in {}", clients.region, here.region);
            return Err(Failure::new(text).hint("name a key of the step's region: `kms_key`"));
        }
        let nameless = || Failure::new(format!("`{id}` does not say its ARN"));
        Ok(Chosen { arn: arn.ok_or_else(nameless)?, data_of: recovery_point.map(|point| point.at), asked })
    }

    async fn see(&self, cx: &ReadCx, clients: &Clients) -> Result<Seen, Failure> {
        let found = clients.rds.describe_db_snapshots().db_snapshot_identifier(self.target()).send().await;
        let found = match found {
            Err(e) if code(&e).starts_with("DBSnapshotNotFound") => return Ok(Seen::Nothing),
            reply => reply.map_err(|e| clients.call("rds", "DescribeDBSnapshots").read(&e))?,
        };
        let Some(found) = found.db_snapshots.unwrap_or_default().into_iter().next() else { return Ok(Seen::Nothing) };
        let tags = found.tag_list().iter().filter_map(|tag| tag.key().zip(tag.value()));
        Ok(match tags::owner(cx, tags) {
            Owner::Us => Seen::Ours(Box::new(found)),
            Owner::Other(who) => Seen::Theirs(who),
        })
    }

    fn theirs(&self, clients: &Clients, who: &str) -> Failure {
        let text =
            format!("the snapshot `{}` already exists in {} and belongs to {who}", self.target(), clients.region);
        Failure::new(text).hint("choose another `target`, or remove that snapshot by hand")
    }

    /// Refuses a copy of ours that was made from something else.
    fn made_from(&self, copy: &DbSnapshot, chosen: &Chosen) -> Result<(), Failure> {
        let tag = copy.tag_list().iter().find(|tag| tag.key() == Some(tags::FROM));
        match tag.and_then(Tag::value) {
            Some(from) if from != tags::text(&chosen.arn) => {
                let (name, arn) = (self.target(), &chosen.arn);
                let text = format!("`{name}` was copied from `{from}` before the inputs changed, not from `{arn}`");
                Err(Failure::new(text)
                    .hint("remove that snapshot by hand, or set the inputs back; then answer `retry`"))
            }
            _ => Ok(()),
        }
    }

    /// A copy is `creating` or `copying` until it is `available`; nothing else becomes so by itself.
    fn stage(&self, copy: &DbSnapshot) -> Stage {
        let (name, status) = (self.target(), copy.status().unwrap_or("creating"));
        match status {
            "available" => Stage::Ready,
            "creating" | "copying" | "pending" => {
                let done = copy.percent_progress().filter(|percent| *percent > 0);
                let done = done.map_or(String::new(), |percent| format!(", {percent} % done"));
                Stage::Moving(format!("`{name}` is {status}{done}"))
            }
            other => Stage::Broken(Failure::new(format!("`{name}` is {other}"))),
        }
    }

    /// Begins the copy. One of ours that is already there is as good.
    async fn begin(&self, cx: &StepCx, clients: &Clients, chosen: &Chosen) -> Result<(), StepError> {
        if cx.read.fact(CHOSEN) != Some(&json!(chosen)) {
            cx.record(CHOSEN, json!(chosen)).await;
        }
        let tag = |(key, value)| Tag::builder().key(key).value(value).build();
        let tags = tags::of(&cx.read).into_iter().chain([(tags::FROM, tags::text(&chosen.arn))]).map(tag);
        let request = clients.rds.copy_db_snapshot().target_db_snapshot_identifier(self.target());
        let request =
            request.source_db_snapshot_identifier(&chosen.arn).copy_tags(false).set_tags(Some(tags.collect()));
        match request.set_kms_key_id(chosen.asked.kms_key.clone()).send().await {
            Ok(reply) => {
                if let Some(arn) = reply.db_snapshot().and_then(DbSnapshot::db_snapshot_arn) {
                    cx.record_handle(COPY, arn).await;
                }
                Ok(())
            }
            Err(e) if code(&e).starts_with("DBSnapshotAlreadyExists") => match self.see(&cx.read, clients).await? {
                Seen::Ours(copy) => Ok(self.made_from(&copy, chosen)?),
                Seen::Theirs(who) => Err(self.theirs(clients, &who).into()),
                Seen::Nothing => Err(Failure::passing(format!("`{}` is being made or removed", self.target())).into()),
            },
            Err(e) => Err(clients.call("rds", "CopyDBSnapshot").wrote(&e)),
        }
    }

    /// Waits until the copy no longer moves.
    async fn settled(&self, cx: &ReadCx, clients: &Clients) -> Result<Box<DbSnapshot>, Failure> {
        let since = cx.clock.now();
        cx.poll(|| async {
            match self.see(cx, clients).await? {
                Seen::Ours(copy) => match self.stage(&copy) {
                    Stage::Moving(says) => Ok(Look::Pending(says)),
                    Stage::Ready => Ok(Look::Ready(copy)),
                    Stage::Broken(failure) => Err(failure),
                },
                Seen::Theirs(who) => Err(self.theirs(clients, &who)),
                Seen::Nothing if cx.clock.now().since(since) < limits::UNSEEN => {
                    Ok(Look::Pending(format!("`{}` is not seen yet", self.target())))
                }
                Seen::Nothing => Err(Failure::new(format!("`{}` has gone", self.target()))),
            }
        })
        .await
    }

    fn output(&self, copy: &DbSnapshot, chosen: &Chosen) -> Output {
        let mut output = Output::default();
        output.values.insert("snapshot".into(), self.target().into());
        output.values.insert("arn".into(), copy.db_snapshot_arn().into());
        output.values.insert("copied_from".into(), chosen.arn.clone().into());
        output.values.insert("data_of".into(), chosen.data_of.map_or(Value::Null, |at| at.to_string().into()));
        output
    }
}

impl Explained for CopySnapshot {
    const REFERENCE: Reference = Reference {
        check: "`DescribeDBSnapshots` on the name of the copy. Nothing of it while the name is free; under way \
            while the copy is creating or copying; done when it is available. A snapshot that is not this \
            run's, or was copied from another one, is refused.",
        run: "`DescribeDBSnapshots` where the snapshot is; writes down which it is; `CopyDBSnapshot`, called \
            in the step's region; waits until the copy is available. A snapshot that was chosen stays chosen \
            in that run, though its region is lost since.",
        undo: Some(
            "Waits until the copy no longer moves, `DeleteDBSnapshot`, and waits until it is gone. Only this \
            run's copy is deleted.",
        ),
        recovery_point: Some(
            "None: a copy is no store that is back. The output `data_of` says of when its data is: \
            `SnapshotDatabaseTime`, else `OriginalSnapshotCreateTime`.",
        ),
        time: "Minutes, hours for terabytes (general knowledge, not measured).",
        traps: &[
            "The region that it comes from has to answer: after its loss only what was copied before is \
             there.",
            "Where snapshots of databases of that name lie that ran in several regions or accounts, `latest` is \
             refused, and names them: name the snapshot.",
            "What is encrypted needs a key of the step's region: `kms_key`.",
            "Tags and option groups of the snapshot are not copied.",
            "AWS bounds how many copies come into a region at a time, and how many snapshots an account \
             keeps.",
        ],
        example: "
            orders_snapshot:
              do:
                rds.copy_snapshot:
                  source: orders
                  from: eu-west-1
                  target: orders-copy
                  kms_key: alias/recovery
              timeout: 4h
        ",
    };
}

#[async_trait]
impl Step for CopySnapshot {
    fn describe(&self) -> Description {
        let snapshot = self.snapshot.as_ref().map_or("latest".into(), ToString::to_string);
        let from = self.from.as_ref().map_or(String::new(), |from| format!(" from {from}"));
        Description {
            summary: format!("copy snapshot {snapshot} of database `{}`{from} as `{}`", self.source, self.target),
            actions: vec![
                "rds:DescribeDBSnapshots",
                "rds:CopyDBSnapshot",
                "rds:AddTagsToResource",
                "rds:DeleteDBSnapshot",
                "kms:DescribeKey",
                "kms:CreateGrant",
                "kms:Decrypt",
                "kms:ReEncrypt*",
                "kms:GenerateDataKey*",
            ],
            regions: self.from.iter().map(ToString::to_string).collect(),
            ..Description::default()
        }
    }

    fn outputs(&self) -> Vec<OutputName> {
        ["snapshot", "arn", "copied_from", "data_of"].map(OutputName::text).into()
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let clients = World::of(cx).aws.read(cx).await?;
        let seen = self.see(cx, &clients).await?;
        if let Seen::Theirs(who) = &seen {
            return Ok(Check::Impossible(self.theirs(&clients, who)));
        }
        let chosen = match self.decide(cx, &clients).await {
            Err(failure) if !failure.transient => return Ok(Check::Impossible(failure)),
            chosen => chosen?,
        };
        let Seen::Ours(copy) = seen else { return Ok(Check::Absent) };
        if let Err(failure) = self.made_from(&copy, &chosen) {
            return Ok(Check::Impossible(failure));
        }
        Ok(match self.stage(&copy) {
            Stage::Ready => Check::Done(self.output(&copy, &chosen)),
            Stage::Moving(_) => Check::InProgress,
            Stage::Broken(failure) => Check::Impossible(failure),
        })
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let clients = World::of(&cx.read).aws.write(cx).await?;
        let chosen = self.decide(&cx.read, &clients).await?;
        match self.see(&cx.read, &clients).await? {
            Seen::Theirs(who) => return Err(self.theirs(&clients, &who).into()),
            Seen::Ours(copy) => self.made_from(&copy, &chosen)?,
            Seen::Nothing => self.begin(cx, &clients, &chosen).await?,
        }
        let copy = self.settled(&cx.read, &clients).await?;
        Ok(self.output(&copy, &chosen))
    }

    fn can_undo(&self) -> bool {
        true
    }

    async fn check_undone(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let clients = World::of(cx).aws.read(cx).await?;
        Ok(match self.see(cx, &clients).await? {
            Seen::Nothing => Check::Done(Output::default()),
            Seen::Theirs(who) => Check::Impossible(self.theirs(&clients, &who)),
            Seen::Ours(copy) if copy.status() == Some("deleting") => Check::InProgress,
            Seen::Ours(_) => Check::Absent,
        })
    }

    async fn undo(&self, cx: &StepCx, _: &Output) -> Result<(), StepError> {
        let clients = World::of(&cx.read).aws.write(cx).await?;
        let rest = || async {
            Ok(match self.see(&cx.read, &clients).await? {
                Seen::Nothing => Look::Ready(None),
                Seen::Theirs(who) => return Err(self.theirs(&clients, &who)),
                Seen::Ours(copy) => match self.stage(&copy) {
                    Stage::Moving(says) => Look::Pending(says),
                    Stage::Ready | Stage::Broken(_) => Look::Ready(Some(copy)),
                },
            })
        };
        let found = cx.read.poll(rest).await?;
        if found.is_some_and(|copy| copy.status() != Some("deleting")) {
            match clients.rds.delete_db_snapshot().db_snapshot_identifier(self.target()).send().await {
                Err(e) if code(&e).starts_with("DBSnapshotNotFound") => return Ok(()),
                reply => drop(reply.map_err(|e| clients.call("rds", "DeleteDBSnapshot").wrote(&e))?),
            }
        }
        let gone = || async {
            Ok(match self.see(&cx.read, &clients).await? {
                Seen::Ours(_) => Look::Pending(format!("`{}` is being deleted", self.target())),
                Seen::Nothing | Seen::Theirs(_) => Look::Ready(()),
            })
        };
        Ok(cx.read.poll(gone).await?)
    }
}
