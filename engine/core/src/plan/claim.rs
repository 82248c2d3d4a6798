//! `claim:`: the object that keeps two laptops from starting the same recovery.

use crate::event::RunKind;
use serde::{Deserialize, Serialize};

/// The longest key that S3 takes, in bytes.
const KEY_BYTES_MAX: usize = 1024;
/// What `claim` looks like.
pub(super) const AS_IN: &str = "as in s3://dr-eu-central-1/claims/production";

/// Where a recovery is claimed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The bucket.
    pub bucket: String,
    /// The key that live runs use.
    pub key: String,
    /// The region of the bucket: the one that recovers.
    pub region: String,
}

impl Claim {
    /// The claim that a text names, or why it names none.
    pub(super) fn read(text: &str, region: String) -> Result<Self, String> {
        let named = text.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
        let Some((bucket, key)) = named else {
            return Err(format!("`claim` names an object in S3, this is `{text}`"));
        };
        if !is_bucket(bucket) {
            return Err(format!("`{bucket}` is no name of a bucket: 3 to 63 of a–z, 0–9, `-` and `.`"));
        }
        if key.is_empty() || key.ends_with('/') {
            return Err(format!("`claim` names an object, and `{text}` ends before its name"));
        }
        if key.len() + suffix(RunKind::Drill).len() > KEY_BYTES_MAX || key.chars().any(char::is_control) {
            return Err(format!(
                "this is no key of an object: it has {} bytes, or signs that cannot be seen",
                key.len()
            ));
        }
        Ok(Self { bucket: bucket.into(), key: key.into(), region })
    }

    /// The key for a kind of run: a drill holds up no recovery.
    pub fn key_of(&self, kind: RunKind) -> String {
        format!("{}{}", self.key, suffix(kind))
    }

    /// The claim as people name it.
    pub fn url(&self, kind: RunKind) -> String {
        format!("s3://{}/{}", self.bucket, self.key_of(kind))
    }
}

fn suffix(kind: RunKind) -> &'static str {
    match kind {
        RunKind::Live => "",
        RunKind::Drill => ".drill",
        RunKind::Lab => ".lab",
    }
}

/// Whether S3 takes this for the name of a general purpose bucket.
fn is_bucket(name: &str) -> bool {
    let plain = |c: &u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = name.as_bytes();
    (3..=63).contains(&bytes.len())
        && bytes.iter().all(|c| plain(c) || matches!(c, b'-' | b'.'))
        && bytes.first().is_some_and(plain)
        && bytes.last().is_some_and(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Claim, String> {
        Claim::read(text, "eu-central-1".into())
    }

    #[test]
    fn each_kind_of_run_has_a_key_of_its_own() {
        let claim = read("s3://dr-eu-central-1/claims/production").expect("a claim");
        assert_eq!((claim.bucket.as_str(), claim.key.as_str()), ("dr-eu-central-1", "claims/production"));
        let urls = [RunKind::Live, RunKind::Drill, RunKind::Lab].map(|kind| claim.url(kind));
        let url = "s3://dr-eu-central-1/claims/production";
        assert_eq!(urls, [url.to_owned(), format!("{url}.drill"), format!("{url}.lab")]);
    }

    #[test]
    fn what_names_no_object_is_refused() {
        for (text, why) in [
            ("production", "names an object in S3"),
            ("s3://dr-eu-central-1", "names an object in S3"),
            ("S3://bucket/key", "names an object in S3"),
            ("s3://Bucket/key", "no name of a bucket"),
            ("s3://-bucket/key", "no name of a bucket"),
            ("s3://b/key", "no name of a bucket"),
            ("s3://bucket/", "ends before its name"),
            ("s3://bucket/claims/", "ends before its name"),
            ("s3://bucket/a\u{7}b", "cannot be seen"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
        // A drill's key is longer than that of a live run.
        let longest = "k".repeat(KEY_BYTES_MAX - ".drill".len());
        assert!(read(&format!("s3://bucket/{longest}")).is_ok());
        assert!(read(&format!("s3://bucket/{longest}k")).is_err());
    }
}
