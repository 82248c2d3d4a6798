//! The file of an import job: a PUT to S3 at a URL that Cognito gives.
//!
//! The URL is signed for 15 minutes and never anew (Amazon Cognito Developer
//! Guide, "Creating a user import job"): where it ran out before the file
//! arrived, only another job helps. Whoever has the URL can write what is
//! imported, so that it is kept in memory alone.

use super::{job::Job, limits};
use crate::{client, reach::is_loopback};
use bytes::Bytes;
use dr_engine::{
    outcome::Failure,
    step::{StepCx, StepError},
};
use hyper::{
    Method,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use url::Url;

/// How a file went.
pub(super) enum Put {
    Arrived,
    /// Its URL is signed no more.
    TooLate,
}

/// Sends the file. Twice is as good as once: it is the same object.
pub(super) async fn put(cx: &StepCx, job: &Job, file: Bytes) -> Result<Put, StepError> {
    let read = &cx.read;
    let unsaid = || Failure::new(format!("Cognito does not say where the file of {} goes", job.id));
    let url = job.url.as_deref().and_then(|url| url.parse::<Url>().ok()).ok_or_else(unsaid)?;
    if url.scheme() != "https" && !is_loopback(&url) {
        let text = format!("the file of {} would go unencrypted over the network", job.id);
        return Err(Failure::new(text).into());
    }
    let mut headers = HeaderMap::new();
    let encrypted = HeaderName::from_static("x-amz-server-side-encryption");
    headers.insert(encrypted, HeaderValue::from_static("aws:kms"));
    let line = client::connect(read, &url, None).await?;
    let guard = cx.guard();
    guard.before()?;
    let answer = line.send(read, (Method::PUT, &url), headers, file, limits::UPLOAD).await;
    guard.after();
    let doubt = |why: String| StepError::Doubt(Failure::new(format!("the file of {} was sent: {why}", job.id)));
    let answer = answer.map_err(|why| doubt(format!("its answer was lost: {why}")))?;
    if (200..300).contains(&answer.status) {
        return Ok(Put::Arrived);
    }
    if !(400..500).contains(&answer.status) {
        return Err(doubt(format!("S3 answered {}", answer.status)));
    }
    let age = job.created.map(|created| read.clock.now().since(created));
    if age.is_some_and(|age| age >= limits::UPLOAD_UNTIL) {
        return Ok(Put::TooLate);
    }
    // What else S3 says may hold the signature.
    let text = format!("S3 refused the file of {}: {} {}", job.id, answer.status, code_of(&answer.body));
    Err(Failure::passing(text.trim_end()).into())
}

/// The code within an error of S3; nothing where there is none.
fn code_of(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map_or("", |(code, _)| code);
    code.chars().filter(char::is_ascii_alphanumeric).take(limits::QUOTE_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_s3_says_the_code_alone_is_shown() {
        let says = "<Error><Code>SignatureDoesNotMatch</Code><StringToSign>secret</StringToSign></Error>";
        assert_eq!(code_of(says.as_bytes()), "SignatureDoesNotMatch");
        assert_eq!(code_of(b"<Code>a\x1b[2J</Code>"), "a2J");
        assert_eq!(code_of(b"no <Code>"), "");
    }
}
