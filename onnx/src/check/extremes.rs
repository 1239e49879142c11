//! Drives the lowest and the highest id of every input: a table shorter than its ids shows here.

use encoder::{
    features::{Event, Features, Item, User, Value, extremes::extremes},
    signature::{Input, Source},
};

use super::{Towers, event};

/// Embeds one row for either end of every input, and says at which input and raw value that fails.
pub(super) fn findings(towers: &Towers<'_>) -> Vec<String> {
    let signature = towers.artifact.signature();
    let known = towers.items.first().copied().unwrap_or_default();
    let ends = |input: &Input| extremes(input, towers.artifact.vocabularies());
    let mut findings = Vec::new();
    for input in &signature.user.inputs {
        for value in ends(input) {
            let row = user_with(
                &input.source,
                &value,
                event(known),
                signature.history.length,
            );
            if let Err(cause) = towers.embed_users(&[row]) {
                findings.push(finding(input, &value, &cause.to_string()));
            }
        }
    }
    for input in &signature.item.inputs {
        for value in ends(input) {
            if let Err(cause) = towers
                .item
                .encode(&[item_with(&input.source, &value, known)])
            {
                findings.push(finding(input, &value, &cause.to_string()));
            }
        }
    }
    findings
}

fn finding(input: &Input, value: &Value, problem: &str) -> String {
    format!(
        "input `{}` at {} {}: {problem}",
        input.name,
        input.source,
        text(value)
    )
}

/// Makes a user whose only extreme is `value`; its events are like `event`, at most `length`.
fn user_with(source: &Source, value: &Value, event: Event, length: usize) -> User {
    let mut user = User::default();
    match source {
        Source::UserId => user.id = text(value),
        Source::User(feature) => user.features = only(feature, value),
        Source::HistoryItem => {
            let item = text(value).parse().unwrap_or_default();
            user.history.push(Event { item, ..event });
        }
        Source::HistoryKind => {
            let kind = text(value);
            user.history.push(Event { kind, ..event });
        }
        Source::HistoryValue => {
            let value = number(value) as f32;
            user.history.push(Event { value, ..event });
        }
        Source::HistoryGap => {
            let time = number(value) as i64;
            user.history = vec![event.clone(), Event { time, ..event }];
        }
        Source::HistoryAge => {
            user.time = Some(number(value) as i64);
            user.history.push(event);
        }
        Source::HistoryLength => user.history = vec![event; (number(value) as usize).min(length)],
        Source::HistoryMask | Source::ItemId | Source::Item(_) => {}
    }
    user
}

/// Makes an item whose only extreme is `value`.
fn item_with(source: &Source, value: &Value, known: u64) -> Item {
    match source {
        Source::ItemId => Item {
            id: text(value).parse().unwrap_or_default(),
            features: Features::new(),
        },
        Source::Item(feature) => Item {
            id: known,
            features: only(feature, value),
        },
        _ => Item::default(),
    }
}

fn only(feature: &str, value: &Value) -> Features {
    Features::from([(feature.to_owned(), value.clone())])
}

fn number(value: &Value) -> f64 {
    match value {
        Value::Number(number) => *number,
        Value::Text(_) | Value::List(_) => 0.0,
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Number(number) => format!("{number:e}"),
        Value::List(texts) => texts.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_huge_gap_is_the_time_between_two_events() {
        let gap = |value: f64| user_with(&Source::HistoryGap, &Value::Number(value), event(7), 5);
        let times = |user: User| {
            user.history
                .iter()
                .map(|event| event.time)
                .collect::<Vec<_>>()
        };
        assert_eq!(times(gap(f64::MAX)), [0, i64::MAX]);
        assert_eq!(times(gap(f64::MIN)), [0, i64::MIN]);
    }

    #[test]
    fn a_huge_age_is_the_time_from_an_event_to_the_request() {
        let age = |value: f64| user_with(&Source::HistoryAge, &Value::Number(value), event(7), 5);
        let times = |user: User| (user.history[0].time, user.time);
        assert_eq!(times(age(f64::MAX)), (0, Some(i64::MAX)));
        assert_eq!(times(age(f64::MIN)), (0, Some(i64::MIN)));
    }

    #[test]
    fn the_longest_history_is_as_long_as_the_model_sees() {
        let user =
            |value: f64| user_with(&Source::HistoryLength, &Value::Number(value), event(7), 5);
        assert_eq!(user(f64::MAX).history.len(), 5);
        assert!(user(f64::MIN).history.is_empty());
    }
}
