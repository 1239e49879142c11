//! Filters off the wire.

use std::ops::RangeInclusive;

use generation::partition;
use index::filter::{Condition, Filter};
use proto::v1::{self as pb, condition::Kind, item_ref::Name};

use crate::error::Error;

/// How many conditions a filter may have.
const CONDITIONS: RangeInclusive<usize> = 0..=64;
/// How many values and ids it may have in all.
const VALUES: RangeInclusive<usize> = 0..=10_000;

/// Reads a filter; one without conditions is as good as none.
///
/// # Errors
/// [`Error::Field`] if it is over a limit, or a condition says nothing or what no item can be.
pub(crate) fn from_wire(filter: Option<pb::Filter>) -> Result<Option<Filter>, Error> {
    let Some(filter) = filter else {
        return Ok(None);
    };
    let all = || {
        filter
            .must
            .iter()
            .chain(&filter.should)
            .chain(&filter.must_not)
    };
    let count = all().count();
    if !CONDITIONS.contains(&count) {
        return Err(refused(format!(
            "has {count} conditions, at most {} are allowed",
            CONDITIONS.end()
        )));
    }
    let values = all().map(values).sum();
    if !VALUES.contains(&values) {
        return Err(refused(format!(
            "has {values} values and ids, at most {} are allowed",
            VALUES.end()
        )));
    }
    let read = |conditions: Vec<pb::Condition>| {
        conditions
            .into_iter()
            .map(condition)
            .collect::<Result<_, _>>()
    };
    let filter = Filter {
        must: read(filter.must)?,
        should: read(filter.should)?,
        must_not: read(filter.must_not)?,
    };
    Ok((!filter.is_empty()).then_some(filter))
}

fn condition(condition: pb::Condition) -> Result<Condition, Error> {
    let named = |attribute: String| match attribute.is_empty() {
        true => Err(refused(
            "has a condition that names no attribute".to_owned(),
        )),
        false => Ok(attribute),
    };
    Ok(match condition.kind {
        Some(Kind::Keyword(keyword)) => Condition::Keyword {
            attribute: named(keyword.attribute)?,
            values: keyword.values,
        },
        Some(Kind::Range(range)) => {
            let (min, max) = (
                range.min.unwrap_or(f64::NEG_INFINITY),
                range.max.unwrap_or(f64::INFINITY),
            );
            if min.is_nan() || max.is_nan() {
                return Err(refused(format!("has a range from {min} to {max}")));
            }
            Condition::Range {
                attribute: named(range.attribute)?,
                min,
                max,
            }
        }
        Some(Kind::HasId(has)) => {
            Condition::HasId(has.items.into_iter().map(id).collect::<Result<_, _>>()?)
        }
        None => return Err(refused("has a condition that says nothing".to_owned())),
    })
}

fn id(item: pb::ItemRef) -> Result<u64, Error> {
    match item.name {
        Some(Name::Id(id)) => Ok(id),
        Some(Name::Key(key)) => Ok(partition::item_id(&key)),
        None => Err(refused(
            "has an item that names neither id nor key".to_owned(),
        )),
    }
}

fn values(condition: &pb::Condition) -> usize {
    match &condition.kind {
        Some(Kind::Keyword(keyword)) => keyword.values.len(),
        Some(Kind::HasId(has)) => has.items.len(),
        Some(Kind::Range(_)) | None => 0,
    }
}

fn refused(description: String) -> Error {
    Error::Field {
        field: "filter",
        description,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn must(kind: Option<Kind>) -> pb::Filter {
        pb::Filter {
            must: vec![pb::Condition { kind }],
            ..pb::Filter::default()
        }
    }

    fn range(attribute: &str, min: Option<f64>) -> Option<Kind> {
        Some(Kind::Range(pb::NumberRange {
            attribute: attribute.to_owned(),
            min,
            max: None,
        }))
    }

    fn keyword(values: usize) -> Option<Kind> {
        Some(Kind::Keyword(pb::KeywordIn {
            attribute: "a".to_owned(),
            values: vec!["x".to_owned(); values],
        }))
    }

    #[test]
    fn a_filter_at_its_limits_is_taken() {
        let conditions = |count| vec![pb::Condition { kind: keyword(1) }; count];
        let most_conditions = pb::Filter {
            must: conditions(30),
            should: conditions(30),
            must_not: conditions(4),
        };
        let ids = vec![
            pb::ItemRef {
                name: Some(Name::Id(1))
            };
            5_000
        ];
        let has = Some(Kind::HasId(pb::HasId { items: ids }));
        let most_values = pb::Filter {
            should: vec![pb::Condition { kind: has }],
            ..must(keyword(5_000))
        };
        for filter in [most_conditions, most_values] {
            assert!(matches!(from_wire(Some(filter)), Ok(Some(_))));
        }
    }

    #[test]
    fn a_filter_without_conditions_is_none() {
        assert_eq!(from_wire(Some(pb::Filter::default())).ok(), Some(None));
    }

    #[test]
    fn absent_bounds_bound_nothing_and_keys_become_ids() {
        let found = from_wire(Some(must(range("year", Some(3.0)))))
            .ok()
            .flatten();
        let expected = Condition::Range {
            attribute: "year".to_owned(),
            min: 3.0,
            max: f64::INFINITY,
        };
        assert_eq!(found.map(|filter| filter.must), Some(vec![expected]));
        let items =
            [Name::Id(4), Name::Key("a".to_owned())].map(|name| pb::ItemRef { name: Some(name) });
        let has = Some(Kind::HasId(pb::HasId {
            items: items.to_vec(),
        }));
        let found = from_wire(Some(must(has))).ok().flatten();
        let expected = Condition::HasId(vec![4, partition::item_id("a")]);
        assert_eq!(found.map(|filter| filter.must), Some(vec![expected]));
    }

    #[test]
    fn what_is_no_filter_is_refused_in_words() {
        let nobody = Some(Kind::HasId(pb::HasId {
            items: vec![pb::ItemRef { name: None }],
        }));
        let many = pb::Filter {
            must: vec![pb::Condition { kind: keyword(1) }; 65],
            ..pb::Filter::default()
        };
        for (filter, cause) in [
            (must(None), "says nothing"),
            (must(range("", None)), "names no attribute"),
            (
                must(range("year", Some(f64::NAN))),
                "a range from NaN to inf",
            ),
            (must(nobody), "neither id nor key"),
            (
                must(keyword(10_001)),
                "has 10001 values and ids, at most 10000",
            ),
            (many, "has 65 conditions, at most 64"),
        ] {
            let found = from_wire(Some(filter)).map_err(|refused| refused.to_string());
            assert!(
                found.as_ref().is_err_and(|found| found.contains(cause)),
                "{found:?}"
            );
        }
    }
}
