//! `accounts:`: whose accounts a plan works in, and as which role.

use super::Account;
use crate::{
    problem::Problem,
    runbook::AccountText,
    yaml::{Kind, R},
};

/// How a role is named.
const ROLE: &str = "as in arn:aws:iam::123456789012:role/dr";
/// Where an external id can be.
const SOURCES: [&str; 2] = ["env:", "file:"];
/// What was written is not repeated: it may be the id.
const WRITTEN: &str = "an external id is named, never written down: env:NAME or file:PATH";

/// What types cannot say of an account.
pub(super) fn mistakes(name: &str, account: &AccountText) -> Vec<Problem> {
    let AccountText { id, role, external_id } = account;
    let mut problems = Vec::new();
    let numbered = is_number(id);
    if !numbered {
        let message = format!("the id of account `{name}` has twelve digits, this is `{}`", id.value);
        let problem = Problem::new(id.span, message);
        problems.push(problem.help("in quotes, or leading zeros are lost: id: \"012345678901\""));
    }
    if let Some(role) = role {
        match account_of(role) {
            None => {
                let message = format!("`{}` is not the ARN of a role", role.value);
                problems.push(Problem::new(role.span, message).help(ROLE));
            }
            Some(of) if numbered && of != id.value => {
                let message = format!("this role is of account {of}, and `{name}` is account {}", id.value);
                let help = "name a role of the account itself: whoever runs `dr` needs no credentials there";
                problems.push(Problem::new(role.span, message).help(help));
            }
            Some(_) => {}
        }
    }
    if let Some(external_id) = external_id {
        let secret = &external_id.secret;
        if role.is_none() {
            let message = format!("`external_id` is shown to a role, and account `{name}` names none");
            problems.push(Problem::new(secret.span, message).help("give the account its `role`, or take this out"));
        }
        if !SOURCES.iter().any(|source| secret.strip_prefix(source).is_some_and(|rest| !rest.is_empty())) {
            problems.push(Problem::new(secret.span, WRITTEN));
        }
    }
    problems
}

/// External ids that stand in the runbook themselves.
pub(super) fn written_down(root: R<'_>) -> Vec<Problem> {
    let accounts = root.get("accounts").into_iter().flat_map(R::pairs).map(|(_, account)| account);
    let literals = accounts.filter_map(|account| account.get("external_id")).filter(|node| node.kind() != Kind::Map);
    let told =
        |node: R<'_>| Problem::new(node.span(), WRITTEN).help("as in `external_id: { secret: env:DR_EXTERNAL_ID }`");
    literals.map(told).collect()
}

fn is_number(id: &str) -> bool {
    id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_digit())
}

/// The account of a role's ARN, in whichever partition.
fn account_of(arn: &str) -> Option<&str> {
    let mut parts = arn.splitn(6, ':');
    let head = [parts.next()?, parts.next()?, parts.next()?, parts.next()?];
    let (account, resource) = (parts.next()?, parts.next()?);
    let known = head[0] == "arn" && head[1].starts_with("aws") && head[2..] == ["iam", ""];
    let named = resource.strip_prefix("role/").is_some_and(|name| !name.is_empty() && !name.ends_with('/'));
    (known && named && is_number(account)).then_some(account)
}

/// An account as a person names it beside others.
pub(super) fn shown(account: &Account) -> String {
    let role = account.role.as_ref().map(|role| format!(" as {role}"));
    let external_id = account.external_id.as_ref().map(|it| format!(" (external id {})", it.secret));
    format!("{}{}{}", account.id, role.unwrap_or_default(), external_id.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_of_a_role_is_read_and_anything_else_is_no_role() {
        for (arn, account) in [
            ("arn:aws:iam::111122223333:role/dr", Some("111122223333")),
            ("arn:aws-us-gov:iam::111122223333:role/recovery/dr", Some("111122223333")),
            ("arn:aws:iam::111122223333:user/dr", None),
            ("arn:aws:iam::111122223333:role/", None),
            ("arn:aws:iam::1111:role/dr", None),
            ("arn:aws:sts::111122223333:assumed-role/dr/me", None),
            ("arn:aws:iam:eu-west-1:111122223333:role/dr", None),
            ("role/dr", None),
            ("", None),
        ] {
            assert_eq!(account_of(arn), account, "{arn}");
        }
    }
}
