//! `fence.rds_read_only`: a MySQL or `MariaDB` instance that takes no writes.
//!
//! `read_only` refuses the writes of every account that has none of SUPER,
//! `CONNECTION_ADMIN` and READ ONLY ADMIN, and RDS gives those to nobody, the
//! master user included (AWS RDS User Guide, Master user account privileges).
//! That the parameter is set does not prove that the engine has it: the status
//! of the group may lag, and a transaction that is open may still commit. So
//! the instance is restarted once the parameter is set, and the fence stands
//! when it was seen to restart and works again. RDS also sends an event about
//! a restart, but of its events it says itself that they may be missing.

use crate::{
    aws::{Clients, error::code},
    rds::{broken, usable},
    world::World,
};
use async_trait::async_trait;
use aws_sdk_rds::types::{ApplyMethod, DbInstance, Parameter};
use dr_engine::{
    kind::{Explained, Reference},
    outcome::{Failure, Output},
    step::{Check, Description, Look, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};

/// Makes the old writer read-only: an RDS instance of MySQL or MariaDB.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadOnly {
    /// The instance that is to write no more, in the step's region: `region: primary`.
    pub instance: In<String>,
    /// The look that began this attempt saw it restart.
    #[serde(skip)]
    #[schemars(skip)]
    restarting: AtomicBool,
}

/// The parameter.
const PARAMETER: &str = "read_only";
/// Its value when nothing can be written.
const ON: &str = "1";
/// The fact of what stood there before.
const BEFORE: &str = "before";
/// The fact of how far the restart is that proves it; the newest counts.
const RESTART: &str = "restart";
/// The parameter is about to be set: what was restarted before proves nothing.
const DUE: &str = "due";
/// With the parameter set and the instance at work, it is about to be asked for.
const ASKED: &str = "asked";
/// After that, it was seen under way.
const SEEN: &str = "seen";

impl Explained for ReadOnly {
    const REFERENCE: Reference = Reference {
        check: "`DescribeDBInstances` and `DescribeDBParameters`. Proven is: `read_only` is 1 in the instance's \
            parameter group, the group is in sync, the instance works, and this run saw it restart after the \
            parameter was set. One that is read-only and was not made so by this run cannot be told from one \
            that is not: a person is asked, and `retry` restarts it. An instance that is not MySQL or MariaDB, that has a default group, or shares its \
            group with another, cannot be fenced so. A region that does not answer is a look that failed, never \
            a proof.",
        run: "Writes down what stood there, `ModifyDBParameterGroup` with `read_only` 1 at once, waits until the \
            instance works, `RebootDBInstance`, and waits until it was seen to restart and works again.",
        undo: Some(
            "Puts `read_only` back to what stood there before (`ModifyDBParameterGroup`, or \
             `ResetDBParameterGroup` where the group did not set it), and waits until the group is in sync.",
        ),
        recovery_point: None,
        time: "1 to 5 minutes, most of it the restart; long transactions and a large buffer pool take longer.",
        traps: &[
            "The instance needs a parameter group of its own beforehand: a default one cannot be changed, and \
             one that is shared would stop other databases too.",
            "PostgreSQL has nothing like it: any session can turn `default_transaction_read_only` off. Use \
             `fence.command`.",
            "A restart ends all connections. Whoever reads from the instance feels it.",
            "Whoever may change parameter groups can take the fence away; so can a deployment that writes them.",
            "Give the step `region: primary`: by default a step works in the region of the recovery.",
        ],
        example: "
            orders_cannot_write:
              region: eu-west-1
              do:
                fence.rds_read_only: { instance: orders }
              timeout: 15m
        ",
    };
}

/// The instance as it is now.
struct Writer {
    group: String,
    /// What the group says of the parameter, where somebody set it.
    value: Option<String>,
    in_sync: bool,
    status: String,
}

impl Writer {
    fn is_read_only(&self) -> bool {
        self.value.as_deref() == Some(ON)
    }

    fn works(&self) -> bool {
        usable(&self.status)
    }

    fn restarts(&self) -> bool {
        self.status == "rebooting"
    }

    /// Whether it cannot write, by all that was seen.
    fn is_proven(&self, cx: &ReadCx) -> bool {
        restart(cx) == Some(SEEN) && self.is_read_only() && self.in_sync && self.works()
    }
}

#[async_trait]
impl Step for ReadOnly {
    fn describe(&self) -> Description {
        Description {
            summary: format!("makes the database {} read-only, and restarts it to be sure", self.instance),
            actions: vec![
                "rds:DescribeDBInstances",
                "rds:DescribeDBParameters",
                "rds:ModifyDBParameterGroup",
                "rds:RebootDBInstance",
                "rds:ResetDBParameterGroup",
            ],
            fences: true,
            ..Description::default()
        }
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let clients = World::of(cx).aws.read(cx).await?;
        let writer = match self.see(&clients).await? {
            Ok(writer) => writer,
            Err(impossible) => return Ok(Check::Impossible(impossible)),
        };
        let asked = writer.is_read_only() && restart(cx) == Some(ASKED);
        self.restarting.store(asked && writer.restarts(), Ordering::Relaxed);
        Ok(match writer {
            _ if writer.is_proven(cx) => Check::Done(output(&writer)),
            // It cannot be restarted as it is, and nothing says that it will stay as it is.
            Writer { status, .. } if broken(&status) => {
                Check::Unknown(format!("`{}` is {status}: it cannot be restarted, so nothing is proven", self.name()))
            }
            _ if writer.is_read_only() && cx.fact(BEFORE).is_none() => Check::Unknown(format!(
                "`{}` is read-only already, not by this run, and was perhaps not restarted since; `retry` restarts it",
                self.name()
            )),
            _ if asked && !writer.works() => Check::InProgress,
            _ => Check::Absent,
        })
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let clients = World::of(&cx.read).aws.write(cx).await?;
        let restarting = self.restarting.load(Ordering::Relaxed);
        if restarting {
            cx.record(RESTART, SEEN).await;
        }
        let writer = self.at_work(cx, &clients).await?;
        if cx.read.fact(BEFORE).is_none() {
            cx.record(BEFORE, json!({ "group": writer.group, PARAMETER: writer.value })).await;
        }
        if !writer.is_read_only() {
            cx.record(RESTART, DUE).await;
            self.set(&clients, &writer.group, Some(ON)).await?;
        } else if restarting || restart(&cx.read) == Some(SEEN) {
            return self.at_work_again(cx, &clients).await;
        }
        self.restart(cx, &clients).await
    }

    fn can_undo(&self) -> bool {
        true
    }

    async fn check_undone(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let Some((group, former)) = before(cx) else { return Ok(Check::Done(Output::default())) };
        let clients = World::of(cx).aws.read(cx).await?;
        let there = value(&clients, &group).await?;
        let in_force = match self.see(&clients).await? {
            Ok(writer) => writer.group != group || (writer.in_sync && writer.works()),
            Err(impossible) => return Ok(Check::Unknown(impossible.message)),
        };
        Ok(match there == former {
            true if in_force => Check::Done(Output::default()),
            true => Check::InProgress,
            false => Check::Absent,
        })
    }

    async fn undo(&self, cx: &StepCx, _done: &Output) -> Result<(), StepError> {
        let Some((group, former)) = before(&cx.read) else { return Ok(()) };
        let clients = World::of(&cx.read).aws.write(cx).await?;
        if value(&clients, &group).await? != former {
            self.set(&clients, &group, former.as_deref()).await?;
        }
        let back = cx.read.poll(|| async {
            Ok(match self.check_undone(&cx.read).await? {
                Check::Done(_) => Look::Ready(()),
                _ => Look::Pending(format!("`{group}` is being applied")),
            })
        });
        back.await.map_err(StepError::Doubt)
    }
}

impl ReadOnly {
    fn name(&self) -> String {
        self.instance.get().to_lowercase()
    }

    /// The instance, or why it cannot be fenced so.
    async fn see(&self, clients: &Clients) -> Result<Result<Writer, Failure>, Failure> {
        let (name, region) = (self.name(), &clients.region);
        let site = || clients.call("rds", "DescribeDBInstances");
        // All of them: who else has its parameter group is as much of the question.
        let pages = clients.rds.describe_db_instances().into_paginator().items().send();
        let all: Vec<DbInstance> = pages.try_collect().await.map_err(|e| site().read(&e))?;
        let Some(db) = all.iter().find(|db| db.db_instance_identifier() == Some(name.as_str())) else {
            let failure = Failure::new(format!("there is no database instance `{name}` in {region}"));
            return Ok(Err(failure.hint("is this its region? give the step `region: primary`")));
        };
        if let Some(failure) = unfit(db) {
            return Ok(Err(failure));
        }
        let group = db.db_parameter_groups().first();
        let group_name = group.and_then(|group| group.db_parameter_group_name()).unwrap_or_default().to_owned();
        if group_name.is_empty() || group_name.starts_with("default.") {
            let failure =
                Failure::new(format!("`{name}` has the parameter group `{group_name}`, which cannot be changed"));
            return Ok(Err(failure.hint("give it one of its own beforehand; now fence it by `fence.command`")));
        }
        let shares = |db: &&DbInstance| {
            db.db_instance_identifier() != Some(name.as_str())
                && db.db_parameter_groups().iter().any(|it| it.db_parameter_group_name() == Some(group_name.as_str()))
        };
        let others: Vec<_> = all.iter().filter(shares).filter_map(|db| db.db_instance_identifier()).collect();
        if !others.is_empty() {
            let text =
                format!("`{group_name}` is also the parameter group of {}: they would stop too", others.join(", "));
            let hint =
                format!("give `{name}` a parameter group of its own beforehand; now fence it by `fence.command`");
            return Ok(Err(Failure::new(text).hint(hint)));
        }
        Ok(Ok(Writer {
            value: value(clients, &group_name).await?,
            in_sync: group.and_then(|group| group.parameter_apply_status()) == Some("in-sync"),
            status: db.db_instance_status().unwrap_or("unknown").to_owned(),
            group: group_name,
        }))
    }

    /// The instance, once it works: out of nothing else can it be restarted.
    async fn at_work(&self, cx: &StepCx, clients: &Clients) -> Result<Writer, StepError> {
        let works = cx.read.poll(|| async {
            let writer = self.see(clients).await??;
            if broken(&writer.status) {
                return Err(Failure::new(format!("`{}` is {}: it cannot be restarted", self.name(), writer.status)));
            }
            let pending = format!("`{}` is {}", self.name(), writer.status);
            Ok(if writer.works() { Look::Ready(writer) } else { Look::Pending(pending) })
        });
        Ok(works.await?)
    }

    /// Sets the parameter, or lets the engine's default hold.
    async fn set(&self, clients: &Clients, group: &str, value: Option<&str>) -> Result<(), StepError> {
        let parameter = Parameter::builder().parameter_name(PARAMETER).apply_method(ApplyMethod::Immediate);
        if let Some(value) = value {
            let parameter = parameter.parameter_value(value).build();
            let call = clients.rds.modify_db_parameter_group().db_parameter_group_name(group).parameters(parameter);
            let site = clients.call("rds", "ModifyDBParameterGroup");
            return call.send().await.map(drop).map_err(|e| site.wrote(&e));
        }
        let call = clients.rds.reset_db_parameter_group().db_parameter_group_name(group);
        let site = clients.call("rds", "ResetDBParameterGroup");
        call.parameters(parameter.build()).send().await.map(drop).map_err(|e| site.wrote(&e))
    }

    /// Restarts it with the parameter set, and waits until that was seen and it
    /// works again.
    async fn restart(&self, cx: &StepCx, clients: &Clients) -> Result<Output, StepError> {
        let writer = self.at_work(cx, clients).await?;
        if !writer.is_read_only() {
            let text =
                format!("`{PARAMETER}` in `{}` is not {ON}, though it was set: somebody set it back", writer.group);
            return Err(Failure::new(text).into());
        }
        cx.record(RESTART, ASKED).await;
        let site = clients.call("rds", "RebootDBInstance");
        let asked = clients.rds.reboot_db_instance().db_instance_identifier(self.name()).send().await;
        asked.map_err(|e| site.wrote(&e))?;
        cx.read
            .poll(|| async {
                let writer = self.see(clients).await??;
                let pending = format!("`{}` is {}, and was not seen to restart yet", self.name(), writer.status);
                Ok(if writer.restarts() { Look::Ready(()) } else { Look::Pending(pending) })
            })
            .await
            .map_err(StepError::Doubt)?;
        cx.record(RESTART, SEEN).await;
        self.at_work_again(cx, clients).await
    }

    /// Waits until it works again after a restart that was seen.
    async fn at_work_again(&self, cx: &StepCx, clients: &Clients) -> Result<Output, StepError> {
        let done = cx.read.poll(|| async {
            let writer = self.see(clients).await??;
            let pending = format!("`{}` is {}", self.name(), writer.status);
            let ready = writer.is_read_only() && writer.in_sync && writer.works();
            Ok(if ready { Look::Ready(output(&writer)) } else { Look::Pending(pending) })
        });
        done.await.map_err(StepError::Doubt)
    }
}

/// Why this engine cannot be fenced so, if it cannot.
fn unfit(db: &DbInstance) -> Option<Failure> {
    let (name, engine) = (db.db_instance_identifier().unwrap_or_default(), db.engine().unwrap_or_default());
    let why = match engine {
        "mysql" | "mariadb" => return None,
        "postgres" => "any session can turn its `default_transaction_read_only` off, so that would prove nothing",
        engine if engine.starts_with("aurora") => "the parameters of a cluster are another matter",
        _ => "it has no parameter that refuses every write",
    };
    Some(
        Failure::new(format!("`{name}` is {engine}: {why}"))
            .hint("fence it otherwise: `fence.command`, whose `check` tries to write and is refused"),
    )
}

/// What a group says of the parameter, where somebody set it.
async fn value(clients: &Clients, group: &str) -> Result<Option<String>, Failure> {
    let pages = clients.rds.describe_db_parameters().db_parameter_group_name(group).source("user").into_paginator();
    let all: Vec<Parameter> = pages.items().send().try_collect().await.map_err(|e| {
        let failure = clients.call("rds", "DescribeDBParameters").read(&e);
        let gone = code(&e).starts_with("DBParameterGroupNotFound");
        if gone { failure.hint("somebody removed it; answer `done` if nothing writes there") } else { failure }
    })?;
    let found = all.iter().find(|it| it.parameter_name() == Some(PARAMETER));
    Ok(found.and_then(|it| it.parameter_value()).map(ToOwned::to_owned))
}

/// How far the restart is that proves it.
fn restart(cx: &ReadCx) -> Option<&str> {
    cx.fact(RESTART).and_then(Value::as_str)
}

/// The group that was changed, and what stood there before.
fn before(cx: &ReadCx) -> Option<(String, Option<String>)> {
    let before = cx.fact(BEFORE)?;
    Some((before["group"].as_str()?.to_owned(), before[PARAMETER].as_str().map(ToOwned::to_owned)))
}

fn output(writer: &Writer) -> Output {
    let values = [("parameter_group".to_owned(), Value::from(writer.group.as_str()))];
    Output { values: values.into_iter().collect(), recovery_point: None }
}
