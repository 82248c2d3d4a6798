//! `route53.upsert`: records changed by compare-and-swap.
//!
//! UPSERT is blind. A batch that deletes exactly what was there and creates
//! what is wanted is refused when somebody changed a record in between, and
//! batches are atomic (Amazon Route 53 API Reference,
//! `ChangeResourceRecordSets`). So what is overwritten is read, written down
//! whole, and only then swapped; and undo is the same swap the other way.
//!
//! Changes go through the control plane in us-east-1, whatever the region of
//! the step: on the critical path of losing us-east-1 prefer health checks
//! that fail over, or ARC (AWS Fault Isolation Boundaries, Route 53).
//!
//! Left out: making a new member of a routing set (its policy cannot be
//! written here; an existing member keeps its own), geoproximity and traffic
//! policies, whose records are refused.

mod records;

use crate::{
    aws::{Clients, error::code},
    world::World,
};
use async_trait::async_trait;
use aws_sdk_route53::types::{Change, ChangeAction, ChangeBatch, ChangeStatus, HostedZone, HostedZoneConfig};
use dr_engine::{
    kind::{Explained, Reference},
    outcome::{Failure, Output},
    step::{Check, Description, Look, OutputName, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use records::{RecordSet, normal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeSet;

/// Makes DNS records what they are to be, in one batch, and waits until every
/// name server answers so.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upsert {
    /// The hosted zone: its id, or its domain name if there is one public zone of that name.
    zone: In<String>,
    /// The records.
    records: Vec<Record>,
}

/// One record as it is to be.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Record {
    /// Its name; the dot at the end may be left out.
    name: In<String>,
    /// Its type, as in CNAME or A.
    #[serde(rename = "type")]
    kind: In<String>,
    /// How long resolvers keep it, in seconds.
    #[serde(default)]
    ttl: Option<In<u32>>,
    /// Its values.
    #[serde(default)]
    values: Vec<In<String>>,
    /// In place of values: the AWS resource that it points to.
    #[serde(default)]
    alias: Option<Alias>,
    /// Which member of a weighted, failover or other routing set it is. The
    /// member must be there; it keeps its routing policy.
    #[serde(default)]
    set: Option<In<String>>,
}

/// The AWS resource that a record points to.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Alias {
    /// The hosted zone of the resource, as AWS lists it for each service.
    zone: In<String>,
    /// Its domain name.
    target: In<String>,
    /// Whether the resource's health decides.
    #[serde(default)]
    evaluate_health: Option<In<bool>>,
}

/// A change as it was decided: what goes and what comes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Swap {
    zone: String,
    old: Vec<RecordSet>,
    new: Vec<RecordSet>,
}

/// The fact that holds the change.
const SWAP: &str = "overwrites";
/// The fact that holds the id of the change.
const CHANGE: &str = "change";
/// The same for undo.
const UNDO_CHANGE: &str = "undo_change";

/// Where the zone stands between the two sides of a swap.
#[derive(Debug, PartialEq)]
enum Stand {
    Old,
    New,
    /// Somebody else changed it; what is there now.
    Neither(String),
}

impl Upsert {
    async fn zone(&self, clients: &Clients) -> Result<String, Failure> {
        let given = self.zone.get().trim_start_matches("/hostedzone/");
        if !given.contains('.') {
            return Ok(given.to_owned());
        }
        let wanted = normal(given);
        let reply = clients.route53.list_hosted_zones_by_name().dns_name(&wanted).send().await;
        let reply = reply.map_err(|e| clients.call("route53", "ListHostedZonesByName").read(&e))?;
        let public =
            |z: &&HostedZone| normal(z.name()) == wanted && !z.config().is_some_and(HostedZoneConfig::private_zone);
        let found: Vec<_> = reply.hosted_zones().iter().filter(public).collect();
        match found[..] {
            [one] => Ok(one.id().trim_start_matches("/hostedzone/").to_owned()),
            [] => Err(Failure::new(format!("there is no public hosted zone `{wanted}`"))),
            _ => Err(Failure::new(format!("there are {} public hosted zones `{wanted}`", found.len()))
                .hint("give the zone's id")),
        }
    }

    /// Every record set under these names.
    async fn present(clients: &Clients, zone: &str, names: &BTreeSet<String>) -> Result<Vec<RecordSet>, Failure> {
        let mut present = Vec::new();
        for name in names {
            let mut request = clients.route53.list_resource_record_sets().hosted_zone_id(zone).start_record_name(name);
            loop {
                let reply = request.clone().send().await;
                let reply = reply.map_err(|e| clients.call("route53", "ListResourceRecordSets").read(&e))?;
                let mut past = false;
                for record in reply.resource_record_sets() {
                    // They come in the order of reversed labels: ours first, then others.
                    past = normal(record.name()) != *name;
                    if past {
                        break;
                    }
                    present.push(RecordSet::read(record)?);
                }
                if past || !reply.is_truncated() {
                    break;
                }
                request = request
                    .set_start_record_name(reply.next_record_name().map(Into::into))
                    .set_start_record_type(reply.next_record_type().cloned())
                    .set_start_record_identifier(reply.next_record_identifier().map(Into::into));
            }
        }
        Ok(present)
    }

    /// The names that the inputs speak of.
    fn names(&self) -> BTreeSet<String> {
        self.records.iter().map(|r| normal(r.name.get())).collect()
    }

    /// What has to go and come, given what is there.
    fn swap(&self, zone: String, present: &[RecordSet]) -> Result<Swap, Failure> {
        let mut swap = Swap { zone, old: Vec::new(), new: Vec::new() };
        for record in &self.records {
            let wanted = record.wanted()?;
            let current = present.iter().find(|r| r.is(&wanted));
            let wanted = match (current, &wanted.set) {
                (Some(current), Some(_)) => RecordSet { routing: current.routing.clone(), ..wanted },
                (None, Some(set)) => {
                    let text =
                        format!("{} has no member `{set}`, and a new one needs a routing policy", wanted.title());
                    return Err(Failure::new(text).hint("make the member beforehand, with its policy"));
                }
                (_, None) => wanted,
            };
            if current.is_some_and(|current| current.same(&wanted)) {
                continue;
            }
            swap.old.extend(current.cloned());
            for other in present.iter().filter(|r| r.name == wanted.name && !r.is(&wanted)) {
                if other.kind == wanted.kind && (other.set.is_some() != wanted.set.is_some()) {
                    let text = format!("{} is a routing set, and this record is not of one", wanted.title());
                    return Err(Failure::new(text).hint("name the member with `set`"));
                }
                // A CNAME stands alone: what it takes the place of goes in the same batch.
                let takes_place = (wanted.kind == "CNAME") != (other.kind == "CNAME");
                if !takes_place {
                    continue;
                }
                if !matches!(other.kind.as_str(), "CNAME" | "A" | "AAAA") {
                    let text = format!("{} cannot stand beside {}", wanted.title(), other.title());
                    return Err(Failure::new(text).hint("move that record by hand first"));
                }
                if !swap.old.contains(other) {
                    swap.old.push(other.clone());
                }
            }
            swap.new.push(wanted);
        }
        Ok(swap)
    }

    /// What was decided in this run, or what follows from what is there now.
    async fn plan(&self, cx: &ReadCx, clients: &Clients) -> Result<Swap, Failure> {
        let zone = match swapped(cx) {
            Some(swap) => swap.zone,
            None => self.zone(clients).await?,
        };
        let present = Self::present(clients, &zone, &self.names()).await?;
        let swap = self.swap(zone, &present)?;
        fits(&swap)?;
        Ok(swap)
    }

    async fn check_swap(&self, cx: &ReadCx, clients: &Clients, swap: &Swap) -> Result<Check, Failure> {
        match stand(clients, swap, false).await? {
            Stand::New if self.still_wants(swap)? => {}
            Stand::New => return Ok(Check::Impossible(amended())),
            Stand::Old => return Ok(Check::Absent),
            Stand::Neither(now) => return Ok(Check::Impossible(conflict(&now))),
        }
        let change = fact(cx, CHANGE);
        let known = known(clients, change.as_deref(), &swap.new).await?;
        Ok(if known { Check::Done(output(change, swap)) } else { Check::InProgress })
    }

    /// Swaps, and waits until the name servers know.
    async fn perform(cx: &StepCx, clients: &Clients, swap: &Swap, back: bool) -> Result<Option<String>, StepError> {
        let (old, new) = if back { (&swap.new, &swap.old) } else { (&swap.old, &swap.new) };
        match send(cx, clients, &swap.zone, old, new).await {
            Ok(Some(id)) => settle(cx, clients, id, back).await.map(Some),
            Ok(None) => Ok(None),
            // No look may stand in the place of a doubt: one that fails would say that nothing happened.
            Err(error) if !invalid(&error) => Err(error),
            // Refused whole: either it is so already, or somebody was there before us.
            Err(refused) => match stand(clients, swap, back).await? {
                Stand::New => Ok(None),
                Stand::Neither(now) => Err(conflict(&now).into()),
                Stand::Old => Err(refused),
            },
        }
    }

    /// Waits until the name servers know of a change that was made before.
    ///
    /// When its id was lost, the same records are swapped for themselves: that
    /// changes nothing, is refused if somebody was there, and gives an id whose
    /// arrival means that of the lost one, since changes of a zone arrive in
    /// order.
    async fn arrive(cx: &StepCx, clients: &Clients, swap: &Swap, back: bool) -> Result<Option<String>, StepError> {
        let (new, name) = if back { (&swap.old, UNDO_CHANGE) } else { (&swap.new, CHANGE) };
        if let Some(id) = fact(&cx.read, name) {
            insync(&cx.read, clients, &id).await?;
            return Ok(Some(id));
        }
        if new.is_empty() {
            return Ok(None);
        }
        match send(cx, clients, &swap.zone, new, new).await? {
            Some(id) => settle(cx, clients, id, back).await.map(Some),
            None => Ok(None),
        }
    }
}

/// Sends one batch: these records go, those come.
async fn send(
    cx: &StepCx,
    clients: &Clients,
    zone: &str,
    old: &[RecordSet],
    new: &[RecordSet],
) -> Result<Option<String>, StepError> {
    let step = |action: ChangeAction, record: &RecordSet| {
        let change = Change::builder().action(action).resource_record_set(record.write()?).build();
        change.map_err(|e| Failure::new(e.to_string()))
    };
    let gone = old.iter().map(|record| step(ChangeAction::Delete, record));
    let come = new.iter().map(|record| step(ChangeAction::Create, record));
    let changes = gone.chain(come).collect::<Result<Vec<_>, Failure>>()?;
    let comment = format!("dr {}", cx.read.token()).chars().take(256).collect::<String>();
    let batch = ChangeBatch::builder().comment(comment).set_changes(Some(changes)).build();
    let batch = batch.map_err(|e| Failure::new(e.to_string()))?;
    let reply = clients.route53.change_resource_record_sets().hosted_zone_id(zone).change_batch(batch).send().await;
    let reply = reply.map_err(|e| clients.call("route53", "ChangeResourceRecordSets").wrote(&e))?;
    Ok(reply.change_info().map(|info| info.id().trim_start_matches("/change/").to_owned()))
}

/// Writes the id of a change down and waits for it.
async fn settle(cx: &StepCx, clients: &Clients, id: String, back: bool) -> Result<String, StepError> {
    cx.record_handle(if back { UNDO_CHANGE } else { CHANGE }, id.as_str()).await;
    insync(&cx.read, clients, &id).await?;
    Ok(id)
}

fn invalid(error: &StepError) -> bool {
    matches!(error, StepError::Failed(Failure { call: Some(call), .. }) if call.code.as_deref() == Some("InvalidChangeBatch"))
}

impl Record {
    fn wanted(&self) -> Result<RecordSet, Failure> {
        let (name, kind) = (normal(self.name.get()), self.kind.get().to_uppercase());
        let title = format!("{name} {kind}");
        let wrong = |what: &str| Err(Failure::new(format!("{title} {what}")));
        let values: Vec<String> = self.values.iter().map(|v| v.get().clone()).collect();
        let alias = self.alias.as_ref().map(|alias| records::AliasTo {
            zone: alias.zone.get().clone(),
            target: normal(alias.target.get()),
            evaluate_health: alias.evaluate_health.as_ref().is_some_and(|e| *e.get()),
        });
        match (&alias, values.is_empty(), &self.ttl) {
            (Some(_), true, None) | (None, false, Some(_)) => {}
            (Some(_), false, _) => return wrong("has `values` and an `alias`: one of them"),
            (Some(_), _, Some(_)) => return wrong("is an alias, and takes its `ttl` from what it points to"),
            (None, true, _) => return wrong("has neither `values` nor an `alias`"),
            (None, false, None) => return wrong("has no `ttl`"),
        }
        let ttl = self.ttl.as_ref().map(|ttl| i64::from(*ttl.get()));
        let set = self.set.as_ref().map(|set| set.get().clone());
        Ok(RecordSet { name, kind, ttl, values, alias, set, routing: records::Routing::default() })
    }
}

/// Where the zone stands. With `back`, the sides are exchanged.
async fn stand(clients: &Clients, swap: &Swap, back: bool) -> Result<Stand, Failure> {
    let (old, new) = if back { (&swap.new, &swap.old) } else { (&swap.old, &swap.new) };
    let names = old.iter().chain(new).map(|r| r.name.clone()).collect();
    let present = Upsert::present(clients, &swap.zone, &names).await?;
    let has = |side: &[RecordSet], other: &[RecordSet]| {
        let there = |r: &RecordSet| present.iter().any(|p| p.same(r));
        let not_there = |r: &RecordSet| !present.iter().any(|p| p.is(r));
        side.iter().all(there) && other.iter().filter(|o| !side.iter().any(|s| s.is(o))).all(not_there)
    };
    Ok(if has(new, old) {
        Stand::New
    } else if has(old, new) {
        Stand::Old
    } else {
        let touched = |p: &&RecordSet| old.iter().chain(new).any(|r| r.is(p) || r.name == p.name);
        let now: Vec<_> = present.iter().filter(touched).map(RecordSet::title_and_values).collect();
        Stand::Neither(if now.is_empty() { "nothing".into() } else { now.join("; ") })
    })
}

fn conflict(now: &str) -> Failure {
    Failure::new(format!("somebody changed these records meanwhile; there is now: {now}")).hint(
        "make sure who did that and why; to go on from what is there now, set the records by hand and answer `skip`",
    )
}

fn amended() -> Failure {
    Failure::new("the records were changed as the inputs said before; the new inputs come too late")
        .hint("answer `skip` and change the records by hand, or undo the step")
}

/// The status of a change, if its id is known and Route 53 still knows it.
async fn status(clients: &Clients, id: Option<&str>) -> Result<Option<ChangeStatus>, Failure> {
    let Some(id) = id else {
        return Ok(None);
    };
    match clients.route53.get_change().id(id).send().await {
        Err(e) if code(&e) == "NoSuchChange" => Ok(None),
        reply => {
            let reply = reply.map_err(|e| clients.call("route53", "GetChange").read(&e))?;
            Ok(reply.change_info().map(|info| info.status().clone()))
        }
    }
}

/// Whether every name server knows of a change that is made: its status, or
/// that nothing is left by which it could be told.
async fn known(clients: &Clients, id: Option<&str>, made: &[RecordSet]) -> Result<bool, Failure> {
    Ok(match status(clients, id).await? {
        Some(ChangeStatus::Pending) => false,
        Some(_) => true,
        None => id.is_some() || made.is_empty(),
    })
}

async fn insync(cx: &ReadCx, clients: &Clients, id: &str) -> Result<(), Failure> {
    cx.poll(|| async {
        Ok(match status(clients, Some(id)).await? {
            Some(ChangeStatus::Pending) => Look::Pending(format!("change {id} is not on every name server yet")),
            _ => Look::Ready(()),
        })
    })
    .await
}

/// What Route 53 would refuse (Amazon Route 53 Developer Guide, Quotas).
fn fits(swap: &Swap) -> Result<(), Failure> {
    use crate::aws::limits::{ROUTE53_RECORDS_MAX, ROUTE53_VALUE_CHARS_MAX};
    let all = || swap.old.iter().chain(&swap.new);
    let records: usize = all().map(|r| r.values.len().max(1)).sum();
    let chars: usize = all().flat_map(|r| &r.values).map(|v| v.chars().count()).sum();
    if records > ROUTE53_RECORDS_MAX {
        let text = format!("the batch holds {records} records, and Route 53 takes {ROUTE53_RECORDS_MAX}");
        return Err(Failure::new(text).hint("a changed record counts twice; make two steps of it"));
    }
    if chars > ROUTE53_VALUE_CHARS_MAX {
        let text =
            format!("the batch holds {chars} characters of values, and Route 53 takes {ROUTE53_VALUE_CHARS_MAX}");
        return Err(Failure::new(text).hint("a changed record counts twice; make two steps of it"));
    }
    Ok(())
}

fn fact(cx: &ReadCx, name: &str) -> Option<String> {
    cx.fact(name).and_then(|id| id.as_str()).map(Into::into)
}

fn swapped(cx: &ReadCx) -> Option<Swap> {
    cx.fact(SWAP).and_then(|swap| serde_json::from_value(swap.clone()).ok())
}

fn output(change: Option<String>, swap: &Swap) -> Output {
    let ttl = swap.old.iter().filter_map(|r| r.ttl).max();
    let mut output = Output::default();
    output.values.insert("change_id".into(), change.into());
    output.values.insert("old_ttl_max".into(), ttl.unwrap_or(0).into());
    output
}

impl Explained for Upsert {
    const REFERENCE: Reference = Reference {
        check: "`ListResourceRecordSets` (and `ListHostedZonesByName` for a zone given by name). Done when the \
            records are as wanted and, after a change of ours, `GetChange` says that every name server \
            knows; under way before that. Records that somebody else changed after the step began are \
            refused.",
        run: "Reads the records and writes down whole what goes and what comes; `ChangeResourceRecordSets` \
            with one batch that deletes exactly what was there and creates what is wanted, so that it is \
            refused if somebody changed a record in between; waits until `GetChange` says INSYNC.",
        undo: Some(
            "The same swap the other way: the old records come back if ours still stand there. Otherwise a \
            person is asked.",
        ),
        recovery_point: None,
        time: "Usually less than a minute until every name server knows (general knowledge, not measured); then \
            users keep the old answer as long as its TTL says.",
        traps: &[
            "Changes go through the control plane in us-east-1, whatever the step's region. Where that is \
             lost, health checks that fail over or ARC are the way.",
            "Name servers that know are not users that know: the output `old_ttl_max` says for how many \
             seconds resolvers may keep what was there.",
            "A member of a routing set (`set`) has to be there and keeps its policy; a new one cannot be \
             made.",
            "Route 53 takes five calls a second from a whole account.",
            "A CNAME stands alone: an A or AAAA record of that name goes in the same batch.",
        ],
        example: "
            point_app_at_recovery:
              do:
                route53.upsert:
                  zone: example.com
                  records:
                    - name: app.example.com
                      type: CNAME
                      ttl: 60
                      values: [app.eu-central-1.example.com]
              timeout: 10m
        ",
    };
}

#[async_trait]
impl Step for Upsert {
    fn describe(&self) -> Description {
        let names: Vec<_> = self.records.iter().map(|r| format!("{} {}", r.name, r.kind)).collect();
        Description {
            summary: format!("set {} in zone {}", names.join(", "), self.zone),
            actions: vec![
                "route53:ListHostedZonesByName",
                "route53:ListResourceRecordSets",
                "route53:ChangeResourceRecordSets",
                "route53:GetChange",
            ],
            control_plane: Some("us-east-1"),
            moves_traffic: true,
            ..Description::default()
        }
    }

    fn outputs(&self) -> Vec<OutputName> {
        vec![OutputName::text("change_id"), OutputName::number("old_ttl_max")]
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let clients = World::of(cx).aws.read(cx).await?;
        if let Some(swap) = swapped(cx) {
            return self.check_swap(cx, &clients, &swap).await;
        }
        match self.plan(cx, &clients).await {
            Ok(swap) if swap.new.is_empty() => Ok(Check::Done(output(None, &swap))),
            Ok(_) => Ok(Check::Absent),
            Err(failure) if failure.transient => Err(failure),
            Err(failure) => Ok(Check::Impossible(failure)),
        }
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let clients = World::of(&cx.read).aws.write(cx).await?;
        let known = swapped(&cx.read);
        if let Some(swap) = &known
            && stand(&clients, swap, false).await? == Stand::New
        {
            if !self.still_wants(swap)? {
                return Err(amended().into());
            }
            let change = Self::arrive(cx, &clients, swap, false).await?;
            return Ok(output(change, swap));
        }
        let swap = match known {
            Some(swap) if self.still_wants(&swap)? => swap,
            // Nothing was decided, or a person changed the wish before it had an effect.
            _ => {
                let swap = self.plan(&cx.read, &clients).await?;
                if swap.new.is_empty() {
                    return Ok(output(None, &swap));
                }
                cx.record(SWAP, json!(swap)).await;
                swap
            }
        };
        let change = Self::perform(cx, &clients, &swap, false).await?;
        Ok(output(change, &swap))
    }

    fn can_undo(&self) -> bool {
        true
    }

    async fn check_undone(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let Some(swap) = swapped(cx) else {
            return Ok(Check::Done(Output::default()));
        };
        let clients = World::of(cx).aws.read(cx).await?;
        Ok(match stand(&clients, &swap, true).await? {
            Stand::Old => Check::Absent,
            Stand::Neither(now) => Check::Impossible(conflict(&now)),
            Stand::New => {
                let known = known(&clients, fact(cx, UNDO_CHANGE).as_deref(), &swap.old).await?;
                if known { Check::Done(Output::default()) } else { Check::InProgress }
            }
        })
    }

    async fn undo(&self, cx: &StepCx, _: &Output) -> Result<(), StepError> {
        let Some(swap) = swapped(&cx.read) else {
            return Ok(());
        };
        let clients = World::of(&cx.read).aws.write(cx).await?;
        if stand(&clients, &swap, true).await? == Stand::New {
            return Self::arrive(cx, &clients, &swap, true).await.map(drop);
        }
        Self::perform(cx, &clients, &swap, true).await.map(drop)
    }
}

impl Upsert {
    /// Whether a change that was decided is what the inputs ask for.
    fn still_wants(&self, swap: &Swap) -> Result<bool, Failure> {
        let wanted: Result<Vec<_>, _> = self.records.iter().map(Record::wanted).collect();
        let wanted = wanted?;
        Ok(swap
            .new
            .iter()
            .all(|new| wanted.iter().any(|w| RecordSet { routing: new.routing.clone(), ..w.clone() }.same(new))))
    }
}
