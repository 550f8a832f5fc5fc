//! The lines of the comparison and how they look.

/// Several rounds of the same measure.
#[derive(Clone, Debug, Default)]
pub struct Rounds(Vec<f64>);

impl Rounds {
    /// Adds a round's figure.
    pub fn push(&mut self, figure: f64) {
        self.0.push(figure);
    }

    /// The middle one.
    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => f64::NAN,
            length if length % 2 == 1 => sorted[middle],
            _ => (sorted[middle - 1] + sorted[middle]) / 2.0,
        }
    }

    /// The smallest and the largest quotient of a round of these and the same round of `others`.
    fn quotients(&self, others: &Self) -> (f64, f64) {
        let quotients = || self.0.iter().zip(&others.0).map(|(one, other)| one / other);
        (quotients().fold(f64::INFINITY, f64::min), quotients().fold(f64::NEG_INFINITY, f64::max))
    }
}

/// What a figure must reach.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// So much or more.
    AtLeast(f64),
    /// So much or less.
    AtMost(f64),
    /// Nothing: it is shown for the picture.
    Informative,
}

impl Target {
    /// What must be reached, in words.
    fn shown(self, show: impl Fn(f64) -> String) -> String {
        match self {
            Self::AtLeast(bound) => format!(">= {}", show(bound)),
            Self::AtMost(bound) => format!("<= {}", show(bound)),
            Self::Informative => String::new(),
        }
    }

    /// A figure that could not be measured has met nothing.
    fn verdict(self, figure: f64) -> Verdict {
        let is_met = match self {
            Self::AtLeast(bound) => figure >= bound,
            Self::AtMost(bound) => figure <= bound,
            Self::Informative => return Verdict::None,
        };
        if is_met { Verdict::Met } else { Verdict::NotMet }
    }
}

/// What is said of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    None,
    Met,
    NotMet,
}

impl Verdict {
    const fn shown(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Met => "met",
            Self::NotMet => "**NOT met**",
        }
    }
}

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Line {
    what: String,
    against: String,
    measured: String,
    reference: String,
    result: String,
    must_reach: String,
    verdict: Verdict,
}

impl Line {
    /// A line whose figure is how many times as much was measured as the reference has, by the medians.
    pub fn ratio(
        what: impl Into<String>,
        against: impl Into<String>,
        unit: &str,
        measured: &Rounds,
        reference: &Rounds,
        target: Target,
    ) -> Self {
        let ratio = measured.median() / reference.median();
        let (lowest, highest) = measured.quotients(reference);
        Self {
            what: what.into(),
            against: against.into(),
            measured: format!("{} {unit}", grouped(measured.median())),
            reference: format!("{} {unit}", grouped(reference.median())),
            result: format!("{ratio:.2} x ({lowest:.2} to {highest:.2})"),
            must_reach: target.shown(|bound| format!("{bound} x")),
            verdict: target.verdict(ratio),
        }
    }

    /// A line whose figure is by how much more was measured than the reference has, by the medians.
    pub fn difference(
        what: impl Into<String>,
        against: impl Into<String>,
        unit: &str,
        measured: &Rounds,
        reference: &Rounds,
        target: Target,
    ) -> Self {
        let difference = measured.median() - reference.median();
        Self {
            what: what.into(),
            against: against.into(),
            measured: format!("{:.2} {unit}", measured.median()),
            reference: format!("{:.2} {unit}", reference.median()),
            result: format!("{difference:+.2} {unit}"),
            must_reach: target.shown(|bound| format!("{bound:+} {unit}")),
            verdict: target.verdict(difference),
        }
    }

    /// A line with one figure and nothing beside it.
    pub fn figure(what: impl Into<String>, figure: f64, unit: &str, target: Target) -> Self {
        Self {
            what: what.into(),
            against: String::new(),
            measured: format!("{} {unit}", grouped(figure)),
            reference: String::new(),
            result: String::new(),
            must_reach: target.shown(|bound| format!("{} {unit}", grouped(bound))),
            verdict: target.verdict(figure),
        }
    }

    /// Whether what must be reached was, or nothing must be.
    pub fn is_fine(&self) -> bool {
        self.verdict != Verdict::NotMet
    }
}

/// The lines as a Markdown table.
pub fn render(lines: &[Line]) -> String {
    let mut text =
        "| what | against | measured | beside it | result (lowest to highest round) | must reach | |\n".to_owned();
    text.push_str("|---|---|---:|---:|---:|---:|---|\n");
    for line in lines {
        let verdict = line.verdict.shown();
        let Line { what, against, measured, reference, result, must_reach, .. } = line;
        text.push_str(&format!(
            "| {what} | {against} | {measured} | {reference} | {result} | {must_reach} | {verdict} |\n"
        ));
    }
    text
}

/// A whole number with its thousands apart, one below 100 with decimals.
pub fn grouped(figure: f64) -> String {
    if !figure.is_finite() {
        return "?".to_owned();
    }
    if figure.abs() < 100.0 {
        return format!("{figure:.2}");
    }
    let digits = format!("{:.0}", figure.abs());
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    if figure < 0.0 { format!("-{text}") } else { text }
}
