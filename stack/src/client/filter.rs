//! Filters as people write them: `genres=Comedy|Drama`, `year=1990..1999`, `genres!=Horror`.

use anyhow::{Context as _, ensure};
use proto::v1::{Condition, Filter, KeywordIn, NumberRange, condition::Kind};

/// What a clause looks like.
const SHAPE: &str =
    "expected such as genres=Comedy|Drama, year=1990..1999, year=1990.. or genres!=Horror";

/// One condition, and whether it must hold or must not.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Clause {
    /// It must hold.
    Must(Condition),
    /// It must not hold.
    MustNot(Condition),
}

/// Reads one clause. A number, or two with `..` between them of which one may be missing, is a range; anything else is texts, of which
/// the attribute has one.
///
/// # Errors
/// If there is no attribute, no value, or an empty one.
pub(crate) fn parse(text: &str) -> anyhow::Result<Clause> {
    let (attribute, values) = text.split_once('=').context(SHAPE)?;
    let (attribute, must) = match attribute.strip_suffix('!') {
        Some(attribute) => (attribute, false),
        None => (attribute, true),
    };
    ensure!(
        !attribute.is_empty() && !attribute.ends_with(['<', '>']),
        SHAPE
    );
    let attribute = attribute.to_owned();
    let kind = match range(values) {
        Some((min, max)) => Kind::Range(NumberRange {
            attribute,
            min,
            max,
        }),
        None => {
            let values: Vec<String> = values.split('|').map(str::to_owned).collect();
            ensure!(values.iter().all(|value| !value.is_empty()), SHAPE);
            Kind::Keyword(KeywordIn { attribute, values })
        }
    };
    let condition = Condition { kind: Some(kind) };
    Ok(match must {
        true => Clause::Must(condition),
        false => Clause::MustNot(condition),
    })
}

/// Makes the filter of all clauses; none of no clauses.
pub(crate) fn of(clauses: &[Clause]) -> Option<Filter> {
    if clauses.is_empty() {
        return None;
    }
    let mut filter = Filter::default();
    for clause in clauses {
        match clause {
            Clause::Must(condition) => filter.must.push(condition.clone()),
            Clause::MustNot(condition) => filter.must_not.push(condition.clone()),
        }
    }
    Some(filter)
}

/// The least and the greatest number, if the text is a range with one of them at least.
fn range(text: &str) -> Option<(Option<f64>, Option<f64>)> {
    if let Some(number) = number(text) {
        return Some((Some(number), Some(number)));
    }
    let (min, max) = text.split_once("..")?;
    let bound = |text: &str| match text {
        "" => Some(None),
        text => number(text).map(Some),
    };
    let bounds = (bound(min)?, bound(max)?);
    (bounds != (None, None)).then_some(bounds)
}

/// A finite number: `inf` and `nan` are texts.
fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn keyword(attribute: &str, values: &[&str]) -> Condition {
        Condition {
            kind: Some(Kind::Keyword(KeywordIn {
                attribute: attribute.to_owned(),
                values: values.iter().map(|&value| value.to_owned()).collect(),
            })),
        }
    }

    fn range(attribute: &str, min: Option<f64>, max: Option<f64>) -> Condition {
        Condition {
            kind: Some(Kind::Range(NumberRange {
                attribute: attribute.to_owned(),
                min,
                max,
            })),
        }
    }

    #[track_caller]
    fn check(text: &str, expect: Clause) {
        assert_eq!(parse(text).unwrap(), expect, "{text}");
    }

    #[test]
    fn texts_are_alternatives() {
        check(
            "genres=Comedy|Drama",
            Clause::Must(keyword("genres", &["Comedy", "Drama"])),
        );
        check("title=E=mc2", Clause::Must(keyword("title", &["E=mc2"])));
        check("title=Wait..", Clause::Must(keyword("title", &["Wait.."])));
        check("title=inf", Clause::Must(keyword("title", &["inf"])));
    }

    #[test]
    fn numbers_are_ranges() {
        let (low, high) = (Some(1990.0), Some(1999.5));
        check("year=1990..1999.5", Clause::Must(range("year", low, high)));
        check("year=1990..", Clause::Must(range("year", low, None)));
        check("year=..1999.5", Clause::Must(range("year", None, high)));
        check("year=1990", Clause::Must(range("year", low, low)));
    }

    #[test]
    fn an_exclamation_mark_is_a_condition_that_must_not_hold() {
        check(
            "genres!=Horror",
            Clause::MustNot(keyword("genres", &["Horror"])),
        );
        check(
            "year!=1990..",
            Clause::MustNot(range("year", Some(1990.0), None)),
        );
    }

    #[test]
    fn what_names_no_attribute_or_no_value_is_refused() {
        for text in [
            "",
            "genres",
            "=Comedy",
            "!=Comedy",
            "genres=",
            "genres=a||b",
            "year>=1990",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn all_clauses_make_one_filter() {
        let clauses = ["a=x", "b=1..2", "c!=y"].map(|text| parse(text).unwrap());
        let filter = of(&clauses).unwrap();
        assert_eq!((filter.must.len(), filter.must_not.len()), (2, 1));
        assert_eq!(of(&[]), None);
    }
}
