//! The runbook that needs no cloud, run by the binary to its verified end:
//! programs, HTTP, an approval, and probes with their defaults.

mod support;

use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
    thread,
};
use support::Place;

const TOKEN: &str = "canary-7f1e";

/// The standby, its flags, and who asked for what.
#[derive(Default)]
struct Shop {
    flags: BTreeMap<String, Value>,
    changes: Vec<String>,
    strangers: u32,
}

fn serve(shop: Arc<Mutex<Shop>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let shop = shop.clone();
            thread::spawn(move || answer(stream, &shop));
        }
    });
    address
}

fn answer(mut stream: TcpStream, shop: &Mutex<Shop>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut lines = Vec::new();
    while lines.last().is_none_or(|line: &String| !line.trim().is_empty()) {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        lines.push(line);
    }
    let header = |name: &str| {
        let of = |line: &String| line.to_lowercase().strip_prefix(&format!("{name}:")).map(|v| v.trim().to_owned());
        lines.iter().find_map(of)
    };
    let mut body = vec![0; header("content-length").and_then(|n| n.parse().ok()).unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let (method, path) = lines[0].split_once(' ').map(|(m, rest)| (m, rest.split(' ').next().unwrap_or(rest)))?;
    let mut shop = shop.lock().expect("whole");
    let said = match (method, path) {
        ("GET", "/health") => Some(json!({ "status": "ok", "region": "eu-central-1", "release": "r7" })),
        ("GET", "/checkout/health") => shop.flags.get("/serving_region").cloned(),
        ("GET", flag) => shop.flags.get(flag).cloned(),
        (_, flag) => {
            shop.strangers += u32::from(header("authorization").as_deref() != Some(TOKEN));
            shop.changes.push(format!("{method} {flag}"));
            let value: Value = serde_json::from_slice(&body).ok()?;
            shop.flags.insert(flag.to_owned(), value.clone());
            Some(value)
        }
    };
    drop(shop);
    let (status, text) = said.map_or(("404 Not Found", "{}".into()), |said| ("200 OK", said.to_string()));
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}", text.len());
    write!(stream, "{head}\r\nconnection: close\r\n\r\n{text}").ok()
}

#[test]
fn customers_are_sent_to_the_standby_and_are_served() {
    let shop = Arc::new(Mutex::new(Shop::default()));
    let at = format!("http://{}", serve(shop.clone()));
    let place = Place::new();
    let runbook = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../runbooks/warm_standby.yaml");
    std::fs::copy(runbook, place.path("runbook.yaml")).expect("a runbook");
    std::fs::create_dir(place.path("bin")).expect("a folder");
    let cache = "#!/bin/sh\ncase $1 in warm) echo \"$RELEASE\" > warmed;; *) [ -s warmed ] || exit 3;; esac\n";
    place.program("bin/cache", cache);

    let params = ["standby", "cache", "flags", "customers"].map(|name| format!("{name}={at}"));
    let params = params.iter().flat_map(|param| ["--param", param]);
    let args = ["execute", "runbook.yaml", "--kind", "drill", "--yes", "--no-wait", "--incident-at", "-5m"];
    let args: Vec<_> = args.into_iter().chain(params).chain(["--param", "hold=1s"]).collect();
    let with_token = |args: &[&str]| {
        let mut command = place.dr(args);
        command.env("FLAGS_TOKEN", TOKEN);
        place.end(command)
    };
    with_token(&args)
        .ends(4)
        .prints(&["let_customers_in!approve: WAITS FOR APPROVAL: Send all customers to eu-central-1?"]);
    let id = place.id();
    let gate = "let_customers_in!approve";
    place.run(&["answer", &id, gate, "approve", "--as", "Chiara Lund"]).ends(4);
    with_token(&["resume", &id, "--no-wait"]).ends(0).prints(&["RECOVERED"]);

    let shop = shop.lock().expect("whole");
    assert_eq!(shop.changes, ["PUT /deploys", "POST /serving_region"], "each once");
    assert_eq!(shop.strangers, 0);
    assert_eq!(place.read("warmed"), "r7\n");
    place.run(&["report", &id]).ends(0).prints(&["RTO met"]);
    let everything = place.run(&["export", &id]).ends(0).out;
    assert!(!everything.contains(TOKEN), "a secret stands in the journal");
}
