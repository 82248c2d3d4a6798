//! Slack as a way to reach people, beside a Slack on this machine.

#[path = "support/slack.rs"]
mod fake;
#[path = "support/parcels.rs"]
mod parcels;

use async_trait::async_trait;
use dr_comms::{
    channel::{Channel, Memory, Trouble},
    parcel::Parcel,
    slack::{CALL_MAX, POST_GAP, Settings, Slack},
};
use dr_engine::{
    clock::{Clock, SystemClock, Time},
    duration::Dur,
    event::Audience,
};
use fake::{Fake, Fault, Hit, TOKEN};
use parcels::{NOON, at, details, notice, update};
use serde_json::Value;
use std::{collections::BTreeMap, path::Path, sync::Arc};

/// So many times faster than the machine's time: what waits for ten seconds waits for a half.
const HASTE: i64 = 20;

/// A clock under which nobody waits long, though sockets take their real time.
struct Hasty(SystemClock, Time);

impl Hasty {
    fn new() -> Self {
        let clock = SystemClock::new();
        let start = clock.now();
        Self(clock, start)
    }
}

#[async_trait]
impl Clock for Hasty {
    fn now(&self) -> Time {
        NOON.after(Dur(self.0.now().since(self.1).0 * HASTE))
    }

    async fn sleep_until(&self, until: Time) {
        self.0.sleep_until(self.1.after(Dur(until.since(NOON).0 / HASTE + 1))).await;
    }
}

fn settings(fake: &Fake) -> Settings {
    Settings {
        token: TOKEN.into(),
        api: fake.api(),
        channel: "#disaster-recovery-us-east-1".into(),
        create: true,
        invite: vec!["U0IC".into(), "U0NOBODY".into(), "U0LEAD".into()],
        bridge: Some("https://meet.example.com/dr".into()),
    }
}

fn with(settings: Settings) -> Slack {
    Slack::new(settings, Arc::new(Hasty::new())).expect("an address on this machine")
}

fn slack(fake: &Fake) -> Slack {
    with(settings(fake))
}

async fn start() -> Fake {
    Fake::start(NOON).await
}

/// Brings parcels as the loop does: again and again, until they have arrived.
async fn until_brought(slack: &Slack, parcels: &[Parcel], again: bool, memory: &mut Memory) -> Vec<Trouble> {
    let (mut again, mut troubles) = (again, Vec::new());
    while let Err(trouble) = slack.deliver(parcels, again, memory).await {
        again = trouble.ambiguous;
        troubles.push(trouble);
        assert!(troubles.len() < 5, "nothing arrives: {troubles:#?}");
    }
    troubles
}

/// How often each parcel stands in the channels.
fn told(fake: &Fake) -> BTreeMap<String, usize> {
    let state = fake.state();
    let mut told = BTreeMap::new();
    for message in state.channels.iter().flat_map(|channel| &channel.messages) {
        let ids = message.of("dr_parcel").and_then(|payload| payload["ids"].as_str());
        ids.into_iter().flat_map(|ids| ids.split(',')).for_each(|id| *told.entry(id.to_owned()).or_default() += 1);
    }
    told
}

fn once(ids: &[&str]) -> BTreeMap<String, usize> {
    ids.iter().map(|id| ((*id).to_owned(), 1)).collect()
}

/// One channel with one head, pinned once and first of all, and all parcels once; every request as Slack wants it.
fn assert_furnished(fake: &Fake, ids: &[&str], of: &str) {
    assert_eq!(fake.complaints(), Vec::<String>::new(), "{of}");
    assert_eq!(told(fake), once(ids), "{of}");
    let state = fake.state();
    assert_eq!(state.channels.len(), 1, "{of}: {:#?}", state.channels);
    let channel = &state.channels[0];
    let heads: Vec<_> = channel.messages.iter().filter(|message| message.of("dr_run").is_some()).collect();
    assert_eq!(heads.len(), 1, "{of}: {heads:#?}");
    assert_eq!(channel.pins, [heads[0].ts.clone()], "{of}");
    assert!(channel.topic.starts_with("LIVE") && channel.purpose.contains("r-2043"), "{of}: {channel:?}");
    assert!(["U0IC", "U0LEAD"].iter().all(|member| channel.members.contains(*member)), "{of}: {channel:?}");
    for message in channel.messages.iter().filter(|message| message.thread.is_some()) {
        assert_eq!(message.thread.as_ref(), Some(&heads[0].ts), "{of}");
    }
}

#[tokio::test]
async fn the_first_delivery_makes_the_channel_and_the_next_ones_use_it() {
    let fake = start().await;
    let (slack, mut memory) = (slack(&fake), Memory::new());
    let first =
        slack.deliver(&[notice("notice-1", 1, "The recovery has begun")], false, &mut memory).await.expect("told");
    assert_eq!(
        fake.called(),
        [
            "conversations.list",
            "conversations.create",
            "conversations.history",
            "chat.postMessage",
            "chat.postMessage",
            "pins.add",
            "conversations.setTopic",
            "conversations.setPurpose",
            "conversations.invite",
            "conversations.invite",
            "conversations.invite",
            "chat.update",
        ]
    );
    let topic = fake.state().channels[0].topic.clone();
    assert_eq!(topic, "LIVE · orders failover · run r-2043 · Bridge https://meet.example.com/dr");
    let before = fake.called().len();
    let second = slack.deliver(&[update(1, 60), details("details-1", 61)], false, &mut memory).await.expect("told");
    // Whom Slack would not invite is tried again, since somebody may have mended it.
    let again = ["chat.postMessage", "chat.postMessage", "conversations.invite", "chat.update"];
    assert_eq!(fake.called()[before..], again);
    assert_furnished(&fake, &["notice-1", "update-1", "details-1"], "all went well");
    let state = fake.state();
    let messages = &state.channels[0].messages;
    // Nothing in a text is looked for: no names, no emphasis, no links.
    let posted = state.calls.iter().filter(|call| call.method == "chat.postMessage");
    for call in posted {
        let off = ["mrkdwn", "link_names", "unfurl_links", "unfurl_media"];
        assert!(off.iter().all(|name| call.asked[*name] == false), "{:?}", call.asked);
    }
    let way = |message: &fake::Message| format!("archives/C0001/p{}", message.ts.replace('.', ""));
    assert_eq!([first, second], [way(&messages[1]), way(&messages[2])]);
    let head = messages[0].words();
    for words in [
        "[LIVE] orders failover: us-east-1 to us-west-2, update 1, 13:00 UTC — AMBER: waits for people; on track for the RTO",
        "CLOCK\nOutage began 12:00 UTC",
        "14:00 UTC, or sooner",
        "invite U0NOBODY: Slack refused conversations.invite: user_not_found",
        "As of update 1.",
    ] {
        assert!(head.contains(words), "`{words}` in:\n{head}");
    }
}

#[tokio::test]
async fn a_channel_is_found_on_any_page_joined_and_not_made_twice() {
    let fake = start().await;
    for name in ["one", "two", "disaster-recovery-us-east-1-old", "three"] {
        fake.channel(name, false);
    }
    let id = fake.channel("disaster-recovery-us-east-1", false);
    fake.state().page_max = 2;
    let found = slack(&fake).deliver(&[notice("notice-1", 1, "Hello")], false, &mut Memory::new()).await.expect("told");
    assert!(found.starts_with(&format!("archives/{id}/p")), "{found}");
    let called = fake.called();
    assert!(
        !called.contains(&"conversations.create".into()) && called.contains(&"conversations.join".into()),
        "{called:?}"
    );
    assert_eq!((told(&fake), fake.complaints()), (once(&["notice-1"]), Vec::new()));
}

#[tokio::test]
async fn a_private_channel_takes_no_joining_and_its_scope_is_not_needed_for_a_public_one() {
    let fake = start().await;
    fake.channel("disaster-recovery-us-east-1", true);
    fake.state().channels[0].private = true;
    slack(&fake).deliver(&[notice("notice-1", 1, "Hello")], false, &mut Memory::new()).await.expect("told");
    assert!(!fake.called().contains(&"conversations.join".into()));
    fake.state().channels[0].private = false;
    let first_list = fake.called().len() + 1;
    fake.state().faults = vec![(Hit::Nth(first_list), Fault::Scope("groups:read"))];
    slack(&fake).deliver(&[notice("notice-2", 2, "Hello")], false, &mut Memory::new()).await.expect("told");
    assert_eq!(told(&fake), once(&["notice-1", "notice-2"]));
}

#[tokio::test]
async fn a_name_that_is_taken_is_looked_for_once_more() {
    let fake = start().await;
    // Whom the list did not show, because it was made in between.
    fake.state().faults = vec![(Hit::Of("conversations.create", 1), Fault::DropAfter)];
    let mut memory = Memory::new();
    let troubles = until_brought(&slack(&fake), &[update(1, 60)], false, &mut memory).await;
    assert_eq!(troubles.len(), 1);
    assert_furnished(&fake, &["update-1"], "made, and not heard of");
    // An archived one cannot be used.
    let fake = start().await;
    fake.channel("disaster-recovery-us-east-1", true);
    fake.state().channels[0].archived = true;
    let trouble = slack(&fake).deliver(&[update(1, 60)], false, &mut Memory::new()).await.expect_err("archived");
    assert!(trouble.refused && trouble.what.contains("unarchive it"), "{trouble}");
}

#[tokio::test]
async fn what_slack_says_becomes_what_to_do() {
    // Which call, what happens, then whether a person has to act, whether it may have arrived, how long to
    // wait, and words of it.
    type Case = (&'static str, Fault, bool, bool, Option<i64>, &'static str);
    let post = "chat.postMessage";
    let cases: [Case; 16] = [
        (post, Fault::Wait(Some(7)), false, false, Some(7), "wait 7s"),
        (post, Fault::Wait(None), false, false, Some(30), "wait 30s"),
        (post, Fault::Says("ratelimited"), false, false, Some(30), "wait"),
        (post, Fault::Status(503), false, true, None, "503"),
        (post, Fault::Says("fatal_error"), false, true, None, "fatal_error"),
        (post, Fault::Says("team_added_to_org"), false, false, None, "team_added_to_org"),
        (post, Fault::DropBefore, false, true, None, "broke during chat.postMessage"),
        (post, Fault::HangBefore, false, true, None, "no answer to chat.postMessage within 10s"),
        (post, Fault::Says("invalid_auth"), true, false, None, "set the app's bot token (xoxb-…)"),
        (post, Fault::Scope("chat:write"), true, false, None, "`chat:write`: add it under OAuth & Permissions"),
        (post, Fault::Says("is_archived"), true, false, None, "unarchive it"),
        (post, Fault::Says("a_new_word"), true, false, None, "a_new_word"),
        (post, Fault::Status(404), true, false, None, "is `api` the address"),
        ("conversations.list", Fault::HangBefore, false, false, None, "no answer to conversations.list"),
        ("conversations.create", Fault::Says("restricted_action"), true, false, None, "ask its administrator"),
        ("conversations.create", Fault::Says("invalid_name_specials"), true, false, None, "lower case letters"),
    ];
    for (method, fault, refused, ambiguous, after, words) in cases {
        let fake = start().await;
        // The head is the first message; what is brought is the second.
        let nth = if method == post { 2 } else { 1 };
        fake.state().faults = vec![(Hit::Of(method, nth), fault)];
        let mut memory = Memory::new();
        let trouble = slack(&fake).deliver(&[update(1, 60)], false, &mut memory).await.expect_err(words);
        let got = (trouble.refused, trouble.ambiguous, trouble.after);
        assert_eq!(got, (refused, ambiguous, after.map(Dur::seconds)), "{fault:?}: {trouble}");
        assert!(trouble.what.contains(words), "{fault:?}: {trouble}");
        let kept = serde_json::to_string(&memory).expect("JSON");
        assert!(!format!("{trouble:?}{kept}").contains(TOKEN), "the token leaks: {trouble:?} {kept}");
    }
}

#[tokio::test]
async fn nobody_listening_is_known_to_have_heard_nothing() {
    let mut fake = start().await;
    let (slack, mut memory) = (slack(&fake), Memory::new());
    slack.deliver(&[update(1, 60)], false, &mut memory).await.expect("told");
    fake.go_down().await;
    for _ in 0..2 {
        let trouble = slack.deliver(&[notice("notice-1", 70, "Held")], false, &mut memory).await.expect_err("down");
        assert!(!trouble.ambiguous && !trouble.refused && trouble.what.contains("cannot be reached"), "{trouble:?}");
    }
    fake.come_back().await;
    let missed = [notice("notice-1", 70, "Held"), update(2, 120), details("details-1", 121)];
    slack.deliver(&missed, false, &mut memory).await.expect("it is back");
    assert_furnished(&fake, &["update-1", "notice-1", "update-2", "details-1"], "back again");
    let words = fake.state().channels[0].messages[2].words();
    assert!(words.starts_with("[LIVE] Slack could not be reached since 1"), "{words}");
    assert!(words.contains("13:10 UTC Held") && words.contains("update 2, 14:00 UTC"), "{words}");
    // Once it is told, it is past.
    let later = [notice("notice-2", 130, "Went on"), notice("notice-3", 131, "Went on")];
    slack.deliver(&later, false, &mut memory).await.expect("told");
    let words = fake.state().channels[0].messages[4].words();
    assert!(words.starts_with("[LIVE] Told together"), "{words}");
}

#[tokio::test]
async fn what_arrived_before_is_found_among_other_apps_messages_and_not_said_again() {
    let fake = start().await;
    let (slack, mut memory) = (slack(&fake), Memory::new());
    slack.deliver(&[notice("notice-1", 1, "Begun")], false, &mut memory).await.expect("told");
    let nth = fake.state().calls.iter().filter(|call| call.method == "chat.postMessage").count() + 1;
    fake.state().faults = vec![(Hit::Of("chat.postMessage", nth), Fault::HangAfter)];
    let trouble = slack.deliver(&[update(1, 60)], false, &mut memory).await.expect_err("nobody heard");
    assert!(trouble.ambiguous, "{trouble:?}");
    // Metadata of other apps has forms that the crate's model of a message does not take.
    {
        let mut state = fake.state();
        let channel = &mut state.channels[0];
        for number in 0..7 {
            let mut other = channel.messages[0].clone();
            other.ts = format!("{}.000{number}", at(100).0 / 1_000);
            let held =
                serde_json::json!({ "event_type": "ticket", "event_payload": { "n": number, "of": { "a": [1] } } });
            other.body.insert("metadata".into(), held);
            channel.messages.push(other);
        }
        state.page_max = 3;
    }
    // Meanwhile there is more to say: only that is said.
    let parcels = [update(1, 60), notice("notice-2", 62, "Approval wanted")];
    slack.deliver(&parcels, true, &mut memory).await.expect("told");
    assert_eq!(told(&fake), once(&["notice-1", "update-1", "notice-2"]));
    assert_eq!(fake.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn a_channel_or_a_head_that_is_gone_is_replaced() {
    let fake = start().await;
    let (slack, mut memory) = (slack(&fake), Memory::new());
    slack.deliver(&[update(1, 60)], false, &mut memory).await.expect("told");
    let head = fake.state().channels[0].messages.remove(0);
    fake.state().channels[0].pins.clear();
    let troubles = until_brought(&slack, &[details("details-1", 61)], false, &mut memory).await;
    assert!(troubles.len() == 1 && troubles[0].what.contains("posted anew"), "{troubles:?}");
    assert_furnished(&fake, &["update-1", "details-1"], "the head was deleted");
    assert_ne!(fake.state().channels[0].pins, [head.ts]);
    // Somebody archives the channel: a person unarchives it, or there is a new one of the name.
    {
        let mut state = fake.state();
        state.channels[0].archived = true;
        state.channels[0].name = "old".into();
    }
    let mut again = memory.clone();
    let trouble = slack.deliver(&[update(2, 120)], false, &mut again).await.expect_err("archived");
    assert!(trouble.refused && trouble.what.contains("unarchive"), "{trouble}");
    slack.deliver(&[update(2, 120)], false, &mut again).await.expect("a channel was made");
    assert_eq!(told(&fake), once(&["update-1", "details-1", "update-2"]));
}

#[tokio::test]
async fn blocks_that_slack_does_not_take_are_told_in_bare_words() {
    let fake = start().await;
    fake.state().faults = vec![(Hit::Of("chat.postMessage", 2), Fault::Says("msg_blocks_too_long"))];
    slack(&fake).deliver(&[update(1, 60)], false, &mut Memory::new()).await.expect("told");
    let state = fake.state();
    let message = state.channels[0].messages.last().expect("a message");
    let text = message.body["text"].as_str().expect("a text");
    assert!(message.body.get("blocks").is_none() && text.contains("AMBER: The recovery"), "{text}");
    assert!(text.starts_with("[LIVE]") && text.ends_with("dr status r-2043"), "{text}");
}

#[tokio::test]
async fn messages_are_a_second_apart() {
    let fake = start().await;
    let slack = Slack::new(settings(&fake), Arc::new(SystemClock::new())).expect("an address on this machine");
    let parcels = [update(1, 60), details("details-1", 61)];
    slack.deliver(&parcels, false, &mut Memory::new()).await.expect("told");
    let state = fake.state();
    let posts: Vec<_> =
        state.calls.iter().filter(|call| call.method == "chat.postMessage").map(|call| call.at).collect();
    assert_eq!(posts.len(), 3);
    let gap = std::time::Duration::from_millis(u64::try_from(POST_GAP.0).expect("positive"));
    // The request leaves when the clock says so; how long it travels may differ.
    let slack = std::time::Duration::from_millis(50);
    assert!(posts.windows(2).all(|two| two[0] + gap <= two[1] + slack), "{posts:?}");
}

#[tokio::test]
async fn a_head_that_cannot_be_edited_fails_no_update() {
    let fake = start().await;
    fake.state().faults =
        vec![(Hit::Each("chat.update"), Fault::HangBefore), (Hit::Each("pins.add"), Fault::Status(500))];
    let (slack, mut memory) = (slack(&fake), Memory::new());
    slack.deliver(&[update(1, 60)], false, &mut memory).await.expect("told");
    slack.deliver(&[update(2, 120)], false, &mut memory).await.expect("told");
    assert_eq!(told(&fake), once(&["update-1", "update-2"]));
    assert!(fake.state().channels[0].messages[0].words().contains("As of update 1."), "it says of when it is");
    fake.state().faults.clear();
    slack.deliver(&[update(3, 180)], false, &mut memory).await.expect("told");
    assert!(fake.state().channels[0].messages[0].words().contains("As of update 3."));
    assert_furnished(&fake, &["update-1", "update-2", "update-3"], "what was left out was made up for");
}

#[tokio::test]
async fn a_delivery_that_nobody_waits_for_any_more_has_not_forgotten_what_it_made() {
    let fake = start().await;
    fake.state().faults = vec![(Hit::Of("chat.postMessage", 2), Fault::HangBefore)];
    let (slack, mut memory, parcels) = (slack(&fake), Memory::new(), [update(1, 60)]);
    tokio::select! {
        biased;
        () = fake.hangs() => {}
        brought = slack.deliver(&parcels, false, &mut memory) => panic!("it hangs: {brought:?}"),
    }
    let before = fake.called().len();
    slack.deliver(&parcels, true, &mut memory).await.expect("told");
    let head = ["conversations.history", "chat.postMessage", "pins.add"];
    assert_eq!(fake.called()[before..before + 3], head, "neither channel nor head are sought again");
    assert_furnished(&fake, &["update-1"], "cut off");
}

#[tokio::test]
async fn what_only_adorns_holds_no_delivery_up_for_long() {
    let fake = start().await;
    fake.state().faults = vec![(Hit::Each("conversations.invite"), Fault::HangBefore)];
    let clock = Arc::new(Hasty::new());
    let slack = Slack::new(settings(&fake), clock.clone()).expect("an address on this machine");
    let mut memory = Memory::new();
    for number in 1..3 {
        let begun = clock.now();
        slack.deliver(&[update(number, 60)], false, &mut memory).await.expect("told");
        let took = clock.now().since(begun);
        assert!(took < Dur(2 * CALL_MAX.0), "it took {took}");
        let last = fake.called().pop();
        assert_eq!(last.as_deref(), Some("conversations.invite"), "nothing is begun after it");
    }
    fake.state().faults.clear();
    // Details come often: who cannot be invited is not asked for with each of them.
    for number in 1..4 {
        slack.deliver(&[details(&format!("details-{number}"), 61)], false, &mut memory).await.expect("told");
    }
    let nobody = |call: &&fake::Call| call.asked.get("users").is_some_and(|it| it == "U0NOBODY");
    assert_eq!(fake.state().calls.iter().filter(nobody).count(), 1);
    assert_furnished(&fake, &["update-1", "update-2", "details-1", "details-2", "details-3"], "in time");
}

#[tokio::test]
async fn customers_and_what_is_for_other_channels_are_not_told_here() {
    let fake = start().await;
    let slack = slack(&fake);
    let parcel = update(1, 60);
    assert!(slack.takes(&parcel) && slack.bundles() && slack.name() == "slack");
    assert!(slack.takes(&Parcel { audience: Audience::Executives, ..parcel.clone() }));
    assert!(!slack.takes(&Parcel { audience: Audience::Customers, ..parcel.clone() }));
    assert!(!slack.takes(&Parcel { not_by: vec!["slack".into()], ..parcel }));
}

#[tokio::test]
async fn the_token_travels_to_no_stranger() {
    let fake = start().await;
    for (api, why) in [
        ("http://slack.example.com/api", "use https"),
        ("http://10.0.0.1/api", "use https"),
        ("http://localhost.example.com/api", "use https"),
        ("ftp://127.0.0.1/api", "use https"),
        ("slack", "is no address"),
    ] {
        let settings = Settings { api: api.into(), ..settings(&fake) };
        let trouble = Slack::new(settings, Arc::new(Hasty::new())).expect_err(api);
        assert!(trouble.refused && trouble.what.contains(why), "{api}: {trouble}");
    }
    let shown = format!("{:?}", slack(&fake));
    assert!(shown.contains("disaster-recovery") && !shown.contains(TOKEN), "{shown}");
    Slack::new(Settings { api: Settings::API.into(), ..settings(&fake) }, Arc::new(Hasty::new())).expect("https");
}

#[tokio::test]
async fn a_check_names_what_is_missing_and_changes_nothing() {
    let fake = start().await;
    let look = |create| {
        let settings = Settings { create, ..settings(&fake) };
        async move { with(settings).access().await }
    };
    let access = look(true).await.expect("seen");
    assert_eq!((access.who.as_str(), access.channel, access.missing.len()), ("dr in Example", None, 0));
    assert_eq!(access.unseen, ["Slack did not say which scopes the token has"]);
    let trouble = look(false).await.expect_err("there is none");
    assert!(
        trouble.refused && trouble.what.contains("create it, invite the app to it, or say `create: true`"),
        "{trouble}"
    );

    let id = fake.channel("disaster-recovery-us-east-1", false);
    fake.state().scopes = Some("chat:write,channels:read, channels:history,channels:manage");
    let access = look(false).await.expect("seen");
    let way_out = "add it under OAuth & Permissions, and install the app again";
    let missing = [
        format!("to pin the head message the token lacks `pins:write`: {way_out}"),
        format!("to join the channel the token lacks `channels:join`: {way_out}"),
    ];
    assert_eq!((access.channel, access.missing, access.unseen.len()), (Some(id), missing.to_vec(), 0));

    fake.state().scopes = Some("chat:write,channels:read,groups:read,groups:history,groups:write,pins:write");
    fake.state().channels[0].private = true;
    fake.state().channels[0].members.insert("U0BOT".into());
    assert_eq!(look(false).await.expect("seen").missing, Vec::<String>::new());

    fake.state().faults = vec![(Hit::Each("auth.test"), Fault::HangBefore)];
    let trouble = look(true).await.expect_err("silence");
    assert!(trouble.what.contains(&format!("no answer to auth.test within {CALL_MAX}")), "{trouble}");
    let looks = ["auth.test", "conversations.list"];
    assert!(fake.called().iter().all(|method| looks.contains(&method.as_str())), "{:?}", fake.called());
    assert_eq!(fake.complaints(), Vec::<String>::new());
    let stranger = Settings { token: "xoxb-other".into(), ..settings(&fake) };
    fake.state().faults.clear();
    assert!(with(stranger).access().await.expect_err("a stranger").what.contains("set the app's bot token"));
}

#[tokio::test]
async fn a_trial_is_one_message_and_nothing_else() {
    let fake = start().await;
    let parcel = Parcel::of_trial("orders failover", NOON, "ana on bunker");
    let trial = async || slack(&fake).trial(&parcel).await;
    let absent = trial().await.expect_err("there is no channel");
    assert!(absent.refused && absent.what.contains("does not exist yet; a recovery would make it"), "{absent}");
    let id = fake.channel("disaster-recovery-us-east-1", false);
    let outside = trial().await.expect_err("it is not in it");
    assert!(outside.refused && outside.what.contains("invite the app"), "{outside}");
    assert!(fake.called().iter().all(|method| method == "conversations.list"), "{:?}", fake.called());
    fake.state().channels[0].members.insert("U0BOT".into());
    let told = trial().await.expect("posted");
    assert!(told.starts_with(&format!("archives/{id}/p")), "{told}");
    {
        let state = fake.state();
        let [message] = &state.channels[0].messages[..] else { panic!("one message: {:?}", state.channels[0]) };
        let words = message.words();
        assert!(words.starts_with("[TEST] orders failover: this is a test, nothing has happened"), "{words}");
        assert!(words.contains("ana on bunker") && !words.contains("LIVE"), "{words}");
        assert!(state.channels[0].pins.is_empty() && state.channels[0].topic.is_empty());
    }
    fake.state().faults = vec![(Hit::Each("chat.postMessage"), Fault::Says("restricted_action"))];
    assert!(trial().await.expect_err("refused").refused);
    assert_eq!(fake.complaints(), Vec::<String>::new());
}

/// Two deliveries, as the loop makes them, the second with what the first remembered.
fn deliveries() -> [Vec<Parcel>; 2] {
    [vec![notice("notice-1", 1, "Begun"), update(1, 5)], vec![update(2, 20), details("details-1", 21)]]
}

const ALL: [&str; 4] = ["notice-1", "update-1", "update-2", "details-1"];

/// The controller dies while a call is under way, before or after Slack has done it;
/// the next one knows what was remembered after the last delivery that went through.
async fn cut_off_at_every_call(fault: Fault) {
    for nth in 1.. {
        let fake = start().await;
        fake.state().faults = vec![(Hit::Nth(nth), fault)];
        let (mut memory, mut cut) = (Memory::new(), false);
        for parcels in deliveries() {
            let (slack, mut remembered) = (slack(&fake), memory.clone());
            let died = tokio::select! {
                biased;
                () = fake.hangs() => true,
                brought = slack.deliver(&parcels, false, &mut remembered) => {
                    brought.expect("nothing but the cut goes wrong");
                    false
                }
            };
            if died {
                cut = true;
                remembered = memory.clone();
                let slack = self::slack(&fake);
                slack.deliver(&parcels, true, &mut remembered).await.expect("nothing more goes wrong");
                assert!(fake.state().calls.len() > nth, "the next controller called nobody");
            }
            memory = remembered;
        }
        // An invitation or a pin that was cut comes with the next delivery.
        fake.state().faults.clear();
        slack(&fake).deliver(&[update(3, 30)], false, &mut memory).await.expect("nothing more goes wrong");
        assert_furnished(&fake, &[&ALL[..], &["update-3"]].concat(), &format!("{fault:?} at call {nth}"));
        if !cut {
            assert!(nth > 15, "both deliveries take more than {nth} calls");
            return;
        }
    }
}

#[tokio::test]
async fn a_controller_that_dies_before_any_call_is_done_tells_everything_once() {
    cut_off_at_every_call(Fault::HangBefore).await;
}

#[tokio::test]
async fn a_controller_that_dies_after_any_call_is_done_tells_everything_once() {
    cut_off_at_every_call(Fault::HangAfter).await;
}

/// Any one call goes wrong, and the loop tries again as it is told.
async fn goes_wrong_at_every_call(fault: Fault) {
    for nth in 1.. {
        let fake = start().await;
        fake.state().faults = vec![(Hit::Nth(nth), fault)];
        let (slack, mut memory) = (slack(&fake), Memory::new());
        for parcels in deliveries() {
            until_brought(&slack, &parcels, false, &mut memory).await;
        }
        let hit = fake.state().calls.len() >= nth;
        // A pin or an invitation that went wrong comes with the next delivery.
        fake.state().faults.clear();
        slack.deliver(&[update(3, 30)], false, &mut memory).await.expect("nothing more goes wrong");
        assert_furnished(&fake, &[&ALL[..], &["update-3"]].concat(), &format!("{fault:?} at call {nth}"));
        if !hit {
            assert!(nth > 15, "both deliveries take more than {nth} calls");
            return;
        }
    }
}

#[tokio::test]
async fn a_connection_that_breaks_at_any_call_tells_everything_once() {
    goes_wrong_at_every_call(Fault::DropBefore).await;
    goes_wrong_at_every_call(Fault::DropAfter).await;
}

#[tokio::test]
async fn a_server_that_fails_at_any_call_tells_everything_once() {
    goes_wrong_at_every_call(Fault::Status(500)).await;
    goes_wrong_at_every_call(Fault::StatusAfter(502)).await;
    goes_wrong_at_every_call(Fault::Wait(Some(1))).await;
    goes_wrong_at_every_call(Fault::Says("internal_error")).await;
}

#[tokio::test]
async fn a_server_that_is_silent_at_any_call_tells_everything_once() {
    goes_wrong_at_every_call(Fault::HangAfter).await;
}

/// The table that requests are held against, beside Slack's own description.
#[test]
fn the_table_of_methods_says_what_slack_says() {
    let table: Value = serde_json::from_str(fake::METHODS).expect("JSON");
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/slack-spec/web-api.json");
    let given = std::env::var_os("DR_SLACK_SPEC").map(Into::into);
    let Some(spec) = given.into_iter().chain([beside]).find(|path: &std::path::PathBuf| path.is_file()) else {
        println!("not run: no Slack description under $DR_SLACK_SPEC or ../shared/slack-spec/web-api.json");
        return;
    };
    let spec: Value = serde_json::from_slice(&std::fs::read(spec).expect("readable")).expect("JSON");
    let table = table.as_object().expect("methods");
    assert!(table.len() > 10, "the table has {} methods", table.len());
    for (method, row) in table {
        let verbs = spec["paths"][format!("/{method}")].as_object().unwrap_or_else(|| panic!("no {method}"));
        let (verb, operation) = verbs.iter().next().expect("a verb");
        assert_eq!(row["verb"], verb.to_uppercase(), "{method}");
        for (which, required) in [("required", true), ("optional", false)] {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            // The token goes in a header.
            let parameters = parameters.filter(|it| it["name"] != "token");
            let parameters = parameters.filter(|it| it["required"].as_bool().unwrap_or(false) == required);
            let mut names: Vec<_> = parameters.map(|it| it["name"].clone()).collect();
            names.sort_by_key(ToString::to_string);
            assert_eq!(row[which], Value::from(names), "{method} {which}");
        }
    }
}
