//! `cognito.replica_activate`: the replica of a user pool lets people sign in.
//!
//! Multi-region replication keeps one directory under one id in two regions:
//! the same users, passwords and app clients, and tokens that hold in both. The
//! second region starts INACTIVE, and is made ACTIVE from there, whether the
//! primary answers or not (Amazon Cognito Developer Guide, "Multi-Region
//! replication for user pools"; API Reference, `UpdateUserPoolReplica`).
//!
//! It makes no second writer, and so wants no fence: a secondary takes no users
//! and no changes of them, and stays a secondary. It cannot be promoted, so that
//! what it lacks is lacking until the primary is back.
//!
//! Left out: making replicas, and the custom domain, whose health check sends
//! managed login from one region to the other by itself.

use crate::{
    aws::{Clients, error::code, limits},
    before::{self, BEFORE},
    world::World,
};
use async_trait::async_trait;
use aws_sdk_cognitoidentityprovider::types::{
    ReplicaRoleType as Role, ReplicaStatusType as Status, UpdateReplicaStatusType, UserPoolReplicaType,
};
use dr_engine::{
    kind::{Explained, Reference},
    outcome::{Failure, Output},
    step::{Check, Description, Look, OutputName, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Makes the replica of a user pool in the step's region active, and waits until it is.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplicaActivate {
    /// The id of the pool, which is the same in both regions and begins with that of the primary.
    pool: In<String>,
}

/// The name of AWS's service, as its permissions write it.
const SERVICE: &str = "cognito-idp";
/// What people cannot do until the primary is back, in words for a report.
const LACKS: &str = "sign-up, password reset, changes of profiles, MFA by TOTP, and first sign-ins by federation";
/// The fact that it is being taken back.
const BACK: &str = "back";

/// What there is of the replica in the step's region.
enum Seen {
    Inactive,
    Active(UserPoolReplicaType),
    Moving(String),
    /// In words that this version does not know.
    Odd(String),
    Broken(Failure),
}

/// What stood before the call, as far as it is ours to bring back.
#[derive(Debug, Serialize, Deserialize)]
struct Before {
    pool: String,
    status: String,
}

impl ReplicaActivate {
    /// All replicas of the pool, as the step's region knows them.
    async fn all(&self, clients: &Clients) -> Result<Result<Vec<UserPoolReplicaType>, Failure>, Failure> {
        let mut request = clients.cognito.list_user_pool_replicas().user_pool_id(self.pool.get());
        let mut all = Vec::new();
        loop {
            let reply = match request.clone().send().await {
                Err(e) if code(&e) == "ResourceNotFoundException" => {
                    return Ok(Err(self.unprepared(&format!("there is nothing of it in {}", clients.region))));
                }
                Err(e) if code(&e) == "OperationNotEnabledException" => {
                    return Ok(Err(self.unprepared("multi-region replication is not switched on for it")));
                }
                reply => reply.map_err(|e| clients.call(SERVICE, "ListUserPoolReplicas").read(&e))?,
            };
            all.extend(reply.user_pool_replicas.unwrap_or_default());
            match reply.next_token {
                Some(next) => request = request.next_token(next),
                None => return Ok(Ok(all)),
            }
        }
    }

    fn unprepared(&self, why: &str) -> Failure {
        let text = format!("user pool `{}` has no replica to activate: {why}", self.pool);
        Failure::new(text).hint(
            "a replica is made while its primary works: `aws cognito-idp create-user-pool-replica`, for a pool of the \
             Essentials or Plus plan with a multi-Region key and the updated issuer; without one there is \
             `cognito.import_users`",
        )
    }

    async fn see(&self, clients: &Clients) -> Result<Seen, Failure> {
        let (pool, region) = (self.pool.get(), &clients.region);
        let all = match self.all(clients).await? {
            Ok(all) => all,
            Err(failure) => return Ok(Seen::Broken(failure)),
        };
        let Some(here) = all.into_iter().find(|replica| replica.region_name() == Some(region)) else {
            return Ok(Seen::Broken(self.unprepared(&format!("none of its replicas is in {region}"))));
        };
        if here.role() == Some(&Role::Primary) {
            let text = format!("{region} is where the primary of user pool `{pool}` is: nothing is to be activated");
            return Ok(Seen::Broken(Failure::new(text).hint("give the step the region of the replica")));
        }
        Ok(match here.status() {
            Some(Status::Active) => Seen::Active(here),
            Some(Status::Inactive) => Seen::Inactive,
            Some(Status::Creating) => Seen::Moving(format!("the replica of `{pool}` in {region} is being made")),
            Some(Status::Deleting) => {
                let text = format!("the replica of user pool `{pool}` in {region} is being deleted");
                Seen::Broken(Failure::new(text).hint("see who deletes it; without it there is `cognito.import_users`"))
            }
            other => {
                let status = other.map_or("no status", |status| status.as_str());
                Seen::Odd(format!("Cognito says `{status}` of the replica of `{pool}` in {region}"))
            }
        })
    }

    /// Waits until the replica is one or the other: the active one, or nothing.
    async fn settled(&self, cx: &ReadCx, clients: &Clients) -> Result<Option<UserPoolReplicaType>, Failure> {
        cx.poll(|| async {
            Ok(match self.see(clients).await? {
                Seen::Inactive => Look::Ready(None),
                Seen::Active(replica) => Look::Ready(Some(replica)),
                Seen::Moving(says) | Seen::Odd(says) => Look::Pending(says),
                Seen::Broken(failure) => return Err(failure),
            })
        })
        .await
    }

    /// Waits until the status that was asked for is seen.
    async fn arrived(
        &self,
        cx: &ReadCx,
        clients: &Clients,
        active: bool,
    ) -> Result<Option<UserPoolReplicaType>, Failure> {
        let since = cx.clock.now();
        let wanted = if active { "ACTIVE" } else { "INACTIVE" };
        cx.poll(|| async {
            let says = match self.see(clients).await? {
                Seen::Active(replica) if active => return Ok(Look::Ready(Ok(Some(replica)))),
                Seen::Inactive if !active => return Ok(Look::Ready(Ok(None))),
                Seen::Broken(failure) => return Err(failure),
                Seen::Moving(says) | Seen::Odd(says) => says,
                Seen::Active(_) | Seen::Inactive => format!("`{}` is not {wanted} yet", self.pool),
            };
            if cx.clock.now().since(since) < limits::BEGINS {
                return Ok(Look::Pending(says));
            }
            // Not the error of a look, which would be passed over.
            Ok(Look::Ready(Err(Failure::passing(format!("it was asked for {} ago, and {says}", limits::BEGINS)))))
        })
        .await?
    }

    async fn change(&self, clients: &Clients, status: UpdateReplicaStatusType) -> Result<(), StepError> {
        let request = clients.cognito.update_user_pool_replica().user_pool_id(self.pool.get());
        let reply = request.region_name(&clients.region).status(status).send().await;
        reply.map(drop).map_err(|e| clients.call(SERVICE, "UpdateUserPoolReplica").wrote(&e))
    }

    /// Whether this step may have activated it.
    fn is_ours(&self, cx: &ReadCx) -> bool {
        before::asked(cx, |before: &Before| before.pool == *self.pool.get()).is_some()
    }

    fn output(&self, replica: &UserPoolReplicaType) -> Output {
        let values = json!({
            "pool_id": self.pool.get(),
            "arn": replica.user_pool_arn(),
            "lacks": LACKS,
        });
        Output { values: values.as_object().cloned().unwrap_or_default(), recovery_point: None }
    }
}

impl Explained for ReplicaActivate {
    const REFERENCE: Reference = Reference {
        check: "`ListUserPoolReplicas`, in the step's region alone. Done when the replica there is a SECONDARY and \
            ACTIVE, whoever activated it; nothing of it while it is INACTIVE; under way while it is being made. A pool \
            without a replica there, one that is being deleted, and the primary itself are refused. A status that this \
            version does not know is left to a person.",
        run: "Waits while the replica is being made; writes down that it was INACTIVE; `UpdateUserPoolReplica` in the \
            step's region; waits until it is ACTIVE.",
        undo: Some(
            "`UpdateUserPoolReplica` back to INACTIVE, and waits until it is, if this run activated it. From then on \
             nobody signs in there: make sure before that the primary serves.",
        ),
        recovery_point: Some(
            "Unknown: what the primary took in the last moments may not have arrived, and Cognito measures nothing of it.",
        ),
        time: "Seconds to minutes (general knowledge, not measured).",
        traps: &[
            "It has to be prepared while the primary works: Essentials or Plus plan, a multi-Region key, the updated \
             issuer, and the replica itself. Pools on Cognito's older infrastructure cannot have one yet.",
            "A replica cannot be promoted. Until the primary is back nobody can sign up, reset a password or change \
             a profile, nobody can use TOTP, and federated users get in only if they signed in before: hide \
             in your pages what does not work.",
            "Mail, SMS, Lambda triggers, log export and web ACLs are each region's own: set them in the replica \
             beforehand.",
            "With a custom domain its Route 53 health check decides which region answers. Applications that \
             call the API have to call the replica's region themselves.",
            "The updated issuer does not go with the Cognito authorizers of API Gateway and of load balancers.",
        ],
        example: "
            sign_in:
              do:
                cognito.replica_activate:
                  pool: eu-west-1_Ab12Cd34E
              timeout: 15m
        ",
    };
}

#[async_trait]
impl Step for ReplicaActivate {
    fn describe(&self) -> Description {
        Description {
            summary: format!("activate the replica of user pool `{}`", self.pool),
            actions: vec!["cognito-idp:ListUserPoolReplicas", "cognito-idp:UpdateUserPoolReplica"],
            // Where the health check of a custom domain has failed, people are sent to whatever is active.
            moves_traffic: true,
            ..Description::default()
        }
    }

    fn outputs(&self) -> Vec<OutputName> {
        ["pool_id", "arn", "lacks"].map(OutputName::text).into()
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let clients = World::of(cx).aws.read(cx).await?;
        Ok(match self.see(&clients).await? {
            Seen::Inactive => Check::Absent,
            Seen::Active(replica) => Check::Done(self.output(&replica)),
            Seen::Moving(_) => Check::InProgress,
            Seen::Odd(says) => Check::Unknown(says),
            Seen::Broken(failure) => Check::Impossible(failure),
        })
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let clients = World::of(&cx.read).aws.write(cx).await?;
        if let Some(replica) = self.settled(&cx.read, &clients).await? {
            return Ok(self.output(&replica));
        }
        let first = !self.is_ours(&cx.read);
        if first {
            before::write(cx, &Before { pool: self.pool.get().clone(), status: "INACTIVE".into() }).await;
        }
        match self.change(&clients, UpdateReplicaStatusType::Active).await {
            Ok(()) => before::accepted(cx, self.pool.get()).await,
            Err(error) => {
                if first && !matches!(error, StepError::Doubt(_)) {
                    before::refused(cx).await;
                }
                return Err(error);
            }
        }
        let replica = self.arrived(&cx.read, &clients, true).await?;
        let gone = || Failure::passing(format!("`{}` is seen no more in {}", self.pool, clients.region));
        Ok(self.output(&replica.ok_or_else(gone)?))
    }

    fn can_undo(&self) -> bool {
        true
    }

    async fn check_undone(&self, cx: &ReadCx) -> Result<Check, Failure> {
        if !self.is_ours(cx) {
            return Ok(Check::Done(Output::default()));
        }
        let clients = World::of(cx).aws.read(cx).await?;
        Ok(match self.see(&clients).await? {
            // A call that was answered may be seen later than it was taken.
            Seen::Inactive if cx.fact(BACK).is_none() && before::is_accepted(cx, BEFORE, self.pool.get()) => {
                Check::InProgress
            }
            Seen::Inactive => Check::Done(Output::default()),
            Seen::Active(_) => Check::Absent,
            Seen::Moving(_) => Check::InProgress,
            Seen::Odd(says) => Check::Unknown(says),
            Seen::Broken(failure) => Check::Impossible(failure),
        })
    }

    async fn undo(&self, cx: &StepCx, _: &Output) -> Result<(), StepError> {
        let clients = World::of(&cx.read).aws.write(cx).await?;
        self.change(&clients, UpdateReplicaStatusType::Inactive).await?;
        cx.record_handle(BACK, self.pool.get().as_str()).await;
        self.arrived(&cx.read, &clients, false).await?;
        Ok(())
    }
}
