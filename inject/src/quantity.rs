//! Amounts of CPU and memory as Kubernetes writes them: `250m`, `1.5`, `64Mi`, `1e3`.
//!
//! Only to compare them: the text stays as the user wrote it. Exact, in billionths, the smallest unit there is; a float
//! would take two texts of one amount for different. Negative amounts and those beyond 2^96 are not read, nobody has
//! them.

use serde_json::Value;

/// Billionths of one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Quantity(u128);

const ONE: u128 = 1_000_000_000;
const MAX: u128 = 1 << 126;

impl Quantity {
    /// A whole number of units.
    pub(crate) const fn units(units: u64) -> Self {
        Self(units as u128 * ONE)
    }

    /// A number of thousandths.
    pub(crate) const fn millis(millis: u64) -> Self {
        Self(millis as u128 * ONE / 1000)
    }

    /// Reads a text.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, suffix) = text.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.len() + fraction.len() == 0 || whole.len() > 38 || fraction.contains('.') {
            return None;
        }
        let (numerator, denominator) = factor(suffix)?;
        let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let mut total = whole.checked_mul(ONE)?;
        // More digits than the smallest unit has are nothing to us.
        let fraction = &fraction[..fraction.len().min(9)];
        if !fraction.is_empty() {
            let digits: u128 = fraction.parse().ok()?;
            total = total.checked_add(digits * 10_u128.pow(9 - u32::try_from(fraction.len()).ok()?))?;
        }
        let total = total.checked_mul(numerator)?.checked_div(denominator)?;
        (total <= MAX).then_some(Self(total))
    }

    /// Reads a text or a number of a manifest.
    pub(crate) fn read(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Self::parse(text),
            Value::Number(number) => Self::parse(&number.to_string()),
            _ => None,
        }
    }

    /// Whole units, rounded down.
    pub(crate) fn whole(self) -> u64 {
        u64::try_from(self.0 / ONE).unwrap_or(u64::MAX)
    }
}

/// What a suffix multiplies by, as a fraction.
fn factor(suffix: &str) -> Option<(u128, u128)> {
    if let Some(exponent) = suffix.strip_prefix(['e', 'E']).filter(|exponent| !exponent.is_empty()) {
        let exponent: i32 = exponent.parse().ok()?;
        let power = 10_u128.checked_pow(exponent.unsigned_abs())?;
        return Some(if exponent < 0 { (1, power) } else { (power, 1) });
    }
    let binary = |power: u32| Some((1_u128 << (10 * power), 1));
    let decimal = |power: u32| Some((1000_u128.pow(power), 1));
    match suffix {
        "" => Some((1, 1)),
        "n" => Some((1, 1_000_000_000)),
        "u" => Some((1, 1_000_000)),
        "m" => Some((1, 1000)),
        "k" => decimal(1),
        "M" => decimal(2),
        "G" => decimal(3),
        "T" => decimal(4),
        "P" => decimal(5),
        "E" => decimal(6),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_one_amount_are_equal() {
        for texts in
            [["1", "1000m"], ["1.5", "1500m"], ["1e3", "1k"], ["1Gi", "1024Mi"], ["0.5Gi", "512Mi"], ["1E", "1e18"]]
        {
            assert_eq!(Quantity::parse(texts[0]).unwrap(), Quantity::parse(texts[1]).unwrap(), "{texts:?}");
        }
        assert!(Quantity::parse("128Mi") > Quantity::parse("128M"));
        assert_eq!(Quantity::parse("64Mi").map(Quantity::whole), Some(64 << 20));
        assert_eq!(Quantity::read(&serde_json::json!(2)), Quantity::parse("2"));
    }

    #[test]
    fn what_is_no_amount_is_not_read() {
        for text in ["", "m", "1.2.3", "-1", "1Q", "1 Mi", "e3", "1e", "999999999999999999999999999999Ei", "1e99", "."]
        {
            assert_eq!(Quantity::parse(text), None, "{text}");
        }
    }
}
