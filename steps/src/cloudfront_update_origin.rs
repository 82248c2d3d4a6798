//! `cloudfront.update_origin`: another server behind a distribution.
//!
//! An update replaces the whole configuration and is refused unless it names
//! the version it was made from (Amazon `CloudFront` API Reference,
//! `UpdateDistribution`, If-Match). So the configuration that was read is
//! edited in two fields and sent back whole: nothing else is lost, and a
//! change by somebody else in between is never overwritten. What the two
//! fields held is written down first; undo edits them back in whatever the
//! configuration is by then.
//!
//! An origin that somebody else points elsewhere meanwhile is not touched: that
//! is a question for a person. Any other change of theirs is kept, and ours is
//! made again on top of it.
//!
//! Changes go through the control plane in us-east-1 (AWS Fault Isolation
//! Boundaries, `CloudFront`). On the critical path of losing that region an
//! origin group fails over by itself, for reads.
//!
//! Left out: turning a bucket origin into a server or back, the other settings
//! of an origin, staging distributions, and invalidations: what was cached
//! stays as long as its rules say.

use crate::{
    aws::{Clients, error::code, limits},
    world::World,
};
use async_trait::async_trait;
use aws_sdk_cloudfront::types::{DistributionConfig, Origin, OriginGroup, OriginGroups, Origins};
use dr_engine::{
    kind::{Explained, Reference},
    outcome::{Failure, Output},
    step::{Check, Description, Look, OutputName, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Points an origin of a distribution at another domain, and waits until every
/// edge location knows.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateOrigin {
    /// The distribution's id.
    distribution: In<String>,
    /// The id of the origin within it.
    origin: In<String>,
    /// The domain of the server that is to answer.
    domain: In<String>,
    /// The path on that server under which everything lies, as in `/v1`, or an
    /// empty text for none. Left out, the one that is set stays.
    #[serde(default)]
    path: Option<In<String>>,
}

/// The two fields of an origin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Target {
    domain: String,
    path: String,
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.domain, self.path)
    }
}

/// A configuration as it was read.
struct Seen {
    config: DistributionConfig,
    etag: String,
    now: Target,
}

/// How far a distribution is.
enum Stage {
    /// The origin points elsewhere.
    Other(Target),
    /// It points where it should, and not every edge location knows.
    Moving(String),
    /// All know; the distribution's domain name.
    Ready(String),
}

/// The fact that holds what stood before, and of which version that was.
const BEFORE: &str = "overwrites";
/// The fact that holds what is set.
const AFTER: &str = "sets";
/// How often a configuration that somebody else changed is read again.
const ROUNDS_MAX: u32 = 5;
/// The longest path of an origin (Amazon `CloudFront` API Reference, Origin).
const PATH_CHARS_MAX: usize = 255;

impl UpdateOrigin {
    async fn read(&self, clients: &Clients) -> Result<Seen, Failure> {
        let id = self.distribution.get();
        let reply = match clients.cloudfront.get_distribution_config().id(id).send().await {
            Err(e) if code(&e) == "NoSuchDistribution" => return Err(self.gone()),
            reply => reply.map_err(|e| clients.call("cloudfront", "GetDistributionConfig").read(&e))?,
        };
        let etag = reply.e_tag().map(ToOwned::to_owned);
        let Some((config, etag)) = reply.distribution_config.zip(etag) else {
            return Err(Failure::passing(format!("distribution `{id}` gave no configuration")));
        };
        let now = self.target(&config)?;
        Ok(Seen { config, etag, now })
    }

    fn gone(&self) -> Failure {
        Failure::new(format!("there is no distribution `{}`", self.distribution))
    }

    fn target(&self, config: &DistributionConfig) -> Result<Target, Failure> {
        let origin = self.origin(config)?;
        let path = origin.origin_path().unwrap_or_default().to_owned();
        Ok(Target { domain: origin.domain_name().to_owned(), path })
    }

    fn origin<'c>(&self, config: &'c DistributionConfig) -> Result<&'c Origin, Failure> {
        let all = config.origins().map(Origins::items).unwrap_or_default();
        all.iter().find(|o| o.id() == self.origin.get()).ok_or_else(|| {
            let ids: Vec<_> = all.iter().map(Origin::id).collect();
            let groups = config.origin_groups().map(OriginGroups::items).unwrap_or_default();
            let group = groups.iter().map(OriginGroup::id).any(|id| id == self.origin.get());
            let what = if group { "is an origin group, not an origin" } else { "is not an origin" };
            Failure::new(format!("`{}` {what} of distribution `{}`", self.origin, self.distribution))
                .hint(format!("its origins are {}", ids.join(", ")))
        })
    }

    /// What is wanted, given what is there.
    fn wanted(&self, now: &Target) -> Result<Target, Failure> {
        let path = self.path.as_ref().map_or_else(|| now.path.clone(), |path| path.get().clone());
        // Amazon `CloudFront` API Reference, Origin: it begins with a slash and does not end with one.
        let well = path.is_empty() || (path.starts_with('/') && !path.ends_with('/'));
        if !well || path.chars().count() > PATH_CHARS_MAX {
            let text = format!("`path` is `{path}`; it begins with `/`, does not end with one, and is not too long");
            return Err(Failure::new(text).hint("for no path, write an empty text"));
        }
        Ok(Target { domain: self.domain.get().clone(), path })
    }

    /// How far the distribution is toward a target; without one, toward what is wanted.
    async fn stage(&self, clients: &Clients, to: Option<&Target>) -> Result<(Target, Stage), Failure> {
        let reply = match clients.cloudfront.get_distribution().id(self.distribution.get()).send().await {
            Err(e) if code(&e) == "NoSuchDistribution" => return Err(self.gone()),
            reply => reply.map_err(|e| clients.call("cloudfront", "GetDistribution").read(&e))?,
        };
        let found = reply.distribution();
        let Some((found, config)) = found.and_then(|found| Some((found, found.distribution_config()?))) else {
            return Err(Failure::passing(format!("distribution `{}` gave no configuration", self.distribution)));
        };
        let now = self.target(config)?;
        let to = to.map_or_else(|| self.wanted(&now), |to| Ok(to.clone()))?;
        let stage = match found.status() {
            _ if now != to => Stage::Other(now.clone()),
            "Deployed" => Stage::Ready(found.domain_name().to_owned()),
            // Whatever else it says is on the way there.
            status => Stage::Moving(format!("distribution `{}` is {status}", self.distribution)),
        };
        Ok((now, stage))
    }

    /// Edits the origin from one target to another, as often as somebody else
    /// changes the configuration meanwhile. Gives the new version, or `None`
    /// when it was so already.
    async fn swap(&self, clients: &Clients, from: &Target, to: &Target) -> Result<Option<String>, StepError> {
        for _ in 0..ROUNDS_MAX {
            let Seen { mut config, etag, now } = self.read(clients).await?;
            if now == *to {
                return Ok(None);
            }
            if now != *from {
                return Err(self.taken(&now).into());
            }
            let origins = config.origins.as_mut().map(|o| o.items.iter_mut()).into_iter().flatten();
            for origin in origins.filter(|o| o.id == *self.origin.get()) {
                origin.domain_name.clone_from(&to.domain);
                origin.origin_path = Some(to.path.clone());
            }
            let request = clients.cloudfront.update_distribution().id(self.distribution.get());
            match request.distribution_config(config).if_match(&etag).send().await {
                Ok(reply) => return Ok(Some(reply.e_tag().unwrap_or_default().to_owned())),
                // Refused whole: somebody changed something between our read and our write.
                Err(e) if matches!(code(&e), "PreconditionFailed" | "InvalidIfMatchVersion") => {}
                Err(e) => return Err(clients.call("cloudfront", "UpdateDistribution").wrote(&e)),
            }
        }
        let text = format!("somebody keeps changing distribution `{}`: {ROUNDS_MAX} tries", self.distribution);
        Err(Failure::passing(text).hint("stop what else changes it, a deployment perhaps, then answer `retry`").into())
    }

    fn taken(&self, now: &Target) -> Failure {
        let text = format!("somebody pointed origin `{}` of `{}` at {now} meanwhile", self.origin, self.distribution);
        Failure::new(text).hint("make sure who did that and why, then set it by hand and answer `skip`")
    }

    /// Waits until every edge location knows; gives the distribution's domain name.
    async fn settled(&self, cx: &ReadCx, clients: &Clients, to: &Target) -> Result<String, Failure> {
        let since = cx.clock.now();
        cx.poll(|| async {
            Ok(match self.stage(clients, Some(to)).await?.1 {
                Stage::Ready(domain) => Look::Ready(domain),
                Stage::Moving(says) => Look::Pending(says),
                // A change that was accepted may not be seen at once.
                Stage::Other(now) if cx.clock.now().since(since) < limits::UNSEEN => {
                    Look::Pending(format!("origin `{}` is still seen at {now}", self.origin))
                }
                Stage::Other(now) => return Err(self.taken(&now)),
            })
        })
        .await
    }

    fn output(domain: String, before: &Target) -> Output {
        let mut output = Output::default();
        output.values.insert("distribution_domain".into(), domain.into());
        output.values.insert("old_domain".into(), before.domain.clone().into());
        output.values.insert("old_path".into(), before.path.clone().into());
        output
    }
}

/// What stood before this step, if it changed something.
fn before(cx: &ReadCx) -> Option<Target> {
    cx.fact(BEFORE).and_then(target)
}

/// Whether this step set that, in whichever attempt.
fn set_by_us(cx: &ReadCx, now: &Target) -> bool {
    cx.facts.iter().any(|fact| fact.name == AFTER && target(&fact.value).as_ref() == Some(now))
}

fn target(fact: &Value) -> Option<Target> {
    serde_json::from_value(fact.clone()).ok()
}

impl Explained for UpdateOrigin {
    const REFERENCE: Reference = Reference {
        check: "`GetDistribution`. Done when the origin has this domain and path and the distribution is \
            `Deployed`; under way while not every edge location knows. An origin that somebody else pointed \
            elsewhere after the step began is refused.",
        run: "`GetDistributionConfig`; writes down the domain and path that stand there; `UpdateDistribution` \
            with the whole configuration, those two fields changed, and `If-Match`; waits for `Deployed`. \
            What somebody else changes meanwhile is kept, and our change is made again on top of it, five \
            times at most.",
        undo: Some(
            "Edits the old domain and path back into whatever the configuration is by then, and waits for \
            `Deployed`. An origin that somebody else changed since is left alone, and a person is asked.",
        ),
        recovery_point: None,
        time: "1 to 5 minutes, at times 15, until every edge location knows (general knowledge, not measured).",
        traps: &[
            "Changes go through the control plane in us-east-1, whatever the step's region. Where that is \
             lost, only an origin group helps: it fails over by itself, for reads.",
            "Nothing is invalidated: what was cached stays as long as its rules say.",
            "`origin` is the id of an origin, not of an origin group.",
            "A bucket origin cannot be turned into a server, nor back.",
        ],
        example: "
            cdn:
              do:
                cloudfront.update_origin:
                  distribution: E1EXAMPLE00000
                  origin: app
                  domain: app.eu-central-1.example.com
              timeout: 30m
        ",
    };
}

#[async_trait]
impl Step for UpdateOrigin {
    fn describe(&self) -> Description {
        Description {
            summary: format!("point origin `{}` of `{}` at {}", self.origin, self.distribution, self.domain),
            actions: vec![
                "cloudfront:GetDistribution",
                "cloudfront:GetDistributionConfig",
                "cloudfront:UpdateDistribution",
            ],
            control_plane: Some("us-east-1"),
            moves_traffic: true,
            ..Description::default()
        }
    }

    fn outputs(&self) -> Vec<OutputName> {
        ["distribution_domain", "old_domain", "old_path"].map(OutputName::text).into()
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let clients = World::of(cx).aws.read(cx).await?;
        let (now, stage) = match self.stage(&clients, None).await {
            Err(failure) if !failure.transient => return Ok(Check::Impossible(failure)),
            stage => stage?,
        };
        let first = before(cx);
        Ok(match stage {
            Stage::Ready(domain) => Check::Done(Self::output(domain, &first.unwrap_or(now))),
            Stage::Moving(_) => Check::InProgress,
            Stage::Other(now) => match first {
                Some(first) if first != now && !set_by_us(cx, &now) => Check::Impossible(self.taken(&now)),
                _ => Check::Absent,
            },
        })
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let clients = World::of(&cx.read).aws.write(cx).await?;
        let Seen { etag, now, .. } = self.read(&clients).await?;
        let wanted = self.wanted(&now)?;
        let first = before(&cx.read);
        if now != wanted {
            // What stood before the first change is what undo restores.
            if first.is_none() {
                cx.record(BEFORE, json!({ "domain": now.domain, "path": now.path, "etag": etag })).await;
            }
            if !set_by_us(&cx.read, &wanted) {
                cx.record(AFTER, json!(wanted)).await;
            }
            if let Some(etag) = self.swap(&clients, &now, &wanted).await? {
                cx.record_handle("etag", etag).await;
            }
        }
        let domain = self.settled(&cx.read, &clients, &wanted).await?;
        Ok(Self::output(domain, &first.unwrap_or(now)))
    }

    fn can_undo(&self) -> bool {
        true
    }

    async fn check_undone(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let Some(before) = before(cx) else {
            return Ok(Check::Done(Output::default()));
        };
        let clients = World::of(cx).aws.read(cx).await?;
        Ok(match self.stage(&clients, Some(&before)).await?.1 {
            Stage::Ready(_) => Check::Done(Output::default()),
            Stage::Moving(_) => Check::InProgress,
            Stage::Other(now) if set_by_us(cx, &now) => Check::Absent,
            Stage::Other(now) => Check::Impossible(self.taken(&now)),
        })
    }

    async fn undo(&self, cx: &StepCx, _: &Output) -> Result<(), StepError> {
        let Some(before) = before(&cx.read) else {
            return Ok(());
        };
        let clients = World::of(&cx.read).aws.write(cx).await?;
        let Seen { now, .. } = self.read(&clients).await?;
        if now != before {
            if !set_by_us(&cx.read, &now) {
                return Err(self.taken(&now).into());
            }
            if let Some(etag) = self.swap(&clients, &now, &before).await? {
                cx.record_handle("undo_etag", etag).await;
            }
        }
        Ok(self.settled(&cx.read, &clients, &before).await.map(drop)?)
    }
}
