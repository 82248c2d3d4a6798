//! Secrets taken out of what others are to see, by their values.
//!
//! Logs on disk are written by the processes themselves and are not touched:
//! they are redacted when somebody is shown them, with [`redactor`].

use crate::{limits, secret::Source};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, path::Path};

/// What stands in the place of a secret.
const INSTEAD: &str = "[secret]";

/// Knows the values of secrets, and the forms in which they travel.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Longest first: a secret that holds another goes as a whole.
    needles: Vec<String>,
}

/// A redactor for the secrets that these inputs of steps name, and the names of
/// those that cannot be read here: they cannot be looked for.
pub fn redactor<'a>(inputs: impl IntoIterator<Item = &'a Value>, runbook: &Path) -> (Redactor, Vec<String>) {
    let mut sources = BTreeMap::new();
    inputs.into_iter().for_each(|with| collect(with, &mut sources));
    let (mut redactor, mut unread) = (Redactor::default(), Vec::new());
    for (name, source) in sources {
        match source.read(runbook) {
            Ok(value) => redactor.add(&value),
            Err(_) => unread.push(name),
        }
    }
    (redactor, unread)
}

fn collect(value: &Value, sources: &mut BTreeMap<String, Source>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, sources)),
        Value::Object(fields) => {
            let source = fields.get("secret").and_then(Value::as_str).and_then(|text| text.parse::<Source>().ok());
            sources.extend(source.map(|source| (source.to_string(), source)));
            fields.values().for_each(|field| collect(field, sources));
        }
        _ => {}
    }
}

impl Redactor {
    /// Looks for this value from now on: plain, as JSON writes it, its lines,
    /// base64 wherever it begins, URL-encoded.
    pub fn add(&mut self, value: &str) {
        let mut forms = vec![value.to_owned()];
        if value.len() >= limits::SECRET_DISGUISE_BYTES_MIN {
            let json = Value::from(value).to_string();
            forms.push(json[1..json.len() - 1].to_owned());
            // Of a key in a file, every line is one too.
            forms.extend(value.lines().filter(|line| line.len() >= 8).map(ToOwned::to_owned));
            for alphabet in [b"+/", b"-_"] {
                forms.extend((0..3).map(|shift| base64(value.as_bytes(), shift, *alphabet)));
            }
            let upper = percent(value, true);
            forms.extend([percent(value, false), upper.replace("%20", "+"), upper]);
        }
        forms.retain(|form| !form.is_empty());
        self.needles.append(&mut forms);
        self.needles.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        self.needles.dedup();
    }

    /// The text without secrets.
    pub fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for needle in &self.needles {
            if text.contains(needle.as_str()) {
                text = text.replace(needle.as_str(), INSTEAD);
            }
        }
        text
    }

    /// The value without secrets, names of fields included.
    pub fn value(&self, value: Value) -> Value {
        if self.needles.is_empty() {
            return value;
        }
        match value {
            Value::String(text) => self.text(&text).into(),
            // `1234` printed as a number is the secret all the same.
            Value::Number(number) if self.needles.contains(&number.to_string()) => INSTEAD.into(),
            Value::Array(items) => items.into_iter().map(|item| self.value(item)).collect(),
            Value::Object(fields) => Value::Object(self.map(fields)),
            other => other,
        }
    }

    /// The fields without secrets.
    pub fn map(&self, fields: Map<String, Value>) -> Map<String, Value> {
        fields.into_iter().map(|(name, value)| (self.text(&name), self.value(value))).collect()
    }
}

/// The part of the base64 of a longer text that depends on `bytes` alone, when
/// they begin `shift` bytes after a multiple of three. `Authorization: Basic`
/// is such a text: the secret stands behind a name.
fn base64(bytes: &[u8], shift: usize, last: [u8; 2]) -> String {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let bit = |at: usize| {
        let (byte, bit) = (at / 8, at % 8);
        u8::from(byte >= shift && bytes[byte - shift] & (0x80 >> bit) != 0)
    };
    let first = (shift * 8).div_ceil(6);
    let end = (shift + bytes.len()) * 8 / 6;
    let char = |at: usize| {
        let six = usize::from((0..6).fold(0, |six, n| six << 1 | bit(at * 6 + n)));
        char::from(if six < 62 { ALPHABET[six] } else { last[six - 62] })
    };
    (first..end).map(char).collect()
}

fn percent(text: &str, upper: bool) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        let wrote = match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.write_char(char::from(byte)),
            byte if upper => write!(out, "%{byte:02X}"),
            byte => write!(out, "%{byte:02x}"),
        };
        wrote.expect("writing to a String");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_secret_goes_in_whatever_form_it_travels() {
        let mut redactor = Redactor::default();
        redactor.add("canary/+ \"1\"?>>");
        for text in [
            "canary/+ \"1\"?>>",
            r#"{"x":"canary/+ \"1\"?>>"}"#,
            "Y2FuYXJ5LysgIjEiPz4+",
            "Y2FuYXJ5LysgIjEiPz4-",
            "canary%2F%2B%20%221%22%3F%3E%3E",
            "canary%2f%2b%20%221%22%3f%3e%3e",
            "canary%2F%2B+%221%22%3F%3E%3E",
            // base64 of `u:` and `me:` before it
            "dTpjYW5hcnkvKyAiMSI/Pj4=",
            "bWU6Y2FuYXJ5LysgIjEiPz4+",
        ] {
            let shown = redactor.text(text);
            assert!(shown.contains(INSTEAD) && !shown.contains("anary") && !shown.contains("hbmFye"), "{shown}");
        }
        assert_eq!(redactor.text("nothing of it"), "nothing of it");
    }

    #[test]
    fn values_lose_secrets_at_any_depth() {
        let mut redactor = Redactor::default();
        redactor.add("123456");
        redactor.add("hunter2-hunter2");
        let value = json!({"a": [123_456, "x hunter2-hunter2"], "hunter2-hunter2": {"b": 1}});
        assert_eq!(redactor.value(value), json!({"a": ["[secret]", "x [secret]"], "[secret]": {"b": 1}}));
    }

    #[test]
    fn a_key_of_many_lines_goes_line_by_line_too() {
        let mut redactor = Redactor::default();
        redactor.add("-----BEGIN-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n-----END-----");
        assert_eq!(redactor.text("bad key near kqhkiG9w0BAQEF"), "bad key near [secret]");
    }
}
