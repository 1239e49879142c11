//! Writes `docs/recommender.md` and its plot.

use std::{fs, path::Path};

use onnx::bench::report::Row;
use plotters::prelude::*;

use crate::variety::Curve;

const SIZE: (u32, u32) = (900, 480);
const FONT: (&str, u32) = ("sans-serif", 15);
const PAGE: &str = include_str!("page.md");

pub(crate) fn write(docs: &Path, rows: &[Row], curve: &Curve) -> anyhow::Result<()> {
    let figures = docs.join("figures");
    fs::create_dir_all(&figures)?;
    draw(&figures.join("mmr.svg"), curve)?;
    let mut page = PAGE.to_owned();
    page += "\n| figure | value | goal | made |\n|---|---|---|---|\n";
    for row in rows {
        let unit = match row.unit.as_str() {
            "1" => String::new(),
            unit => format!(" {unit}"),
        };
        let value = (row.value * 1e4).round() / 1e4;
        page += &format!(
            "| `{}` | {value}{unit} | {} | {} |\n",
            row.row, row.goal, row.date
        );
    }
    fs::write(docs.join("recommender.md"), page)?;
    let text = serde_json::to_string_pretty(rows)? + "\n";
    Ok(fs::write(docs.join("recommender.json"), text)?)
}

/// Hits and genres by lambda.
fn draw(path: &Path, curve: &Curve) -> anyhow::Result<()> {
    let hits: Vec<(f64, f64)> = curve
        .mmr
        .iter()
        .map(|(at, found)| (*at, found.hr50))
        .collect();
    let genres: Vec<(f64, f64)> = curve
        .mmr
        .iter()
        .map(|(at, found)| (*at, found.genres))
        .collect();
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(15)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(0.25..1.02, 0.0..1.0)?;
    chart
        .configure_mesh()
        .label_style(FONT)
        .x_desc("lambda: 1 looks at scores only")
        .y_desc("share")
        .draw()?;
    for (name, points, color) in [
        ("HR@50, set S", hits, Palette99::pick(0).to_rgba()),
        (
            "genres of all 18 on a page of 50",
            genres,
            Palette99::pick(2).to_rgba(),
        ),
    ] {
        chart
            .draw_series(
                LineSeries::new(points.iter().copied(), color.stroke_width(2)).point_size(3),
            )?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .label_font(FONT)
        .border_style(BLACK)
        .background_style(WHITE)
        .position(SeriesLabelPosition::MiddleLeft)
        .draw()?;
    Ok(area.present()?)
}
