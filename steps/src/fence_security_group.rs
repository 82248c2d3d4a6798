//! `fence.security_group`: an RDS instance that nobody can reach.
//!
//! The instance is put into one security group without any rule, in place of
//! those it has: to take rules away from these would cut off whoever shares
//! them. A security group does not end a connection that is established and
//! tracked ("Security group connection tracking", Amazon EC2 User Guide), so
//! the instance is restarted: see [`fence`].

use crate::{
    aws::Clients,
    rds::fence::{self, Fence, Which, Writer},
    world::World,
};
use async_trait::async_trait;
use aws_sdk_rds::types::DbInstance;
use dr_engine::{
    kind::{Explained, Reference},
    need::Need,
    outcome::{Failure, Output},
    step::{Check, Description, Look, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::atomic::AtomicBool;

/// Cuts the old writer off: an RDS instance of any engine that nobody can reach.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecurityGroup {
    /// The instance that is to write no more, in the step's region: `region: primary`.
    pub instance: In<String>,
    /// The security group, by its id, that takes the place of those that it has: one of the instance's VPC,
    /// made beforehand, without any rule for traffic in or out.
    pub group: In<String>,
    /// The look that began this attempt saw it restart.
    #[serde(skip)]
    #[schemars(skip)]
    restarting: AtomicBool,
}

/// The field of the fact that names the groups of before.
const GROUPS: &str = "groups";

impl Explained for SecurityGroup {
    const REFERENCE: Reference = Reference {
        check: "`DescribeDBInstances`, and `aws ec2 describe-security-groups` by the AWS command line. Proven is: \
            the instance is in that security group alone, which has no rule for traffic in or out; RDS calls it \
            active, the instance works, and this run saw it restart after it was put there. One that is there \
            and was not put there by this run is a question, and `retry` restarts it. An instance of a cluster \
            cannot be fenced so. A region that does not answer is a look that failed, never a proof.",
        run: "Looks that the group has no rule, writes down the groups of before, `ModifyDBInstance` with that \
            group alone, waits until RDS shows it active and the instance works, and half a minute more, since \
            that word is not exact; `RebootDBInstance`, and waits until it was seen to restart and works again: a \
            security group does not end connections that are established.",
        undo: Some(
            "`ModifyDBInstance` with the groups of before, and waits until RDS calls them active. An instance \
             that this run fenced before the inputs named another one is not touched: while it is fenced, a \
             person is asked.",
        ),
        recovery_point: None,
        time: "1 to 5 minutes, most of it the restart; long transactions and a large buffer pool take longer.",
        traps: &[
            "What runs within the database goes on: jobs of pg_cron, events of MySQL's scheduler.",
            "Without the AWS command line on this host nobody can look at the group: see `aws.cli`.",
            "A restart ends all connections, and puts in force what waited for one: other parameters.",
            "Whoever may change the instance or the group's rules can take the fence away; so can a deployment \
             that writes them.",
            "Give the step `region: primary`: by default a step works in the region of the recovery.",
        ],
        example: "
            orders_are_cut_off:
              region: eu-west-1
              do:
                fence.security_group:
                  instance: orders
                  group: sg-0a1b2c3d4e5f60718
              timeout: 15m
        ",
    };
}

#[async_trait]
impl Step for SecurityGroup {
    fn describe(&self) -> Description {
        Description {
            summary: format!("cuts the database {} off by {}, and restarts it to be sure", self.instance, self.group),
            actions: vec![
                "ec2:DescribeSecurityGroups",
                "rds:DescribeDBInstances",
                "rds:ModifyDBInstance",
                "rds:RebootDBInstance",
            ],
            fences: true,
            ..Description::default()
        }
    }

    fn leans_on(&self) -> Vec<Need> {
        vec![Need::ProviderCli]
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
        let all = fence::instances(&clients).await?;
        let back = self.back(cx, &all, &clients.region);
        // The one that the inputs name comes first: it can be put back by the step itself.
        let is_back = matches!(back, Check::Done(_));
        Ok(self.left(cx, &all).filter(|_| is_back).map_or(back, Check::Impossible))
    }

    async fn undo(&self, cx: &StepCx, _done: &Output) -> Result<(), StepError> {
        if !fence::fenced(&cx.read) {
            return Ok(());
        }
        let clients = World::of(&cx.read).aws.write(cx).await?;
        let all = fence::instances(&clients).await?;
        let db = find(&all, &self.name()).ok_or_else(|| fence::missing(&self.name(), &clients.region))?;
        if let Some(former) = before(&cx.read, db)
            && groups(db).0 != former
        {
            put(&clients, &self.name(), former).await?;
        }
        let back = cx.read.poll(|| async {
            Ok(match self.check_undone(&cx.read).await? {
                Check::Done(_) => Look::Ready(None),
                Check::Impossible(left) => Look::Ready(Some(left)),
                _ => Look::Pending(format!("`{}` is not yet in the security groups of before", self.name())),
            })
        });
        back.await.map_err(StepError::Doubt)?.map_or(Ok(()), |left| Err(left.into()))
    }
}

impl SecurityGroup {
    /// Whether the instance is as it was before this run changed it.
    fn back(&self, cx: &ReadCx, all: &[DbInstance], region: &str) -> Check {
        let Some(db) = find(all, &self.name()) else {
            return Check::Unknown(fence::missing(&self.name(), region).message);
        };
        let Some(former) = before(cx, db) else { return Check::Done(Output::default()) };
        let (groups, active) = groups(db);
        match groups == former {
            true if active && Writer::of(db).works() => Check::Done(Output::default()),
            true => Check::InProgress,
            false => Check::Absent,
        }
    }

    /// That another instance, which this run fenced, is still not in its groups.
    fn left(&self, cx: &ReadCx, all: &[DbInstance]) -> Option<Failure> {
        fence::others(cx, all, &self.name()).into_iter().find_map(|(db, stood)| {
            let former = named(stood)?;
            let name = db.db_instance_identifier().unwrap_or_default();
            (groups(db).0 != former).then(|| fence::left(name, &format!("the security groups {}", former.join(", "))))
        })
    }
}

#[async_trait]
impl Fence for SecurityGroup {
    fn name(&self) -> String {
        self.instance.get().to_lowercase()
    }

    fn so(&self) -> &'static str {
        "is cut off"
    }

    fn restarting(&self) -> &AtomicBool {
        &self.restarting
    }

    async fn see(&self, clients: &Clients) -> Result<Result<Writer, Failure>, Failure> {
        let (name, all) = (self.name(), fence::instances(clients).await?);
        let Some(db) = find(&all, &name) else { return Ok(Err(fence::missing(&name, &clients.region))) };
        if let Some(cluster) = db.db_cluster_identifier() {
            let failure = Failure::new(format!("`{name}` belongs to the cluster `{cluster}`, which has the groups"));
            return Ok(Err(failure.hint("use `fence.command`, whose `check` tries to write and is refused")));
        }
        let (groups, active) = groups(db);
        Ok(Ok(Writer {
            set: groups == [self.group.get().as_str()],
            arrived: active,
            in_force: active,
            stands: json!({ GROUPS: groups }),
            ..Writer::of(db)
        }))
    }

    async fn lacks(&self, cx: &ReadCx) -> Result<Option<Failure>, Failure> {
        let group = self.group.get();
        let words = ["ec2", "describe-security-groups", "--group-ids", group].map(ToOwned::to_owned);
        let answer = match World::of(cx).aws.cli_look(cx, &words).await? {
            Ok(answer) => answer,
            Err(trouble) => return Err(trouble.read()),
        };
        let found: Value =
            serde_json::from_str(&answer.text).map_err(|e| Failure::new(format!("the answer is not JSON: {e}")))?;
        let rules = |field: &str| found.pointer(&format!("/SecurityGroups/0/{field}")).and_then(Value::as_array);
        let (Some(into), Some(out)) = (rules("IpPermissions"), rules("IpPermissionsEgress")) else {
            return Err(Failure::new(format!(
                "`aws ec2 describe-security-groups` does not say the rules of `{group}`"
            )));
        };
        if into.is_empty() && out.is_empty() {
            return Ok(None);
        }
        let text = format!("`{group}` has rules: {} for traffic in, {} for traffic out", into.len(), out.len());
        Ok(Some(Failure::new(text).hint("a fence has none: take them away, or name another security group")))
    }

    async fn set(&self, clients: &Clients) -> Result<(), StepError> {
        put(clients, &self.name(), vec![self.group.get().clone()]).await
    }
}

fn find<'a>(all: &'a [DbInstance], name: &str) -> Option<&'a DbInstance> {
    all.iter().find(|db| db.db_instance_identifier() == Some(name))
}

/// The security groups of an instance, in order, and whether RDS calls all of them active.
fn groups(db: &DbInstance) -> (Vec<String>, bool) {
    let groups = db.vpc_security_groups();
    let mut ids: Vec<_> = groups.iter().filter_map(|it| it.vpc_security_group_id()).map(ToOwned::to_owned).collect();
    ids.sort();
    (ids, groups.iter().all(|it| it.status() == Some("active")))
}

/// The groups of before, in order.
fn before(cx: &ReadCx, db: &DbInstance) -> Option<Vec<String>> {
    named(Which::of(db).before(cx)?)
}

/// The groups that a fact names.
fn named(stood: &Value) -> Option<Vec<String>> {
    let groups = stood[GROUPS].as_array()?;
    Some(groups.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect())
}

/// Puts an instance into these groups alone. They are changed as soon as RDS
/// can; `ApplyImmediately` would take along whatever else is pending.
async fn put(clients: &Clients, name: &str, groups: Vec<String>) -> Result<(), StepError> {
    let call = clients.rds.modify_db_instance().db_instance_identifier(name).set_vpc_security_group_ids(Some(groups));
    let site = clients.call("rds", "ModifyDBInstance");
    call.send().await.map(drop).map_err(|e| site.wrote(&e))
}
