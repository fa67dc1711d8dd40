//! The token: `lr_<id>_<secret>`.

use std::borrow::Cow;
use std::fmt;

use sha2::{Digest, Sha256};

use crate::limits;

/// What every token begins with, so that scanners of repositories find one that got lost.
const PREFIX: &str = "lr_";
const ID_BYTES: usize = 6;
const SECRET_BYTES: usize = 32;

/// A text that is not a token. It does not say which text: that may be a secret with a typing error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a token: lr_<id>_<secret>, the id of 1 to {} characters a-z 0-9, the secret of {} hexadecimal digits in lower case",
    limits::TOKEN_ID_BYTES_MAX,
    SECRET_BYTES * 2
)]
pub struct InvalidToken;

/// What a caller shows: a public id, by which the credential is found, and 256 random bits.
///
/// Only [`Token::reveal`] writes the secret. Hexadecimal digits, because then `openssl rand -hex 32` can make one.
pub struct Token<'a> {
    id: Cow<'a, str>,
    secret: [u8; SECRET_BYTES],
}

impl Token<'static> {
    /// A new one.
    pub fn fresh() -> Result<Self, getrandom::Error> {
        let mut id = [0; ID_BYTES];
        let mut secret = [0; SECRET_BYTES];
        getrandom::fill(&mut id)?;
        getrandom::fill(&mut secret)?;
        Ok(Self { id: Cow::Owned(hex(&id)), secret })
    }
}

impl<'a> Token<'a> {
    /// Reads one. Costs no allocation.
    pub fn parse(text: &'a str) -> Result<Self, InvalidToken> {
        let (id, digits) =
            text.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')).ok_or(InvalidToken)?;
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if id.is_empty() || id.len() > limits::TOKEN_ID_BYTES_MAX || !id.bytes().all(plain) {
            return Err(InvalidToken);
        }
        if digits.len() != SECRET_BYTES * 2 {
            return Err(InvalidToken);
        }
        let mut secret = [0; SECRET_BYTES];
        for (byte, pair) in secret.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            *byte = (digit(pair[0])? << 4) | digit(pair[1])?;
        }
        Ok(Self { id: Cow::Borrowed(id), secret })
    }

    /// Its public part.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// SHA-256 of its secret: what the store keeps.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.secret).into()
    }

    /// The whole token, for the one time that it is shown.
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}_{}", self.id, hex(&self.secret))
    }
}

impl fmt::Debug for Token<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{PREFIX}{}_[secret]", self.id)
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|nibble| char::from(DIGITS[usize::from(nibble)]))
        .collect()
}

fn digit(byte: u8) -> Result<u8, InvalidToken> {
    match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => Err(InvalidToken),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_shown() {
        let token = Token::fresh().unwrap();
        let text = token.reveal();
        let read = Token::parse(&text).unwrap();
        assert_eq!(read.id(), token.id());
        assert_eq!(read.hash(), token.hash());
        assert_eq!(text.len(), "lr_".len() + 12 + 1 + 64);
    }

    #[test]
    fn no_two_tokens_are_alike() {
        let (one, other) = (Token::fresh().unwrap(), Token::fresh().unwrap());
        assert_ne!(one.id(), other.id());
        assert_ne!(one.hash(), other.hash());
    }

    #[test]
    fn the_hash_is_sha_256_of_the_bits_of_the_secret() {
        let text = format!("lr_a_{}", "0".repeat(64));
        let expected = "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925";
        assert_eq!(hex(&Token::parse(&text).unwrap().hash()), expected);
    }

    #[test]
    fn what_is_not_of_the_form_is_no_token() {
        let secret = "ab".repeat(32);
        let id = "a".repeat(limits::TOKEN_ID_BYTES_MAX + 1);
        for bad in [
            String::new(),
            "lr_".to_owned(),
            format!("lr_{secret}"),
            format!("lr__{secret}"),
            format!("lr_A_{secret}"),
            format!("lr_{id}_{secret}"),
            format!("xx_a_{secret}"),
            format!("lr_a_{}", &secret[1..]),
            format!("lr_a_{secret}0"),
            format!("lr_a_{}", secret.to_uppercase()),
            format!("lr_a_b_{secret}"),
            format!("lr_a_{secret}\n"),
            format!("lr_a_{}é", &secret[2..]),
        ] {
            assert_eq!(Token::parse(&bad).err(), Some(InvalidToken), "{bad:?}");
        }
    }

    #[test]
    fn a_token_never_prints_its_secret() {
        let text = format!("lr_a1_{}", "c".repeat(64));
        let token = Token::parse(&text).unwrap();
        assert_eq!(format!("{token:?}"), "lr_a1_[secret]");
    }
}
