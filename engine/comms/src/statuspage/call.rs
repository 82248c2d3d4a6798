//! Calls to Statuspage: each bounded in time, no two within a second, each failure told apart.

use super::Access;
use crate::{channel::Trouble, secret::Secret, slack::connector};
use dr_engine::{
    clock::{Clock, Time},
    duration::Dur,
    report::clean,
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, StatusCode,
    body::Bytes,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER},
};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{error::Error, fmt, sync::Arc};
use tokio::sync::Mutex;
use url::Url;

/// How long a call may take.
pub const CALL_MAX: Dur = Dur::seconds(10);
/// "Each API token is limited to 1 request / second as measured on a 60 second rolling window" (Statuspage API,
/// Rate Limiting).
pub const GAP: Dur = Dur::seconds(1);
/// How long to wait where Statuspage asks to and does not say how long: the window in which it counts.
pub const WAIT: Dur = Dur::seconds(60);
/// A longer wait than this is not believed.
const WAIT_MAX: Dur = Dur::seconds(3_600);
/// A hundred incidents with all that was said of them are read, and no flood.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Of what Statuspage says so much is repeated.
const QUOTE_CHARS_MAX: usize = 300;

/// When the last request with a token was sent; whoever holds it is the only one who sends.
#[derive(Debug, Clone, Default)]
pub(super) struct Pace(Arc<Mutex<Option<Time>>>);

impl Pace {
    /// Returns when the next request may be sent.
    pub(super) async fn turn(&self, clock: &Arc<dyn Clock>, gap: Dur) {
        let mut last = self.0.lock().await;
        if let Some(last) = *last {
            clock.sleep_until(last.after(gap)).await;
        }
        *last = Some(clock.now());
    }
}

/// Statuspage's API at an address, with a token.
pub(super) struct Api {
    client: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: String,
    token: Secret,
    pace: Pace,
    gap: Dur,
    clock: Arc<dyn Clock>,
}

/// An answer that is complete, whatever it says.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("base", &self.base).finish_non_exhaustive()
    }
}

impl Api {
    /// Nothing is sent yet. Refused for an address to which the token would travel readable.
    pub(super) fn new(access: &Access, clock: Arc<dyn Clock>) -> Result<Self, Trouble> {
        let wrong = |error| Trouble::refused(format!("Statuspage's `api` is no address: {error}"));
        let url = Url::parse(&access.api).map_err(wrong)?;
        let https = connector(&url, "Statuspage's `api`").map_err(Trouble::refused)?;
        let token = access.token.read(&access.folder).map_err(|error| Trouble::refused(error.to_string()))?;
        // A connection for each request: one that is made anew is known to be alive.
        let client = legacy::Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(https);
        let base = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { client, base, token, pace: access.pace.clone(), gap: access.gap, clock })
    }

    /// Asks for something; whatever goes wrong, nothing was changed.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Trouble> {
        let answer = self.call(Method::GET, path, None).await;
        answer.and_then(|answer| self.read(&answer)).map_err(harmless)
    }

    /// The same of what may not be there.
    pub(super) async fn get_if_there<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Trouble> {
        match self.call(Method::GET, path, None).await {
            Ok(answer) if answer.status == StatusCode::NOT_FOUND => Ok(None),
            answer => answer.and_then(|answer| self.read(&answer)).map(Some).map_err(harmless),
        }
    }

    /// Has something done.
    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<T, Trouble> {
        self.read(&self.call(method, path, Some(body)).await?)
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer, Trouble> {
        let request = self.request(&method, path, body)?;
        self.pace.turn(&self.clock, self.gap).await;
        let answer = self.clock.timeout(CALL_MAX, self.exchange(request)).await;
        let unheard = || Trouble::ambiguous(format!("Statuspage gave no answer within {CALL_MAX}"));
        answer.unwrap_or_else(|| Err(unheard()))
    }

    fn read<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, Trouble> {
        if !answer.status.is_success() {
            return Err(self.refusal(answer));
        }
        let unreadable = |_| Trouble::ambiguous("Statuspage's answer cannot be read");
        serde_json::from_slice(&answer.body).map_err(unreadable)
    }

    fn request(&self, method: &Method, path: &str, body: Option<&Value>) -> Result<Request<Full<Bytes>>, Trouble> {
        let unfit = || Trouble::refused("the token of Statuspage holds what no header takes: set it anew");
        let mut token = HeaderValue::from_str(&format!("OAuth {}", self.token.expose())).map_err(|_| unfit())?;
        token.set_sensitive(true);
        let request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        let request = request.header(AUTHORIZATION, token).header(CONTENT_TYPE, "application/json");
        let body = body.map_or_else(Bytes::new, |body| body.to_string().into());
        let no_address =
            |_| Trouble::refused(format!("{}{path} is no address: is `page` the id of a page?", self.base));
        request.body(Full::new(body)).map_err(no_address)
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, Trouble> {
        let answer = self.client.request(request).await.map_err(|error| {
            let why = chain(&error);
            if error.is_connect() {
                Trouble::passing(format!("Statuspage cannot be reached: {why}"))
            } else {
                Trouble::ambiguous(format!("the connection to Statuspage broke: {why}"))
            }
        })?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| {
            Trouble::ambiguous(format!("Statuspage's answer cannot be read: {}", chain(error.as_ref())))
        })?;
        Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
    }

    /// What an answer means that is no success, and what is to be done about it.
    fn refusal(&self, answer: &Answer) -> Trouble {
        let (number, says) = (answer.status.as_u16(), self.says(&answer.body));
        match number {
            420 | 429 => {
                let wait = answer.headers.get(RETRY_AFTER).and_then(|it| it.to_str().ok()?.parse().ok());
                let wait = wait.filter(|seconds| (0..=WAIT_MAX.0 / 1_000).contains(seconds)).map_or(WAIT, Dur::seconds);
                Trouble::passing(format!("Statuspage asks to wait {wait} ({number})")).after(wait)
            }
            401 => Trouble::refused(format!(
                "Statuspage does not know the token ({number}{says}): make one under API info, and set [statuspage] token"
            )),
            403 => Trouble::refused(format!(
                "the token may not do this on Statuspage ({number}{says}): its owner needs the right to manage incidents"
            )),
            404 => Trouble::refused(format!(
                "Statuspage has no such page or incident, or the token may not see it ({number}{says}): `page` is the \
                 id in https://manage.statuspage.io/pages/ID"
            )),
            // A server that failed may have done it before.
            500.. => Trouble::ambiguous(format!("Statuspage failed ({number}{says})")),
            _ => Trouble::refused(format!("Statuspage refused it ({number}{says})")),
        }
    }

    /// What Statuspage says of a refusal, without the token should it have repeated it.
    fn says(&self, body: &[u8]) -> String {
        let answer: Value = serde_json::from_slice(body).unwrap_or_default();
        let said = ["message", "error"].iter().find_map(|name| match &answer[*name] {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        });
        let said: String = clean(&self.token.hide(&said.unwrap_or_default())).chars().take(QUOTE_CHARS_MAX).collect();
        if said.is_empty() { said } else { format!(": {said}") }
    }
}

/// Of a call that changes nothing: whether it was heard does not matter.
fn harmless(trouble: Trouble) -> Trouble {
    Trouble { ambiguous: false, ..trouble }
}

/// An error with what lies beneath it.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    clean(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dr_engine::clock::SimClock;

    #[tokio::test(start_paused = true)]
    async fn whoever_shares_a_token_sends_one_request_a_second_together() {
        let clock: Arc<dyn Clock> = Arc::new(SimClock::new(Time(0)));
        let pace = Pace::default();
        let mut sent = Vec::new();
        let senders = (0..3).map(|_| {
            let (pace, clock) = (pace.clone(), clock.clone());
            tokio::spawn(async move {
                let mut sent = Vec::new();
                for _ in 0..20 {
                    pace.turn(&clock, GAP).await;
                    sent.push(clock.now().0);
                }
                sent
            })
        });
        for sender in senders.collect::<Vec<_>>() {
            sent.extend(sender.await.expect("no panic"));
        }
        sent.sort_unstable();
        assert_eq!(sent, (0..60).map(|second| second * 1_000).collect::<Vec<_>>());
    }
}
