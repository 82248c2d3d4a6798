//! Which of several stores of one name is meant.
//!
//! A name is of one region and account: elsewhere another store can have it, and
//! its backups may lie beside those of ours. The newest of them all would then be
//! the other's, since ours ended at the loss. So backups are held to one place,
//! and where they are of several, a person says which.
//!
//! In one place the stores of a name follow one another: one was deleted or
//! renamed before the next had its name. Of such lives the newest is the one
//! that has the name now, and that needs nobody.

use crate::world::World;
use dr_engine::{clock::Time, outcome::Failure, step::ReadCx};
use std::collections::{BTreeMap, BTreeSet};

/// Where a name is given once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The region.
    pub(crate) region: String,
    /// The account.
    pub(crate) account: String,
}

impl Place {
    /// Where that stands which has this ARN.
    pub(crate) fn of(arn: &str) -> Self {
        let mut parts = arn.split(':').skip(3).map(str::to_owned);
        Self { region: parts.next().unwrap_or_default(), account: parts.next().unwrap_or_default() }
    }
}

/// What a backup says of the store that it is of.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    /// The id that the store has for its life, and no other store has; empty where it is not said.
    pub(crate) id: String,
    /// Where it stood. Of a copy within a region only that region is known.
    pub(crate) place: Place,
    /// The first and the last moment of its data, where it says so.
    pub(crate) span: Option<(Time, Time)>,
}

impl Mark {
    /// What is of one store has the same. Without an id nothing is known to be of the store of another.
    fn store(&self) -> String {
        match self.id.as_str() {
            "" => format!("without an id, {}, {}", self.place.region, self.place.account),
            id => id.to_owned(),
        }
    }
}

/// In which region the store ran that is meant.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ran<'a> {
    written: Option<&'a str>,
    primary: Option<&'a str>,
}

impl<'a> Ran<'a> {
    /// In the region that an input names, else in the runbook's primary one.
    pub(crate) fn in_region(cx: &'a ReadCx, written: Option<&'a str>) -> Self {
        Self { written, primary: World::of(cx).primary.as_deref() }
    }

    /// In a region that an input names, for tests.
    #[cfg(test)]
    pub(crate) fn written_in(region: &'a str) -> Self {
        Self { written: Some(region), primary: None }
    }

    /// Refuses a backup that is asked for by its name, where the region that is
    /// written beside it is another. The primary region is not held against it.
    ///
    /// # Errors
    /// The words name both regions.
    pub(crate) fn fits(self, backup: &str, place: &Place) -> Result<(), Failure> {
        match self.written {
            Some(region) if region != place.region => {
                let text = format!("`{backup}` is of {}, not of {region}", place.region);
                Err(Failure::new(text).hint("`from` is the region in which it ran: set it anew, or name another"))
            }
            _ => Ok(()),
        }
    }

    fn region(self) -> Option<&'a str> {
        self.written.or(self.primary)
    }
}

/// What is looked for, for people.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// What the backups are called, as in `automated backups`.
    pub(crate) backups: &'a str,
    /// The name of the store.
    pub(crate) name: &'a str,
    /// The region that the backups lie in.
    pub(crate) here: &'a str,
    /// In which region it ran.
    pub(crate) ran: Ran<'a>,
    /// Whether a backup says for certain where its store stood: a copy within a region does not.
    pub(crate) sure: bool,
    /// How a person says which store is meant.
    pub(crate) way_out: &'a str,
}

/// What all backups of one store say together.
#[derive(Default)]
struct Life {
    places: BTreeSet<Place>,
    span: Option<(Time, Time)>,
}

impl Life {
    fn add(&mut self, mark: &Mark) {
        self.places.insert(mark.place.clone());
        let known = self.span.into_iter().chain(mark.span);
        self.span = known.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    }

    fn told(&self, id: &str) -> String {
        let places: Vec<_> = self.places.iter().map(|it| format!("{} of account {}", it.region, it.account)).collect();
        let span = self.span.map_or("of no known time".into(), |(first, last)| {
            if first == last { format!("of {first}") } else { format!("from {first} to {last}") }
        });
        format!("`{id}` in {}, {span}", places.join(" and "))
    }
}

impl Wanted<'_> {
    /// An input that the runbook does not write cannot be set while it runs.
    fn hint(&self) -> String {
        format!("{}: in the runbook, to be executed anew, or by `retry --set` where it is written there", self.way_out)
    }

    /// Leaves those that are of the store that is meant, or of its former lives.
    ///
    /// # Errors
    /// When they are of stores of several places, or of none in the region in
    /// which it ran; the words name them.
    pub(crate) fn meant<T>(&self, all: Vec<(Mark, T)>) -> Result<Vec<T>, Failure> {
        let mut lives: BTreeMap<String, Life> = BTreeMap::new();
        for (mark, _) in &all {
            lives.entry(mark.store()).or_default().add(mark);
        }
        for life in lives.values_mut() {
            // What lies here and came from elsewhere was copied within this region after.
            if life.places.iter().any(|place| place.region != self.here) {
                life.places.retain(|place| place.region != self.here);
            }
        }
        let told = |lives: &BTreeMap<String, Life>| {
            let told: Vec<_> = lives.iter().map(|(id, life)| life.told(id)).collect();
            told.join("; ")
        };
        let Self { backups, name, here, .. } = self;
        if let Some(region) = self.ran.region() {
            let known = told(&lives);
            lives.retain(|_, life| life.places.iter().any(|place| place.region == region));
            if lives.is_empty() && !all.is_empty() {
                let text = format!("the {backups} of `{name}` in {here} are of none that ran in {region}: {known}");
                return Err(Failure::new(text).hint(self.hint()));
            }
        }
        let places: BTreeSet<_> = lives.values().flat_map(|life| &life.places).collect();
        if lives.len() > 1 && (places.len() > 1 || !self.sure && !follow(&lives)) {
            let text = format!("the {backups} of `{name}` in {here} are of more than one: {}", told(&lives));
            return Err(Failure::new(text).hint(self.hint()));
        }
        Ok(all.into_iter().filter(|(mark, _)| lives.contains_key(&mark.store())).map(|(_, it)| it).collect())
    }
}

/// Whether each ended before the next began, as the lives of one name do.
fn follow(lives: &BTreeMap<String, Life>) -> bool {
    let mut spans: Vec<_> = lives.values().filter_map(|life| life.span).collect();
    spans.sort_unstable();
    spans.is_sorted_by(|one, next| one.1 < next.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A backup of a store, in a region and account, of a second.
    type Of = (&'static str, &'static str, &'static str, i64);

    const LOST: Of = ("db-LOST", "eu-west-1", "1", 10);
    const TWIN: Of = ("db-TWIN", "eu-central-1", "1", 20);

    fn meant(all: &[Of], written: Option<&str>, primary: Option<&str>) -> Result<Vec<i64>, String> {
        let marks = all.iter().map(|(id, region, account, at)| {
            let place = Place::of(&format!("arn:aws:rds:{region}:{account}:snapshot:one"));
            (Mark { id: (*id).into(), place, span: Some((Time(at * 1_000), Time(at * 1_000))) }, *at)
        });
        let (backups, name, here, ran) = ("snapshots", "orders", "eu-central-1", Ran { written, primary });
        let wanted = Wanted { backups, name, here, ran, sure: false, way_out: "name one" };
        wanted.meant(marks.collect()).map_err(|failure| {
            assert_eq!(failure.hint.as_deref().map(|hint| hint.starts_with("name one: ")), Some(true));
            failure.message
        })
    }

    #[test]
    fn stores_of_two_places_are_named_and_refused_until_somebody_says_which() {
        let told = "the snapshots of `orders` in eu-central-1 are of more than one: \
            `db-LOST` in eu-west-1 of account 1, of 1970-01-01T00:00:10Z; \
            `db-TWIN` in eu-central-1 of account 1, of 1970-01-01T00:00:20Z";
        assert_eq!(meant(&[LOST, TWIN], None, None), Err(told.into()));
        assert_eq!(meant(&[LOST, TWIN], Some("eu-west-1"), None), Ok(vec![10]));
        assert_eq!(meant(&[LOST, TWIN], None, Some("eu-west-1")), Ok(vec![10]));
        assert_eq!(meant(&[LOST, TWIN], Some("eu-central-1"), Some("eu-west-1")), Ok(vec![20]));
        // The account is a part of the place: a vault can hold those of several.
        let other = ("db-OTHER", "eu-west-1", "2", 20);
        assert!(meant(&[LOST, other], Some("eu-west-1"), None).expect_err("two").contains("eu-west-1 of account 2"));
        // Those that have no id are not taken for one.
        let nameless = [("", "eu-west-1", "1", 10), ("", "eu-central-1", "1", 20)];
        assert!(meant(&nameless, None, None).is_err());
        assert_eq!(meant(&nameless, Some("eu-west-1"), None), Ok(vec![10]));
    }

    #[test]
    fn one_that_ran_elsewhere_is_refused_though_it_is_alone() {
        let told = "the snapshots of `orders` in eu-central-1 are of none that ran in eu-west-1: \
            `db-TWIN` in eu-central-1 of account 1, of 1970-01-01T00:00:20Z";
        assert_eq!(meant(&[TWIN], None, Some("eu-west-1")), Err(told.into()));
        assert_eq!(meant(&[TWIN], None, None), Ok(vec![20]));
        assert_eq!(meant(&[], None, Some("eu-west-1")), Ok(vec![]));
    }

    #[test]
    fn lives_that_follow_one_another_in_one_place_need_nobody() {
        let (former, later) = (("db-FORMER", "eu-west-1", "1", 5), ("db-FORMER", "eu-west-1", "1", 11));
        assert_eq!(meant(&[former, LOST], None, Some("eu-west-1")), Ok(vec![5, 10]));
        // Two that lived at the same time are no lives of one.
        assert!(meant(&[former, LOST, later], None, Some("eu-west-1")).is_err());
    }

    #[test]
    fn a_copy_within_the_region_belongs_to_where_it_came_from() {
        let again = ("db-LOST", "eu-central-1", "1", 10);
        assert_eq!(meant(&[LOST, again], None, Some("eu-west-1")), Ok(vec![10, 10]));
        assert!(meant(&[LOST, again, TWIN], None, None).is_err());
        assert!(meant(&[again, TWIN], None, Some("eu-west-1")).is_err());
    }
}
