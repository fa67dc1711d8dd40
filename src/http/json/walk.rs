//! Walks JSON that a scan has accepted: every step trusts the grammar, and none can fail.

use super::scan::Checked;
use super::text::plain_run;

pub(super) struct Walker<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Walker<'a> {
    pub(super) fn new(checked: Checked<'a>) -> Self {
        Self { text: checked.text(), at: 0 }
    }

    /// The next byte that is no blank; 0 at the end.
    pub(super) fn peek(&mut self) -> u8 {
        loop {
            match self.byte() {
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                byte => return byte,
            }
        }
    }

    /// Steps over the next byte that is no blank: a bracket, a comma, a colon.
    pub(super) fn step(&mut self) {
        self.peek();
        self.at = (self.at + 1).min(self.text.len());
    }

    /// Steps into a container: true when there is something in it.
    pub(super) fn enter(&mut self) -> bool {
        self.step();
        if matches!(self.peek(), b'}' | b']') {
            self.step();
            return false;
        }
        true
    }

    /// Steps over what follows an element: true when there is another one.
    pub(super) fn another(&mut self) -> bool {
        let more = self.peek() == b',';
        self.step();
        more
    }

    /// The next key as written, without its quotation marks; stops where its value begins.
    pub(super) fn key(&mut self) -> &'a str {
        self.peek();
        let start = self.at + 1;
        self.skip_string();
        let key = self.text.get(start..self.at.saturating_sub(1)).unwrap_or_default();
        self.step();
        self.peek();
        key
    }

    /// The next value as written.
    pub(super) fn value(&mut self) -> Checked<'a> {
        self.peek();
        let start = self.at;
        match self.byte() {
            b'{' | b'[' => self.skip_container(),
            b'"' => self.skip_string(),
            _ => self.skip_word(),
        }
        Checked(&self.text[start..self.at])
    }

    fn byte(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    fn skip_string(&mut self) {
        let bytes = self.text.as_bytes();
        self.at += 1;
        while self.at < bytes.len() {
            self.at += plain_run(&bytes[self.at..]);
            if self.byte() == b'"' {
                self.at += 1;
                return;
            }
            self.at += 2;
        }
        self.at = bytes.len();
    }

    fn skip_word(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
        self.at += rest.iter().position(ends).unwrap_or(rest.len());
    }

    fn skip_container(&mut self) {
        let mut depth = 0_usize;
        loop {
            match self.byte() {
                b'"' => {
                    self.skip_string();
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                0 => return,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return;
            }
        }
    }
}
