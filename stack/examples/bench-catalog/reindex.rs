//! What a re-index costs where one item in a hundred changed, over a whole one.

use crate::{
    Figure,
    house::{Catalog, Replica},
    usage,
};

const ROUNDS: usize = 3;

/// Re-indexes a catalog of `items` whole and by a hundredth, in alternation.
pub(crate) async fn measure(items: u64) -> anyhow::Result<Vec<Figure>> {
    let catalog = Catalog::new(items, 0, 1).await?;
    let tower = Replica::start(&catalog.store, 0).await?;
    // The first call loads the model.
    catalog.index(&tower.address, 0, false).await?;
    let (mut whole, mut changed) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS as u64 {
        for (reuse, costs) in [(false, &mut whole), (true, &mut changed)] {
            catalog.write(round + u64::from(reuse))?;
            let begun = usage::cpu("self")?;
            let made = catalog.index(&tower.address, 0, reuse).await?;
            costs.push((usage::cpu("self")? - begun).as_secs_f64());
            let kept = if reuse { items - items / 100 } else { 0 };
            anyhow::ensure!(made.kept == kept, "{} kept, not {kept}", made.kept);
            tower.holds(&made.generation).await?;
        }
    }
    whole.sort_unstable_by(f64::total_cmp);
    changed.sort_unstable_by(f64::total_cmp);
    let (whole, changed) = (whole[ROUNDS / 2], changed[ROUNDS / 2]);
    Ok(vec![
        ("reindex_1pct_over_full", changed / whole, "1", "<= 0.1"),
        ("reindex_full_cpu_s", whole, "s", ""),
        ("reindex_items", items as f64, "1", ""),
    ])
}
