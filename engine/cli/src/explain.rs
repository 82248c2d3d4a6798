//! What there is to know of a kind of work, as facts: from its types, from what
//! its example says of itself when it is planned, and from its [`Reference`].

pub mod fields;
pub mod markdown;

use dr_engine::{
    kind::{Kind, Reference, Registry},
    plan::{
        Plan,
        build::{self, Options, Sources},
    },
    step::{OutputType, Step},
};
use fields::Field;
use schemars::{Schema, generate::SchemaSettings};
use serde::Serialize;
use std::sync::Arc;

/// A kind of work, explained.
#[derive(Debug, Serialize)]
pub struct Page {
    /// Its name under `do:`.
    pub kind: &'static str,
    /// What it is for.
    pub purpose: String,
    /// Its inputs.
    pub fields: Vec<Field>,
    /// An example, as it stands under `steps:`.
    pub example: String,
    /// What `check` looks at.
    pub check: &'static str,
    /// What `run` does.
    pub run: &'static str,
    /// What `undo` does, where something can be taken back.
    pub undo: Option<&'static str>,
    /// Which moment the data is of, where data comes back.
    pub recovery_point: Option<&'static str>,
    /// What it usually takes.
    pub time: &'static str,
    /// What surprises people.
    pub traps: &'static [&'static str],
    /// The permissions that it needs, as the provider names them.
    pub permissions: Vec<&'static str>,
    /// What it leaves for other steps, and what each is.
    pub outputs: Vec<(String, &'static str)>,
    /// What holds of it, in sentences.
    pub notes: Vec<String>,
}

/// What stands around an example, so that it can be planned.
const FRAME: &str = r#"dr: v1
name: example
regions: { primary: eu-west-1, recovery: eu-central-1 }
accounts: { prod: { id: "111122223333" } }
roles: { incident_commander: { name: Chiara Lund, deputies: [Jonas Weiss] } }
steps:
"#;

impl Page {
    /// The page of a kind.
    ///
    /// # Errors
    /// When its example cannot be planned: a defect of `dr`.
    pub fn of(kind: &Kind, registry: &Registry) -> Result<Self, String> {
        let schema = schema(kind);
        let Reference { check, run, undo, recovery_point, time, traps, example } = kind.reference;
        let example = textwrap::dedent(example).trim().to_owned();
        let step = example_step(kind, &example, registry)?;
        let outputs = step.outputs().into_iter().map(|output| (output.name, word(output.is))).collect();
        Ok(Self {
            kind: kind.name,
            purpose: fields::description(schema.as_value()),
            fields: fields::of(schema.as_value()),
            example,
            check,
            run,
            undo,
            recovery_point,
            time,
            traps,
            permissions: step.describe().actions,
            outputs,
            notes: notes(&*step),
        })
    }

    /// Its purpose in one line: the first sentence.
    pub fn brief(&self) -> &str {
        self.purpose.split_inclusive(". ").next().unwrap_or_default().trim_end()
    }

    /// What is said in sentences, each under its title.
    pub fn texts(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        [
            ("Check", Some(self.check)),
            ("Run", Some(self.run)),
            ("Undo", self.undo),
            ("Recovery point", self.recovery_point),
            ("Time", Some(self.time)),
        ]
        .into_iter()
        .filter_map(|(title, text)| Some((title, text?)))
    }

    /// What is a list, each under its title, if there is anything in it; `name`
    /// is how a name is written.
    pub fn lists(&self, name: impl Fn(&str) -> String) -> impl Iterator<Item = (&'static str, Vec<String>)> {
        let outputs = self.outputs.iter().map(|(output, is)| format!("{} ({is})", name(output)));
        [
            ("Traps", self.traps.iter().map(ToString::to_string).collect()),
            ("Permissions", self.permissions.iter().map(|action| name(action)).collect()),
            ("Outputs", outputs.collect::<Vec<_>>()),
        ]
        .into_iter()
        .filter(|(_, items)| !items.is_empty())
    }
}

/// The schema of a kind's inputs, whole: nothing of it stands elsewhere.
fn schema(kind: &Kind) -> Schema {
    let mut generator = SchemaSettings::draft07().with(|it| it.inline_subschemas = true).into_generator();
    kind.schema(&mut generator)
}

/// One runbook, whatever it is called.
struct Text(String);

impl Sources for Text {
    fn read(&self, path: &str, _: Option<&str>) -> Result<(String, String), String> {
        Ok((path.to_owned(), self.0.clone()))
    }
}

/// The plan of an example, in a runbook of its own.
fn planned(example: &str, registry: &Registry) -> Result<Plan, String> {
    let runbook = format!("{FRAME}{}\n", textwrap::indent(example, "  "));
    build::plan("example.yaml", &Text(runbook), registry, &Options::default()).map_err(|wrong| {
        let said: Vec<_> = wrong.problems.iter().map(|problem| problem.message.as_str()).collect();
        format!("its example has mistakes: {}", said.join("; "))
    })
}

/// The step of a kind's example, as planning makes it.
fn example_step(kind: &Kind, example: &str, registry: &Registry) -> Result<Arc<dyn Step>, String> {
    let plan = planned(example, registry)?;
    let step = plan.steps.iter().find(|step| step.kind == kind.name).ok_or("its example shows another kind")?;
    registry.make(&step.kind, step.with.clone()).map_err(|failure| failure.message)
}

fn word(is: OutputType) -> &'static str {
    match is {
        OutputType::Text => "text",
        OutputType::Number => "number",
        OutputType::Any => "any value",
    }
}

/// What a step says of itself, in sentences.
fn notes(step: &dyn Step) -> Vec<String> {
    let is = step.describe();
    let mut notes = Vec::new();
    if !step.changes() {
        notes.push("It changes nothing.".to_owned());
    } else if step.can_undo() {
        notes.push("`dr undo` can take it back.".to_owned());
    } else {
        notes.push("`dr undo` cannot take it back.".to_owned());
    }
    if is.irreversible {
        notes.push("It cannot be taken back at all, so that it needs an approval.".to_owned());
    }
    if is.fences {
        notes.push("It is a fence: what names it under `fence:` waits for its proof.".to_owned());
    }
    if is.second_writer {
        notes.push("It makes a second writer: the step names under `fence:` what stops the first.".to_owned());
    }
    if is.loses_data {
        notes.push(
            "It loses what was written last: the step says `data_loss: acknowledge`, and somebody is asked.".to_owned(),
        );
    }
    if is.moves_traffic {
        notes.push("It sends users somewhere else: to take it back is asked for twice.".to_owned());
    }
    if let Some(region) = is.control_plane {
        notes.push(format!("It calls a control plane that is in {region}, whatever the step's region."));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_explained_and_its_example_planned() {
        let registry = dr_steps::registry();
        for kind in registry.kinds() {
            let page = Page::of(kind, &registry).unwrap_or_else(|why| panic!("{}: {why}", kind.name));
            let step = example_step(kind, &page.example, &registry).expect("it was made before");
            assert_eq!(page.undo.is_some(), step.can_undo(), "{}: what it says of undo", kind.name);
            let texts = [page.check, page.run, page.time].into_iter().chain(page.undo).chain(page.recovery_point);
            for text in texts.chain(page.traps.iter().copied()).chain([page.purpose.as_str()]) {
                assert!(text.len() > 1 && text.ends_with('.'), "{}: `{text}` is no sentence", kind.name);
            }
            for Field { name, text, .. } in &page.fields {
                assert!(!text.is_empty(), "{}: `{name}` is not explained", kind.name);
            }
        }
    }

    /// What is wrong with an example of `verify.tcp`.
    fn wrong(example: &'static str) -> String {
        let registry = dr_steps::registry();
        let mut kind = *registry.kinds().iter().find(|kind| kind.name == "verify.tcp").expect("a kind");
        kind.reference.example = example;
        Page::of(&kind, &registry).expect_err("it has a mistake")
    }

    #[test]
    fn an_example_with_a_mistake_is_no_page() {
        assert_eq!(
            wrong("a: { do: { verify.tcp: { adress: host:1 } } }"),
            "its example has mistakes: `address` is missing; unknown key `adress`"
        );
        assert_eq!(wrong("a: { do: { verify.http: { url: http://host } } }"), "its example shows another kind");
    }
}
