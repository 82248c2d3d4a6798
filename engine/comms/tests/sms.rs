//! SMS: what stands in one, and who gets it how often.

#[path = "support/parcels.rs"]
#[allow(dead_code, reason = "each file of tests takes what it needs")]
mod parcels;

use async_trait::async_trait;
use dr_comms::{
    channel::{Channel, Memory, Trouble},
    parcel::{Body, Meet, Notice, Parcel},
    sms::{self, BRIDGE_BYTES_MAX, Gateway, PARTS_MAX, Recipients, Sms, parts},
};
use dr_engine::{
    clock::{Clock, SimClock},
    duration::Dur,
    event::{Event, Kind, Opened, Person, RunKind},
    phone::Number,
    plan::{Plan, Role},
    run::Run,
};
use parcels::{at, parcel};
use proptest::prelude::*;
use serde_json::json;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
};

const ANA: &str = "+4930901820";
const BO: &str = "+14155550100";
const CY: &str = "+14155550101";

fn notice(subject: &str, meet: Meet) -> Notice {
    Notice { subject: subject.into(), lines: vec!["…".into()], urgent: true, meet }
}

fn text(runbook: &str, kind: RunKind, notice: &Notice) -> String {
    let parcel = parcel("notice-1", at(60), Body::Notice(notice.clone()));
    sms::text(&Parcel { runbook: runbook.into(), kind, ..parcel }, notice)
}

fn meet() -> Meet {
    Meet {
        bridge: Some("https://meet.example.com/dr".into()),
        commander: Some("Ana, +49 30 901820".into()),
        last: Some(
            "Last known: AMBER: The recovery from eu-west-1 to eu-central-1 is under way. Next 15:00 UTC.".into(),
        ),
    }
}

#[test]
fn an_sms_says_what_is_gone_where_to_meet_and_whom_to_call() {
    let notice = notice("slack cannot be reached since 14:20 UTC", meet());
    let said = text("evacuate_eu_west_1", RunKind::Drill, &notice);
    assert_eq!(
        said,
        "DRILL evacuate_eu_west_1: slack cannot be reached since 14:20 UTC\n\
         Meet: https://meet.example.com/dr\n\
         IC: Ana, +49 30 901820\n\
         Last known: AMBER: The recovery from eu-west-1 to eu-central-1 is under way. Next 15:00 UTC."
    );
    assert_eq!(parts(&said), 2);
    // A long dash would make three parts of it, and changes nobody's name.
    let dashed = Notice { subject: "slack — “gone” since 14:20 UTC…".into(), ..notice };
    assert!(text("r", RunKind::Live, &dashed).starts_with("LIVE r: slack - \"gone\" since 14:20 UTC...\nMeet: "));
    let nowhere = Notice { meet: Meet::default(), ..dashed };
    assert!(text("r", RunKind::Live, &nowhere).ends_with("\nMeet: the runbook names no bridge"));
}

#[test]
fn parts_are_counted_as_networks_do() {
    let of = |c: &str, count: usize| parts(&c.repeat(count));
    // 160 alone, else 153 each.
    assert_eq!([of("a", 0), of("a", 160), of("a", 161), of("a", 306), of("a", 307), of("ü", 160)], [1, 1, 2, 2, 3, 1]);
    // Of two places each, which are never torn apart: 80 alone, else 76 each.
    for twice in ["{", "}", "[", "]", "~", "^", "|", "\\", "€"] {
        assert_eq!([of(twice, 80), of(twice, 81), of(twice, 152), of(twice, 153)], [1, 2, 2, 3], "{twice}");
    }
    // One other letter, and all are of 16 bits: 70 alone, else 67 each.
    for other in ["я", "ë", "`", "ç", "—"] {
        assert_eq!([of(other, 70), of(other, 71), of(other, 134), of(other, 135)], [1, 2, 2, 3], "{other}");
    }
    assert_eq!(parts(&format!("{}ë", "a".repeat(70))), 2);
    // A pair of 16 bits is never torn apart: 35 alone, else 33 each.
    assert_eq!([of("🚑", 35), of("🚑", 36), of("🚑", 66), of("🚑", 67)], [1, 2, 2, 3]);
}

/// Words of what people write, a few of them dear.
fn words(most: usize) -> impl Strategy<Value = String> {
    let word = prop_oneof![
        "[a-z]{1,12}",
        "[A-Za-z0-9_.:/-]{1,30}",
        Just("https://status.example.com/a?b={c}&d=[e]".to_owned()),
        "[{}\\[\\]~^|€]{1,10}",
        "[äöüßÆñ]{1,8}",
        "[яжë—…🚑]{1,6}",
        Just("+49 30 901820".to_owned()),
    ];
    prop::collection::vec(word, 0..most).prop_map(|words| words.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_sms_is_short_and_its_bridge_is_whole(
        runbook in words(12),
        subject in words(20),
        bridge in prop::option::of(prop_oneof!["https://[a-z]{1,20}\\.example/[a-zA-Z0-9?=&{}~|я]{0,700}", words(8)]),
        commander in prop::option::of(words(12)),
        last in prop::option::of(words(60)),
        drill in any::<bool>(),
    ) {
        let meet = Meet { bridge: bridge.clone(), commander: commander.clone(), last: last.clone() };
        let (kind, mark) = if drill { (RunKind::Drill, "DRILL") } else { (RunKind::Live, "LIVE") };
        let said = text(&runbook, kind, &notice(&subject, meet));
        prop_assert!(said.starts_with(mark), "{said}");
        let bridge = bridge.filter(|it| !it.is_empty()).unwrap_or("the runbook names no bridge".into());
        let line = if bridge.len() > BRIDGE_BYTES_MAX { "Meet: as the runbook says,".to_owned() } else { format!("Meet: {bridge}") };
        let found = said.lines().find(|it| it.starts_with("Meet:")).expect("it is there");
        prop_assert!(found == line.trim_end() || bridge.len() > BRIDGE_BYTES_MAX && found.starts_with(&line), "{said}");
        let least = parts(&format!("{mark}\n{found}"));
        prop_assert!(parts(&said) <= PARTS_MAX.max(least), "{} parts: {said}", parts(&said));
        prop_assert!(said.len() <= 1_600, "SNS takes no more: {said}");
        // Whatever is cut is cut between words, so that no link and no number is torn.
        let all = format!("{mark} {runbook} {subject} {line} {} {}", commander.unwrap_or_default(), last.unwrap_or_default());
        let all = format!("{all} {}", all.replace('—', "-").replace('…', "..."));
        for word in said.split_whitespace().map(|word| word.strip_suffix(':').unwrap_or(word)) {
            let ours = ["...", "IC", "Meet"].contains(&word);
            prop_assert!(ours || bridge.len() > BRIDGE_BYTES_MAX || all.contains(word), "{word} is torn: {said}");
        }
    }
}

/// Answers as the script says, number by number; then it takes all.
#[derive(Default)]
struct Scripted {
    answers: Mutex<BTreeMap<String, VecDeque<Trouble>>>,
    sent: Mutex<Vec<String>>,
    silent: bool,
}

#[async_trait]
impl Gateway for Scripted {
    async fn send(&self, number: &Number, _: &str) -> Result<String, Trouble> {
        self.sent.lock().expect("whole").push(number.whole().to_owned());
        if self.silent {
            std::future::pending::<()>().await;
        }
        let answer = self.answers.lock().expect("whole").get_mut(number.whole()).and_then(VecDeque::pop_front);
        answer.map_or_else(|| Ok(format!("id-{}", &number.whole()[1..4])), Err)
    }

    async fn check(&self, numbers: &[Number]) -> Result<String, Trouble> {
        Ok(format!("{} numbers", numbers.len()))
    }
}

fn role((role, name, phone): (&str, &str, &str)) -> (String, Role) {
    (role.into(), Role { name: name.into(), phone: Some(phone.into()), ..Role::default() })
}

fn plan(to: &[&str], phones: &[(&str, &str)]) -> Plan {
    let text = json!({
        "format": 1, "name": "evacuate", "params": {}, "mode": "ungraceful", "objectives": {}, "phases": [], "steps": [],
        "regions": {}, "accounts": {}, "selection": {}, "roles": {}, "comms": { "sms": { "to": to } },
    });
    Plan {
        roles: phones.iter().map(|(name, phone)| role((*name, *name, *phone))).collect(),
        ..serde_json::from_value(text).expect("a plan")
    }
}

fn channel(gateway: &Arc<Scripted>, recipients: Recipients) -> Sms {
    let clock: Arc<dyn Clock> = Arc::new(SimClock::new(at(0)));
    Sms::new(gateway.clone(), recipients, true, clock)
}

fn urgent(id: &str) -> Parcel {
    parcel(id, at(60), Body::Notice(notice("slack cannot be reached since 14:20 UTC", meet())))
}

async fn deliver(sms: &Sms, id: &str, memory: &mut Memory) -> Result<String, Trouble> {
    let told = sms.deliver(&[urgent(id)], false, memory).await;
    let said = format!("{told:?}");
    for number in [ANA, BO, CY] {
        assert!(!said.contains(&number[1..]), "a number is shown whole: {said}");
    }
    told
}

fn simulated<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(work)
}

#[test]
fn who_hears_is_who_has_a_number() {
    let people =
        Recipients::of(&plan(&["+49 30 901820", BO], &[("Ana", ANA), ("Bo", "4711"), ("Cy", "+1 415 555 0101")]));
    let numbers: Vec<_> = people.numbers().iter().map(Number::whole).collect();
    assert_eq!(numbers, [ANA, BO, CY], "each once");
    assert_eq!(
        people.wrong(),
        [
            "no SMS to Bo: `4711` is no telephone number in international form (begin with + and the country code, as in +49 30 901820)"
        ]
    );
    let none = Plan { comms: None, ..plan(&[], &[("Ana", ANA)]) };
    assert_eq!(Recipients::of(&none), Recipients::default(), "who did not ask for SMS gets none");
}

#[test]
fn people_are_given_the_number_of_whoever_has_the_role_now() {
    let by = || Person { name: None, user: "ana".into(), host: "bunker".into(), message: None };
    let mut plan = plan(&[BO], &[("Ana", ANA), ("Bo", BO)]);
    plan.roles = [("incident_commander", "Ana", ANA), ("technical_lead", "Bo", BO)].map(role).into();
    let opened = Opened {
        run: "r".into(),
        plan,
        folder: String::new(),
        kind: RunKind::Live,
        incident_at: at(0),
        incident_assumed: true,
        detected_at: None,
        declared_at: None,
        declared_by: None,
        by: by(),
    };
    let mut run = Run::open(Event { seq: 1, at: at(0), kind: Kind::Opened(Box::new(opened)) }).expect("it opens");
    for (seq, to, commander) in
        [(2, "Ana", format!("Ana, {ANA}")), (3, "Bo", format!("Bo, {BO}")), (4, "Di", "Di".into())]
    {
        let set = Kind::RoleSet { role: "incident_commander".into(), to: to.into(), by: by(), why: String::new() };
        run.apply(&Event { seq, at: at(1), kind: set }).expect("it is legal");
        assert_eq!(Meet::of(&run).commander, Some(commander));
    }
}

#[test]
fn only_what_is_urgent_and_for_all_of_us_goes_by_sms() {
    let sms = channel(&Arc::default(), Recipients::of(&plan(&[BO], &[])));
    assert!(sms.takes(&urgent("notice-1")));
    let others = [
        parcels::update(3, 120),
        parcels::details("events-1-8", 10),
        parcels::notice("notice-2", 10, "status wanted"),
        Parcel { role: Some("technical_lead".into()), ..urgent("notice-3") },
        Parcel { not_by: vec!["sms".into()], ..urgent("notice-4") },
        Parcel { audience: dr_engine::event::Audience::Customers, ..urgent("notice-5") },
    ];
    for other in others {
        assert!(!sms.takes(&other), "{}", other.id);
    }
}

#[test]
fn of_three_the_one_that_is_refused_is_named_and_holds_nobody_up() {
    simulated(async {
        let gateway = Arc::new(Scripted::default());
        let refused = Trouble::refused("PhoneNumber Reason: +14155550101 is not valid to publish to");
        gateway.answers.lock().expect("whole").insert(CY.into(), [refused].into());
        let sms = channel(&gateway, Recipients::of(&plan(&[ANA, BO, CY], &[("Di", "4711")])));
        let told = deliver(&sms, "notice-1", &mut Memory::new()).await.expect("two have it");
        assert_eq!(
            told,
            "taken for 2 of 3 (+1…0100 id-141, +4…1820 id-493); not for +1…0101 (PhoneNumber Reason: +1…0101 is not valid to publish to); \
             no SMS to Di: `4711` is no telephone number in international form (begin with + and the country code, as in +49 30 901820)"
        );
        assert_eq!(gateway.sent.lock().expect("whole").len(), 3);
    });
}

#[test]
fn who_has_it_gets_it_once_and_who_may_not_is_tried_thrice() {
    simulated(async {
        let gateway = Arc::new(Scripted::default());
        let lost = || Trouble::ambiguous("no answer");
        gateway.answers.lock().expect("whole").insert(CY.into(), [lost(), lost(), lost(), lost()].into());
        let sms = channel(&gateway, Recipients::of(&plan(&[ANA, BO, CY], &[])));
        let mut memory = Memory::new();
        for _ in 0..2 {
            let trouble = deliver(&sms, "notice-1", &mut memory).await.expect_err("one is open");
            assert_eq!((trouble.ambiguous, trouble.refused, trouble.after), (true, false, Some(Dur(15_000))));
            assert!(
                trouble.what.contains("taken for 2 of 3") && trouble.what.contains("+1…0101 may have it (no answer)")
            );
        }
        let told = deliver(&sms, "notice-1", &mut memory).await.expect("nobody waits for one number for ever");
        assert!(told.contains("taken for 2 of 3") && told.contains("+1…0101 may have it"), "{told}");
        let sent = |number: &str| gateway.sent.lock().expect("whole").iter().filter(|it| *it == number).count();
        assert_eq!([sent(ANA), sent(BO), sent(CY)], [1, 1, 3]);
        // The next notice is for all of them again.
        deliver(&sms, "notice-2", &mut memory).await.expect_err("the fourth loss");
        assert_eq!([sent(ANA), sent(BO), sent(CY)], [2, 2, 4]);
    });
}

#[test]
fn who_is_left_is_tried_thrice_however_long_nobody_could_be_reached() {
    simulated(async {
        let gateway = Arc::new(Scripted::default());
        let later = || Trouble::passing("Rate exceeded");
        let answers = |many: usize| VecDeque::from(vec![later(); many]);
        gateway.answers.lock().expect("whole").extend([(ANA.to_owned(), answers(9)), (BO.to_owned(), answers(11))]);
        let sms = channel(&gateway, Recipients::of(&plan(&[ANA, BO], &[])));
        let mut memory = Memory::new();
        for _ in 0..11 {
            deliver(&sms, "notice-1", &mut memory).await.expect_err("somebody is left");
        }
        let told = deliver(&sms, "notice-1", &mut memory).await.expect("both have it");
        assert!(told.starts_with("taken for 2 of 2"), "{told}");
    });
}

#[test]
fn while_nobody_knows_whether_anybody_was_reached_nobody_is_woken_every_minute() {
    simulated(async {
        let gateway = Arc::new(Scripted { silent: true, ..Scripted::default() });
        let sms = channel(&gateway, Recipients::of(&plan(&[ANA, BO], &[])));
        let mut memory = Memory::new();
        for pause in [Dur(15_000), Dur(300_000), Dur(300_000)] {
            let trouble = deliver(&sms, "notice-1", &mut memory).await.expect_err("nobody answers");
            assert_eq!((trouble.ambiguous, trouble.after), (true, Some(pause)));
            assert_eq!(trouble.what, "taken for 0 of 2; +1…0100, +4…1820 may have it (no answer within 12s)");
        }
        // What was surely not taken is another matter: the post decides when.
        let throttled = Arc::new(Scripted::default());
        let later = Trouble::passing("Rate exceeded");
        let answers = [ANA, BO].map(|number| (number.to_owned(), VecDeque::from([later.clone()])));
        throttled.answers.lock().expect("whole").extend(answers);
        let sms = channel(&throttled, Recipients::of(&plan(&[ANA, BO], &[])));
        let trouble = deliver(&sms, "notice-1", &mut Memory::new()).await.expect_err("not yet");
        assert_eq!((trouble.ambiguous, trouble.refused, trouble.after), (false, false, None));
        let told = deliver(&sms, "notice-1", &mut Memory::new()).await.expect("now");
        assert!(told.starts_with("taken for 2 of 2"), "{told}");
    });
}

#[test]
fn a_trial_rings_once_and_says_that_nothing_has_happened() {
    let trial = Parcel::of_trial("evacuate", at(0), "ana on bunker");
    let Body::Notice(notice) = &trial.body else { panic!("a notice") };
    let said = sms::text(
        &trial,
        &Notice { meet: Meet { last: Some("There is nothing to do.".into()), ..Meet::default() }, ..notice.clone() },
    );
    assert_eq!(said, "TEST evacuate: this is a test, nothing has happened\nThere is nothing to do.");
    simulated(async {
        let gateway = Arc::new(Scripted::default());
        let sms = channel(&gateway, Recipients::of(&plan(&[ANA, BO], &[])));
        assert!(!sms.takes(&trial), "no run sends it");
        sms.trial(&trial).await.expect("both have it");
        assert_eq!(gateway.sent.lock().expect("whole").len(), 2);
        // Whom it does not reach is what a trial is for.
        gateway.answers.lock().expect("whole").insert(BO.into(), [Trouble::refused("opted out")].into());
        let trouble = sms.trial(&trial).await.expect_err("one has it not");
        assert!(trouble.what.starts_with("taken for 1 of 2") && trouble.what.contains("not for +1…0100 (opted out)"));
    });
}

#[test]
fn where_all_refuse_it_a_person_has_to_mend_something() {
    simulated(async {
        let gateway = Arc::new(Scripted::default());
        let no = || VecDeque::from([Trouble::refused("the caller needs the permission `sns:Publish`")]);
        gateway.answers.lock().expect("whole").extend([(ANA.to_owned(), no()), (BO.to_owned(), no())]);
        let sms = channel(&gateway, Recipients::of(&plan(&[ANA, BO], &[])));
        let trouble = deliver(&sms, "notice-1", &mut Memory::new()).await.expect_err("refused");
        assert!(trouble.refused, "{trouble:?}");
        assert_eq!(
            trouble.what,
            "taken for 0 of 2; not for +1…0100, +4…1820 (the caller needs the permission `sns:Publish`)"
        );
    });
}

#[test]
fn many_numbers_of_a_dead_gateway_are_given_up_before_the_post_gives_up() {
    simulated(async {
        let gateway = Arc::new(Scripted { silent: true, ..Scripted::default() });
        let numbers: Vec<_> = (0..20).map(|n| format!("+1415555{n:04}")).collect();
        let numbers: Vec<_> = numbers.iter().map(String::as_str).collect();
        let clock: Arc<dyn Clock> = Arc::new(SimClock::new(at(0)));
        let sms = Sms::new(gateway.clone(), Recipients::of(&plan(&numbers, &[])), true, clock.clone());
        deliver(&sms, "notice-1", &mut Memory::new()).await.expect_err("nobody answers");
        let took = clock.now().since(at(0));
        assert!(took <= Dur(25_000), "{took}");
        assert_eq!(gateway.sent.lock().expect("whole").len(), 20, "each was tried");
    });
}
