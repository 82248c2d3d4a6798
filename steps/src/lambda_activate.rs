//! `lambda.activate`: a function that was prepared takes over.
//!
//! An alias is pointed at a version, and concurrency is reserved and made ready
//! for it. An alias is changed only upon the revision that was read (AWS Lambda
//! API Reference, `UpdateAlias`, `RevisionId`); concurrency has no such lock,
//! and is compared just before.
//!
//! What stood there is written down before the first call, and undo puts it
//! back. Each of the three is judged by itself, since a run may have ended
//! between two calls: what is neither as it was, nor as this step set it,
//! nor as is wanted, somebody else set, and that is a question.
//!
//! Left out: publishing versions (code is deployed before a recovery), a shift
//! by weights, and scaling of provisioned concurrency by Application Auto
//! Scaling, which may change the number again.

use crate::{
    aws::{Clients, error::code, limits},
    lambda::{self, Stage},
    world::World,
};
use async_trait::async_trait;
use aws_sdk_lambda::types::{AliasRoutingConfiguration, ProvisionedConcurrencyStatusEnum as Status};
use dr_engine::{
    kind::{Explained, Reference},
    outcome::{Failure, Output},
    step::{Check, Description, Look, Mistake, OutputName, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};

/// Points an alias of a Lambda function at a version, with the concurrency that
/// it needs.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Activate {
    /// The function's name, or its ARN.
    function: In<String>,
    /// The alias.
    alias: In<String>,
    /// The published version that it is to serve, and no other beside it.
    version: In<String>,
    /// How many executions at a time are reserved for the function. Left out, that stays as it is.
    #[serde(default)]
    concurrency: Option<In<u32>>,
    /// How many are kept ready for the alias. Left out, that stays as it is.
    #[serde(default)]
    provisioned: Option<In<u32>>,
}

/// What an alias serves: a version, and others by weight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Serves {
    version: String,
    weights: BTreeMap<String, f64>,
}

/// All that this step sets. Concurrency that the step says nothing of is `None`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Setup {
    serves: Serves,
    reserved: Option<i32>,
    provisioned: Option<i32>,
}

/// A setup as it was read.
struct Seen {
    now: Setup,
    revision: String,
    /// What is still becoming ready.
    pending: Option<String>,
    /// Why what was to be kept ready is not.
    failed: Option<String>,
}

/// The fact that holds what stood before.
const BEFORE: &str = "overwrites";
/// The fact that holds what is set.
const AFTER: &str = "sets";
/// How often an alias that others change is read again.
const ROUNDS_MAX: u32 = 5;

impl Activate {
    fn function(&self) -> &str {
        self.function.get()
    }

    fn wanted(&self) -> Result<Setup, Failure> {
        let number = |field: &str, number: &Option<In<u32>>| {
            let wanted = number.as_ref().map(|number| i32::try_from(*number.get()));
            wanted.transpose().map_err(|_| Failure::new(format!("`{field}` is more than Lambda takes")))
        };
        Ok(Setup {
            serves: Serves { version: self.version.get().clone(), weights: BTreeMap::new() },
            reserved: number("concurrency", &self.concurrency)?,
            provisioned: number("provisioned", &self.provisioned)?,
        })
    }

    async fn serves(&self, clients: &Clients) -> Result<(Serves, String), Failure> {
        let request = clients.lambda.get_alias().function_name(self.function()).name(self.alias.get());
        let found = match request.send().await {
            Err(e) if code(&e) == "ResourceNotFoundException" => {
                let text = format!("function `{}` has no alias `{}` in {}", self.function, self.alias, clients.region);
                return Err(Failure::new(text).hint("aliases are made when the function is deployed there"));
            }
            found => found.map_err(|e| clients.call("lambda", "GetAlias").read(&e))?,
        };
        let (Some(version), Some(revision)) = (found.function_version(), found.revision_id()) else {
            return Err(Failure::passing(format!("alias `{}` gave no version", self.alias)));
        };
        let weights = found.routing_config().and_then(AliasRoutingConfiguration::additional_version_weights);
        let weights = weights.into_iter().flatten().map(|(version, weight)| (version.clone(), *weight)).collect();
        Ok((Serves { version: version.into(), weights }, revision.to_owned()))
    }

    async fn reserved(&self, clients: &Clients) -> Result<Option<i32>, Failure> {
        if self.concurrency.is_none() {
            return Ok(None);
        }
        let found = clients.lambda.get_function_concurrency().function_name(self.function()).send().await;
        let found = found.map_err(|e| clients.call("lambda", "GetFunctionConcurrency").read(&e))?;
        Ok(found.reserved_concurrent_executions())
    }

    /// How it stands, and whether the version that is to serve can.
    async fn look(&self, clients: &Clients) -> Result<Seen, Failure> {
        let stage = lambda::stage(clients, self.function(), Some(self.version.get())).await?;
        let seen = self.stands(clients).await?;
        Ok(match stage {
            Stage::Ready => seen,
            Stage::Pending(says) => Seen { pending: Some(says), ..seen },
        })
    }

    /// How it stands, whatever became of the version: what is broken is taken back, too.
    async fn stands(&self, clients: &Clients) -> Result<Seen, Failure> {
        let mut pending = None;
        let (serves, revision) = self.serves(clients).await?;
        let reserved = self.reserved(clients).await?;
        let (mut provisioned, mut failed) = (None, None);
        if self.provisioned.is_some() {
            let request = clients.lambda.get_provisioned_concurrency_config().function_name(self.function());
            match request.qualifier(self.alias.get()).send().await {
                Err(e) if code(&e) == "ProvisionedConcurrencyConfigNotFoundException" => {}
                found => {
                    let call = || clients.call("lambda", "GetProvisionedConcurrencyConfig");
                    let found = found.map_err(|e| call().read(&e))?;
                    provisioned = found.requested_provisioned_concurrent_executions();
                    let ready = found.available_provisioned_concurrent_executions().unwrap_or_default();
                    let of = provisioned.unwrap_or_default();
                    match found.status() {
                        Some(Status::Ready) => {}
                        Some(Status::Failed) => failed = Some(found.status_reason().unwrap_or("no reason").to_owned()),
                        _ => pending = Some(format!("{ready} of {of} executions are ready")),
                    }
                }
            }
        }
        Ok(Seen { now: Setup { serves, reserved, provisioned }, revision, pending, failed })
    }

    /// Refuses what somebody else set since this step began.
    fn ours(&self, cx: &ReadCx, seen: &Seen, wanted: &Setup) -> Result<(), Failure> {
        let Some(first) = before(cx) else { return Ok(()) };
        let sets = cx.facts.iter().filter(|fact| fact.name == AFTER);
        let mut known: Vec<_> = sets.filter_map(|fact| Setup::deserialize(&fact.value).ok()).collect();
        known.extend([first, wanted.clone()]);
        let now = &seen.now;
        let changed = |what: &str| {
            let text = format!("somebody changed {what} of `{}` meanwhile", self.function);
            Err(Failure::new(text).hint("make sure who did that and why, then set it by hand and answer `skip`"))
        };
        if known.iter().all(|one| one.serves != now.serves) {
            return changed(&format!("alias `{}` (it serves {})", self.alias, now.serves.version));
        }
        if known.iter().all(|one| one.reserved != now.reserved) {
            return changed("the reserved concurrency");
        }
        if known.iter().all(|one| one.provisioned != now.provisioned) {
            return changed(&format!("the provisioned concurrency of alias `{}`", self.alias));
        }
        Ok(())
    }

    /// Makes it so, call by call, where it is not so already. Room for more comes
    /// first, and less of it last: Lambda refuses more ready than reserved.
    async fn shift(&self, cx: &StepCx, clients: &Clients, seen: &Seen, to: &Setup) -> Result<(), StepError> {
        let now = &seen.now;
        let shrinks = match (now.reserved, to.reserved) {
            (None, Some(_)) => true,
            (Some(now), Some(to)) => to < now,
            (_, None) => false,
        };
        if !shrinks {
            self.reserve(cx, clients, now, to).await?;
        }
        if now.serves != to.serves {
            self.serve(clients, now, to, &seen.revision).await?;
            cx.record_handle("serves", json!(to.serves)).await;
        }
        if now.provisioned != to.provisioned || (seen.failed.is_some() && to.provisioned.is_some()) {
            self.provision(clients, to.provisioned).await?;
            cx.record_handle("provisioned", json!(to.provisioned)).await;
        }
        if shrinks {
            self.reserve(cx, clients, now, to).await?;
        }
        Ok(())
    }

    async fn reserve(&self, cx: &StepCx, clients: &Clients, now: &Setup, to: &Setup) -> Result<(), StepError> {
        if now.reserved == to.reserved {
            return Ok(());
        }
        if let Some(count) = to.reserved {
            let request = clients.lambda.put_function_concurrency().function_name(self.function());
            let sent = request.reserved_concurrent_executions(count).send().await;
            sent.map_err(|e| clients.call("lambda", "PutFunctionConcurrency").wrote(&e))?;
        } else {
            let sent = clients.lambda.delete_function_concurrency().function_name(self.function()).send().await;
            sent.map_err(|e| clients.call("lambda", "DeleteFunctionConcurrency").wrote(&e))?;
        }
        cx.record_handle("reserved", json!(to.reserved)).await;
        Ok(())
    }

    async fn serve(&self, clients: &Clients, now: &Setup, to: &Setup, revision: &str) -> Result<(), StepError> {
        let mut revision = revision.to_owned();
        for _ in 0..ROUNDS_MAX {
            let weights: HashMap<_, _> = to.serves.weights.clone().into_iter().collect();
            let routing = AliasRoutingConfiguration::builder().set_additional_version_weights(Some(weights)).build();
            let request = clients.lambda.update_alias().function_name(self.function()).name(self.alias.get());
            let request = request.function_version(&to.serves.version).routing_config(routing).revision_id(&revision);
            match request.send().await {
                // Refused whole: somebody changed the alias between our read and our write.
                Err(e) if code(&e) == "PreconditionFailedException" => {}
                sent => return sent.map(drop).map_err(|e| clients.call("lambda", "UpdateAlias").wrote(&e)),
            }
            let (serves, newer) = self.serves(clients).await?;
            if serves != now.serves {
                let text = format!("somebody pointed alias `{}` at version {} meanwhile", self.alias, serves.version);
                return Err(Failure::new(text)
                    .hint("make sure who did that and why, then answer `retry` or `skip`")
                    .into());
            }
            revision = newer;
        }
        let text = format!("somebody keeps changing alias `{}`: {ROUNDS_MAX} tries", self.alias);
        Err(Failure::passing(text).hint("stop what else changes it, a deployment perhaps, then answer `retry`").into())
    }

    async fn provision(&self, clients: &Clients, count: Option<i32>) -> Result<(), StepError> {
        let (function, alias) = (self.function(), self.alias.get());
        if let Some(count) = count {
            let request = clients.lambda.put_provisioned_concurrency_config().function_name(function).qualifier(alias);
            let sent = request.provisioned_concurrent_executions(count).send().await;
            sent.map(drop).map_err(|e| clients.call("lambda", "PutProvisionedConcurrencyConfig").wrote(&e))
        } else {
            let request = clients.lambda.delete_provisioned_concurrency_config().function_name(function);
            let sent = request.qualifier(alias).send().await;
            sent.map(drop).map_err(|e| clients.call("lambda", "DeleteProvisionedConcurrencyConfig").wrote(&e))
        }
    }

    /// Waits until it is so, and all that is to be ready is.
    async fn settled(&self, cx: &ReadCx, clients: &Clients, to: &Setup) -> Result<(), Failure> {
        let since = cx.clock.now();
        cx.poll(|| async {
            let seen = self.stands(clients).await?;
            match (seen.failed, seen.pending) {
                (Some(why), _) if to.provisioned.is_some() => Err(self.not_ready(&why)),
                (_, Some(says)) => Ok(Look::Pending(says)),
                _ if seen.now == *to => Ok(Look::Ready(())),
                // A change that was accepted may not be seen at once.
                _ if cx.clock.now().since(since) < limits::UNSEEN => {
                    Ok(Look::Pending(format!("`{}` is still seen as it was", self.function)))
                }
                _ => Err(Failure::new(format!("somebody changed `{}` meanwhile", self.function))
                    .hint("make sure who did that and why, then answer `retry` or `skip`")),
            }
        })
        .await
    }

    fn not_ready(&self, why: &str) -> Failure {
        let text = format!("nothing is kept ready for alias `{}` of `{}`: {why}", self.alias, self.function);
        Failure::new(text).hint("the function's log says why it does not start; then answer `retry`")
    }

    fn output(old: &Setup) -> Output {
        let mut output = Output::default();
        output.values.insert("old_version".into(), old.serves.version.clone().into());
        output
    }
}

fn before(cx: &ReadCx) -> Option<Setup> {
    cx.fact(BEFORE).and_then(|fact| Setup::deserialize(fact).ok())
}

impl Explained for Activate {
    const REFERENCE: Reference = Reference {
        check: "`GetFunctionConfiguration` of the version, `GetAlias` and, where the step says something of them, \
            `GetFunctionConcurrency` and `GetProvisionedConcurrencyConfig`. Done when the alias serves the version and \
            no other beside it, and what is to be reserved and kept ready is, with status `READY`. What somebody else \
            changed after the step began is refused.",
        run: "Writes down what stands there; `PutFunctionConcurrency`, `UpdateAlias` with the revision that was read, \
            `PutProvisionedConcurrencyConfig`, each only where it is not so already; waits until all of it is ready.",
        undo: Some(
            "Puts the alias and both numbers back as they were, or takes a number away that was not there. What \
            somebody else changed since is left alone, and a person is asked.",
        ),
        recovery_point: None,
        time: "Seconds; provisioned concurrency takes minutes (general knowledge, not measured).",
        traps: &[
            "Code, settings, secrets and network of the function have to be in the region beforehand: nothing is \
             copied.",
            "What is reserved is taken from all other functions of the account in the region: 100 executions have to \
             stay for those, else Lambda refuses.",
            "Where Application Auto Scaling manages the provisioned concurrency, it may change the number again.",
            "Event sources are turned on by themselves: they are no part of an alias.",
        ],
        example: "
            orders_api:
              do:
                lambda.activate:
                  function: orders-api
                  alias: live
                  version: \"42\"
                  concurrency: 200
                  provisioned: 50
              timeout: 15m
        ",
    };
}

#[async_trait]
impl Step for Activate {
    fn describe(&self) -> Description {
        let mut actions = vec!["lambda:GetFunctionConfiguration", "lambda:GetAlias", "lambda:UpdateAlias"];
        if self.concurrency.is_some() {
            actions.extend([
                "lambda:GetFunctionConcurrency",
                "lambda:PutFunctionConcurrency",
                "lambda:DeleteFunctionConcurrency",
            ]);
        }
        if self.provisioned.is_some() {
            actions.extend([
                "lambda:GetProvisionedConcurrencyConfig",
                "lambda:PutProvisionedConcurrencyConfig",
                "lambda:DeleteProvisionedConcurrencyConfig",
            ]);
        }
        let summary = format!("point alias `{}` of `{}` at version {}", self.alias, self.function, self.version);
        Description { summary, actions, ..Description::default() }
    }

    fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        let mut mistake = |field, message: String, help: &str| {
            mistakes.push(Mistake { field, message, help: help.into() });
        };
        if let In::Lit(version) = &self.version
            && (version.is_empty() || !version.bytes().all(|b| b.is_ascii_digit()))
        {
            let message = format!("`{version}` is not a published version");
            mistake("version", message, "an alias serves numbered versions: `aws lambda publish-version` makes one");
        }
        match (&self.concurrency, &self.provisioned) {
            (_, Some(In::Lit(0))) => {
                mistake("provisioned", "`provisioned` is at least 1".into(), "leave it out to keep none ready");
            }
            (Some(In::Lit(reserved)), Some(In::Lit(ready))) if ready > reserved => {
                let message = format!("{ready} cannot be kept ready where {reserved} are reserved");
                mistake("provisioned", message, "reserve as many, or keep fewer ready");
            }
            _ => {}
        }
        mistakes
    }

    fn outputs(&self) -> Vec<OutputName> {
        vec![OutputName::text("old_version")]
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let wanted = self.wanted()?;
        let clients = World::of(cx).aws.read(cx).await?;
        let seen = match self.look(&clients).await {
            Err(failure) if !failure.transient => return Ok(Check::Impossible(failure)),
            seen => seen?,
        };
        if let Err(foreign) = self.ours(cx, &seen, &wanted) {
            return Ok(Check::Impossible(foreign));
        }
        Ok(match seen {
            Seen { now, failed: None, pending: None, .. } if now == wanted => {
                Check::Done(Self::output(&before(cx).unwrap_or(now)))
            }
            Seen { now, failed: None, pending: Some(says), .. } if now == wanted => {
                cx.progress(&says);
                Check::InProgress
            }
            _ => Check::Absent,
        })
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let wanted = self.wanted()?;
        let clients = World::of(&cx.read).aws.write(cx).await?;
        lambda::ready(&cx.read, &clients, self.function(), Some(self.version.get())).await?;
        let seen = self.look(&clients).await?;
        self.ours(&cx.read, &seen, &wanted)?;
        let first = before(&cx.read);
        if seen.now != wanted || seen.failed.is_some() {
            // What stood before the first change is what undo restores.
            if first.is_none() {
                cx.record(BEFORE, json!(seen.now)).await;
            }
            let wants = json!(wanted);
            if cx.read.fact(AFTER) != Some(&wants) {
                cx.record(AFTER, wants).await;
            }
            self.shift(cx, &clients, &seen, &wanted).await?;
        }
        self.settled(&cx.read, &clients, &wanted).await?;
        Ok(Self::output(&first.unwrap_or(seen.now)))
    }

    fn can_undo(&self) -> bool {
        true
    }

    async fn check_undone(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let Some(before) = before(cx) else {
            return Ok(Check::Done(Output::default()));
        };
        let clients = World::of(cx).aws.read(cx).await?;
        let seen = self.stands(&clients).await?;
        if let Err(foreign) = self.ours(cx, &seen, &self.wanted()?) {
            return Ok(Check::Impossible(foreign));
        }
        Ok(match seen {
            Seen { now, .. } if now != before => Check::Absent,
            Seen { pending: Some(_), .. } => Check::InProgress,
            _ => Check::Done(Output::default()),
        })
    }

    async fn undo(&self, cx: &StepCx, _: &Output) -> Result<(), StepError> {
        let Some(before) = before(&cx.read) else {
            return Ok(());
        };
        let clients = World::of(&cx.read).aws.write(cx).await?;
        let seen = self.stands(&clients).await?;
        self.ours(&cx.read, &seen, &self.wanted()?)?;
        self.shift(cx, &clients, &seen, &before).await?;
        Ok(self.settled(&cx.read, &clients, &before).await?)
    }
}
