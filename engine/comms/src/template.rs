//! An update in the runbook's own words: a template over the same facts.
//!
//! It fills the middle of an update and no more. The mark (LIVE, DRILL), how it
//! stands, the headline, the next update, who stands behind it and from where
//! in the journal it was made are ours in every update: no template can hide
//! that something is a rehearsal, or that nobody reviewed it.
//!
//! A template that fails fails no update: what it could not say is said plainly.

mod facts;
mod sample;

use crate::update::{Update, text::Section};
use dr_engine::{report::clean, run::Run};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value, syntax::SyntaxConfig, value::Serde};

/// What a template may do before it is given up: far more than an update needs.
const FUEL: u64 = 200_000;
/// A template's text.
pub const TEXT_MAX: usize = 64 * 1024;
/// What it says: mail servers and Slack take no more.
const SAID_MAX: usize = 256 * 1024;
/// What stands for a value that nobody knows.
const UNKNOWN: &str = "unknown";
/// How a line that begins a part begins.
const TITLE: &str = "# ";

/// Whether a template can be used: it is tried on an update in which everything
/// is known, and on one in which nothing is. Says what is wrong and where.
pub fn check(text: &str) -> Result<(), String> {
    if text.len() > TEXT_MAX {
        return Err(format!("it is longer than {TEXT_MAX} bytes"));
    }
    let names = ("RUN", "RUNBOOK");
    if parts(text, &sample::full(), names)?.is_empty() {
        return Err("it says nothing".into());
    }
    parts(text, &sample::bare(), names).map(drop)
}

/// Lets the runbook's template, if it has one, say the update. Where it
/// cannot, the update is told as usual, and says so.
pub(crate) fn fill(update: &mut Update, run: &Run) {
    let Some(text) = run.plan().comms.as_ref().and_then(|comms| comms.template.as_deref()) else { return };
    match parts(text, update, (&run.opened.run, &run.plan().name)) {
        Ok(parts) => update.parts = Some(parts),
        Err(why) => update.risks.push(format!("The runbook's template failed, so this is told without it: {why}.")),
    }
}

/// What a template makes of an update, part by part.
fn parts(text: &str, update: &Update, (run, runbook): (&str, &str)) -> Result<Vec<Section>, String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.map_err(|error| error.to_string())?);
    // Nobody knows it, or somebody wrote it: neither may look like a fact or begin a line.
    environment.set_formatter(|out, _, value| {
        let said = if value.is_none() { UNKNOWN.to_owned() } else { clean(&value.to_string()) };
        if value.is_undefined() {
            return Err(Error::from(ErrorKind::UndefinedError));
        }
        out.write_str(&said).map_err(Error::from)
    });
    let facts = Value::from(Serde(facts::of(update, run, runbook)));
    let said = environment.render_str(text, facts).map_err(|error| told(&error, text))?;
    if said.len() > SAID_MAX {
        return Err(format!("it says more than {SAID_MAX} bytes"));
    }
    Ok(read(&said))
}

/// Parts begin with a line `# Title`; empty lines are nobody's.
fn read(said: &str) -> Vec<Section> {
    let mut parts: Vec<Section> = Vec::new();
    for line in said.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
        match (line.strip_prefix(TITLE), parts.last_mut()) {
            (Some(title), _) => parts.push(Section { title: title.trim().to_owned(), lines: Vec::new() }),
            (None, Some(part)) => part.lines.push(line.to_owned()),
            (None, None) => parts.push(Section { title: String::new(), lines: vec![line.to_owned()] }),
        }
    }
    parts
}

/// What is wrong, and where: by the line and the words of the template.
fn told(error: &Error, text: &str) -> String {
    let line = error.line().map_or(String::new(), |line| format!("line {line}: "));
    let words = error.range().and_then(|range| text.get(range)).map(clean).filter(|words| !words.is_empty());
    let what = match error.kind() {
        ErrorKind::UndefinedError => "there is no such value".to_owned(),
        ErrorKind::OutOfFuel => "it goes on and on".to_owned(),
        kind => error.detail().map_or_else(|| kind.to_string(), str::to_owned),
    };
    words.map_or_else(|| format!("{line}{what}"), |words| format!("{line}{what}: `{words}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        let parts = parts(text, &sample::full(), ("r-1", "orders")).expect("a good template");
        let part = |part: &Section| format!("{}|{}", part.title, part.lines.join("|"));
        parts.iter().map(part).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn parts_are_titled_and_values_stand_in_their_lines() {
        let text = "Dear board,\n# How it stands\n{{ rag }} since {{ clock.incident }}\n\n# Shops\n\
            {% for store in stores %}\n- {{ store.step }}: {{ store.lost }}\n{% endfor %}\n";
        assert_eq!(said(text), "|Dear board,\nHow it stands|AMBER since 12:07 UTC\nShops|- orders_db: 2s");
    }

    #[test]
    fn what_nobody_knows_is_said_to_be_unknown() {
        let parts = parts("{{ impact }} {{ clock.forecast }}", &sample::bare(), ("r-1", "orders"));
        assert_eq!(parts.expect("good")[0].lines, ["unknown unknown"]);
    }

    #[test]
    fn what_somebody_wrote_begins_no_part() {
        let mut update = sample::full();
        update.help[0].text = "people\n# All is well".into();
        let parts = parts("# Help\n{{ help[0].text }}", &update, ("r-1", "orders")).expect("good");
        assert_eq!((parts.len(), parts[0].lines.clone()), (1, vec!["people # All is well".to_owned()]));
    }

    /// Each name with what it holds, as the README writes it.
    fn named(name: &str, value: &serde_json::Value) -> String {
        use serde_json::Value;
        match value {
            Value::Array(items) => match items.first() {
                Some(item @ Value::Object(_)) => format!("{name}[]{}", named("", item)),
                _ => format!("{name}[]"),
            },
            Value::Object(fields) => {
                let fields: Vec<_> = fields.iter().map(|(name, value)| named(name, value)).collect();
                format!("{name}{{{}}}", fields.join(" "))
            }
            _ => name.to_owned(),
        }
    }

    /// Whether two lists of names are one, whatever the order.
    fn sorted(text: &str) -> Vec<String> {
        let (mut names, mut name, mut depth) = (Vec::new(), String::new(), 0);
        for letter in text.chars().chain([' ']) {
            match letter {
                '{' => depth += 1,
                '}' => depth -= 1,
                ' ' | '\n' if depth == 0 => {
                    names.extend(Some(std::mem::take(&mut name)).filter(|name| !name.is_empty()));
                    continue;
                }
                _ => {}
            }
            name.push(if letter == '\n' { ' ' } else { letter });
        }
        let inside = |name: String| match name.split_once('{') {
            Some((name, fields)) => {
                let mut fields: Vec<_> = fields.trim_end_matches('}').split(' ').collect();
                fields.sort_unstable();
                format!("{name}{{{}}}", fields.join(" "))
            }
            None => name,
        };
        let mut names: Vec<_> = names.into_iter().map(inside).collect();
        names.sort();
        names
    }

    #[test]
    fn the_readme_names_the_values() {
        let readme = include_str!("../../../README.md");
        let (_, list) = readme.split_once("Its values:\n\n```text\n").expect("the list");
        let (list, _) = list.split_once(": the usual lines").expect("its end");
        let facts = facts::of(&sample::full(), "r-1", "orders");
        let mut facts = facts.as_object().expect("names").clone();
        // Of each part the lines, and of what the lead said the usual three.
        let parts = facts["parts"].as_object_mut().expect("parts");
        parts.values_mut().for_each(|lines| *lines = serde_json::Value::Null);
        facts["lead"]["said"] = serde_json::json!([]);
        let names: Vec<_> = facts.iter().map(|(name, value)| named(name, value)).collect();
        assert_eq!(sorted(list), sorted(&names.join(" ")));
    }

    #[test]
    fn mistakes_are_found_before_anything_happens_and_named() {
        for (text, why) in [
            ("# A\n{{ impact.percent }}", "line 2: there is no such value: `impact.percent`"),
            ("{{ headlin }}", "line 1: there is no such value: `headlin`"),
            ("{% if over %}{{ rogue }}{% endif %}{{ run }}", ""),
            ("# A\n{% for line in timeline %}", "line 2: "),
            ("{{ rag | shout }}", "line 1: "),
            (
                "{% for a in range(9000) %}{% for b in range(9000) %}{{ b }}{% endfor %}{% endfor %}",
                "line 1: it goes on and on",
            ),
            ("\n \n", "it says nothing"),
        ] {
            let told = check(text);
            let wrong = told.as_ref().err().map_or("", String::as_str);
            assert!(wrong.starts_with(why) && (why.is_empty() == told.is_ok()), "{text}: {told:?}");
        }
    }
}
