//! What a mail looks like, and that nothing written by others changes what it is.
//!
//! `UPDATE_EXPECT=1` writes the goldens anew; look at `golden/update.html` in a browser then, on a narrow
//! window and in the dark too.

use crate::{
    smtpd::python,
    support::{parsed, plan, update},
};
use dr_comms::{
    channel::{Channel, Memory},
    files::Files,
    mail::{Recipients, files},
    parcel::{Body, Meet, Notice, Parcel},
    update::Line,
};
use dr_engine::{clock::Time, event::RunKind};
use expect_test::expect_file;
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

const PICTURE: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 9 9\"><title>é</title></svg>";

fn with_picture() -> Parcel {
    Parcel { picture: Some(PICTURE.into()), ..update() }
}

/// The mail of a parcel, as the outbox keeps it.
async fn mail_of(parcel: &Parcel, people: Recipients) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path =
        files(folder.path().into(), people).deliver(std::slice::from_ref(parcel), false, &mut Memory::new()).await;
    fs::read(path.expect("it is written")).expect("it is there")
}

fn people() -> Recipients {
    Recipients::planned(&plan(&[["executive", "Dana Ng", "dana@example.org"]], &["board@example.org"]))
}

/// The header of a mail that Python has read; all of them, if it stands there more than once.
fn header(mail: &Value, name: &str) -> String {
    let headers = mail["headers"].as_array().expect("a list");
    let found = headers.iter().filter(|header| header[0].as_str().is_some_and(|it| it.eq_ignore_ascii_case(name)));
    found.map(|header| header[1].as_str().expect("a text")).collect::<Vec<_>>().join(" AND ")
}

/// What stands between the tags of a page.
fn visible(page: &str) -> String {
    let between = page.split('<').map(|tag| tag.split_once('>').map_or(tag, |(_, text)| text));
    let text = between.collect::<String>();
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

/// The tree of the parts.
fn tree(part: &Value) -> String {
    let own = part["type"].as_str().expect("a type").to_owned();
    assert_eq!(part["defects"], json!([]), "{own}");
    match part["parts"].as_array() {
        Some(parts) => format!("{own}[{}]", parts.iter().map(tree).collect::<Vec<_>>().join(", ")),
        None => own,
    }
}

#[tokio::test]
async fn an_update_in_a_mail() {
    let Some(python) = python() else { return };
    let bytes = mail_of(&with_picture(), people()).await;
    let mail = parsed(&python, &bytes);
    let names = ["From", "To", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "Auto-Submitted"];
    let names = names.into_iter().chain(["X-DR-Chain", "MIME-Version"]);
    let headers: Vec<_> = names.map(|name| format!("{name}: {}", header(&mail, name))).collect();
    expect_file!["golden/update.headers"].assert_eq(&(headers.join("\n") + "\n"));
    assert_eq!(mail["header_defects"], json!([]));
    assert_eq!(header(&mail, "Importance"), "");
    let body = &mail["body"];
    assert_eq!(tree(body), "multipart/alternative[text/plain, multipart/related[text/html, image/svg+xml]]");
    let text = |part: &Value| part["text"].as_str().expect("a text").to_owned();
    expect_file!["golden/update.txt"].assert_eq(&text(&body["parts"][0]));
    let (page, picture) = (&body["parts"][1]["parts"][0], &body["parts"][1]["parts"][1]);
    // Indented nowhere as it is sent; here a line for each element, to be read.
    expect_file!["golden/update.html"].assert_eq(&text(page).replace("><", ">\n<"));
    assert_eq!(text(picture).trim_end(), PICTURE);
    assert_eq!((&picture["id"], &picture["disposition"]), (&json!("<bars@dr.invalid>"), &json!("inline")));
    assert!(text(page).contains("src=\"cid:bars@dr.invalid\""));
    assert!(text(page).contains("<a href=\"https://meet.example.org/dr\""));
    // Every fact of the text is in the page.
    let shown = visible(&text(page));
    for line in text(&body["parts"][0]).lines().map(str::trim).filter(|line| line.to_uppercase() != *line) {
        let line = line.strip_prefix("[LIVE] production_region_failover: ").unwrap_or(line);
        assert!(shown.contains(line), "{line}");
    }
    // What travels is short lines of ASCII, whatever is in it.
    let lines: Vec<_> = bytes.split(|byte| *byte == b'\n').collect();
    assert!(lines.iter().all(|line| line.len() <= 998 && line.is_ascii()));
    assert!(lines[..lines.len() - 1].iter().all(|line| line.ends_with(b"\r")), "every line ends as SMTP wants it");
}

#[tokio::test]
async fn without_a_picture_nothing_points_at_one() {
    let Some(python) = python() else { return };
    let mail = parsed(&python, &mail_of(&update(), people()).await);
    assert_eq!(tree(&mail["body"]), "multipart/alternative[text/plain, text/html]");
    assert!(!mail["body"].to_string().contains("cid:"));
}

#[tokio::test]
async fn a_notice_says_drill_first_and_that_it_is_urgent() {
    let Some(python) = python() else { return };
    let notice = Notice {
        subject: "Slack cannot be reached".into(),
        lines: vec!["Meet here".into(), String::new(), "  dr status <RUN>   where\r\nit stands\u{202e}".into()],
        urgent: true,
        meet: Meet::default(),
    };
    let parcel = Parcel { kind: RunKind::Drill, body: Body::Notice(notice), ..update() };
    let mail = parsed(&python, &mail_of(&parcel, people()).await);
    assert_eq!(header(&mail, "Importance"), "high");
    assert_eq!(header(&mail, "X-DR-Chain"), "");
    assert_eq!(header(&mail, "Subject"), "[DRILL] production_region_failover: Slack cannot be reached");
    let parts = &mail["body"]["parts"];
    let text = "[DRILL] production_region_failover: Slack cannot be reached\n\n\
                Meet here\n\n  dr status <RUN>   where  it stands\n";
    assert_eq!(parts[0]["text"], text);
    let page = parts[1]["text"].as_str().expect("a text");
    assert!(page.contains(">DRILL</strong>") && page.contains("<div>Meet here</div><div><br></div>"), "{page}");
    assert!(page.contains("<div>\u{a0} dr status &lt;RUN&gt;\u{a0}  where\u{a0} it stands</div>"), "{page}");
}

#[tokio::test]
async fn nothing_written_by_others_becomes_a_header_a_part_or_a_tag() {
    let Some(python) = python() else { return };
    let corpus: Vec<String> = serde_json::from_str(include_str!("../../../../steps/tests/naughty-strings/blns.json"))
        .expect("a list of texts");
    assert!(corpus.len() > 400);
    // All together in every field, so that one look at Python's reading is enough; then the worst one by one.
    let mut hostile = vec![corpus.join("\n")];
    hostile.extend(
        [
            "x\r\nBcc: eve@example.org\r\n\r\nbody",
            "x\nX-DR-Chain: 1 forged",
            "--=_dr-alternative--\r\n--=_dr-related--\r\n.\r\nMAIL FROM:<eve@example.org>",
            "<script>alert(1)</script><img src=x onerror=alert(1)>",
            "</p></div></body></html>",
            "=?utf-8?q?=0D=0ABcc:_eve=40example.org?=",
            "a\" <eve@example.org>, \"b",
            "\u{202e}live\u{2066}\0\u{7f}",
            "../../../../tmp/x",
        ]
        .map(str::to_owned),
    );
    let usual: Vec<_> = header_names(&parsed(&python, &mail_of(&with_picture(), people()).await));
    for text in hostile {
        let mut parcel = with_picture();
        (parcel.run, parcel.id, parcel.runbook) = (text.clone(), text.clone(), text.clone());
        let Body::Update(update) = &mut parcel.body else { panic!("it is an update") };
        update.headline.clone_from(&text);
        update.head.clone_from(&text);
        update.regions = Some((text.clone(), text.clone()));
        update.risks = vec![text.clone()];
        update.links = vec![(text.clone(), text.clone()), ("Bridge".into(), format!("javascript:{text}"))];
        update.decisions[0].commands = vec![text.clone()];
        let people =
            Recipients::planned(&plan(&[["executive", &text, "dana@example.org"]], &[&text, "board@example.org"]));
        // A name of a file is short; that the whole corpus is no name of one is no news.
        if text.len() > 100 {
            parcel.id = "update-3".into();
            parcel.run = "run".into();
        }
        let mail = parsed(&python, &mail_of(&parcel, people).await);
        assert_eq!(header_names(&mail), usual, "{text}");
        assert_eq!(
            tree(&mail["body"]),
            "multipart/alternative[text/plain, multipart/related[text/html, image/svg+xml]]"
        );
        let to: Vec<_> = mail["people"]["To"].as_array().expect("a list").iter().map(|it| it[1].clone()).collect();
        assert_eq!(to, [json!("dana@example.org"), json!("board@example.org")], "{text}");
        let page = mail["body"]["parts"][1]["parts"][0]["text"].as_str().expect("a text");
        for tag in ["<script", "<img src=x", "<svg", "<iframe", "<a "] {
            assert!(!page.to_lowercase().contains(tag), "{tag}: {text}");
        }
        assert_eq!((page.matches("</body>").count(), page.matches("<img").count()), (1, 1), "{text}");
    }
}

fn header_names(mail: &Value) -> Vec<String> {
    let headers = mail["headers"].as_array().expect("a list");
    headers.iter().map(|header| header[0].as_str().expect("a text").to_owned()).collect()
}

#[tokio::test]
async fn a_timeline_without_end_still_makes_a_mail_that_servers_take() {
    let mut parcel = update();
    let Body::Update(update) = &mut parcel.body else { panic!("it is an update") };
    let line = |seq| Line { seq, at: Time(i64::try_from(seq).expect("few")), text: "x".repeat(100), weight: 3 };
    update.timeline = (1..=200_000).map(line).collect();
    let bytes = mail_of(&parcel, people()).await;
    // The smallest limit among the great providers is 10 MB.
    assert!(bytes.len() < 5_000_000, "{} bytes", bytes.len());
    assert!(String::from_utf8_lossy(&bytes).contains("and 195000 more"));
}

#[tokio::test]
async fn files_are_whole_numbered_in_order_and_for_their_owner_alone() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let outbox = home.path().join("run/outbox");
    let mails = files(outbox.clone(), people());
    let other = Files::new("slack", outbox.clone(), "json", |_| true, |parcel| Ok(parcel.subject().into_bytes()));
    let second = Parcel { id: "update-4".into(), ..update() };
    let hostile = Parcel { id: "../x".into(), ..update() };
    let put = async |channel: &dyn Channel, parcel: &Parcel| {
        channel.deliver(std::slice::from_ref(parcel), false, &mut Memory::new()).await.expect("it is written")
    };
    let path = put(&mails, &update()).await;
    assert_eq!(Path::new(&path), outbox.join("0001-update-3.eml"));
    put(&mails, &second).await;
    put(&other, &second).await;
    put(&mails, &hostile).await;
    let first = fs::read(&path).expect("it is there");
    put(&mails, &update()).await;
    assert_eq!(fs::read(&path).expect("it is there"), first);
    let mut names: Vec<_> = fs::read_dir(&outbox)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .collect();
    names.sort();
    let wanted = ["0001-update-3.eml", "0002-update-4.eml", "0002-update-4.json", "0003-=2E=2E=2Fx.eml"];
    assert_eq!(names, wanted);
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(&outbox), mode(Path::new(&path))), (0o700, 0o600));
    // Nobody to write to is no reason to show nothing.
    let nobody = mail_of(&update(), Recipients::default()).await;
    assert!(String::from_utf8_lossy(&nobody).contains("\r\nTo: nobody@dr.invalid\r\n"));
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_said() {
    let home = tempfile::tempdir().expect("a temporary folder");
    fs::write(home.path().join("outbox"), "a file").expect("a file");
    let mails = files(home.path().join("outbox"), people());
    let trouble = mails.deliver(&[update()], false, &mut Memory::new()).await.expect_err("it is no folder");
    assert!(trouble.what.contains("outbox cannot be written: ") && !trouble.refused, "{trouble}");
}
