//! Nouns of Lambda.

use crate::aws::{Clients, error::code};
use aws_sdk_lambda::types::{LastUpdateStatus, State};
use dr_engine::{
    outcome::Failure,
    step::{Look, ReadCx},
};

/// How far a function, or a version of it, is.
pub(crate) enum Stage {
    /// It can be invoked.
    Ready,
    /// It is becoming so; what Lambda says.
    Pending(String),
}

/// Looks at a function, or at the version or alias that `qualifier` names. What is
/// not there, and what Lambda calls failed, is a failure for good.
pub(crate) async fn stage(clients: &Clients, function: &str, qualifier: Option<&str>) -> Result<Stage, Failure> {
    let whole = qualifier.map_or_else(|| format!("`{function}`"), |qualifier| format!("`{function}:{qualifier}`"));
    let request = clients.lambda.get_function_configuration().function_name(function);
    let found = match request.set_qualifier(qualifier.map(Into::into)).send().await {
        Err(e) if code(&e) == "ResourceNotFoundException" => {
            let text = format!("there is no function {whole} in {}", clients.region);
            return Err(Failure::new(text).hint("deploy it there before the recovery: code is not copied by Lambda"));
        }
        found => found.map_err(|e| clients.call("lambda", "GetFunctionConfiguration").read(&e))?,
    };
    let says = |reason: Option<&str>| reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    let why = says(found.state_reason());
    match found.state() {
        // One that was idle for long; an invocation wakes it up.
        Some(State::Active | State::Inactive) | None => {}
        Some(State::Pending) => return Ok(Stage::Pending(format!("{whole} is Pending{why}"))),
        Some(state) => return Err(Failure::new(format!("{whole} is {}{why}", state.as_str()))),
    }
    let why = says(found.last_update_status_reason());
    match found.last_update_status() {
        Some(LastUpdateStatus::InProgress) => Ok(Stage::Pending(format!("{whole} is being updated{why}"))),
        Some(LastUpdateStatus::Failed) => Err(Failure::new(format!("the last update of {whole} failed{why}"))),
        _ => Ok(Stage::Ready),
    }
}

/// Waits until it can be invoked.
pub(crate) async fn ready(
    cx: &ReadCx,
    clients: &Clients,
    function: &str,
    qualifier: Option<&str>,
) -> Result<(), Failure> {
    cx.poll(|| async {
        Ok(match stage(clients, function, qualifier).await? {
            Stage::Ready => Look::Ready(()),
            Stage::Pending(says) => Look::Pending(says),
        })
    })
    .await
}
