//! What IAM says of a role, by the AWS command line: looks, one after the other.

use super::document::{Document, Renames};
use crate::world::World;
use dr_engine::{outcome::Failure, step::ReadCx};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A role that is there.
pub(super) struct Role {
    name: String,
    /// Its ARN.
    pub(super) arn: String,
    trust: Value,
    boundary: Option<String>,
}

/// The policies of a role.
pub(super) struct Policies {
    inline: BTreeMap<String, Value>,
    attached: BTreeSet<String>,
}

impl Policies {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.inline.len() + self.attached.len()
    }
}

/// What the simulator says of an action.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Allowed,
    Denied(String),
    Unclear(String),
}

/// An answer of IAM; `None` where what is asked for is not there.
async fn ask(cx: &ReadCx, words: &[&str]) -> Result<Option<Value>, Failure> {
    let words: Vec<_> = ["iam"].iter().chain(words).map(ToString::to_string).collect();
    let answer = match World::of(cx).aws.cli_look(cx, &words).await? {
        Ok(answer) => answer,
        Err(trouble) if trouble.code.as_deref() == Some("NoSuchEntity") => return Ok(None),
        Err(trouble) => return Err(trouble.read()),
    };
    serde_json::from_str(&answer.text).map(Some).map_err(|_| unread(&words[1]))
}

fn unread(operation: &str) -> Failure {
    Failure::new(format!("the answer of `aws iam {operation}` cannot be read"))
}

/// The same of what was there a moment ago.
async fn told(cx: &ReadCx, words: &[&str]) -> Result<Value, Failure> {
    let gone = || Failure::passing(format!("`aws iam {}` does not find what was there just now", words.join(" ")));
    ask(cx, words).await?.ok_or_else(gone)
}

impl Role {
    /// The role of this name.
    pub(super) async fn find(cx: &ReadCx, name: &str) -> Result<Option<Self>, Failure> {
        let Some(answer) = ask(cx, &["get-role", "--role-name", name]).await? else { return Ok(None) };
        let role = &answer["Role"];
        let arn = role["Arn"].as_str().ok_or_else(|| unread("get-role"))?;
        Ok(Some(Self {
            name: name.to_owned(),
            arn: arn.to_owned(),
            trust: role["AssumeRolePolicyDocument"].clone(),
            boundary: role
                .pointer("/PermissionsBoundary/PermissionsBoundaryArn")
                .and_then(Value::as_str)
                .map(Into::into),
        }))
    }

    /// Its policies: of inline ones the documents, of attached ones the ARNs.
    pub(super) async fn policies(&self, cx: &ReadCx) -> Result<Policies, Failure> {
        let answer = told(cx, &["list-role-policies", "--role-name", &self.name]).await?;
        let names = answer["PolicyNames"].as_array().ok_or_else(|| unread("list-role-policies"))?;
        let mut inline = BTreeMap::new();
        for name in names.iter().filter_map(Value::as_str) {
            let answer = told(cx, &["get-role-policy", "--role-name", &self.name, "--policy-name", name]).await?;
            inline.insert(name.to_owned(), answer["PolicyDocument"].clone());
        }
        let answer = told(cx, &["list-attached-role-policies", "--role-name", &self.name]).await?;
        let attached = answer["AttachedPolicies"].as_array().ok_or_else(|| unread("list-attached-role-policies"))?;
        let attached = attached.iter().map(|it| it["PolicyArn"].as_str().map(Into::into));
        let attached = attached.collect::<Option<_>>().ok_or_else(|| unread("list-attached-role-policies"))?;
        Ok(Policies { inline, attached })
    }

    /// How this role differs from the one that it should be alike, in words; none when it does not.
    pub(super) async fn differs(
        &self,
        cx: &ReadCx,
        mine: &Policies,
        like: &Self,
        theirs: &Policies,
        renames: &Renames,
    ) -> Result<Vec<String>, Failure> {
        let mut differs = Vec::new();
        let trust = (Document::read(&self.trust, &Renames::default())?, Document::read(&like.trust, renames)?);
        differs.extend(trust.0.differs(&trust.1).map(|how| format!("its trust policy {how}")));
        let wanted = like.boundary.as_deref().map(|arn| renames.text(arn));
        if self.boundary != like.boundary && self.boundary != wanted {
            let word = |arn: Option<&str>| arn.map_or("none".to_owned(), |arn| format!("`{arn}`"));
            let (is, wanted) = (word(self.boundary.as_deref()), word(wanted.as_deref()));
            differs.push(format!("its permissions boundary is {is}, not {wanted}"));
        }
        let names = renamed(like, theirs.inline.keys(), renames)?;
        for name in names.keys().chain(mine.inline.keys()).collect::<BTreeSet<_>>() {
            let wanted = names.get(name).and_then(|original| theirs.inline.get(*original));
            differs.extend(match (mine.inline.get(name), wanted) {
                (Some(mine), Some(theirs)) => policy(name, mine, theirs, renames)?,
                (mine, _) => Some(lonely(name, mine.is_some())),
            });
        }
        // One and the same policy on both is alike.
        let both: BTreeSet<_> = mine.attached.intersection(&theirs.attached).collect();
        let own: BTreeSet<_> = mine.attached.iter().filter(|arn| !both.contains(arn)).collect();
        let arns = renamed(like, theirs.attached.iter().filter(|arn| !both.contains(arn)), renames)?;
        for arn in arns.keys().chain(own.iter().copied()).collect::<BTreeSet<_>>() {
            differs.extend(match (own.get(arn), arns.get(arn)) {
                (Some(mine), Some(theirs)) => {
                    policy(arn, &managed(cx, mine).await?, &managed(cx, theirs).await?, renames)?
                }
                (mine, _) => Some(lonely(arn, mine.is_some())),
            });
        }
        Ok(differs)
    }

    /// What the simulator says of these actions on these resources, whichever is not simply allowed.
    pub(super) async fn may(&self, cx: &ReadCx, actions: &[String], on: &[String]) -> Result<Vec<Verdict>, Failure> {
        let mut words = vec!["simulate-principal-policy", "--policy-source-arn", &self.arn, "--action-names"];
        words.extend(actions.iter().map(String::as_str));
        words.push("--resource-arns");
        words.extend(on.iter().map(String::as_str));
        let answer = told(cx, &words).await?;
        let results = answer["EvaluationResults"].as_array().ok_or_else(|| unread(words[0]))?;
        let verdicts = actions.iter().map(|action| {
            let mut of = results.iter().filter(|it| is(&it["EvalActionName"], action)).peekable();
            if of.peek().is_none() {
                return Verdict::Unclear(format!("IAM says nothing of `{action}`"));
            }
            judged(action, on, &of.collect::<Vec<_>>())
        });
        Ok(verdicts.filter(|verdict| *verdict != Verdict::Allowed).collect())
    }
}

/// The document of an attached policy that is in force.
async fn managed(cx: &ReadCx, arn: &str) -> Result<Value, Failure> {
    let answer = told(cx, &["get-policy", "--policy-arn", arn]).await?;
    let version = answer.pointer("/Policy/DefaultVersionId").and_then(Value::as_str);
    let version = version.ok_or_else(|| unread("get-policy"))?;
    let answer = told(cx, &["get-policy-version", "--policy-arn", arn, "--version-id", version]).await?;
    answer.pointer("/PolicyVersion/Document").cloned().ok_or_else(|| unread("get-policy-version"))
}

/// Names as they should be here, each with the one that it was.
fn renamed<'a>(
    like: &Role,
    names: impl Iterator<Item = &'a String>,
    renames: &Renames,
) -> Result<BTreeMap<String, &'a String>, Failure> {
    let mut made = BTreeMap::new();
    for name in names {
        if let Some(other) = made.insert(renames.text(name), name) {
            let text = format!("with `rename`, `{other}` and `{name}` of `{}` would be one policy", like.name);
            return Err(Failure::new(text).hint("rename less, or compare these roles by hand"));
        }
    }
    Ok(made)
}

/// How one policy differs from the one that it should be alike.
fn policy(name: &str, mine: &Value, theirs: &Value, renames: &Renames) -> Result<Option<String>, Failure> {
    let (mine, theirs) = (Document::read(mine, &Renames::default())?, Document::read(theirs, renames)?);
    Ok(mine.differs(&theirs).map(|how| format!("its policy `{name}` {how}")))
}

fn lonely(name: &str, is_there: bool) -> String {
    if is_there { format!("it has the policy `{name}` more") } else { format!("it lacks the policy `{name}`") }
}

/// Actions are written in any case.
fn is(said: &Value, action: &str) -> bool {
    said.as_str().is_some_and(|said| said.eq_ignore_ascii_case(action))
}

/// What the results of one action say together. Where a policy asks for what the simulator was not
/// told (`MissingContextValues`), nobody knows.
fn judged(action: &str, on: &[String], results: &[&Value]) -> Verdict {
    let list = |of: &Value, field: &str| of[field].as_array().cloned().unwrap_or_default();
    let each: Vec<Value> = results.iter().flat_map(|it| list(it, "ResourceSpecificResults")).collect();
    let all = || results.iter().copied().chain(&each);
    let missing: BTreeSet<_> = all().flat_map(|it| list(it, "MissingContextValues")).map(|it| it.to_string()).collect();
    if !missing.is_empty() {
        let missing: Vec<_> = missing.into_iter().collect();
        return Verdict::Unclear(format!("`{action}` depends on {}", missing.join(", ")));
    }
    let bounds = [
        "/PermissionsBoundaryDecisionDetail/AllowedByPermissionsBoundary",
        "/OrganizationsDecisionDetail/AllowedByOrganizations",
    ];
    for result in all() {
        let decision = result.get("EvalDecision").or_else(|| result.get("EvalResourceDecision"));
        let decision = decision.and_then(Value::as_str).unwrap_or("without a decision");
        let bounded = bounds.iter().any(|field| result.pointer(field) == Some(&Value::Bool(false)));
        if decision != "allowed" || bounded {
            let on = result["EvalResourceName"].as_str().unwrap_or("*");
            return Verdict::Denied(format!(
                "`{action}` on `{on}` is {}",
                if bounded { "out of bounds" } else { decision }
            ));
        }
    }
    let told = |resource: &&String| each.iter().any(|it| it["EvalResourceName"] == **resource);
    match on.iter().find(|resource| on.len() > 1 && !told(resource)) {
        Some(resource) => Verdict::Unclear(format!("IAM says nothing of `{action}` on `{resource}`")),
        None => Verdict::Allowed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn allowed_is_what_is_allowed_everywhere_and_by_everybody() {
        let one = ["*".to_owned()];
        let two = ["arn:a".to_owned(), "arn:b".to_owned()];
        let on = |name: &str, decision: &str| json!({ "EvalResourceName": name, "EvalResourceDecision": decision });
        let yes = json!({ "EvalActionName": "s3:Get", "EvalResourceName": "*", "EvalDecision": "allowed" });
        let with = |field: &str, value: Value| {
            let mut result = yes.clone();
            result[field] = value;
            result
        };
        let denied = |says: &str| Verdict::Denied(says.into());
        let unclear = |says: &str| Verdict::Unclear(says.into());
        for (on, result, verdict) in [
            (&one[..], yes.clone(), Verdict::Allowed),
            (&one, with("EvalDecision", "implicitDeny".into()), denied("`s3:Get` on `*` is implicitDeny")),
            (&one, with("EvalDecision", Value::Null), denied("`s3:Get` on `*` is without a decision")),
            (
                &one,
                with("MissingContextValues", json!(["aws:SourceIp"])),
                unclear("`s3:Get` depends on \"aws:SourceIp\""),
            ),
            (
                &one,
                with("PermissionsBoundaryDecisionDetail", json!({ "AllowedByPermissionsBoundary": false })),
                denied("`s3:Get` on `*` is out of bounds"),
            ),
            (
                &one,
                with("OrganizationsDecisionDetail", json!({ "AllowedByOrganizations": false })),
                denied("`s3:Get` on `*` is out of bounds"),
            ),
            (
                &two,
                with("ResourceSpecificResults", json!([on("arn:a", "allowed"), on("arn:b", "allowed")])),
                Verdict::Allowed,
            ),
            (
                &two,
                with("ResourceSpecificResults", json!([on("arn:a", "allowed"), on("arn:b", "explicitDeny")])),
                denied("`s3:Get` on `arn:b` is explicitDeny"),
            ),
            (
                &two,
                with("ResourceSpecificResults", json!([on("arn:a", "allowed")])),
                unclear("IAM says nothing of `s3:Get` on `arn:b`"),
            ),
        ] {
            assert_eq!(judged("s3:Get", on, &[&result]), verdict, "{result}");
        }
    }
}
