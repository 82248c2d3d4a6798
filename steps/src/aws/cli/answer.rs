//! What the end of `aws` means for an attempt, by what it prints.
//!
//! Its exit code does not tell a refusal from an answer that was lost: version
//! 1 ends with 255 after both, version 2 with 254 after every error of a
//! service, its own trouble included ("Return codes from the AWS CLI"). Its
//! words do, and they are botocore's in both.

use super::super::error::End;
use crate::{process, redact::Redactor, text};
use dr_engine::{
    outcome::{Call, Failure},
    step::StepError,
};
use regex_lite::Regex;
use std::{process::ExitStatus, sync::LazyLock};

/// A call by the command line.
#[derive(Debug, Clone)]
pub(crate) struct Called {
    pub(crate) service: String,
    pub(crate) operation: String,
    pub(crate) region: String,
    /// It is one call of the service, so that its refusal is all that happened.
    pub(crate) one: bool,
}

/// A call that did not go well.
pub(crate) struct Trouble {
    end: End,
    one: bool,
    /// The service's own code.
    pub(crate) code: Option<String>,
    failure: Box<Failure>,
}

/// How botocore tells an error of a service.
static SAYS: LazyLock<Regex> = LazyLock::new(|| {
    let text =
        r"An error occurred \(([^)]+)\) when calling the (\w+) operation(?: \(reached max retries: \d+\))?: ?([^\n]*)";
    Regex::new(text).expect("a pattern")
});

/// What botocore says where no byte of a call has left.
const UNSENT: [&str; 3] =
    ["Could not connect to the endpoint URL", "Connect timeout on endpoint URL", "Failed to connect to proxy URL"];
/// What the command line says of words that it does not take.
const MALFORMED: [&str; 8] = [
    "Parameter validation failed",
    "Error parsing parameter",
    "the following arguments are required",
    "Unknown options",
    "Invalid choice",
    "Invalid JSON",
    "Bad value for",
    "The config profile",
];
/// What stands in the code of a service's own trouble, where the status is not shown.
const BROKEN: [&str; 10] = [
    "BadGateway",
    "Dependency",
    "Internal",
    "NetworkFailure",
    "ServerError",
    "ServerException",
    "ServiceException",
    "ServiceFailure",
    "TimedOut",
    "Unavailable",
];

impl Trouble {
    /// What became of a call that ended so, and complained so.
    pub(crate) fn of(called: &Called, status: ExitStatus, complaint: &str, redactor: &Redactor) -> Self {
        let said = SAYS.captures(complaint);
        let code = said.as_ref().map(|said| said[1].to_owned());
        let end = code.as_deref().map_or_else(|| end_of(complaint), end_of_code);
        let Called { service, operation, region, one } = called;
        let call = format!("aws {service} {operation} in {region}");
        let last = complaint.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
        let says = match &said {
            Some(said) => format!("{call}: {}: {}", &said[1], &said[3]),
            None if last.is_empty() => format!("{call} ended with {}", process::ending(status)),
            None => format!("{call}: {last}"),
        };
        let name = said.as_ref().map_or(operation.as_str(), |said| said.get(2).map_or("", |name| name.as_str()));
        let failure = Failure {
            call: Some(Call {
                service: service.clone(),
                operation: name.to_owned(),
                region: region.clone(),
                code: code.clone(),
                request_id: None,
            }),
            hint: end.hint(service, region, &format!("{service}:{name}")),
            transient: end.passes(),
            // What was understood may still hold a secret: only what is told is cleaned.
            ..Failure::new(text::short(&redactor.text(&says)))
        };
        Self { end, one: *one, code, failure: Box::new(failure) }
    }

    /// Whether the credentials were too old.
    pub(crate) fn is_expired(&self) -> bool {
        matches!(self.end, End::Expired)
    }

    /// Whether the service answered, and with nothing that may pass or that a
    /// person has to mend first.
    pub(crate) fn is_plain_no(&self) -> bool {
        matches!(self.end, End::No)
    }

    /// As a look that failed.
    pub(crate) fn read(self) -> Failure {
        *self.failure
    }

    /// As a call that was to change something.
    pub(crate) fn wrote(self) -> StepError {
        let begun = !self.one && !matches!(self.end, End::Malformed | End::Anonymous);
        if self.end.doubtful() || begun { StepError::Doubt(*self.failure) } else { StepError::Failed(*self.failure) }
    }
}

fn end_of_code(code: &str) -> End {
    if let Some(end) = End::of_code(code) {
        return end;
    }
    // An answer without a body has its status for a code.
    match code.parse::<u16>() {
        Ok(403) => End::Denied,
        Ok(500..) => End::Broken,
        // What still uses the thing keeps it: EC2's word for a plain refusal.
        Err(_) if code == "DependencyViolation" => End::No,
        Err(_) if code == "Unknown" || BROKEN.iter().any(|word| code.contains(word)) => End::Broken,
        _ => End::No,
    }
}

fn end_of(complaint: &str) -> End {
    let has = |words: &[&str]| words.iter().any(|word| complaint.contains(word));
    if has(&["Unable to locate credentials", "Partial credentials"]) {
        End::Anonymous
    } else if has(&MALFORMED) {
        End::Malformed
    } else if has(&UNSENT) {
        End::Unsent
    } else {
        End::Lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    fn trouble(complaint: &str, one: bool) -> Trouble {
        let called =
            Called { service: "ssm".into(), operation: "put-parameter".into(), region: "eu-central-1".into(), one };
        Trouble::of(&called, ExitStatus::from_raw(255 << 8), complaint, &redactor())
    }

    /// A secret that stands within the words by which an error is known.
    fn redactor() -> Redactor {
        let mut redactor = Redactor::default();
        redactor.add("occurred");
        redactor
    }

    /// What version 1.46.3 and version 2 print.
    fn says(code: &str) -> String {
        format!("\nAn error occurred ({code}) when calling the PutParameter operation (reached max retries: 0): no\n")
    }

    #[test]
    fn an_error_of_a_service_is_read_by_its_code() {
        for (code, transient, doubt) in [
            ("ThrottlingException", true, false),
            ("ExpiredTokenException", true, false),
            ("AccessDeniedException", false, false),
            ("ParameterAlreadyExists", false, false),
            ("DependencyViolation", false, false),
            ("404", false, false),
            ("403", false, false),
            ("InternalServerError", true, true),
            ("ServiceUnavailableException", true, true),
            ("500", true, true),
            ("503", true, true),
            ("Unknown", true, true),
        ] {
            let error = trouble(&says(code), true).wrote();
            let (StepError::Failed(failure) | StepError::Doubt(failure)) = &error else { panic!("{error:?}") };
            let message = format!("aws ssm put-parameter in eu-central-1: {code}: no");
            assert_eq!((failure.message.as_str(), failure.transient), (message.as_str(), transient), "{code}");
            assert_eq!(matches!(error, StepError::Doubt(_)), doubt, "{code}");
            let call = failure.call.as_ref().expect("a call");
            assert_eq!((call.operation.as_str(), call.code.as_deref()), ("PutParameter", Some(code)));
        }
        let denied = trouble(&says("AccessDenied"), true).read();
        assert_eq!(denied.hint.as_deref(), Some("the caller needs the permission `ssm:PutParameter`"));
        let second = "aws: [ERROR]: An error occurred (NoSuchKey) when calling the GetX operation: gone\n\nmore";
        assert_eq!(trouble(second, true).code.as_deref(), Some("NoSuchKey"));
    }

    #[test]
    fn what_did_not_leave_has_failed_and_what_was_not_answered_is_in_doubt() {
        for (complaint, transient, doubt) in [
            ("Could not connect to the endpoint URL: \"http://127.0.0.1:1/\"", true, false),
            ("Connect timeout on endpoint URL: \"https://x\"", true, false),
            ("Parameter validation failed:\nInvalid length for parameter BackupName", false, false),
            ("usage: aws [options]\naws: error: the following arguments are required: --name", false, false),
            ("Unable to locate credentials. You can configure credentials by running \"aws configure\".", false, false),
            ("Read timeout on endpoint URL: \"http://127.0.0.1:1/\"", true, true),
            ("Connection was closed before we received a valid response from endpoint URL: \"x\".", true, true),
            ("'utf-8' codec can't decode byte 0xff in position 7: invalid start byte", true, true),
            ("", true, true),
        ] {
            let error = trouble(complaint, true).wrote();
            let (StepError::Failed(failure) | StepError::Doubt(failure)) = &error else { panic!("{error:?}") };
            assert_eq!((failure.transient, matches!(error, StepError::Doubt(_))), (transient, doubt), "{complaint}");
        }
        let silent = trouble("", true).read().message;
        assert_eq!(silent, "aws ssm put-parameter in eu-central-1 ended with exit code 255");
    }

    #[test]
    fn of_many_calls_some_may_have_been_made() {
        assert!(matches!(trouble(&says("AccessDenied"), false).wrote(), StepError::Doubt(_)));
        assert!(matches!(trouble("Unknown options: --x", false).wrote(), StepError::Failed(_)));
    }
}
