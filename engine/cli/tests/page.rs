//! The report's page and the pictures of plans, as a browser shows them: on a
//! wide screen, on a phone and on paper, light and dark, and read by a machine
//! for whoever cannot see them.
//!
//! `make page` installs the browser and what drives it, by `page/package-lock.json`,
//! which `npm install --package-lock-only` in that folder renews. What was looked
//! at lies in `target/page/seen`, for eyes.

mod support;

use dr_engine::{
    event::{Event, Kind},
    journal::{Journal, sqlite::Sqlite},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::{
    env,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, OnceLock},
};
use support::{
    Place,
    lab::{Estate, lab},
};

/// What a browser saw of a file in one view, as `page.mjs` says it.
#[derive(Deserialize)]
struct Sight {
    file: String,
    view: String,
    /// Addresses that were asked for, the file's own included.
    requests: Vec<String>,
    /// What the browser warned of.
    complaints: Vec<String>,
    dialogs: Vec<String>,
    /// Set by a script that ran.
    owned: Option<Value>,
    /// Elements that no report has.
    strange: Vec<String>,
    /// Milliseconds until the first screen was drawn, and until all of it was laid out after that.
    drawn_ms: f64,
    whole_ms: f64,
    /// How much wider than its window it is, in pixels.
    overflow: i64,
    texts: Texts,
    /// Texts in pictures that stand on others or outside of their box.
    misplaced: Vec<String>,
    ground: Option<String>,
    ink: Option<String>,
    /// Colours of each kind of element.
    inks: Vec<String>,
    /// Whether the bars are to be seen.
    bars: bool,
    violations: Vec<String>,
    passed: Vec<String>,
    sheets: Option<u32>,
    /// Sheets that its length would fill.
    sheets_least: Option<f64>,
}

/// Texts in pictures, and those that take room.
#[derive(Deserialize)]
struct Texts {
    all: usize,
    inked: usize,
}

impl Sight {
    fn is_page(&self) -> bool {
        Path::new(&self.file).extension().is_some_and(|end| end == "html")
    }

    fn name(&self) -> String {
        format!("{}, {}", self.file, self.view)
    }
}

const FAILED: &str = "
dr: v1
name: failed
objectives: { rto: 1h }
steps:
  breaks: { do: { command: { argv: [sh, -c, 'exit 4'] } }, on_failure: stop }
  never: { needs: [breaks], do: { command: { argv: [sh, ./work] } } }
";

/// Steps of a large run, and of a plan that is only drawn.
const MANY: usize = 2_000;
const SOME: usize = 500;

/// A runbook of so many steps, 250 in a phase.
fn large(name: &str, steps: usize) -> String {
    let phases: Vec<_> = (0..steps.div_ceil(250)).map(|phase| format!("part_{phase}")).collect();
    let mut text =
        format!("dr: v1\nname: {name}\nobjectives: {{ rto: 1h }}\nphases: [{}]\nsteps:\n", phases.join(", "));
    for at in 0..steps {
        let phase = &phases[at / 250];
        let needs = if at % 50 == 0 { String::new() } else { format!("needs: [service_number_{}], ", at - 1) };
        writeln!(
            text,
            "  service_number_{at}: {{ phase: {phase}, {needs}do: {{ command: {{ argv: [/bin/true] }} }}, estimate: {{ p50: 2m, p90: 4m }} }}"
        )
        .expect("a text takes all");
    }
    text
}

/// A region is lost; a database cannot be restored until a person has mended
/// something; then production is back. Gives the words of its parameters too.
fn recovered(place: &Place) -> Vec<String> {
    let estate = Estate::new(lab().expect("a lab"));
    estate.region("eu-west-1", "down");
    let denied = json!([{ "operation": "RestoreDBInstanceFromDBSnapshot", "every": true, "do": "access_denied" }]);
    estate.faults(&denied);
    let text = fs::read_to_string(failover()).expect("a runbook");
    let own = estate.params.iter().filter(|(name, _)| text.contains(&format!("\n  {name}:")));
    let own =
        own.map(|(name, value)| format!("{name}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
    let params: Vec<_> =
        own.chain(["hold=1s".into(), "every=50ms".into()]).flat_map(|it| ["--param".into(), it]).collect();
    let path = failover().display().to_string();
    let start = ["execute", path.as_str(), "--yes", "--no-wait", "--incident-at", "-4m"];
    let words: Vec<&str> = start.into_iter().chain(params.iter().map(String::as_str)).collect();
    estate.run(place, &words).ends(4);
    let id = place.id();
    estate.faults(&json!([]));
    for (step, _) in place.asking() {
        estate
            .run(place, &["answer", &id, &step, "retry", "--why", "the policy was mended", "--as", "Chiara Lund"])
            .ends(4);
    }
    estate.run(place, &["note", &id, "the policy lacked rds:Restore*", "--lesson"]).ends(0);
    estate
        .run(place, &["note", &id, "try it each month", "--action", "--owner", "Esra Yilmaz", "--due", "2027-01-31"])
        .ends(0);
    estate.run(place, &["note", &id, "who knows the carrier?", "--help-wanted"]).ends(0);
    estate.run(place, &["resume", &id, "--no-wait"]).ends(0);
    params
}

fn failover() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../runbooks/region_failover.yaml").canonicalize().expect("a runbook")
}

/// Sets `owned`, or asks for a file, if any of it is taken for more than a text.
const HOSTILE: [&str; 10] = [
    "</td></table><script>owned=1</script>",
    "<img src=x onerror=\"owned=1;alert(1)\">",
    "</title></style><script>alert(1)</script>",
    "\"><svg onload='owned=1'><style>*{display:none}</style>",
    "' onmouseover='owned=1' autofocus onfocus='owned=1",
    "]]>--><iframe src=\"javascript:alert(1)\"></iframe>",
    "<link rel=stylesheet href=http://127.0.0.1:9/x><meta http-equiv=refresh content='0;url=x'>",
    "\u{1b}[2J\u{1b}]0;owned\u{7}\u{202e}\u{200b}\u{0}\u{85}\u{2028}\u{feff}",
    "Ｔｈｅ 社會科學院語學研究所 田中さんにあげて下さい 울란바토르 😍👾🙇 Ṱ̺̺̕o͞ ̷i̲̬͇̪͙n̝̗͕v̟̜̘̦͟o̶̙̰̠kè͚̮̺̪̹̱̤ ثم نفس سقطت",
    "WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW",
];

/// The same history with something hostile in place of each text that an event
/// can hold: of each value and each name that is not the grammar's own.
fn poisoned(events: &[Event]) -> Vec<Event> {
    let mut number = 0;
    let mut poison = || {
        number += 1;
        format!("{number} {}", HOSTILE[number % HOSTILE.len()])
    };
    let poisoned = events.iter().map(|event| {
        let mut value = serde_json::to_value(&event.kind).expect("JSON");
        // What may be answered stays: an answer to anything else cannot have happened.
        for at in places(&value, String::new()).into_iter().filter(|at| !at.contains("/choices/")) {
            let mut tried = value.clone();
            let evil = poison();
            put(&mut tried, &at, &evil);
            // A word of the grammar is no text: with another one it is no event, or one without it.
            let read = serde_json::from_value::<Kind>(tried.clone());
            if read.is_ok_and(|kind| serde_json::to_value(kind).expect("JSON") == tried) {
                value = tried;
            }
        }
        Event { kind: serde_json::from_value(value).expect("an event"), ..event.clone() }
    });
    poisoned.collect()
}

/// What may hold a text: a value by its pointer, a name by that with a `#` before it.
/// What is deeper stands first, so that a name is replaced when all below it is.
fn places(value: &Value, at: String) -> Vec<String> {
    let below: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(name, it)| (name.replace('~', "~0").replace('/', "~1"), it)).collect(),
        Value::Array(all) => all.iter().enumerate().map(|(number, it)| (number.to_string(), it)).collect(),
        Value::String(_) => return vec![at],
        _ => Vec::new(),
    };
    let named = value.is_object();
    below
        .into_iter()
        .flat_map(|(name, it)| {
            let here = format!("{at}/{name}");
            let mut all = places(it, here.clone());
            all.extend(named.then(|| format!("#{here}")));
            all
        })
        .collect()
}

fn put(value: &mut Value, at: &str, text: &str) {
    let Some(name) = at.strip_prefix('#') else {
        *value.pointer_mut(at).expect("it is there") = text.into();
        return;
    };
    let (parent, name) = name.rsplit_once('/').expect("a name stands below something");
    let map = value.pointer_mut(parent).and_then(Value::as_object_mut).expect("names stand in objects");
    let name = name.replace("~1", "/").replace("~0", "~");
    let changed: Map<String, Value> = std::mem::take(map)
        .into_iter()
        .map(|(key, it)| (if key == name { text.to_owned() } else { key }, it))
        .collect();
    *map = changed;
}

/// The page of the only run at a place, and beside it that of the same run with hostile texts.
fn page(place: &Place, name: &str, out: &Path) {
    let id = place.id();
    let told = |id: &str, name: &str| {
        let said = place.run(&["report", id, "--format", "html"]).ends(0);
        fs::write(out.join(format!("{name}.html")), said.out).expect("a file");
    };
    told(&id, name);
    let evil = "20260101-000000-evil-0000";
    let events = poisoned(&place.events());
    Sqlite::create(&place.path("state/runs").join(evil), "nobody", Arc::default())
        .and_then(|mut journal| journal.append(&events))
        .expect("a journal");
    let texts: String = events.iter().map(|event| serde_json::to_string(&event.kind).expect("JSON")).collect();
    assert!(HOSTILE.iter().all(|it| texts.contains(serde_json::to_string(it).expect("JSON").trim_matches('"'))));
    told(evil, &format!("{name}_hostile"));
}

/// Everything that was looked at, once for all tests.
fn sights() -> &'static [Sight] {
    static SIGHTS: OnceLock<Vec<Sight>> = OnceLock::new();
    SIGHTS.get_or_init(|| {
        let out = Place::new();
        let folder = out.path("pages");
        fs::create_dir(&folder).expect("a folder");

        let place = Place::new();
        let params = recovered(&place);
        page(&place, "recovered", &folder);
        let place = Place::new();
        place.write("run.export", include_str!("journals/0.1.0.jsonl"));
        place.run(&["import", "run.export"]).ends(0);
        page(&place, "held", &folder);
        let place = Place::with(FAILED);
        place.drill().ends(3);
        page(&place, "failed", &folder);
        let place = Place::with(&large("many", MANY));
        place.drill().ends(0);
        let many = place.run(&["report", &place.id(), "--format", "html"]).ends(0);
        fs::write(folder.join("many.html"), many.out).expect("a file");

        out.write("large.yaml", &large("large", SOME));
        out.write("short.yaml", FAILED);
        let path = failover().display().to_string();
        let params: Vec<&str> = params.iter().map(String::as_str).collect();
        for (name, words) in [
            ("failover", [&[path.as_str()], params.as_slice()].concat()),
            ("large", vec!["large.yaml"]),
            ("short", vec!["short.yaml"]),
        ] {
            let svg = out.run(&[&["graph", "--format", "svg"], words.as_slice()].concat()).ends(0).out;
            fs::write(folder.join(format!("{name}.svg")), svg).expect("a file");
        }
        look(&folder)
    })
}

/// What a browser sees of all files in a folder.
fn look(folder: &Path) -> Vec<Sight> {
    let mut script = Command::new("node");
    script.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/page/page.mjs")).arg("look");
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    for file in files {
        // The rules take ten seconds a view here, and other pages show the other views.
        let views = if file.ends_with("many.html") { "=wide,phone,paper" } else { "" };
        script.arg(format!("{}{views}", file.display()));
    }
    let ended = script.output().expect("Node.js: make page");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    serde_json::from_slice(&ended.stdout).expect("what was seen")
}

/// Holds something to all that was seen, and names every view where it does not hold.
#[track_caller]
fn everywhere(what: &str, of: impl Fn(&Sight) -> bool, wrong: impl Fn(&Sight) -> Option<String>) {
    let seen: Vec<_> = sights().iter().filter(|it| of(it)).collect();
    assert!(!seen.is_empty(), "nothing was looked at");
    let wrong: Vec<_> = seen.into_iter().filter_map(|it| Some(format!("{}: {}", it.name(), wrong(it)?))).collect();
    assert!(wrong.is_empty(), "{what}:\n{}", wrong.join("\n"));
}

/// Complaints in one text, if there are any.
fn told(all: &[String]) -> Option<String> {
    (!all.is_empty()).then(|| all.join("; "))
}

#[test]
#[ignore = "needs a browser: make page"]
fn everybody_can_read_it() {
    everywhere("against the rules of accessibility", |_| true, |it| told(&it.violations));
    // Rules that never applied would be kept by anything.
    let rule = |it: &Sight| if it.is_page() { "color-contrast" } else { "svg-img-alt" };
    everywhere(
        "not looked at",
        |_| true,
        |it| (!it.passed.iter().any(|passed| passed == rule(it))).then(|| rule(it).into()),
    );
}

#[test]
#[ignore = "needs a browser: make page"]
fn nothing_is_wider_than_the_window() {
    everywhere("too wide", Sight::is_page, |it| (it.overflow > 0).then(|| format!("by {} pixels", it.overflow)));
}

#[test]
#[ignore = "needs a browser: make page"]
fn nothing_is_loaded_and_nothing_runs() {
    everywhere("asked for", |_| true, |it| (it.requests.len() != 1).then(|| it.requests.join(" ")));
    everywhere("said", |_| true, |it| told(&it.complaints));
    everywhere("asked people", |_| true, |it| told(&it.dialogs));
    everywhere("ran", |_| true, |it| it.owned.as_ref().map(ToString::to_string));
    everywhere("contains", |_| true, |it| told(&it.strange));
}

#[test]
#[ignore = "needs a browser: make page"]
fn the_bars_are_to_be_seen() {
    everywhere("no bars", Sight::is_page, |it| (!it.bars).then(|| "the picture or its first bar is not shown".into()));
}

#[test]
#[ignore = "needs a browser: make page"]
fn paper_is_white_whatever_the_system_likes() {
    let paper = |it: &Sight| it.view.starts_with("paper");
    everywhere("the paper", paper, |it| {
        let colours = (it.ground.as_deref()?, it.ink.as_deref()?);
        (colours != ("rgb(255, 255, 255)", "rgb(27, 36, 48)")).then(|| format!("{colours:?}"))
    });
    let dark = |it: &Sight| it.view == "paper-dark";
    everywhere("other colours than on light paper", dark, |it| {
        let light = sights().iter().find(|other| other.file == it.file && other.view == "paper").expect("light paper");
        (it.inks != light.inks).then(|| format!("{:?}", it.inks))
    });
    let wide =
        |dark: &str| &sights().iter().find(|it| it.is_page() && it.view == format!("wide{dark}")).expect("it").inks;
    assert_ne!(wide(""), wide("-dark"), "a dark system is not seen at all");
    everywhere("sheets", paper, |it| {
        let (sheets, least) = (f64::from(it.sheets?), it.sheets_least?);
        (sheets < least.floor() || sheets > 1.3 * least + 2.0).then(|| format!("{sheets}, its length fills {least:.1}"))
    });
}

#[test]
#[ignore = "needs a browser: make page"]
fn texts_in_pictures_stand_apart() {
    everywhere("on each other or outside", |_| true, |it| told(&it.misplaced));
    everywhere(
        "without letters",
        |_| true,
        |it| {
            (it.texts.all == 0 || it.texts.inked < it.texts.all)
                .then(|| format!("{} of {}", it.texts.inked, it.texts.all))
        },
    );
}

#[test]
#[ignore = "needs a browser: make page"]
fn two_thousand_steps_are_shown_soon() {
    // Generous: the machine has other work. What was measured is printed.
    everywhere(
        "too slow",
        |it| it.file == "many.html",
        |it| {
            let (drawn, whole) = (it.drawn_ms, it.whole_ms);
            println!("2,000 steps, {}: drawn after {drawn:.0} ms, laid out to the end in {whole:.0} ms more", it.view);
            (drawn + whole > 10_000.0).then(|| format!("{drawn:.0} ms and {whole:.0} ms"))
        },
    );
}
