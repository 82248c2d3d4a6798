//! Calls to Slack: each bounded in time, each failure told apart.
//!
//! Requests go out as JSON of our own and of an answer only the fields that
//! are wanted are read. The crate's own models refuse a whole history for one
//! message of another app with metadata that is not flat text, and a post that
//! succeeded when its echo has a form that they do not know.

use crate::{blocks::Message, channel::Trouble};
use dr_engine::{
    clock::{Clock, Time},
    duration::Dur,
    report::clean,
};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{
    Request, StatusCode,
    body::Bytes,
    header::{AUTHORIZATION, HeaderMap},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{ClientConfig, RootCertStore};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use slack_morphism::{
    ClientResult, SlackApiToken, SlackApiTokenValue, SlackClient, errors::SlackClientError,
    prelude::SlackClientHyperConnector,
};
use std::{
    error::Error,
    fmt,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use url::{Host, Url};

/// How long a call may take: the crate has no limit of its own.
pub const CALL_MAX: Dur = Dur::seconds(10);
/// How long a connection may take to be made. Shorter than a call, so that what never left is known as that.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Slack takes about one message a second in a channel.
pub const POST_GAP: Dur = Dur::seconds(1);
/// How long to wait where Slack asks to and does not say how long.
const WAIT: Dur = Dur::seconds(30);
/// The longest answer that is read of a call that is not made through the crate.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

type Https = HttpsConnector<HttpConnector>;

/// Slack's Web API at an address, with a token.
pub(super) struct Api {
    client: SlackClient<SlackClientHyperConnector<Https>>,
    /// For the one call whose headers are wanted, which the crate keeps to itself.
    plain: legacy::Client<Https, Empty<Bytes>>,
    base: String,
    /// What is said to it stays on this machine.
    pub(super) here: bool,
    token: SecretString,
    clock: Arc<dyn Clock>,
    /// When the last message was sent.
    posted_at: Mutex<Option<Time>>,
}

/// A call that did not do what it should.
#[derive(Debug)]
pub(super) struct Failed {
    /// Slack's word for it; empty when Slack did not speak.
    pub(super) code: String,
    /// What it means.
    pub(super) trouble: Trouble,
}

impl Failed {
    /// Of a call that brings nothing to people by itself: whether it was heard does not matter.
    pub(super) fn harmless(self) -> Trouble {
        Trouble { ambiguous: false, ..self.trouble }
    }

    /// Slack said one of these.
    pub(super) fn is(&self, codes: &[&str]) -> bool {
        codes.contains(&self.code.as_str())
    }
}

/// An answer of which nothing is wanted but that it is one.
#[derive(Deserialize)]
pub(super) struct Done {}

/// The answer to a message.
#[derive(Deserialize)]
struct Posted {
    ts: String,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("base", &self.base).finish_non_exhaustive()
    }
}

impl Api {
    pub(super) fn new(api: &str, token: SecretString, clock: Arc<dyn Clock>) -> Result<Self, Trouble> {
        let url = Url::parse(api).map_err(|error| Trouble::refused(format!("Slack's `api` is no address: {error}")))?;
        let https = connector(&url, "Slack's `api`").map_err(Trouble::refused)?;
        let base = url.as_str().trim_end_matches('/').to_owned();
        let client = SlackClientHyperConnector::with_connector(https.clone()).with_slack_api_url(&base);
        Ok(Self {
            client: SlackClient::new(client),
            plain: legacy::Client::builder(TokioExecutor::new()).build(https),
            base,
            here: on_loopback(&url),
            token,
            clock,
            posted_at: Mutex::default(),
        })
    }

    pub(super) fn now(&self) -> Time {
        self.clock.now()
    }

    /// Asks for something.
    pub(super) async fn get<T>(&self, method: &str, asked: &[(&'static str, String)]) -> Result<T, Failed>
    where
        T: DeserializeOwned + Send,
    {
        let asked: Vec<_> = asked.iter().map(|(name, value)| (*name, Some(value))).collect();
        let token = self.token();
        let session = self.client.open_session(&token);
        self.bounded(method, session.http_session_api.http_get(method, &asked, None)).await
    }

    /// Has something done.
    pub(super) async fn post<T>(&self, method: &str, wanted: &Value) -> Result<T, Failed>
    where
        T: DeserializeOwned + Send,
    {
        let token = self.token();
        let session = self.client.open_session(&token);
        self.bounded(method, session.http_session_api.http_post(method, wanted, None)).await
    }

    /// Posts a message, no sooner than a second after the last. Gives its `ts`.
    pub(super) async fn say(
        &self,
        channel: &str,
        thread: Option<&str>,
        message: &Message,
        metadata: &Value,
    ) -> Result<String, Failed> {
        let last = *self.posted_at.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = last {
            self.clock.sleep_until(last.after(POST_GAP)).await;
        }
        *self.posted_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.clock.now());
        let mut wanted = json!({
            "channel": channel,
            "text": message.text,
            "metadata": metadata,
            // The text is text: no names, no links, no emphasis.
            "mrkdwn": false,
            "link_names": false,
            "unfurl_links": false,
            "unfurl_media": false,
        });
        if !message.blocks.is_empty() {
            wanted["blocks"] = json!(message.blocks);
        }
        if let Some(thread) = thread {
            wanted["thread_ts"] = json!(thread);
        }
        self.post::<Posted>("chat.postMessage", &wanted).await.map(|posted| posted.ts)
    }

    /// Whose the token is: the answer and its headers, which say what the token may.
    pub(super) async fn whose(&self) -> Result<(Value, HeaderMap), Failed> {
        const METHOD: &str = "auth.test";
        let bearer = format!("Bearer {}", self.token.expose_secret());
        let request = Request::get(format!("{}/{METHOD}", self.base)).header(AUTHORIZATION, bearer).body(Empty::new());
        let unfit = |_| Failed::new(Trouble::refused("Slack's token holds what no header takes: set it anew"));
        let request = request.map_err(unfit)?;
        let answer = async {
            let answer = self.plain.request(request).await.map_err(|error| broken(METHOD, &error))?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| broken(METHOD, error.as_ref()))?.to_bytes();
            if head.status != StatusCode::OK {
                let wait = head.headers.get("retry-after").and_then(|it| it.to_str().ok()?.parse().ok());
                return Err(unusual(METHOD, head.status, wait.map(Duration::from_secs)));
            }
            let answer: Value = serde_json::from_slice(&body).map_err(|_| unreadable(METHOD))?;
            match answer["error"].as_str() {
                Some(code) => Err(refusal(METHOD, code, &answer)),
                None => Ok((answer, head.headers)),
            }
        };
        self.clock.timeout(CALL_MAX, answer).await.unwrap_or_else(|| Err(late(METHOD)))
    }

    /// Only for as long as a call takes is the token anywhere but in its keeper.
    fn token(&self) -> SlackApiToken {
        SlackApiToken::new(SlackApiTokenValue(self.token.expose_secret().to_owned()))
    }

    async fn bounded<T>(&self, method: &str, call: impl Future<Output = ClientResult<T>>) -> Result<T, Failed> {
        let answer = self.clock.timeout(CALL_MAX, call).await;
        answer.map_or_else(|| Err(late(method)), |answer| answer.map_err(|error| failed(method, &error)))
    }
}

impl Failed {
    fn new(trouble: Trouble) -> Self {
        Self { code: String::new(), trouble }
    }
}

/// Whether an address is this machine's own.
pub(crate) fn on_loopback(address: &Url) -> bool {
    match address.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// A way to the address: encrypted, or on this machine.
pub(crate) fn connector(api: &Url, what: &str) -> Result<Https, String> {
    if !api.has_host() {
        return Err(format!("{what} names no host"));
    }
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT_MAX));
    let mut roots = RootCertStore::empty();
    if api.scheme() == "https" {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err("this machine has no certificates to trust anybody by: set SSL_CERT_FILE".into());
        }
    }
    // The same cryptography as the AWS SDK's, so that the binary holds one.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let tls = tls.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth();
    let builder = HttpsConnectorBuilder::new().with_tls_config(tls);
    match api.scheme() {
        "https" => Ok(builder.https_only().enable_http1().wrap_connector(http)),
        "http" if on_loopback(api) => Ok(builder.https_or_http().enable_http1().wrap_connector(http)),
        _ => Err(format!("{what} is not https, and anybody on the way could read what is sent: use https")),
    }
}

fn failed(method: &str, error: &SlackClientError) -> Failed {
    match error {
        SlackClientError::RateLimitError(error) => unusual(method, StatusCode::TOO_MANY_REQUESTS, error.retry_after),
        SlackClientError::HttpError(error) => unusual(method, error.status_code, None),
        SlackClientError::ApiError(error) => {
            let body = error.http_response_body.as_deref().and_then(|body| serde_json::from_str(body).ok());
            refusal(method, &error.code, &body.unwrap_or(Value::Null))
        }
        SlackClientError::HttpProtocolError(error) => match &error.cause {
            Some(cause) => broken(method, cause.as_ref()),
            None => unreadable(method),
        },
        SlackClientError::SystemError(error) => match &error.cause {
            Some(cause) => broken(method, cause.as_ref()),
            None => unreadable(method),
        },
        _ => unreadable(method),
    }
}

/// The connection was not made, or broke.
fn broken(method: &str, error: &(dyn Error + 'static)) -> Failed {
    let why = chain(error);
    match error.downcast_ref::<legacy::Error>() {
        Some(error) if error.is_connect() => Failed::new(Trouble::passing(format!("Slack cannot be reached: {why}"))),
        _ => Failed::new(Trouble::ambiguous(format!("the connection to Slack broke during {method}: {why}"))),
    }
}

fn late(method: &str) -> Failed {
    Failed::new(Trouble::ambiguous(format!("Slack gave no answer to {method} within {CALL_MAX}")))
}

fn unreadable(method: &str) -> Failed {
    Failed::new(Trouble::ambiguous(format!("Slack's answer to {method} cannot be read")))
}

/// An answer whose status is not 200.
fn unusual(method: &str, status: StatusCode, wait: Option<Duration>) -> Failed {
    let number = status.as_u16();
    Failed::new(match number {
        429 => {
            let wait = wait.map_or(WAIT, |wait| Dur(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)));
            Trouble::passing(format!("Slack asks to wait {wait} with {method}")).after(wait)
        }
        // A server that failed may have done it before.
        500.. => Trouble::ambiguous(format!("Slack answered {number} to {method}")),
        _ => Trouble::refused(format!("{number} was answered to {method}: is `api` the address of Slack's Web API?")),
    })
}

/// Slack understood, and says no.
fn refusal(method: &str, code: &str, answer: &Value) -> Failed {
    let code = clean(code);
    let refused = |way_out: &str| Trouble::refused(format!("Slack refused {method} ({code}): {way_out}"));
    let trouble = match code.as_str() {
        "ratelimited" | "rate_limited" => return unusual(method, StatusCode::TOO_MANY_REQUESTS, None),
        "fatal_error" | "internal_error" | "service_unavailable" => {
            Trouble::ambiguous(format!("Slack failed in {method} ({code})"))
        }
        "request_timeout" | "team_added_to_org" => Trouble::passing(format!("Slack did not do {method} ({code})")),
        "missing_scope" => {
            let needed =
                answer["needed"].as_str().map_or_else(|| "one".to_owned(), |scope| format!("`{}`", clean(scope)));
            refused(&format!(
                "the token lacks a scope, {needed}: add it under OAuth & Permissions, and install the app again"
            ))
        }
        "not_authed" | "invalid_auth" | "token_revoked" | "token_expired" | "account_inactive" => {
            refused("the token is not valid: set the app's bot token (xoxb-…)")
        }
        "not_allowed_token_type" => refused("set the app's bot token (xoxb-…), not another"),
        "channel_not_found" => {
            refused("the channel does not exist, or the app may not see it: create it or invite the app")
        }
        "is_archived" => refused("the channel is archived: unarchive it"),
        "not_in_channel" => refused("the app is not in the channel: invite it"),
        "name_taken" => refused(
            "the name is taken by a channel that the app cannot use: unarchive it, invite the app, or name another",
        ),
        "restricted_action" | "no_permission" | "permission_denied" => {
            refused("the workspace does not allow it: ask its administrator")
        }
        name if name.starts_with("invalid_name") => {
            refused("a channel's name is up to 80 lower case letters, digits, hyphens and underscores")
        }
        _ => Trouble::refused(format!("Slack refused {method}: {code}")),
    };
    Failed { code, trouble }
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
