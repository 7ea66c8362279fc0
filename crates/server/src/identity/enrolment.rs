//! Codes that a phone exchanges for a token: short enough to be typed, 50 random bits, kept as a hash only.

/// Crockford's alphabet: no I, L, O, U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const CHARACTERS: usize = 10;

/// A new code, such as "7KQ2M-X4T9B".
pub(super) fn new_code() -> String {
    let random: u64 = rand::random();
    let character = |index: usize| {
        let five_bits = (random >> (5 * index)) & 31;
        char::from(ALPHABET[usize::try_from(five_bits).expect("five bits")])
    };
    let mut code: String = (0..CHARACTERS).map(character).collect();
    code.insert(CHARACTERS / 2, '-');
    code
}

/// The hash of a code as somebody typed it; `None` if it cannot be one.
pub(super) fn hash(typed: &str) -> Option<[u8; 32]> {
    if typed.len() > 64 {
        return None;
    }
    let mut code = String::with_capacity(CHARACTERS);
    for character in typed.chars().filter(|c| !matches!(c, ' ' | '-')) {
        code.push(match character.to_ascii_uppercase() {
            'I' | 'L' => '1',
            'O' => '0',
            other => other,
        });
    }
    let known = code.bytes().all(|b| ALPHABET.contains(&b));
    (known && code.len() == CHARACTERS).then(|| blake3::derive_key("satgas 2026 enrolment code", code.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_known_however_it_is_typed() {
        let code = new_code();
        assert_eq!(code.len(), CHARACTERS + 1);
        let typed = code.to_ascii_lowercase().replace('-', " ").replace('0', "o").replace('1', "l");
        assert_eq!(hash(&typed), hash(&code));
        assert!(hash(&code).is_some() && hash(&code[1..]).is_none() && hash("").is_none());
    }
}
