//! Laws of planning: whatever is written it is planned or told, a plan keeps
//! the order that its runbook asks for, and the same text is the same plan.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use async_trait::async_trait;
use dr_engine::{
    kind::{Explained, Kind, Reference, Registry},
    outcome::{Failure, Output},
    plan::{
        Plan, Selection,
        build::{Options, Problems, Sources, plan},
    },
    step::{Check, Description, OutputName, ReadCx, Step, StepCx, StepError},
    testing::UNEXPLAINED,
    yaml::In,
};
use proptest::{prelude::*, sample::Index};
use rustix::time::{ClockId, clock_gettime};
use schemars::JsonSchema;
use serde::Deserialize;

/// Work that leaves any outputs it is told to.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Work {
    #[serde(default)]
    text: Option<In<String>>,
    #[serde(default)]
    number: Option<In<u32>>,
    #[serde(default)]
    leaves: Vec<String>,
}

impl Explained for Work {
    const REFERENCE: Reference = UNEXPLAINED;
}

#[async_trait]
impl Step for Work {
    fn describe(&self) -> Description {
        Description { summary: format!("works on {:?} {:?}", self.text, self.number), ..Description::default() }
    }

    fn outputs(&self) -> Vec<OutputName> {
        self.leaves.iter().map(|name| OutputName::text(name)).collect()
    }

    async fn check(&self, _: &ReadCx) -> Result<Check, Failure> {
        Ok(Check::Absent)
    }

    async fn run(&self, _: &StepCx) -> Result<Output, StepError> {
        Ok(Output::default())
    }
}

/// Texts in memory; a runbook can include `part.yaml`.
struct Texts<'t>(&'t str);

const PART: &str = "dr: v1\nname: part\nparams: { env: { type: string, default: prod } }\nsteps:\n  one: { do: { work: { leaves: [id] } } }\n  two: { do: { work: { text: \"${steps.one.id}-${params.env}\" } } }\n";

impl Sources for Texts<'_> {
    fn read(&self, path: &str, _: Option<&str>) -> Result<(String, String), String> {
        match path {
            "book.yaml" => Ok((path.to_owned(), self.0.to_owned())),
            "part.yaml" => Ok((path.to_owned(), PART.to_owned())),
            _ => Err(format!("there is no file {path}")),
        }
    }
}

fn planned(text: &str, selection: Selection) -> Result<Plan, Problems> {
    let registry = Registry::of([Kind::of::<Work>("work")]);
    plan("book.yaml", &Texts(text), &registry, &Options { selection, ..Options::default() })
}

/// What it cost this thread; others may be busy.
fn seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    #[expect(clippy::cast_precision_loss, reason = "a few seconds")]
    let seconds = time.tv_sec as f64 + time.tv_nsec as f64 / 1e9;
    seconds
}

/// A text is planned or its mistakes are told, within a second, each at a
/// place that can be shown.
fn planned_or_told(text: &str) -> Result<(), TestCaseError> {
    let before = seconds();
    let outcome = planned(text, Selection::default());
    let took = seconds() - before;
    prop_assert!(took < 1.0, "it took {took} s");
    let Err(Problems { sources, problems }) = outcome else { return Ok(()) };
    prop_assert!(!problems.is_empty());
    for (n, problem) in problems.iter().enumerate() {
        for span in std::iter::once(problem.span).chain(problem.via) {
            let source = sources.source(span);
            let (start, end) = ((span.start - source.base) as usize, (span.end - source.base) as usize);
            prop_assert!(source.text.get(start..end).is_some(), "{problem:?}");
        }
        prop_assert!(!problem.message.contains("defect of dr"), "{problem:?}");
        prop_assert!(!problems[..n].contains(problem), "told twice: {problem:?}");
    }
    Ok(())
}

/// A runbook that uses everything there is.
const EVERYTHING: &str = r#"dr: v1
name: everything
description: All of the grammar.
regions: { primary: eu-west-1, recovery: "${params.recovery}" }
accounts:
  prod: { id: "123456789012" }
objectives: { rto: 1h, rpo: 15m, hold: 5m }
roles:
  executive: { name: Ada, deputies: [Ben] }
params:
  recovery: { type: string, default: eu-central-1 }
  stores: { type: list, default: [orders, users] }
  size: { type: number, default: 3 }
defaults: { timeout: 90m, retry: { attempts: 3, backoff: 5s..2m } }
services:
  payments:
    needs: [restore]
    start: { work: { text: start } }
    healthy: { work: { text: look } }
    estimate: { p50: 3m, p90: 8m }
  orders:
    depends_on: [payments]
    start: { work: { number: "${params.size}" } }
    healthy: { work: {} }
steps:
  restore:
    phase: datastores
    for_each: "${params.stores}"
    do:
      work: { text: "${each.value}-${run.id}", leaves: [endpoint] }
    when: mode == 'ungraceful' && params.size > 2
    estimate: { p50: 18m, p90: 35m }
  freeze: &freeze
    phase: announce
    do: { work: { text: freeze } }
    on_failure: continue
  billing:
    include: part.yaml
    params: { env: "${regions.recovery}" }
    needs: [freeze]
  point:
    phase: dns
    needs: [phase.services, billing, billing/two]
    approve: { roles: [executive], count: 1, not_starter: true, timeout: 15m }
    irreversible: true
    do: { work: { text: "${steps.restore[orders].endpoint}", number: 4 } }
  say:
    phase: close
    needs: [point]
    do: { work: { text: done } }
"#;

#[test]
fn everything_is_planned() {
    let plan = planned(EVERYTHING, Selection::default());
    let plan = plan.unwrap_or_else(|it| panic!("{:#?}", it.problems));
    let ids: Vec<_> = plan.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "restore[orders]",
            "restore[users]",
            "payments",
            "payments_healthy",
            "orders",
            "orders_healthy",
            "freeze",
            "billing/one",
            "billing/two",
            "point!approve",
            "point",
            "say",
        ]
    );
}

/// A stretch of `EVERYTHING` taken out, doubled, or put somewhere else.
#[derive(Debug, Clone)]
enum Slip {
    Cut(Index, usize),
    Put(Index, &'static str),
    Move(Index, Index, usize),
}

fn slip() -> impl Strategy<Value = Slip> {
    let pieces = [
        "\n",
        "  ",
        "\t",
        ": ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        "\"",
        "'",
        "#",
        "&a ",
        "*a",
        "*freeze",
        "<<",
        "!x ",
        "|\n",
        "${",
        "${params.x}",
        "${steps.restore.x}",
        "${each.value}",
        "needs: [point]\n",
        "phase.",
        "null",
        "~",
        "0",
        "-1",
        "1e9",
        "for_each: [a]\n",
        "include: book.yaml\n",
        "include: part.yaml\n",
        "do:\n",
        "when: '((('\n",
        "é",
        "\u{0}",
        "\u{feff}",
        "---\n",
        "99999999999999999999",
    ];
    prop_oneof![
        3 => (any::<Index>(), 1..40usize).prop_map(|(at, len)| Slip::Cut(at, len)),
        3 => (any::<Index>(), prop::sample::select(pieces.to_vec())).prop_map(|(at, piece)| Slip::Put(at, piece)),
        1 => (any::<Index>(), any::<Index>(), 1..200usize).prop_map(|(from, to, len)| Slip::Move(from, to, len)),
    ]
}

fn slipped(slips: &[Slip]) -> String {
    let mut text: Vec<char> = EVERYTHING.chars().collect();
    for slip in slips {
        match slip {
            Slip::Cut(at, len) => {
                let at = at.index(text.len());
                text.drain(at..(at + len).min(text.len()));
            }
            Slip::Put(at, piece) => {
                let at = at.index(text.len());
                text.splice(at..at, piece.chars());
            }
            Slip::Move(from, to, len) => {
                let from = from.index(text.len());
                let piece: Vec<char> = text[from..(from + len).min(text.len())].to_vec();
                let to = to.index(text.len());
                text.splice(to..to, piece);
            }
        }
        if text.is_empty() {
            text.push('x');
        }
    }
    text.into_iter().collect()
}

/// A runbook without circles: step `n` needs only steps before it, but the
/// file has them in any order.
#[derive(Debug, Clone)]
struct Dag {
    /// For each step the steps it needs, and those whose output it uses.
    needs: Vec<(BTreeSet<usize>, BTreeSet<usize>)>,
    approved: Vec<bool>,
    written: Vec<usize>,
}

fn dag() -> impl Strategy<Value = Dag> {
    (1..24usize)
        .prop_flat_map(|steps| {
            let edges = prop::collection::vec((any::<Index>(), any::<Index>(), any::<bool>()), 0..steps * 2);
            let approved = prop::collection::vec(prop::bool::weighted(0.2), steps);
            (edges, approved, Just((0..steps).collect::<Vec<_>>()).prop_shuffle())
        })
        .prop_map(|(edges, approved, written)| {
            let mut needs = vec![(BTreeSet::new(), BTreeSet::new()); written.len()];
            for (one, other, uses) in edges {
                let (one, other) = (one.index(written.len()), other.index(written.len()));
                let (before, after) = (one.min(other), one.max(other));
                if before < after {
                    let (plain, used) = &mut needs[after];
                    let _ = if uses { used.insert(before) } else { plain.insert(before) };
                }
            }
            Dag { needs, approved, written }
        })
}

impl Dag {
    fn text(&self) -> String {
        let mut text = "dr: v1\nname: random\nsteps:\n".to_owned();
        for step in &self.written {
            let (needs, uses) = &self.needs[*step];
            let needs: Vec<_> = needs.iter().map(|need| format!("s{need}")).collect();
            let uses = uses.iter().map(|need| format!("${{steps.s{need}.id}}")).collect::<Vec<_>>().concat();
            writeln!(text, "  s{step}:\n    needs: [{}]", needs.join(", ")).expect("a text grows");
            if self.approved[*step] {
                text.push_str("    approve: {}\n");
            }
            writeln!(text, "    do: {{ work: {{ leaves: [id], text: \"x{uses}\" }} }}").expect("a text grows");
        }
        text
    }

    /// All that comes before each step.
    fn before(&self) -> Vec<BTreeSet<usize>> {
        let mut before: Vec<BTreeSet<usize>> = Vec::new();
        for (needs, uses) in &self.needs {
            let direct: Vec<usize> = needs.union(uses).copied().collect();
            let all = direct.iter().flat_map(|need| before[*need].clone()).chain(direct.iter().copied()).collect();
            before.push(all);
        }
        before
    }
}

/// All that comes before each step of a plan, by id.
fn before(plan: &Plan) -> BTreeMap<String, BTreeSet<String>> {
    let mut before: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for step in &plan.steps {
        let direct = step.needs.iter().map(|need| plan.step(*need).id.clone());
        let all = direct.flat_map(|need| before[&need].iter().cloned().chain([need.clone()]).collect::<Vec<_>>());
        let all = all.collect();
        before.insert(step.id.clone(), all);
    }
    before
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_are_planned_or_told(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        planned_or_told(&String::from_utf8_lossy(&bytes))?;
    }

    #[test]
    fn a_runbook_with_slips_is_planned_or_told(slips in prop::collection::vec(slip(), 1..6)) {
        planned_or_told(&slipped(&slips))?;
    }

    #[test]
    fn every_need_stands_before_what_needs_it(dag in dag()) {
        let plan = planned(&dag.text(), Selection::default()).map_err(|it| TestCaseError::fail(format!("{:?}", it.problems)))?;
        for at in plan.places() {
            prop_assert!(plan.step(at).needs.iter().all(|need| *need < at));
        }
        let (found, wanted) = (before(&plan), dag.before());
        let steps = |ids: &BTreeSet<String>| -> BTreeSet<String> {
            ids.iter().filter(|id| !id.contains('!')).cloned().collect()
        };
        for (step, wanted) in wanted.iter().enumerate() {
            let wanted: BTreeSet<String> = wanted.iter().map(|need| format!("s{need}")).collect();
            prop_assert_eq!(steps(&found[&format!("s{step}")]), wanted.clone());
            if dag.approved[step] {
                // Nobody is asked before the question makes sense.
                prop_assert_eq!(steps(&found[&format!("s{step}!approve")]), wanted);
            }
        }
    }

    #[test]
    fn a_plan_is_the_same_each_time_and_after_a_journey_through_json(dag in dag()) {
        let first = planned(&dag.text(), Selection::default()).expect("a valid runbook");
        let again = planned(&dag.text(), Selection::default()).expect("a valid runbook");
        prop_assert_eq!(first.hash(), again.hash());
        let json = serde_json::to_string(&first).expect("a plan is JSON");
        let back: Plan = serde_json::from_str(&json).expect("its own JSON");
        prop_assert_eq!(first.hash(), back.hash());
        prop_assert_eq!(first, back);
    }

    #[test]
    fn a_part_keeps_the_order_across_its_gaps(
        dag in dag(),
        only in prop::collection::vec(any::<Index>(), 0..6),
        until in prop::collection::vec(any::<Index>(), 0..3),
        skip in prop::collection::vec(any::<Index>(), 0..4),
    ) {
        let names = |picks: &[Index]| -> Vec<String> {
            picks.iter().map(|pick| format!("s{}", pick.index(dag.written.len()))).collect()
        };
        let selection = Selection { only: names(&only), until: names(&until), skip: names(&skip) };
        let whole = planned(&dag.text(), Selection::default()).expect("a valid runbook");
        let Ok(part) = planned(&dag.text(), selection.clone()) else {
            return Err(TestCaseError::fail("a part of a valid runbook is valid"));
        };
        let (whole, part) = (before(&whole), before(&part));
        for (id, found) in &part {
            let wanted: BTreeSet<String> = whole[id].iter().filter(|need| part.contains_key(*need)).cloned().collect();
            prop_assert_eq!(found, &wanted, "{}", id);
        }
        for id in &selection.skip {
            prop_assert!(!part.contains_key(id));
        }
        for id in selection.until.iter().filter(|id| !selection.skip.contains(id)) {
            for need in &whole[id] {
                let skipped = selection.skip.iter().any(|s| s == need || need.strip_suffix("!approve") == Some(s));
                prop_assert!(skipped || part.contains_key(need), "{id} needs {need}");
            }
        }
        if selection.is_whole() {
            prop_assert_eq!(part.len(), whole.len());
        }
    }
}

#[test]
fn a_letter_of_several_bytes_is_underlined_whole() {
    let text = "dr: v1\nname: it\nsteps:\n  a:\n    when: mode é\n    do: { probe: {} }\n";
    planned_or_told(text).expect("every place can be shown");
    assert!(planned(text, Selection::default()).is_err(), "it is a mistake");
}
