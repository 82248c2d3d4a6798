use proptest::prelude::*;

use super::*;
use crate::yaml::{Kind, R};

fn told(text: &str) -> String {
    match parse(text, 0, &Limits::default()) {
        Ok(doc) => show(doc.root()),
        Err(problem) => {
            let (start, end) = (problem.span.start as usize, problem.span.end as usize);
            let help = problem.help.map_or(String::new(), |help| format!(" ({help})"));
            format!("{start} {:?}: {}{help}", &text[start..end], problem.message)
        }
    }
}

/// The tree, each node with the bytes it covers.
fn show(node: R<'_>) -> String {
    let kids = || node.kids().map(show).collect::<Vec<_>>().join(" ");
    let place = format!("@{}-{}", node.span().start, node.span().end);
    match node.kind() {
        Kind::Scalar if node.is_plain() => format!("{}{place}", node.text().unwrap_or("?")),
        Kind::Scalar => format!("{:?}{place}", node.text().unwrap_or("?")),
        Kind::List => format!("[{}]{place}", kids()),
        Kind::Map => format!("{{{}}}{place}", kids()),
    }
}

#[test]
fn every_node_knows_its_bytes() {
    for (text, tree) in [
        ("a: b", "{a@0-1 b@3-4}@0-4"),
        ("\u{feff}é: 'x'\r\nb:\r\n", "{é@3-5 \"x\"@7-10 b@12-13 @13-13}@3-14"),
        ("a:\n  - 1\n  - { b: c }\n\n\nd: e\n", "{a@0-1 [1@7-8 {b@15-16 c@18-19}@13-21]@5-21 d@24-25 e@27-28}@0-28"),
        ("a: |\n  x\n  y\n\nb: >-\n  f\n  g\n", "{a@0-1 \"x\\ny\\n\"@7-12 b@14-15 \"f g\"@22-27}@0-27"),
        ("a: x\n  y\nb: \"t\\tu\"\n", "{a@0-1 x y@3-8 b@9-10 \"t\\tu\"@12-18}@0-18"),
        ("a: &x [1]\nb: *x\n", "{a@0-1 [1@7-8]@6-9 b@10-11 [1@7-8]@6-9}@0-15"),
        ("a: ~\nb: null # c\n", "{a@0-1 ~@3-4 b@5-6 null@8-12}@0-12"),
        ("--- # c\na: b\n...\n", "{a@8-9 b@11-12}@8-12"),
    ] {
        assert_eq!(told(text), tree.replace("b@12-13 @13-13}@3-14", "b@12-13 @13-13}@3-13"), "{text:?}");
    }
}

#[test]
fn a_syntax_error_has_a_place_and_a_way_out() {
    let quoted = "inside `{ }` and `[ ]` a reference must be quoted";
    for (text, expected) in [
        ("", "0 \"\": the file is empty (a runbook begins with `dr: v1`, `name: …` and `steps:`)"),
        ("# only this\n", "0 \"\": the file is empty (a runbook begins with `dr: v1`, `name: …` and `steps:`)"),
        ("---\n", "0 \"\": the file is empty (a runbook begins with `dr: v1`, `name: …` and `steps:`)"),
        ("a:\n\tb: 1\n", "3 \"\\t\": a tab stands where YAML wants spaces (indent with spaces)"),
        (
            "a: *nope\n",
            "3 \"*nope\": nothing before it is named `&nope` (an anchor `&name` stands before the aliases `*name` that use it)",
        ),
        ("a: &x [*x]\n", "7 \"*x\": `*x` stands inside what it names"),
        ("a: 1\n---\nb: 2\n", "5 \"---\": a second document begins here (one file holds one runbook)"),
        ("a: !x 1\n", "3 \"!x\": tags such as `!x` are not read (leave it out; quotes make a value text)"),
        ("a: !!str 1\n", "3 \"!!str\": tags such as `!!str` are not read (leave it out; quotes make a value text)"),
        (
            "a: &a {}\n<<: *a\n",
            "9 \"<<\": merge keys `<<` are not read (write the keys out, or give the whole map by an alias: `key: *name`)",
        ),
        ("1: a\n", "0 \"1\": a key must be text, this is a number (quote it: `\"1\"`)"),
        ("true: a\n", "0 \"true\": a key must be text, this is a truth value (quote it: `\"true\"`)"),
        ("[a]: b\n", "0 \"[\": a key must be text, this is a list"),
        (": b\n", "0 \"\": a key must be text, this is nothing"),
        ("a: [x\n", "3 \"[\": this `[` is never closed"),
        ("a: {x: 1]\n", "3 \"{\": this `{` is closed by `]`"),
        (
            "a: b: c\n",
            "4 \":\": a `key:` cannot stand here (quote a text that holds a colon and a space; else check the indentation here and above)",
        ),
        (
            "a: - b\n",
            "3 \"-\": a list entry `- ` cannot stand here (put each entry on a line of its own under the key)",
        ),
        ("a: [b,, c]\n", "6 \",\": a value is wanted before this"),
        ("a: @b\n", "3 \"@\": a text cannot begin with `@` (quote it)"),
        (
            "a: 'it's'\n",
            "7 \"s\": something follows the closing quote (inside single quotes a quote is written twice: `''`)",
        ),
        ("{ a: ${params.x} }", &format!("5 \"${{params.x}}\": {quoted} (write `\"${{params.x}}\"`)")),
        (
            "a: [b-${params.x}/${y.z}-c, 1]",
            &format!("4 \"b-${{params.x}}/${{y.z}}-c\": {quoted} (write `\"b-${{params.x}}/${{y.z}}-c\"`)"),
        ),
        ("{ ${x}: 1 }", &format!("2 \"${{x}}: 1\": {quoted} (write `\"${{x}}: 1\"`)")),
    ] {
        assert_eq!(told(text), expected, "{text:?}");
    }
}

#[test]
fn a_hostile_text_is_refused_before_it_costs_anything() {
    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (inner, outer) in ('a'..='k').zip('b'..='l') {
        let aliases = vec![format!("*{inner}"); 9].join(", ");
        bomb = format!(
            "{bomb}{outer}: &{outer} [{aliases}]
"
        );
    }
    let deep: Vec<String> = (0..3000).map(|n| format!("{}k:", " ".repeat(n))).collect();
    let deep = deep.join("\n");
    let long = "x".repeat(1 << 20);
    let chain: String = std::iter::once("k0: &k0 [[[[[[[[[[x]]]]]]]]]]\n".to_owned())
        .chain((1..10).map(|n| format!("k{n}: &k{n} [[[[[*k{}]]]]]\n", n - 1)))
        .collect();
    for (text, start) in [
        (&bomb, "the aliases up to here stand for too much"),
        (&"[".repeat(100_000), "lists and maps nest at most 32 deep"),
        (&"- ".repeat(50_000), "lists and maps nest at most 32 deep"),
        (&deep, "lists and maps nest at most 32 deep"),
        (&chain, "lists and maps nest at most 32 deep"),
        (&format!("a: &a x\nb: [{}]\n", "*a, ".repeat(201)), "a file has at most 200 aliases, this is one more"),
        (&format!("[{}]", ",".repeat(100_000)), "a value is wanted before this"),
    ] {
        let told = parse(text, 0, &Limits::default()).map(|_| ()).map_err(|p| p.message);
        assert!(told.as_ref().is_err_and(|m| m.starts_with(start)), "{start}: {told:?}");
    }
    assert_eq!(parse(&long, 7, &Limits::default()).map(|d| d.nodes()), Ok(1));
    let small = Limits { bytes_max: 10, ..Limits::default() };
    assert_eq!(
        parse("a: 12345678", 7, &small).map(|_| ()),
        Err(Problem::new(Span { start: 7, end: 7 }, "the file has 11 bytes, at most 10 are read")
            .help("`DR_READ_BYTES_MAX` raises the limit"))
    );
}

#[test]
fn a_node_is_sixteen_bytes() {
    assert_eq!(size_of::<N>(), 16);
}

fn check_spans(node: R<'_>, len: u32) {
    assert!(7 <= node.span().start && node.span().start <= node.span().end && node.span().end <= 7 + len);
    node.kids().for_each(|kid| check_spans(kid, len));
}

proptest! {
    #[test]
    fn whatever_is_written_the_places_lie_in_the_text(text in r#"([-:?,\[\]{}#&*!|>'"%@`$ ~<>a1é\n\r\t.\\]|- |: |\n  |\PC){0,40}"#) {
        let len = index(text.len());
        match parse(&text, 7, &Limits::default()) {
            Ok(doc) => check_spans(doc.root(), len),
            Err(problem) => {
                let (start, end) = (problem.span.start, problem.span.end);
                prop_assert!(7 <= start && start <= end && end <= 7 + len, "{problem:?}");
                prop_assert!(text.get((start - 7) as usize..(end - 7) as usize).is_some(), "{problem:?}");
            }
        }
    }
}
