//! The binary beside a Slack and a mail server that speak their protocols:
//! wherever the controller dies, each update stands once in the channel, and
//! in the mailbox under one id.

#[expect(dead_code, unused_imports, reason = "the channels' own tests use more of them")]
#[path = "../../comms/tests/support/slack.rs"]
mod slack;
#[expect(dead_code, reason = "the channels' own tests use more of them")]
#[path = "../../comms/tests/support/smtpd.rs"]
mod smtpd;
mod support;

use dr_engine::{
    clock::{Clock, SystemClock},
    duration::Dur,
};
use slack::{Fake, Fault, Hit, TOKEN};
use smtpd::{PASSWORD, Smtpd, python};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};
use support::{Living, Place};
use tokio::runtime::Runtime;

/// Two steps, so that the phase changes and an update says so.
const RUNBOOK: &str = r##"
dr: v1
name: failover
regions: { primary: eu-west-1, recovery: eu-central-1 }
roles: { incident_commander: { name: Ana, email: ana@example.com, slack: U0IC } }
comms:
  slack: { channel: "#dr", create: true }
  email: { to: [board@example.com] }
  bridge: https://meet.example.com/dr
steps:
  restore_db: { do: { command: { argv: [sh, ./work], check: { argv: [sh, ./seen] } } } }
  switch_dns: { needs: [restore_db], do: { command: { argv: [sh, ./work], check: { argv: [sh, ./seen] } } } }
"##;

/// How often it is asked whether a call hangs, and whether the controller lives.
const LOOK: Dur = Dur(20);

/// Both servers, and a folder with a runbook that names them.
struct World {
    runtime: Runtime,
    slack: Fake,
    mail: Smtpd,
    place: Place,
}

impl World {
    /// `None` where there is no mail server.
    fn begin() -> Option<Self> {
        let mail = Smtpd::start(&python()?, "starttls");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let slack = runtime.block_on(Fake::start(SystemClock::new().now()));
        let place = Place::with(RUNBOOK);
        place.write(
            "dr.toml",
            &format!(
                "[limits]\nupdate_gap_min = \"0s\"\nlast_words_max = \"15s\"\n\
                 [slack]\ntoken = {{ secret = \"env:DR_TEST_TOKEN\" }}\napi = \"{}\"\n\
                 [mail]\nurl = \"smtp+starttls://dr@127.0.0.1:{}\"\nfrom = \"dr@example.com\"\n\
                 password = {{ secret = \"file:{folder}/password\" }}\nca = \"{folder}/ca.pem\"\n",
                slack.api(),
                mail.port,
                folder = mail.folder().display(),
            ),
        );
        Some(Self { runtime, slack, mail, place })
    }

    fn dr(&self, args: &[&str], crash_at: Option<&str>) -> Living {
        let mut command = self.place.dr(args);
        command.env("DR_TEST_TOKEN", TOKEN).envs(crash_at.map(|at| ("DR_CRASH_AT", at)));
        self.place.begin(command)
    }

    fn execute(&self, crash_at: Option<&str>) -> Living {
        self.dr(&["execute", "runbook.yaml", "--kind", "drill", "--yes"], crash_at)
    }

    /// Goes on with what a dead controller left, until all is told.
    fn go_on(&self) {
        let id = self.place.id();
        let over = self.place.fold().is_some_and(|run| run.finished.is_some());
        let args = if over { ["comms", "deliver", &id].to_vec() } else { ["resume", &id].to_vec() };
        self.dr(&args, None).end().ends(0);
    }

    /// How often each parcel stands in the channel, and in the mailbox.
    fn told(&self) -> (BTreeMap<String, usize>, BTreeMap<String, usize>) {
        let (mut channel, mut mailbox) = (BTreeMap::new(), BTreeMap::new());
        for message in self.slack.state().channels.iter().flat_map(|it| &it.messages) {
            let ids = message.of("dr_parcel").and_then(|payload| payload["ids"].as_str());
            for id in ids.into_iter().flat_map(|ids| ids.split(',')).filter(|id| !id.starts_with("events-")) {
                *channel.entry(id.to_owned()).or_default() += 1;
            }
        }
        let before = format!("Message-ID: <{}.", self.place.id());
        for taken in self.mail.mailbox() {
            let mail = String::from_utf8_lossy(&taken.mail);
            let id = mail.lines().find_map(|line| line.strip_prefix(&before)?.split_once('@'));
            *mailbox.entry(id.expect("an id").0.to_owned()).or_default() += 1;
        }
        (channel, mailbox)
    }

    /// Everything was told, by Slack once, by mail under one id.
    fn assert_told(&self, of: &str) {
        let (channel, mailbox) = self.told();
        assert_eq!(self.slack.complaints(), Vec::<String>::new(), "{of}");
        assert!(channel.values().all(|times| *times == 1), "{of}: {channel:?}");
        assert!(mailbox.values().all(|times| *times <= 2), "{of}: {mailbox:?}");
        let updates = |told: &BTreeMap<String, usize>| -> BTreeSet<_> {
            told.keys().filter(|id| id.starts_with("update-")).cloned().collect()
        };
        let last = self.place.fold().expect("a run");
        assert!(last.finished.is_some(), "{of}: the run is over");
        assert!(!updates(&channel).is_empty(), "{of}: {channel:?}");
        assert_eq!(updates(&channel), updates(&mailbox), "{of}");
        let numbers: BTreeSet<_> = (1..=updates(&channel).len()).map(|number| format!("update-{number}")).collect();
        assert_eq!(updates(&channel), numbers, "{of}: none is missing");
        let state = self.slack.state();
        let heads = state.channels.iter().flat_map(|it| &it.messages).filter(|it| it.of("dr_run").is_some());
        assert_eq!(heads.count(), 1, "{of}");
    }
}

/// The controller is killed while a call to Slack hangs, call by call.
fn killed_at_each_call(fault: Fault) {
    for call in 1.. {
        let Some(world) = World::begin() else { return };
        world.slack.state().faults = vec![(Hit::Nth(call), fault)];
        let mut controller = world.execute(None);
        let clock: &dyn Clock = &SystemClock::new();
        let hangs = || world.runtime.block_on(async { clock.timeout(LOOK, world.slack.hangs()).await.is_some() });
        let mut hung = hangs();
        while !hung && !controller.over() {
            hung = hangs();
        }
        if !hung {
            // There are no more calls than that.
            controller.end().ends(0);
            assert!(call > 10, "a channel is made and furnished, and updates are posted: {:?}", world.slack.called());
            world.assert_told("undisturbed");
            return;
        }
        controller.kill();
        world.slack.state().faults.clear();
        world.go_on();
        world.assert_told(&format!("{fault:?} at call {call}"));
    }
}

#[test]
fn killed_before_slack_does_what_it_was_asked_each_update_is_there_once() {
    killed_at_each_call(Fault::HangBefore);
}

#[test]
fn killed_after_slack_has_done_what_it_was_asked_each_update_is_there_once() {
    killed_at_each_call(Fault::HangAfter);
}

#[test]
fn killed_before_or_after_any_delivery_each_update_is_there_once() {
    for edge in ["before", "after"] {
        for number in 1.. {
            let Some(world) = World::begin() else { return };
            let point = format!("tell:{number}:{edge}");
            let killed = world.execute(Some(&point)).end();
            if killed.code() == 0 {
                assert!(number > 2, "what is told goes two ways: {}", killed.err);
                break;
            }
            world.go_on();
            world.assert_told(&point);
        }
    }
}

#[test]
fn no_secret_gets_out_where_everything_works() {
    let Some(world) = World::begin() else { return };
    let said = world.execute(None).end().ends(0);
    world.assert_told("undisturbed");
    for secret in [TOKEN, PASSWORD] {
        assert!(!said.out.contains(secret) && !said.err.contains(secret), "{}{}", said.out, said.err);
        let mut folders = vec![world.place.run_folder()];
        while let Some(folder) = folders.pop() {
            for path in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
                if path.is_dir() {
                    folders.push(path);
                } else {
                    assert!(!holds(&path, secret), "{}", path.display());
                }
            }
        }
        let state = world.slack.state();
        for message in state.channels.iter().flat_map(|channel| &channel.messages) {
            assert!(!format!("{:?}", message.body).contains(secret));
        }
        for taken in world.mail.mailbox() {
            assert!(!String::from_utf8_lossy(&taken.mail).contains(secret));
        }
        for format in ["json", "md", "html"] {
            let report = world.place.run(&["report", &world.place.id(), "--format", format]).ends(0);
            assert!(!report.out.contains(secret), "{format}");
        }
    }
}

fn holds(path: &Path, text: &str) -> bool {
    fs::read(path).expect("a file").windows(text.len()).any(|part| part == text.as_bytes())
}

#[test]
fn a_doctor_looks_and_a_test_sends_one_message_each() {
    let Some(world) = World::begin() else { return };
    let how = format!("ok   mail       127.0.0.1:{}, encrypted, logged in as dr", world.mail.port);
    let dr = |args: &[&str]| world.dr(args, None).end();
    // This runbook calls no service to compare the clock with: that is unknown.
    dr(&["doctor", "runbook.yaml"])
        .ends(1)
        .prints(&["BAD  slack      dr in Example, the channel would be made: Slack did not say which scopes", &how]);
    dr(&["comms", "test", "runbook.yaml"]).ends(1).prints(&["BAD  slack      #dr does not exist yet", "ok   mail"]);
    world.slack.channel("dr", true);
    dr(&["comms", "test", "runbook.yaml", "--by", "slack"]).ends(0).prints(&["ok   slack      archives/C0001/p"]);
    let state = world.slack.state();
    let [message] = &state.channels[0].messages[..] else { panic!("one message: {:?}", state.channels) };
    assert!(message.words().starts_with("[TEST] failover: this is a test, nothing has happened"));
    let [mail] = &world.mail.mailbox()[..] else { panic!("one mail") };
    assert!(String::from_utf8_lossy(&mail.mail).contains("Subject: [TEST] failover: this is a test"));
    drop(state);
    assert_eq!(world.place.runs(), Vec::<String>::new(), "no run was begun");
}
