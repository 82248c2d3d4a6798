//! `ecs.scale_service`: as many tasks of a service as are wanted.
//!
//! A desired state: it is read, compared, and written only where it differs.
//! Done is one deployment, completed, with as many tasks running as wanted and
//! none pending (Amazon ECS API Reference, Deployment). Whoever set the count,
//! a service that is on its way to it is waited for: to set it again would
//! change nothing. The count that stood before is written down first, and undo
//! sets it again, but not over a count that somebody else set meanwhile.
//!
//! Left out: the bounds of Application Auto Scaling. Where a service is scaled
//! by it, a count outside them is soon set back (Application Auto Scaling User
//! Guide, Register a scalable target); move them in a step before. New
//! deployments and task definitions, and services of the kind DAEMON, which
//! have no count. The health of load balancer targets is a matter of `verify`.

use crate::{
    aws::{Clients, limits},
    text,
    world::World,
};
use async_trait::async_trait;
use aws_sdk_ecs::types::{DeploymentRolloutState, SchedulingStrategy, Service};
use dr_engine::{
    kind::{Explained, Reference},
    outcome::{Failure, Output},
    step::{Check, Description, Look, OutputName, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::atomic::{AtomicBool, Ordering},
};

/// Sets how many tasks of a service run, and waits until they do.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScaleService {
    /// The cluster.
    cluster: In<String>,
    /// The service.
    service: In<String>,
    /// How many tasks are to run.
    desired: In<u32>,
}

/// The services of these names that there are in a cluster, by name and by ARN.
async fn list(clients: &Clients, cluster: &str, names: Vec<String>) -> Result<BTreeMap<String, Service>, Failure> {
    let mut found = BTreeMap::new();
    for names in names.chunks(SERVICES_MAX) {
        let request = clients.ecs.describe_services().cluster(cluster).set_services(Some(names.to_vec()));
        let reply = request.send().await.map_err(|e| clients.call("ecs", "DescribeServices").read(&e))?;
        for service in reply.services.unwrap_or_default() {
            let called = [service.service_name(), service.service_arn()].into_iter().flatten().map(ToOwned::to_owned);
            found.extend(called.collect::<Vec<_>>().into_iter().map(|name| (name, service.clone())));
        }
    }
    Ok(found)
}

/// How many services one call describes (Amazon ECS API Reference, `DescribeServices`).
const SERVICES_MAX: usize = 10;

/// The fact that holds the count that is overwritten.
const BEFORE: &str = "overwrites";
/// The fact that holds the count that is set.
const AFTER: &str = "sets";

/// How far the service is toward a count.
enum Stage {
    /// Another count is set.
    Other(i32),
    Moving(String),
    Ready,
    Broken(Failure),
}

impl ScaleService {
    async fn see(&self, cx: &ReadCx, clients: &Clients) -> Result<Service, Failure> {
        let place = format!("{}/{}", clients.place, self.cluster);
        let list = |names| list(clients, self.cluster.get(), names);
        let found = World::of(cx).aws.services.look(&place, self.service.get(), list).await?;
        let missing = || Failure::new(format!("there is no service {} in {}: MISSING", self.title(), clients.region));
        let found = found.ok_or_else(missing)?;
        if found.scheduling_strategy() == Some(&SchedulingStrategy::Daemon) {
            let text = format!("the service {} runs one task on each instance and has no count", self.title());
            return Err(Failure::new(text));
        }
        match found.status() {
            Some(status @ ("DRAINING" | "INACTIVE")) => {
                Err(Failure::new(format!("the service {} is {status}: it was deleted", self.title())))
            }
            _ => Ok(found),
        }
    }

    fn title(&self) -> String {
        format!("`{}/{}`", self.cluster, self.service)
    }

    fn wanted(&self) -> Result<i32, Failure> {
        let wanted = *self.desired.get();
        i32::try_from(wanted).map_err(|_| Failure::new(format!("`desired` is {wanted}, more than ECS can count")))
    }

    fn stage(&self, service: &Service, wanted: i32) -> Stage {
        if service.desired_count() != wanted {
            return Stage::Other(service.desired_count());
        }
        let (running, pending) = (service.running_count(), service.pending_count());
        let deployments = service.deployments();
        // A failed one that is not the primary any more was rolled back and only drains.
        let failed = deployments.iter().find(|d| {
            d.rollout_state() == Some(&DeploymentRolloutState::Failed) && d.status().is_none_or(|is| is == "PRIMARY")
        });
        if let Some(failed) = failed {
            let why = failed.rollout_state_reason().unwrap_or("no reason is given");
            return Stage::Broken(Failure::new(format!("the deployment of {} failed: {why}", self.title())));
        }
        // Only the rolling deployments of ECS itself have a rollout state (Amazon ECS API Reference, Deployment).
        let rolled = deployments
            .iter()
            .all(|d| d.rollout_state().is_none_or(|state| *state == DeploymentRolloutState::Completed));
        if running == wanted && pending == 0 && deployments.len() <= 1 && rolled {
            return Stage::Ready;
        }
        let mut says = format!("{} runs {running} of {wanted}, {pending} pending", self.title());
        if deployments.len() > 1 {
            write!(says, ", {} deployments", deployments.len()).expect("writing to a String");
        }
        let event = service.events().first().and_then(|e| e.message());
        if let Some(trouble) = event.filter(|text| text.contains("unable to")) {
            write!(says, "; {}", text::short(&text::clean(trouble))).expect("writing to a String");
        }
        Stage::Moving(says)
    }

    async fn set(&self, clients: &Clients, count: i32) -> Result<(), StepError> {
        let request = clients.ecs.update_service().cluster(self.cluster.get()).service(self.service.get());
        let reply = request.desired_count(count).send().await;
        reply.map(drop).map_err(|e| clients.call("ecs", "UpdateService").wrote(&e))
    }

    async fn settled(&self, cx: &ReadCx, clients: &Clients, wanted: i32, back: bool) -> Result<Service, Failure> {
        let since = cx.clock.now();
        let seen = AtomicBool::new(false);
        cx.poll(|| async {
            let service = self.see(cx, clients).await?;
            let stage = self.stage(&service, wanted);
            match stage {
                Stage::Ready => Ok(Look::Ready(service)),
                Stage::Moving(says) => {
                    seen.store(true, Ordering::Relaxed);
                    Ok(Look::Pending(says))
                }
                Stage::Broken(_) if back && at_rest(&service) => Ok(Look::Ready(service)),
                Stage::Broken(failure) => Err(failure),
                // A change that was accepted may not be seen at once.
                Stage::Other(count)
                    if !seen.load(Ordering::Relaxed) && cx.clock.now().since(since) < limits::UNSEEN =>
                {
                    Ok(Look::Pending(format!("{} is still to run {count}", self.title())))
                }
                Stage::Other(count) => Err(self.taken(count, wanted)),
            }
        })
        .await
    }

    fn taken(&self, count: i32, wanted: i32) -> Failure {
        Failure::new(format!("somebody set {} to {count}, and this step set it to {wanted}", self.title())).hint(
            "Application Auto Scaling does that when its bounds exclude the count: move them, then answer `retry`",
        )
    }

    /// What stands there is not what this step set: undo leaves it alone.
    fn moved_on(&self, count: i32) -> Failure {
        Failure::new(format!("somebody set {} to {count} after this step", self.title()))
            .hint("make sure who did that and why; set the count by hand, then answer `skip`")
    }

    fn output(service: &Service) -> Output {
        let mut output = Output::default();
        output.values.insert("desired".into(), service.desired_count().into());
        output.values.insert("running".into(), service.running_count().into());
        output.values.insert("arn".into(), service.service_arn().into());
        output
    }
}

/// Whether as many tasks run as are set, whatever became of the deployment.
fn at_rest(service: &Service) -> bool {
    service.running_count() == service.desired_count() && service.pending_count() == 0
}

/// The count that stood before this step, if it set one.
fn before(cx: &ReadCx) -> Option<i32> {
    cx.fact(BEFORE).and_then(count)
}

/// Whether this step set that count, in whichever attempt.
fn set_by_us(cx: &ReadCx, is: i32) -> bool {
    cx.facts.iter().any(|fact| fact.name == AFTER && count(&fact.value) == Some(is))
}

fn count(fact: &Value) -> Option<i32> {
    fact.as_i64().and_then(|count| i32::try_from(count).ok())
}

impl Explained for ScaleService {
    const REFERENCE: Reference = Reference {
        check: "`DescribeServices`. Done when the count is set, one deployment is left and completed, as many \
            tasks run as are wanted and none is pending; under way before that, whoever set the count. A \
            service that is missing or deleted, of the kind DAEMON, or whose deployment failed, is refused.",
        run: "Where the count differs: writes down the count that stands there and the one that is set, \
            `UpdateService`; then waits until the tasks run. A count that is right already is not set again.",
        undo: Some(
            "Sets the count from before the step's first call, and waits until as many tasks run. A count \
            that somebody else set since is left alone, and a person is asked.",
        ),
        recovery_point: None,
        time: "Not known: it depends on the image, on room for the tasks, and on their health checks.",
        traps: &[
            "Application Auto Scaling soon sets back a count outside its bounds: move them in a step before.",
            "Whether load balancers find the tasks healthy is not looked at: that is a matter of `verify`.",
            "Task definitions and deployments stay as they are: what starts is what was deployed last.",
        ],
        example: "
            payments:
              do:
                ecs.scale_service:
                  cluster: prod
                  service: payments
                  desired: 4
              timeout: 20m
        ",
    };
}

#[async_trait]
impl Step for ScaleService {
    fn describe(&self) -> Description {
        Description {
            summary: format!("run {} tasks of {}", self.desired, self.title()),
            actions: vec!["ecs:DescribeServices", "ecs:UpdateService"],
            ..Description::default()
        }
    }

    fn outputs(&self) -> Vec<OutputName> {
        vec![OutputName::number("desired"), OutputName::number("running"), OutputName::text("arn")]
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let clients = World::of(cx).aws.read(cx).await?;
        let service = match self.see(cx, &clients).await {
            Err(failure) if !failure.transient => return Ok(Check::Impossible(failure)),
            service => service?,
        };
        Ok(match self.stage(&service, self.wanted()?) {
            Stage::Ready => Check::Done(Self::output(&service)),
            Stage::Moving(_) => Check::InProgress,
            Stage::Broken(failure) => Check::Impossible(failure),
            Stage::Other(_) => Check::Absent,
        })
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let clients = World::of(&cx.read).aws.write(cx).await?;
        let wanted = self.wanted()?;
        if let Stage::Other(count) = self.stage(&self.see(&cx.read, &clients).await?, wanted) {
            // Once this step may have set a count, whatever stands there later, by its own hand or an
            // autoscaler's, is not what undo restores.
            if cx.read.fact(AFTER).is_none() && before(&cx.read) != Some(count) {
                cx.record(BEFORE, count).await;
            }
            if !set_by_us(&cx.read, wanted) {
                cx.record(AFTER, wanted).await;
            }
            self.set(&clients, wanted).await?;
            cx.record_handle("scaled", wanted).await;
        }
        Ok(Self::output(&self.settled(&cx.read, &clients, wanted, false).await?))
    }

    fn can_undo(&self) -> bool {
        true
    }

    async fn check_undone(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let Some(before) = before(cx) else {
            return Ok(Check::Done(Output::default()));
        };
        let clients = World::of(cx).aws.read(cx).await?;
        let service = self.see(cx, &clients).await?;
        Ok(match self.stage(&service, before) {
            Stage::Ready => Check::Done(Output::default()),
            Stage::Moving(_) => Check::InProgress,
            Stage::Broken(_) if at_rest(&service) => Check::Done(Output::default()),
            Stage::Broken(failure) => Check::Impossible(failure),
            Stage::Other(count) if set_by_us(cx, count) => Check::Absent,
            Stage::Other(count) => Check::Impossible(self.moved_on(count)),
        })
    }

    async fn undo(&self, cx: &StepCx, _: &Output) -> Result<(), StepError> {
        let Some(before) = before(&cx.read) else {
            return Ok(());
        };
        let clients = World::of(&cx.read).aws.write(cx).await?;
        match self.stage(&self.see(&cx.read, &clients).await?, before) {
            Stage::Other(count) if !set_by_us(&cx.read, count) => return Err(self.moved_on(count).into()),
            Stage::Other(_) => {
                self.set(&clients, before).await?;
                cx.record_handle("scaled_back", before).await;
            }
            _ => {}
        }
        Ok(self.settled(&cx.read, &clients, before, true).await.map(drop)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ecs::types::{Deployment, ServiceEvent};

    /// What a service is told to be at: wanted 2, and these running, pending,
    /// and deployments as status and rollout state.
    fn stage(running: i32, pending: i32, deployments: &[(&str, &str)]) -> String {
        let step: ScaleService =
            serde_json::from_value(serde_json::json!({ "cluster": "c", "service": "s", "desired": 2 }))
                .expect("inputs");
        let deployment = |(status, state): &(&str, &str)| {
            let state = (!state.is_empty()).then(|| DeploymentRolloutState::from(*state));
            Deployment::builder().status(*status).set_rollout_state(state).rollout_state_reason("because").build()
        };
        let event = ServiceEvent::builder().message("(service s) was unable to place a task").build();
        let service = Service::builder()
            .desired_count(2)
            .running_count(running)
            .pending_count(pending)
            .set_deployments(Some(deployments.iter().map(deployment).collect()))
            .events(event)
            .build();
        match step.stage(&service, 2) {
            Stage::Other(count) => format!("other {count}"),
            Stage::Moving(says) => says.replace("; (service s) was unable to place a task", "; unable"),
            Stage::Ready => "ready".into(),
            Stage::Broken(failure) => failure.message,
        }
    }

    #[test]
    fn a_service_is_ready_when_nothing_of_it_moves_any_more() {
        let one = &[("PRIMARY", "COMPLETED")][..];
        for (running, pending, deployments, is) in [
            (2, 0, one, "ready"),
            (1, 1, one, "`c/s` runs 1 of 2, 1 pending; unable"),
            (2, 1, one, "`c/s` runs 2 of 2, 1 pending; unable"),
            (2, 0, &[("PRIMARY", "IN_PROGRESS")][..], "`c/s` runs 2 of 2, 0 pending; unable"),
            (2, 0, &[("PRIMARY", "SOMETHING_NEW")], "`c/s` runs 2 of 2, 0 pending; unable"),
            (
                2,
                0,
                &[("PRIMARY", "COMPLETED"), ("ACTIVE", "COMPLETED")],
                "`c/s` runs 2 of 2, 0 pending, 2 deployments; unable",
            ),
            (1, 0, &[("PRIMARY", "FAILED")], "the deployment of `c/s` failed: because"),
            // Rolled back: the failed one drains while the old one completes.
            (
                2,
                0,
                &[("PRIMARY", "IN_PROGRESS"), ("ACTIVE", "FAILED")],
                "`c/s` runs 2 of 2, 0 pending, 2 deployments; unable",
            ),
            // Controllers other than ECS: no rollout state, or no deployment at all.
            (2, 0, &[("PRIMARY", "")], "ready"),
            (2, 0, &[], "ready"),
        ] {
            assert_eq!(stage(running, pending, deployments), is, "{running} {pending} {deployments:?}");
        }
    }
}
