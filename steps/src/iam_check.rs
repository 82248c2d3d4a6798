//! `iam.check`: whether the roles that services need are there, are like those of
//! the other region, and may do what they have to.
//!
//! IAM is one for all regions, but roles are often made for each, and their
//! policies name what is in it. So a role is compared with the one that it stands
//! in for, text by text, after what has another name here was renamed; and what a
//! service has to do can be asked of IAM's simulator.
//!
//! It only looks, by the AWS command line (`aws/cli.rs`): the SDK's crate is not
//! taken for it. IAM is in us-east-1: one that does not answer is a look that
//! failed, never a green light.
//!
//! Left out: what the simulator would have to be told besides (values of
//! conditions; where a policy asks for one, nobody knows), users, groups, and
//! policies of resources and keys, which the simulator does not read.

mod document;
mod role;

use crate::limits::IAM_ROLES_MAX;
use async_trait::async_trait;
use document::Renames;
use dr_engine::{
    kind::{Explained, Reference},
    need::Need,
    outcome::{Failure, Output},
    step::{Check, Description, Mistake, OutputName, OutputType, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use role::{Role, Verdict};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Looks whether roles are there, are like those of the other region, and may do
/// what they have to.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IamCheck {
    /// The roles.
    roles: Vec<Wanted>,
    /// What is written otherwise in the policies of `like` and in their names: regions, suffixes,
    /// account numbers. The first that fits counts.
    #[serde(default)]
    rename: Vec<Rename>,
}

/// A role, and what it should be.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Its name.
    role: In<String>,
    /// The role that it stands in for: who may assume it, its policies and its boundary are to be
    /// the same.
    #[serde(default)]
    like: Option<In<String>>,
    /// What it has to be allowed to do.
    #[serde(default)]
    may: Vec<May>,
}

/// Actions that are simulated.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct May {
    /// The actions, as in `s3:GetObject`.
    #[serde(deserialize_with = "crate::form::list::<crate::form::Action, _>")]
    actions: Vec<In<String>>,
    /// What they are done to: ARNs. Default: everything (`*`).
    #[serde(default, deserialize_with = "crate::form::list::<crate::form::ArnOrAll, _>")]
    on: Vec<In<String>>,
}

/// A text, and what stands in its place.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rename {
    /// What stands there, as in `eu-west-1`.
    from: In<String>,
    /// What is to stand here, as in `eu-central-1`.
    to: In<String>,
}

/// What was seen of all roles.
#[derive(Default)]
struct Seen {
    /// What is not as it should be.
    wrong: Vec<String>,
    /// What nobody can tell.
    unclear: Vec<String>,
    roles: Map<String, Value>,
}

/// What a look comes to.
enum Judged {
    Good(Output),
    Wrong(Failure),
    Unclear(String),
}

impl Seen {
    fn judged(self) -> Judged {
        if !self.wrong.is_empty() {
            let all: Vec<_> = self.wrong.into_iter().chain(self.unclear).collect();
            let hint = "mend the roles, then answer `retry`; policies are told as IAM means them, not as they stand";
            return Judged::Wrong(Failure::new(all.join("; ")).hint(hint));
        }
        if !self.unclear.is_empty() {
            return Judged::Unclear(self.unclear.join("; "));
        }
        let mut output = Output::default();
        output.values.insert("roles".into(), self.roles.into());
        Judged::Good(output)
    }
}

fn texts(inputs: &[In<String>]) -> Vec<String> {
    inputs.iter().map(|text| text.get().clone()).collect()
}

impl IamCheck {
    async fn look(&self, cx: &ReadCx) -> Result<Seen, Failure> {
        let renames = self.rename.iter().map(|it| (it.from.get().clone(), it.to.get().clone()));
        let renames = Renames(renames.collect());
        let mut seen = Seen::default();
        for wanted in &self.roles {
            cx.progress(&format!("looking at the role `{}`", wanted.role));
            wanted.look(cx, &renames, &mut seen).await?;
        }
        Ok(seen)
    }
}

impl Wanted {
    async fn look(&self, cx: &ReadCx, renames: &Renames, seen: &mut Seen) -> Result<(), Failure> {
        let name = self.role.get();
        let Some(role) = Role::find(cx, name).await? else {
            seen.wrong.push(format!("there is no role `{name}`"));
            return Ok(());
        };
        let mut policies = None;
        if let Some(like) = &self.like {
            let like = like.get();
            match Role::find(cx, like).await? {
                None => seen.wrong.push(format!("there is no role `{like}`, which `{name}` should be like")),
                Some(other) => {
                    let (mine, theirs) = (role.policies(cx).await?, other.policies(cx).await?);
                    let differs = role.differs(cx, &mine, &other, &theirs, renames).await?;
                    seen.wrong.extend(differs.into_iter().map(|how| format!("`{name}` is not like `{like}`: {how}")));
                    policies = Some(mine.count());
                }
            }
        }
        for may in &self.may {
            let mut on = texts(&may.on);
            if on.is_empty() {
                on.push("*".into());
            }
            for verdict in role.may(cx, &texts(&may.actions), &on).await? {
                match verdict {
                    Verdict::Allowed => {}
                    Verdict::Denied(says) => seen.wrong.push(format!("`{name}` may not do what it has to: {says}")),
                    Verdict::Unclear(says) => seen.unclear.push(format!("nobody can say what `{name}` may do: {says}")),
                }
            }
        }
        let like = self.like.as_ref().map(|like| like.get().clone());
        seen.roles.insert(name.clone(), json!({ "arn": role.arn, "like": like, "policies": policies }));
        Ok(())
    }
}

impl Explained for IamCheck {
    const REFERENCE: Reference = Reference {
        check: "`GetRole` of each role. With `like`, of that one too: `ListRolePolicies`, `GetRolePolicy`, \
            `ListAttachedRolePolicies` of both, and of attached policies that are not the same one `GetPolicy` and \
            `GetPolicyVersion`. With `may`, `SimulatePrincipalPolicy`. Done when all are there, alike and allowed; \
            what is not is told, and fails the step. Where a policy asks for a value that the simulator was not told, \
            nobody knows, and a person is asked. IAM that does not answer is a look that failed.",
        run: "Looks once more.",
        undo: None,
        recovery_point: None,
        time: "About a second for each call of the command line: eight and more for a pair of roles, one after the other.",
        traps: &[
            "IAM's control plane is in us-east-1: look before a recovery, as in a drill, not in the middle of one.",
            "A policy that both roles have is alike, whatever region it names: ask by `may` what has to work here.",
            "The simulator reads the policies of the role, its boundary and those of the organization; not those of \
             buckets, queues and keys, and nothing of endpoints.",
            "Labels (`Sid`), order, and case of actions make no difference; tags and descriptions are not compared.",
            "Many roles take longer than a look may by default: give `check_timeout`, or make several steps.",
            "The AWS command line has to be on the host of `dr`.",
        ],
        example: "
            roles_are_alike:
              do:
                iam.check:
                  roles:
                    - role: orders-eu-central-1
                      like: orders-eu-west-1
                      may:
                        - actions: [\"s3:GetObject\"]
                          on: [\"arn:aws:s3:::shop-assets-eu-central-1/*\"]
                    - role: dr-restore
                  rename:
                    - { from: eu-west-1, to: eu-central-1 }
              check_timeout: 5m
        ",
    };
}

#[async_trait]
impl Step for IamCheck {
    fn describe(&self) -> Description {
        let names: Vec<_> = self.roles.iter().map(|it| format!("`{}`", it.role)).collect();
        let compares = self.roles.iter().any(|it| it.like.is_some());
        let simulates = self.roles.iter().any(|it| !it.may.is_empty());
        let mut actions = vec!["iam:GetRole"];
        if compares {
            actions.extend(["iam:ListRolePolicies", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies"]);
            actions.extend(["iam:GetPolicy", "iam:GetPolicyVersion"]);
        }
        if simulates {
            actions.push("iam:SimulatePrincipalPolicy");
        }
        Description {
            summary: format!("looks at roles: {}", names.join(", ")),
            actions,
            control_plane: Some("us-east-1"),
            ..Description::default()
        }
    }

    fn mistakes(&self) -> Vec<Mistake> {
        let mistake = |field, message: String, help: &str| Mistake { field, message, help: help.into() };
        let mut mistakes = Vec::new();
        if self.roles.is_empty() || self.roles.len() > IAM_ROLES_MAX {
            let text = format!("`roles` names {} roles; one step takes from 1 to {IAM_ROLES_MAX}", self.roles.len());
            let help = if self.roles.is_empty() { "name at least one" } else { "make several steps" };
            mistakes.push(mistake("roles", text, help));
        }
        if self.roles.iter().flat_map(|it| &it.may).any(|may| may.actions.is_empty()) {
            mistakes.push(mistake("roles", "`may` names no action".into(), "name at least one, as in `s3:GetObject`"));
        }
        if self.rename.iter().any(|it| it.from.later().is_none() && it.from.get().is_empty()) {
            mistakes.push(mistake("rename", "`from` is empty".into(), "name the text that is written otherwise here"));
        }
        if !self.rename.is_empty() && self.roles.iter().all(|it| it.like.is_none()) {
            let text = "nothing is renamed where nothing is compared";
            mistakes.push(mistake("rename", text.into(), "name the role to compare with: `like`"));
        }
        mistakes
    }

    fn leans_on(&self) -> Vec<Need> {
        vec![Need::ProviderCli]
    }

    fn outputs(&self) -> Vec<OutputName> {
        vec![OutputName { name: "roles".into(), is: OutputType::Any }]
    }

    fn changes(&self) -> bool {
        false
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        Ok(match self.look(cx).await?.judged() {
            Judged::Good(output) => Check::Done(output),
            Judged::Wrong(failure) => Check::Impossible(failure),
            Judged::Unclear(why) => Check::Unknown(why),
        })
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        match self.look(&cx.read).await?.judged() {
            Judged::Good(output) => Ok(output),
            Judged::Wrong(failure) => Err(failure.into()),
            Judged::Unclear(why) => Err(StepError::Doubt(Failure::new(why))),
        }
    }
}
