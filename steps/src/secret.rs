//! Secrets: named in the runbook, read when a step starts, kept nowhere.

use crate::{limits, redact::Redactor, text::Word};
use dr_engine::{outcome::Failure, yaml::TEXT};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use std::{borrow::Cow, fmt, io::Read, path::Path, str::FromStr};

/// A text, or where a secret is to be read.
///
/// A secret that was written as a plain text cannot be told from any other
/// text: it is not redacted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextOrSecret {
    /// The text itself.
    Text(String),
    /// `{ secret: env:NAME }` or `{ secret: file:PATH }`.
    Secret(Source),
}

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// In a variable of the environment of `dr`.
    Env(String),
    /// In a file, relative to the runbook; a line's end behind it is not part of it.
    File(String),
}

impl TextOrSecret {
    /// The text. A secret's value is added to what the redactor looks for.
    pub fn read(&self, runbook: &Path, redactor: &mut Redactor) -> Result<String, Failure> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::Secret(source) => {
                let value = source.read(runbook)?;
                redactor.add(&value);
                Ok(value)
            }
        }
    }
}

impl Source {
    /// The secret's value.
    pub fn read(&self, runbook: &Path) -> Result<String, Failure> {
        let value = match self {
            Self::Env(name) => std::env::var(name).map_err(|error| match error {
                std::env::VarError::NotPresent => Failure::new(format!("the secret `{self}` is not set")),
                std::env::VarError::NotUnicode(_) => Failure::new(format!("the secret `{self}` is not text")),
            })?,
            Self::File(path) => {
                let wrong = |error| Failure::new(format!("the secret `{self}` cannot be read: {error}"));
                let file = std::fs::File::open(runbook.join(path)).map_err(wrong)?;
                let mut value = String::new();
                file.take(limits::SECRET_BYTES_MAX + 1).read_to_string(&mut value).map_err(wrong)?;
                if value.len() as u64 > limits::SECRET_BYTES_MAX {
                    return Err(Failure::new(format!("the secret `{self}` is longer than 64 KiB")));
                }
                let end = value.trim_end_matches(['\r', '\n']).len();
                value.truncate(end);
                value
            }
        };
        // An empty one is a mistake of whoever prepared this machine, best told here.
        if value.is_empty() { Err(Failure::new(format!("the secret `{self}` is empty"))) } else { Ok(value) }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{path}"),
        }
    }
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() && !name.contains(['=', '\0']) => Ok(Self::Env(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.to_owned())),
            Some(("aws-secretsmanager", _)) => {
                Err("a secret from AWS Secrets Manager is not in this version: env:NAME or file:PATH is".to_owned())
            }
            // What was written is not repeated: it may be the secret.
            _ => Err("a secret is named, never written down: env:NAME or file:PATH".to_owned()),
        }
    }
}

impl<'de> Deserialize<'de> for TextOrSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(TEXT, TextOrSecretVisitor)
    }
}

struct TextOrSecretVisitor;

impl<'de> Visitor<'de> for TextOrSecretVisitor {
    type Value = TextOrSecret;

    /// A map, and whatever JSON holds.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<TextOrSecret, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or `{ secret: env:NAME }`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<TextOrSecret, E> {
        Ok(TextOrSecret::Text(text.to_owned()))
    }

    fn visit_bool<E: de::Error>(self, it: bool) -> Result<TextOrSecret, E> {
        Ok(TextOrSecret::Text(it.to_string()))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<TextOrSecret, E> {
        Ok(TextOrSecret::Text(number.to_string()))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<TextOrSecret, E> {
        Ok(TextOrSecret::Text(number.to_string()))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<TextOrSecret, E> {
        Ok(TextOrSecret::Text(number.to_string()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TextOrSecret, A::Error> {
        const KEYS: &[&str] = &["secret"];
        let mut source = None;
        while let Some(key) = map.next_key::<String>()? {
            if key != "secret" {
                return Err(de::Error::unknown_field(&key, KEYS));
            }
            if source.is_some() {
                return Err(de::Error::duplicate_field("secret"));
            }
            source = Some(map.next_value::<Word>()?.0.parse().map_err(de::Error::custom)?);
        }
        source.map(TextOrSecret::Secret).ok_or_else(|| de::Error::missing_field("secret"))
    }
}

impl JsonSchema for TextOrSecret {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "TextOrSecret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": ["string", "number", "boolean"] },
                {
                    "type": "object",
                    "properties": {
                        "secret": {
                            "type": "string",
                            "pattern": "^(env|file):.+$",
                            "description": "Where the secret is read when the step starts: env:NAME or file:PATH.",
                        },
                    },
                    "required": ["secret"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_secret_is_named_and_a_text_is_a_text() {
        let text = |text: &str| Ok(TextOrSecret::Text(text.to_owned()));
        let refused = |why: &str| Err(why.to_owned());
        for (written, read) in [
            (json!("plain"), text("plain")),
            (json!(5432), text("5432")),
            (json!(true), text("true")),
            (json!({"secret": "env:TOKEN"}), Ok(TextOrSecret::Secret(Source::Env("TOKEN".into())))),
            (json!({"secret": "file:a/b"}), Ok(TextOrSecret::Secret(Source::File("a/b".into())))),
            (json!({"secret": "hunter2"}), refused("a secret is named, never written down: env:NAME or file:PATH")),
            (json!({"secret": "env:"}), refused("a secret is named, never written down: env:NAME or file:PATH")),
            (
                json!({"secret": "aws-secretsmanager:arn:x"}),
                refused("a secret from AWS Secrets Manager is not in this version: env:NAME or file:PATH is"),
            ),
            (json!({"secrt": "env:TOKEN"}), refused("unknown field `secrt`, expected `secret`")),
            (json!({}), refused("missing field `secret`")),
        ] {
            assert_eq!(serde_json::from_value(written).map_err(|e| e.to_string()), read);
        }
    }

    #[test]
    fn a_secret_in_a_file_ends_before_the_line_does() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("token"), "canary-1\r\n").expect("a file");
        std::fs::write(folder.path().join("empty"), "\n").expect("a file");
        let read = |path: &str| Source::File(path.into()).read(folder.path()).map_err(|f| f.message);
        assert_eq!(read("token"), Ok("canary-1".to_owned()));
        assert_eq!(read("empty"), Err("the secret `file:empty` is empty".to_owned()));
        assert!(read("gone").is_err_and(|e| e.starts_with("the secret `file:gone` cannot be read: ")));
    }
}
