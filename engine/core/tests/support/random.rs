//! Random scenarios, and a person who looks at the world before answering.

use super::{
    script::{Act, End, Scenario, Script, Sight, fences, place, plan, step},
    sim::Answerer,
};
use dr_engine::{
    duration::Dur,
    message::Ask,
    plan::{Estimate, OnFailure},
    question::{About, Choice},
};
use proptest::prelude::*;
use serde_json::Map;
use std::{collections::BTreeMap, sync::Arc};

/// A step that works.
pub fn ok(takes: Dur) -> Script {
    Script { runs: vec![Act { takes, end: End::Ok }], ..Script::default() }
}

/// A random plan of up to so many steps. In a rough one things go wrong, and
/// some steps cannot see their own effect.
pub fn scenario(steps_max: usize, rough: bool) -> impl Strategy<Value = Scenario> {
    let step = move || (prop::collection::vec(any::<prop::sample::Index>(), 0..4), script(rough), 0_u8..10);
    prop::collection::vec(step(), 1..=steps_max).prop_map(build)
}

fn build(drawn: Vec<(Vec<prop::sample::Index>, Script, u8)>) -> Scenario {
    let mut scenario = Scenario { plan: plan(Vec::new()), scripts: BTreeMap::new() };
    for (at, (needs, script, luck)) in drawn.into_iter().enumerate() {
        let mut step = step(&format!("s{at}"));
        step.needs = needs.iter().filter(|_| at > 0).map(|index| place(index.index(at.max(1)))).collect();
        step.needs.sort();
        step.needs.dedup();
        step.fenced_by = fences(&scenario.plan, &step.needs);
        let takes = script.runs.last().expect("it has one").takes;
        step.estimate = Some(Estimate { p50: takes, p90: takes });
        step.timeout = Dur(40 * 60_000);
        if luck == 0 && !script.runs.iter().all(|act| act.end == End::Ok) {
            step.on_failure = OnFailure::Continue;
        }
        // Nobody's word passes for the proof of a fence: it has to see its effect.
        step.fences = matches!(luck, 1..=3) && script.sees_effect;
        scenario.scripts.insert(step.id.clone(), script);
        scenario.plan.steps.push(step);
    }
    scenario
}

fn script(rough: bool) -> BoxedStrategy<Script> {
    let takes = (0_i64..30).prop_map(|minutes| Dur(minutes * 60_000));
    if !rough {
        return takes.prop_map(ok).boxed();
    }
    let ends = vec![End::Flaky, End::Fails, End::Lost, End::Doubt, End::Panics, End::Hangs, End::Stuck, End::Provider];
    let rough = prop::collection::vec(prop::sample::select(ends), 0..3);
    let looks = prop::sample::select(vec![Sight::World, Sight::World, Sight::World, Sight::Error, Sight::Unknown]);
    (takes, rough, prop::collection::vec(looks, 0..3), 0_u8..5, any::<bool>())
        .prop_map(|(takes, rough, looks, blind, records)| {
            let mut runs: Vec<_> = rough.into_iter().map(|end| Act { takes, end }).collect();
            runs.push(Act { takes, end: End::Ok });
            if let Some(at) = runs.iter().position(|act| act.end == End::Provider) {
                // What the provider began is the same in every attempt.
                runs.truncate(at + 1);
            }
            let mut looks = looks;
            looks.push(Sight::World);
            Script { runs, looks, sees_effect: blind > 0, records, ..Script::default() }
        })
        .boxed()
}

/// People who look: what is there is done, what is not is tried again; of every
/// other fence that cannot be set two of them say so.
pub fn answerer() -> Answerer {
    Arc::new(|id, question, world| {
        let site = world.site(id);
        let (step, why) = (id.to_owned(), "looked".to_owned());
        let answer = |choice| Ask::Answer { step: id.to_owned(), choice, set: Map::new(), why: why.clone() };
        if matches!(question.about, About::Slow(_)) {
            return vec![("sue", answer(Choice::Wait))];
        }
        if site.there {
            return vec![("sue", Ask::Done { step, values: Map::new(), why })];
        }
        if question.allows(&Choice::Impossible) && id.ends_with(['0', '2', '4', '6', '8']) {
            return vec![("sue", answer(Choice::Impossible)), ("bob", answer(Choice::Impossible))];
        }
        vec![("sue", answer(Choice::Retry))]
    })
}
