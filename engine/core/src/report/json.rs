//! The report as JSON, with names that stay.
//!
//! Lengths are whole milliseconds in fields that end in `_ms`; moments are
//! RFC 3339 in UTC. What is not known is `null`, and the field of the same name
//! that ends in `_why` says why; there is no such field otherwise.

use super::{
    Forecast, Measure, Note, Report,
    measure::{Rpo, Rto},
    story::{Answer, Asked, StepStory},
    text::{identity, stamp},
};
use crate::{
    clock::Time,
    duration::Dur,
    event::Person,
    outcome::{Failure, Learned},
    plan::{Plan, hex},
};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

impl Report {
    /// The report for machines.
    pub fn to_json(&self) -> Value {
        let (opened, plan, story) = (&self.opened, &self.opened.plan, &self.story);
        json!({
            "format": 1,
            "report_id": format!("{}@{}", opened.run, self.integrity.events),
            "written_at": stamp(self.written_at),
            "run": opened.run,
            "kind": opened.kind.word(),
            "mode": plan.mode.word(),
            "outcome": self.present.word(),
            "headline": self.headline,
            "objective": plan.description,
            "runbook": { "name": plan.name, "owner": plan.owner, "plan_sha256": self.plan_hash },
            "scope": {
                "regions": plan.regions,
                "accounts": plan.accounts.iter().map(|(name, it)| (name.clone(), it.id.clone().into())).collect::<Map<_, _>>(),
                "only": plan.selection.only,
                "until": plan.selection.until,
                "excluded": plan.selection.skip,
            },
            "tool": story.controllers.iter().map(|(at, it)| json!({
                "version": it.version, "host": it.host, "pid": it.pid, "epoch": it.epoch,
                "joined": stamp(*at), "took_over_why": it.why,
                "break_glass": it.break_glass.as_ref().map(|it| json!({
                    "profile": it.profile, "who": name(&it.by), "identity": identity(&it.by), "why": it.why,
                })),
            })).collect::<Vec<_>>(),
            "people": story.people.iter().map(|by| json!({
                "name": by.name, "claimed": by.name.is_some(), "identity": identity(by), "roles": roles(plan, by),
            })).collect::<Vec<_>>(),
            "clock": self.clock(),
            "rto": self.rto(),
            "rpo": rpo(&self.rpo)["stores"],
            "rpo_worst": worst(&self.rpo),
            "critical_path": self.path,
            "forecast": forecast(self.forecast),
            "steps": story.steps.iter().map(|it| step(plan, it)).collect::<Vec<_>>(),
            "questions": story.questions.iter().map(question).collect::<Vec<_>>(),
            "approvals": story.questions.iter().filter(|asked| asked.about == "approval").map(approval).collect::<Vec<_>>(),
            "decisions": story.decisions.iter().map(|it| json!({
                "time": stamp(it.at), "who": name(&it.by), "identity": identity(&it.by), "role": roles(plan, &it.by),
                "step": it.step, "what": it.what, "comment": it.why,
            })).collect::<Vec<_>>(),
            "deviations": story.deviations.iter().map(|it| json!({
                "time": stamp(it.at), "step": it.step, "what": it.what, "why": it.why, "who": it.by.as_ref().map(name),
            })).collect::<Vec<_>>(),
            "deadlines": story.passed.iter().map(|it| json!({
                "time": stamp(it.at), "which": it.which, "step": it.step,
            })).collect::<Vec<_>>(),
            "notes": self.noted(false),
            "help_wanted": self.noted(true),
            "impact": story.affected.iter().map(|it| json!({
                "time": stamp(it.at), "who": name(&it.by), "text": it.text,
            })).collect::<Vec<_>>(),
            "comms": story.told.iter().map(|it| json!({
                "time": stamp(it.at), "item": it.item, "audience": it.audience.word(), "channel": it.channel,
                "delivered": !it.channel.ends_with("-file"), "reference": it.reference,
            })).collect::<Vec<_>>(),
            "lessons": self.lessons(),
            "issues": self.issues(),
            "timeline": story.timeline.iter().map(|it| json!({
                "seq": it.seq, "time": stamp(it.at), "offset_ms": it.at.since(opened.incident_at).0, "text": it.text,
            })).collect::<Vec<_>>(),
            "integrity": {
                "journal_head": self.integrity.head,
                "chain_ok": self.integrity.chain_ok,
                "events": self.integrity.events,
            },
        })
    }

    fn clock(&self) -> Value {
        let (opened, moments) = (&self.opened, &self.moments);
        json!({
            "outage_start": stamp(opened.incident_at),
            "outage_start_assumed": opened.incident_assumed,
            "detected": opened.detected_at.map(stamp),
            "declared": opened.declared_at.map(stamp),
            "declared_by": opened.declared_by,
            "started": stamp(moments.opened_at),
            "last_step_end": moments.last_step_end.map(stamp),
            "verified_healthy": moments.healthy_since.map(stamp),
            "held_until": moments.held_until.map(stamp),
            "finished": moments.finished_at.map(stamp),
            "zone": "UTC",
        })
    }

    fn rto(&self) -> Value {
        let mut fields = rto(&self.rto);
        let mut parts = Map::new();
        if let Some(split) = &self.split {
            put(&mut parts, "detect", &split.detect);
            put(&mut parts, "decide", &split.decide);
            put(&mut parts, "before_start", &split.before);
            put(&mut parts, "people", &Measure::Known(split.people));
            put(&mut parts, "provider", &Measure::Known(split.provider));
            put(&mut parts, "execute", &Measure::Known(split.execute));
            put(&mut parts, "verify", &split.verify);
            put(&mut parts, "hold", &split.hold);
            put(&mut parts, "elapsed", &Measure::Known(split.elapsed));
        }
        fields["breakdown"] = if parts.is_empty() { Value::Null } else { parts.into() };
        fields["assumed_start"] = self.opened.incident_assumed.into();
        let end = self.moments.last_step_end.map(|end| end.since(self.opened.incident_at));
        fields["last_step_end_ms"] = ms(end);
        fields
    }

    fn lessons(&self) -> Vec<Value> {
        let lessons = self.story.notes.iter().filter(|it| it.learned == Some(Learned::Lesson));
        lessons.map(|it| json!({ "time": stamp(it.at), "who": name(&it.by), "text": it.text })).collect()
    }

    /// What is to be done; what became of it is for a ticket to say.
    fn issues(&self) -> Vec<Value> {
        let actions = self.story.notes.iter().filter_map(|it| match &it.learned {
            Some(Learned::Action { owner, due }) => Some((it, owner, due)),
            _ => None,
        });
        let issue = |(at, (it, owner, due)): (usize, (&Note, _, _))| {
            json!({ "id": format!("action-{}", at + 1), "time": stamp(it.at), "description": it.text, "owner": owner,
                    "due": due, "raised_by": name(&it.by) })
        };
        actions.enumerate().map(issue).collect()
    }

    fn noted(&self, help_wanted: bool) -> Vec<Value> {
        let notes = self.story.notes.iter().filter(|it| it.help_wanted == help_wanted && it.learned.is_none());
        notes.map(|it| json!({ "time": stamp(it.at), "who": name(&it.by), "identity": identity(&it.by), "text": it.text })).collect()
    }
}

/// A measure under its name, with its reason where there is none.
fn put(fields: &mut Map<String, Value>, name: &str, measure: &Measure) {
    fields.insert(format!("{name}_ms"), ms(measure.known()));
    if let Some(why) = measure.why() {
        fields.insert(format!("{name}_why"), why.into());
    }
}

fn ms(dur: Option<Dur>) -> Value {
    dur.map_or(Value::Null, |dur| dur.0.into())
}

pub(super) fn rto(rto: &Rto) -> Value {
    let mut fields = Map::new();
    fields.insert("target_ms".into(), ms(rto.objective));
    put(&mut fields, "actual", &rto.actual);
    fields.insert("verdict".into(), rto.verdict.word().into());
    fields.into()
}

/// The stores and the worst of them.
pub(super) fn rpo(rpo: &Rpo) -> Value {
    let stores = rpo.stores.iter().map(|store| {
        let mut fields = Map::new();
        fields.insert("datastore".into(), store.step.clone().into());
        fields.insert("target_ms".into(), ms(store.objective));
        let point = store.recovery_point.as_ref();
        fields.insert("recovery_point".into(), point.map_or(Value::Null, |point| stamp(point.at).into()));
        put(&mut fields, "achieved", &store.loss);
        if let Some(late) = &store.late {
            put(&mut fields, "until_fenced", late);
        }
        if let Some(two) = &store.two_writers {
            put(&mut fields, "two_writers", two);
        }
        if !store.acknowledged_by.is_empty() {
            fields.insert("acknowledged_by".into(), store.acknowledged_by.clone().into());
        }
        fields.insert("verdict".into(), store.verdict.word().into());
        fields.insert("how_measured".into(), point.map_or(Value::Null, |point| point.source.clone().into()));
        Value::Object(fields)
    });
    json!({ "stores": stores.collect::<Vec<_>>(), "worst": worst(rpo) })
}

fn worst(rpo: &Rpo) -> Value {
    let mut fields = Map::new();
    put(&mut fields, "achieved", &rpo.worst);
    let known = rpo.worst_store();
    fields.insert("at_least_ms".into(), ms(known.map(|(_, loss)| loss)));
    fields.insert("datastore".into(), known.map_or(Value::Null, |(store, _)| store.step.clone().into()));
    fields.insert("verdict".into(), rpo.verdict.word().into());
    fields.into()
}

pub(super) fn forecast(forecast: Option<Forecast>) -> Value {
    forecast.map_or(Value::Null, |it| json!({ "p50": stamp(it.p50), "p90": stamp(it.p90), "at_least": it.at_least }))
}

fn step(plan: &Plan, it: &StepStory) -> Value {
    let with = serde_json::to_vec(&plan.step(it.step).with).expect("inputs are JSON");
    let call = |failure: &Failure| failure.call.as_ref().and_then(|call| call.request_id.clone());
    let point = it.recovery_point.as_ref();
    json!({
        "id": it.id,
        "type": it.kind,
        "phase": it.phase,
        "region": it.region,
        "account": plan.step(it.step).account,
        "depends_on": it.needs,
        "planned": it.planned.map(|e| json!({ "p50_ms": e.p50.0, "p90_ms": e.p90.0 })),
        "budget_ms": it.timeout.0,
        "started": it.started.map(stamp),
        "ended": it.ended.map(stamp),
        "actual_ms": ms(it.took()),
        "attempts": it.attempts,
        "status": it.state,
        "found": it.found,
        "on_critical_path": it.on_path,
        "actor": it.actor.as_ref().map(name),
        "inputs_hash": hex(&Sha256::digest(with)),
        "outputs_redacted": it.outputs,
        "recovery_point": point.map(|p| json!({ "at": stamp(p.at), "source": p.source })),
        "facts": it.facts.iter().map(|(at, attempt, fact)| json!({
            "time": stamp(*at), "attempt": attempt, "name": fact.name, "value": fact.value, "handle": fact.handle,
        })).collect::<Vec<_>>(),
        "request_ids": it.errors.iter().filter_map(|e| call(&e.failure)).collect::<Vec<_>>(),
        "errors": it.errors.iter().map(|e| json!({
            "time": stamp(e.at), "attempt": e.attempt, "word": e.word, "message": e.failure.message,
            "causes": e.failure.causes, "hint": e.failure.hint,
            "service": e.failure.call.as_ref().map(|c| &c.service),
            "operation": e.failure.call.as_ref().map(|c| &c.operation),
            "code": e.failure.call.as_ref().and_then(|c| c.code.as_ref()),
            "request_id": call(&e.failure),
            "region": e.failure.call.as_ref().map(|c| &c.region),
        })).collect::<Vec<_>>(),
    })
}

fn question(asked: &Asked) -> Value {
    let answer = |it: &Answer| {
        json!({ "time": stamp(it.at), "who": name(&it.by), "claimed": it.by.name.is_some(), "identity": identity(&it.by),
                "answer": it.word, "comment": it.why })
    };
    json!({
        "step": asked.step,
        "about": asked.about,
        "text": asked.text,
        "choices": asked.choices,
        "roles": asked.roles,
        "asked": stamp(asked.asked_at),
        "settled": asked.settled_at.map(stamp),
        "waited_ms": asked.waited.0,
        "late": asked.late,
        "answers": asked.answers.iter().map(answer).collect::<Vec<_>>(),
    })
}

fn approval(asked: &Asked) -> Value {
    let given = asked.answers.iter().filter(|answer| answer.word == "approve").map(|answer| name(&answer.by));
    json!({
        "step": asked.step,
        "required": asked.count,
        "roles": asked.roles,
        "given_by": given.collect::<Vec<_>>(),
        "declined": asked.answers.iter().any(|answer| answer.word == "decline"),
        "settled": asked.settled_at.map(|at: Time| stamp(at)),
        "waited_ms": asked.waited.0,
    })
}

fn name(by: &Person) -> String {
    by.name.clone().unwrap_or_else(|| identity(by))
}

/// The roles in which the runbook knows a person by this name.
fn roles(plan: &Plan, by: &Person) -> Vec<String> {
    let Some(name) = &by.name else {
        return Vec::new();
    };
    let held = plan.roles.iter().filter_map(|(role, it)| match () {
        () if it.name == *name => Some(role.clone()),
        () if it.deputies.contains(name) => Some(format!("{role} (deputy)")),
        () => None,
    });
    held.collect()
}
