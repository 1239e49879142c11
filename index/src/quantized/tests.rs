use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn the_scan_answers_what_a_scan_of_the_rows_as_they_are_does(
        dim in 1_usize..100,
        count in 1_usize..300,
        queries in 1_usize..20,
        k in 1_usize..50,
        size in -8_i32..8,
        coarse in any::<bool>(),
        exclude in prop::collection::btree_set(0_u64..900, 0..40),
        numbers in prop::collection::vec(-1.0_f32..1.0, 997),
    ) {
        // Coarse numbers make equal scores, lengths differ from row to row.
        let number = |i: usize| match coarse {
            true => (numbers[i % 997] * 2.0).round() + 0.5,
            false => numbers[i % 997],
        };
        let vectors: Vec<f32> = (0..count * dim)
            .map(|i| number(i) * 2.0_f32.powi(size * (i / dim % 3) as i32))
            .collect();
        let queries: Vec<f32> = (0..queries * dim).map(|i| number(7 * i + 3)).collect();
        let ids: Vec<u64> = (0..count as u64).map(|row| 3 * row).collect();
        let exclude: Vec<u64> = exclude.into_iter().collect();
        let rows = RowsView::new(&ids, &vectors, dim);
        if let Some(quantized) = Quantized::new(rows, None, 0) {
            let found = quantized.scan(rows, &queries, k, &Eligible::except(rows, &exclude));
            let expected = exact::scan(rows, &queries, k, &exclude);
            let bits = |hits: &[Hit]| -> Vec<_> {
                hits.iter().map(|hit| (hit.id, hit.score.to_bits(), hit.interest)).collect()
            };
            prop_assert_eq!(bits(&found), bits(&expected));
        }
    }
}

#[test]
fn bounds_that_overflow_leave_nothing_out() {
    let vectors = [1e19_f32, -1e19, 1e19, 1e19, -1e18, 1e19];
    let rows = RowsView::new(&[1, 2, 3], &vectors, 2);
    let query = [1e19_f32, 1e19];
    if let Some(quantized) = Quantized::new(rows, None, 0) {
        let found = quantized.scan(rows, &query, 2, &Eligible::except(rows, &[]));
        assert_eq!(found, exact::scan(rows, &query, 2, &[]));
    }
}

/// 25,000 rows in 100 groups, of unequal lengths, and three queries near some.
fn grouped(dim: usize) -> (Vec<u64>, Vec<f32>, Vec<f32>) {
    let mut state = 1_u64;
    let mut number = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    let groups: Vec<f32> = (0..100 * dim).map(|_| number()).collect();
    let mut near = |group: usize, length: f32| -> Vec<f32> {
        let center = &groups[group % 100 * dim..][..dim];
        center
            .iter()
            .map(|x| length * (x + 0.5 * number()))
            .collect()
    };
    let rows = (0..25_000).flat_map(|row| near(row * 7, 1.0 + (row % 5) as f32 / 10.0));
    let rows = rows.collect();
    let queries = [3, 14, 77].into_iter().flat_map(|group| near(group, 1.0));
    ((0..25_000).collect(), rows, queries.collect())
}

#[test]
fn a_search_of_cells_looks_at_few_rows_and_finds_nearly_all() {
    let (ids, vectors, queries) = grouped(24);
    let rows = RowsView::new(&ids, &vectors, 24);
    let Some(quantized) = Quantized::new(rows, None, 0) else {
        return;
    };
    let all = Eligible::except(rows, &[]);
    let found = quantized.scan_cells(rows, &queries, 100, &all, 0);
    let best = exact::scan(rows, &queries, 100, &[]);
    let common = best.iter().filter(|hit| found.hits.contains(hit));
    assert!(common.count() >= 99);
    assert!(found.rows < 25_000 / 5, "{} rows looked at", found.rows);

    // A higher tier looks at more, and finds no less.
    let harder = quantized.scan_cells(rows, &queries, 100, &all, 2);
    assert!(harder.rows > found.rows);
    assert!(
        found
            .hits
            .iter()
            .filter(|hit| best.contains(hit))
            .all(|hit| harder.hits.contains(hit))
    );

    // However few may be returned, as many come.
    let few = Eligible::Only((0..25_000).step_by(600).collect(), 0);
    let found = quantized.scan_cells(rows, &queries, 100, &few, 0);
    assert_eq!(found.hits.len(), few.count(25_000));
}
