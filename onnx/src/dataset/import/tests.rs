//! Tests of the import, over small files of both kinds.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs::File, sync::Arc};

use parquet::{
    data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type},
    file::writer::SerializedFileWriter,
    schema::parser::parse_message_type,
};
use tempfile::TempDir;

use super::*;

const DESCRIPTION: &str = r#"
name = "small"
[users]
file = "users.csv"
id = "user"
features = { country = "text", age = "number" }
[items]
file = "items.csv"
id = "sku"
title = "name"
features = { tags = { list = "|" } }
[events]
file = "events.csv"
user = "user"
item = "sku"
time = "at"
rating = "stars"
kind = "read"
"#;

fn files(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let usual = [
        ("dataset.toml", DESCRIPTION),
        ("users.csv", "age,user,country\n31,anna,DE\n,ben,FR\n"),
        (
            "items.csv",
            "sku,name,tags\nrose-1,\"Roses, Climbing\",flowers|walls\n77,Herbs,\n",
        ),
        (
            "events.csv",
            "user,sku,at,stars\nben,77,1700000000,4.5\nanna,rose-1,1700000001,5\n",
        ),
    ];
    for (name, content) in usual.iter().chain(files) {
        fs::write(dir.path().join(name), content).unwrap();
    }
    dir
}

fn lenient() -> Options {
    Options { bad_lines: 0.5 }
}

#[test]
fn csv_files_become_users_items_and_events() {
    let dataset = read(files(&[]).path(), &Options::default()).unwrap();
    assert_eq!(dataset.name, "small");
    assert_eq!(dataset.users[0].features["age"], Value::Number(31.0));
    assert_eq!(
        dataset.users[0].features["country"],
        Value::Text("DE".into())
    );
    assert_eq!(dataset.items[0].title, "Roses, Climbing");
    assert_eq!(
        dataset.items[0].features["tags"],
        Value::List(vec!["flowers".into(), "walls".into()])
    );
    assert_eq!(dataset.kinds, ["read"]);
    let event = dataset.events[0];
    assert_eq!(
        (event.user, event.item, event.value, event.time),
        (1, 1, 4.5, 1_700_000_000)
    );
}

#[test]
fn a_whole_number_stays_the_item_s_id_and_other_ids_become_keys() {
    let dataset = read(files(&[]).path(), &Options::default()).unwrap();
    assert_eq!((dataset.items[1].id, &dataset.items[1].key), (77, &None));
    assert_eq!(dataset.items[0].key.as_deref(), Some("rose-1"));
    assert_eq!(
        dataset.items[0].id,
        generation::partition::item_id("rose-1")
    );
}

#[test]
fn an_empty_cell_is_a_missing_value() {
    let dataset = read(files(&[]).path(), &Options::default()).unwrap();
    assert!(!dataset.users[1].features.contains_key("age"));
    assert!(!dataset.items[1].features.contains_key("tags"));
}

#[test]
fn rows_that_cannot_be_used_are_counted_with_file_and_line() {
    let events = "user,sku,at,stars\nben,77,1,4\ncarl,77,1,4\nben,77,soon,4\nben,77\nben,,1,4\n";
    let dataset = read(files(&[("events.csv", events)]).path(), &lenient()).unwrap();
    assert_eq!((dataset.events.len(), dataset.bad_lines.count), (1, 4));
    let shown = dataset.bad_lines.to_string();
    assert!(
        shown.contains("events.csv:3: user \"carl\" is not among the users"),
        "{shown}"
    );
    assert!(
        shown.contains("events.csv:4: time \"soon\" is no finite number"),
        "{shown}"
    );
    assert!(
        shown.contains("events.csv:5: 2 fields, column 3 is missing"),
        "{shown}"
    );
    assert!(shown.contains("events.csv:6: no item"), "{shown}");
}

#[test]
fn too_many_such_rows_are_an_error() {
    let dir = files(&[("users.csv", "age,user,country\nold,anna,DE\n31,ben,FR\n")]);
    let error = read(dir.path(), &Options::default()).unwrap_err();
    assert!(
        matches!(error, Error::TooManyBadLines { lines: 6, .. }),
        "{error}"
    );
}

#[test]
fn a_column_that_is_not_there_is_named_with_those_that_are() {
    let dir = files(&[("users.csv", "age,user,land\n31,anna,DE\n")]);
    let error = read(dir.path(), &Options::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with(r#"no column "country" among ["age", "user", "land"]"#),
        "{error}"
    );
}

#[test]
fn an_unknown_setting_is_refused() {
    let description = DESCRIPTION.replace("kind = ", "kindly = ");
    let error = read(
        files(&[("dataset.toml", &description)]).path(),
        &Options::default(),
    )
    .unwrap_err();
    assert!(error.to_string().contains("kindly"), "{error}");
}

fn described(from: &str, to: &str) -> TempDir {
    files(&[("dataset.toml", &DESCRIPTION.replace(from, to))])
}

#[test]
fn times_may_be_milliseconds_or_nanoseconds() {
    for (unit, time) in [("milliseconds", 1_700_000), ("nanoseconds", 1)] {
        let to = format!("time = \"at\"\ntime_unit = \"{unit}\"");
        let dir = described("time = \"at\"", &to);
        let dataset = read(dir.path(), &Options::default()).unwrap();
        assert_eq!(dataset.events[0].time, time, "{unit}");
    }
}

#[test]
fn nanoseconds_lose_no_digit() {
    let cell = Some(Cell::Text("1700000000999999999".to_owned()));
    assert_eq!(time(&cell, TimeUnit::Nanoseconds), Ok(1_700_000_000));
}

#[test]
fn a_time_outside_the_years_1900_to_2200_is_a_bad_line() {
    let events = "user,sku,at,stars\nben,77,1700000000,4\nben,77,1700000000000,4\n";
    let dataset = read(files(&[("events.csv", events)]).path(), &lenient()).unwrap();
    assert_eq!((dataset.events.len(), dataset.bad_lines.count), (1, 1));
    let reason = &dataset.bad_lines.first[0].reason;
    assert!(
        reason.contains("1700000000000 (in seconds) is outside the years"),
        "{reason}"
    );
}

/// Writes `events.parquet` of three events; the second has no rating.
fn write_parquet(dir: &Path, time: &str, times: [i64; 3]) {
    let schema = format!(
        "message events {{
            required binary user (UTF8);
            optional double stars;
            required binary sku (UTF8);
            required int64 at {time};
        }}"
    );
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let file = File::create(dir.join("events.parquet")).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Default::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let texts = |values: [&str; 3]| values.map(ByteArray::from);
    let mut column = group.next_column().unwrap().unwrap();
    column
        .typed::<ByteArrayType>()
        .write_batch(&texts(["ben", "anna", "anna"]), None, None)
        .unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column
        .typed::<DoubleType>()
        .write_batch(&[4.5, 3.0], Some(&[1, 0, 1]), None)
        .unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column
        .typed::<ByteArrayType>()
        .write_batch(&texts(["77", "77", "rose-1"]), None, None)
        .unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column
        .typed::<Int64Type>()
        .write_batch(&times, None, None)
        .unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
}

#[test]
fn parquet_files_read_like_csv_files() {
    let dir = described("events.csv", "events.parquet");
    let times = [1_700_000_000_999, 2_000, 3_000];
    write_parquet(dir.path(), "(TIMESTAMP(MILLIS, true))", times);
    let dataset = read(dir.path(), &lenient()).unwrap();
    let first = dataset.events[0];
    assert_eq!(
        (first.user, first.item, first.value, first.time),
        (1, 1, 4.5, 1_700_000_000)
    );
    assert_eq!(dataset.events[1].item, 0);
    assert_eq!(dataset.bad_lines.first[0].reason, "no rating");
    assert_eq!(dataset.bad_lines.first[0].line, 2);
}

#[test]
fn parquet_timestamps_are_seconds_whatever_the_time_unit() {
    for (unit, ticks) in [
        ("MILLIS", 1_000),
        ("MICROS", 1_000_000),
        ("NANOS", 1_000_000_000),
    ] {
        let to = "events.parquet\"\ntime_unit = \"milliseconds";
        let dir = described("events.csv", to);
        let times = [1_700_000_000 * ticks + 1, 2 * ticks, 3 * ticks];
        write_parquet(dir.path(), &format!("(TIMESTAMP({unit}, true))"), times);
        let dataset = read(dir.path(), &lenient()).unwrap();
        let times: Vec<i64> = dataset.events.iter().map(|event| event.time).collect();
        assert_eq!(times, [1_700_000_000, 3], "{unit}");
    }
}

#[test]
fn parquet_whole_numbers_are_in_the_time_unit() {
    let to = "events.parquet\"\ntime_unit = \"nanoseconds";
    let dir = described("events.csv", to);
    write_parquet(dir.path(), "", [1_700_000_000_999_999_999, 0, 0]);
    let dataset = read(dir.path(), &lenient()).unwrap();
    assert_eq!(dataset.events[0].time, 1_700_000_000);
}

#[test]
fn a_parquet_file_with_a_codec_that_is_not_compiled_in_is_an_error() {
    let dir = described("events.csv", "events.parquet");
    write_parquet(dir.path(), "", [1, 2, 3]);
    // In the footer, the codec stands behind the column's path: 0 is uncompressed, 4 (2, zigzag) is gzip.
    let path = dir.path().join("events.parquet");
    let mut bytes = fs::read(&path).unwrap();
    let codec = b"user\x15\x00";
    let at = bytes
        .windows(codec.len())
        .rposition(|window| window == codec)
        .unwrap();
    bytes[at + codec.len() - 1] = 4;
    fs::write(&path, bytes).unwrap();
    let error = read(dir.path(), &lenient()).unwrap_err().to_string();
    for part in ["events.parquet: row 1: ", "flate2", "snappy or zstd"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn the_example_reads_without_a_bad_line() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/dataset");
    let dataset = read(&example, &Options { bad_lines: 0.0 }).unwrap();
    assert_eq!(
        (
            dataset.users.len(),
            dataset.items.len(),
            dataset.events.len()
        ),
        (24, 30, 240)
    );
    assert_eq!(dataset.kinds, ["read"]);
}
