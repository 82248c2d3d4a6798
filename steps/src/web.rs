//! What the kinds that speak HTTP are given: addresses, headers, bodies, and
//! what is expected of an answer.

use crate::{
    client::Answer,
    output::Pointer,
    redact::Redactor,
    secret::TextOrSecret,
    text::{self, Word},
    world::World,
};
use dr_engine::{
    outcome::Failure,
    step::{Mistake, ReadCx},
    yaml::In,
};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::{borrow::Cow, collections::BTreeMap, fmt, str::FromStr};
use url::Url;

/// The address of something on the web, `http` or `https`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebUrl(pub Url);

impl fmt::Display for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for WebUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The text is not repeated where it may hold a password.
        let url = Url::parse(text).map_err(|error| match error {
            url::ParseError::RelativeUrlWithoutBase => {
                "this is not a URL: it begins with `https://` or `http://`".to_owned()
            }
            error => format!("this is not a URL: {error}"),
        })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("`{}:` is not `http:` or `https:`", url.scheme()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a URL holds no password: set the header `authorization` from a secret".into());
        }
        Ok(Self(url))
    }
}

impl<'de> Deserialize<'de> for WebUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for WebUrl {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "WebUrl".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^https?://" })
    }
}

/// Any value; every text in it may be a reference.
#[derive(Debug, Clone, PartialEq)]
pub struct Json(Node);

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Plain(Value),
    List(Vec<In<Json>>),
    Map(Vec<(String, In<Json>)>),
}

impl Json {
    /// The value, once every reference is known.
    pub fn value(&self) -> Value {
        match &self.0 {
            Node::Plain(value) => value.clone(),
            Node::List(items) => items.iter().map(|item| item.get().value()).collect(),
            Node::Map(fields) => fields.iter().map(|(name, value)| (name.clone(), value.get().value())).collect(),
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor).map(Json)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
        Ok(Node::Plain(Value::Null))
    }

    fn visit_bool<E: de::Error>(self, it: bool) -> Result<Node, E> {
        Ok(Node::Plain(it.into()))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Node, E> {
        Ok(Node::Plain(number.into()))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Node, E> {
        Ok(Node::Plain(number.into()))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Node, E> {
        Ok(Node::Plain(number.into()))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Plain(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some(field) = fields.next_entry()? {
            map.push(field);
        }
        Ok(Node::Map(map))
    }
}

impl JsonSchema for Json {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Json".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!(true)
    }
}

/// What an answer has to be.
#[derive(Debug, Clone, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// One of these status codes. Default: any from 200 to 299.
    #[serde(default)]
    pub status: Vec<u16>,
    /// Values in its JSON, each named by a JSON pointer: `/state: ready`.
    #[serde(default)]
    pub json: BTreeMap<Pointer, In<Json>>,
    /// Its headers, each with its whole value: `x-served-by: eu-central-1`.
    #[serde(default)]
    pub headers: BTreeMap<String, In<Word>>,
    /// A text that stands somewhere in its body.
    #[serde(default)]
    pub text: Option<In<Word>>,
}

impl Expect {
    /// Whether more than its status is looked at.
    pub(crate) fn reads_the_answer(&self) -> bool {
        !self.json.is_empty() || !self.headers.is_empty() || self.text.is_some()
    }

    /// Whether the status is what is expected.
    pub(crate) fn status_met(&self, status: u16) -> bool {
        if self.status.is_empty() { (200..300).contains(&status) } else { self.status.contains(&status) }
    }

    /// Why an answer is not what is expected; harmless and without secrets.
    pub(crate) fn unmet(&self, answer: &Answer, redactor: &Redactor) -> Option<String> {
        if !self.status_met(answer.status) {
            let wanted: Vec<_> = self.status.iter().map(ToString::to_string).collect();
            let wanted = if wanted.is_empty() { "200 to 299".into() } else { wanted.join(" or ") };
            return Some(format!("status {}, wanted {wanted}", answer.status));
        }
        let quoted = |why: String| Some(text::short(&redactor.text(&text::clean(&why))).into_owned());
        for (name, wanted) in &self.headers {
            let wanted = &wanted.get().0;
            let found: Vec<_> = answer.headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
            if found.is_empty() {
                return quoted(format!("its answer has no header `{name}`, wanted `{wanted}`"));
            }
            if !found.contains(&wanted.as_bytes()) {
                let found = String::from_utf8_lossy(found[0]);
                return quoted(format!("the header `{name}` is `{found}`, wanted `{wanted}`"));
            }
        }
        if (self.text.is_some() || !self.json.is_empty()) && answer.cut {
            return Some("its answer is too long to be read".into());
        }
        if let Some(wanted) = self.text.as_ref().map(|text| &text.get().0)
            && !String::from_utf8_lossy(&answer.body).contains(wanted.as_str())
        {
            return quoted(format!("its answer does not contain `{wanted}`"));
        }
        if self.json.is_empty() {
            return None;
        }
        let Ok(json) = serde_json::from_slice::<Value>(&answer.body) else {
            return Some("its answer is not JSON".into());
        };
        let met = |found: Option<&Value>, wanted: &Value| found.is_some_and(|found| same(found, wanted));
        unmet(&self.json, &json, met, redactor)
    }
}

/// The first value of an answer that is not as wanted, in words that are harmless.
pub(crate) fn unmet(
    wanted: &BTreeMap<Pointer, In<Json>>,
    answer: &Value,
    met: impl Fn(Option<&Value>, &Value) -> bool,
    redactor: &Redactor,
) -> Option<String> {
    wanted.iter().find_map(|(Pointer(pointer), wanted)| {
        let (found, wanted) = (answer.pointer(pointer), wanted.get().value());
        let why = match found {
            _ if met(found, &wanted) => return None,
            Some(found) => format!("`{pointer}` is {found}, wanted {wanted}"),
            None => format!("`{pointer}` is not in its answer, wanted {wanted}"),
        };
        Some(text::short(&redactor.text(&text::clean(&why))).into_owned())
    })
}

/// `1` and `1.0` are one number to whoever writes a runbook; two whole numbers
/// are not one because a float cannot tell them apart.
pub(crate) fn same(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Number(a), Value::Number(b)) if a.is_f64() || b.is_f64() => a.as_f64() == b.as_f64(),
        _ => found == wanted,
    }
}

/// Headers by name.
pub type Headers = BTreeMap<String, In<TextOrSecret>>;

/// Headers that say who asks.
const TELLS_WHO: [&str; 10] = [
    "api-key",
    "apikey",
    "authorization",
    "cookie",
    "private-token",
    "proxy-authorization",
    "x-access-token",
    "x-api-key",
    "x-auth-token",
    "x-vault-token",
];

/// Headers by which somebody is known, written down for all who read the
/// runbook, its plan and its journal. What a run gives is none of them; an
/// empty one is not sent. `field` is where they stand.
pub(crate) fn written_down(field: &'static str, headers: &Headers) -> Option<Mistake> {
    let tells = |name: &str| TELLS_WHO.iter().any(|known| name.eq_ignore_ascii_case(known));
    let plain = |value: &In<TextOrSecret>| matches!(value, In::Lit(TextOrSecret::Text(text)) if !text.is_empty());
    let (name, _) = headers.iter().find(|(name, value)| tells(name) && plain(value))?;
    Some(Mistake {
        field,
        message: format!("the header `{name}` is a secret, and is written down here"),
        help: format!(
            "name where it is: `{name}: {{ secret: env:NAME }}`, which holds the whole header, with what stands before the secret"
        ),
    })
}

/// Headers that frame the message: whoever set them could hide a second one in it.
const FRAMING: [&str; 4] = ["connection", "content-length", "transfer-encoding", "upgrade"];

/// The headers of a request; secrets are read now. One with an empty value is
/// not sent, and keeps `dr` from sending its own.
pub(crate) fn headers(cx: &ReadCx, given: &Headers, redactor: &mut Redactor) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let known = HeaderName::from_str(name).ok().filter(|name| !FRAMING.contains(&name.as_str()));
        let name = known.ok_or_else(|| Failure::new(format!("`{name}` is not a header that can be set")))?;
        let text = value.get().read(&World::of(cx).runbook_folder, redactor)?;
        let mut value =
            HeaderValue::from_str(&text).or_else(|_| HeaderValue::from_bytes(text.as_bytes())).map_err(|_| {
                Failure::new(format!("the value of the header `{name}` has a line's end or the like in it"))
            })?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

/// Takes out the headers that were only there to keep others away.
pub(crate) fn without_empty(headers: HeaderMap) -> HeaderMap {
    headers
        .into_iter()
        .filter_map(|(name, value)| Some((name?, value)))
        .filter(|(_, value)| !value.is_empty())
        .collect()
}
