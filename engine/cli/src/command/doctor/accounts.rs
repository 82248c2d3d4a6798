//! The roles of the accounts: whether each can be assumed from here, and whose account it is;
//! and whose the credentials are that are kept for emergencies.

use crate::{
    settings::Settings,
    show::sheet::{Mark, Sheet},
};
use dr_engine::clock::Clock;
use dr_steps::{
    aws::{Aws, survey::Caller},
    world::World,
};
use std::sync::Arc;

/// One line for each account that names a role.
pub(super) async fn roles(world: &World, region: &str, clock: &Arc<dyn Clock>, sheet: &mut Sheet) {
    let World { aws, accounts, .. } = world;
    for (name, found) in aws.callers_of(accounts, region, clock).await {
        let (wanted, role) = (&accounts.ids[name], &accounts.roles[name].arn);
        match found {
            Err(failure) => sheet.failed("account", &failure),
            Ok(Caller { account, arn }) if account == *wanted => {
                sheet.say(Mark::Good, "account", &format!("`{name}` is {account} ({arn}), assumed in {region}"));
            }
            Ok(Caller { account, arn }) => {
                let found = format!("`{name}` is {wanted}, but its role {role} leads to {account} ({arn})");
                sheet.say(Mark::Bad, "account", &found);
            }
        }
    }
}

/// The profile that the settings keep for emergencies: one that fails is seen now, not then.
pub(super) async fn kept(settings: &Settings, region: &str, clock: &Arc<dyn Clock>, sheet: &mut Sheet) {
    let Some(kept) = &settings.break_glass else { return };
    let aws = Aws::default().homed(Some(region)).by_profile(Some(&kept.profile));
    match aws.caller(region, clock).await.0 {
        Ok(Caller { account, arn }) => {
            sheet.say(Mark::Good, "break glass", &format!("profile `{}` is of {account} ({arn})", kept.profile));
        }
        Err(failure) => {
            let message = format!("profile `{}`: {}", kept.profile, failure.message);
            sheet.failed("break glass", &dr_engine::outcome::Failure { message, ..failure });
        }
    }
}
