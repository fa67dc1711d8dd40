//! Takes a `$filter` apart, character by character, and says where it cannot.

use std::borrow::Cow;
use std::fmt;

use crate::http::error::shown;

/// Where a text stops being understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misread {
    /// Characters before it.
    pub at: usize,
    /// What would have been understood.
    pub expected: Cow<'static, str>,
    /// What stands there; at most 64 characters of it.
    pub found: String,
}

impl fmt::Display for Misread {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "at character {}: expected {}, found {}", self.at + 1, self.expected, self.found)
    }
}

impl std::error::Error for Misread {}

/// A text, and how far it has been read.
#[derive(Debug)]
pub struct Scanner<'a> {
    text: &'a str,
    /// In bytes.
    at: usize,
}

impl<'a> Scanner<'a> {
    /// Reads from the beginning.
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The place that was reached, to point at later.
    pub fn place(&self) -> usize {
        self.at
    }

    /// Behind any blanks.
    pub fn skip_blanks(&mut self) {
        self.at = self.text.len() - self.rest().trim_start_matches([' ', '\t']).len();
    }

    /// Whether everything was read.
    pub fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Reads this character, if it comes next behind any blanks.
    pub fn takes(&mut self, character: char) -> bool {
        self.skip_blanks();
        self.takes_at_once(character)
    }

    /// Reads this character, if it comes next.
    pub fn takes_at_once(&mut self, character: char) -> bool {
        let there = self.rest().starts_with(character);
        if there {
            self.at += character.len_utf8();
        }
        there
    }

    /// Reads this character behind any blanks, or fails.
    pub fn expect(&mut self, character: char) -> Result<(), Misread> {
        if self.takes(character) { Ok(()) } else { Err(self.misread(format!("'{character}'"))) }
    }

    /// Reads this word, if it comes next behind any blanks and is not the beginning of a longer one.
    pub fn takes_word(&mut self, word: &str) -> bool {
        self.skip_blanks();
        let before = self.at;
        let there = self.word() == word;
        if !there {
            self.at = before;
        }
        there
    }

    /// Reads letters, digits and underscores.
    pub fn word(&mut self) -> &'a str {
        self.run(|character| character.is_ascii_alphanumeric() || character == '_')
    }

    /// Reads characters that a name may have.
    pub fn name(&mut self) -> &'a str {
        self.run(|character| character.is_ascii_alphanumeric() || "._:-".contains(character))
    }

    /// Reads what is not quoted: up to a blank, a comma or a parenthesis.
    pub fn bare(&mut self) -> &'a str {
        self.run(|character| !" \t,()".contains(character))
    }

    fn run(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let run = &rest[..rest.find(|character| !belongs(character)).unwrap_or(rest.len())];
        self.at += run.len();
        run
    }

    /// Reads a string in single quotes; inside, two of them are one. None: there is no such quote.
    pub fn string(&mut self) -> Result<Option<String>, Misread> {
        let start = self.at;
        let Some(inside) = self.rest().strip_prefix('\'') else { return Ok(None) };
        let mut text = String::new();
        let mut characters = inside.char_indices().peekable();
        while let Some((at, character)) = characters.next() {
            if character != '\'' {
                text.push(character);
            } else if characters.next_if(|(_, next)| *next == '\'').is_some() {
                text.push('\'');
            } else {
                self.at = start + 1 + at + 1;
                return Ok(Some(text));
            }
        }
        Err(self.misread_at(start, "a string that ends with a quote; inside, a quote is written twice"))
    }

    /// That something else stands here.
    pub fn misread(&self, expected: impl Into<Cow<'static, str>>) -> Misread {
        self.misread_at(self.at, expected)
    }

    /// The same of an earlier place.
    pub fn misread_at(&self, place: usize, expected: impl Into<Cow<'static, str>>) -> Misread {
        let rest = &self.text[place..];
        let end = rest.char_indices().skip(1).find(|(_, character)| " \t,()".contains(*character));
        let token = &rest[..end.map_or(rest.len(), |(end, _)| end)];
        let found = if rest.is_empty() { "the end".to_owned() } else { format!("\"{}\"", shown(token)) };
        Misread { at: self.text[..place].chars().count(), expected: expected.into(), found }
    }
}
