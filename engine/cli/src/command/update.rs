//! The Incident Commander's updates, and who has which role.

use super::{Here, say};
use crate::{
    args::{Role, Update},
    control,
    failure::Failure,
    show, state,
};
use dr_comms::post;
use dr_engine::{message::Ask, plan::hex};

/// `dr update`.
pub fn update(here: &Here, what: Update) -> Result<u8, Failure> {
    match what {
        Update::Draft(args) => {
            show::print(&show::plain(&draft(here, &args.run)?));
            Ok(crate::failure::DONE)
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

/// The next update as it would be now.
fn draft(here: &Here, run: &str) -> Result<String, Failure> {
    let folder = here.state.folder(&here.state.find(run)?);
    let read = state::history(&folder)?;
    let now = control::clock().now();
    let update = post::draft(&folder, &read.events, &hex(&read.head), now);
    let update = update.map_err(|e| Failure::before(format!("the update cannot be drafted: {e}")))?;
    Ok(format!("{}\n\n{}", update.subject(), update.to_text(usize::MAX)))
}
