//! SMS through SNS, against the lab: who gets one, how often, and what is said of who does not.

use crate::{
    drive::{config, nobody},
    lab::{Estate, lab},
};
use aws_config::SdkConfig;
use dr_comms::{
    channel::{Channel, Memory, Trouble},
    parcel::{Body, Meet, Notice, Parcel},
    sms::{Recipients, Sms},
};
use dr_engine::{
    clock::{SystemClock, Time},
    comms::{Comms, To},
    event::{Audience, RunKind},
    plan::Plan,
};
use dr_steps::{aws::Aws, sms::Sns, world::Accounts};
use serde_json::{Value, json};
use std::sync::Arc;

const ANA: &str = "+4930901820";
const BO: &str = "+14155550100";
const CY: &str = "+14155550101";

fn sms_of(config: SdkConfig, account: &str, to: &[&str]) -> Sms {
    let accounts =
        Accounts { default: None, ids: [("production".to_owned(), account.to_owned())].into(), ..Accounts::default() };
    let clock = Arc::new(SystemClock::new());
    let sender = Some("DRLAB".parse().expect("a sender"));
    let sns = Sns::new(Aws::given(config), "eu-central-1".into(), accounts, sender, clock.clone());
    let to = To { to: to.iter().map(ToString::to_string).collect() };
    let comms = Comms { sms: Some(to), ..Comms::default() };
    let plan = Plan { comms: Some(comms), ..crate::drive::plan("manual", &json!({})) };
    Sms::new(Arc::new(sns), Recipients::of(&plan), false, clock)
}

fn sms(estate: &Estate, to: &[&str]) -> Sms {
    sms_of(config(&estate.lab.endpoint, &format!("LAB{}", estate.account)), &estate.account, to)
}

async fn tell(sms: &Sms, memory: &mut Memory) -> Result<String, Trouble> {
    let meet = Meet {
        bridge: Some("https://meet.example.com/dr".into()),
        commander: Some("Ana, +49 30 901820".into()),
        last: None,
    };
    let notice =
        Notice { subject: "slack cannot be reached since 14:20 UTC".into(), lines: Vec::new(), urgent: true, meet };
    let parcel = Parcel {
        id: "notice-1".into(),
        run: "r".into(),
        runbook: "evacuate".into(),
        kind: RunKind::Lab,
        made_at: Time(0),
        opened_at: None,
        trial: false,
        audience: Audience::Responders,
        role: None,
        person: None,
        not_by: Vec::new(),
        body: Body::Notice(notice),
        picture: None,
    };
    let told = sms.deliver(&[parcel], false, memory).await;
    let said = format!("{told:?}");
    for number in [ANA, BO, CY] {
        assert!(!said.contains(&number[1..]), "a number is shown whole: {said}");
    }
    told
}

/// Whom it was taken for, and whether it was delivered.
fn taken(estate: &Estate) -> Vec<(String, bool)> {
    let state = estate.state();
    let one = |it: &Value| (it["to"].as_str().unwrap_or("?").to_owned(), it["delivered"] == true);
    state["sns"].as_array().expect("a list").iter().map(one).collect()
}

fn publish(what: &str) -> Value {
    json!([{ "service": "sns", "operation": "Publish", "nth": 1, "do": what }])
}

#[tokio::test]
async fn an_sms_goes_from_the_region_that_recovers_at_once_and_under_the_senders_name() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    // The lost region is asked nothing.
    estate.region("eu-west-1", "down");
    let mut memory = Memory::new();
    let told = tell(&sms(&estate, &[ANA, BO]), &mut memory).await.expect("both have it");
    assert!(told.starts_with("taken for 2 of 2 (+1…0100 ") && told.contains(", +4…1820 "), "{told}");
    let text = "LAB evacuate: slack cannot be reached since 14:20 UTC\nMeet: https://meet.example.com/dr\nIC: Ana, +49 30 901820";
    let one = |to: &str| json!({ "region": "eu-central-1", "to": to, "text": text, "type": "Transactional", "sender": "DRLAB", "delivered": true });
    assert_eq!(estate.state()["sns"], json!([one(BO), one(ANA)]));
    // What was told is not told again.
    tell(&sms(&estate, &[ANA, BO]), &mut memory).await.expect("both have it");
    assert_eq!(estate.changes(), ["Publish", "Publish"]);
}

#[tokio::test]
async fn who_would_get_nothing_is_named_and_never_counted() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    // SNS would say that it took it.
    estate.sms(&json!({ "opted_out": [BO] }));
    let told = tell(&sms(&estate, &[ANA, BO, CY]), &mut Memory::new()).await.expect("two have it");
    assert!(told.starts_with("taken for 2 of 3") && told.contains("not for +1…0100 (opted out"), "{told}");
    assert_eq!(taken(&estate), [(CY.into(), true), (ANA.into(), true)]);

    let estate = lab.estate();
    estate.sms(&json!({ "sandbox": true, "verified": [ANA] }));
    let told = tell(&sms(&estate, &[ANA, BO]), &mut Memory::new()).await.expect("one has it");
    assert!(told.starts_with("taken for 1 of 2") && told.contains("not for +1…0100 (not verified"), "{told}");
    assert_eq!(taken(&estate), [(ANA.into(), true)]);
}

#[tokio::test]
async fn whether_it_was_sent_follows_from_how_sns_fails() {
    let Some(lab) = lab() else { return };
    for (what, ambiguous, refused, arrived, says) in [
        ("throttle", false, false, 0, "ThrottlingException"),
        ("access_denied", false, true, 0, "the caller needs the permission `sns:Publish`"),
        ("expired_token", false, false, 0, "the credentials have expired"),
        ("fail_after", true, false, 1, "InternalFailure"),
        ("drop_before", true, false, 0, "no answer that can be read"),
        ("drop_after", true, false, 1, "no answer that can be read"),
        ("garbage", true, false, 1, "no answer that can be read"),
        ("hang_after", true, false, 1, "no answer from sns Publish within 5s"),
    ] {
        let estate = lab.estate();
        estate.faults(&publish(what));
        let (sms, mut memory) = (sms(&estate, &[ANA]), Memory::new());
        let trouble = tell(&sms, &mut memory).await.expect_err(what);
        assert_eq!((trouble.ambiguous, trouble.refused), (ambiguous, refused), "{what}: {trouble}");
        assert!(trouble.what.contains(says), "{what}: {trouble}");
        assert_eq!(taken(&estate).len(), arrived, "{what}");
        // The next attempt arrives: once or twice, never not at all.
        tell(&sms, &mut memory).await.unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(taken(&estate).len(), arrived + 1, "{what}");
    }
}

#[tokio::test]
async fn one_that_fails_holds_up_no_other() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    estate.faults(&publish("hang_before"));
    let (sms, mut memory) = (sms(&estate, &[ANA, BO, CY]), Memory::new());
    let trouble = tell(&sms, &mut memory).await.expect_err("one is open");
    assert!(trouble.ambiguous && trouble.what.starts_with("taken for 2 of 3"), "{trouble}");
    assert_eq!(taken(&estate).len(), 2);
    tell(&sms, &mut memory).await.expect("all have it");
    let mut to: Vec<_> = taken(&estate).into_iter().map(|(to, _)| to).collect();
    to.sort();
    assert_eq!(to, [BO, CY, ANA], "each once");
}

#[tokio::test]
async fn where_sns_cannot_be_asked_about_a_number_it_is_sent_all_the_same() {
    let Some(lab) = lab() else { return };
    for what in ["access_denied", "throttle", "hang_before"] {
        let estate = lab.estate();
        let fails = |operation: &str| json!({ "operation": operation, "every": true, "do": what });
        estate.faults(&json!([fails("CheckIfPhoneNumberIsOptedOut"), fails("GetSMSSandboxAccountStatus")]));
        tell(&sms(&estate, &[ANA]), &mut Memory::new()).await.unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(taken(&estate), [(ANA.into(), true)], "{what}");
    }
}

#[tokio::test]
async fn nobody_sends_from_another_account_or_without_credentials() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let here = config(&estate.lab.endpoint, &format!("LAB{}", estate.account));
    let trouble = tell(&sms_of(here, "111122223333", &[ANA]), &mut Memory::new()).await.expect_err("another account");
    assert!(trouble.refused && trouble.what.contains("`production` is account 111122223333"), "{trouble}");
    let keyless = nobody(&estate.lab.endpoint);
    let trouble = tell(&sms_of(keyless, &estate.account, &[ANA]), &mut Memory::new()).await.expect_err("no keys");
    assert!(trouble.what.contains("no AWS credentials"), "{trouble}");
    assert_eq!(estate.writes(), []);
}

#[tokio::test]
async fn what_can_be_known_is_known_without_sending() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let found = sms(&estate, &[ANA, BO]).check().await.expect("all is well");
    let rest = "at most 1 USD a month; whether sns:Publish is allowed shows when one is sent";
    assert_eq!(found, format!("SNS in eu-central-1, 2 numbers, {rest}"));

    estate.sms(&json!({ "sandbox": true, "verified": [ANA], "opted_out": [ANA], "spend_limit": 50 }));
    let trouble = sms(&estate, &[ANA, BO]).check().await.expect_err("neither gets anything");
    assert_eq!(
        trouble.what,
        "SNS in eu-central-1, 2 numbers, at most 50 USD a month, IN THE SMS SANDBOX: only verified numbers get anything; \
         not verified: +1…0100; opted out, and get nothing: +4…1820"
    );
    for operation in
        ["GetSMSSandboxAccountStatus", "ListSMSSandboxPhoneNumbers", "GetSMSAttributes", "CheckIfPhoneNumberIsOptedOut"]
    {
        estate.faults(&json!([{ "operation": operation, "every": true, "do": "access_denied" }]));
        let trouble = sms(&estate, &[ANA]).check().await.expect_err(operation);
        let wanted = format!("the caller needs the permission `sns:{operation}`");
        assert!(trouble.refused && trouble.what.contains(&wanted), "{trouble}");
    }
    estate.region("eu-central-1", "down");
    let trouble = sms(&estate, &[ANA]).check().await.expect_err("nobody there");
    assert!(!trouble.refused, "{trouble}");
    assert_eq!(estate.writes(), []);
}
