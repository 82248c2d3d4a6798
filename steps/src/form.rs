//! Texts of a form: an ARN, an action, a host. One that has another form is
//! told where it stands in the runbook, while planning; one that only a run
//! knows is held against it when it comes.

use dr_engine::yaml::In;
use serde::de::{Deserialize, Deserializer, Error};
use std::{marker::PhantomData, net::Ipv6Addr};

/// A form, and what is said of a text that does not have it.
pub(crate) trait Form {
    /// What is wrong with the text, with the way out.
    fn wrong(text: &str) -> Option<String>;
}

/// The ARN of something (AWS General Reference, Amazon Resource Names).
pub(crate) struct Arn;
/// `latest`, or an ARN.
pub(crate) struct LatestOrArn;
/// An ARN, or `*`.
pub(crate) struct ArnOrAll;
/// One action of a service, as policies name it. IAM's simulator takes no `*` in it (IAM API
/// Reference, `SimulatePrincipalPolicy`).
pub(crate) struct Action;
/// A host, beside which the port is a field of its own.
pub(crate) struct Host;

/// What an ARN looks like.
const LIKE: &str = "`arn:aws:SERVICE:REGION:ACCOUNT:…`";

impl Form for Arn {
    fn wrong(text: &str) -> Option<String> {
        // `arn:partition:service:region:account:resource`; region and account may be empty.
        let parts: Vec<_> = text.splitn(6, ':').collect();
        let good = matches!(parts[..], ["arn", partition, service, _, _, resource]
            if ![partition, service, resource].contains(&""));
        (!good).then(|| format!("`{text}` is no ARN, as in {LIKE}: a name alone does not do here"))
    }
}

impl Form for LatestOrArn {
    fn wrong(text: &str) -> Option<String> {
        let arn = || Arn::wrong(text).map(|_| format!("`{text}` is neither `latest` nor an ARN, as in {LIKE}"));
        if text == "latest" { None } else { arn() }
    }
}

impl Form for ArnOrAll {
    fn wrong(text: &str) -> Option<String> {
        if text == "*" { None } else { Arn::wrong(text) }
    }
}

impl Form for Action {
    fn wrong(text: &str) -> Option<String> {
        let word = |text: &str, also: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || also.contains(c))
        };
        if text.contains('*') {
            return Some(format!("`{text}` is more than one action, and each is asked for by itself: write them out"));
        }
        let good = text.split_once(':').is_some_and(|(service, action)| word(service, "-") && word(action, ""));
        (!good).then(|| format!("`{text}` is no action: it names the service and the operation, as in `s3:GetObject`"))
    }
}

impl Form for Host {
    fn wrong(text: &str) -> Option<String> {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        if bare.parse::<Ipv6Addr>().is_ok() {
            return None;
        }
        if text.contains('/') {
            return Some(format!("`{text}` is no host: write its name alone, without a scheme, a path or a database"));
        }
        let (host, port) = text.rsplit_once(':')?;
        Some(match port.parse::<u16>() {
            Ok(port) => {
                format!("`{text}` is no host: its port is a field of its own: `host: {host}` and `port: {port}`")
            }
            Err(_) => format!("`{text}` is no host: there is a `:` in it"),
        })
    }
}

/// A text of a form.
struct Formed<F>(String, PhantomData<F>);

impl<'de, F: Form> Deserialize<'de> for Formed<F> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        F::wrong(&text).map_or(Ok(Self(text, PhantomData)), |why| Err(D::Error::custom(why)))
    }
}

fn text<F>(formed: In<Formed<F>>) -> In<String> {
    match formed {
        In::Lit(Formed(text, _)) => In::Lit(text),
        In::Later(template) => In::Later(template),
    }
}

/// Reads a text of the form `F`.
pub(crate) fn one<'de, F: Form, D: Deserializer<'de>>(deserializer: D) -> Result<In<String>, D::Error> {
    In::deserialize(deserializer).map(text::<F>)
}

/// Reads one that may be left out; its field has a `#[serde(default)]`.
pub(crate) fn perhaps<'de, F: Form, D: Deserializer<'de>>(deserializer: D) -> Result<Option<In<String>>, D::Error> {
    Option::deserialize(deserializer).map(|it| it.map(text::<F>))
}

/// Reads a list of them.
pub(crate) fn list<'de, F: Form, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<In<String>>, D::Error> {
    Vec::deserialize(deserializer).map(|all| all.into_iter().map(text::<F>).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good<F: Form>(texts: &[&str]) {
        for text in texts {
            assert_eq!(F::wrong(text), None, "{text}");
        }
    }

    fn bad<F: Form>(texts: &[&str]) {
        for text in texts {
            let why = F::wrong(text).unwrap_or_else(|| panic!("{text:?} passed"));
            assert!(why.starts_with(&format!("`{text}` is ")), "{why}");
        }
    }

    #[test]
    fn what_has_its_form_passes_and_nothing_else_does() {
        good::<Arn>(&[
            "arn:aws:iam::111122223333:role/backup",
            "arn:aws:s3:::bucket/key:with/colons",
            "arn:aws-cn:a:b:c:d",
        ]);
        bad::<Arn>(&["", "backup", "role/backup", "arn:aws:iam", "arn:aws:iam::1:", "arn:aws::::x", "*", "latest"]);
        good::<LatestOrArn>(&["latest", "arn:aws:backup:eu-west-1:1:recovery-point:x"]);
        bad::<LatestOrArn>(&["newest", "1EB3B5E7"]);
        good::<ArnOrAll>(&["*", "arn:aws:s3:::exports/*"]);
        bad::<ArnOrAll>(&["exports", "exports/*"]);
        good::<Action>(&["s3:GetObject", "cognito-idp:ListUsers", "S3:getobject"]);
        bad::<Action>(&["GetObject", "s3:", ":GetObject", "s3:Get*", "*", "s3:Get Object", "s3.GetObject", "a:b:c"]);
        good::<Host>(&["orders", "orders.abc.eu-central-1.rds.amazonaws.com", "10.0.0.1", "::1", "[::1]", "[fe80::1]"]);
        bad::<Host>(&["orders:5433", "[::1]:5433", "postgres://orders", "orders/shop", "orders:"]);
    }
}
