//! Generations whose rows are rounded to 16 bits a number.

use generation::{
    open,
    rows::{Numbers, Rows},
    store::Store,
};
use index::rows::{RowsView, halves};
use index_builder::{config::Storage, inspect};
use tokio::runtime::Runtime;

use crate::rig::{ITEMS, Rig};

#[test]
fn rounded_rows_are_published_whole_and_kept_only_for_rounded_ones() {
    let mut rig = Rig::new();
    rig.config.shards = 1;
    rig.config.rows = Storage::F16;
    let first = rig.run().unwrap();
    let store = Store::open(&rig.config.store).unwrap();
    let runtime = Runtime::new().unwrap();
    let checked = runtime.block_on(inspect::check(&store, None)).unwrap();
    assert!(checked.problems.is_empty(), "{checked}");

    let generation = runtime.block_on(open::open(&store, &first.generation));
    let generation = generation.unwrap();
    let entry = &generation.manifest.shards[0];
    assert_eq!(entry.storage, Storage::F16);
    let rows = Rows::map(&generation.file(&entry.rows).unwrap()).unwrap();
    let made = rows.ids().iter().flat_map(|id| rig.sample.row(*id));
    let made: Vec<f32> = made.collect();
    let expected = halves::round(RowsView::new(rows.ids(), &made, rows.dim())).unwrap();
    assert!(rows.numbers() == Numbers::F16(&expected));

    let again = rig.run().unwrap();
    assert_eq!(again.kept, ITEMS);
    assert!(rig.files(&again.generation) == rig.files(&first.generation));
    rig.config.rows = Storage::F32;
    assert_eq!(rig.run().unwrap().kept, 0);
    rig.config.rows = Storage::F16;
    let rounded = rig.run().unwrap();
    assert_eq!(rounded.kept, ITEMS);
    let rows = |id: &str| rig.files(id).remove("shard-0000.rows").unwrap();
    assert!(rows(&rounded.generation) == rows(&first.generation));
}
