//! The report as a page, and the bars in it.

use super::{HAPPY, PLAN, report_of, script::plan};
use crate::{
    clock::Time,
    event::{Event, Kind},
    picture,
    report::{
        Report,
        tests::script::{events, time},
    },
};
use expect_test::{expect, expect_file};
use roxmltree::Document;
use std::collections::BTreeSet;

/// What a reader sees of a page, line by line: its texts, without tags and pictures.
fn seen(page: &str) -> String {
    let mut text = String::new();
    let mut rest = page.split_once("<body>").expect("a body").1;
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(before);
        let (tag, after) = match tag.strip_prefix("svg").and_then(|_| tag.split_once("</svg>")) {
            Some((_, after)) => ("svg", after),
            None => tag.split_once('>').expect("a tag ends"),
        };
        text.push_str(match tag {
            "/tr" | "/p" | "/li" | "/h1" | "/h2" | "/div" => "\n",
            "/td" | "/th" => " | ",
            "svg" => "[picture]",
            _ => "",
        });
        rest = after;
    }
    text
}

#[test]
fn a_recovery_as_a_page() {
    let report = report_of(&plan("1h 15m 5m", PLAN), HAPPY, "90:00").chain_ok(true);
    expect_file!["recovered.txt"].assert_eq(&seen(&report.to_html()));
}

#[test]
fn a_recovery_as_bars() {
    let report = report_of(&plan("1h 15m 5m", PLAN), HAPPY, "90:00").chain_ok(true);
    let svg = picture::bars(&report);
    Document::parse(&svg).expect("it is XML");
    expect_file!["recovered.svg"].assert_eq(&(svg.replace("><", ">\n<") + "\n"));
}

#[test]
fn what_lies_outside_of_the_picture_is_told_and_not_drawn() {
    let plan = plan("9h - -", "db command est=2h/3h");
    let report = report_of(&plan, "40:00 opened\n 40:00 db start\n 40:05 db done\n 40:05 finished unverified", "50:00");
    let svg = picture::bars(&report);
    let parsed = Document::parse(&svg).expect("it is XML");
    let told: Vec<_> =
        parsed.descendants().filter_map(|node| node.text()).filter(|text| text.contains("of the picture")).collect();
    expect![[r#"
        the outage began 40m before the run: left of the picture
        the outage began 40m before the run: left of the picture
        the plan reaches to 2h after the start: right of the picture
        the plan reaches to 2h after the start: right of the picture
        the RTO ends 9h after the outage: right of the picture
        the RTO ends 9h after the outage: right of the picture"#]]
    .assert_eq(&told.join("\n"));
    assert!(!svg.contains("class=\"limit\""), "the limit is drawn");
}

#[test]
fn a_page_of_a_run_under_way_begins_with_who_is_waited_for() {
    let page = report_of(
        &plan("1h - -", "go approve est=1m/1m changes=no"),
        "00:00 opened\n 00:00 go start\n 01:00 go asks approval count=1 roles=ic: Go?",
        "10:00",
    )
    .to_html();
    let seen = seen(&page);
    let ask = seen.lines().find(|line| line.contains("asks, since")).expect("the question stands there");
    assert_eq!(ask, "go asks, since 06:01:00 UTC: Go?");
    assert!(
        seen.contains("dr answer 20261122-061200-evacuate-7f3a go approve|decline")
            || seen.contains(" go approve|decline"),
        "{seen}"
    );
}

/// Everything that a person, a service or a program can put into a run.
fn poisoned() -> Report {
    let evil = "</td><script>alert(1)</script><img src=x onerror=alert(1)>\u{1b}[2J\u{202e}`<b>`";
    let plan = plan("1h 15m 5m", PLAN);
    let mut all: Vec<Event> = events(&plan, HAPPY);
    for event in &mut all {
        match &mut event.kind {
            Kind::Noted { text, .. } => *text = evil.into(),
            Kind::Answered { why, .. } => *why = evil.into(),
            Kind::Asked { question, .. } => question.text = evil.into(),
            Kind::AttemptFailed { error, .. } => {
                error.message = evil.into();
                error.causes = vec![evil.into()];
                error.hint = Some(evil.into());
            }
            Kind::Recorded { fact, .. } => (fact.name, fact.value) = (evil.into(), evil.into()),
            Kind::Succeeded { output, .. } => {
                output.values.insert(evil.into(), evil.into());
            }
            Kind::Opened(opened) => {
                (opened.plan.name, opened.plan.description) = (evil.into(), Some(evil.into()));
                opened.by.user = evil.into();
                opened.plan.steps[1].id = evil.into();
            }
            Kind::Joined(controller) => controller.host = evil.into(),
            _ => {}
        }
    }
    Report::of(&all, evil, time("90:00")).expect("a legal history")
}

#[test]
fn whatever_comes_from_outside_shows_as_text() {
    let page = poisoned().to_html();
    assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("<b>"), "a tag came through");
    assert!(page.matches("&lt;script&gt;").count() > 10, "it stands there as text");
    assert!(
        !page.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'),
        "a control character came through"
    );
    let tags = |page: &str| -> BTreeSet<String> {
        let name = |tag: &str| tag.split([' ', '>', '\n']).next().unwrap_or_default().to_owned();
        page.split('<').skip(1).map(name).collect()
    };
    let plain = report_of(&plan("1h 15m 5m", PLAN), HAPPY, "90:00").to_html();
    assert_eq!(tags(&page), tags(&plain), "a kind of tag came through");
    assert!(
        !page.contains("http")
            || page.matches("http").count()
                == page.matches("http://www.w3.org/2000/svg").count() + page.matches("http-equiv").count(),
        "something would be loaded"
    );
}

#[test]
fn a_run_of_two_thousand_steps_stays_a_file_that_can_be_mailed() {
    let line = |at| format!("service_number_{at} ecs.scale_service phase=p{} est=2m/4m", at / 250);
    let plan = plan("1h - -", &(0..2_000).map(line).collect::<Vec<_>>().join("\n"));
    let began = crate::report::tests::script::INCIDENT;
    let mut all = events(&plan, "12:00 opened");
    for (step, it) in plan.places().zip(0_i64..) {
        let mut push = |seconds: i64, kind: Kind| {
            let seq = all.len() as u64 + 1;
            all.push(Event { seq, at: began.after(crate::duration::Dur::seconds(720 + seconds)), kind });
        };
        push(it, Kind::Started { step, attempt: 1 });
        push(it, Kind::Succeeded { step, attempt: 1, output: crate::outcome::Output::default(), found: false });
    }
    let report = Report::of(&all, "c0ffee", Time(began.0 + 10_000_000)).expect("a legal history");
    let page = report.to_html();
    assert!(page.len() < 3 * 1024 * 1024, "{} bytes", page.len());
    let rows = picture::bars(&report);
    assert!(rows.matches("<g>").count() <= 200, "{} rows", rows.matches("<g>").count());
    assert!(rows.contains("p7 · 250 steps"), "phases stand for their steps");
}

#[test]
fn what_was_learned_stands_in_every_form_of_the_report() {
    let plan = plan("1h - -", "db command");
    let script = "00:00 opened\n 01:00 lesson Ana: the runbook forgot the cache\n 02:00 action Bo: add the cache\n 03:00 note Bo: tea";
    let report = report_of(&plan, script, "10:00");
    let markdown = report.to_markdown();
    let learned = markdown.split("## Lessons and actions").nth(1).and_then(|rest| rest.split("\n##").next());
    expect![[r#"


        - To do: add the cache — Cleo, by 2026-12-24
        - Lesson: the runbook forgot the cache
    "#]]
    .assert_eq(learned.expect("the section"));
    expect![[r#"
        [
          {
            "time": "2026-11-22T06:01:00Z",
            "who": "Ana",
            "text": "the runbook forgot the cache"
          }
        ]
        [
          {
            "id": "action-1",
            "time": "2026-11-22T06:02:00Z",
            "description": "add the cache",
            "owner": "Cleo",
            "due": "2026-12-24",
            "raised_by": "Bo"
          }
        ]"#]]
    .assert_eq(&format!("{:#}\n{:#}", report.to_json()["lessons"], report.to_json()["issues"]));
    assert!(seen(&report.to_html()).contains("To do: add the cache — Cleo, by 2026-12-24"));
}
