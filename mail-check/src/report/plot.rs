//! Bars, one a day, as SVG: what is missing is marked, and every bar says its value in words.

use std::fmt::Write;

use super::markup::Text;
use crate::language::{Words, fill};

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 150.0;
const LEFT: f64 = 70.0;
/// Room for half of the last date.
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 24.0;
/// A day of five has its date written below.
const LABEL_EVERY: usize = 5;

/// A day.
pub(super) struct Bar {
    /// Written below: `11-23`.
    pub(super) label: String,
    /// Parts from the bottom up; none when the day is missing.
    pub(super) parts: Vec<f64>,
    pub(super) is_bad: bool,
    /// In words.
    pub(super) words: String,
}

/// What is drawn.
pub(super) struct Plot<'a> {
    pub(super) title: &'a str,
    pub(super) bars: &'a [Bar],
    /// Names of the parts.
    pub(super) legend: &'a [&'a str],
    /// What the mark of a bad day means.
    pub(super) mark: &'a str,
}

impl Plot<'_> {
    /// `write` shows a value of the axis.
    pub(super) fn draw(&self, words: &Words, write: impl Fn(f64) -> String) -> String {
        let height_of = |bar: &Bar| bar.parts.iter().sum::<f64>();
        let top = round_up(self.bars.iter().map(height_of).fold(0.0, f64::max));
        let mut svg = format!(
            "<figure><figcaption>{}{}</figcaption>\
             <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
            Text(self.title),
            legend_of(self.legend, self.mark),
            Text(&fill(words.below, &[&self.title]))
        );
        axis(&mut svg, top, write);
        let step = (WIDTH - LEFT - RIGHT) / self.bars.len().max(1) as f64;
        for (number, bar) in self.bars.iter().enumerate() {
            let has_label = (self.bars.len() - 1 - number).is_multiple_of(LABEL_EVERY);
            let label = has_label.then_some(&*bar.label);
            day(&mut svg, bar, label, LEFT + step * number as f64, step, top);
        }
        svg.push_str("</svg></figure>\n");
        svg
    }
}

/// What is drawn of a day, `width` wide.
fn day(svg: &mut String, bar: &Bar, label: Option<&str>, left: f64, width: f64, top: f64) {
    let _ = write!(svg, "<g><title>{}</title>", Text(&bar.words));
    // The whole column answers to the pointer.
    let _ = write!(
        svg,
        "<rect class=\"hit\" x=\"{left:.1}\" y=\"{TOP}\" width=\"{width:.1}\" \
         height=\"{:.1}\"/>",
        floor() - TOP
    );
    column(svg, bar, left + width * 0.15, width * 0.7, top);
    if let Some(label) = label {
        let _ = write!(
            svg,
            "<text class=\"day\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            left + width / 2.0,
            HEIGHT - 8.0,
            Text(label)
        );
    }
    svg.push_str("</g>");
}

fn legend_of(legend: &[&str], mark: &str) -> String {
    let keys = legend.iter().enumerate().map(|(number, name)| {
        format!(
            " <span class=\"key\"><i class=\"p{number}\"></i>{}</span>",
            Text(name)
        )
    });
    let mark = format!(
        " <span class=\"key\"><i class=\"miss\"></i>{}</span>",
        Text(mark)
    );
    keys.chain([mark]).collect()
}

fn floor() -> f64 {
    HEIGHT - BOTTOM
}

fn axis(svg: &mut String, top: f64, write: impl Fn(f64) -> String) {
    for share in [0.0, 0.5, 1.0] {
        let y = floor() - share * (floor() - TOP);
        let right = WIDTH - RIGHT;
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>"
        );
        let value = if share == 0.0 {
            "0".to_owned()
        } else {
            write(top * share)
        };
        let _ = write!(
            svg,
            "<text class=\"value\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            LEFT - 6.0,
            y + 4.0,
            Text(&value)
        );
    }
}

fn column(svg: &mut String, bar: &Bar, left: f64, width: f64, top: f64) {
    let mut y = floor();
    for (number, part) in bar
        .parts
        .iter()
        .enumerate()
        .filter(|(_, part)| **part > 0.0)
    {
        // What is there can be seen, however small.
        let height = (part / top * (floor() - TOP)).max(1.0);
        y -= height;
        let _ = write!(
            svg,
            "<rect class=\"p{number}\" x=\"{left:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" \
             height=\"{height:.1}\"/>"
        );
    }
    if bar.is_bad {
        let (middle, arm) = (left + width / 2.0, 4.0);
        let y = (y - 8.0).max(TOP + arm);
        let (a, b, c, d) = (middle - arm, middle + arm, y - arm, y + arm);
        let _ = write!(
            svg,
            "<path class=\"miss\" d=\"M{a:.1} {c:.1}L{b:.1} {d:.1}M{b:.1} {c:.1}L{a:.1} {d:.1}\"/>"
        );
    }
}

/// The next of these steps times a power of ten.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 1.2, 1.6, 2.0, 2.4, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    steps
        .iter()
        .map(|step| step * power)
        .find(|step| *step >= value)
        .unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Language;

    #[test]
    fn the_axis_ends_at_a_round_number() {
        assert_eq!(
            [0.0, 0.7, 1.0, 61.0, 6_100_000.0, 9.5].map(round_up),
            [1.0, 0.8, 1.0, 80.0, 8_000_000.0, 10.0]
        );
    }

    #[test]
    fn a_day_without_a_set_is_marked_and_words_are_escaped() {
        let bars = [
            Bar {
                label: "11-22".into(),
                parts: vec![8.0, 2.0],
                is_bad: false,
                words: "<b>10</b>".into(),
            },
            Bar {
                label: "11-23".into(),
                parts: vec![],
                is_bad: true,
                words: "no set".into(),
            },
        ];
        let sizes = Plot {
            title: "Sizes",
            bars: &bars,
            legend: &["kept", "new"],
            mark: "missing",
        };
        let words = Language::English.words();
        let svg = sizes.draw(words, |value| format!("{value} B"));
        assert_eq!(
            (
                svg.matches("<path class=\"miss\"").count(),
                svg.matches("<rect class=\"p").count()
            ),
            (1, 2)
        );
        assert!(
            svg.contains("&lt;b&gt;10&lt;/b&gt;") && svg.contains(">10 B</text>"),
            "{svg}"
        );
    }
}
