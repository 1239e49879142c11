//! Raw features between the wire and the encoder.

use encoder::features::{Features, Value};
use proto::v1::{self as pb, feature_value::Kind};

/// Reads features off the wire; a value of no kind is as good as absent.
pub(crate) fn from_wire(features: Option<pb::Features>) -> Features {
    let values = features.unwrap_or_default().values;
    let value = |value: pb::FeatureValue| {
        Some(match value.kind? {
            Kind::Text(text) => Value::Text(text),
            Kind::Number(number) => Value::Number(number),
            Kind::List(list) => Value::List(list.values),
        })
    };
    values
        .into_iter()
        .filter_map(|(name, wire)| Some((name, value(wire)?)))
        .collect()
}

/// Writes features for the wire.
pub(crate) fn to_wire(features: Features) -> pb::Features {
    let value = |value| pb::FeatureValue {
        kind: Some(match value {
            Value::Text(text) => Kind::Text(text),
            Value::Number(number) => Kind::Number(number),
            Value::List(values) => Kind::List(pb::TextList { values }),
        }),
    };
    pb::Features {
        values: features
            .into_iter()
            .map(|(name, domain)| (name, value(domain)))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_survive_the_wire() {
        let features = Features::from([
            ("genres".to_owned(), Value::List(vec!["Comedy".to_owned()])),
            ("title".to_owned(), Value::Text("Toy Story".to_owned())),
            ("year".to_owned(), Value::Number(1995.0)),
        ]);
        assert_eq!(from_wire(Some(to_wire(features.clone()))), features);
    }

    #[test]
    fn a_value_of_no_kind_is_absent() {
        let wire = pb::Features {
            values: [("age".to_owned(), pb::FeatureValue { kind: None })].into(),
        };
        assert_eq!(from_wire(Some(wire)), Features::new());
    }
}
