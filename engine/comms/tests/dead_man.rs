//! The watch over whoever tells: what people hear when they have heard nothing for too long.

#[expect(dead_code, unused_imports, reason = "the channel's own tests use more of it")]
#[path = "support/slack.rs"]
mod fake;
#[expect(dead_code, reason = "the channels' own tests use more of them")]
#[path = "support/parcels.rs"]
mod parcels;

use async_trait::async_trait;
use dr_comms::{
    book::Book,
    channel::{Channel, Memory, Trouble},
    dead_man::{DeadMan, Seen, Spoken},
    mail::{self, Recipients},
    parcel::{Body, Parcel},
    slack::{Settings, Slack},
};
use dr_engine::{
    clock::{Clock, SystemClock, Time},
    crash::CrashAt,
    duration::Dur,
    event::{Audience, Controller, Event, Kind, Opened, Outcome, Person, RunKind},
    journal::{Journal, sqlite::Sqlite},
    plan::{Plan, PlanStep},
};
use fake::{Fake, Fault, Hit, TOKEN};
use parcels::{NOON, at, update};
use serde_json::json;
use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
};
use tempfile::TempDir;

/// So long after a promise it counts as broken.
const GRACE: Dur = Dur::seconds(120);

/// A clock that was set, and runs on.
struct Set(Time, SystemClock, Time);

impl Set {
    fn to(time: Time) -> Arc<dyn Clock> {
        let system = SystemClock::new();
        let now = system.now();
        Arc::new(Self(time, system, now))
    }
}

#[async_trait]
impl Clock for Set {
    fn now(&self) -> Time {
        self.0.after(self.1.now().since(self.2))
    }

    async fn sleep_until(&self, until: Time) {
        self.1.sleep_until(self.2.after(until.since(self.0))).await;
    }
}

/// Mail that arrives, and is counted.
#[derive(Default)]
struct Postbox(Mutex<Vec<Parcel>>);

#[async_trait]
impl Channel for Postbox {
    fn name(&self) -> &'static str {
        "mail"
    }

    fn takes(&self, _: &Parcel) -> bool {
        true
    }

    async fn deliver(&self, parcels: &[Parcel], _: bool, _: &mut Memory) -> Result<String, Trouble> {
        self.0.lock().expect("whole").extend_from_slice(parcels);
        Ok("taken".into())
    }

    async fn check(&self) -> Result<String, Trouble> {
        Ok("a test".into())
    }
}

impl Postbox {
    /// What the only letter says.
    fn lines(&self) -> Vec<String> {
        let letters = self.0.lock().expect("whole");
        let [Parcel { body: Body::Notice(notice), .. }] = &letters[..] else { panic!("one letter: {letters:#?}") };
        assert!(notice.urgent && notice.subject.starts_with("NO UPDATE ARRIVES"), "{}", notice.subject);
        notice.lines.clone()
    }
}

/// A run in its folder that began at noon and told its first update a minute later.
struct Recovery {
    folder: TempDir,
    journal: Sqlite,
    seq: u64,
}

fn person() -> Person {
    Person { name: Some("Ana".into()), user: "ana".into(), host: "ops-1".into(), message: None }
}

fn told(number: u32, channel: &str) -> Kind {
    let (item, channel) = (format!("update-{number}"), channel.to_owned());
    Kind::Told { by: person(), item, audience: Audience::Executives, channel, reference: "there".into() }
}

impl Recovery {
    fn begin() -> Self {
        let text = json!({
            "format": 1, "name": "orders failover", "mode": "ungraceful", "steps": [],
            "regions": { "primary": "us-east-1", "recovery": "us-west-2" }, "phases": [],
        });
        let comms = json!({ "every": "1h", "email": { "to": ["board@example.com"] } });
        let role = json!({ "name": "Ana", "email": "ana@example.com" });
        let plan = Plan {
            comms: Some(serde_json::from_value(comms).expect("comms")),
            roles: [("incident_commander".to_owned(), serde_json::from_value(role).expect("a role"))].into(),
            steps: vec![PlanStep::plain("orders", "command", json!({}))],
            ..serde_json::from_value(text).expect("a plan")
        };
        let opened = Opened {
            run: "r-2043".into(),
            plan,
            folder: String::new(),
            kind: RunKind::Live,
            incident_at: NOON,
            incident_assumed: false,
            detected_at: None,
            declared_at: None,
            declared_by: None,
            by: person(),
        };
        let folder = tempfile::tempdir().expect("a folder");
        let run = folder.path().join("run");
        let journal = Sqlite::create(&run, "pid 7 on ops-1", Arc::new(CrashAt::default())).expect("a journal");
        let mut recovery = Self { folder, journal, seq: 0 };
        let controller =
            Controller { host: "ops-1".into(), pid: 7, epoch: 1, version: "1".into(), why: None, break_glass: None };
        recovery.happens(0, Kind::Opened(Box::new(opened)));
        recovery.happens(0, Kind::Joined(controller));
        recovery
    }

    /// With a book of deliveries, in which updates were made at these minutes.
    fn with_book(made: &[i64]) -> Self {
        let recovery = Self::begin();
        let mut book = Book::open(&recovery.run()).expect("a book").expect("free");
        for (number, minutes) in (1..).zip(made) {
            book.keep(&update(number, *minutes)).expect("kept");
            book.page.update = Some(number);
        }
        let lane = book.page.channels.entry("mail".into()).or_default();
        lane.trouble = Some("no route to host".into());
        book.write().expect("written");
        recovery
    }

    fn run(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    fn happens(&mut self, minutes: i64, kind: Kind) {
        self.seq += 1;
        self.journal.append(&[Event { seq: self.seq, at: at(minutes), kind }]).expect("written");
    }

    async fn look(&self, now: Time, channels: &[Arc<dyn Channel>], spoken: &mut Spoken) -> Seen {
        let folder = self.run();
        let watch = DeadMan { folder: &folder, channels: channels.to_vec(), clock: Set::to(now), grace: GRACE };
        watch.look(spoken).await
    }

    /// The first look of a watch by which mail goes.
    async fn looked_at(&self, minutes: i64) -> (Seen, Arc<Postbox>) {
        let post = Arc::new(Postbox::default());
        let ways: [Arc<dyn Channel>; 1] = [post.clone()];
        (self.look(at(minutes), &ways, &mut Spoken::default()).await, post)
    }
}

fn slack(fake: &Fake, now: Time) -> Arc<dyn Channel> {
    let settings = Settings {
        token: TOKEN.into(),
        api: fake.api(),
        channel: "#dr".into(),
        create: true,
        invite: Vec::new(),
        bridge: None,
    };
    Arc::new(Slack::new(settings, Set::to(now)).expect("an address on this machine"))
}

fn broken(at: Time, by: &str) -> Seen {
    Seen::Broken(at, vec![format!("told by {by}")])
}

#[tokio::test]
async fn an_old_run_keeps_its_one_head_and_nothing_untrue_is_pinned() {
    for delivered in [true, false] {
        let fake = Fake::start(NOON).await;
        let mut recovery = Recovery::with_book(&[1]);
        recovery.happens(2, told(1, "mail"));
        if delivered {
            slack(&fake, NOON).deliver(&[update(1, 1)], false, &mut Memory::new()).await.expect("told");
        }
        // Three hours later, by a process that has no memory of it.
        let now = at(181);
        let seen = recovery.look(now, &[slack(&fake, now)], &mut Spoken::default()).await;
        assert!(matches!(&seen, Seen::Broken(_, became) if became[0].starts_with("told by slack")), "{seen:?}");
        let state = fake.state();
        let channel = &state.channels[0];
        let heads: Vec<_> = channel.messages.iter().filter(|message| message.of("dr_run").is_some()).collect();
        let [head] = heads[..] else { panic!("one head: {heads:#?}") };
        assert_eq!(channel.pins, std::slice::from_ref(&head.ts));
        let words = head.words();
        assert!(!words.contains("begun") && !words.contains("No update"), "{words}");
        assert_eq!(words.contains("The newest message below says where it stands"), !delivered, "{words}");
        assert_eq!(state.complaints, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_way_that_failed_is_tried_again_whoever_else_has_heard() {
    let now = at(70);
    let mut recovery = Recovery::with_book(&[1]);
    recovery.happens(2, told(1, "slack"));
    let files = recovery.folder.path().join("outbox");
    let file: Arc<dyn Channel> = Arc::new(mail::files(files, Recipients::default()));
    let post = Arc::new(Postbox::default());
    for other in [file, post.clone()] {
        let fake = Fake::start(now).await;
        let ways = [slack(&fake, now), other];
        let mut spoken = Spoken::default();
        fake.state().faults = vec![(Hit::Each("chat.postMessage"), Fault::Status(500))];
        let Seen::Broken(_, became) = recovery.look(now, &ways, &mut spoken).await else {
            panic!("the promise of 13:01 was broken");
        };
        let heard =
            if ways[1].name() == "mail" { "told by mail: " } else { "a file, which tells nobody, by mail-file: " };
        assert!(became[0].starts_with("NOT told by slack: ") && became[1].starts_with(heard), "{became:?}");
        // Not at once, and then it is.
        fake.state().faults.clear();
        let soon = recovery.look(now.after(Dur::seconds(2)), &ways, &mut spoken).await;
        assert_eq!(soon, Seen::Broken(at(61), became.clone()));
        for later in [10, 20] {
            let seen = recovery.look(now.after(Dur::seconds(later)), &ways, &mut spoken).await;
            let Seen::Broken(_, became) = seen else { panic!("{seen:?}") };
            assert!(became[0].starts_with("told by slack: archives/"), "{became:?}");
        }
        let state = fake.state();
        let notices = state.channels[0].messages.iter().filter(|message| message.of("dr_parcel").is_some());
        assert_eq!(notices.count(), 1, "it is said once");
    }
    assert!(post.lines().len() > 3, "one letter, though Slack was tried again");
}

#[tokio::test]
async fn a_copy_without_a_book_goes_by_the_grid_and_by_what_was_told() {
    let mut recovery = Recovery::begin();
    let (seen, post) = recovery.looked_at(10).await;
    assert_eq!(seen, broken(NOON, "mail: taken"), "nobody heard that it began");
    assert!(post.lines()[0].starts_with("This recovery began at 12:00 UTC; no update"), "{:?}", post.lines());
    recovery.happens(61, told(2, "mail"));
    assert_eq!(recovery.looked_at(100).await.0, Seen::Kept(at(120)));
    assert_eq!(recovery.looked_at(121).await.0, Seen::Kept(at(120)), "there is a grace");
    let (seen, post) = recovery.looked_at(123).await;
    assert_eq!(seen, broken(at(120), "mail: taken"));
    assert!(post.lines()[0].starts_with("An update was promised for 14:00 UTC; none is known"), "{:?}", post.lines());
    // What the Incident Commander sends within the last minutes keeps the promise.
    recovery.happens(116, Kind::Worded { by: person(), text: "Nearly there.".into(), send: true });
    recovery.happens(116, told(3, "mail"));
    assert_eq!(recovery.looked_at(123).await.0, Seen::Kept(at(180)));
}

#[tokio::test]
async fn updates_that_are_made_and_reach_nobody_keep_no_promise() {
    let mut recovery = Recovery::with_book(&[1, 61, 121]);
    recovery.happens(2, told(1, "mail"));
    // A file is nobody.
    recovery.happens(62, told(2, "slack-file"));
    let (seen, post) = recovery.looked_at(125).await;
    assert_eq!(seen, broken(at(61), "mail: taken"));
    let lines = post.lines();
    for (line, wanted) in lines.iter().zip([
        "An update was promised for 13:01 UTC; none is known to have arrived.",
        "Update 3 was made at 14:01 UTC, and waits.",
        "Its controller cannot tell by mail: no route to host",
    ]) {
        assert_eq!(line, wanted);
    }
    recovery.happens(126, told(3, "slack"));
    assert_eq!(recovery.looked_at(127).await.0, Seen::Kept(at(181)), "one way is enough");
}

#[tokio::test]
async fn what_can_be_read_no_more_is_spoken_of_as_it_was() {
    let mut recovery = Recovery::with_book(&[1]);
    recovery.happens(2, told(1, "mail"));
    let (post, mut spoken) = (Arc::new(Postbox::default()), Spoken::default());
    let ways: [Arc<dyn Channel>; 1] = [post.clone()];
    assert_eq!(recovery.look(at(30), &ways, &mut spoken).await, Seen::Kept(at(61)));
    let (run, aside) = (recovery.run(), recovery.folder.path().join("aside"));
    fs::rename(&run, &aside).expect("gone");
    let seen = recovery.look(at(31), &ways, &mut spoken).await;
    assert!(matches!(&seen, Seen::Unread(why) if why.contains("journal.db")), "{seen:?}");
    fs::rename(&aside, &run).expect("back");
    assert_eq!(recovery.look(at(32), &ways, &mut spoken).await, Seen::Kept(at(61)));
    fs::rename(&run, &aside).expect("gone for good");
    assert_eq!(recovery.look(at(64), &ways, &mut spoken).await, broken(at(61), "mail: taken"));
    let lines = post.lines();
    assert!(lines[1].starts_with("Its journal can no longer be read from here: "), "{lines:?}");
}

#[tokio::test]
async fn a_watch_ends_when_people_know_of_the_end() {
    let mut recovery = Recovery::begin();
    recovery.happens(2, told(1, "mail"));
    recovery.happens(30, Kind::Finished { outcome: Outcome::Stopped });
    // The last update is not told: that is said once, and nobody is there to say more.
    let (post, mut spoken) = (Arc::new(Postbox::default()), Spoken::default());
    let ways: [Arc<dyn Channel>; 1] = [post.clone()];
    assert_eq!(recovery.look(at(31), &ways, &mut spoken).await, Seen::Kept(at(60)));
    assert_eq!(recovery.look(at(63), &ways, &mut spoken).await, broken(at(60), "mail: taken"));
    assert_eq!(recovery.look(at(64), &ways, &mut spoken).await, Seen::Over);
    assert!(post.lines().iter().any(|line| line.contains("dr comms deliver r-2043")), "{:?}", post.lines());
    recovery.happens(65, told(2, "mail"));
    assert_eq!(recovery.looked_at(66).await.0, Seen::Over);
}
