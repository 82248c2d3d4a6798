//! From a runbook to a plan: every text is read, every mistake is found, and
//! what remains is resolved and frozen.
//!
//! Reads no disk (texts come through [`Sources`]) and no clock: the same
//! runbook and options give the same plan anywhere.
//!
//! One mistake is told once. What cannot be read leaves a draft behind that is
//! marked broken, and a name that is marked as told, so that nothing else is
//! blamed for it.

use super::{
    Claim, Estimate, Mode, Objectives, Plan, PlanStep, Selection, VERIFY, account, claim,
    draft::{self, Draft, Usual},
    order,
    scope::Names,
    who::Who,
};
use crate::{
    duration::Dur,
    kind::Registry,
    limits,
    phone::Number,
    problem::{Problem, SourceMap, Span},
    runbook::{Defaults, Runbook},
    verify::VerifyWith,
    yaml::{Kind, Limits, R, json, parse, read},
};
use indexmap::IndexMap;
use serde_json::{Map, Value};
use std::sync::Arc;

/// The kind of work that a gate is.
pub const GATE: &str = "approve";

/// The phases of a runbook that names none.
pub const PHASES: [&str; 7] = ["announce", "datastores", "services", "cdn", "dns", "verify", "close"];

/// Where the texts of runbooks come from.
pub trait Sources {
    /// The text at `path`, as it is written in `from`, and the name under
    /// which problems speak of it.
    fn read(&self, path: &str, from: Option<&str>) -> Result<(String, String), String>;
}

/// What was asked for beside the runbook.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Parameters, as they were typed.
    pub params: Vec<(String, String)>,
    /// Whether the primary region can still be asked.
    pub mode: Mode,
    /// A part of the plan.
    pub selection: Selection,
    /// Steps that cannot be taken back need no approval.
    pub accept_irreversible: bool,
    /// The limits of reading.
    pub limits: Limits,
}

/// Everything that is wrong with a runbook, and the texts to show it in.
#[derive(Debug)]
pub struct Problems {
    /// The texts.
    pub sources: SourceMap,
    /// What is wrong, in the order of the texts.
    pub problems: Vec<Problem>,
}

/// Reads a runbook and plans it.
pub fn plan(path: &str, sources: &dyn Sources, registry: &Registry, options: &Options) -> Result<Plan, Problems> {
    let mut build = Build {
        sources,
        registry,
        options,
        map: SourceMap::default(),
        problems: Vec::new(),
        drafts: Vec::new(),
        groups: IndexMap::new(),
        probes: IndexMap::new(),
        probes_call_provider: false,
        who: Who::default(),
        files: Vec::new(),
        included: 0,
    };
    let head = build.file(path, None, &Part::default());
    let plan = head.and_then(|head| build.finish(head));
    let Build { map, mut problems, .. } = build;
    if plan.is_none() && problems.is_empty() {
        let message = "this cannot be planned, and nothing says why: that is a defect of dr";
        problems.push(Problem::new(Span::default(), message));
    }
    // An instance of `for_each` says again what its sibling said.
    problems.sort_by(|a, b| (a.span, &a.message).cmp(&(b.span, &b.message)));
    problems.dedup();
    match plan {
        Some(plan) if problems.is_empty() => Ok(plan),
        _ => Err(Problems { sources: map, problems }),
    }
}

pub(super) struct Build<'a> {
    sources: &'a dyn Sources,
    pub(super) registry: &'a Registry,
    pub(super) options: &'a Options,
    pub(super) map: SourceMap,
    pub(super) problems: Vec<Problem>,
    pub(super) drafts: Vec<Draft>,
    /// Names that stand for several steps, or for another one.
    pub(super) groups: IndexMap<String, Vec<String>>,
    pub(super) probes: IndexMap<String, (String, Value)>,
    pub(super) probes_call_provider: bool,
    pub(super) who: Who,
    files: Vec<String>,
    included: usize,
}

/// What an including step hands to the runbook that it includes.
#[derive(Default)]
pub(super) struct Part {
    pub(super) prefix: String,
    /// The parameters handed over, each with its place; no value where that has a mistake.
    pub(super) params: Option<IndexMap<String, (Option<Value>, Span)>>,
    pub(super) needs: Vec<(String, Span)>,
    pub(super) phase: Option<String>,
    pub(super) outer: Option<Names>,
    pub(super) at: Option<Span>,
}

/// A file that was read, as far as its steps need to know it.
pub(super) struct File {
    pub(super) names: Names,
    pub(super) usual: Usual,
    pub(super) prefix: String,
    /// Empty when they cannot be known: then nothing is said of phases.
    pub(super) phases: Vec<String>,
    pub(super) phase: Option<String>,
    pub(super) needs: Vec<(String, Span)>,
    pub(super) path: String,
}

pub(super) struct Head {
    /// Nothing when it has a mistake.
    runbook: Option<Runbook>,
    phases: Vec<String>,
    names: Names,
    claim: Option<Claim>,
    failback: Option<Value>,
    usual: Usual,
    /// Where to speak of the steps as a whole.
    span: Span,
}

impl Build<'_> {
    pub(super) fn file(&mut self, path: &str, from: Option<&str>, part: &Part) -> Option<Head> {
        let at = part.at.unwrap_or_default();
        let (name, text) = match self.sources.read(path, from) {
            Ok(read) => read,
            Err(why) => {
                let problem = Problem::new(at, why);
                self.problems.push(if from.is_none() {
                    self.map.add(path, &Arc::from(""));
                    problem
                } else {
                    problem.help("the path is relative to the runbook that includes it")
                });
                return None;
            }
        };
        if self.files.contains(&name) {
            let circle: Vec<_> = self.files.iter().map(String::as_str).chain([name.as_str()]).collect();
            self.problems.push(Problem::new(at, format!("a runbook includes itself: {}", circle.join(" → "))));
            return None;
        }
        // Two names of one file, or a file that includes many that include many.
        if self.files.len() >= limits::INCLUDE_DEPTH_MAX || self.included >= limits::INCLUDES_MAX {
            let message = format!(
                "runbooks include each other at most {} deep, and {} in all",
                limits::INCLUDE_DEPTH_MAX,
                limits::INCLUDES_MAX
            );
            self.problems.push(Problem::new(at, message));
            return None;
        }
        let text: Arc<str> = text.into();
        let Some(base) = self.map.try_add(&name, &text) else {
            self.problems.push(Problem::new(at, "all included runbooks together are too long"));
            return None;
        };
        let doc = match parse(&text, base, &self.options.limits) {
            Ok(doc) => doc,
            Err(problem) => {
                self.problems.push(problem);
                return None;
            }
        };
        self.included += 1;
        self.files.push(name.clone());
        let head = self.read_file(doc.root(), name, part);
        self.files.pop();
        Some(head)
    }

    fn read_file(&mut self, root: R<'_>, path: String, part: &Part) -> Head {
        let span = Span { start: root.span().start, end: root.span().start };
        let mut names = part.outer.clone().unwrap_or_else(|| Names { mode: self.options.mode, ..Names::default() });
        names.each = None;
        names.told.retain(|name| !name.starts_with("params"));
        self.params(root, part, &mut names);
        // What everything else may name comes first. Its mistakes are told
        // when the whole is read.
        early(root, &mut names);
        self.take_who(root, &part.prefix, &names);
        let runbook: Option<Runbook> = read(root, span, &names, &mut self.problems);
        self.way_out("`dr` is missing", "a runbook begins with `dr: v1`");
        for problem in account::written_down(root) {
            self.problems.retain(|said| said.span != problem.span);
            self.problems.push(problem);
        }
        let file = File {
            names: names.clone(),
            usual: Usual::of(lenient::<Defaults>(root, "defaults", &names).as_ref()),
            prefix: part.prefix.clone(),
            phases: match pair(root, "phases") {
                None => PHASES.map(str::to_owned).to_vec(),
                Some(_) => lenient(root, "phases", &names).unwrap_or_default(),
            },
            phase: part.phase.clone(),
            needs: part.needs.clone(),
            path,
        };
        self.services(root, &file);
        self.steps(root, &file);
        self.verify(root, &file);
        self.later_versions(root);
        let failback = root.get("failback").and_then(|node| json(node, &Anything, &mut self.problems));
        if let Some(runbook) = &runbook {
            self.head(runbook);
            self.sms(root, runbook);
        }
        let claim = self.claim(root, &names);
        let sections = ["steps", "services", "verify"].into_iter().filter_map(|name| pair(root, name));
        let sections: Vec<_> = sections.collect();
        if part.outer.is_none() && sections.iter().all(|(_, node)| node.text().is_some_and(str::is_empty)) {
            let at = sections.first().map_or(span, |(at, _)| *at);
            self.problems.push(Problem::new(at, "the runbook has no steps").help("steps stand under `steps:`"));
        }
        let span = sections.first().map_or(span, |(at, _)| *at);
        let File { usual, phases, .. } = file;
        Head { runbook, phases, names, claim, failback, usual, span }
    }

    /// What types cannot say of the head of a runbook.
    fn head(&mut self, runbook: &Runbook) {
        if *runbook.dr != "v1" {
            let problem = Problem::new(runbook.dr.span, format!("this version reads `dr: v1`, not `{}`", *runbook.dr));
            self.problems.push(problem.help("use the version of dr that the runbook was written for"));
        }
        for (name, account) in &runbook.accounts {
            self.problems.extend(account::mistakes(name, account));
        }
    }

    /// Whoever is to hear by SMS has a number that it can be sent to.
    fn sms(&mut self, root: R<'_>, runbook: &Runbook) {
        let Some(sms) = runbook.comms.as_ref().and_then(|comms| comms.sms.as_ref()) else { return };
        let written = root.get("comms").and_then(|node| node.get("sms")).and_then(|node| node.get("to"));
        for (node, text) in written.into_iter().flat_map(R::kids).zip(&sms.to) {
            if let Err(no) = text.parse::<Number>() {
                self.problems.push(Problem::new(node.span(), no.to_string()).help(no.hint));
            }
        }
    }

    /// What keeps a second recovery from starting: an empty one would be
    /// believed to.
    fn claim(&mut self, root: R<'_>, names: &Names) -> Option<Claim> {
        let (at, node) = pair(root, "claim")?;
        // What cannot be read has been told already.
        let Some(text) = lenient::<Option<String>>(root, "claim", names)? else {
            self.problems.push(Problem::new(at, "`claim` names no object").help(claim::AS_IN));
            return None;
        };
        let Some(region) = recovery(names) else {
            if !names.is_told("regions", "recovery") {
                let problem = Problem::new(at, "a claim stands in the recovery region, and `regions` names none");
                self.problems.push(problem.help("name it: `regions: { recovery: eu-central-1 }`"));
            }
            return None;
        };
        match Claim::read(&text, region) {
            Ok(claim) => Some(claim),
            Err(why) => {
                self.problems.push(Problem::new(node.span(), why).help(claim::AS_IN));
                None
            }
        }
    }

    /// Keys whose behaviour is not built yet are refused: accepted and ignored
    /// would be believed.
    fn later_versions(&mut self, root: R<'_>) {
        let mut refuse = |node: R<'_>, key: &str, way: &str| {
            if let Some((span, _)) = pair(node, key) {
                let problem = Problem::new(span, format!("`{key}` is not in this version"));
                self.instead(problem.help(way));
            }
        };
        refuse(root, "mirror", "take it out; `dr export RUN` makes a copy of a run");
        refuse(root, "review", "take it out, and keep the date in your calendar");
    }

    /// Tells a mistake in place of what was said of the same key.
    pub(super) fn instead(&mut self, problem: Problem) {
        self.problems.retain(|said| said.span != problem.span || !said.message.starts_with("unknown key"));
        self.problems.push(problem);
    }

    /// Gives the mistake that was told last a way out, if that is what it says.
    pub(super) fn way_out(&mut self, message: &str, help: &str) {
        let said = self.problems.iter_mut().rev().find(|said| said.message == message && said.help.is_none());
        if let Some(said) = said {
            said.help = Some(help.to_owned());
        }
    }

    fn finish(&mut self, head: Head) -> Option<Plan> {
        let Head { runbook, phases, names, claim, failback, usual, span } = head;
        let objectives = runbook.as_ref().and_then(|r| r.objectives.as_ref());
        let objectives = objectives.map_or_else(Objectives::default, |o| Objectives {
            rto: o.rto,
            rpo: o.rpo,
            hold: o.hold,
            set_by: o.set_by.clone(),
            set_on: o.set_on.clone(),
        });
        if !self.probes.is_empty() {
            let hold = objectives.hold.unwrap_or(Dur(0));
            let every = Dur(5_000).min(Dur((hold.0 / 3).max(20)));
            let with = VerifyWith { probes: std::mem::take(&mut self.probes), hold, every };
            let with = serde_json::to_value(with).expect("a verify is JSON");
            let mut step = PlanStep { changes: false, ..draft::plain(VERIFY.into(), VERIFY, with, usual) };
            step.phase = phases.iter().find(|p| *p == "verify").cloned();
            step.calls_provider = self.probes_call_provider;
            step.region = recovery(&names);
            step.account = names.accounts.keys().next().filter(|_| names.accounts.len() == 1).cloned();
            step.estimate = Some(Estimate { p50: hold, p90: Dur(hold.0 + 2 * every.0) }).filter(|_| hold > Dur(0));
            self.drafts.push(Draft::new(span, step));
        }
        self.whom_to_ask();
        self.check_who();
        if self.drafts.is_empty() && self.problems.is_empty() {
            let problem = Problem::new(span, "the plan has no steps: every `for_each` is empty");
            self.problems.push(problem.help("give a `for_each` an item, or the parameter it comes from"));
        }
        let drafts = std::mem::take(&mut self.drafts);
        let steps = order::steps(drafts, &self.groups, &phases, self.options, span, &mut self.problems);
        let (runbook, steps) = (runbook?, steps?);
        Some(Plan {
            format: 1,
            name: runbook.name.value,
            description: runbook.description,
            owner: runbook.owner,
            regions: runbook.regions,
            accounts: self.who.accounts().collect(),
            objectives,
            roles: self.who.roles().collect(),
            params: names.params,
            mode: self.options.mode,
            comms: runbook.comms,
            claim,
            failback,
            phases,
            selection: self.options.selection.clone(),
            steps,
        })
    }
}

/// What references may name, its mistakes left to be told later.
fn early(root: R<'_>, names: &mut Names) {
    for section in ["regions", "accounts"] {
        let Some((_, node)) = pair(root, section) else { continue };
        names.told.retain(|name| !name.starts_with(section));
        if node.kind() != Kind::Map {
            names.told.insert(section.to_owned());
        }
        let mut found = Map::new();
        for (key, value) in node.pairs() {
            let Some(name) = key.text() else { continue };
            let value = if section == "accounts" { value.get("id") } else { Some(value) };
            let text = value.and_then(|value| read::<String>(value, value.span(), &*names, &mut Vec::new()));
            match text {
                Some(text) => drop(found.insert(name.to_owned(), text.into())),
                None => drop(names.told.insert(format!("{section}.{name}"))),
            }
        }
        if section == "accounts" {
            names.accounts = found;
        } else {
            names.regions = found;
        }
    }
}

/// The scope of what is kept for a later version: anything may be named.
struct Anything;

impl crate::yaml::Scope for Anything {
    fn lookup(&self, _: &[&str]) -> crate::yaml::Lookup {
        crate::yaml::Lookup::Later
    }
}

pub(super) fn recovery(names: &Names) -> Option<String> {
    names.regions.get("recovery").and_then(Value::as_str).map(str::to_owned)
}

/// A key and what stands under it.
pub(super) fn pair<'d>(node: R<'d>, name: &str) -> Option<(Span, R<'d>)> {
    node.pairs().find(|(key, _)| key.text() == Some(name)).map(|(key, value)| (key.span(), value))
}

/// One field of a map that has a mistake elsewhere; nothing if it has one itself.
pub(super) fn lenient<T: serde::de::DeserializeOwned>(node: R<'_>, name: &str, names: &Names) -> Option<T> {
    let (at, value) = pair(node, name)?;
    read(value, at, names, &mut Vec::new())
}
