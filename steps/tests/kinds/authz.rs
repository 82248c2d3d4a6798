//! `verify.authz`: a refusal counts, silence does not, and who may not is never let in unseen.

use crate::{
    server::{Asked, Reply, Server, ok},
    support::{Scene, done, failed, refused, step},
};
use dr_engine::step::Check;
use dr_steps::verify_authz::VerifyAuthz;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};

const MAY: &str = "Bearer may-may-may";
const MAY_NOT: &str = "Bearer not-not-not";

/// A scene with the tokens of two identities, and a request of each.
fn scene(server: &Server) -> (Scene, Value) {
    let scene = Scene::new("authz");
    std::fs::write(scene.book("may"), MAY).expect("a token");
    std::fs::write(scene.book("may-not"), MAY_NOT).expect("a token");
    let who = |file: &str| json!({ "headers": { "authorization": { "secret": format!("file:{file}") } } });
    let with = json!({
        "url": server.url("/orders/7"), "every": "10ms", "good_in_a_row": 1, "allowed": who("may"), "forbidden": who("may-not"),
    });
    (scene, with)
}

fn is(asked: &Asked, who: &str) -> bool {
    asked.header("authorization") == Some(who)
}

fn say(status: u16) -> Reply {
    if status == 0 { Reply::Gone } else { Reply::Say(status, r#"{"id": 7}"#.into()) }
}

/// What one look tells where the two are answered so.
async fn told(may: u16, may_not: u16, expect: Value) -> String {
    let server = Server::start(move |asked| say(if is(asked, MAY) { may } else { may_not })).await;
    let (scene, mut with) = scene(&server);
    with["forbidden"]["expect"] = expect;
    let cx = scene.bench.cx();
    let work = step::<VerifyAuthz>(with);
    assert!(!work.changes());
    let told = match work.check(&cx.read).await {
        Ok(Check::Done(output)) => Value::Object(output.values).to_string(),
        Ok(Check::Absent) => format!("not yet: {}", scene.bench.heard().pop().expect("it says why")),
        Ok(other) => panic!("{other:?}"),
        Err(failure) => format!("never, passing {}: {}", failure.transient, failure.message),
    };
    let asked = server.asked();
    assert!(asked.len() == 2 && is(&asked[0], MAY) && is(&asked[1], MAY_NOT), "both, and each as it is: {asked:?}");
    assert_eq!(scene.calls(), (0, 0), "a look asks no leave");
    told
}

#[tokio::test]
async fn only_a_refusal_is_one() {
    let wanted = "wanted 401 or 403";
    for (may, may_not, tells) in [
        (200, 403, r#"{"healthy":true,"allowed_status":200,"forbidden_status":403}"#.to_owned()),
        (204, 401, r#"{"healthy":true,"allowed_status":204,"forbidden_status":401}"#.to_owned()),
        (200, 404, format!("not yet: the forbidden request: status 404, {wanted}")),
        (200, 302, format!("not yet: the forbidden request: status 302, {wanted}")),
        (200, 429, format!("not yet: the forbidden request: status 429, {wanted}")),
        (200, 500, format!("not yet: the forbidden request: status 500, {wanted}")),
        (200, 503, format!("not yet: the forbidden request: status 503, {wanted}")),
        // Nobody is let in: a refusal of everybody is none of one.
        (403, 403, "not yet: the allowed request: status 403, wanted 200 to 299".to_owned()),
        (
            500,
            404,
            format!(
                "not yet: the allowed request: status 500, wanted 200 to 299; the forbidden request: status 404, {wanted}"
            ),
        ),
    ] {
        assert_eq!(told(may, may_not, json!({})).await, tells, "{may} {may_not}");
    }
    // No answer is no refusal.
    let gone = told(200, 0, json!({})).await;
    assert!(gone.starts_with("not yet: the forbidden request: ") && !gone.contains("status"), "{gone}");
    let gone = told(0, 403, json!({})).await;
    assert!(gone.starts_with("not yet: the allowed request: ") && !gone.contains("forbidden"), "{gone}");
}

#[tokio::test]
async fn who_may_not_and_is_let_in_is_red_at_once_whatever_else_is_wrong() {
    for (may, may_not) in [(200, 200), (200, 204), (503, 200), (403, 200), (0, 206)] {
        let told = told(may, may_not, json!({})).await;
        assert!(told.starts_with("never, passing false: WHO IS FORBIDDEN WAS LET IN: http://127.0.0.1:"), "{told}");
        assert!(told.ends_with(&format!("/orders/7 answered with status {may_not}")), "{told}");
    }
    // In the middle of a row that looks good, too.
    let looks = AtomicUsize::new(0);
    let server = Server::start(move |asked| {
        if is(asked, MAY) {
            return ok("{}");
        }
        say(if looks.fetch_add(1, Ordering::SeqCst) == 2 { 200 } else { 403 })
    })
    .await;
    let (scene, mut with) = scene(&server);
    with["good_in_a_row"] = json!(4);
    let failure = failed(scene.bench.attempt(step::<VerifyAuthz>(with), None).await);
    assert!(failure.message.starts_with("WHO IS FORBIDDEN WAS LET IN") && !failure.transient, "{failure:?}");
    assert!(failure.hint.is_some_and(|hint| hint.starts_with("send nobody here")));
    assert_eq!(server.asked().len(), 6, "three looks, and none after it");
}

#[tokio::test]
async fn an_authorizer_that_comes_up_is_waited_for() {
    let looks = AtomicUsize::new(0);
    let server = Server::start(move |asked| match (is(asked, MAY), looks.fetch_add(1, Ordering::SeqCst)) {
        (_, 0..4) => say(503),
        (true, _) => ok("{}"),
        (false, _) => say(403),
    })
    .await;
    let (scene, mut with) = scene(&server);
    with["good_in_a_row"] = json!(2);
    let values = done(scene.bench.attempt(step::<VerifyAuthz>(with.clone()), None).await);
    assert_eq!(values, json!({ "healthy": true, "allowed_status": 200, "forbidden_status": 403 }));
    assert_eq!(server.asked().len(), 8);
    // Whoever watches is told how far the row is.
    let work = step::<VerifyAuthz>(with);
    let cx = scene.bench.cx();
    assert_eq!(work.watch(&cx.read).await, Ok(Check::InProgress));
    assert!(matches!(work.watch(&cx.read).await, Ok(Check::Done(_))));
}

#[tokio::test]
async fn a_refusal_may_look_otherwise_where_the_runbook_says_so() {
    let hidden = told(200, 404, json!({ "status": [404] })).await;
    assert_eq!(hidden, r#"{"healthy":true,"allowed_status":200,"forbidden_status":404}"#);
    let words = json!({ "status": [200], "json": { "/id": 7 } });
    assert!(told(200, 200, words).await.starts_with(r#"{"healthy":true"#));
    let others = json!({ "status": [200], "json": { "/errors/0": "FORBIDDEN" } });
    assert!(told(200, 200, others).await.starts_with("never, passing false: WHO IS FORBIDDEN WAS LET IN"));
}

#[tokio::test]
async fn two_requests_that_are_one_prove_nothing() {
    let server = Server::start(|asked| say(if asked.line.contains("/orders/8") { 403 } else { 200 })).await;
    let (scene, mut with) = scene(&server);
    with["forbidden"] = with["allowed"].clone();
    let failure = failed(scene.bench.attempt(step::<VerifyAuthz>(with.clone()), None).await);
    assert_eq!(failure.message, "`allowed` and `forbidden` are the same request: nothing would be proven");
    assert_eq!(server.asked(), [], "nobody is asked");
    // One identity, and what is somebody else's.
    with["forbidden"]["url"] = json!(server.url("/orders/8"));
    done(scene.bench.attempt(step::<VerifyAuthz>(with.clone()), None).await);
    // Nobody's request, beside somebody's.
    with["forbidden"] = json!({ "url": server.url("/orders/8") });
    with["headers"] = json!({ "accept": "application/json" });
    done(scene.bench.attempt(step::<VerifyAuthz>(with), None).await);
    let last = server.asked().pop().expect("it was asked");
    assert_eq!((last.header("authorization"), last.header("accept")), (None, Some("application/json")));
}

#[tokio::test]
async fn what_a_server_repeats_of_a_secret_is_not_said_on() {
    let server =
        Server::start(|asked| if is(asked, MAY) { ok(&json!({ "token": MAY }).to_string()) } else { say(403) }).await;
    let (scene, mut with) = scene(&server);
    with["allowed"]["expect"] = json!({ "json": { "/token": "x" } });
    let cx = scene.bench.cx();
    assert_eq!(step::<VerifyAuthz>(with).check(&cx.read).await, Ok(Check::Absent));
    assert_eq!(scene.bench.heard(), ["the allowed request: `/token` is \"[secret]\", wanted \"x\""]);
}

#[test]
fn what_lets_everybody_in_is_a_mistake_of_the_runbook() {
    let with = |forbidden: Value| {
        let allowed = json!({ "headers": { "authorization": { "secret": "env:DR_MAY" } } });
        json!({ "url": "https://api.example.com/x", "allowed": allowed, "forbidden": forbidden })
    };
    let mistakes = |forbidden| step::<VerifyAuthz>(with(forbidden)).mistakes();
    assert_eq!(mistakes(json!({})), []);
    assert_eq!(mistakes(json!({ "expect": { "status": [200], "json": { "/error": "forbidden" } } })), []);
    let told = mistakes(json!({ "expect": { "status": [403, 200] } }));
    assert_eq!((told[0].field, told[0].message.as_str()), ("forbidden", "status 200 is an answer for who is let in"));
    assert!(refused::<VerifyAuthz>(json!({ "url": "https://x/" })).contains("missing field `allowed`"));
    assert!(refused::<VerifyAuthz>(with(json!({ "method": "POST" }))).contains("unknown field `method`"));
}
