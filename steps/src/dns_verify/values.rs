//! The values of records, as they are compared: one text for each, however it
//! was written.

use dr_engine::outcome::Failure;
use hickory_proto::{
    op::Message,
    rr::{Name, RData, RecordType},
};
use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, Ipv6Addr},
};

/// The types whose values can be compared.
pub(super) const TYPES: [(&str, RecordType); 8] = [
    ("A", RecordType::A),
    ("AAAA", RecordType::AAAA),
    ("CNAME", RecordType::CNAME),
    ("MX", RecordType::MX),
    ("NS", RecordType::NS),
    ("PTR", RecordType::PTR),
    ("SRV", RecordType::SRV),
    ("TXT", RecordType::TXT),
];

/// The type of that name.
pub(super) fn kind(text: &str) -> Result<RecordType, Failure> {
    let wanted = text.to_uppercase();
    TYPES.iter().find(|(name, _)| *name == wanted).map(|(_, kind)| *kind).ok_or_else(|| {
        let known: Vec<_> = TYPES.iter().map(|(name, _)| *name).collect();
        Failure::new(format!("records of type `{text}` cannot be compared"))
            .hint(format!("known: {}", known.join(", ")))
    })
}

/// A domain name, as the root is written last.
pub(super) fn name(text: &str) -> Result<Name, Failure> {
    let wrong = |why: &dyn std::fmt::Display| Failure::new(format!("`{text}` is not a domain name: {why}"));
    let mut name = Name::from_utf8(text).map_err(|e| wrong(&e))?;
    if name.iter().next().is_none() {
        return Err(wrong(&"it is empty"));
    }
    name.set_fqdn(true);
    Ok(name)
}

/// A value as a runbook has it: written as in Route 53.
pub(super) fn wanted(of: RecordType, text: &str) -> Result<String, Failure> {
    let text = text.trim();
    let numbers = |count: usize| {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (last, numbers) = words.split_last()?;
        let numbers: Vec<u16> = numbers.iter().map(|n| n.parse().ok()).collect::<Option<_>>()?;
        let name = name(last).ok()?;
        (numbers.len() == count).then(|| ranked(&numbers, &name))
    };
    let value = match of {
        RecordType::A => text.parse::<Ipv4Addr>().ok().map(|ip| ip.to_string()),
        RecordType::AAAA => text.parse::<Ipv6Addr>().ok().map(|ip| ip.to_string()),
        RecordType::MX => numbers(1),
        RecordType::SRV => numbers(3),
        RecordType::TXT => unquoted(text).map(|bytes| quoted(&bytes)),
        _ => name(text).ok().map(|name| plain(&name)),
    };
    value.ok_or_else(|| Failure::new(format!("`{text}` is not a value of a record of type {of}")))
}

/// What an answer says of a type: its values, and the shortest time they are kept.
pub(super) fn said(answer: &Message, of: RecordType) -> (BTreeSet<String>, Option<u32>) {
    let records = || answer.answers.iter().filter(|record| record.record_type() == of);
    (records().filter_map(|record| value(&record.data)).collect(), records().map(|record| record.ttl).min())
}

/// The alias that an answer leads to.
pub(super) fn alias(answer: &Message) -> Option<String> {
    answer.answers.iter().rev().find_map(|record| match &record.data {
        RData::CNAME(name) => Some(plain(&name.0)),
        _ => None,
    })
}

fn value(data: &RData) -> Option<String> {
    Some(match data {
        RData::A(ip) => ip.0.to_string(),
        RData::AAAA(ip) => ip.0.to_string(),
        RData::CNAME(name) => plain(&name.0),
        RData::NS(name) => plain(&name.0),
        RData::PTR(name) => plain(&name.0),
        RData::MX(mx) => ranked(&[mx.preference], &mx.exchange),
        RData::SRV(srv) => ranked(&[srv.priority, srv.weight, srv.port], &srv.target),
        RData::TXT(txt) => quoted(&txt.txt_data.concat()),
        _ => return None,
    })
}

fn ranked(numbers: &[u16], name: &Name) -> String {
    numbers.iter().map(ToString::to_string).chain([plain(name)]).collect::<Vec<_>>().join(" ")
}

/// Case says nothing in a name, and the dot at its end is understood.
pub(super) fn plain(name: &Name) -> String {
    name.to_ascii().to_lowercase().trim_end_matches('.').to_owned()
}

fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", String::from_utf8_lossy(bytes))
}

/// The bytes of `"one" "two"`, where a backslash stands before a quote, a
/// backslash, or three octal digits (Amazon Route 53 Developer Guide, TXT
/// record type). A text without quotes is itself.
fn unquoted(text: &str) -> Option<Vec<u8>> {
    if !text.starts_with('"') {
        return Some(text.as_bytes().to_vec());
    }
    let (mut bytes, mut inside, mut rest) = (Vec::new(), false, text.bytes());
    while let Some(byte) = rest.next() {
        match (inside, byte) {
            (_, b'"') => inside = !inside,
            (false, b' ' | b'\t') => {}
            (false, _) => return None,
            (true, b'\\') => match rest.next()? {
                first @ b'0'..=b'3' => {
                    let digits = [first, rest.next()?, rest.next()?];
                    bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 8).ok()?);
                }
                other => bytes.push(other),
            },
            (true, other) => bytes.push(other),
        }
    }
    (!inside).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_the_same_however_it_is_written() {
        for (of, text, is) in [
            ("a", "192.0.2.1", Some("192.0.2.1")),
            ("A", "192.0.2.300", None),
            ("AAAA", "2001:DB8:0::1", Some("2001:db8::1")),
            ("CNAME", "App.Example.com.", Some("app.example.com")),
            ("CNAME", "app.example.com", Some("app.example.com")),
            ("CNAME", "", None),
            ("MX", "10 Mail.example.com.", Some("10 mail.example.com")),
            ("MX", "mail.example.com", None),
            ("SRV", "1 2 443 a.example.com", Some("1 2 443 a.example.com")),
            ("TXT", "plain text", Some("\"plain text\"")),
            ("TXT", r#""one " "two""#, Some("\"one two\"")),
            ("TXT", r#""say \"hi\" \101""#, Some("\"say \"hi\" A\"")),
            ("TXT", r#""open"#, None),
        ] {
            let of = kind(of).expect("a type");
            assert_eq!(wanted(of, text).ok().as_deref(), is, "{of} {text}");
        }
        assert_eq!(kind("HINFO").expect_err("not known").message, "records of type `HINFO` cannot be compared");
    }
}
