//! The binary beside a Statuspage that speaks its protocol: wherever the
//! controller dies, customers read each update once, and nothing that they
//! should not.

#[path = "../../comms/tests/support/statuspage.rs"]
mod fake;
mod support;

use dr_engine::event::{Audience, Event, Kind};
use fake::{Fake, Fault, Hit, PAGE, TOKEN};
use serde_json::Value;
use std::{
    fs,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};
use support::{Place, Said, until};

/// Two updates by steps, around work; customers and all else hear nothing by themselves.
const BY_STEPS: &str = r"
dr: v1
name: failover
defaults: { retry: { attempts: 5, backoff: 10ms..20ms } }
steps:
  say_identified:
    do:
      status_page.statuspage:
        page: kctbh9vrtdwd
        state: identified
        title: Orders fail
        message: We are moving.
        components: { Website: major_outage }
  work: { needs: [say_identified], do: { command: { argv: [sh, ./work], check: { argv: [sh, ./seen] } } } }
  say_resolved:
    needs: [work]
    do:
      status_page.statuspage:
        page: kctbh9vrtdwd
        state: resolved
        title: Orders work
        message: All is well.
        components: { Website: operational }
";

/// The page is kept up to date by itself.
const BY_ITSELF: &str = r#"
dr: v1
name: failover
comms:
  status_page: { page: kctbh9vrtdwd, components: { Website: major_outage } }
steps:
  restore_db: { do: { command: { argv: [sh, -c, "sleep 0.5; sh ./work"], check: { argv: [sh, ./seen] } } } }
  switch_dns:
    needs: [restore_db]
    do: { command: { argv: [sh, -c, "sleep 0.5; sh ./work"], check: { argv: [sh, ./seen] } } }
verify:
  all: { verify.tcp: { address: "HERE", good_in_a_row: 1, every: 100ms } }
"#;

/// That runbook, verified by whether somebody listens.
fn by_itself(fake: &Fake) -> Place {
    let api = fake.api();
    Place::with(&BY_ITSELF.replace("HERE", api.trim_start_matches("http://").trim_end_matches("/v1")))
}

fn settings(place: &Place, api: &str) {
    place.write(
        "dr.toml",
        &format!(
            "[limits]\nupdate_gap_min = \"0s\"\nlast_words_max = \"40s\"\nstatuspage_gap_min = \"0s\"\n\
             [statuspage]\ntoken = {{ secret = \"env:DR_TEST_TOKEN\" }}\napi = \"{api}\"\n"
        ),
    );
}

fn dr(place: &Place, args: &[&str]) -> Command {
    let mut command = place.dr(args);
    command.env("DR_TEST_TOKEN", TOKEN);
    command
}

fn execute(place: &Place, crash_at: &str) -> Said {
    let mut command = dr(place, &["execute", "runbook.yaml", "--kind", "drill", "--yes"]);
    command.env("DR_CRASH_AT", crash_at);
    place.end(command)
}

/// What customers were told, by the journal: item and channel.
fn told(events: &[Event]) -> Vec<(String, String)> {
    let told = events.iter().filter_map(|event| match &event.kind {
        Kind::Told { item, audience: Audience::Customers, channel, .. } => Some((item.clone(), channel.clone())),
        _ => None,
    });
    told.collect()
}

/// Tries points, each before and after, several at a time: what waits there waits for Statuspage alone. Gives how
/// many there were.
fn sweep(point: impl Fn(u32, &str) -> bool + Sync) -> usize {
    let points = AtomicUsize::new(0);
    thread::scope(|scope| {
        for edge in ["before", "after"] {
            for number in 1..=6 {
                let (point, points) = (&point, &points);
                scope.spawn(move || points.fetch_add(usize::from(point(number, edge)), Ordering::SeqCst));
            }
        }
    });
    points.into_inner()
}

#[test]
fn killed_around_any_word_a_step_says_it_once() {
    let points = sweep(|number, edge| {
        let (fake, place, at) = (Fake::start(), Place::with(BY_STEPS), format!("call:{number}:{edge}"));
        settings(&place, &fake.api());
        let said = execute(&place, &at);
        let killed = said.code() != 0;
        if killed {
            said.ends(-9);
            place.end(dr(&place, &["resume", &place.id(), "--no-wait"])).ends(0);
        }
        assert_eq!(fake.said(), [["identified: We are moving.", "resolved: All is well."]], "{at}");
        assert_eq!((fake.complaints(), fake.changes().len()), (Vec::new(), 2), "{at}");
        killed
    });
    assert_eq!(points, 6, "two words and the work between them, each before and after");
}

#[test]
fn killed_around_any_message_what_is_told_by_itself_stands_once() {
    let points = sweep(|number, edge| {
        let (fake, at) = (Fake::start(), format!("tell:{number}:{edge}"));
        let place = by_itself(&fake);
        settings(&place, &fake.api());
        let said = execute(&place, &at);
        let killed = said.code() != 0;
        if killed {
            said.ends(-9);
            let id = place.id();
            let over = place.fold().is_some_and(|run| run.finished.is_some());
            let go_on = if over { ["comms", "deliver", &id].to_vec() } else { ["resume", &id].to_vec() };
            place.end(dr(&place, &go_on)).ends(0);
        }
        let said = fake.said();
        assert_eq!(said.len(), 1, "{at}: one incident: {said:?}");
        let last = said[0].last().expect("a word");
        assert_eq!(last, "resolved: Service is restored. Our checks confirm that it works again.", "{at}: {said:?}");
        let mut once = said[0].clone();
        once.dedup();
        assert_eq!(once, said[0], "{at}");
        assert_eq!(fake.complaints(), Vec::<String>::new(), "{at}");
        assert_eq!(fake.state().health["c1web"], "operational", "{at}");
        let told = told(&place.events());
        assert!(told.iter().all(|(_, channel)| channel == "statuspage") && !told.is_empty(), "{at}: {told:?}");
        let report = place.run(&["report", &place.id(), "--format", "json"]).ends(0);
        let report: Value = serde_json::from_str(&report.out).expect("JSON");
        let mut comms = report["comms"].as_array().expect("a list").iter();
        assert!(comms.all(|it| it["audience"] == "customers" && it["delivered"] == true), "{}", report["comms"]);
        killed
    });
    assert!(points >= 4, "{points}: how it goes on and how it ends, each before and after");
}

#[test]
fn a_rehearsal_keeps_what_customers_would_read_and_a_step_that_would_tell_them_is_held() {
    for (api, why) in [
        ("https://api.statuspage.io/v1", "nothing is sent by Statuspage (this is a DRILL run): it is kept in"),
        ("http://status.example.com/v1", "is not https, and anybody on the way could read what is sent"),
    ] {
        let fake = Fake::start();
        let place = by_itself(&fake);
        settings(&place, api);
        execute(&place, "").ends(0).says(&[why]);
        let told = told(&place.events());
        assert!(told.iter().all(|(_, channel)| channel == "statuspage-file") && !told.is_empty(), "{told:?}");
        let last = fs::read_dir(place.run_folder().join("outbox")).expect("a folder").flatten();
        let mut names: Vec<_> = last.map(|it| it.path()).collect();
        names.sort();
        let text = fs::read_to_string(names.last().expect("a file")).expect("a file");
        assert!(text.contains("\"status\": \"resolved\""), "{text}");
    }
    let place = Place::with(BY_STEPS);
    settings(&place, "https://api.statuspage.io/v1");
    let mut command = dr(&place, &["execute", "runbook.yaml", "--kind", "drill", "--yes", "--no-wait"]);
    command.env("DR_CRASH_AT", "");
    place.end(command).ends(4).prints(&["customers would read of an outage that there is not"]);
    // With its condition the same runbook is rehearsed without it.
    let place = Place::with(
        &BY_STEPS.replace("    do:\n      status", "    when: run.kind == \"live\"\n    do:\n      status"),
    );
    settings(&place, "https://api.statuspage.io/v1");
    execute(&place, "").ends(0);
}

#[test]
fn a_page_that_is_down_or_refuses_holds_nothing_up_and_no_secret_gets_out() {
    let fake = Fake::start();
    let place = Place::with(&format!(
        "{}\n",
        BY_STEPS.replace("    do:\n      status", "    on_failure: continue\n    do:\n      status").replace(
            "name: failover",
            "name: failover\ncomms: { status_page: { page: kctbh9vrtdwd, components: { Website: major_outage } } }"
        )
    ));
    settings(&place, &fake.api());
    place.write("dr.toml", &place.read("dr.toml").replace("40s", "1s"));
    let canary = "canary-9d41e2f0";
    let mut command = dr(&place, &["execute", "runbook.yaml", "--kind", "drill", "--yes"]);
    command.env("DR_TEST_TOKEN", canary);
    let said = place.end(command).ends(0);
    assert_eq!(place.effects("work"), 1);
    for text in [&said.out, &said.err] {
        assert!(!text.contains(canary), "{text}");
        assert!(!text.is_empty());
    }
    assert!(
        said.err.contains("make one under API info") || said.out.contains("make one under API info"),
        "{}",
        said.err
    );
    let mut folders = vec![place.run_folder()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let bytes = fs::read(entry.path()).expect("a file");
            let found = bytes.windows(canary.len()).any(|part| part == canary.as_bytes());
            assert!(!found, "{}", entry.path().display());
        }
    }
    let status = place.run(&["status", &place.id(), "--json"]).ends(0);
    let status: Value = serde_json::from_str(&status.out).expect("JSON");
    assert_eq!(status["undelivered"][0]["channel"], "statuspage", "{status}");
}

#[test]
fn left_while_statuspage_says_nothing_the_controller_ends_at_once_and_the_step_is_gone_on_with() {
    for fault in [Fault::HangBefore, Fault::HangAfter] {
        let (fake, place) = (Fake::start(), Place::with(BY_STEPS));
        settings(&place, &fake.api());
        fake.fail(Hit::Change(1), fault);
        let controller = place.begin(dr(&place, &["execute", "runbook.yaml", "--kind", "drill", "--yes"]));
        until("a request that hangs", || fake.hanging() > 0);
        controller.signal("TERM");
        controller.signal("TERM");
        controller.end().ends(130);
        fake.state().faults.clear();
        place.end(dr(&place, &["resume", &place.id(), "--no-wait"])).ends(0);
        assert_eq!(fake.said(), [["identified: We are moving.", "resolved: All is well."]], "{fault:?}");
    }
}

#[test]
fn a_plan_and_a_doctor_say_what_customers_would_read_and_what_is_missing() {
    let fake = Fake::start();
    let place = by_itself(&fake);
    let single = "no `status_page.static`: where Statuspage cannot be reached, customers read nothing";
    let unseen = "customers read by themselves, unseen by anybody before: page kctbh9vrtdwd of Statuspage";
    place.run(&["plan", "runbook.yaml"]).ends(0).prints(&[single, unseen]);
    place.run(&["lint", "runbook.yaml"]).ends(0).prints(&[single]);
    place.run(&["doctor", "runbook.yaml"]).ends(1).prints(&["BAD  statuspage no [statuspage] in the settings"]);
    settings(&place, &fake.api());
    let seen = "ok   statuspage the page can be seen: 0 unresolved incidents, 1 component named";
    place.end(dr(&place, &["doctor", "runbook.yaml"])).ends(4).prints(&[seen]);
    place
        .end(dr(&place, &["comms", "test", "runbook.yaml"]))
        .prints(&["nothing is said where customers would read it"]);
    place.write("runbook.yaml", &BY_STEPS.replace("Website", "Webshop"));
    let missing = format!("BAD  statuspage {PAGE}: the page has no component `Webshop`; it has API, Payments, Website");
    place.end(dr(&place, &["doctor", "runbook.yaml"])).ends(1).prints(&[&missing]);
    assert_eq!(fake.changes(), Vec::<String>::new());
    place.write("dr.toml", "[statuspage]\ntoken = { secret = \"abc\" }\n");
    place
        .run(&["execute", "runbook.yaml", "--kind", "drill", "--yes"])
        .ends(2)
        .says(&["a secret is named, never written down"]);
    place.write("dr.toml", "[statuspage]\ntoken = { secret = \"env:X\" }\napis = 1\n");
    place.run(&["execute", "runbook.yaml", "--kind", "drill", "--yes"]).ends(2).says(&["unknown field `apis`"]);
}
