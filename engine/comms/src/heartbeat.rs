//! A sign of life for a dead-man's switch outside: nobody can read the journal
//! of a machine that is gone.

use crate::slack::{connector, on_loopback};
use dr_engine::{clock::Clock, duration::Dur, report::clean};
use http_body_util::Empty;
use hyper::{Request, body::Bytes};
use hyper_util::{client::legacy, rt::TokioExecutor};
use std::{error::Error, sync::Arc};
use url::Url;

/// How often it beats.
pub const EVERY: Dur = Dur(60_000);
/// An attempt ends.
const ATTEMPT: Dur = Dur(10_000);

/// Whether an address is this machine's own.
pub fn stays_here(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| on_loopback(&url))
}

/// Calls an address every minute, for ever. A beat that fails is left out, and
/// told by `trouble`, once until one succeeds again.
pub async fn beat(url: &str, clock: &Arc<dyn Clock>, mut trouble: impl FnMut(&str)) {
    let mut told = false;
    loop {
        let next = clock.now().after(EVERY);
        let answer = clock.timeout(ATTEMPT, once(url)).await;
        match answer.unwrap_or_else(|| Err(format!("no answer within {ATTEMPT}"))) {
            Ok(()) => told = false,
            Err(why) if !told => {
                told = true;
                trouble(&format!("heartbeat: {why}; it is called again each minute"));
            }
            Err(_) => {}
        }
        clock.sleep_until(next).await;
    }
}

async fn once(url: &str) -> Result<(), String> {
    let parsed = Url::parse(url).map_err(|error| format!("`comms.heartbeat` is no address: {error}"))?;
    let client = legacy::Client::builder(TokioExecutor::new()).build(connector(&parsed, "`comms.heartbeat`")?);
    let request = Request::get(parsed.as_str()).body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
    let answer = client.request(request).await.map_err(|error| {
        let cause = error.source().map_or(String::new(), |cause| format!(": {cause}"));
        clean(&format!("{error}{cause}"))
    })?;
    if answer.status().is_success() {
        Ok(())
    } else {
        Err(format!("answered with status {}", answer.status().as_u16()))
    }
}
