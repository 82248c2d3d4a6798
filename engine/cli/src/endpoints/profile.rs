//! The little that is read of the AWS profile files: a section's settings.
//!
//! The SDK reads these files itself. This reader knows no credentials and
//! keeps none: it is only asked where AWS would be called.

use std::collections::BTreeMap;

/// The settings of one section, by lower-case name; a setting under another
/// one (`dynamodb =`, then indented `endpoint_url = …`) is `dynamodb.endpoint_url`.
pub fn section(text: &str, wanted: &str) -> Option<BTreeMap<String, String>> {
    let mut found: Option<BTreeMap<String, String>> = None;
    let mut inside = false;
    let mut above = String::new();
    for line in text.lines() {
        let bare = without_comment(line);
        if bare.is_empty() {
            continue;
        }
        if let Some(name) = bare.strip_prefix('[').filter(|_| !line.starts_with([' ', '\t'])) {
            let name = name.split(']').next().unwrap_or_default();
            inside = name.split_whitespace().eq(wanted.split_whitespace());
            if inside {
                found.get_or_insert_default();
            }
            above.clear();
            continue;
        }
        let (Some(settings), Some((name, value))) = (found.as_mut().filter(|_| inside), bare.split_once('=')) else {
            continue;
        };
        let name = name.trim().to_lowercase();
        let name = if line.starts_with([' ', '\t']) && !above.is_empty() {
            format!("{above}.{name}")
        } else {
            above.clone_from(&name);
            name
        };
        settings.insert(name, value.trim().to_owned());
    }
    found
}

/// A comment begins a line, or follows a space.
fn without_comment(line: &str) -> &str {
    let bare = line.trim();
    if bare.starts_with(['#', ';']) {
        return "";
    }
    let comment = [" #", " ;", "\t#", "\t;"].iter().filter_map(|mark| bare.find(mark)).min();
    bare[..comment.unwrap_or(bare.len())].trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
# of the whole company
[default]
region = eu-west-1   # a comment
[profile  lab]
Endpoint_URL = http://127.0.0.1:4000 ; another
services=here
[services here]
s3 =
  endpoint_url = http://localhost:1
  max_concurrent_requests = 3
rds =
\tendpoint_url = http://localhost:2
";

    #[test]
    fn a_section_is_found_by_its_whole_name() {
        assert_eq!(section(FILE, "default").expect("it stands there")["region"], "eu-west-1");
        assert_eq!(section(FILE, "profile lab").expect("it stands there")["endpoint_url"], "http://127.0.0.1:4000");
        assert_eq!(section(FILE, "lab"), None);
    }

    #[test]
    fn an_indented_setting_belongs_to_the_one_above() {
        let here = section(FILE, "services here").expect("it stands there");
        assert_eq!(here["s3.endpoint_url"], "http://localhost:1");
        assert_eq!(here["rds.endpoint_url"], "http://localhost:2");
        assert!(!here.contains_key("endpoint_url"));
    }
}
