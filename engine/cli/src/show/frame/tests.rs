//! Pictures of runs, as text. The letter before each row is its tone.

mod fences;

use super::{Scene, Tone};
use crate::show::width;
use dr_engine::{
    clock::Time,
    duration::Dur,
    event::{Controller, Deadline, Doubt, Event, Kind, Opened, Person, RunKind},
    outcome::{Call, Failure, Output},
    plan::{
        StepIx,
        build::{Options, Sources, plan},
    },
    question::Question,
    report,
    run::Run,
};
use expect_test::{Expect, expect};
use std::{collections::BTreeMap, fmt::Write};

/// 2026-11-22T06:00:00Z, when the outage began; the run was opened ten minutes later.
const INCIDENT: Time = Time(1_795_327_200_000);

const FAILOVER: &str = "
dr: v1
name: region_failover
regions: { primary: eu-west-1, recovery: eu-central-1 }
accounts: { main: { id: '000000000001' } }
roles: { technical_lead: { name: Ada, deputies: [Grace] } }
objectives: { rto: 2h }
phases: [data, services, traffic]
steps:
  restore_db:
    { phase: data, estimate: { p50: 15m, p90: 25m }, do: { command: { argv: [a], check: { argv: [b] } } } }
  copy_objects: { phase: data, estimate: { p50: 5m, p90: 8m }, do: { command: { argv: [a] } } }
  warm_cache: { phase: services, do: { command: { argv: [a] } } }
  scale_api: { phase: services, needs: [restore_db], estimate: { p50: 10m, p90: 15m }, do: { command: { argv: [a] } } }
  switch_dns:
    phase: traffic
    needs: [scale_api, copy_objects]
    approve: { question: Send users to eu-central-1?, roles: [technical_lead] }
    estimate: { p50: 1m, p90: 2m }
    do: { command: { argv: [a] } }
verify:
  api: { verify.tcp: { address: 'localhost:1' } }
";

/// A run that is told what happens.
struct Story {
    run: Run,
    says: BTreeMap<String, String>,
    now: Time,
    unattended: bool,
}

impl Story {
    fn of(text: &str, kind: RunKind) -> Self {
        struct Text<'a>(&'a str);
        impl Sources for Text<'_> {
            fn read(&self, path: &str, _: Option<&str>) -> Result<(String, String), String> {
                Ok((path.to_owned(), self.0.to_owned()))
            }
        }
        let planned = plan("t.yaml", &Text(text), &dr_steps::registry(), &Options::default());
        let plan = planned.unwrap_or_else(|problems| panic!("{:?}", problems.problems));
        let run = format!("20261122-061000-{}-3fa9", plan.name);
        let by = ada();
        let at = INCIDENT.after(dr_engine::duration::Dur::seconds(600));
        let opened = Opened {
            run,
            plan,
            folder: "/".into(),
            kind,
            incident_at: INCIDENT,
            incident_assumed: false,
            detected_at: None,
            declared_at: None,
            declared_by: None,
            by,
        };
        let run = Run::open(Event { seq: 1, at, kind: Kind::Opened(Box::new(opened)) }).expect("a run");
        Self { run, says: BTreeMap::new(), now: at, unattended: false }
    }

    fn step(&self, id: &str) -> StepIx {
        self.run.plan().find(id).expect("a step of that name")
    }

    /// So many seconds after the run was opened.
    fn at(&mut self, seconds: i64) -> &mut Self {
        self.now = self.run.opened_at.after(dr_engine::duration::Dur::seconds(seconds));
        self
    }

    fn tell(&mut self, kind: Kind) -> &mut Self {
        self.run.apply(&Event { seq: self.run.seq + 1, at: self.now, kind }).expect("it can happen");
        self
    }

    fn starts(&mut self, id: &str) -> &mut Self {
        let step = self.step(id);
        let attempt = self.run.step(step).attempt + 1;
        self.tell(Kind::Started { step, attempt })
    }

    fn done(&mut self, id: &str) -> &mut Self {
        let step = self.step(id);
        let attempt = self.run.step(step).attempt;
        self.tell(Kind::Succeeded { step, attempt, output: Output::default(), found: false })
    }

    fn fails(&mut self, id: &str, error: &Failure) -> &mut Self {
        let step = self.step(id);
        let attempt = self.run.step(step).attempt;
        let question = Question::failure(self.run.plan().step(step), error);
        self.tell(Kind::Failed { step, attempt, error: error.clone() }).tell(Kind::Asked { step, question })
    }

    fn says(&mut self, id: &str, text: &str) -> &mut Self {
        self.says.insert(id.into(), text.into());
        self
    }

    /// Compares the picture on a terminal of this size.
    fn shows(&self, columns: usize, rows: usize, expected: &Expect) {
        expected.assert_eq(&self.drawn(columns, rows));
    }

    fn drawn(&self, columns: usize, rows: usize) -> String {
        let scene = Scene {
            run: &self.run,
            now: self.now,
            forecast: report::forecast(&self.run, self.now),
            says: &self.says,
            unattended: self.unattended,
            columns,
            rows,
        };
        let lines = scene.draw();
        assert!(lines.len() < rows.max(2), "{} rows of {rows}", lines.len());
        let mut text = String::new();
        for line in lines {
            assert!(width::of(&line.text) < columns.max(2), "{columns} columns: {}", line.text);
            let tone = match line.tone {
                Tone::Head => 'H',
                Tone::Ask => '?',
                Tone::Calm => ' ',
                Tone::Late => '!',
                Tone::Dim => '-',
            };
            writeln!(text, "{tone}|{}", line.text).expect("a text takes all");
        }
        text
    }
}

fn ada() -> Person {
    Person { name: Some("Ada".into()), user: "ada".into(), host: "laptop".into(), message: None }
}

/// The usual runbook with three steps at work.
fn failover() -> Story {
    let mut story = Story::of(FAILOVER, RunKind::Live);
    let controller =
        Controller { host: "laptop".into(), pid: 1, epoch: 1, version: "1".into(), why: None, break_glass: None };
    story.tell(Kind::Joined(controller));
    story.starts("restore_db").starts("copy_objects").starts("warm_cache");
    story.at(260).says("restore_db", "creating: 45 %");
    story
}

#[test]
fn a_few_steps_at_work() {
    let story = failover();
    story.shows(
        80,
        24,
        &expect![[r"
        H|LIVE · region_failover · eu-west-1 → eu-central-1 · main 000000000001
        H|run 20261122-061000-region_failover-3fa9
        H|RECOVERING · 14m of 2h · 0/7 done
         |RTO     [####=======.............................] 1h45m of 2h left
         |back    in 21m40s at the earliest, 06:36 UTC
         |phases  data 0/2 · services 0/2 · traffic 0/2 · other 0/1
         |
         | > restore_db          4m20s of about 15m         creating: 45 %
         | > copy_objects        4m20s of about 5m
         | > warm_cache          4m20s, usual time unknown
        -|   scale_api           after restore_db
        -|   switch_dns!approve  after copy_objects, scale_api
        -|   switch_dns          after copy_objects, scale_api, switch_dns!approve
        -|   verify              after restore_db, copy_objects, warm_cache, scale_api, …
    "]],
    );
    story.shows(200, 50, &expect![[r"
        H|LIVE · region_failover · eu-west-1 → eu-central-1 · main 000000000001 · run 20261122-061000-region_failover-3fa9
        H|RECOVERING · 14m of 2h · 0/7 done
         |RTO     [####=======.............................] 1h45m of 2h left
         |back    in 21m40s at the earliest, 06:36 UTC
         |phases  data 0/2 · services 0/2 · traffic 0/2 · other 0/1
         |
         | > restore_db          4m20s of about 15m         creating: 45 %
         | > copy_objects        4m20s of about 5m
         | > warm_cache          4m20s, usual time unknown
        -|   scale_api           after restore_db
        -|   switch_dns!approve  after copy_objects, scale_api
        -|   switch_dns          after copy_objects, scale_api, switch_dns!approve
        -|   verify              after restore_db, copy_objects, warm_cache, scale_api, switch_dns!approve, switch_dns
    "]]);
}

#[test]
fn a_question_stands_with_what_answers_it() {
    let mut story = failover();
    story.done("restore_db").done("copy_objects").done("warm_cache").starts("scale_api").at(600).done("scale_api");
    story.starts("switch_dns!approve");
    let step = story.step("switch_dns!approve");
    let text = "Send users to eu-central-1?".into();
    let mut question = Question::new(dr_engine::question::About::Approval, text, &["approve", "decline"]);
    question.roles = vec!["technical_lead".into()];
    question.count = 2;
    story.tell(Kind::Asked { step, question });
    story.tell(Kind::DeadlinePassed { which: Deadline::Question(step) }).at(960);
    story.shows(
        80,
        24,
        &expect![[r"
            H|LIVE · region_failover · eu-west-1 → eu-central-1 · main 000000000001
            H|run 20261122-061000-region_failover-3fa9
            ?|HELD · 26m of 2h · 4/7 done
             |RTO     [########................................] 1h34m of 2h left
             |back    1m of work once people have answered, at least
             |phases  data 2/2 · services 2/2 · traffic 0/2 · other 0/1
             |
            ?| ? switch_dns!approve for technical_lead (Ada, Grace), asked 6m ago, LATE (0 of
            ?|   2 agreed): Send users to eu-central-1?
            ?|    dr answer 20261122-061000-region_failover-3fa9 'switch_dns!approve' \
            ?|      approve --as NAME
            ?|    dr answer 20261122-061000-region_failover-3fa9 'switch_dns!approve' \
            ?|      decline --as NAME
            -|   switch_dns          after switch_dns!approve
            -|   verify              after switch_dns!approve, switch_dns
        "]],
    );
    story.shows(200, 50, &expect![[r"
        H|LIVE · region_failover · eu-west-1 → eu-central-1 · main 000000000001 · run 20261122-061000-region_failover-3fa9
        ?|HELD · 26m of 2h · 4/7 done
         |RTO     [########................................] 1h34m of 2h left
         |back    1m of work once people have answered, at least
         |phases  data 2/2 · services 2/2 · traffic 0/2 · other 0/1
         |
        ?| ? switch_dns!approve for technical_lead (Ada, Grace), asked 6m ago, LATE (0 of 2 agreed): Send users to eu-central-1?
        ?|    dr answer 20261122-061000-region_failover-3fa9 'switch_dns!approve' approve --as NAME
        ?|    dr answer 20261122-061000-region_failover-3fa9 'switch_dns!approve' decline --as NAME
        -|   switch_dns          after switch_dns!approve
        -|   verify              after switch_dns!approve, switch_dns
    "]]);
    // A command goes on in the next row, as a shell takes it.
    story.shows(
        60,
        24,
        &expect![[r"
            H|LIVE · region_failover · eu-west-1 → eu-central-1
            H|main 000000000001
            H|run 20261122-061000-region_failover-3fa9
            ?|HELD · 26m of 2h · 4/7 done
             |RTO     [######..........................] 1h34m of 2h left
             |back    1m of work once people have answered, at least
             |phases  data 2/2 · services 2/2 · traffic 0/2 · other 0/1
             |
            ?| ? switch_dns!approve for technical_lead (Ada, Grace),
            ?|   asked 6m ago, LATE (0 of 2 agreed): Send users to
            ?|   eu-central-1?
            ?|    dr answer 20261122-061000-region_failover-3fa9 \
            ?|      'switch_dns!approve' approve --as NAME
            ?|    dr answer 20261122-061000-region_failover-3fa9 \
            ?|      'switch_dns!approve' decline --as NAME
            -|   switch_dns          after switch_dns!approve
            -|   verify              after switch_dns!approve, switch_dns
        "]],
    );
}

#[test]
fn a_failure_holds_what_needs_it_and_nothing_else() {
    let mut story = failover();
    let call = Call {
        service: "rds".into(),
        operation: "RestoreDBInstance".into(),
        region: "eu-central-1".into(),
        code: Some("InsufficientDBInstanceCapacity".into()),
        request_id: Some("5f1c".into()),
    };
    let error = Failure { call: Some(call), ..Failure::new("no capacity for db.r6g.xlarge in any of the subnets") };
    story.fails("restore_db", &error).at(290);
    story.shows(
        80,
        24,
        &expect![[r"
        H|LIVE · region_failover · eu-west-1 → eu-central-1 · main 000000000001
        H|run 20261122-061000-region_failover-3fa9
        H|RECOVERING · 14m of 2h · 0/7 done
         |RTO     [####========............................] 1h45m of 2h left
         |back    26m of work once people have answered, at least
         |phases  data 0/2 · services 0/2 · traffic 0/2 · other 0/1
         |
        ?| ? asked 30s ago: `restore_db` failed: no capacity for db.r6g.xlarge in any of
        ?|   the subnets
        ?|    dr answer 20261122-061000-region_failover-3fa9 restore_db retry
        ?|    dr answer 20261122-061000-region_failover-3fa9 restore_db skip
        ?|    dr answer 20261122-061000-region_failover-3fa9 restore_db stop
         | > copy_objects        4m50s of about 5m
         | > warm_cache          4m50s, usual time unknown
        -|   scale_api           after restore_db
        -|   switch_dns!approve  after copy_objects, scale_api
        -|   switch_dns          after copy_objects, scale_api, switch_dns!approve
        -|   verify              after restore_db, copy_objects, warm_cache, scale_api, …
    "]],
    );
}

#[test]
fn a_late_step_comes_first_and_says_what_is_usual() {
    let mut story = failover();
    let step = story.step("copy_objects");
    story.at(490).tell(Kind::DeadlinePassed { which: Deadline::Estimate(step) }).at(700);
    story.shows(
        80,
        24,
        &expect![[r"
        H|LIVE · region_failover · eu-west-1 → eu-central-1 · main 000000000001
        H|run 20261122-061000-region_failover-3fa9
        H|RECOVERING · 21m of 2h · 0/7 done
         |RTO     [#######====.............................] 1h38m of 2h left
         |back    in 14m20s at the earliest, 06:36 UTC
         |phases  data 0/2 · services 0/2 · traffic 0/2 · other 0/1
         |
        !| > copy_objects        11m40s, LATE: p90 is 8m
         | > restore_db          11m40s of about 15m        creating: 45 %
         | > warm_cache          11m40s, usual time unknown
        -|   scale_api           after restore_db
        -|   switch_dns!approve  after copy_objects, scale_api
        -|   switch_dns          after copy_objects, scale_api, switch_dns!approve
        -|   verify              after restore_db, copy_objects, warm_cache, scale_api, …
    "]],
    );
}

#[test]
fn what_tries_again_and_what_is_in_doubt_are_told_apart() {
    let mut story = failover();
    let (copy, db) = (story.step("copy_objects"), story.step("restore_db"));
    let retry_at = story.now.after(dr_engine::duration::Dur::seconds(40));
    story.tell(Kind::AttemptFailed { step: copy, attempt: 1, error: Failure::new("connection refused"), retry_at });
    let error = Failure::new("the reply was lost");
    let look_at = Some(story.now);
    story.tell(Kind::InDoubt { step: db, attempt: 1, doubt: Doubt::NoAnswer, error, look_at }).at(270);
    story.shows(
        80,
        24,
        &expect![[r"
        H|LIVE · region_failover · eu-west-1 → eu-central-1 · main 000000000001
        H|run 20261122-061000-region_failover-3fa9
        H|RECOVERING · 14m of 2h · 0/7 done
         |RTO     [####========............................] 1h45m of 2h left
         |back    in 26m at the earliest, 06:40 UTC
         |phases  data 0/2 · services 0/2 · traffic 0/2 · other 0/1
         |
        !| ~ restore_db          in doubt, being looked at: the reply was lost
        !| ~ copy_objects        failed, attempt 2 in 30s
         | > warm_cache          4m30s, usual time unknown
        -|   scale_api           after restore_db
        -|   switch_dns!approve  after copy_objects, scale_api
        -|   switch_dns          after copy_objects, scale_api, switch_dns!approve
        -|   verify              after restore_db, copy_objects, warm_cache, scale_api, …
    "]],
    );
}

#[test]
fn a_doubt_is_put_to_people() {
    let mut story = failover();
    let step = story.step("warm_cache");
    let error = Failure::new("the controller ended before it heard of the outcome");
    let question = Question::doubt(story.run.plan().step(step), &error);
    story.tell(Kind::InDoubt { step, attempt: 1, doubt: Doubt::Lost, error, look_at: None });
    story.tell(Kind::Asked { step, question }).at(300);
    story.shows(
        80,
        24,
        &expect![[r"
        H|LIVE · region_failover · eu-west-1 → eu-central-1 · main 000000000001
        H|run 20261122-061000-region_failover-3fa9
        H|RECOVERING · 15m of 2h · 0/7 done
         |RTO     [#####=======............................] 1h45m of 2h left
         |back    21m of work once people have answered, at least
         |phases  data 0/2 · services 0/2 · traffic 0/2 · other 0/1
         |
        ?| ? asked 40s ago: it is not known whether `warm_cache` had its effect: the
        ?|   controller ended before it heard of the outcome. Look, then say `retry` to
        ?|   run it again, or tell with `dr done` that it is done
        ?|    dr answer 20261122-061000-region_failover-3fa9 warm_cache retry
        ?|    dr answer 20261122-061000-region_failover-3fa9 warm_cache skip
        ?|    dr answer 20261122-061000-region_failover-3fa9 warm_cache stop
        ?|    dr done 20261122-061000-region_failover-3fa9 warm_cache --why TEXT
         | > restore_db          5m of about 15m            creating: 45 %
         | > copy_objects        5m of about 5m
        -|   scale_api           after restore_db
        -|   … and 3 more to come
    "]],
    );
}

#[test]
fn a_pause_says_how_it_ends() {
    let mut story = failover();
    story.tell(Kind::Paused { by: ada() });
    story.shows(
        80,
        24,
        &expect![[r"
            H|LIVE · region_failover · eu-west-1 → eu-central-1 · main 000000000001
            H|run 20261122-061000-region_failover-3fa9
            H|PAUSED · 14m of 2h · 0/7 done
            ?|paused: nothing new starts
            ?|    dr resume 20261122-061000-region_failover-3fa9
             |RTO     [####=======.............................] 1h45m of 2h left
             |back    in 21m40s at the earliest, 06:36 UTC
             |phases  data 0/2 · services 0/2 · traffic 0/2 · other 0/1
             |
             | > restore_db          4m20s of about 15m         creating: 45 %
             | > copy_objects        4m20s of about 5m
             | > warm_cache          4m20s, usual time unknown
            -|   scale_api           after restore_db
            -|   switch_dns!approve  after copy_objects, scale_api
            -|   switch_dns          after copy_objects, scale_api, switch_dns!approve
            -|   verify              after restore_db, copy_objects, warm_cache, scale_api, …
        "]],
    );
}

#[test]
fn somebody_who_leaves_sees_what_is_waited_for() {
    let mut story = failover();
    story.tell(Kind::CancelAsked { by: ada() });
    story.shows(
        80,
        24,
        &expect![[r"
            H|LIVE · region_failover · eu-west-1 → eu-central-1 · main 000000000001
            H|run 20261122-061000-region_failover-3fa9
            ?|LEAVING · 14m of 2h · 0/7 done
            ?|nothing new starts; the controller ends when what runs has ended
             |RTO     [####=======.............................] 1h45m of 2h left
             |back    in 21m40s at the earliest, 06:36 UTC
             |phases  data 0/2 · services 0/2 · traffic 0/2 · other 0/1
             |
             | > restore_db          4m20s of about 15m         creating: 45 %
             | > copy_objects        4m20s of about 5m
             | > warm_cache          4m20s, usual time unknown
            -|   scale_api           after restore_db
            -|   switch_dns!approve  after copy_objects, scale_api
            -|   switch_dns          after copy_objects, scale_api, switch_dns!approve
            -|   verify              after restore_db, copy_objects, warm_cache, scale_api, …
        "]],
    );
}

#[test]
fn a_run_that_nobody_drives_says_so_and_claims_nothing() {
    let mut story = failover();
    story.unattended = true;
    story.shows(
        80,
        24,
        &expect![[r"
            H|LIVE · region_failover · eu-west-1 → eu-central-1 · main 000000000001
            H|run 20261122-061000-region_failover-3fa9
            ?|UNATTENDED · 14m of 2h · 0/7 done
            ?|NO CONTROLLER RUNS, nothing goes on
            ?|    dr resume 20261122-061000-region_failover-3fa9
             |RTO     [####....................................] 1h45m of 2h left
             |phases  data 0/2 · services 0/2 · traffic 0/2 · other 0/1
             |
            !| ~ restore_db          unknown since its controller ended
            !| ~ copy_objects        unknown since its controller ended
            !| ~ warm_cache          unknown since its controller ended
            -|   scale_api           after restore_db
            -|   switch_dns!approve  after copy_objects, scale_api
            -|   switch_dns          after copy_objects, scale_api, switch_dns!approve
            -|   verify              after restore_db, copy_objects, warm_cache, scale_api, …
        "]],
    );
}

#[test]
fn the_objective_may_be_out_of_reach_or_gone() {
    let mut story = failover();
    story.at(6_000);
    story.shows(
        80,
        24,
        &expect![[r"
        H|LIVE · region_failover · eu-west-1 → eu-central-1 · main 000000000001
        H|run 20261122-061000-region_failover-3fa9
        H|RECOVERING · 1h50m of 2h · 0/7 done
         |RTO     [####################################===.] 10m of 2h left
        !|back    in 11m at the earliest, 08:01 UTC: TOO LATE by 1m
         |phases  data 0/2 · services 0/2 · traffic 0/2 · other 0/1
         |
        !| > restore_db          1h40m, LATE: p90 is 25m    creating: 45 %
        !| > copy_objects        1h40m, LATE: p90 is 8m
         | > warm_cache          1h40m, usual time unknown
        -|   scale_api           after restore_db
        -|   switch_dns!approve  after copy_objects, scale_api
        -|   switch_dns          after copy_objects, scale_api, switch_dns!approve
        -|   verify              after restore_db, copy_objects, warm_cache, scale_api, …
    "]],
    );
    story.at(6_780).tell(Kind::DeadlinePassed { which: Deadline::Rto });
    story.shows(
        80,
        24,
        &expect![[r"
        H|LIVE · region_failover · eu-west-1 → eu-central-1 · main 000000000001
        H|run 20261122-061000-region_failover-3fa9
        H|RECOVERING · 2h3m of 2h · 0/7 done
        !|RTO     2h, PASSED 3m ago
         |back    in 11m at the earliest, 08:14 UTC
         |phases  data 0/2 · services 0/2 · traffic 0/2 · other 0/1
         |
        !| > restore_db          1h53m, LATE: p90 is 25m    creating: 45 %
        !| > copy_objects        1h53m, LATE: p90 is 8m
         | > warm_cache          1h53m, usual time unknown
        -|   scale_api           after restore_db
        -|   switch_dns!approve  after copy_objects, scale_api
        -|   switch_dns          after copy_objects, scale_api, switch_dns!approve
        -|   verify              after restore_db, copy_objects, warm_cache, scale_api, …
    "]],
    );
}

#[test]
fn less_than_a_second_is_late_without_a_number() {
    let mut story = failover();
    // Eleven minutes are left of the work, and half a second less of the RTO.
    story.now = story.run.opened.incident_at.after(Dur::seconds(2 * 3600 - 11 * 60)).after(Dur(500));
    let text = story.drawn(80, 24);
    let late: Vec<_> = text.lines().filter(|line| line.contains("TOO LATE")).collect();
    assert!(matches!(late[..], [line] if line.trim_end().ends_with("TOO LATE")), "{text}");
}

#[test]
fn what_nobody_estimated_is_unknown_and_never_nothing() {
    let text = "
dr: v1
name: bare
steps:
  one: { do: { command: { argv: [a] } } }
  two: { needs: [one], do: { command: { argv: [a] } } }
";
    let mut story = Story::of(text, RunKind::Lab);
    story.starts("one").at(3_700);
    story.shows(
        80,
        24,
        &expect![[r"
        H|LAB · bare · run 20261122-061000-bare-3fa9
        H|RECOVERING · 1h11m · 0/2 done
        -|RTO     none is set
        -|end     unknown: what is left has no estimate
         |
         | > one  1h1m, usual time unknown
        -|   two  after one
    "]],
    );
    let mut story = Story::of(text, RunKind::Drill);
    story.starts("one").at(1);
    story.shows(
        80,
        24,
        &expect![[r"
        H|DRILL · bare · run 20261122-061000-bare-3fa9
        H|RECOVERING · 10m · 0/2 done
        -|RTO     none is set
        -|end     unknown: what is left has no estimate
         |
         | > one  1s, usual time unknown
        -|   two  after one
    "]],
    );
}

#[test]
fn being_taken_back_is_not_recovering() {
    let mut story = failover();
    story.done("restore_db");
    let steps = vec![story.step("restore_db")];
    story.tell(Kind::UndoAsked { steps: steps.clone(), whole: true, by: ada(), why: "drill".into() });
    story.tell(Kind::UndoStarted { step: steps[0], attempt: 2 }).at(270);
    story.shows(
        80,
        24,
        &expect![[r"
        H|LIVE · region_failover · eu-west-1 → eu-central-1 · main 000000000001
        H|run 20261122-061000-region_failover-3fa9
        H|UNDOING · 14m of 2h · 0/7 done
        ?|nothing new starts; what runs may end
         |RTO     [####....................................] 1h45m of 2h left
         |phases  data 0/2 · services 0/2 · traffic 0/2 · other 0/1
         |
         | < restore_db    taken back for 10s
         | > copy_objects  4m30s of about 5m
         | > warm_cache    4m30s, usual time unknown
    "]],
    );
}

/// Five hundred steps in ten layers, the first layer done, the second at work.
fn many() -> Story {
    let mut text = String::from("dr: v1\nname: evacuate\nobjectives: { rto: 4h }\nphases: [");
    text.extend((0..10).map(|layer| format!("layer_{layer},")));
    text.push_str("]\nsteps:\n");
    for step in 0..500 {
        let layer = step / 50;
        write!(text, "  step_{step:03}: {{ phase: layer_{layer}, estimate: {{ p50: {}m, p90: 20m }}", step % 7 + 1)
            .ok();
        if layer > 0 {
            write!(text, ", needs: [step_{:03}]", step - 50).ok();
        }
        text.push_str(", do: { command: { argv: [a] } } }\n");
    }
    let mut story = Story::of(&text, RunKind::Drill);
    for step in 0..50 {
        story.starts(&format!("step_{step:03}"));
    }
    for step in 0..50 {
        story.at(60 + step).done(&format!("step_{step:03}")).starts(&format!("step_{:03}", step + 50));
    }
    story.at(300);
    story
}

#[test]
fn hundreds_of_steps_are_counted() {
    let mut story = many();
    story.shows(
        80,
        24,
        &expect![[r"
        H|DRILL · evacuate · run 20261122-061000-evacuate-3fa9
        H|RECOVERING · 15m of 4h · 50/500 done
         |RTO     [##======................................] 3h45m of 4h left
         |end     in about 37m46s, 06:52 UTC; 09:11 if slow
         |phases  1 done · 9 to come
         |
         | > step_054  3m56s of about 6m
         | > step_061  3m49s of about 6m
         | > step_068  3m42s of about 6m
         | > step_075  3m35s of about 6m
         | > step_082  3m28s of about 6m
         | > step_089  3m21s of about 6m
         | > step_096  3m14s of about 6m
         | > step_053  3m57s of about 5m
         | > step_060  3m50s of about 5m
         | > step_067  3m43s of about 5m
        -|   … and 40 more at work
        -|   … and 400 more to come
    "]],
    );
    story.shows(200, 50, &expect![[r"
        H|DRILL · evacuate · run 20261122-061000-evacuate-3fa9
        H|RECOVERING · 15m of 4h · 50/500 done
         |RTO     [##======................................] 3h45m of 4h left
         |end     in about 37m46s, 06:52 UTC; 09:11 if slow
         |phases  layer_0 50/50 · layer_1 0/50 · layer_2 0/50 · layer_3 0/50 · layer_4 0/50 · layer_5 0/50 · layer_6 0/50 · layer_7 0/50 · layer_8 0/50 · layer_9 0/50
         |
         | > step_054  3m56s of about 6m
         | > step_061  3m49s of about 6m
         | > step_068  3m42s of about 6m
         | > step_075  3m35s of about 6m
         | > step_082  3m28s of about 6m
         | > step_089  3m21s of about 6m
         | > step_096  3m14s of about 6m
         | > step_053  3m57s of about 5m
         | > step_060  3m50s of about 5m
         | > step_067  3m43s of about 5m
         | > step_074  3m36s of about 5m
         | > step_081  3m29s of about 5m
         | > step_088  3m22s of about 5m
         | > step_095  3m15s of about 5m
         | > step_052  3m58s of about 4m
         | > step_059  3m51s of about 4m
         | > step_066  3m44s of about 4m
         | > step_073  3m37s of about 4m
         | > step_080  3m30s of about 4m
         | > step_087  3m23s of about 4m
         | > step_094  3m16s of about 4m
         | > step_055  3m55s of about 7m
        -|   … and 28 more at work
        -|   … and 400 more to come
    "]]);
    for step in 50..60 {
        story.at(300 + step).fails(&format!("step_{step:03}"), &Failure::new("no quorum"));
    }
    story.shows(
        80,
        24,
        &expect![[r"
        H|DRILL · evacuate · run 20261122-061000-evacuate-3fa9
        H|RECOVERING · 15m of 4h · 50/500 done
         |RTO     [##======................................] 3h44m of 4h left
         |end     41m of work once people have answered, at least
         |phases  1 done · 9 to come
         |
        ?| ? asked 9s ago: `step_050` failed: no quorum
        ?| ? asked 8s ago: `step_051` failed: no quorum
        ?| ? asked 7s ago: `step_052` failed: no quorum
        ?| ? asked 6s ago: `step_053` failed: no quorum
        ?| ? asked 5s ago: `step_054` failed: no quorum
        ?| ? asked 4s ago: `step_055` failed: no quorum
        ?|   … 4 more; all of it: dr status 20261122-061000-evacuate-3fa9
         | > step_061  4m48s of about 6m
         | > step_068  4m41s of about 6m
         | > step_075  4m34s of about 6m
        -|   … and 37 more at work
        -|   … and 400 more to come
    "]],
    );
}

#[test]
fn what_comes_from_outside_is_text() {
    let mut story = failover();
    story.says("restore_db", "\x1b[2J\x1b]0;owned\x07 done\r\n\u{202e}gnp.exe\t<script>");
    let error = Failure::new("\x1b[31mred\x1b[0m\nline two\u{9b}2J");
    story.fails("warm_cache", &error);
    story.shows(
        80,
        24,
        &expect![[r"
        H|LIVE · region_failover · eu-west-1 → eu-central-1 · main 000000000001
        H|run 20261122-061000-region_failover-3fa9
        H|RECOVERING · 14m of 2h · 0/7 done
         |RTO     [####=======.............................] 1h45m of 2h left
         |back    21m40s of work once people have answered, at least
         |phases  data 0/2 · services 0/2 · traffic 0/2 · other 0/1
         |
        ?| ? asked 0s ago: `warm_cache` failed: [31mred [0m line two 2J
        ?|    dr answer 20261122-061000-region_failover-3fa9 warm_cache retry
        ?|    dr answer 20261122-061000-region_failover-3fa9 warm_cache skip
        ?|    dr answer 20261122-061000-region_failover-3fa9 warm_cache stop
         | > restore_db          4m20s of about 15m         [2J ]0;owned done gnp.exe <s…
         | > copy_objects        4m20s of about 5m
        -|   scale_api           after restore_db
        -|   switch_dns!approve  after copy_objects, scale_api
        -|   switch_dns          after copy_objects, scale_api, switch_dns!approve
        -|   verify              after restore_db, copy_objects, warm_cache, scale_api, …
    "]],
    );
}

#[test]
fn no_picture_is_wider_or_higher_than_its_terminal() {
    let mut crowded = many();
    for step in 50..60 {
        crowded
            .fails(&format!("step_{step:03}"), &Failure::new("東京 has no quorum, and this takes more than one row"));
    }
    let mut pause = failover();
    pause.tell(Kind::Paused { by: ada() }).fails("restore_db", &Failure::new("no"));
    for story in [&crowded, &pause] {
        for columns in (1..30).chain([45, 60, 80, 200, 500]) {
            for rows in (2..12).chain([24, 50]) {
                story.drawn(columns, rows);
            }
        }
    }
}
