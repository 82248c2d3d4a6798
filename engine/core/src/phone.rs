//! Telephone numbers in the international form of ITU-T E.164.

use std::{fmt, str::FromStr};

/// How many digits a number has, country code included: E.164 allows 15 at most, and nothing that can be sent to
/// has fewer than 8.
const DIGITS: std::ops::RangeInclusive<usize> = 8..=15;

/// A number that can be called from everywhere. It is personal data: shown, it is masked.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number(String);

/// What stands in the place of a number, and why it is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no telephone number in international form")]
pub struct NoNumber {
    text: String,
    /// The way out.
    pub hint: &'static str,
}

impl Number {
    /// The whole of it, as in `+4930901820`: for the one call that needs it.
    pub fn whole(&self) -> &str {
        &self.0
    }

    /// A text that others wrote, with the mask where they repeated the number.
    pub fn hide(&self, text: &str) -> String {
        // Some repeat it without what marks it as international.
        text.replace(self.whole(), &self.to_string()).replace(&self.whole()[1..], &self.to_string())
    }
}

impl FromStr for Number {
    type Err = NoNumber;

    /// Spaces, dashes, dots, slashes and brackets, as people write them, are left out.
    fn from_str(text: &str) -> Result<Self, NoNumber> {
        let no = |hint| Err(NoNumber { text: crate::report::clean(text), hint });
        if text.contains("(0)") {
            return no("leave out the (0): it is not dialled from abroad");
        }
        let left: String =
            text.chars().filter(|c| !matches!(c, ' ' | '\u{a0}' | '-' | '.' | '/' | '(' | ')')).collect();
        match left.strip_prefix('+') {
            Some(digits)
                if DIGITS.contains(&digits.len())
                    && digits.bytes().all(|byte| byte.is_ascii_digit())
                    // No country code begins with it.
                    && !digits.starts_with('0') =>
            {
                Ok(Self(left))
            }
            Some(_) => no("+ and 8 to 15 digits, the country code first, as in +49 30 901820"),
            None if left.starts_with("00") => no("write + in the place of 00, as in +49 30 901820"),
            None => no("begin with + and the country code, as in +49 30 901820"),
        }
    }
}

impl fmt::Display for Number {
    /// What is enough to tell numbers apart: `+4…1820`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…{}", &self.0[..2], &self.0[self.0.len() - 4..])
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Number({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_taken_as_people_write_it_and_shown_masked() {
        for text in ["+4930901820", "+49 30 901820", " +49 (30) 90-18-20", "+49.30/901820", "+49\u{a0}30 901820"] {
            let number: Number = text.parse().expect(text);
            assert_eq!(number.whole(), "+4930901820");
            assert_eq!(format!("{number} {number:?}"), "+4…1820 Number(+4…1820)");
        }
        let number: Number = "+14155550100".parse().expect("a number");
        let said = "PhoneNumber Reason: +14155550100 is not valid, nor 14155550100";
        assert_eq!(number.hide(said), "PhoneNumber Reason: +1…0100 is not valid, nor +1…0100");
    }

    #[test]
    fn what_is_no_number_is_told_with_the_way_out() {
        for (text, hint) in [
            ("030 901820", "begin with +"),
            ("4711", "begin with +"),
            ("", "begin with +"),
            ("0049 30 901820", "write + in the place of 00"),
            ("+49 (0) 30 901820", "leave out the (0)"),
            ("+49 (0)30 901820", "leave out the (0)"),
            ("+1234567", "8 to 15 digits"),
            ("+1234567890123456", "8 to 15 digits"),
            ("+030901820", "8 to 15 digits"),
            ("+49 30 90182O", "8 to 15 digits"),
            ("+49 30 901820 ext 5", "8 to 15 digits"),
            ("+49+30901820", "8 to 15 digits"),
            ("+٤٩٣٠٩٠١٨٢٠", "8 to 15 digits"),
        ] {
            let no = text.parse::<Number>().expect_err(text);
            assert!(no.hint.contains(hint), "{text}: {}", no.hint);
            assert_eq!(no.to_string(), format!("`{text}` is no telephone number in international form"));
        }
    }
}
