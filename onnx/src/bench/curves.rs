//! The figures of `docs/models.md`, as SVG.

use std::{fs, ops::Range, path::Path};

use plotters::{coord::Shift, prelude::*};

use crate::{
    bench::{
        error::Error,
        found::Found,
        pairs::BATCH,
        plan::{Figure, Tower},
    },
    dataset::split::ItemSet,
};

const SIZE: (u32, u32) = (900, 560);
const FONT: (&str, u32) = ("sans-serif", 15);

/// A name and its points.
type Series = (String, Vec<(f64, f64)>);
type Refusal = Box<dyn std::error::Error>;

/// One figure.
struct Drawing {
    x: &'static str,
    y: &'static str,
    series: Vec<Series>,
    /// Whether lines join the points and x begins at 0; else each series' name stands beside its points, and x is a logarithm.
    joined: bool,
}

/// Draws `learning.svg` and `frontier.svg` into a folder.
///
/// # Errors
/// [`Error::Io`] or [`Error::File`] naming the file that could not be written.
pub fn draw(found: &Found, folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let learning = Drawing {
        x: "CPU-minutes of training, with validation",
        y: "validation HR@10, set S",
        series: found
            .everybody()
            .filter(|tower| tower.curve)
            .filter_map(|tower| learned(found, tower))
            .collect(),
        joined: true,
    };
    let frontier = Drawing {
        x: "CPU us per user, batch 8",
        y: "test HR@10, set S",
        series: found
            .everybody()
            .filter_map(|tower| served(found, tower))
            .collect(),
        joined: false,
    };
    for (name, drawing) in [("learning.svg", learning), ("frontier.svg", frontier)] {
        let path = folder.join(name);
        drawing.write(&path).map_err(Error::file(&path))?;
    }
    Ok(())
}

/// Validation HR@10 by CPU-minutes, of the first seed.
fn learned(found: &Found, tower: &Tower) -> Option<Series> {
    let (_, finished) = found.kept.first(tower.name())?;
    let curve = &finished.training.curve;
    let points = curve
        .iter()
        .map(|point| Some((point.cpu_minutes?, point.hr_10)));
    Some((tower.name().to_owned(), points.collect::<Option<_>>()?))
}

/// Test HR@10 at the logarithm of the CPU time of one user.
fn served(found: &Found, tower: &Tower) -> Option<Series> {
    let name = tower.name();
    let hr = found.figure(name, ItemSet::S, Figure::Hr10)?.mean;
    let micros = found.micros(name, BATCH)?;
    Some((name.to_owned(), vec![(micros.log10(), hr)]))
}

impl Drawing {
    fn write(&self, path: &Path) -> Result<(), Refusal> {
        let area = SVGBackend::new(path, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        self.chart(&area)?;
        area.present()?;
        Ok(())
    }

    fn chart(&self, area: &DrawingArea<SVGBackend<'_>, Shift>) -> Result<(), Refusal> {
        let mut chart = ChartBuilder::on(area)
            .margin(14)
            .x_label_area_size(46)
            .y_label_area_size(64)
            .build_cartesian_2d(self.across(), self.range(|point| point.1))?;
        let number = |x: &f64| match self.joined {
            true => format!("{x}"),
            false => format!("{:.0}", 10_f64.powf(*x)),
        };
        chart
            .configure_mesh()
            .x_label_formatter(&number)
            .light_line_style(TRANSPARENT)
            .x_desc(self.x)
            .y_desc(self.y)
            .label_style(FONT)
            .draw()?;
        for (number, (name, points)) in self.series.iter().enumerate() {
            let color = Palette99::pick(number).to_rgba();
            let dots = points
                .iter()
                .map(|&point| Circle::new(point, 3, color.filled()));
            chart.draw_series(dots)?;
            if self.joined {
                chart
                    .draw_series(LineSeries::new(
                        points.iter().copied(),
                        color.stroke_width(2),
                    ))?
                    .label(name)
                    .legend(move |(x, y)| {
                        PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2))
                    });
            } else {
                let text = |&point: &(f64, f64)| {
                    let label = Text::new(name.clone(), (6, -6), FONT);
                    EmptyElement::at(point) + label
                };
                chart.draw_series(points.iter().map(text))?;
            }
        }
        if self.joined && !self.series.is_empty() {
            chart
                .configure_series_labels()
                .position(SeriesLabelPosition::LowerRight)
                .background_style(WHITE)
                .border_style(BLACK)
                .label_font(FONT)
                .draw()?;
        }
        Ok(())
    }

    /// The range of x: a logarithm leaves room for the names.
    fn across(&self) -> Range<f64> {
        if self.joined || self.series.is_empty() {
            return self.range(|point| point.0);
        }
        let xs = self.series.iter().flat_map(|(_, points)| points);
        let xs = xs.map(|point| point.0);
        let least = xs.clone().fold(f64::INFINITY, f64::min);
        least - 0.1..xs.fold(least, f64::max) + 0.6
    }

    /// From 0 to a little above the largest.
    fn range(&self, of: impl Fn(&(f64, f64)) -> f64) -> Range<f64> {
        let values = self.series.iter().flat_map(|(_, points)| points).map(of);
        let largest = values.fold(0.0, f64::max);
        0.0..if largest > 0.0 { largest * 1.15 } else { 1.0 }
    }
}
