//! PostgreSQL: a query is prepared, which takes one statement and no more, and
//! then run as text, so that every type is what the server itself shows.
//!
//! SQLSTATE codes are those of Appendix A of its manual.

use super::session::{self, Answer, Door, Gathered, Question, float, number};
use crate::{client::chain, limits, reach, trust::tls_error};
use dr_engine::{outcome::Failure, step::ReadCx};
use futures_util::StreamExt;
use serde_json::Value;
use std::{
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_postgres::{
    Client, Config, Error, NoTls, SimpleQueryMessage, Statement,
    config::SslMode,
    tls::{MakeTlsConnect, TlsConnect},
    types::Type,
};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Whether writes are taken. A replica is in recovery; the setting holds for whoever asks for nothing else.
const WRITABLE: &str = "SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only')";

/// Asks once.
pub(super) async fn ask(cx: &ReadCx, door: &Door, question: &Question<'_>) -> Result<Answer, Failure> {
    let (stream, address) = reach::connect(cx, &door.host, door.port, door.fixed).await?;
    session::only_here(door, address)?;
    let stream = Measured { inner: stream, left: limits::SQL_BYTES_MAX };
    let Some(trust) = &door.trust else { return Box::pin(talk(cx, door, question, (stream, address), NoTls)).await };
    let mut tls = MakeRustlsConnect::new(trust.config.as_ref().clone());
    let Ok(tls) = MakeTlsConnect::<Measured>::make_tls_connect(&mut tls, &door.host);
    Box::pin(talk(cx, door, question, (stream, address), tls)).await
}

async fn talk<T>(
    cx: &ReadCx,
    door: &Door,
    question: &Question<'_>,
    (stream, address): (Measured, SocketAddr),
    tls: T,
) -> Result<Answer, Failure>
where
    T: TlsConnect<Measured> + Send,
    T::Stream: Send,
    T::Future: Send,
{
    let mut config = Config::new();
    config.user(&door.user).password(&door.password).dbname(&door.database).application_name("dr");
    config.ssl_mode(if door.trust.is_some() { SslMode::Require } else { SslMode::Disable });
    let connected = cx.clock.timeout(limits::CONNECT_TIMEOUT, config.connect_raw(stream, tls)).await;
    let connected = connected.ok_or_else(|| Failure::passing(format!("`{}` lets nobody in in time", door.host)))?;
    let (client, connection) = connected.map_err(|error| failure(door, &error))?;
    let limit = question.limit();
    let work = cx.clock.timeout(limit, async {
        let answer = answer(&client, question, address).await;
        answer.map_err(|broken| broken.failure(door))
    });
    let (mut work, mut connection) = (pin!(work), pin!(connection));
    // The connection moves the bytes. Where it breaks, it knows why; the work only knows that it did.
    let answer = tokio::select! {
        biased;
        answer = &mut work => answer.unwrap_or_else(|| Err(Failure::passing(format!("no answer within {limit}")))),
        ended = &mut connection => Err(ended.err().map_or_else(
            || Failure::passing(format!("`{}` closed the connection", door.host)),
            |error| failure(door, &error),
        )),
    };
    answer
}

/// Why there is no answer.
enum Broken {
    Said(Error),
    Judged(Failure),
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Self::Said(error)
    }
}

impl Broken {
    fn failure(self, door: &Door) -> Failure {
        match self {
            Self::Said(error) => failure(door, &error),
            Self::Judged(failure) => failure,
        }
    }
}

async fn answer(client: &Client, question: &Question<'_>, address: SocketAddr) -> Result<Answer, Broken> {
    let begin = format!(
        "START TRANSACTION READ ONLY; SET LOCAL statement_timeout = {}; SET LOCAL TIME ZONE 'UTC'; \
         SET LOCAL datestyle = 'ISO'; SET LOCAL bytea_output = 'hex'",
        question.timeout.0
    );
    client.batch_execute(&begin).await?;
    let mut answer = Answer { columns: 0, rows: Vec::new(), read_only: None, address };
    if question.writable {
        answer.read_only = read_only(client).await?;
    }
    if let Some(query) = question.query {
        let statement = client.prepare(query).await?;
        answer.columns = statement.columns().len();
        answer.rows = rows(client, query, &statement).await?;
    }
    client.batch_execute("ROLLBACK").await?;
    Ok(answer)
}

async fn read_only(client: &Client) -> Result<Option<String>, Broken> {
    let statement = client.prepare(WRITABLE).await?;
    let rows = rows(client, WRITABLE, &statement).await?;
    let cell = |at: usize| rows.first().and_then(|row| row.get(at));
    Ok(match (cell(0), cell(1)) {
        (Some(Value::Bool(false)), Some(Value::String(off))) if off == "off" => None,
        (Some(Value::Bool(false)), _) => {
            Some("it takes no writes of this user: `default_transaction_read_only` is on".into())
        }
        _ => Some("it takes no writes: it is a replica, or still recovers".into()),
    })
}

async fn rows(client: &Client, query: &str, statement: &Statement) -> Result<Vec<Vec<Value>>, Broken> {
    let mut gathered = Gathered::new();
    let mut said = pin!(client.simple_query_raw(query).await?);
    while let Some(message) = said.next().await {
        let SimpleQueryMessage::Row(row) = message? else { continue };
        let texts: Vec<_> = (0..row.len()).map(|at| row.get(at)).collect();
        let bytes = texts.iter().flatten().map(|text| text.len()).sum();
        let types = statement.columns().iter().map(tokio_postgres::Column::type_);
        let values = texts.into_iter().zip(types).map(|(text, of)| value(text, of)).collect();
        gathered.add(bytes, values).map_err(Broken::Judged)?;
    }
    Ok(gathered.rows())
}

fn value(text: Option<&str>, of: &Type) -> Value {
    let Some(text) = text else { return Value::Null };
    match *of {
        Type::BOOL => (text == "t").into(),
        Type::INT2 | Type::INT4 | Type::INT8 | Type::OID | Type::NUMERIC => number(text),
        Type::FLOAT4 | Type::FLOAT8 => float(text),
        _ => text.into(),
    }
}

fn failure(door: &Door, error: &Error) -> Failure {
    if let Some(said) = error.as_db_error() {
        let code = said.code().code();
        let says = format!("{} (SQLSTATE {code})", said.message());
        return match (code.get(..2).unwrap_or_default(), code) {
            (_, "25006") => session::would_write(&says),
            // Broken connections, conflicts, no room, no lock, and whatever an operator does: starting, stopping.
            ("08" | "40" | "53" | "57", _) | (_, "55P03") => Failure::passing(says),
            ("28", _) => Failure::new(format!("`{}` is not let in: {says}", door.user))
                .hint("see `user`, `password`, and whom the server lets in from here"),
            (_, "3D000") => Failure::new(says).hint("see `database`"),
            (_, "42501") => Failure::new(says).hint(format!("let `{}` read it: GRANT SELECT ON … TO …", door.user)),
            _ => Failure::new(format!("the query is refused: {says}")).hint("see `query`"),
        };
    }
    if let Some(error) = tls_error(error) {
        return session::tls(door, error);
    }
    let says = chain(error);
    if says.contains("server does not support TLS") {
        return session::no_tls(door);
    }
    if says.contains(TOO_MUCH) { session::too_much() } else { Failure::passing(says) }
}

/// A connection of which no more than so much is read: one field alone may be a gigabyte.
struct Measured {
    inner: TcpStream,
    left: usize,
}

const TOO_MUCH: &str = "more than is read of a database";

impl AsyncRead for Measured {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        let left = self.left.checked_sub(buf.filled().len() - before);
        self.left = left.ok_or_else(|| io::Error::other(TOO_MUCH))?;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Measured {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
