//! Secrets: named in the settings, read when they are needed, never shown.
//!
//! What is read is wiped from memory when it is dropped. Copies that a library
//! makes for itself (those of a login, say) are not wiped: this is no shelter
//! from somebody who can read the memory of `dr`.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, de};
use std::{
    env, fmt,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

/// The longest secret, in bytes.
pub const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// A secret's text. It has no `Serialize`, and its `Debug` does not show it.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// The text itself, for the one call that needs it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// A text that others wrote, without this secret should they have repeated it.
    pub fn hide(&self, text: &str) -> String {
        text.replace(self.expose(), "[secret]")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<Secret> for SecretString {
    fn from(secret: Secret) -> Self {
        secret.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Where a secret is, as the settings say it: `{ secret = "env:NAME" }` or `{ secret = "file:PATH" }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// In a variable of the environment of `dr`.
    Env(String),
    /// In a file, relative to the settings; a line's end behind it is not part of it.
    File(PathBuf),
}

/// A secret that cannot be had. Names where it should be, never what it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the secret `{source_name}` {why}")]
pub struct Unread {
    source_name: String,
    why: String,
}

impl Source {
    /// The secret; a path is relative to `folder`.
    pub fn read(&self, folder: &Path) -> Result<Secret, Unread> {
        let wrong = |why: String| Unread { source_name: self.to_string(), why };
        let mut text = match self {
            Self::Env(name) => env::var(name).map_err(|error| match error {
                env::VarError::NotPresent => wrong("is not set".into()),
                env::VarError::NotUnicode(_) => wrong("is not text".into()),
            })?,
            Self::File(path) => {
                let mut text = String::new();
                let file = File::open(folder.join(path));
                file.and_then(|file| file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text))
                    .map_err(|error| wrong(format!("cannot be read: {error}")))?;
                text.truncate(text.trim_end_matches(['\r', '\n']).len());
                text
            }
        };
        match text.len() as u64 {
            // An empty one is a mistake of whoever prepared this machine, best told here.
            0 => Err(wrong("is empty".into())),
            length if length > SECRET_BYTES_MAX => Err(wrong(format!("is longer than {} KiB", SECRET_BYTES_MAX >> 10))),
            _ => Ok(Secret::from(std::mem::take(&mut text))),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() && !name.contains(['=', '\0']) => Ok(Self::Env(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            // What was written is not repeated: it may be the secret.
            _ => Err("a secret is named, never written down: env:NAME or file:PATH".to_owned()),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SourceVisitor)
    }
}

/// Reads a map with one field. Not derived: a derived error shows the text that stood in its place, which may be the secret.
struct SourceVisitor;

impl<'de> de::Visitor<'de> for SourceVisitor {
    type Value = Source;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{ secret = \"env:NAME\" } or { secret = \"file:PATH\" }")
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<Source, E> {
        Err(E::custom("a secret is named, never written down: { secret = \"env:NAME\" } or { secret = \"file:PATH\" }"))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Source, A::Error> {
        let mut source = None;
        while let Some(key) = map.next_key::<String>()? {
            match (key.as_str(), &source) {
                ("secret", None) => {
                    source = Some(Source::parse(&map.next_value::<String>()?).map_err(de::Error::custom)?);
                }
                ("secret", Some(_)) => return Err(de::Error::duplicate_field("secret")),
                _ => return Err(de::Error::unknown_field(&key, &["secret"])),
            }
        }
        source.ok_or_else(|| de::Error::missing_field("secret"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_secret_is_named_and_never_repeated() {
        let named = "a secret is named, never written down: env:NAME or file:PATH";
        let source = |value: Value| serde_json::from_value::<Source>(value).map_err(|e| e.to_string());
        assert_eq!(source(json!({ "secret": "env:TOKEN" })), Ok(Source::Env("TOKEN".into())));
        assert_eq!(source(json!({ "secret": "file:a/b" })), Ok(Source::File("a/b".into())));
        for (written, why) in [
            (json!({ "secret": "hunter2" }), named),
            (json!({ "secret": "env:" }), named),
            (json!("hunter2"), "a secret is named, never written down: { secret = \"env:NAME\" } or"),
            (json!({ "secrt": "hunter2" }), "unknown field `secrt`, expected `secret`"),
            (json!({}), "missing field `secret`"),
        ] {
            let error = source(written).expect_err(why);
            assert!(error.starts_with(why) && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_secret_in_a_file_ends_before_the_line_does() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a file");
        write("token", "canary-1\r\n");
        write("empty", "\n");
        write("long", &"x".repeat(65_537));
        let read = |path: &str| Source::File(path.into()).read(folder.path()).map_err(|e| e.to_string());
        assert_eq!(read("token").expect("it is there").expose(), "canary-1");
        assert_eq!(read("empty").expect_err("empty"), "the secret `file:empty` is empty");
        assert_eq!(read("long").expect_err("long"), "the secret `file:long` is longer than 64 KiB");
        assert!(read("gone").expect_err("gone").starts_with("the secret `file:gone` cannot be read: "));
        let unset = Source::Env("DR_TEST_NEVER_SET".into()).read(folder.path()).expect_err("unset");
        assert_eq!(unset.to_string(), "the secret `env:DR_TEST_NEVER_SET` is not set");
    }

    #[test]
    fn a_secret_shows_itself_to_nobody() {
        let secret = Secret::from("canary-2".to_owned());
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "[secret] Some([secret])");
        assert_eq!(secret.hide("535 bad password canary-2, canary-2"), "535 bad password [secret], [secret]");
    }
}
