//! Steps: each read by itself, an instance for every item of a `for_each`,
//! and the steps of included runbooks among them.

use super::{
    PlanStep,
    build::{Build, File, GATE, Part, lenient, pair, recovery},
    draft::{self, Draft, Usual},
    fence,
    scope::{Names, way_out},
};
use crate::{
    data_loss::{DATA_LOSS, DataLossWith},
    duration::Dur,
    inputs, limits,
    plan::Estimate,
    problem::{Problem, Span},
    runbook::{Approve, EstimateText, StepText},
    step::Step,
    when,
    yaml::{Closed, Fields, Kind, Lookup, R, Scope, Spanned, exact_json, read},
};
use indexmap::IndexMap;
use serde_json::{Map, Value, json};
use std::num::NonZeroU32;

/// What cannot stand on a step that includes a runbook.
const NOT_BESIDE_INCLUDE: [&str; 14] = [
    "do",
    "when",
    "retry",
    "timeout",
    "check_timeout",
    "estimate",
    "approve",
    "fence",
    "data_loss",
    "irreversible",
    "rpo",
    "region",
    "account",
    "on_failure",
];

impl Build<'_> {
    pub(super) fn steps(&mut self, root: R<'_>, file: &File) {
        let Some((at, node)) = pair(root, "steps") else { return };
        let Some(mut fields) = Fields::of(node, at, &Closed, &mut self.problems) else { return };
        for (key, node) in fields.entries() {
            let id = key.text().unwrap_or_default();
            // A step with a wrong id may have other mistakes, and needs may name it.
            draft::check_id(id, key.span(), "step", &mut self.problems);
            self.step(id, key.span(), node, file);
        }
        fields.finish(&mut self.problems);
    }

    fn step(&mut self, id: &str, span: Span, node: R<'_>, file: &File) {
        let base = format!("{}{id}", file.prefix);
        let Some((at, list)) = pair(node, "for_each") else {
            self.instance(&base, span, node, file, &file.names);
            return;
        };
        let items = exact_json(list, &file.names, &mut self.problems)
            .and_then(|value| draft::each(list, &value, at, &mut self.problems));
        let Some(items) = items else {
            self.broken(&base, span, node, file);
            return;
        };
        let mut instances = Vec::new();
        for (key, value) in items {
            let instance = format!("{base}[{}]", key.as_str().unwrap_or_default());
            let names = Names { each: Some((key, value)), ..file.names.clone() };
            self.instance(&instance, span, node, file, &names);
            instances.push(instance);
        }
        self.groups.insert(base, instances);
    }

    /// The id exists, though what stands under it is wrong: needs may name it.
    pub(super) fn broken(&mut self, id: &str, span: Span, node: R<'_>, file: &File) {
        let mut draft = Draft::new(span, draft::plain(id.into(), "", Value::Null, file.usual));
        draft.broken = true;
        draft.prefix.clone_from(&file.prefix);
        draft.step.phase = node.get("phase").and_then(R::text).map(str::to_owned);
        self.drafts.push(draft);
    }

    fn instance(&mut self, id: &str, span: Span, node: R<'_>, file: &File, names: &Names) {
        if self.drafts.len() >= limits::STEPS_MAX {
            let message = format!("the plan has more than {} steps", limits::STEPS_MAX);
            if !self.problems.iter().any(|said| said.message == message) {
                self.problems.push(Problem::new(span, message));
            }
            return;
        }
        let before = self.problems.len();
        let text: Option<StepText> = read(node, span, names, &mut self.problems);
        let whole = text.is_some();
        let text = text.unwrap_or_else(|| partial(node, names));
        if let Some((at, _)) = pair(node, "include") {
            if let Some(path) = text.include.clone() {
                self.include(id, node, &path, text, file, names);
                return;
            }
            // An `include:` with nothing under it is none for serde.
            if whole {
                let problem = Problem::new(at, "`include` names no runbook");
                self.problems.push(problem.help("a path follows, relative to this file"));
            }
            self.broken(id, span, node, file);
            return;
        }
        let work = if self.kind_beside(node) { None } else { self.work(id, span, node, "do", file, names) };
        let readable = whole && work.is_some();
        let usual = file.usual;
        let mut draft = work.unwrap_or_else(|| Draft::new(span, draft::plain(id.into(), "", Value::Null, usual)));
        draft.prefix.clone_from(&file.prefix);
        let phase = text.phase.as_ref();
        if let Some(phase) = phase
            && !file.phases.is_empty()
            && !file.phases.contains(&phase.value)
        {
            let problem = Problem::new(phase.span, format!("there is no phase `{}`", phase.value));
            let near = crate::problem::did_you_mean(phase, file.phases.iter().map(String::as_str));
            self.problems.push(match near {
                Some(near) => problem.help(format!("did you mean `{near}`?")),
                None => problem.help(format!("phases are: {}", file.phases.join(", "))),
            });
        }
        draft.needs = self.whole_names(&text.needs, &file.prefix);
        draft.needs.extend(file.needs.iter().cloned());
        if let (Some(condition), Some(written)) = (&text.when, node.get("when")) {
            self.condition(condition, written, &mut draft, file, names);
        }
        let step = &mut draft.step;
        step.phase = phase.map(|p| p.value.clone()).or_else(|| file.phase.clone());
        step.when = text.when.as_ref().map(|w| w.value.clone());
        (step.on_failure, step.on_unknown) = (text.on_failure, text.on_unknown);
        step.retry = draft::retry(text.retry, usual.retry);
        step.timeout = text.timeout.unwrap_or(usual.timeout);
        step.check_timeout = text.check_timeout.unwrap_or(step.check_timeout);
        step.rpo = text.rpo;
        step.irreversible |= text.irreversible;
        draft.irreversible |= text.irreversible;
        // A timeout that cannot be read is no measure.
        let unread = !whole && pair(node, "timeout").is_some() && text.timeout.is_none();
        let timeout = Some(step.timeout).filter(|_| !unread);
        step.estimate = text.estimate.and_then(|e| estimate(e, timeout, &mut self.problems));
        let unsaid = text.region.is_none();
        step.region =
            text.region.map_or_else(|| recovery(names), |r| draft::region(&r, r.span, names, &mut self.problems));
        step.account = self.account(text.account.as_ref(), names);
        draft.fence = text.fence.map(|it| self.whole_names(&[it], &file.prefix).remove(0));
        draft.needs.extend(draft.fence.clone());
        draft.acknowledged = text.data_loss.is_some();
        draft.broken = !readable || self.problems.len() > before;
        fence::check(&draft, &mut self.problems);
        if unsaid {
            fence::check_region(&draft, names.regions.get("primary").and_then(Value::as_str), &mut self.problems);
        }
        if let Some(asked) = text.data_loss {
            loses_nothing(&draft, asked.span, &mut self.problems);
            // Whoever takes the loss on has agreed to the step.
            draft.approved = true;
            let gate = loss_gate(&draft, asked.span, usual);
            draft.needs.push((gate.step.id.clone(), span));
            self.drafts.push(gate);
        }
        if let Some(approve) = text.approve {
            draft.approved = true;
            let gate = gate(&draft, approve, usual);
            draft.needs.push((gate.step.id.clone(), span));
            self.drafts.push(gate);
        }
        self.drafts.push(draft);
    }

    /// Whether the kind of work stands beside `needs`, where it is easily put.
    fn kind_beside(&mut self, node: R<'_>) -> bool {
        if pair(node, "do").is_some() {
            return false;
        }
        let registry = self.registry;
        let kinds = |(key, _): &(R<'_>, R<'_>)| registry.names().any(|name| key.text() == Some(name));
        let found: Vec<_> = node.pairs().filter(kinds).collect();
        for (key, _) in &found {
            let name = key.text().unwrap_or_default();
            let problem = Problem::new(key.span(), format!("`{name}` stands beside `do`, not under it"));
            self.instead(problem.help(format!("write `do: {{ {name}: … }}`")));
        }
        !found.is_empty()
    }

    /// The inputs of a kind that do not go together, each at its field, else at the kind.
    pub(super) fn mistakes(&mut self, work: &dyn Step, with: R<'_>, kind: Span) {
        for mistake in work.mistakes() {
            let at = pair(with, mistake.field).map_or(kind, |(at, _)| at);
            self.problems.push(Problem::new(at, mistake.message).help(mistake.help));
        }
    }

    /// What stands under `do`, `start` or `healthy`: a kind and its inputs.
    pub(super) fn work(
        &mut self,
        id: &str,
        span: Span,
        node: R<'_>,
        key: &'static str,
        file: &File,
        names: &Names,
    ) -> Option<Draft> {
        if node.kind() != Kind::Map {
            return None;
        }
        let before = self.problems.len();
        let act = Fields::of(node, span, names, &mut self.problems)
            .and_then(|mut fields| fields.one(key, &mut self.problems));
        let Some(act) = act else {
            let help = match key {
                "healthy" => "say how its health is seen, as in `healthy: { verify.http: { url: … } }`",
                "start" => "say how it is started, as in `start: { command: { argv: [start-orders] } }`",
                _ => "one kind of work stands there, as in `do: { command: { argv: [restore-db] } }`",
            };
            for said in &mut self.problems[before..] {
                said.help = Some(if said.message.contains(", here are ") {
                    "one step does one kind of work: make two steps of it, and let one need the other".into()
                } else {
                    help.into()
                });
            }
            return None;
        };
        let (work, mut with) = self.registry.read(act.key, act.key_span, act.with, names, &mut self.problems)?;
        if with.is_null() {
            with = Value::Object(Map::new());
        }
        self.mistakes(&*work, act.with, act.key_span);
        let mut draft = Draft::new(span, draft::plain(id.into(), act.key, Value::Null, file.usual));
        draft.describe(&*work);
        draft.prefix.clone_from(&file.prefix);
        draft::references(act.with, &mut draft.refs);
        draft.refs.shrink_to_fit();
        if !file.prefix.is_empty() {
            draft::prefix(&mut with, &file.prefix);
            draft.refs.iter_mut().for_each(|(path, _)| path[0] = format!("{}{}", file.prefix, path[0]));
        }
        draft.roles = work
            .roles()
            .into_iter()
            .map(|role| (role.clone(), find(act.with, &role).unwrap_or(act.key_span)))
            .collect();
        draft.step.with = with;
        Some(draft)
    }

    fn condition(&mut self, text: &Spanned<String>, node: R<'_>, draft: &mut Draft, file: &File, names: &Names) {
        let paths = match when::references(text) {
            Ok(paths) => paths,
            Err(wrong) => {
                // One letter can be underlined where the condition stands letter by letter.
                let verbatim = node.text().filter(|written| *written == text.value).and(node.text_start());
                let place = verbatim.zip(wrong.at).and_then(|(start, at)| Some(start + u32::try_from(at).ok()?));
                let letter = wrong.at.and_then(|at| text.value.get(at..)?.chars().next()).map_or(1, char::len_utf8);
                let wide = u32::try_from(letter).unwrap_or(1);
                let span = place.map_or(text.span, |start| Span { start, end: start + wide });
                self.problems.push(Problem::new(span, wrong.message).help(wrong.help));
                return;
            }
        };
        for path in paths {
            let words: Vec<&str> = path.iter().map(String::as_str).collect();
            match words.as_slice() {
                ["mode"] => {}
                ["steps", id, rest @ ..] if !rest.is_empty() => {
                    let id = format!("{}{id}", file.prefix);
                    let path = std::iter::once(id).chain(rest.iter().map(ToString::to_string)).collect();
                    draft.refs.push((path, text.span));
                }
                words => match names.lookup(words) {
                    Lookup::Unknown { message, help } => {
                        let help = if words.len() == 1 {
                            Some("a condition speaks of params, regions, mode, run and steps".to_owned())
                        } else {
                            help
                        };
                        self.problems.push(Problem { help, ..Problem::new(text.span, message) });
                    }
                    // Known now, but not to the run: it has to be put in now.
                    Lookup::Known(_) if ["each", "accounts"].contains(&words[0]) => {
                        let name = words.join(".");
                        let problem = Problem::new(text.span, format!("a condition does not know `{name}`"));
                        self.problems
                            .push(problem.help(format!("put it in as a text: `when: \"'${{{name}}}' == '…'\"`")));
                    }
                    Lookup::Known(_) | Lookup::Later | Lookup::Told => {}
                },
            }
        }
    }

    fn include(&mut self, id: &str, node: R<'_>, path: &Spanned<String>, text: StepText, file: &File, names: &Names) {
        for key in NOT_BESIDE_INCLUDE {
            if let Some((at, _)) = pair(node, key) {
                let problem = Problem::new(at, format!("`{key}` cannot stand beside `include`"));
                self.problems.push(problem.help("write it on the steps of the included runbook"));
            }
        }
        if path.contains("://") {
            let problem = Problem::new(path.span, format!("`{}` is no path of a file", **path));
            self.problems.push(problem.help("keep the runbook beside this one: in a disaster the network is gone"));
            self.groups.insert(id.into(), Vec::new());
            return;
        }
        let first = self.drafts.len();
        let mut needs = self.whole_names(&text.needs, &file.prefix);
        needs.extend(file.needs.iter().cloned());
        let part = Part {
            prefix: format!("{id}/"),
            params: Some(self.handed(node, names)),
            needs,
            phase: text.phase.map(|p| p.value).or_else(|| file.phase.clone()),
            outer: Some(names.clone()),
            at: Some(path.span),
        };
        drop(self.file(path, Some(&file.path), &part));
        let inside = self.drafts[first..].iter().map(|d| d.step.id.clone()).collect();
        self.groups.insert(id.into(), inside);
    }

    /// The parameters that a step hands to the runbook it includes.
    fn handed(&mut self, node: R<'_>, names: &Names) -> IndexMap<String, (Option<Value>, Span)> {
        let Some((at, params)) = pair(node, "params") else { return IndexMap::new() };
        let Some(mut fields) = Fields::of(params, at, names, &mut self.problems) else { return IndexMap::new() };
        let mut handed = IndexMap::new();
        for (key, value) in fields.entries() {
            let mut json = exact_json(value, names, &mut self.problems);
            let mut later = Vec::new();
            if let Some(json) = &json {
                inputs::references(json, &mut later);
            }
            if let Some(path) = later.first() {
                let message = format!("a parameter cannot come from `{}`, which only a run knows", path.join("."));
                let problem = Problem::new(value.span(), message);
                self.problems
                    .push(problem.help("let the included steps name the output themselves, or write the value out"));
                json = None;
            }
            json.iter_mut().for_each(draft::unquote);
            handed.insert(key.text().unwrap_or_default().to_owned(), (json, key.span()));
        }
        fields.finish(&mut self.problems);
        handed
    }

    pub(super) fn account(&mut self, chosen: Option<&Spanned<String>>, names: &Names) -> Option<String> {
        let Some(chosen) = chosen else {
            return names.accounts.keys().next().filter(|_| names.accounts.len() == 1).cloned();
        };
        if !names.accounts.contains_key(&chosen.value) && !names.is_told("accounts", chosen) {
            let problem = Problem::new(chosen.span, format!("there is no account `{}`", chosen.value));
            let known = names.accounts.keys().map(String::as_str);
            self.problems.push(problem.help(way_out(chosen, "accounts", known)));
        }
        Some(chosen.value.clone())
    }

    #[expect(clippy::unused_self, reason = "beside its siblings")]
    pub(super) fn whole_names(&self, needs: &[Spanned<String>], prefix: &str) -> Vec<(String, Span)> {
        let whole = |name: &str| if name.starts_with("phase.") { name.to_owned() } else { format!("{prefix}{name}") };
        needs.iter().map(|need| (whole(need), need.span)).collect()
    }
}

/// What can be read of a step that has a mistake: enough to find those that it
/// makes together with others.
fn partial(node: R<'_>, names: &Names) -> StepText {
    let needs = node.get("needs").into_iter().flat_map(R::kids);
    StepText {
        include: lenient(node, "include", names),
        phase: lenient(node, "phase", names),
        needs: needs.filter_map(|need| read(need, need.span(), names, &mut Vec::new())).collect(),
        when: lenient(node, "when", names),
        timeout: lenient(node, "timeout", names).filter(|timeout| *timeout > Dur(0)),
        estimate: lenient(node, "estimate", names),
        approve: lenient(node, "approve", names),
        region: lenient(node, "region", names),
        account: lenient(node, "account", names),
        ..StepText::default()
    }
}

/// Where a text stands in a node.
fn find(node: R<'_>, text: &str) -> Option<Span> {
    match node.kind() {
        Kind::Scalar => (node.text() == Some(text)).then(|| node.span()),
        Kind::List => node.kids().find_map(|kid| find(kid, text)),
        Kind::Map => node.pairs().find_map(|(_, value)| find(value, text)),
    }
}

fn gate(draft: &Draft, approve: Approve, usual: Usual) -> Draft {
    let step = &draft.step;
    let question = approve.question.unwrap_or_else(|| format!("may `{}` start?", step.id));
    let mut with = json!({ "question": question, "roles": approve.roles, "not_starter": approve.not_starter });
    with["count"] = approve.count.map_or(1, NonZeroU32::get).into();
    if let Some(timeout) = approve.timeout {
        with["timeout"] = timeout.to_string().into();
    }
    let gate = before(draft, "approve", GATE, with, usual);
    Draft { roles: approve.roles.into_iter().map(|role| (role.value, role.span)).collect(), ..gate }
}

/// The gate that asks for the data that a step loses. It looks with the step's
/// own eyes: in its region and account, by its kind and inputs.
fn loss_gate(draft: &Draft, at: Span, usual: Usual) -> Draft {
    let step = &draft.step;
    let with =
        DataLossWith { step: step.id.clone(), kind: step.kind.clone(), with: step.with.clone(), roles: Vec::new() };
    let with = serde_json::to_value(with).expect("a gate is JSON");
    let mut gate = before(draft, DATA_LOSS, DATA_LOSS, with, usual);
    (gate.step.region, gate.step.account) = (step.region.clone(), step.account.clone());
    gate.step.calls_provider = step.calls_provider;
    Draft { asks_about_loss: Some(at), ..gate }
}

/// A step that has to be passed before another: it waits for the same, under the same condition.
fn before(draft: &Draft, name: &str, kind: &str, with: Value, usual: Usual) -> Draft {
    let step = &draft.step;
    let gate = PlanStep {
        phase: step.phase.clone(),
        gates: Some(step.id.clone()),
        when: step.when.clone(),
        changes: false,
        ..draft::plain(format!("{}!{name}", step.id), kind, with, usual)
    };
    Draft {
        needs: draft.needs.clone(),
        refs: draft.refs.clone(),
        prefix: draft.prefix.clone(),
        broken: draft.broken,
        ..Draft::new(draft.span, gate)
    }
}

/// An estimate, measured against the timeout if that is known.
pub(super) fn estimate(
    text: Spanned<EstimateText>,
    timeout: Option<Dur>,
    problems: &mut Vec<Problem>,
) -> Option<Estimate> {
    let Spanned { value: EstimateText { p50, p90 }, span } = text;
    if p90 < p50 {
        let problem = Problem::new(span, format!("p90 ({p90}) is shorter than p50 ({p50})"));
        problems.push(problem.help("p50 is the usual time, p90 what a slow time takes"));
        return None;
    }
    if let Some(timeout) = timeout.filter(|timeout| p90 > *timeout) {
        let problem =
            Problem::new(span, format!("one time in ten it would be cut off: p90 is {p90}, the timeout {timeout}"));
        problems.push(problem.help("give the step a longer `timeout`"));
    }
    Some(Estimate { p50, p90 })
}

/// A question about lost data before a step that can lose none: whoever reads
/// it at night would believe it. Of a program, or a restore, its author knows.
fn loses_nothing(draft: &Draft, at: Span, problems: &mut Vec<Problem>) {
    let step = &draft.step;
    let why = match () {
        () if draft.broken || draft.loses_data => return,
        () if !step.changes => "only looks or asks",
        () if step.fences => "is a fence, which ends writes and loses none",
        () if step.moves_traffic => "sends users elsewhere, and has no data",
        () => return,
    };
    let message = format!("step `{}` {why}: nobody need acknowledge a loss", draft.written());
    problems.push(
        Problem::new(at, message)
            .help("take `data_loss` away, or give it to the step that loses what was written last"),
    );
}
