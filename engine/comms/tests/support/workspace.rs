//! What a Slack knows and does: channels, members, messages, pins.

use super::{BOT, Fault, Hit, METHODS};
use dr_engine::{clock::Time, duration::Dur};
use hyper::Method;
use serde_json::{Map, Value, json};
use std::{collections::BTreeSet, time::Duration};

/// A channel.
#[derive(Debug, Clone, Default)]
pub(crate) struct Channel {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) private: bool,
    pub(crate) archived: bool,
    pub(crate) members: BTreeSet<String>,
    pub(crate) topic: String,
    pub(crate) purpose: String,
    pub(crate) messages: Vec<Message>,
    pub(crate) pins: Vec<String>,
}

/// A message.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) ts: String,
    pub(crate) thread: Option<String>,
    /// What was posted, or edited in.
    pub(crate) body: Map<String, Value>,
    /// How often it was edited.
    pub(crate) edits: usize,
}

impl Message {
    /// What of the run or of which parcels it is.
    pub(crate) fn of(&self, event: &str) -> Option<&Value> {
        let metadata = self.body.get("metadata")?;
        (metadata["event_type"] == event).then_some(&metadata["event_payload"])
    }

    /// All that people read.
    pub(crate) fn words(&self) -> String {
        let blocks = self.body.get("blocks").and_then(Value::as_array).into_iter().flatten();
        let of = |block: &Value| {
            let elements = block["elements"].as_array().cloned().unwrap_or_default();
            let texts = elements.iter().chain([&block["text"]]).filter_map(|it| it["text"].as_str());
            texts.collect::<Vec<_>>().join("\n")
        };
        blocks.map(of).collect::<Vec<_>>().join("\n")
    }
}

/// A request that came.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) asked: Map<String, Value>,
    /// Since the fake was made.
    pub(crate) at: Duration,
}

/// The whole of Slack.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) channels: Vec<Channel>,
    /// Member ids of the workspace.
    pub(crate) people: BTreeSet<String>,
    pub(crate) calls: Vec<Call>,
    pub(crate) faults: Vec<(Hit, Fault)>,
    /// What the token may, if Slack says it.
    pub(crate) scopes: Option<&'static str>,
    /// The most that a page holds, whatever is asked.
    pub(crate) page_max: usize,
    now: Time,
    pub(crate) complaints: Vec<String>,
}

impl State {
    /// With no channel yet, at this time of Slack's own clock.
    pub(crate) fn new(now: Time) -> Self {
        Self {
            channels: Vec::new(),
            people: ["U0IC", "U0LEAD", BOT].map(str::to_owned).into(),
            calls: Vec::new(),
            faults: Vec::new(),
            scopes: None,
            page_max: 100,
            now,
            complaints: Vec::new(),
        }
    }

    pub(crate) fn make(&mut self, name: &str, joined: bool) -> String {
        let id = format!("C{:04}", self.channels.len() + 1);
        let members = joined.then(|| BOT.to_owned()).into_iter().collect();
        self.channels.push(Channel { id: id.clone(), name: name.to_owned(), members, ..Channel::default() });
        id
    }

    /// The fault of the call that was noted last.
    pub(crate) fn fault(&self) -> Option<Fault> {
        let method = self.calls.last().map(|call| call.method.as_str()).unwrap_or_default();
        let of_method = self.calls.iter().filter(|call| call.method == method).count();
        let hits = |hit: &Hit| match *hit {
            Hit::Nth(nth) => nth == self.calls.len(),
            Hit::Of(name, nth) => name == method && nth == of_method,
            Hit::Each(name) => name == method,
        };
        self.faults.iter().find(|(hit, _)| hits(hit)).map(|(_, fault)| *fault)
    }

    /// Holds a request against the table; what Slack would say of it.
    pub(crate) fn judge(
        &mut self,
        method: &str,
        verb: &Method,
        asked: &Map<String, Value>,
    ) -> Result<(), &'static str> {
        let table: Value = serde_json::from_str(METHODS).expect("the table is JSON");
        let Some(row) = table.get(method) else {
            self.complaints.push(format!("{method} is not in the table"));
            return Err("unknown_method");
        };
        let names = |which: &str| row[which].as_array().into_iter().flatten().filter_map(Value::as_str);
        if row["verb"] != verb.as_str() {
            self.complaints.push(format!("{method} by {verb}"));
        }
        for missing in names("required").filter(|name| !asked.contains_key(*name)) {
            self.complaints.push(format!("{method} without {missing}"));
        }
        let known: BTreeSet<_> = ["required", "optional", "newer"].into_iter().flat_map(names).collect();
        for unknown in asked.keys().filter(|name| !known.contains(name.as_str())) {
            self.complaints.push(format!("{method} with {unknown}"));
        }
        if let Some(wrong) = asked.get("blocks").and_then(wrong_blocks) {
            self.complaints.push(format!("{method}: {wrong}"));
            return Err("invalid_blocks");
        }
        Ok(())
    }

    fn at(&mut self, asked: &Map<String, Value>) -> Result<&mut Channel, &'static str> {
        let id = asked.get("channel").and_then(Value::as_str).unwrap_or_default();
        let channel = self.channels.iter_mut().find(|it| it.id == id).ok_or("channel_not_found")?;
        if channel.archived { Err("is_archived") } else { Ok(channel) }
    }

    fn joined(&mut self, asked: &Map<String, Value>) -> Result<&mut Channel, &'static str> {
        let channel = self.at(asked)?;
        if channel.members.contains(BOT) { Ok(channel) } else { Err("not_in_channel") }
    }

    /// Does what is asked.
    pub(crate) fn act(&mut self, method: &str, asked: &Map<String, Value>) -> Result<Value, &'static str> {
        let text = |name: &str| text(asked, name);
        match method {
            "auth.test" => {
                Ok(json!({ "url": "https://example.slack.com/", "team": "Example", "user": "dr", "user_id": BOT }))
            }
            "conversations.list" => {
                let types = text("types");
                let seen = |it: &&Channel| {
                    let kind = if it.private { "private_channel" } else { "public_channel" };
                    types.contains(kind) && (!it.private || it.members.contains(BOT))
                };
                let open = |it: &&Channel| !(it.archived && text("exclude_archived") == "true");
                let all: Vec<_> = self.channels.iter().filter(seen).filter(open).map(Channel::json).collect();
                Ok(self.page(asked, "channels", all))
            }
            "conversations.create" => {
                let name = text("name");
                if self.channels.iter().any(|it| it.name == name) {
                    return Err("name_taken");
                }
                if name.is_empty()
                    || name.len() > 80
                    || name.contains(|c: char| c.is_uppercase() || c == ' ' || c == '#')
                {
                    return Err("invalid_name_specials");
                }
                self.make(&name, true);
                Ok(json!({ "channel": self.channels[self.channels.len() - 1].json() }))
            }
            "conversations.history" | "conversations.replies" => self.read(method, asked),
            _ if method.starts_with("conversations.") => self.furnish(method, asked),
            _ => self.write(method, asked),
        }
    }

    /// Changes a channel.
    fn furnish(&mut self, method: &str, asked: &Map<String, Value>) -> Result<Value, &'static str> {
        let text = |name: &str| text(asked, name);
        match method {
            "conversations.join" => {
                let channel = self.at(asked)?;
                channel.members.insert(BOT.to_owned());
                Ok(json!({ "channel": channel.json() }))
            }
            "conversations.setTopic" | "conversations.setPurpose" => {
                let (field, channel) =
                    (method.trim_start_matches("conversations.set").to_lowercase(), self.joined(asked)?);
                let value = text(&field);
                if value.encode_utf16().count() > 250 {
                    return Err("too_long");
                }
                *(if field == "topic" { &mut channel.topic } else { &mut channel.purpose }) = value;
                Ok(json!({ "channel": channel.json() }))
            }
            "conversations.invite" => {
                let users = text("users");
                if !users.split(',').all(|user| self.people.contains(user)) {
                    return Err("user_not_found");
                }
                let channel = self.joined(asked)?;
                let new = users.split(',').filter(|user| channel.members.insert((*user).to_owned())).count();
                if new == 0 { Err("already_in_channel") } else { Ok(json!({ "channel": channel.json() })) }
            }
            _ => Err("unknown_method"),
        }
    }

    /// Shows messages.
    fn read(&mut self, method: &str, asked: &Map<String, Value>) -> Result<Value, &'static str> {
        let text = |name: &str| text(asked, name);
        let thread = method.ends_with("replies").then(|| text("ts"));
        let (oldest, metadata) = (text("oldest"), text("include_all_metadata") == "true");
        let channel = self.at(asked)?;
        if thread.as_ref().is_some_and(|ts| channel.messages.iter().all(|it| it.ts != *ts)) {
            return Err("thread_not_found");
        }
        let here = |it: &&Message| match &thread {
            Some(thread) => it.thread.as_ref() == Some(thread) || it.ts == *thread,
            None => it.thread.is_none(),
        };
        let newer = |it: &&Message| it.ts.as_str() > oldest.as_str() || thread.as_ref() == Some(&it.ts);
        let shown = channel.messages.iter().filter(here).filter(newer).map(|it| it.json(metadata));
        let mut shown: Vec<_> = shown.collect();
        if thread.is_none() {
            shown.reverse();
        }
        Ok(self.page(asked, "messages", shown))
    }

    /// Changes messages.
    fn write(&mut self, method: &str, asked: &Map<String, Value>) -> Result<Value, &'static str> {
        let text = |name: &str| text(asked, name);
        match method {
            "chat.postMessage" => {
                self.now = self.now.after(Dur::seconds(1));
                let ts = format!("{}.{:06}", self.now.0 / 1_000, self.calls.len());
                let thread = asked.get("thread_ts").and_then(Value::as_str).map(str::to_owned);
                let channel = self.joined(asked)?;
                if thread.as_ref().is_some_and(|thread| channel.messages.iter().all(|it| it.ts != *thread)) {
                    return Err("thread_not_found");
                }
                if text("text").is_empty() && !asked.contains_key("blocks") {
                    return Err("no_text");
                }
                channel.messages.push(Message { ts: ts.clone(), thread, body: asked.clone(), edits: 0 });
                Ok(json!({ "channel": channel.id, "ts": ts, "message": { "type": "message", "ts": ts } }))
            }
            "chat.update" => {
                let ts = text("ts");
                let channel = self.joined(asked)?;
                let message = channel.messages.iter_mut().find(|it| it.ts == ts).ok_or("message_not_found")?;
                message.body.extend(asked.clone());
                message.edits += 1;
                Ok(json!({ "channel": channel.id, "ts": ts, "text": text("text") }))
            }
            "pins.add" => {
                let ts = text("timestamp");
                let channel = self.joined(asked)?;
                if channel.messages.iter().all(|it| it.ts != ts) {
                    return Err("message_not_found");
                }
                if channel.pins.contains(&ts) {
                    return Err("already_pinned");
                }
                channel.pins.push(ts);
                Ok(json!({}))
            }
            _ => Err("unknown_method"),
        }
    }

    fn page(&self, asked: &Map<String, Value>, name: &str, all: Vec<Value>) -> Value {
        let number = |name: &str| asked.get(name).and_then(Value::as_str).and_then(|it| it.parse::<usize>().ok());
        let (from, limit) = (number("cursor").unwrap_or(0), number("limit").unwrap_or(100).min(self.page_max));
        let more = all.len() > from + limit;
        let next = if more { (from + limit).to_string() } else { String::new() };
        let page: Vec<_> = all.into_iter().skip(from).take(limit).collect();
        json!({ name: page, "response_metadata": { "next_cursor": next } })
    }
}

impl Channel {
    fn json(&self) -> Value {
        json!({
            "id": self.id, "name": self.name, "is_private": self.private, "is_archived": self.archived,
            "is_member": self.members.contains(BOT), "created": 1,
        })
    }
}

impl Message {
    fn json(&self, metadata: bool) -> Value {
        let mut json = json!({ "type": "message", "ts": self.ts, "text": self.body.get("text") });
        if let Some(held) = self.body.get("metadata").filter(|_| metadata) {
            json["metadata"] = held.clone();
        }
        json
    }
}

/// What is wrong with blocks, by Slack's published limits.
fn wrong_blocks(blocks: &Value) -> Option<String> {
    let Some(blocks) = blocks.as_array() else { return Some("blocks are no list".into()) };
    if blocks.is_empty() || blocks.len() > 50 {
        return Some(format!("{} blocks", blocks.len()));
    }
    let long = |block: &Value, max: usize| {
        let length = block["text"]["text"].as_str().map_or(0, |text| text.chars().count());
        (length == 0 || length > max).then(|| format!("a {} of {length} characters", block["type"]))
    };
    blocks.iter().find_map(|block| match block["type"].as_str() {
        Some("header") if block["text"]["type"] != "plain_text" => Some("a header that is not plain".into()),
        Some("header") => long(block, 150),
        Some("section") => long(block, 3_000),
        Some("context" | "divider") => None,
        _ => Some(format!("a block of type {}", block["type"])),
    })
}

fn text(asked: &Map<String, Value>, name: &str) -> String {
    asked.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}
