//! What the words behind `aws` would do: look or change, and which of them
//! would break what a runbook promises.
//!
//! From the AWS CLI command reference, the service models of botocore 1.44.5,
//! and the programs themselves (version 1 reads `--reg` as `--region`).

/// Words with which the names of reads begin.
const READS: [&str; 7] = ["describe-", "list-", "get-", "head-", "batch-get-", "lookup-", "search-"];
/// Reads that are called otherwise.
const READS_TOO: [(&str, &str); 7] = [
    ("dynamodb", "query"),
    ("dynamodb", "scan"),
    ("iam", "simulate-custom-policy"),
    ("iam", "simulate-principal-policy"),
    ("logs", "filter-log-events"),
    ("route53", "test-dns-answer"),
    ("sns", "check-if-phone-number-is-opted-out"),
];
/// What sounds like a read and makes something, here or there.
const NOT_READS: [(&str, &str); 6] = [
    ("apigateway", "get-export"),
    ("apigateway", "get-sdk"),
    ("cognito-identity", "get-id"),
    ("glacier", "get-job-output"),
    ("s3api", "get-object"),
    ("s3api", "get-object-torrent"),
];
/// What stands in the name of a read that gives away a right.
const RIGHTS: [&str; 6] = ["credential", "token", "password", "login", "access-details", "secret-value"];
/// Operations whose answer is a secret.
const SECRETS: [&str; 19] = [
    "assume-role",
    "assume-role-with-saml",
    "assume-role-with-web-identity",
    "assume-root",
    "batch-get-secret-value",
    "create-access-key",
    "generate-db-auth-token",
    "get-authorization-token",
    "get-cluster-credentials",
    "get-cluster-credentials-with-iam",
    "get-credentials-for-identity",
    "get-federation-token",
    "get-login",
    "get-login-password",
    "get-password-data",
    "get-random-password",
    "get-role-credentials",
    "get-secret-value",
    "get-session-token",
];
/// Commands that are no service.
const NO_SERVICES: [&str; 6] = ["configure", "help", "history", "login", "logout", "sso"];

/// Options that a step may not give, and why not, as an answer to "what instead".
const REFUSED: [(&str, &str); 13] = [
    ("--region", "the step's `region:` says where it works"),
    ("--profile", "the account is the runbook's; AWS_PROFILE, where `dr` is started, holds for every step alike"),
    ("--endpoint-url", "AWS_ENDPOINT_URL, where `dr` is started, holds for every step alike"),
    ("--output", "answers are read as JSON; take the option away"),
    ("--debug", "it prints what is signed and sent; take the option away"),
    ("--no-sign-request", "in which account it would work could not be verified; take the option away"),
    ("--no-verify-ssl", "who answers could not be verified; for an authority of your own set AWS_CA_BUNDLE"),
    ("--ca-bundle", "AWS_CA_BUNDLE, where `dr` is started, holds for every step alike"),
    ("--generate-cli-skeleton", "nothing would be sent, and the step would pass for done; take the option away"),
    ("--dry-run", "nothing would be done, and the step could pass for done; take the option away"),
    ("--dryrun", "nothing would be done, and the step would pass for done; take the option away"),
    ("--cli-auto-prompt", "nobody could answer it; take the option away"),
    ("--with-decryption", "the secret would stand in the log; let the program that needs it ask for it"),
];
/// Options with which an answer may be a part of the whole.
const CUTS: [&str; 3] = ["--no-paginate", "--max-items", "--starting-token"];

/// Whether an operation only looks. What is not known does not.
pub(crate) fn is_read(service: &str, operation: &str) -> bool {
    let here = |list: &[(&str, &str)]| list.contains(&(service, operation));
    let named = READS.iter().any(|word| operation.starts_with(word));
    // `aws s3` is no service of one call: its commands make many.
    service != "s3"
        && !here(&NOT_READS)
        && !RIGHTS.iter().any(|word| operation.contains(word))
        && (named || here(&READS_TOO))
}

/// Operations that make a second writer at once, of which the newest writes of
/// the first are not part: what replicates to them does so asynchronously.
const PROMOTIONS: [(&str, &str); 10] = [
    ("docdb", "remove-from-global-cluster"),
    ("efs", "delete-replication-configuration"),
    ("elasticache", "disassociate-global-replication-group"),
    ("elasticache", "failover-global-replication-group"),
    ("mq", "promote"),
    ("neptune", "promote-read-replica-db-cluster"),
    ("neptune", "remove-from-global-cluster"),
    ("rds", "promote-read-replica"),
    ("rds", "promote-read-replica-db-cluster"),
    ("rds", "remove-from-global-cluster"),
];
/// Services whose `failover-global-cluster` is a switchover unless an option allows to lose data.
const GLOBAL_CLUSTERS: [&str; 3] = ["docdb", "neptune", "rds"];

/// Whether these words promote: afterwards there are two writers, what was
/// written last is lost, and there is no way back. What may be so by a word
/// that is not known yet, or by a file of inputs, counts as if it were.
pub(crate) fn promotes(words: &[Option<&str>]) -> bool {
    let [Some(service), Some(operation), rest @ ..] = words else { return false };
    let inputs = |word: &str| word.starts_with("--cli-i");
    if *operation == "failover-global-cluster" && GLOBAL_CLUSTERS.contains(service) {
        return rest.iter().any(|word| {
            word.is_none_or(|word| {
                let name = word.split('=').next().unwrap_or_default();
                inputs(word) || means(name, "--allow-data-loss")
            })
        });
    }
    // A broker that switches over waits until all has arrived; its option says which of both it is.
    let switches = rest.iter().flatten().any(|word| matches!(*word, "SWITCHOVER" | "--mode=SWITCHOVER"));
    if (*service, *operation) == ("mq", "promote") && switches {
        return false;
    }
    PROMOTIONS.contains(&(*service, *operation))
}

/// Whether a command is one call of the service, so that its refusal is the
/// whole of what happened.
pub(crate) fn is_one_call(service: &str, operation: &str) -> bool {
    service != "s3" && service != "deploy" && !matches!((service, operation), ("cloudformation" | "ecs", "deploy"))
}

/// Why these words cannot be a step, and a way out. A word that is not known
/// yet is `None`: it is a value, and is looked at again when it is known.
pub(crate) fn refused(words: &[Option<&str>]) -> Option<(String, String)> {
    let no = |message: String, help: &str| Some((message, help.to_owned()));
    let [first, second, rest @ ..] = words else {
        return no(
            "an operation has two words at least: the service and what to do there".into(),
            "write it as behind `aws`: `[ssm, put-parameter, --name, /app/region, …]`",
        );
    };
    let (Some(service), Some(operation)) = (first, second) else {
        return no(
            "the service and the operation are references: nobody could say whether it looks or changes".into(),
            "write both out; references may stand behind them",
        );
    };
    if *service == "aws" {
        return no(
            "`aws` is the program, and stands before `args`".into(),
            "leave it out: the service comes first, as in `[ssm, put-parameter, --name, …]`",
        );
    }
    if let Some(option) = [service, operation].into_iter().find(|word| word.starts_with('-')) {
        return no(
            format!("`{option}` stands where the service and the operation do"),
            "options stand behind them: `[ssm, put-parameter, --name, …]`",
        );
    }
    if NO_SERVICES.contains(service) || *operation == "help" {
        return no(format!("`aws {service} {operation}` is no operation of a service"), "such things a person does");
    }
    if *operation == "wait" {
        return no(
            format!("`aws {service} wait` gives up by itself and does not say what it saw"),
            "wait with `until`, which looks as long as the step has time: `until: { args: […], expect: {…} }`",
        );
    }
    if SECRETS.contains(operation) {
        return no(
            format!("the answer to `{service} {operation}` is a secret, and would stand in the step's log"),
            "let the program that needs it ask for it",
        );
    }
    rest.iter().flatten().find_map(|word| refused_word(word))
}

fn refused_word(word: &str) -> Option<(String, String)> {
    let (name, value) = if word.starts_with("--") { word.split_once('=').unwrap_or((word, "")) } else { ("", word) };
    if let Some((option, why)) = REFUSED.iter().find(|(option, _)| means(name, option)) {
        let also = if name == *option { String::new() } else { format!(", which `aws` takes for `{option}`,") };
        return Some((format!("`{name}`{also} is not for a step to give"), (*why).to_owned()));
    }
    if value.starts_with("file://") || value.starts_with("fileb://") {
        return Some((
            format!("`{value}` would be read when the step runs, and is no part of the plan"),
            "write what stands in the file into the runbook, as the value of the option".into(),
        ));
    }
    None
}

/// Why an answer to these words could be a part of the whole.
pub(crate) fn cut(words: &[Option<&str>]) -> Option<(String, String)> {
    let name = |word: &&&str| CUTS.iter().any(|option| means(word.split('=').next().unwrap_or_default(), option));
    let word = words.iter().flatten().find(name)?;
    Some((
        format!("with `{word}` the answer may be a part of the whole, and what is missing would pass for absent"),
        "take it away; `--query` chooses from the whole".into(),
    ))
}

/// What version 1 of `aws` would fetch from the web and send in place of its
/// address; the options that it leaves alone are known (`awscli/paramfile.py`).
pub(crate) fn fetched(words: &[String]) -> Option<&str> {
    const LEFT_ALONE: [&str; 2] = ["--queue-url", "--template-url"];
    let web = |text: &str| text.starts_with("http://") || text.starts_with("https://");
    words.iter().enumerate().find_map(|(at, word)| {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, value),
            _ => (at.checked_sub(1).map_or("", |before| words[before].as_str()), word.as_str()),
        };
        (web(value) && !LEFT_ALONE.contains(&name)).then_some(value)
    })
}

/// Whether `aws` would take a word for this option: it knows one by its beginning.
fn means(word: &str, option: &str) -> bool {
    word.len() > 2 && option.starts_with(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_to_look_is_a_read() {
        for (service, operation) in [
            ("rds", "describe-db-instances"),
            ("s3api", "head-object"),
            ("dynamodb", "query"),
            ("dynamodb", "batch-get-item"),
            ("cloudtrail", "lookup-events"),
            ("logs", "filter-log-events"),
            ("lambda", "get-function-concurrency"),
        ] {
            assert!(is_read(service, operation), "{service} {operation}");
        }
        for (service, operation) in [
            ("ssm", "put-parameter"),
            ("sts", "get-session-token"),
            ("ecr", "get-login-password"),
            ("cognito-identity", "get-id"),
            ("redshift", "get-cluster-credentials"),
            ("secretsmanager", "get-secret-value"),
            ("s3api", "get-object"),
            ("s3", "ls"),
            ("s3", "cp"),
            ("rds", "wait"),
            ("rds", "describe"),
            ("x", "getthing"),
            ("x", ""),
        ] {
            assert!(!is_read(service, operation), "{service} {operation}");
        }
    }

    #[test]
    fn what_promotes_is_known_by_its_name() {
        let words = |text: &'static str| text.split(' ').map(Some).collect::<Vec<_>>();
        for text in [
            "rds promote-read-replica --db-instance-identifier x",
            "efs delete-replication-configuration --source-file-system-id x",
            "rds promote-read-replica-db-cluster --db-cluster-identifier x",
            "neptune promote-read-replica-db-cluster",
            "rds failover-global-cluster --global-cluster-identifier x --allow-data-loss",
            "docdb failover-global-cluster --allow-d",
            "neptune failover-global-cluster --cli-input-json {}",
            "rds remove-from-global-cluster --global-cluster-identifier x",
            "elasticache failover-global-replication-group",
            "elasticache disassociate-global-replication-group",
            "mq promote --mode FAILOVER",
        ] {
            assert!(promotes(&words(text)), "{text}");
        }
        for text in [
            "rds failover-global-cluster --global-cluster-identifier x --switchover",
            "rds failover-global-cluster --no-allow-data-loss",
            "rds switchover-global-cluster",
            "rds failover-db-cluster",
            "mq promote --mode SWITCHOVER",
            "ram promote-resource-share-created-from-policy",
        ] {
            assert!(!promotes(&words(text)), "{text}");
        }
        let reference = [Some("rds"), Some("failover-global-cluster"), None];
        assert!(promotes(&reference), "nobody knows yet what stands there");
    }

    #[test]
    fn what_would_break_the_promise_is_refused_with_a_way_out() {
        let says = |words: &[&str]| refused(&words.iter().map(|word| Some(*word)).collect::<Vec<_>>());
        for (words, message) in [
            (&["ssm"][..], "an operation has two words at least"),
            (&["--region", "x", "ssm"], "`--region` stands where the service"),
            (&["configure", "list"], "`aws configure list` is no operation"),
            (&["rds", "wait", "db-instance-available"], "`aws rds wait` gives up by itself"),
            (&["sts", "get-session-token"], "is a secret"),
            (&["ssm", "x", "--region", "eu-west-1"], "`--region` is not for a step to give"),
            (&["ssm", "x", "--reg=eu-west-1"], "`--reg`, which `aws` takes for `--region`, is not"),
            (&["ssm", "x", "--endpoint", "http://x"], "`--endpoint`, which `aws` takes for `--endpoint-url`,"),
            (&["ec2", "stop-instances", "--dry-run"], "`--dry-run` is not"),
            (&["s3", "sync", "a", "b", "--dryrun"], "`--dryrun` is not"),
            (&["ssm", "x", "--value", "file:///etc/passwd"], "`file:///etc/passwd` would be read when the step runs"),
            (&["ssm", "x", "--value=fileb://x"], "`fileb://x` would be read when the step runs"),
            (&["ssm", "get-parameter", "--with-decryption"], "`--with-decryption` is not"),
        ] {
            let (said, help) = says(words).unwrap_or_else(|| panic!("{words:?} is taken"));
            assert!(said.contains(message), "{said}");
            assert!(!help.is_empty());
        }
        for words in [
            &["ssm", "put-parameter", "--name", "--", "-"][..],
            &["sqs", "set-queue-attributes", "--queue-url", "https://x", "--query", "Attributes"],
            &["rds", "modify-db-instance", "--profile-x", "y"],
        ] {
            assert_eq!(says(words), None, "{words:?}");
        }
        let (said, _) = refused(&[Some("ssm"), None]).expect("it is not known what it does");
        assert!(said.contains("are references"), "{said}");
        assert_eq!(refused(&[Some("ssm"), Some("put-parameter"), None]), None);
    }

    #[test]
    fn a_look_sees_the_whole() {
        assert!(cut(&[Some("s3api"), Some("list-objects-v2"), Some("--max-items=1")]).is_some());
        assert!(cut(&[Some("s3api"), Some("list-objects-v2"), Some("--no-paginate")]).is_some());
        assert_eq!(cut(&[Some("s3api"), Some("list-objects-v2"), Some("--page-size"), None]), None);
    }

    #[test]
    fn what_version_1_would_fetch_is_known() {
        let words = |text: &str| text.split(' ').map(ToOwned::to_owned).collect::<Vec<_>>();
        assert_eq!(fetched(&words("ssm put-parameter --value https://a")), Some("https://a"));
        assert_eq!(fetched(&words("ssm put-parameter --value=http://a")), Some("http://a"));
        assert_eq!(fetched(&words("sqs purge-queue --queue-url https://a")), None);
        assert_eq!(fetched(&words("ssm put-parameter --value xhttps://a")), None);
    }
}
