//! A YAML text as a tree with places: the form every mistake is found in.
//!
//! Nodes lie in one vector in the order of the text, sixteen bytes each. Text
//! stays in the source wherever it stands there letter by letter, and an alias
//! is a link, so that neither a large file nor a malicious one costs memory.

use std::iter::FusedIterator;

use crate::problem::Span;

/// How much YAML is taken from one file.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The length of the file.
    pub bytes_max: usize,
    /// Lists and maps inside each other, aliases followed.
    pub depth_max: usize,
    /// Aliases in the file.
    pub aliases_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes_max: 16 << 20, depth_max: 32, aliases_max: 200 }
    }
}

impl Limits {
    /// Nodes, an alias counted by all it stands for. A thousand realistic
    /// steps are more than 20,000 nodes; beyond that a node needs about three
    /// bytes of honest text, and only aliases do with less.
    pub(super) fn nodes_max(bytes: usize) -> usize {
        (bytes / 3).max(20_000)
    }
}

/// A parsed text.
#[derive(Debug)]
pub struct Doc<'s> {
    pub(super) src: &'s str,
    pub(super) base: u32,
    pub(super) nodes: Vec<N>,
    pub(super) side: Vec<Box<str>>,
}

/// A node. `start` and `end` are bytes of the source.
#[derive(Debug, Clone, Copy)]
pub(super) struct N {
    pub(super) start: u32,
    pub(super) end: u32,
    /// List and map: the index after their last node. Alias: its target.
    /// Owned: the slot in `side`.
    pub(super) next: u32,
    pub(super) k: K,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum K {
    /// Without quotes, verbatim in the source.
    Plain,
    /// With quotes, verbatim between them.
    Quoted,
    /// Text that the source spells otherwise: escapes, folds, blocks.
    Owned,
    /// The same, without quotes: a plain text of several lines.
    OwnedPlain,
    Seq,
    Map,
    Alias,
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text, a number, a truth value, nothing.
    Scalar,
    /// `[ … ]` or lines with `- `.
    List,
    /// `{ … }` or lines with `key: `.
    Map,
}

/// A node of a [`Doc`], aliases followed.
#[derive(Debug, Clone, Copy)]
pub struct R<'d> {
    doc: &'d Doc<'d>,
    at: u32,
    via: Option<u32>,
}

impl<'s> Doc<'s> {
    /// The outermost node.
    pub fn root<'d>(&'d self) -> R<'d>
    where
        's: 'd,
    {
        R { doc: self, at: 0, via: None }
    }

    /// How many nodes the text holds.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }
}

impl<'d> R<'d> {
    fn n(self) -> N {
        self.doc.nodes[self.at as usize]
    }

    fn place(self, n: N) -> Span {
        Span { start: self.doc.base + n.start, end: self.doc.base + n.end }
    }

    /// The node's place, quotes included.
    pub fn span(self) -> Span {
        self.place(self.n())
    }

    /// The place of the alias that brought the node in, the outermost if
    /// there were several: that is where its reader stands.
    pub fn via(self) -> Option<Span> {
        self.via.map(|via| self.place(self.doc.nodes[via as usize]))
    }

    /// What the node is.
    pub fn kind(self) -> Kind {
        match self.n().k {
            K::Seq => Kind::List,
            K::Map => Kind::Map,
            K::Plain | K::Quoted | K::Owned | K::OwnedPlain => Kind::Scalar,
            K::Alias => unreachable!("an alias is followed before a node is handed out"),
        }
    }

    /// The text of a scalar, escapes and folds resolved.
    pub fn text(self) -> Option<&'d str> {
        let n = self.n();
        let source = |quote: usize| &self.doc.src[n.start as usize + quote..n.end as usize - quote];
        match n.k {
            K::Plain => Some(source(0)),
            K::Quoted => Some(source(1)),
            K::Owned | K::OwnedPlain => Some(&self.doc.side[n.next as usize]),
            K::Seq | K::Map | K::Alias => None,
        }
    }

    /// Whether this is a scalar without quotes, whose text may mean a number
    /// or a truth value.
    pub fn is_plain(self) -> bool {
        matches!(self.n().k, K::Plain | K::OwnedPlain)
    }

    /// The place of the first letter of the text, when the text stands in the
    /// source letter by letter: only then can a part of it be underlined.
    pub fn text_start(self) -> Option<u32> {
        let n = self.n();
        match n.k {
            K::Plain => Some(self.doc.base + n.start),
            K::Quoted => Some(self.doc.base + n.start + 1),
            K::Owned | K::OwnedPlain | K::Seq | K::Map | K::Alias => None,
        }
    }

    /// The entries of a list; of a map its keys and values in turn; of a
    /// scalar nothing.
    pub fn kids(self) -> Kids<'d> {
        let end = match self.kind() {
            Kind::Scalar => self.at + 1,
            Kind::List | Kind::Map => self.n().next,
        };
        Kids { doc: self.doc, at: self.at + 1, end, via: self.via }
    }

    /// Keys and values of a map; nothing of any other node.
    pub fn pairs(self) -> Pairs<'d> {
        let mut kids = self.kids();
        if self.kind() != Kind::Map {
            kids.end = kids.at;
        }
        Pairs { kids }
    }

    /// The value under a key, the first if it is written twice.
    pub fn get(self, key: &str) -> Option<R<'d>> {
        self.pairs().find(|(name, _)| name.text() == Some(key)).map(|(_, value)| value)
    }

    /// A number for this node on this way through the aliases, to remember it by.
    pub(super) fn id(self) -> (u32, Option<u32>) {
        (self.at, self.via)
    }

    /// How many nodes it is made of, itself included, aliases not followed.
    pub(super) fn nodes(self) -> usize {
        let n = self.n();
        match n.k {
            K::Seq | K::Map => (n.next - self.at) as usize,
            K::Plain | K::Quoted | K::Owned | K::OwnedPlain | K::Alias => 1,
        }
    }

    /// The line of the node, counted from one.
    pub(super) fn line(self) -> usize {
        self.doc.src[..self.n().start as usize].matches('\n').count() + 1
    }
}

/// The entries of a node, see [`R::kids`].
#[derive(Debug, Clone)]
pub struct Kids<'d> {
    doc: &'d Doc<'d>,
    at: u32,
    end: u32,
    via: Option<u32>,
}

impl<'d> Iterator for Kids<'d> {
    type Item = R<'d>;

    fn next(&mut self) -> Option<R<'d>> {
        if self.at >= self.end {
            return None;
        }
        let at = self.at;
        let n = self.doc.nodes[at as usize];
        self.at = match n.k {
            K::Seq | K::Map => n.next,
            K::Plain | K::Quoted | K::Owned | K::OwnedPlain | K::Alias => at + 1,
        };
        Some(match n.k {
            K::Alias => R { doc: self.doc, at: n.next, via: self.via.or(Some(at)) },
            _ => R { doc: self.doc, at, via: self.via },
        })
    }
}

impl FusedIterator for Kids<'_> {}

/// The keys and values of a map, see [`R::pairs`].
#[derive(Debug, Clone)]
pub struct Pairs<'d> {
    kids: Kids<'d>,
}

impl<'d> Iterator for Pairs<'d> {
    type Item = (R<'d>, R<'d>);

    fn next(&mut self) -> Option<(R<'d>, R<'d>)> {
        Some((self.kids.next()?, self.kids.next()?))
    }
}

impl FusedIterator for Pairs<'_> {}
