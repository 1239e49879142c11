//! Answers of recalls for people: candidates in a table, and what is to be said of the whole.

use std::collections::BTreeMap;

use proto::v1::{
    Candidate, Coverage, DegradedReason, ItemRef, RecallResponse, Variant, feature_value::Kind,
};

use super::{
    item,
    table::{self, Table},
    words,
};

/// Returns a recall's answer; the first candidate has the rank after `before`.
pub(crate) fn recall(answer: &RecallResponse, before: usize) -> Vec<String> {
    let timings = answer.timings.unwrap_or_default();
    let mut lines = by_interest(&answer.candidates, before);
    lines.push(String::new());
    lines.extend(table::facts(&[
        (
            "generation",
            generation(&answer.generation, answer.variant()),
        ),
        ("coverage", coverage(answer.coverage)),
        ("degraded", degraded(answer.degraded_reasons())),
        ("user", cold_start(answer.cold_start)),
        (
            "time",
            format!(
                "{}, of which embedding {}, searching {}",
                words::took(timings.total),
                words::took(timings.embed),
                words::took(timings.search)
            ),
        ),
        ("recall token", answer.recall_token.clone()),
        ("page token", answer.next_page_token.clone()),
    ]));
    lines
}

/// Returns a table of candidates that says which interest of the user each scored by.
pub(crate) fn by_interest(candidates: &[Candidate], before: usize) -> Vec<String> {
    let interest = |candidate: &Candidate| candidate.interest.to_string();
    candidates_by(candidates, before, "interest", interest)
}

/// Returns a table of candidates that says which of `items` each is nearest to.
pub(crate) fn by_item(candidates: &[Candidate], items: &[ItemRef]) -> Vec<String> {
    let nearest = |candidate: &Candidate| {
        let nearest = items.get(candidate.interest as usize);
        nearest.map(item::name).unwrap_or_default()
    };
    candidates_by(candidates, 0, "nearest to", nearest)
}

/// Returns a generation, and why it answered.
pub(crate) fn generation(generation: &str, variant: Variant) -> String {
    let variant = words::value(variant.as_str_name(), "VARIANT_");
    format!("{generation} ({variant})")
}

/// Returns what was searched.
pub(crate) fn coverage(coverage: Option<Coverage>) -> String {
    let Some(coverage) = coverage else {
        return String::new();
    };
    let exact = match coverage.exact {
        true => ", exact",
        false => "",
    };
    format!(
        "{} of {} eligible items ({}) in {} of {} shards{exact}; {} items in all, {} of them fresh",
        coverage.items_searched,
        coverage.items_eligible,
        words::percent(coverage.fraction),
        coverage.shards_answered,
        coverage.shards_total,
        coverage.items_total,
        coverage.items_fresh,
    )
}

/// Returns why an answer may be worse than it could be; nothing for a whole one.
pub(crate) fn degraded(reasons: impl Iterator<Item = DegradedReason>) -> String {
    reasons
        .map(|reason| words::value(reason.as_str_name(), "DEGRADED_REASON_"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Returns what is to be said of a user of whom nothing is known; nothing for others.
pub(crate) fn cold_start(cold_start: bool) -> String {
    match cold_start {
        true => "nothing is known of this user".to_owned(),
        false => String::new(),
    }
}

/// A table of candidates with a column a list feature, e.g. the genres.
fn candidates_by(
    candidates: &[Candidate],
    before: usize,
    by: &str,
    what: impl Fn(&Candidate) -> String,
) -> Vec<String> {
    if candidates.is_empty() {
        return vec!["no items".to_owned()];
    }
    let title = |candidate: &Candidate| candidate.item.as_ref().map(item::title);
    let source = |candidate: &Candidate| words::value(candidate.source().as_str_name(), "SOURCE_");
    let mut table = Table::default()
        .right("rank", (before + 1..).take(candidates.len()))
        .right("item", candidates.iter().map(item::key))
        .left(
            "title",
            candidates.iter().map(|one| title(one).unwrap_or_default()),
        )
        .right(
            "score",
            candidates.iter().map(|one| format!("{:.3}", one.score)),
        )
        .right(by, candidates.iter().map(what))
        .left("source", candidates.iter().map(source));

    let mut features: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (row, candidate) in candidates.iter().enumerate() {
        for (name, list) in lists(candidate) {
            let column = features.entry(name);
            column.or_insert_with(|| vec![String::new(); candidates.len()])[row] = list;
        }
    }
    for (name, column) in features {
        table = table.left(name, column);
    }
    table.lines()
}

/// A candidate's features that are lists, by name.
fn lists(candidate: &Candidate) -> Vec<(&str, String)> {
    let item = candidate.item.as_ref();
    let Some(features) = item.and_then(|item| item.features.as_ref()) else {
        return Vec::new();
    };
    let values = features.values.iter();
    values
        .filter_map(|(name, value)| match &value.kind {
            Some(Kind::List(list)) => Some((name.as_str(), list.values.join(", "))),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proto::v1::{FeatureValue, Features, Item, Source, TextList};

    use super::*;

    fn candidate(id: u64, score: f32, item: Option<Item>) -> Candidate {
        Candidate {
            id,
            score,
            interest: 1,
            source: Source::Ann.into(),
            item,
        }
    }

    fn alien() -> Item {
        let genres = Kind::List(TextList {
            values: vec!["Horror".to_owned(), "Sci-Fi".to_owned()],
        });
        let year = Kind::Number(1979.0);
        let values = [("genres", genres), ("year", year)]
            .map(|(name, kind)| (name.to_owned(), FeatureValue { kind: Some(kind) }));
        Item {
            id: 7,
            title: "Alien (1979)".to_owned(),
            features: Some(Features {
                values: values.into(),
            }),
            ..Default::default()
        }
    }

    #[test]
    fn candidates_are_ranked_and_lists_are_columns() {
        let candidates = [candidate(7, 0.75, Some(alien())), candidate(8, 0.5, None)];
        assert_eq!(
            by_interest(&candidates, 10),
            [
                "rank  item  title         score  interest  source  genres",
                "  11     7  Alien (1979)  0.750         1  ann     Horror, Sci-Fi",
                "  12     8                0.500         1  ann",
            ]
        );
    }

    #[test]
    fn similar_items_name_the_one_that_they_are_nearest_to() {
        let asked = ["1", "tt2"].map(|text| item::parse(text).unwrap());
        assert_eq!(
            by_item(&[candidate(7, 0.75, None)], &asked),
            [
                "rank  item  title  score  nearest to  source",
                "   1     7         0.750         tt2  ann",
            ]
        );
    }

    #[test]
    fn an_answer_without_candidates_says_so() {
        assert_eq!(by_interest(&[], 0), ["no items"]);
    }

    #[test]
    fn a_worse_answer_says_why() {
        let answer = RecallResponse {
            generation: "g".to_owned(),
            variant: Variant::Serving.into(),
            degraded_reasons: vec![
                DegradedReason::UserTowerDown.into(),
                DegradedReason::FallbackPopular.into(),
            ],
            cold_start: true,
            ..Default::default()
        };
        assert_eq!(
            recall(&answer, 0),
            [
                "no items",
                "",
                "generation  g (serving)",
                "degraded    user_tower_down, fallback_popular",
                "user        nothing is known of this user",
                "time        -, of which embedding -, searching -",
            ]
        );
    }

    #[test]
    fn coverage_counts_items_and_shards() {
        let part = Coverage {
            fraction: 0.5,
            items_searched: 5,
            items_eligible: 10,
            items_total: 12,
            shards_answered: 1,
            shards_total: 2,
            exact: true,
            items_fresh: 1,
            delta: 3,
        };
        assert_eq!(
            coverage(Some(part)),
            "5 of 10 eligible items (50.0 %) in 1 of 2 shards, exact; 12 items in all, 1 of them fresh"
        );
    }
}
