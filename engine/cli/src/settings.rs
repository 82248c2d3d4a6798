//! Settings: `--config`, else `dr.toml` beside the runbook, else the user's.

use crate::{failure::Failure, telling::LINGER};
use dr_comms::{mail, pace::GAP_MIN, post::SILENT, secret, statuspage};
use dr_engine::{duration::Dur, limits};
use dr_steps::{aws::limits::LOOKS_PER_SECOND, sms::Sender};
use serde::{Deserialize, Deserializer, de};
use std::{
    collections::BTreeMap,
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// What is in force, and where it came from.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where runs are kept.
    pub state: PathBuf,
    /// Name servers to ask instead of the system's.
    pub nameservers: Vec<SocketAddr>,
    /// The shortest gap between two looks at a provider.
    pub poll_gap_min: Dur,
    /// Two updates that nobody waits for are at least so far apart.
    pub update_gap_min: Dur,
    /// After so long without an arrival people are told that a channel cannot be reached.
    pub silent_after: Dur,
    /// So long the last words of a run are waited for.
    pub last_words_max: Dur,
    /// How many looks per second each service is asked for, in one region.
    pub looks_per_second: BTreeMap<String, u32>,
    /// How Slack is reached.
    pub slack: Option<SlackText>,
    /// How mail is sent.
    pub mail: Option<mail::Settings>,
    /// How Atlassian Statuspage is reached.
    pub statuspage: Option<statuspage::Access>,
    /// How an SMS is sent.
    pub sms: Option<SmsText>,
    /// The profile whose credentials are kept for emergencies.
    pub break_glass: Option<BreakGlassText>,
    /// The profile whose credentials are used in place of those of the SDK's chain.
    pub profile: Option<String>,
    /// The file that was read, if there was one.
    pub file: Option<PathBuf>,
}

/// Credentials that are kept for when the usual ones cannot be had.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BreakGlassText {
    /// A profile of the AWS configuration.
    pub profile: String,
}

/// How Slack is reached.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlackText {
    /// The token of an app's bot, by reference.
    pub token: secret::Source,
    /// The address of the Web API.
    #[serde(default = "slack_api")]
    pub api: String,
}

/// How an SMS is sent: by Amazon SNS, with the credentials of the AWS configuration.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmsText {
    /// The region that sends; else the recovery region of the runbook.
    pub region: Option<String>,
    /// The name that some countries show in the place of a sender's number.
    #[serde(default, deserialize_with = "sender")]
    pub sender: Option<Sender>,
}

fn sender<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Sender>, D::Error> {
    String::deserialize(deserializer)?.parse().map(Some).map_err(de::Error::custom)
}

fn slack_api() -> String {
    dr_comms::slack::Settings::API.into()
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    #[serde(default)]
    state: StateText,
    #[serde(default)]
    dns: DnsText,
    #[serde(default)]
    limits: LimitsText,
    slack: Option<SlackText>,
    mail: Option<mail::Settings>,
    statuspage: Option<statuspage::Access>,
    sms: Option<SmsText>,
    break_glass: Option<BreakGlassText>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct StateText {
    dir: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct DnsText {
    #[serde(default)]
    nameservers: Vec<SocketAddr>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsText {
    poll_gap_min: Option<String>,
    update_gap_min: Option<String>,
    silent_after: Option<String>,
    last_words_max: Option<String>,
    statuspage_gap_min: Option<String>,
    rds_per_second: Option<u32>,
    route53_per_second: Option<u32>,
    dynamodb_per_second: Option<u32>,
    ecs_per_second: Option<u32>,
    cloudfront_per_second: Option<u32>,
    sns_per_second: Option<u32>,
    sts_per_second: Option<u32>,
}

impl LimitsText {
    /// The named rates, where nothing is said as the step kinds have them.
    fn looks_per_second(&self) -> BTreeMap<String, u32> {
        let said = [
            ("rds", self.rds_per_second),
            ("route53", self.route53_per_second),
            ("dynamodb", self.dynamodb_per_second),
            ("ecs", self.ecs_per_second),
            ("cloudfront", self.cloudfront_per_second),
            ("sns", self.sns_per_second),
            ("sts", self.sts_per_second),
        ];
        let usual = LOOKS_PER_SECOND.map(|(service, rate)| (service.to_owned(), rate));
        let said = said.into_iter().filter_map(|(service, rate)| Some((service.to_owned(), rate?)));
        usual.into_iter().chain(said).collect()
    }
}

impl Settings {
    /// No settings, for what needs none.
    pub fn unread() -> Self {
        let (nameservers, looks_per_second) = (Vec::new(), BTreeMap::new());
        Self {
            state: PathBuf::new(),
            nameservers,
            poll_gap_min: limits::POLL_GAP_MIN,
            update_gap_min: GAP_MIN,
            silent_after: SILENT,
            last_words_max: LINGER,
            looks_per_second,
            slack: None,
            mail: None,
            statuspage: None,
            sms: None,
            break_glass: None,
            profile: None,
            file: None,
        }
    }

    /// Where paths in them begin.
    pub fn folder(&self) -> &Path {
        self.file.as_deref().and_then(Path::parent).unwrap_or(Path::new("."))
    }

    /// The settings for a runbook, if one is at hand.
    pub fn load(config: Option<&Path>, state: Option<&Path>, runbook: Option<&Path>) -> Result<Self, Failure> {
        let file = match config {
            Some(path) => Some(path.to_path_buf()),
            None => candidates(runbook).into_iter().find(|path| path.is_file()),
        };
        let text = match &file {
            Some(path) => read(path)?,
            None => Text::default(),
        };
        let beside =
            |dir: PathBuf| file.as_ref().and_then(|f| f.parent()).map_or(dir.clone(), |parent| parent.join(&dir));
        let state = state.map(Path::to_path_buf).or(text.state.dir.map(beside)).or_else(usual_state);
        let Some(state) = state else {
            return Err(
                Failure::usage("there is no place for runs: neither DR_STATE nor HOME is set").hint("--state DIR")
            );
        };
        let looks_per_second = text.limits.looks_per_second();
        let gap = |name: &str, text: Option<String>, usual: Dur| match text {
            None => Ok(usual),
            Some(text) => text.parse().map_err(|e| Failure::usage(format!("limits.{name}: {e}"))),
        };
        let poll_gap_min = gap("poll_gap_min", text.limits.poll_gap_min, limits::POLL_GAP_MIN)?;
        let update_gap_min = gap("update_gap_min", text.limits.update_gap_min, GAP_MIN)?;
        let silent_after = gap("silent_after", text.limits.silent_after, SILENT)?;
        let last_words_max = gap("last_words_max", text.limits.last_words_max, LINGER)?;
        let statuspage_gap = gap("statuspage_gap_min", text.limits.statuspage_gap_min, statuspage::GAP)?;
        let folder = file.as_deref().and_then(Path::parent).unwrap_or(Path::new(".")).to_path_buf();
        let statuspage = text.statuspage.map(|it| it.beside(folder).paced(statuspage_gap));
        Ok(Self {
            state,
            nameservers: text.dns.nameservers,
            poll_gap_min,
            update_gap_min,
            silent_after,
            last_words_max,
            looks_per_second,
            slack: text.slack,
            mail: text.mail,
            statuspage,
            sms: text.sms,
            break_glass: text.break_glass,
            profile: None,
            file,
        })
    }
}

fn candidates(runbook: Option<&Path>) -> Vec<PathBuf> {
    let beside = runbook.map(|path| path.parent().unwrap_or(Path::new(".")).join("dr.toml"));
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".config"));
    let user = env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).or_else(home).map(|dir| dir.join("dr/dr.toml"));
    beside.into_iter().chain(user).collect()
}

fn usual_state() -> Option<PathBuf> {
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    env::var_os("XDG_STATE_HOME").map(PathBuf::from).or_else(home).map(|dir| dir.join("dr"))
}

fn read(path: &Path) -> Result<Text, Failure> {
    let text = fs::read_to_string(path)
        .map_err(|e| Failure::usage(format!("the settings {} cannot be read: {e}", path.display())))
        .map_err(|failure| {
            failure.hint("--config and DR_CONFIG name the file; `unset DR_CONFIG` leaves a lab that is gone")
        })?;
    toml::from_str(&text).map_err(|error| Failure::usage(format!("{}: {}", path.display(), error.to_string().trim())))
}
