//! `dr explain`: the kinds of work, one by one.

use super::Here;
use crate::{
    args::Explain,
    explain::{Page, markdown},
    failure::{self, Failure},
    show,
};
use dr_engine::problem::did_you_mean;
use std::{fs, path::Path};

/// Explains a kind, lists all, or writes their pages.
pub fn explain(here: &Here, args: &Explain) -> Result<u8, Failure> {
    let registry = dr_steps::registry();
    let page = |kind| {
        Page::of(kind, &registry).map_err(|why| Failure::before(format!("`{}` cannot be explained: {why}", kind.name)))
    };
    let all = || registry.kinds().iter().map(page).collect::<Result<Vec<_>, _>>();
    match (&args.kind, &args.pages) {
        (Some(name), _) => {
            let kind = registry.kinds().iter().find(|kind| kind.name == name);
            let page = page(kind.ok_or_else(|| unknown(name, registry.names()))?)?;
            show::print(&if here.json { json(&page) } else { show::explain::page(&page) });
        }
        (None, Some(folder)) => write(&all()?, folder)
            .map_err(|e| Failure::before(format!("the pages cannot be written into {}: {e}", folder.display())))?,
        (None, None) => {
            let all = all()?;
            show::print(&if here.json { all.iter().map(json).collect() } else { show::explain::list(&all) });
        }
    }
    Ok(failure::DONE)
}

fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Failure {
    let failure = Failure::usage(format!("there is no kind `{name}`"));
    match did_you_mean(name, known) {
        Some(near) => failure.hint(format!("did you mean `{near}`? dr explain {near}")),
        None => failure.hint("`dr explain` lists them all"),
    }
}

/// A page as one object.
fn json(page: &Page) -> String {
    let serde_json::Value::Object(facts) = serde_json::json!(page) else { unreachable!("a page has fields") };
    let mut object = serde_json::json!({ "format": "dr-explain", "version": 1 });
    object.as_object_mut().expect("an object").extend(facts);
    format!("{object}\n")
}

fn write(pages: &[Page], folder: &Path) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("README.md"), markdown::index(pages))?;
    pages.iter().try_for_each(|page| fs::write(folder.join(format!("{}.md", page.kind)), markdown::page(page)))
}
