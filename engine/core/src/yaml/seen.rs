//! Keys that are written twice.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::R;

/// The keys of a map that were seen. A small map is looked through again,
/// which costs less than a set; a large one gets its set.
pub(super) struct Seen<'d> {
    node: R<'d>,
    count: usize,
    fields: u64,
    set: Option<HashMap<&'d str, R<'d>>>,
}

impl<'d> Seen<'d> {
    const FEW: usize = 16;

    pub(super) fn new(node: R<'d>) -> Self {
        Self { node, count: 0, fields: 0, set: None }
    }

    /// The key that was first written with this name, if it is not this one.
    /// To be asked for every key of the map in order.
    pub(super) fn first(&mut self, key: R<'d>, name: &'d str) -> Option<R<'d>> {
        let before = self.count;
        self.count += 1;
        if before < Self::FEW {
            return self.among(before, name);
        }
        let set = self.set.get_or_insert_with(|| {
            let keys = self.node.pairs().take(before).map(|(key, _)| key);
            let mut set = HashMap::new();
            for key in keys {
                set.entry(key.text().unwrap_or_default()).or_insert(key);
            }
            set
        });
        match set.entry(name) {
            Entry::Occupied(first) => Some(*first.get()),
            Entry::Vacant(free) => {
                free.insert(key);
                None
            }
        }
    }

    /// The same for a key that is a field of a type, by its number there.
    pub(super) fn first_field(&mut self, key: R<'d>, field: usize) -> Option<R<'d>> {
        let bit = u32::try_from(field).ok().and_then(|n| 1u64.checked_shl(n));
        let new = bit.is_some_and(|bit| self.fields & bit == 0);
        self.fields |= bit.unwrap_or(0);
        if new {
            return None;
        }
        let before = self.node.pairs().take_while(|(other, _)| other.id() != key.id()).count();
        self.among(before, key.text().unwrap_or_default())
    }

    /// The first of so many keys with this name.
    fn among(&self, keys: usize, name: &str) -> Option<R<'d>> {
        let mut keys = self.node.pairs().take(keys).map(|(key, _)| key);
        keys.find(|key| key.text() == Some(name))
    }
}
