//! Accounts whose role is assumed: by whom, how often, and what becomes of credentials that end.

use crate::{
    drive::{self, Drive},
    lab::{Estate, Lab, lab},
    rds::TRIAL,
};
use async_trait::async_trait;
use dr_engine::{
    clock::{Clock, SystemClock, Time},
    crash::{Edge, Place},
    outcome::Failure,
    run::State,
    step::Guard,
};
use dr_steps::{
    aws::{Aws, pace::Pace},
    secret::Source,
    world::{Accounts, Role},
};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

/// What the role asks to be shown.
const EXTERNAL_ID: &str = "canary-external-4711";
const RUN: &str = "20261123-061532-evacuate-3fa9";

/// A machine's clock that can be put forward.
struct Ahead(SystemClock, AtomicI64);

impl Ahead {
    fn seconds(&self, more: i64) {
        self.1.fetch_add(more * 1000, Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for Ahead {
    fn now(&self) -> Time {
        Time(self.0.now().0 + self.1.load(Ordering::SeqCst))
    }

    async fn sleep_until(&self, until: Time) {
        self.0.sleep_until(Time(until.0 - self.1.load(Ordering::SeqCst))).await;
    }
}

struct Anybody;

impl Guard for Anybody {
    fn before(&self) -> Result<(), Failure> {
        Ok(())
    }

    fn after(&self) {}
}

/// An account whose credentials one has, and one whose role trusts it.
struct Two {
    tools: Estate,
    prod: Estate,
    folder: tempfile::TempDir,
    clock: Arc<Ahead>,
}

impl Two {
    fn new(lab: &'static Lab) -> Self {
        let tools = lab.estate();
        let role = json!({ "name": "dr", "trusts": [tools.account], "external_id": EXTERNAL_ID, "session": "2026*" });
        let prod = lab.estate_with(json!({ "roles": [role] }));
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("external-id"), format!("{EXTERNAL_ID}\n")).expect("a file");
        let clock = Arc::new(Ahead(SystemClock::new(), AtomicI64::new(0)));
        Self { tools, prod, folder, clock }
    }

    fn accounts(&self) -> Accounts {
        let role =
            Role { arn: self.prod.param("role_dr").into(), external_id: Some(Source::File("external-id".into())) };
        Accounts {
            default: Some("prod".into()),
            first: Some("prod".into()),
            ids: [("prod".to_owned(), self.prod.account.clone())].into(),
            roles: [("prod".to_owned(), role)].into(),
            folder: self.folder.path().into(),
        }
    }

    fn aws(&self) -> Aws {
        Aws::given(drive::of(&self.tools)).paced(Pace::per_second([])).homed(Some("eu-central-1")).for_run(RUN)
    }

    /// Looks at the databases there, and how many there are.
    async fn look(&self, aws: &Aws, accounts: &Accounts) -> Result<usize, Failure> {
        let clock: Arc<dyn Clock> = self.clock.clone();
        let clients = Box::pin(aws.acting("eu-west-1", &clock, accounts, Arc::new(Anybody))).await?;
        let seen = Box::pin(clients.rds.describe_db_instances().send()).await;
        seen.map(|seen| seen.db_instances().len()).map_err(|e| clients.call("rds", "DescribeDBInstances").read(&e))
    }

    fn assumed(&self) -> Vec<Value> {
        self.tools.calls().into_iter().filter(|call| call["operation"] == "AssumeRole").collect()
    }
}

#[tokio::test]
async fn a_role_is_assumed_once_for_all_that_wait_from_the_region_that_recovers() {
    let Some(lab) = lab() else { return };
    let two = Two::new(lab);
    let (aws, accounts) = (two.aws(), two.accounts());
    let seen = join_all((0..20).map(|_| two.look(&aws, &accounts))).await;
    assert!(seen.iter().all(|seen| *seen == Ok(2)), "{seen:?}");
    let assumed = two.assumed();
    let asked: Vec<_> = assumed.iter().map(|call| (&call["region"], &call["request"])).collect();
    let request = json!({
        "RoleArn": two.prod.param("role_dr"), "RoleSessionName": RUN, "DurationSeconds": 3600, "ExternalId": EXTERNAL_ID,
    });
    assert_eq!(asked, [(&json!("eu-central-1"), &request)]);
    // All the work is done in the account of the role.
    assert_eq!(two.tools.calls().len(), 1);
}

#[tokio::test]
async fn credentials_are_exchanged_before_they_end_and_good_ones_outlive_a_silent_sts() {
    let Some(lab) = lab() else { return };
    let two = Two::new(lab);
    let (aws, accounts) = (two.aws(), two.accounts());
    // The lab's clock stands still beside this one: whatever it gives ends an hour after the beginning.
    let look = async |seconds, tries| {
        two.clock.seconds(seconds);
        let seen = two.look(&aws, &accounts).await;
        assert_eq!(two.assumed().len(), tries, "{seconds} s later: {seen:?}");
        seen
    };
    assert_eq!(look(0, 1).await, Ok(2));
    assert_eq!(look(49 * 60, 1).await, Ok(2));
    // Five sixths of the hour are over; of the nine minutes that are left, not yet.
    assert_eq!(look(2 * 60, 2).await, Ok(2));
    two.tools.region("eu-central-1", "down");
    assert_eq!(look(6 * 60, 2).await, Ok(2));
    // One try, and no other for half a minute: what is held is still good.
    assert_eq!(look(2 * 60, 3).await, Ok(2));
    assert_eq!(look(0, 3).await, Ok(2));
    assert_eq!(look(20, 3).await, Ok(2));
    assert_eq!(look(20, 4).await, Ok(2));
    // The hour is over.
    let failure = look(60, 5).await.expect_err("they have ended");
    assert!(failure.transient, "{failure:?}");
    let role = two.prod.param("role_dr");
    let says = format!(
        "account `prod` ({}): its role {role} was not assumed: sts AssumeRole in eu-central-1",
        two.prod.account
    );
    assert!(failure.message.contains(&says), "{failure:?}");
    two.tools.region("eu-central-1", "up");
    assert_eq!(look(1, 6).await, Ok(2));
}

#[tokio::test]
async fn a_token_that_a_service_calls_expired_is_exchanged_and_never_used_again() {
    let Some(lab) = lab() else { return };
    let two = Two::new(lab);
    let (aws, accounts) = (two.aws(), two.accounts());
    assert_eq!(two.look(&aws, &accounts).await, Ok(2));
    two.clock.seconds(60);
    two.prod.expire();
    let failure = two.look(&aws, &accounts).await.expect_err("it has expired");
    assert!(failure.transient, "{failure:?}");
    let says = "rds DescribeDBInstances in eu-west-1 of account `prod` was refused: the credentials have expired";
    assert_eq!(failure.message, says);
    assert!(
        failure.hint.as_deref().is_some_and(|hint| hint.ends_with("is assumed anew with the next try")),
        "{failure:?}"
    );
    assert_eq!(two.look(&aws, &accounts).await, Ok(2));
    assert_eq!(two.assumed().len(), 2);
}

/// What keeps a role from being assumed, and how that is told.
struct Trouble {
    name: &'static str,
    faults: Value,
    change: fn(&mut Role),
    passing: bool,
    says: &'static [&'static str],
    hint: &'static str,
}

#[tokio::test]
async fn a_role_that_cannot_be_assumed_names_its_account_and_the_way_out() {
    let Some(lab) = lab() else { return };
    let two = Two::new(lab);
    std::fs::write(two.folder.path().join("another"), "canary-another").expect("a file");
    let fault = |code: &str, status| {
        json!([{ "operation": "AssumeRole", "every": true, "do": "fail_before", "code": code, "status": status,
                 "message": format!("not with {EXTERNAL_ID}") }])
    };
    for trouble in [
        Trouble {
            name: "another external id",
            faults: json!([]),
            change: |role| role.external_id = Some(Source::File("another".into())),
            passing: false,
            says: &["AccessDenied: User: arn:aws:iam::", "is not authorized to perform: sts:AssumeRole on resource"],
            hint: "has to name the caller and take the external id in `file:another`",
        },
        Trouble {
            name: "no external id",
            faults: json!([]),
            change: |role| role.external_id = None,
            passing: false,
            says: &["AccessDenied: User: arn:aws:iam::"],
            hint: "`external_id` has to name it",
        },
        Trouble {
            name: "an external id that is not there",
            faults: json!([]),
            change: |role| role.external_id = Some(Source::Env("DR_TEST_NOT_SET".into())),
            passing: false,
            says: &["was not assumed: the secret `env:DR_TEST_NOT_SET` is not set"],
            hint: "",
        },
        Trouble {
            name: "STS is throttled",
            faults: json!([{ "operation": "AssumeRole", "every": true, "do": "throttle" }]),
            change: |_| (),
            passing: true,
            says: &["Throttling: Rate exceeded"],
            hint: "",
        },
        Trouble {
            name: "an answer that was lost",
            faults: json!([{ "operation": "AssumeRole", "every": true, "do": "drop_after" }]),
            change: |_| (),
            passing: true,
            says: &["sts AssumeRole in eu-central-1 got no answer that can be read"],
            hint: "is sts in eu-central-1 impaired?",
        },
        Trouble {
            name: "whoever assumes it has to sign in",
            faults: fault("ExpiredToken", 403),
            change: |_| (),
            passing: false,
            says: &["sts AssumeRole in eu-central-1 was refused: the credentials have expired"],
            hint: "sign in again (`aws sso login`) and answer `retry`",
        },
        Trouble {
            name: "a region whose STS is not switched on",
            faults: fault("RegionDisabledException", 403),
            change: |_| (),
            passing: false,
            says: &["RegionDisabledException: not with [secret]"],
            hint: "",
        },
    ] {
        let mut accounts = two.accounts();
        accounts.roles.values_mut().for_each(trouble.change);
        two.tools.faults(&trouble.faults);
        let before = two.prod.calls().len();
        let failure = two.look(&two.aws(), &accounts).await.expect_err(trouble.name);
        let name = trouble.name;
        assert_eq!(failure.transient, trouble.passing, "{name}: {failure:?}");
        let account = format!("account `prod` ({}): its role {}", two.prod.account, two.prod.param("role_dr"));
        for says in trouble.says.iter().copied().chain([account.as_str()]) {
            assert!(failure.message.contains(says), "{name}: {failure:?}");
        }
        assert!(failure.hint.as_deref().unwrap_or_default().contains(trouble.hint), "{name}: {failure:?}");
        assert!(!format!("{failure:?}").contains("canary"), "{name}: {failure:?}");
        assert_eq!(two.prod.calls().len(), before, "{name}");
    }
}

#[tokio::test]
async fn one_accounts_trouble_is_not_anothers() {
    let Some(lab) = lab() else { return };
    let two = Two::new(lab);
    let aws = two.aws();
    let mut accounts = two.accounts();
    let gone = Role { arn: format!("arn:aws:iam::{}:role/gone", two.tools.account), external_id: None };
    accounts.ids.insert("network".into(), two.tools.account.clone());
    accounts.roles.insert("network".into(), gone);
    let of_network = Accounts { first: Some("network".into()), ..accounts.clone() };
    let (good, bad) = futures_util::future::join(two.look(&aws, &accounts), two.look(&aws, &of_network)).await;
    assert_eq!(good, Ok(2));
    let failure = bad.expect_err("there is no such role");
    assert!(failure.message.contains("account `network` (") && !failure.message.contains("`prod`"), "{failure:?}");
}

#[tokio::test]
async fn a_restore_outlives_its_credentials_and_every_controller() {
    let Some(lab) = lab() else { return };
    let two = Two::new(lab);
    let plain = {
        let one = lab.estate();
        let mut drive = Drive::new(&one, TRIAL.kind, &(TRIAL.with)(&one));
        assert!(matches!(drive.go(None).await.state(), State::Done));
        (one.changes(), one.dump())
    };
    let mut drive = Drive::new(&two.prod, TRIAL.kind, &(TRIAL.with)(&two.prod));
    drive.config = drive::of(&two.tools);
    drive.accounts = Some(two.accounts());
    // Killed before the call, after it, and once more while it waits; each time the sessions are over.
    for point in [(Place::Call, 1, Edge::Before), (Place::Call, 1, Edge::After), (Place::Commit, 2, Edge::After)] {
        drive.go(Some(point)).await;
        two.prod.expire();
    }
    let ended = drive.go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    assert_eq!((two.prod.changes(), two.prod.dump()), plain);
    let kept = format!("{:?}", drive.events);
    for secret in [EXTERNAL_ID, "lab-session-", &format!("LAB{}R", two.prod.account)] {
        assert!(!kept.contains(secret), "{secret}");
    }
}
