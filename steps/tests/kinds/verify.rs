//! `verify.http`, `verify.tcp`, `wait_until`: looking is all they do.

use crate::{
    server::{Reply, Server, ok},
    support::{Scene, done, failed, refused, step},
};
use dr_engine::{
    attempt::Ended,
    duration::Dur,
    step::{Check, Step},
};
use dr_steps::{
    verify::{VerifyHttp, VerifyTcp},
    wait_until::WaitUntil,
};
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A server that answers each request with the next of these, and then well.
async fn moody(statuses: &'static [u16]) -> Server {
    let turn = AtomicUsize::new(0);
    Server::start(move |_| match statuses.get(turn.fetch_add(1, Ordering::SeqCst)) {
        Some(0) => Reply::Gone,
        Some(status) => Reply::Say(*status, String::new()),
        None => ok("{}"),
    })
    .await
}

#[tokio::test]
async fn only_an_unbroken_row_of_good_answers_counts() {
    let server = moody(&[200, 503, 200, 200, 0]).await;
    let scene = Scene::new("row");
    let work = step::<VerifyHttp>(json!({ "url": server.url("/health"), "every": "10ms" }));
    let values = done(scene.bench.attempt(work, None).await);
    assert_eq!(
        (&values["healthy"], &values["status"], &values["address"]),
        (&json!(true), &json!(200), &json!(server.at.to_string()))
    );
    assert_eq!(server.asked().len(), 8);
    assert_eq!(scene.calls(), (0, 0));
    let heard: Vec<_> =
        scene.bench.heard().into_iter().map(|text| text.rsplit_once("; ").expect("a row").1.to_owned()).collect();
    let row = |n: u32| format!("{n} of 3 good in a row");
    assert_eq!(heard, [1, 0, 1, 2, 0, 1, 2, 3].map(row));
}

#[tokio::test]
async fn whoever_watches_is_told_how_far_the_row_is() {
    let server = moody(&[200, 200, 503, 200, 0, 200, 200, 200, 200]).await;
    let scene = Scene::new("watch");
    let cx = scene.bench.cx();
    let work = step::<VerifyHttp>(json!({ "url": server.url("/") }));
    let mut seen = String::new();
    for _ in 0..9 {
        seen.push(match work.watch(&cx.read).await {
            Ok(Check::Done(_)) => 'D',
            Ok(Check::InProgress) => 'g',
            Ok(Check::Absent) => '-',
            _ => '!',
        });
    }
    assert_eq!(seen, "gg-g-ggDD");
}

#[tokio::test]
async fn one_look_is_done_only_where_one_is_enough() {
    let server = moody(&[]).await;
    let scene = Scene::new("one");
    let cx = scene.bench.cx();
    let look =
        async |n: u32| step::<VerifyHttp>(json!({ "url": server.url("/"), "good_in_a_row": n })).check(&cx.read).await;
    assert!(matches!(look(1).await, Ok(Check::Done(_))));
    assert_eq!(look(3).await, Ok(Check::Absent));
    let work: VerifyHttp = serde_json::from_value(json!({ "url": server.url("/") })).expect("inputs");
    assert!(!work.changes());
}

#[tokio::test]
async fn a_slow_or_wrong_answer_is_no_good_one() {
    let server = Server::start(|asked| {
        if asked.line.contains("slow") { Reply::Silent } else { ok(r#"{"state": "\u001b[31mpending"}"#) }
    })
    .await;
    for (inputs, says) in [
        (
            json!({ "url": server.url("/"), "expect": { "json": { "/state": "ready" } } }),
            "`/state` is \"\\u001b[31mpending\", wanted \"ready\"",
        ),
        (json!({ "url": server.url("/"), "latency_max": "0s" }), "answered after"),
    ] {
        let scene = Scene::new("bad");
        let mut inputs = inputs;
        inputs["good_in_a_row"] = json!(1);
        // Loopback may answer within a millisecond: ask until it was slower than that.
        let work = step::<VerifyHttp>(inputs);
        let cx = scene.bench.cx();
        for _ in 0..1000 {
            if work.check(&cx.read).await == Ok(Check::Absent) {
                break;
            }
        }
        let heard = scene.bench.heard();
        assert!(heard.iter().any(|text| text.starts_with(says)), "{heard:?}");
    }
}

#[tokio::test]
async fn a_host_can_be_looked_at_before_its_name_moves() {
    let server = moody(&[]).await;
    let scene = Scene::new("resolve");
    let inputs = json!({ "url": "http://orders.example.com/", "every": "10ms", "resolve": { "orders.example.com": server.at.to_string() } });
    done(scene.bench.attempt(step::<VerifyHttp>(inputs), None).await);
    assert_eq!(server.asked()[0].header("host"), Some("orders.example.com"));
    let inputs = json!({ "url": "http://orders.example.com/", "resolve": { "orders.example.com": "169.254.169.254" } });
    let failure = failed(scene.bench.attempt(step::<VerifyHttp>(inputs), None).await);
    assert!(failure.message.ends_with("are never connected to"), "{failure:?}");
}

#[tokio::test]
async fn time_alone_ends_a_row_that_does_not_come() {
    let server = Server::start(|_| Reply::Say(503, String::new())).await;
    let mut scene = Scene::new("never");
    scene.bench.step.timeout = Dur(2_000);
    let ended = scene.bench.attempt(step::<VerifyHttp>(json!({ "url": server.url("/"), "every": "10ms" })), None).await;
    let Ended::TimedOut(Some(last)) = ended else { panic!("{ended:?}") };
    assert!(last.starts_with("status 503"), "what it saw last is told: {last}");
    assert!(server.asked().len() > 2);
}

#[tokio::test]
async fn a_port_is_waited_for() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    let address = format!("127.0.0.1:{port}");
    let scene = Scene::new("tcp");
    let work = step::<VerifyTcp>(json!({ "address": address, "every": "10ms" }));
    let (ended, _listener) = tokio::join!(scene.bench.attempt(work, None), async {
        scene.until("it was looked at", || !scene.bench.heard().is_empty()).await;
        tokio::net::TcpListener::bind(&address).await.expect("the port is still free")
    });
    assert_eq!(done(ended), json!({ "healthy": true, "address": address }));
    let failure = failed(scene.bench.attempt(step::<VerifyTcp>(json!({ "address": "2852039166:80" })), None).await);
    assert!(failure.message.ends_with("are never connected to"), "{failure:?}");
    assert!(refused::<VerifyTcp>(json!({ "address": "db" })).contains("`host:port`"));
}

#[tokio::test]
async fn a_wait_ends_when_its_probe_is_good() {
    let server = moody(&[503, 0]).await;
    let scene = Scene::new("wait");
    let work = step::<WaitUntil>(json!({ "probe": { "http": { "url": server.url("/") } }, "every": "10ms" }));
    done(scene.bench.attempt(work, None).await);
    assert_eq!(server.asked().len(), 3);
    let work = step::<WaitUntil>(json!({ "probe": { "tcp": { "address": server.at.to_string() } } }));
    done(scene.bench.attempt(work, None).await);
    let probe = json!({ "probe": { "command": { "argv": ["/bin/sh", "-c", "echo no >&2; echo x >> looks; test $(wc -l < looks) -gt 2"] } }, "every": "10ms" });
    done(scene.bench.attempt(step::<WaitUntil>(probe), None).await);
    assert!(scene.bench.heard().contains(&"exit code 1: no".to_owned()));
    assert_eq!(scene.calls(), (0, 0));
    let probe = json!({ "probe": { "command": { "argv": ["./gone"] } } });
    failed(scene.bench.attempt(step::<WaitUntil>(probe), None).await);
}
