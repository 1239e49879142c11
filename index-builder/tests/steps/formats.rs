//! A catalog makes the same generation whatever its format.

use std::fs;

use encoder::features::{CatalogItem, Value};

use crate::{
    rig::{ITEMS, Rig, item},
    tables::{self, Cells},
};

fn text(item: &CatalogItem, name: &str) -> String {
    match &item.features[name] {
        Value::Text(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::List(values) => values.join("|"),
    }
}

/// The catalog's columns for Parquet.
pub(crate) fn columns(ids: impl IntoIterator<Item = u64>) -> [(&'static str, Cells); 6] {
    let items: Vec<CatalogItem> = ids.into_iter().map(item).collect();
    let texts = |name| items.iter().map(|item| Some(text(item, name))).collect();
    let year = |item: &CatalogItem| Some(text(item, "year").parse().unwrap());
    let genres = |item: &CatalogItem| text(item, "genres").split('|').map(str::to_owned).collect();
    [
        ("id", Cells::Ids(items.iter().map(|item| item.id).collect())),
        (
            "title",
            Cells::Texts(items.iter().map(|item| Some(item.title.clone())).collect()),
        ),
        (
            "popularity",
            Cells::Whole(
                items
                    .iter()
                    .map(|item| Some(item.popularity as i64))
                    .collect(),
            ),
        ),
        ("year", Cells::Numbers(items.iter().map(year).collect())),
        ("kind", Cells::Texts(texts("kind"))),
        ("genres", Cells::Lists(items.iter().map(genres).collect())),
    ]
}

#[test]
fn the_same_catalog_in_three_formats_makes_the_same_generation() {
    let mut rig = Rig::new();
    rig.config.reuse = false;
    let json = rig.run().unwrap();

    let mut csv = "genres,title,year,id,kind,popularity\n".to_owned();
    for item in (1..=ITEMS).map(item) {
        let [genres, year, kind] = ["genres", "year", "kind"].map(|name| text(&item, name));
        csv += &format!(
            "{genres},{},{year},{},{kind},{}\n",
            item.title, item.id, item.popularity
        );
    }
    rig.config.catalog = rig.path("items.csv");
    rig.config.catalog_columns.numbers = vec!["year".to_owned()];
    rig.config.catalog_columns.lists = vec!["genres".to_owned()];
    fs::write(&rig.config.catalog, csv).unwrap();
    let csv = rig.run().unwrap();

    rig.config.catalog = rig.path("items.parquet");
    tables::write(&rig.config.catalog, &columns(1..=ITEMS), &[], 150);
    let parquet = rig.run().unwrap();

    for summary in [&json, &csv, &parquet] {
        assert_eq!((summary.items, summary.bad_lines), (ITEMS, 0));
    }
    assert_eq!(rig.files(&json.generation).len(), 5);
    assert!(rig.files(&json.generation) == rig.files(&csv.generation));
    assert!(rig.files(&json.generation) == rig.files(&parquet.generation));
    assert!(
        fs::read_dir(&rig.config.work)
            .unwrap()
            .all(|entry| entry.unwrap().file_name() == "LOCK")
    );
}

#[test]
fn rows_that_hold_no_item_are_counted_in_every_format_and_refused_over_the_limit() {
    let mut rig = Rig::new();
    let mut table = columns(1..=20);
    if let Cells::Numbers(years) = &mut table[3].1 {
        years[4] = Some(f64::INFINITY);
    }
    tables::write(&rig.path("items.parquet"), &table, &[], 7);
    let csv: String = (1..=20)
        .map(|id| format!("{id},{}\n", if id == 5 { "x" } else { "1" }))
        .collect();
    fs::write(rig.path("items.csv"), format!("id,popularity\n{csv}")).unwrap();
    let json: String = (1..=20)
        .map(|id| {
            if id == 5 {
                "{\n".into()
            } else {
                format!("{{\"id\":{id}}}\n")
            }
        })
        .collect();
    fs::write(rig.path("items.jsonl"), json).unwrap();
    for name in ["items.parquet", "items.csv", "items.jsonl"] {
        rig.config.catalog = rig.path(name);
        rig.config.catalog_checks.bad_lines = 0.04;
        let cause = rig.run().unwrap_err().to_string();
        let expected = format!("{name}: 1 of 20 rows hold no item, at most a share of 0.04 may");
        assert!(cause.ends_with(&expected), "{cause}");
        // A limit is no part of the plan: what was embedded is not embedded again.
        rig.config.catalog_checks.bad_lines = 0.05;
        let before = rig.embedded();
        let summary = rig.run().unwrap();
        assert_eq!((summary.items, summary.bad_lines), (19, 1));
        assert_eq!(rig.embedded(), before);
    }
}
