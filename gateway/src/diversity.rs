//! Chooses candidates that differ from each other, out of more than are wanted.
//!
//! One place after the other goes to the best candidate that is left. Which is best, MMR says (Carbonell and Goldstein, SIGIR 1998):
//! `lambda * score - (1 - lambda) * similarity`. Caps strike candidates out; quotas keep the last places for the interests that lack
//! some.

use std::collections::{BTreeMap, HashMap};

use crate::hit::Hit;

/// How candidates are to differ.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Diversity {
    /// What the scores of each interest are multiplied with; 1 for the others.
    pub(crate) weights: Vec<f32>,
    /// The least places of each interest.
    pub(crate) quota: usize,
    /// What score counts against similarity, 0 to 1; 1 looks at scores only.
    pub(crate) lambda: f64,
    /// How many candidates may have any one value of an attribute.
    pub(crate) caps: Vec<Cap>,
}

/// How many candidates may have any one value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cap {
    /// The attribute.
    pub(crate) attribute: String,
    /// How many.
    pub(crate) most: usize,
}

/// An item that may be chosen, and what it has in common with others.
#[derive(Clone, Debug)]
pub(crate) struct Prospect {
    /// The item.
    pub(crate) hit: Hit,
    /// What is known of it.
    pub(crate) traits: Traits,
}

/// What items have in common.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traits {
    /// The item's vector, of length 1; empty if it is not known: then the item is similar to none.
    pub(crate) direction: Vec<f32>,
    /// The item's values of each capped attribute.
    pub(crate) values: Vec<Vec<String>>,
}

impl Default for Diversity {
    /// None: the best by score.
    fn default() -> Self {
        Self {
            weights: Vec::new(),
            quota: 0,
            lambda: 1.0,
            caps: Vec::new(),
        }
    }
}

impl Diversity {
    /// Whether items must be told apart by their vectors.
    pub(crate) fn compares(&self) -> bool {
        self.lambda < 1.0
    }

    /// Chooses `k` of the prospects, which are best first, in the order in which they are chosen; fewer if caps strike out the others.
    /// `before` are items of earlier pages: they count for similarity and caps.
    pub(crate) fn choose(&self, prospects: &[Prospect], before: &[Traits], k: usize) -> Vec<Hit> {
        let mut choosing = Choosing {
            diversity: self,
            left: prospects.iter().map(Some).collect(),
            similar: vec![None; prospects.len()],
            counts: vec![HashMap::new(); self.caps.len()],
            chosen: Vec::with_capacity(k),
            quota: self.quota_of(prospects, k),
        };
        before.iter().for_each(|traits| choosing.count(traits));
        while choosing.chosen.len() < k
            && let Some(best) = choosing.best(k)
        {
            choosing.take(best);
        }
        choosing.chosen
    }

    /// The least places of each interest, where all of them have room on the page.
    fn quota_of(&self, prospects: &[Prospect], k: usize) -> usize {
        let mut interests: Vec<u32> = prospects.iter().map(|one| one.hit.interest).collect();
        interests.sort_unstable();
        interests.dedup();
        self.quota.min(k / interests.len().max(1))
    }
}

/// What was chosen so far.
struct Choosing<'a> {
    diversity: &'a Diversity,
    /// The prospects that are neither chosen nor struck out, by place.
    left: Vec<Option<&'a Prospect>>,
    /// The greatest similarity of each with an item chosen or of before, if there is one.
    similar: Vec<Option<f32>>,
    /// By cap: how many items have each value.
    counts: Vec<HashMap<&'a str, usize>>,
    chosen: Vec<Hit>,
    quota: usize,
}

impl<'a> Choosing<'a> {
    /// The place of the best prospect, of those that the quotas leave room for; the first of equals.
    fn best(&self, k: usize) -> Option<usize> {
        let lacking = self.lacking();
        let kept = lacking.values().sum::<usize>();
        let reserved = kept > 0 && kept >= k - self.chosen.len();
        let top = self.top();
        let mut best: Option<(f64, usize)> = None;
        for (place, one) in self.left.iter().enumerate() {
            let Some(one) = one else { continue };
            if reserved && !lacking.contains_key(&one.hit.interest) {
                continue;
            }
            let lambda = self.diversity.lambda;
            let similar = f64::from(self.similar[place].unwrap_or(0.0));
            let worth = lambda * f64::from(one.hit.score) / top - (1.0 - lambda) * similar;
            if best.is_none_or(|(most, _)| worth > most) {
                best = Some((worth, place));
            }
        }
        best.map(|(_, place)| place)
    }

    /// By interest: how many places it lacks that it could still get.
    fn lacking(&self) -> BTreeMap<u32, usize> {
        let mut lacking = BTreeMap::new();
        if self.quota == 0 {
            return lacking;
        }
        for one in self.left.iter().flatten() {
            *lacking.entry(one.hit.interest).or_insert(0) += 1;
        }
        for (interest, lacks) in &mut lacking {
            let have = self.chosen.iter().filter(|hit| hit.interest == *interest);
            *lacks = (*lacks).min(self.quota.saturating_sub(have.count()));
        }
        lacking.retain(|_, lacks| *lacks > 0);
        lacking
    }

    /// What scores are relative to: the best one's size.
    fn top(&self) -> f64 {
        let first = self.chosen.iter().map(|hit| hit.score);
        let left = self.left.iter().flatten().map(|one| one.hit.score);
        let top = first.chain(left).fold(f32::NEG_INFINITY, f32::max);
        match f64::from(top.abs()) {
            0.0 => 1.0,
            size => size,
        }
    }

    fn take(&mut self, place: usize) {
        if let Some(one) = self.left[place].take() {
            self.chosen.push(one.hit);
            self.count(&one.traits);
        }
    }

    /// Notes what an item has in common with those that are left.
    fn count(&mut self, traits: &'a Traits) {
        let caps = self.diversity.caps.iter().zip(&mut self.counts);
        for (at, ((cap, counts), values)) in caps.zip(&traits.values).enumerate() {
            for value in values {
                let count = counts.entry(value).or_insert(0);
                *count += 1;
                if *count != cap.most {
                    continue;
                }
                // No more of these.
                for one in &mut self.left {
                    let has = |one: &&Prospect| one.traits.values[at].contains(value);
                    *one = one.take().filter(|one| !has(one));
                }
            }
        }
        if !self.diversity.compares() {
            return;
        }
        for (one, similar) in self.left.iter().zip(&mut self.similar) {
            if let Some(one) = one {
                let cosine = cosine(&one.traits.direction, &traits.direction);
                *similar = Some(similar.unwrap_or(f32::NEG_INFINITY).max(cosine));
            }
        }
    }
}

/// The cosine of two vectors of length 1; 0 if one is not known.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;
    use crate::hit::Source;

    fn prospect(id: u64, score: f32, interest: u32, direction: &[f32], genres: &[u8]) -> Prospect {
        Prospect {
            hit: Hit {
                id,
                score,
                interest,
                source: Source::Exact,
            },
            traits: Traits {
                direction: direction.to_vec(),
                values: vec![genres.iter().map(u8::to_string).collect()],
            },
        }
    }

    fn ids(hits: &[Hit]) -> Vec<u64> {
        hits.iter().map(|hit| hit.id).collect()
    }

    #[test]
    fn without_any_wish_the_best_are_chosen() {
        let all = [prospect(1, 0.9, 0, &[], &[]), prospect(2, 0.8, 1, &[], &[])];
        assert_eq!(ids(&Diversity::default().choose(&all, &[], 1)), [1]);
        assert_eq!(ids(&Diversity::default().choose(&all, &[], 5)), [1, 2]);
    }

    #[test]
    fn a_twin_waits_behind_what_is_different() {
        let (here, there) = (&[1.0, 0.0], &[0.0, 1.0]);
        let all = [
            prospect(1, 1.0, 0, here, &[]),
            prospect(2, 0.9, 0, here, &[]),
            prospect(3, 0.5, 0, there, &[]),
        ];
        let mixed = Diversity {
            lambda: 0.5,
            ..Diversity::default()
        };
        assert_eq!(ids(&mixed.choose(&all, &[], 3)), [1, 3, 2]);
        // What stood on the page before counts, too.
        assert_eq!(
            ids(&mixed.choose(&all[1..], &[all[0].traits.clone()], 1)),
            [3]
        );
    }

    #[test]
    fn the_last_places_are_kept_for_interests_that_lack_some() {
        let all = [
            prospect(1, 0.9, 0, &[], &[]),
            prospect(2, 0.8, 0, &[], &[]),
            prospect(3, 0.7, 0, &[], &[]),
            prospect(4, 0.1, 1, &[], &[]),
            prospect(5, 0.0, 1, &[], &[]),
        ];
        let quota = |quota| Diversity {
            quota,
            ..Diversity::default()
        };
        assert_eq!(ids(&quota(1).choose(&all, &[], 3)), [1, 2, 4]);
        assert_eq!(ids(&quota(2).choose(&all, &[], 4)), [1, 2, 4, 5]);
        // More than there is room for: as many for each as there is.
        assert_eq!(ids(&quota(9).choose(&all, &[], 3)), [1, 2, 4]);
    }

    proptest! {
        #[test]
        fn choosing_is_as_trying_every_candidate_for_every_place(
            rows in prop::collection::vec((0_u8..9, 0_u32..3, 0_u8..8, prop::collection::vec(0_u8..4, 0..3)), 0..14),
            k in 0_usize..10,
            quota in 0_usize..4,
            tenths in 0_u8..=10,
            most in 1_usize..4,
        ) {
            let direction = |turn: u8| {
                let angle = f32::from(turn) * std::f32::consts::FRAC_PI_4;
                [angle.cos(), angle.sin()]
            };
            let mut all: Vec<Prospect> = rows
                .iter()
                .zip(0..)
                .map(|((score, interest, turn, genres), id)| {
                    let mut genres = genres.clone();
                    genres.dedup();
                    prospect(id, f32::from(*score) / 8.0, *interest, &direction(*turn), &genres)
                })
                .collect();
            all.sort_by_key(|one| one.hit);
            let diversity = Diversity {
                quota,
                lambda: f64::from(tenths) / 10.0,
                caps: vec![Cap { attribute: "genres".to_owned(), most }],
                ..Diversity::default()
            };
            let chosen = diversity.choose(&all, &[], k);
            let find = |hit: &Hit| all.iter().find(|one| one.hit.id == hit.id);

            // No item twice, no value too often.
            let mut seen = ids(&chosen);
            seen.sort_unstable();
            seen.dedup();
            prop_assert_eq!(seen.len(), chosen.len());
            let fits = |chosen: &[Hit], one: &Prospect| {
                one.traits.values[0].iter().all(|value| {
                    let same = chosen.iter().filter_map(find);
                    same.filter(|other| other.traits.values[0].contains(value)).count() < most
                })
            };
            for place in 0..chosen.len() {
                prop_assert!(fits(&chosen[..place], find(&chosen[place]).unwrap()));
            }
            // It ends only where nothing is left that fits.
            let rest = || all.iter().filter(|one| !chosen.iter().any(|hit| hit.id == one.hit.id));
            prop_assert!(chosen.len() == k || !rest().any(|one| fits(&chosen, one)));
            // An interest lacks places only if none of its candidates fits any more: else one would be better placed last.
            let interests = all.iter().map(|one| one.hit.interest).collect::<std::collections::BTreeSet<_>>();
            let due = quota.min(k / interests.len().max(1));
            for interest in interests {
                let have = chosen.iter().filter(|hit| hit.interest == interest).count();
                let more = rest().any(|one| one.hit.interest == interest && fits(&chosen, one));
                prop_assert!(have >= due || !more, "interest {} has {} of {}", interest, have, due);
            }
            // Each place is the best that could have had it.
            if quota == 0 {
                let lambda = diversity.lambda;
                let worth = |before: &[Hit], one: &Prospect| {
                    let top = all.iter().filter(|other| before.iter().any(|hit| hit.id == other.hit.id) || fits(before, other));
                    let top = top.map(|other| other.hit.score).fold(f32::NEG_INFINITY, f32::max).abs();
                    let top = if top == 0.0 { 1.0 } else { f64::from(top) };
                    let similar = before.iter().filter_map(find).map(|other| cosine(&one.traits.direction, &other.traits.direction));
                    let similar = similar.reduce(f32::max).map_or(0.0, f64::from);
                    lambda * f64::from(one.hit.score) / top - (1.0 - lambda) * similar
                };
                for place in 0..chosen.len() {
                    let before = &chosen[..place];
                    let took = worth(before, find(&chosen[place]).unwrap());
                    let open = all.iter().filter(|one| !before.iter().any(|hit| hit.id == one.hit.id) && fits(before, one));
                    for one in open {
                        prop_assert!(worth(before, one) <= took + 1e-9);
                    }
                }
            }
        }
    }
}
