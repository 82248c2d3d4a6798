//! What Slack is given to show: within its limits, whatever was written where.

#[path = "support/parcels.rs"]
mod parcels;

use dr_comms::{
    blocks::{self, BLOCKS_MAX, CONTEXT_MAX, HEADER_MAX, Head, MESSAGE_MAX, Message, SECTION_MAX, TEXT_MAX},
    parcel::{Body, Meet, Notice, Parcel},
    update::{Course, Decision, Line, Rag, Said, Update},
};
use dr_engine::event::RunKind;
use expect_test::expect_file;
use parcels::{at, details, facts, notice, parcel, update};
use proptest::prelude::*;
use serde_json::Value;
use slack_morphism::prelude::SlackBlock;

/// What somebody may have written into a note, a runbook, a name.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => ".{0,60}",
        1 => ("[a-z 𝄞&<>`]{1,9}", 300..900_usize).prop_map(|(text, times)| text.repeat(times)),
        1 => prop::sample::select(vec![
            "<!channel> <!here> <@U0IC> <https://evil.example|dr status>",
            "``` *bold* _it_ ~no~ :fire: ```",
            "  indented as a command is",
            "&lt;!channel&gt; &amp;",
            "line\nline\r\n\u{202e}turned\u{0}",
            "",
        ])
        .prop_map(str::to_owned),
    ]
}

fn said() -> impl Strategy<Value = Said> {
    (0..600_i64, text(), text()).prop_map(|(minutes, by, text)| Said { at: at(minutes), by, text })
}

fn line() -> impl Strategy<Value = Line> {
    (0..5_000_u64, 0..600_i64, text(), 0..10_u8).prop_map(|(seq, minutes, text, weight)| Line {
        seq,
        at: at(minutes),
        text,
        weight,
    })
}

fn decision() -> impl Strategy<Value = Decision> {
    (text(), text(), prop::collection::vec(text(), 0..12)).prop_map(|(what, who, commands)| Decision {
        what,
        who,
        since: at(1),
        late_at: None,
        commands,
    })
}

prop_compose! {
    fn any_update()(
        number in 1..50_u32,
        rag in prop::sample::select(vec![Rag::Green, Rag::Amber, Rag::Red]),
        course in prop::sample::select(vec![Course::OnTrack, Course::AtRisk, Course::Late, Course::Unknown]),
        approved_by in prop::option::of(text()),
        words in prop::option::of(said()),
        headline in text(),
        rag_why in prop::collection::vec(text(), 0..4),
        impact in prop::option::of(said()),
        lines in prop::collection::vec(line(), 0..60),
        decisions in prop::collection::vec(decision(), 0..20),
        help in prop::collection::vec(said(), 0..30),
        risks in prop::collection::vec(text(), 0..30),
        roles in prop::collection::vec((text(), text()), 0..6),
    ) -> Update {
        Update {
            rag, course, approved_by, words, headline, rag_why, impact, decisions, help, risks, roles,
            since_last: lines.clone(), timeline: lines, ..facts(number, 60)
        }
    }
}

prop_compose! {
    fn any_parcel()(
        runbook in text(),
        kind in prop::sample::select(vec![RunKind::Live, RunKind::Drill, RunKind::Lab]),
        body in prop_oneof![
            any_update().prop_map(|it| Body::Update(Box::new(it))),
            (text(), prop::collection::vec(text(), 0..20))
                .prop_map(|(subject, lines)| Body::Notice(Notice { subject, lines, urgent: true, meet: Meet::default() })),
            prop::collection::vec(line(), 0..80).prop_map(Body::Details),
        ],
    ) -> Parcel {
        Parcel { runbook, kind, ..parcel("p-1", at(60), body) }
    }
}

fn width(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Slack shows it, and nobody is mentioned or led anywhere.
fn shown_as_it_is(message: &Message) -> Result<(), TestCaseError> {
    prop_assert!(width(&message.text) <= TEXT_MAX && !message.text.is_empty());
    prop_assert!(!message.text.contains(['<', '>']), "a notification with meaning: {}", message.text);
    prop_assert!(message.blocks.len() <= BLOCKS_MAX, "{} blocks", message.blocks.len());
    let mut whole = 0;
    for block in &message.blocks {
        let element = if block["type"] == "context" { &block["elements"][0] } else { &block["text"] };
        let max = match block["type"].as_str() {
            Some("header") => HEADER_MAX,
            Some("section") => SECTION_MAX,
            Some("context") => CONTEXT_MAX,
            Some("divider") => continue,
            other => return Err(TestCaseError::fail(format!("a block of type {other:?}"))),
        };
        let text = element["text"].as_str().unwrap_or_default();
        whole += width(text);
        prop_assert!((1..=max).contains(&width(text)), "{} has {} of {max}", block["type"], width(text));
        match element["type"].as_str() {
            Some("plain_text") => prop_assert_eq!(&element["emoji"], &Value::Bool(false)),
            // Only code, which nothing can leave.
            Some("mrkdwn") => {
                let code = text.strip_prefix("```").and_then(|text| text.strip_suffix("```"));
                prop_assert!(code.is_some_and(|code| !code.contains(['`', '<', '>'])), "no code: {}", text);
                prop_assert_eq!(&element["verbatim"], &Value::Bool(true));
            }
            other => return Err(TestCaseError::fail(format!("a text of type {other:?}"))),
        }
    }
    prop_assert!(whole <= MESSAGE_MAX, "{} in all", whole);
    let models: Vec<SlackBlock> = serde_json::from_value(Value::from(message.blocks.clone())).expect("blocks");
    prop_assert!(!models.iter().any(|block| matches!(block, SlackBlock::Unknown(_))));
    Ok(())
}

fn words(message: &Message) -> String {
    let texts = message.blocks.iter().map(|block| block["text"]["text"].as_str().unwrap_or_default());
    texts.collect::<Vec<_>>().join("\n")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_told_stays_within_limits_and_means_nothing(
        parcels in prop::collection::vec(any_parcel(), 1..6),
        undone in prop::collection::vec(text(), 0..9),
        silent in any::<bool>(),
    ) {
        let told = blocks::message(&parcels, silent.then_some(at(1)));
        shown_as_it_is(&told)?;
        shown_as_it_is(&blocks::short(&parcels))?;
        shown_as_it_is(&blocks::thread(&parcels))?;
        let newest = parcels.iter().rev().find_map(|parcel| match &parcel.body {
            Body::Update(update) => Some(&**update),
            _ => None,
        });
        let parcel = &parcels[0];
        let head = blocks::head(Head { parcel, update: newest, bridge: Some("https://x"), undone: &undone });
        shown_as_it_is(&head)?;
        for message in [&told, &head] {
            // A rehearsal says so first, and how it stands is a word, not a colour.
            let first = message.blocks[0]["text"]["text"].as_str().unwrap_or_default();
            prop_assert!(["[LIVE]", "[DRILL]", "[LAB]"].iter().any(|mark| first.starts_with(mark)), "{}", first);
            if let Some(update) = newest {
                prop_assert!(words(message).contains(update.rag.word()));
            }
        }
    }
}

#[test]
fn an_update_as_slack_shows_it() {
    let message = blocks::message(&[update(3, 60)], None);
    let mut json = serde_json::to_string_pretty(&message).expect("JSON");
    json.push('\n');
    expect_file!["golden/slack_update.json"].assert_eq(&json);
}

#[test]
fn what_was_missed_stands_before_the_newest_update() {
    let parcels = [update(3, 60), notice("notice-1", 70, "Approval wanted"), update(4, 120)];
    let message = blocks::message(&parcels, Some(at(61)));
    let words = words(&message);
    let lines: Vec<_> = words.lines().take(3).collect();
    assert_eq!(
        lines,
        [
            "[LIVE] Slack could not be reached since 13:01 UTC: what was missed",
            "13:00 UTC Update 3: AMBER: The recovery from us-east-1 to us-west-2 waits for people.",
            "13:10 UTC Approval wanted Approval wanted: see dr status r-2043.",
        ]
    );
    assert!(words.contains("update 4, 14:00 UTC") && words.contains("HEADLINE"), "the newest is whole:\n{words}");
    assert_eq!(words.matches("HEADLINE").count(), 1, "only the newest is:\n{words}");
    // What was not held up does not claim that it was.
    let together = blocks::message(&parcels, None);
    assert_eq!(together.blocks[0]["text"]["text"], "[LIVE] Told together");
    assert!(!blocks::message(&parcels[..1], Some(at(61))).text.contains("could not be reached"));
}

#[test]
fn of_the_timeline_ten_lines_are_told_and_the_rest_is_counted() {
    let message = blocks::message(&[update(3, 60)], None);
    let section = message.blocks.iter().filter_map(|block| block["text"]["text"].as_str());
    let timeline = section.filter(|text| text.starts_with("TIMELINE\n")).collect::<Vec<_>>();
    let lines: Vec<_> = timeline[0].lines().skip(1).collect();
    assert_eq!((lines.len(), lines[10]), (11, "… and 4 more"));
}

#[test]
fn commands_are_code_and_are_never_cut() {
    let mut update = facts(3, 60);
    let long = format!("dr answer r-2043 {} approve", "s".repeat(SECTION_MAX));
    let odd = "dr answer r-2043 `step` approve".to_owned();
    update.decisions[0].commands = vec!["dr answer r-2043 a&b approve".into(), odd, long];
    let message = blocks::message(&[parcel("update-3", at(60), Body::Update(Box::new(update)))], None);
    let code = message.blocks.iter().find(|block| block["text"]["type"] == "mrkdwn").expect("code");
    let shown = "```dr answer r-2043 a&amp;b approve\n# shown by dr status\n# … and 1 more: dr status```";
    assert_eq!(code["text"]["text"], shown);
}

#[test]
fn a_text_that_is_too_long_keeps_its_beginning_and_its_end() {
    assert_eq!(blocks::fit("abcdefghij", 10), "abcdefghij");
    assert_eq!(blocks::fit("abcdefghij", 9), "abcd…ghij");
    // A note of music takes two units, and half a note none.
    assert_eq!(blocks::fit("𝄞𝄞𝄞𝄞𝄞", 8), "𝄞…𝄞");
}

#[test]
fn details_are_lines_with_their_time() {
    let message = blocks::thread(&[details("details-1", 61)]);
    assert_eq!(words(&message), "13:01 UTC restore began\n13:01 UTC restore is half done");
}
