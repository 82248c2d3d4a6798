//! Pictures of plans: of any plan, whole, and with nothing in them but text.

mod support;

use dr_engine::{
    duration::Dur,
    forecast::{Draw, critical, forecast},
    picture,
    plan::{Estimate, Plan, PlanStep, StepIx},
};
use expect_test::expect;
use proptest::prelude::*;
use roxmltree::{Document, Node};
use std::collections::BTreeSet;
use support::script::{plan, step};

/// Draws a plan in one form.
fn drawn(plan: &Plan, form: fn(&Plan, &[dr_engine::forecast::Slot], &[bool]) -> String) -> String {
    let slots = forecast(plan, Draw::P50, 100);
    form(plan, &slots, &critical(plan, &slots))
}

fn named(id: &str, phase: &str, needs: &[u32], minutes: i64) -> PlanStep {
    let (p50, p90) = (Dur::seconds(60 * minutes), Dur::seconds(120 * minutes));
    PlanStep {
        phase: Some(phase.into()),
        needs: needs.iter().copied().map(StepIx).collect(),
        estimate: (minutes > 0).then_some(Estimate { p50, p90 }),
        ..step(id)
    }
}

/// The whole of what each box stands for, as its title says.
fn boxes<'a>(svg: &'a Document<'a>) -> Vec<(Node<'a, 'a>, String)> {
    let groups = svg.descendants().filter(|node| node.has_tag_name((SVG, "g")));
    let boxes = groups
        .filter(|node| node.attribute("transform").is_some() && node.children().any(|c| c.has_tag_name((SVG, "rect"))));
    boxes
        .map(|node| {
            (
                node,
                node.children()
                    .find(|c| c.has_tag_name((SVG, "title")))
                    .and_then(|c| c.text())
                    .unwrap_or_default()
                    .to_owned(),
            )
        })
        .collect()
}

const SVG: &str = "http://www.w3.org/2000/svg";

#[test]
fn a_service_and_its_health_are_one_box_and_so_are_the_copies_of_a_step() {
    let mut plan = plan(vec![
        named("orders_db", "datastores", &[], 18),
        named("cache[a]", "datastores", &[], 2),
        named("cache[b]", "datastores", &[], 3),
        named("orders", "services", &[0, 1, 2], 3),
        named("orders_healthy", "services", &[3], 0),
        named("dns", "edge", &[4], 1),
    ]);
    plan.phases = ["datastores", "services", "edge", "unused"].map(Into::into).to_vec();
    plan.steps[5].irreversible = true;
    expect![[r#"
        flowchart LR
          subgraph lane0 ["datastores"]
            n0["orders_db<br/>scripted<br/>at 0s, takes 18m"]
            n1["cache × 2<br/>scripted<br/>at 0s, takes 3m"]
          end
          subgraph lane1 ["services"]
            n2["orders<br/>scripted<br/>at 18m, at least 3m"]
          end
          subgraph lane2 ["edge"]
            n3["dns<br/>scripted<br/>at 21m, takes 1m"]
          end
          n0 --> n2
          n1 --> n2
          n2 --> n3
          classDef path stroke:#c2570c,stroke-width:3px
          class n0,n2,n3 path
    "#]]
    .assert_eq(&drawn(&plan, picture::mermaid));
    expect![[r##"
        digraph "evacuate" {
          rankdir=LR
          node [shape=box, style="rounded,filled", fillcolor=white, fontname="Helvetica"]
          subgraph cluster_0 {
            label="datastores"
            n0 [label="orders_db\nscripted\nat 0s, takes 18m", color="#c2570c", penwidth=2.5]
            n1 [label="cache × 2\nscripted\nat 0s, takes 3m"]
          }
          subgraph cluster_1 {
            label="services"
            n2 [label="orders\nscripted\nat 18m, at least 3m", color="#c2570c", penwidth=2.5]
          }
          subgraph cluster_2 {
            label="edge"
            n3 [label="dns\nscripted\nat 21m, takes 1m", color="#c2570c", penwidth=2.5]
          }
          n0 -> n2 [color="#c2570c", penwidth=2.5]
          n1 -> n2
          n2 -> n3 [color="#c2570c", penwidth=2.5]
        }
    "##]]
    .assert_eq(&drawn(&plan, picture::dot));
}

#[test]
fn whatever_an_id_or_a_phase_holds_is_text() {
    let evil = "</text><script>alert(1)</script>\u{1b}[2J\u{202e}\"]; evil --> n0 [label=\"`#\\\"";
    let mut plan = plan(vec![named(evil, evil, &[], 1), named("b", "z", &[0], 0)]);
    plan.name = evil.into();
    plan.steps[0].kind = evil.into();
    let svg = drawn(&plan, picture::lanes);
    let parsed = Document::parse(&svg).expect("it is XML");
    assert!(!parsed.descendants().any(|node| node.has_tag_name((SVG, "script"))));
    assert!(svg.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{svg}");
    let told =
        parsed.descendants().filter_map(|node| node.text()).any(|text| text.contains("<script>alert(1)</script>"));
    assert!(told, "it stands there as text");
    for text in [drawn(&plan, picture::dot), drawn(&plan, picture::mermaid)] {
        let arrows = text
            .lines()
            .filter(|line| line.trim_start().starts_with('n') && (line.contains("->") || line.contains("-->")));
        let real = arrows.filter(|line| !line.contains('[') || line.contains("n0 -> n1")).count();
        assert_eq!(real, 1, "{text}");
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text}");
    }
}

/// Plans of any shape: every step needs some of those before it, in one of a few phases.
fn any_plan(most: usize) -> impl Strategy<Value = Plan> {
    let one = (prop::collection::vec(any::<prop::sample::Index>(), 0..3), 0..5_u8, 0..9_i64);
    prop::collection::vec(one, 1..most).prop_map(|steps| {
        let steps = steps.iter().enumerate().map(|(at, (needs, phase, minutes))| {
            let needs: BTreeSet<u32> =
                needs.iter().filter(|_| at > 0).map(|need| u32::try_from(need.index(at)).expect("few")).collect();
            let needs: Vec<_> = needs.into_iter().collect();
            named(&format!("s{at}"), &format!("p{phase}"), &needs, *minutes)
        });
        let mut plan = plan(steps.collect());
        plan.phases = (0..5).map(|phase| format!("p{phase}")).collect();
        plan
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_step_is_in_one_box_and_no_box_stands_on_another(plan in any_plan(400)) {
        let svg = drawn(&plan, picture::lanes);
        let parsed = Document::parse(&svg).expect("it is XML");
        let boxes = boxes(&parsed);
        prop_assert!(boxes.len() <= 80, "{} boxes", boxes.len());
        let mut places = BTreeSet::new();
        for (node, _) in &boxes {
            prop_assert!(places.insert(node.attribute("transform").expect("a place").to_owned()), "two boxes in one place");
        }
        let told: usize = boxes.iter().map(|(_, title)| {
            let (names, _) = title.split_once(": ").expect("names, then what they do");
            let (names, more) = names.split_once(" and ").map_or((names, 0), |(names, more)| {
                (names, more.split(' ').next().and_then(|n| n.parse::<usize>().ok()).unwrap_or(0))
            });
            names.split(", ").count() + more
        }).sum();
        prop_assert_eq!(told, plan.steps.len());
        let inside = |name: &str| parsed.root_element().attribute(name).and_then(|it| it.parse::<i64>().ok()).expect("a size");
        for place in places {
            let (x, y) = place.trim_start_matches("translate(").trim_end_matches(')').split_once(' ').expect("x and y");
            let (x, y) = (x.parse::<i64>().expect("x"), y.parse::<i64>().expect("y"));
            prop_assert!(x > 0 && y > 0 && x + 200 < inside("width") && y + 50 < inside("height"), "{}", place);
        }
    }
}

#[test]
fn the_longest_chain_stays_on_a_picture_that_a_person_can_take_in() {
    let chain = (0..10_000).map(|at| {
        named(&format!("s{at}"), "all", &(at > 0).then_some(at.max(1) - 1).into_iter().collect::<Vec<_>>(), 1)
    });
    let svg = drawn(&plan(chain.collect()), picture::lanes);
    let parsed = Document::parse(&svg).expect("it is XML");
    assert_eq!(boxes(&parsed).len(), 14);
    assert!(svg.len() < 64 * 1024, "{} bytes", svg.len());
}
