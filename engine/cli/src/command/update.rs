//! The Incident Commander's updates, who has which role, and what has not been told.

use super::{Here, plan_at, say};
use crate::{
    args::{Comms, Role, Trial, Update},
    channels, control,
    failure::{self, Failure},
    person,
    show::{self, sheet::Sheet},
    state,
    telling::Telling,
};
use dr_comms::{book, mail::Recipients, parcel::Parcel, post};
use dr_engine::{duration::Dur, inbox::Inbox, journal::sqlite, message::Ask, plan::hex};

/// A trial of one way ends.
const TRIAL_MAX: Dur = Dur::seconds(30);

/// `dr update`.
pub fn update(here: &Here, what: Update) -> Result<u8, Failure> {
    match what {
        Update::Draft(args) => {
            show::print(&show::plain(&draft(here, &args.run)?));
            Ok(failure::DONE)
        }
        Update::Edit(args) if args.text.trim().is_empty() => {
            Err(Failure::usage("there are no words").hint("dr update edit RUN TEXT"))
        }
        Update::Edit(args) => {
            by_whom(here, &args.run, args.saying.who.as_deref())?;
            say::say(here, &args.run, Ask::Word { text: args.text, send: false }, &args.saying)
        }
        Update::Send(args) => {
            by_whom(here, &args.run, args.saying.who.as_deref())?;
            let code = say::say(here, &args.run, Ask::Word { text: args.text, send: true }, &args.saying)?;
            let id = here.state.find(&args.run)?;
            if sqlite::holder(&here.state.folder(&id))?.is_some() {
                return Ok(code);
            }
            show::aside("no controller runs: it is sent from here");
            deliver(here, &args.run)
        }
    }
}

/// Whose words stand above the facts that everybody reads: one of those whom the runbook names.
fn by_whom(here: &Here, run: &str, name: Option<&str>) -> Result<(), Failure> {
    let (run, _) = state::load(&here.state.folder(&here.state.find(run)?))?;
    let roles = run.plan().roles.values();
    let known: Vec<_> = roles.flat_map(|role| std::iter::once(&role.name).chain(&role.deputies)).collect();
    let hint = || {
        let mut names: Vec<_> = known.iter().map(|name| dr_engine::question::word(name)).collect();
        names.sort_unstable();
        names.dedup();
        format!("--as NAME: {}", names.join(", "))
    };
    match name {
        _ if known.is_empty() => Ok(()),
        None => Err(Failure::usage("an update has somebody's name on it: whose?").hint(hint())),
        Some(name) if !known.iter().any(|known| *known == name) => {
            Err(Failure::usage(format!("the runbook names no `{name}`")).hint(hint()))
        }
        Some(_) => Ok(()),
    }
}

/// `dr role`.
pub fn role(here: &Here, what: Role) -> Result<u8, Failure> {
    let Role::Set(args) = what;
    let ask = Ask::Role { role: args.role.clone(), to: args.to.clone(), why: args.saying.why.clone() };
    let code = say::say(here, &args.run, ask, &args.saying)?;
    show::aside(&format!("{} is {} now; a brief for them:", args.to, args.role));
    show::print(&show::plain(&draft(here, &args.run)?));
    Ok(code)
}

/// `dr comms`.
pub fn comms(here: &Here, what: Comms) -> Result<u8, Failure> {
    match what {
        Comms::Deliver(args) => deliver(here, &args.run),
        Comms::Test(args) => trial(here, &args),
    }
}

/// Sends one message by each way, and says which arrived.
fn trial(here: &Here, args: &Trial) -> Result<u8, Failure> {
    let (plan, _) = plan_at(&args.runbook, &args.params)?;
    let clock = control::clock();
    let mut ways =
        channels::ways(&plan, &control::folder_of(&args.runbook), Recipients::planned(&plan), &here.settings, &clock);
    let names: Vec<_> = ways.iter().map(|way| way.name.to_lowercase()).collect();
    if let Some(other) = args.by.iter().find(|by| !names.contains(&by.to_lowercase())) {
        let known = if names.is_empty() { "it names none".into() } else { names.join(", ") };
        return Err(Failure::usage(format!("the runbook names no way `{other}`")).hint(known));
    }
    ways.retain(|way| args.by.is_empty() || args.by.iter().any(|by| by.eq_ignore_ascii_case(way.name)));
    if ways.is_empty() {
        return Err(Failure::before("the runbook names nobody who could be told").hint("give it `comms`"));
    }
    let me = person::here(None);
    let parcel = Parcel::of_trial(&plan.name, clock.now(), &format!("{} on {}", me.user, me.host));
    let runtime = control::runtime()?;
    let mut sheet = Sheet::new(here.json);
    for way in ways {
        let sent = way.channel.and_then(|channel| {
            let sent = runtime.block_on(clock.timeout(TRIAL_MAX, channel.trial(&parcel)));
            sent.map_or(Err(format!("no answer within {TRIAL_MAX}")), |sent| sent.map_err(|it| it.to_string()))
        });
        sheet.found(&way.name.to_lowercase(), &sent);
    }
    // A way that hangs in a name server's answer ends with the process.
    runtime.shutdown_background();
    Ok(sheet.end())
}

/// Brings what waits.
fn deliver(here: &Here, run: &str) -> Result<u8, Failure> {
    let id = here.state.find(run)?;
    let folder = here.state.folder(&id);
    if let Some(holder) = sqlite::holder(&folder)? {
        let message = format!("{} holds the run, and delivers what it has to tell", holder.text);
        return Err(Failure::new(failure::TAKEN, message).hint(format!("dr status {id}")));
    }
    let (run, _) = state::load(&folder)?;
    let (settings, clock) = (here.settings_of(&run)?, control::clock());
    let Some(telling) = Telling::begin((&run, false), &folder, &settings, &clock, &control::crash_at()?) else {
        return Err(Failure::before("the runbook names nobody who could be told").hint("give it `comms`"));
    };
    telling.end(&clock, settings.last_words_max);
    let inbox = Inbox::of(&folder);
    let said = inbox.waiting().unwrap_or_default().into_iter();
    let told: Vec<_> = said.filter(|message| matches!(message.ask, Ask::Told { .. })).collect();
    say::append(&folder, &told)?;
    for message in &told {
        // What stays there is known by its id.
        inbox.done(message).ok();
    }
    let page = book::read(&folder).ok().flatten().unwrap_or_default();
    let waiting: usize = page.channels.values().map(|lane| lane.waiting.len()).sum();
    if waiting > 0 {
        let message = format!("{waiting} could not be delivered");
        return Err(Failure::new(failure::HELD, message).hint(format!("dr status {id} says why")));
    }
    Ok(failure::DONE)
}

/// The next update as it would be now.
fn draft(here: &Here, run: &str) -> Result<String, Failure> {
    let folder = here.state.folder(&here.state.find(run)?);
    let read = state::history(&folder)?;
    let now = control::clock().now();
    let update = post::draft(&folder, &read.events, &hex(&read.head), now);
    let update = update.map_err(|e| Failure::before(format!("the update cannot be drafted: {e}")))?;
    let run = state::fold(&read.events)?;
    let mark = run.opened.kind.word().to_uppercase();
    let first = format!("[{mark}] {}: {}", run.plan().name, update.subject());
    Ok(format!("{first}\n\n{}", update.to_text(usize::MAX)))
}
