use super::*;

const LAB: &str = "AWS_ENDPOINT_URL=http://127.0.0.1:4000";

/// The endpoints of an environment (`NAME=VALUE` words) and a config file.
fn endpoints(vars: &str, config: &str) -> Endpoints {
    let vars = vars.split_whitespace().filter_map(|word| word.split_once('='));
    let vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Endpoints::of(&vars, &Profiles { config: config.into(), credentials: String::new() })
}

/// What a run that calls AWS is in an environment, or why it is refused.
fn kind(vars: &str, said: Option<KindArg>) -> String {
    told(endpoints(vars, "").kind(true, said))
}

fn told(kind: Result<RunKind, Failure>) -> String {
    match kind {
        Ok(kind) => format!("{kind:?}").to_lowercase(),
        Err(failure) => format!("{}\nhint: {}", failure.message, failure.hint.unwrap_or_default()),
    }
}

#[test]
fn a_run_against_loopback_is_a_lab_run() {
    assert_eq!(kind("", None), "live");
    assert_eq!(kind("", Some(KindArg::Drill)), "drill");
    assert_eq!(kind(LAB, None), "lab");
    assert_eq!(kind(LAB, Some(KindArg::Drill)), "lab");
    assert_eq!(kind(LAB, Some(KindArg::Lab)), "lab");
    assert_eq!(kind("AWS_ENDPOINT_URL=https://vpce-1.rds.eu-central-1.vpce.amazonaws.com", None), "live");
    assert_eq!(kind(&format!("{LAB} AWS_ENDPOINT_URL_S3=http://[::1]:9"), None), "lab");
}

#[test]
fn against_a_local_aws_no_run_is_live() {
    assert_eq!(
        kind(LAB, Some(KindArg::Live)),
        "`AWS_ENDPOINT_URL` is http://127.0.0.1:4000: against a local AWS no run is live\n\
         hint: leave out --kind for a lab run; unset AWS_ENDPOINT_URL for a live one"
    );
}

#[test]
fn a_lab_run_never_calls_the_provider() {
    assert_eq!(
        kind(&format!("{LAB} AWS_ENDPOINT_URL_RDS=https://rds.eu-west-1.amazonaws.com"), None),
        "some AWS calls would stay on this machine and some leave it: `AWS_ENDPOINT_URL` is http://127.0.0.1:4000, \
         `AWS_ENDPOINT_URL_RDS` is https://rds.eu-west-1.amazonaws.com\n\
         hint: for a lab unset AWS_ENDPOINT_URL_RDS; for the provider unset AWS_ENDPOINT_URL"
    );
    // The trap: the one endpoint that is set is local, and the rest is not set at all.
    assert_eq!(
        kind("AWS_ENDPOINT_URL_S3=http://localhost:4566", None),
        "`AWS_ENDPOINT_URL_S3` is on this machine (http://localhost:4566), and every other service would be AWS itself\n\
         hint: for a lab: eval \"$(dr lab env ACCOUNT)\"; for the provider unset AWS_ENDPOINT_URL_S3"
    );
    assert_eq!(
        kind("", Some(KindArg::Lab)),
        "--kind lab, but no AWS endpoint points at this machine: AWS itself would be called\n\
         hint: eval \"$(dr lab env ACCOUNT)\""
    );
}

#[test]
fn without_a_step_that_calls_aws_the_kind_is_what_was_said() {
    let mixed = endpoints("AWS_ENDPOINT_URL_S3=http://localhost:4566", "");
    for (said, kind) in [
        (None, RunKind::Live),
        (Some(KindArg::Live), RunKind::Live),
        (Some(KindArg::Drill), RunKind::Drill),
        (Some(KindArg::Lab), RunKind::Lab),
    ] {
        assert_eq!(mixed.kind(false, said).ok(), Some(kind));
    }
}

#[test]
fn loopback_is_judged_by_the_host_and_not_by_how_it_looks() {
    let loopback = [
        "http://localhost:1",
        "http://LOCALHOST.",
        "http://a.localhost/x",
        "http://127.9.9.9",
        "http://0x7f.1:80",
        "http://[::ffff:127.0.0.1]",
        "http://0.0.0.0:4000",
        "https://[::1]",
    ];
    let away = [
        "http://127.0.0.1@example.com",
        "http://127.0.0.1.example.com",
        "https://localhost.example.com",
        "http://10.0.0.1",
        "http://example.com/127.0.0.1",
        "http://128.0.0.1",
    ];
    for url in loopback {
        assert_eq!(kind(&format!("AWS_ENDPOINT_URL={url}"), None), "lab", "{url}");
    }
    for url in away {
        assert_eq!(kind(&format!("AWS_ENDPOINT_URL={url}"), None), "live", "{url}");
    }
    for url in ["localhost:4566", "127.0.0.1", "ftp://127.0.0.1", "http://"] {
        let told = kind(&format!("AWS_ENDPOINT_URL={url}"), None);
        assert!(told.starts_with(&format!("`AWS_ENDPOINT_URL` is `{url}`, which is no URL")), "{told}");
    }
}

const PROFILES: &str = "
[default]
endpoint_url = http://localhost:1
[profile eu]
services = mixed
endpoint_url = https://example.com
[services mixed]
dynamodb =
  endpoint_url = http://localhost:8000
[profile old]
endpoint_url = http://localhost:1
ignore_configured_endpoint_urls = true
";

#[test]
fn the_profile_in_force_counts() {
    let kind = |vars: &str| told(endpoints(vars, PROFILES).kind(true, None));
    assert_eq!(kind(""), "lab");
    assert_eq!(kind("AWS_PROFILE=other"), "live");
    assert!(kind("AWS_PROFILE=eu").contains("`dynamodb.endpoint_url of the profile` is http://localhost:8000"));
    // The variable for all stands above everything in the files.
    assert_eq!(kind(&format!("AWS_PROFILE=eu {LAB}")), "lab");
    assert_eq!(kind("AWS_ENDPOINT_URL="), "live");
}

#[test]
fn endpoints_that_the_sdk_ignores_are_ignored() {
    assert_eq!(kind(&format!("{LAB} AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true"), None), "live");
    assert_eq!(told(endpoints("AWS_PROFILE=old", PROFILES).kind(true, None)), "live");
}

#[test]
fn what_began_in_a_lab_goes_on_in_a_lab_alone() {
    let (lab, provider) = (endpoints(LAB, ""), endpoints("", ""));
    assert!(lab.allow_kind(RunKind::Lab, true).is_ok());
    assert!(provider.allow_kind(RunKind::Live, true).is_ok());
    assert!(provider.allow_kind(RunKind::Drill, true).is_ok());
    assert!(provider.allow_kind(RunKind::Lab, false).is_ok());
    let why = |refused: Result<(), Failure>| refused.err().map(|failure| failure.message).unwrap_or_default();
    assert_eq!(
        why(provider.allow_kind(RunKind::Lab, true)),
        "this run began in a lab, and AWS itself would be called now"
    );
    assert_eq!(
        why(lab.allow_kind(RunKind::Live, true)),
        "this run began against AWS itself, and `AWS_ENDPOINT_URL` points at a local one"
    );
}
