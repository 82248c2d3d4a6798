//! `verify.authz`: who may is let in, and who may not is refused.
//!
//! An authorizer that is gone fails in one of two ways. It refuses everybody,
//! which users tell soon; or it lets everybody in, which nobody tells, and every
//! other check is green. So both are asked in each look, and a refusal counts
//! only as one: a server that is down refuses nobody, it does not answer.
//!
//! Only GET: what may not be done could be done here.

use crate::{
    client::Answer,
    output::Pointer,
    prepared,
    probe::{Place, Seen, fetch},
    redact::Redactor,
    secret::TextOrSecret,
    verify::{Row, five_seconds, three},
    web::{self, Expect, Headers, Json, WebUrl},
};
use async_trait::async_trait;
use dr_engine::{
    duration::Dur,
    kind::{Explained, Reference},
    need::Need,
    outcome::{Failure, Output},
    step::{Check, Description, Mistake, OutputName, OutputType, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use hyper::header::HeaderMap;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::{collections::BTreeMap, num::NonZeroU32};

/// Waits until a request that is allowed gets its answer and one that is forbidden is refused, several times in a row.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyAuthz {
    /// What both ask for, by GET. It has to be something that only some may see. Redirects are not followed.
    url: In<WebUrl>,
    /// Headers of both: a text, or `{ secret: env:NAME }`.
    #[serde(default)]
    headers: Headers,
    /// The request that is to be let in.
    allowed: Allowed,
    /// The request that is to be refused. Without headers of its own it is nobody's.
    #[serde(default)]
    forbidden: Forbidden,
    /// The pause between two looks. Default: 5s.
    #[serde(default = "five_seconds")]
    every: Dur,
    /// How many looks in a row must be good. Default: 3.
    #[serde(default = "three")]
    good_in_a_row: NonZeroU32,
    /// Where hosts are, whatever their names say: `{ api.example.com: 10.1.2.3 }`, to look before DNS moves.
    #[serde(default)]
    resolve: BTreeMap<String, In<Place>>,
    #[serde(skip)]
    #[schemars(skip)]
    row: Row,
}

/// Who is to be let in, and what the answer is to be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Allowed {
    /// What this one asks for, in place of the `url` of both.
    url: Option<In<WebUrl>>,
    /// Who asks: `{ authorization: { secret: env:NAME } }`, beside the headers of both.
    #[serde(default)]
    headers: Headers,
    /// What the answer has to be. Default: a status from 200 to 299.
    #[serde(default)]
    expect: Expect,
}

/// Who is to be refused, and what the refusal looks like.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Forbidden {
    /// What this one asks for, in place of the `url` of both: `…/orders/of-somebody-else`.
    url: Option<In<WebUrl>>,
    /// Who asks: `{ authorization: { secret: env:NAME } }`, beside the headers of both.
    #[serde(default)]
    headers: Headers,
    /// What the refusal has to be. Default: a status of 401 or 403.
    #[serde(default)]
    expect: Refusal,
}

/// What a refusal has to be.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// One of these status codes. Default: 401 or 403.
    #[serde(default)]
    status: Vec<u16>,
    /// Values in its JSON, each named by a JSON pointer: `/error: forbidden`.
    #[serde(default)]
    json: BTreeMap<Pointer, In<Json>>,
}

impl From<Refusal> for Expect {
    fn from(Refusal { status, json }: Refusal) -> Self {
        Self { status: if status.is_empty() { REFUSED.into() } else { status }, json, ..Self::default() }
    }
}

/// The refusals that say what they mean: 404 may be of a service that is not there.
const REFUSED: [u16; 2] = [401, 403];

/// What is wrong where one request is to be let in and to be refused.
const SAME: &str = "`allowed` and `forbidden` are the same request: nothing would be proven";
const TWO: &str = "give them two identities, by `headers` with different secrets, or two `url`s";

fn is_let_in(status: u16) -> bool {
    (200..300).contains(&status)
}

impl VerifyAuthz {
    /// What one of them asks for.
    fn url<'a>(&'a self, own: Option<&'a In<WebUrl>>) -> &'a WebUrl {
        own.unwrap_or(&self.url).get()
    }

    /// Whether both ask for the same as the same, as far as that is known before: two secrets may have one value.
    fn are_the_same(&self) -> bool {
        let sent = |own: &Headers| -> BTreeMap<String, In<TextOrSecret>> {
            let mut all: BTreeMap<_, _> =
                self.headers.iter().chain(own).map(|(name, value)| (name.to_lowercase(), value.clone())).collect();
            all.retain(|_, value| *value != In::Lit(TextOrSecret::Text(String::new())));
            all
        };
        let url = |own: Option<&In<WebUrl>>| own.unwrap_or(&self.url).clone();
        url(self.allowed.url.as_ref()) == url(self.forbidden.url.as_ref())
            && sent(&self.allowed.headers) == sent(&self.forbidden.headers)
    }

    /// As whom one of them asks.
    fn identity(&self, cx: &ReadCx, own: &Headers, redactor: &mut Redactor) -> Result<HeaderMap, Failure> {
        let mut headers = web::headers(cx, &self.headers, redactor)?;
        headers.extend(web::headers(cx, own, redactor)?);
        Ok(web::without_empty(headers))
    }

    /// The answer, or in words why there is none.
    async fn ask(&self, cx: &ReadCx, url: &WebUrl, headers: HeaderMap) -> Result<Result<Answer, String>, Failure> {
        let resolve = self.resolve.iter().map(|(host, place)| (host.clone(), *place.get())).collect();
        match fetch(cx, &url.0, headers, &resolve).await {
            Ok((answer, _)) => Ok(Ok(answer)),
            Err(failure) if failure.transient => Ok(Err(failure.message)),
            Err(failure) => Err(failure),
        }
    }

    /// One look: two requests.
    async fn probe(&self, cx: &ReadCx) -> Result<Seen, Failure> {
        let mut redactor = Redactor::default();
        let (open, closed) = (self.url(self.allowed.url.as_ref()), self.url(self.forbidden.url.as_ref()));
        let who_may = self.identity(cx, &self.allowed.headers, &mut redactor)?;
        let who_may_not = self.identity(cx, &self.forbidden.headers, &mut redactor)?;
        if who_may == who_may_not && open == closed {
            return Err(Failure::new(SAME).hint(TWO));
        }
        // In this order a cache that keeps the answer of the one for the other is seen.
        let allowed = self.ask(cx, open, who_may).await?;
        let forbidden = self.ask(cx, closed, who_may_not).await?;
        let refusal = Expect::from(self.forbidden.expect.clone());
        let unmet = |expect: &Expect, answer: &Result<Answer, String>| match answer {
            Ok(answer) => expect.unmet(answer, &redactor),
            Err(why) => Some(why.clone()),
        };
        let not_refused = unmet(&refusal, &forbidden);
        if let (Some(_), Ok(Answer { status, .. })) = (&not_refused, &forbidden)
            && is_let_in(*status)
        {
            return Err(Failure::new(format!("WHO IS FORBIDDEN WAS LET IN: {closed} answered with status {status}")).hint(
                "send nobody here, and take away whom you have sent: nothing decides here who may see what. A cache \
                 that keeps the answers of one for another looks the same",
            ));
        }
        let not_let_in = unmet(&self.allowed.expect, &allowed);
        let wrong = [("allowed", not_let_in), ("forbidden", not_refused)];
        let wrong: Vec<_> =
            wrong.into_iter().filter_map(|(which, why)| Some(format!("the {which} request: {}", why?))).collect();
        match (allowed, forbidden) {
            (Ok(allowed), Ok(forbidden)) if wrong.is_empty() => {
                let (may, may_not) = (allowed.status, forbidden.status);
                let values = json!({ "healthy": true, "allowed_status": may, "forbidden_status": may_not });
                Ok(Seen::good(format!("status {may} for who may, {may_not} for who may not"), values))
            }
            _ => Ok(Seen::bad(wrong.join("; "))),
        }
    }
}

impl Explained for VerifyAuthz {
    const REFERENCE: Reference = Reference {
        check: "Two GETs, first as who may and then as who may not, ten seconds at most each. Good if the first gets \
            what is expected and the second is refused, by 401 or 403. A second that is let in (a status from 200 to \
            299) fails the step at once, whatever the first got. Anything else tells nothing and is not good: no \
            answer, 404, 429, a redirect, 500 and above. It is the first look of the row.",
        run: "Looks again every `every`, until `good_in_a_row` looks were good one after the other, as long as the \
            step's `timeout` lets it.",
        undo: None,
        recovery_point: None,
        time: "The row takes `good_in_a_row` - 1 times `every` once the service is up: 10 seconds by default.",
        traps: &[
            "The two identities have to be made beforehand, and to be there after the recovery: users, tokens or keys of \
             their own, with as little right as can be. Of a token that has \
             expired `allowed` tells; as `forbidden` it is refused all the same, and shows only that strangers are. Where \
             your service tells the two apart, expect `{ status: [403] }`.",
            "It proves one pair of requests, not every rule: name something that matters, as an order of somebody else.",
            "Where who may not is to see nothing at all (404), or is sent to a login (302), say so: `forbidden: { expect: \
             { status: [404] } }`. Then a service that is not there looks refused, and only `allowed` tells it apart.",
            "Where a refusal comes with status 200, as in GraphQL, `expect` wants the words of it: `{ status: [200], \
             json: { /errors/0/extensions/code: FORBIDDEN } }`.",
            "It asks by GET alone: a request that may not be made could have its effect here.",
            "Under `verify:` whoever is let in is told on every screen, and service does not count as back while that \
             lasts; as a step it ends the step at once.",
        ],
        example: "
            only_who_may:
              do:
                verify.authz:
                  url: https://api.example.com/v1/orders/canary
                  allowed:
                    headers: { authorization: { secret: env:DR_MAY } }
                    expect: { json: { /id: canary } }
                  forbidden:
                    headers: { authorization: { secret: env:DR_MAY_NOT } }
              timeout: 10m
        ",
    };
}

#[async_trait]
impl Step for VerifyAuthz {
    fn describe(&self) -> Description {
        let summary = format!("waits until {} lets in who may, and refuses who may not", self.url);
        Description { summary, ..Description::default() }
    }

    fn mistakes(&self) -> Vec<Mistake> {
        let headers =
            [("headers", &self.headers), ("allowed", &self.allowed.headers), ("forbidden", &self.forbidden.headers)];
        let mut mistakes: Vec<_> =
            headers.into_iter().filter_map(|(field, headers)| web::written_down(field, headers)).collect();
        if self.are_the_same() {
            mistakes.push(Mistake { field: "forbidden", message: SAME.into(), help: TWO.into() });
        }
        let expect = &self.forbidden.expect;
        if let Some(status) = expect.status.iter().find(|status| is_let_in(**status))
            && expect.json.is_empty()
        {
            mistakes.push(Mistake {
                field: "forbidden",
                message: format!("status {status} is an answer for who is let in"),
                help: "a refusal is 401 or 403; where it comes with such a status, say by `json` what it says".into(),
            });
        }
        mistakes
    }

    fn leans_on(&self) -> Vec<Need> {
        let headers = [&self.headers, &self.allowed.headers, &self.forbidden.headers];
        prepared::secrets(headers.into_iter().flat_map(Headers::values)).collect()
    }

    fn outputs(&self) -> Vec<OutputName> {
        let healthy = OutputName { name: "healthy".into(), is: OutputType::Any };
        vec![healthy, OutputName::number("allowed_status"), OutputName::number("forbidden_status")]
    }

    fn changes(&self) -> bool {
        false
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        Ok(self.row.begin(cx, self.good_in_a_row, self.probe(cx).await?))
    }

    async fn watch(&self, cx: &ReadCx) -> Result<Check, Failure> {
        self.row.watch(cx, self.good_in_a_row, self.probe(cx).await)
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        self.row.go_on(&cx.read, self.good_in_a_row, self.every, || self.probe(&cx.read)).await
    }
}
