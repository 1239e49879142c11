#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, sync::LazyLock};

use encoder::{features::Value, sample::Sample, signature::Signature};
use generation::partition;
use tempfile::TempDir;

use super::*;
use crate::{catalog::tests::tables::Cells, config::ColumnsConfig};

mod damage;
pub(crate) mod tables;

const FORMATS: [&str; 3] = ["jsonl", "csv", "parquet"];

static SIGNATURE: LazyLock<Signature> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    Sample::default().write(dir.path()).unwrap();
    let text = fs::read(dir.path().join("signature.json")).unwrap();
    let mut signature: Signature = serde_json::from_slice(&text).unwrap();
    // A second input, which takes a number.
    let mut input = signature.item.inputs[0].clone();
    input.source = "item.price".to_owned().try_into().unwrap();
    input.encoding = encoder::signature::Encoding::Numeric {
        mean: 0.0,
        std: 1.0,
    };
    signature.item.inputs.push(input);
    signature
});

fn columns(numbers: &[&str], lists: &[&str]) -> Columns {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let config = ColumnsConfig {
        numbers: owned(numbers),
        lists: owned(lists),
        separator: "|".to_owned(),
    };
    Columns::new(&config, &SIGNATURE)
}

/// What a row was: its number, and its item or why it holds none.
type Read = Vec<(u64, Result<CatalogItem, String>)>;

fn read_all(path: &Path, columns: &Columns) -> Result<Read, Error> {
    let mut catalog = Catalog::open(path, Format::Auto, columns)?;
    let mut rows = Vec::new();
    while let Some(number) = catalog.advance()? {
        rows.push((number, catalog.item()));
        assert!((0.0..=1.0).contains(&catalog.share()));
    }
    Ok(rows)
}

fn read(name: &str, text: impl AsRef<[u8]>, columns: &Columns) -> Result<Read, Error> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs::write(&path, text).unwrap();
    read_all(&path, columns)
}

fn refusal(name: &str, text: impl AsRef<[u8]>, columns: &Columns) -> String {
    read(name, text, columns).unwrap_err().to_string()
}

fn texts(cells: &[&str]) -> Cells {
    let some = |text: &&str| (!text.is_empty()).then(|| (*text).to_owned());
    Cells::Texts(cells.iter().map(some).collect())
}

/// The same three items in every format.
fn written(dir: &TempDir, format: &str) -> PathBuf {
    let path = dir.path().join(format!("items.{format}"));
    let lists = [&["Comedy", "Drama"][..], &["War"], &["A,B"]];
    match format {
        "jsonl" => fs::write(
            &path,
            r#"{"id":3,"title":"Three","popularity":7,"features":{"kind":"a","year":1995,"price":2.5,"genres":["Comedy","Drama"]}}

{"id":18446744073709551615,"title":"The \"last\"","features":{"kind":"7","genres":["War"]}}
{"id":2,"popularity":1,"features":{"year":-3,"genres":["A,B"]}}
"#,
        )
        .unwrap(),
        "csv" => fs::write(
            &path,
            "\u{feff}title,id,popularity,kind,year,price,genres\n\
             Three,3,7,a,1995,2.5,Comedy|Drama\n\
             \"The \"\"last\"\"\",18446744073709551615,,7,,,|War|\n\
             ,2,1,,-3,,\"A,B\"\n",
        )
        .unwrap(),
        _ => tables::write(
            &path,
            &[
                ("id", Cells::Ids(vec![3, u64::MAX, 2])),
                ("title", texts(&["Three", "The \"last\"", ""])),
                ("popularity", Cells::Whole(vec![Some(7), None, Some(1)])),
                ("kind", texts(&["a", "7", ""])),
                ("year", Cells::Whole(vec![Some(1995), None, Some(-3)])),
                ("price", Cells::Numbers(vec![Some(2.5), None, None])),
                (
                    "genres",
                    Cells::Lists(lists.map(|list| list.iter().map(|x| (*x).to_owned()).collect()).to_vec()),
                ),
            ],
            &[],
            2,
        ),
    }
    path
}

#[test]
fn the_three_formats_of_a_catalog_hold_the_same_items() {
    let dir = tempfile::tempdir().unwrap();
    let columns = columns(&["year"], &["genres"]);
    let [json, csv, parquet] = FORMATS.map(|format| {
        let read = match format {
            // Lines of JSON say themselves what a value is.
            "jsonl" => read_all(&written(&dir, format), &self::columns(&[], &[])),
            _ => read_all(&written(&dir, format), &columns),
        };
        let items = read.unwrap().into_iter();
        items
            .map(|(row, item)| (row, item.unwrap()))
            .collect::<Vec<_>>()
    });
    let numbers =
        |read: &[(u64, CatalogItem)]| read.iter().map(|(row, _)| *row).collect::<Vec<_>>();
    assert_eq!(numbers(&json), [1, 3, 4]);
    assert_eq!(numbers(&csv), [2, 3, 4]);
    assert_eq!(numbers(&parquet), [1, 2, 3]);
    let items =
        |read: Vec<(u64, CatalogItem)>| read.into_iter().map(|(_, item)| item).collect::<Vec<_>>();
    let (json, csv, parquet) = (items(json), items(csv), items(parquet));
    assert_eq!(json, csv);
    assert_eq!(json, parquet);
    assert_eq!(json[0].features["year"], Value::Number(1995.0));
    assert_eq!(json[1].features["kind"], Value::Text("7".to_owned()));
}

#[test]
fn a_column_is_a_number_or_a_list_only_if_the_settings_or_the_artifact_say_so() {
    let row = |columns: &Columns| {
        let read = read(
            "items.csv",
            "id,year,price,genres\n1,1995,2.5,a|b\n",
            columns,
        )
        .unwrap();
        read[0].1.clone().unwrap().features
    };
    let features = row(&columns(&[], &[]));
    assert_eq!(features["year"], Value::Text("1995".to_owned()));
    assert_eq!(features["price"], Value::Number(2.5));
    assert_eq!(features["genres"], Value::Text("a|b".to_owned()));
    let features = row(&columns(&["year"], &["genres"]));
    assert_eq!(features["year"], Value::Number(1995.0));
    assert_eq!(
        features["genres"],
        vec!["a".to_owned(), "b".to_owned()].into()
    );
}

#[test]
fn bad_rows_are_named_by_their_number_and_cause_in_every_format() {
    let columns = columns(&["year"], &[]);
    let causes = |read: Result<Read, Error>| {
        let bad = |(row, item): (u64, Result<_, String>)| item.err().map(|cause| (row, cause));
        read.unwrap()
            .into_iter()
            .filter_map(bad)
            .collect::<Vec<_>>()
    };
    let check = |found: Vec<(u64, String)>, expected: &[(u64, &str)]| {
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for ((row, cause), (expected_row, part)) in found.iter().zip(expected) {
            assert!(row == expected_row && cause.contains(part), "{row} {cause}");
        }
    };
    let lines = "{\"id\":1}\nnot json\n{\"id\":1,\"key\":\"a\"}\n{\"title\":\"x\"}\n\u{fffd}\n";
    let expected = [
        (2, "expected"),
        (3, "which the key \"a\" makes"),
        (4, "id"),
        (5, "expected"),
    ];
    check(causes(read("items.jsonl", lines, &columns)), &expected);

    let table = "id,key,year\n1,,1995\n2,,soon\n,,1\n-4,,\n5,,1,2\n6,a,\n7,,inf\n8,,\n";
    let expected = [
        (3, "year \"soon\" is no finite number"),
        (4, "neither an id nor a key"),
        (5, "id \"-4\" is no whole number"),
        (6, "it has 4 fields, the header has 3"),
        (7, "which the key \"a\" makes"),
        (8, "year \"inf\" is no finite number"),
    ];
    check(causes(read("items.csv", table, &columns)), &expected);
    let not_text = causes(read("items.csv", b"id,year,t\n1,1,\xff\n", &columns));
    check(not_text, &[(2, "invalid utf-8")]);

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("items.parquet");
    let years = [Some(1.0), Some(f64::NAN), None, Some(2.0)];
    tables::write(
        &path,
        &[
            ("id", Cells::Signed(vec![1, 2, -3, 4])),
            ("year", Cells::Numbers(years.to_vec())),
            ("popularity", Cells::Whole(vec![None, None, None, Some(-1)])),
        ],
        &[],
        10,
    );
    let expected = [
        (2, "year NaN is no finite number"),
        (3, "id -3 is not between 0 and"),
        (4, "popularity -1 is not between"),
    ];
    check(causes(read_all(&path, &columns)), &expected);
}

#[test]
fn a_key_makes_the_id() {
    let id = partition::item_id("sku-7");
    let columns = columns(&[], &[]);
    let json = format!("{{\"key\":\"sku-7\"}}\n{{\"id\":{id},\"key\":\"sku-7\"}}\n");
    let csv = format!("key,id\nsku-7,\nsku-7,{id}\n");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("items.parquet");
    tables::write(&path, &[("key", texts(&["sku-7", "sku-7"]))], &[], 10);
    for read in [
        read("items.jsonl", json, &columns),
        read("items.csv", csv, &columns),
        read_all(&path, &columns),
    ] {
        let items = read.unwrap();
        assert_eq!(items.len(), 2);
        for (_, item) in items {
            let item = item.unwrap();
            assert_eq!((item.id, item.key.as_deref()), (id, Some("sku-7")));
        }
    }
}

#[test]
fn a_table_that_is_no_catalog_is_refused_at_once() {
    let columns = columns(&[], &[]);
    let cause = refusal("items.csv", "title,year\na,1\n", &columns);
    assert!(
        cause.contains("neither of the columns id and key"),
        "{cause}"
    );
    let cause = refusal("items.csv", "id,a,a\n", &columns);
    assert!(cause.contains("two columns are called \"a\""), "{cause}");
    let cause = refusal("items.csv", "id,a\n", &self::columns(&["yaer"], &[]));
    assert!(
        cause.contains("`catalog_columns` names \"yaer\""),
        "{cause}"
    );
    let cause = refusal("items.tsv", "id\n", &columns);
    assert!(cause.contains("none of jsonl, csv and parquet"), "{cause}");
    let cause = refusal("items.parquet", "id\n", &columns);
    assert!(cause.contains("items.parquet: "), "{cause}");

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("items.parquet");
    let refused = |name: &str, cells: Cells, columns: &Columns| {
        let table = [("id", Cells::Ids(vec![1])), (name, cells)];
        tables::write(&path, &table, &[], 10);
        read_all(&path, columns).unwrap_err().to_string()
    };
    let cause = refused("new", Cells::Truths(vec![true]), &columns);
    assert!(cause.contains("column \"new\" is BOOLEAN"), "{cause}");
    let cause = refused("seen", Cells::Times(vec![1]), &columns);
    assert!(
        cause.contains("column \"seen\" is INT64 (TIMESTAMP_MILLIS)"),
        "{cause}"
    );
    let cause = refused("v", Cells::Vectors(vec![vec![1.0]]), &columns);
    assert!(cause.contains("column \"v\" is a group"), "{cause}");
    let cause = refused("title", Cells::Whole(vec![None]), &columns);
    assert!(
        cause.contains("\"title\" holds whole numbers, expected texts"),
        "{cause}"
    );
    let numbers = self::columns(&["a"], &[]);
    let cause = refused("a", Cells::Lists(vec![vec![]]), &numbers);
    assert!(
        cause.contains("\"a\" holds lists of texts, expected numbers"),
        "{cause}"
    );
}

#[test]
fn rows_without_an_end_are_not_read_into_memory() {
    let columns = columns(&[], &[]);
    let long = format!("[{}]\n{{\"id\":1}}\n", "1,".repeat(2 << 20));
    let rows = read("items.jsonl", long, &columns).unwrap();
    assert!(
        rows[0]
            .1
            .as_ref()
            .unwrap_err()
            .contains("longer than 1048576 bytes")
    );
    assert_eq!((rows.len(), rows[1].0, rows[1].1.is_ok()), (2, 2, true));
    let open = format!("id,title\n1,a\n2,\"b\n{}", "3,c\n".repeat(5 << 20));
    let cause = refusal("items.csv", open, &columns);
    assert!(
        cause.contains("line 3: ") && cause.contains("is a quote not closed?"),
        "{cause}"
    );
}
