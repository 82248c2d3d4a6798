use std::collections::BTreeMap;
use std::fmt;

use indexmap::IndexMap;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::json;

use super::*;
use crate::duration::Dur;
use crate::problem::SourceMap;
use crate::yaml::found::quote_all;
use crate::yaml::walk::NOTED_MAX;
use crate::yaml::{Fields, In, Limits, Spanned, parse};

/// `params.n` is 6, `params.t` is `abc`, `params.list` a list; every
/// `steps.…` comes later.
struct Params;

impl Scope for Params {
    fn lookup(&self, path: &[&str]) -> Lookup {
        match path {
            ["params", "n"] => Lookup::Known(json!(6)),
            ["params", "t"] => Lookup::Known(json!("abc")),
            ["params", "odd"] => Lookup::Known(json!("${x}")),
            ["params", "none"] => Lookup::Known(Value::Null),
            ["params", "list"] => Lookup::Known(json!([1, 2])),
            ["steps", ..] => Lookup::Later,
            path => Lookup::Unknown { message: format!("nothing is named `{}`", path.join(".")), help: None },
        }
    }
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Book {
    name: String,
    #[serde(default)]
    steps: IndexMap<String, Step>,
    #[serde(default)]
    retry: Option<Retry>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Step {
    phase: Phase,
    #[serde(default)]
    needs: Vec<Spanned<String>>,
    timeout: Option<Dur>,
    #[serde(rename = "do")]
    act: Act,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Phase {
    Datastores,
    Dns,
}

#[derive(Debug, Deserialize, PartialEq)]
enum Act {
    #[serde(rename = "ecs.scale")]
    Scale(Scale),
    #[serde(rename = "wait")]
    Wait { at_most: Dur },
    #[serde(rename = "nothing")]
    Nothing,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Scale {
    cluster: In<String>,
    service: String,
    desired: In<u32>,
    #[serde(default)]
    force: bool,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Retry {
    attempts: u8,
    backoff: Dur,
    factor: f64,
}

fn read_text<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let mut problems = Vec::new();
    let mut sources = SourceMap::default();
    // Not the first file, so that a place without its base is noticed.
    sources.add("other.yaml", &"x".repeat(10).into());
    let base = sources.add("rb.yaml", &text.into());
    let value = match parse(text, base, &Limits::default()) {
        Ok(doc) => read(doc.root(), Span { start: base, end: base }, &Params, &mut problems),
        Err(problem) => {
            problems.push(problem);
            None
        }
    };
    assert_eq!(value.is_none(), !problems.is_empty(), "a value or mistakes, never both");
    value.ok_or_else(|| {
        let show = |problem: &Problem| {
            let place = |span| {
                let place = sources.place(span);
                format!("{}:{}", place.line, place.column)
            };
            let underlined = sources.text(base)
                [(problem.span.start - base) as usize..(problem.span.end - base) as usize]
                .lines()
                .next()
                .unwrap_or("");
            let via = problem.via.map_or(String::new(), |via| format!(" via {}", place(via)));
            let help = problem.help.as_ref().map_or(String::new(), |help| format!(" ({help})"));
            format!("{}{via} {underlined:?}: {}{help}\n", place(problem.span), problem.message)
        };
        problems.iter().map(show).collect()
    })
}

#[track_caller]
fn mistakes<T: DeserializeOwned + fmt::Debug>(text: &str, expected: &str) {
    let lines = |text: &str| {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.collect::<Vec<_>>().join("\n")
    };
    let found = read_text::<T>(text);
    let found = found.map_or_else(|mistakes| mistakes, |value| format!("{value:?}"));
    assert_eq!(lines(&found), lines(expected));
}

#[test]
fn a_good_book_is_read() {
    let book: Book = read_text(
            "name: é\nsteps:\n  a:\n    phase: dns\n    needs: [b, 'c']\n    timeout: 1h30m\n    do:\n      ecs.scale: { cluster: \"x-${steps.b.id}\", service: 010, desired: \"${params.n}\" }\n  b: { phase: datastores, do: { wait: { at_most: 5m } } }\n  c:\n    phase: dns\n    do: nothing\n",
        )
        .unwrap_or_else(|e| panic!("{e}"));
    let a = &book.steps["a"];
    assert_eq!((a.needs[1].as_str(), a.needs[1].span.end - a.needs[1].span.start), ("c", 3));
    assert_eq!(a.timeout, Some(Dur::seconds(5400)));
    let Act::Scale(scale) = &a.act else { panic!("another kind") };
    assert_eq!((scale.cluster.to_string().as_str(), scale.service.as_str()), ("x-${steps.b.id}", "010"));
    assert_eq!(scale.desired, In::Lit(6));
    assert_eq!(book.steps["b"].act, Act::Wait { at_most: Dur::seconds(300) });
    assert_eq!(book.steps["c"].act, Act::Nothing);
}

#[test]
fn all_mistakes_are_told_each_at_its_place() {
    mistakes::<Book>(
        "
nam: x
retry: { attempts: six, backoff: 18 minutes, factor: [1], max: 3 }
steps:
  a:
    phse: dns
    needs: web
    do:
      ecs.scale: { cluster: [x], desired: -1, zone: b }
  b:
    phase: dsn
    needs: [a, [b], { c: d }]
    timeout: 30
    do: { ecs.scal: {} }
  b:
    phase: dns
  c:
    phase: dns
    phase: dns
    timeout: null
    do: { wait: , nothing: }
  d: [1]
  e:
    do: { wait: { at_mos: 1s } }
",
        r#"
                1:1 "": `name` is missing
                2:1 "nam": unknown key `nam` (did you mean `name`?)
                3:20 "six": a whole number is wanted, this is `six`
                3:34 "18 minutes": `18 minutes` is not a duration: a number and a unit, as in 30s, 15m, 1h
                3:54 "[1]": a number is wanted, this is a list
                3:59 "max": unknown key `max` (it is one of `attempts`, `backoff` and `factor`)
                5:3 "a": `phase` is missing
                6:5 "phse": unknown key `phse` (did you mean `phase`?)
                7:12 "web": a list is wanted, this is `web` (a list is written `[one, two]`, or on lines that begin with `- `)
                9:7 "ecs.scale": `service` is missing
                9:29 "[x]": text is wanted, this is a list
                9:43 "-1": a whole number is wanted, this is `-1` (from 0 to 4294967295)
                9:47 "zone": unknown key `zone` (it is one of `cluster`, `service`, `desired` and `force`)
                11:12 "dsn": unknown value `dsn` (did you mean `dns`?)
                12:16 "[b]": text is wanted, this is a list
                12:21 "{ c: d }": text is wanted, this is a map
                13:14 "30": `30` has no unit: a duration is written 30s, 30m or 30h
                14:11 "ecs.scal": unknown key `ecs.scal` (did you mean `ecs.scale`?)
                15:3 "b": `b` is written twice (it stands in line 10 already)
                19:5 "phase": `phase` is written twice (it stands in line 18 already)
                21:9 "{ wait: , nothing: }": exactly one key is wanted, this map has 2 (it is one of `ecs.scale`, `wait` and `nothing`)
                22:6 "[1]": a map is wanted, this is a list (a map is written `{ key: value }`, or on indented lines `key: value`)
                23:3 "e": `phase` is missing
                24:11 "wait": `at_most` is missing
                24:19 "at_mos": unknown key `at_mos` (did you mean `at_most`?)
            "#,
    );
}

#[test]
fn all_that_is_missing_is_told_at_once() {
    mistakes::<Scale>(
        "{}",
        r#"
            1:1 "": `cluster` is missing
            1:1 "": `service` is missing
            1:1 "": `desired` is missing"#,
    );
    mistakes::<Vec<Retry>>(
        "- factor: 1\n- backoff: x\n",
        r#"
            1:3 "factor": `attempts` is missing
            1:3 "factor": `backoff` is missing
            2:3 "backoff": `attempts` is missing
            2:3 "backoff": `factor` is missing
            2:12 "x": `x` is not a duration: a number and a unit, as in 30s, 15m, 1h"#,
    );
}

#[derive(Debug, Deserialize)]
#[serde(try_from = "Retry")]
struct Ordered;

impl TryFrom<Retry> for Ordered {
    type Error = String;

    fn try_from(retry: Retry) -> Result<Self, String> {
        if retry.attempts > 3 { Ok(Self) } else { Err("`attempts` is small".to_owned()) }
    }
}

#[test]
fn a_rule_over_a_whole_map_speaks_only_when_its_parts_are_read() {
    mistakes::<Vec<Ordered>>(
        "- { attempts: 1, backoff: 1s, factor: 1 }\n- { attempts: 1, backoff: 1, factor: 1 }\n",
        r#"
            1:3 "{ attempts: 1, backoff: 1s, factor: 1 }": `attempts` is small
            2:27 "1": `1` has no unit: a duration is written 1s, 1m or 1h"#,
    );
}

#[test]
fn a_large_map_is_watched_for_doubled_keys_too() {
    let keys: Vec<String> = (0..1000).map(|n| format!("k{n}: 1")).collect();
    let text = keys.join("\n") + "\nk7: 2\nk999: 2\n";
    mistakes::<IndexMap<String, u8>>(
        &text,
        r#"
            1001:1 "k7": `k7` is written twice (it stands in line 8 already)
            1002:1 "k999": `k999` is written twice (it stands in line 1000 already)"#,
    );
}

#[test]
fn a_map_of_nothing_but_unknown_keys_ends() {
    let keys: Vec<String> = (0..20_000).map(|n| format!("k{n}: x")).collect();
    let told = read_text::<Retry>(&keys.join("\n")).err();
    assert_eq!(told.map(|told| told.lines().count()), Some(NOTED_MAX));
}

#[test]
fn a_file_of_nothing_but_mistakes_ends() {
    let text = "- x\n".repeat(50_000);
    let told = read_text::<Vec<u8>>(&text).err().map(|told| told.lines().count());
    assert_eq!(told, Some(PASSES_MAX));
}

#[test]
fn an_alias_tells_both_places() {
    mistakes::<BTreeMap<String, BTreeMap<String, u32>>>(
        "a: &x { n: 1, m: six }\nb: *x\n",
        r#"1:18 "six": a whole number is wanted, this is `six`
               1:18 via 2:4 "six": a whole number is wanted, this is `six`"#,
    );
}

#[test]
fn a_scalar_says_what_is_wanted() {
    mistakes::<u8>("six", r#"1:1 "six": a whole number is wanted, this is `six`"#);
    mistakes::<u8>("300", r#"1:1 "300": a whole number is wanted, this is `300` (from 0 to 255)"#);
    mistakes::<u8>("'6'", r#"1:1 "'6'": a whole number is wanted, this is the text `6`"#);
    mistakes::<i64>("1.0", r#"1:1 "1.0": a whole number is wanted, this is `1.0`"#);
    mistakes::<f64>("x", r#"1:1 "x": a number is wanted, this is `x`"#);
    mistakes::<bool>("yes", r#"1:1 "yes": `true` or `false` is wanted, this is `yes`"#);
    mistakes::<String>("~", r#"1:1 "~": text is wanted, this is `~`"#);
    mistakes::<BTreeMap<String, String>>("a:", r#"1:1 "a": text is wanted, this is nothing"#);
    mistakes::<String>("[x]", r#"1:1 "[x]": text is wanted, this is a list"#);
    mistakes::<Vec<u8>>(
        "a: b",
        r#"1:1 "a: b": a list is wanted, this is a map (a list is written `[one, two]`, or on lines that begin with `- `)"#,
    );
    mistakes::<Retry>(
        "- x",
        r#"1:1 "- x": a map is wanted, this is a list (a map is written `{ key: value }`, or on indented lines `key: value`)"#,
    );
    mistakes::<Phase>("dsn", r#"1:1 "dsn": unknown value `dsn` (did you mean `dns`?)"#);
    mistakes::<Dur>("30", r#"1:1 "30": `30` has no unit: a duration is written 30s, 30m or 30h"#);
    mistakes::<Dur>("[]", r#"1:1 "[]": a duration is wanted, this is a list"#);
    mistakes::<(u8, u8)>("[1]", r#"1:1 "[1]": a tuple of size 2 is wanted, this has 1"#);
    mistakes::<Act>("wait", r#"1:1 "wait": `wait` needs something under it: `wait: …`"#);
    mistakes::<Act>(
        "{ nothing: , wait: }",
        r#"1:1 "{ nothing: , wait: }": exactly one key is wanted, this map has 2 (it is one of `ecs.scale`, `wait` and `nothing`)"#,
    );
    mistakes::<Value>(".inf", r#"1:1 ".inf": a number is wanted, this is `.inf`"#);
}

#[test]
fn plain_text_keeps_its_letters() {
    let read = |text: &str| read_text::<Vec<String>>(text);
    let list = |texts: &[&str]| Ok(texts.iter().map(|t| (*t).to_owned()).collect());
    assert_eq!(read("[yes, 0123, 1.10, true, 1e3, 'null']"), list(&["yes", "0123", "1.10", "true", "1e3", "null"]));
    assert_eq!(read("- \"a\\tb\"\n- |\n  x\n  y\n- >-\n  f\n  g\n"), list(&["a\tb", "x\ny\n", "f g"]));
    assert_eq!(read("\u{feff}- a\r\n- b c\r\n"), list(&["a", "b c"]));
}

#[test]
fn a_plain_scalar_means_what_the_core_schema_says() {
    let any = |text: &str| read_text::<Value>(text).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(
        any("[true, null, ~, , 1, -2, 0x1F, 0o17, 1.5, .5, 1e3, yes, on, 0x, +-1, 1_000, 12:30, 2026-01-01, infinity]"
            .replace(" , ", " ")
            .as_str()),
        json!([
            true,
            null,
            null,
            1,
            -2,
            31,
            15,
            1.5,
            0.5,
            1000.0,
            "yes",
            "on",
            "0x",
            "+-1",
            "1_000",
            "12:30",
            "2026-01-01",
            "infinity"
        ])
    );
    assert_eq!(any("18446744073709551615"), json!(u64::MAX));
    assert_eq!(any("a: {}\nb: []\n"), json!({"a": {}, "b": []}));
}

#[test]
fn what_is_known_is_put_in_before_a_value_is_read() {
    assert_eq!(read_text::<u32>("${params.n}"), Ok(6));
    assert_eq!(read_text::<String>("x-${params.n}-${params.t}"), Ok("x-6-abc".to_owned()));
    assert_eq!(read_text::<String>("${params.n}"), Ok("6".to_owned()));
    assert_eq!(read_text::<String>("$${params.n}"), Ok("${params.n}".to_owned()));
    assert_eq!(read_text::<Vec<u8>>("${params.list}"), Ok(vec![1, 2]));
    assert_eq!(read_text::<Option<u8>>("${params.none}"), Ok(None));
    let later = |text: &str| read_text::<In<String>>(text).map(|read| read.later().map(|t| t.text().to_owned()));
    assert_eq!(later("${params.t}-${steps.a.id}"), Ok(Some("abc-${steps.a.id}".to_owned())));
    assert_eq!(later("${params.odd}${steps.a.id}"), Ok(Some("$${x}${steps.a.id}".to_owned())));
    assert_eq!(later("${params.t}"), Ok(None));
}

#[test]
fn a_reference_that_does_not_fit_is_told_at_its_place() {
    mistakes::<In<u32>>("${params.t}", r#"1:1 "${params.t}": a whole number is wanted, this is the text `abc`"#);
    mistakes::<u32>(
        "${steps.a.n}",
        r#"1:1 "${steps.a.n}": a value that is known only while running cannot stand here (write the value out, or take one of `params`)"#,
    );
    mistakes::<In<String>>(
        "'é ${a.b} ${params.t} ${c}'",
        r#"
            1:4 "${a.b}": nothing is named `a.b`
            1:23 "${c}": nothing is named `c`"#,
    );
    mistakes::<String>("\"\\t${a.b}\"", r#"1:1 "\"\\t${a.b}\"": nothing is named `a.b`"#);
    mistakes::<String>(
        "x ${a + 1}",
        r#"1:3 "${a + 1}": `a + 1` is not the name of a value (a reference names a value and computes nothing, as in `${params.env}`; `$${` is the text `${`)"#,
    );
    mistakes::<BTreeMap<String, u8>>(
        "${params.t}: 1",
        r#"1:1 "${params.t}": a key cannot hold a reference (write the key out; references stand in values)"#,
    );
    mistakes::<String>(
        "x ${params.list}",
        r#"1:3 "${params.list}": `params.list` is a list: it cannot stand inside a text"#,
    );
}

#[test]
fn json_keeps_what_comes_later() {
    let text = "a: ${params.n}\nb: x-${params.n}-${steps.q.id}\nc: $${x}\nd: ${params.odd}\ne: [~, 1, '1']\n";
    let doc = parse(text, 0, &Limits::default()).expect("good YAML");
    let mut problems = Vec::new();
    let value = json(doc.root(), &Params, &mut problems);
    assert_eq!(problems, []);
    assert_eq!(value, Some(json!({"a": 6, "b": "x-6-${steps.q.id}", "c": "$${x}", "d": "$${x}", "e": [null, 1, "1"]})));
}

#[test]
fn a_text_without_quotes_stays_as_it_is_written() {
    let text = "[0755, 1.10, +1, 0x1F, 1e3, True, 12345678901234567890123, 6, '7', x, '${params.n}', '${steps.q.id}']";
    let doc = parse(text, 0, &Limits::default()).expect("good YAML");
    let mut problems = Vec::new();
    let read = frozen::<Vec<In<String>>>(doc.root(), Span::default(), &Params, &mut problems);
    let (texts, frozen) = read.unwrap_or_else(|| panic!("{problems:?}"));
    let kept = json!([
        "0755",
        "1.10",
        "+1",
        "0x1F",
        "1e3",
        "True",
        "12345678901234567890123",
        "6",
        "7",
        "x",
        "6",
        "${steps.q.id}"
    ]);
    assert_eq!((serde_json::to_value(texts).ok().as_ref(), &frozen), (Some(&kept), &kept));
}

#[test]
fn a_number_that_may_be_meant_as_text_is_refused_where_either_fits() {
    for (text, number) in [
        ("0755", "755"),
        ("-007", "-7"),
        ("1.10", "1.1"),
        ("00.5", "0.5"),
        ("+49", "49"),
        ("12345678901234567890123", "1.2345678901234568e+22"),
    ] {
        let told = read_text::<Value>(text).expect_err(text);
        assert!(told.contains(&format!("`{text}` would be read as the number {number}")), "{told:?}");
        let doc = parse(text, 0, &Limits::default()).expect("good YAML");
        assert_eq!(exact_json(doc.root(), &Params, &mut Vec::new()), None, "{text}");
        assert_eq!(json(doc.root(), &Params, &mut Vec::new()).map(|json| json.is_number()), Some(true), "{text}");
    }
    for text in ["0", "-1", "0.5", "1.0", "10", "100.25", "1e10", "0x10", "'0755'"] {
        assert!(read_text::<Value>(text).is_ok(), "{text}");
    }
}

#[test]
fn a_map_can_be_walked_key_by_key() {
    let text = "name: [x]\nphse: dns\nname: y\ndo: { a: 1, b: 2 }\nn: 5\n";
    let doc = parse(text, 0, &Limits::default()).expect("good YAML");
    let mut problems = Vec::new();
    let at = Span { start: 0, end: 0 };
    let mut fields = Fields::of(doc.root(), at, &Closed, &mut problems).expect("a map");
    assert_eq!(fields.req::<String>("name", &mut problems), None);
    assert_eq!(fields.req::<Phase>("phase", &mut problems), None);
    assert_eq!(fields.opt::<u8>("n", &mut problems), Some(5));
    assert_eq!(fields.opt::<u8>("m", &mut problems), None);
    assert!(fields.one("do", &mut problems).is_none());
    fields.finish(&mut problems);
    let told: Vec<String> = problems.iter().map(|p| format!("{}-{} {}", p.span.start, p.span.end, p.message)).collect();
    assert_eq!(
        told,
        [
            "6-9 text is wanted, this is a list",
            "0-0 `phase` is missing",
            "28-30 `do` holds exactly one key, here are 2: `a`, `b`",
            "10-14 unknown key `phse`",
            "20-24 `name` is written twice",
        ]
    );
}

fn any_json() -> impl Strategy<Value = Value> {
    let text = "([a-z0-9 ~:#,{}$é\u{1f600}\"'\\\\\n\t-]|null|true|\\PC){0,12}";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON", |n| n.is_finite()).prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    // A key cannot hold a reference.
    let key = text.prop_map(|text| text.replace("${", "$"));
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn json_reads_back_equal(value in any_json()) {
        let mut quoted = value.clone();
        quote_all(&mut quoted);
        let texts = [
            quoted.to_string(),
            format!("{quoted:#}"),
            serde_yaml::to_string(&quoted).expect("JSON is YAML"),
        ];
        for text in texts {
            prop_assert_eq!(&read_text::<Value>(&text), &Ok(value.clone()), "{}", text);
            let doc = parse(&text, 0, &Limits::default());
            let doc = doc.map_err(|problem| TestCaseError::fail(problem.message))?;
            let mut problems = Vec::new();
            prop_assert_eq!(json(doc.root(), &Params, &mut problems), Some(quoted.clone()));
        }
    }

    #[test]
    fn whatever_is_written_it_is_read_or_told(
        text in r"((name|steps|retry|phase|needs|do|wait|at_most|x|dns|1s|\$\{params\.n\}|\$\{steps\.a\}|\$\{|[&*]a)|: |\n( |  |    |- )?|[\[\]{},'é]){0,40}",
    ) {
        // Every message slices the text by its place.
        drop(read_text::<Book>(&text));
        drop(read_text::<IndexMap<String, Vec<Option<Step>>>>(&text));
        drop(read_text::<Vec<Act>>(&text));
        drop(read_text::<Value>(&text));
    }

    #[test]
    fn arbitrary_bytes_are_read_or_told(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        drop(read_text::<Value>(&String::from_utf8_lossy(&bytes)));
    }
}
