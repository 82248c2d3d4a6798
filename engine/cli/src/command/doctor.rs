//! `dr doctor`: could I recover from here, now?

use super::Here;
use crate::{args::Doctor, endpoints::Endpoints, failure, show};
use std::fs;

/// Looks at everything a recovery from here would lean on.
pub fn doctor(here: &Here, args: &Doctor) -> u8 {
    let mut good = true;
    let mut say = |ok: bool, what: &str, found: String| {
        good &= ok;
        show::print(&format!("{} {what:<10} {found}\n", if ok { "ok  " } else { "BAD " }));
    };
    let settings = &here.settings;
    let from = settings.file.as_ref().map_or("no file; defaults".into(), |f| f.display().to_string());
    say(true, "settings", from);
    let (ok, found) = state_folder(&settings.state);
    say(ok, "state", found);
    let (ok, found) = Endpoints::in_force().told();
    say(ok, "aws", found);
    let servers: Vec<_> = settings.nameservers.iter().map(ToString::to_string).collect();
    say(
        true,
        "resolvers",
        if servers.is_empty() { system_resolvers() } else { format!("{} (settings)", servers.join(", ")) },
    );
    say(true, "clock", format!("{} (not compared with a time server)", crate::control::clock().now()));
    if let Some(runbook) = &args.runbook {
        match fs::metadata(runbook) {
            Ok(_) => say(true, "runbook", runbook.display().to_string()),
            Err(e) => say(false, "runbook", format!("{}: {e}", runbook.display())),
        }
    }
    if good { failure::DONE } else { failure::BEFORE }
}

fn state_folder(folder: &std::path::Path) -> (bool, String) {
    let shown = folder.display();
    if let Err(e) = fs::create_dir_all(folder) {
        return (false, format!("{shown} cannot be made: {e}"));
    }
    match rustix::fs::statvfs(folder) {
        Ok(stat) => {
            let mib = stat.f_bavail.saturating_mul(stat.f_frsize) / (1024 * 1024);
            (mib >= 64, format!("{shown}, {mib} MiB free"))
        }
        Err(e) => (false, format!("{shown}: {e}")),
    }
}

fn system_resolvers() -> String {
    let text = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let servers: Vec<_> = text.lines().filter_map(|l| l.strip_prefix("nameserver ")).collect();
    if servers.is_empty() { "none in /etc/resolv.conf".into() } else { format!("{} (system)", servers.join(", ")) }
}
