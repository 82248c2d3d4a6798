//! MySQL and MariaDB: a query is prepared, which takes one statement and no more.
//!
//! Error codes are those of MySQL's and MariaDB's own lists; where both have a
//! code of their own, both stand here.

use super::session::{self, Answer, Door, Gathered, Question, float, number};
use crate::{limits, reach, trust::tls_error};
use dr_engine::{outcome::Failure, step::ReadCx};
use mysql_async::{Column, Conn, DriverError, Error, OptsBuilder, SslOpts, consts::ColumnType, prelude::Queryable};
use serde_json::Value;
use std::net::SocketAddr;

/// What keeps everybody from writing. Aurora's readers say it by the second.
const READ_ONLY: &str = "SHOW GLOBAL VARIABLES WHERE Variable_name IN \
    ('read_only', 'innodb_read_only', 'super_read_only', 'transaction_read_only', 'tx_read_only') AND Value = 'ON'";

/// Asks once.
pub(super) async fn ask(cx: &ReadCx, door: &Door, question: &Question<'_>) -> Result<Answer, Failure> {
    let (mut conn, address) = connect(cx, door).await?;
    let limit = question.limit();
    let answer = cx.clock.timeout(limit, answer(&mut conn, door, question, address)).await;
    // Not dropped: that would read the rest of an answer that is too long.
    let _left = cx.clock.timeout(limits::SQL_GRACE, conn.disconnect()).await;
    answer.unwrap_or_else(|| Err(Failure::passing(format!("no answer within {limit}"))))
}

/// Connects and logs in. Each address is tried until one lets in, or says why not.
async fn connect(cx: &ReadCx, door: &Door) -> Result<(Conn, SocketAddr), Failure> {
    let addresses = reach::addresses(cx, &door.host, door.port, door.fixed).await?;
    let until = cx.clock.now().after(limits::CONNECT_TIMEOUT);
    let mut why = Failure::passing(format!("`{}` has no address", door.host));
    for (at, address) in addresses.iter().enumerate() {
        session::only_here(door, *address)?;
        let share = reach::share(until.since(cx.clock.now()), addresses.len() - at);
        why = match cx.clock.timeout(share, Conn::new(options(door, *address))).await {
            Some(Ok(conn)) => return Ok((conn, *address)),
            Some(Err(error)) => failure(door, &error),
            None => Failure::passing(format!("{address} lets nobody in in time")),
        };
        if !why.transient {
            break;
        }
    }
    Err(why)
}

fn options(door: &Door, address: SocketAddr) -> OptsBuilder {
    let tls = door.trust.as_ref().map(|trust| {
        let roots = trust.roots.iter().map(|root| root.to_vec().into()).collect();
        SslOpts::default().with_root_certs(roots).with_disable_built_in_roots(true)
    });
    OptsBuilder::default()
        .ip_or_hostname(&door.host)
        .resolved_ips(Some(vec![address.ip()]))
        .tcp_port(address.port())
        .user(Some(&door.user))
        .pass(Some(&door.password))
        .db_name(Some(&door.database))
        .ssl_opts(tls)
        // On this machine it would look for a socket of its own accord.
        .prefer_socket(false)
        .stmt_cache_size(0)
        .max_allowed_packet(Some(limits::SQL_BYTES_MAX))
}

async fn answer(conn: &mut Conn, door: &Door, question: &Question<'_>, address: SocketAddr) -> Result<Answer, Failure> {
    let wrong = |error| failure(door, &error);
    let version: Option<String> = conn.query_first("SELECT VERSION()").await.map_err(wrong)?;
    // Milliseconds and seconds, and both would refuse the other's.
    let limit = match version {
        Some(version) if version.contains("MariaDB") => {
            format!("max_statement_time = {}.{:03}", question.timeout.0 / 1_000, question.timeout.0 % 1_000)
        }
        _ => format!("max_execution_time = {}", question.timeout.0),
    };
    conn.query_drop(format!("SET SESSION time_zone = '+00:00', {limit}")).await.map_err(wrong)?;
    conn.query_drop("START TRANSACTION READ ONLY").await.map_err(wrong)?;
    let mut answer = Answer { columns: 0, rows: Vec::new(), read_only: None, address };
    if question.writable {
        let found: Vec<(String, String)> = conn.query(READ_ONLY).await.map_err(wrong)?;
        let names: Vec<_> = found.iter().map(|(name, _)| format!("`{name}`")).collect();
        answer.read_only = (!names.is_empty()).then(|| format!("it takes no writes: {} is ON", names.join(", ")));
    }
    if let Some(query) = question.query {
        let mut gathered = Gathered::new();
        let mut said = conn.exec_iter(query, ()).await.map_err(wrong)?;
        let columns = said.columns_ref().to_vec();
        while let Some(row) = said.next().await.map_err(wrong)? {
            let values = row.unwrap_raw();
            let bytes = values.iter().flatten().map(length).sum();
            let values = values.into_iter().zip(&columns).map(|(it, of)| it.map_or(Value::Null, |it| value(it, of)));
            gathered.add(bytes, values.collect())?;
        }
        answer.columns = columns.len();
        answer.rows = gathered.rows();
    }
    Ok(answer)
}

fn length(value: &mysql_async::Value) -> usize {
    match value {
        mysql_async::Value::Bytes(bytes) => bytes.len(),
        _ => size_of::<u64>(),
    }
}

fn value(value: mysql_async::Value, of: &Column) -> Value {
    use mysql_async::Value as Said;
    match (value, of.column_type()) {
        (Said::NULL, _) => Value::Null,
        (Said::Int(it), _) => it.into(),
        (Said::UInt(it), _) => it.into(),
        (Said::Float(it), _) => float(&it.to_string()),
        (Said::Double(it), _) => float(&it.to_string()),
        (Said::Bytes(bytes), ColumnType::MYSQL_TYPE_NEWDECIMAL | ColumnType::MYSQL_TYPE_DECIMAL) => {
            number(&String::from_utf8_lossy(&bytes))
        }
        (Said::Bytes(bytes), _) => match String::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(not) => not.as_bytes().iter().fold("0x".to_owned(), |hex, byte| format!("{hex}{byte:02X}")).into(),
        },
        (Said::Date(year, month, day, ..), ColumnType::MYSQL_TYPE_DATE) => {
            format!("{year:04}-{month:02}-{day:02}").into()
        }
        (Said::Date(year, month, day, hour, minute, second, micros), of) => {
            // A TIMESTAMP is a moment, told in the session's zone; a DATETIME is what somebody wrote.
            let zone = if of == ColumnType::MYSQL_TYPE_TIMESTAMP { "Z" } else { "" };
            let part = if micros == 0 { String::new() } else { format!(".{micros:06}") };
            format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}{part}{zone}").into()
        }
        (Said::Time(negative, days, hours, minutes, seconds, micros), _) => {
            let sign = if negative { "-" } else { "" };
            let part = if micros == 0 { String::new() } else { format!(".{micros:06}") };
            format!("{sign}{:02}:{minutes:02}:{seconds:02}{part}", days * 24 + u32::from(hours)).into()
        }
    }
}

fn failure(door: &Door, error: &Error) -> Failure {
    match error {
        Error::Server(said) => {
            let says = format!("{} (error {})", said.message, said.code);
            match said.code {
                1792 | 1290 | 1836 => session::would_write(&says),
                // Too many connections, of all or of one user; shutting down; locks and deadlocks; a query that was
                // ended, by its time (3024, 1969) or by somebody; a connection that was.
                1040 | 1203 | 1226 | 1053 | 1205 | 1213 | 1317 | 1927 | 1969 | 3024 | 1158..=1161 => {
                    Failure::passing(says)
                }
                1045 | 1130 | 1698 | 3159 => Failure::new(format!("`{}` is not let in: {says}", door.user))
                    .hint("see `user`, `password`, and whom the server lets in from here"),
                1044 | 1049 => Failure::new(says).hint("see `database`, and what `user` may see"),
                1142 | 1143 | 1227 => {
                    Failure::new(says).hint(format!("let `{}` read it: GRANT SELECT ON … TO …", door.user))
                }
                _ => Failure::new(format!("the query is refused: {says}")).hint("see `query`"),
            }
        }
        Error::Driver(DriverError::NoClientSslFlagFromServer) => session::no_tls(door),
        // Its own limit on what it reads has no name beside its words.
        Error::Io(_) if error.to_string().contains("larger than max_allowed_packet") => session::too_much(),
        Error::Driver(DriverError::ConnectionClosed) => {
            Failure::passing(format!("`{}` closed the connection", door.host))
        }
        Error::Driver(DriverError::UnknownAuthPlugin { .. } | DriverError::CleartextPluginDisabled) => {
            Failure::new(format!("`{}` cannot log in: {error}", door.user))
                .hint("passwords alone are known: caching_sha2_password or mysql_native_password")
        }
        Error::Driver(DriverError::StmtParamsMismatch { .. }) => {
            Failure::new("the query has a `?` outside of quotes, which stands for a value that nobody gives")
                .hint("see `query`")
        }
        _ => match tls_error(error) {
            Some(error) => session::tls(door, error),
            None => Failure::passing(format!("no answer of `{}`: {error}", door.host)),
        },
    }
}
