//! `dr execute`: open a run and drive it.

use super::{Here, moment, plan};
use crate::{
    args::Execute,
    break_glass::{self, Wanted},
    claim::{Claiming, Wish},
    control::{self, Control},
    endpoints::Endpoints,
    failure::{self, Failure},
    person, show, state,
};
use dr_engine::{
    event::{Event, Kind, Opened, RunKind},
    journal::{Journal, sqlite::Sqlite},
    plan::{EXECUTIVE, Plan, Role},
    run::Run,
};
use std::io::{self, BufRead, IsTerminal};

/// Executes a runbook, or a plan that was saved.
pub fn execute(here: &Here, args: Execute) -> Result<u8, Failure> {
    let (plan, folder) = plan::chosen(&args.chosen)?;
    let prediction = show::plan::predict(&plan, args.driving.parallel);
    if args.dry_run {
        show::print(&show::plan::render(&plan, &prediction));
        return Ok(failure::DONE);
    }
    let clock = control::clock();
    let crash = control::crash_at()?;
    let now = clock.now();
    let kind = Endpoints::in_force().kind(plan.calls_provider(), args.kind)?;
    if let Some(name) = &args.who {
        known(&plan, name)?;
    }
    if let Some(name) = &args.declared_by {
        may_declare(&plan, name)?;
    }
    let wish = Wish::of(args.on_claim, args.why.as_deref(), args.who.as_deref(), &plan)?;
    let mut settings = here.settings.clone();
    let glass = Wanted::of(args.break_glass, args.why.as_deref(), args.who.as_deref())?;
    let glass = glass.map(|wanted| wanted.take(&plan, &mut settings)).transpose()?;
    let at = |text: &Option<String>| text.as_deref().map(|t| moment(t, now)).transpose();
    let (incident, detected_at, declared_at) = (at(&args.incident_at)?, at(&args.detected_at)?, at(&args.declared_at)?);
    alone(here, &plan, kind, args.also)?;
    confirm(&plan, kind, &args, &prediction)?;
    let incident = match incident {
        None if kind == RunKind::Live && io::stdin().is_terminal() => ask_incident(now)?,
        given => given,
    };
    let run = state::new_id(now, &plan.name);
    let opened = Opened {
        run: run.clone(),
        plan,
        folder,
        kind,
        incident_at: incident.unwrap_or(now),
        incident_assumed: incident.is_none(),
        detected_at,
        declared_at,
        declared_by: args.declared_by.clone(),
        by: person::here(args.who.as_deref()),
    };
    let folder = here.state.folder(&run);
    let runtime = control::runtime()?;
    let world = super::world(&opened, &folder, &settings);
    runtime.block_on(break_glass::ready(glass.as_ref(), &world))?;
    // Before anything is written: who is refused here leaves nothing behind.
    let claiming = runtime.block_on(Claiming::begin(&opened, 1, &world, &clock, wish))?;
    let mut journal = Sqlite::create(&folder, &person::process(), crash.clone())?;
    let first = Event { seq: 1, at: now, kind: Kind::Opened(Box::new(opened)) };
    let run = Run::open(first.clone()).map_err(|e| Failure::before(e.to_string()))?;
    // Until this is written there is no run; nothing else was changed.
    let written = vec![first];
    journal.append(&written)?;
    let first = vec![control::joined(journal.epoch(), None, glass)];
    let control = Control {
        folder,
        journal,
        run,
        written,
        first,
        fresh: true,
        claiming,
        world,
        registry: dr_steps::registry(),
        settings: &settings,
        driving: args.driving,
        json: here.json,
        crash,
        clock,
    };
    here.head(&control.run, &control.first);
    control.drive(runtime)
}

/// A name must stand in the runbook's roles.
pub fn known(plan: &Plan, name: &str) -> Result<(), Failure> {
    let names: Vec<_> = plan.roles.values().flat_map(Role::people).collect();
    if names.contains(&name) {
        return Ok(());
    }
    let failure = Failure::usage(format!("`{name}` stands in no role of this runbook"));
    Err(match names.as_slice() {
        [] => failure.hint("the runbook names nobody under `roles`"),
        names => failure.hint(format!("the names are: {}", names.join(", "))),
    })
}

/// A disaster is declared by an executive or a deputy of theirs.
fn may_declare(plan: &Plan, name: &str) -> Result<(), Failure> {
    let executives: Vec<_> = plan.roles.get(EXECUTIVE).into_iter().flat_map(Role::people).collect();
    if executives.contains(&name) {
        return Ok(());
    }
    let failure = Failure::usage(format!("`{name}` is no executive of this runbook, nor a deputy"));
    Err(match executives.as_slice() {
        [] => failure.hint(format!("name one under `roles`: `{EXECUTIVE}: {{ name: … }}`; or leave out --declared-by")),
        names => failure.hint(format!("a disaster is declared by: {}", names.join(", "))),
    })
}

/// Two recoveries of one plan at the same time would undo each other.
fn alone(here: &Here, plan: &Plan, kind: RunKind, also: bool) -> Result<(), Failure> {
    for (id, run) in here.state.loaded()? {
        let run = match run {
            Ok(run) if run.finished.is_none() && run.plan().name == plan.name => run,
            Ok(_) => continue,
            Err(failure) => {
                show::aside(&format!("note: whether the run {id} is finished cannot be read: {}", failure.message));
                continue;
            }
        };
        if run.opened.kind != RunKind::Live || kind != RunKind::Live {
            show::aside(&format!("note: the {} run {id} of this runbook is not finished", run.opened.kind.word()));
        } else if !also {
            return Err(Failure::new(failure::TAKEN, format!("the live run {id} of this runbook is not finished"))
                .hint(format!("`dr resume {id}` goes on with it; --also starts another beside it")));
        }
    }
    Ok(())
}

/// Whoever starts a live recovery says so in full.
fn confirm(plan: &Plan, kind: RunKind, args: &Execute, prediction: &show::plan::Prediction) -> Result<(), Failure> {
    let hash = plan.hash();
    if let Some(given) = &args.confirm {
        if given.len() >= 8 && hash.starts_with(given.as_str()) {
            return Ok(());
        }
        if given.len() < 8 {
            return Err(Failure::usage(format!("`--confirm {given}` is too short: at least 8 digits of the hash"))
                .hint("review it again: dr plan RUNBOOK"));
        }
        return Err(Failure::usage(format!(
            "the plan is {}, not `{given}`: it changed since it was reviewed",
            &hash[..12]
        ))
        .hint("review it again: dr plan RUNBOOK"));
    }
    if args.yes && kind != RunKind::Live {
        return Ok(());
    }
    let runbook = dr_engine::question::word(&args.chosen.runbook.display().to_string());
    let way = format!(
        "read it (dr plan {runbook}), then give the same command with --confirm {}; to rehearse: --kind drill --yes",
        &hash[..12]
    );
    if args.yes {
        return Err(Failure::usage("--yes is for drills and labs; this is a live run").hint(way));
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::usage(format!("a {} run has to be confirmed, and nobody can be asked here", kind.word()))
            .hint(way));
    }
    show::aside(&show::plan::render(plan, prediction));
    show::aside(&format!("{} · type the runbook's name to start it ({}):", kind.word().to_uppercase(), plan.name));
    let mut typed = String::new();
    io::stdin().lock().read_line(&mut typed).map_err(|e| Failure::before(e.to_string()))?;
    if typed.trim() == plan.name {
        return Ok(());
    }
    Err(Failure::before("that is not the runbook's name: nothing was started"))
}

fn ask_incident(now: dr_engine::clock::Time) -> Result<Option<dr_engine::clock::Time>, Failure> {
    show::aside("when did the outage begin? HH:MM in UTC, -25m, or empty if nobody knows:");
    let mut typed = String::new();
    io::stdin().lock().read_line(&mut typed).map_err(|e| Failure::before(e.to_string()))?;
    if typed.trim().is_empty() { Ok(None) } else { moment(typed.trim(), now).map(Some) }
}
