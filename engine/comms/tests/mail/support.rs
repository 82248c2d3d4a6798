//! What the tests of mail share: a parcel, a runbook's people, Python's eye for mail.

use crate::smtpd::support;
use dr_comms::{mail::Recipients, parcel::Parcel};
use dr_engine::{
    clock::Time,
    comms::{Comms, To},
    event::{Event, Kind, Opened, Person, RunKind},
    plan::{Mode, Objectives, Plan, Role, Selection},
    run::Run,
};
use serde_json::{Map, Value};
use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

/// A whole update.
pub(crate) fn update() -> Parcel {
    serde_json::from_str(include_str!("../support/update.json")).expect("a parcel")
}

/// A plan that knows these people, `role name address`, and these addresses beside them.
pub(crate) fn plan(roles: &[[&str; 3]], to: &[&str]) -> Plan {
    let role = |[role, name, email]: &[&str; 3]| {
        let email = (!email.is_empty()).then(|| (*email).to_owned());
        ((*role).to_owned(), Role { name: (*name).into(), email, ..Role::default() })
    };
    let email = Some(To { to: to.iter().map(ToString::to_string).collect() });
    Plan {
        format: 1,
        name: "production".into(),
        description: None,
        owner: None,
        regions: [].into(),
        accounts: [].into(),
        objectives: Objectives::default(),
        roles: roles.iter().map(role).collect(),
        params: Map::new(),
        mode: Mode::Ungraceful,
        comms: Some(Comms { email, ..Comms::default() }),
        claim: None,
        failback: None,
        phases: Vec::new(),
        selection: Selection::default(),
        steps: Vec::new(),
    }
}

/// A run of a plan in which a role has been handed over.
pub(crate) fn handed_over(plan: Plan, role: &str, to: &str) -> Run {
    let by = Person { name: None, user: "ana".into(), host: "bunker".into(), message: None };
    let opened = Opened {
        run: "r".into(),
        plan,
        folder: String::new(),
        kind: RunKind::Live,
        incident_at: Time(0),
        incident_assumed: true,
        detected_at: None,
        declared_at: None,
        declared_by: None,
        by: by.clone(),
    };
    let mut run = Run::open(Event { seq: 1, at: Time(0), kind: Kind::Opened(Box::new(opened)) }).expect("it opens");
    let set = Kind::RoleSet { role: role.into(), to: to.into(), by, why: String::new() };
    run.apply(&Event { seq: 2, at: Time(1), kind: set }).expect("it is legal");
    run
}

/// Those addresses, and nobody in a role.
pub(crate) fn people(to: &[&str]) -> Recipients {
    Recipients::planned(&plan(&[], to))
}

/// What Python reads in a mail.
pub(crate) fn parsed(python: &Path, mail: &[u8]) -> Value {
    let mut child = Command::new(python)
        .arg(support("parse_mail.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    child.stdin.take().expect("it is a pipe").write_all(mail).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    serde_json::from_slice(&output.stdout).expect("it prints JSON")
}
