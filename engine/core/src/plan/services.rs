//! Services, which become two steps each, and the probes of `verify`.

use super::{
    build::{Build, File, pair, recovery},
    draft, fence,
    steps::estimate,
};
use crate::{
    problem::{Problem, Span},
    runbook::Service,
    yaml::{Closed, Fields, R, read},
};

impl Build<'_> {
    pub(super) fn services(&mut self, root: R<'_>, file: &File) {
        let Some((at, node)) = pair(root, "services") else { return };
        let Some(mut fields) = Fields::of(node, at, &Closed, &mut self.problems) else { return };
        for (key, node) in fields.entries() {
            let id = key.text().unwrap_or_default();
            draft::check_id(id, key.span(), "service", &mut self.problems);
            self.service(id, key.span(), node, file);
        }
        fields.finish(&mut self.problems);
    }

    fn service(&mut self, id: &str, span: Span, node: R<'_>, file: &File) {
        let names = &file.names;
        let text = read::<Service>(node, span, names, &mut self.problems);
        let id = format!("{}{id}", file.prefix);
        let healthy_id = format!("{id}_healthy");
        // `!start` keeps the need of its own health from meaning that health.
        self.groups.insert(format!("{id}!start"), vec![id.clone()]);
        self.groups.insert(id.clone(), vec![healthy_id.clone()]);
        let start = self.work(&id, span, node, "start", file, names);
        let healthy = self.work(&healthy_id, span, node, "healthy", file, names);
        let (Some(text), Some(mut start), Some(mut healthy)) = (text, start, healthy) else {
            self.broken(&id, span, node, file);
            self.broken(&healthy_id, span, node, file);
            for draft in self.drafts.iter_mut().rev().take(2) {
                draft.step.phase = Some("services".into());
            }
            return;
        };
        let region = text.region.as_ref();
        let region = region.map_or_else(|| recovery(names), |r| draft::region(r, r.span, names, &mut self.problems));
        let account = self.account(text.account.as_ref(), names);
        start.needs = self.whole_names(&text.depends_on, &file.prefix);
        start.needs.extend(self.whole_names(&text.needs, &file.prefix));
        start.needs.extend(file.needs.iter().cloned());
        start.step.timeout = text.timeout.unwrap_or(file.usual.timeout);
        start.step.estimate = text.estimate.and_then(|e| estimate(e, Some(start.step.timeout), &mut self.problems));
        healthy.step.estimate =
            text.healthy_estimate.and_then(|e| estimate(e, Some(file.usual.timeout), &mut self.problems));
        healthy.needs = vec![(format!("{id}!start"), span)];
        for mut draft in [start, healthy] {
            draft.step.phase = Some("services".into());
            draft.step.region.clone_from(&region);
            draft.step.account.clone_from(&account);
            fence::check(&draft, &mut self.problems);
            self.drafts.push(draft);
        }
    }

    pub(super) fn verify(&mut self, root: R<'_>, file: &File) {
        let Some((at, node)) = pair(root, "verify") else { return };
        let Some(mut fields) = Fields::of(node, at, &Closed, &mut self.problems) else { return };
        for (key, node) in fields.entries() {
            let name = key.text().unwrap_or_default();
            draft::check_id(name, key.span(), "probe", &mut self.problems);
            let pairs: Vec<_> = node.pairs().collect();
            let [(kind, with)] = pairs.as_slice() else {
                let problem = Problem::new(key.span(), format!("`{name}` holds exactly one kind of probe"));
                self.problems.push(problem.help(format!("as in `{name}: {{ verify.http: {{ url: … }} }}`")));
                continue;
            };
            let kind_name = kind.text().unwrap_or_default();
            let work = self.registry.read(kind_name, kind.span(), *with, &file.names, &mut self.problems);
            let Some((work, with_json)) = work else { continue };
            self.probes_call_provider |= !work.describe().actions.is_empty();
            self.mistakes(&*work, *with, kind.span());
            if work.changes() {
                let problem = Problem::new(kind.span(), format!("`{kind_name}` changes something: it is no probe"));
                self.problems.push(problem.help("probes are verify.http, verify.tcp and the like"));
            }
            let mut refs = Vec::new();
            draft::references(*with, &mut refs);
            if let Some((path, span)) = refs.first() {
                let problem = Problem::new(*span, format!("a probe cannot use the output `{}`", path.join(".")));
                self.problems.push(problem.help("outside users know a name, not what a step gave: probe that"));
            }
            self.probes.insert(format!("{}{name}", file.prefix), (kind_name.into(), with_json));
        }
        fields.finish(&mut self.problems);
    }
}
