//! Lays text out in columns.

/// Columns of text, each as wide as its widest cell.
#[derive(Debug, Default)]
pub(crate) struct Table {
    columns: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    /// The head, then a cell a row.
    cells: Vec<String>,
    width: usize,
    to_the_right: bool,
}

impl Table {
    /// Adds a column of texts.
    pub(crate) fn left(self, head: &str, cells: impl IntoIterator<Item = impl ToString>) -> Self {
        self.column(head, cells, false)
    }

    /// Adds a column of numbers: it is flush right.
    pub(crate) fn right(self, head: &str, cells: impl IntoIterator<Item = impl ToString>) -> Self {
        self.column(head, cells, true)
    }

    /// Returns the heads, then the rows.
    pub(crate) fn lines(&self) -> Vec<String> {
        let rows = self.columns.iter().map(|column| column.cells.len()).max();
        (0..rows.unwrap_or(0)).map(|row| self.line(row)).collect()
    }

    fn column(
        mut self,
        head: &str,
        cells: impl IntoIterator<Item = impl ToString>,
        to_the_right: bool,
    ) -> Self {
        let mut all = vec![head.to_owned()];
        all.extend(cells.into_iter().map(|cell| cell.to_string()));
        self.columns.push(Column {
            width: width(all.iter().map(String::as_str)),
            cells: all,
            to_the_right,
        });
        self
    }

    fn line(&self, row: usize) -> String {
        let cells: Vec<String> = self.columns.iter().map(|column| column.cell(row)).collect();
        cells.join("  ").trim_end().to_owned()
    }
}

impl Column {
    fn cell(&self, row: usize) -> String {
        let text = self.cells.get(row).map_or("", String::as_str);
        let width = self.width;
        match self.to_the_right {
            true => format!("{text:>width$}"),
            false => format!("{text:<width$}"),
        }
    }
}

/// Lays out facts, a line each: the name, then the text. A fact without a text is left out.
pub(crate) fn facts(facts: &[(&str, String)]) -> Vec<String> {
    let told = || facts.iter().filter(|(_, text)| !text.is_empty());
    let width = width(told().map(|(name, _)| *name));
    told()
        .map(|(name, text)| format!("{name:<width$}  {text}"))
        .collect()
}

/// The characters of the longest text.
fn width<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    texts.map(|text| text.chars().count()).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let table = Table::default()
            .right("rank", [9, 10])
            .left("title", ["Amélie", "Alien and Aliens"])
            .right("score", ["0.5", "12.25"]);
        assert_eq!(
            table.lines(),
            [
                "rank  title             score",
                "   9  Amélie              0.5",
                "  10  Alien and Aliens  12.25",
            ]
        );
    }

    #[test]
    fn lines_end_without_blanks() {
        let table = Table::default().left("a", ["x", ""]).left("b", ["", "y"]);
        assert_eq!(table.lines(), ["a  b", "x", "   y"]);
    }

    #[test]
    fn facts_without_a_text_are_left_out() {
        let lines = facts(&[
            ("generation", "g".to_owned()),
            ("degraded by what", String::new()),
            ("time", "1ms".to_owned()),
        ]);
        assert_eq!(lines, ["generation  g", "time        1ms"]);
    }
}
