//! The same boxes for other programs that draw: Graphviz and Mermaid.

use super::fold::{Folded, Node, fold};
use crate::{forecast::Slot, plan::Plan, report::clean};
use std::fmt::Write;

/// A plan for Graphviz; arguments as for [`super::lanes`].
///
/// Source of the escapes: <https://graphviz.org/doc/info/lang.html>, quoted strings.
pub fn dot(plan: &Plan, slots: &[Slot], critical: &[bool]) -> String {
    let folded = fold(plan, slots, critical);
    let escaped = |text: &str| clean(text).replace('\\', "\\\\").replace('"', "\\\"");
    let quoted = |text: &str| format!("\"{}\"", escaped(text));
    let mut text = format!("digraph {} {{\n", quoted(&plan.name));
    text.push_str(
        "  rankdir=LR\n  node [shape=box, style=\"rounded,filled\", fillcolor=white, fontname=\"Helvetica\"]\n",
    );
    for (lane, name) in folded.lanes.iter().enumerate() {
        let (open, close) = if name.is_empty() { ("", "") } else { ("  ", "  }\n") };
        if !name.is_empty() {
            writeln!(text, "  subgraph cluster_{lane} {{\n    label={}", quoted(name)).expect("writing to a String");
        }
        for (at, it) in inside(&folded, lane) {
            let label: Vec<_> = [&it.name, &it.what, &it.time()].into_iter().map(|line| escaped(line)).collect();
            // Lines of a label are parted by a backslash and an n, as Graphviz reads them.
            let label = label.join("\\n");
            let path = if it.critical { ", color=\"#c2570c\", penwidth=2.5" } else { "" };
            writeln!(text, "{open}  n{at} [label=\"{label}\"{path}]").expect("writing to a String");
        }
        text.push_str(close);
    }
    for (from, to) in &folded.arrows {
        let both = folded.nodes[*from].critical && folded.nodes[*to].critical;
        let path = if both { " [color=\"#c2570c\", penwidth=2.5]" } else { "" };
        writeln!(text, "  n{from} -> n{to}{path}").expect("writing to a String");
    }
    text + "}\n"
}

/// A plan for Mermaid, as wikis draw it; arguments as for [`super::lanes`].
///
/// Source of the escapes: <https://mermaid.js.org/syntax/flowchart.html>, entity codes.
pub fn mermaid(plan: &Plan, slots: &[Slot], critical: &[bool]) -> String {
    let folded = fold(plan, slots, critical);
    let quoted = |text: &str| {
        let text = clean(text).replace('#', "#35;").replace('"', "#quot;");
        text.replace('<', "#lt;").replace('>', "#gt;").replace('`', "#96;")
    };
    let mut text = String::from("flowchart LR\n");
    for (lane, name) in folded.lanes.iter().enumerate() {
        if !name.is_empty() {
            writeln!(text, "  subgraph lane{lane} [\"{}\"]", quoted(name)).expect("writing to a String");
        }
        for (at, it) in inside(&folded, lane) {
            let label: Vec<_> = [&it.name, &it.what, &it.time()].into_iter().map(|line| quoted(line)).collect();
            writeln!(text, "    n{at}[\"{}\"]", label.join("<br/>")).expect("writing to a String");
        }
        text.push_str(if name.is_empty() { "" } else { "  end\n" });
    }
    for (from, to) in &folded.arrows {
        writeln!(text, "  n{from} --> n{to}").expect("writing to a String");
    }
    let critical: Vec<_> = folded.nodes.iter().enumerate().filter(|(_, it)| it.critical).collect();
    if !critical.is_empty() {
        let ids: Vec<_> = critical.iter().map(|(at, _)| format!("n{at}")).collect();
        writeln!(text, "  classDef path stroke:#c2570c,stroke-width:3px\n  class {} path", ids.join(","))
            .expect("writing to a String");
    }
    text
}

fn inside(folded: &Folded, lane: usize) -> impl Iterator<Item = (usize, &Node)> {
    folded.nodes.iter().enumerate().filter(move |(_, it)| it.lane == lane)
}
