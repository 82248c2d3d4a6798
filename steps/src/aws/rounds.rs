//! One look for all who wait.
//!
//! Many steps wait on the same service at the same time, and a list call
//! answers for all of them: whoever asks while a look is under way is answered
//! by the next one, together with everyone who asked meanwhile. What is given
//! was always seen by a look that began after the question.

use dr_engine::outcome::Failure;
use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::{Arc, Mutex},
};

/// What a look saw, by name.
type Found<V> = Result<BTreeMap<String, V>, Failure>;

/// Looks at things that have names, place by place (a region, a cluster in it).
pub(crate) struct Rounds<V>(Mutex<BTreeMap<String, Arc<Round<V>>>>);

struct Round<V> {
    asked: Mutex<Asked>,
    last: tokio::sync::Mutex<Option<Seen<V>>>,
}

/// Who wants to be answered by the next look.
#[derive(Default)]
struct Asked {
    names: BTreeSet<String>,
    /// How many looks have begun.
    begun: u64,
}

struct Seen<V> {
    number: u64,
    names: BTreeSet<String>,
    found: Found<V>,
}

impl<V> Default for Rounds<V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<V: Clone> Rounds<V> {
    /// What stands under this name, or `None` where nothing does. `ask` is
    /// given all names that are asked for and gives what it found of them.
    pub(crate) async fn look<L, F>(&self, place: &str, name: &str, ask: L) -> Result<Option<V>, Failure>
    where
        L: Fn(Vec<String>) -> F,
        F: Future<Output = Found<V>>,
    {
        let round = {
            let mut places = self.0.lock().expect("nothing panics while it holds this");
            places.entry(place.to_owned()).or_default().clone()
        };
        let ticket = {
            let mut asked = round.asked();
            asked.names.insert(name.to_owned());
            asked.begun
        };
        let mut last = round.last.lock().await;
        let seen = match last.take() {
            // The look that took the name along may have been given up: then it is not among these.
            Some(seen) if seen.number >= ticket && seen.names.contains(name) => seen,
            _ => {
                let (number, mut names) = {
                    let mut asked = round.asked();
                    asked.begun += 1;
                    (asked.begun - 1, std::mem::take(&mut asked.names))
                };
                names.insert(name.to_owned());
                let found = ask(names.iter().cloned().collect()).await;
                Seen { number, names, found }
            }
        };
        let seen = last.insert(seen);
        match &seen.found {
            Ok(found) => Ok(found.get(name).cloned()),
            // A name that the service refuses outright must not stand in the way of the others.
            Err(failure) if !failure.transient && seen.names.len() > 1 => {
                drop(last);
                Ok(ask(vec![name.to_owned()]).await?.remove(name))
            }
            Err(failure) => Err(failure.clone()),
        }
    }
}

impl<V> Default for Round<V> {
    fn default() -> Self {
        Self { asked: Mutex::default(), last: tokio::sync::Mutex::default() }
    }
}

impl<V> Round<V> {
    fn asked(&self) -> std::sync::MutexGuard<'_, Asked> {
        self.asked.lock().expect("nothing panics while it holds this")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        pin::Pin,
        sync::atomic::{AtomicU64, Ordering},
        task::Poll,
    };

    /// Lets a future go on until it waits.
    async fn nudge<F: Future + Unpin>(future: &mut F) {
        std::future::poll_fn(|cx| {
            assert!(Pin::new(&mut *future).poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
    }

    /// A service that counts its looks and says which saw a name.
    #[derive(Default)]
    struct Service {
        looks: AtomicU64,
    }

    impl Service {
        async fn list(&self, names: Vec<String>) -> Found<u64> {
            let look = self.looks.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            if names.contains(&"busy".to_owned()) {
                return Err(Failure::passing("throttled"));
            }
            if names.contains(&"b@d".to_owned()) {
                return Err(Failure::new("that is no name"));
            }
            Ok(names.into_iter().filter(|name| name != "gone").map(|name| (name, look)).collect())
        }
    }

    async fn ask(rounds: &Rounds<u64>, service: &Service, name: &str) -> Result<Option<u64>, Failure> {
        rounds.look("eu-central-1", name, |names| service.list(names)).await
    }

    #[tokio::test]
    async fn who_asks_during_a_look_is_answered_by_the_next_one_together() {
        let (rounds, service) = (Rounds::default(), Service::default());
        let all: Vec<String> = (0..50).map(|n| format!("db{n}")).collect();
        let seen = futures_util::future::join_all(all.iter().map(|name| ask(&rounds, &service, name))).await;
        // The first was alone when it began; the others came meanwhile.
        assert_eq!(seen[0], Ok(Some(0)));
        assert!(seen[1..].iter().all(|seen| *seen == Ok(Some(1))), "{seen:?}");
        assert_eq!(service.looks.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn nobody_is_answered_by_a_look_that_began_before_the_question() {
        let (rounds, service) = (Rounds::default(), Service::default());
        for look in 0..3 {
            assert_eq!(ask(&rounds, &service, "db").await, Ok(Some(look)));
        }
        assert_eq!(ask(&rounds, &service, "gone").await, Ok(None));
    }

    #[tokio::test]
    async fn a_look_that_was_given_up_leaves_nobody_without_an_answer() {
        let (rounds, service) = (Rounds::default(), Service::default());
        let (mut first, mut second) = (Box::pin(ask(&rounds, &service, "a")), Box::pin(ask(&rounds, &service, "b")));
        let mut third = Box::pin(ask(&rounds, &service, "c"));
        for asker in [&mut first, &mut second, &mut third] {
            nudge(asker).await;
        }
        drop(first);
        // The second begins the look that names the third as well, and is dropped in it.
        nudge(&mut second).await;
        drop(second);
        assert_eq!(third.await, Ok(Some(2)));
    }

    #[tokio::test]
    async fn a_look_that_failed_has_failed_for_all_and_is_not_remembered() {
        let (rounds, service) = (Rounds::default(), Service::default());
        let names = ["a", "b", "busy"];
        let seen = futures_util::future::join_all(names.map(|name| ask(&rounds, &service, name))).await;
        assert_eq!(seen[0], Ok(Some(0)));
        assert!(seen[1].is_err() && seen[2].is_err(), "{seen:?}");
        assert_eq!(ask(&rounds, &service, "b").await, Ok(Some(2)));
    }

    #[tokio::test]
    async fn a_name_that_is_refused_stands_in_nobodys_way() {
        let (rounds, service) = (Rounds::default(), Service::default());
        let names = ["a", "b", "b@d", "c"];
        let seen = futures_util::future::join_all(names.map(|name| ask(&rounds, &service, name))).await;
        assert_eq!(seen[2], Err(Failure::new("that is no name")));
        assert!(seen[1].is_ok() && seen[3].is_ok(), "{seen:?}");
    }
}
