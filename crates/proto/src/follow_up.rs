//! The code by which a reporter finds a public report again. The reporter's device makes it; the server gets its hash with the report, and the
//! code itself only when somebody follows up.
//!
//! ```text
//! 7Q2MX-0KD9T-HW4RZ-8JN3C    20 characters of Crockford's base 32: 19 random ones, 95 bits, and a check character
//! ```
//!
//! The alphabet has no I, L, O and U: who reads 1 as I or 0 as O is understood all the same. The check character is Luhn's of base 32: it finds
//! every mistyped character and nearly every pair that was swapped, before the server is asked. 95 bits are more than anybody tries, so
//! that the hash needs no salt and no work: whoever has the log cannot find a code.

use std::{fmt, str::FromStr};

use sha2::{Digest as _, Sha256};

/// Characters by their value.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const BASE: u8 = 32;
/// Characters of a code, the check character included.
const LENGTH: usize = 20;
/// What the code is hashed behind, so that the hash is of nothing else.
const CONTEXT: &[u8] = b"satgas.v1 follow-up code ";

/// A follow-up code. Not printed by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Code([u8; LENGTH]);

/// Why a text is no code; nothing of the text is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoCode {
    /// It has another number of characters.
    Length,
    /// It has a character that no code has.
    Character,
    /// Its check character does not fit: something is mistyped.
    Mistyped,
}

impl fmt::Display for NoCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => "a code has 20 characters, four groups of five: look whether one is missing",
            Self::Character => "a code has only digits and letters, and no U",
            Self::Mistyped => "a character is mistyped: compare the code with what was written down",
        })
    }
}

impl std::error::Error for NoCode {}

impl Code {
    /// The code of 19 random bytes, of each of which five bits count. They must come from a generator for secrets.
    #[must_use]
    pub fn of_random(random: [u8; LENGTH - 1]) -> Self {
        let mut values = [0; LENGTH];
        for (value, random) in values.iter_mut().zip(random) {
            *value = random % BASE;
        }
        values[LENGTH - 1] = check(&values[..LENGTH - 1]);
        Self(values)
    }

    /// The hash that goes with the report: SHA-256 of a text that names its use, and the 20 characters.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::new().chain_update(CONTEXT).chain_update(self.characters()).finalize().into()
    }

    fn characters(&self) -> [u8; LENGTH] {
        self.0.map(|value| ALPHABET[usize::from(value)])
    }
}

/// Luhn's check value over values of base 32, so that the sum with it is a multiple of 32.
fn check(values: &[u8]) -> u8 {
    let doubled = |value: u8| 2 * value / BASE + 2 * value % BASE;
    let counted = values.iter().rev().enumerate().map(|(at, value)| if at % 2 == 0 { doubled(*value) } else { *value });
    let sum = counted.fold(0, |sum, value| (sum + value) % BASE);
    (BASE - sum) % BASE
}

impl FromStr for Code {
    type Err = NoCode;

    /// Reads what a person wrote down: capital or small letters, with hyphens, spaces or nothing between the groups.
    fn from_str(text: &str) -> Result<Self, NoCode> {
        let mut values = [0; LENGTH];
        let mut length = 0;
        for c in text.bytes().filter(|c| !matches!(c, b'-' | b' ')) {
            let c = match c.to_ascii_uppercase() {
                b'O' => b'0',
                b'I' | b'L' => b'1',
                other => other,
            };
            let (value, _) = (0..).zip(ALPHABET).find(|(_, of)| **of == c).ok_or(NoCode::Character)?;
            *values.get_mut(length).ok_or(NoCode::Length)? = value;
            length += 1;
        }
        let (random, last) = values.split_at(LENGTH - 1);
        match length {
            LENGTH if check(random) == last[0] => Ok(Self(values)),
            LENGTH => Err(NoCode::Mistyped),
            _ => Err(NoCode::Length),
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, character) in self.characters().into_iter().enumerate() {
            if at > 0 && at % 5 == 0 {
                f.write_str("-")?;
            }
            write!(f, "{}", char::from(character))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(not shown)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Code {
        Code::of_random(std::array::from_fn(|at| u8::try_from(at * 13 + 7).unwrap()))
    }

    #[test]
    fn a_code_is_read_as_people_write_it_down() {
        let code = example();
        let printed = code.to_string();
        assert_eq!(printed.len(), 23);
        let spoken = printed.to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l");
        for written in [printed.as_str(), &printed.replace('-', ""), &spoken] {
            assert_eq!(written.parse(), Ok(code.clone()), "{written}");
        }
        assert_eq!(format!("{code:?}"), "Code(not shown)");
    }

    #[test]
    fn every_mistyped_character_is_noticed() {
        let code = example().to_string().replace('-', "");
        for at in 0..LENGTH {
            for other in ALPHABET.iter().filter(|other| **other != code.as_bytes()[at]) {
                let mut typed = code.clone().into_bytes();
                typed[at] = *other;
                assert_eq!(String::from_utf8(typed).unwrap().parse::<Code>(), Err(NoCode::Mistyped));
            }
        }
        assert_eq!(code[1..].parse::<Code>(), Err(NoCode::Length));
        assert_eq!(format!("{code}0").parse::<Code>(), Err(NoCode::Length));
        assert_eq!(code.replace(&code[..1], "U").parse::<Code>(), Err(NoCode::Character));
    }

    #[test]
    fn nearly_every_swapped_pair_is_noticed() {
        let code = example().to_string().replace('-', "").into_bytes();
        let swapped = (1..LENGTH).filter(|at| code[*at] != code[at - 1]).map(|at| {
            let mut typed = code.clone();
            typed.swap(at, at - 1);
            String::from_utf8(typed).unwrap().parse::<Code>()
        });
        assert!(swapped.collect::<Vec<_>>().iter().all(|read| *read == Err(NoCode::Mistyped)));
    }

    #[test]
    fn the_hash_is_the_one_that_is_documented() {
        let code = example();
        let of = format!("satgas.v1 follow-up code {}", code.to_string().replace('-', ""));
        assert_eq!(code.hash(), <[u8; 32]>::from(Sha256::digest(of)));
    }
}
