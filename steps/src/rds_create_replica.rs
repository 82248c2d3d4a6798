//! `rds.create_replica`: a database that follows another one: the way home
//! after a promotion, or what is promoted the next time.
//!
//! How an instance is made, waited for and taken back stands in `rds.rs`. It is
//! asked for in the region where the replica is to stand (AWS RDS API
//! Reference, `CreateDBInstanceReadReplica`). A replica is there when it
//! follows: `available` it is before.
//!
//! A replica gives no recovery point: the store that is back is another one.
//! Once it was promoted it is never deleted by an undo.
//!
//! Left out: clusters, replicas of replicas across regions, delayed ones, and
//! the regions of `GovCloud` and China, which want a signed address of the source.

use crate::{
    aws::Clients,
    rds::{self, Made, Origin, Wanted},
    world::World,
};
use async_trait::async_trait;
use dr_engine::{
    kind::{Explained, Reference},
    outcome::{Failure, Output},
    step::{Check, Description, OutputName, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Makes a read replica of a database in the step's region, and waits until it
/// follows.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateReplica {
    /// The database that it is to follow.
    source: In<String>,
    /// The region that this is in, which has to answer; else the step's own.
    #[serde(default)]
    from: Option<In<String>>,
    /// The name of the replica.
    target: In<String>,
    /// Its class; else that of the source.
    #[serde(default)]
    class: Option<In<String>>,
    /// Its subnet group.
    subnet_group: In<String>,
    /// Its security groups; without them AWS would take the default one.
    security_groups: Vec<In<String>>,
    /// Its parameter group; without it AWS would take the default one.
    parameter_group: In<String>,
    /// Whether it stands in two availability zones; else in one.
    #[serde(default)]
    multi_az: Option<In<bool>>,
    /// The key of the step's region that it is encrypted with. Wanted where
    /// what is encrypted is followed from another region.
    #[serde(default)]
    kms_key: Option<In<String>>,
}

/// What the step resolved, and will not resolve again in this run while the
/// inputs ask for the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Chosen {
    arn: String,
    asked: Asked,
}

/// The inputs that a choice follows from. A person can change them with `retry --set`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Asked {
    source: String,
    from: Option<String>,
    kms_key: Option<String>,
}

/// The name of the fact that holds it.
const CHOSEN: &str = "source";

impl CreateReplica {
    fn instance(&self) -> Wanted {
        Wanted {
            name: self.target.get().to_lowercase(),
            class: self.class.as_ref().map(|class| class.get().clone()),
            subnet_group: self.subnet_group.get().clone(),
            security_groups: self.security_groups.iter().map(|group| group.get().clone()).collect(),
            parameter_group: self.parameter_group.get().clone(),
            multi_az: self.multi_az.as_ref().is_some_and(|wanted| *wanted.get()),
            follows: true,
        }
    }

    fn asked(&self) -> Asked {
        let text = |input: &Option<In<String>>| input.as_ref().map(|text| text.get().clone());
        let source = self.source.get().to_lowercase();
        Asked { source, from: text(&self.from), kms_key: text(&self.kms_key) }
    }

    /// What it will follow: what was written down, or what the inputs ask for.
    /// What was written down stands though its region is lost since.
    async fn decide(&self, cx: &ReadCx, here: &Clients) -> Result<Chosen, Failure> {
        let asked = self.asked();
        let known = cx.fact(CHOSEN).and_then(|fact| Chosen::deserialize(fact).ok());
        if let Some(known) = known.filter(|known| known.asked == asked) {
            return Ok(known);
        }
        let there = match &asked.from {
            Some(region) => Some(World::of(cx).aws.read_in(cx, Some(region)).await?),
            None => None,
        };
        let clients = there.as_ref().unwrap_or(here);
        let (source, region) = (&asked.source, &clients.region);
        let missing = || {
            let text = format!("there is no database instance `{source}` in {region}");
            Failure::new(text).hint("is `source` its name, and `from` its region?")
        };
        let db = rds::find(cx, clients, source).await?.ok_or_else(missing)?;
        if db.backup_retention_period() == Some(0) {
            let text = format!("`{source}` in {region} keeps no automated backups, and nothing can follow it without");
            return Err(Failure::new(text).hint("give it a backup retention period of a day at least"));
        }
        if db.storage_encrypted() == Some(true) && asked.kms_key.is_none() && *region != here.region {
            let text = format!("`{source}` is encrypted, and a key of {region} is none in {}", here.region);
            return Err(Failure::new(text).hint("name a key of the step's region: `kms_key`"));
        }
        let nameless = || Failure::new(format!("`{source}` does not say its ARN"));
        Ok(Chosen { arn: db.db_instance_arn().ok_or_else(nameless)?.to_owned(), asked })
    }

    async fn make(&self, cx: &StepCx, clients: &Clients, choice: &Chosen) -> Result<Made, StepError> {
        if cx.read.fact(CHOSEN) != Some(&json!(choice)) {
            cx.record(CHOSEN, json!(choice)).await;
        }
        let Wanted { name, class, subnet_group, security_groups, parameter_group, multi_az, .. } = self.instance();
        // Within a region RDS wants the name, across regions the ARN.
        let away = choice.asked.from.as_ref().is_some_and(|from| *from != clients.region);
        let source = if away { &choice.arn } else { &choice.asked.source };
        let reply = clients
            .rds
            .create_db_instance_read_replica()
            .db_instance_identifier(name)
            .source_db_instance_identifier(source)
            .set_db_instance_class(class)
            .db_subnet_group_name(subnet_group)
            .set_vpc_security_group_ids(Some(security_groups))
            .db_parameter_group_name(parameter_group)
            .multi_az(multi_az)
            .publicly_accessible(false)
            .set_kms_key_id(choice.asked.kms_key.clone())
            .set_tags(Some(Wanted::tags(&cx.read, &choice.origin())))
            .send()
            .await;
        let call = clients.call("rds", "CreateDBInstanceReadReplica");
        Made::of(reply.map(|reply| reply.db_instance), |e| call.wrote(e))
    }

    fn output(mut output: Output, choice: &Chosen) -> Output {
        output.values.insert("source".into(), choice.arn.clone().into());
        output
    }
}

impl Chosen {
    fn origin(&self) -> Origin {
        Origin { from: self.arn.clone(), recovery_point: None }
    }
}

impl Explained for CreateReplica {
    const REFERENCE: Reference = Reference {
        check: "`DescribeDBInstances` on the target. Nothing of it while the name is free; under way while the \
            instance is being made, differs from what is asked for in class, security groups, parameter group \
            or zones, or does not follow its source yet; done when it is available, differs in nothing and \
            replicates. An instance that is not this run's, follows something else or nothing, stands in another \
            subnet group, or is in a state out of which it does not come by itself, is refused.",
        run: "`DescribeDBInstances` where the source is; writes down which it is; `CreateDBInstanceReadReplica`, \
            called in the step's region; waits until the replica is available and follows; `ModifyDBInstance` \
            for what differs from what is asked for, and waits again.",
        undo: Some(
            "Waits until the replica can be changed, takes its deletion protection off, `DeleteDBInstance` without \
            a final snapshot, and waits until it is gone. Only this run's replica is deleted, and never one that \
            was promoted since.",
        ),
        recovery_point: Some("None: a replica is no store that is back. What promotes it says of when its data is."),
        time: "20 minutes to hours, by the size of the source (general knowledge, not measured).",
        traps: &[
            "The region of the source has to answer.",
            "The source has to keep automated backups: RDS makes a replica out of a snapshot of it.",
            "What is encrypted needs a key of the step's region: `kms_key`.",
            "It is `available` before it has caught up; how far it is behind CloudWatch says (`ReplicaLag`).",
            "A replica keeps no automated backups by itself; without them its first one follows its promotion.",
        ],
        example: "
            way_home:
              do:
                rds.create_replica:
                  source: orders-replica
                  from: eu-central-1
                  target: orders-home
                  class: db.r6g.large
                  subnet_group: prod-private
                  security_groups: [sg-0123456789abcdef0]
                  parameter_group: prod-pg15
                  multi_az: true
              region: eu-west-1
              timeout: 6h
        ",
    };
}

#[async_trait]
impl Step for CreateReplica {
    fn describe(&self) -> Description {
        let from = self.from.as_ref().map_or(String::new(), |from| format!(" in {from}"));
        Description {
            summary: format!("make `{}`, a replica of database `{}`{from}", self.target, self.source),
            actions: ["rds:CreateDBInstanceReadReplica"].into_iter().chain(rds::ACTIONS).collect(),
            regions: self.from.iter().map(ToString::to_string).collect(),
            ..Description::default()
        }
    }

    fn outputs(&self) -> Vec<OutputName> {
        rds::outputs(&["source"])
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let clients = World::of(cx).aws.read(cx).await?;
        let mut choice = None;
        let decide = async { Ok(choice.insert(self.decide(cx, &clients).await?).origin()) };
        let check = Box::pin(self.instance().check(cx, &clients, decide)).await?;
        Ok(match (check, choice) {
            (Check::Done(output), Some(choice)) => Check::Done(Self::output(output, &choice)),
            (check, _) => check,
        })
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let clients = World::of(&cx.read).aws.write(cx).await?;
        let choice = self.decide(&cx.read, &clients).await?;
        let make = self.make(cx, &clients, &choice);
        let output = Box::pin(self.instance().run(cx, &clients, &choice.origin(), make)).await?;
        Ok(Self::output(output, &choice))
    }

    fn can_undo(&self) -> bool {
        true
    }

    async fn check_undone(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let clients = World::of(cx).aws.read(cx).await?;
        self.instance().check_undone(cx, &clients).await
    }

    async fn undo(&self, cx: &StepCx, _: &Output) -> Result<(), StepError> {
        let clients = World::of(&cx.read).aws.write(cx).await?;
        self.instance().undo(cx, &clients).await
    }
}
