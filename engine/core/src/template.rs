//! Texts with references: `orders-${params.env}`.
//!
//! A reference names a value and computes nothing. That keeps the graph of
//! dependencies exact, types checkable, and nights free of somebody else's
//! little language.
//!
//! Only dollars straight before a `{` mean anything, and there two of them
//! stand for one: `$${x}` is the text `${x}`, `$$${x}` is a dollar and a value.

use std::fmt;
use std::ops::Range;

use serde::{Serialize, Serializer};
use serde_json::Value;

/// A text with references, as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

/// A stretch of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Text to be taken as it stands, escapes resolved.
    Text(String),
    /// The name of a value.
    Ref {
        /// The words between the dots.
        path: Vec<String>,
        /// Where the reference stands in the template's text, `${` and `}` included.
        at: Range<usize>,
    },
}

/// What is wrong with a template, or with a value that was put into one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// The bytes of the template's text to underline.
    pub at: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// A way out.
    pub help: Option<String>,
}

impl Template {
    /// Reads a text. A text without references is a template too.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let bytes = text.as_bytes();
        let mut parts = Parts::default();
        let mut from = 0;
        while let Some(dollar) = bytes[from..].iter().position(|b| *b == b'$').map(|n| n + from) {
            let run = bytes[dollar..].iter().take_while(|b| **b == b'$').count();
            let after = dollar + run;
            if bytes.get(after) != Some(&b'{') {
                parts.text(&text[from..after]);
                from = after;
                continue;
            }
            parts.text(&text[from..dollar + run / 2]);
            from = after;
            if run % 2 == 1 {
                let at = after - 1..closing(text, after - 1)?;
                let path = path(text, &at)?;
                from = at.end;
                parts.done.push(Part::Ref { path, at });
            }
        }
        parts.text(&text[from..]);
        Ok(Self { text: text.to_owned(), parts: parts.done })
    }

    /// The text as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The stretches of the text, in order.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The path, when the text is one reference and nothing else.
    pub fn whole(&self) -> Option<&[String]> {
        match self.parts.as_slice() {
            [Part::Ref { path, .. }] => Some(path),
            _ => None,
        }
    }

    /// Every reference with its place in the text.
    pub fn refs(&self) -> impl Iterator<Item = (&[String], Range<usize>)> {
        self.parts.iter().filter_map(|part| match part {
            Part::Ref { path, at } => Some((path.as_slice(), at.clone())),
            Part::Text(_) => None,
        })
    }

    /// The value the template stands for. A template that is one reference
    /// keeps the type of what it names; every other one becomes text.
    pub fn render<E: From<TemplateError>>(
        &self,
        value: &mut dyn FnMut(&[String]) -> Result<Value, E>,
    ) -> Result<Value, E> {
        if let Some(path) = self.whole() {
            return value(path);
        }
        let mut out = String::with_capacity(self.text.len());
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Ref { path, at } => out.push_str(&as_text(&value(path)?, path, at)?),
            }
        }
        Ok(Value::String(out))
    }

    /// The template with some of its references already replaced; those for
    /// which `value` has nothing stay.
    pub fn fill(&self, value: &mut dyn FnMut(&[String]) -> Option<Value>) -> Result<Self, TemplateError> {
        let mut text = String::with_capacity(self.text.len());
        let mut plain = String::new();
        for part in &self.parts {
            match part {
                Part::Text(part) => plain.push_str(part),
                Part::Ref { path, at } => {
                    if let Some(value) = value(path) {
                        plain.push_str(&as_text(&value, path, at)?);
                    } else {
                        text.push_str(&escape(&plain, true));
                        plain.clear();
                        text.push_str(&self.text[at.clone()]);
                    }
                }
            }
        }
        text.push_str(&escape(&plain, false));
        Self::parse(&text)
    }

    /// The text of a template that stands for exactly this text.
    pub fn quote(text: &str) -> String {
        escape(text, false)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// Parts in the making; neighbouring texts grow together.
#[derive(Default)]
struct Parts {
    done: Vec<Part>,
}

impl Parts {
    fn text(&mut self, more: &str) {
        if let Some(Part::Text(text)) = self.done.last_mut() {
            text.push_str(more);
        } else if !more.is_empty() {
            self.done.push(Part::Text(more.to_owned()));
        }
    }
}

/// The byte after the `}` that closes the reference at `start`.
fn closing(text: &str, start: usize) -> Result<usize, TemplateError> {
    let rest = &text[start..];
    // A brace or a line's end before the `}`: the closing one was forgotten,
    // and what follows is something else.
    match rest[2..].find(['{', '}', '\n']) {
        Some(n) if rest.as_bytes()[n + 2] == b'}' => Ok(start + n + 3),
        _ => Err(TemplateError {
            at: start..start + 2,
            message: "this `${` is never closed".to_owned(),
            help: Some("a `}` ends a reference; `$${` is the text `${`".to_owned()),
        }),
    }
}

/// The words of the reference at `at`.
fn path(text: &str, at: &Range<usize>) -> Result<Vec<String>, TemplateError> {
    let inner = &text[at.start + 2..at.end - 1];
    let refused = |message: String| TemplateError {
        at: at.clone(),
        message,
        help: Some(
            "a reference names a value and computes nothing, as in `${params.env}`; `$${` is the text `${`".to_owned(),
        ),
    };
    if inner.is_empty() {
        return Err(refused("this reference names nothing".to_owned()));
    }
    if inner.split('.').all(|word| !word.is_empty() && word.bytes().all(is_word)) {
        return Ok(inner.split('.').map(str::to_owned).collect());
    }
    Err(refused(format!("`{inner}` is not the name of a value")))
}

/// Steps of an included runbook are `billing/restore_db`, turns of a loop
/// `restore[eu]`: their names must be sayable here.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_/-![]".contains(&byte)
}

/// A value as it stands inside a text.
fn as_text(value: &Value, path: &[String], at: &Range<usize>) -> Result<String, TemplateError> {
    let what = match value {
        Value::String(text) => return Ok(text.clone()),
        Value::Number(_) | Value::Bool(_) => return Ok(value.to_string()),
        Value::Null => "null",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    };
    Err(TemplateError {
        at: at.clone(),
        message: format!("`{}` is {what}: it cannot stand inside a text", path.join(".")),
        help: None,
    })
}

/// Doubles the dollars that would mean something: those before a `{`, and
/// those at the end when a reference follows.
fn escape(text: &str, reference_follows: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut run = 0;
    for c in text.chars() {
        if c == '{' {
            out.extend(std::iter::repeat_n('$', run));
        }
        run = if c == '$' { run + 1 } else { 0 };
        out.push(c);
    }
    if reference_follows {
        out.extend(std::iter::repeat_n('$', run));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn read(text: &str) -> String {
        match Template::parse(text) {
            Ok(template) => {
                let part = |part: &Part| match part {
                    Part::Text(text) => format!("{text:?}"),
                    Part::Ref { path, at } => format!("{}@{}-{}", path.join("|"), at.start, at.end),
                };
                template.parts().iter().map(part).collect::<Vec<_>>().join(" ")
            }
            Err(e) => format!("{}-{}: {}", e.at.start, e.at.end, e.message),
        }
    }

    #[test]
    fn a_reference_is_words_with_dots_between() {
        for (text, parts) in [
            ("", ""),
            ("plain $5 {x} $", r#""plain $5 {x} $""#),
            ("${params.x}", "params|x@0-11"),
            ("é-${a.b}/${c}", r#""é-" a|b@3-9 "/" c@10-14"#),
            ("${steps.restore[eu].endpoint}", "steps|restore[eu]|endpoint@0-29"),
            ("${steps.billing/restore_db.id}", "steps|billing/restore_db|id@0-30"),
            ("$${x}", r#""${x}""#),
            ("$$${x}", r#""$" x@2-6"#),
            ("$$$${x}", r#""$${x}""#),
            ("${a", "0-2: this `${` is never closed"),
            ("x ${a ${b}", "2-4: this `${` is never closed"),
            ("x ${}", "2-5: this reference names nothing"),
            ("${a + 1}", "0-8: `a + 1` is not the name of a value"),
            ("${a..b}", "0-7: `a..b` is not the name of a value"),
            ("${steps['x'].y}", "0-15: `steps['x'].y` is not the name of a value"),
        ] {
            assert_eq!(read(text), parts, "{text}");
        }
    }

    fn render(text: &str) -> Result<Value, String> {
        let known = json!({"n": 6, "t": "abc", "b": true, "null": null, "l": [1], "d": "$"});
        Template::parse(text)
            .and_then(|t| t.render(&mut |path| Ok::<_, TemplateError>(known[&path[0]].clone())))
            .map_err(|e| e.message)
    }

    #[test]
    fn a_whole_value_keeps_its_type_and_one_inside_text_becomes_text() {
        assert_eq!(render("${n}"), Ok(json!(6)));
        assert_eq!(render("${l}"), Ok(json!([1])));
        assert_eq!(render("${t}-${n}-${b}"), Ok(json!("abc-6-true")));
        assert_eq!(render("a ${null}"), Err("`null` is null: it cannot stand inside a text".to_owned()));
        assert_eq!(render("a ${l}"), Err("`l` is a list: it cannot stand inside a text".to_owned()));
    }

    #[test]
    fn what_is_filled_in_is_never_taken_for_a_reference() {
        let filled = |text: &str, with: &str| {
            let template = Template::parse(text).expect("a good template");
            let value = |path: &[String]| (path[0] == "x").then(|| json!(with));
            template.fill(&mut { value }).expect("text fits into text").text().to_owned()
        };
        assert_eq!(filled("a-${x}-${later}", "b"), "a-b-${later}");
        assert_eq!(filled("${x}${later}", "$"), "$$${later}");
        assert_eq!(filled("${x}", "${y}"), "$${y}");
        assert_eq!(filled("${x}{y}", "$"), "$${y}");
    }

    proptest! {
        #[test]
        fn a_quoted_text_stands_for_itself(text in "[$\\{\\}a.é]{0,12}") {
            let template = Template::parse(&Template::quote(&text)).expect("a quoted text has no references");
            let value = template.render(&mut |_| Err(TemplateError { at: 0..0, message: String::new(), help: None }));
            prop_assert_eq!(value, Ok(json!(text)));
        }
    }
}
