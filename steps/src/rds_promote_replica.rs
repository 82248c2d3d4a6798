//! `rds.promote_replica`: a read replica becomes a database of its own.
//!
//! The status says nothing about it: it is `available` when the promotion is
//! asked for, and for a while after. What follows a source is a replica; it is
//! promoted when RDS names no source any more (AWS RDS API Reference,
//! `PromoteReadReplica`; User Guide, Promoting a read replica).
//!
//! Afterwards nothing tells it from a database that never was a replica. So
//! what the step saw is written down before the call: whom it followed, and how
//! far it was behind. What follows nothing and was never seen to follow
//! anything is not taken for promoted: a person says what it is. No tag is set,
//! since a second run could not tell from it when the data was lost.
//!
//! Left out: `SwitchoverReadReplica` (Oracle, Db2) and the clusters of Aurora.

use crate::{
    aws::{Clients, error::code, limits},
    before::{self, BEFORE},
    metrics::Sample,
    rds::{self, replica},
    world::World,
};
use async_trait::async_trait;
use aws_sdk_rds::types::DbInstance;
use dr_engine::{
    clock::Time,
    kind::{Explained, Reference},
    outcome::{Failure, Output, RecoveryPoint},
    step::{Check, Description, Look, Mistake, OutputName, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Makes a database of its own out of a read replica, and waits until it is
/// one. Its source has to be fenced before, or there are two that write.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromoteReplica {
    /// The replica.
    replica: In<String>,
    /// What it follows, by name or ARN: a replica of anything else is refused.
    #[serde(default)]
    source: Option<In<String>>,
    /// For how many days it then keeps automated backups, 35 at most; else RDS
    /// keeps them for one.
    #[serde(default)]
    backup_retention: Option<In<u8>>,
    /// When they are made, in UTC, as in 02:00-03:00; else RDS chooses.
    #[serde(default)]
    backup_window: Option<In<String>>,
}

/// What was seen before the promotion was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Found {
    replica: String,
    resource_id: Option<String>,
    source: String,
    replication: Option<String>,
    /// How far it was behind.
    lag: Option<Sample>,
    /// Why that is not known.
    unknown: Option<String>,
    /// When the promotion was asked for.
    at: Time,
}

/// The longest time that RDS keeps automated backups for, in days.
const RETENTION_MAX: u8 = 35;

impl Found {
    fn is_of(&self, name: &str, db: &DbInstance) -> bool {
        self.replica == name && self.resource_id.as_deref() == db.dbi_resource_id()
    }

    /// Whether it would be seen by now.
    fn is_past(&self, cx: &ReadCx) -> bool {
        cx.clock.now().since(self.at) >= limits::BEGINS
    }

    fn recovery_point(&self) -> Option<RecoveryPoint> {
        self.lag.as_ref().map(replica::recovery_point)
    }

    fn output(&self, db: &DbInstance) -> Output {
        let mut values = rds::values(db);
        values.insert("source".into(), self.source.clone().into());
        values.insert("replication".into(), self.replication.clone().into());
        values.insert("lag_seconds".into(), self.lag.map_or(Value::Null, |lag| lag.value.into()));
        values.insert("lag_at".into(), self.lag.map_or(Value::Null, |lag| lag.at.to_string().into()));
        values.insert("lag_unknown".into(), self.unknown.clone().into());
        Output { values, recovery_point: self.recovery_point() }
    }
}

impl PromoteReplica {
    /// RDS keeps identifiers in lower case.
    fn name(&self) -> String {
        self.replica.get().to_lowercase()
    }

    async fn look(&self, cx: &ReadCx, clients: &Clients) -> Result<DbInstance, Failure> {
        let missing = || {
            let text = format!("there is no database instance `{}` in {}", self.name(), clients.region);
            Failure::new(text).hint("is `replica` its name, and the step's region its region?")
        };
        rds::find(cx, clients, &self.name()).await?.ok_or_else(missing)
    }

    /// What was written down of this very instance.
    fn known(&self, cx: &ReadCx, db: &DbInstance) -> Option<Found> {
        before::known(cx, |found: &Found| found.is_of(&self.name(), db))
    }

    /// The same, if the promotion may have been asked for since.
    fn asked(&self, cx: &ReadCx, db: &DbInstance) -> Option<Found> {
        before::asked(cx, |found: &Found| found.is_of(&self.name(), db))
    }

    fn is_accepted(&self, cx: &ReadCx) -> bool {
        before::is_accepted(cx, BEFORE, &self.name())
    }

    /// Refuses what follows something else, or is in a state out of which it does not come by itself.
    fn fits(&self, clients: &Clients, db: &DbInstance) -> Result<(), Failure> {
        let (name, status) = (self.name(), status(db));
        if let (Some(wanted), Some(is)) = (&self.source, replica::source(db))
            && !replica::is_source(wanted.get(), is, &clients.region)
        {
            let text = format!("`{name}` is a replica of `{is}`, not of `{wanted}`");
            return Err(Failure::new(text).hint("stop this run, and plan it anew with its source, or another replica"));
        }
        if rds::broken(status) {
            return Err(Failure::new(format!("`{name}` is {status}")));
        }
        Ok(())
    }

    /// What to say of an instance that follows nothing and was not seen to follow anything.
    async fn stranger(&self, cx: &ReadCx, clients: &Clients, db: &DbInstance) -> String {
        let measured = match replica::behind(cx, clients, db).await {
            Ok(Some(lag)) => format!("it was one, {} s behind at {}", lag.value, lag.at),
            Ok(None) => "CloudWatch has never measured how far it is behind".into(),
            Err(failure) => format!("nobody can say whether it ever was one ({})", failure.message),
        };
        format!("`{}` is no replica, and this run has not seen it as one: {measured}", self.name())
    }

    /// How it is, before the promotion is asked for.
    async fn measure(&self, cx: &ReadCx, clients: &Clients, db: &DbInstance, source: &str) -> Found {
        let (lag, unknown) = match replica::behind(cx, clients, db).await {
            Ok(Some(lag)) => (Some(lag), None),
            Ok(None) => (None, Some(no_sample(&self.name()))),
            // A promotion does not wait for a service that only measures.
            Err(failure) => (None, Some(failure.message)),
        };
        Found {
            replica: self.name(),
            resource_id: db.dbi_resource_id().map(Into::into),
            source: source.into(),
            replication: replica::replication(db).map(Into::into),
            lag,
            unknown,
            at: cx.clock.now(),
        }
    }

    /// Waits until it can be promoted, or is.
    async fn at_rest(&self, cx: &ReadCx, clients: &Clients) -> Result<DbInstance, Failure> {
        let since = cx.clock.now();
        cx.poll(|| async {
            let db = self.look(cx, clients).await?;
            self.fits(clients, &db)?;
            let status = status(&db);
            let under_way = self.asked(cx, &db).is_some();
            if rds::usable(status) || replica::source(&db).is_none() || under_way {
                return Ok(Look::Ready(db));
            }
            let says = format!("`{}` is {status}, and is not promoted until that is over", self.name());
            if cx.clock.now().since(since) < limits::BUSY {
                return Ok(Look::Pending(says));
            }
            // Said as a failure that does not pass, or it would be waited for as a look that failed.
            Err(Failure::new(says).hint("wait for it, then answer `retry`"))
        })
        .await
    }

    /// Asks for it. Gives what was written down, and the refusal where RDS said *not now*, as it
    /// does also of what it is promoting already.
    async fn ask(
        &self,
        cx: &StepCx,
        clients: &Clients,
        db: &DbInstance,
        source: &str,
    ) -> Result<(Found, Option<Failure>), StepError> {
        let asked = self.asked(&cx.read, db).filter(|found| !found.is_past(&cx.read) || !rds::usable(status(db)));
        let first = asked.is_none();
        let found = match asked {
            // What was taken is waited for, and never asked for twice.
            Some(found) if self.is_accepted(&cx.read) => return Ok((found, None)),
            Some(found) => found,
            None => self.measure(&cx.read, clients, db, source).await,
        };
        if first {
            before::write(cx, &found).await;
        }
        if !rds::usable(status(db)) {
            return Ok((found, None));
        }
        let request = clients.rds.promote_read_replica().db_instance_identifier(self.name());
        let request =
            request.set_backup_retention_period(self.backup_retention.as_ref().map(|days| i32::from(*days.get())));
        let request =
            request.set_preferred_backup_window(self.backup_window.as_ref().map(|window| window.get().clone()));
        let call = clients.call("rds", "PromoteReadReplica");
        match request.send().await {
            Ok(_) => {
                before::accepted(cx, &found.replica).await;
                Ok((found, None))
            }
            Err(e) => match call.wrote(&e) {
                StepError::Failed(failure) if code(&e).starts_with("InvalidDBInstanceState") => {
                    Ok((found, Some(failure)))
                }
                StepError::Failed(failure) => {
                    // Nothing has begun: the next call is measured anew.
                    if first {
                        before::refused(cx).await;
                    }
                    Err(failure.into())
                }
                doubt => Err(doubt),
            },
        }
    }

    /// Waits until it follows nothing and works.
    async fn alone(&self, cx: &ReadCx, clients: &Clients, refusal: Option<Failure>) -> Result<DbInstance, Failure> {
        let since = cx.clock.now();
        let accepted = refusal.is_none() || self.is_accepted(cx);
        let patience = if accepted { limits::BEGINS } else { limits::UNSEEN };
        let name = self.name();
        let ended = cx.poll(|| async {
            let db = self.look(cx, clients).await?;
            self.fits(clients, &db)?;
            let status = status(&db);
            let Some(source) = replica::source(&db) else {
                let ready = rds::usable(status);
                return Ok(if ready { Look::Ready(Ok(db)) } else { Look::Pending(format!("`{name}` is {status}")) });
            };
            let says = format!("`{name}` is {status} and still a replica of `{source}`");
            let says = refusal.as_ref().map_or(says, |failure| failure.message.clone());
            if !rds::usable(status) || cx.clock.now().since(since) < patience {
                return Ok(Look::Pending(says));
            }
            Ok(Look::Ready(Err(refusal.clone().unwrap_or_else(|| Failure::passing(says)))))
        });
        ended.await?
    }
}

fn status(db: &DbInstance) -> &str {
    db.db_instance_status().unwrap_or("creating")
}

fn no_sample(name: &str) -> String {
    format!("CloudWatch has no sample of how far `{name}` is behind")
}

impl Explained for PromoteReplica {
    const REFERENCE: Reference = Reference {
        check: "`DescribeDBInstances`. Nothing of it while the instance follows its source, and under way once the \
            promotion was accepted; done when RDS names no source any more and the instance is available, \
            if this run saw it as a replica before. What follows something else is refused. Of an instance \
            that follows nothing, and that this run never saw as a replica, a person has to say what it is: \
            somebody may have promoted it, or it never was one.",
        run: "Waits while the instance is busy, as with a backup, for half an hour at most; `GetMetricData` for the \
            newest sample of `ReplicaLag`; writes down whom the instance follows and how far it was behind; \
            `PromoteReadReplica`; waits until the instance follows nothing and is available. A sample that was \
            written down stays: what is measured after the call says nothing of what was lost.",
        undo: None,
        recovery_point: Some(
            "The time of the newest sample of `ReplicaLag` before the call, less the lag. Without a sample it is \
            unknown, and so is the run's RPO.",
        ),
        time: "5 to 20 minutes (general knowledge, not measured).",
        traps: &[
            "The status is `available` before, during and after it: only the source that is named no more says \
             that it is promoted.",
            "The source goes on taking writes if it is alive: fence it first.",
            "There is no way back: `rds.create_replica` makes a replica in the other direction, and that is \
             promoted in its turn.",
            "A source that is lost is no obstacle. MySQL's lag is then -1, which is no sample: the newest one before \
             it counts. MySQL measures how far what has arrived is applied, not how much has not arrived.",
            "A replica that waits for its backup cannot be promoted; with automated backups on the replica \
             beforehand, the first one after the promotion is short.",
            "It keeps its class, groups and zones: what production needs has to be there before, or is changed after.",
        ],
        example: "
            orders_db:
              do:
                rds.promote_replica:
                  replica: orders-replica
                  source: orders
                  backup_retention: 7
              fence: old_writer
              data_loss: acknowledge
              timeout: 1h
              rpo: 5m
            old_writer:
              do:
                fence.command:
                  argv: [./old-writer, stop]
                  check: { argv: [./old-writer, cannot-write] }
              timeout: 5m
        ",
    };
}

#[async_trait]
impl Step for PromoteReplica {
    fn describe(&self) -> Description {
        let of = self.source.as_ref().map_or(String::new(), |source| format!(" of `{source}`"));
        Description {
            summary: format!("promote replica `{}`{of} to a database of its own", self.replica),
            actions: vec!["rds:DescribeDBInstances", "rds:PromoteReadReplica", "cloudwatch:GetMetricData"],
            irreversible: true,
            second_writer: true,
            loses_data: true,
            ..Description::default()
        }
    }

    fn mistakes(&self) -> Vec<Mistake> {
        let days = match &self.backup_retention {
            Some(In::Lit(days)) if *days > RETENTION_MAX => days,
            _ => return Vec::new(),
        };
        let message = format!("RDS keeps no automated backups for {days} days");
        vec![Mistake { field: "backup_retention", message, help: format!("{RETENTION_MAX} are the most") }]
    }

    fn outputs(&self) -> Vec<OutputName> {
        let mut outputs = rds::outputs(&["source", "replication", "lag_at", "lag_unknown"]);
        outputs.push(OutputName::number("lag_seconds"));
        outputs
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let clients = World::of(cx).aws.read(cx).await?;
        let db = match self.look(cx, &clients).await {
            Err(failure) if !failure.transient && failure.call.is_none() => return Ok(Check::Impossible(failure)),
            db => db?,
        };
        if let Err(failure) = self.fits(&clients, &db) {
            return Ok(Check::Impossible(failure));
        }
        let works = rds::usable(status(&db));
        if let Some(source) = replica::source(&db) {
            return Ok(match self.asked(cx, &db) {
                Some(_) if !works => Check::InProgress,
                Some(found) if found.is_past(cx) => Check::Unknown(format!(
                    "`{}` was to be promoted at {}, and is still a replica of `{source}`; `retry` asks for it anew",
                    self.name(),
                    found.at
                )),
                Some(_) if self.is_accepted(cx) => Check::InProgress,
                _ => Check::Absent,
            });
        }
        Ok(match self.known(cx, &db) {
            // The call was refused, and somebody else promoted it: what that lost nobody measured.
            Some(found) if works && self.asked(cx, &db).is_none() => {
                let unknown = Some("this run was refused, and somebody else promoted it".into());
                Check::Done(Found { lag: None, unknown, ..found }.output(&db))
            }
            Some(found) if works => Check::Done(found.output(&db)),
            Some(_) => Check::InProgress,
            None => Check::Unknown(self.stranger(cx, &clients, &db).await),
        })
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let clients = World::of(&cx.read).aws.write(cx).await?;
        let db = self.at_rest(&cx.read, &clients).await?;
        let (found, refusal) = match (replica::source(&db), self.known(&cx.read, &db)) {
            (Some(source), _) => Box::pin(self.ask(cx, &clients, &db, source)).await?,
            (None, Some(found)) => (found, None),
            (None, None) => {
                let hint =
                    "if somebody promoted it, `dr done` says so; else stop this run, and plan it anew with a replica";
                return Err(Failure::new(self.stranger(&cx.read, &clients, &db).await).hint(hint).into());
            }
        };
        let refused = refusal.is_some();
        let db = self.alone(&cx.read, &clients, refusal).await;
        if db.is_err() && refused {
            // Nothing has begun: the next call is measured anew.
            before::refused(cx).await;
        }
        Ok(found.output(&db?))
    }

    async fn would_keep(&self, cx: &ReadCx) -> Result<RecoveryPoint, Failure> {
        let clients = World::of(cx).aws.read(cx).await?;
        let db = self.look(cx, &clients).await?;
        if let Some(found) = self.asked(cx, &db) {
            return found.recovery_point().ok_or_else(|| Failure::new(no_sample(&self.name())));
        }
        self.fits(&clients, &db)?;
        if replica::source(&db).is_none() {
            return Err(Failure::new(self.stranger(cx, &clients, &db).await));
        }
        let lag = replica::behind(cx, &clients, &db).await?;
        lag.as_ref().map(replica::recovery_point).ok_or_else(|| Failure::new(no_sample(&self.name())))
    }
}
