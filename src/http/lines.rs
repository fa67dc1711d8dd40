//! The lines of a body, as they come: however it is cut into frames, no more of it is kept than a line.

use bytes::{Bytes, BytesMut};

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Its text, without its end.
    Whole(Bytes),
    /// It is longer than a line may be.
    TooLong,
}

/// What has come and was not taken yet.
#[derive(Debug)]
pub(super) struct Lines {
    unread: BytesMut,
    /// So many bytes of it have no end of a line in them.
    searched: usize,
    bytes_max: usize,
    /// The rest of a line that is too long is passed over.
    passing: bool,
}

impl Lines {
    /// None yet; each may have so many bytes.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { unread: BytesMut::new(), searched: 0, bytes_max, passing: false }
    }

    /// More of the body.
    pub(super) fn feed(&mut self, data: &[u8]) {
        self.unread.extend_from_slice(data);
    }

    /// The next line, if all of it is there.
    pub(super) fn next(&mut self) -> Option<Line> {
        let end = self.unread[self.searched..].iter().position(|byte| *byte == b'\n');
        let Some(end) = end.map(|end| self.searched + end) else {
            self.searched = self.unread.len();
            if self.passing || self.unread.len() > self.bytes_max {
                self.passing = true;
                self.unread.clear();
                self.searched = 0;
            }
            return None;
        };
        let mut line = self.unread.split_to(end + 1);
        line.truncate(end);
        self.searched = 0;
        Some(self.line(line))
    }

    /// The last line, which nothing ends but the body.
    pub(super) fn last(&mut self) -> Option<Line> {
        if self.unread.is_empty() && !self.passing {
            return None;
        }
        self.searched = 0;
        let line = self.unread.split();
        Some(self.line(line))
    }

    fn line(&mut self, line: BytesMut) -> Line {
        if std::mem::take(&mut self.passing) || line.len() > self.bytes_max {
            Line::TooLong
        } else {
            Line::Whole(line.freeze())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All lines of a body that comes in frames of so many bytes.
    fn read(body: &str, frame: usize, bytes_max: usize) -> Vec<String> {
        let (mut lines, mut read) = (Lines::new(bytes_max), Vec::new());
        let shown = |line| match line {
            Line::Whole(text) => String::from_utf8(text.to_vec()).unwrap(),
            Line::TooLong => "too long".to_owned(),
        };
        for data in body.as_bytes().chunks(frame) {
            lines.feed(data);
            assert!(lines.unread.len() <= bytes_max + frame, "it keeps more than a line");
            while let Some(line) = lines.next() {
                read.push(shown(line));
            }
        }
        read.extend(lines.last().map(shown));
        assert_eq!(lines.last(), None);
        read
    }

    #[test]
    fn lines_are_the_same_however_they_are_cut() {
        for frame in 1..12 {
            assert_eq!(read("a\n\nbcd\r\ne", frame, 4), ["a", "", "bcd\r", "e"], "{frame}");
            assert_eq!(read("a\n", frame, 4), ["a"], "{frame}");
            assert_eq!(read("", frame, 4), Vec::<String>::new(), "{frame}");
        }
    }

    #[test]
    fn one_that_is_too_long_is_passed_over_and_harms_no_other() {
        for frame in 1..20 {
            assert_eq!(read("abcd\nabcde\nxyz\n", frame, 4), ["abcd", "too long", "xyz"], "{frame}");
            assert_eq!(read("x\nabcdefghijk", frame, 4), ["x", "too long"], "{frame}");
        }
    }
}
