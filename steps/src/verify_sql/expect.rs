//! What a query is to answer, and whether it does.

use super::session::Answer;
use crate::{
    newest,
    web::{self, Json},
};
use dr_engine::{clock::Time, duration::Dur, outcome::Failure, step::ReadCx, yaml::In};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// What a query is to answer: `rows`, or one value, which is `value`, a number within bounds, or a time.
///
/// Small on purpose: whatever else is to be compared, SQL compares it, and answers true.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// These rows, in this order: `[[open, 12], [closed, 340]]`. NULL is `null`.
    rows: Option<Vec<Vec<In<Json>>>>,
    /// This value, of the only row and column.
    value: Option<In<Json>>,
    /// A number that is not smaller, of the only row and column.
    at_least: Option<In<f64>>,
    /// A number that is not greater, of the only row and column.
    at_most: Option<In<f64>>,
    /// A time that is at most so much older than the incident, of the only row and column. It is the recovery point.
    age_max: Option<Dur>,
}

impl Wanted {
    /// Why its fields do not go together.
    pub(super) fn mistake(&self) -> Option<&'static str> {
        let bounds = self.at_least.is_some() || self.at_most.is_some();
        match [self.rows.is_some(), self.value.is_some(), bounds, self.age_max.is_some()]
            .iter()
            .filter(|it| **it)
            .count()
        {
            0 => Some("nothing is expected of the answer"),
            1 => None,
            _ => Some("an answer is expected to be one thing"),
        }
    }

    /// Whether a time is expected.
    pub(super) fn is_age(&self) -> bool {
        self.age_max.is_some()
    }

    /// Whether the answer is as wanted: the time that it holds, if one was asked for, or why not.
    ///
    /// # Errors
    /// When no answer of this query could be.
    pub(super) fn judge(&self, cx: &ReadCx, answer: &Answer) -> Result<Result<Option<Time>, String>, Failure> {
        if let Some(rows) = &self.rows {
            return judge_rows(rows, answer).map(|why| why.map_or(Ok(None), Err));
        }
        if answer.columns != 1 {
            let text = format!("the query answers {} columns, and one value is wanted", answer.columns);
            return Err(Failure::new(text).hint("select one column, or expect `rows`"));
        }
        let found = match answer.rows.as_slice() {
            [row] => &row[0],
            rows => return Ok(Err(format!("the query answers {} rows, wanted one", rows.len()))),
        };
        if let Some(value) = &self.value {
            let wanted = value.get().value();
            let unlike = || Err(format!("the value is {found}, wanted {wanted}"));
            return Ok(if web::same(found, &wanted) { Ok(None) } else { unlike() });
        }
        if let Some(age_max) = self.age_max {
            return judge_age(cx, found, age_max);
        }
        let number = match found {
            Value::Number(number) => number.as_f64(),
            // A decimal that is longer than a float is exact.
            Value::String(text) => text.parse().ok(),
            Value::Null => return Ok(Err("the value is null, wanted a number".into())),
            _ => None,
        };
        let number = number.filter(|number| !number.is_nan()).ok_or_else(|| {
            Failure::new(format!("the value is {found}, and a number is wanted")).hint("let the query cast it")
        })?;
        let bounds = [(&self.at_least, "least", number), (&self.at_most, "most", -number)];
        let broken = bounds.iter().find_map(|(bound, word, number)| {
            let bound = *bound.as_ref()?.get();
            let signed = if *word == "least" { bound } else { -bound };
            (*number < signed).then(|| format!("the value is {found}, wanted at {word} {bound}"))
        });
        Ok(broken.map_or(Ok(None), Err))
    }
}

fn judge_rows(wanted: &[Vec<In<Json>>], answer: &Answer) -> Result<Option<String>, Failure> {
    if let Some(row) = wanted.iter().find(|row| row.len() != answer.columns) {
        let text = format!("the query answers {} columns, and a row of {} is wanted", answer.columns, row.len());
        return Err(Failure::new(text).hint("every row of `expect` names a value for each column"));
    }
    if wanted.len() != answer.rows.len() {
        return Ok(Some(format!("the query answers {} rows, wanted {}", answer.rows.len(), wanted.len())));
    }
    let cells = wanted.iter().flatten().zip(answer.rows.iter().flatten()).enumerate();
    let mut unlike = cells.filter_map(|(at, (wanted, found))| {
        let wanted = wanted.get().value();
        let place = || format!("row {}, column {}", at / answer.columns + 1, at % answer.columns + 1);
        (!web::same(found, &wanted)).then(|| format!("{} is {found}, wanted {wanted}", place()))
    });
    Ok(unlike.next())
}

fn judge_age(cx: &ReadCx, found: &Value, age_max: Dur) -> Result<Result<Option<Time>, String>, Failure> {
    let text = match found {
        Value::Null => return Ok(Err("the newest time is null: nothing is there".into())),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if newest::moment(&text).is_none() {
        let failure = Failure::new(format!("the value is {found}, which is no moment"));
        return Err(failure.hint(
            "a time needs its zone: `max(created_at) AT TIME ZONE 'UTC'` in PostgreSQL, \
             `UNIX_TIMESTAMP(max(created_at))` in MySQL, where the times of that column are UTC",
        ));
    }
    Ok(newest::judge(cx, &text, age_max)?.map(Some))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify_sql::session::number;
    use dr_engine::testing::Bench;
    use serde_json::json;
    use std::sync::Arc;

    fn judged(wanted: Value, columns: usize, rows: Value) -> String {
        let wanted: Wanted = serde_json::from_value(wanted).expect("what can be wanted");
        let Value::Array(rows) = rows else { unreachable!("rows are a list") };
        let rows = rows.into_iter().map(|row| row.as_array().expect("a row").clone()).collect();
        let answer = Answer { columns, rows, read_only: None, address: ([127, 0, 0, 1], 5432).into() };
        let clock = Arc::new(dr_engine::clock::SystemClock::new());
        let mut bench = Bench::new("judge", clock, Arc::new(()));
        bench.run.incident_at = Time(1_795_328_100_000);
        match wanted.judge(&bench.cx().read, &answer) {
            Ok(Ok(at)) => at.map_or("good".into(), |at| at.to_string()),
            Ok(Err(why)) => why,
            Err(failure) => format!("never: {}", failure.message),
        }
    }

    #[tokio::test]
    async fn an_answer_is_as_wanted_or_says_what_is_not() {
        for (wanted, columns, rows, says) in [
            (json!({"value": 12}), 1, json!([[12]]), "good"),
            (json!({"value": 12.5}), 1, json!([[12.50]]), "good"),
            (json!({"value": true}), 1, json!([[true]]), "good"),
            (json!({"value": "12"}), 1, json!([[12]]), "the value is 12, wanted \"12\""),
            (json!({"value": ""}), 1, json!([[null]]), "the value is null, wanted \"\""),
            (json!({"value": 12}), 1, json!([]), "the query answers 0 rows, wanted one"),
            (json!({"value": 12}), 2, json!([[12, 1]]), "never: the query answers 2 columns, and one value is wanted"),
            // Two whole numbers that one float stands for.
            (
                json!({"value": 9_007_199_254_740_993_i64}),
                1,
                json!([[9_007_199_254_740_992_i64]]),
                "the value is 9007199254740992, wanted 9007199254740993",
            ),
            (json!({"rows": [["open", 1], [null, 2]]}), 2, json!([["open", 1], [null, 2]]), "good"),
            (json!({"rows": []}), 2, json!([]), "good"),
            (json!({"rows": [["open", 1]]}), 2, json!([]), "the query answers 0 rows, wanted 1"),
            (
                json!({"rows": [["open", 1], ["shut", 2]]}),
                2,
                json!([["open", 1], ["shut", null]]),
                "row 2, column 2 is null, wanted 2",
            ),
            (
                json!({"rows": [["open"]]}),
                2,
                json!([["open", 1]]),
                "never: the query answers 2 columns, and a row of 1 is wanted",
            ),
            (json!({"at_least": 10}), 1, json!([[10]]), "good"),
            (json!({"at_least": 10, "at_most": 20}), 1, json!([[20.0]]), "good"),
            (json!({"at_least": 10}), 1, json!([[9]]), "the value is 9, wanted at least 10"),
            (json!({"at_most": 20}), 1, json!([[20.5]]), "the value is 20.5, wanted at most 20"),
            (json!({"at_least": 10}), 1, json!([["123456789012345678901234567890"]]), "good"),
            (json!({"at_least": 10}), 1, json!([[null]]), "the value is null, wanted a number"),
            (json!({"at_least": 10}), 1, json!([["many"]]), "never: the value is \"many\", and a number is wanted"),
            (json!({"at_least": 10}), 1, json!([["NaN"]]), "never: the value is \"NaN\", and a number is wanted"),
            (json!({"age_max": "5m"}), 1, json!([["2026-11-22 06:12:00+00"]]), "2026-11-22T06:12:00Z"),
            (json!({"age_max": "5m"}), 1, json!([[1_795_327_920]]), "2026-11-22T06:12:00Z"),
            (
                json!({"age_max": "5m"}),
                1,
                json!([["2026-11-22 06:00:00Z"]]),
                "the newest is 15m older than the incident, of 2026-11-22T06:00:00Z; wanted within 5m",
            ),
            (json!({"age_max": "5m"}), 1, json!([[null]]), "the newest time is null: nothing is there"),
            (
                json!({"age_max": "5m"}),
                1,
                json!([["2026-11-22 06:12:00"]]),
                "never: the value is \"2026-11-22 06:12:00\", which is no moment",
            ),
        ] {
            assert_eq!(judged(wanted.clone(), columns, rows.clone()), says, "{wanted} of {rows}");
        }
    }

    #[test]
    fn an_answer_is_expected_to_be_one_thing() {
        let mistake = |wanted| serde_json::from_value::<Wanted>(wanted).expect("fields that it knows").mistake();
        assert_eq!(mistake(json!({})), Some("nothing is expected of the answer"));
        assert_eq!(mistake(json!({"value": 1, "at_least": 2})), Some("an answer is expected to be one thing"));
        assert_eq!(mistake(json!({"at_least": 1, "at_most": 2})), None);
    }

    #[test]
    fn a_number_is_one_only_where_nothing_of_it_is_lost() {
        for (text, value) in [
            ("12", json!(12)),
            ("-9223372036854775808", json!(i64::MIN)),
            ("18446744073709551615", json!(u64::MAX)),
            ("18446744073709551616", json!("18446744073709551616")),
            ("12.50", json!(12.5)),
            ("0.1234567890123456", json!("0.1234567890123456")),
            ("NaN", json!("NaN")),
        ] {
            assert_eq!(number(text), value, "{text}");
        }
    }
}
