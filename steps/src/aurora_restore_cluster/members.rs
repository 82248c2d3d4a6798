//! The cluster that is made, and its instances: how far they are, and how they
//! are taken back.

use super::{RestoreCluster, Seen, Stage, choice::find};
use crate::{
    aws::{
        Clients,
        error::code,
        limits,
        tags::{self, Owner},
    },
    rds::{self, broken, usable},
};
use aws_sdk_rds::types::{DbCluster, DbInstance, Tag};
use dr_engine::{
    outcome::Failure,
    step::{Look, ReadCx, StepCx, StepError},
};
use std::collections::BTreeSet;

fn owner<'t>(cx: &ReadCx, tags: &'t [Tag]) -> Owner {
    tags::owner(cx, tags.iter().filter_map(|tag: &'t Tag| tag.key().zip(tag.value())))
}

/// The way out where what was made is not what is asked for now.
const CHANGE: &str = "change it by hand, or set the inputs back; then answer `retry`";

/// What an instance of a cluster is in.
fn status(db: &DbInstance) -> &str {
    db.db_instance_status().unwrap_or("creating")
}

impl RestoreCluster {
    /// What stands under the cluster's name.
    pub(super) async fn see(&self, cx: &ReadCx, clients: &Clients) -> Result<Seen, Failure> {
        let Some(found) = find(clients, &self.name()).await? else { return Ok(Seen::Nothing) };
        Ok(match owner(cx, found.tag_list()) {
            Owner::Us => Seen::Ours(Box::new(found)),
            Owner::Other(who) => Seen::Theirs(who),
        })
    }

    pub(super) fn theirs(name: &str, region: &str, who: &str) -> Failure {
        Failure::new(format!("`{name}` already exists in {region} and belongs to {who}"))
            .hint("choose another `target`, or remove it by hand")
    }

    /// How far the cluster and its instances are.
    pub(super) async fn stage(&self, cx: &ReadCx, clients: &Clients, cluster: &DbCluster) -> Result<Stage, Failure> {
        let (name, status) = (self.name(), cluster.status().unwrap_or("creating"));
        if broken(status) || matches!(status, "cloning-failed" | "migration-failed") {
            return Ok(Stage::Broken(Failure::new(format!("`{name}` is {status}"))));
        }
        if status != "available" {
            return Ok(Stage::Moving(format!("`{name}` is {status}")));
        }
        for (what, is, wanted) in [
            ("subnet group", cluster.db_subnet_group(), self.subnet_group.get()),
            ("parameter group", cluster.db_cluster_parameter_group(), self.parameter_group.get()),
        ] {
            if is != Some(wanted) {
                let is = is.unwrap_or("none");
                return Ok(Stage::Broken(Failure::new(format!("`{name}` has the {what} `{is}`, not `{wanted}`"))));
            }
        }
        let has: BTreeSet<_> = cluster.vpc_security_groups().iter().filter_map(|g| g.vpc_security_group_id()).collect();
        let wants: BTreeSet<_> = self.security_groups.iter().map(|group| group.get().as_str()).collect();
        if has != wants {
            let list = |groups: BTreeSet<&str>| groups.into_iter().collect::<Vec<_>>().join(", ");
            let text = format!("`{name}` has the security groups {}, not {}", list(has), list(wants));
            return Ok(Stage::Broken(Failure::new(text).hint(CHANGE)));
        }
        let (mut missing, mut moving) = (Vec::new(), None);
        for member in self.members() {
            let Some(db) = rds::find(cx, clients, &member).await? else {
                missing.push(member);
                continue;
            };
            if let Owner::Other(who) = owner(cx, db.tag_list()) {
                return Ok(Stage::Broken(Self::theirs(&member, &clients.region, &who)));
            }
            let status = self::status(&db);
            if broken(status) {
                return Ok(Stage::Broken(Failure::new(format!("`{member}` is {status}"))));
            }
            if !usable(status) {
                moving = Some(format!("`{member}` is {status}"));
            } else if db.db_instance_class() != Some(self.class.get()) {
                let is = db.db_instance_class().unwrap_or("of no known class");
                let text = format!("`{member}` is {is}, not {}", self.class);
                return Ok(Stage::Broken(Failure::new(text).hint(CHANGE)));
            }
        }
        let writes = cluster.db_cluster_members().iter().any(|member| member.is_cluster_writer() == Some(true));
        Ok(match (missing.is_empty(), moving) {
            (false, _) => Stage::Lacks(missing),
            (true, Some(says)) => Stage::Moving(says),
            (true, None) if writes => Stage::Ready,
            (true, None) => Stage::Moving(format!("no instance of `{name}` writes yet")),
        })
    }

    /// Waits until nothing moves. What was `made` may not be seen at once.
    pub(super) async fn settled(
        &self,
        cx: &ReadCx,
        clients: &Clients,
        made: &[String],
    ) -> Result<(Box<DbCluster>, Stage), Failure> {
        let since = cx.clock.now();
        let unseen = |name: &String| made.contains(name) && cx.clock.now().since(since) < limits::UNSEEN;
        cx.poll(|| async {
            let cluster = match self.see(cx, clients).await? {
                Seen::Ours(cluster) => cluster,
                Seen::Theirs(who) => return Err(Self::theirs(&self.name(), &clients.region, &who)),
                Seen::Nothing if unseen(&self.name()) => {
                    return Ok(Look::Pending(format!("`{}` is not seen yet", self.name())));
                }
                Seen::Nothing => return Err(Failure::new(format!("`{}` has gone", self.name()))),
            };
            Ok(match self.stage(cx, clients, &cluster).await? {
                Stage::Moving(says) => Look::Pending(says),
                Stage::Lacks(missing) if missing.iter().any(unseen) => {
                    Look::Pending(format!("`{}` is not seen yet", missing.join("`, `")))
                }
                stage => Look::Ready((cluster, stage)),
            })
        })
        .await
    }

    /// Makes one instance. One that is there already is looked at by the next stage.
    pub(super) async fn add(&self, cx: &StepCx, clients: &Clients, name: &str, engine: &str) -> Result<(), StepError> {
        let tag = |(key, value)| Tag::builder().key(key).value(value).build();
        let request = clients.rds.create_db_instance().db_instance_identifier(name).db_cluster_identifier(self.name());
        let request = request.engine(engine).db_instance_class(self.class.get()).publicly_accessible(false);
        match request.set_tags(Some(tags::of(&cx.read).map(tag).into())).send().await {
            Err(e) if code(&e).starts_with("DBInstanceAlreadyExists") => Ok(()),
            reply => reply.map(drop).map_err(|e| clients.call("rds", "CreateDBInstance").wrote(&e)),
        }
    }

    /// Deletes the instances, and waits until they are gone. One that is not this run's ends it.
    pub(super) async fn empty(&self, cx: &StepCx, clients: &Clients, cluster: &DbCluster) -> Result<(), StepError> {
        let mut names: Vec<_> =
            cluster.db_cluster_members().iter().filter_map(|m| m.db_instance_identifier()).collect();
        names.sort_unstable();
        for name in &names {
            if let Some(db) = rds::find(&cx.read, clients, name).await?
                && let Owner::Other(who) = owner(&cx.read, db.tag_list())
            {
                let text = format!("`{}` has the instance `{name}`, which belongs to {who}", self.name());
                return Err(Failure::new(text).hint("remove that instance by hand, then answer `retry`").into());
            }
        }
        for name in &names {
            let rest = || async {
                Ok(match rds::find(&cx.read, clients, name).await? {
                    Some(db) if usable(status(&db)) || broken(status(&db)) => Look::Ready(status(&db) != "deleting"),
                    Some(db) => Look::Pending(format!("`{name}` is {}", status(&db))),
                    None => Look::Ready(false),
                })
            };
            if cx.read.poll(rest).await? {
                let request = clients.rds.delete_db_instance().db_instance_identifier(*name).skip_final_snapshot(true);
                match request.send().await {
                    Err(e) if code(&e).starts_with("DBInstanceNotFound") => {}
                    reply => drop(reply.map_err(|e| clients.call("rds", "DeleteDBInstance").wrote(&e))?),
                }
            }
        }
        for name in names {
            let gone = || async {
                Ok(match rds::find(&cx.read, clients, name).await? {
                    Some(db) => Look::Pending(format!("`{name}` is {}", status(&db))),
                    None => Look::Ready(()),
                })
            };
            cx.read.poll(gone).await?;
        }
        Ok(())
    }
}
