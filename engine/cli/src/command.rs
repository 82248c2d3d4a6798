//! One file per command, and what several of them share.

mod audit;
mod completions;
mod doctor;
mod execute;
mod explain;
mod export;
mod graph;
mod history;
mod lab;
mod logs;
mod man;
mod plan;
mod report;
mod resume;
mod say;
mod schema;
mod status;
mod undo;
mod update;
mod watch;

use crate::{
    args::{self, Args, Audit, Chosen, Command, ModeArg},
    failure::Failure,
    settings::Settings,
    show,
    state::State,
};
use dr_comms::template;
use dr_engine::{
    clock::Time,
    event::{Kind, Opened},
    plan::{
        Account, Mode, Plan, Selection,
        build::{self, Options, Sources},
    },
    run::Run,
    yaml::Limits,
};
use dr_steps::{
    aws::{Aws, pace::Pace},
    world::{Accounts, Role, World},
};
use std::{
    fs,
    io::{self, Read},
    path::{Component, Path, PathBuf},
    sync::Arc,
};

/// Does what was asked; gives the exit code.
pub fn run(args: Args) -> Result<u8, Failure> {
    let runbook = match &args.command {
        Command::Execute(execute) => Some(execute.chosen.runbook.clone()),
        Command::Plan(plan) => Some(plan.chosen.runbook.clone()),
        Command::Graph(graph) => Some(graph.chosen.runbook.clone()),
        Command::Doctor(doctor) => doctor.runbook.clone(),
        Command::Comms(args::Comms::Test(test)) => Some(test.runbook.clone()),
        _ => None,
    };
    // A shell that was in a lab still names the settings of it; that must not
    // keep anybody from starting the lab again.
    let config = args.config.filter(|file| !matches!(args.command, Command::Lab(_)) || file.exists());
    let settings = match args.command {
        // What `dr` says of itself: a mistake in the settings breaks no shell that reads it as it starts.
        Command::Explain(_) | Command::Schema | Command::Completions(_) | Command::Man(_) => Settings::unread(),
        _ => Settings::load(config.as_deref(), args.state.as_deref(), runbook.as_deref())?,
    };
    let told = args.state.is_some() && std::env::var_os("DR_STATE").is_none();
    let here = Here { state: State::at(&settings.state), settings, config, json: args.json, told };
    match args.command {
        Command::Execute(args) => execute::execute(&here, args),
        Command::Plan(args) => plan::plan(&here, &args),
        Command::Graph(args) => graph::graph(&args),
        Command::Lint(chosen) => plan::lint(&here, &chosen),
        Command::Resume(args) => resume::resume(&here, args),
        Command::Status(args) => status::status(&here, args.run.as_deref()),
        Command::Watch(args) => watch::watch(&here, &args),
        Command::Answer(args) => say::answer(&here, args),
        Command::Done(args) => say::done(&here, args),
        Command::Note(args) => say::note(&here, args),
        Command::Update(args) => update::update(&here, args),
        Command::Role(args) => update::role(&here, args),
        Command::Comms(args) => update::comms(&here, args),
        Command::Pause(args) => say::pause(&here, &args),
        Command::Undo(args) => undo::undo(&here, args),
        Command::Logs(args) => logs::logs(&here, &args),
        Command::Report(args) => report::report(&here, &args),
        Command::History(args) => history::history(&here, &args),
        Command::Audit(Audit::Verify(args)) => audit::verify(&here, &args),
        Command::Export(args) => export::export(&here, &args),
        Command::Import(args) => export::import(&here, &args),
        Command::Explain(args) => explain::explain(&here, &args),
        Command::Schema => schema::schema(),
        Command::Completions(args) => Ok(completions::completions(&args)),
        Command::Man(args) => man::man(&args),
        Command::Lab(args) => lab::lab(&here, args),
        Command::Doctor(args) => doctor::doctor(&here, &args),
    }
}

/// What every command knows of its surroundings.
pub struct Here {
    pub settings: Settings,
    pub state: State,
    /// The settings that were named on the command line or by `DR_CONFIG`.
    config: Option<PathBuf>,
    pub json: bool,
    /// The folder of runs was given on the command line: the next command has to be given it, too.
    told: bool,
}

impl Here {
    /// The settings in force for a run that is there already: beside its runbook, as when it began.
    pub fn settings_of(&self, run: &Run) -> Result<Settings, Failure> {
        let runbook = Path::new(&run.opened.folder).join("runbook");
        let beside = (!run.opened.folder.is_empty()).then_some(runbook.as_path());
        Settings::load(self.config.as_deref(), Some(&self.settings.state), beside)
    }

    /// Says what stands above a run that begins or goes on here, with what its controller brings.
    pub fn head(&self, run: &Run, first: &[Kind]) {
        let joined = |kind: &Kind| if let Kind::Joined(it) = kind { it.break_glass.clone() } else { None };
        show::aside(&show::lines::head_of(run, first.iter().find_map(joined).as_ref()));
        if self.told {
            let folder = self.settings.state.display().to_string();
            show::aside(&format!(
                "every command about it wants --state {0}, or DR_STATE={0}",
                dr_engine::question::word(&folder)
            ));
        }
    }
}

/// Reads runbooks from the disk.
struct Files;

impl Sources for Files {
    fn read(&self, path: &str, from: Option<&str>) -> Result<(String, String), String> {
        let path: PathBuf = match from.and_then(|from| Path::new(from).parent()) {
            // Without the dots of `./parts/db.yaml`, which would only be noise.
            Some(folder) => folder.join(path).components().filter(|part| *part != Component::CurDir).collect(),
            None => PathBuf::from(path),
        };
        let shown = path.display().to_string();
        let unread = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => format!("there is no file {shown}"),
            io::ErrorKind::PermissionDenied => format!("{shown} may not be read by this user"),
            _ => format!("{shown} cannot be read: {error}"),
        };
        let file = fs::File::open(&path).map_err(unread)?;
        let size = file.metadata().map_err(unread)?;
        if size.is_dir() {
            return Err(format!("{shown} is a folder, not a runbook"));
        }
        let max = bytes_max();
        let too_long = |size: String| {
            format!("{shown} has {size} bytes, at most {max} are read (DR_READ_BYTES_MAX raises the limit)")
        };
        // The size before the text: what is too long is not read at all. What
        // has no size, such as a pipe, is read no further than that.
        if size.len() > max as u64 {
            return Err(too_long(size.len().to_string()));
        }
        let mut bytes = Vec::new();
        file.take(max as u64 + 1).read_to_end(&mut bytes).map_err(unread)?;
        if bytes.len() > max {
            return Err(too_long(format!("more than {max}")));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let good = error.utf8_error().valid_up_to();
            let line = String::from_utf8_lossy(&error.as_bytes()[..good]).matches('\n').count() + 1;
            format!("{shown} is not UTF-8 text: line {line} is the first that cannot be read; save it as UTF-8")
        })?;
        Ok((shown, text))
    }
}

fn bytes_max() -> usize {
    let raised = std::env::var("DR_READ_BYTES_MAX").ok().and_then(|text| text.parse().ok());
    raised.unwrap_or_else(|| Limits::default().bytes_max)
}

/// Plans a runbook; shows every mistake when it has any.
pub fn plan_of(chosen: &Chosen) -> Result<Plan, Failure> {
    let mut params = Vec::new();
    for param in &chosen.params {
        params.push(pair(param).ok_or_else(|| {
            Failure::usage(format!("`--param {param}` gives no value")).hint("write --param NAME=VALUE")
        })?);
    }
    let options = Options {
        params,
        mode: match chosen.mode {
            ModeArg::Graceful => Mode::Graceful,
            ModeArg::Ungraceful => Mode::Ungraceful,
        },
        selection: Selection { only: chosen.only.clone(), until: chosen.until.clone(), skip: chosen.skip.clone() },
        accept_irreversible: chosen.accept_irreversible,
        limits: Limits { bytes_max: bytes_max(), ..Limits::default() },
    };
    let path = chosen.runbook.display().to_string();
    let plan = build::plan(&path, &Files, &dr_steps::registry(), &options).map_err(|problems| {
        let count = problems.problems.len();
        let message = format!("{path} has {count} mistake{}", if count == 1 { "" } else { "s" });
        Failure { problems: Some(Box::new(problems)), ..Failure::usage(message) }
    })?;
    match plan.comms.as_ref().and_then(|comms| comms.template.as_deref()).map(template::check) {
        None | Some(Ok(())) => Ok(plan),
        Some(Err(why)) => Err(Failure::usage(format!("{path}: `comms.template`, {why}"))
            .hint("the README lists the values that a template may name")),
    }
}

/// The plan of a runbook as a whole, or the plan that was saved; and the folder
/// of its relative paths.
pub fn plan_at(path: &Path, params: &[String]) -> Result<(Plan, PathBuf), Failure> {
    if let Some(saved) = plan::saved(path)? {
        return Ok((saved.plan, saved.folder.into()));
    }
    let plan = plan_of(&Chosen {
        runbook: path.to_path_buf(),
        params: params.to_vec(),
        mode: ModeArg::Ungraceful,
        only: Vec::new(),
        until: Vec::new(),
        skip: Vec::new(),
        accept_irreversible: false,
    })?;
    Ok((plan, crate::control::folder_of(path).into()))
}

/// `NAME=VALUE`.
pub fn pair(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    (!name.is_empty()).then(|| (name.to_owned(), value.to_owned()))
}

/// A value as it was typed: JSON where it is JSON, else text.
pub fn value(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

/// What lies behind the step kinds, for a run.
pub fn world(opened: &Opened, folder: &Path, settings: &Settings) -> Arc<World> {
    let world = World::new(folder, PathBuf::from(&opened.folder));
    let mut world = world_of(Some(&opened.plan), world, settings);
    world.aws = world.aws.for_run(&opened.run);
    Arc::new(world)
}

/// A world with what the settings and a plan say of it.
pub fn world_of(plan: Option<&Plan>, mut world: World, settings: &Settings) -> World {
    world.nameservers.clone_from(&settings.nameservers);
    world.statuspage.clone_from(&settings.statuspage);
    let rates = settings.looks_per_second.iter().map(|(service, rate)| (service.as_str(), *rate));
    let region = |name| plan.and_then(|plan| plan.regions.get(name));
    let home = region("recovery").map(String::as_str);
    world.primary = region("primary").cloned();
    world.aws = Aws::default().paced(Pace::per_second(rates)).homed(home).by_profile(settings.profile.as_deref());
    if let Some(Plan { accounts, .. }) = plan {
        world.accounts = Accounts {
            default: accounts.keys().next().filter(|_| accounts.len() == 1).cloned(),
            ids: accounts.iter().map(|(name, account)| (name.clone(), account.id.clone())).collect(),
            roles: accounts.iter().filter_map(|(name, account)| Some((name.clone(), role(account)?))).collect(),
            first: accounts.keys().next().cloned(),
            folder: world.runbook_folder.clone(),
        };
    }
    world
}

/// The role that steps of an account work as.
fn role(account: &Account) -> Option<Role> {
    // Planning has read its form; a plan of another version that has one unknown here is asked for no external id,
    // which the role then refuses.
    let external_id = account.external_id.as_ref().and_then(|it| it.secret.parse().ok());
    Some(Role { arn: account.role.clone()?, external_id })
}

/// A day, in milliseconds.
const DAY: i64 = 86_400_000;

/// A moment as people give it: RFC 3339, `HH:MM` in UTC (the last that has
/// passed) or `-25m`. The future is refused.
pub fn moment(text: &str, now: Time) -> Result<Time, Failure> {
    let wrong = || {
        Failure::usage(format!("`{text}` is no time"))
            .hint("give RFC 3339 (2026-11-22T06:10:00Z), HH:MM in UTC, or a span such as -25m")
    };
    let at = if let Some(span) = text.strip_prefix('-') {
        let span: dr_engine::duration::Dur = span.parse().map_err(|_| wrong())?;
        Time(now.0 - span.0)
    } else if let Ok(stamp) = text.parse::<jiff::Timestamp>() {
        Time(stamp.as_millisecond())
    } else {
        let (hours, minutes) = text.split_once(':').ok_or_else(wrong)?;
        let (hours, minutes): (i64, i64) = (hours.parse().map_err(|_| wrong())?, minutes.parse().map_err(|_| wrong())?);
        if !(0..24).contains(&hours) || !(0..60).contains(&minutes) {
            return Err(wrong());
        }
        let today = now.0 - now.0.rem_euclid(DAY) + (hours * 60 + minutes) * 60_000;
        Time(if today > now.0 { today - DAY } else { today })
    };
    if at > now {
        return Err(Failure::usage(format!("`{text}` lies in the future: it is {now}")));
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_world_knows_where_what_is_restored_ran() {
        let plan = |regions: serde_json::Value| {
            let plan =
                json!({ "format": 1, "name": "evacuate", "mode": "ungraceful", "regions": regions, "steps": [] });
            let plan: Plan = serde_json::from_value(plan).expect("a plan");
            world_of(Some(&plan), World::default(), &Settings::unread()).primary
        };
        let both = json!({ "primary": "eu-west-1", "recovery": "eu-central-1" });
        assert_eq!(plan(both).as_deref(), Some("eu-west-1"));
        assert_eq!(plan(json!({ "recovery": "eu-central-1" })), None);
    }
}
