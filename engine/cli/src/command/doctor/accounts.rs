//! The roles of the accounts: whether each can be assumed from here, and whose account it is.

use crate::show::sheet::{Mark, Sheet};
use dr_engine::clock::Clock;
use dr_steps::{aws::survey::Caller, world::World};
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
