//! The comparison as a picture, `docs/peers.svg`: a group of bars for each thing that was measured of more than one server. A group has a scale
//! of its own; a bar is a median, the line on it goes from the least to the most.

use std::fmt::Write as _;

use super::compare::{Better, Comparison, Row, Who};
use crate::figures::Spread;

const WIDTH: f64 = 860.0;
/// Where bars begin, and how long the longest value is.
const LEFT: f64 = 110.0;
const LONGEST: f64 = 480.0;
const BAR: f64 = 13.0;
const TITLE: f64 = 22.0;
const GAP: f64 = 12.0;
const HEAD: f64 = 56.0;
const COLOURS: [&str; 3] = ["#0b6e4f", "#c1666b", "#4a6fa5"];

/// The picture, with a line of what it was measured on.
pub(crate) fn svg(comparison: &Comparison, caption: &str) -> String {
    let rows: Vec<&Row> = comparison.rows().iter().filter(|row| compared(row)).collect();
    let mut body = String::new();
    let mut y = HEAD;
    for row in rows {
        y = group(&mut body, row, y);
    }
    let caption = escaped(caption);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>satgas beside UmaDB and PostgreSQL</title>\n\
         <rect width=\"{WIDTH}\" height=\"{y}\" fill=\"#ffffff\"/>\n\
         <text x=\"12\" y=\"22\" font-size=\"15\" font-weight=\"bold\">satgas beside UmaDB and PostgreSQL</text>\n\
         <text x=\"12\" y=\"40\" fill=\"#555555\" font-size=\"11\">{caption}</text>\n{body}</svg>\n"
    )
}

fn compared(row: &Row) -> bool {
    Who::ALL.into_iter().filter(|who| row.of(*who).is_some()).count() > 1
}

/// Draws one group from `y` on and returns where the next begins.
fn group(body: &mut String, row: &Row, mut y: f64) -> f64 {
    let spreads = Who::ALL.map(|who| row.of(who));
    let most = spreads.iter().flatten().map(|spread| spread.most).fold(0.0, f64::max);
    let scale = if most > 0.0 { LONGEST / most } else { 0.0 };
    let direction = match row.better {
        Better::More => "longer is better",
        Better::Less => "shorter is better",
    };
    line(
        body,
        format_args!(
            "<text x=\"12\" y=\"{:.1}\" font-weight=\"bold\">{} <tspan fill=\"#777777\" font-weight=\"normal\" font-size=\"11\">{direction}</tspan></text>",
            y + 14.0,
            escaped(&row.name)
        ),
    );
    y += TITLE;
    for (who, spread) in Who::ALL.into_iter().zip(spreads) {
        let Some(Spread { least, median, most }) = spread else { continue };
        let (middle, base) = (y + BAR / 2.0, y + BAR - 3.0);
        let [least_x, median_x, most_x] = [least, median, most].map(|value| LEFT + value * scale);
        line(
            body,
            format_args!("<text x=\"{:.1}\" y=\"{base:.1}\" text-anchor=\"end\">{}</text>", LEFT - 8.0, who.name()),
        );
        line(
            body,
            format_args!(
                "<rect x=\"{LEFT:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{}\"/>",
                median_x - LEFT,
                BAR - 2.0,
                COLOURS[who as usize]
            ),
        );
        line(
            body,
            format_args!(
                "<path d=\"M{least_x:.1} {middle:.1}H{most_x:.1}\" stroke=\"#222222\" stroke-width=\"1.5\" fill=\"none\"/>"
            ),
        );
        line(
            body,
            format_args!("<text x=\"{:.1}\" y=\"{base:.1}\">{}</text>", most_x + 8.0, escaped(&row.show(median))),
        );
        y += BAR;
    }
    y + GAP
}

fn line(body: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(body, "{text}").expect("a string takes all that is written to it");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::{super::compare::What, *};
    use crate::figures::Unit;

    fn measured(name: &str, values: &[(Who, f64)]) -> Comparison {
        let what = What { name, unit: Unit::PerSecond, better: Better::More, goal: None };
        let mut comparison = Comparison::default();
        values.iter().for_each(|(who, value)| comparison.add(1, what, *who, *value));
        comparison
    }

    #[test]
    fn bars_are_as_long_as_the_values_and_a_missing_server_has_none() {
        let picture = svg(&measured("appends", &[(Who::Satgas, 50.0), (Who::UmaDb, 100.0)]), "2 cores");
        let widths: Vec<_> = picture
            .lines()
            .filter(|line| line.contains("<rect x="))
            .filter_map(|line| line.split('"').nth(5))
            .collect();
        assert_eq!(widths, ["240.0", "480.0"]);
        assert!(!picture.contains(">PostgreSQL</text>\n<rect"));
    }

    #[test]
    fn what_only_one_server_was_measured_for_is_not_drawn() {
        assert!(!svg(&measured("fan-out", &[(Who::Satgas, 50.0)]), "").contains("fan-out"));
    }

    #[test]
    fn nothing_breaks_out_of_its_text() {
        let picture = svg(&measured("a < b & c", &[(Who::Satgas, 1.0), (Who::UmaDb, 2.0)]), "<x>");
        assert!(picture.contains("a &lt; b &amp; c") && picture.contains("&lt;x&gt;"));
    }
}
