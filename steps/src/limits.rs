//! Every limit of the step kinds has a name, and they stand here.

use dr_engine::duration::Dur;

/// From TERM to KILL, for a command whose time is up.
pub const TERM_TO_KILL: Dur = Dur(10_000);
/// How long the end of a killed process group is waited for.
pub const KILL_TO_END: Dur = Dur(2_000);
/// The pause between two looks at processes of this machine.
pub const PROCESS_PAUSE: Dur = Dur(100);
/// The longest output of a command from which values are read.
pub const STDOUT_BYTES_MAX: u64 = 1024 * 1024;
/// Within this many bytes from the end of stderr, its last line is looked for.
pub const STDERR_TAIL_BYTES: u64 = 64 * 1024;
/// The longest part of a line of somebody else's that a message carries.
pub const QUOTE_CHARS_MAX: usize = 400;
/// The longest secret.
pub const SECRET_BYTES_MAX: u64 = 64 * 1024;
/// From this length on the disguises of a secret (base64, URL-encoded) are
/// looked for too; those of a shorter one are found everywhere.
pub const SECRET_DISGUISE_BYTES_MIN: usize = 6;
/// File names made of step ids are not longer, whatever the id.
pub const LOG_NAME_BYTES_MAX: usize = 160;
/// The longest answer that is read of an HTTP server.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// How long a connection may take to stand, its TLS included.
pub const CONNECT_TIMEOUT: Dur = Dur(10_000);
/// How long the request of an `http` step may take in all, if its step has so long.
pub const REQUEST_TIMEOUT: Dur = Dur(300_000);
/// How long an `http` step may take to end in order when its time is up.
pub const REQUEST_GRACE: Dur = Dur(1_000);
/// How long one request of a probe or a check may take in all.
pub const PROBE_TIMEOUT: Dur = Dur(10_000);
/// How many alarms one look takes: `DescribeAlarms` takes no more names.
pub const ALARMS_MAX: usize = 100;
/// The longest object that is read as a time.
pub const CANARY_BYTES_MAX: i64 = 1024;
/// The longest object that a health check asks for and that is kept to be put again.
pub const FLAG_BYTES_MAX: i64 = 4096;
/// How far the clock of whoever writes a canary may be ahead.
pub const CANARY_AHEAD_MAX: Dur = Dur(5 * 60_000);
/// How long a query may take.
pub const SQL_TIMEOUT: Dur = Dur(10_000);
/// The longest time that a runbook may give a query: with all that comes before and after it, a look has two
/// minutes.
pub const SQL_TIMEOUT_MAX: Dur = Dur(75_000);
/// How long a database that ends a query by itself is waited for, beyond the query's own time.
pub const SQL_GRACE: Dur = Dur(5_000);
/// The most rows of an answer that are read.
pub const SQL_ROWS_MAX: usize = 1_000;
/// The most bytes that are read of a database in one look.
pub const SQL_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The shortest pause between two probes of a service.
pub const PROBE_PAUSE_MIN: Dur = Dur(10);
/// How long one try of a name server may take.
pub const DNS_TIMEOUT: Dur = Dur(2_000);
/// How often every name server is tried.
pub const DNS_ROUNDS: usize = 2;
/// How long Statuspage may ask to wait in all, in a look or an act of a step: less than a look may take.
pub const STATUSPAGE_WAIT_MAX: Dur = Dur(90_000);
/// The pause between two looks for what may have been said there.
pub const STATUSPAGE_LOOK: Dur = Dur(5_000);
/// The longest export of users: what Cognito imports is at most 100 MB.
pub const EXPORT_BYTES_MAX: i64 = 100_000_000;
/// The longest line of it.
pub const EXPORT_ROW_CHARS_MAX: usize = 16_000;
/// How many users it may hold.
pub const EXPORT_USERS_MAX: u64 = 500_000;
/// How many import jobs one page of a list holds: no more are given.
pub const JOBS_PAGE: i32 = 60;
/// How long the file of an import may take to be sent.
pub const UPLOAD: Dur = Dur(15 * 60_000);
/// How long after a job was made its file is taken.
pub const UPLOAD_UNTIL: Dur = Dur(15 * 60_000);
/// How many roles one `iam.check` looks at: each takes several calls, one after the other.
pub const IAM_ROLES_MAX: usize = 10;
