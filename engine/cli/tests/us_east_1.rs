//! us-east-1 is lost, and with it the control planes of Route 53, `CloudFront` and
//! IAM: users go elsewhere by data planes alone, which the call log shows.

mod support;

use serde_json::json;
use support::{lab::lab, scene::Scene, until};

#[test]
fn users_go_elsewhere_though_no_control_plane_of_us_east_1_answers() {
    let Some(lab) = lab() else { return };
    let seed = json!({ "primary": "us-east-1", "wanted": ["app_url"] });
    let scene = Scene::new(lab, seed.as_object().cloned().unwrap_or_default());
    let estate = &scene.estate;
    let account = estate.account.to_string();
    lab.region(&json!({ "region": "us-east-1", "state": "down", "global": true, "account": account }))
        .expect("it falls");
    let mut controller = scene.execute("us_east_1_lost.yaml", &["--param", "hold=2s"]);
    scene.asked(&mut controller, "users_to_recovery!approve");
    assert_eq!(estate.changes(), Vec::<String>::new());
    scene.answer("users_to_recovery!approve", &["approve", "--as", "Esra Yilmaz"]);
    until("an end", || controller.over());
    controller.end().ends(0).says(&["RECOVERED"]);
    let mut changes = estate.changes();
    assert_eq!(changes.remove(0), "UpdateRoutingControlStates");
    changes.sort();
    assert_eq!(changes, ["PutKey", "PutObject"]);
    // Of what lies there, one endpoint of five was tried; none that has no other place.
    let calls = estate.calls();
    let there: Vec<_> = calls.iter().filter(|call| call["region"] == "us-east-1").collect();
    assert!(there.iter().all(|call| call["service"] == "route53-recovery-cluster"), "{there:?}");
    for gone in ["route53", "cloudfront", "iam"] {
        assert!(calls.iter().all(|call| call["service"] != gone), "{gone} was asked");
    }
    let store = scene.store();
    assert_eq!(store["verdict"], "met", "{store}");
}
