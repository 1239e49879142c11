//! Prints what a person at the terminal sees: headings, lines and candidates.

#![expect(
    clippy::print_stdout,
    reason = "this is the one place that talks to the terminal"
)]

use proto::v1::{Candidate, RecallResponse, feature_value::Kind};

/// Prints a heading.
pub fn heading(text: &str) {
    println!("\n{text}\n{}", "-".repeat(text.chars().count()));
}

/// Prints one line.
pub fn line(text: impl AsRef<str>) {
    println!("{}", text.as_ref());
}

/// Prints an answer: candidates best first, then what it covers.
pub fn answer(answer: &RecallResponse) {
    println!("  rank    score  interest  title");
    for (rank, candidate) in (1..).zip(&answer.candidates) {
        println!(
            "  {rank:>4}  {:>7.3}  {:>8}  {}",
            candidate.score,
            candidate.interest,
            title(candidate)
        );
    }
    let coverage = answer.coverage.unwrap_or_default();
    println!(
        "  {} of {} eligible items searched in {} of {} shards, generation {}{}",
        coverage.items_searched,
        coverage.items_eligible,
        coverage.shards_answered,
        coverage.shards_total,
        answer.generation,
        match answer.degraded_reasons.is_empty() {
            true => String::new(),
            false => format!(
                ", degraded: {:?}",
                answer.degraded_reasons().collect::<Vec<_>>()
            ),
        }
    );
}

/// Returns a candidate's title and genres, or its id when the answer has no item.
pub fn title(candidate: &Candidate) -> String {
    let Some(item) = &candidate.item else {
        return format!("item {}", candidate.id);
    };
    let genres = item
        .features
        .iter()
        .filter_map(|features| features.values.get("genres"))
        .filter_map(|value| match &value.kind {
            Some(Kind::List(list)) => Some(list.values.join(", ")),
            _ => None,
        });
    match genres.collect::<String>() {
        none if none.is_empty() => item.title.clone(),
        genres => format!("{} [{genres}]", item.title),
    }
}
