//! Behaviours of what is refused at the door.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;

fn event() -> pb::Event {
    pb::Event {
        user_id: "7".to_owned(),
        item: Some(pb::ItemRef {
            name: Some(Name::Id(3)),
        }),
        r#type: "rating".to_owned(),
        value: 4.0,
        time: 978_300_760,
        event_id: "1".to_owned(),
    }
}

fn changed(change: impl FnOnce(&mut pb::Event)) -> pb::Event {
    let mut event = event();
    change(&mut event);
    event
}

/// Expects an event to be refused for `field` alone.
fn check(event: pb::Event, field: &str, description: &str) {
    let Err(Error::Fields(violations)) = records(vec![self::event(), event]) else {
        panic!("{field} is not refused");
    };
    assert_eq!(
        violations,
        [(format!("events[1].{field}"), description.to_owned())]
    );
}

#[test]
fn an_event_without_its_key_or_item_is_refused() {
    check(
        changed(|e| e.user_id.clear()),
        "user_id",
        "must not be empty",
    );
    check(
        changed(|e| e.event_id.clear()),
        "event_id",
        "must not be empty",
    );
    check(
        changed(|e| e.time = 0),
        "time",
        "is 0, must be seconds since 1970",
    );
    check(
        changed(|e| e.time = i64::MIN),
        "time",
        "is -9223372036854775808, must be seconds since 1970",
    );
    check(
        changed(|e| e.item = None),
        "item",
        "must name an item by id or key",
    );
    let nameless = Some(pb::ItemRef { name: None });
    check(
        changed(|e| e.item = nameless),
        "item",
        "must name an item by id or key",
    );
}

#[test]
fn an_event_at_its_limits_is_taken_and_one_over_them_is_refused() {
    let at = |bytes| "x".repeat(bytes);
    let full = changed(|e| {
        e.user_id = at(USER_BYTES);
        e.event_id = at(EVENT_ID_BYTES);
        e.r#type = at(TYPE_BYTES);
        e.value = f32::MAX;
        e.time = i64::MAX;
    });
    assert_eq!(
        records(vec![full; EVENTS_LIMIT]).unwrap().len(),
        EVENTS_LIMIT
    );
    check(
        changed(|e| e.user_id = at(257)),
        "user_id",
        "has 257 bytes, at most 256 are allowed",
    );
    check(
        changed(|e| e.event_id = at(129)),
        "event_id",
        "has 129 bytes, at most 128 are allowed",
    );
    check(
        changed(|e| e.r#type = at(65)),
        "type",
        "has 65 bytes, at most 64 are allowed",
    );
    check(
        changed(|e| e.value = f32::NAN),
        "value",
        "is NaN, must be finite",
    );
    let refused = records(vec![event(); EVENTS_LIMIT + 1]).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "events: has 1001 events, at most 1000 are allowed"
    );
}

#[test]
fn an_item_key_is_an_id_everywhere() {
    let key = changed(|e| {
        e.item = Some(pb::ItemRef {
            name: Some(Name::Key("sku-7".to_owned())),
        })
    });
    let records = records(vec![key]).unwrap();
    assert_eq!(records[0].event.item, partition::item_id("sku-7"));
}

#[test]
fn a_user_to_embed_may_be_anybody_within_the_limits() {
    assert_eq!(
        queries(vec![pb::UserQuery::default()]).unwrap(),
        [Query::default()]
    );
    assert!(queries(vec![pb::UserQuery::default(); 64]).is_ok());
    let refused = queries(vec![pb::UserQuery::default(); 65]).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "users: has 65 users, at most 64 are allowed"
    );
}

#[test]
fn a_user_to_embed_at_the_limits_is_taken_and_one_over_them_is_refused() {
    type Change = fn(&mut pb::UserQuery);
    fn history(query: &mut pb::UserQuery, events: usize) {
        query.context.get_or_insert_default().history = vec![event(); events];
    }
    /// Dots say nothing.
    fn token(query: &mut pb::UserQuery, bytes: usize) {
        query.consistency_token = format!("1-2{}", ".".repeat(bytes - 3));
    }
    let read = |change: Change| {
        let mut query = pb::UserQuery::default();
        change(&mut query);
        queries(vec![query])
    };
    let taken = read(|query| {
        history(query, 1_000);
        token(query, 40_000);
        query.user_id = "x".repeat(256);
        query.without = vec![1; 16];
    });
    let taken = taken.unwrap().remove(0);
    assert_eq!((taken.events.len(), taken.without.len()), (1_000, 16));
    let refused: [(Change, &str); 4] = [
        (
            |query| history(query, 1_001),
            "context.history: has 1001 events, at most 1000 are allowed",
        ),
        (
            |query| token(query, 40_001),
            "consistency_token: has 40001 bytes, at most 40000 are allowed",
        ),
        (
            |query| query.user_id = "x".repeat(257),
            "user_id: has 257 bytes, at most 256 are allowed",
        ),
        (
            |query| query.without = vec![1; 17],
            "without: has 17 items, at most 16 are allowed",
        ),
    ];
    for (change, expected) in refused {
        let found = read(change).unwrap_err().to_string();
        assert_eq!(found, format!("users[0].{expected}"));
    }
}

#[test]
fn an_inline_event_needs_no_more_than_an_item() {
    let inline = |event| {
        queries(vec![pb::UserQuery {
            context: Some(pb::UserContext {
                history: vec![event],
                ..pb::UserContext::default()
            }),
            ..pb::UserQuery::default()
        }])
    };
    let item = pb::Event {
        item: event().item,
        ..pb::Event::default()
    };
    assert_eq!(inline(item).unwrap()[0].events[0].item, 3);
    let refused = inline(pb::Event::default()).unwrap_err().to_string();
    assert_eq!(
        refused,
        "users[0].context.history[0].item: must name an item by id or key"
    );
}

#[test]
fn features_that_no_model_could_read_are_refused() {
    let read = |kind| {
        let values = [("age".to_owned(), pb::FeatureValue { kind })].into();
        profile("", "7".to_owned(), Some(pb::Features { values }))
    };
    let (_, features) = read(Some(Kind::Number(25.0))).unwrap();
    assert_eq!(features["age"], 25.0.into());
    for (kind, problem) in [
        (None, "must have a text, a number or a list"),
        (Some(Kind::Number(f64::INFINITY)), "is inf, must be finite"),
    ] {
        let refused = read(kind).unwrap_err().to_string();
        assert_eq!(refused, format!("profile.values[\"age\"]: {problem}"));
    }
}

#[test]
fn a_profile_at_its_limits_is_taken_and_one_over_them_is_refused() {
    fn read(values: Vec<(String, Kind)>) -> Result<usize, String> {
        let value = |(name, kind)| (name, pb::FeatureValue { kind: Some(kind) });
        let values = values.into_iter().map(value).collect();
        let read = profile("", "7".to_owned(), Some(pb::Features { values }));
        let read = read.map_err(|refused| refused.to_string());
        read.map(|(_, features)| features.len())
    }
    fn many(features: usize) -> Vec<(String, Kind)> {
        let one = |at: usize| (at.to_string(), text(1));
        (0..features).map(one).collect()
    }
    fn one(name_bytes: usize, kind: Kind) -> Vec<(String, Kind)> {
        vec![("n".repeat(name_bytes), kind)]
    }
    fn text(bytes: usize) -> Kind {
        Kind::Text("x".repeat(bytes))
    }
    fn list(values: usize) -> Kind {
        let values = vec!["x".to_owned(); values];
        Kind::List(pb::TextList { values })
    }
    assert_eq!(read(many(256)), Ok(256));
    assert_eq!(read(one(128, text(4_096))), Ok(1));
    assert_eq!(read(one(1, list(256))), Ok(1));
    for (values, expected) in [
        (
            many(257),
            "profile: has 257 features, at most 256 are allowed",
        ),
        (
            one(129, text(1)),
            "profile.values (a name): has 129 bytes, at most 128 are allowed",
        ),
        (
            one(1, text(4_097)),
            "profile.values[\"n\"]: has 4097 bytes, at most 4096 are allowed",
        ),
        (
            one(1, list(257)),
            "profile.values[\"n\"]: has 257 values, at most 256 are allowed",
        ),
    ] {
        assert_eq!(read(values), Err(expected.to_owned()));
    }
}

#[test]
fn an_item_key_at_its_limit_is_taken_and_one_over_it_is_refused() {
    let keyed = |bytes| {
        let key = Name::Key("x".repeat(bytes));
        changed(|e| e.item = Some(pb::ItemRef { name: Some(key) }))
    };
    assert!(records(vec![keyed(4_096)]).is_ok());
    check(
        keyed(4_097),
        "item.key",
        "has 4097 bytes, at most 4096 are allowed",
    );
    check(keyed(0), "item.key", "must not be empty");
}

#[test]
fn a_flood_of_problems_is_cut() {
    let Err(Error::Fields(violations)) = records(vec![pb::Event::default(); 1_000]) else {
        panic!("not refused");
    };
    assert_eq!(violations.len(), VIOLATIONS_LIMIT);
}

#[test]
fn newest_has_a_default_and_a_limit() {
    let ask = |newest| {
        let request = pb::GetUserRequest {
            user_id: "7".to_owned(),
            newest,
            members_epoch: 0,
        };
        super::newest(&request, 200)
    };
    assert_eq!(ask(0).unwrap(), 50);
    assert_eq!(ask(1_000).unwrap(), 200);
    assert!(ask(1_001).is_err());
}
