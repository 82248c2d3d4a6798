//! `status_page.static`: the status page as files in S3.
//!
//! A page for people (`index.html`) and one for programs (`status.json`) go to
//! each bucket; one bucket that takes them is enough, since the page must
//! stand where a whole region does not. What a page says follows from the
//! inputs alone, but for the time, which is written down first.
//!
//! Every write names what it replaces (Amazon S3 User Guide, Conditional
//! writes: `If-Match`, `If-None-Match`), as it was seen before the first: a
//! resumed step cannot put an older page over a newer one. There is no undo:
//! people have read it.

use crate::{
    aws::{Clients, error::code},
    text,
    world::World,
};
use async_trait::async_trait;
use aws_sdk_s3::primitives::ByteStream;
use dr_engine::{
    clock::Time,
    comms::State,
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
use std::{collections::BTreeMap, fmt::Write};

/// Puts a status page into buckets.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusPage {
    /// Where it goes: buckets in regions that do not fall together, neither of
    /// them the primary.
    buckets: Vec<Bucket>,
    /// How far it is.
    state: In<State>,
    /// The headline.
    title: In<String>,
    /// What customers should know.
    message: In<String>,
    /// Parts of the product and how they are, as in `Website: major_outage`.
    #[serde(default)]
    components: BTreeMap<String, In<String>>,
}

/// A bucket and its region.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Bucket {
    /// Its name.
    bucket: In<String>,
    /// Its region.
    region: In<String>,
}

/// The kind's name under `do:`.
pub const KIND: &str = "status_page.static";
/// The files, in the order in which they are written: whoever sees the last
/// sees all of them.
const FILES: [(&str, &str); 2] =
    [("index.html", "text/html; charset=utf-8"), ("status.json", "application/json; charset=utf-8")];
/// The fact that holds what stood in each bucket, and the page's time.
const BEFORE: &str = "overwrites";
/// The metadata that says which page an object is.
const CONTENT: &str = "dr-run-content";
/// How often a bucket is tried that does not take the page.
const TRIES: u32 = 3;

/// What was seen before the first write.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Before {
    at: Time,
    /// `bucket/file` to the entity tag that stood there; none when nothing did.
    stood: BTreeMap<String, Option<String>>,
}

/// What a look at one object gave.
enum Stands {
    Ours,
    Other(Option<String>),
}

impl StatusPage {
    /// The name of what this step says: the same in every attempt.
    fn content(&self, cx: &ReadCx) -> String {
        let components: Vec<_> = self.components.iter().map(|(name, is)| (name, is.get())).collect();
        let says = json!([cx.token(), self.state.get(), self.title.get(), self.message.get(), components]);
        hex(&Sha256::digest(says.to_string()))[..32].to_owned()
    }

    async fn stands(&self, cx: &ReadCx, clients: &Clients, bucket: &str, file: &str) -> Result<Stands, Failure> {
        let reply = match clients.s3.head_object().bucket(bucket).key(file).send().await {
            Err(e) if matches!(code(&e), "NotFound" | "NoSuchKey") => return Ok(Stands::Other(None)),
            reply => reply.map_err(|e| clients.call("s3", "HeadObject").read(&e))?,
        };
        let ours = reply.metadata().and_then(|m| m.get(CONTENT)) == Some(&self.content(cx));
        Ok(if ours { Stands::Ours } else { Stands::Other(reply.e_tag().map(str::to_owned)) })
    }

    /// What stands in a bucket, file by file.
    async fn look(&self, cx: &ReadCx, at: &Bucket) -> Result<Vec<Stands>, Failure> {
        let clients = World::of(cx).aws.read_in(cx, Some(at.region.get())).await?;
        let mut found = Vec::new();
        for (file, _) in FILES {
            found.push(self.stands(cx, &clients, at.bucket.get(), file).await?);
        }
        Ok(found)
    }

    /// Writes down what stands in the buckets that can be seen.
    async fn before(&self, cx: &StepCx) -> Before {
        let known = cx.read.fact(BEFORE).and_then(|fact| serde_json::from_value(fact.clone()).ok());
        if let Some(known) = known {
            return known;
        }
        let mut before = Before { at: cx.read.clock.now(), ..Before::default() };
        for at in &self.buckets {
            match self.look(&cx.read, at).await {
                Ok(found) => {
                    for ((file, _), stands) in FILES.iter().zip(found) {
                        let Stands::Other(tag) = stands else { continue };
                        before.stood.insert(format!("{}/{file}", at.bucket), tag);
                    }
                }
                Err(failure) => cx.read.progress(&format!("{}: {}", at.bucket, failure.message)),
            }
        }
        cx.record(BEFORE, json!(before)).await;
        before
    }

    /// Brings one bucket up to date.
    async fn put(&self, cx: &StepCx, at: &Bucket, before: &Before) -> Result<(), StepError> {
        let clients = World::of(&cx.read).aws.write_in(cx, Some(at.region.get())).await?;
        let bucket = at.bucket.get();
        for (file, mime) in FILES {
            let Stands::Other(now) = self.stands(&cx.read, &clients, bucket, file).await? else { continue };
            // What could not be seen before the first write is replaced as it is seen now.
            let stood = before.stood.get(&format!("{bucket}/{file}")).cloned().unwrap_or(now);
            let body = if file == "index.html" { self.html(before.at) } else { self.json(&cx.read, before.at) };
            let request = clients.s3.put_object().bucket(bucket).key(file).body(ByteStream::from(body.into_bytes()));
            let request =
                request.content_type(mime).cache_control("max-age=30").metadata(CONTENT, self.content(&cx.read));
            let request = match stood {
                Some(tag) => request.if_match(tag),
                None => request.if_none_match("*"),
            };
            match request.send().await {
                Ok(_) => {}
                Err(e) if code(&e) == "PreconditionFailed" => {
                    let newer = "somebody wrote a page after this step began; it is not written over";
                    return Err(Failure::new(format!("{bucket}/{file}: {newer}")).into());
                }
                Err(e) => return Err(clients.call("s3", "PutObject").wrote(&e)),
            }
        }
        Ok(())
    }

    fn json(&self, cx: &ReadCx, at: Time) -> String {
        let components: BTreeMap<_, _> = self.components.iter().map(|(name, is)| (name, is.get())).collect();
        let page = json!({
            "state": self.state.get(), "title": self.title.get(), "message": self.message.get(),
            "components": components, "updated_at": at.to_string(), "run": cx.run.id,
        });
        format!("{page}\n")
    }

    fn html(&self, at: Time) -> String {
        let (state, colour) = match self.state.get() {
            State::Investigating => ("Investigating", "#b42318"),
            State::Identified => ("Identified", "#b54708"),
            State::Monitoring => ("Monitoring", "#175cd3"),
            State::Resolved => ("Resolved", "#067647"),
        };
        let mut rows = String::new();
        for (name, is) in &self.components {
            let is = is.get().replace('_', " ");
            write!(rows, "<tr><td>{}<td>{}", escaped(name), escaped(&is)).expect("writing to a String");
        }
        let (title, message) = (escaped(self.title.get()), escaped(self.message.get()));
        let stamp = at.to_string();
        format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{state}: {title}</title>\
             <style>body{{font:17px/1.5 system-ui,sans-serif;max-width:40em;margin:2em auto;padding:0 1em;color:#101828}}\
             .state{{color:{colour};font-weight:700}}td{{padding:.25em 1.5em .25em 0}}</style>\
             <p class=\"state\">{state}<h1>{title}</h1><p>{message}<table>{rows}</table>\
             <p>Updated <time datetime=\"{stamp}\">{stamp}</time>\n"
        )
    }

    fn output(took: &[&str], missed: &[String]) -> Output {
        let mut output = Output::default();
        output.values.insert("taken_by".into(), took.into());
        output.values.insert("missed".into(), missed.into());
        output
    }
}

/// A text inside HTML.
fn escaped(raw: &str) -> String {
    let mut safe = String::with_capacity(raw.len());
    for letter in text::clean(raw).chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            letter => safe.push(letter),
        }
    }
    safe
}

impl Explained for StatusPage {
    const REFERENCE: Reference = Reference {
        check: "`HeadObject` of both files in each bucket. Done when all show this page; nothing of it where one \
            lacks it or cannot be seen. When no bucket can be seen it is looked at again.",
        run: "Writes down what stands in the buckets, then `PutObject` of `index.html` and `status.json` in \
            each, only over what was seen there. One bucket that takes the page is enough; each is tried \
            three times.",
        undo: None,
        recovery_point: None,
        time: "Seconds (general knowledge, not measured).",
        traps: &[
            "Nothing is taken back: people have read it.",
            "The buckets should stand in regions that do not fall together, and not in the one that is lost.",
            "A page that somebody wrote after the step began is not written over.",
            "Browsers may keep the page for 30 seconds.",
        ],
        example: "
            say_identified:
              do:
                status_page.static:
                  buckets:
                    - { bucket: status-north, region: eu-north-1 }
                    - { bucket: status-west, region: eu-west-3 }
                  state: identified
                  title: We are moving to another region
                  message: We are restoring service elsewhere.
                  components: { Website: major_outage }
              on_failure: continue
        ",
    };
}

#[async_trait]
impl Step for StatusPage {
    fn describe(&self) -> Description {
        let names: Vec<_> = self.buckets.iter().map(|at| at.bucket.to_string()).collect();
        Description {
            summary: format!("say `{}` in {}", self.title, names.join(" and ")),
            actions: vec!["s3:GetObject", "s3:ListBucket", "s3:PutObject"],
            regions: self.buckets.iter().map(|at| at.region.to_string()).collect(),
            ..Description::default()
        }
    }

    fn outputs(&self) -> Vec<OutputName> {
        // Lists of buckets: neither text nor a number.
        ["taken_by", "missed"].map(|name| OutputName { name: name.into(), is: dr_engine::step::OutputType::Any }).into()
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        if self.buckets.is_empty() {
            return Ok(Check::Impossible(Failure::new("a status page needs a bucket")));
        }
        let (mut took, mut unseen, mut lacking) = (Vec::new(), Vec::new(), false);
        for at in &self.buckets {
            match self.look(cx, at).await {
                Ok(found) if found.iter().all(|stands| matches!(stands, Stands::Ours)) => {
                    took.push(at.bucket.get().as_str());
                }
                Ok(_) => lacking = true,
                Err(failure) => unseen.push((at, failure)),
            }
        }
        Ok(match unseen.into_iter().next() {
            // A bucket that can be seen and lacks the page is given it.
            _ if lacking => Check::Absent,
            None => Check::Done(Self::output(&took, &[])),
            // Nothing can be seen: the look failed, and says nothing.
            Some((_, failure)) if took.is_empty() => return Err(failure),
            // One that cannot be seen may lack it: `run` finds out, and holds nothing up.
            Some(_) => Check::Absent,
        })
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let before = self.before(cx).await;
        let (mut took, mut missed, mut worst) = (Vec::new(), Vec::new(), None);
        for at in &self.buckets {
            let mut tried = 0;
            loop {
                tried += 1;
                match self.put(cx, at, &before).await {
                    Ok(()) => {
                        took.push(at.bucket.get().as_str());
                        break;
                    }
                    // Whether a lost write had its effect is seen at the next try, which looks first.
                    Err(StepError::Failed(Failure { transient: true, .. }) | StepError::Doubt(_)) if tried < TRIES => {
                        cx.read.clock.sleep(cx.read.poll_gap_min).await;
                    }
                    Err(error) => {
                        let (StepError::Failed(failure) | StepError::Doubt(failure)) = &error else {
                            return Err(error);
                        };
                        missed.push(format!("{}: {}", at.bucket, failure.message));
                        worst = Some(error);
                        break;
                    }
                }
            }
        }
        match worst {
            Some(error) if took.is_empty() => Err(error),
            _ => {
                if !missed.is_empty() {
                    cx.read.progress(&format!("the page stands, but not everywhere: {}", missed.join("; ")));
                }
                Ok(Self::output(&took, &missed))
            }
        }
    }
}
