//! The messages of a recall as JSON: fields are named as in the proto, ids are numbers, features are values by name.

use proto::v1::{
    Candidate, Coverage, DegradedReason, FeatureValue, Features, Item, ItemRef, RecallResponse,
    StageTimings, feature_value::Kind, item_ref::Name,
};
use serde_json::{Value, json};

/// A recall's answer.
pub(crate) fn recall(answer: &RecallResponse) -> Value {
    json!({
        "candidates": list(&answer.candidates, candidate),
        "generation": answer.generation,
        "space": answer.space,
        "coverage": answer.coverage.as_ref().map(coverage),
        "degraded_reasons": degraded(answer.degraded_reasons()),
        "timings": answer.timings.as_ref().map(timings),
        "cold_start": answer.cold_start,
        "variant": answer.variant().as_str_name(),
        "next_page_token": answer.next_page_token,
        "recall_token": answer.recall_token,
    })
}

/// A candidate.
pub(crate) fn candidate(candidate: &Candidate) -> Value {
    json!({
        "id": candidate.id,
        "score": number(candidate.score),
        "interest": candidate.interest,
        "source": candidate.source().as_str_name(),
        "item": candidate.item.as_ref().map(item),
    })
}

/// An item of the catalog.
pub(crate) fn item(item: &Item) -> Value {
    json!({
        "id": item.id,
        "key": item.key,
        "title": item.title,
        "features": item.features.as_ref().map(features),
    })
}

/// An item's id or key.
pub(crate) fn item_ref(item: &ItemRef) -> Value {
    match &item.name {
        Some(Name::Id(id)) => json!({ "id": id }),
        Some(Name::Key(key)) => json!({ "key": key }),
        None => Value::Null,
    }
}

/// Features: each a text, a number or a list of texts.
pub(crate) fn features(features: &Features) -> Value {
    let values = features.values.iter();
    Value::Object(
        values
            .map(|(name, value)| (name.clone(), feature(value)))
            .collect(),
    )
}

/// What was searched.
pub(crate) fn coverage(coverage: &Coverage) -> Value {
    json!({
        "fraction": coverage.fraction,
        "items_searched": coverage.items_searched,
        "items_eligible": coverage.items_eligible,
        "items_total": coverage.items_total,
        "shards_answered": coverage.shards_answered,
        "shards_total": coverage.shards_total,
        "exact": coverage.exact,
        "items_fresh": coverage.items_fresh,
        "delta": coverage.delta,
    })
}

/// Why an answer may be worse than it could be.
pub(crate) fn degraded(reasons: impl Iterator<Item = DegradedReason>) -> Vec<&'static str> {
    reasons.map(|reason| reason.as_str_name()).collect()
}

/// Messages one after the other.
pub(crate) fn list<T>(messages: &[T], one: fn(&T) -> Value) -> Value {
    Value::Array(messages.iter().map(one).collect())
}

/// A number of 32 bits by its shortest decimal: as one of 64 bits it would trail digits that say nothing.
pub(crate) fn number(number: f32) -> Value {
    let shortest: Option<f64> = number.to_string().parse().ok();
    json!(shortest)
}

/// A duration as protobuf's JSON has it, e.g. `0.004s`.
pub(crate) fn duration(duration: Option<impl ToString>) -> Value {
    let text = duration.map(|duration| duration.to_string());
    json!(text)
}

fn timings(timings: &StageTimings) -> Value {
    json!({
        "embed": duration(timings.embed),
        "search": duration(timings.search),
        "total": duration(timings.total),
    })
}

fn feature(value: &FeatureValue) -> Value {
    match &value.kind {
        Some(Kind::Text(text)) => json!(text),
        Some(Kind::Number(number)) => json!(number),
        Some(Kind::List(list)) => json!(list.values),
        None => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use proto::v1::{Source, TextList};

    use super::*;

    #[test]
    fn a_candidate_is_named_as_on_the_wire() {
        let genres = FeatureValue {
            kind: Some(Kind::List(TextList {
                values: vec!["Horror".to_owned()],
            })),
        };
        let alien = Candidate {
            id: 9_007_199_254_740_993,
            score: 0.7,
            interest: 1,
            source: Source::Ann.into(),
            item: Some(Item {
                id: 9_007_199_254_740_993,
                title: "Alien".to_owned(),
                features: Some(Features {
                    values: [("genres".to_owned(), genres)].into(),
                }),
                ..Default::default()
            }),
        };
        assert_eq!(
            candidate(&alien),
            json!({
                "id": 9_007_199_254_740_993_u64,
                "score": 0.7,
                "interest": 1,
                "source": "SOURCE_ANN",
                "item": {
                    "id": 9_007_199_254_740_993_u64,
                    "key": "",
                    "title": "Alien",
                    "features": { "genres": ["Horror"] },
                },
            })
        );
    }

    #[test]
    fn what_is_no_number_is_null() {
        assert_eq!(number(f32::NAN), Value::Null);
        assert_eq!(number(-1.5), json!(-1.5));
    }

    #[test]
    fn items_are_named_by_id_or_by_key() {
        let item = |name| item_ref(&ItemRef { name: Some(name) });
        assert_eq!(item(Name::Id(7)), json!({ "id": 7 }));
        assert_eq!(item(Name::Key("a".to_owned())), json!({ "key": "a" }));
    }
}
