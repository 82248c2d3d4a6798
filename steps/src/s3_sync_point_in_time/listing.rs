//! What a bucket holds and held: its versions and deletions, in their order.

use crate::aws::Clients;
use aws_sdk_s3::types::{EncodingType, ObjectVersion, ObjectVersionStorageClass, OptionalObjectAttributes};
use dr_engine::{clock::Time, outcome::Failure};

/// One version of one key, or its deletion.
pub(super) struct Entry {
    pub(super) key: String,
    /// `None` is a deletion.
    pub(super) version: Option<String>,
    pub(super) at: Time,
    pub(super) latest: bool,
    pub(super) size: i64,
    pub(super) etag: Option<String>,
    pub(super) archived: bool,
}

/// Every version under a prefix; of one key and kind the newest first.
pub(super) async fn versions(clients: &Clients, bucket: &str, prefix: &str) -> Result<Vec<Entry>, Failure> {
    let mut all = Vec::new();
    let mut from = Some(Marker::default());
    while let Some(marker) = from {
        let (entries, next) = page(clients, bucket, prefix, marker, None).await?;
        all.extend(entries);
        from = next;
    }
    Ok(all)
}

/// The last that became of a key by a moment. Asked for one at a time, objects
/// and deletions come in their true order (Amazon S3 User Guide, Listing
/// objects in a versioning-enabled bucket: the newest first).
pub(super) async fn last_of(clients: &Clients, bucket: &str, key: &str, at: Time) -> Result<Option<Entry>, Failure> {
    let mut from = Some(Marker::default());
    while let Some(marker) = from {
        let (entries, next) = page(clients, bucket, key, marker, Some(1)).await?;
        for entry in entries {
            // A key comes before all those that begin with it.
            if entry.key != key {
                return Ok(None);
            }
            if entry.at <= at {
                return Ok(Some(entry));
            }
        }
        from = next;
    }
    Ok(None)
}

/// Where the next page of a listing begins.
#[derive(Default)]
pub(super) struct Marker {
    pub(super) key: Option<String>,
    pub(super) version: Option<String>,
}

/// One page of a listing.
pub(super) async fn page(
    clients: &Clients,
    bucket: &str,
    prefix: &str,
    from: Marker,
    most: Option<i32>,
) -> Result<(Vec<Entry>, Option<Marker>), Failure> {
    // Keys can hold what XML cannot: they travel encoded.
    let request = clients.s3.list_object_versions().bucket(bucket).prefix(prefix).encoding_type(EncodingType::Url);
    let request = request.optional_object_attributes(OptionalObjectAttributes::RestoreStatus).set_max_keys(most);
    let reply = request.set_key_marker(from.key).set_version_id_marker(from.version).send().await;
    let reply = reply.map_err(|e| clients.call("s3", "ListObjectVersions").read(&e))?;
    let time = |at: Option<&aws_sdk_s3::primitives::DateTime>| Time(at.and_then(|at| at.to_millis().ok()).unwrap_or(0));
    let objects = reply.versions().iter().map(|v| Entry {
        key: decoded(v.key().unwrap_or_default()),
        version: Some(v.version_id().unwrap_or("null").to_owned()),
        at: time(v.last_modified()),
        latest: v.is_latest().unwrap_or(false),
        size: v.size().unwrap_or(0),
        etag: Some(v.e_tag().unwrap_or_default().to_owned()),
        archived: archived(v),
    });
    let deletions = reply.delete_markers().iter().map(|v| Entry {
        key: decoded(v.key().unwrap_or_default()),
        version: None,
        at: time(v.last_modified()),
        latest: v.is_latest().unwrap_or(false),
        size: 0,
        etag: None,
        archived: false,
    });
    let next = reply.is_truncated().unwrap_or(false).then(|| Marker {
        key: reply.next_key_marker().map(decoded),
        version: reply.next_version_id_marker().map(Into::into),
    });
    Ok((objects.chain(deletions).collect(), next))
}

/// Whether an object lies in an archive and no copy of it was brought back:
/// its class stays what it was (Amazon S3 API Reference, `RestoreStatus`).
pub(super) fn archived(version: &ObjectVersion) -> bool {
    let class = version.storage_class().map(ObjectVersionStorageClass::as_str);
    let back = version.restore_status().is_some_and(|status| {
        !status.is_restore_in_progress().unwrap_or(false) && status.restore_expiry_date().is_some()
    });
    matches!(class, Some("GLACIER" | "DEEP_ARCHIVE")) && !back
}

/// A key as a URL holds it.
pub(super) fn encoded(key: &str) -> String {
    use std::fmt::Write;
    key.bytes().fold(String::with_capacity(key.len()), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            write!(text, "%{byte:02X}").expect("writing to a String");
        }
        text
    })
}

/// A key out of a listing, in which a blank is a plus.
pub(super) fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut key = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match (bytes[at], code.and_then(|code| u8::from_str_radix(code, 16).ok())) {
            (_, Some(byte)) => {
                key.push(byte);
                at += 3;
            }
            (byte, None) => {
                key.push(if byte == b'+' { b' ' } else { byte });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&key).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{decoded, encoded};

    #[test]
    fn a_key_survives_the_way_there_and_back() {
        for key in ["a b", "a+b", "100%", "what?=1&x#y", "ünï/日本", "%2F", "plain/key-1_2.~"] {
            assert_eq!(decoded(&encoded(key)), key);
        }
        assert_eq!(decoded("a+b%2Bc"), "a b+c");
        assert_eq!(decoded("%zz%"), "%zz%");
    }
}
