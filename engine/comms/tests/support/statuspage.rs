//! A Statuspage on this machine, as strict as its own description, that fails as told.
//!
//! It needs nothing but threads, so that the tests of every crate can use it.
//! What a request has wrong is answered as Statuspage would, and kept for
//! [`Fake::complaints`].

#![allow(dead_code, unreachable_pub, reason = "each crate's tests use a part of it")]

use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

/// The token that is good.
pub const TOKEN: &str = "canary-statuspage-0f6a2d";
/// The page that there is.
pub const PAGE: &str = "kctbh9vrtdwd";
/// Its components: id, name.
pub const COMPONENTS: [(&str, &str); 3] = [("c1web", "Website"), ("c2pay", "Payments"), ("c3api", "API")];
/// Fields of an incident that are used, of those that Statuspage takes.
const FIELDS: [&str; 8] =
    ["name", "status", "body", "impact_override", "component_ids", "components", "deliver_notifications", "metadata"];
const STATUSES: [&str; 4] = ["investigating", "identified", "monitoring", "resolved"];
const IMPACTS: [&str; 4] = ["none", "minor", "major", "critical"];
const HEALTH: [&str; 5] =
    ["operational", "degraded_performance", "partial_outage", "major_outage", "under_maintenance"];

/// What happens to a request instead of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// 420 or 429, to be tried after so many seconds, if it says so.
    Wait(u16, Option<u32>),
    /// This status, and nothing done.
    Status(u16),
    /// This status, though it was done.
    StatusAfter(u16),
    /// The connection ends; nothing was done.
    DropBefore,
    /// The connection ends, though it was done.
    DropAfter,
    /// No answer, and nothing done.
    HangBefore,
    /// No answer, though it was done.
    HangAfter,
}

impl Fault {
    fn after(self) -> bool {
        matches!(self, Self::StatusAfter(_) | Self::DropAfter | Self::HangAfter)
    }
}

/// Which requests a fault hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hit {
    /// The n-th of all, from 1.
    Nth(usize),
    /// The n-th that changes something, from 1.
    Change(usize),
    /// Each.
    Each,
}

/// An incident.
#[derive(Debug, Clone)]
pub struct Incident {
    pub id: String,
    pub name: String,
    pub status: String,
    pub metadata: Map<String, Value>,
    pub impact: Option<String>,
    pub components: Vec<String>,
    /// What was said on it, the newest first: id, status, body, whether subscribers were told.
    pub updates: Vec<(String, String, String, bool)>,
    /// So many lists do not show it yet.
    unseen: usize,
}

/// What there is, and what was asked.
#[derive(Debug, Default)]
pub struct State {
    /// The newest first.
    pub incidents: Vec<Incident>,
    /// How each component is, by its id.
    pub health: BTreeMap<String, String>,
    /// What was asked: method and path.
    pub asked: Vec<String>,
    pub complaints: Vec<String>,
    pub faults: Vec<(Hit, Fault)>,
    /// Metadata is replaced by what is sent, not merged with it: nobody documents which.
    pub replaces_metadata: bool,
    /// A new incident stands in no list until so many were asked for.
    pub lists_late: usize,
    changes: usize,
    made: usize,
    hanging: usize,
}

/// A running one. It ends with its owner.
pub struct Fake {
    state: Arc<Mutex<State>>,
    address: SocketAddr,
    over: Arc<AtomicBool>,
    listening: Option<JoinHandle<()>>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.go_down();
    }
}

impl Fake {
    /// With no incident.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let (state, over) = (Arc::new(Mutex::new(State::default())), Arc::new(AtomicBool::new(false)));
        let listening = Some(listen(listener, state.clone(), over.clone()));
        Self { state, address, over, listening }
    }

    /// Its address, as settings name it.
    pub fn api(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Nobody listens any more.
    pub fn go_down(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // The thread that listens wakes up, sees it and goes.
        drop(TcpStream::connect(self.address));
        if let Some(listening) = self.listening.take() {
            listening.join().expect("it only listens");
        }
    }

    /// Somebody listens again.
    pub fn come_back(&mut self) {
        self.over = Arc::new(AtomicBool::new(false));
        let listener = TcpListener::bind(self.address).expect("its own port");
        self.listening = Some(listen(listener, self.state.clone(), self.over.clone()));
    }

    /// What there is, to look at or to change.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics holding it")
    }

    pub fn fail(&self, hit: Hit, fault: Fault) {
        self.state().faults.push((hit, fault));
    }

    /// What requests had wrong.
    pub fn complaints(&self) -> Vec<String> {
        self.state().complaints.clone()
    }

    /// The requests that change something, in order.
    pub fn changes(&self) -> Vec<String> {
        self.state().asked.iter().filter(|it| !it.starts_with("GET ")).cloned().collect()
    }

    /// So many requests hang or hung.
    pub fn hanging(&self) -> usize {
        self.state().hanging
    }

    /// What stands on the page, oldest first: `status: body`, incident by incident.
    pub fn said(&self) -> Vec<Vec<String>> {
        let line = |(_, status, body, _): &(String, String, String, bool)| format!("{status}: {body}");
        self.state().incidents.iter().rev().map(|it| it.updates.iter().rev().map(line).collect()).collect()
    }

    /// Somebody says something on the newest incident, by hand.
    pub fn by_hand(&self, status: &str, body: &str) {
        let mut state = self.state();
        let id = state.id("u");
        let incident = state.incidents.first_mut().expect("an incident");
        incident.status = status.into();
        incident.updates.insert(0, (id, status.into(), body.into(), true));
    }

    /// Incidents of others, newer than what there is.
    pub fn others(&self, count: usize, status: &str) {
        let mut state = self.state();
        for _ in 0..count {
            let id = state.id("i");
            let (name, status) = ("Somebody else's".into(), status.into());
            let (metadata, impact, components, updates) = (Map::new(), None, Vec::new(), Vec::new());
            let unseen = 0;
            state.incidents.insert(0, Incident { id, name, status, metadata, impact, components, updates, unseen });
        }
    }
}

fn listen(listener: TcpListener, state: Arc<Mutex<State>>, over: Arc<AtomicBool>) -> JoinHandle<()> {
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if over.load(Ordering::SeqCst) {
                return;
            }
            let state = state.clone();
            thread::spawn(move || answer(stream, &state));
        }
    })
}

struct Asked {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body: String,
}

/// One request; `None` when the connection ends before there is one.
fn read(stream: &mut TcpStream) -> Option<Asked> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let mut lines = head.split("\r\n");
        let mut first = lines.next()?.split(' ');
        let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
        let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        let headers: BTreeMap<_, _> = lines.filter_map(header).collect();
        let length = headers.get("content-length").and_then(|it| it.parse().ok()).unwrap_or(0);
        if body.len() < length {
            continue;
        }
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let query = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        return Some(Asked { method, path: path.into(), query, headers, body: body.to_owned() });
    }
}

fn answer(mut stream: TcpStream, state: &Mutex<State>) {
    let Some(asked) = read(&mut stream) else { return };
    let (fault, (status, body)) = {
        let mut state = state.lock().expect("no handler panics");
        state.asked.push(format!("{} {}", asked.method, asked.path));
        state.changes += usize::from(asked.method != "GET");
        let fault = state.fault(&asked.method);
        let done =
            if fault.is_none_or(Fault::after) { state.act(&asked) } else { (503, json!({ "error": "as told" })) };
        state.hanging += usize::from(matches!(fault, Some(Fault::HangBefore | Fault::HangAfter)));
        (fault, done)
    };
    let mut more = String::new();
    let status = match fault {
        Some(Fault::DropBefore | Fault::DropAfter) => return,
        Some(Fault::HangBefore | Fault::HangAfter) => {
            // Until the other side gives up.
            stream.read_exact(&mut [0]).ok();
            return;
        }
        Some(Fault::Wait(status, seconds)) => {
            more = seconds.map_or(String::new(), |it| format!("retry-after: {it}\r\n"));
            status
        }
        Some(Fault::Status(status) | Fault::StatusAfter(status)) => status,
        None => status,
    };
    let body = body.to_string();
    let head = format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\n{more}");
    write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).ok();
}

impl State {
    fn id(&mut self, kind: &str) -> String {
        self.made += 1;
        format!("{kind}{:011}", self.made)
    }

    fn fault(&self, method: &str) -> Option<Fault> {
        let hits = |hit: Hit| match hit {
            Hit::Nth(nth) => self.asked.len() == nth,
            Hit::Change(nth) => method != "GET" && self.changes == nth,
            Hit::Each => true,
        };
        self.faults.iter().find(|(hit, _)| hits(*hit)).map(|(_, fault)| *fault)
    }

    fn complain(&mut self, status: u16, what: impl Into<String>) -> (u16, Value) {
        let what = what.into();
        self.complaints.push(what.clone());
        (status, json!({ "error": [what] }))
    }

    fn act(&mut self, asked: &Asked) -> (u16, Value) {
        match asked.headers.get("authorization").map(String::as_str) {
            Some(given) if given == format!("OAuth {TOKEN}") => {}
            // Whoever has another token is told so, with what it gave: a careless server does that.
            given => {
                return (401, json!({ "error": format!("Could not authenticate: {}", given.unwrap_or("nobody")) }));
            }
        }
        let Some(rest) = asked.path.strip_prefix(&format!("/v1/pages/{PAGE}")) else {
            return (404, json!({ "error": "Couldn't find Page" }));
        };
        let parts: Vec<_> = rest.split('/').skip(1).collect();
        match (asked.method.as_str(), &parts[..]) {
            ("GET", ["components"]) => self.list(asked, "per_page", |_| true, true),
            ("GET", ["incidents", "unresolved"]) => self.list(asked, "per_page", |it| it.status != "resolved", false),
            ("GET", ["incidents"]) => self.list(asked, "limit", |_| true, false),
            ("GET", ["incidents", id]) => match self.incidents.iter().find(|it| it.id == *id) {
                Some(found) => (200, found.json()),
                None => (404, json!({ "error": "Couldn't find Incident" })),
            },
            ("POST", ["incidents"]) => self.change(asked, None),
            ("PATCH", ["incidents", id]) => match self.incidents.iter().position(|it| it.id == *id) {
                Some(at) => self.change(asked, Some(at)),
                None => (404, json!({ "error": "Couldn't find Incident" })),
            },
            (method, _) => self.complain(404, format!("{method} {} is not known", asked.path)),
        }
    }

    fn list(&mut self, asked: &Asked, size: &str, wanted: fn(&Incident) -> bool, components: bool) -> (u16, Value) {
        if let Some(unknown) = asked.query.keys().find(|name| *name != "page" && *name != size) {
            return self.complain(400, format!("{} with {unknown}", asked.path));
        }
        let number = |name: &str, usual| asked.query.get(name).and_then(|it| it.parse().ok()).unwrap_or(usual);
        let (page, size): (usize, usize) = (number("page", 1), number(size, 100).min(100));
        let all: Vec<_> = if components {
            let plain = COMPONENTS.iter().map(|(id, name)| json!({ "id": id, "name": name, "group": false }));
            plain.chain([json!({ "id": "g1", "name": "Everything", "group": true })]).collect()
        } else {
            let late = |it: &mut Incident| {
                let seen = it.unseen == 0;
                it.unseen = it.unseen.saturating_sub(1);
                seen
            };
            self.incidents.iter_mut().filter_map(|it| (late(it) && wanted(it)).then(|| it.json())).collect()
        };
        (200, all.into_iter().skip((page - 1) * size).take(size).collect())
    }

    fn change(&mut self, asked: &Asked, at: Option<usize>) -> (u16, Value) {
        if asked.headers.get("content-type").map(String::as_str) != Some("application/json") {
            return self.complain(400, "a body that is not said to be JSON");
        }
        let body: Value = serde_json::from_str(&asked.body).unwrap_or_default();
        let Some(given) = body["incident"].as_object().filter(|_| body.as_object().is_some_and(|it| it.len() == 1))
        else {
            return self.complain(400, format!("no `incident`: {}", asked.body));
        };
        if let Some(wrong) = wrong(given) {
            return self.complain(422, wrong);
        }
        let id = self.id("i");
        let update = self.id("u");
        let text = |name: &str| given.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let at = at.unwrap_or_else(|| {
            let (metadata, impact, components, updates) = (Map::new(), None, Vec::new(), Vec::new());
            let (name, status, unseen) = (text("name"), "investigating".into(), self.lists_late);
            self.incidents.insert(0, Incident { id, name, status, metadata, impact, components, updates, unseen });
            0
        });
        for (id, health) in given.get("components").and_then(Value::as_object).into_iter().flatten() {
            self.health.insert(id.clone(), health.as_str().unwrap_or_default().to_owned());
        }
        let incident = &mut self.incidents[at];
        incident.name = text("name");
        incident.status = text("status");
        incident.impact = given.get("impact_override").and_then(Value::as_str).map(str::to_owned);
        if let Some(ids) = given.get("component_ids").and_then(Value::as_array) {
            incident.components = ids.iter().filter_map(|id| id.as_str().map(str::to_owned)).collect();
        }
        if self.replaces_metadata {
            incident.metadata.clear();
        }
        incident.metadata.extend(given.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default());
        let told = given.get("deliver_notifications").and_then(Value::as_bool).unwrap_or(true);
        incident.updates.insert(0, (update, text("status"), text("body"), told));
        (if asked.method == "POST" { 201 } else { 200 }, incident.json())
    }
}

/// What is wrong with an incident, by what Statuspage says of its fields.
fn wrong(given: &Map<String, Value>) -> Option<String> {
    if let Some(unknown) = given.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        return Some(format!("an incident with {unknown}"));
    }
    let one_of = |name: &str, words: &[&str]| match given.get(name) {
        Some(it) if !it.as_str().is_some_and(|it| words.contains(&it)) => Some(format!("{name} is {it}")),
        _ => None,
    };
    let length = |name: &str, max: usize| {
        let length = given.get(name).and_then(Value::as_str).map_or(0, |it| it.chars().count());
        (length == 0 || length > max).then(|| format!("{name} has {length} characters"))
    };
    let known = |id: &str| COMPONENTS.iter().any(|(known, _)| *known == id);
    let ids = given.get("component_ids").and_then(Value::as_array).into_iter().flatten();
    let unknown = ids.map(|id| id.as_str().unwrap_or_default()).find(|id| !known(id));
    let health = given.get("components").and_then(Value::as_object).into_iter().flatten();
    let ill = health.clone().find(|(id, it)| !known(id) || !it.as_str().is_some_and(|it| HEALTH.contains(&it)));
    let metadata = given.get("metadata").and_then(Value::as_object).into_iter().flatten();
    let flat = metadata.clone().find(|(_, value)| !value.is_object());
    one_of("status", &STATUSES)
        .or_else(|| one_of("impact_override", &IMPACTS))
        .or_else(|| length("name", 255))
        .or_else(|| length("body", 25_000))
        .or_else(|| unknown.map(|id| format!("component_ids has {id}")))
        .or_else(|| ill.map(|(id, it)| format!("components has {id}: {it}")))
        .or_else(|| flat.map(|(name, _)| format!("metadata.{name} is no object")))
        .or_else(|| {
            (!given.get("deliver_notifications").is_some_and(Value::is_boolean))
                .then(|| "nobody says who is told".into())
        })
}

impl Incident {
    fn json(&self) -> Value {
        let update = |(id, status, body, told): &(String, String, String, bool)| json!({ "id": id, "status": status, "body": body, "deliver_notifications": told, "affected_components": null });
        json!({
            "id": self.id, "name": self.name, "status": self.status, "impact": "major", "impact_override": self.impact,
            "metadata": self.metadata, "shortlink": format!("https://stspg.io/{}", self.id), "postmortem_body": null,
            "components": self.components.iter().map(|id| json!({ "id": id })).collect::<Vec<_>>(),
            "incident_updates": self.updates.iter().map(update).collect::<Vec<_>>(),
        })
    }
}
