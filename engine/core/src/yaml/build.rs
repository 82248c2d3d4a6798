//! From the parser's events to a tree, refusing what is too much on the way.

use std::collections::HashMap;

use granit_parser::{Event, Marker, Parser, ScalarStyle, StructureStyle};

use super::Core;
use super::tree::{Doc, K, Limits, N};
use super::words::{syntax, too_deep, unquoted_reference};
use crate::problem::{Problem, Span};

/// Parses a text whose first byte is number `base` of the plan. The first
/// mistake ends it: what follows a broken line is guesswork.
pub fn parse<'s>(src: &'s str, base: u32, limits: &Limits) -> Result<Doc<'s>, Problem> {
    let nothing = Span { start: base, end: base };
    let numbered = u32::try_from(src.len()).ok().and_then(|len| base.checked_add(len));
    if src.len() > limits.bytes_max || numbered.is_none() {
        return Err(Problem::new(
            nothing,
            format!("the file has {} bytes, at most {} are read", src.len(), limits.bytes_max),
        )
        .help("`DR_READ_BYTES_MAX` raises the limit"));
    }
    let mut builder = Builder::new(src, base, limits);
    // Comments are skipped by the scanner itself: nobody here wants them.
    let options = granit_parser::options! { emit_comments: false };
    for event in Parser::new_from_str_with_options(src, options) {
        let (event, span) = event.map_err(|e| syntax(src, base, limits, &e, builder.bracket()))?;
        builder.take(event, &span)?;
    }
    match builder.doc.nodes.first() {
        Some(N { k: K::Plain, start, end, .. }) if start == end => {}
        Some(_) => return Ok(builder.doc),
        None => {}
    }
    Err(Problem::new(nothing, "the file is empty").help("a runbook begins with `dr: v1`, `name: …` and `steps:`"))
}

/// A list or map that is not closed yet.
struct Open {
    node: u32,
    /// In a map: whether a key comes next.
    key_next: Option<bool>,
    flow: bool,
    anchor: usize,
    weight_before: usize,
    /// Where its last entry ends.
    end: u32,
    /// The deepest nesting below it so far.
    below: usize,
}

/// What an anchor names.
#[derive(Clone, Copy)]
struct Named {
    node: u32,
    weight: usize,
    depth: usize,
}

struct Builder<'s, 'l> {
    doc: Doc<'s>,
    limits: &'l Limits,
    nodes_max: usize,
    open: Vec<Open>,
    /// Anchors whose node is complete, by the parser's number.
    named: HashMap<usize, Named>,
    aliases: usize,
    /// Nodes so far, aliases counted by what they stand for.
    weight: usize,
    documents: usize,
}

impl<'s, 'l> Builder<'s, 'l> {
    fn new(src: &'s str, base: u32, limits: &'l Limits) -> Self {
        // A realistic runbook has a node for every ten or eleven bytes.
        let nodes = Vec::with_capacity(src.len() / 10 + 8);
        Self {
            doc: Doc { src, base, nodes, side: Vec::new() },
            limits,
            nodes_max: Limits::nodes_max(src.len()),
            open: Vec::new(),
            named: HashMap::new(),
            aliases: 0,
            weight: 0,
            documents: 0,
        }
    }

    fn take(&mut self, event: Event<'s>, span: &granit_parser::Span) -> Result<(), Problem> {
        let (start, end) = (offset(span.start), offset(span.end));
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), span)?;
                self.scalar(&text, style, anchor, start, end)
            }
            Event::SequenceStart(style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), span)?;
                self.container(K::Seq, style, anchor, start, end)
            }
            Event::MappingStart(style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), span)?;
                self.container(K::Map, style, anchor, start, end)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                self.close(end);
                Ok(())
            }
            Event::Alias(anchor) => self.alias(anchor, start, end),
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(self
                        .problem(start, end, "a second document begins here")
                        .help("one file holds one runbook"));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, anchor: usize, start: u32, end: u32) -> Result<(), Problem> {
        let src = self.doc.src;
        let written = &src[start as usize..end as usize];
        let plain = style == ScalarStyle::Plain;
        // The parser says `~` for what is not there at all.
        let (mut end, mut next, mut k) = (end, 0, K::Plain);
        if plain && text == "~" && written != "~" {
            end = start;
        } else if !plain || text != written {
            let between = written.get(1..written.len().saturating_sub(1));
            if matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted) && between == Some(text) {
                k = K::Quoted;
            } else {
                k = if plain { K::OwnedPlain } else { K::Owned };
                next = index(self.doc.side.len());
                self.doc.side.push(text.into());
                end = start + index(written.trim_end().len());
            }
        }
        if plain && text.ends_with('$') && src.as_bytes().get(end as usize) == Some(&b'{') {
            return Err(unquoted_reference(src, self.doc.base, start as usize));
        }
        if self.key_next() {
            self.check_key(text, plain, start, end)?;
        }
        let node = self.push(N { start, end, next, k })?;
        if anchor > 0 {
            self.named.insert(anchor, Named { node, weight: 1, depth: 0 });
        }
        Ok(())
    }

    fn container(&mut self, k: K, style: StructureStyle, anchor: usize, start: u32, end: u32) -> Result<(), Problem> {
        // A block begins with nothing of its own: its first letter must do.
        let first = self.doc.src[start as usize..].chars().next();
        let shown = end.max(start + index(first.map_or(0, char::len_utf8)));
        if self.key_next() {
            let what = if k == K::Seq { "a list" } else { "a map" };
            return Err(self.problem(start, shown, format!("a key must be text, this is {what}")));
        }
        let depth = self.open.len() + 1;
        self.check_depth(depth, start, shown)?;
        let weight_before = self.weight;
        let node = self.push(N { start, end, next: 0, k })?;
        let key_next = (k == K::Map).then_some(true);
        let flow = style == StructureStyle::Flow;
        self.open.push(Open { node, key_next, flow, anchor, weight_before, end: start, below: 0 });
        Ok(())
    }

    fn close(&mut self, end: u32) {
        let Some(open) = self.open.pop() else { return };
        let next = index(self.doc.nodes.len());
        // The parser ends a block where the next thing begins; its last entry
        // is the honest end.
        let end = if open.flow { end } else { open.end };
        let node = &mut self.doc.nodes[open.node as usize];
        node.next = next;
        node.end = end;
        let depth = open.below + 1;
        if let Some(outer) = self.open.last_mut() {
            outer.below = outer.below.max(depth);
            outer.end = end;
        }
        if open.anchor > 0 {
            let weight = self.weight - open.weight_before;
            self.named.insert(open.anchor, Named { node: open.node, weight, depth });
        }
    }

    fn alias(&mut self, anchor: usize, start: u32, end: u32) -> Result<(), Problem> {
        let name = &self.doc.src[start as usize..end as usize];
        if self.key_next() {
            return Err(self.problem(start, end, format!("a key must be text, this is the alias `{name}`")));
        }
        // Not complete yet: the alias stands inside the very thing it names.
        let Some(named) = self.named.get(&anchor).copied() else {
            return Err(self.problem(start, end, format!("`{name}` stands inside what it names")));
        };
        self.aliases += 1;
        if self.aliases > self.limits.aliases_max {
            let message = format!("a file has at most {} aliases, this is one more", self.limits.aliases_max);
            return Err(self.problem(start, end, message));
        }
        self.check_depth(self.open.len() + named.depth, start, end)?;
        self.weight += named.weight - 1;
        self.push(N { start, end, next: named.node, k: K::Alias })?;
        if let Some(open) = self.open.last_mut() {
            open.below = open.below.max(named.depth);
        }
        Ok(())
    }

    fn push(&mut self, n: N) -> Result<u32, Problem> {
        self.weight += 1;
        if self.weight > self.nodes_max {
            let message =
                if n.k == K::Alias { "the aliases up to here stand for too much" } else { "the file holds too much" };
            return Err(self.problem(n.start, n.end, message).help(format!(
                "a file of this size has at most {} keys and values, aliases counted by what they stand for",
                self.nodes_max
            )));
        }
        if let Some(open) = self.open.last_mut() {
            open.key_next = open.key_next.map(|next| !next);
            open.end = n.end;
        }
        let at = index(self.doc.nodes.len());
        self.doc.nodes.push(n);
        Ok(at)
    }

    /// Where the innermost `[` or `{` that is still open stands.
    fn bracket(&self) -> Option<usize> {
        let open = self.open.last().filter(|open| open.flow)?;
        Some(self.doc.nodes[open.node as usize].start as usize)
    }

    fn key_next(&self) -> bool {
        matches!(self.open.last(), Some(Open { key_next: Some(true), .. }))
    }

    fn check_key(&self, text: &str, plain: bool, start: u32, end: u32) -> Result<(), Problem> {
        if !plain {
            return Ok(());
        }
        if text == "<<" {
            return Err(self
                .problem(start, end, "merge keys `<<` are not read")
                .help("write the keys out, or give the whole map by an alias: `key: *name`"));
        }
        let what = match Core::of(if start == end { "" } else { text }) {
            Core::Text(_) => return Ok(()),
            Core::Null => "nothing",
            Core::Bool(_) => "a truth value",
            Core::Int(_) | Core::Float(_) => "a number",
        };
        let problem = self.problem(start, end, format!("a key must be text, this is {what}"));
        Err(if start == end { problem } else { problem.help(format!("quote it: `\"{text}\"`")) })
    }

    fn check_depth(&self, depth: usize, start: u32, end: u32) -> Result<(), Problem> {
        if depth <= self.limits.depth_max {
            return Ok(());
        }
        Err(self.problem(start, end, too_deep(self.limits)))
    }

    fn refuse_tag(&self, tagged: bool, span: &granit_parser::Span) -> Result<(), Problem> {
        if !tagged {
            return Ok(());
        }
        let place = span.tag_span().unwrap_or(*span);
        let (start, end) = (offset(place.start), offset(place.end));
        let tag = &self.doc.src[start as usize..end as usize];
        Err(self
            .problem(start, end, format!("tags such as `{tag}` are not read"))
            .help("leave it out; quotes make a value text"))
    }

    fn problem(&self, start: u32, end: u32, message: impl Into<String>) -> Problem {
        let base = self.doc.base;
        Problem::new(Span { start: base + start, end: base + end }, message)
    }
}
fn offset(marker: Marker) -> u32 {
    index(marker.byte_offset().expect("a text in memory has byte offsets"))
}

pub(super) fn index(n: usize) -> u32 {
    u32::try_from(n).expect("a text of less than 4 GiB has fewer places than that")
}

#[cfg(test)]
mod tests;
