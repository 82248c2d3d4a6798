//! `verify.sql`, against real servers: PostgreSQL, and MariaDB for MySQL.

use crate::{
    database::{ADMIN, NAME, Place, Server, pause},
    support::{Scene, done, failed, step},
};
use dr_engine::{duration::Dur, step::Check};
use dr_steps::verify_sql::VerifySql;
use mysql_async::prelude::Queryable;
use serde_json::{Value, json};
use tokio_postgres::error::SqlState;

/// What stands in no message, output or fact.
const PASSWORD: &str = "hunter2-hunter2";

/// A scene, and who asks what there.
struct Client {
    scene: Scene,
    with: Value,
}

impl Client {
    fn new(engine: &str, place: &Place, server: &Server) -> Self {
        let mut scene = Scene::new("sql");
        scene.bench.run.incident_at = scene.clock.now();
        for name in ["ca.pem", "other.pem"] {
            std::fs::copy(place.path(name), scene.book(name)).expect("a certificate");
        }
        std::fs::write(scene.book("secret"), PASSWORD).expect("a secret");
        std::fs::write(scene.book("wrong"), "something else").expect("a secret");
        let with = json!({
            "engine": engine, "host": NAME, "database": "shop", "user": "reader", "password": { "secret": "file:secret" },
            "ca": "ca.pem", "resolve": { NAME: format!("127.0.0.1:{}", server.port) },
            "query": "SELECT 1", "expect": { "value": 1 }, "every": "10ms",
        });
        Self { scene, with }
    }

    /// The inputs with these instead; `null` is none.
    fn with(&self, instead: &Value) -> Value {
        let mut with = self.with.clone();
        for (name, value) in instead.as_object().expect("fields") {
            with[name] = value.clone();
        }
        with.as_object_mut().expect("fields").retain(|_, value| !value.is_null());
        with
    }

    /// What one look gives, in words.
    async fn look(&self, instead: &Value) -> String {
        let work = step::<VerifySql>(self.with(instead));
        // A second statement is told when planning; one that only a run brings, the server refuses.
        let mut mistakes = work.mistakes();
        mistakes.retain(|mistake| !mistake.message.starts_with("behind the `;`"));
        assert_eq!(mistakes, [], "{instead}");
        let cx = self.scene.bench.cx();
        let seen = match work.check(&cx.read).await {
            Ok(Check::Done(output)) => format!("good: {}", output.values.get("value").unwrap_or(&Value::Null)),
            Ok(Check::Absent) => format!("not yet: {}", self.scene.bench.heard().pop().expect("it says why")),
            Ok(other) => panic!("{other:?}"),
            Err(failure) => {
                assert!(!failure.transient, "what passes is looked at again: {failure:?}");
                format!("never: {} [{}]", failure.message, failure.hint.unwrap_or_default())
            }
        };
        assert!(!seen.contains(PASSWORD), "{seen}");
        assert_eq!(self.scene.calls(), (0, 0), "a look asks no leave");
        seen
    }

    /// What several queries are told.
    async fn answers(&self, cases: &[(&str, Value, &str)]) {
        let cases = cases.iter().map(|(query, expect, says)| (json!({ "query": query, "expect": expect }), *says));
        self.says(&cases.collect::<Vec<_>>()).await;
    }

    /// What these inputs in place of the good ones lead to, each by how it begins.
    async fn says(&self, cases: &[(Value, &str)]) {
        let mut wrong = Vec::new();
        for (instead, says) in cases {
            let seen = self.look(instead).await;
            if !seen.starts_with(says) {
                wrong.push(format!("{instead}\n is {seen}\nnot {says}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

async fn postgres(server: &Server, sql: &str) {
    let config = format!("host=127.0.0.1 port={} user={ADMIN} password={ADMIN} dbname=postgres", server.port);
    for (at, part) in sql.split("\\c shop").enumerate() {
        let config = if at == 0 { config.clone() } else { config.replace("dbname=postgres", "dbname=shop") };
        let (client, connection) = loop {
            match tokio_postgres::connect(&config, tokio_postgres::NoTls).await {
                Ok(connected) => break connected,
                // It listens before it lets anybody in.
                Err(error) if error.code() == Some(&SqlState::CANNOT_CONNECT_NOW) => pause(),
                Err(error) => panic!("{error:?}"),
            }
        };
        let connection = tokio::spawn(connection);
        for statement in part.split(";\n") {
            client.batch_execute(statement).await.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
        }
        drop(client);
        connection.await.expect("no panic").expect("it ends well");
    }
}

#[tokio::test]
async fn postgresql_answers() {
    let Some(place) = Place::new() else { return };
    let Some(server) = place.postgres("data") else { return };
    let tables = format!(
        "CREATE DATABASE shop;\n\
         CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}';\n\
         \\c shopCREATE TABLE orders (id int, state text, total numeric, at timestamptz);\n\
         INSERT INTO orders VALUES (1, 'open', 12.50, now() - interval '2 minutes'), (2, NULL, 0, now() - interval '9 minutes');\n\
         CREATE TABLE secrets (id int);\n\
         CREATE SEQUENCE numbers;\n\
         GRANT SELECT, INSERT, DELETE ON orders TO reader;\n\
         GRANT USAGE ON SEQUENCE numbers TO reader"
    );
    postgres(&server, &tables).await;
    let client = Client::new("postgres", &place, &server);

    client
        .answers(&[
            ("SELECT count(*) FROM orders", json!({ "value": 2 }), "good: 2"),
            ("SELECT sum(total) FROM orders", json!({ "value": 12.5 }), "good: 12.5"),
            ("SELECT state = 'open' FROM orders WHERE id = 1", json!({ "value": true }), "good: true"),
            ("SELECT id, state FROM orders ORDER BY id", json!({ "rows": [[1, "open"], [2, null]] }), "good: null"),
            ("SELECT 0.1::float8", json!({ "value": 0.1 }), "good: 0.1"),
            ("SELECT 'NaN'::float4", json!({ "value": "NaN" }), "good: \"NaN\""),
            ("SELECT '2026-11-22 07:15+01'::timestamptz", json!({ "value": "2026-11-22 06:15:00+00" }), "good: "),
            ("SELECT '{\"a\": 1}'::jsonb", json!({ "value": "{\"a\": 1}" }), "good: "),
            ("SELECT 'x'::bytea", json!({ "value": "\\x78" }), "good: "),
            ("TABLE secrets", json!({ "rows": [] }), "never: permission denied for table secrets (SQLSTATE 42501) [let `reader`"),
            ("SHOW transaction_read_only", json!({ "value": "on" }), "good: \"on\""),
            ("SELECT max(at) FROM orders", json!({ "age_max": "5m" }), "good: "),
            ("SELECT min(at) FROM orders", json!({ "age_max": "5m" }), "not yet: the newest is 9m"),
            ("SELECT max(at) AT TIME ZONE 'UTC' FROM orders", json!({ "age_max": "5m" }), "never: the value is \"20"),
            ("SELECT max(at)::timestamp AT TIME ZONE 'UTC' FROM orders", json!({ "age_max": "5m" }), "good: "),
            ("SELECT count(*) FROM orders", json!({ "at_least": 3 }), "not yet: the value is 2, wanted at least 3"),
            // What the server says of a secret is not said on.
            ("SELECT 'hunter2-hunter2'", json!({ "value": "x" }), "not yet: the value is \"[secret]\", wanted \"x\""),
            ("SELECT 'hunter2-hunter2'::int", json!({ "value": 1 }), "never: the query is refused: invalid input syntax for type integer: \"[secret]\""),
            ("SELECT 'hunter2-' || 'hunter2'", json!({ "rows": [["hunter2-hunter2"]] }), "good: \"[secret]\""),
            // It only looks.
            ("WITH gone AS (DELETE FROM orders RETURNING 1) SELECT count(*) FROM gone", json!({ "value": 2 }),
                "never: the query would write, and was refused: cannot execute SELECT in a read-only transaction (SQLSTATE 25006) [`verify.sql` only looks"),
            ("SELECT nextval('numbers')", json!({ "value": 1 }), "never: the query would write"),
            ("SELECT set_config('transaction_read_only', 'off', false)", json!({ "value": "off" }), "never: the query is refused: transaction read-write mode must be set before any query"),
            ("SELECT 1; DELETE FROM orders", json!({ "value": 1 }), "never: the query is refused: cannot insert multiple commands"),
            ("SELECT count(*) FROM orders", json!({ "value": 2 }), "good: 2"),
            // No more than so much is read.
            ("SELECT * FROM generate_series(1, 1001)", json!({ "value": 1 }), "never: the answer is longer than what is read"),
            ("SELECT repeat('x', 5 * 1024 * 1024)", json!({ "value": "x" }), "never: the answer is longer than what is read"),
            ("SELECT $1", json!({ "value": 1 }), "never: the query is refused: there is no parameter $1"),
            ("SELECT * FROM gone", json!({ "value": 1 }), "never: the query is refused: relation \"gone\" does not exist (SQLSTATE 42P01) [see `query`]"),
        ])
        .await;
    client
        .says(&[
            (
                json!({ "query": "SELECT pg_sleep(9)", "query_timeout": "50ms" }),
                "not yet: canceling statement due to statement timeout",
            ),
            (
                json!({ "password": { "secret": "file:wrong" } }),
                "never: `reader` is not let in: password authentication failed",
            ),
            (json!({ "password": { "secret": "file:gone" } }), "never: the secret `file:gone` cannot be read"),
            (json!({ "user": "nobody" }), "never: `nobody` is not let in"),
            (
                json!({ "database": "gone" }),
                "never: database \"gone\" does not exist (SQLSTATE 3D000) [see `database`]",
            ),
            (
                json!({ "ca": "other.pem" }),
                "never: the certificate of `db.example.test` is not believed: invalid peer certificate: UnknownIssuer",
            ),
            (json!({ "ca": null }), "never: the certificate of `db.example.test` is not believed"),
            (json!({ "ca": "secret" }), "never: the file of `ca`, `secret`, holds no certificates that can be trusted: there is none in it [it takes certificates as PEM"),
            (
                json!({ "host": "127.0.0.1", "port": server.port }),
                "never: the certificate of `127.0.0.1` is not believed",
            ),
            (json!({ "ca": null, "plain_on_loopback": true }), "good: 1"),
            (json!({ "query": null, "expect": null, "writable": true }), "good: null"),
            (json!({ "writable": true }), "good: 1"),
        ])
        .await;
    the_newest_write_is_the_recovery_point(&client).await;
    it_can_be_left_at_once(&client).await;
    what_passes_is_waited_for(&client, &server).await;
    a_promotion_is_waited_for(&place, &server).await;
    a_server_without_tls_is_not_asked(&client, &server).await;
    a_server_that_is_gone_is_looked_at_again(&client, server).await;
}

async fn the_newest_write_is_the_recovery_point(client: &Client) {
    let inputs = json!({ "query": "SELECT max(at) FROM orders", "expect": { "age_max": "5m" }, "good_in_a_row": 2 });
    let work = step::<VerifySql>(client.with(&inputs));
    let names: Vec<_> = work.outputs().into_iter().map(|output| output.name).collect();
    let cx = client.scene.bench.cx();
    assert_eq!(work.check(&cx.read).await, Ok(Check::Absent), "one good look of two");
    let ended = client.scene.bench.attempt(work, None).await;
    let dr_engine::attempt::Ended::Done { output, .. } = ended else { panic!("{ended:?}") };
    let point = output.recovery_point.expect("a time was asked for");
    let age = client.scene.bench.run.incident_at.since(point.at);
    assert!((Dur(110_000)..Dur(130_000)).contains(&age), "{age}");
    assert_eq!(point.source, format!("newest time of the query, in `shop` on {NAME}"));
    assert_eq!(output.values["before_incident_ms"], json!(age.0));
    assert!(names.iter().all(|name| output.values.contains_key(name)), "{names:?}: {:?}", output.values);
}

async fn it_can_be_left_at_once(client: &Client) {
    let slow = if client.with["engine"] == "postgres" { "SELECT pg_sleep(30)" } else { "SELECT sleep(30)" };
    let inputs = client.with(&json!({ "query": slow, "query_timeout": "60s" }));
    let cx = client.scene.bench.cx();
    let work = step::<VerifySql>(inputs);
    let since = client.scene.clock.now();
    let asked = client.scene.clock.timeout(Dur(300), work.check(&cx.read)).await;
    assert_eq!(asked, None, "it is still asked");
    assert!(client.scene.clock.now().since(since) < Dur(1_300), "leaving takes no time");
}

async fn what_passes_is_waited_for(client: &Client, server: &Server) {
    postgres(server, "ALTER ROLE reader CONNECTION LIMIT 0").await;
    let seen = client.look(&json!({})).await;
    assert_eq!(seen, "not yet: too many connections for role \"reader\" (SQLSTATE 53300)");
    let work = step::<VerifySql>(client.with(&json!({})));
    let (ended, ()) = tokio::join!(client.scene.bench.attempt(work, None), async {
        client.scene.until("it was looked at", || !client.scene.bench.heard().is_empty()).await;
        postgres(server, "ALTER ROLE reader CONNECTION LIMIT -1").await;
    });
    assert_eq!(done(ended)["value"], 1);
}

async fn a_promotion_is_waited_for(place: &Place, server: &Server) {
    let Some(standby) = place.standby(server) else { return };
    let client = Client::new("postgres", place, &standby);
    let count = json!({ "query": "SELECT count(*) FROM orders", "expect": { "value": 2 } });
    // It may still be on its way to where it can be read.
    done(client.scene.bench.attempt(step::<VerifySql>(client.with(&count)), None).await);
    let replica = "not yet: it takes no writes: it is a replica, or still recovers";
    assert_eq!(client.look(&json!({ "writable": true })).await, replica);
    let work = step::<VerifySql>(client.with(&json!({ "writable": true })));
    let (ended, ()) = tokio::join!(client.scene.bench.attempt(work, None), async {
        client.scene.until("it was looked at", || !client.scene.bench.heard().is_empty()).await;
        postgres(&standby, "SELECT pg_promote()").await;
    });
    done(ended);
    postgres(&standby, "ALTER SYSTEM SET default_transaction_read_only = on;\nSELECT pg_reload_conf()").await;
    let read_only = "not yet: it takes no writes of this user: `default_transaction_read_only` is on";
    client
        .scene
        .clock
        .timeout(Dur(10_000), async { while client.look(&json!({ "writable": true })).await != read_only {} })
        .await
        .expect("it is made read-only");
}

async fn a_server_without_tls_is_not_asked(client: &Client, server: &Server) {
    postgres(server, "ALTER SYSTEM SET ssl = off;\nSELECT pg_reload_conf()").await;
    let none =
        format!("never: `{NAME}` speaks no TLS [switch it on there; only an address of this machine may do without");
    client
        .scene
        .clock
        .timeout(Dur(10_000), async { while !client.look(&json!({})).await.starts_with(&none) {} })
        .await
        .expect("it has switched TLS off");
}

async fn a_server_that_is_gone_is_looked_at_again(client: &Client, server: Server) {
    server.stop();
    let seen = client.look(&json!({})).await;
    assert!(seen.starts_with("not yet: no "), "{seen}");
    let failure = failed(
        client
            .scene
            .bench
            .attempt(step::<VerifySql>(client.with(&json!({ "password": { "secret": "file:gone" } }))), None)
            .await,
    );
    assert!(failure.message.starts_with("the secret `file:gone` cannot be read"), "{failure:?}");
}

async fn mysql_connect(server: &Server, user: &str, password: &str) -> mysql_async::Conn {
    let options = mysql_async::OptsBuilder::default().ip_or_hostname("127.0.0.1").tcp_port(server.port);
    let options = options.user(Some(user)).pass(Some(password)).prefer_socket(false);
    mysql_async::Conn::new(options).await.expect("it lets us in")
}

async fn mariadb(server: &Server, sql: &str) {
    let mut admin = mysql_connect(server, ADMIN, ADMIN).await;
    for statement in sql.split(";\n") {
        admin.query_drop(statement).await.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    }
    admin.disconnect().await.expect("it lets us go");
}

#[tokio::test]
async fn mysql_answers() {
    let Some(place) = Place::new() else { return };
    let Some(server) = place.mariadb(true) else { return };
    let tables = format!(
        "CREATE DATABASE shop;\n\
         CREATE USER reader@'%' IDENTIFIED BY '{PASSWORD}';\n\
         CREATE TABLE shop.orders (id int, state text, total decimal(30, 2), at timestamp(3), local datetime) ENGINE = InnoDB;\n\
         INSERT INTO shop.orders VALUES (1, 'open', 12.50, now(3) - interval 2 minute, '2026-11-22 06:15:00'), (2, NULL, 0, now(3) - interval 9 minute, NULL);\n\
         CREATE DATABASE vault;\n\
         CREATE TABLE vault.secrets (id int);\n\
         GRANT SELECT, INSERT, DELETE ON shop.* TO reader@'%'"
    );
    mariadb(&server, &tables).await;
    let client = Client::new("mysql", &place, &server);
    client
        .answers(&[
            ("SELECT count(*) FROM orders", json!({ "value": 2 }), "good: 2"),
            ("SELECT sum(total) FROM orders", json!({ "value": 12.5 }), "good: 12.5"),
            ("SELECT state = 'open' FROM orders WHERE id = 1", json!({ "value": 1 }), "good: 1"),
            ("SELECT id, state FROM orders ORDER BY id", json!({ "rows": [[1, "open"], [2, null]] }), "good: null"),
            ("SELECT 18446744073709551615", json!({ "value": u64::MAX }), "good: 18446744073709551615"),
            ("SELECT cast(0.1 AS float)", json!({ "value": 0.1 }), "good: 0.1"),
            ("SELECT cast(0.1 AS double)", json!({ "value": 0.1 }), "good: 0.1"),
            ("SELECT 0xff00", json!({ "value": "0xFF00" }), "good: "),
            ("SELECT local FROM orders WHERE id = 1", json!({ "value": "2026-11-22 06:15:00" }), "good: "),
            ("SELECT date(local) FROM orders WHERE id = 1", json!({ "value": "2026-11-22" }), "good: "),
            ("SELECT cast('-30:15:00.5' AS time(1))", json!({ "value": "-30:15:00.500000" }), "good: "),
            ("SELECT * FROM vault.secrets", json!({ "rows": [] }), "never: SELECT command denied to user 'reader'"),
            ("SELECT max(at) FROM orders", json!({ "age_max": "5m" }), "good: "),
            ("SELECT min(at) FROM orders", json!({ "age_max": "5m" }), "not yet: the newest is 9m"),
            (
                "SELECT max(local) FROM orders",
                json!({ "age_max": "5m" }),
                "never: the value is \"2026-11-22 06:15:00\", which is no moment [a time needs its zone",
            ),
            ("SELECT unix_timestamp(max(at)) FROM orders", json!({ "age_max": "5m" }), "good: "),
            ("SELECT 'hunter2-hunter2'", json!({ "value": "x" }), "not yet: the value is \"[secret]\", wanted \"x\""),
            // It only looks: what begins well and writes, the server refuses.
            (
                "SELECT 1; DELETE FROM orders",
                json!({ "value": 1 }),
                "never: the query is refused: You have an error in your SQL syntax",
            ),
            ("SELECT * FROM orders FOR UPDATE", json!({ "value": 1 }), "never: the query would write, and was refused: Cannot execute statement in a READ ONLY transaction (error 1792) [`verify.sql` only looks"),
            ("SELECT count(*) FROM orders", json!({ "value": 2 }), "good: 2"),
            ("WITH RECURSIVE n AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM n WHERE n < 1001) SELECT n FROM n", json!({ "value": 1 }), "never: the answer is longer than what is read"),
            (
                "SELECT repeat('x', 5 * 1024 * 1024)",
                json!({ "value": "x" }),
                "never: the answer is longer than what is read",
            ),
            ("SELECT ?", json!({ "value": 1 }), "never: the query has a `?` outside of quotes"),
            ("SELECT * FROM gone", json!({ "value": 1 }), "never: the query is refused: Table 'shop.gone' doesn't exist (error 1146) [see `query`]"),
        ])
        .await;
    client
        .says(&[
            (
                json!({ "query": "SELECT sleep(9)", "query_timeout": "50ms" }),
                "not yet: Query execution was interrupted (max_statement_time exceeded) (error 1969)",
            ),
            (json!({ "password": { "secret": "file:wrong" } }), "never: `reader` is not let in: Access denied"),
            (
                json!({ "database": "gone" }),
                "never: Access denied for user 'reader'@'%' to database 'gone' (error 1044) [see `database`",
            ),
            (
                json!({ "ca": "other.pem" }),
                "never: the certificate of `db.example.test` is not believed: invalid peer certificate: UnknownIssuer",
            ),
            (
                json!({ "host": "127.0.0.1", "port": server.port }),
                "never: the certificate of `127.0.0.1` is not believed",
            ),
            (json!({ "ca": null, "plain_on_loopback": true }), "good: 1"),
            (json!({ "query": null, "expect": null, "writable": true }), "good: null"),
        ])
        .await;
    the_newest_write_is_the_recovery_point(&client).await;
    it_can_be_left_at_once(&client).await;
    mariadb(&server, "SET GLOBAL read_only = 1").await;
    assert_eq!(client.look(&json!({ "writable": true })).await, "not yet: it takes no writes: `read_only` is ON");
    let work = step::<VerifySql>(client.with(&json!({ "writable": true })));
    let (ended, ()) = tokio::join!(client.scene.bench.attempt(work, None), async {
        client.scene.until("it was looked at", || !client.scene.bench.heard().is_empty()).await;
        mariadb(&server, "SET GLOBAL read_only = 0").await;
    });
    done(ended);
    mariadb(&server, "ALTER USER reader@'%' WITH MAX_USER_CONNECTIONS 1").await;
    let one = mysql_connect(&server, "reader", PASSWORD).await;
    let seen = client.look(&json!({})).await;
    assert!(seen.starts_with("not yet: User 'reader' has exceeded the 'max_user_connections' resource"), "{seen}");
    one.disconnect().await.expect("it lets us go");
    server.stop();
    let seen = client.look(&json!({})).await;
    assert!(seen.starts_with("not yet: no "), "{seen}");
    let Some(server) = place.mariadb(false) else { return };
    let client = Client::new("mysql", &place, &server);
    let seen = client.look(&json!({})).await;
    assert!(seen.starts_with(&format!("never: `{NAME}` speaks no TLS [")), "{seen}");
    assert_eq!(client.look(&json!({ "ca": null, "plain_on_loopback": true })).await, "good: 1");
}

#[test]
fn what_does_not_go_together_is_told_when_planning() {
    let with = json!({
        "engine": "postgres", "host": "orders", "database": "shop", "user": "reader",
        "password": { "secret": "env:PASSWORD" }, "query": "SELECT 1", "expect": { "value": 1 },
    });
    for (field, value, at, says) in [
        ("expect", Value::Null, "query", "any answer would be good"),
        ("query", Value::Null, "expect", "no query is asked"),
        ("expect", json!({}), "expect", "nothing is expected of the answer"),
        ("query", json!("DROP TABLE orders"), "query", "a query that begins with `DROP` may write"),
        ("password", json!(PASSWORD), "password", "a password is named, never written down"),
        ("query_timeout", json!("76s"), "query_timeout", "`query_timeout` is 1m16s; at most 1m15s fit"),
    ] {
        let mut with = with.clone();
        with[field] = value;
        let mistakes = step::<VerifySql>(with).mistakes();
        let told: Vec<_> = mistakes.iter().map(|it| (it.field, it.message.as_str())).collect();
        assert_eq!(told, [(at, says)], "{mistakes:?}");
    }
    let work = step::<VerifySql>(with);
    assert_eq!(work.mistakes(), []);
    assert!(!work.changes() && !work.can_undo());
    assert_eq!(work.describe().summary, "waits for the expected answer of database `shop` on orders");
}
