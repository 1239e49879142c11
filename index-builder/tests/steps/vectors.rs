//! Vectors that were made elsewhere.

use encoder::sample::Sample;
use index_builder::config::Storage;

use crate::{
    rig::{ITEMS, Rig},
    tables::{self, Cells},
};

/// A rig that needs no item tower, and its vectors of these items.
fn ready(rows: impl IntoIterator<Item = u64>) -> (Rig, Vec<(u64, Vec<f32>)>) {
    let mut rig = Rig::new();
    rig.config.item_towers.clear();
    rig.config.vectors = rig.path("vectors.parquet");
    rig.config.parts = 3;
    let rows = rows
        .into_iter()
        .map(|id| (id, rig.sample.row(id)))
        .collect();
    (rig, rows)
}

fn write(rig: &Rig, rows: &[(u64, Vec<f32>)], footer: &[(&str, &str)]) {
    let ids = rows.iter().map(|(id, _)| *id).collect();
    let vectors = rows.iter().map(|(_, vector)| vector.clone()).collect();
    let columns = [
        ("item_id", Cells::Ids(ids)),
        ("vector", Cells::Vectors(vectors)),
    ];
    tables::write(&rig.config.vectors, &columns, footer, 90);
}

#[test]
fn ready_vectors_make_the_generation_that_item_towers_would_make() {
    let (mut rig, rows) = ready((1..=ITEMS).rev());
    write(&rig, &rows, &[("space", &rig.space)]);
    let ready = rig.run().unwrap();
    assert_eq!(rig.embedded(), 0);
    assert_eq!(
        (ready.items, ready.without_vector, ready.without_item),
        (ITEMS, 0, 0)
    );

    let embedding = Rig::new();
    rig.config.item_towers = embedding.config.item_towers.clone();
    rig.config.vectors = "".into();
    rig.config.reuse = false;
    let embedded = rig.run().unwrap();
    assert_eq!(embedding.embedded(), ITEMS);
    assert!(rig.files(&ready.generation) == rig.files(&embedded.generation));
}

#[test]
fn items_without_a_vector_and_vectors_without_an_item_are_left_out_and_counted() {
    let (rig, rows) = ready((11..=ITEMS).chain(1_000..1_007));
    let mut rows = rows;
    for (id, vector) in &mut rows {
        if *id >= 1_000 {
            vector.fill(0.5);
        }
    }
    write(&rig, &rows, &[("space", &rig.space)]);
    let summary = rig.run().unwrap();
    assert_eq!(summary.items, ITEMS - 10);
    assert_eq!((summary.without_vector, summary.without_item), (10, 7));
    // The most popular are among those that are indexed.
    let popular =
        String::from_utf8(rig.files(&summary.generation)["popularity.json"].clone()).unwrap();
    assert!(popular.starts_with("[[19,9],[29,9],"), "{popular}");
}

#[test]
fn ready_vectors_that_cannot_stand_beside_the_artifacts_are_refused() {
    let (rig, rows) = ready(1..=ITEMS);
    let space = rig.space.clone();
    type Change<'a> = &'a dyn Fn(&mut Vec<(u64, Vec<f32>)>);
    let refused = |footer: &[(&str, &str)], change: Change<'_>| {
        let mut rows = rows.clone();
        change(&mut rows);
        write(&rig, &rows, footer);
        let cause = rig.run().unwrap_err().to_string();
        assert_eq!(rig.serving(), None);
        assert!(cause.contains("vectors.parquet: "), "{cause}");
        cause
    };
    let other = rig.put_artifact(&Sample {
        seed: 2,
        ..rig.sample.clone()
    });
    let cause = refused(&[("space", &other)], &|_| {});
    assert!(
        cause.contains(&format!("of space {other}, the artifact's is {space}")),
        "{cause}"
    );
    let cause = refused(&[], &|_| {});
    assert!(
        cause.contains(&format!("of space none, the artifact's is {space}")),
        "{cause}"
    );

    let footer = [("space", space.as_str())];
    let cause = refused(&footer, &|rows| rows[123].1.push(0.0));
    assert!(
        cause.contains("row 124: the vector of item 124 has 9 numbers, the artifact's have 8"),
        "{cause}"
    );
    let cause = refused(&footer, &|rows| rows[5].1.clear());
    assert!(
        cause.contains("row 6: the vector of item 6 has 0 numbers"),
        "{cause}"
    );
    let cause = refused(&footer, &|rows| rows[399].1[3] = f32::NAN);
    assert!(
        cause.contains("row 400: the vector of item 400 has the length NaN, expected more than 0"),
        "{cause}"
    );
    let cause = refused(&footer, &|rows| rows[90].1.fill(0.0));
    assert!(
        cause.contains("row 91: the vector of item 91 has the length 0"),
        "{cause}"
    );
    let cause = refused(&footer, &|rows| rows[398].0 = 17);
    assert!(
        cause.contains("rows 17 and 399 both have item id 17"),
        "{cause}"
    );

    let columns = [
        ("item_id", Cells::Signed(vec![1, -1])),
        ("vector", Cells::Vectors(vec![rig.sample.row(1); 2])),
    ];
    tables::write(&rig.config.vectors, &columns, &footer, 90);
    let cause = rig.run().unwrap_err().to_string();
    assert!(
        cause.contains("row 2: item_id is -1, expected 0 to"),
        "{cause}"
    );
    let columns = [
        ("item_id", Cells::Ids(vec![1])),
        ("vector", Cells::Numbers(vec![None])),
    ];
    tables::write(&rig.config.vectors, &columns, &footer, 90);
    let cause = rig.run().unwrap_err().to_string();
    assert!(
        cause.contains("column vector is DOUBLE in 0 lists, expected FLOAT in 1 lists"),
        "{cause}"
    );
}

#[test]
fn a_number_that_is_not_finite_in_16_bits_is_refused_by_its_item() {
    let (mut rig, mut rows) = ready(1..=ITEMS);
    rig.config.shards = 1;
    rig.config.rows = Storage::F16;
    rows[7].1[2] = 70_000.0;
    write(&rig, &rows, &[("space", &rig.space)]);
    let cause = rig.run().unwrap_err().to_string();
    let expected = "row 7 (item 8) has the number 70000, in f16 it must be finite";
    assert!(cause.starts_with(expected), "{cause}");
    assert_eq!(rig.serving(), None);
}
