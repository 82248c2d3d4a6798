//! `--break-glass`: the credentials that are kept for when the usual ones
//! cannot be had, because the sign-in stands in the region that is lost.
//!
//! They are taken by somebody who says why, for as long as one controller
//! lives; whoever goes on after it says it again, or works with the usual ones.

use crate::{failure::Failure, person, settings::Settings};
use dr_engine::{
    event::{BreakGlass, Person},
    plan::Plan,
};
use dr_steps::world::World;

/// That somebody wants them.
pub struct Wanted {
    why: String,
    by: Person,
}

impl Wanted {
    /// From the command line.
    pub fn of(said: bool, why: Option<&str>, who: Option<&str>) -> Result<Option<Self>, Failure> {
        let why = why.unwrap_or_default().trim();
        match said {
            false => Ok(None),
            true if why.is_empty() => {
                Err(Failure::usage("--break-glass wants a reason, for the report").hint("--why TEXT"))
            }
            true => Ok(Some(Self { why: why.to_owned(), by: person::here(who) })),
        }
    }

    /// Puts the profile of the settings in force, and gives what is written down of it.
    pub fn take(self, plan: &Plan, settings: &mut Settings) -> Result<BreakGlass, Failure> {
        if !plan.calls_provider() {
            let failure = Failure::usage("--break-glass, but this runbook calls no service of AWS");
            return Err(failure.hint("leave it out"));
        }
        let Some(kept) = &settings.break_glass else {
            let failure = Failure::usage("--break-glass, but the settings name no profile for it");
            return Err(failure.hint("in dr.toml: `[break_glass]`, and `profile = \"NAME\"` of the AWS configuration"));
        };
        let profile = kept.profile.clone();
        settings.profile = Some(profile.clone());
        Ok(BreakGlass { profile, why: self.why, by: self.by })
    }
}

/// Refuses to begin with a profile that gives no credentials: nothing is written yet.
pub async fn ready(taken: Option<&BreakGlass>, world: &World) -> Result<(), Failure> {
    let Some(BreakGlass { profile, .. }) = taken else { return Ok(()) };
    world.aws.gives_keys().await.map_err(|why| {
        let failure = Failure::before(format!("the break-glass profile `{profile}` gives no credentials: {why}"));
        failure.hint(format!("`aws configure list --profile {profile}` shows what it has"))
    })
}
