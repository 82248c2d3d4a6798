//! Mail against a real server: what arrives, what does not, and what is said of it.

use crate::{
    smtpd::{PASSWORD, Smtpd, python},
    support::{handed_over, parsed, people, plan, update},
};
use dr_comms::{
    channel::{Channel, Memory, Trouble},
    mail::{Mail, Recipients, Settings, message_id},
    parcel::{Body, Meet, Notice, Parcel},
};
use dr_engine::{
    clock::{Clock, SystemClock},
    duration::Dur,
    event::Audience,
};
use serde_json::{Value, json};
use std::{net::TcpListener, path::Path, sync::Arc};

const ANA: &str = "ana@example.org";
const BO: &str = "bo@example.org";

/// Settings for a server of the tests, with some fields changed.
fn settings(scheme: &str, port: u16, changed: Value) -> Settings {
    let mut fields = json!({
        "url": format!("{scheme}://dr@127.0.0.1:{port}"),
        "from": "Recovery <dr@example.org>",
        "password": { "secret": "file:password" },
        "ca": "ca.pem",
        "timeout": "10s",
    });
    let Value::Object(changed) = changed else { panic!("fields are a map") };
    let fields = fields.as_object_mut().expect("a map");
    fields.extend(changed);
    fields.retain(|_, value| !value.is_null());
    serde_json::from_value(Value::Object(fields.clone())).expect("good settings")
}

fn mail(settings: Settings, folder: &Path, recipients: Recipients) -> Mail {
    Mail::new(settings, folder, recipients, Arc::new(SystemClock::new()))
}

/// Mail to ana and bo by a server that wants STARTTLS and a login.
fn usual(server: &Smtpd) -> Mail {
    mail(settings("smtp+starttls", server.port, json!({})), server.folder(), people(&[ANA, BO]))
}

async fn deliver(mail: &Mail, parcel: &Parcel, memory: &mut Memory) -> Result<String, Trouble> {
    let told = mail.deliver(std::slice::from_ref(parcel), false, memory).await;
    let said = format!("{told:?}{memory:?}");
    assert!(!said.contains(PASSWORD), "{said}");
    told
}

async fn once(mail: &Mail) -> Result<String, Trouble> {
    deliver(mail, &update(), &mut Memory::new()).await
}

/// It failed, and this is known of it.
fn trouble(told: Result<String, Trouble>, kind: &str) -> String {
    let trouble = told.expect_err("it cannot be delivered");
    let found = match (trouble.ambiguous, trouble.refused) {
        (true, false) => "ambiguous",
        (false, true) => "refused",
        (false, false) => "passing",
        (true, true) => "both",
    };
    assert_eq!(found, kind, "{trouble}");
    trouble.what
}

#[tokio::test]
async fn a_mail_arrives_encrypted_and_after_a_login() {
    let Some(python) = python() else { return };
    for (mode, scheme, login) in
        [("starttls", "smtp+starttls", true), ("tls", "smtps", true), ("open", "smtp+starttls", false)]
    {
        let server = Smtpd::start(&python, mode);
        let anonymous = json!({ "url": format!("{scheme}://127.0.0.1:{}", server.port), "password": null });
        let settings = settings(scheme, server.port, if login { json!({}) } else { anonymous });
        let mail = mail(settings, server.folder(), people(&[ANA, BO]));
        let id = message_id(&update());
        assert_eq!(once(&mail).await, Ok(format!("{id} to 2 of 2")), "{mode}");
        // A second time it is the same mail, to the byte.
        assert_eq!(once(&mail).await, Ok(format!("{id} to 2 of 2")), "{mode}");
        let taken = server.mailbox();
        assert_eq!(taken.len(), 2, "{mode}");
        for it in &taken {
            let user = if login { json!("dr") } else { json!(null) };
            let facts = json!({ "from": "dr@example.org", "to": [ANA, BO], "encrypted": true, "user": user });
            assert_eq!(it.facts, facts, "{mode}");
            assert!(it.mail == taken[0].mail && String::from_utf8_lossy(&it.mail).contains(&id), "{mode}");
        }
    }
}

#[tokio::test]
async fn nothing_is_sent_in_the_clear_unless_it_stays_on_this_machine() {
    let Some(python) = python() else { return };
    let server = Smtpd::start(&python, "plain");
    let what = trouble(once(&usual(&server)).await, "refused");
    assert!(what.contains("offers no STARTTLS, and nothing is sent in the clear"), "{what}");
    assert!(server.mailbox().is_empty());
    let within = json!({ "url": format!("smtp://127.0.0.1:{}", server.port), "password": null });
    let within = mail(settings("smtp", server.port, within), server.folder(), people(&[ANA]));
    assert_eq!(once(&within).await, Ok(format!("{} to 1 of 1", message_id(&update()))));
    assert_eq!(server.mailbox()[0].facts["encrypted"], json!(false));
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_gets_no_password_and_no_mail() {
    let Some(python) = python() else { return };
    for (mode, scheme) in [("starttls", "smtp+starttls"), ("tls", "smtps")] {
        let server = Smtpd::start(&python, mode);
        for ca in [json!("other.pem"), json!(null)] {
            let mail = mail(settings(scheme, server.port, json!({ "ca": ca })), server.folder(), people(&[ANA]));
            let what = trouble(once(&mail).await, "refused");
            assert!(what.contains("is not to be trusted") && what.contains("`ca` names a file"), "{what}");
        }
        // The certificate is for 127.0.0.1 and for no name.
        let elsewhere = json!({ "url": format!("{scheme}://dr@localhost:{}", server.port) });
        let mail = mail(settings(scheme, server.port, elsewhere), server.folder(), people(&[ANA]));
        let what = trouble(once(&mail).await, "refused");
        assert!(what.contains("is not to be trusted"), "{what}");
        assert!(server.mailbox().is_empty(), "{mode}");
    }
}

#[tokio::test]
async fn what_a_person_has_to_mend_is_refused_and_says_what() {
    let Some(python) = python() else { return };
    let server = Smtpd::start(&python, "echo");
    let wrong = |fields| mail(settings("smtp+starttls", server.port, fields), server.folder(), people(&[ANA]));
    std::fs::write(server.folder().join("old"), "canary-5f1e-old").expect("a file");
    // The server repeats what it got, plain and as it came; nothing of it is told.
    let login = trouble(once(&wrong(json!({ "password": { "secret": "file:old" } }))).await, "refused");
    assert!(login.ends_with("answered to the login: 535 5.7.8 no: [secret] [secret]"), "{login}");
    for (fields, why) in [
        (json!({ "password": { "secret": "file:gone" } }), "the secret `file:gone` cannot be read"),
        (json!({ "ca": "gone.pem" }), "gone.pem: No such file"),
        (json!({ "ca": "password" }), "password: it holds no certificate in PEM"),
    ] {
        let what = trouble(once(&wrong(fields)).await, "refused");
        assert!(what.contains(why), "{what}");
    }
    let anonymous = json!({ "url": format!("smtp+starttls://127.0.0.1:{}", server.port), "password": null });
    let what = trouble(once(&wrong(anonymous)).await, "refused");
    assert!(what.ends_with("answered to the sender dr@example.org: 530 5.7.0 Authentication required"), "{what}");
    let large = Smtpd::start(&python, "data-552");
    let what = trouble(once(&usual(&large)).await, "refused");
    assert!(what.ends_with("answered to the mail: 552 5.3.4 message too big"), "{what}");
    assert!(server.mailbox().is_empty());
}

#[tokio::test]
async fn a_server_that_says_nothing_holds_nobody_up() {
    let Some(python) = python() else { return };
    let clock = SystemClock::new();
    for (mode, kind, said) in [
        ("no-banner", "passing", "was not done within 1s"),
        ("banner", "passing", "was not done within 1s"),
        ("silent", "ambiguous", "it may have arrived all the same"),
    ] {
        let server = Smtpd::start(&python, mode);
        let fields =
            json!({ "timeout": "1s", "url": format!("smtp+starttls://127.0.0.1:{}", server.port), "password": null });
        let mail = mail(settings("smtp+starttls", server.port, fields), server.folder(), people(&[ANA]));
        let began = clock.now();
        let what = trouble(once(&mail).await, kind);
        let took = clock.now().since(began);
        assert!(what.contains(said), "{mode}: {what}");
        assert!((Dur(1_000)..Dur(5_000)).contains(&took), "{mode} took {took}");
        if mode == "silent" {
            assert_eq!(server.mailbox().len(), 1, "it has the mail, and did not say so");
        }
    }
}

#[tokio::test]
async fn what_passes_by_itself_is_tried_again() {
    let Some(python) = python() else { return };
    for mode in ["closed", "busy"] {
        let server = Smtpd::start(&python, mode);
        trouble(once(&usual(&server)).await, "passing");
    }
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let server = Smtpd::start(&python, "data-451");
    let refused = mail(settings("smtp+starttls", nobody, json!({})), server.folder(), people(&[ANA]));
    let what = trouble(once(&refused).await, "passing");
    assert!(what.contains("refused"), "{what}");
    let what = trouble(once(&usual(&server)).await, "passing");
    assert!(what.ends_with("answered to the mail: 451 4.3.0 try again"), "{what}");
    once(&usual(&server)).await.expect("the second time it is taken");
    assert_eq!(server.mailbox().len(), 1);
}

#[tokio::test]
async fn a_mail_whose_answer_was_lost_arrives_twice_under_one_id() {
    let Some(python) = python() else { return };
    let server = Smtpd::start(&python, "dropped");
    let fields = json!({ "url": format!("smtp+starttls://127.0.0.1:{}", server.port), "password": null });
    let mail = mail(settings("smtp+starttls", server.port, fields), server.folder(), people(&[ANA]));
    let (parcel, mut memory) = (update(), Memory::new());
    trouble(deliver(&mail, &parcel, &mut memory).await, "ambiguous");
    let told = mail.deliver(std::slice::from_ref(&parcel), true, &mut memory).await;
    assert_eq!(told, Ok(format!("{} to 1 of 1", message_id(&parcel))));
    let taken = server.mailbox();
    assert_eq!(taken.len(), 2);
    assert_eq!(String::from_utf8_lossy(&taken[0].mail), String::from_utf8_lossy(&taken[1].mail));
}

#[tokio::test]
async fn one_bad_address_does_not_stop_the_others() {
    let Some(python) = python() else { return };
    let server = Smtpd::start(&python, "starttls");
    let to = |people: Recipients| mail(settings("smtp+starttls", server.port, json!({})), server.folder(), people);
    let id = message_id(&update());
    let told = once(&to(people(&[ANA, "gone-cy@example.org", "not an address", BO]))).await;
    let gone = "not to gone-cy@example.org (550 5.1.1 no such user here)";
    assert_eq!(told, Ok(format!("{id} to 2 of 3; {gone}; `not an address` is no mail address")));
    assert_eq!(server.mailbox()[0].facts["to"], json!([ANA, BO]));
    assert_eq!(trouble(once(&to(people(&["gone-cy@example.org"]))).await, "refused"), format!("no recipient; {gone}"));
    let nobody = to(people(&["not an address"]));
    assert!(nobody.takes(&update()), "or nobody would hear of the mistake");
    assert_eq!(trouble(once(&nobody).await, "refused"), "no recipient; `not an address` is no mail address");
    assert_eq!(server.mailbox().len(), 1);
}

#[tokio::test]
async fn who_is_put_off_gets_the_mail_later_and_the_others_once() {
    let Some(python) = python() else { return };
    let server = Smtpd::start(&python, "starttls");
    let grey = "grey-cy@example.org";
    let to = |people: Recipients| mail(settings("smtp+starttls", server.port, json!({})), server.folder(), people);
    let (both, mut memory, parcel) = (to(people(&[ANA, grey])), Memory::new(), update());
    let put_off = deliver(&both, &parcel, &mut memory).await;
    assert_eq!(put_off.clone().expect_err("cy has not got it").after, Some(Dur(20_000)));
    let why = "put off by grey-cy@example.org (451 4.7.1 greylisted, try again)";
    assert_eq!(trouble(put_off, "passing"), format!("1 of 2 have it; {why}"));
    assert_eq!(deliver(&both, &parcel, &mut memory).await, Ok(format!("{} to 2 of 2", message_id(&parcel))));
    let reached: Vec<_> = server.mailbox().iter().map(|taken| taken.facts["to"].clone()).collect();
    assert_eq!(reached, [json!([ANA]), json!([grey])]);
    // Of a mailbox that stays full the others hear no more than three times.
    let (full, mut memory) = (to(people(&[ANA, "full-di@example.org"])), Memory::new());
    let mut tries = 1;
    let told = loop {
        match deliver(&full, &parcel, &mut memory).await {
            Ok(told) => break told,
            Err(trouble) => assert_eq!(trouble.after, Some(Dur(20_000)), "{trouble}"),
        }
        tries += 1;
    };
    assert_eq!(tries, 3);
    assert!(told.ends_with(" to 1 of 2; put off by full-di@example.org (452 4.2.2 mailbox full)"), "{told}");
    assert_eq!(server.mailbox().len(), 3, "ana got it once");
    // While nobody has it, it waits for as long as that takes.
    let nobody = to(people(&["full-di@example.org"]));
    let mut memory = Memory::new();
    for _ in 0..6 {
        trouble(deliver(&nobody, &parcel, &mut memory).await, "passing");
    }
}

#[tokio::test]
async fn what_is_for_one_person_goes_to_whoever_has_the_role() {
    let Some(python) = python() else { return };
    let server = Smtpd::start(&python, "starttls");
    let lead = Parcel {
        id: "ask-lead-3".into(),
        role: Some("technical_lead".into()),
        body: Body::Notice(Notice {
            subject: "What is the state?".into(),
            lines: vec!["dr note …".into()],
            urgent: true,
            meet: Meet::default(),
        }),
        ..update()
    };
    let plan = || plan(&[["incident_commander", "Ana", ANA], ["technical_lead", "Bo", BO]], &["all@example.org", ANA]);
    let to = |people: Recipients| mail(settings("smtp+starttls", server.port, json!({})), server.folder(), people);
    once(&to(Recipients::planned(&plan()))).await.expect("all have it");
    for people in [Recipients::planned(&plan()), Recipients::of(&handed_over(plan(), "technical_lead", "Ana"))] {
        deliver(&to(people), &lead, &mut Memory::new()).await.expect("the lead has it");
    }
    // The parcel says who has the role, should it have passed on since the addresses were read.
    let passed_on = Parcel { person: Some("Ana".into()), ..lead.clone() };
    deliver(&to(Recipients::planned(&plan())), &passed_on, &mut Memory::new()).await.expect("ana has it");
    let reached: Vec<_> = server.mailbox().iter().map(|taken| taken.facts["to"].clone()).collect();
    assert_eq!(reached, [json!([ANA, BO, "all@example.org"]), json!([BO]), json!([ANA]), json!([ANA])]);
    // Nobody knows Cy's address: that of the role is better than none.
    let unknown = to(Recipients::of(&handed_over(plan(), "technical_lead", "Cy")));
    let cys = Parcel { person: Some("Cy".into()), ..lead.clone() };
    deliver(&unknown, &cys, &mut Memory::new()).await.expect("the role's address has it");
    assert_eq!(server.mailbox().last().expect("mails").facts["to"], json!([BO]));
}

#[test]
fn mail_is_for_people_who_recover_and_not_for_each_step() {
    let mail = mail(settings("smtps", 1, json!({})), Path::new("."), people(&[ANA]));
    assert!(mail.takes(&update()));
    for not in [
        Parcel { body: Body::Details(Vec::new()), ..update() },
        Parcel { audience: Audience::Customers, ..update() },
        Parcel { not_by: vec!["mail".into()], ..update() },
        Parcel { role: Some("nobody".into()), ..update() },
    ] {
        assert!(!mail.takes(&not), "{not:?}");
    }
    assert!(!self::mail(settings("smtps", 1, json!({})), Path::new("."), people(&[])).takes(&update()));
}

#[tokio::test]
async fn a_check_sends_nothing() {
    let Some(python) = python() else { return };
    let server = Smtpd::start(&python, "starttls");
    let checked = usual(&server).check().await;
    let how = format!("127.0.0.1:{}, encrypted, logged in as dr", server.port);
    assert_eq!(checked, Ok(format!("{how}, 2 recipients taken")));
    let bad =
        mail(settings("smtp+starttls", server.port, json!({})), server.folder(), people(&[ANA, "gone-cy@example.org"]));
    let what = trouble(bad.check().await, "refused");
    assert_eq!(what, format!("{how}, 1 recipient taken; not to gone-cy@example.org (550 5.1.1 no such user here)"));
    assert!(server.mailbox().is_empty());
}

#[tokio::test]
async fn a_trial_is_one_mail_that_says_that_nothing_has_happened() {
    let Some(python) = python() else { return };
    let server = Smtpd::start(&python, "starttls");
    let parcel = Parcel::of_trial("orders failover", update().made_at, "ana on bunker");
    let told = usual(&server).trial(&parcel).await.expect("sent");
    assert!(told.contains("to 2 of 2"), "{told}");
    let [taken] = &server.mailbox()[..] else { panic!("one mail") };
    let mail = parsed(&python, &taken.mail);
    let subject = json!(["Subject", "[TEST] orders failover: this is a test, nothing has happened"]);
    assert!(mail["headers"].as_array().expect("headers").contains(&subject), "{mail}");
    assert!(!mail.to_string().contains("LIVE"), "{mail}");
}

#[test]
fn settings_that_could_betray_something_are_refused() {
    let from = "dr@example.org";
    let password = json!({ "secret": "env:X" });
    let wanted = "smtp+starttls://USER@HOST:PORT, smtps://… or, to this machine itself, smtp://… is wanted";
    for (fields, why) in [
        (
            json!({ "url": "smtp://mail.example.org", "from": from }),
            "`url` would send mail to mail.example.org in the clear",
        ),
        (json!({ "url": "smtps://dr:canary@mail.example.org", "from": from }), "`url` holds a password"),
        (json!({ "url": "https://mail.example.org", "from": from }), "`url` begins with `https:`, which is no way"),
        (json!({ "url": "mail.example.org", "from": from }), "`url` cannot be read"),
        (json!({ "url": "smtps://", "from": from }), "`url` "),
        (
            json!({ "url": "smtps://mail.example.org/?tls=opportunistic", "from": from }),
            "`url` has something behind the port",
        ),
        (
            json!({ "url": "smtps://a%0d%0ab@mail.example.org", "from": from, "password": password }),
            "the user in `url`",
        ),
        (json!({ "url": "smtps://mail.example.org", "from": "x" }), "`from`: `x` is no mail address"),
        (json!({ "url": "smtps://dr@mail.example.org", "from": from }), "`url` names a user, so `password` is wanted"),
        (json!({ "url": "smtps://mail.example.org", "from": from, "password": password }), "there is a `password`, so"),
        (json!({ "url": "smtps://dr@x", "from": from, "password": "canary" }), "a secret is named, never written down"),
        (
            json!({ "url": "smtps://x", "from": from, "timeout": "0s" }),
            "`timeout` has to be more than nothing and at most 25s",
        ),
        (json!({ "url": "smtps://x", "from": from, "timeout": "30s" }), "`timeout` has to be more than nothing"),
        (json!({ "url": "smtps://x", "from": from, "tls": false }), "unknown field `tls`"),
    ] {
        let shown = fields.to_string();
        let error = serde_json::from_value::<Settings>(fields).expect_err(&shown).to_string();
        assert!(error.starts_with(why) && !error.contains("canary"), "{shown}: {error}");
        assert!(
            !error.contains(" is wanted")
                || error.contains(wanted)
                || error.contains("password")
                || error.contains("clear"),
            "{error}"
        );
    }
    for (url, on_loopback) in [
        ("smtp://localhost", true),
        ("smtp://[::1]:25", true),
        ("smtp://127.3.2.1", true),
        ("smtps://mail.example.org", false),
        ("smtp+starttls://[2001:db8::1]:587", false),
    ] {
        let settings: Settings = serde_json::from_value(json!({ "url": url, "from": from })).expect(url);
        let mail = mail(settings, Path::new("."), people(&[ANA]));
        assert_eq!(mail.leaves(), !on_loopback, "{url}");
    }
}
