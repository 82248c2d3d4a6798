//! Policy documents, in a form in which two that mean the same are equal.

use dr_engine::outcome::Failure;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// What is written otherwise in the other region: texts, and what stands in their place.
#[derive(Debug, Default)]
pub(super) struct Renames(pub(super) Vec<(String, String)>);

impl Renames {
    /// The text with all that is renamed, in one pass: what was put in is not renamed again.
    pub(super) fn text(&self, text: &str) -> String {
        let (mut rest, mut made) = (text, String::with_capacity(text.len()));
        while let Some(letter) = rest.chars().next() {
            let hit = self.0.iter().find(|(from, _)| !from.is_empty() && rest.starts_with(from.as_str()));
            if let Some((from, to)) = hit {
                made.push_str(to);
                rest = &rest[from.len()..];
            } else {
                made.push(letter);
                rest = &rest[letter.len_utf8()..];
            }
        }
        made
    }

    fn value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.text(text).into(),
            Value::Array(all) => all.iter().map(|one| self.value(one)).collect(),
            Value::Object(map) => map.iter().map(|(key, one)| (self.text(key), self.value(one))).collect(),
            other => other.clone(),
        }
    }
}

/// A policy document: what it grants, without labels and without an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Document {
    version: Option<String>,
    statements: BTreeSet<String>,
}

impl Document {
    /// Reads one, with all that is renamed.
    ///
    /// # Errors
    /// When it has no statements.
    pub(super) fn read(document: &Value, renames: &Renames) -> Result<Self, Failure> {
        let not_one = || Failure::new("IAM gave a policy document that cannot be read");
        let document = renames.value(document);
        let statements = match document.get("Statement") {
            Some(Value::Array(statements)) => statements.clone(),
            Some(one @ Value::Object(_)) => vec![one.clone()],
            _ => return Err(not_one()),
        };
        let plain = |statement: &Value| Some(plain(statement.as_object()?).to_string());
        let statements = statements.iter().map(|it| plain(it).ok_or_else(not_one)).collect::<Result<_, _>>()?;
        Ok(Self { version: document["Version"].as_str().map(Into::into), statements })
    }

    /// How it differs from the one that it should be alike, in words; `None` when it does not.
    pub(super) fn differs(&self, like: &Self) -> Option<String> {
        let word = |version: &Option<String>| version.clone().unwrap_or_else(|| "no version".into());
        if self.version != like.version {
            return Some(format!("is of version {}, not {}", word(&self.version), word(&like.version)));
        }
        let lacks = like.statements.difference(&self.statements).next();
        let more = self.statements.difference(&like.statements).next();
        match (lacks, more) {
            (Some(lacks), Some(more)) => Some(format!("has {more} where it should have {lacks}")),
            (Some(lacks), None) => Some(format!("lacks {lacks}")),
            (None, Some(more)) => Some(format!("has {more} more")),
            (None, None) => None,
        }
    }
}

/// A statement without its label, lists as sorted sets, actions without case (IAM User Guide, IAM JSON
/// policy elements reference).
fn plain(statement: &Map<String, Value>) -> Value {
    let parts = statement.iter().filter(|(name, _)| *name != "Sid").map(|(name, value)| {
        let lower = matches!(name.as_str(), "Action" | "NotAction");
        (name.clone(), sets(value, lower))
    });
    let parts: BTreeMap<_, _> = parts.collect();
    parts.into_iter().collect()
}

/// The same value in which one thing and a list of one thing are equal, and lists have no order.
fn sets(value: &Value, lower: bool) -> Value {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<_, _> = map.iter().collect();
            sorted.into_iter().map(|(key, one)| (key.clone(), sets(one, lower))).collect()
        }
        Value::Array(all) => {
            let words: BTreeSet<_> = all.iter().map(|one| word(one, lower)).collect();
            words.into_iter().collect()
        }
        one => vec![word(one, lower)].into_iter().collect(),
    }
}

/// One value as a text: `true` and `"true"` are one value of a condition.
fn word(value: &Value, lower: bool) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), Into::into);
    if lower { text.to_lowercase() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(document: &Value) -> Document {
        Document::read(document, &Renames::default()).expect("a document")
    }

    fn of(statement: &Value) -> Value {
        json!({ "Version": "2012-10-17", "Statement": statement })
    }

    #[test]
    fn what_means_the_same_is_alike() {
        let one = of(&json!({ "Sid": "A", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*",
            "Condition": { "Bool": { "aws:SecureTransport": true } } }));
        let other = of(&json!([{ "Effect": "Allow", "Resource": ["*"], "Action": ["s3:getobject", "S3:GetObject"],
            "Condition": { "Bool": { "aws:SecureTransport": ["true"] } } }]));
        assert_eq!(read(&one).differs(&read(&other)), None);
        let two = of(&json!([{ "Effect": "Allow", "Action": "a:A" }, { "Effect": "Deny", "Action": "b:B" }]));
        let turned = of(&json!([{ "Effect": "Deny", "Action": "b:B" }, { "Effect": "Allow", "Action": "a:A" }]));
        assert_eq!(read(&two).differs(&read(&turned)), None);
    }

    #[test]
    fn what_does_not_is_told() {
        let allow = read(&of(&json!({ "Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::A" })));
        for (other, says) in [
            (json!({ "Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::a" }), "where it should have"),
            (json!({ "Effect": "Allow", "NotAction": "s3:*", "Resource": "arn:aws:s3:::A" }), "where it should have"),
            (json!([]), "more"),
            (
                json!([
                    { "Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::A" },
                    { "Effect": "Deny", "Action": "s3:PutObject", "Resource": "*" },
                ]),
                r#"lacks {"Action":["s3:putobject"],"Effect":["Deny"],"Resource":["*"]}"#,
            ),
        ] {
            let differs = allow.differs(&read(&of(&other))).unwrap_or_else(|| panic!("{other} is not alike"));
            assert!(differs.contains(says), "{differs}");
        }
        let old = read(&json!({ "Statement": { "Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::A" } }));
        assert_eq!(old.differs(&allow).as_deref(), Some("is of version no version, not 2012-10-17"));
        for not in [json!("text"), json!({}), json!({ "Statement": "x" }), json!({ "Statement": ["x"] })] {
            assert!(Document::read(&not, &Renames::default()).is_err(), "{not}");
        }
    }

    #[test]
    fn what_is_renamed_is_renamed_once() {
        let renames = Renames(vec![
            ("eu-west-1".into(), "eu-central-1".into()),
            ("eu-central-1".into(), "eu-north-1".into()),
            (String::new(), "x".into()),
        ]);
        assert_eq!(renames.text("ä-eu-west-1-eu-central-1"), "ä-eu-central-1-eu-north-1");
        let west = of(&json!({ "Effect": "Allow", "Action": "sqs:*", "Resource": "arn:aws:sqs:eu-west-1:1:q",
            "Condition": { "StringEquals": { "aws:ResourceTag/eu-west-1": "eu-west-1" } } }));
        let central = of(&json!({ "Effect": "Allow", "Action": "sqs:*", "Resource": "arn:aws:sqs:eu-central-1:1:q",
            "Condition": { "StringEquals": { "aws:ResourceTag/eu-central-1": "eu-central-1" } } }));
        assert_eq!(Document::read(&west, &renames).expect("a document"), read(&central));
    }
}
