//! What both engines are given and give, and what goes wrong with either.

use crate::{limits, trust::Trust};
use dr_engine::{duration::Dur, outcome::Failure, step::Mistake};
use serde_json::Value;
use std::net::SocketAddr;

/// Which database, and who asks.
pub(super) struct Door {
    pub(super) host: String,
    pub(super) port: u16,
    /// Where the host is, whatever its name says.
    pub(super) fixed: Option<SocketAddr>,
    pub(super) database: String,
    pub(super) user: String,
    pub(super) password: String,
    /// Whose certificates are believed; none where nothing is encrypted.
    pub(super) trust: Option<Trust>,
}

/// What it is asked.
pub(super) struct Question<'a> {
    pub(super) query: Option<&'a str>,
    pub(super) writable: bool,
    pub(super) timeout: Dur,
}

impl Question<'_> {
    /// How long an answer is waited for: the server ends the query before.
    pub(super) fn limit(&self) -> Dur {
        Dur(self.timeout.0 + limits::SQL_GRACE.0)
    }
}

/// What it answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) columns: usize,
    pub(super) rows: Vec<Vec<Value>>,
    /// Why it takes no writes, where that was asked and is so.
    pub(super) read_only: Option<String>,
    pub(super) address: SocketAddr,
}

/// The words that a query which reads begins with. `EXPLAIN ANALYZE` runs what it explains, and is left out.
const READS: [&str; 5] = ["SELECT", "WITH", "VALUES", "TABLE", "SHOW"];

/// A query that begins otherwise. What the others hide, the server refuses.
pub(super) fn writes(query: &str) -> Option<Mistake> {
    let word: String = beginning(query).chars().take_while(char::is_ascii_alphabetic).collect();
    (!READS.iter().any(|reads| word.eq_ignore_ascii_case(reads))).then(|| Mistake {
        field: "query",
        message: match word.as_str() {
            "" => "this is no query".into(),
            word => format!("a query that begins with `{word}` may write"),
        },
        help: "`verify.sql` only looks: SELECT, WITH, VALUES, TABLE or SHOW".into(),
    })
}

/// A query from its first word on. What MySQL runs out of a comment (`/*!`) is none.
fn beginning(query: &str) -> &str {
    let rest = query.trim_start_matches(|c: char| c.is_whitespace() || c == '(');
    let after = |end: &str| rest.split_once(end).map_or("", |(_, rest)| rest);
    match rest {
        _ if rest.starts_with("--") => beginning(after("\n")),
        _ if rest.starts_with("/*") && !rest.starts_with("/*!") && !rest.starts_with("/*M!") => beginning(after("*/")),
        _ => rest,
    }
}

/// A number as the server writes it; as text, where JSON's would lose a part of it.
pub(super) fn number(text: &str) -> Value {
    /// So many digits of any decimal outlive a float.
    const DIGITS: usize = 15;
    if let Ok(whole) = text.parse::<i64>() {
        return whole.into();
    }
    if let Ok(whole) = text.parse::<u64>() {
        return whole.into();
    }
    let digits = text.trim_start_matches(['-', '0', '.']).bytes().filter(u8::is_ascii_digit).count();
    if digits > DIGITS || text.contains(['e', 'E']) { text.into() } else { float(text) }
}

/// A float as the server writes it; `NaN` and the infinite ones are text.
pub(super) fn float(text: &str) -> Value {
    text.parse().ok().and_then(serde_json::Number::from_f64).map_or_else(|| text.into(), Value::Number)
}

/// An answer that grows.
pub(super) struct Gathered {
    rows: Vec<Vec<Value>>,
    bytes: usize,
}

impl Gathered {
    pub(super) fn new() -> Self {
        Self { rows: Vec::new(), bytes: 0 }
    }

    /// One row more, which took so many bytes.
    pub(super) fn add(&mut self, bytes: usize, row: Vec<Value>) -> Result<(), Failure> {
        self.bytes += bytes;
        if self.rows.len() == limits::SQL_ROWS_MAX || self.bytes > limits::SQL_BYTES_MAX {
            return Err(too_much());
        }
        self.rows.push(row);
        Ok(())
    }

    pub(super) fn rows(self) -> Vec<Vec<Value>> {
        self.rows
    }
}

/// More than is read.
pub(super) fn too_much() -> Failure {
    let text = format!(
        "the answer is longer than what is read: {} rows, {} MiB",
        limits::SQL_ROWS_MAX,
        limits::SQL_BYTES_MAX / (1024 * 1024)
    );
    Failure::new(text).hint("let the query count, or give it a LIMIT")
}

/// It would have written.
pub(super) fn would_write(says: &str) -> Failure {
    Failure::new(format!("the query would write, and was refused: {says}"))
        .hint("`verify.sql` only looks: nothing was changed, and `query` has to be one that reads")
}

/// It does not speak TLS.
pub(super) fn no_tls(door: &Door) -> Failure {
    Failure::new(format!("`{}` speaks no TLS", door.host))
        .hint("switch it on there; only an address of this machine may do without, with `plain_on_loopback: true`")
}

/// It showed a certificate that is not believed, or the handshake went wrong.
pub(super) fn tls(door: &Door, error: &rustls::Error) -> Failure {
    match error {
        rustls::Error::InvalidCertificate(_) => {
            Failure::new(format!("the certificate of `{}` is not believed: {error}", door.host)).hint(
                "`ca` names a file with the certificate that it is signed by (RDS: \
                 https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem), `host` the name that stands in it",
            )
        }
        _ => Failure::passing(format!("no TLS with `{}`: {error}", door.host)),
    }
}

/// Without TLS nothing leaves this machine: a password would be read on the way, and an answer could be anybody's.
pub(super) fn only_here(door: &Door, address: SocketAddr) -> Result<(), Failure> {
    if door.trust.is_some() || address.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    let text =
        format!("`{}` is {}, which is not on this machine: it is not asked without TLS", door.host, address.ip());
    Err(Failure::new(text).hint("leave out `plain_on_loopback`, and name the `ca`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_tls_nothing_leaves_this_machine() {
        let door = |trust| Door {
            host: "orders".into(),
            port: 5432,
            fixed: None,
            database: "shop".into(),
            user: "dr".into(),
            password: "hunter2".into(),
            trust,
        };
        let at = |ip: &str| SocketAddr::new(ip.parse().expect("an address"), 5432);
        for here in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(only_here(&door(None), at(here)), Ok(()), "{here}");
        }
        for there in ["10.0.0.1", "8.8.8.8", "fd00::1", "0.0.0.0", "::ffff:10.0.0.1"] {
            let failure = only_here(&door(None), at(there)).expect_err(there);
            assert!(
                failure.message.ends_with("which is not on this machine: it is not asked without TLS"),
                "{failure:?}"
            );
            assert!(!failure.transient);
        }
        let trust = Trust::of_this_machine().expect("this machine trusts somebody");
        assert_eq!(only_here(&door(Some(trust)), at("10.0.0.1")), Ok(()));
    }

    /// A look that is cut off says nothing of the database; the next one would be cut off as well.
    #[test]
    fn the_longest_look_fits_into_its_time() {
        let longest = Question { query: None, writable: false, timeout: limits::SQL_TIMEOUT_MAX }.limit();
        // The name, the connection, the login, and the farewell.
        let beside = 3 * limits::CONNECT_TIMEOUT.0 + limits::SQL_GRACE.0;
        let look = dr_engine::plan::PlanStep::plain("it", "verify.sql", Value::Null).check_timeout;
        assert!(longest.0 + beside <= look.0, "{longest} and {} do not fit into {look}", Dur(beside));
    }

    #[test]
    fn a_query_begins_with_a_word_that_reads() {
        for query in [
            "SELECT 1",
            "  select 1",
            "((SELECT 1) UNION (SELECT 2))",
            "-- the newest\nSELECT 1",
            "/* a */ /* b */ with x as (select 1) table x",
            "VALUES (1)",
            "show server_version",
        ] {
            assert_eq!(writes(query), None, "{query}");
        }
        for (query, says) in [
            ("DELETE FROM orders", "a query that begins with `DELETE` may write"),
            ("commit", "a query that begins with `commit` may write"),
            ("selection", "a query that begins with `selection` may write"),
            ("EXPLAIN ANALYZE DELETE FROM orders", "a query that begins with `EXPLAIN` may write"),
            ("/*!50000 DROP TABLE orders */", "this is no query"),
            ("/*M! DROP TABLE orders */", "this is no query"),
            ("-- SELECT 1", "this is no query"),
            ("/* SELECT 1", "this is no query"),
            ("", "this is no query"),
        ] {
            assert_eq!(writes(query).map(|mistake| mistake.message).as_deref(), Some(says), "{query}");
        }
    }
}
