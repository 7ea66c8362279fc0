//! The text format that Prometheus reads, version 0.0.4.

use std::fmt::{Display, Write as _};

use satgas_engine::Histogram;

/// What a family of values is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It only rises, but for a restart.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// Families of values, one after the other.
#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    pub(super) fn finish(self) -> String {
        self.0
    }

    /// A family of one value.
    pub(super) fn one(&mut self, kind: Kind, name: &str, help: &str, value: impl Display) {
        self.head(kind, name, help);
        self.sample(name, &[], value);
    }

    /// A family whose values are told apart by labels of constant names and a bounded number of values.
    pub(super) fn many<'a, L, V: Display>(
        &mut self,
        kind: Kind,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (L, V)>,
    ) where
        L: AsRef<[(&'a str, &'a str)]>,
    {
        self.head(kind, name, help);
        for (labels, value) in samples {
            self.sample(name, labels.as_ref(), value);
        }
    }

    /// A family of one histogram. What it counted is divided by `unit` to give what the name says.
    pub(super) fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram, unit: f64) {
        self.histograms(name, help, [(&[] as &[_], histogram)], unit);
    }

    /// A family of histograms that are told apart by labels.
    pub(super) fn histograms<'a, L>(
        &mut self,
        name: &str,
        help: &str,
        histograms: impl IntoIterator<Item = (L, &'a Histogram)>,
        unit: f64,
    ) where
        L: AsRef<[(&'a str, &'a str)]>,
    {
        self.comment(name, "histogram", help);
        let (bucket, sum, count) = (format!("{name}_bucket"), format!("{name}_sum"), format!("{name}_count"));
        for (labels, histogram) in histograms {
            let labels = labels.as_ref();
            let (counts, all) = histogram.counts();
            for (bound, up_to) in counts {
                let bound = in_units(bound, unit).to_string();
                self.sample(&bucket, &[labels, &[("le", &bound)]].concat(), up_to);
            }
            self.sample(&bucket, &[labels, &[("le", "+Inf")]].concat(), all);
            self.sample(&sum, labels, in_units(histogram.sum(), unit));
            self.sample(&count, labels, all);
        }
    }

    fn head(&mut self, kind: Kind, name: &str, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        self.comment(name, kind, help);
    }

    fn comment(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (index, (label, of)) in labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{before}{label}=\"{of}\"");
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        // Writing into a string does not fail.
        let _ = writeln!(self.0, " {value}");
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for a graph")]
fn in_units(value: u64, unit: f64) -> f64 {
    value as f64 / unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_written_as_prometheus_reads_them() {
        let mut text = Text::default();
        text.one(Kind::Gauge, "a", "What a is.", 1);
        text.many(Kind::Counter, "b_total", "What b is.", [([("x", "1"), ("y", "2")], 3)]);
        let histogram = Histogram::new(&[500_000, 1_000_000_000]);
        histogram.observe(500_000);
        text.histogram("c_seconds", "What c is.", &histogram, 1e9);
        assert_eq!(
            text.finish(),
            "# HELP a What a is.\n# TYPE a gauge\na 1\n\
             # HELP b_total What b is.\n# TYPE b_total counter\nb_total{x=\"1\",y=\"2\"} 3\n\
             # HELP c_seconds What c is.\n# TYPE c_seconds histogram\n\
             c_seconds_bucket{le=\"0.0005\"} 1\nc_seconds_bucket{le=\"1\"} 1\nc_seconds_bucket{le=\"+Inf\"} 1\n\
             c_seconds_sum 0.0005\nc_seconds_count 1\n"
        );
    }
}
