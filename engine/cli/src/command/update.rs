//! The Incident Commander's updates, who has which role, and what has not been told.

use super::{Here, say};
use crate::{
    args::{Comms, Role, Update},
    control,
    failure::{self, Failure},
    show, state,
    telling::Telling,
};
use dr_comms::{book, post};
use dr_engine::{inbox::Inbox, journal::sqlite, message::Ask, plan::hex};

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
        Update::Edit(args) => say::say(here, &args.run, Ask::Word { text: args.text, send: false }, &args.saying),
        Update::Send(args) => say::say(here, &args.run, Ask::Word { text: args.text, send: true }, &args.saying),
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
    let Comms::Deliver(args) = what;
    let id = here.state.find(&args.run)?;
    let folder = here.state.folder(&id);
    if let Some(holder) = sqlite::holder(&folder)? {
        let message = format!("{} holds the run, and delivers what it has to tell", holder.text);
        return Err(Failure::new(failure::TAKEN, message).hint(format!("dr status {id}")));
    }
    let (run, _) = state::load(&folder)?;
    let (settings, clock) = (here.settings_of(&run)?, control::clock());
    let Some(telling) = Telling::begin(&run, &folder, &settings, &clock, &control::crash_at()?) else {
        return Err(Failure::before("the runbook names nobody who could be told").hint("give it `comms`"));
    };
    telling.end(&clock, settings.last_words_max);
    let inbox = Inbox::of(&folder);
    let said = inbox.waiting().unwrap_or_default().into_iter();
    let told: Vec<_> = said.filter(|message| matches!(message.ask, Ask::Told { .. })).collect();
    say::append(&folder, &told)?;
    told.iter().for_each(|message| drop(inbox.done(message)));
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
    Ok(format!("{}\n\n{}", update.subject(), update.to_text(usize::MAX)))
}
