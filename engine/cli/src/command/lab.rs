//! `dr lab`: a local AWS to rehearse disasters against.

use super::{Files, Here, pair, value};
use crate::{
    args::lab::{Env, Fault, Lab as Args, Lever, Region, RegionMode, RegionState, Seed, Up},
    failure::{self, Failure},
    show,
};
use dr_drills::lab::{Account, Error, Lab, Options, Place, Ports};
use dr_engine::{plan::build::Sources, yaml};
use serde_json::{Map, Value, json};
use std::{
    fs,
    io::{self, Read},
    path::Path,
};

/// Does what was asked of the lab.
pub fn lab(here: &Here, args: Args) -> Result<u8, Failure> {
    let dir = args.dir.unwrap_or_else(|| here.settings.state.join("lab"));
    match args.command {
        Lever::Up(args) => up(here, &dir, &args)?,
        Lever::Down => down(&dir)?,
        Lever::Status => status(here, &Lab::at(&dir)?)?,
        Lever::Env(args) => env(here, &Lab::at(&dir)?, &args),
        Lever::Seed(args) => seed(here, &Lab::at(&dir)?, &args)?,
        Lever::Region(args) => region(here, &Lab::at(&dir)?, &args)?,
        Lever::Fault(args) => fault(here, &Lab::at(&dir)?, &args)?,
        Lever::Calls(args) => show::print(&Lab::at(&dir)?.calls(args.account.as_ref(), args.after)?),
        Lever::Dump(args) => show::print(&Lab::at(&dir)?.dump(&args.account, args.mask)?),
    }
    Ok(failure::DONE)
}

fn up(here: &Here, dir: &Path, args: &Up) -> Result<(), Failure> {
    let state = &here.settings.state;
    let options = Options {
        looks: args.looks,
        seconds: args.seconds,
        ports: Ports { aws: args.port, admin: args.admin_port, dns: args.dns_port, health: args.health_port },
        // Where `dr status` looks now, it looks in the lab too.
        state: Some(state.canonicalize().unwrap_or_else(|_| state.clone())),
        with_parent: false,
    };
    let lab = Lab::up(dir, &options, &show::aside)?;
    if here.json {
        line(&json!(lab.place));
        return Ok(());
    }
    show::print(&addresses(&lab));
    let folder = lab.dir().display();
    show::aside(&format!(
        "next: dr lab seed 000000000001 --dir {folder}, then eval \"$(dr lab env 000000000001 --dir {folder})\""
    ));
    Ok(())
}

fn down(dir: &Path) -> Result<(), Failure> {
    match Lab::at(dir) {
        Ok(lab) => {
            let pid = lab.place.pid;
            lab.down()?;
            show::print(&format!("the lab in {} has ended (process {pid})\n", dir.display()));
        }
        // What was wanted is so.
        Err(error @ Error::NotUp(_)) => show::print(&format!("{error}\n")),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

fn addresses(lab: &Lab) -> String {
    let Place { pid, endpoint, admin, dns, health } = &lab.place;
    format!(
        "the lab is up in {} (process {pid})\n  AWS       {endpoint}\n  admin     {admin}\n  DNS       {dns}\n  health    {health}\n",
        lab.dir().display()
    )
}

fn status(here: &Here, lab: &Lab) -> Result<(), Failure> {
    let status = lab.status()?;
    if here.json {
        line(&status);
        return Ok(());
    }
    let words = |key: &str| {
        let all = status.get(key).and_then(Value::as_array).into_iter().flatten();
        all.filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
    };
    let none = |text: String| if text.is_empty() { "none".to_owned() } else { text };
    show::print(&format!(
        "{}  accounts  {}\n  down      {}\n  faults    {}\n  calls     {}\n",
        addresses(lab),
        none(words("accounts")),
        none(regions_down(&status)),
        none(rules(&status)),
        status.get("calls").unwrap_or(&Value::Null),
    ));
    Ok(())
}

fn regions_down(told: &Value) -> String {
    let word = |of: &Value, key: &str| of.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let all = told.get("down").and_then(Value::as_array).into_iter().flatten().map(|down| {
        let whose = Some(word(down, "account")).filter(|account| account != "*");
        let whose = whose.map(|account| format!(", account {account}")).unwrap_or_default();
        format!("{} ({}{whose})", word(down, "region"), word(down, "mode"))
    });
    all.collect::<Vec<_>>().join(", ")
}

/// The scripts of faults, one rule a line, by account.
fn rules(told: &Value) -> String {
    let scripts = told.get("faults").and_then(Value::as_object).into_iter().flatten();
    let rules = scripts.flat_map(|(account, rules)| {
        let rules = rules.as_array().into_iter().flatten();
        rules.map(move |rule| format!("{} {rule}", if account == "*" { "all accounts" } else { account }))
    });
    rules.collect::<Vec<_>>().join("\n            ")
}

/// For `eval`: a credential of somebody's own stays out of the lab.
fn env(here: &Here, lab: &Lab, args: &Env) {
    let vars = lab.env(&args.account, &args.region);
    if here.json {
        line(&vars.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect::<Map<_, _>>().into());
        return;
    }
    show::print("unset AWS_PROFILE AWS_SESSION_TOKEN AWS_IGNORE_CONFIGURED_ENDPOINT_URLS\n");
    for (name, value) in vars {
        show::print(&format!("export {name}='{}'\n", value.replace('\'', r"'\''")));
    }
}

fn seed(here: &Here, lab: &Lab, args: &Seed) -> Result<(), Failure> {
    // Before anything is planted: a runbook that cannot be read changes nothing.
    let wanted = args.runbook.as_deref().map(params_of).transpose()?;
    let mut params = if args.last {
        lab.seeded(&args.account)?
    } else {
        let mut how = more(&args.set)?;
        // Some things stand in a lab only when somebody wants them.
        how.extend(wanted.as_ref().map(|wanted| ("wanted".to_owned(), json!(wanted))));
        lab.seed(&args.account, how)?
    };
    if let Some(wanted) = wanted {
        params.retain(|name, _| wanted.contains(name));
    }
    if here.json {
        line(&params.into());
        return Ok(());
    }
    for (name, value) in params {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        show::print(&format!("--param {name}={value}\n"));
    }
    Ok(())
}

fn more(set: &[String]) -> Result<Map<String, Value>, Failure> {
    let one = |text: &String| {
        let (name, text) = pair(text)
            .ok_or_else(|| Failure::usage(format!("`{text}` says nothing of a seed")).hint("--set NAME=VALUE"))?;
        Ok((name, value(&text)))
    };
    set.iter().map(one).collect()
}

/// The names of the parameters that a runbook takes.
fn params_of(runbook: &Path) -> Result<Vec<String>, Failure> {
    let wrong = |why: String| Failure::usage(why).hint(format!("dr lint {}", runbook.display()));
    let (shown, text) = Files.read(&runbook.display().to_string(), None).map_err(wrong)?;
    let doc = yaml::parse(&text, 0, &yaml::Limits::default())
        .map_err(|problem| wrong(format!("{shown} cannot be read: {}", problem.message)))?;
    let params = doc.root().get("params").filter(|params| params.kind() == yaml::Kind::Map);
    Ok(params.into_iter().flat_map(yaml::R::pairs).filter_map(|(name, _)| Some(name.text()?.to_owned())).collect())
}

fn region(here: &Here, lab: &Lab, args: &Region) -> Result<(), Failure> {
    let mut wanted = json!({
        "region": args.name,
        "state": match args.becomes { RegionState::Up => "up", RegionState::Down => "down" },
        "mode": match args.mode { RegionMode::Reset => "reset", RegionMode::Hang => "hang" },
        "global": args.global,
    });
    of_account(&mut wanted, args.account.as_ref());
    let told = lab.region(&wanted)?;
    if here.json {
        line(&told);
    } else {
        let down = regions_down(&told);
        show::print(&if down.is_empty() { "every region is up\n".into() } else { format!("down: {down}\n") });
    }
    Ok(())
}

fn fault(here: &Here, lab: &Lab, args: &Fault) -> Result<(), Failure> {
    let mut script = match &args.file {
        Some(file) => script(file)?,
        None => json!({ "rules": [] }),
    };
    of_account(&mut script, args.account.as_ref());
    let told = lab.fault(&script)?;
    if here.json {
        line(&told);
    } else {
        let rules = rules(&told);
        show::print(&if rules.is_empty() { "no faults\n".into() } else { format!("faults:     {rules}\n") });
    }
    Ok(())
}

fn script(file: &Path) -> Result<Value, Failure> {
    let text = if file == Path::new("-") {
        let mut text = String::new();
        io::stdin().lock().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(file)
    };
    let shown = file.display();
    let text = text.map_err(|e| Failure::usage(format!("{shown} cannot be read: {e}")))?;
    let wrong = |why: &str| {
        let example = r#"[{"service":"rds","operation":"RestoreDBInstanceFromDBSnapshot","nth":1,"do":"drop_after"}]"#;
        Failure::usage(format!("{shown} is no script of faults: {why}")).hint(format!("such as {example}"))
    };
    match serde_json::from_str(&text).map_err(|e| wrong(&e.to_string()))? {
        rules @ Value::Array(_) => Ok(json!({ "rules": rules })),
        script @ Value::Object(_) => Ok(script),
        _ => Err(wrong("it is neither a list nor an object")),
    }
}

fn of_account(document: &mut Value, account: Option<&Account>) {
    if let Some(account) = account {
        document["account"] = account.to_string().into();
    }
}

fn line(value: &Value) {
    show::print(&format!("{value}\n"));
}
