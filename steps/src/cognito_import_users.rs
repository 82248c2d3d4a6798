//! `cognito.import_users`: a standby user pool is filled from an export.
//!
//! Cognito has no backup. What a team has is a list of users that something
//! wrote beforehand: a CSV in a bucket of the recovery region, in the form that
//! the standby pool wants. It is read whole before anything is begun, and what
//! Cognito would fail over afterwards is refused (`export.rs`). Then a job is
//! made, given the file (`upload.rs`), started and waited for (`job.rs`).
//!
//! Cognito skips users that are there already, so that a second import adds who
//! is missing and changes nobody. For the same reason there is no undo: in the
//! pool nothing tells imported users from others, and some may have signed in.
//!
//! Left out: writing exports, groups and app clients, the lazy way (a Lambda
//! that migrates users when they sign in), and more than one file.

mod export;
mod job;
mod upload;

use self::{
    export::{Columns, Export, Place},
    job::{SERVICE, Stand, Work},
};
use crate::{
    aws::{Clients, error::code},
    limits,
    world::World,
};
use async_trait::async_trait;
use aws_sdk_cognitoidentityprovider::types::PasswordHashingAlgorithmType;
use dr_engine::{
    kind::{Explained, Reference},
    outcome::{Failure, Output},
    step::{Check, Description, OutputName, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Fills a user pool from an export in S3, and waits until its users are there.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportUsers {
    /// The id of the pool that is filled, in the step's region.
    pool: In<String>,
    /// The bucket of the export, in the step's region.
    bucket: In<String>,
    /// The export: a CSV with the columns that the pool wants.
    object: In<String>,
    /// A version of it. Default: the newest.
    #[serde(default)]
    version: Option<In<String>>,
    /// The ARN of the role with which Cognito writes what became of each line into `CloudWatch` Logs.
    #[serde(deserialize_with = "crate::form::one::<crate::form::Arn, _>")]
    logs_role: In<String>,
    /// How the passwords in the export are hashed, in one more column than the
    /// pool names. Without it users have to set new ones.
    #[serde(default)]
    password_hashes: Option<Hashes>,
    /// How many users of the export may be missing afterwards. Default: 0.
    #[serde(default)]
    failed_at_most: u64,
}

/// An algorithm by which passwords were hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Hashes {
    /// bcrypt.
    Bcrypt,
    /// scrypt.
    Scrypt,
    /// Argon2id.
    Argon2id,
    /// PBKDF2 with SHA-256.
    #[serde(rename = "PBKDF2_SHA256")]
    Pbkdf2Sha256,
}

impl Hashes {
    fn sdk(self) -> PasswordHashingAlgorithmType {
        match self {
            Self::Bcrypt => PasswordHashingAlgorithmType::Bcrypt,
            Self::Scrypt => PasswordHashingAlgorithmType::Scrypt,
            Self::Argon2id => PasswordHashingAlgorithmType::Argon2Id,
            Self::Pbkdf2Sha256 => PasswordHashingAlgorithmType::Pbkdf2Sha256,
        }
    }
}

/// What the inputs ask for. A person can change them with `retry --set`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Wanted {
    pool: String,
    place: Place,
    hashes: Option<Hashes>,
    logs_role: String,
    /// Judges a job, and begins none anew.
    #[serde(skip)]
    failed_at_most: u64,
}

impl Wanted {
    /// What no import brings back, in words for a report.
    fn lost(&self) -> &'static str {
        match self.hashes {
            None => "passwords, MFA, groups, federated links, and the `sub` of every user",
            Some(_) => "MFA, groups, federated links, and the `sub` of every user",
        }
    }
}

/// What the step resolved, and will not resolve again in this run while the
/// inputs ask for the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Chosen {
    export: Export,
    asked: Wanted,
}

/// The fact that holds it.
const CHOSEN: &str = "export";

impl ImportUsers {
    fn wanted(&self) -> Wanted {
        Wanted {
            pool: self.pool.get().clone(),
            place: Place {
                bucket: self.bucket.get().clone(),
                object: self.object.get().clone(),
                version: self.version.as_ref().map(|version| version.get().clone()),
            },
            hashes: self.password_hashes,
            logs_role: self.logs_role.get().clone(),
            failed_at_most: self.failed_at_most,
        }
    }

    /// What was written down last, be it for other inputs.
    fn known(cx: &ReadCx) -> Option<Chosen> {
        cx.fact(CHOSEN).and_then(|fact| serde_json::from_value(fact.clone()).ok())
    }

    /// Which export it will be: what was written down, or what the inputs ask for.
    async fn decide(cx: &ReadCx, clients: &Clients, wanted: &Wanted) -> Result<Export, Failure> {
        let asked = Wanted { failed_at_most: 0, ..wanted.clone() };
        if let Some(known) = Self::known(cx) {
            if known.asked == asked {
                return Ok(known.export);
            }
            let work = Work { clients, wanted: &known.asked, export: &known.export };
            if let Stand::Moving(job) = work.stand(cx).await? {
                let text = format!("{} was begun before the inputs changed, and is at work", job.id);
                return Err(Failure::new(text).hint("set the inputs back, or wait until it has ended; then `retry`"));
            }
        }
        wanted.place.read(clients, &Self::columns(clients, wanted).await?).await
    }

    /// The columns that the pool wants, of a pool into which users can be imported.
    async fn columns(clients: &Clients, wanted: &Wanted) -> Result<Columns, Failure> {
        let pool = &wanted.pool;
        let reply = match clients.cognito.describe_user_pool().user_pool_id(pool).send().await {
            Err(e) if code(&e) == "ResourceNotFoundException" => {
                let text = format!("there is no user pool `{pool}` in {}", clients.region);
                return Err(Failure::new(text).hint("a standby pool is made beforehand, with app clients and triggers"));
            }
            reply => reply.map_err(|e| clients.call(SERVICE, "DescribeUserPool").read(&e))?,
        };
        if reply.user_pool().is_some_and(|pool| pool.auto_verified_attributes().is_empty()) {
            let text = format!("`{pool}` verifies neither email nor telephone: Cognito starts no import into it");
            return Err(Failure::new(text).hint("let it verify one of them (`AutoVerifiedAttributes`), then `retry`"));
        }
        let reply = clients.cognito.get_csv_header().user_pool_id(pool).send().await;
        let reply = reply.map_err(|e| clients.call(SERVICE, "GetCSVHeader").read(&e))?;
        Ok(Columns { names: reply.csv_header().to_vec(), hashes: wanted.hashes.is_some() })
    }
}

impl Explained for ImportUsers {
    const REFERENCE: Reference = Reference {
        check: "`ListUserImportJobs`, for the job whose name says this run and this export. Done when it has ended and \
            all users of the export but `failed_at_most` were imported by it or were there, whether Cognito calls it \
            Succeeded or not; under way while it was made or is at work; nothing of it when there is none or it \
            expired. Before there is one: `DescribeUserPool` and `GetCSVHeader`, and `GetObject` of the whole export, \
            which has to have the pool's columns, as many values in each line, at most 500,000 users and 100 MB.",
        run: "Writes down which version of the export it is; `CreateUserImportJob`; PUT of the file to the URL that is \
            given for it; `StartUserImportJob`; waits until the job has ended. A file whose arrival is in doubt is sent \
            again, and where its URL has run out (15 minutes) there is another job. Another import into the pool is \
            waited for.",
        undo: None,
        recovery_point: Some(
            "The metadata `exported-at` of the object, where whoever writes the export says when it began (as in \
             2026-11-22T06:15:00Z), else `LastModified`.",
        ),
        time: "Minutes for thousands of users, hours for hundreds of thousands (general knowledge, not measured).",
        traps: &[
            "Every user gets a new `sub`: what your tables keep by it finds nobody, unless they also keep the username.",
            "Passwords come along only as hashes that you keep yourself (`password_hashes`); Cognito gives none away. \
             All others have to set a new one, by mail or SMS: have the sending limits raised beforehand.",
            "MFA, groups, federated links and devices are lost. Issuer, app client ids and secrets are those of the \
             standby pool: applications need settings for them.",
            "Users that are in the pool are skipped and keep what they have, even if the export is newer.",
            "An account has one import at a time, in all its pools.",
            "The file goes straight to S3, past any proxy, as `http` steps do.",
            "The URL for the file is a secret, and stands in what `ListUserImportJobs` answers: who may list can write.",
            "An export holds everybody's personal data: encrypt its bucket and let few people read it.",
            "The caller passes the role on (`iam:PassRole`), and the role must be trusted by cognito-idp.amazonaws.com.",
            "There is no undo: nothing tells imported users from others, and deleting one who has signed in loses more.",
        ],
        example: "
            users:
              do:
                cognito.import_users:
                  pool: eu-central-1_Ab12Cd34E
                  bucket: shop-exports-eu-central-1
                  object: users.csv
                  logs_role: arn:aws:iam::111122223333:role/cognito-import-logs
                  failed_at_most: 20
              timeout: 6h
              rpo: 24h
        ",
    };
}

#[async_trait]
impl Step for ImportUsers {
    fn describe(&self) -> Description {
        Description {
            summary: format!("import users of s3://{}/{} into user pool `{}`", self.bucket, self.object, self.pool),
            actions: vec![
                "s3:GetObject",
                "s3:GetObjectVersion",
                "kms:Decrypt",
                "cognito-idp:DescribeUserPool",
                "cognito-idp:GetCSVHeader",
                "cognito-idp:ListUserImportJobs",
                "cognito-idp:CreateUserImportJob",
                "cognito-idp:StartUserImportJob",
                "cognito-idp:DescribeUserImportJob",
                "iam:PassRole",
            ],
            ..Description::default()
        }
    }

    fn outputs(&self) -> Vec<OutputName> {
        let texts = ["pool_id", "job_id", "lost"].map(OutputName::text);
        let numbers = ["users", "imported", "skipped", "failed"].map(OutputName::number);
        texts.into_iter().chain(numbers).collect()
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let clients = World::of(cx).aws.read(cx).await?;
        let wanted = self.wanted();
        let export = match Self::decide(cx, &clients, &wanted).await {
            Err(failure) if !failure.transient && failure.call.is_none() => return Ok(Check::Impossible(failure)),
            export => export?,
        };
        let work = Work { clients: &clients, wanted: &wanted, export: &export };
        Ok(match work.stand(cx).await? {
            // `run` tells a person why, once.
            Stand::Nothing(_) | Stand::Short(..) => Check::Absent,
            Stand::Made(_) | Stand::Moving(_) => Check::InProgress,
            Stand::Done(output) => Check::Done(output),
        })
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let clients = World::of(&cx.read).aws.write(cx).await?;
        let wanted = self.wanted();
        let export = Self::decide(&cx.read, &clients, &wanted).await?;
        let chosen = json!(Chosen { export: export.clone(), asked: Wanted { failed_at_most: 0, ..wanted.clone() } });
        if cx.read.fact(CHOSEN) != Some(&chosen) {
            cx.record(CHOSEN, chosen).await;
        }
        let work = Work { clients: &clients, wanted: &wanted, export: &export };
        let mut stand = work.stand(&cx.read).await?;
        loop {
            stand = match stand {
                Stand::Done(output) => return Ok(output),
                Stand::Short(job, failure) => {
                    work.give_up(cx, &job).await;
                    return Err(failure.into());
                }
                Stand::Nothing(last) => Stand::Made(Box::pin(work.make(cx, last + 1)).await?),
                Stand::Made(job) => {
                    if Box::pin(work.begin(cx, &job)).await? {
                        work.end(&cx.read, &job).await?
                    } else {
                        Stand::Nothing(job.nth)
                    }
                }
                Stand::Moving(job) => work.end(&cx.read, &job).await?,
            };
        }
    }
}
