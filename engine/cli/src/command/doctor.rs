//! `dr doctor`: could I recover from here, now? One line for each thing that a
//! recovery leans on. What could not be looked at is shown as unknown: it is
//! no yes.

mod accounts;
mod prepared;
mod services;

use super::{Here, plan_at};
use crate::{
    args::Doctor,
    channels, claim,
    control::{self, clock},
    endpoints::Endpoints,
    failure::Failure,
    settings::Settings,
    show::{
        self,
        plan::brief,
        sheet::{Mark, Sheet},
    },
};
use dr_comms::{mail::Recipients, statuspage::Page};
use dr_engine::{
    clock::{Clock, Time},
    comms::Health,
    duration::Dur,
    event::RunKind,
    need::Need,
    plan::Plan,
};
use dr_steps::{
    aws::{
        limits::SKEW_MAX,
        survey::{Caller, Skew},
    },
    world::World,
};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Looks at everything a recovery from here would lean on.
pub fn doctor(here: &Here, args: &Doctor) -> Result<u8, Failure> {
    let mut sheet = Sheet::new(here.json);
    let settings = &here.settings;
    let from = settings.file.as_ref().map_or("no file; defaults".into(), |f| f.display().to_string());
    sheet.say(Mark::Good, "settings", &from);
    let (ok, found) = state_folder(&settings.state);
    sheet.say(ok.into(), "state", &found);
    let servers: Vec<_> = settings.nameservers.iter().map(ToString::to_string).collect();
    let servers = if servers.is_empty() { system_resolvers() } else { format!("{} (settings)", servers.join(", ")) };
    sheet.say(Mark::Good, "resolvers", &servers);
    let plan = match &args.runbook {
        Some(path) => runbook(here, path, &args.params, &mut sheet),
        None => None,
    };
    let needs = plan.as_ref().map(|(plan, folder)| {
        let needs = prepared::needs(plan, &dr_steps::registry());
        prepared::tell(&needs, folder, &mut sheet);
        needs
    });
    let by_cli = needs.is_some_and(|needs| needs.contains_key(&Need::ProviderCli));
    let plan = plan.map(|(plan, _)| plan);
    let folder = args.runbook.as_deref().map(control::folder_of).unwrap_or_default();
    let endpoints = Endpoints::in_force();
    let (ok, found) = endpoints.told();
    sheet.say(ok.into(), "aws", &found);
    if plan.as_ref().is_some_and(|plan| !plan.calls_provider()) {
        sheet.say(
            Mark::Unknown,
            "clock",
            &format!("{} (this runbook calls no service to compare it with)", clock().now()),
        );
    } else if let Ok(kind) = endpoints.kind(true, None) {
        let runtime = control::runtime()?;
        runtime.block_on(aws(here, plan.as_ref(), &folder, kind, by_cli, &mut sheet));
        runtime.shutdown_background();
    } else {
        sheet.say(Mark::Unknown, "account", "not asked: these endpoints are no place to ask");
    }
    if let Some(plan) = &plan {
        let runtime = control::runtime()?;
        for way in channels::ways(plan, &folder, Recipients::planned(plan), settings, &clock()) {
            let found = way.channel.map(|way| runtime.block_on(way.check()).map_err(|trouble| trouble.to_string()));
            sheet.found(&way.name.to_lowercase(), &found.and_then(|found| found));
        }
        for (page, components) in channels::pages(plan) {
            sheet.found("statuspage", &runtime.block_on(statuspage(settings, &page, &components)));
        }
        runtime.shutdown_background();
    }
    Ok(sheet.end())
}

/// Whether a page of Statuspage could be spoken on; nothing is said there.
async fn statuspage(settings: &Settings, id: &str, components: &BTreeMap<String, Health>) -> Result<String, String> {
    let access = settings.statuspage.as_ref().ok_or("no [statuspage] in the settings: steps cannot speak there")?;
    let page = Page::new(access, id, clock()).map_err(|why| why.to_string())?;
    page.check(components).await.map(|found| format!("{id}: {found}")).map_err(|why| format!("{id}: {why}"))
}

/// The plan of the runbook that would be run, and the folder of its relative paths.
fn runbook(here: &Here, path: &Path, params: &[String], sheet: &mut Sheet) -> Option<(Plan, PathBuf)> {
    match plan_at(path, params) {
        Ok((plan, folder)) => {
            let count = plan.steps.len();
            let found = format!("{}, {count} step{}", path.display(), if count == 1 { "" } else { "s" });
            sheet.say(Mark::Good, "runbook", &found);
            Some((plan, folder))
        }
        Err(failure) => {
            // Its mistakes, each at its place, stand above the line that counts them.
            if failure.problems.is_some() {
                show::failure(&failure, here.json);
            }
            sheet.say(Mark::Bad, "runbook", &failure.message);
            None
        }
    }
}

/// What AWS says, in the region that recovers.
async fn aws(here: &Here, plan: Option<&Plan>, folder: &str, kind: RunKind, by_cli: bool, sheet: &mut Sheet) {
    let clock = clock();
    let world = super::world_of(plan, World::beside(folder), &here.settings);
    let recovery = plan.and_then(|plan| plan.regions.get("recovery").cloned());
    let region = match recovery {
        Some(region) => Some(region),
        None => world.aws.region_of_chain().await,
    };
    let Some(region) = region else {
        sheet.say(Mark::Unknown, "account", "not asked: no region is named (AWS_REGION, or a runbook)");
        return;
    };
    let (caller, skew) = world.aws.caller(&region, &clock).await;
    match &caller {
        Ok(caller) => account(caller, plan, &region, sheet),
        Err(failure) => sheet.failed("account", failure),
    }
    accounts::roles(&world, &region, &clock, sheet).await;
    accounts::kept(&here.settings, &region, &clock, sheet).await;
    compared(skew, clock.now(), sheet);
    if by_cli {
        command_line(&world, kind, &clock, sheet).await;
    }
    services::ask(plan, &region, &world, &clock, sheet).await;
    if let Some(plan) = plan
        && let Some((url, stands)) = claim::seen(plan, kind, &Arc::new(world), &clock).await
    {
        match stands {
            Ok(None) => sheet.say(Mark::Good, "claim", &format!("{url} is free")),
            Ok(Some(holder)) => sheet.say(Mark::Bad, "claim", &format!("{url} is held by {holder}")),
            Err(failure) => sheet.failed("claim", &failure),
        }
    }
}

fn account(caller: &Caller, plan: Option<&Plan>, region: &str, sheet: &mut Sheet) {
    let Caller { account, arn } = caller;
    let found = format!("{account} ({arn}), asked in {region}");
    // An account with a role is reached by that, whoever assumes it.
    let all = plan.iter().flat_map(|plan| &plan.accounts);
    let wanted: Vec<_> = all.filter(|(_, wanted)| wanted.role.is_none()).collect();
    if wanted.is_empty() || wanted.iter().any(|(_, wanted)| wanted.id == *account) {
        return sheet.say(Mark::Good, "account", &found);
    }
    let wanted: Vec<_> = wanted.iter().map(|(name, wanted)| format!("`{name}` is {}", wanted.id)).collect();
    let found = format!("{found}, but {} — choose its profile: AWS_PROFILE", wanted.join(", "));
    sheet.say(Mark::Bad, "account", &found);
}

/// The clock of this machine beside that of AWS.
fn compared(skew: Option<Skew>, now: Time, sheet: &mut Sheet) {
    let Some(Skew { ahead, within }) = skew else {
        return sheet.say(Mark::Unknown, "clock", &format!("{now} (nothing answered that it could be compared with)"));
    };
    let off = Dur(ahead.0.abs());
    let way = if ahead > Dur(0) { "ahead of" } else { "behind" };
    let found = if off <= within {
        format!("{now}, as AWS has it, to within {}ms", within.0)
    } else {
        format!("{now}, {} {way} AWS", brief(Dur((off.0 + 500) / 1000 * 1000)))
    };
    if off > SKEW_MAX {
        let limit = brief(SKEW_MAX);
        let found =
            format!("{found}: beyond {limit} AWS refuses what is signed here — set it: timedatectl set-ntp true");
        return sheet.say(Mark::Bad, "clock", &found);
    }
    sheet.say(Mark::Good, "clock", &found);
}

/// The AWS command line that steps would start.
async fn command_line(world: &World, kind: RunKind, clock: &Arc<dyn Clock>, sheet: &mut Sheet) {
    let installed = match world.aws.cli.installed(clock).await {
        Ok(installed) => installed,
        Err(failure) => return sheet.failed("aws cli", &failure),
    };
    match installed.too_old() {
        Some(failure) if kind != RunKind::Live => sheet.failed("aws cli", &failure),
        Some(_) => {
            let found = format!("{} {}; a lab or a drill refuses it", installed.path.display(), installed.version);
            sheet.say(Mark::Good, "aws cli", &found);
        }
        None => sheet.say(Mark::Good, "aws cli", &format!("{} {}", installed.path.display(), installed.version)),
    }
}

fn state_folder(folder: &Path) -> (bool, String) {
    let shown = folder.display();
    if let Err(e) = fs::create_dir_all(folder) {
        return (false, format!("{shown} cannot be made: {e}"));
    }
    let probe = folder.join(format!(".doctor-{}", std::process::id()));
    if let Err(e) = fs::write(&probe, "").and_then(|()| fs::remove_file(&probe)) {
        return (false, format!("nothing can be written to {shown}: {e}"));
    }
    match rustix::fs::statvfs(folder) {
        Ok(stat) => {
            let mib = stat.f_bavail.saturating_mul(stat.f_frsize) / (1024 * 1024);
            (mib >= 64, format!("{shown}, {mib} MiB free"))
        }
        Err(e) => (false, format!("{shown}: {e}")),
    }
}

fn system_resolvers() -> String {
    let text = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let servers: Vec<_> = text.lines().filter_map(|l| l.strip_prefix("nameserver ")).collect();
    if servers.is_empty() { "none in /etc/resolv.conf".into() } else { format!("{} (system)", servers.join(", ")) }
}
