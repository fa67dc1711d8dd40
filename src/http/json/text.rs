//! What a JSON string says, as opposed to how it is written.

use std::borrow::Cow;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// How many bytes stand before the next quotation mark, backslash or control character. Eight at a time, since most
/// of a large payload is plain text.
pub(super) fn plain_run(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (n, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // A byte's high bit is set where the byte is special. A borrow can set it too early, but only in a byte above
        // one that is special, so the lowest is always right.
        let has = |byte: u8| {
            let differs = word ^ (ONES * u64::from(byte));
            differs.wrapping_sub(ONES) & !differs
        };
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let special = (control | has(b'"') | has(b'\\')) & HIGHS;
        if special != 0 {
            return n * 8 + special.trailing_zeros() as usize / 8;
        }
    }
    let plain = |byte: &&u8| **byte >= 0x20 && !matches!(**byte, b'"' | b'\\');
    bytes.len() - rest.len() + rest.iter().take_while(plain).count()
}

/// What the inside of a scanned string says. Only a string with escapes costs an allocation.
pub(super) fn unescape(inside: &str) -> Cow<'_, str> {
    let Some(first) = inside.find('\\') else { return Cow::Borrowed(inside) };
    let mut said = String::with_capacity(inside.len());
    let mut rest = inside;
    let mut next = Some(first);
    while let Some(at) = next {
        said.push_str(&rest[..at]);
        let (character, length) = escaped(&rest[at..]);
        said.push(character);
        rest = &rest[at + length..];
        next = rest.find('\\');
    }
    said.push_str(rest);
    Cow::Owned(said)
}

/// The character that an escape stands for, and the escape's length. A surrogate alone, which only a noted flaw lets
/// through, stands for the replacement character.
fn escaped(text: &str) -> (char, usize) {
    let unit = |at: usize| text.get(at..at + 4).and_then(|digits| u16::from_str_radix(digits, 16).ok());
    match text.as_bytes().get(1) {
        Some(b'b') => ('\u{8}', 2),
        Some(b'f') => ('\u{c}', 2),
        Some(b'n') => ('\n', 2),
        Some(b'r') => ('\r', 2),
        Some(b't') => ('\t', 2),
        Some(b'u') => {
            let first = unit(2).unwrap_or(0xFFFD);
            let second = text.get(6..8).filter(|mark| *mark == "\\u").and_then(|_| unit(8));
            let pair = second.and_then(|second| char::decode_utf16([first, second]).next()?.ok());
            match pair {
                Some(character) if character.len_utf16() == 2 => (character, 12),
                _ => (char::from_u32(u32::from(first)).unwrap_or(char::REPLACEMENT_CHARACTER), 6),
            }
        }
        Some(byte) => (char::from(*byte), 2),
        None => (char::REPLACEMENT_CHARACTER, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_ends_where_the_first_special_byte_stands() {
        for special in [0_u8, 0x1f, b'"', b'\\'] {
            for before in 0..40 {
                for plain in ["a", "\u{7f}", "é", " ", "#", "]"] {
                    let mut bytes = plain.repeat(before).into_bytes();
                    let expected = bytes.len();
                    bytes.push(special);
                    bytes.extend_from_slice(b"\"tail\\tail");
                    assert_eq!(plain_run(&bytes), expected, "{special} after {before} of {plain}");
                }
            }
        }
        assert_eq!(plain_run(b""), 0);
        assert_eq!(plain_run("no end".as_bytes()), 6);
    }

    #[test]
    fn escapes_say_what_they_stand_for() {
        for (written, said) in [
            ("plain", "plain"),
            (r"a\nb\t\r\b\f\/\\\x", "a\nb\t\r\u{8}\u{c}/\\x"),
            ("caf\\u00e9", "café"),
            ("\\ud83d\\ude00!", "😀!"),
            ("\\u0000", "\0"),
            ("\\ud83d alone", "\u{fffd} alone"),
            ("\\ud83d\\u0041", "\u{fffd}A"),
        ] {
            assert_eq!(unescape(written), said);
        }
    }
}
