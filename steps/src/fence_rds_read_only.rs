//! `fence.rds_read_only`: a `MySQL` or `MariaDB` instance that takes no writes.
//!
//! `read_only` refuses the writes of every account that has none of SUPER,
//! `CONNECTION_ADMIN` and READ ONLY ADMIN, and RDS gives those to nobody, the
//! master user included (AWS RDS User Guide, Master user account privileges).
//! That the parameter is set proves nothing by itself: see [`fence`].

use crate::{
    aws::Clients,
    rds::fence::{self, Fence, Writer},
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
use std::sync::atomic::AtomicBool;

/// Makes the old writer read-only: an RDS instance of `MySQL` or `MariaDB`.
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
/// The field of the fact that names the group.
const GROUP: &str = "group";

impl Explained for ReadOnly {
    const REFERENCE: Reference = Reference {
        check: "`DescribeDBInstances` and `DescribeDBParameters`. Proven is: `read_only` is 1 in the instance's \
            parameter group, the group is in sync, the instance works, and this run saw it restart after the \
            parameter was set. One that is read-only and was not made so by this run cannot be told from one \
            that is not: a person is asked, and `retry` restarts it. An instance that is not MySQL or MariaDB, that has a default group, or shares its \
            group with another, cannot be fenced so. A region that does not answer is a look that failed, never \
            a proof.",
        run: "Writes down what stood there, `ModifyDBParameterGroup` with `read_only` 1 at once, waits until the \
            group is applied and the instance works, `RebootDBInstance`, and waits until it was seen to restart \
            and works again.",
        undo: Some(
            "Puts `read_only` back to what stood there before (`ModifyDBParameterGroup`, or \
             `ResetDBParameterGroup` where the group did not set it), and waits until the group is in sync. An \
             instance that this run fenced before the inputs named another one is not touched: while it is \
             fenced, a person is asked.",
        ),
        recovery_point: None,
        time: "1 to 5 minutes, most of it the restart; long transactions and a large buffer pool take longer.",
        traps: &[
            "The instance needs a parameter group of its own beforehand: a default one cannot be changed, and \
             one that is shared would stop other databases too.",
            "PostgreSQL has nothing like it: any session can turn `default_transaction_read_only` off. Use \
             `fence.security_group`.",
            "A restart also puts in force what waited for one: other parameters of the group.",
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
        fence::check(self, cx).await
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        fence::run(self, cx).await
    }

    fn can_undo(&self) -> bool {
        true
    }

    async fn check_undone(&self, cx: &ReadCx) -> Result<Check, Failure> {
        if !fence::fenced(cx) {
            return Ok(Check::Done(Output::default()));
        }
        let clients = World::of(cx).aws.read(cx).await?;
        let writer = match self.see(&clients).await.map_err(unseen)? {
            Ok(writer) => writer,
            Err(impossible) => return Ok(Check::Unknown(impossible.message)),
        };
        if let Some((group, former)) = writer.which.before(cx).and_then(stood) {
            let in_force = writer.stands[GROUP] != group.as_str() || (writer.in_force && writer.works());
            match value(&clients, &group).await.map_err(unseen)? == former {
                true if in_force => {}
                true => return Ok(Check::InProgress),
                false => return Ok(Check::Absent),
            }
        }
        // The one that the inputs name came first: it can be put back by the step itself.
        let left = self.left(cx, &clients).await?;
        Ok(left.map_or(Check::Done(Output::default()), Check::Impossible))
    }

    async fn undo(&self, cx: &StepCx, _done: &Output) -> Result<(), StepError> {
        if !fence::fenced(&cx.read) {
            return Ok(());
        }
        let clients = World::of(&cx.read).aws.write(cx).await?;
        let writer = self.see(&clients).await.map_err(unseen)??;
        if let Some((group, former)) = writer.which.before(&cx.read).and_then(stood)
            && value(&clients, &group).await.map_err(unseen)? != former
        {
            set(&clients, &group, former.as_deref()).await?;
        }
        let back = cx.read.poll(|| async {
            Ok(match self.check_undone(&cx.read).await? {
                Check::Done(_) => Look::Ready(None),
                Check::Impossible(left) => Look::Ready(Some(left)),
                _ => Look::Pending(format!("the parameter group of `{}` is being applied", self.name())),
            })
        });
        back.await.map_err(StepError::Doubt)?.map_or(Ok(()), |left| Err(left.into()))
    }
}

impl ReadOnly {
    /// That another instance, which this run fenced, is still read-only.
    async fn left(&self, cx: &ReadCx, clients: &Clients) -> Result<Option<Failure>, Failure> {
        let all = fence::instances(clients).await?;
        for (db, before) in fence::others(cx, &all, &self.name()) {
            let Some((group, former)) = stood(before) else { continue };
            let has = |it: &DbInstance| {
                it.db_parameter_groups().iter().any(|it| it.db_parameter_group_name() == Some(group.as_str()))
            };
            if has(db) && value(clients, &group).await.map_err(unseen)? != former {
                let name = db.db_instance_identifier().unwrap_or_default();
                let former = former.as_deref().unwrap_or("not set");
                return Ok(Some(fence::left(name, &format!("`{PARAMETER}` {former} in `{group}`"))));
            }
        }
        Ok(None)
    }
}

#[async_trait]
impl Fence for ReadOnly {
    fn name(&self) -> String {
        self.instance.get().to_lowercase()
    }

    fn so(&self) -> &'static str {
        "is read-only"
    }

    fn restarting(&self) -> &AtomicBool {
        &self.restarting
    }

    async fn see(&self, clients: &Clients) -> Result<Result<Writer, Failure>, Failure> {
        let (name, all) = (self.name(), fence::instances(clients).await?);
        let (db, group) = match own_group(&name, &all, &clients.region) {
            Ok(found) => found,
            Err(impossible) => return Ok(Err(impossible)),
        };
        let value = value(clients, group).await.map_err(unset)?;
        let applied = db.db_parameter_groups().first().and_then(|group| group.parameter_apply_status());
        let values = [("parameter_group".to_owned(), Value::from(group))].into_iter().collect();
        Ok(Ok(Writer {
            set: value.as_deref() == Some(ON),
            // Another parameter that waits for a restart keeps the group from being in sync before it.
            arrived: matches!(applied, Some("in-sync" | "pending-reboot")),
            in_force: applied == Some("in-sync"),
            stands: json!({ GROUP: group, PARAMETER: value }),
            output: Output { values, recovery_point: None },
            ..Writer::of(db)
        }))
    }

    async fn set(&self, clients: &Clients) -> Result<(), StepError> {
        let all = fence::instances(clients).await?;
        let (_, group) = own_group(&self.name(), &all, &clients.region)?;
        set(clients, group, Some(ON)).await
    }
}

/// The instance and its parameter group, which is nobody else's; or why it
/// cannot be fenced so.
fn own_group<'a>(name: &str, all: &'a [DbInstance], region: &str) -> Result<(&'a DbInstance, &'a str), Failure> {
    let is = |db: &&DbInstance| db.db_instance_identifier() == Some(name);
    let db = all.iter().find(is).ok_or_else(|| fence::missing(name, region))?;
    if let Some(failure) = unfit(db) {
        return Err(failure);
    }
    let group = db.db_parameter_groups().first().and_then(|group| group.db_parameter_group_name());
    let group = group.unwrap_or("default.");
    if group.starts_with("default.") {
        let failure = Failure::new(format!("`{name}` has the parameter group `{group}`, which cannot be changed"));
        return Err(failure.hint("give it one of its own beforehand; now use `fence.security_group`"));
    }
    let has = |db: &DbInstance| db.db_parameter_groups().iter().any(|it| it.db_parameter_group_name() == Some(group));
    let others = all.iter().filter(|db| !is(db) && has(db)).filter_map(|db| db.db_instance_identifier());
    let others: Vec<_> = others.collect();
    if others.is_empty() {
        return Ok((db, group));
    }
    let text = format!("`{group}` is also the parameter group of {}: they would stop too", others.join(", "));
    let hint = format!("give `{name}` a parameter group of its own beforehand; now use `fence.security_group`");
    Err(Failure::new(text).hint(hint))
}

/// Sets the parameter, or lets the engine's default hold.
async fn set(clients: &Clients, group: &str, value: Option<&str>) -> Result<(), StepError> {
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
            .hint("use `fence.security_group`, or `fence.command`, whose `check` tries to write and is refused"),
    )
}

/// The way out, while fencing, where the group was removed: a fence is not
/// said to be done without its look.
fn unset(failure: Failure) -> Failure {
    gone(failure, "somebody removed it; `retry` looks again, or two people say `impossible` if nothing writes there")
}

/// The same while taking the fence away.
fn unseen(failure: Failure) -> Failure {
    gone(failure, "somebody removed it; put it back and answer `retry`, or `skip` if nothing is to be taken back")
}

fn gone(failure: Failure, hint: &str) -> Failure {
    let code = failure.call.as_ref().and_then(|call| call.code.as_deref()).unwrap_or_default();
    if code.starts_with("DBParameterGroupNotFound") { failure.hint(hint) } else { failure }
}

/// What a group says of the parameter, where somebody set it.
async fn value(clients: &Clients, group: &str) -> Result<Option<String>, Failure> {
    let pages = clients.rds.describe_db_parameters().db_parameter_group_name(group).source("user").into_paginator();
    let found = pages.items().send().try_collect().await;
    let all: Vec<Parameter> = found.map_err(|e| clients.call("rds", "DescribeDBParameters").read(&e))?;
    let found = all.iter().find(|it| it.parameter_name() == Some(PARAMETER));
    Ok(found.and_then(|it| it.parameter_value()).map(ToOwned::to_owned))
}

/// The group that was changed, and what stood there before, as the fact has it.
fn stood(before: &Value) -> Option<(String, Option<String>)> {
    Some((before[GROUP].as_str()?.to_owned(), before[PARAMETER].as_str().map(ToOwned::to_owned)))
}
