//! The rows of `target/report/models.json`, each figure beside its goal.

use crate::{
    bench::{
        finished::Finished,
        found::Found,
        machine,
        pairs::Paired,
        plan::{Figure, Named},
        report::Row,
    },
    dataset::split::ItemSet,
    model::document::{self, Layer},
};

/// The command that makes all of it again.
const COMMAND: &str = "make bench-models";

/// Makes the rows: those with a name of their own first, then every run's.
pub fn rows(found: &Found) -> Vec<Row> {
    let date = found.kept.iter().map(|(_, finished)| &finished.date).max();
    let date = date.cloned().unwrap_or_else(machine::today);
    let named = |named: &Named| {
        Some(Row {
            row: named.row.clone(),
            value: value(found, named)?,
            unit: unit(named.figure).to_owned(),
            goal: goal(found, &named.goal),
            command: COMMAND.to_owned(),
            date: date.clone(),
        })
    };
    let mut rows: Vec<Row> = found.plan.figures.iter().filter_map(named).collect();
    rows.extend(
        found
            .pairs
            .iter()
            .filter_map(|paired| cpu_row(found, paired)),
    );
    rows.extend(document_rows(&date));
    for (job, finished) in found.kept.iter() {
        let recipe = &job.recipe;
        let name = |figure: &str| {
            let (set, seed) = (recipe.items, recipe.training.seed);
            format!("{figure}_{set:?}.{}.seed{seed}", job.tower)
        };
        rows.extend(run_rows(finished, name));
    }
    rows
}

/// The size of the founding document's network, beside what the document says.
fn document_rows(date: &str) -> Vec<Row> {
    let layers = document::layers().unwrap_or_default();
    let sum = |layers: Vec<&Layer>| layers.iter().map(|layer| layer.parameters()).sum::<usize>();
    let trained = layers.iter().filter(|layer| layer.trained);
    let values = [
        (
            "document_parameters",
            sum(layers.iter().collect()),
            "= 916218",
        ),
        ("document_trainable", sum(trained.collect()), "= 915968"),
    ];
    let row = |(name, value, goal): (&str, usize, &str)| Row {
        row: name.to_owned(),
        value: value as f64,
        unit: "1".to_owned(),
        goal: goal.to_owned(),
        command: COMMAND.to_owned(),
        date: date.to_owned(),
    };
    values.map(row).to_vec()
}

/// Says whether a value reaches a goal; nothing if there is none.
pub fn reaches(value: f64, goal: &str) -> Option<bool> {
    let mut parts = goal.split(" and ").map(|part| {
        let mut words = part.split_whitespace();
        let (relation, bound) = (words.next()?, words.next()?.parse::<f64>().ok()?);
        match relation {
            ">" => Some(value > bound),
            ">=" => Some(value >= bound),
            "<" => Some(value < bound),
            "<=" => Some(value <= bound),
            "=" => Some(value == bound),
            _ => None,
        }
    });
    parts.try_fold(true, |all, part| Some(all && part?))
}

/// Puts figures in the place of the rows that a goal names.
fn goal(found: &Found, goal: &str) -> String {
    let part = |part: &str| {
        let (relation, bound) = part.split_once(' ').unwrap_or((part, ""));
        let mut named = found.plan.figures.iter();
        let named = named.find(|named| named.row == bound);
        match named.and_then(|named| value(found, named)) {
            Some(value) => format!("{relation} {value:.4} ({bound})"),
            None => part.to_owned(),
        }
    };
    let parts: Vec<String> = goal.split(" and ").map(part).collect();
    parts.join(" and ")
}

fn value(found: &Found, named: &Named) -> Option<f64> {
    let figure = |tower: &str| Some(found.figure(tower, ItemSet::S, named.figure)?.mean);
    let own = figure(&named.tower)?;
    match &named.below {
        Some(other) => Some(figure(other)? - own),
        None => Some(own),
    }
}

fn cpu_row(found: &Found, paired: &Paired) -> Option<Row> {
    let mut pairs = found.plan.pairs.iter();
    let pair = pairs.find(|pair| [&pair.of, &pair.over] == paired.towers.each_ref())?;
    let [_, ratio, _] = paired.cpu_ratio?;
    Some(Row {
        row: pair.cpu_row.clone()?,
        value: ratio,
        unit: "1".to_owned(),
        goal: pair.goal.clone(),
        command: COMMAND.to_owned(),
        date: paired.date.clone(),
    })
}

fn run_rows(finished: &Finished, name: impl Fn(&str) -> String) -> Vec<Row> {
    let Some(figures) = finished.figures("artifact", true) else {
        return Vec::new();
    };
    let values = [
        ("hr10", figures.hr_10),
        ("ndcg10", figures.ndcg_10),
        ("hr50", figures.hr_50),
    ];
    let row = |(figure, value)| Row {
        row: name(figure),
        value,
        unit: "1".to_owned(),
        goal: String::new(),
        command: COMMAND.to_owned(),
        date: finished.date.clone(),
    };
    values.map(row).to_vec()
}

fn unit(figure: Figure) -> &'static str {
    match figure {
        Figure::CpuMinutes => "min",
        _ => "1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_reached_when_all_of_it_is() {
        assert_eq!(reaches(0.3, ">= 0.3"), Some(true));
        assert_eq!(reaches(0.3, "> 0.3"), Some(false));
        assert_eq!(
            reaches(0.3, ">= 0.27 and > 0.31 (transitions_hr10_S)"),
            Some(false)
        );
        assert_eq!(reaches(3.0, "= 3"), Some(true));
        assert_eq!(reaches(0.3, ""), None);
        assert_eq!(reaches(0.3, "> not_measured"), None);
    }
}
