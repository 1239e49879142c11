//! Seen, excluded and filtered at once, against brute force.

use std::collections::BTreeSet;

use proto::v1::{
    Condition, Exclude, Filter, ItemRef, KeywordIn, NumberRange, condition::Kind, item_ref::Name,
};
use rand::{Rng as _, SeedableRng as _, seq::IndexedRandom as _};
use rand_chacha::ChaCha8Rng;

use crate::{
    Figure,
    site::{Site, exactly, stored},
};

const RECALLS: usize = 500;

pub(crate) async fn measure(site: &Site) -> anyhow::Result<Vec<Figure>> {
    let mut dice = ChaCha8Rng::seed_from_u64(1);
    let genres: BTreeSet<&String> = site.items.values().flat_map(|(genres, _)| genres).collect();
    let genres: Vec<&String> = genres.into_iter().collect();
    let ids: Vec<u64> = site.items.keys().copied().collect();
    let mut violations = 0;
    for _ in 0..RECALLS {
        let Some((user, _)) = site.tests.choose(&mut dice) else {
            break;
        };
        let wanted: Vec<String> = (0..dice.random_range(1..3))
            .filter_map(|_| Some((*genres.choose(&mut dice)?).clone()))
            .collect();
        let unwanted: Vec<String> = genres
            .choose(&mut dice)
            .map(|genre| (*genre).clone())
            .into_iter()
            .collect();
        let from = f64::from(dice.random_range(1930..2000));
        let to = from + f64::from(dice.random_range(0..20));
        let excluded: BTreeSet<u64> = (0..200)
            .filter_map(|_| ids.choose(&mut dice).copied())
            .collect();
        let k = dice.random_range(1..200);
        let keyword = |values: &[String]| Condition {
            kind: Some(Kind::Keyword(KeywordIn {
                attribute: "genres".to_owned(),
                values: values.to_vec(),
            })),
        };
        let mut request = exactly(user, k);
        request.filter = Some(Filter {
            must: vec![
                keyword(&wanted),
                Condition {
                    kind: Some(Kind::Range(NumberRange {
                        attribute: "year".to_owned(),
                        min: Some(from),
                        max: Some(to),
                    })),
                },
            ],
            should: Vec::new(),
            must_not: vec![keyword(&unwanted)],
        });
        request.exclude = Some(Exclude {
            items: excluded
                .iter()
                .map(|id| ItemRef {
                    name: Some(Name::Id(*id)),
                })
                .collect(),
            allow_seen: false,
        });
        let known = site.known(stored(user)).await?;
        let passes = |id: u64| {
            let (of, year) = &site.items[&id];
            wanted.iter().any(|genre| of.contains(genre))
                && !unwanted.iter().any(|genre| of.contains(genre))
                && year.is_some_and(|year| (from..=to).contains(&year))
                && !excluded.contains(&id)
                && !known.seen.contains(&id)
        };
        let truth = known.ranking(&site.vectors, passes);
        let answer = site.recall(request).await?;
        violations += answer
            .candidates
            .iter()
            .filter(|one| !passes(one.id))
            .count();
        violations += (k as usize)
            .min(truth.len())
            .abs_diff(answer.candidates.len());
        for (found, (_, score)) in answer.candidates.iter().zip(&truth) {
            violations += usize::from((found.score - score).abs() > 1e-4);
        }
    }
    Ok(vec![
        ("filter_recalls".to_owned(), RECALLS as f64, "recalls", ""),
        (
            "filter_violations".to_owned(),
            violations as f64,
            "items",
            "0",
        ),
    ])
}
