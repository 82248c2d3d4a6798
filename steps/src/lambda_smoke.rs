//! `lambda.smoke`: a function is invoked, and its answer is held against what
//! is expected.
//!
//! Lambda answers 200 also where the function failed: the header
//! `X-Amz-Function-Error` says so, and is a failure here (AWS Lambda API
//! Reference, `Invoke`).
//!
//! Nobody can see afterwards whether a function ran, and it may change
//! whatever its code changes. So it is invoked once, and where the answer was
//! lost a person is asked; only who writes that it is safe to repeat it has it
//! repeated.

use crate::{
    aws::{Clients, error::code, limits},
    lambda,
    output::Pointer,
    redact::Redactor,
    secret::TextOrSecret,
    text::{self, Word},
    web::{self, Json},
    world::World,
};
use async_trait::async_trait;
use aws_sdk_lambda::{
    config::Builder,
    operation::invoke::InvokeOutput,
    primitives::Blob,
    types::{InvocationType, LogType},
};
use aws_smithy_types::{base64, timeout::TimeoutConfig};
use dr_engine::{
    kind::{Explained, Reference},
    outcome::{Failure, Output},
    step::{Check, Description, Mistake, OutputName, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

/// Invokes a Lambda function and holds its answer against what is expected.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Smoke {
    /// The function's name, or its ARN.
    function: In<String>,
    /// Its alias or version. Default: the unpublished code.
    #[serde(default)]
    qualifier: Option<In<String>>,
    /// What it is invoked with. Default: `{}`.
    #[serde(default)]
    payload: Option<In<Json>>,
    /// What its answer has to be.
    #[serde(default)]
    expect: Answered,
    /// Secrets that its log and its answer may hold, each `{ secret: env:NAME }`: they are taken out of
    /// what a failure shows.
    #[serde(default)]
    redact: Vec<In<TextOrSecret>>,
    /// Invoking it again and again changes nothing: it is repeated where its answer was lost or was not
    /// as expected. Default: false.
    #[serde(default)]
    safe_to_repeat: bool,
}

/// What the answer of a function has to be.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Answered {
    /// Values in its JSON, each named by a JSON pointer: `/statusCode: 200`.
    #[serde(default)]
    json: BTreeMap<Pointer, In<Json>>,
    /// A text that stands somewhere in it.
    #[serde(default)]
    text: Option<In<Word>>,
}

impl Answered {
    /// Why an answer is not so.
    fn unmet(&self, answer: &[u8], redactor: &Redactor) -> Option<String> {
        if let Some(wanted) = self.text.as_ref().map(|text| &text.get().0)
            && !String::from_utf8_lossy(answer).contains(wanted.as_str())
        {
            return Some(text::short(&text::clean(&format!("its answer does not contain `{wanted}`"))).into_owned());
        }
        if self.json.is_empty() {
            return None;
        }
        let Ok(answer) = serde_json::from_slice::<Value>(answer) else {
            return Some("its answer is not JSON".into());
        };
        let met = |found: Option<&Value>, wanted: &Value| found.is_some_and(|found| web::same(found, wanted));
        web::unmet(&self.json, &answer, met, redactor)
    }
}

/// Codes with which Lambda says that it did not invoke the function, and will later.
const NOT_YET: [&str; 2] = ["ResourceConflictException", "ResourceNotReadyException"];
/// How many lines of the log's end a failure holds.
const LOG_LINES_MAX: usize = 10;

impl Smoke {
    fn qualifier(&self) -> Option<&str> {
        self.qualifier.as_ref().map(|qualifier| qualifier.get().as_str())
    }

    /// Knows the secrets that may come back; those that cannot be read are found out before anything runs.
    fn redactor(&self, cx: &ReadCx) -> Result<Redactor, Failure> {
        let mut redactor = Redactor::default();
        for secret in &self.redact {
            secret.get().read(&World::of(cx).runbook_folder, &mut redactor)?;
        }
        Ok(redactor)
    }

    async fn invoke(&self, cx: &StepCx, clients: &Clients) -> Result<InvokeOutput, StepError> {
        // The answer comes when the function is done, which no read of ours would wait for.
        let left = cx.deadline.since(cx.read.clock.now()).min(limits::INVOKE).0;
        let left = Duration::from_millis(u64::try_from(left).unwrap_or_default());
        let long = TimeoutConfig::builder().connect_timeout(limits::CONNECT).read_timeout(left).operation_timeout(left);
        let payload = self.payload.as_ref().map_or_else(|| json!({}), |payload| payload.get().value());
        let request = clients.lambda.invoke().function_name(self.function.get()).log_type(LogType::Tail);
        let request = request.set_qualifier(self.qualifier().map(Into::into));
        let request = request.invocation_type(InvocationType::RequestResponse);
        let request = request.payload(Blob::new(payload.to_string()));
        let config = Builder::new().timeout_config(long.build());
        request.customize().config_override(config).send().await.map_err(|e| {
            let refused = NOT_YET.contains(&code(&e));
            match clients.call("lambda", "Invoke").wrote(&e) {
                StepError::Failed(failure) | StepError::Doubt(failure) if refused || self.safe_to_repeat => {
                    StepError::Failed(Failure { transient: refused || failure.transient, ..failure })
                }
                error => error,
            }
        })
    }

    /// What the answer means: the version that ran, or a failure with the end of its log.
    fn judge(&self, reply: &InvokeOutput, redactor: &Redactor) -> Result<Output, Failure> {
        let answer = reply.payload().map(Blob::as_ref).unwrap_or_default();
        let why = match reply.function_error() {
            Some(kind) => Some(format!("it failed ({kind}): {}", told(answer, redactor))),
            None => self.expect.unmet(answer, redactor),
        };
        if let Some(why) = why {
            let text = text::clean(&format!("`{}` was invoked, and {why}", self.function));
            let failure = Failure::new(text).hint("its log is in CloudWatch, in the region of the step");
            return Err(Failure { transient: self.safe_to_repeat, causes: log(reply, redactor), ..failure });
        }
        let mut output = Output::default();
        output.values.insert("executed_version".into(), reply.executed_version().unwrap_or_default().into());
        Ok(output)
    }
}

/// What a function says of its failure, as its runtimes do, else all that it says.
fn told(answer: &[u8], redactor: &Redactor) -> String {
    let said = serde_json::from_slice::<Value>(answer).unwrap_or_default();
    let part = |name: &str| said.get(name).and_then(Value::as_str);
    let whole = match (part("errorType"), part("errorMessage")) {
        (Some(kind), Some(message)) => format!("{kind}: {message}"),
        (None, Some(message)) => message.to_owned(),
        _ => String::from_utf8_lossy(answer).into_owned(),
    };
    text::short(&redactor.text(&whole)).into_owned()
}

/// The last lines of the log that came with the answer, harmless for a terminal.
fn log(reply: &InvokeOutput, redactor: &Redactor) -> Vec<String> {
    let bytes = reply.log_result().and_then(|log| base64::decode(log).ok()).unwrap_or_default();
    let log = text::clean(&redactor.text(&String::from_utf8_lossy(&bytes)));
    let lines: Vec<_> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LOG_LINES_MAX)..].iter().map(|line| text::short(line).into_owned()).collect()
}

impl Explained for Smoke {
    const REFERENCE: Reference = Reference {
        check: "Nobody can see whether a function ran: after a crash or a lost answer a person is asked. With \
            `safe_to_repeat` `GetFunctionConfiguration` looks whether the function is there, and it is invoked again.",
        run: "`GetFunctionConfiguration` until the function can be invoked; then one `Invoke` (`RequestResponse`), \
            whose answer is waited for as long as the step's `timeout` lets it. A `FunctionError` is a failure, though \
            the status is 200, and so is an answer that is not as expected; both show the end of the log.",
        undo: None,
        recovery_point: None,
        time: "As long as the function takes, 15 minutes at most.",
        traps: &[
            "It runs the function for real, with its permissions and its data: give it a payload that it knows as a \
             test.",
            "Without `qualifier` it is the unpublished code that runs, not what an alias serves.",
            "The end of the log stands in the journal and in reports: only the secrets that `redact` names are taken \
             out of it.",
            "A function whose reserved concurrency is 0 is not invoked: it is throttled until that is raised \
             (`aws.cli`).",
        ],
        example: "
            orders_api_answers:
              do:
                lambda.smoke:
                  function: orders-api
                  qualifier: live
                  payload: { path: /health }
                  expect: { json: { /statusCode: 200 } }
                  safe_to_repeat: true
              timeout: 5m
        ",
    };
}

#[async_trait]
impl Step for Smoke {
    fn describe(&self) -> Description {
        let qualifier = self.qualifier.as_ref().map(|qualifier| format!(":{qualifier}")).unwrap_or_default();
        Description {
            summary: format!("invoke `{}{qualifier}` and look at its answer", self.function),
            actions: vec!["lambda:GetFunctionConfiguration", "lambda:InvokeFunction"],
            ..Description::default()
        }
    }

    fn sees_effect(&self) -> bool {
        self.safe_to_repeat
    }

    fn mistakes(&self) -> Vec<Mistake> {
        match &self.qualifier {
            Some(In::Lit(text)) if text.is_empty() => vec![Mistake {
                field: "qualifier",
                message: "`qualifier` is empty".into(),
                help: "name an alias or a version, or leave it out for the unpublished code".into(),
            }],
            _ => Vec::new(),
        }
    }

    fn outputs(&self) -> Vec<OutputName> {
        vec![OutputName::text("executed_version")]
    }

    fn changes(&self) -> bool {
        !self.safe_to_repeat
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        if !self.safe_to_repeat {
            let why = if cx.attempt > 1 {
                "the function was invoked before, and nobody can see what it did"
            } else {
                "nobody can see whether the function was invoked"
            };
            return Ok(Check::Unknown(why.into()));
        }
        let clients = World::of(cx).aws.read(cx).await?;
        match lambda::stage(&clients, self.function.get(), self.qualifier()).await {
            Err(failure) if !failure.transient => Ok(Check::Impossible(failure)),
            stage => stage.map(|_| Check::Absent),
        }
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let clients = World::of(&cx.read).aws.write(cx).await?;
        lambda::ready(&cx.read, &clients, self.function.get(), self.qualifier()).await?;
        let redactor = self.redactor(&cx.read)?;
        let reply = self.invoke(cx, &clients).await?;
        Ok(self.judge(&reply, &redactor)?)
    }
}
