//! `http`, against a real server on loopback.

use crate::{
    server::{Reply, Server, name_server, name_server_of_much, ok},
    support::{Scene, done, doubted, failed, obeys, refused, step},
};
use dr_engine::{attempt::Ended, duration::Dur, event::Doubt, outcome::Output, step::Check};
use dr_steps::http::Http;
use serde_json::json;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

#[tokio::test]
async fn a_request_with_a_check_obeys_the_contract() {
    let there = Arc::new(AtomicBool::new(false));
    let state = there.clone();
    let server = Server::start(move |asked| {
        if asked.line.starts_with("PUT") {
            state.store(true, Ordering::SeqCst);
        }
        if state.load(Ordering::SeqCst) { ok(r#"{"state":"ready"}"#) } else { Reply::Say(404, String::new()) }
    })
    .await;
    let scene = Scene::new("put");
    let inputs = json!({ "method": "PUT", "url": server.url("/x"), "check": { "url": server.url("/x"), "expect": { "json": { "/state": "ready" } } } });
    obeys(&scene, || step::<Http>(inputs.clone()), || there.load(Ordering::SeqCst)).await;
    assert_eq!(server.lines().iter().filter(|line| line.starts_with("PUT")).count(), 1);
}

#[tokio::test]
async fn a_request_says_what_it_was_told_and_whose_it_is() {
    let server = Server::start(|_| Reply::Say(201, r#"{"id": 7}"#.into())).await;
    let scene = Scene::new("restore[eu]");
    let inputs = json!({
        "method": "POST", "url": server.url("/a?b=c"), "headers": { "X-A": "é", "X-N": 6, "accept": "" },
        "body": { "json": { "n": [1, { "x": null }], "t": "a\"b" } }, "outputs": { "id": { "json": "/id" } },
    });
    assert_eq!(done(scene.bench.attempt(step::<Http>(inputs.clone()), None).await), json!({ "id": 7 }));
    let asked = server.asked().remove(0);
    assert_eq!(
        (asked.line.as_str(), asked.body.as_str()),
        ("POST /a?b=c HTTP/1.1", r#"{"n":[1,{"x":null}],"t":"a\"b"}"#)
    );
    let key = format!("{}/restore[eu]", scene.bench.run.id);
    for (name, value) in [
        ("idempotency-key", key.as_str()),
        ("content-type", "application/json"),
        ("x-n", "6"),
        ("x-a", "é"),
        ("host", &server.at.to_string()),
    ] {
        assert_eq!(asked.header(name), Some(value), "{name}");
    }
    assert_eq!(asked.header("accept"), None);
    assert_eq!(scene.calls(), (1, 1));
    for (headers, sent) in
        [(json!({ "Idempotency-Key": "mine" }), Some("mine")), (json!({ "idempotency-key": "" }), None)]
    {
        let mut inputs = inputs.clone();
        inputs["headers"] = headers;
        done(scene.bench.attempt(step::<Http>(inputs), None).await);
        assert_eq!(server.asked().last().and_then(|asked| asked.header("idempotency-key")), sent);
    }
    done(scene.bench.attempt(step::<Http>(json!({ "url": server.url("/") })), None).await);
    assert_eq!(server.asked().last().and_then(|asked| asked.header("idempotency-key")), None, "a read needs none");
    assert_eq!(scene.calls(), (3, 3), "and asks no leave");
}

#[tokio::test]
async fn what_an_answer_means_depends_on_what_was_asked() {
    // F fails for good, T may be tried again, D is a doubt.
    for (reply, expect, post, get) in [
        ("500", json!({}), 'D', 'T'),
        ("503", json!({}), 'D', 'T'),
        ("429", json!({}), 'T', 'T'),
        ("400", json!({}), 'F', 'F'),
        ("404", json!({}), 'F', 'F'),
        ("408", json!({}), 'D', 'T'),
        ("303", json!({}), 'D', 'F'),
        ("307", json!({}), 'F', 'F'),
        ("200", json!({ "status": [202] }), 'D', 'T'),
        ("200", json!({ "json": { "/state": "ready" } }), 'D', 'T'),
        ("gone", json!({}), 'D', 'T'),
        ("garbage", json!({}), 'D', 'T'),
        ("half", json!({}), 'D', 'T'),
        ("404", json!({ "status": [404] }), '.', '.'),
        ("200", json!({ "json": { "/n": 1.0 } }), '.', '.'),
        ("200", json!({ "text": "\"state\": \"ready\"" }), 'D', 'T'),
        ("200", json!({ "text": "\"state\": \"pending\"" }), '.', '.'),
        ("200", json!({ "headers": { "x-origin": "eu-central-1" } }), 'D', 'T'),
        ("200", json!({ "headers": { "Location": "/elsewhere" } }), 'D', 'T'),
        ("200", json!({ "headers": { "Location": "/other", "content-length": 28 }, "text": "pending" }), '.', '.'),
    ] {
        let server = Server::start(move |_| match reply {
            "gone" => Reply::Gone,
            "garbage" => Reply::Raw("\u{1b}[2Jnot http\r\n\r\n".into()),
            "half" => Reply::Raw("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".into()),
            status => Reply::Say(status.parse().expect("a status"), r#"{"n": 1, "state": "pending"}"#.into()),
        })
        .await;
        for (method, wanted) in [("POST", post), ("DELETE", post), ("GET", get)] {
            let scene = Scene::new("table");
            let inputs = json!({ "method": method, "url": server.url("/"), "expect": expect });
            let ended = scene.bench.attempt(step::<Http>(inputs), None).await;
            let got = match &ended {
                Ended::Done { .. } => '.',
                Ended::Error(dr_engine::step::StepError::Doubt(_)) => 'D',
                Ended::Error(dr_engine::step::StepError::Failed(failure)) if failure.transient => 'T',
                Ended::Error(dr_engine::step::StepError::Failed(_)) => 'F',
                _ => '?',
            };
            assert_eq!(got, wanted, "{method} {reply}: {ended:?}");
            assert!(!format!("{ended:?}").contains('\u{1b}'));
        }
        assert_eq!(server.asked().len(), 3, "no redirect is followed, nothing is sent twice");
    }
}

#[tokio::test]
async fn what_was_not_sent_had_no_effect() {
    let scene = Scene::new("unsent");
    // A port that was just free: nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    let inputs = json!({ "method": "POST", "url": format!("http://127.0.0.1:{port}/") });
    let failure = failed(scene.bench.attempt(step::<Http>(inputs), None).await);
    assert!(failure.transient && failure.message.contains("Connection refused"), "{failure:?}");
    assert_eq!(scene.calls(), (0, 0));
}

#[tokio::test]
async fn a_lost_answer_is_a_doubt_that_a_person_or_a_check_ends() {
    let server = Server::start(|_| Reply::Silent).await;
    let mut scene = Scene::new("silent");
    // Long enough for a busy machine to have sent the request by then.
    scene.bench.step.timeout = Dur(3_000);
    let work = || step::<Http>(json!({ "method": "POST", "url": server.url("/") }));
    let ended = scene.bench.attempt(work(), None).await;
    let why = doubted(ended).message;
    assert!(why.starts_with("the request was sent and its answer was lost: no answer within "), "{why}");
    let ended = scene.bench.attempt(work(), Some(Doubt::NoAnswer)).await;
    assert_eq!(ended, Ended::Unknown("the request was sent before and nobody heard its answer".into()));
    assert_eq!((server.asked().len(), scene.calls()), (1, (1, 1)));
}

#[tokio::test]
async fn a_check_tells_done_from_absent_from_no_answer() {
    for (reply, seen) in [
        (200, Some(Check::Done(Output::default()))),
        (404, Some(Check::Absent)),
        (204, Some(Check::Absent)),
        (401, Some(Check::Unknown("the check got status 401, wanted 200".into()))),
        (302, Some(Check::Unknown("the check got status 302, wanted 200".into()))),
        (429, None),
        (503, None),
        (0, None),
    ] {
        let server =
            Server::start(move |_| if reply == 0 { Reply::Gone } else { Reply::Say(reply, "{}".into()) }).await;
        let scene = Scene::new("check");
        let inputs = json!({ "method": "POST", "url": server.url("/make"), "check": { "url": server.url("/look"), "expect": { "status": [200] } } });
        match (step::<Http>(inputs).check(&scene.bench.cx().read).await, seen) {
            (Ok(got), Some(wanted)) => assert_eq!(got, wanted, "{reply}"),
            (Err(failure), None) => assert!(failure.transient, "{reply}"),
            (got, wanted) => panic!("{reply}: {got:?}, wanted {wanted:?}"),
        }
        assert_eq!(server.lines(), ["GET /look HTTP/1.1"], "a look changes nothing");
    }
}

#[tokio::test]
async fn a_controller_that_may_not_act_sends_nothing_that_changes_something() {
    let server = Server::start(|_| ok("")).await;
    let scene = Scene::new("dry");
    scene.bench.calls.refuse.store(true, Ordering::SeqCst);
    let ended = scene.bench.attempt(step::<Http>(json!({ "method": "DELETE", "url": server.url("/") })), None).await;
    assert_eq!((failed(ended).message.as_str(), server.asked().len()), ("this controller may not act", 0));
    done(scene.bench.attempt(step::<Http>(json!({ "url": server.url("/") })), None).await);
}

#[tokio::test]
async fn a_secret_goes_to_its_server_and_nowhere_else() {
    let other = Server::start(|_| ok("{}")).await;
    let server = Server::start(|asked| {
        Reply::Say(200, format!(r#"{{"echo": "{}"}}"#, asked.header("authorization").unwrap_or("")))
    })
    .await;
    let scene = Scene::new("secret");
    std::fs::write(scene.book("token"), "canary-9c\n").expect("a file");
    let inputs = json!({
        "method": "POST", "url": server.url("/"), "headers": { "Authorization": { "secret": "file:token" } },
        "outputs": { "echo": { "json": "/echo" } }, "check": { "url": other.url("/"), "expect": { "json": { "/x": 1 } } },
    });
    assert_eq!(done(scene.bench.attempt(step::<Http>(inputs.clone()), None).await), json!({ "echo": "[secret]" }));
    assert_eq!(server.asked()[0].header("authorization"), Some("canary-9c"));
    assert_eq!(other.asked()[0].header("authorization"), None);
    let mut inputs = inputs;
    inputs["expect"] = json!({ "json": { "/echo": "nothing" } });
    let failure = doubted(scene.bench.attempt(step::<Http>(inputs), None).await);
    assert_eq!(failure.message, r#"`/echo` is "[secret]", wanted "nothing""#);
}

#[tokio::test]
async fn an_answer_without_an_end_is_not_read_for_ever() {
    let server = Server::start(|_| ok(&"x".repeat(3_000_000))).await;
    let scene = Scene::new("long");
    done(scene.bench.attempt(step::<Http>(json!({ "url": server.url("/") })), None).await);
    let inputs = json!({ "url": server.url("/"), "expect": { "json": { "/a": 1 } } });
    assert_eq!(
        failed(scene.bench.attempt(step::<Http>(inputs), None).await).message,
        "its answer is too long to be read"
    );
}

#[tokio::test]
async fn a_clouds_metadata_are_never_asked_for() {
    for url in [
        "http://169.254.169.254/latest/",
        "http://[fe80::1]/",
        "http://[fd00:ec2::254]/",
        "http://2852039166/",
        "http://0xa9fea9fe/",
        "http://[::ffff:169.254.169.254]/",
    ] {
        let scene = Scene::new("ssrf");
        let failure = failed(scene.bench.attempt(step::<Http>(json!({ "url": url })), None).await);
        assert!(failure.message.ends_with("are never connected to") && !failure.transient, "{url}: {failure:?}");
    }
    let metadata = "169.254.169.254".parse().expect("an address");
    let loopback = "127.0.0.1".parse().expect("an address");
    let server = Server::start(|_| ok("")).await;
    for (answers, good) in [
        (vec![vec![metadata]], false),
        (vec![vec![loopback, metadata]], false),
        (vec![vec![loopback], vec![metadata]], true),
    ] {
        // The last one changes its mind after the first answer: it is not asked again.
        let (at, asked) = name_server(answers).await;
        let scene = Scene::with("rebind", |world| world.nameservers = vec![at]);
        let url = format!("http://evil.example:{}/", server.at.port());
        let ended = scene.bench.attempt(step::<Http>(json!({ "url": url })), None).await;
        assert_eq!(matches!(ended, Ended::Done { .. }), good, "{ended:?}");
        let mut asked = asked.lock().expect("no panic").clone();
        asked.sort();
        assert_eq!(asked, ["A evil.example.", "AAAA evil.example."]);
    }
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn names_are_resolved_where_the_settings_say() {
    let server = Server::start(|_| ok("")).await;
    let (nobody, _) = name_server(vec![vec![]]).await;
    let (at, _) = name_server(vec![vec!["127.0.0.1".parse().expect("an address")]]).await;
    let url = |host: &str| json!({ "url": format!("http://{host}:{}/", server.at.port()) });
    let scene = Scene::with("dns", |world| world.nameservers = vec![at]);
    done(scene.bench.attempt(step::<Http>(url("orders.internal")), None).await);
    assert_eq!(server.asked()[0].header("host"), Some(format!("orders.internal:{}", server.at.port()).as_str()));
    done(scene.bench.attempt(step::<Http>(url("localhost")), None).await);
    let scene = Scene::with("dns", |world| world.nameservers = vec![nobody]);
    let failure = failed(scene.bench.attempt(step::<Http>(url("orders.internal")), None).await);
    assert_eq!(failure.message, "`orders.internal` cannot be resolved: there is no such name");
}

#[tokio::test]
async fn an_answer_that_a_datagram_cannot_hold_is_fetched_whole() {
    let server = Server::start(|_| ok("")).await;
    // The part that fits leads to the service of metadata, which is never called.
    let part = "169.254.169.254".parse().expect("an address");
    let at = name_server_of_much(part, "127.0.0.1".parse().expect("an address")).await;
    let scene = Scene::with("much", |world| world.nameservers = vec![at]);
    let url = json!({ "url": format!("http://orders.internal:{}/", server.at.port()) });
    done(scene.bench.attempt(step::<Http>(url), None).await);
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_stranger_on_the_tls_port_is_not_trusted() {
    let server = Server::start(|_| ok("")).await;
    let scene = Scene::new("tls");
    let inputs = json!({ "method": "POST", "url": format!("https://{}/", server.at) });
    let failure = failed(scene.bench.attempt(step::<Http>(inputs), None).await);
    assert!(failure.message.contains("TLS") || failure.message.contains("certificates"), "{failure:?}");
    assert_eq!((server.asked().len(), scene.calls()), (0, (0, 0)));
}

#[test]
fn mistakes_are_found_when_a_runbook_is_read() {
    for (inputs, why) in [
        (json!({ "url": "ftp://x/" }), "`ftp:` is not `http:` or `https:`"),
        (
            json!({ "url": "https://me:hunter2@x/" }),
            "a URL holds no password: set the header `authorization` from a secret",
        ),
        (json!({ "url": "x" }), "this is not a URL: it begins with `https://` or `http://`"),
        (json!({ "url": "http://x", "method": "post" }), "unknown variant `post`"),
        (json!({ "url": "http://x", "timeout": "3s" }), "unknown field `timeout`"),
        (json!({ "url": "http://x", "expect": { "json": { "state": 1 } } }), "`state` is not a JSON pointer"),
        (json!({ "url": "http://x", "body": { "xml": "" } }), "unknown variant `xml`"),
    ] {
        let error = refused::<Http>(inputs);
        assert!(error.starts_with(why), "{error}");
    }
}

#[tokio::test]
async fn a_header_cannot_smuggle_a_second_request() {
    let server = Server::start(|_| ok("")).await;
    for headers in [
        json!({ "x": "a\r\nevil: 1" }),
        json!({ "a b": "x" }),
        json!({ "Content-Length": "0" }),
        json!({ "transfer-encoding": "chunked" }),
    ] {
        let scene = Scene::new("smuggle");
        failed(scene.bench.attempt(step::<Http>(json!({ "url": server.url("/"), "headers": headers })), None).await);
    }
    assert_eq!(server.asked().len(), 0);
}
