//! A Slack on this machine, as strict as Slack's own description, that fails as told.
//!
//! Each request is held against `methods.json`: its verb, the names that it
//! must and may have. Blocks are held against Slack's limits. What is not as it
//! should be is answered as Slack would, and kept for [`Fake::complaints`].

mod workspace;

pub(crate) use workspace::{Call, Message, State};

use dr_engine::clock::Time;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, body::Incoming, header::HeaderMap, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Map, json};
use std::{
    future::pending,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};
use tokio::{net::TcpListener, sync::Notify, task::JoinHandle, task::JoinSet};

/// The methods that are used: a compact form of Slack's description.
pub(crate) const METHODS: &str = include_str!("methods.json");
/// The token that is good.
pub(crate) const TOKEN: &str = "xoxb-canary-5d41402abc4b2a76";
/// The id of the app's bot.
const BOT: &str = "U0BOT";

/// What happens to a call instead of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// 429, to be tried after so many seconds, if it says so.
    Wait(Option<u32>),
    /// This status, and nothing done.
    Status(u16),
    /// This status, though it was done.
    StatusAfter(u16),
    /// `ok: false` with this word, and nothing done.
    Says(&'static str),
    /// This scope is missing.
    Scope(&'static str),
    /// The connection ends; nothing was done.
    DropBefore,
    /// The connection ends, though it was done.
    DropAfter,
    /// No answer, and nothing done.
    HangBefore,
    /// No answer, though it was done.
    HangAfter,
}

/// Which calls a fault hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hit {
    /// The n-th of all, from 1.
    Nth(usize),
    /// The n-th of a method, from 1.
    Of(&'static str, usize),
    /// Each of a method.
    Each(&'static str),
}

/// A running one. It ends with its owner.
pub(crate) struct Fake {
    state: Arc<Mutex<State>>,
    reached: Arc<Notify>,
    address: SocketAddr,
    server: JoinHandle<()>,
    born: std::time::Instant,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Fake {
    /// With no channel yet, at this time of Slack's own clock.
    pub(crate) async fn start(now: Time) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (state, reached) = (Arc::new(Mutex::new(State::new(now))), Arc::new(Notify::new()));
        #[expect(clippy::disallowed_methods, reason = "how far apart requests really came is what is measured")]
        let born = std::time::Instant::now();
        let server = tokio::spawn(serve(listener, state.clone(), reached.clone(), born));
        Self { state, reached, address, server, born }
    }

    /// Its address, as settings name it.
    pub(crate) fn api(&self) -> String {
        format!("http://{}/api", self.address)
    }

    /// Nobody listens any more.
    pub(crate) async fn go_down(&mut self) {
        self.server.abort();
        let _ended = (&mut self.server).await;
    }

    /// Somebody listens again.
    pub(crate) async fn come_back(&mut self) {
        let listener = TcpListener::bind(self.address).await.expect("its own port");
        self.server = tokio::spawn(serve(listener, self.state.clone(), self.reached.clone(), self.born));
    }

    /// Returns when a call hangs.
    pub(crate) async fn hangs(&self) {
        self.reached.notified().await;
    }

    /// Its state, to look at or to change.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics holding it")
    }

    /// Makes a channel; the app is in it or not.
    pub(crate) fn channel(&self, name: &str, joined: bool) -> String {
        self.state().make(name, joined)
    }

    /// What requests had wrong.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.state().complaints.clone()
    }

    /// The methods called, in order.
    pub(crate) fn called(&self) -> Vec<String> {
        self.state().calls.iter().map(|call| call.method.clone()).collect()
    }
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>, reached: Arc<Notify>, born: std::time::Instant) {
    // They end with this task.
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let (state, reached) = (state.clone(), reached.clone());
        let service = service_fn(move |request| answer(request, state.clone(), reached.clone(), born));
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(
    request: Request<Incoming>,
    state: Arc<Mutex<State>>,
    reached: Arc<Notify>,
    born: std::time::Instant,
) -> io::Result<Response<Full<hyper::body::Bytes>>> {
    let (head, body) = request.into_parts();
    let method = head.uri.path().trim_start_matches("/api/").to_owned();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let asked = match head.method {
        Method::POST => serde_json::from_slice(&body).unwrap_or_default(),
        _ => url::form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes())
            .map(|(name, value)| (name.into_owned(), json!(value)))
            .collect::<Map<_, _>>(),
    };
    let (fault, scopes, said) = {
        let mut state = state.lock().expect("no handler panics");
        state.calls.push(Call { method: method.clone(), asked: asked.clone(), at: born.elapsed() });
        let fault = state.fault();
        let judged = authorised(&head.headers).and_then(|()| state.judge(&method, &head.method, &asked));
        let undone = match fault {
            Some(Fault::Says(code)) => Some(json!({ "ok": false, "error": code })),
            Some(Fault::Scope(scope)) => Some(json!({ "ok": false, "error": "missing_scope", "needed": scope })),
            Some(Fault::Wait(_) | Fault::Status(_) | Fault::DropBefore | Fault::HangBefore) => {
                Some(json!({ "ok": false, "error": "ratelimited" }))
            }
            Some(Fault::StatusAfter(_) | Fault::DropAfter | Fault::HangAfter) | None => None,
        };
        let said = undone.unwrap_or_else(|| match judged.and_then(|()| state.act(&method, &asked)) {
            Ok(mut done) => {
                done["ok"] = json!(true);
                done
            }
            Err(code) => json!({ "ok": false, "error": code }),
        });
        (fault, state.scopes, said)
    };
    let mut response = Response::builder().header("content-type", "application/json; charset=utf-8");
    if let Some(scopes) = scopes.filter(|_| method == "auth.test") {
        response = response.header("x-oauth-scopes", scopes);
    }
    match fault {
        Some(Fault::DropBefore | Fault::DropAfter) => return Err(io::Error::other("as told")),
        Some(Fault::HangBefore | Fault::HangAfter) => {
            reached.notify_one();
            pending::<()>().await;
        }
        Some(Fault::Wait(seconds)) => {
            response = response.status(429);
            if let Some(seconds) = seconds {
                response = response.header("retry-after", seconds);
            }
        }
        Some(Fault::Status(status) | Fault::StatusAfter(status)) => response = response.status(status),
        Some(Fault::Says(_) | Fault::Scope(_)) | None => {}
    }
    response.body(Full::from(said.to_string())).map_err(io::Error::other)
}

fn authorised(headers: &HeaderMap) -> Result<(), &'static str> {
    let given = headers.get("authorization").and_then(|it| it.to_str().ok());
    match given.and_then(|it| it.strip_prefix("Bearer ")) {
        Some(TOKEN) => Ok(()),
        Some(_) => Err("invalid_auth"),
        None => Err("not_authed"),
    }
}
