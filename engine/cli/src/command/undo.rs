//! `dr undo`: take back what was done, in the reverse order.

use super::{Here, resume, say};
use crate::{args::Undo, claim::Wish, control, failure::Failure, person, show, state::Known};
use dr_engine::message::{self, Ask, Message, Taken};
use std::io::{self, BufRead, IsTerminal};

/// Shows what would be taken back, asks, and does it.
pub fn undo(here: &Here, args: Undo) -> Result<u8, Failure> {
    let id = here.state.find(&args.run)?;
    let known = Known::load(here.state.folder(&id))?;
    let run = &known.run;
    if let Some(name) = &args.saying.who {
        super::execute::known(run.plan(), name)?;
    }
    let undo = |shown| Ask::Undo { step: args.step.clone(), around: args.around, why: args.saying.why.clone(), shown };
    let mut by = person::here(args.saying.who.as_deref());
    by.message = Some(format!("{:013}-{}", control::clock().now().0, std::process::id()));
    let message = Message { by, ask: undo(None) };
    let living = resume::alive(&known.folder)?;
    let taken = message::take(run, &message).map_err(|why| {
        // What was under way when its controller died ends for nobody: somebody has to look.
        let under_way = !living && run.finished.is_none() && run.steps().any(|(_, it)| it.state.word() == "running");
        let hint = if under_way {
            format!("no controller runs; dr resume {id} finds out first")
        } else {
            format!("dr status {id}")
        };
        Failure::before(why).hint(hint)
    })?;
    let Taken::Events(kinds) = taken else { return Err(Failure::before("an undo needs no proof")) };
    let mut steps: Vec<_> = message::taken_back(&kinds).map(|step| run.plan().step(step)).collect();
    let shown = steps.iter().map(|step| step.id.clone()).collect();
    steps.reverse();
    let ids: Vec<_> = steps.iter().map(|step| step.id.as_str()).collect();
    let traffic: Vec<_> = steps.iter().filter(|step| step.moves_traffic).map(|step| step.id.as_str()).collect();
    show::aside(&format!("{} · taken back, in this order: {}", run.opened.kind.word().to_uppercase(), ids.join(", ")));
    if !args.yes {
        let name = &run.plan().name;
        confirm(&format!("type the runbook's name to take these steps back ({name}):"), name, "--yes")?;
    }
    if !traffic.is_empty() && !args.traffic_back {
        let primary = run.plan().regions.get("primary").map_or("where they were before", String::as_str);
        show::aside(&format!("{} will send users back toward {primary}: does it serve again?", traffic.join(", ")));
        confirm(&format!("type the region's name to send them there ({primary}):"), primary, "--traffic-back")?;
    }
    if living {
        return say::say(here, &id, undo(Some(shown)), &args.saying);
    }
    let wish = Wish::of(args.on_claim, Some(&args.saying.why), args.saying.who.as_deref(), known.run.plan())?;
    resume::drive(here, known, None, args.driving, (wish, None), kinds)
}

/// Goes on when a person types the word.
fn confirm(question: &str, word: &str, flag: &str) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage("this has to be confirmed, and nobody can be asked here").hint(flag));
    }
    show::aside(question);
    let mut typed = String::new();
    io::stdin().lock().read_line(&mut typed).map_err(|e| Failure::before(e.to_string()))?;
    if typed.trim() == word {
        return Ok(());
    }
    Err(Failure::before(format!("that is not `{word}`: nothing was taken back")))
}
