//! Prints what a scan costs: CPU time for 5 queries over 64 numbers a row, beside a plain loop and
//! usearch's own exact search.
//!
//! `cargo run --release -p index --example scan`
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program for people"
)]

use std::{fs, hint::black_box};

use index::{exact, rows::RowsView};
use usearch::{Index, IndexOptions, MetricKind, ScalarKind};

const DIM: usize = 64;
const QUERIES: usize = 5;
const K: usize = 100;
const ROUNDS: usize = 7;

/// One way to answer all queries.
type Way<'a> = Box<dyn FnMut() + 'a>;

fn main() {
    println!(
        "{QUERIES} queries, top {K}, {DIM} f32 a row, one thread; CPU us a call, median of {ROUNDS} rounds (least to most)"
    );
    for count in [3_700, 100_000] {
        compare(count);
    }
}

fn compare(count: usize) {
    let ids: Vec<u64> = (0..count as u64).collect();
    let vectors = random(count * DIM, 1);
    let queries = random(QUERIES * DIM, 2);
    let rows = RowsView::new(&ids, &vectors, DIM);
    let native = usearch_index(rows);
    let mut ways: [(&str, Way<'_>); 3] = [
        (
            "index::exact::scan",
            Box::new(|| drop(black_box(exact::scan(rows, &queries, K, &[])))),
        ),
        (
            "plain loop",
            Box::new(|| drop(black_box(plain(rows, &queries)))),
        ),
        (
            "usearch exact_search",
            Box::new(|| {
                for query in queries.chunks_exact(DIM) {
                    drop(black_box(native.exact_search(query, K).unwrap()));
                }
            }),
        ),
    ];
    let calls = 20_000_000 / (count * QUERIES);
    let mut times = vec![Vec::new(); ways.len()];
    for _ in 0..ROUNDS {
        for ((_, way), times) in ways.iter_mut().zip(&mut times) {
            let start = cpu_nanoseconds();
            for _ in 0..calls {
                way();
            }
            times.push((cpu_nanoseconds() - start) as f64 / 1e3 / calls as f64);
        }
    }
    for ((name, _), times) in ways.iter().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        let (least, median, most) = (times[0], times[ROUNDS / 2], times[ROUNDS - 1]);
        println!("{count:>7} rows  {name:<22} {median:>9.1}  ({least:.1} to {most:.1})");
    }
}

/// What one would write first.
fn plain(rows: RowsView<'_>, queries: &[f32]) -> Vec<(f32, u64)> {
    let score = |row: &[f32]| {
        let dot = |query: &[f32]| row.iter().zip(query).map(|(a, b)| a * b).sum::<f32>();
        queries
            .chunks_exact(DIM)
            .map(dot)
            .fold(f32::NEG_INFINITY, f32::max)
    };
    let vectors = rows.vectors().chunks_exact(DIM);
    let mut scores: Vec<_> = vectors
        .zip(rows.ids())
        .map(|(row, id)| (score(row), *id))
        .collect();
    scores.select_nth_unstable_by(K, |a, b| b.0.total_cmp(&a.0));
    scores.truncate(K);
    scores.sort_by(|a, b| b.0.total_cmp(&a.0));
    scores
}

fn usearch_index(rows: RowsView<'_>) -> Index {
    let index = Index::new(&IndexOptions {
        dimensions: DIM,
        metric: MetricKind::IP,
        quantization: ScalarKind::F32,
        connectivity: 4,
        expansion_add: 4,
        expansion_search: 4,
        multi: false,
    })
    .unwrap();
    index.reserve(rows.len()).unwrap();
    for (id, vector) in rows.ids().iter().zip(rows.vectors().chunks_exact(DIM)) {
        index.add(*id, vector).unwrap();
    }
    index
}

/// Numbers between -1 and 1 from a xorshift generator.
fn random(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// Time that this thread has spent on a CPU, by Linux's count.
fn cpu_nanoseconds() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}
