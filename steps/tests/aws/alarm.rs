//! `verify.alarm`.

use crate::{
    drive::{self, Drive, by_hand},
    lab::{Estate, lab},
};
use aws_sdk_cloudwatch::types::{ComparisonOperator, StateValue, Statistic};
use dr_engine::{
    duration::Dur,
    plan::StepIx,
    run::State,
    step::{Check, Steps as _},
};
use dr_steps::aws::Clients;
use serde_json::{Value, json};

const KIND: &str = "verify.alarm";

/// Alarms of metrics, which know nothing yet.
async fn alarms(estate: &Estate, names: &[&str]) -> Clients {
    let hand = by_hand(estate).await;
    for name in names {
        let alarm = hand.cloudwatch.put_metric_alarm().alarm_name(*name).namespace("Shop").metric_name(*name);
        let alarm = alarm.period(10).evaluation_periods(1).threshold(1.0).statistic(Statistic::Sum);
        let alarm = alarm.comparison_operator(ComparisonOperator::GreaterThanThreshold);
        alarm.treat_missing_data("notBreaching").send().await.expect("made");
    }
    hand
}

async fn turn(hand: &Clients, name: &str, state: StateValue) {
    let turn = hand.cloudwatch.set_alarm_state().alarm_name(name).state_value(state).state_reason("a test");
    turn.send().await.expect("turned");
}

fn quick(alarms: &[&str], good: u32) -> Value {
    json!({ "alarms": alarms, "every": "20ms", "good_in_a_row": good })
}

#[tokio::test]
async fn quiet_alarms_are_good_when_they_were_in_a_row_that_lasts_as_long_as_an_evaluation() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let hand = alarms(&estate, &["errors", "latency"]).await;
    let shop = hand.cloudwatch.put_composite_alarm().alarm_name("shop").alarm_rule("ALARM(errors) OR ALARM(latency)");
    shop.send().await.expect("made");
    for name in ["errors", "latency"] {
        turn(&hand, name, StateValue::Ok).await;
    }
    let looks = estate.calls().len();
    let mut with = quick(&["errors", "latency", "shop"], 3);
    // The third look comes after eight seconds, and sees what the first one saw.
    with["every"] = "4s".into();
    let ended = Drive::new(&estate, KIND, &with).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let told = &ended.run.step(StepIx(0)).output.values["alarms"];
    assert_eq!((&told["shop"]["state"], &told["errors"]["missing_data"]), (&json!("OK"), &json!("notBreaching")));
    let calls = estate.calls().split_off(looks);
    assert_eq!(calls.iter().filter(|call| call["operation"] == "DescribeAlarms").count(), 4);
    assert!(calls.iter().all(|call| call["rw"] == "read"));
}

#[tokio::test]
async fn a_loud_alarm_or_one_that_knows_nothing_is_waited_for_and_breaks_the_row() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let hand = alarms(&estate, &["errors", "latency"]).await;
    turn(&hand, "errors", StateValue::Ok).await;
    let with = quick(&["errors", "latency"], 2);
    let cx = drive::looking(drive::of(&estate));
    let step = drive::plan(KIND, &with).steps.remove(0);
    let work = dr_steps::registry().step(&step, with).expect("a step");
    // As a probe of `verify` it is watched, and the row begins again with each bad look.
    assert_eq!(work.watch(&cx).await, Ok(Check::Absent), "INSUFFICIENT_DATA");
    turn(&hand, "latency", StateValue::Ok).await;
    assert_eq!(work.watch(&cx).await, Ok(Check::InProgress));
    turn(&hand, "errors", StateValue::Alarm).await;
    assert_eq!(work.watch(&cx).await, Ok(Check::Absent), "ALARM");
    turn(&hand, "errors", StateValue::Ok).await;
    assert_eq!(work.watch(&cx).await, Ok(Check::InProgress));
    assert_eq!(work.watch(&cx).await, Ok(Check::InProgress), "the same evaluation again");
    cx.clock.sleep(Dur::seconds(10)).await;
    assert!(matches!(work.watch(&cx).await, Ok(Check::Done(_))));
}

#[tokio::test]
async fn a_loud_alarm_holds_the_step_and_says_so() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let hand = alarms(&estate, &["errors", "latency"]).await;
    turn(&hand, "errors", StateValue::Alarm).await;
    let mut drive = Drive::new(&estate, KIND, &quick(&["errors", "latency"], 1));
    drive.step().timeout = Dur(300);
    drive.step().retry.attempts = 1;
    // CloudWatch that fails once is a look that was not good, and no end.
    estate.faults(&json!([{ "operation": "DescribeAlarms", "nth": 2, "do": "fail_before" }]));
    let ended = drive.go(None).await;
    assert!(!matches!(ended.state(), State::Done), "{:?}", ended.state());
    let said = drive.said.lock().expect("whole").join("\n");
    assert!(said.contains("`errors` is ALARM, `latency` is INSUFFICIENT_DATA"), "{said}");
    assert!(estate.calls().iter().filter(|call| call["operation"] == "DescribeAlarms").count() > 2);
}

#[tokio::test]
async fn an_alarm_that_is_not_there_is_a_mistake_and_not_quiet() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let hand = alarms(&estate, &["errors"]).await;
    turn(&hand, "errors", StateValue::Ok).await;
    let failure = Drive::new(&estate, KIND, &quick(&["errors", "eror"], 1)).go(None).await.failure();
    assert_eq!(failure.message, "there is no alarm `eror` in eu-central-1");
}
