//! Our reader beside another one, over the YAML test suite.
//!
//! Both stand on the same scanner, so this says nothing about the scanner; it
//! says that nothing is lost or bent between its events and our trees, and it
//! keeps a list, with reasons, of all that we refuse on purpose. Where the
//! suite tells the JSON of a case, that is compared too.
//!
//! The suite is not part of this repository. It is looked for under
//! `$DR_CORPORA`, then beside the workspace.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use dr_engine::yaml::{Limits, Lookup, Scope, json, parse};
use serde_json::Value;

/// The cases that only one reader takes, or that are read otherwise than the
/// suite says: id, difference, rule.
const DIFFERENCES: &str = include_str!("yaml_suite_differences.txt");

#[test]
fn both_readers_see_the_same_tree_save_for_the_listed_cases() {
    let Some(suite) = suite() else {
        println!("not run: no `yaml-test-suite/src` under $DR_CORPORA or ../shared/corpora");
        return;
    };
    let cases = cases(&suite);
    let read = cases.iter().filter(|case| ours(&case.text).is_ok()).count();
    println!("{} cases, {read} of them read", cases.len());
    assert!(read > 200, "the suite is not what it was: {read} cases are read");
    let found: BTreeMap<String, String> =
        cases.iter().filter_map(|case| Some((case.id.clone(), difference(case)?))).collect();
    let listed: BTreeMap<String, String> = DIFFERENCES
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let mut words = line.split_whitespace().map(str::to_owned);
            let id = words.next().expect("a line begins with a case");
            let difference = words.next().expect("a case has a difference");
            assert!(words.next().is_some(), "`{id}` is listed without its rule");
            (id, difference)
        })
        .collect();
    let unlisted: Vec<_> = found.iter().filter(|(id, _)| !listed.contains_key(*id)).collect();
    let outdated: Vec<_> = listed.iter().filter(|(id, _)| !found.contains_key(*id)).collect();
    let changed: Vec<_> = found.iter().filter(|(id, it)| listed.get(*id).is_some_and(|l| l != *it)).collect();
    assert!(unlisted.is_empty(), "not in the list: {unlisted:#?}");
    assert!(outdated.is_empty(), "listed, yet no different: {outdated:#?}");
    assert!(changed.is_empty(), "listed with another difference: {changed:#?}");
}

/// What a plain scalar means is the part that YAML readers agree on least.
#[test]
fn both_readers_understand_a_plain_scalar_alike() {
    let scalars =
        "~ null Null NULL nil true True TRUE false yes no on off y n 0 -0 +1 -1 007 0123 0o17 0o8 0x1F 0xg 0b1 1_000
        1.0 1.10 -1.5 +1.5 .5 -.5 5. 1e3 1E-3 1.5e+3 e3 . - + .. 1.2.3 12:30 1:30:00 2026-01-01 2026-01-01T00:00:00Z
        9007199254740993 9223372036854775807 9223372036854775808 18446744073709551615 -9223372036854775808
        inf infinity NaN .inf -.inf .nan 1e400 0x 0o 0x-1 -0x1 +0x1 -0o1 <<";
    let mut different = Vec::new();
    for scalar in scalars.split_whitespace() {
        let text = format!("a: {scalar}");
        let (ours, theirs) = (ours(&text).ok(), serde_yaml::from_str::<Value>(&text).ok());
        if ours != theirs {
            let show = |value: Option<Value>| value.map_or("refused".to_owned(), |value| value["a"].to_string());
            different.push(format!("{scalar}: ours {}, theirs {}", show(ours), show(theirs)));
        }
    }
    // Ours keeps to the core schema of YAML 1.2: no truth values of 1.1, no
    // signs before a radix; leading zeros change nothing about a whole number.
    let listed = [
        "yes: ours \"yes\", theirs true",
        "no: ours \"no\", theirs false",
        "on: ours \"on\", theirs true",
        "off: ours \"off\", theirs false",
        "y: ours \"y\", theirs true",
        "n: ours \"n\", theirs false",
        "007: ours 7, theirs 7.0",
        "0123: ours 123, theirs 123.0",
        "0b1: ours \"0b1\", theirs 1",
        "1_000: ours \"1_000\", theirs 1000",
        "-0x1: ours \"-0x1\", theirs -1",
        "+0x1: ours \"+0x1\", theirs 1",
        "-0o1: ours \"-0o1\", theirs -1",
    ];
    assert_eq!(different, listed);
}

#[test]
fn both_readers_see_the_same_tree_in_every_runbook() {
    let root = workspace();
    let mut files = Vec::new();
    for folder in ["runbooks", "drills"] {
        yaml_files(&root.join(folder), &mut files);
    }
    files.retain(|file| !file.starts_with(root.join("runbooks/broken")));
    println!("{} files", files.len());
    for file in files {
        let text = fs::read_to_string(&file).expect("a file of the repository is text");
        let ours = ours(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let theirs: Value = serde_yaml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        assert_eq!(ours, theirs, "{}", file.display());
    }
}

/// One case of the suite.
struct Case {
    id: String,
    text: String,
    fail: bool,
    json: Option<Value>,
}

/// How the readers differ over a case, in one word.
fn difference(case: &Case) -> Option<String> {
    let ours = ours(&case.text);
    let theirs = serde_yaml::from_str::<Value>(&case.text);
    let word = match (&ours, &theirs) {
        (Ok(ours), Ok(theirs)) if ours != theirs => "unequal",
        (Ok(_), Err(_)) => "only-ours",
        (Err(_), Ok(_)) => "only-theirs",
        (Ok(_), Ok(_)) if case.fail => "lenient",
        (Ok(ours), Ok(_)) if case.json.as_ref().is_some_and(|json| json != ours) => "suite-says-otherwise",
        (Ok(_), Ok(_)) | (Err(_), Err(_)) => return None,
    };
    Some(word.to_owned())
}

/// The text as our reader has it, or what it said first.
/// References stay as they are written: the other reader knows none.
struct Unresolved;

impl Scope for Unresolved {
    fn lookup(&self, _: &[&str]) -> Lookup {
        Lookup::Later
    }
}

fn ours(text: &str) -> Result<Value, String> {
    let doc = parse(text, 0, &Limits::default()).map_err(|problem| problem.message)?;
    let mut problems = Vec::new();
    let value = json(doc.root(), &Unresolved, &mut problems);
    value.ok_or_else(|| problems.first().map_or("nothing said".to_owned(), |problem| problem.message.clone()))
}

/// All cases; a file holds a list of them.
fn cases(suite: &Path) -> Vec<Case> {
    let mut files = Vec::new();
    yaml_files(suite, &mut files);
    let mut cases = Vec::new();
    for file in files {
        let name = file.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&file).expect("the suite is text");
        let list = ours(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let list = list.as_array().expect("a file of the suite is a list").clone();
        for (n, entry) in list.iter().enumerate() {
            let Some(text) = entry["yaml"].as_str() else {
                continue;
            };
            cases.push(Case {
                id: if list.len() == 1 { name.clone() } else { format!("{name}/{n:02}") },
                text: unmark(text),
                fail: entry["fail"] == true,
                json: entry["json"].as_str().and_then(|json| serde_json::from_str(&unmark(json)).ok()),
            });
        }
    }
    cases
}

/// The suite shows what cannot be seen: `␣` is a space, `—»` with any number
/// of dashes a tab, `↵` stands before a line's end, `←` is a carriage return,
/// `⇔` a byte order mark, and after `∎` there is no newline.
fn unmark(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '␣' => out.push(' '),
            '»' => {
                out.truncate(out.trim_end_matches('—').len());
                out.push('\t');
            }
            '↵' => {}
            '←' => out.push('\r'),
            '⇔' => out.push('\u{feff}'),
            c => out.push(c),
        }
    }
    match out.strip_suffix("∎\n") {
        Some(out) => out.to_owned(),
        None => out,
    }
}

fn suite() -> Option<PathBuf> {
    let beside = workspace().join("../shared/corpora");
    let given = std::env::var_os("DR_CORPORA").map(PathBuf::from);
    let folders = given.into_iter().chain([beside]);
    folders.map(|folder| folder.join("yaml-test-suite/src")).find(|folder| folder.is_dir())
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The `.yaml` files under a folder, which need not exist, in order.
fn yaml_files(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            yaml_files(&path, files);
        } else if path.extension().is_some_and(|ext| ext == "yaml") {
            files.push(path);
        }
    }
}
