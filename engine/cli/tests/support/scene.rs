//! A runbook of ours, run in an estate of the lab.

use super::{
    Living, Place,
    lab::{Estate, bin, path_with},
    until,
};
use dr_drills::lab::Lab;
use dr_engine::question::Question;
use serde_json::{Map, Value};
use std::path::Path;

/// An estate, and a runbook of ours that is to be run there.
pub(crate) struct Scene {
    pub(crate) estate: Estate,
    pub(crate) place: Place,
}

impl Scene {
    pub(crate) fn new(lab: &'static Lab, seed: Map<String, Value>) -> Self {
        Self { estate: Estate::with(lab, seed), place: Place::new() }
    }

    /// Begins it with what the estate gives to its parameters, and more.
    pub(crate) fn execute(&self, runbook: &str, more: &[&str]) -> Living {
        let runbook = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../runbooks").join(runbook);
        let runbook = runbook.canonicalize().expect("a runbook");
        let text = std::fs::read_to_string(&runbook).expect("it is text");
        let mut args = vec!["execute".to_owned(), runbook.display().to_string()];
        args.extend(["--yes", "--incident-at=-1m"].iter().chain(more).copied().map(str::to_owned));
        let params = self.estate.params.iter();
        for (name, value) in params.filter(|(name, _)| text.contains(&format!("\n  {name}: {{ type"))) {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            args.extend(["--param".into(), format!("{name}={value}")]);
        }
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let mut command = self.estate.dr(&self.place, &args);
        command.env("PATH", path_with(&bin())).env("DR_MAY", "may").env("DR_MAY_NOT", "somebody");
        self.place.begin(command)
    }

    /// What a step asks, once it does.
    pub(crate) fn asked(&self, controller: &mut Living, id: &str) -> Question {
        until("the question", || self.place.asking().iter().any(|(step, _)| step == id) || controller.over());
        let asking = self.place.asking();
        let question = asking.into_iter().find(|(step, _)| step == id);
        question.unwrap_or_else(|| panic!("no question of {id}: {:?}", controller.so_far())).1
    }

    /// Says something that is taken.
    pub(crate) fn answer(&self, step: &str, more: &[&str]) {
        let id = self.place.id();
        self.estate.run(&self.place, &[&["answer", &id, step], more].concat()).ends(0);
    }

    /// The first store of the report.
    pub(crate) fn store(&self) -> Value {
        let report = self.estate.run(&self.place, &["report", &self.place.id(), "--format", "json"]).ends(0).out;
        let report: Value = serde_json::from_str(&report).expect("a report is JSON");
        report["rpo"][0].clone()
    }
}
