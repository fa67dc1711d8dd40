//! The one pass over a request's bytes that decides whether they are JSON we take.
//!
//! The grammar is RFC 8259's in full, so that nothing behind it can fail on syntax. Strictness adds what parsers disagree
//! on: a depth, keys that stand twice in one object (compared unescaped), and surrogates without their other half.

use smallvec::SmallVec;

use super::flaw::{Flaw, FlawKind};
use super::text::{plain_run, unescape};
use crate::limits;

/// Up to so many keys of an object are compared pair by pair; more are sorted first.
const PAIRWISE_KEYS: usize = 16;

/// JSON that a scan has accepted.
#[derive(Clone, Copy, Debug)]
pub struct Checked<'a>(pub(super) &'a str);

impl<'a> Checked<'a> {
    /// The text, without blanks around it.
    pub fn text(self) -> &'a str {
        self.0
    }
}

/// Scans a whole document and refuses it at its first flaw.
pub fn scan(body: &[u8]) -> Result<Checked<'_>, Flaw> {
    scan_parts(body, None).map(|(checked, _)| checked)
}

/// Scans a document in which one field holds an array of parts that stand for themselves: what strictness refuses inside
/// one of them is noted, at most once a part, and harms no other. Everything else is refused as by [`scan`].
pub fn scan_parts<'a>(body: &'a [u8], parts: Option<&str>) -> Result<(Checked<'a>, Vec<Flaw>), Flaw> {
    let text = std::str::from_utf8(body).map_err(|error| Flaw {
        at: error.valid_up_to(),
        kind: FlawKind::NotUtf8,
        field: None,
    })?;
    let mut scanner = Scanner {
        text,
        bytes: body,
        at: 0,
        open: SmallVec::new(),
        keys: SmallVec::new(),
        field: None,
        parts,
        part_start: 0,
        noted: Vec::new(),
    };
    scanner.document()?;
    Ok((Checked(text.trim_matches([' ', '\t', '\n', '\r'])), scanner.noted))
}

/// One open array or object.
#[derive(Clone, Copy)]
struct Frame {
    object: bool,
    /// Where its keys begin among those of all open objects.
    keys: usize,
}

#[derive(Clone, Copy)]
struct Key {
    start: usize,
    end: usize,
    escaped: bool,
}

struct Scanner<'a, 'p> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    open: SmallVec<[Frame; 16]>,
    keys: SmallVec<[Key; 32]>,
    /// The key of the outermost object that is being read.
    field: Option<Key>,
    parts: Option<&'p str>,
    /// Where the part that is being read begins.
    part_start: usize,
    noted: Vec<Flaw>,
}

impl Scanner<'_, '_> {
    fn document(&mut self) -> Result<(), Flaw> {
        self.skip_blanks();
        loop {
            if self.begin_value()? && self.after_value()? {
                return Ok(());
            }
        }
    }

    /// Reads a scalar, or opens a container. True when a value has ended with it.
    fn begin_value(&mut self) -> Result<bool, Flaw> {
        if self.open.len() == 2 {
            self.part_start = self.at;
        }
        match self.peek() {
            Some(b'"') => self.string().map(|_| true),
            Some(b'{') => {
                self.open_container(true)?;
                self.skip_blanks();
                if self.peek() == Some(b'}') {
                    return self.close_container().map(|()| true);
                }
                self.key().map(|()| false)
            }
            Some(b'[') => {
                self.open_container(false)?;
                self.skip_blanks();
                if self.peek() == Some(b']') {
                    return self.close_container().map(|()| true);
                }
                Ok(false)
            }
            Some(b'-' | b'0'..=b'9') => self.number().map(|()| true),
            Some(b't') => self.literal(b"true").map(|()| true),
            Some(b'f') => self.literal(b"false").map(|()| true),
            Some(b'n') => self.literal(b"null").map(|()| true),
            _ => Err(self.expected("a value")),
        }
    }

    /// Reads on to where the next value begins. True when the document has ended.
    fn after_value(&mut self) -> Result<bool, Flaw> {
        loop {
            self.skip_blanks();
            let Some(frame) = self.open.last() else {
                return if self.at == self.bytes.len() {
                    Ok(true)
                } else {
                    Err(self.expected("nothing more"))
                };
            };
            match (self.peek(), frame.object) {
                (Some(b','), object) => {
                    self.at += 1;
                    self.skip_blanks();
                    if object {
                        self.key()?;
                    }
                    return Ok(false);
                }
                (Some(b'}'), true) | (Some(b']'), false) => self.close_container()?,
                (_, true) => return Err(self.expected("',' or '}'")),
                (_, false) => return Err(self.expected("',' or ']'")),
            }
        }
    }

    fn open_container(&mut self, object: bool) -> Result<(), Flaw> {
        if self.open.len() >= limits::JSON_DEPTH_READ_MAX {
            return Err(self.flaw(self.at, FlawKind::TooDeep));
        }
        if self.open.len() == limits::JSON_DEPTH_MAX {
            self.strict(self.at, FlawKind::TooDeep)?;
        }
        self.open.push(Frame { object, keys: self.keys.len() });
        self.at += 1;
        Ok(())
    }

    fn close_container(&mut self) -> Result<(), Flaw> {
        self.at += 1;
        let Some(frame) = self.open.last().copied() else { return Ok(()) };
        if frame.object {
            if let Some(twice) = self.key_that_stands_twice(frame.keys) {
                if self.open.len() == 1 {
                    self.field = Some(twice);
                }
                self.strict(twice.start, FlawKind::TwiceTheKey)?;
            }
            self.keys.truncate(frame.keys);
        }
        self.open.pop();
        Ok(())
    }

    fn key_that_stands_twice(&self, first: usize) -> Option<Key> {
        let keys = &self.keys[first..];
        if keys.len() < 2 {
            return None;
        }
        if keys.len() <= PAIRWISE_KEYS && keys.iter().all(|key| !key.escaped) {
            let text = |key: &Key| &self.bytes[key.start..key.end];
            return keys
                .iter()
                .enumerate()
                .find(|(n, key)| keys[..*n].iter().any(|earlier| text(earlier) == text(key)))
                .map(|(_, key)| *key);
        }
        let mut sorted: Vec<_> =
            keys.iter().map(|key| (unescape(&self.text[key.start..key.end]), key)).collect();
        sorted.sort_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()).then(a.1.start.cmp(&b.1.start)));
        sorted
            .windows(2)
            .filter(|pair| pair[0].0 == pair[1].0)
            .map(|pair| *pair[1].1)
            .min_by_key(|key| key.start)
    }

    /// Reads a key and its colon, up to where the value begins.
    fn key(&mut self) -> Result<(), Flaw> {
        if self.peek() != Some(b'"') {
            return Err(self.expected("a key in quotation marks"));
        }
        let start = self.at + 1;
        let escaped = self.string()?;
        let key = Key { start, end: self.at - 1, escaped };
        self.keys.push(key);
        if self.open.len() == 1 {
            self.field = Some(key);
        }
        self.skip_blanks();
        if self.peek() != Some(b':') {
            return Err(self.expected("':'"));
        }
        self.at += 1;
        self.skip_blanks();
        Ok(())
    }

    /// Reads a string; true when it has escapes.
    fn string(&mut self) -> Result<bool, Flaw> {
        self.at += 1;
        let mut escaped = false;
        loop {
            self.at += plain_run(&self.bytes[self.at..]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return Err(self.expected("control characters to be escaped")),
                None => return Err(self.expected("the string to end")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Flaw> {
        let start = self.at;
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 1;
                Ok(())
            }
            Some(b'u') => match self.unit()? {
                0xD800..=0xDBFF => {
                    if self.bytes[self.at..].starts_with(b"\\u") {
                        self.at += 1;
                        let second = self.at;
                        if (0xDC00..=0xDFFF).contains(&self.unit()?) {
                            return Ok(());
                        }
                        // What follows is no second half: it is read again, for itself.
                        self.at = second - 1;
                    }
                    self.strict(start, FlawKind::LoneSurrogate)
                }
                0xDC00..=0xDFFF => self.strict(start, FlawKind::LoneSurrogate),
                _ => Ok(()),
            },
            _ => Err(self.expected("an escape such as \\n or \\u0041")),
        }
    }

    /// Reads `uXXXX`.
    fn unit(&mut self) -> Result<u16, Flaw> {
        self.at += 1;
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            let Some(digit) = digit.and_then(|digit| u16::try_from(digit).ok()) else {
                return Err(self.expected("four hexadecimal digits"));
            };
            unit = unit << 4 | digit;
            self.at += 1;
        }
        Ok(unit)
    }

    fn number(&mut self) -> Result<(), Flaw> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Flaw> {
        let run = self.bytes[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += run;
        if run == 0 { Err(self.expected("a digit")) } else { Ok(()) }
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), Flaw> {
        if self.bytes[self.at..].starts_with(word) {
            self.at += word.len();
            Ok(())
        } else {
            Err(self.expected("a value"))
        }
    }

    fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// What strictness refuses: noted inside of a part that stands for itself, else the end.
    fn strict(&mut self, at: usize, kind: FlawKind) -> Result<(), Flaw> {
        let flaw = self.flaw(at, kind);
        let in_part = self.open.len() > 2
            && !self.open[1].object
            && self.parts.is_some_and(|parts| self.field_text() == Some(parts));
        if !in_part || self.noted.len() >= limits::REPORTS_MAX {
            return Err(flaw);
        }
        if self.noted.last().is_none_or(|last| last.at < self.part_start) {
            self.noted.push(flaw);
        }
        Ok(())
    }

    fn expected(&self, what: &'static str) -> Flaw {
        let kind = if self.at >= self.bytes.len() { FlawKind::Truncated } else { FlawKind::Expected(what) };
        self.flaw(self.at.min(self.bytes.len()), kind)
    }

    fn flaw(&self, at: usize, kind: FlawKind) -> Flaw {
        Flaw { at, kind, field: self.field_text().map(str::to_owned) }
    }

    fn field_text(&self) -> Option<&str> {
        self.field.map(|key| &self.text[key.start..key.end])
    }
}
