//! What a store lost that took over from a writer: no RPO counts what the old
//! one took after the outage began.

use super::{report_of, script::plan};
use crate::data_loss::DATA_LOSS;
use expect_test::{Expect, expect};

fn promotion() -> String {
    format!(
        "
        stop_old fence.command fences=yes
        orders!data_loss {DATA_LOSS} needs=stop_old gates=orders
        orders rds.promote_replica needs=stop_old,orders!data_loss fence=stop_old phase=datastores"
    )
}

/// The summary of a run in which the fence went as `fence` says, and as `after` does once the
/// new writer was there, whose data is there up to `point`.
fn summed(fence: &str, point: &str, after: &str, expected: &Expect) {
    let script = format!(
        "
        01:00 opened
        01:00 joined ops-1 1
        01:00 stop_old start
        {fence}
        10:00 orders!data_loss start
        10:00 orders!data_loss asks approval roles=ic: Go on?
        11:00 orders!data_loss approve Ana
        11:00 orders start
        13:00 orders done point={point}
        {after}"
    );
    let report = report_of(&plan("- 5m -", &promotion()), &script, "14:00");
    let summary = report.summary();
    let rows = report.store_rows().into_iter().map(|row| row.join(" | "));
    let lines: Vec<_> = summary[1..3].iter().cloned().chain(rows).collect();
    expected.assert_eq(&lines.join("\n"));
    let json = report.to_json();
    let store = &json["rpo"][0];
    assert_eq!(store["acknowledged_by"], serde_json::json!(["Ana"]));
    assert_eq!(store["until_fenced_ms"].is_null(), store["until_fenced_why"].is_string(), "{store}");
}

#[test]
fn what_the_old_writer_took_until_its_fence_is_told_beside_the_rpo() {
    let stood = "09:30 stop_old done";
    summed(
        stood,
        "-2m",
        "",
        &expect![[r#"
        RPO met: at worst 2m lost (`orders`), of 5m allowed.
        `orders`: also lost what its old writer took after the outage began, until its fence stood: up to 9m30s; the loss was taken on by Ana.
        orders | 2m; after the outage began up to 9m30s | 5m | met | 2026-11-22T05:58:00Z | LatestRestorableTime"#]],
    );
    summed(
        stood,
        "03:00",
        "",
        &expect![[r#"
        RPO met: at worst 0s lost (`orders`), of 5m allowed.
        `orders`: also lost what its old writer took after the outage began, until its fence stood: up to 6m30s; the loss was taken on by Ana.
        orders | 0s (a later point); after the outage began up to 6m30s | 5m | met | 2026-11-22T06:03:00Z | LatestRestorableTime"#]],
    );
    summed(
        stood,
        "09:30",
        "",
        &expect![[r#"
        RPO met: at worst 0s lost (`orders`), of 5m allowed.
        `orders`: the loss was taken on by Ana.
        orders | 0s (a later point) | 5m | met | 2026-11-22T06:09:30Z | LatestRestorableTime"#]],
    );
    let owed = "
        01:10 stop_old failed: no answer from eu-west-1
        01:10 stop_old asks count=2: failed
        02:00 stop_old impossible Ana
        02:10 stop_old impossible Cy";
    summed(
        owed,
        "03:00",
        "",
        &expect![[r#"
            RPO met: at worst 0s lost (`orders`), of 5m allowed.
            `orders`: TWO MAY WRITE since 2026-11-22T06:13:00Z, and the old writer is not fenced; also lost what its old writer took after the outage began; up to when is unknown: its old writer was not proven to be fenced; the loss was taken on by Ana.
            orders | 0s (a later point); after the outage began unknown | 5m | met | 2026-11-22T06:03:00Z | LatestRestorableTime"#]],
    );
    let late = "
        13:20 stop_old start
        13:45 stop_old done";
    summed(
        owed,
        "03:00",
        late,
        &expect![[r#"
        RPO met: at worst 0s lost (`orders`), of 5m allowed.
        `orders`: TWO COULD WRITE for 45s or more, until its fence stood; also lost what its old writer took after the outage began, until its fence stood: up to 10m45s; the loss was taken on by Ana.
        orders | 0s (a later point); after the outage began up to 10m45s | 5m | met | 2026-11-22T06:03:00Z | LatestRestorableTime"#]],
    );
}
