//! `status_page.statuspage`: an update of the run's incident on a page of Atlassian Statuspage.
//!
//! All steps of a run speak on one incident, which is made by the first. It is
//! looked for before anything is said, and whoever looks holds the word until
//! it is said, so that nothing stands twice. Before the first word is written
//! down what stood there: a resumed step never speaks over what somebody said
//! since. There is no undo: people have read it.
//!
//! In a drill, and in a lab, no customer is told of an outage: the step is
//! refused unless Statuspage's address is on this machine.

use crate::{limits, world::World};
use async_trait::async_trait;
use dr_comms::{
    channel::Trouble,
    statuspage::{self, Access, Incident, Mark, Page},
    update::customers::Announcement,
};
use dr_engine::{
    clock::Time,
    comms::{Health, Impact, State},
    duration::Dur,
    event::RunKind,
    kind::{Explained, Reference},
    outcome::{Failure, Output},
    plan::hex,
    step::{Check, Description, OutputName, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
};

/// Says something on a page of Atlassian Statuspage. Customers read it: put it behind `approve`, and say
/// `on_failure: continue`, so that a page that cannot be reached holds nothing up.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Statuspage {
    /// The page's id, as in `https://manage.statuspage.io/pages/ID`.
    page: In<String>,
    /// How far it is.
    state: In<State>,
    /// The headline.
    title: In<String>,
    /// What customers should know.
    message: In<String>,
    /// How bad it is. Default: what Statuspage makes of the components.
    #[serde(default)]
    impact: Option<In<Impact>>,
    /// Parts of the product, by name or id, and how they are, as in `Website: major_outage`.
    #[serde(default)]
    components: BTreeMap<String, In<Health>>,
    /// Whether those who subscribed are told. Default: true.
    #[serde(default)]
    notify: Option<In<bool>>,
}

/// The kind's name under `do:`.
pub const KIND: &str = "status_page.statuspage";
/// The fact that holds what stood there, written just before each word.
const SAYING: &str = "saying";
/// What speaks for a step in an incident's metadata.
const STEP: &str = "step:";

/// What stood there before something was said.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Before {
    at: Time,
    /// The incident's id, if the run had one.
    incident: Option<String>,
    /// The ids of what was said on it.
    updates: BTreeSet<String>,
}

impl Before {
    /// What stood there before the step's first word, and its last.
    fn of(cx: &ReadCx) -> Option<(Self, Self)> {
        let all = cx.facts.iter().filter(|fact| fact.name == SAYING);
        let mut all = all.filter_map(|fact| serde_json::from_value::<Self>(fact.value.clone()).ok());
        let first = all.next()?;
        let last = all.next_back().unwrap_or_else(|| first.clone());
        Some((first, last))
    }

    /// Whether nobody has said anything since.
    fn still(&self, found: Option<&Incident>) -> bool {
        match found {
            None => self.incident.is_none(),
            Some(found) => self.incident.as_ref() == Some(&found.id) && found.updates() == self.updates,
        }
    }
}

impl Statuspage {
    fn says(&self) -> Announcement {
        Announcement {
            state: *self.state.get(),
            title: self.title.get().clone(),
            message: self.message.get().clone(),
            impact: self.impact.as_ref().map(|impact| *impact.get()),
            components: self.components.iter().map(|(name, health)| (name.clone(), *health.get())).collect(),
            notify: self.notify.as_ref().is_none_or(|notify| *notify.get()),
        }
    }

    /// What the step says, by which it is found again: the same in every attempt with the same inputs.
    fn content(&self, cx: &ReadCx) -> String {
        hex(&Sha256::digest(json!([cx.token(), self.says()]).to_string()))[..32].to_owned()
    }

    fn who(cx: &ReadCx) -> String {
        format!("{STEP}{}", cx.step.id)
    }

    fn page(&self, cx: &ReadCx) -> Result<Page, Failure> {
        Page::new(access(cx)?, self.page.get(), cx.clock.clone()).map_err(|trouble| failure(&trouble))
    }

    /// The run's incident, as far as it is seen.
    async fn find(&self, cx: &ReadCx, page: &Page) -> Result<Option<Incident>, Trouble> {
        let known = Before::of(cx).and_then(|(first, last)| last.incident.or(first.incident));
        patient(cx, || page.find(&cx.run.id, known.as_deref())).await
    }

    fn is_said(&self, cx: &ReadCx, found: &Incident) -> bool {
        found.said_by(&Self::who(cx)) == Some(&self.content(cx))
    }
}

/// How Statuspage is reached. What is missing here may be there where the step began: it settles no doubt.
fn access(cx: &ReadCx) -> Result<&Access, Failure> {
    World::of(cx).statuspage.as_ref().ok_or_else(|| {
        Failure::new("there is no [statuspage] in the settings: nobody can say anything there")
            .hint("[statuspage] token = { secret = \"env:STATUSPAGE_TOKEN\" } in dr.toml")
    })
}

fn failure(trouble: &Trouble) -> Failure {
    if trouble.refused { Failure::new(&trouble.what) } else { Failure::passing(&trouble.what) }
}

/// Calls until nobody asks to wait any more, for as long as that can be waited for.
async fn patient<T, F: Future<Output = Result<T, Trouble>>>(
    cx: &ReadCx,
    mut call: impl FnMut() -> F,
) -> Result<T, Trouble> {
    let until = cx.clock.now().after(limits::STATUSPAGE_WAIT_MAX);
    loop {
        match call().await {
            Err(Trouble { what, after: Some(wait), .. }) if cx.clock.now().after(wait) <= until => {
                cx.progress(&what);
                cx.clock.sleep(wait.max(Dur(1))).await;
            }
            other => return other,
        }
    }
}

fn output(said: &Incident) -> Output {
    let mut output = Output::default();
    output.values.insert("incident".into(), said.id.clone().into());
    output.values.insert("url".into(), said.shortlink.clone().unwrap_or_default().into());
    output
}

/// Somebody said something after the step began: it is not spoken over.
fn newer() -> Failure {
    Failure::new("somebody said something on the incident after this step began; it is not spoken over")
        .hint("look at the page; then skip the step, or say there what is missing")
}

impl Explained for Statuspage {
    const REFERENCE: Reference = Reference {
        check: "Looks for the run's incident among those of the page. Done when it says this; nothing of it when \
            it does not. After a call that nobody heard the end of it looks for a while before it believes \
            that. An incident on which somebody else spoke after the step began is refused.",
        run: "Looks up the components, and the run's incident, which the first step makes and the others \
            update; writes down what stands there; says it, and sets the components.",
        undo: None,
        recovery_point: None,
        time: "Seconds, more where Statuspage asks to wait (general knowledge, not measured).",
        traps: &[
            "Nothing is taken back: people have read it.",
            "In a drill or a lab it is refused, unless `[statuspage] api` is on this machine: customers \
             would read of an outage that there is not.",
            "Statuspage is reached by `[statuspage]` in `dr.toml`; without it the look fails.",
            "Statuspage takes one request a second of each token, so that steps wait for each other.",
        ],
        example: r#"
            tell_customers:
              do:
                status_page.statuspage:
                  page: abcdefghijkl
                  state: investigating
                  title: Some requests fail
                  message: We see errors in our main region and are looking into it.
                  components: { Website: partial_outage }
              approve: { roles: [incident_commander] }
              when: run.kind == "live"
              on_failure: continue
        "#,
    };
}

#[async_trait]
impl Step for Statuspage {
    fn describe(&self) -> Description {
        Description {
            summary: format!("say `{}` on the page {} of Statuspage", self.title, self.page),
            ..Description::default()
        }
    }

    fn outputs(&self) -> Vec<OutputName> {
        ["incident", "url"].map(OutputName::text).into()
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let access = access(cx)?;
        if cx.run.kind != RunKind::Live && !access.on_loopback() {
            let kind = cx.run.kind.word().to_uppercase();
            let what = format!("this is a {kind} run, and customers would read of an outage that there is not");
            let hint = "give the step `when: run.kind == \"live\"`, or name a Statuspage on this machine in dr.toml";
            return Ok(Check::Impossible(Failure::new(what).hint(hint)));
        }
        if let Some(why) = statuspage::too_long(&self.says()) {
            return Ok(Check::Impossible(Failure::new(why)));
        }
        let page = self.page(cx)?;
        let began = Before::of(cx);
        loop {
            let found = self.find(cx, &page).await.map_err(|trouble| failure(&trouble))?;
            if let Some(found) = found.as_ref().filter(|found| self.is_said(cx, found)) {
                return Ok(Check::Done(output(found)));
            }
            let Some((first, last)) = &began else { return Ok(Check::Absent) };
            // A call that nobody heard the end of may still come to light.
            if cx.clock.now() >= last.at.after(statuspage::SETTLES) {
                return Ok(if first.still(found.as_ref()) { Check::Absent } else { Check::Impossible(newer()) });
            }
            cx.progress("what was said before is not seen yet");
            cx.clock.sleep(limits::STATUSPAGE_LOOK).await;
        }
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let read = &cx.read;
        let (page, says) = (self.page(read)?, self.says());
        // From here to the end nobody else in this process speaks on the page.
        let _turn = page.turn().await;
        let components = patient(read, || page.components(&says.components)).await.map_err(|it| failure(&it))?;
        let found = self.find(read, &page).await.map_err(|trouble| failure(&trouble))?;
        if let Some(found) = found.as_ref().filter(|found| self.is_said(read, found)) {
            return Ok(output(found));
        }
        if Before::of(read).is_some_and(|(first, _)| !first.still(found.as_ref())) {
            return Err(newer().into());
        }
        let before = Before {
            at: read.clock.now(),
            incident: found.as_ref().map(|it| it.id.clone()),
            updates: found.as_ref().map(Incident::updates).unwrap_or_default(),
        };
        cx.record(SAYING, json!(before)).await;
        let (who, what) = (Self::who(read), self.content(read));
        let mark = Mark { run: &read.run.id, who: &who, what: &what };
        let guard = cx.guard();
        let said = patient(read, || async {
            guard.before().map_err(|no| Trouble { refused: !no.transient, ..Trouble::passing(no.message) })?;
            let said = page.say(found.as_ref(), (&says, &components), mark, None).await;
            guard.after();
            said
        });
        match said.await {
            Ok(said) => Ok(output(&said)),
            Err(trouble) if trouble.ambiguous => Err(StepError::Doubt(Failure::new(trouble.what))),
            Err(trouble) => Err(failure(&trouble).into()),
        }
    }
}
