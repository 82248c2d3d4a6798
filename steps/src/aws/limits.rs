//! Every limit of the way to AWS has a name, and they stand here.

use dr_engine::duration::Dur;
use std::time::Duration;

/// How long a connection may take to be made: a region that is down is
/// noticed this soon.
pub const CONNECT: Duration = Duration::from_secs(3);
/// How long the first byte of an answer may take.
pub const READ: Duration = Duration::from_secs(30);
/// How long a call may take in all.
pub const OPERATION: Duration = Duration::from_mins(1);
/// How long the copy of one large object may take in all.
pub const COPY: Duration = Duration::from_mins(15);
/// How long a region may leave questions about what is to be turned off in it without an answer, before
/// that counts as unknown: it may be lost.
pub const TURNS_OFF: Dur = Dur(20_000);
/// The pause between two of them.
pub const TURNS_OFF_PAUSE: Dur = Dur(500);
/// How long the answer of a function may take: no function runs longer.
pub const INVOKE: Dur = Dur(15 * 60_000);
/// How long something that was just made may not be seen yet.
pub const UNSEEN: Dur = Dur(60_000);
/// How long a measured value may be waited for that is only told: a region that is lost has none.
pub const MEASURED: Dur = Dur(5_000);
/// How far back the newest sample of a metric is looked for.
pub const METRIC_SINCE: Dur = Dur(24 * 3_600_000);
/// How often a metric is asked for before its value counts as unknown: what
/// waits for it must not wait for a service that is impaired.
pub const METRIC_TRIES: u32 = 3;
/// The pause between two tries.
pub const METRIC_PAUSE: Dur = Dur(1_000);
/// How long a database may be busy with something else (a backup, a change)
/// before nobody waits for it any more.
pub const BUSY: Dur = Dur(30 * 60_000);
/// How long a promotion that was accepted may not be seen to begin.
pub const BEGINS: Dur = Dur(5 * 60_000);
/// How long RDS may take to show a fence that was set, and to take it over.
pub const ARRIVES: Dur = Dur(10 * 60_000);
/// How long a fence that RDS calls active, or in sync, may take until it holds: its word says nothing exact,
/// and may be of before the change.
pub const FENCE_SETTLES: Dur = Dur(30_000);
/// How many looks in a row have to see such a setting before it counts.
pub const SETTLED_LOOKS: u32 = 5;
/// How many characters of values a Route 53 batch may hold.
pub const ROUTE53_VALUE_CHARS_MAX: usize = 32_000;
/// How many records a Route 53 batch may hold; a change of one is two.
pub const ROUTE53_RECORDS_MAX: usize = 1_000;
/// How long one endpoint of an ARC cluster may take to answer: there are four others.
pub const CONTROLS_CALL: Duration = Duration::from_secs(3);
/// How often all of them are asked to take a change.
pub const CONTROLS_ROUNDS: u32 = 3;
/// The pause between two rounds.
pub const CONTROLS_PAUSE: Dur = Dur(1_000);
/// How long they may disagree before nobody knows what holds.
pub const CONTROLS_AGREE: Dur = Dur(5_000);
/// The same after a change that one of them has taken.
pub const CONTROLS_SPREAD: Dur = Dur(60_000);
/// The longest tag value that AWS takes.
pub const TAG_CHARS_MAX: usize = 256;

/// How many looks per second each service is asked for, in one region; what
/// is not listed is not bounded. Route 53 takes five calls a second from a
/// whole account, ours and everybody else's.
pub const LOOKS_PER_SECOND: [(&str, u32); 13] = [
    ("rds", 5),
    ("route53", 3),
    ("dynamodb", 8),
    ("ecs", 10),
    ("cloudfront", 2),
    ("sns", 20),
    ("sts", 5),
    ("backup", 5),
    ("cloudwatch", 10),
    ("elasticache", 5),
    ("cognito", 5),
    ("key_values", 5),
    ("lambda", 5),
];
/// How long the credentials of a role are asked for: what every role allows, and the most that one gets who
/// assumes it with the credentials of another role ("Roles terms and concepts", IAM User Guide).
pub const ROLE_LASTS: Dur = Dur(3_600_000);
/// How long STS may take to give them: while they are still good, steps go on without.
pub const ROLE_CALL: Dur = Dur(10_000);
/// The pause between two tries to renew credentials that are still good.
pub const ROLE_PAUSE: Dur = Dur(30_000);
/// How soon after new credentials were given an answer may still be to a call that was signed with the old ones.
pub const ROLE_SETTLES: Dur = Dur(1_000);
/// How long one question of `dr doctor` may take in all.
pub const SURVEY_CALL: Dur = Dur(5_000);
/// How long AWS Backup is taken to know an idempotency token: an hour, as its API
/// Reference said in 2019 and does not say now, less the time in which it is called.
pub const TOKEN_HOLDS: Dur = Dur(50 * 60_000);
/// How far this machine's clock may be from that of AWS: beyond it, signatures are refused.
pub const SKEW_MAX: Dur = Dur(5 * 60_000);
/// How often a claim is tried for whose object does not answer, or changes meanwhile.
pub const CLAIM_TRIES: u32 = 3;
/// The pause between two tries.
pub const CLAIM_PAUSE: Dur = Dur(500);
/// How long one call for a claim may take in all: somebody waits for it.
pub const CLAIM_CALL: Dur = Dur(10_000);
/// How long letting go of a claim may take in all: the recovery is over by then.
pub const CLAIM_LET_GO: Dur = Dur(20_000);
/// How often a controller looks whether the claim is still its own: more than
/// once in a lease, for longer than which it does not act without a look.
pub const CLAIM_EVERY: Dur = Dur(5_000);
/// The longest object that is read as a claim.
pub const CLAIM_BYTES_MAX: i64 = 64 * 1024;
/// The largest object that one copy takes: above it, S3 wants parts.
pub const COPY_BYTES_MAX: i64 = 5 * 1024 * 1024 * 1024;
/// How many objects are copied or deleted at the same time.
pub const COPIES_MAX: usize = 16;
/// Of how many objects it is looked whether they were replicated: the newest of one page of a list.
pub const REPLICATION_SAMPLE: usize = 32;
/// How many objects are looked at at the same time.
pub const HEADS_MAX: usize = 32;
/// After how many copies progress is said.
pub const COPIES_SAID: usize = 100;
/// How long SNS may take to take one SMS: after that nobody knows whether it did.
pub const SMS_SEND: Dur = Dur(5_000);
/// How long one question before it may take: it is sent all the same where it gets no answer.
pub const SMS_LOOK: Dur = Dur(3_000);
/// How many numbers SNS is asked about at the same time.
pub const SMS_LOOKS_MAX: usize = 8;
/// How long all questions of `dr doctor` about SMS may take together.
pub const SMS_CHECK: Dur = Dur(20_000);
/// How long the command line may take to say its version: a cold Python takes seconds.
pub const CLI_VERSION: Dur = Dur(20_000);
/// From this length on a secret access key is looked for in what is shown: AWS makes them of 40 characters.
pub const SECRET_KEY_CHARS_MIN: usize = 16;
