//! Whatever an event, a profile or a name says, it is read as it was written.

use encoder::features::Value;

use super::*;

fn any_event() -> impl Strategy<Value = Event> {
    (
        any::<i64>(),
        "(?s).{0,12}",
        any::<u64>(),
        "(?s).{0,12}",
        any::<f32>(),
    )
        .prop_map(|(time, event_id, item, kind, value)| Event {
            time,
            event_id,
            item,
            kind,
            value,
        })
}

fn any_profile() -> impl Strategy<Value = Features> {
    let value = prop_oneof![
        any::<i32>().prop_map(|number| Value::Number(f64::from(number) / 16.0)),
        "(?s).{0,12}".prop_map(Value::Text),
        prop::collection::vec("(?s).{0,6}", 0..4).prop_map(Value::List),
    ];
    prop::collection::btree_map("(?s).{0,8}", value, 0..4)
}

/// An event, to the bit.
fn bits(event: &Event) -> (i64, &str, u64, &str, u32) {
    let value = event.value.to_bits();
    (event.time, &event.event_id, event.item, &event.kind, value)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_is_written_is_read_after_the_file_was_opened_again(
        user in "(?s).{1,12}",
        events in prop::collection::vec(any_event(), 0..6),
        profile in any_profile(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (disk, config) = (Disk::default(), config(100, 64));
            let store = on(&disk, &config);
            let records = events.iter().map(|event| Record { user: user.clone(), event: event.clone() });
            let write = Write {
                records: records.collect(),
                profiles: vec![(user.clone(), profile.clone())],
                ..Write::default()
            };
            store.write(write).await.unwrap();
            drop(store);
            let history = on(&disk, &config).read(&user).await.unwrap();
            // Of two with one key the first counts.
            let mut expected: Vec<&Event> = Vec::new();
            for event in &events {
                if expected.iter().all(|known| known.key() != event.key()) {
                    expected.push(event);
                }
            }
            expected.sort_by(|a, b| a.key().cmp(&b.key()));
            let found: Vec<_> = history.events.iter().map(bits).collect();
            assert_eq!(found, expected.into_iter().map(bits).collect::<Vec<_>>());
            assert_eq!(history.profile.as_ref(), Some(&profile));
        });
    }
}
