//! Gives places of a page to candidates that did not score best: popular items, and such that came lately.

use std::collections::{BTreeSet, HashSet};

use crate::{
    answer::Degraded,
    budget::Budget,
    error::Error,
    fallback,
    hit::Hit,
    query::Query,
    scatter::{self, Search},
    topology::Held,
};

/// A page: the best of `hits`, then the places that the query gives to others; places that these leave empty are filled up with hits.
///
/// # Errors
/// [`Error::Stale`] if a member does not hold what it said it holds.
pub(crate) async fn page(
    generation: &Held,
    search: Search<'_>,
    hits: Vec<Hit>,
    query: &Query,
    budget: &Budget,
) -> Result<(Vec<Hit>, BTreeSet<Degraded>), Error> {
    let mut degraded = BTreeSet::new();
    let budget = &budget.further();
    let others = (query.popular + query.fresh).min(query.k);
    let mut page = Page::new(query.k);
    let (best, rest) = hits.split_at(hits.len().min(query.k - others));
    page.add(best.iter().copied(), query.k);
    if query.fresh > 0 {
        let fresh = Search {
            k: (query.k + query.fresh).min(fallback::MAX_K),
            fresh_only: true,
            ..search
        };
        let found = scatter::search(generation, fresh, budget).await;
        if let Some(found) = scatter::spare(found, &mut degraded)? {
            degraded.extend(found.degraded);
            page.add(found.hits.into_iter(), query.fresh);
        }
    }
    if query.popular > 0 {
        let wanted = (query.k + search.exclusion.len()).min(fallback::MAX_K) as u32;
        let list = fallback::list(generation, wanted, search.filter, &[], budget.again).await;
        if let Some(list) = scatter::spare(list, &mut degraded)? {
            degraded.extend(list.degraded);
            let ids = list.items.into_iter().map(|(id, _)| id);
            let ids = ids.filter(|id| !search.exclusion.contains(*id));
            page.add(ids.map(fallback::popular_hit), query.popular);
        }
    }
    page.add(rest.iter().copied(), query.k);
    Ok((page.hits, degraded))
}

/// Hits, each item once.
struct Page {
    hits: Vec<Hit>,
    ids: HashSet<u64>,
    places: usize,
}

impl Page {
    fn new(places: usize) -> Self {
        Self {
            hits: Vec::with_capacity(places),
            ids: HashSet::with_capacity(places),
            places,
        }
    }

    /// Adds the first `most` of those that are not there yet, as far as there is room.
    fn add(&mut self, hits: impl Iterator<Item = Hit>, most: usize) {
        let most = most.min(self.places - self.hits.len());
        let new = hits.filter(|hit| self.ids.insert(hit.id)).take(most);
        self.hits.extend(new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hit::Source;

    #[test]
    fn a_page_has_each_item_once_and_no_more_than_it_has_places_for() {
        let hits = |ids: &[u64]| {
            ids.iter()
                .map(|id| fallback::popular_hit(*id))
                .collect::<Vec<_>>()
        };
        let mut page = Page::new(4);
        page.add(hits(&[1, 2]).into_iter(), 2);
        page.add(hits(&[2, 3, 4]).into_iter(), 1);
        page.add(hits(&[3, 5, 6]).into_iter(), 9);
        let ids: Vec<u64> = page.hits.iter().map(|hit| hit.id).collect();
        assert_eq!(ids, [1, 2, 3, 5]);
        assert!(page.hits.iter().all(|hit| hit.source == Source::Popular));
    }
}
