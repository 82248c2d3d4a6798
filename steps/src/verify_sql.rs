//! `verify.sql`: what a database answers to a query.
//!
//! It only looks, in three ways at once: a query begins with a word that reads,
//! it runs in a transaction that the server itself keeps read-only, and nothing
//! but one statement is taken. What is set for it is set for that transaction
//! alone, so that a pool of connections in between keeps nothing of it.

mod expect;
mod mysql;
mod postgres;
mod session;
mod statements;

use crate::{
    limits, prepared,
    probe::{Place, Seen},
    redact::Redactor,
    secret::TextOrSecret,
    text,
    trust::Trust,
    verify::{Row, five_seconds, one},
    world::World,
};
use async_trait::async_trait;
use dr_engine::{
    duration::Dur,
    kind::{Explained, Reference},
    need::Need,
    outcome::{Failure, Output, RecoveryPoint},
    step::{Check, Description, Mistake, OutputName, OutputType, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use expect::Wanted;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use session::{Answer, Door, Question};
use std::{collections::BTreeMap, num::NonZeroU32};

/// Waits until a database answers a query as it should, or accepts writes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifySql {
    /// What the database speaks: `postgres` or `mysql`, Aurora's too. MariaDB speaks `mysql`.
    engine: Engine,
    /// The database's endpoint, by the name that stands in its certificate.
    #[serde(deserialize_with = "crate::form::one::<crate::form::Host, _>")]
    host: In<String>,
    /// Where it listens. Default: 5432 for `postgres`, 3306 for `mysql`.
    port: Option<In<u16>>,
    /// The database on that server.
    database: In<String>,
    /// Who asks: a user who may read what the query reads, and nothing else.
    user: In<String>,
    /// The user's password: `{ secret: env:NAME }` or `{ secret: file:PATH }`, never the text itself.
    password: In<TextOrSecret>,
    /// One statement that begins with SELECT, WITH, VALUES, TABLE or SHOW. Without `expect` it has no use.
    query: Option<In<String>>,
    /// What the query is to answer.
    expect: Option<Wanted>,
    /// Whether the server has to accept writes: it is no replica, and not read-only. Default: false.
    #[serde(default)]
    writable: bool,
    /// How long the query may take; the server ends it then. Default: 10s, at most 75s.
    #[serde(default = "query_timeout")]
    query_timeout: Dur,
    /// A file of certificates (PEM), relative to the runbook: who has one of these is believed, and nobody else.
    /// Default: those of this machine, among which Amazon's for RDS are not.
    ca: Option<In<String>>,
    /// Speaks without TLS, which only an address of this machine may: a tunnel that ends here, or a lab. Default: false.
    #[serde(default)]
    plain_on_loopback: bool,
    /// Where hosts are, whatever their names say: `{ orders.abc.eu-central-1.rds.amazonaws.com: 127.0.0.1:15432 }`, for
    /// a tunnel.
    #[serde(default)]
    resolve: BTreeMap<String, In<Place>>,
    /// The pause between two looks. Default: 5s.
    #[serde(default = "five_seconds")]
    every: Dur,
    /// How many looks in a row must be good. Default: 1.
    #[serde(default = "one")]
    good_in_a_row: NonZeroU32,
    #[serde(skip)]
    #[schemars(skip)]
    row: Row,
}

/// What a database speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// PostgreSQL.
    Postgres,
    /// MySQL and MariaDB.
    Mysql,
}

fn query_timeout() -> Dur {
    limits::SQL_TIMEOUT
}

impl Engine {
    fn port(self) -> u16 {
        match self {
            Self::Postgres => 5432,
            Self::Mysql => 3306,
        }
    }
}

impl VerifySql {
    /// Where it is and who asks; secrets are read now.
    fn door(&self, cx: &ReadCx, redactor: &mut Redactor) -> Result<Door, Failure> {
        let world = World::of(cx);
        let host = self.host.get();
        let port = self.port.as_ref().map_or(self.engine.port(), |port| *port.get());
        let fixed = self.resolve.iter().find(|(name, _)| name.eq_ignore_ascii_case(host));
        let trust = match &self.ca {
            _ if self.plain_on_loopback => None,
            Some(path) => Some(Trust::of_file(path.get(), &world.path(path.get()))?),
            None => Some(world.tls.get()?),
        };
        Ok(Door {
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port,
            fixed: fixed.map(|(_, place)| place.get().at(port)),
            database: self.database.get().clone(),
            user: self.user.get().clone(),
            password: self.password.get().read(&world.runbook_folder, redactor)?,
            trust,
        })
    }

    /// Asks once.
    async fn ask(&self, cx: &ReadCx, redactor: &mut Redactor) -> Result<Answer, Failure> {
        let query = self.query.as_ref().map(|query| query.get().as_str());
        if let Some(mistake) = query.and_then(session::writes) {
            return Err(Failure::new(mistake.message).hint(mistake.help));
        }
        let door = self.door(cx, redactor)?;
        let question = Question { query, writable: self.writable, timeout: self.query_timeout };
        match self.engine {
            Engine::Postgres => Box::pin(postgres::ask(cx, &door, &question)).await,
            Engine::Mysql => Box::pin(mysql::ask(cx, &door, &question)).await,
        }
    }

    /// One look.
    async fn probe(&self, cx: &ReadCx) -> Result<Seen, Failure> {
        let mut redactor = Redactor::default();
        let since = cx.clock.now();
        let asked = self.ask(cx, &mut redactor).await;
        let took = cx.clock.now().since(since);
        let harmless = |text: &str| text::short(&redactor.text(&text::clean(text))).into_owned();
        let harmless_failure = |failure: Failure| Failure { message: harmless(&failure.message), ..failure };
        let answer = match asked.map_err(harmless_failure) {
            Ok(answer) => answer,
            Err(failure) => return Seen::of(failure),
        };
        if let Some(why) = &answer.read_only {
            return Ok(Seen::bad(harmless(why)));
        }
        let judged = self.expect.as_ref().map(|expect| expect.judge(cx, &answer)).transpose();
        let at = match judged.map_err(harmless_failure)? {
            Some(Err(why)) => return Ok(Seen::bad(harmless(&why))),
            Some(Ok(at)) => at,
            None => None,
        };
        let mut values = json!({ "healthy": true, "latency_ms": took.0, "address": answer.address.to_string() });
        if let [row] = answer.rows.as_slice()
            && let [value] = row.as_slice()
        {
            values["value"] = match redactor.value(value.clone()) {
                Value::String(text) => text::short(&text).into(),
                value => value,
            };
        }
        let mut seen = Seen::good(format!("answered as expected after {took}"), values);
        if let Some(at) = at {
            seen.values.append(&mut crate::newest::values(cx, at));
            let source = format!("newest time of the query, in `{}` on {}", self.database, self.host);
            seen.recovery_point = Some(RecoveryPoint { at, source });
        }
        Ok(seen)
    }
}

impl Explained for VerifySql {
    const REFERENCE: Reference = Reference {
        check: "One connection, with TLS and the certificate checked, one transaction that the server keeps read-only, \
            one statement in it. Done if the answer is as expected and one good look is enough; otherwise it is the \
            first of the row. A database that cannot be reached, starts, has no connection free or does not answer in \
            time is looked at again. A password that is wrong, a database or table that is not there, a mistake of the \
            query, a certificate that is not believed fail the step at once, and so does a query that would write: the \
            server refuses it.",
        run: "Asks again every `every`, until `good_in_a_row` answers were good one after the other, as long as the \
            step's `timeout` lets it.",
        undo: None,
        recovery_point: Some("With `age_max`: the time that the query answers."),
        time: "As long as the query takes, once the database is up.",
        traps: &[
            "Give it a user of its own. PostgreSQL: `CREATE ROLE dr_verify LOGIN PASSWORD '…'; GRANT CONNECT ON DATABASE \
             shop TO dr_verify; GRANT USAGE ON SCHEMA public TO dr_verify; GRANT SELECT ON orders TO dr_verify`. MySQL: \
             `CREATE USER dr_verify@'%' IDENTIFIED BY '…'; GRANT SELECT ON shop.orders TO dr_verify@'%'`. It has to be \
             made beforehand, where it is restored and replicated with the rest.",
            "The server keeps tables from being written, not a function from acting outside of them: that is what the \
             user may not do.",
            "RDS's certificates are not among those of a machine. Amazon's bundle, \
             https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem, beside the runbook, is what `ca` names. \
             A CNAME of yours is not in RDS's certificate: name the endpoint.",
            "Passwords alone are known: a login by IAM token is not in this version. MySQL 8's caching_sha2_password is \
             the driver's, and was not tried against a server of MySQL's own: the tests are MariaDB's.",
            "What was restored from a snapshot is read from S3 at first: a count over a large table may take minutes. \
             Ask for what an index answers.",
            "What was restored stays as old as it is: there the wait for a younger time ends with `timeout`, and somebody \
             decides.",
            "A replica answers too, and says what it has: with `writable: true` it is not good until it was promoted.",
            "`writable` of PostgreSQL asks for the settings of this user: of one that is made read-only by `ALTER ROLE … \
             SET default_transaction_read_only` nobody can tell.",
            "Values are those of JSON: a number, a text, true or false, and `null` for NULL, which is not the empty \
             text. Whole numbers beyond 64 bits, decimals of more than 15 digits, times and all other types are the \
             text that the server shows, times of a zone in UTC. MySQL has no booleans: it says 1 and 0.",
            "Rows come in the order that the query gives: without ORDER BY there is none.",
            "`age_max` takes no time without a zone, as a `timestamp` of PostgreSQL or a DATETIME of MySQL is: nobody \
             could tell which moment that was. Say it in the query: `max(created_at) AT TIME ZONE 'UTC'` or \
             `UNIX_TIMESTAMP(max(created_at))`, which takes it for UTC.",
            "Nothing more than 1,000 rows or 4 MiB is read: let the database count.",
        ],
        example: "
            orders_are_there:
              do:
                verify.sql:
                  engine: postgres
                  host: orders-dr.abc.eu-central-1.rds.amazonaws.com
                  database: shop
                  user: dr_verify
                  password: { secret: env:DR_VERIFY_PASSWORD }
                  ca: rds-global-bundle.pem
                  query: SELECT max(created_at) FROM orders
                  expect: { age_max: 15m }
              timeout: 20m
              rpo: 15m
            promoted:
              do:
                verify.sql:
                  engine: mysql
                  host: carts-replica.abc.eu-central-1.rds.amazonaws.com
                  database: shop
                  user: dr_verify
                  password: { secret: env:DR_VERIFY_PASSWORD }
                  ca: rds-global-bundle.pem
                  query: SELECT count(*) FROM carts
                  expect: { at_least: 1000 }
                  writable: true
              timeout: 20m
        ",
    };
}

#[async_trait]
impl Step for VerifySql {
    fn describe(&self) -> Description {
        let what = match (&self.query, self.writable) {
            (Some(_), true) => "the expected answer, and writes,",
            (Some(_), false) => "the expected answer",
            (None, _) => "writes",
        };
        let summary = format!("waits for {what} of database `{}` on {}", self.database, self.host);
        Description { summary, ..Description::default() }
    }

    fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        let mut mistake = |field, message: String, help: &str| {
            mistakes.push(Mistake { field, message, help: help.into() });
        };
        match (&self.query, &self.expect) {
            (None, None) if !self.writable => mistake(
                "engine",
                "nothing is asked of the database".into(),
                "name a `query` and what to `expect`, or say `writable: true`",
            ),
            (Some(_), None) => mistake(
                "query",
                "any answer would be good".into(),
                "say what to `expect`: `rows`, `value`, `at_least`, `at_most` or `age_max`",
            ),
            (None, Some(_)) => mistake("expect", "no query is asked".into(), "name the `query`"),
            _ => {}
        }
        if let Some(why) = self.expect.as_ref().and_then(Wanted::mistake) {
            mistake("expect", why.into(), "it is one of `rows`, `value`, `age_max`, or `at_least` and `at_most`");
        }
        if matches!(self.password, In::Lit(TextOrSecret::Text(_)) | In::Later(_)) {
            mistake(
                "password",
                "a password is named, never written down".into(),
                "`{ secret: env:NAME }` or `{ secret: file:PATH }`",
            );
        }
        if !(Dur(1)..=limits::SQL_TIMEOUT_MAX).contains(&self.query_timeout) {
            let text = format!("`query_timeout` is {}; at most {} fit", self.query_timeout, limits::SQL_TIMEOUT_MAX);
            mistake(
                "query_timeout",
                text,
                "a look has two minutes in all, with what it takes to connect: ask for what an index answers",
            );
        }
        if self.plain_on_loopback && self.ca.is_some() {
            mistake("ca", "without TLS nobody shows a certificate".into(), "leave out `ca`, or `plain_on_loopback`");
        }
        if let Some(In::Lit(query)) = &self.query {
            mistakes.extend(session::writes(query));
            mistakes.extend(statements::several(self.engine, query));
        }
        mistakes
    }

    fn leans_on(&self) -> Vec<Need> {
        let certificates = self.ca.as_ref().filter(|_| !self.plain_on_loopback).map(|file| match file {
            In::Lit(file) => Need::Certificates(file.clone()),
            In::Later(file) => Need::Later { what: "file of certificates", written: file.to_string() },
        });
        prepared::secrets([&self.password]).chain(certificates).collect()
    }

    fn outputs(&self) -> Vec<OutputName> {
        let mut outputs: Vec<_> =
            ["healthy", "value"].map(|name| OutputName { name: name.into(), is: OutputType::Any }).into();
        outputs.extend([OutputName::number("latency_ms"), OutputName::text("address")]);
        if self.expect.as_ref().is_some_and(Wanted::is_age) {
            outputs.extend([OutputName::text("written_at"), OutputName::number("before_incident_ms")]);
        }
        outputs
    }

    fn changes(&self) -> bool {
        false
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        Ok(self.row.begin(cx, self.good_in_a_row, self.probe(cx).await?))
    }

    async fn watch(&self, cx: &ReadCx) -> Result<Check, Failure> {
        self.row.watch(cx, self.good_in_a_row, self.probe(cx).await)
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        self.row.go_on(&cx.read, self.good_in_a_row, self.every, || self.probe(&cx.read)).await
    }
}
