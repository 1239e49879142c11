//! What cannot be indexed is not published.

use std::path::PathBuf;

use encoder::sample::Sample;

use crate::reindex::rig::{Rig, lines};

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_that_cannot_be_indexed_publishes_nothing() {
    let rig = Rig::new().await;
    rig.run().await.unwrap();

    rig.write_catalog(&(lines(1..=9) + &lines([4])));
    let cause = rig.refusal(|config| config.verify.items_floor = 0.0).await;
    assert!(
        cause.ends_with("items.jsonl: rows 4 and 10 both have item id 4"),
        "{cause}"
    );

    rig.write_catalog(&(lines(1..=9) + "garbage\n"));
    let cause = rig.refusal(|_| {}).await;
    assert!(cause.contains("1 of 10 rows hold no item"), "{cause}");

    rig.write_catalog(&lines(1_000..1_009));
    let cause = rig.refusal(|_| {}).await;
    assert!(
        cause.contains("a vector of none of the catalog's 9 items"),
        "{cause}"
    );

    rig.write_catalog(&lines(1..=29));
    let cause = rig.refusal(|_| {}).await;
    assert!(
        cause.starts_with("29 items are to be indexed") && cause.contains("has 60"),
        "{cause}"
    );

    rig.write_catalog(&lines([1]));
    let cause = rig.refusal(|config| config.verify.items_floor = 0.0).await;
    assert!(cause.contains("none of the 1 items"), "{cause}");

    let cause = rig
        .refusal(|config| config.catalog = PathBuf::from("nowhere.jsonl"))
        .await;
    assert!(cause.starts_with("nowhere.jsonl: "), "{cause}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_below_the_floor_or_without_a_report_publishes_nothing() {
    let mut rig = Rig::new().await;
    let cause = rig.refusal(|config| config.verify.hr_floor = 0.2).await;
    assert!(cause.contains("has no report with hr@10"), "{cause}");

    let sample = Sample {
        seed: 2,
        ..rig.sample.clone()
    };
    let reported = rig.put_artifact(&sample, Some("{\"hr@10\": 0.3}")).await;
    let cause = rig.refusal(|_| {}).await;
    let mut spaces = [rig.space.clone(), reported.clone()];
    spaces.sort();
    assert_eq!(
        cause,
        format!(
            "`artifact` names none and the store has 2: {}",
            spaces.join(", ")
        )
    );

    rig.config.artifact = reported;
    let cause = rig.refusal(|config| config.verify.hr_floor = 0.4).await;
    assert!(
        cause.contains("hr@10 0.3, verify.hr_floor asks for 0.4"),
        "{cause}"
    );
    rig.config.verify.hr_floor = 0.3;
    let summary = rig.run().await.unwrap();
    assert_eq!(
        (summary.hit_rate, summary.space),
        (Some(0.3), rig.config.artifact)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_tower_that_is_not_there_publishes_nothing() {
    let rig = Rig::new().await;
    let cause = rig
        .refusal(|config| config.item_towers = vec!["http://127.0.0.1:1".to_owned()])
        .await;
    assert!(
        cause.starts_with("item tower http://127.0.0.1:1 cannot be reached"),
        "{cause}"
    );
    let cause = rig
        .refusal(|config| config.item_towers = vec!["not an address".to_owned()])
        .await;
    assert!(cause.contains("is not an address"), "{cause}");
    let cause = rig.refusal(|config| config.artifact = "0".repeat(32)).await;
    assert!(cause.contains("artifact"), "{cause}");
}
