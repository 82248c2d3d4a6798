//! People are told of a run: what they get, and that nothing of it holds a
//! recovery up, is lost, or gives a secret away.

mod support;

use dr_engine::event::{Event, Kind};
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read,
    net::TcpListener,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};
use support::{Place, lab::Estate, until};

/// Two steps, and a person between them.
const RUNBOOK: &str = r##"
dr: v1
name: failover
regions: { primary: eu-west-1, recovery: eu-central-1 }
objectives: { rto: 2h }
roles:
  executive: { name: Eve }
  incident_commander: { name: Ana, email: ana@example.com, deputies: [Bo] }
  technical_lead: { name: Cy, email: cy@example.com }
comms:
  slack: { channel: "#dr", create: true }
  email: { to: [board@example.com] }
  bridge: https://meet.example.com/dr
steps:
  restore_db: { do: { command: { argv: [sh, ./work], check: { argv: [sh, ./seen] } } } }
  switch_dns:
    needs: [restore_db]
    approve: { question: Send users to eu-central-1?, roles: [executive] }
    do: { command: { argv: [sh, ./work], check: { argv: [sh, ./seen] } } }
"##;

/// No time is lost to what nobody waits for.
const SETTINGS: &str = "[limits]\nupdate_gap_min = \"0s\"\nlast_words_max = \"5s\"\n";

/// The names of the files that stand for messages, by their ending.
fn outbox(folder: &Path, ending: &str) -> Vec<String> {
    let entries = fs::read_dir(folder.join("outbox")).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<_> = names.filter(|name| name.ends_with(ending)).collect();
    names.sort();
    names
}

/// How often each thing was told, by the journal.
fn told(events: &[Event]) -> BTreeMap<(String, String), usize> {
    let mut told = BTreeMap::new();
    for event in events {
        if let Kind::Told { item, channel, .. } = &event.kind {
            *told.entry((channel.clone(), item.clone())).or_default() += 1;
        }
    }
    told
}

fn status(place: &Place) -> Value {
    let said = place.run(&["status", &place.id(), "--json"]).ends(0);
    serde_json::from_str(&said.out).expect("JSON")
}

#[test]
fn a_run_is_told_in_files_where_neither_slack_nor_mail_is_configured() {
    let place = Place::with(RUNBOOK);
    place.write("dr.toml", SETTINGS);
    place.run(&["plan", "runbook.yaml"]).ends(0).prints(&["updates every 1h: Slack #dr, mail to 3 addresses"]);
    let controller = place.begin_drill();
    until("the question", || !place.asking().is_empty());
    let (id, folder) = (place.id(), place.run_folder());
    until("an update about it", || outbox(&folder, ".eml").len() >= 2);

    place.run(&["note", &id, "--impact", "Checkout fails.", "--as", "Ana"]).ends(0);
    place.run(&["update", "draft", &id]).ends(0).prints(&[
        "Checkout fails. (Ana",
        "wanted from Eve (executive)",
        "AUTO: facts only",
        "chain ",
    ]);
    place.run(&["update", "edit", &id, " "]).ends(2).says(&["there are no words"]);
    place.run(&["update", "send", &id, "Users follow when Eve agrees.", "--as", "Ana"]).ends(0);
    let sent = || outbox(&folder, ".eml").iter().any(|name| mail(&folder, name).contains("Sent by Ana."));
    until("the update that Ana sent", sent);

    place.run(&["role", "set", &id, "incident_commander", "--to", "Zoe"]).ends(1).says(&["`Zoe` is not named", "Bo"]);
    place.run(&["role", "set", &id, "commander", "--to", "Bo"]).ends(1).says(&["nobody has the role `commander`"]);
    place
        .run(&["role", "set", &id, "executive", "--to", "Bo", "--as", "Eve", "--why", "asleep"])
        .ends(0)
        .prints(&["executive Bo"]);
    place.run(&["answer", &id, "switch_dns!approve", "approve", "--as", "Eve"]).ends(1).says(&["may not answer"]);
    place.run(&["answer", &id, "switch_dns!approve", "approve", "--as", "Bo"]).ends(0);
    controller.end().ends(0).says(&["nothing is sent by Slack (no [slack] in the settings): it is kept in"]);

    let (mails, blocks) = (outbox(&folder, ".eml"), outbox(&folder, ".json"));
    assert_eq!(mails.len(), blocks.len(), "{mails:?} {blocks:?}");
    let last = mail(&folder, mails.last().expect("mails"));
    assert!(last.contains("[DRILL] failover"), "{last}");
    assert!(last.contains("None: the run is over."), "{last}");
    let told = told(&place.events());
    assert!(told.values().all(|times| *times == 1), "{told:?}");
    assert_eq!(told.len(), mails.len() + blocks.len(), "{told:?}");
    place.run(&["audit", "verify", &id]).ends(0);
    let report: Value =
        serde_json::from_str(&place.run(&["report", &id, "--format", "json"]).ends(0).out).expect("JSON");
    assert_eq!(report["comms"][0]["delivered"], false, "a file is not a person: {}", report["comms"][0]);
    assert_eq!(report["impact"][0]["text"], "Checkout fails.");
    assert_eq!(status(&place)["undelivered"], Value::Array(Vec::new()));
}

/// The text part of a mail, its soft line ends undone.
fn mail(folder: &Path, name: &str) -> String {
    let text = fs::read_to_string(folder.join("outbox").join(name)).expect("a mail");
    text.replace("=\r\n", "")
}

#[test]
fn killed_before_or_after_any_message_every_update_is_there_once() {
    let runbook = RUNBOOK.replace("    approve: { question: Send users to eu-central-1?, roles: [executive] }\n", "");
    let mut points = 0;
    for edge in ["before", "after"] {
        for number in 1.. {
            let place = Place::with(&runbook);
            place.write("dr.toml", SETTINGS);
            let mut command = place.dr(&["execute", "runbook.yaml", "--kind", "drill", "--yes"]);
            command.env("DR_CRASH_AT", format!("tell:{number}:{edge}"));
            let killed = place.end(command);
            if killed.code() == 0 {
                // There are no more messages than that.
                assert!(number > 4, "two updates go two ways: {}", killed.err);
                break;
            }
            points += 1;
            let id = place.id();
            if place.fold().is_some_and(|run| run.finished.is_none()) {
                place.run(&["resume", &id]).ends(0);
            } else {
                // It died with its last words: whoever comes next says them.
                place.run(&["comms", "deliver", &id]).ends(0);
            }
            let (folder, told) = (place.run_folder(), told(&place.events()));
            let updates = outbox(&folder, ".eml");
            assert!(told.values().all(|times| *times == 1), "tell:{number}:{edge}: {told:?}");
            for ending in [".eml", ".json"] {
                let mut ids: Vec<_> = outbox(&folder, ending).iter().map(|name| name[5..].to_owned()).collect();
                let all = ids.len();
                ids.sort();
                ids.dedup();
                assert_eq!(ids.len(), all, "tell:{number}:{edge}: something stands twice");
                assert_eq!(all, updates.len(), "tell:{number}:{edge}: something is missing");
            }
            let last = mail(&folder, updates.last().expect("mails"));
            assert!(last.contains("None: the run is over."), "tell:{number}:{edge}: {last}");
        }
    }
    println!("{points} points");
}

/// Takes connections, counts them, and never says a word.
fn silence() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let (port, count) = (listener.local_addr().expect("an address").port(), Arc::new(AtomicUsize::new(0)));
    let counted = count.clone();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            counted.fetch_add(1, Ordering::SeqCst);
            thread::spawn(move || {
                let mut stream = stream;
                // What is sent is read: the other side waits for an answer and for nothing else.
                std::io::copy(&mut stream.by_ref(), &mut std::io::sink()).ok();
            });
        }
    });
    (port, count)
}

const CANARY: &str = "canary-7c1e9d";

#[test]
fn a_dead_slack_and_a_silent_mail_server_hold_up_nothing_and_get_no_secret_out() {
    let runbook = RUNBOOK.replace("    approve: { question: Send users to eu-central-1?, roles: [executive] }\n", "");
    let place = Place::with(&runbook);
    let ((slack, asked_slack), (smtp, asked_mail)) = (silence(), silence());
    place.write("password", CANARY);
    let settings = format!(
        "{SETTINGS}[slack]\ntoken = {{ secret = \"env:DR_TEST_TOKEN\" }}\napi = \"http://127.0.0.1:{slack}/api\"\n\
         [mail]\nurl = \"smtp://dr@127.0.0.1:{smtp}\"\npassword = {{ secret = \"file:password\" }}\nfrom = \"dr@example.com\"\n"
    );
    place.write("dr.toml", &settings.replace("5s", "2s"));
    let mut command = place.dr(&["execute", "runbook.yaml", "--kind", "drill", "--yes"]);
    command.env("DR_TEST_TOKEN", format!("xoxb-{CANARY}"));
    let said = place.end(command).ends(0);
    assert!(asked_slack.load(Ordering::SeqCst) > 0, "Slack was asked: {}", said.err);
    assert!(asked_mail.load(Ordering::SeqCst) > 0, "the mail server was asked: {}", said.err);
    let run = place.fold().expect("a run");
    let took = run.at.since(run.opened_at);
    assert!(took.0 < 2_000, "the steps took {took}, and waited for nobody");
    let undelivered = status(&place)["undelivered"].clone();
    let channels: Vec<_> = undelivered.as_array().expect("a list").iter().map(|it| it["channel"].clone()).collect();
    assert_eq!(channels, ["mail", "slack"], "{undelivered}");
    // No secret is anywhere.
    for text in [&said.out, &said.err] {
        assert!(!text.contains(CANARY), "{text}");
    }
    let mut folders = vec![place.run_folder()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let bytes = fs::read(entry.path()).expect("a file");
            let found = bytes.windows(CANARY.len()).any(|part| part == CANARY.as_bytes());
            assert!(!found, "{}", entry.path().display());
        }
    }
    for format in ["json", "md", "html"] {
        let said = place.run(&["report", &place.id(), "--format", format]).ends(0);
        assert!(!said.out.contains(CANARY), "{format}");
    }
}

#[test]
fn settings_that_would_give_a_secret_away_are_refused() {
    let place = Place::with(RUNBOOK);
    for (settings, why) in [
        ("[slack]\ntoken = { secret = \"xoxb-1\" }\n", "a secret is named, never written down: env:NAME or file:PATH"),
        ("[mail]\nurl = \"smtp://mail.example.com\"\nfrom = \"dr@example.com\"\n", "smtp+starttls"),
        (
            "[mail]\nurl = \"smtps://dr@mail.example.com\"\nfrom = \"dr@example.com\"\n",
            "`password` is wanted, by reference",
        ),
        ("[slack]\ntokens = 1\n", "unknown field `tokens`"),
        ("[sms]\nsender = \"0800 1234\"\n", "a sender is 1 to 11 letters and digits, with a letter among them"),
        ("[limits]\nupdate_gap_min = \"soon\"\n", "limits.update_gap_min"),
    ] {
        place.write("dr.toml", settings);
        place.drill().ends(2).says(&[why]);
    }
    // What cannot be read when the run begins is no reason not to recover.
    place.write("dr.toml", "[slack]\ntoken = { secret = \"env:DR_NOT_SET_ANYWHERE\" }\n");
    let mut controller = place.begin_drill();
    until("the question", || !place.asking().is_empty());
    place.run(&["answer", &place.id(), "switch_dns!approve", "approve", "--as", "Eve"]).ends(0);
    until("an end", || controller.over());
    controller.end().ends(0).says(&["nothing is sent by Slack (the secret `env:DR_NOT_SET_ANYWHERE` is not set)"]);
}

#[test]
fn a_heart_beats_while_a_controller_lives() {
    let (port, beats) = silence();
    let beating = format!("  heartbeat: http://127.0.0.1:{port}/alive\n  bridge:");
    let place = Place::with(&RUNBOOK.replace("  bridge:", &beating));
    place.write("dr.toml", SETTINGS);
    let controller = place.begin_drill();
    until("a beat", || beats.load(Ordering::SeqCst) == 1);
    until("the question", || !place.asking().is_empty());
    place.run(&["answer", &place.id(), "switch_dns!approve", "approve", "--as", "Eve"]).ends(0);
    controller.end().ends(0);
    // Over the open network nobody's address is called in the clear.
    let place = Place::with(&RUNBOOK.replace("  bridge:", "  heartbeat: http://192.0.2.1/alive\n  bridge:"));
    place.write("dr.toml", SETTINGS);
    let controller = place.begin_drill();
    until("the question", || !place.asking().is_empty());
    until("a word about it", || controller.so_far().1.contains("`comms.heartbeat` is not https"));
    place.run(&["answer", &place.id(), "switch_dns!approve", "approve", "--as", "Eve"]).ends(0);
    controller.end().ends(0);
}

#[test]
fn whoever_watches_over_a_run_speaks_when_its_controller_is_gone() {
    let place = Place::with(&RUNBOOK.replace("  bridge:", "  every: 1s\n  sms: { to: [+14155550100] }\n  bridge:"));
    place.write("dr.toml", SETTINGS);
    let controller = place.begin_drill();
    until("the question", || !place.asking().is_empty());
    let id = place.id();
    until("an update", || !outbox(&place.run_folder(), ".eml").is_empty());
    let watch = place.start(&["watch", &id, "--dead-man", "--grace", "1s"]);
    until("the promise", || watch.so_far().1.contains("an update is promised for"));
    controller.signal("KILL");
    until("the broken promise", || watch.so_far().1.contains("DID NOT COME; told by"));
    let folder = place.run_folder();
    let spoke = outbox(&folder, ".eml").into_iter().find(|name| name.contains("dead-man")).expect("it spoke");
    let text = mail(&folder, &spoke);
    for part in ["NOBODY ANSWERS for this recovery", "last known state", &format!("dr resume {id}"), "HEADLINE"] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    let texts = outbox(&folder, ".txt");
    assert_eq!(texts.len(), 1, "{texts:?}");
    let text = fs::read_to_string(folder.join("outbox").join(&texts[0])).expect("a text");
    for part in
        ["DRILL failover: NOBODY ANSWERS for this recovery", "Meet: https://meet", &format!("gone: dr resume {id}")]
    {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    watch.signal("TERM");
}

/// The runbook with people who have telephones; nobody is mailed.
fn by_telephone() -> String {
    let sms = "  sms: { to: [+1 415 555 0100, +1 415 555 0101] }\n  bridge:";
    let runbook = RUNBOOK.replace("  email: { to: [board@example.com] }\n", "").replace("  bridge:", sms);
    let runbook = runbook.replace("Ana, email: ana@example.com", "Ana, phone: +49 30 901820");
    runbook.replace("Cy, email: cy@example.com", "Cy, phone: \"4711\"")
}

/// Settings in which Slack is where nobody listens, and is given up soon.
fn slack_is_dead() -> String {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let limits = SETTINGS.replace("5s", "1s") + "silent_after = \"500ms\"\n";
    format!("{limits}[slack]\ntoken = {{ secret = \"file:token\" }}\napi = \"http://127.0.0.1:{free}/api\"\n")
}

#[test]
fn where_slack_is_dead_telephones_say_where_to_meet() {
    let Some(lab) = support::lab::lab() else { return };
    let (estate, place) = (Estate::new(lab), Place::with(&by_telephone()));
    place.write("token", CANARY);
    place.write("dr.toml", &format!("{}[sms]\nsender = \"DR\"\n", slack_is_dead()));
    place.run(&["plan", "runbook.yaml"]).ends(0).prints(&[
        "SMS when another way is gone, or nobody tells any more: to 3 numbers; no SMS to Cy: `4711` is no telephone",
    ]);
    let in_lab = |args: &[&str]| estate.dr(&place, &[&["--config", "dr.toml"], args].concat());
    place.end(in_lab(&["doctor", "runbook.yaml"])).ends(1).prints(&[
        "ok   sms        SNS in eu-central-1, 3 numbers, at most 1 USD a month; whether sns:Publish is allowed shows when \
         one is sent; no SMS to Cy",
    ]);
    place
        .end(in_lab(&["comms", "test", "runbook.yaml", "--by", "sms"]))
        .ends(0)
        .prints(&["ok   sms        taken for 3 of 3"]);
    let texts: BTreeSet<_> = estate.texts().into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts.len(), 1, "{texts:?}");
    let trial = texts.first().expect("one");
    assert!(
        trial.starts_with("TEST failover: this is a test, nothing has happened\n") && !trial.contains("Meet"),
        "{trial}"
    );
    lab.seed(&estate.account, Map::new()).expect("as it was");
    // One of them wants none; SNS would take it all the same.
    lab.sms(&json!({ "account": estate.account.to_string(), "opted_out": ["+14155550101"] })).expect("it is known");
    let controller = place.begin(in_lab(&["execute", "runbook.yaml", "--kind", "lab", "--yes"]));
    until("two telephones", || estate.texts().len() == 2);
    let texts = estate.texts();
    let numbers: Vec<_> = texts.iter().map(|(to, _)| to.as_str()).collect();
    assert_eq!(numbers, ["+14155550100", "+4930901820"]);
    let lines: Vec<_> = texts[0].1.lines().collect();
    assert!(lines[0].starts_with("LAB failover: slack cannot be reached since "), "{lines:?}");
    assert_eq!(lines[1..3], ["Meet: https://meet.example.com/dr", "IC: Ana, +49 30 901820"]);
    let id = place.id();
    place.end(in_lab(&["answer", &id, "switch_dns!approve", "approve", "--as", "Eve"])).ends(0);
    controller.end().ends(0);
    assert_eq!(estate.texts().len(), 2, "a telephone rings once for one thing, and not for updates");
    let told = place.events().into_iter().find_map(|event| match event.kind {
        Kind::Told { channel, reference, .. } if channel == "sms" => Some(reference),
        _ => None,
    });
    let told = told.expect("it is told");
    assert!(told.starts_with("taken for 2 of 3 (+1…0100 ") && told.contains("not for +1…0101 (opted out"), "{told}");
    assert!(!told.contains("0901820"), "no number is shown whole: {told}");
}

#[test]
fn killed_before_or_after_an_sms_it_comes_once_or_twice_and_never_not_at_all() {
    let Some(lab) = support::lab::lab() else { return };
    for (edge, times) in [("before", 1), ("after", 2)] {
        let (estate, place) = (Estate::new(lab), Place::with(&by_telephone()));
        place.write("token", CANARY);
        place.write("dr.toml", &format!("{}[sms]\n", slack_is_dead()));
        let in_lab = |args: &[&str]| estate.dr(&place, &[&["--config", "dr.toml"], args].concat());
        let mut command = in_lab(&["execute", "runbook.yaml", "--kind", "lab", "--yes"]);
        // The first message is Slack's, which tries again when it has long been given up.
        command.env("DR_CRASH_AT", format!("tell:2:{edge}"));
        place.end(command);
        assert_eq!(estate.texts().len(), 3 * (times - 1), "tell:2:{edge}");
        let id = place.id();
        let controller = place.begin(in_lab(&["resume", &id]));
        until("the telephones", || told(&place.events()).keys().any(|(channel, _)| channel == "sms"));
        place.end(in_lab(&["answer", &id, "switch_dns!approve", "approve", "--as", "Eve"])).ends(0);
        controller.end().ends(0);
        assert_eq!(estate.texts().len(), 3 * times, "tell:2:{edge}");
        let told = told(&place.events());
        let by_sms: Vec<_> =
            told.iter().filter(|((channel, _), _)| channel == "sms").map(|(_, times)| *times).collect();
        assert_eq!(by_sms, [1], "tell:2:{edge}: {told:?}");
    }
}

#[test]
fn whoever_watches_over_a_run_wakes_nobody_again_who_was_reached() {
    let Some(lab) = support::lab::lab() else { return };
    let runbook = by_telephone().replace("  slack: { channel: \"#dr\", create: true }\n", "  every: 1s\n");
    let (estate, place) = (Estate::new(lab), Place::with(&runbook));
    place.write("dr.toml", &format!("{SETTINGS}[sms]\n"));
    let in_lab = |args: &[&str]| estate.dr(&place, &[&["--config", "dr.toml"], args].concat());
    let controller = place.begin(in_lab(&["execute", "runbook.yaml", "--kind", "lab", "--yes"]));
    until("the question", || !place.asking().is_empty());
    // Of three, the answer to one is lost: that one may have it.
    estate.faults(&json!([{ "operation": "Publish", "nth": 1, "do": "drop_after" }]));
    controller.signal("KILL");
    let watch = place.begin(in_lab(&["watch", &place.id(), "--dead-man", "--grace", "1s"]));
    until("a doubt", || watch.so_far().1.contains("NOT told by sms: taken for 2 of 3"));
    until("an end of it", || watch.so_far().1.contains("DID NOT COME; told by sms: taken for 3 of 3"));
    let mut often = BTreeMap::<_, u32>::new();
    estate.texts().into_iter().for_each(|(to, _)| *often.entry(to).or_default() += 1);
    let mut often: Vec<_> = often.into_values().collect();
    often.sort_unstable();
    assert_eq!(often, [1, 1, 2]);
    watch.signal("TERM");
}

#[test]
fn an_sms_that_nobody_can_be_sent_is_kept_and_said_to_be() {
    for (settings, endpoint, why) in [
        ("", None, "nothing is sent by SMS (no [sms] in the settings): it is kept in"),
        // A drill on people's telephones, of which none would ring.
        (
            "[sms]\n",
            Some("http://127.0.0.1:9"),
            "nothing is sent by SMS (this is no LAB run, and AWS would be a local one): it is kept in",
        ),
    ] {
        let place = Place::with(&by_telephone());
        place.write("token", CANARY);
        place.write("dr.toml", &format!("{}{settings}", slack_is_dead()));
        let mut command = place.dr(&["execute", "runbook.yaml", "--kind", "drill", "--yes"]);
        command.envs(endpoint.map(|url| ("AWS_ENDPOINT_URL", url)));
        let controller = place.begin(command);
        let id = place.id();
        until("a text", || !outbox(&place.run_folder(), ".txt").is_empty());
        place.run(&["answer", &id, "switch_dns!approve", "approve", "--as", "Eve"]).ends(0);
        controller.end().ends(0).says(&[why]);
        let (folder, texts) = (place.run_folder(), outbox(&place.run_folder(), ".txt"));
        assert_eq!(texts.len(), 1, "{texts:?}");
        let text = fs::read_to_string(folder.join("outbox").join(&texts[0])).expect("a text");
        assert!(text.starts_with("DRILL failover: slack cannot be reached since "), "{text}");
        assert!(text.contains("\nMeet: https://meet.example.com/dr\nIC: Ana, +49 30 901820\n"), "{text}");
        assert!(told(&place.events()).keys().any(|(channel, _)| channel == "sms-file"));
    }
}

#[test]
fn a_doctor_asks_slack_and_the_mail_server_and_posts_nothing() {
    let place = Place::with(RUNBOOK);
    let doctor = || place.run(&["doctor", "runbook.yaml"]).ends(1);
    doctor().prints(&["BAD  slack      no [slack] in the settings", "BAD  mail       no [mail] in the settings"]);
    // Nobody listens there.
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let settings = format!(
        "[slack]\ntoken = {{ secret = \"file:token\" }}\napi = \"http://127.0.0.1:{free}/api\"\n\
         [mail]\nurl = \"smtp://127.0.0.1:{free}\"\nfrom = \"dr@example.com\"\n"
    );
    place.write("dr.toml", &settings);
    doctor().prints(&["BAD  slack      the secret `file:token` cannot be read"]);
    place.write("token", CANARY);
    let said = doctor();
    assert_eq!(said.out.matches("refused").count(), 2, "{}", said.out);
    assert!(!said.out.contains(CANARY), "{}", said.out);
}

#[test]
fn a_test_message_goes_the_ways_of_the_runbook_and_says_which_are_none() {
    let place = Place::with(RUNBOOK);
    let said = place.run(&["comms", "test", "runbook.yaml"]).ends(1);
    said.prints(&["BAD  slack      no [slack] in the settings", "BAD  mail       no [mail] in the settings"]);
    place
        .run(&["comms", "test", "runbook.yaml", "--by", "fax"])
        .ends(2)
        .says(&["the runbook names no way `fax`", "slack, mail"]);
    let (before, rest) = RUNBOOK.split_once("comms:").expect("it has some");
    let (_, steps) = rest.split_once("steps:").expect("it has some");
    let quiet = format!("{before}steps:{steps}");
    place.write("quiet.yaml", &quiet);
    place.run(&["comms", "test", "quiet.yaml"]).ends(1).says(&["the runbook names nobody who could be told"]);
}

#[test]
fn a_template_says_the_middle_of_an_update_and_cannot_hide_how_it_stands() {
    let runbook = RUNBOOK.replace("    approve: { question: Send users to eu-central-1?, roles: [executive] }\n", "");
    let with = |template: &str| {
        let lines: Vec<_> = template.lines().map(|line| format!("    {line}")).collect();
        Place::with(&runbook.replace("  bridge:", &format!("  template: |\n{}\n  bridge:", lines.join("\n"))))
    };
    let told = |place: &Place| {
        place.write("dr.toml", SETTINGS);
        place.drill().ends(0);
        let folder = place.run_folder();
        mail(&folder, outbox(&folder, ".eml").last().expect("mails"))
    };
    let text = told(&with("# For the board\n{{ done }} of {{ steps }} done, impact {{ impact }}"));
    for part in [
        "Subject: [DRILL] failover: eu-west-1 to eu-central-1, update",
        "HEADLINE",
        "FOR THE BOARD\r\n  2 of 2 done, impact unknown",
        "NEXT UPDATE\r\n  None: the run is over.",
        "AUTO: facts only",
        "of the journal",
    ] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    assert!(!text.contains("HELP WANTED"), "{text}");
    // What is wrong is found when planning, all of it that two updates can show.
    let place = with("# Money\n{{ impact.costs }}");
    place.run(&["plan", "runbook.yaml"]).ends(2).says(&[
        "runbook.yaml: `comms.template`, line 2: there is no such value: `impact.costs`",
        "the README lists the values",
    ]);
    // What shows itself later fails no update.
    let text = told(&with("# For the board\n{% if done == steps %}{{ nonsense }}{% endif %}Well."));
    for part in
        ["The runbook's template failed, so this is told without it: line 2: there is no such value", "HELP WANTED"]
    {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

#[test]
fn whoever_delivers_what_waits_promises_nothing_and_makes_no_news() {
    let place = Place::with(RUNBOOK);
    place.write("dr.toml", SETTINGS);
    let controller = place.begin_drill();
    until("the question", || !place.asking().is_empty());
    let (id, folder) = (place.id(), place.run_folder());
    until("an update about it", || outbox(&folder, ".eml").iter().any(|name| name.contains("update-2")));
    controller.kill();
    let before = outbox(&folder, ".eml");
    for _ in 0..2 {
        place.run(&["comms", "deliver", &id]).ends(0);
        place.run(&["note", &id, "nobody drives it", "--within", "1ms"]).code();
    }
    assert_eq!(outbox(&folder, ".eml"), before, "nobody drives the run: nothing is made");
    place.run(&["answer", &id, "switch_dns!approve", "approve", "--as", "Eve"]).code();
    place.run(&["resume", &id]).ends(0);
    let last = outbox(&folder, ".eml");
    for _ in 0..3 {
        place.run(&["note", &id, "it was the switch", "--lesson"]).ends(0);
        place.run(&["comms", "deliver", &id]).ends(0);
    }
    assert_eq!(outbox(&folder, ".eml"), last, "what is said of a run that is over is no news of it");
}
