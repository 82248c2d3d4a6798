//! A controller: the process that holds a run and drives it to its end.

use crate::{
    args::Driving,
    claim::{Claiming, Untaken},
    failure::{self, Failure},
    person,
    settings::Settings,
    show::{self, screen::Screen},
    state,
    telling::{self, Telling},
};
use dr_engine::{
    clock::{Clock, SystemClock},
    crash::CrashAt,
    duration::Dur,
    event::{BreakGlass, Controller, Event, Kind, Outcome},
    executor::{Arrival, Executor, Exit, Tools},
    inbox::Inbox,
    journal::{
        Journal,
        sqlite::{self, Sqlite},
    },
    kind::Registry,
    lease::Lease,
    limits,
    message::{self, Message, Taken},
    run::Run,
    step::Guard,
};
use dr_steps::world::World;
use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::{
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
    sync::{mpsc, oneshot},
};

/// Everything that a controller begins with.
pub struct Control<'a> {
    /// The run's folder.
    pub folder: PathBuf,
    /// Its journal, held.
    pub journal: Sqlite,
    /// The run so far.
    pub run: Run,
    /// What was written before the loop begins, to be told first.
    pub written: Vec<Event>,
    /// The events that this controller brings.
    pub first: Vec<Kind>,
    /// The run was opened just now: nothing of it was done.
    pub fresh: bool,
    /// The runbook's claim, if it names one.
    pub claiming: Option<Claiming>,
    /// What lies behind the kinds of work.
    pub world: Arc<World>,
    /// The kinds of work.
    pub registry: Registry,
    /// The settings in force.
    pub settings: &'a Settings,
    /// How it is driven.
    pub driving: Driving,
    /// JSON lines instead of text.
    pub json: bool,
    /// The power goes there.
    pub crash: Arc<CrashAt>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

/// Where the power goes, if the environment says so.
pub fn crash_at() -> Result<Arc<CrashAt>, Failure> {
    let text = std::env::var("DR_CRASH_AT").unwrap_or_default();
    CrashAt::parse(&text).map(Arc::new).map_err(Failure::usage)
}

/// What a controller runs on. Connections that were made on one are of no use on another.
pub fn runtime() -> Result<Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|e| Failure::before(format!("no runtime could be made: {e}")))
}

/// The machine's clock.
pub fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::new())
}

/// The event of a controller that joins.
pub fn joined(epoch: u64, why: Option<String>, break_glass: Option<BreakGlass>) -> Kind {
    Kind::Joined(Controller {
        host: person::host(),
        pid: std::process::id(),
        epoch,
        version: env!("DR_VERSION_IN_JOURNALS").into(),
        why,
        break_glass,
    })
}

impl Control<'_> {
    /// Drives the run until it ends, and gives the exit code.
    pub fn drive(self, runtime: Runtime) -> Result<u8, Failure> {
        let code = runtime.block_on(self.until_the_end());
        // Steps that still wait on a provider are left: a resume adopts them.
        runtime.shutdown_background();
        code
    }

    async fn until_the_end(mut self) -> Result<u8, Failure> {
        let id = self.run.opened.run.clone();
        let lease = Lease::new(self.folder.clone(), self.journal.epoch(), self.crash.clone());
        let lease: Arc<dyn Guard> = Arc::new(lease);
        let mut claiming = self.claiming.take();
        if let Some(claiming) = &mut claiming {
            self.claim(claiming, &lease).await?;
        }
        let (tell, mut arrivals) = mpsc::unbounded_channel();
        listen(&tell)?;
        let inbox = Inbox::of(&self.folder);
        let said = inbox.waiting().unwrap_or_default().into_iter();
        let said: Vec<_> = said.map(|message| hand_on(&tell, message)).collect();
        tokio::spawn(listen_to(inbox, said, self.clock.clone(), tell.clone()));
        let mut screen = Screen::begin(self.json, &self.run, &self.folder, &self.clock);
        screen.before(&self.written, &self.run);
        screen.remind(&self.run);
        let chatter = screen.hearing(&self.run, &self.folder, &self.clock);
        let mut executor = Executor {
            journal: &mut self.journal,
            observer: &mut screen,
            tools: Tools {
                steps: Arc::new(self.registry.clone()),
                clock: self.clock.clone(),
                world: self.world.clone(),
                guard: claiming.as_ref().map_or_else(|| lease.clone(), |claiming| claiming.fence(lease.clone())),
                chatter,
                poll_gap_min: self.settings.poll_gap_min,
            },
            parallel: self.driving.parallel.map_or(limits::PARALLEL_MAX, |n| n as usize),
            no_wait: self.driving.no_wait,
        };
        let telling = Telling::begin((&self.run, true), &self.folder, self.settings, &self.clock, &self.crash);
        let told = |most| telling.into_iter().for_each(|telling| telling.end(&self.clock, most));
        let first = std::mem::take(&mut self.first);
        let lock = sqlite::lock_file(&self.folder);
        let exit = tokio::select! {
            biased;
            exit = executor.execute(&mut self.run, first, &mut arrivals) => exit,
            by = taken_over(&self.folder, lock, &self.clock) => {
                told(Dur(0));
                screen.close();
                return Err(Failure::new(failure::TAKEN, format!("{by} has taken this run over; this controller ends"))
                    .hint(format!("dr watch {id}")));
            }
            lost = claim_lost(claiming.as_ref(), &lease) => {
                told(Dur(0));
                screen.close();
                return Err(lost);
            }
        };
        let exit = match exit {
            Ok(exit) => exit,
            Err(stopped) => {
                told(Dur(0));
                screen.close();
                return Err(failure::stopped(stopped, &id));
            }
        };
        told(if matches!(exit, Exit::Finished(_)) { self.settings.last_words_max } else { telling::LEAVE });
        self.write_down_what_was_told();
        let summed_up = screen.end() && io::stderr().is_terminal();
        if let (Exit::Finished(_), Some(claiming)) = (exit, &claiming) {
            claiming.let_go(&lease).await;
        }
        Ok(self.last_words(&id, exit, summed_up))
    }

    /// Takes the claim before anything begins. A run that was opened just now
    /// and may not go on leaves nothing behind.
    async fn claim(&mut self, claiming: &mut Claiming, lease: &Arc<dyn Guard>) -> Result<(), Failure> {
        if let Some(note) = claiming.note() {
            self.write_down(note)?;
        }
        match claiming.take(self.journal.epoch(), lease).await {
            Ok(()) => Ok(()),
            Err(Untaken::Without(note)) => self.write_down(note),
            Err(Untaken::Doubt(failure)) => Err(failure),
            Err(Untaken::Refused(failure)) => {
                if self.fresh {
                    state::discard(&self.folder)?;
                }
                Err(failure)
            }
        }
    }

    /// Writes down, before it is done, what a person wants of the claim.
    fn write_down(&mut self, note: Kind) -> Result<(), Failure> {
        // Whoever writes has joined.
        let joined = self.first.iter().position(|kind| matches!(kind, Kind::Joined(_)));
        let mut batch = Vec::new();
        for kind in joined.map(|at| self.first.remove(at)).into_iter().chain([note]) {
            let event = Event { seq: self.run.seq + 1, at: self.clock.now().max(self.run.at), kind };
            self.run.apply(&event).map_err(|e| Failure::before(e.to_string()))?;
            batch.push(event);
        }
        self.journal.append(&batch)?;
        self.written.extend(batch);
        Ok(())
    }

    /// What has arrived since the loop ended is written down still. Where that
    /// fails, the message waits for the next controller.
    fn write_down_what_was_told(&mut self) {
        let inbox = Inbox::of(&self.folder);
        for message in inbox.waiting().unwrap_or_default() {
            let Ok(Taken::Events(kinds)) = message::take(&self.run, &message) else { continue };
            let known = message.by.message.as_ref().is_some_and(|id| self.run.taken.contains(id));
            let told = kinds.iter().all(|kind| matches!(kind, Kind::Told { .. }));
            if told && (known || kinds.into_iter().try_for_each(|kind| self.write_down(kind)).is_ok()) {
                inbox.done(&message).ok();
            }
        }
    }

    /// The exit code, and what a person does next, unless a summary has just said it.
    fn last_words(&self, id: &str, exit: Exit, summed_up: bool) -> u8 {
        match exit {
            Exit::Finished(outcome) => {
                if !summed_up {
                    show::aside(&format!("{}: dr report {id}", show::lines::ending(outcome)));
                }
                over(&self.run, outcome, self.driving.strict)
            }
            Exit::Held => {
                show::aside(&format!("held: nothing goes on without a person; `dr status {id}` shows the questions"));
                show::aside(&format!("then: dr resume {id}"));
                failure::HELD
            }
            Exit::Left => {
                if let Some(ids) = doubtful(&self.run) {
                    show::aside(&format!("left under way, looked at on resume: {ids}"));
                }
                show::aside(&format!("interrupted, state saved: dr resume {id}"));
                failure::INTERRUPTED
            }
        }
    }
}

/// The exit code of a run that is over; names what is in doubt all the same.
pub fn over(run: &Run, outcome: Outcome, strict: bool) -> u8 {
    let Some(ids) = doubtful(run) else { return failure::code(run, outcome, strict) };
    show::aside(&format!("nobody knows what became of: {ids}"));
    failure::UNKNOWN
}

/// The steps of which nobody knows what became of them, if there are such.
fn doubtful(run: &Run) -> Option<String> {
    let ids: Vec<_> = run.in_doubt().iter().map(|step| run.plan().step(*step).id.as_str()).collect();
    (!ids.is_empty()).then(|| ids.join(", "))
}

/// Returns when somebody else holds the claim.
async fn claim_lost(claiming: Option<&Claiming>, lease: &Arc<dyn Guard>) -> Failure {
    match claiming {
        Some(claiming) => claiming.lost(lease).await,
        None => std::future::pending().await,
    }
}

/// Signals: the first asks to leave, the second leaves. A terminal that went
/// away ends nothing.
fn listen(tell: &mpsc::UnboundedSender<Arrival>) -> Result<(), Failure> {
    let failed = |e| Failure::before(format!("signals cannot be heard: {e}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
    let tell = tell.clone();
    tokio::spawn(async move {
        let mut asked = false;
        loop {
            tokio::select! {
                Some(()) = interrupt.recv() => {}
                Some(()) = terminate.recv() => {}
                Some(()) = hangup.recv() => continue,
                else => return,
            }
            let arrival = if asked { Arrival::Leave } else { Arrival::Cancel(person::here(None)) };
            if !asked {
                show::aside("leaving when what runs has ended; once more leaves at once");
            }
            asked = true;
            if tell.send(arrival).is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// Returns when another lock lies in the place of this one, with who put it
/// there. A controller that only waits for people writes nothing, and would
/// not learn from its journal that it is fenced.
async fn taken_over(folder: &Path, ours: Option<u64>, clock: &Arc<dyn Clock>) -> String {
    loop {
        clock.sleep(limits::INBOX_PAUSE).await;
        let named = sqlite::lock_file(folder);
        if named.is_some() && named != ours {
            let holder = sqlite::holder(folder).ok().flatten();
            return holder.map_or_else(|| "another controller".into(), |holder| holder.text);
        }
    }
}

/// A message on its way to the loop, and what the loop will say to it.
type Said = (Message, oneshot::Receiver<Result<(), String>>);

fn hand_on(tell: &mpsc::UnboundedSender<Arrival>, message: Message) -> Said {
    let (reply, said) = oneshot::channel();
    // A loop that is gone hears nothing; then the reply never comes either.
    tell.send(Arrival::Message(message.clone(), reply)).ok();
    (message, said)
}

/// Takes messages as they come, and removes each once it is durable. `first`
/// are those that waited for this controller: their senders are gone.
async fn listen_to(inbox: Inbox, first: Vec<Said>, clock: Arc<dyn Clock>, tell: mpsc::UnboundedSender<Arrival>) {
    for (message, said) in first {
        match settle(&inbox, &message, said).await {
            Some(Ok(())) => {}
            Some(Err(why)) => {
                let by = message.by.name.as_ref().unwrap_or(&message.by.user);
                show::aside(&format!("what {by} said before this controller came was not taken: {why}"));
            }
            None => return,
        }
    }
    loop {
        for message in inbox.waiting().unwrap_or_default() {
            let (message, said) = hand_on(&tell, message);
            if settle(&inbox, &message, said).await.is_none() {
                return;
            }
        }
        clock.sleep(limits::INBOX_PAUSE).await;
    }
}

/// Waits for what becomes of a message and takes it out of the inbox; `None`
/// when the loop has ended.
async fn settle(
    inbox: &Inbox,
    message: &Message,
    said: oneshot::Receiver<Result<(), String>>,
) -> Option<Result<(), String>> {
    let said = said.await.ok()?;
    // A file that cannot be removed is known by its id when it is found again.
    match &said {
        Ok(()) => inbox.done(message).ok(),
        Err(why) => inbox.refuse(message.by.message.as_deref().unwrap_or_default(), why).ok(),
    };
    Some(said)
}

/// The folder of the runbook, for relative paths of commands.
pub fn folder_of(runbook: &Path) -> String {
    let parent = runbook.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    parent.canonicalize().unwrap_or_else(|_| parent.to_path_buf()).display().to_string()
}
