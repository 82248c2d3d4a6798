//! The sweep: whatever happens at whichever call, the end is the same.

use crate::{
    drive::{Drive, Ended, Point},
    lab::{Estate, Lab},
};
use dr_engine::{
    crash::{Edge, Place},
    executor::Exit,
    run::State,
};
use serde_json::{Value, json};

/// What a kind is tried with: its name, and its inputs for an account.
pub(crate) struct Trial {
    pub(crate) kind: &'static str,
    pub(crate) with: fn(&Estate) -> Value,
    /// What stands before.
    pub(crate) before: fn(&Estate),
}

/// What an undisturbed run left.
struct Right {
    dump: String,
    changes: Vec<String>,
    outputs: Vec<String>,
    calls: u64,
    commits: u64,
}

impl Trial {
    /// Kills at every call and commit, on both sides, and resumes; lets every
    /// mutating call go wrong in every way. Gives the number of points.
    pub(crate) async fn sweep(&self, lab: &'static Lab) -> usize {
        let right = self.undisturbed(lab, false).await;
        let kills = self.kill_everywhere(lab, &right, false).await;
        let faults = self.every_fault(lab, &right, false).await;
        println!(
            "{}: {} kills and {} faults over {} calls, {} commits",
            self.kind, kills, faults, right.calls, right.commits
        );
        kills + faults
    }

    /// The same for taking it back.
    pub(crate) async fn sweep_undo(&self, lab: &'static Lab) -> usize {
        let right = self.undisturbed(lab, true).await;
        let untouched = lab.estate();
        (self.before)(&untouched);
        assert_same(&right.dump, &untouched.dump(), "undo leaves what was there before");
        let kills = self.kill_everywhere(lab, &right, true).await;
        let faults = self.every_fault(lab, &right, true).await;
        println!(
            "undo of {}: {} kills and {} faults over {} calls, {} commits",
            self.kind, kills, faults, right.calls, right.commits
        );
        kills + faults
    }

    fn estate(&self, lab: &'static Lab) -> Estate {
        let estate = lab.estate();
        (self.before)(&estate);
        estate
    }

    async fn ready(&self, estate: &Estate, undo: bool) -> Drive {
        let mut drive = Drive::new(estate, self.kind, &(self.with)(estate));
        if undo {
            let ended = drive.go(None).await;
            assert!(matches!(ended.state(), State::Done), "{}: {:?}", self.kind, ended.state());
        }
        drive
    }

    async fn leg(drive: &mut Drive, undo: bool, end: Option<Point>) -> Ended {
        if undo { drive.undo(end).await } else { drive.go(end).await }
    }

    async fn undisturbed(&self, lab: &'static Lab, undo: bool) -> Right {
        let estate = self.estate(lab);
        let mut drive = self.ready(&estate, undo).await;
        let ended = Self::leg(&mut drive, undo, None).await;
        assert_ended(&ended, undo, "undisturbed");
        let (calls, commits) = ended.life.counts();
        assert!(calls > 0, "{} changes nothing", self.kind);
        Right { dump: estate.dump(), changes: estate.changes(), outputs: outputs(&ended), calls, commits }
    }

    async fn kill_everywhere(&self, lab: &'static Lab, right: &Right, undo: bool) -> usize {
        let mut points = Vec::new();
        for edge in [Edge::Before, Edge::After] {
            points.extend((1..=right.calls).map(|n| (Place::Call, n, edge)));
            points.extend((1..=right.commits).map(|n| (Place::Commit, n, edge)));
        }
        for point in &points {
            let estate = self.estate(lab);
            let mut drive = self.ready(&estate, undo).await;
            let killed = Self::leg(&mut drive, undo, Some(*point)).await;
            assert!(killed.life.is_over(), "{point:?} is not reached");
            let ended = Self::leg(&mut drive, undo, None).await;
            self.assert_right(&estate, &ended, right, undo, &format!("killed at {point:?}"));
        }
        points.len()
    }

    async fn every_fault(&self, lab: &'static Lab, right: &Right, undo: bool) -> usize {
        let faults = ["fail_after", "drop_after", "garbage", "fail_before", "drop_before", "throttle", "expired_token"];
        for fault in faults {
            for nth in 1..=right.calls {
                let estate = self.estate(lab);
                let mut drive = self.ready(&estate, undo).await;
                estate.faults(&json!([{ "write_nth": nth, "do": fault }]));
                let mut ended = Self::leg(&mut drive, undo, None).await;
                // An undo that failed is stuck and asks; a person says `retry`.
                if undo && matches!(ended.exit, Ok(Exit::Held)) {
                    ended = drive.again().await;
                }
                self.assert_right(&estate, &ended, right, undo, &format!("{fault} at write {nth}"));
            }
        }
        faults.len() * usize::try_from(right.calls).expect("few")
    }

    fn assert_right(&self, estate: &Estate, ended: &Ended, right: &Right, undo: bool, what: &str) {
        let what = format!("{} {what}", self.kind);
        assert_ended(ended, undo, &what);
        assert_same(&estate.dump(), &right.dump, &what);
        assert_eq!(estate.changes(), right.changes, "{what}: something was done twice, or not at all");
        assert_eq!(outputs(ended), right.outputs, "{what}");
    }
}

fn outputs(ended: &Ended) -> Vec<String> {
    let output = &ended.run.step(dr_engine::plan::StepIx(0)).output;
    let mut names: Vec<_> =
        output.values.iter().filter(|(name, _)| *name != "change_id").map(|(name, _)| name.clone()).collect();
    names.extend(output.recovery_point.as_ref().map(|point| point.source.clone()));
    names.sort();
    names
}

fn assert_ended(ended: &Ended, undo: bool, what: &str) {
    let right = if undo { matches!(ended.state(), State::Undone) } else { matches!(ended.state(), State::Done) };
    assert!(right, "{what}: {:?}, {:?}", ended.state(), ended.exit.as_ref().map_err(ToString::to_string));
}

/// Two dumps are equal, or the lines are shown that stand in one of them only.
pub(crate) fn assert_same(is: &str, right: &str, what: &str) {
    if is == right {
        return;
    }
    let only = |of: &str, not: &str, sign: &str| {
        let mut rest: Vec<_> = not.lines().collect();
        let mut lines = Vec::new();
        for line in of.lines() {
            match rest.iter().position(|other| *other == line) {
                Some(at) => drop(rest.swap_remove(at)),
                None => lines.push(format!("{sign} {line}")),
            }
        }
        lines
    };
    let lines = [only(right, is, "-"), only(is, right, "+")].concat();
    panic!("{what}: the world is not the same\n{}", lines.join("\n"));
}
