//! A region that is not there: before anything was done, and after the first
//! call that changes something.

use crate::{drive::Drive, lab::Lab, sweep::Trial};
use dr_engine::{duration::Dur, executor::Exit, run::State};
use serde_json::json;

impl Trial {
    /// The region is down: nothing is sent, a person is asked, and `retry`
    /// does it all once the region is back.
    pub(crate) async fn down(&self, lab: &'static Lab, region: &str) {
        let estate = lab.estate();
        (self.before)(&estate);
        let mut drive = Drive::new(&estate, self.kind, &(self.with)(&estate));
        drive.step().check_timeout = Dur(4_000);
        estate.region(region, "down");
        let ended = drive.go(None).await;
        assert!(matches!(ended.exit, Ok(Exit::Held)), "{:?}", ended.state());
        assert_eq!(ended.life.counts().0, 0, "{} acts without having looked", self.kind);
        estate.region(region, "up");
        let ended = drive.again().await;
        assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    }

    /// The reply to the first change is lost, and from the `nth` call of
    /// `look` on there is no answer either: it is in doubt, held, and not done
    /// twice once there are answers again.
    pub(crate) async fn lost(&self, lab: &'static Lab, look: &str, nth: u32) {
        let estate = lab.estate();
        (self.before)(&estate);
        let mut drive = Drive::new(&estate, self.kind, &(self.with)(&estate));
        drive.step().check_timeout = Dur(1_500);
        estate.faults(&json!([
            { "write_nth": 1, "do": "drop_after" },
            { "operation": look, "nth": nth, "times": 1000, "do": "drop_before" },
        ]));
        let held = drive.go(None).await;
        assert!(matches!(held.exit, Ok(Exit::Held)), "{:?}", held.state());
        assert!(matches!(held.state(), State::Asking { .. }), "{:?}", held.state());
        let before = estate.changes();
        assert!(!before.is_empty(), "the lost reply was that of a change");
        estate.faults(&json!([]));
        let ended = drive.again().await;
        assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
        let right = lab.estate();
        (self.before)(&right);
        Drive::new(&right, self.kind, &(self.with)(&right)).go(None).await;
        assert_eq!(estate.changes(), right.changes(), "{}: something was done twice", self.kind);
    }
}
