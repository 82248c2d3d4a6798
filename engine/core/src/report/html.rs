//! The report as one page that needs nothing else: no network, no script. It
//! is read on a phone in the night, printed for an auditor, and kept for years.
//!
//! Whatever was written by people, services or programs stands here as text:
//! every value is cleaned and escaped on its way in.

use super::{
    Report, StepStory, Verdict,
    text::{brief, clean, clipped, of_day, offset, stamp, value, who},
    timeline::failure,
    words::{NO_SPLIT, STEP_HEAD, STORE_HEAD, measure, question},
};
use crate::picture;
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// Facts of a step are shown up to here; JSON has them all.
const FACTS_MAX: usize = 12;
/// A word of more letters may be broken: paper cannot be scrolled sideways.
const WORD_MAX: usize = 24;

impl Report {
    /// The report as a page of HTML that stands by itself.
    pub fn to_html(&self) -> String {
        let plan = &self.opened.plan;
        let title = format!("{} · {} · {}", self.headline, self.opened.kind.word().to_uppercase(), self.opened.run);
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    // Nothing is loaded and nothing runs, whatever a text in here may try.
                    meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                    title { (clean(&title)) }
                    style { (PreEscaped(include_str!("page.css"))) }
                }
                body {
                    header { (self.banner()) }
                    main {
                        (self.cards())
                        (self.open())
                        ul { @for line in self.summary() { li { (code(&line)) } } }
                        (section("What happened when", &html! {
                            div class="scroll" tabindex="0" role="region" aria-label="What happened when, as a picture" {
                                (PreEscaped(picture::bars(self)))
                            }
                        }))
                        (section("Where the time went", &self.time_split()))
                        (section("Clock", &rows(&["Moment", "UTC", "After the incident"], self.moment_rows())))
                        (section("Data loss", &self.data_loss()))
                        (list("Questions and answers", self.story.questions.iter().map(question)))
                        (list("Deviations from the plan", self.deviation_lines()))
                        (list("Requests for help", self.note_lines(true)))
                        (list("Notes", self.note_lines(false)))
                        (list("Lessons and actions", self.learned_lines()))
                        (section("Steps", &self.steps_told()))
                        (section("Timeline", &self.events()))
                        (list("Integrity", self.record_lines()))
                    }
                    footer {
                        p { (code(&format!("`dr audit verify {}` proves the chain of hashes up to the head above, offline.", self.opened.run))) }
                        p { (clean(&plan.name)) " · plan " code { (&self.plan_hash[..12.min(self.plan_hash.len())]) } " · written " (stamp(self.written_at)) }
                    }
                }
            }
        };
        page.into_string()
    }

    fn banner(&self) -> Markup {
        let (opened, plan) = (&self.opened, &self.opened.plan);
        let kind = opened.kind.word();
        let regions: Vec<_> = plan.regions.iter().map(|(name, region)| format!("{name} {region}")).collect();
        let accounts: Vec<_> = plan.accounts.iter().map(|(name, it)| format!("{name} {}", it.id)).collect();
        let parts = [vec![format!("run {}", opened.run), plan.mode.word().into()], regions, accounts];
        html! {
            p { span class={ "kind " (kind) } { (kind.to_uppercase()) } " " span class="where" { (clean(&parts.concat().join(" · "))) } }
            h1 { (clean(&self.headline)) }
            @if let Some(what) = &plan.description { p class="soft" { (clean(what)) } }
        }
    }

    /// The four things that are asked first.
    fn cards(&self) -> Markup {
        let verdict = |verdict: Verdict| match verdict {
            Verdict::Met => "card met",
            Verdict::Missed => "card missed",
            Verdict::Unknown => "card unknown",
            Verdict::NoObjective => "card",
        };
        let limit = |limit: Option<crate::duration::Dur>| {
            limit.map_or("no objective".into(), |limit| format!("at most {limit} allowed"))
        };
        let word = |verdict: Verdict| verdict.word().replace('_', " ");
        let worst = self.rpo.worst_store();
        let least = if self.rpo.worst.known().is_some() { "" } else { "at least " };
        let deviations = self.story.deviations.len();
        let (record, whole) = match self.integrity.chain_ok {
            Some(true) => ("card met", "holds"),
            Some(false) => ("card missed", "BROKEN"),
            None => ("card unknown", "not looked at"),
        };
        html! {
            div class="cards" {
                div class=(verdict(self.rto.verdict)) {
                    p { "RTO " (word(self.rto.verdict)) }
                    p class="big" { @match self.rto.actual.known() { Some(actual) => { (brief(actual)) }, None => { "unknown" } } }
                    p class="soft" { (limit(self.rto.objective)) }
                }
                div class=(verdict(self.rpo.verdict)) {
                    p { "RPO " (word(self.rpo.verdict)) }
                    p class="big" { @match worst { Some((_, loss)) => { (least) (brief(loss)) }, None => { "unknown" } } }
                    p class="soft" { @if let Some((store, _)) = worst { (clean(&store.step)) ", " (limit(store.objective)) } @else { "no recovery point is known" } }
                }
                div class={ @if deviations == 0 { "card met" } @else { "card unknown" } } {
                    p { "Deviations from the plan" } p class="big" { (deviations) }
                }
                div class=(record) {
                    p { "Chain of hashes" } p class="big" { (whole) } p class="soft" { (self.integrity.events) " events" }
                }
            }
        }
    }

    /// What waits for a person, with what to type.
    fn open(&self) -> Markup {
        html! {
            @for asked in self.open_questions() {
                div class="ask" {
                    p { strong { (clean(&asked.step)) } " asks, since " (of_day(asked.asked_at)) " UTC: " (clean(&asked.text)) }
                    p { (code(&format!("`dr answer {} {} {}`", self.opened.run, asked.step, asked.choices.join("|")))) }
                }
            }
        }
    }

    fn time_split(&self) -> Markup {
        let Some(parts) = self.parts() else { return html! { p { (NO_SPLIT) } } };
        let colour = |name: &str| {
            let known = ["Detect", "Decide", "People", "Provider", "Execute", "Verify", "Hold"];
            if name == "Detect and decide" { Some(0) } else { known.iter().position(|known| *known == name) }
        };
        let whole = self.split.as_ref().map_or(1, |split| split.elapsed.0.max(1));
        let shares = parts.iter().filter_map(|(name, part)| Some((colour(name)?, part.known()?)));
        let shares: Vec<_> = shares.map(|(at, part)| (at, part.0.saturating_mul(1000) / whole)).collect();
        html! {
            div class="split" aria-hidden="true" {
                @for (at, share) in shares { div class={ "part" (at) } style={ "width:" (share / 10) "." (share % 10) "%" } {} }
            }
            table {
                thead { tr { th { "Part" } th { "Time" } } }
                tbody {
                    @for (name, part) in &parts {
                        tr {
                            td { @if let Some(at) = colour(name) { span class={ "key part" (at) } {} } (name) }
                            td class="wide" { (measure(part)) }
                        }
                    }
                }
            }
            @if let Some(path) = self.path_line() { p { (code(&path)) } }
        }
    }

    fn data_loss(&self) -> Markup {
        if self.rpo.stores.is_empty() {
            return html! { p { "Not measured: no step brought data back." } };
        }
        rows(&STORE_HEAD, self.store_rows())
    }

    fn steps_told(&self) -> Markup {
        html! {
            div class="scroll" tabindex="0" role="region" aria-label="Steps" {
                table {
                    thead { tr { @for name in STEP_HEAD { th { (name) } } } }
                    tbody {
                        @for (it, row) in self.story.steps.iter().zip(self.step_rows()) {
                            tr { @for (at, text) in row.iter().enumerate() { (cell(text, at == 1 && bad(it))) } }
                            (self.step_more(it))
                        }
                    }
                }
            }
            p class="soft" { "*: the run waited for it." }
        }
    }

    /// What a step wrote down, what it left, and what went wrong.
    fn step_more(&self, it: &StepStory) -> Markup {
        let mut lines = Vec::new();
        for error in &it.errors {
            let at = offset(error.at, self.opened.incident_at);
            let word = error.word.replace('_', " ");
            lines.push((true, format!("{at} attempt {} {word}: {}", error.attempt, failure(&error.failure))));
            lines.extend(error.failure.hint.iter().map(|hint| (false, clipped(hint))));
        }
        if let Some(by) = &it.actor {
            lines.push((false, format!("by {}", who(by))));
        }
        let facts = it
            .facts
            .iter()
            .take(FACTS_MAX)
            .map(|(_, _, fact)| format!("{} = {}", clean(&fact.name), value(&fact.value)));
        lines.extend(facts.map(|fact| (false, fact)));
        if it.facts.len() > FACTS_MAX {
            lines.push((false, format!("and {} more facts, in the report as JSON", it.facts.len() - FACTS_MAX)));
        }
        let left: Vec<_> = it.outputs.iter().map(|(name, of)| format!("{} = {}", clean(name), value(of))).collect();
        if !left.is_empty() {
            lines.push((false, format!("left: {}", left.join(", "))));
        }
        html! {
            @if !lines.is_empty() {
                tr class="more" { td colspan=(STEP_HEAD.len()) {
                    @for (bad, line) in &lines { div class=[bad.then_some("bad")] { (clean(line)) } }
                } }
            }
        }
    }

    fn events(&self) -> Markup {
        html! {
            div class="scroll" tabindex="0" role="region" aria-label="Timeline" {
                table {
                    thead { tr { th { "UTC" } th { "After" } th { "What" } } }
                    tbody {
                        @for line in &self.story.timeline {
                            tr { td { (of_day(line.at)) } td { (offset(line.at, self.opened.incident_at)) } td class="wide" { (clean(&line.text)) } }
                        }
                    }
                }
            }
        }
    }
}

/// Whether a step's state is one that nobody wants.
fn bad(it: &StepStory) -> bool {
    matches!(it.state, "failed" | "in_doubt" | "stuck" | "asking")
}

fn section(title: &str, body: &Markup) -> Markup {
    html! { section { h2 { (title) } (body) } }
}

fn list(title: &str, lines: impl IntoIterator<Item = String>) -> Markup {
    let lines: Vec<_> = lines.into_iter().collect();
    section(
        title,
        &html! {
            @if lines.is_empty() { p class="soft" { "None." } } @else { ul { @for line in &lines { li { (code(line)) } } } }
        },
    )
}

fn rows<const N: usize>(head: &[&str; N], rows: Vec<[String; N]>) -> Markup {
    html! {
        div class="scroll" tabindex="0" role="region" aria-label=(head.join(", ")) {
            table {
                thead { tr { @for name in head { th { (name) } } } }
                tbody { @for row in rows { tr { @for text in row { (cell(&text, false)) } } } }
            }
        }
    }
}

fn cell(text: &str, bad: bool) -> Markup {
    let text = clean(text);
    let wide = text.split(' ').any(|word| word.chars().count() > WORD_MAX);
    let class = [(bad, "bad"), (wide, "wide")].into_iter().filter_map(|(so, class)| so.then_some(class));
    let class = class.collect::<Vec<_>>().join(" ");
    html! { td class=[(!class.is_empty()).then_some(class)] { (text) } }
}

/// A line whose code stands between backticks.
fn code(line: &str) -> Markup {
    html! {
        @for (at, part) in clean(line).split('`').enumerate() {
            @if at % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}
