//! Going on with a run of 100,000 events.

use crate::{
    graph::Graph,
    measure::{Blocks, beside, goal, number, timed, within},
    ours,
};
use dr_engine::{
    clock::Time,
    crash::CrashAt,
    event::{Event, Kind},
    journal::{
        Error, Hash, Journal, body, hash,
        sqlite::{self, Sqlite},
    },
    outcome::{Fact, Failure, Output},
    plan::StepIx,
    run::Run,
};
use rusqlite::{Connection, OpenFlags};
use std::{fs, path::Path, sync::Arc};

const STEPS: u32 = 1_000;
/// Three events each, and one more a step: a hundred.
const ATTEMPTS: u32 = 33;
const EVENTS: u64 = 100_002;
const ROUNDS: usize = 15;
const RUN: &str = "20260101-000000-bench-0000";

/// Prints its lines.
pub fn bench() {
    let folder = ours::folder("resume");
    let kept = folder.join("kept");
    let payload = write(&kept);
    let size: u64 = fs::read_dir(&kept)
        .expect("the run's folder")
        .filter_map(|entry| entry.ok()?.metadata().ok())
        .filter(fs::Metadata::is_file)
        .map(|file| file.len())
        .sum();
    let (mut bare_times, mut here) = (Blocks::default(), Blocks::default());
    let (mut statuses, mut resumes) = (Blocks::default(), Blocks::default());
    for round in 0..ROUNDS {
        // A copy: each resume ends the run.
        let state = format!("state-{round}");
        let run = folder.join(&state).join("runs").join(RUN);
        copy(&kept, &run);
        bare_times.push(timed(|| bare(&run)).1);
        here.push(timed(|| read_and_fold(&run)).1);
        for (times, args) in [(&mut statuses, &["status", RUN][..]), (&mut resumes, &["resume", RUN, "--moved"])] {
            let mut dr = ours::dr(&folder, &state, args);
            let (status, time) = timed(|| dr.status().expect("the binary is there"));
            assert!(status.success(), "dr {args:?} succeeds: {status}");
            times.push(time);
        }
    }
    within("dr resume of 100,000 events, start to exit", &resumes, 0.200);
    beside("  beside bare read + hash + parse", &resumes, "bare", &bare_times, None);
    within("dr status of 100,000 events, start to exit", &statuses, 0.200);
    beside("open + verify + fold in this process", &here, "bare", &bare_times, None);
    let each = (size - payload) as f64 / EVENTS as f64;
    let met = goal(each <= 200.0, "at most 200");
    let payload = format!("payload {} bytes", payload / EVENTS);
    number("bytes an event beside its payload", &format!("{each:.0}"), &payload, "", Some(met));
}

/// Writes a run of a thousand steps that were each tried 33 times; one more
/// has not begun. Gives the bytes of all events, the plan among them.
fn write(folder: &Path) -> u64 {
    let mut journal = Sqlite::create(folder, "bench", Arc::new(CrashAt::default())).expect("a journal");
    let begin = Time(1_767_225_600_000);
    let first = ours::opened(ours::planned(&Graph::Chain(STEPS as usize + 1).runbook()), begin);
    let mut kinds = vec![ours::joined()];
    for step in (0..STEPS).map(StepIx) {
        let fact = |name: &str| {
            let arn = format!("arn:aws:rds:eu-central-1:123456789012:db:orders-{}-recovered", step.0);
            Fact { name: name.into(), value: arn.into(), handle: true }
        };
        for attempt in 1..=ATTEMPTS {
            kinds.push(Kind::Started { step, attempt });
            if attempt == 1 {
                kinds.push(Kind::Recorded { step, attempt, fact: fact("snapshot") });
            }
            kinds.push(Kind::Recorded { step, attempt, fact: fact("instance") });
            kinds.push(if attempt == ATTEMPTS {
                Kind::Succeeded { step, attempt, output: Output::default(), found: false }
            } else {
                let error = Failure::passing("exit code 75: the snapshot is being copied");
                Kind::AttemptFailed { step, attempt, error, retry_at: begin }
            });
        }
    }
    let rest = kinds.into_iter().zip(2..).map(|(kind, seq)| Event { seq, at: begin, kind });
    let events: Vec<_> = std::iter::once(first).chain(rest).collect();
    for batch in events.chunks(64) {
        journal.append(batch).expect("a journal that can be written");
    }
    events.iter().map(|event| body(&event.kind).len() as u64).sum()
}

fn read_and_fold(folder: &Path) -> Option<Run> {
    let mut run: Option<Run> = None;
    let take = |event: Event| {
        match &mut run {
            Some(run) => run.apply(&event).expect("a history that can happen"),
            None => run = Some(Run::open(event).expect("a good plan")),
        }
        Ok::<_, Error>(())
    };
    sqlite::each(folder, take).expect("a journal");
    run
}

/// Reads every row, hashes and parses it, and keeps nothing.
fn bare(folder: &Path) -> Hash {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let db = Connection::open_with_flags(folder.join("journal.db"), flags).expect("a journal");
    let mut select = db.prepare("SELECT seq, at, body FROM event ORDER BY seq").expect("a table");
    let mut rows = select.query([]).expect("rows");
    let mut head = [0; 32];
    while let Some(row) = rows.next().expect("a row") {
        let body = row.get_ref(2).and_then(|it| Ok(it.as_blob()?)).expect("a body");
        let kind = serde_json::from_slice(body).expect("an event");
        let event = Event { seq: row.get(0).expect("a number"), at: Time(row.get(1).expect("a time")), kind };
        head = hash(&head, &event, body);
    }
    head
}

/// On disk when it returns, as a journal is whose controller died: else the
/// first sync of the one that goes on with it would write the whole copy.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder can be made");
    for entry in fs::read_dir(from).expect("the run's folder").flatten() {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            let copied = fs::copy(entry.path(), &to).and_then(|_| fs::File::open(&to)?.sync_all());
            copied.expect("a file can be copied");
        }
    }
}
