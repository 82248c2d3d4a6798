//! Whether a query is one statement. What is not clear here (a quote without
//! an end) is left to the server, which tells better.

use super::Engine;
use dr_engine::step::Mistake;

/// A query of several statements, of which a server takes one.
pub(super) fn several(engine: Engine, query: &str) -> Option<Mistake> {
    goes_on(engine, query).then(|| Mistake {
        field: "query",
        message: "behind the `;` stands another statement, and one is asked".into(),
        help: "make a step, or a probe, of each".into(),
    })
}

/// Whether anything but comments stands behind the first `;` that ends a statement.
fn goes_on(engine: Engine, query: &str) -> bool {
    let (mut rest, mut before, mut ended) = (query, ' ', false);
    while let Some(c) = rest.chars().next() {
        if let Piece::To(end) = comment(engine, rest) {
            (rest, before) = (&rest[end..], ' ');
            continue;
        }
        let quoted = quoted(engine, rest, before);
        if c == ';' {
            ended = true;
        } else if ended && !c.is_whitespace() {
            return true;
        }
        (rest, before) = match quoted {
            Piece::To(end) => (&rest[end..], ' '),
            Piece::None => (&rest[c.len_utf8()..], c),
        };
    }
    false
}

/// What begins at a place, and where it ends; what has no end goes to the end of all.
enum Piece {
    None,
    To(usize),
}

fn comment(engine: Engine, rest: &str) -> Piece {
    let mysql = engine == Engine::Mysql;
    // MySQL takes `--` for a comment only before a space, and runs what stands in `/*! … */`.
    let line = match rest.strip_prefix("--") {
        Some(behind) => !mysql || behind.chars().next().is_none_or(|c| c.is_whitespace() || c.is_control()),
        None => mysql && rest.starts_with('#'),
    };
    if line {
        return Piece::To(rest.find('\n').map_or(rest.len(), |end| end + 1));
    }
    if !rest.starts_with("/*") || mysql && (rest.starts_with("/*!") || rest.starts_with("/*M!")) {
        return Piece::None;
    }
    let (mut at, mut depth) = (2, 1_usize);
    while let Some(next) = rest[at..].find(['*', '/']) {
        at += next;
        if rest[at..].starts_with("*/") {
            (at, depth) = (at + 2, depth - 1);
        } else if rest[at..].starts_with("/*") && !mysql {
            // PostgreSQL's nest.
            (at, depth) = (at + 2, depth + 1);
        } else {
            at += 1;
        }
        if depth == 0 {
            return Piece::To(at);
        }
    }
    Piece::To(rest.len())
}

/// A quoted text or name. A doubled quote is two of them in a row.
fn quoted(engine: Engine, rest: &str, before: char) -> Piece {
    let escapes = match (engine, rest.chars().next()) {
        (Engine::Mysql, Some('\'' | '"')) => true,
        (Engine::Postgres, Some('\'')) => before.eq_ignore_ascii_case(&'e'),
        (Engine::Mysql, Some('`')) | (Engine::Postgres, Some('"')) => false,
        (Engine::Postgres, Some('$')) if !before.is_alphanumeric() && before != '_' => return dollar(rest),
        _ => return Piece::None,
    };
    let mut chars = rest.char_indices();
    let quote = chars.next().map(|(_, quote)| quote);
    while let Some((at, c)) = chars.next() {
        if c == '\\' && escapes {
            chars.next();
        } else if Some(c) == quote {
            return Piece::To(at + 1);
        }
    }
    Piece::To(rest.len())
}

/// PostgreSQL's `$tag$ … $tag$`.
fn dollar(rest: &str) -> Piece {
    let Some(name) = rest[1..].split('$').next().filter(|name| rest[1..].len() > name.len()) else {
        return Piece::None;
    };
    let digit_first = name.starts_with(|c: char| c.is_ascii_digit());
    if digit_first || !name.chars().all(|c| c.is_alphanumeric() || c == '_') {
        return Piece::None;
    }
    let tag = &rest[..name.len() + 2];
    Piece::To(rest[tag.len()..].find(tag).map_or(rest.len(), |end| tag.len() + end + tag.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_statement_is_told_from_several() {
        use Engine::{Mysql, Postgres};
        for engine in [Mysql, Postgres] {
            for query in [
                "SELECT 1",
                "SELECT 1;",
                "SELECT 1 ;;\n -- that is all; really\n /* and; this */ ",
                "SELECT ';', 'it''s; so', \"a;b\" FROM x",
                "SELECT 1 /* ; SELECT 2 */ + 1",
                "SELECT 'no end ; SELECT 2",
                "SELECT 1 /* no end ; SELECT 2",
                "",
            ] {
                assert!(!goes_on(engine, query), "{engine:?}: {query}");
            }
            for query in
                ["SELECT 1; SELECT 2", "SELECT 1;SELECT 2;", "SELECT ';'; 'x'", "-- a\nSELECT 1;\n-- b\nDROP x"]
            {
                assert!(goes_on(engine, query), "{engine:?}: {query}");
            }
        }
        for (query, mysql, postgres) in [
            (r"SELECT 'a\'; b'", false, true),
            (r"SELECT E'a\'; b'", false, false),
            ("SELECT $$;$$ || $x$; $$ ;$x$", true, false),
            ("SELECT $1; SELECT $2", true, true),
            ("SELECT `a;b`", false, true),
            ("SELECT 1; # end", false, true),
            ("SELECT 1; --1", true, false),
            ("SELECT 1; /*! DROP TABLE x */", true, false),
            ("SELECT 1 /* /* */ ; */", true, false),
        ] {
            assert_eq!((goes_on(Mysql, query), goes_on(Postgres, query)), (mysql, postgres), "{query}");
        }
    }
}
