//! The schema that editors are given, against runbooks that are good and some
//! that are not.

#[path = "support/draft07.rs"]
mod draft07;

use dr_engine::yaml::{self, Limits, Lookup, Scope};
use serde_json::{Value, json};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Mistakes of shape, which an editor underlines while they are made. All
/// others are found by `dr` alone: what a name means, what waits for what.
const OF_SHAPE: [&str; 32] = [
    "approve_count",
    "argv_text",
    "attempts_zero",
    "backoff",
    "bool_wanted",
    "choice_unknown",
    "do_empty",
    "do_text",
    "dr_missing",
    "duration_no_unit",
    "duration_words",
    "field_missing",
    "http_method",
    "list_wanted",
    "mirror",
    "name_missing",
    "number_wanted",
    "param_unknown_type",
    "param_without_type",
    "regions_list",
    "secret_literal",
    "steps_list",
    "text_wanted",
    "unknown_key_accounts",
    "unknown_key_comms",
    "unknown_key_deep",
    "unknown_key_estimate",
    "unknown_key_kind",
    "unknown_key_objectives",
    "unknown_key_service",
    "unknown_key_step",
    "unknown_kind",
];

/// References stay as they are written: an editor does not know what they name.
struct AsWritten;

impl Scope for AsWritten {
    fn lookup(&self, _: &[&str]) -> Lookup {
        Lookup::Later
    }
}

fn runbooks() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../runbooks")
}

fn printed() -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_dr")).arg("schema").output().expect("dr runs");
    String::from_utf8(output.stdout).expect("a schema is text")
}

fn schema() -> Value {
    serde_json::from_str(&printed()).expect("a schema is JSON")
}

fn read(text: &str) -> Value {
    let doc = yaml::parse(text, 0, &Limits::default()).expect("good YAML");
    yaml::json(doc.root(), &AsWritten, &mut Vec::new()).expect("JSON")
}

fn faults(schema: &Value, path: &Path) -> Vec<String> {
    draft07::faults(schema, &read(&fs::read_to_string(path).expect("a runbook")))
}

/// Whoever clones the repository has an editor that knows runbooks, without building anything.
#[test]
fn the_schema_beside_the_examples_is_the_one_that_dr_prints() {
    let (path, printed) = (runbooks().join("dr.schema.json"), printed());
    if env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, &printed).expect("the schema can be written");
    }
    let committed = fs::read_to_string(&path).expect("a schema");
    assert!(
        committed == printed,
        "runbooks/dr.schema.json is old: cargo run --bin dr schema > runbooks/dr.schema.json"
    );
}

#[test]
fn every_example_tells_editors_of_the_schema() {
    let files = fs::read_dir(runbooks()).expect("a folder").map(|entry| entry.expect("an entry").path());
    let examples: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "yaml")).collect();
    assert!(examples.len() >= 3, "{examples:?}");
    for path in examples {
        let text = fs::read_to_string(&path).expect("a runbook");
        let named = text.lines().next().and_then(|line| line.strip_prefix("# yaml-language-server: $schema="));
        let schema = named.map(|name| path.with_file_name(name)).filter(|schema| schema.exists());
        assert_eq!(schema, Some(runbooks().join("dr.schema.json")), "the first line of {}", path.display());
    }
}

#[test]
fn every_runbook_that_dr_plans_is_valid_in_an_editor() {
    let schema = schema();
    let folders = [runbooks(), runbooks().join("broken/parts")];
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).expect("a folder").flatten());
    let mut seen = 0;
    for path in files.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "yaml")) {
        if !path.ends_with("defective.yaml") {
            assert_eq!(faults(&schema, &path), [""; 0], "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 7, "runbooks got lost: {seen}");
}

#[test]
fn a_mistake_of_shape_is_one_in_an_editor_too() {
    let schema = schema();
    for name in OF_SHAPE {
        let path = runbooks().join("broken").join(name).with_extension("yaml");
        assert_ne!(faults(&schema, &path), [""; 0], "{name}");
    }
}

#[test]
fn any_value_may_be_a_reference_and_none_may_be_of_another_type() {
    let schema = schema();
    let step = |fields: &str| {
        let text = format!("dr: v1\nname: x\nsteps:\n  one: {{ {fields} }}\n");
        draft07::faults(&schema, &read(&text))
    };
    for field in ["timeout", "irreversible", "on_failure", "needs", "rpo", "region"] {
        let act = "do: { command: { argv: [go] } }";
        assert_eq!(step(&format!("{act}, {field}: \"${{params.x}}\"")), [""; 0], "{field}");
        assert_ne!(step(&format!("{act}, {field}: {{ a: 1 }}")), [""; 0], "{field}");
    }
    for (kind, good, bad) in [
        (
            "ecs.scale_service",
            "cluster: c, service: s, desired: \"${params.n}\"",
            "cluster: c, service: s, desired: many",
        ),
        ("http", "url: \"${params.url}\", headers: \"${params.headers}\"", "url: \"https://x\", headers: [a]"),
        ("command", "argv: \"${params.argv}\"", "argv: go"),
        ("command", "argv: [sleep, 5, 0755, true]", "argv: [[sleep]]"),
    ] {
        assert_eq!(step(&format!("do: {{ {kind}: {{ {good} }} }}")), [""; 0], "{kind}: {good}");
        assert_ne!(step(&format!("do: {{ {kind}: {{ {bad} }} }}")), [""; 0], "{kind}: {bad}");
    }
}

#[test]
fn everything_an_editor_offers_is_explained_in_whole_lines() {
    let schema = schema();
    let kinds = schema.pointer("/definitions/Do/properties").and_then(Value::as_object).expect("the kinds");
    let registry = dr_steps::registry();
    assert_eq!(kinds.keys().collect::<Vec<_>>(), registry.names().collect::<Vec<_>>());
    assert_eq!(schema.pointer("/definitions/Do/maxProperties"), None, "it would end completion");
    let mut silent = Vec::new();
    let mut places = vec![("", &schema)];
    places.extend(schema["definitions"].as_object().expect("definitions").iter().map(|(name, it)| (name.as_str(), it)));
    for (name, definition) in places {
        for (field, schema) in definition["properties"].as_object().into_iter().flatten() {
            let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
            if name != "Do" && (text.is_empty() || text.replace("\n\n", "").contains('\n')) {
                silent.push(format!("{name}.{field}"));
            }
        }
    }
    for (kind, schema) in kinds {
        let definition = schema["$ref"].as_str().and_then(|path| self::schema().pointer(&path[1..]).cloned());
        let definition = definition.unwrap_or_else(|| panic!("{kind} has no definition"));
        assert_eq!(definition["title"], json!(kind));
        assert!(definition["description"].is_string(), "{kind}");
    }
    assert_eq!(silent, [""; 0]);
}
