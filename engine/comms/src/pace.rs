//! When something is told: pure, from the run and the clock.
//!
//! Promises stand on a grid that begins with the run: an update that comes
//! sooner, because something changed, repeats the promise and does not move it.

use crate::update::{Course, Update, course_of, phase};
use dr_engine::{
    clock::Time,
    comms::Every,
    duration::Dur,
    event::{ADDS, Deadline, Event, Kind, Outcome},
    question::About,
    report::{clean, forecast},
    run::{Run, State},
};

/// Two updates that nobody waits for are at least so far apart, unless the settings say otherwise.
pub const GAP_MIN: Dur = Dur(60_000);
/// What people are waited for is told so soon after the update before, if that is sooner.
const SOON: Dur = Dur(10_000);
/// A controller that goes on looks first: what it found is worth telling, not that it began.
const LOOKS: Dur = Dur(5_000);
/// How the reason begins that a person gives.
const SENT: &str = "sent by";
/// So long before a promised update its technical lead is asked; at most this part of the gap.
const ASK_LEAD: (Dur, i64) = (Dur(15 * 60_000), 4);
/// So long before it the Incident Commander sees a draft; at most this part of the gap.
const SHOW_DRAFT: (Dur, i64) = (Dur(5 * 60_000), 12);

/// When something is told.
#[derive(Debug, Clone)]
pub struct Pace {
    every: Every,
    gap_min: Dur,
    last: Option<Last>,
    /// What has happened since that is worth an update.
    reasons: Vec<Reason>,
    /// The update that is promised next.
    promised: Option<Time>,
    /// People were told of that promise.
    given: bool,
    /// The promise before which the technical lead was asked, and when.
    asked: Option<(Time, Time)>,
    /// The promise before which a draft was shown.
    drafted: Option<Time>,
}

#[derive(Debug, Clone)]
struct Last {
    made_at: Time,
    phase: Option<String>,
    course: Course,
}

#[derive(Debug, Clone)]
struct Reason {
    at: Time,
    text: String,
    haste: Haste,
}

/// How long something may wait to be told together with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Haste {
    /// For the gap between two updates.
    Spaced,
    /// A little: people are waited for.
    Soon,
    /// Not at all.
    AtOnce,
}

/// What is to be made now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// An update, for these reasons.
    Update {
        /// Why now.
        why: Vec<String>,
        /// When the technical lead was asked for it.
        asked_lead_at: Option<Time>,
        /// When the next one is promised.
        next_at: Option<Time>,
    },
    /// The technical lead is asked for this promised update.
    AskLead {
        /// When that is.
        promised: Time,
    },
    /// The Incident Commander sees a draft of this promised update.
    Draft {
        /// When that is.
        promised: Time,
    },
}

impl Pace {
    /// The pace of a run; `before` is the last update that was made.
    pub fn new(every: Every, gap_min: Dur, before: Option<&Update>) -> Self {
        let last = before.map(|it| Last { made_at: it.made_at, phase: it.phase.clone(), course: it.course });
        let promised = before.and_then(|before| before.next_at);
        let given = promised.is_some();
        Self { every, gap_min, last, reasons: Vec::new(), promised, given, asked: None, drafted: None }
    }

    /// Takes an event in that `run` has taken in, and no update has told of.
    pub fn hear(&mut self, run: &Run, event: &Event) {
        let id = |step| clean(&run.plan().step(step).id);
        let mut at = event.at;
        let (text, haste) = match &event.kind {
            Kind::Opened(_) => ("the recovery began".into(), Haste::AtOnce),
            Kind::Asked { step, question } => match question.about {
                About::Approval => (format!("an approval is wanted: {}", id(*step)), Haste::Soon),
                About::Work => (format!("a person's work is wanted: {}", id(*step)), Haste::Soon),
                _ => (format!("{} is held", id(*step)), Haste::Soon),
            },
            Kind::DeadlinePassed { which: Deadline::Rto } => ("the RTO has passed".into(), Haste::Spaced),
            Kind::DeadlinePassed { which: Deadline::Rpo(step) } => {
                (format!("{} lost more data than its RPO allows", id(*step)), Haste::Spaced)
            }
            // Whoever adds to a run that is over drives nothing.
            Kind::Joined(_) if run.finished.is_some() => return,
            Kind::Joined(controller) if controller.why.as_deref() == Some(ADDS) => return,
            Kind::Joined(controller) if controller.epoch > 1 => {
                at = at.after(LOOKS);
                ("another controller goes on with it".into(), Haste::Spaced)
            }
            Kind::Answered { step, .. } if run.owed().any(|owed| owed == *step) => {
                (format!("{} could not be set: the old writer is not fenced", id(*step)), Haste::Soon)
            }
            Kind::Answered { step, .. } if !asking(run) => {
                (format!("{} was answered: nothing waits for people", id(*step)), Haste::Spaced)
            }
            Kind::Affected { .. } => ("the impact changed".into(), Haste::Spaced),
            Kind::RoleSet { role, to, .. } => {
                (format!("{} is now {}", clean(to), clean(role).replace('_', " ")), Haste::Spaced)
            }
            Kind::Paused { .. } => ("the recovery is paused".into(), Haste::Spaced),
            Kind::Continued { .. } => ("the recovery goes on".into(), Haste::Spaced),
            Kind::CancelAsked { .. } => ("the recovery is interrupted".into(), Haste::AtOnce),
            Kind::UndoAsked { .. } => ("steps are taken back".into(), Haste::Spaced),
            Kind::Worded { send: true, by, .. } => {
                (format!("{SENT} {}", clean(by.name.as_deref().unwrap_or(&by.user))), Haste::AtOnce)
            }
            Kind::Finished { outcome } => (format!("the run is over: {}", words(*outcome)), Haste::AtOnce),
            // Told where the book of deliveries is not at hand: what came before is no news.
            Kind::Told { item, .. } if self.last.is_none() && item.starts_with("update-") => {
                self.reasons.clear();
                return;
            }
            Kind::Reopened { .. } => {
                self.promised = Some(event.at.after(self.every.gap(Dur(0))));
                ("the run was opened again".into(), Haste::Spaced)
            }
            _ => return,
        };
        self.reasons.push(Reason { at, text, haste });
    }

    /// Looks at what no single event says: the phase, and the forecast against the objective.
    pub fn look(&mut self, run: &Run, now: Time) {
        self.promised.get_or_insert_with(|| run.opened_at.after(self.every.gap(Dur(0))));
        let Some(last) = &mut self.last else { return };
        if run.finished.is_some() {
            return;
        }
        let phase = phase(run);
        if phase != last.phase.as_deref() {
            last.phase = phase.map(str::to_owned);
            if let Some(phase) = phase {
                self.reasons.push(Reason {
                    at: now,
                    text: format!("phase {} begins", clean(phase)),
                    haste: Haste::Spaced,
                });
            }
        }
        let Some(rto) = run.plan().objectives.rto else { return };
        let back = matches!(last.course, Course::Met);
        let course = course_of(forecast(run, now), run.opened.incident_at.after(rto), now);
        if course != last.course && !back {
            last.course = course;
            self.reasons.push(Reason { at: now, text: format!("forecast: {}", course.words()), haste: Haste::Spaced });
        }
    }

    /// What is due now; whoever asks makes it.
    pub fn due(&mut self, run: &Run, now: Time) -> Option<Due> {
        let driven = run.finished.is_none() && !run.leaving;
        let promised = self.promised?;
        let kept = driven && now >= promised;
        if kept || self.wanted_at().is_some_and(|at| now >= at) {
            return Some(self.update(run, now, kept));
        }
        if !driven {
            return None;
        }
        let gap = self.every.gap(now.since(run.opened_at));
        let before = |(most, part): (Dur, i64)| promised.after(Dur(-most.0.min(gap.0 / part)));
        let asked = self.asked.is_some_and(|(of, _)| of == promised);
        if !asked && now >= before(ASK_LEAD) && run.holder("technical_lead").is_some() {
            self.asked = Some((promised, now));
            return Some(Due::AskLead { promised });
        }
        if self.drafted != Some(promised) && now >= before(SHOW_DRAFT) && run.holder("incident_commander").is_some() {
            self.drafted = Some(promised);
            return Some(Due::Draft { promised });
        }
        None
    }

    /// When an update is wanted for what has happened.
    fn wanted_at(&self) -> Option<Time> {
        let first = self.reasons.first()?;
        let of = |haste| self.reasons.iter().find(|reason| reason.haste == haste).map(|reason| reason.at);
        let after = |gap: Dur, at: Time| self.last.as_ref().map_or(at, |last| last.made_at.after(gap).max(at));
        let soon = of(Haste::Soon).map(|at| after(self.gap_min.min(SOON), at));
        [of(Haste::AtOnce), soon, Some(after(self.gap_min, first.at))].into_iter().flatten().min()
    }

    fn update(&mut self, run: &Run, now: Time, kept: bool) -> Due {
        let mut why: Vec<String> = std::mem::take(&mut self.reasons).into_iter().map(|reason| reason.text).collect();
        why.dedup();
        if kept && self.given {
            why.push("as promised".into());
        }
        let sent = self.drafted.is_some() && self.drafted == self.promised && !kept;
        // A person who sends the draft has kept the promise that it was drafted for.
        if kept || (sent && why.iter().any(|why| why.starts_with(SENT))) {
            let mut next = self.promised.unwrap_or(now);
            while next <= now || Some(next) == self.promised {
                next = next.after(self.every.gap(next.since(run.opened_at)));
            }
            self.promised = Some(next);
        }
        let asked_lead_at = self.asked.take_if(|(of, _)| kept || Some(*of) != self.promised).map(|(_, at)| at);
        self.last = Some(Last {
            made_at: now,
            phase: phase(run).map(str::to_owned),
            course: self.last.take().map_or(Course::Unknown, |last| last.course),
        });
        // Nobody is there to keep a promise once the controller leaves.
        let driven = run.finished.is_none() && !run.leaving;
        let next_at = self.promised.filter(|_| driven);
        self.given = next_at.is_some();
        Due::Update { why, asked_lead_at, next_at }
    }

    /// What the update that was made says of the objective: a change is told against it.
    pub fn made(&mut self, course: Course) {
        if let Some(last) = &mut self.last {
            last.course = course;
        }
    }

    /// When people are promised to hear next; nobody is while nobody drives the run.
    pub fn promise(&self, run: &Run) -> Option<Time> {
        self.promised.filter(|_| run.finished.is_none() && !run.leaving)
    }

    /// For which promise the lead was asked, and the draft shown: to be kept.
    pub fn kept(&self) -> (Option<(Time, Time)>, Option<Time>) {
        (self.asked, self.drafted)
    }

    /// Whether a person sends an update that is not made yet.
    pub fn is_sent(&self) -> bool {
        self.reasons.iter().any(|reason| reason.text.starts_with(SENT))
    }

    /// Takes back what [`Self::kept`] gave before a restart.
    pub fn keep(&mut self, (asked, drafted): (Option<(Time, Time)>, Option<Time>)) {
        (self.asked, self.drafted) = (asked, drafted);
    }
}

/// The promise that stands after people were told an update at this moment: what the grid says, where no book of
/// deliveries is at hand that says it.
pub(crate) fn promised_after(run: &Run, events: &[Event], told: Time) -> Time {
    let every = run.plan().comms.as_ref().map_or(Every::default(), |comms| comms.every.clone());
    let gap = |at: Time| every.gap(at.since(run.opened_at));
    let reopened = events.iter().rev().find(|event| matches!(event.kind, Kind::Reopened { .. }) && event.at <= told);
    let mut promised = reopened.map_or(run.opened_at, |event| event.at).after(every.gap(Dur(0)));
    while promised <= told {
        promised = promised.after(gap(promised));
    }
    // Who sends the draft of a promised update has kept that promise before its time.
    let drafted = promised.after(Dur(-SHOW_DRAFT.0.0.min(gap(told).0 / SHOW_DRAFT.1)));
    let sent = |event: &Event| {
        matches!(event.kind, Kind::Worded { send: true, .. }) && drafted <= event.at && event.at <= told
    };
    if events.iter().any(sent) { promised.after(gap(promised)) } else { promised }
}

/// Whether a person is waited for.
fn asking(run: &Run) -> bool {
    run.open.iter().any(|step| matches!(run.step(*step).state, State::Asking { .. }))
}

fn words(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Recovered => "recovered",
        Outcome::RecoveredWithExceptions => "recovered with exceptions",
        Outcome::Unverified => "done, not verified",
        Outcome::Failed => "failed",
        Outcome::Stopped => "stopped",
        Outcome::Undone => "undone",
    }
}
