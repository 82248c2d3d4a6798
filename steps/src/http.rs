//! `http`: one request.
//!
//! GET and HEAD are reads and may be repeated. Every other method may have had
//! its effect as soon as the first byte was sent: then only a complete refusal
//! is a failure, and everything else is a doubt that `check` or a person ends.

use crate::{
    client::{self, Answer},
    limits,
    output::{self, Outputs},
    prepared,
    redact::Redactor,
    text::{self, Word},
    web::{self, Expect, Headers, Json, WebUrl},
};
use async_trait::async_trait;
use bytes::Bytes;
use dr_engine::{
    duration::Dur,
    kind::{Explained, Reference},
    need::Need,
    outcome::{Failure, Output},
    step::{Check, Description, Mistake, OutputName, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use hyper::{
    Method as Verb,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue},
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::fmt;
use url::Url;

/// Sends a request.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// What to do there. Default: GET.
    #[serde(default)]
    pub method: Method,
    /// Where to. Redirects are not followed.
    pub url: In<WebUrl>,
    /// Headers: a text, or `{ secret: env:NAME }`. An empty text keeps a header from being sent.
    #[serde(default)]
    pub headers: Headers,
    /// What is sent with it.
    pub body: Option<Body>,
    /// What the answer has to be. Default: a status from 200 to 299.
    #[serde(default)]
    pub expect: Expect,
    /// A GET that shows whether the work is done. Without one, nobody can tell after a crash, and a
    /// person is asked.
    pub check: Option<HttpCheck>,
    /// Values for other steps, from the answer: `{ json: /id }`, `{ line: 1 }`, `{ regex: "…(…)" }`.
    #[serde(default)]
    pub outputs: Outputs,
}

/// A GET that shows whether the work is done.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpCheck {
    /// Where to look. The headers of the request are sent along if it is the same server.
    pub url: In<WebUrl>,
    /// What the answer is when the work is done.
    #[serde(default)]
    pub expect: Expect,
}

/// What a request does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Reads.
    #[default]
    Get,
    /// Reads without a body.
    Head,
    /// Does what the server says it does.
    Post,
    /// Puts something there.
    Put,
    /// Changes a part of something.
    Patch,
    /// Takes something away.
    Delete,
}

/// What is sent with a request.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// A value, as JSON.
    Json(In<Json>),
    /// A text, as it stands.
    Text(In<Word>),
}

impl Explained for Http {
    const REFERENCE: Reference = Reference {
        check: "With `check`: a GET, with the headers of the request if it is the same server. As expected is \
            done, a complete other answer is nothing of it; a redirect, 401, 403, 407, 408 or an answer that \
            was cut off cannot tell; 429, 500 and above, and no answer are looked at again. Without `check`: \
            GET and HEAD are simply repeated; nothing else can be looked at: there is one attempt, and after \
            a crash a person is asked.",
        run: "Sends the request, with `Idempotency-Key: RUN/STEP` where the method changes something, and waits for \
            the answer, five minutes at most. As expected is done. 429 may be tried again. A complete refusal \
            (307, 308, 400 to 499 without 408; for GET and HEAD any redirect) is a failure. After anything else \
            GET and HEAD may be tried again, and a method that changes something leaves a doubt.",
        undo: None,
        recovery_point: None,
        time: "As long as the server takes, five minutes at most.",
        traps: &[
            "Redirects are not followed.",
            "A header that must not be sent is given an empty text: also `idempotency-key`.",
            "Values are taken from the answer as it is: an answer as expected that lacks one is a failure, \
             after the work was done.",
        ],
        example: r#"
            start_billing:
              do:
                http:
                  method: POST
                  url: https://billing.example.com/v1/start
                  headers: { authorization: { secret: env:BILLING_TOKEN } }
                  body: { json: { region: "${regions.recovery}" } }
                  expect: { status: [202] }
                  check:
                    url: https://billing.example.com/v1/state
                    expect: { json: { /state: running } }
              timeout: 5m
        "#,
    };
}

#[async_trait]
impl Step for Http {
    fn describe(&self) -> Description {
        Description { summary: format!("sends {} {}", self.method, self.url), ..Description::default() }
    }

    fn sees_effect(&self) -> bool {
        self.method.reads() || self.check.is_some()
    }

    /// A request ends by its own clock, and says what is known of it; the
    /// attempt's clock, which stops at the same moment, would say less.
    fn grace(&self) -> Dur {
        limits::REQUEST_GRACE
    }

    fn mistakes(&self) -> Vec<Mistake> {
        web::written_down("headers", &self.headers).into_iter().collect()
    }

    fn leans_on(&self) -> Vec<Need> {
        prepared::secrets(self.headers.values()).collect()
    }

    fn outputs(&self) -> Vec<OutputName> {
        output::names(&self.outputs)
    }

    fn changes(&self) -> bool {
        !self.method.reads()
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let Some(check) = &self.check else {
            return Ok(match (self.method.reads(), cx.attempt) {
                // Reading again harms nobody.
                (true, _) => Check::Absent,
                (false, 0 | 1) => Check::Unknown("the request has no `check:` that could look".into()),
                (false, _) => Check::Unknown("the request was sent before and nobody heard its answer".into()),
            });
        };
        let mut redactor = Redactor::default();
        let url = &check.url.get().0;
        let mut headers = web::without_empty(web::headers(cx, &self.headers, &mut redactor)?);
        headers.remove(CONTENT_TYPE);
        // A token is for the server it was given for.
        let headers = if url.origin() == self.url.get().0.origin() { headers } else { HeaderMap::new() };
        let answer = get(cx, url, headers).await?;
        let Some(why) = check.expect.unmet(&answer, &redactor) else {
            let values = output::read(&self.outputs, &String::from_utf8_lossy(&answer.body)).unwrap_or_default();
            return Ok(Check::Done(Output { values: redactor.map(values), recovery_point: None }));
        };
        Ok(match answer.status {
            429 | 500.. => return Err(Failure::passing(format!("the check got {why}"))),
            // Whoever is turned away has not seen whether it is there.
            300..=399 | 401 | 403 | 407 | 408 => Check::Unknown(format!("the check got {why}")),
            _ if answer.cut => Check::Unknown(format!("the check: {why}")),
            _ => Check::Absent,
        })
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let read = &cx.read;
        let mut redactor = Redactor::default();
        let (headers, body) = self.message(read, &mut redactor)?;
        let url = &self.url.get().0;
        let line = client::connect(read, url, None).await?;
        let guard = cx.guard();
        if !self.method.reads() {
            guard.before()?;
        }
        let left = cx.deadline.since(read.clock.now()).min(limits::REQUEST_TIMEOUT);
        let answer = line.send(read, (self.method.verb(), url), headers, body, left).await;
        if !self.method.reads() {
            guard.after();
        }
        match answer {
            Ok(answer) => self.judge(&answer, &redactor),
            Err(why) if self.method.reads() => Err(Failure::passing(why).into()),
            Err(why) => {
                Err(StepError::Doubt(Failure::new(format!("the request was sent and its answer was lost: {why}"))))
            }
        }
    }
}

impl Http {
    fn message(&self, cx: &ReadCx, redactor: &mut Redactor) -> Result<(HeaderMap, Bytes), Failure> {
        let mut headers = web::headers(cx, &self.headers, redactor)?;
        let (kind, body) = match &self.body {
            None => (None, Bytes::new()),
            Some(Body::Json(json)) => (Some("application/json"), json.get().value().to_string().into()),
            Some(Body::Text(text)) => (Some("text/plain; charset=utf-8"), text.get().0.clone().into()),
        };
        if let Some(kind) = kind {
            headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(kind));
        }
        if !self.method.reads() {
            let key = HeaderValue::from_bytes(cx.token().as_bytes());
            let key = key.map_err(|_| Failure::new("the step's id cannot stand in a header"))?;
            headers.entry("idempotency-key").or_insert(key);
        }
        Ok((web::without_empty(headers), body))
    }

    fn judge(&self, answer: &Answer, redactor: &Redactor) -> Result<Output, StepError> {
        let reads = self.method.reads();
        let Some(why) = self.expect.unmet(answer, redactor) else {
            if self.outputs.is_empty() {
                return Ok(Output::default());
            }
            let values = output::read(&self.outputs, &String::from_utf8_lossy(&answer.body)).map_err(|why| {
                Failure::new(format!("the answer was as expected, but {}", redactor.text(&text::clean(&why))))
            })?;
            return Ok(Output { values: redactor.map(values), recovery_point: None });
        };
        Err(match answer.status {
            429 => Failure::passing(why).into(),
            // The server says that it did nothing, or that nothing can be done.
            307 | 308 | 400..=407 | 409..=499 => Failure::new(why).into(),
            300..=399 if reads => Failure::new(format!("{why}; redirects are not followed")).into(),
            _ if reads => Failure::passing(why).into(),
            _ => StepError::Doubt(Failure::new(why)),
        })
    }
}

/// One GET of a look, in its own short time; no answer can pass.
pub(crate) async fn get(cx: &ReadCx, url: &Url, headers: HeaderMap) -> Result<Answer, Failure> {
    let line = client::connect(cx, url, None).await?;
    line.send(cx, (Verb::GET, url), headers, Bytes::new(), limits::PROBE_TIMEOUT).await.map_err(Failure::passing)
}

impl Method {
    fn reads(self) -> bool {
        matches!(self, Self::Get | Self::Head)
    }

    fn verb(self) -> Verb {
        match self {
            Self::Get => Verb::GET,
            Self::Head => Verb::HEAD,
            Self::Post => Verb::POST,
            Self::Put => Verb::PUT,
            Self::Patch => Verb::PATCH,
            Self::Delete => Verb::DELETE,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.verb().as_str())
    }
}
