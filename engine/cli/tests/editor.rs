//! What an author sees in an editor: the language server that VS Code, Neovim,
//! Helix and others ask about YAML, with the schema that lies beside the
//! examples and finds its way there by the first line of each.
//!
//! `make test` installs the server by `editor/package-lock.json`, which `npm install
//! --package-lock-only` in that folder renews.

use serde_json::{Value, json};
use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

/// How long the server may take for an answer, on two cores that have other work.
const PATIENCE: Duration = Duration::from_mins(1);
/// The kind of completion that is a key, as the protocol numbers them.
const PROPERTY: u64 = 10;
/// The first line of every example.
const MODELINE: &str = "# yaml-language-server: $schema=dr.schema.json\n";
/// What stands before the steps.
const HEAD: &str = "dr: v1\nname: trial\nobjectives: { rto: 1h }\n";

fn runbooks() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../runbooks").canonicalize().expect("the examples")
}

fn schema() -> Value {
    let text = fs::read_to_string(runbooks().join("dr.schema.json")).expect("a schema");
    serde_json::from_str(&text).expect("a schema is JSON")
}

/// A server, and an editor that has one file open at a time.
struct Editor {
    server: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    asked: u64,
}

impl Editor {
    fn start() -> Self {
        let path = env::var_os("DR_EDITOR_SERVER").expect("DR_EDITOR_SERVER names the server: make test");
        let mut server = Command::new(&path);
        server.arg("--stdio").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut server = server.spawn().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (tell, from) = mpsc::channel();
        let mut said = BufReader::new(server.stdout.take().expect("a pipe"));
        thread::spawn(move || while message(&mut said).is_some_and(|it| tell.send(it).is_ok()) {});
        let to = server.stdin.take().expect("a pipe");
        let mut editor = Self { server, to, from, asked: 0 };
        let markdown = json!({ "hover": { "contentFormat": ["markdown"] } });
        let able = json!({ "textDocument": markdown });
        editor.ask("initialize", &json!({ "processId": null, "rootUri": null, "capabilities": able }));
        editor.tell("initialized", &json!({}));
        // The catalogue of all schemas lies on the internet: nothing here may depend on it.
        let yaml = json!({ "validate": true, "hover": true, "completion": true, "schemaStore": { "enable": false } });
        editor.tell("workspace/didChangeConfiguration", &json!({ "settings": { "yaml": yaml } }));
        editor
    }

    fn send(&mut self, message: &Value) {
        let text = message.to_string();
        write!(self.to, "Content-Length: {}\r\n\r\n{text}", text.len()).expect("the server reads");
    }

    fn tell(&mut self, method: &str, params: &Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    /// The first message that is this.
    fn hear(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self.from.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("the server says no {what}"));
            if is(&message) {
                return message;
            }
        }
    }

    fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.asked += 1;
        let id = self.asked;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        let answer = self.hear(method, |message| message["id"] == id && message.get("method").is_none());
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// Opens a text as a file beside the examples, and gives what the server underlines: place and message.
    fn open(&mut self, name: &str, text: &str) -> Vec<(String, String)> {
        let document = json!({ "uri": uri(name), "languageId": "yaml", "version": 1, "text": text });
        self.tell("textDocument/didOpen", &json!({ "textDocument": document }));
        let is = |it: &Value| it["method"] == "textDocument/publishDiagnostics" && it["params"]["uri"] == uri(name);
        let said = self.hear(name, is);
        let all = said["params"]["diagnostics"].as_array().expect("a list").iter();
        let underlined = |range: &Value| {
            let (start, end) = (&range["start"], &range["end"]);
            assert_eq!(start["line"], end["line"], "{range}");
            let at = |place: &Value| usize::try_from(place["character"].as_u64().expect("a number")).expect("a column");
            let line = text.lines().nth(usize::try_from(start["line"].as_u64().expect("a number")).expect("a line"));
            line.expect("it is there")[at(start)..at(end)].to_owned()
        };
        all.map(|it| (underlined(&it["range"]), it["message"].as_str().expect("a text").to_owned())).collect()
    }

    /// The keys that are offered where `|` stands in a text. Beside them the
    /// server offers a skeleton of those that must be there, in one piece.
    fn completed(&mut self, name: &str, text: &str) -> Vec<String> {
        let at = self.open_at(name, text);
        let offered = self.ask("textDocument/completion", &at);
        let items = offered["items"].as_array().or(offered.as_array()).expect("a list").iter();
        let keys = items.filter(|it| it["kind"] == PROPERTY);
        let mut labels: Vec<_> = keys.map(|it| it["label"].as_str().expect("a label").to_owned()).collect();
        labels.sort();
        labels
    }

    /// What is told of what stands behind `|` in a text.
    fn hovered(&mut self, name: &str, text: &str) -> String {
        let at = self.open_at(name, text);
        let told = self.ask("textDocument/hover", &at);
        told["contents"]["value"].as_str().unwrap_or_default().to_owned()
    }

    fn open_at(&mut self, name: &str, text: &str) -> Value {
        let (before, after) = text.split_once('|').expect("a cursor");
        self.open(name, &format!("{before}{after}"));
        let (line, column) = (before.matches('\n').count(), before.lines().last().map_or(0, str::len));
        let column = if before.ends_with('\n') { 0 } else { column };
        json!({ "textDocument": { "uri": uri(name) }, "position": { "line": line, "character": column } })
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        self.server.kill().ok();
        self.server.wait().ok();
    }
}

fn uri(name: &str) -> String {
    format!("file://{}", runbooks().join(name).display())
}

/// One message of the server; none at its end.
fn message(said: &mut impl BufRead) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if said.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end().split_once(": ") {
            Some(("Content-Length", digits)) => length = digits.parse().ok()?,
            Some(_) => {}
            None => break,
        }
    }
    let mut text = vec![0; length];
    said.read_exact(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// A runbook with these lines as its only step.
fn step(lines: &str) -> String {
    format!("{MODELINE}{HEAD}steps:\n  one:\n{lines}")
}

#[test]
#[ignore = "needs the language server: make test"]
fn the_examples_are_without_a_mark() {
    let mut editor = Editor::start();
    let mut seen = 0;
    for path in fs::read_dir(runbooks()).expect("the examples").map(|entry| entry.expect("an entry").path()) {
        if path.extension().is_some_and(|end| end == "yaml") {
            let name = path.file_name().expect("a name").to_string_lossy();
            let text = fs::read_to_string(&path).expect("a runbook");
            assert_eq!(editor.open(&name, &text), [], "{name}");
            seen += 1;
        }
    }
    assert!(seen >= 3, "examples got lost: {seen}");
}

#[test]
#[ignore = "needs the language server: make test"]
fn under_do_every_kind_is_offered_and_under_a_kind_its_fields() {
    let mut editor = Editor::start();
    let registry = dr_steps::registry();
    let mut kinds: Vec<_> = registry.names().map(str::to_owned).collect();
    kinds.sort();
    assert_eq!(editor.completed("kinds.yaml", &step("    do:\n      |\n")), kinds);
    let schema = schema();
    for kind in kinds {
        let path = schema["definitions"]["Do"]["properties"][&kind]["$ref"].as_str().expect("a reference");
        let fields = schema.pointer(&path[1..]).and_then(|it| it["properties"].as_object()).expect("fields");
        let mut fields: Vec<_> = fields.keys().cloned().collect();
        fields.sort();
        let offered = editor.completed(&format!("{kind}.yaml"), &step(&format!("    do:\n      {kind}:\n        |\n")));
        assert_eq!(offered, fields, "{kind}");
    }
}

#[test]
#[ignore = "needs the language server: make test"]
fn hover_says_what_a_field_means() {
    let mut editor = Editor::start();
    let schema = schema();
    let rto =
        schema["definitions"]["ObjectivesText"]["properties"]["rto"]["description"].as_str().expect("a description");
    let text = format!("{MODELINE}dr: v1\nname: trial\nobjectives:\n  r|to: 1h\nsteps: {{}}\n");
    let told = editor.hovered("hover.yaml", &text);
    assert!(told.contains(rto), "{told:?} is not {rto:?}");
}

#[test]
#[ignore = "needs the language server: make test"]
fn mistakes_are_underlined_where_they_stand() {
    let mut editor = Editor::start();
    let act = "    do:\n      command:\n        argv: [/bin/true]\n";
    assert_eq!(editor.open("good.yaml", &step(act)), []);
    for (name, text, place) in [
        ("key.yaml", step(&format!("{act}    tiemout: 5m\n")), "tiemout"),
        ("field.yaml", step("    do:\n      command:\n        argv: [x]\n        shell: bash\n"), "shell"),
        ("kind.yaml", step("    do:\n      comand:\n        argv: [x]\n"), "comand"),
        ("type.yaml", step("    do:\n      command:\n        argv: go\n"), "go"),
        ("duration.yaml", step(&format!("{act}    timeout: 5 minutes\n")), "5 minutes"),
    ] {
        let marks = editor.open(name, &text);
        assert_eq!(marks.iter().map(|(place, _)| place.as_str()).collect::<Vec<_>>(), [place], "{name}: {marks:?}");
    }
}
