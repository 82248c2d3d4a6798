//! The installed AWS command line: found once, asked for its version once, and
//! started so that it works where and as whom our own clients do.
//!
//! Its region is the step's, its credentials are those whose account was
//! compared with the runbook's, its endpoint is the one in force; it prints
//! JSON, asks nobody, and tries once: one place retries, and that is the
//! executor.

pub(crate) mod answer;
pub(crate) mod words;

use super::{Aws, error::End, identity::Identity, limits, role::Assumed};
use crate::{
    process::{Job, Looked},
    redact::Redactor,
    text,
    world::World,
};
use answer::{Called, Trouble};
use aws_credential_types::{Credentials, provider::ProvideCredentials};
use dr_engine::{
    clock::Clock,
    event::RunKind,
    outcome::Failure,
    step::{ReadCx, StepCx},
};
use std::{
    env, fmt,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::Arc,
};
use tokio::sync::OnceCell;

/// What programs of this name are looked for in `PATH`.
const NAME: &str = "aws";
/// The first versions that go where `AWS_ENDPOINT_URL` says ("Service-specific
/// endpoints", AWS SDKs and Tools Reference Guide): 1.29 and 2.13.
const HONOURS_ENDPOINTS: [(u32, u32); 2] = [(1, 29), (2, 13)];

/// The command line, as it is installed here. Nothing is looked for before it
/// is first wanted.
#[derive(Debug, Default)]
pub struct Cli {
    given: Option<PathBuf>,
    found: OnceCell<Installed>,
}

/// A command line that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Where it stands.
    pub path: PathBuf,
    /// Which version it is.
    pub version: Version,
}

/// A version of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    major: u32,
    minor: u32,
    text: String,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Version {
    /// From what `aws --version` prints: `aws-cli/2.15.3 Python/3.11.6 …`.
    fn read(said: &str) -> Option<Self> {
        let text = said.split_whitespace().next()?.strip_prefix("aws-cli/")?;
        let mut numbers = text.split('.').map(str::parse);
        let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else { return None };
        Some(Self { major, minor, text: text::short(&text::clean(text)).into_owned() })
    }

    /// Whether it goes where `AWS_ENDPOINT_URL` says.
    pub fn honours_endpoints(&self) -> bool {
        let since = HONOURS_ENDPOINTS.iter().find(|(major, _)| *major == self.major);
        since.map_or(self.major > 2, |(_, minor)| self.minor >= *minor)
    }
}

impl Installed {
    /// Why a lab or a drill cannot use it, where it cannot: AWS itself could be called.
    pub fn too_old(&self) -> Option<Failure> {
        let Self { path, version } = self;
        if version.honours_endpoints() {
            return None;
        }
        let text = format!("{} is version {version}, which does not go where AWS_ENDPOINT_URL says", path.display());
        Some(Failure::new(text).hint("install 2.13 or newer, or 1.29 or newer: https://aws.amazon.com/cli/"))
    }
}

impl Cli {
    /// The one that stands there.
    pub fn at(program: impl Into<PathBuf>) -> Self {
        Self { given: Some(program.into()), ..Self::default() }
    }

    /// Where it is and which version; asked once, unless there was no answer.
    pub async fn installed(&self, clock: &Arc<dyn Clock>) -> Result<&Installed, Failure> {
        self.found
            .get_or_try_init(|| async {
                let path = self.given.clone().or_else(in_path).ok_or_else(|| {
                    Failure::new("there is no `aws` in PATH").hint("install the AWS CLI: https://aws.amazon.com/cli/")
                })?;
                let version = version(&path, clock).await?;
                Ok(Installed { path, version })
            })
            .await
    }
}

fn in_path() -> Option<PathBuf> {
    let runs = |path: &PathBuf| path.metadata().is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0);
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(NAME)).find(runs)
}

async fn version(path: &Path, clock: &Arc<dyn Clock>) -> Result<Version, Failure> {
    let shown = path.display();
    let mut asked = tokio::process::Command::new(path);
    asked.arg("--version").stdin(Stdio::null()).kill_on_drop(true);
    let said = clock.timeout(limits::CLI_VERSION, asked.output()).await;
    let said = said.ok_or_else(|| Failure::passing(format!("`{shown} --version` does not answer")))?;
    let said = said.map_err(|error| Failure::new(format!("`{shown}` cannot be started: {error}")))?;
    // Version 1 said it on standard error when it ran under Python 2.
    let all = [said.stdout, said.stderr].concat();
    let all = String::from_utf8_lossy(&all);
    Version::read(&all).ok_or_else(|| {
        let said = text::clean(all.trim());
        Failure::new(format!("`{shown} --version` does not name a version of the AWS CLI: {}", text::short(&said)))
    })
}

/// A call of the command line, ready to be started.
pub(crate) struct Ready {
    pub(crate) job: Job,
    pub(crate) called: Called,
    /// Whose credentials it is given, where those are of an account's role.
    assumed: Option<Arc<Assumed>>,
}

impl Ready {
    /// What became of it.
    pub(crate) fn ended(&self, status: ExitStatus, complaint: &str) -> Result<(), Trouble> {
        if status.success() {
            return Ok(());
        }
        let trouble = Trouble::of(&self.called, status, complaint, &self.job.redactor);
        if let (true, Some(assumed)) = (trouble.is_expired(), &self.assumed) {
            assumed.expired();
        }
        Err(trouble)
    }
}

/// A look by the command line that was answered.
pub(crate) struct Answer {
    /// What it printed.
    pub(crate) text: String,
    pub(crate) redactor: Redactor,
}

impl Aws {
    /// Looks by the command line. The inner error is the service's word, or that it had none.
    ///
    /// # Errors
    /// When nothing was asked: no command line, no credentials, words that change something.
    pub(crate) async fn cli_look(&self, cx: &ReadCx, words: &[String]) -> Result<Result<Answer, Trouble>, Failure> {
        let ready = self.cli_ready(cx, words).await?;
        let Called { service, operation, .. } = &ready.called;
        if !words::is_read(service, operation) {
            return Err(Failure::new(format!("`aws {service} {operation}` is refused here: this only looks")));
        }
        let logs = World::of(cx).logs().ok_or_else(|| Failure::new("there is no folder for its logs"))?;
        let Looked { status, stdout, complaint, .. } = ready.job.look(cx, Some(&logs)).await?;
        Ok(ready.ended(status, &complaint).map(|()| Answer { text: stdout, redactor: ready.job.redactor }))
    }

    /// A call by the command line that may change something. It is not yet started.
    pub(crate) async fn cli_act(&self, cx: &StepCx, words: &[String]) -> Result<Ready, Failure> {
        self.cli_ready(&cx.read, words).await
    }

    async fn cli_ready(&self, cx: &ReadCx, words: &[String]) -> Result<Ready, Failure> {
        let known: Vec<_> = words.iter().map(|word| Some(word.as_str())).collect();
        if let Some((message, help)) = words::refused(&known) {
            return Err(Failure::new(message).hint(help));
        }
        let installed = self.cli.installed(&cx.clock).await?;
        let who = self.right_account_of(cx).await?;
        let region = self.region(cx, None).await?;
        let endpoint = self.endpoint(&region).await;
        if (endpoint.is_some() || names_endpoint() || cx.run.kind != RunKind::Live)
            && let Some(failure) = installed.too_old()
        {
            return Err(failure);
        }
        if installed.version.major == 1
            && let Some(url) = words::fetched(words)
        {
            let text = format!("version 1 of `aws` would fetch `{url}` and send what it finds in its place");
            return Err(
                Failure::new(text).hint("install version 2, or give the whole input as JSON: `--cli-input-json '{…}'`")
            );
        }
        let mut redactor = Redactor::default();
        let env = self.cli_env(&region, &who, &mut redactor).await?;
        let argv = argv(&installed.path, &region, endpoint.as_deref(), words);
        let cwd = World::of(cx).path(".");
        let cwd = std::path::absolute(&cwd)
            .map_err(|error| Failure::new(format!("the folder `{}` cannot be found: {error}", cwd.display())))?;
        let one = words::is_one_call(&words[0], &words[1]);
        let called = Called { service: words[0].clone(), operation: words[1].clone(), region, one };
        Ok(Ready { job: Job { argv, env, cwd, redactor }, called, assumed: who.assumed.clone() })
    }

    /// The environment that makes it work as whom our own clients do.
    async fn cli_env(
        &self,
        region: &str,
        who: &Identity,
        redactor: &mut Redactor,
    ) -> Result<Vec<(String, String)>, Failure> {
        let keys = match &who.assumed {
            Some(assumed) => assumed.keys().await.map_err(|failure| Failure {
                message: format!("the command line was not started: {}", failure.message),
                ..failure
            })?,
            None => self.credentials(region).await?,
        };
        // A lab's key is a word, and would be found in every other one.
        let secret = |text: &&str| text.len() >= limits::SECRET_KEY_CHARS_MIN;
        [Some(keys.secret_access_key()), keys.session_token()]
            .into_iter()
            .flatten()
            .filter(secret)
            .for_each(|it| redactor.add(it));
        let set = [
            ("AWS_ACCESS_KEY_ID", keys.access_key_id()),
            ("AWS_SECRET_ACCESS_KEY", keys.secret_access_key()),
            // Empty is none: one that stands in our own environment is of other keys.
            ("AWS_SESSION_TOKEN", keys.session_token().unwrap_or_default()),
            ("AWS_REGION", region),
            ("AWS_DEFAULT_REGION", region),
            ("AWS_MAX_ATTEMPTS", "1"),
            ("AWS_RETRY_MODE", "standard"),
            ("AWS_PAGER", ""),
            ("AWS_CLI_AUTO_PROMPT", "off"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ];
        Ok(set.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
    }

    async fn credentials(&self, region: &str) -> Result<Credentials, Failure> {
        let provider = self.loaded(region).await.config.credentials_provider();
        let none = || Failure::new("the command line was not started: no AWS credentials");
        let provider = provider.ok_or_else(|| Failure { hint: End::Anonymous.hint(NAME, region, ""), ..none() })?;
        provider.provide_credentials().await.map_err(|error| {
            let end = End::of_credentials(&error);
            Failure { hint: end.hint(NAME, region, ""), transient: end.passes(), ..none() }
        })
    }

    /// The endpoint that holds for all services, where one is to be passed on.
    /// One of a single service, and those of a profile, the command line finds
    /// as our SDK does, and would lose if another were passed.
    async fn endpoint(&self, region: &str) -> Option<String> {
        let by_env = env::var_os("AWS_ENDPOINT_URL").is_some() && !names_endpoint_of_one();
        if self.given.is_none() && !by_env {
            return None;
        }
        self.loaded(region).await.config.endpoint_url().map(ToOwned::to_owned)
    }
}

fn names_endpoint() -> bool {
    env::var_os("AWS_ENDPOINT_URL").is_some() || names_endpoint_of_one()
}

fn names_endpoint_of_one() -> bool {
    env::vars_os().any(|(name, _)| name.to_str().is_some_and(|name| name.starts_with("AWS_ENDPOINT_URL_")))
}

/// The words with what `dr` says itself; what a step says comes last.
fn argv(program: &Path, region: &str, endpoint: Option<&str>, words: &[String]) -> Vec<String> {
    let mut argv = vec![program.display().to_string()];
    let mut say = |words: &[&str]| argv.extend(words.iter().map(ToString::to_string));
    say(&["--region", region, "--output", "json"]);
    say(&["--cli-connect-timeout", &limits::CONNECT.as_secs().to_string()]);
    if let Some(url) = endpoint {
        say(&["--endpoint-url", url]);
    }
    argv.extend_from_slice(words);
    argv
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_honours_endpoints_is_known_by_what_it_says() {
        for (said, shown, honours) in [
            ("aws-cli/1.22.34 Python/3.10.6 Linux/5.15 botocore/1.23.34", "1.22.34", false),
            ("aws-cli/1.28.9 Python/3.11", "1.28.9", false),
            ("aws-cli/1.29.0 Python/3.11", "1.29.0", true),
            ("aws-cli/1.46.3 Python/3.11.7 Linux/6 botocore/1.43.62\n", "1.46.3", true),
            ("aws-cli/2.12.7 Python/3.11.6", "2.12.7", false),
            ("aws-cli/2.13.0 Python/3.11.6", "2.13.0", true),
            ("aws-cli/3.0.0 x", "3.0.0", true),
        ] {
            let version = Version::read(said).unwrap_or_else(|| panic!("{said}"));
            assert_eq!((version.to_string().as_str(), version.honours_endpoints()), (shown, honours));
        }
        for said in ["", "usage: aws", "aws-cli/x.y", "s5cmd/2.0.0"] {
            assert_eq!(Version::read(said), None, "{said}");
        }
    }

    #[test]
    fn what_dr_says_itself_stands_before_the_words() {
        let words = ["ssm".to_owned(), "get-parameter".to_owned()];
        let said = argv(Path::new("/opt/aws"), "eu-central-1", Some("http://127.0.0.1:1"), &words);
        assert_eq!(
            said.join(" "),
            "/opt/aws --region eu-central-1 --output json --cli-connect-timeout 3 --endpoint-url http://127.0.0.1:1 \
             ssm get-parameter"
        );
    }
}
