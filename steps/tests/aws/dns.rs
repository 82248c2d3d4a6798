//! `dns.verify`, against the lab's name server and against some that err.

use crate::{
    drive::Drive,
    lab::{Estate, lab},
};
use dr_engine::{
    clock::{Clock, SystemClock},
    crash::{Edge, Place},
    duration::Dur,
    executor::Exit,
    plan::StepIx,
    run::State,
};
use hickory_proto::{
    op::{Message, OpCode, ResponseCode},
    rr::{RData, Record},
};
use serde_json::{Value, json};
use std::{
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

const KIND: &str = "dns.verify";

fn with(estate: &Estate, target: &str) -> Value {
    json!({
        "zone": estate.param("zone_id"), "name": estate.param("record"), "type": "CNAME",
        "values": [estate.param(target)],
    })
}

/// A drive that asks the lab's name server in place of those of the zone.
fn drive(estate: &Estate, with: &Value) -> Drive {
    let mut drive = Drive::new(estate, KIND, with);
    drive.nameservers = vec![estate.param("dns").parse().expect("an address")];
    drive
}

/// A name server that says what it is told to, question after question.
struct Server {
    at: SocketAddr,
    asked: Arc<AtomicUsize>,
}

#[derive(Clone, Copy)]
enum Says {
    Address(&'static str),
    /// An answer from a cache, or of a server that does not hold the zone.
    NotItsOwn(&'static str),
    Refuses,
    Nothing,
}

impl Server {
    /// It says one thing `times` times and another thing from then on.
    fn new(first: Says, times: usize, then: Says) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let at = socket.local_addr().expect("an address");
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let question = Message::from_vec(&buffer[..length]).expect("a question");
                assert!(!question.metadata.recursion_desired, "it is not asked to ask others");
                if let Some(answer) = answer(&question, if number < times { first } else { then }) {
                    socket.send_to(&answer.to_vec().expect("it can be written"), from).ok();
                }
            }
        });
        Self { at, asked }
    }

    fn always(says: Says) -> Self {
        Self::new(says, 0, says)
    }
}

fn answer(question: &Message, says: Says) -> Option<Message> {
    let mut answer = Message::response(question.metadata.id, OpCode::Query);
    answer.queries.clone_from(&question.queries);
    answer.metadata.authoritative = true;
    match says {
        Says::Nothing => return None,
        Says::Refuses => answer.metadata.response_code = ResponseCode::Refused,
        Says::Address(ip) | Says::NotItsOwn(ip) => {
            answer.metadata.authoritative = matches!(says, Says::Address(_));
            let data = RData::A(ip.parse().expect("an address"));
            answer.add_answer(Record::from_rdata(question.queries[0].name().clone(), 60, data));
        }
    }
    Some(answer)
}

fn by_servers(servers: &[&Server]) -> Value {
    let servers: Vec<_> = servers.iter().map(|server| server.at.to_string()).collect();
    json!({ "name": "app.example.com", "type": "A", "values": ["192.0.2.2"], "servers": servers })
}

const NEW: Says = Says::Address("192.0.2.2");
const OLD: Says = Says::Address("192.0.2.1");

#[tokio::test]
async fn the_servers_of_the_zone_are_asked_and_all_agree() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    for zone in [estate.param("zone_id"), estate.param("zone_name")] {
        let mut with = with(&estate, "primary_target");
        with["zone"] = zone.into();
        let ended = drive(&estate, &with).go(None).await;
        assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
        let output = &ended.run.step(StepIx(0)).output.values;
        assert_eq!((&output["servers"], &output["ttl"]), (&json!(4), &json!(60)));
    }
    assert_eq!(estate.writes(), []);
}

#[tokio::test]
async fn it_waits_until_a_change_has_arrived() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut waiting = drive(&estate, &with(&estate, "recovery_target"));
    let said = waiting.said.clone();
    let record = json!({ "name": estate.param("record"), "type": "CNAME", "ttl": 60,
        "values": [estate.param("recovery_target")] });
    let upsert = json!({ "zone": estate.param("zone_id"), "records": [record] });
    let mut change = Drive::new(&estate, "route53.upsert", &upsert);
    // The change begins once the old answer was seen.
    let seen = async {
        let clock: &dyn Clock = &SystemClock::new();
        while said.lock().expect("whole").is_empty() {
            clock.sleep(Dur(20)).await;
        }
        change.go(None).await
    };
    let (ended, _) = tokio::join!(waiting.go(None), seen);
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let first = said.lock().expect("whole").first().cloned().unwrap_or_default();
    assert!(first.starts_with("0 of 4 name servers agree on"), "{first}");
    assert!(first.contains(&format!("says {}", estate.param("primary_target"))), "{first}");
    let looks = estate.calls().iter().filter(|call| call["operation"] == "GetHostedZone").count();
    assert_eq!(looks, 1, "whom to ask is found out once");
}

#[tokio::test]
async fn one_server_that_lags_is_named_and_waited_for() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let (quick, slow) = (Server::always(NEW), Server::new(OLD, 3, NEW));
    let mut drive = Drive::new(&estate, KIND, &by_servers(&[&quick, &slow]));
    let ended = drive.go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let said = drive.said.lock().expect("whole").clone();
    let lags = format!("1 of 2 name servers agree on app.example.com A: {} says 192.0.2.1", slow.at);
    assert_eq!(said[0], lags);
    assert_eq!(slow.asked.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn what_a_server_does_not_know_itself_does_not_count() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let good = Server::always(NEW);
    for (says, text) in [
        (Says::NotItsOwn("192.0.2.2"), "does not answer for this zone"),
        (Says::Refuses, "refuses to answer: "),
        (Says::Nothing, "does not answer"),
    ] {
        let bad = Server::always(says);
        let mut drive = Drive::new(&estate, KIND, &by_servers(&[&good, &bad]));
        drive.step().timeout = Dur(2_000);
        let ended = drive.go(None).await;
        assert!(!matches!(ended.state(), State::Done), "{text}");
        let said = drive.said.lock().expect("whole").first().cloned().unwrap_or_default();
        assert!(said.contains(&format!("{} {text}", bad.at)), "{said}");
    }
}

#[tokio::test]
async fn without_route_53_itself_the_servers_that_are_named_are_enough() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    estate.region("global", "down");
    let mut with = with(&estate, "primary_target");
    let mut alone = drive(&estate, &with);
    alone.step().check_timeout = Dur(4_000);
    let ended = alone.go(None).await;
    assert!(matches!(ended.exit, Ok(Exit::Held)), "{:?}", ended.state());
    with["servers"] = json!([estate.param("dns"), "ns-1.lab.test"]);
    let ended = drive(&estate, &with).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
}

#[tokio::test]
async fn an_answer_that_does_not_fit_a_datagram_is_fetched_whole() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let name = format!("long.{}", estate.param("zone_name"));
    let values: Vec<_> = (0..6).map(|n| format!("\"{n}{}\"", "x".repeat(200))).collect();
    let record = json!({ "name": name, "type": "TXT", "ttl": 60, "values": values });
    let upsert = json!({ "zone": estate.param("zone_id"), "records": [record] });
    Drive::new(&estate, "route53.upsert", &upsert).go(None).await;
    let with = json!({ "zone": estate.param("zone_id"), "name": name, "type": "TXT", "values": values });
    let ended = drive(&estate, &with).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
}

#[tokio::test]
async fn what_can_never_be_answered_is_refused_and_nothing_can_be_wanted() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    for (field, value, says) in [
        ("type", json!("HINFO"), "records of type `HINFO` cannot be compared"),
        ("values", json!([""]), "`` is not a value of a record of type CNAME"),
        ("zone", json!("Z0NOTHING"), "route53 GetHostedZone in us-east-1: NoSuchHostedZone"),
        ("zone", json!("nothing.test"), "there is no public hosted zone `nothing.test`"),
        ("zone", Value::Null, "neither `zone` nor `servers` says whom to ask"),
    ] {
        let mut with = with(&estate, "primary_target");
        with[field] = value;
        if with[field].is_null() {
            with.as_object_mut().expect("fields").remove(field);
        }
        let failure = drive(&estate, &with).go(None).await.failure();
        assert!(failure.message.starts_with(says), "{failure:?}");
    }
    let mut none = with(&estate, "primary_target");
    none["name"] = format!("nothing.{}", estate.param("zone_name")).into();
    none["values"] = json!([]);
    let ended = drive(&estate, &none).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
}

#[tokio::test]
async fn a_crash_at_any_commit_only_means_to_look_again() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let lagging = || Server::new(Says::Address("192.0.2.1"), 2, NEW);
    let whole = Drive::new(&estate, KIND, &by_servers(&[&lagging()])).go(None).await;
    let (calls, commits) = whole.life.counts();
    assert_eq!(calls, 0);
    for number in 1..=commits {
        for edge in [Edge::Before, Edge::After] {
            let server = lagging();
            let mut drive = Drive::new(&estate, KIND, &by_servers(&[&server]));
            drive.go(Some((Place::Commit, number, edge))).await;
            let ended = drive.go(None).await;
            assert!(matches!(ended.state(), State::Done), "{number} {edge:?}: {:?}", ended.state());
        }
    }
    println!("{KIND}: {} kills over {commits} commits", 2 * commits);
}
