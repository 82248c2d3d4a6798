//! Where AWS would be called: the provider itself, or a lab on this machine.
//!
//! A run against a lab says LAB, and nothing of it may reach the provider. So
//! a mixture is refused, and one service on loopback alone is a mixture: all
//! the others would be the provider's own.

mod profile;

use crate::{args::KindArg, failure::Failure};
use dr_engine::{event::RunKind, run::Run};
use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
};
use url::{Host, Url};

const GENERAL: &str = "AWS_ENDPOINT_URL";
const LAB_ENV: &str = "eval \"$(dr lab env ACCOUNT)\"";

/// The endpoints that are set.
#[derive(Debug, Default)]
pub struct Endpoints {
    /// For every service that has none of its own.
    general: Option<Endpoint>,
    /// For one service each.
    services: Vec<Endpoint>,
}

#[derive(Debug, Clone)]
struct Endpoint {
    set_by: String,
    url: String,
}

/// The texts of the two profile files.
#[derive(Debug, Default)]
struct Profiles {
    config: String,
    credentials: String,
}

enum Side<'a> {
    /// Every call stays on this machine, by this endpoint at least.
    Loopback(&'a Endpoint),
    /// Every call leaves it.
    Away,
}

impl Endpoints {
    /// What is in force here: the environment, and the profile it names.
    pub fn in_force() -> Self {
        let vars: BTreeMap<_, _> = env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| name.starts_with("AWS_"))
            .collect();
        let file = |var: &str, usual: &str| {
            let path = vars.get(var).map_or_else(|| home().map(|home| home.join(usual)), |path| Some(expanded(path)));
            path.and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default()
        };
        let profiles = Profiles {
            config: file("AWS_CONFIG_FILE", ".aws/config"),
            credentials: file("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"),
        };
        Self::of(&vars, &profiles)
    }

    /// The order is the SDK's: a service's variable, the variable for all, the
    /// profile's setting for a service, the profile's for all.
    fn of(vars: &BTreeMap<String, String>, profiles: &Profiles) -> Self {
        let (profile, services) = profiles.of(vars.get("AWS_PROFILE").map_or("default", String::as_str));
        let ignored =
            vars.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS").or(profile.get("ignore_configured_endpoint_urls"));
        if ignored.is_some_and(|said| said.eq_ignore_ascii_case("true")) {
            return Self::default();
        }
        let named = |var: &str| vars.get(var).map(|url| Endpoint { set_by: var.into(), url: url.clone() });
        let mut found = Self { general: named(GENERAL), services: Vec::new() };
        let own = vars.keys().filter(|var| var.strip_prefix(GENERAL).is_some_and(|rest| rest.starts_with('_')));
        found.services.extend(own.filter_map(|var| named(var)));
        if found.general.is_none() {
            let of_profile =
                |name: &str, url: &String| Endpoint { set_by: format!("{name} of the profile"), url: url.clone() };
            found.general = profile.get("endpoint_url").map(|url| of_profile("endpoint_url", url));
            let own = services.iter().filter(|(name, _)| name.ends_with(".endpoint_url"));
            found.services.extend(own.map(|(name, url)| of_profile(name, url)));
        }
        // The SDK takes an empty text for no URL, and calls the provider.
        found.general = found.general.filter(|endpoint| !endpoint.url.trim().is_empty());
        found
    }

    fn side(&self) -> Result<Side<'_>, Failure> {
        let (mut here, mut away) = (Vec::new(), Vec::new());
        for endpoint in self.general.iter().chain(&self.services) {
            if endpoint.is_loopback()? { here.push(endpoint) } else { away.push(endpoint) }
        }
        match (here.first(), away.first(), &self.general) {
            (None, _, _) => Ok(Side::Away),
            (Some(_), None, Some(general)) => Ok(Side::Loopback(general)),
            (Some(here), Some(away), _) => Err(Failure::usage(format!(
                "some AWS calls would stay on this machine and some leave it: `{}` is {}, `{}` is {}",
                here.set_by, here.url, away.set_by, away.url
            ))
            .hint(format!("for a lab unset {}; for the provider unset {}", away.set_by, here.set_by))),
            (Some(here), None, None) => Err(Failure::usage(format!(
                "`{}` is on this machine ({}), and every other service would be AWS itself",
                here.set_by, here.url
            ))
            .hint(format!("for a lab: {LAB_ENV}; for the provider unset {}", here.set_by))),
        }
    }

    /// The kind of a run, from where its calls would go and what was said.
    pub fn kind(&self, calls_provider: bool, said: Option<KindArg>) -> Result<RunKind, Failure> {
        let side = if calls_provider { Some(self.side()?) } else { None };
        match (side, said) {
            (Some(Side::Loopback(Endpoint { set_by, url })), Some(KindArg::Live)) => {
                Err(Failure::usage(format!("`{set_by}` is {url}: against a local AWS no run is live"))
                    .hint(format!("leave out --kind for a lab run; unset {set_by} for a live one")))
            }
            (Some(Side::Away), Some(KindArg::Lab)) => Err(Failure::usage(
                "--kind lab, but no AWS endpoint points at this machine: AWS itself would be called",
            )
            .hint(LAB_ENV)),
            (Some(Side::Loopback(_)), Some(KindArg::Drill | KindArg::Lab) | None) | (None, Some(KindArg::Lab)) => {
                Ok(RunKind::Lab)
            }
            (Some(Side::Away) | None, Some(KindArg::Drill)) => Ok(RunKind::Drill),
            (Some(Side::Away) | None, Some(KindArg::Live) | None) => Ok(RunKind::Live),
        }
    }

    /// Whether a run may go on here: what began in a lab never goes on against
    /// the provider, nor the other way round.
    pub fn allow(&self, run: &Run) -> Result<(), Failure> {
        self.allow_kind(run.opened.kind, run.plan().calls_provider())
    }

    fn allow_kind(&self, kind: RunKind, calls_provider: bool) -> Result<(), Failure> {
        if !calls_provider {
            return Ok(());
        }
        match (kind, self.side()?) {
            (RunKind::Lab, Side::Loopback(_)) | (RunKind::Live | RunKind::Drill, Side::Away) => Ok(()),
            (RunKind::Lab, Side::Away) => {
                Err(Failure::usage("this run began in a lab, and AWS itself would be called now").hint(LAB_ENV))
            }
            (RunKind::Live | RunKind::Drill, Side::Loopback(Endpoint { set_by, .. })) => {
                Err(Failure::usage(format!("this run began against AWS itself, and `{set_by}` points at a local one"))
                    .hint(format!("unset {set_by}")))
            }
        }
    }

    /// One line for `dr doctor`: whether it is sound, and what is in force.
    pub fn told(&self) -> (bool, String) {
        let all: Vec<_> =
            self.general.iter().chain(&self.services).map(|e| format!("{} ({})", e.url, e.set_by)).collect();
        let shown = if all.is_empty() { "AWS itself".into() } else { all.join(", ") };
        match self.side() {
            Ok(Side::Away) => (true, shown),
            Ok(Side::Loopback(_)) => (true, format!("{shown}: runs that call AWS are LAB runs")),
            Err(failure) => (false, failure.message),
        }
    }
}

impl Endpoint {
    fn is_loopback(&self) -> Result<bool, Failure> {
        let wrong = || {
            Failure::usage(format!("`{}` is `{}`, which is no URL", self.set_by, self.url))
                .hint("an endpoint looks like https://rds.eu-central-1.amazonaws.com")
        };
        let url = Url::parse(self.url.trim()).map_err(|_| wrong())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong());
        }
        // To connect to the unspecified address is to connect to this machine.
        Ok(match url.host().ok_or_else(wrong)? {
            Host::Domain(name) => {
                let name = name.trim_end_matches('.');
                name == "localhost" || name.ends_with(".localhost")
            }
            Host::Ipv4(ip) => ip.is_loopback() || ip.is_unspecified(),
            Host::Ipv6(ip) => {
                ip.is_loopback() || ip.is_unspecified() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback())
            }
        })
    }
}

impl Profiles {
    /// The settings of a profile, and those of the `services` section it names.
    fn of(&self, name: &str) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
        let plain = || (name == "default").then(|| profile::section(&self.config, name)).flatten();
        let mut settings =
            profile::section(&self.config, &format!("profile {name}")).or_else(plain).unwrap_or_default();
        settings.extend(profile::section(&self.credentials, name).unwrap_or_default());
        let services =
            settings.get("services").and_then(|of| profile::section(&self.config, &format!("services {of}")));
        (settings, services.unwrap_or_default())
    }
}

fn home() -> Option<PathBuf> {
    env::var_os("HOME").map(PathBuf::from)
}

fn expanded(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), home()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => Path::new(path).to_path_buf(),
    }
}

#[cfg(test)]
mod tests;
