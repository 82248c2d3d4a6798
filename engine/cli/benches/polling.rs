//! A recovery of 200 steps at a provider, on the simulated clock: how long the
//! end of a piece of work goes unseen, and how many looks that costs.

use crate::{
    measure::{number, seconds},
    ours,
};
use async_trait::async_trait;
use dr_engine::{
    clock::{Clock, SimClock, Time},
    duration::Dur,
    executor::{Executor, Tools},
    journal::Memory,
    limits,
    outcome::{Failure, Output},
    plan::PlanStep,
    run::Run,
    step::{Check, Description, Guard, Look, ReadCx, Step, StepCx, StepError, Steps},
};
use serde_json::Value;
use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};
use tokio::sync::mpsc;

const STEPS: usize = 200;
/// Ten of them at the same time, one after the other.
const WIDE: usize = 10;

/// Prints its lines.
pub fn bench() {
    let takes = takes();
    let work: i64 = takes.iter().sum();
    let path = (0..WIDE).map(|row| takes.iter().skip(row).step_by(WIDE).sum::<i64>()).max().unwrap_or_default();
    let ours = simulate(&takes, How::Ours);
    let fixed = simulate(&takes, How::Every(Dur(30_000)));
    let text = |millis: i64| seconds(millis as f64 / 1000.0);
    let part = |lost: i64, of: i64| format!("{:.2} %", 100.0 * lost as f64 / of as f64);
    number(
        "200 AWS steps, simulated: lost to polling",
        &text(ours.lost),
        &format!("every 30 s {}", text(fixed.lost)),
        &format!("{:.3}", ours.lost as f64 / fixed.lost as f64),
        None,
    );
    number("  of the time that AWS works", &part(ours.lost, work), &part(fixed.lost, work), "", None);
    number(
        "  on the recovery itself",
        &text(ours.end - path),
        &format!("every 30 s {}", text(fixed.end - path)),
        &format!("critical path {}", text(path)),
        None,
    );
    number("  looks", &ours.looks.to_string(), &format!("every 30 s {}", fixed.looks), "", None);
}

/// How long each piece of work takes, in milliseconds: half of them a minute
/// or less (scaling, names, rules), the rest up to 40 minutes (databases).
fn takes() -> Vec<i64> {
    let mut noise = 11_i64;
    let mut draw = |from: i64, to: i64| {
        noise = noise * 48_271 % 0x7fff_ffff;
        from + noise % (to - from)
    };
    (0..STEPS).map(|step| if step % 20 < 10 { draw(3_000, 60_000) } else { draw(240_000, 2_400_000) }).collect()
}

#[derive(Clone, Copy)]
enum How {
    Ours,
    Every(Dur),
}

struct Seen {
    lost: i64,
    looks: u64,
    end: i64,
}

fn simulate(takes: &[i64], how: How) -> Seen {
    let mut text = String::from("dr: v1\nname: bench\nsteps:\n");
    for step in 0..takes.len() {
        let needs = if step < WIDE { String::new() } else { format!("s{}", step - WIDE) };
        let line = format!("  s{step}: {{ needs: [{needs}], do: {{ command: {{ argv: [\"true\"] }} }} }}\n");
        text.push_str(&line);
    }
    let plan = ours::planned(&text);
    let counts = Arc::new(Counts::default());
    let provider = Provider { takes: takes.to_vec(), how, counts: counts.clone() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let end = runtime.expect("a runtime").block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(SimClock::new(Time(0)));
        let mut run = Run::open(ours::opened(plan, Time(0))).expect("a good plan");
        let (mut journal, mut observer) = (Memory::default(), ours::Nobody);
        let mut executor = Executor {
            journal: &mut journal,
            observer: &mut observer,
            tools: Tools {
                steps: Arc::new(provider),
                clock,
                world: Arc::new(()),
                guard: Arc::new(Free),
                chatter: Arc::new(|_, _| {}),
                poll_gap_min: limits::POLL_GAP_MIN,
            },
            parallel: limits::PARALLEL_MAX,
            no_wait: true,
        };
        let (_keep, mut arrivals) = mpsc::unbounded_channel();
        executor.execute(&mut run, vec![ours::joined()], &mut arrivals).await.expect("the run ends");
        run.at.0
    });
    Seen { lost: counts.lost.load(Ordering::SeqCst), looks: counts.looks.load(Ordering::SeqCst), end }
}

struct Provider {
    takes: Vec<i64>,
    how: How,
    counts: Arc<Counts>,
}

/// What was seen of all steps.
#[derive(Default)]
struct Counts {
    lost: AtomicI64,
    looks: AtomicU64,
}

impl Steps for Provider {
    fn step(&self, step: &PlanStep, _: Value) -> Result<Arc<dyn Step>, Failure> {
        let number: usize = step.id[1..].parse().expect("steps are s0, s1, …");
        Ok(Arc::new(Elsewhere { takes: Dur(self.takes[number]), how: self.how, counts: self.counts.clone() }))
    }
}

/// A step whose work goes on elsewhere.
struct Elsewhere {
    takes: Dur,
    how: How,
    counts: Arc<Counts>,
}

#[async_trait]
impl Step for Elsewhere {
    fn describe(&self) -> Description {
        Description::default()
    }

    async fn check(&self, _: &ReadCx) -> Result<Check, Failure> {
        Ok(Check::Absent)
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let clock = &cx.read.clock;
        let end = clock.now().after(self.takes);
        let is_done = || {
            self.counts.looks.fetch_add(1, Ordering::SeqCst);
            clock.now() >= end
        };
        match self.how {
            How::Ours => {
                let look = || async { Ok(if is_done() { Look::Ready(()) } else { Look::Pending("at work".into()) }) };
                cx.read.poll(look).await?;
            }
            How::Every(pause) => {
                while !is_done() {
                    clock.sleep(pause).await;
                }
            }
        }
        self.counts.lost.fetch_add(clock.now().since(end).0, Ordering::SeqCst);
        Ok(Output::default())
    }
}

/// A guard with nothing behind it.
struct Free;

impl Guard for Free {
    fn before(&self) -> Result<(), Failure> {
        Ok(())
    }

    fn after(&self) {}
}
