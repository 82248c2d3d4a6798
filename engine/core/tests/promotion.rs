//! What a promotion wants before it: a fence that is proven, and somebody's
//! word for the writes that are lost.

use async_trait::async_trait;
use dr_engine::{
    attempt::Ended,
    clock::{SystemClock, Time},
    data_loss::DATA_LOSS,
    kind::{Explained, Kind, Reference, Registry},
    outcome::{Failure, Output, RecoveryPoint},
    plan::{
        Plan, Selection,
        build::{Options, Sources, plan},
    },
    question::Question,
    step::{Check, Description, ReadCx, Step, StepCx, StepError, Steps},
    testing::{Bench, UNEXPLAINED},
};
use expect_test::expect;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// A kind of work that says of itself what the test wants.
macro_rules! kind {
    ($name:ident, $fences:literal, $promotes:literal) => {
        #[derive(Debug, Default, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        struct $name {
            /// Up to when the data would be there, in milliseconds.
            #[serde(default)]
            keeps: Option<i64>,
        }

        impl Explained for $name {
            const REFERENCE: Reference = UNEXPLAINED;
        }

        #[async_trait]
        impl Step for $name {
            fn describe(&self) -> Description {
                let (fences, promotes) = ($fences, $promotes);
                Description { fences, second_writer: promotes, loses_data: promotes, ..Description::default() }
            }

            async fn check(&self, _: &ReadCx) -> Result<Check, Failure> {
                Ok(Check::Absent)
            }

            async fn run(&self, _: &StepCx) -> Result<Output, StepError> {
                Ok(Output::default())
            }

            async fn would_keep(&self, _: &ReadCx) -> Result<RecoveryPoint, Failure> {
                let at = self.keeps.map(Time).ok_or_else(|| Failure::new("the replica says nothing"))?;
                Ok(RecoveryPoint { at, source: "ReplicaLag".into() })
            }
        }
    };
}

kind!(Work, false, false);
kind!(Fence, true, false);
kind!(Promote, false, true);

fn registry() -> Registry {
    Registry::of([Kind::of::<Work>("work"), Kind::of::<Fence>("fence"), Kind::of::<Promote>("promote")])
}

struct One<'a>(&'a str);

impl Sources for One<'_> {
    fn read(&self, _: &str, _: Option<&str>) -> Result<(String, String), String> {
        Ok(("plan.yaml".into(), self.0.into()))
    }
}

const ROLES: &str = "roles: { executive: { name: eva, deputies: [ed] }, incident_commander: { name: ina } }";

fn planned(roles: &str, steps: &str, selection: Selection) -> Result<Plan, Vec<String>> {
    let text = format!("dr: v1\nname: promote\n{roles}\nsteps:\n{steps}");
    let options = Options { selection, ..Options::default() };
    plan("plan.yaml", &One(&text), &registry(), &options).map_err(|problems| {
        let said = |it: dr_engine::problem::Problem| match it.help {
            Some(help) => format!("{}; {help}", it.message),
            None => it.message,
        };
        problems.problems.into_iter().map(said).collect()
    })
}

const FENCE: &str = "  stop_old: { do: { fence: {} } }\n";
const PROMOTE: &str = "  promote_new: { fence: stop_old, data_loss: acknowledge, do: { promote: { keeps: 5 } } }\n";

#[test]
fn a_promotion_waits_for_its_fence_and_then_for_somebodys_word() {
    let plan = planned(ROLES, &format!("{FENCE}{PROMOTE}"), Selection::default()).expect("it is whole");
    let ids: Vec<_> = plan.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(ids, ["stop_old", "promote_new!data_loss", "promote_new"]);
    let gate = &plan.steps[1];
    assert_eq!((gate.kind.as_str(), &gate.with["roles"]), (DATA_LOSS, &serde_json::json!(["executive"])));
    assert_eq!(gate.needs, [plan.find("stop_old").expect("it is there")]);
    assert_eq!(plan.steps[2].needs.len(), 2);
    assert!(plan.steps[0].fences && !plan.steps[2].fences);
    // Where nobody is the executive, the Incident Commander is asked.
    let two = "roles: { incident_commander: { name: ina, deputies: [ed] } }";
    let plan = planned(two, &format!("{FENCE}{PROMOTE}"), Selection::default()).expect("it is whole");
    assert_eq!(plan.steps[1].with["roles"], serde_json::json!(["incident_commander"]));
}

#[test]
fn whatever_would_let_a_promotion_run_without_its_fence_is_a_mistake() {
    let none = Selection::default();
    let only = Selection { only: vec!["promote_new".into()], ..Selection::default() };
    let without = Selection { skip: vec!["stop_old".into()], ..Selection::default() };
    let unasked = Selection { skip: vec!["promote_new!data_loss".into()], ..Selection::default() };
    let plain = format!("{FENCE}{PROMOTE}");
    for (roles, steps, selection, says) in [
        (
            ROLES,
            "  promote_new: { data_loss: acknowledge, do: { promote: {} } }\n",
            &none,
            "step `promote_new` makes a second writer, and nothing keeps the first one from writing; name the step \
             that does: `fence: STEP`",
        ),
        (
            ROLES,
            &format!("{FENCE}  promote_new: {{ fence: stop_old, do: {{ promote: {{}} }} }}\n"),
            &none,
            "step `promote_new` loses what was written last, and nobody is asked; let it be asked with the live \
             number: `data_loss: acknowledge`",
        ),
        (
            ROLES,
            &format!("  stop_old: {{ do: {{ work: {{}} }} }}\n{PROMOTE}"),
            &none,
            "`stop_old` is no fence of `promote_new`: `work` does not prove that the old writer cannot write; use a \
             kind that does, such as `fence.command`, whose `check` is the proof",
        ),
        (ROLES, PROMOTE, &none, "step `promote_new` needs `stop_old`, which does not exist"),
        (
            ROLES,
            &format!("  stop_old: {{ when: \"1 == 1\", do: {{ fence: {{}} }} }}\n{PROMOTE}"),
            &none,
            "step `stop_old` is a fence, and has a condition; a fence that is left out proves nothing: take `when` \
             away, and plan the other case in a runbook of its own",
        ),
        (
            ROLES,
            &format!("  stop_old: {{ on_failure: continue, do: {{ fence: {{}} }} }}\n{PROMOTE}"),
            &none,
            "step `stop_old` is a fence, and its failure would be tolerated; take `on_failure` away: when it cannot \
             be set, two people are asked",
        ),
        (
            "roles: { executive: { name: eva } }",
            &plain,
            &none,
            "when the fence `stop_old` cannot be set, 2 people are asked, and `roles` names eva; the region may be \
             gone when it is needed: name more people; `deputies` count too",
        ),
        (
            "roles: { lead: { name: eva, deputies: [ed] } }",
            &plain,
            &none,
            "nobody may acknowledge lost data: there is no role `executive` or `incident_commander`; name them: \
             `roles: { executive: … }`",
        ),
        (
            ROLES,
            &format!("  stop_old: {{ for_each: [], do: {{ fence: {{}} }} }}\n{PROMOTE}"),
            &none,
            "the fence of `promote_new` stands for no step; its `for_each` is empty: nothing would keep the old \
             writer from writing",
        ),
        (
            ROLES,
            &format!("{FENCE}{}", PROMOTE.replace("{ fence: s", "{ when: \"1 == 1\", fence: s")),
            &none,
            "step `promote_new` has a condition, and its fence has none; where it is left out, the old writer would \
             be fenced for nothing: plan that case in a runbook of its own",
        ),
        (
            ROLES,
            &plain,
            &unasked,
            "--skip promote_new!data_loss: a question is not left out; answer it when it comes, or leave out the \
             step behind it",
        ),
        (
            ROLES,
            &plain,
            &only,
            "this part of the plan has `promote_new` without its fence `stop_old`; leave both out, or take both: \
             `--only stop_old --only promote_new`",
        ),
        (
            ROLES,
            &plain,
            &without,
            "this part of the plan has `promote_new` without its fence `stop_old`; leave both out, or take both: \
             `--only stop_old --only promote_new`",
        ),
    ] {
        let said = planned(roles, steps, selection.clone()).expect_err(says);
        assert_eq!(said, [says]);
    }
}

#[test]
fn a_service_is_no_place_for_a_promotion() {
    let services = "  db: { start: { promote: {} }, healthy: { work: {} } }\n";
    let text = format!("steps:\n{FENCE}services:\n{services}");
    let said = planned(ROLES, text.strip_prefix("steps:\n").expect("it begins so"), Selection::default());
    let said = said.expect_err("it has no fence").join("\n");
    assert!(said.contains("`db` makes a second writer") && said.contains("`db` loses what was written last"), "{said}");
}

async fn asked(keeps: Option<i64>, incident: i64, fenced: Option<i64>) -> (Question, Bench) {
    let plan = planned(ROLES, &format!("{FENCE}{PROMOTE}"), Selection::default()).expect("it is whole");
    let mut gate = plan.steps[1].clone();
    gate.with["with"]["keeps"] = keeps.into();
    let mut bench = Bench::new("promote_new!data_loss", Arc::new(SystemClock::new()), Arc::new(()));
    bench.run.incident_at = Time(incident);
    bench.fenced_at = fenced.map(Time);
    let work = registry().step(&gate, gate.with.clone()).expect("it is made");
    let Ended::Error(StepError::Ask(question)) = bench.attempt(work, None).await else { panic!("it asks") };
    (*question, bench)
}

/// The minutes are those after midnight: up to when the data would be there, when the
/// outage began, since when the old writer is fenced.
#[tokio::test]
async fn the_question_has_the_live_number_or_says_that_there_is_none() {
    let minute = 60_000;
    let (question, bench) = asked(Some(90 * minute), 94 * minute + 12_000, None).await;
    assert_eq!(
        (&question.roles[..], &question.choices[..]),
        (&["executive".to_owned()][..], &["approve".to_owned(), "retry".into(), "decline".into()][..])
    );
    let facts = bench.facts.lock().expect("no panic").clone();
    assert_eq!(facts[0].value, serde_json::json!({ "at": 90 * minute, "source": "ReplicaLag" }));
    let (_, bench) = asked(None, 94 * minute, None).await;
    assert_eq!(bench.facts.lock().expect("no panic").len(), 0);

    let mut said = String::new();
    for (keeps, incident, fenced) in [
        (Some(90), 94, None),
        (Some(90), 94, Some(93)),
        (Some(90), 94, Some(103)),
        (Some(95), 94, None),
        (Some(95), 94, Some(103)),
        (Some(95), 94, Some(95)),
        (None, 94, Some(103)),
    ] {
        let (question, _) = asked(keeps.map(|at| at * minute), incident * minute, fenced.map(|at| at * minute)).await;
        said = format!("{said}{}\n", question.text.replace("1970-01-01T", ""));
    }
    expect![[r"
        `promote_new` loses 4m of writes: what was written after 01:30:00Z (ReplicaLag) until the outage began at 01:34:00Z, and all that the old writer takes until it is fenced, which it is NOT. Go on? `retry` reads the number again
        `promote_new` loses 4m of writes: what was written after 01:30:00Z (ReplicaLag) until the outage began at 01:34:00Z. Go on? `retry` reads the number again
        `promote_new` loses 4m of writes: what was written after 01:30:00Z (ReplicaLag) until the outage began at 01:34:00Z, and what the old writer took from then to its fence at 01:43:00Z, 9m at most. Go on? `retry` reads the number again
        `promote_new` loses what the old writer took after 01:35:00Z (ReplicaLag), and takes until it is fenced, which it is NOT. What was written until the outage began at 01:34:00Z is kept, as far as it was measured. Go on? `retry` reads the number again
        `promote_new` loses up to 8m of writes: what the old writer took after 01:35:00Z (ReplicaLag) until its fence at 01:43:00Z. What was written until the outage began at 01:34:00Z is kept, as far as it was measured. Go on? `retry` reads the number again
        `promote_new` loses nothing that is known of: it has what was written until 01:35:00Z (ReplicaLag), and the old writer was fenced at 01:35:00Z. Go on? `retry` reads the number again
        `promote_new` loses what was written last, and nobody can say how much: the replica says nothing. Go on? `retry` reads the number again
    "]].assert_eq(&said);
}
