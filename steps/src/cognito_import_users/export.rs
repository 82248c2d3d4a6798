//! The export: one object in S3, read whole before anything is begun.
//!
//! Cognito takes what it is given and fails afterwards, row by row or as a
//! whole. What can be known before is told before: what a file has to be is in
//! the Amazon Cognito Developer Guide, "Formatting the .csv file".

use super::limits;
use crate::aws::{self, Clients, error::code};
use bytes::Bytes;
use dr_engine::outcome::{Failure, RecoveryPoint};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The metadata of the object that says when its export began.
const EXPORTED_AT: &str = "exported-at";

/// Where an export lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) bucket: String,
    pub(super) object: String,
    /// The version that is wanted; without one, the newest.
    pub(super) version: Option<String>,
}

/// An export as it was read: this one and no other is imported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Export {
    /// Its version, where the bucket keeps versions.
    pub(super) version: Option<String>,
    /// Its entity tag: a version does not hold it where versioning was suspended, whose version `null` is
    /// written over.
    pub(super) tag: Option<String>,
    /// How many users are in it.
    pub(super) users: u64,
    /// When it was taken.
    pub(super) recovery_point: RecoveryPoint,
}

impl Place {
    /// Reads the object that is asked for, and judges it by the pool's columns.
    pub(super) async fn read(&self, clients: &Clients, pool: &Columns) -> Result<Export, Failure> {
        let (version, tag, recovery_point, body) = self.get(clients, self.version.as_deref(), None).await?;
        let users = pool.judge(&body).map_err(|failure| Failure { message: self.says(&failure.message), ..failure })?;
        Ok(Export { version, tag, users, recovery_point })
    }

    /// The bytes of an export that was chosen.
    pub(super) async fn again(&self, clients: &Clients, export: &Export) -> Result<Bytes, Failure> {
        Ok(self.get(clients, export.version.as_deref(), export.tag.as_deref()).await?.3)
    }

    fn says(&self, what: &str) -> String {
        format!("s3://{}/{}: {what}", self.bucket, self.object)
    }

    async fn get(
        &self,
        clients: &Clients,
        version: Option<&str>,
        same: Option<&str>,
    ) -> Result<(Option<String>, Option<String>, RecoveryPoint, Bytes), Failure> {
        let request = clients.s3.get_object().bucket(&self.bucket).key(&self.object);
        let request = request.set_version_id(version.map(Into::into)).set_if_match(same.map(Into::into));
        let reply = match request.send().await {
            Err(e) if matches!(code(&e), "NoSuchKey" | "NoSuchVersion" | "NoSuchBucket") => {
                let what = match code(&e) {
                    "NoSuchBucket" => format!("there is no such bucket in {}", clients.region),
                    "NoSuchVersion" => "there is no such version of it".into(),
                    _ => "there is no such object".into(),
                };
                return Err(Failure::new(self.says(&what)));
            }
            Err(e) if code(&e) == "PreconditionFailed" => {
                let text = self.says("it was written over since this step chose it");
                return Err(Failure::new(text).hint("`retry --set object=…` names the export that is to be taken"));
            }
            reply => reply.map_err(|e| clients.call("s3", "GetObject").read(&e))?,
        };
        let length = reply.content_length().unwrap_or_default();
        if length > limits::EXPORT_BYTES_MAX {
            let text = format!("it is {length} bytes long; Cognito takes {} at most", limits::EXPORT_BYTES_MAX);
            return Err(Failure::new(self.says(&text)).hint("split it, and import the parts one after the other"));
        }
        let recovery_point = self.taken_at(
            reply.metadata().and_then(|metadata| metadata.get(EXPORTED_AT)),
            reply.last_modified().and_then(aws::time),
        )?;
        let (version, tag) = (reply.version_id().map(Into::into), reply.e_tag().map(Into::into));
        let body = reply.body.collect().await;
        let body = body.map_err(|_| Failure::passing(self.says("it did not come whole")))?;
        Ok((version, tag, recovery_point, body.into_bytes()))
    }

    /// When the export was taken: what its writer says, else when it was written.
    fn taken_at(
        &self,
        said: Option<&String>,
        written: Option<dr_engine::clock::Time>,
    ) -> Result<RecoveryPoint, Failure> {
        if let Some(said) = said {
            let at = aws::moment(EXPORTED_AT, said).map_err(|failure| Failure::new(self.says(&failure.message)))?;
            return Ok(RecoveryPoint { at, source: EXPORTED_AT.into() });
        }
        let at = written.ok_or_else(|| Failure::new(self.says("S3 does not say when it was written")))?;
        Ok(RecoveryPoint { at, source: "LastModified".into() })
    }
}

/// The columns that a pool wants.
pub(super) struct Columns {
    /// What `GetCSVHeader` says.
    pub(super) names: Vec<String>,
    /// Whether there is one more, that of the hashes. The reference of the API
    /// does not tell its name, so that any is let through.
    pub(super) hashes: bool,
}

impl Columns {
    /// How many users a file has, or why Cognito would not take it.
    fn judge(&self, file: &[u8]) -> Result<u64, Failure> {
        let text = str::from_utf8(file).map_err(|_| Failure::new("it is not UTF-8"))?;
        if text.starts_with('\u{feff}') {
            return Err(Failure::new("it begins with a byte order mark, which Cognito does not take"));
        }
        let mut lines = text.lines();
        let header: Vec<_> = lines.next().unwrap_or_default().split(',').map(str::trim).collect();
        self.compare(&header)?;
        let mut users = 0;
        for (line, row) in lines.enumerate().filter(|(_, row)| !row.trim().is_empty()) {
            // The first line is the header, and people count from one.
            let line = line + 2;
            let values = values(row);
            if values != header.len() {
                let text = format!("line {line} has {values} values, and the header {} columns", header.len());
                return Err(Failure::new(text).hint("a comma within a value has a backslash before it: `\\,`"));
            }
            let length = row.chars().count();
            if length > limits::EXPORT_ROW_CHARS_MAX {
                let most = limits::EXPORT_ROW_CHARS_MAX;
                return Err(Failure::new(format!("line {line} has {length} characters; Cognito takes {most}")));
            }
            users += 1;
        }
        match users {
            0 => Err(Failure::new("it holds no users")),
            users if users > limits::EXPORT_USERS_MAX => {
                let text = format!("it holds {users} users; Cognito takes {} at once", limits::EXPORT_USERS_MAX);
                Err(Failure::new(text).hint("split it, and import the parts one after the other"))
            }
            users => Ok(users),
        }
    }

    /// All columns of the pool are to be there, in any order, and no other.
    fn compare(&self, header: &[&str]) -> Result<(), Failure> {
        let has: BTreeSet<&str> = header.iter().copied().collect();
        let wants: BTreeSet<&str> = self.names.iter().map(String::as_str).collect();
        let lacks: Vec<_> = wants.difference(&has).copied().collect();
        let odd: Vec<_> = has.difference(&wants).copied().collect();
        let hint = "the header of an export is that of the pool it goes into: `aws cognito-idp get-csv-header`";
        let refuse = |text: String| Err(Failure::new(text).hint(hint));
        if !lacks.is_empty() {
            return refuse(format!("its header lacks {}", lacks.join(", ")));
        }
        if has.len() != header.len() {
            return refuse("its header names a column twice".into());
        }
        match (self.hashes, odd.len()) {
            (false, 0) | (true, 1) => Ok(()),
            (true, 0) => {
                refuse("its header has no column of hashes, and `password_hashes` says that there is one".into())
            }
            _ => refuse(format!("its header names what the pool does not have: {}", odd.join(", "))),
        }
    }
}

/// How many values a row has: a comma behind a backslash is part of a value.
fn values(row: &str) -> usize {
    let mut escaped = false;
    let commas = row.chars().filter(|letter| {
        let comma = *letter == ',' && !escaped;
        escaped = *letter == '\\' && !escaped;
        comma
    });
    commas.count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(text: &str, hashes: bool) -> Result<u64, String> {
        let names = ["email", "cognito:username"].map(Into::into).into();
        Columns { names, hashes }.judge(text.as_bytes()).map_err(|failure| failure.message)
    }

    #[test]
    fn the_columns_are_those_of_the_pool_in_any_order() {
        assert_eq!(judged("cognito:username,email\nann,a@b.c\n", false), Ok(1));
        assert_eq!(judged("email, cognito:username\r\na@b.c,ann\r\n\r\nb@b.c,bob", false), Ok(2));
        for (header, hashes, says) in [
            ("email", false, "its header lacks cognito:username"),
            ("", false, "its header lacks cognito:username, email"),
            ("email,cognito:username,nick,age", false, "its header names what the pool does not have: age, nick"),
            ("email,cognito:username,email", false, "its header names a column twice"),
            ("email,cognito:username,a,b", true, "its header names what the pool does not have: a, b"),
            ("\u{feff}email,cognito:username", false, "it begins with a byte order mark, which Cognito does not take"),
        ] {
            assert_eq!(judged(header, hashes), Err(says.into()), "{header}");
        }
        let none = judged("email,cognito:username\na@b.c,ann", true);
        assert!(none.is_err_and(|says| says.contains("no column of hashes")));
        assert_eq!(judged("email,cognito:username,hash\na@b.c,ann,$2a$10$x", true), Ok(1));
    }

    #[test]
    fn rows_that_cognito_cannot_read_are_told_by_their_line() {
        let rows = |rows: &str| judged(&format!("email,cognito:username\n{rows}"), false);
        assert_eq!(rows(r"a\,b@c.d,ann"), Ok(1), "a comma behind a backslash");
        assert_eq!(rows(r"a@b.c,ann\\,x"), Err("line 2 has 3 values, and the header 2 columns".into()));
        assert_eq!(rows("a@b.c,ann\n\nb@b.c"), Err("line 4 has 1 values, and the header 2 columns".into()));
        assert_eq!(rows("\n  \n"), Err("it holds no users".into()));
        let long = format!("{},ann", "ü".repeat(limits::EXPORT_ROW_CHARS_MAX));
        assert_eq!(rows(&long), Err("line 2 has 16004 characters; Cognito takes 16000".into()));
        assert_eq!(rows(&long[8..]), Ok(1));
        let many = "a,b\n".repeat(usize::try_from(limits::EXPORT_USERS_MAX).expect("few") + 1);
        assert_eq!(rows(&many), Err("it holds 500001 users; Cognito takes 500000 at once".into()));
        let names = vec!["a".into()];
        let none = Columns { names, hashes: false }.judge(b"a\n\xff").expect_err("no text");
        assert_eq!(none.message, "it is not UTF-8");
    }
}
