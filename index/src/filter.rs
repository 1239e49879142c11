//! What an item must be to be returned.

use std::collections::HashMap;

use roaring::RoaringBitmap;

/// Conditions on items; the default lets every item pass.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// All of these must hold.
    pub must: Vec<Condition>,
    /// One of these must hold, if there are any.
    pub should: Vec<Condition>,
    /// None of these may hold.
    pub must_not: Vec<Condition>,
}

/// What may hold of an item. It does not hold of an item that lacks the attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// The attribute is, or its list has, one of the texts.
    Keyword {
        /// The attribute.
        attribute: String,
        /// The texts.
        values: Vec<String>,
    },
    /// The attribute is a number from `min` to `max`, both included.
    Range {
        /// The attribute.
        attribute: String,
        /// The least number.
        min: f64,
        /// The greatest number.
        max: f64,
    },
    /// The item is one of these.
    HasId(Vec<u64>),
}

/// What is known of a shard's items by attribute: which rows have a text, and which numbers rows have.
#[derive(Debug, Default)]
pub(crate) struct Attributes {
    texts: HashMap<String, HashMap<String, RoaringBitmap>>,
    /// Numbers ascending, and their rows.
    numbers: HashMap<String, Vec<(f64, u32)>>,
}

/// Takes up what is known of one item.
#[derive(Debug)]
pub struct Described<'a> {
    row: u32,
    attributes: &'a mut Attributes,
}

impl Described<'_> {
    /// The attribute is, or its list has, `text`.
    pub fn text(&mut self, attribute: &str, text: &str) {
        let texts = entry(&mut self.attributes.texts, attribute);
        entry(texts, text).insert(self.row);
    }

    /// The attribute is `number`. One that is not finite is left out.
    pub fn number(&mut self, attribute: &str, number: f64) {
        if number.is_finite() {
            let numbers = entry(&mut self.attributes.numbers, attribute);
            numbers.push((number, self.row));
        }
    }
}

impl Attributes {
    /// Takes up what is known of a row.
    pub(crate) fn of(&mut self, row: u32) -> Described<'_> {
        Described {
            row,
            attributes: self,
        }
    }

    /// Puts everything in order; before that, ranges find nothing right.
    pub(crate) fn settle(&mut self) {
        for numbers in self.numbers.values_mut() {
            numbers.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        }
    }

    /// Takes up what is known of more rows, whose numbers count from `first`; what is known is in order and stays so.
    pub(crate) fn merge(&mut self, more: Self, first: u32) {
        for (attribute, texts) in more.texts {
            let known = entry(&mut self.texts, &attribute);
            for (text, rows) in texts {
                entry(known, &text).extend(rows.iter().map(|row| first + row));
            }
        }
        for (attribute, numbers) in more.numbers {
            let known = entry(&mut self.numbers, &attribute);
            known.extend(
                numbers
                    .into_iter()
                    .map(|(number, row)| (number, first + row)),
            );
            // Two runs in order: this sort merges them.
            known.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        }
    }

    /// The rows whose attribute has a text.
    fn with_text<'a>(
        &'a self,
        attribute: &str,
        text: &str,
    ) -> impl Iterator<Item = &'a RoaringBitmap> + use<'a> {
        let texts = self.texts.get(attribute);
        texts.and_then(|texts| texts.get(text)).into_iter()
    }

    /// The rows whose attribute is from `min` to `max`.
    fn between(&self, attribute: &str, min: f64, max: f64, rows: usize) -> RoaringBitmap {
        let Some(numbers) = self.numbers.get(attribute) else {
            return RoaringBitmap::new();
        };
        let start = numbers.partition_point(|(number, _)| *number < min);
        let end = numbers.partition_point(|(number, _)| *number <= max);
        // Numbers are in order, rows are not: marking bits costs less than sorting.
        let mut bits = vec![0_u8; rows.div_ceil(8)];
        for (_, row) in numbers.get(start..end).unwrap_or_default() {
            bits[*row as usize / 8] |= 1 << (row % 8);
        }
        RoaringBitmap::from_lsb0_bytes(0, &bits)
    }
}

impl Filter {
    /// Whether every item passes.
    pub fn is_empty(&self) -> bool {
        self.must.is_empty() && self.should.is_empty() && self.must_not.is_empty()
    }

    /// The rows that pass, of `count`; `of_id` tells which rows an item has.
    pub(crate) fn rows<I: IntoIterator<Item = u32>>(
        &self,
        attributes: &Attributes,
        count: usize,
        of_id: impl Fn(u64) -> I,
    ) -> RoaringBitmap {
        let of = |condition: &Condition| condition.rows(attributes, count, &of_id);
        let one = (!self.should.is_empty()).then(|| union(self.should.iter().map(of)));
        let all = one.into_iter().chain(self.must.iter().map(of));
        let passing = all.reduce(|a, b| a & b);
        let passing = passing.unwrap_or_else(|| RoaringBitmap::from_iter(0..count as u32));
        self.must_not.iter().map(of).fold(passing, |a, b| a - b)
    }
}

impl Condition {
    /// The rows of which it holds.
    fn rows<I: IntoIterator<Item = u32>>(
        &self,
        attributes: &Attributes,
        count: usize,
        of_id: impl Fn(u64) -> I,
    ) -> RoaringBitmap {
        match self {
            Self::Keyword { attribute, values } => union(
                values
                    .iter()
                    .flat_map(|value| attributes.with_text(attribute, value))
                    .cloned(),
            ),
            Self::Range {
                attribute,
                min,
                max,
            } => attributes.between(attribute, *min, *max, count),
            Self::HasId(wanted) => wanted.iter().flat_map(|id| of_id(*id)).collect(),
        }
    }
}

fn union(sets: impl Iterator<Item = RoaringBitmap>) -> RoaringBitmap {
    sets.fold(RoaringBitmap::new(), |a, b| a | b)
}

/// The entry of `name`, made if there is none.
fn entry<'a, T: Default>(map: &'a mut HashMap<String, T>, name: &str) -> &'a mut T {
    if !map.contains_key(name) {
        map.insert(name.to_owned(), T::default());
    }
    map.entry(name.to_owned()).or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(attribute: &str, values: &[&str]) -> Condition {
        Condition::Keyword {
            attribute: attribute.to_owned(),
            values: values.iter().map(|&value| value.to_owned()).collect(),
        }
    }

    fn range(min: f64, max: f64) -> Condition {
        Condition::Range {
            attribute: "year".to_owned(),
            min,
            max,
        }
    }

    /// The ids that pass, of items 10, 11, 12, 13 and 14.
    fn passing(filter: &Filter) -> Vec<u64> {
        let mut attributes = Attributes::default();
        for (row, genre) in [(0, "a"), (0, "b"), (1, "b"), (3, "c"), (4, "a")] {
            attributes.of(row).text("genres", genre);
        }
        for (row, year) in [(4, 1.0), (0, 2.0), (1, 2.0), (2, 9.0), (3, f64::NAN)] {
            attributes.of(row).number("year", year);
        }
        attributes.settle();
        let ids = [10, 11, 12, 13, 14];
        let of_id = |id| ids.binary_search(&id).ok().map(|row| row as u32);
        let rows = filter.rows(&attributes, ids.len(), of_id);
        rows.iter().map(|row| ids[row as usize]).collect()
    }

    #[test]
    fn everything_passes_an_empty_filter() {
        assert_eq!(passing(&Filter::default()), [10, 11, 12, 13, 14]);
    }

    #[test]
    fn all_of_must_one_of_should_and_none_of_must_not() {
        let mut filter = Filter {
            must: vec![range(1.0, 2.0)],
            ..Filter::default()
        };
        assert_eq!(passing(&filter), [10, 11, 14]);
        filter.should = vec![text("genres", &["c", "a"]), Condition::HasId(vec![99, 11])];
        assert_eq!(passing(&filter), [10, 11, 14]);
        filter.must_not = vec![text("genres", &["b"])];
        assert_eq!(passing(&filter), [14]);
    }

    #[test]
    fn a_condition_does_not_hold_of_an_item_without_the_attribute() {
        let with = |condition| {
            passing(&Filter {
                must: vec![condition],
                ..Filter::default()
            })
        };
        assert_eq!(with(text("colour", &["red"])), [0; 0]);
        assert_eq!(with(text("genres", &[])), [0; 0]);
        assert_eq!(
            with(range(f64::NEG_INFINITY, f64::INFINITY)),
            [10, 11, 12, 14]
        );
        assert_eq!(with(range(3.0, 2.0)), [0; 0]);
    }
}
