//! What a program writes to stderr: lines of progress, checkpoints, and whatever else tells people how it went.
//!
//! ```text
//! percent=40
//! percent=40 detail=page 4 of 10
//! checkpoint={"page": 4}
//! ```
//!
//! Such a line is taken for what it says; every other one is kept, the last of them, for the error.

use crate::wire::Json;

use super::json;

/// The protocol's bound on a checkpoint.
const CHECKPOINT_BYTES_MAX: usize = 64 * 1024;
/// A longer line says nothing to the worker.
const LINE_BYTES_MAX: usize = "checkpoint=".len() + CHECKPOINT_BYTES_MAX;
/// What is kept of the rest: enough for a message and a trace, and a quarter of what an error may have.
const TAIL_BYTES_MAX: usize = 4 * 1024;

/// What a line says to the worker.
#[derive(Debug)]
pub(super) enum Line {
    Progress { percent: f64, detail: Option<String> },
    Checkpoint(Json),
}

impl Line {
    fn parse(line: &str) -> Option<Self> {
        if let Some(value) = line.strip_prefix("checkpoint=") {
            return json::parse(value)
                .filter(|json| json.get().len() <= CHECKPOINT_BYTES_MAX)
                .map(Self::Checkpoint);
        }
        let value = line.strip_prefix("percent=")?;
        let (percent, detail) = match value.split_once(' ') {
            Some((percent, rest)) => (percent, Some(rest.strip_prefix("detail=")?.to_owned())),
            None => (value, None),
        };
        // `inf`, `1e1` and the like are numbers to Rust only.
        let plain = percent.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let percent = percent.parse().ok().filter(|percent| plain && (0.0..=100.0).contains(percent))?;
        Some(Self::Progress { percent, detail })
    }
}

/// Takes stderr in pieces as they are read.
#[derive(Debug, Default)]
pub(super) struct Stderr {
    /// The line that is not at its end yet.
    line: Vec<u8>,
    /// It is longer than any that says something: its rest goes to the tail.
    overlong: bool,
    tail: Vec<u8>,
}

impl Stderr {
    /// Takes what was read, and gives each line that says something to `said`.
    pub(super) fn take(&mut self, bytes: &[u8], mut said: impl FnMut(Line)) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                self.end_line(&mut said);
            } else if self.overlong || self.line.len() > LINE_BYTES_MAX {
                self.overlong = true;
                self.keep();
            }
        }
    }

    /// What is left in the end: the last of all lines that said nothing to the worker.
    pub(super) fn tail(mut self, said: impl FnMut(Line)) -> String {
        self.end_line(said);
        String::from_utf8_lossy(&self.tail).trim().to_owned()
    }

    fn end_line(&mut self, mut said: impl FnMut(Line)) {
        let text = str::from_utf8(&self.line).ok().filter(|_| !self.overlong);
        match text.and_then(|text| Line::parse(text.trim_end_matches(['\r', '\n']))) {
            Some(line) => {
                said(line);
                self.line.clear();
            }
            None => self.keep(),
        }
        self.overlong = false;
    }

    /// Puts the line, as far as it is there, into the tail.
    fn keep(&mut self) {
        self.tail.append(&mut self.line);
        if self.tail.len() > TAIL_BYTES_MAX {
            let from = self.tail.len() - TAIL_BYTES_MAX;
            // Not in the middle of a character.
            let inside = self.tail[from..].iter().take_while(|&&byte| byte & 0xc0 == 0x80).count();
            self.tail.drain(..from + inside);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is understood of these pieces, and what is kept.
    fn take(pieces: &[&[u8]]) -> (Vec<String>, String) {
        let mut understood = Vec::new();
        let mut said = |line: Line| {
            understood.push(match line {
                Line::Progress { percent, detail } => format!("{percent} {detail:?}"),
                Line::Checkpoint(json) => json.get().to_owned(),
            });
        };
        let mut stderr = Stderr::default();
        for piece in pieces {
            stderr.take(piece, &mut said);
        }
        let tail = stderr.tail(&mut said);
        (understood, tail)
    }

    #[test]
    fn lines_of_the_format_are_understood_wherever_they_are_cut() {
        let text =
            b"percent=40\npercent=41.5 detail=page 4 = half\r\ncheckpoint={\"page\": 4}\npercent=100 detail=";
        let expected = ["40 None", "41.5 Some(\"page 4 = half\")", "{\"page\": 4}", "100 Some(\"\")"];
        for cut in 0..text.len() {
            let (understood, tail) = take(&[&text[..cut], &text[cut..]]);
            assert_eq!(
                (understood, tail.as_str()),
                (expected.map(str::to_owned).to_vec(), ""),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn whatever_is_not_of_the_format_is_kept() {
        for line in [
            "percent=",
            "percent=101",
            "percent=-1",
            "percent=nan",
            "percent=1e1",
            "percent=4 0",
            "percent=4  detail=a",
            "Percent=4",
            "checkpoint=",
            "checkpoint={",
            "detail=a",
            "at 40 percent=40",
        ] {
            assert_eq!(take(&[line.as_bytes(), b"\n"]), (Vec::new(), line.to_owned()));
        }
        assert_eq!(take(&[b"a\xff\xfeb"]).1, "a\u{fffd}\u{fffd}b");
    }

    #[test]
    fn a_checkpoint_has_a_bound() {
        let checkpoint = |bytes: usize| format!("checkpoint=\"{}\"\n", "x".repeat(bytes - 2));
        assert_eq!(take(&[checkpoint(CHECKPOINT_BYTES_MAX).as_bytes()]).0.len(), 1);
        let (understood, tail) = take(&[checkpoint(CHECKPOINT_BYTES_MAX + 1).as_bytes()]);
        assert_eq!((understood.len(), tail.len()), (0, TAIL_BYTES_MAX - 1), "kept but for its line break");
    }

    #[test]
    fn a_flood_without_an_end_is_kept_in_bounds_and_ends_with_its_line() {
        let mut stderr = Stderr::default();
        let mut understood = 0;
        for _ in 0..100 {
            stderr.take("ä".repeat(5_000).as_bytes(), |_| understood += 1);
            assert!(stderr.line.len() <= LINE_BYTES_MAX + 10_000 && stderr.tail.len() <= TAIL_BYTES_MAX);
        }
        stderr.take(b"percent=4\npercent=5\nlast words", |_| understood += 1);
        assert_eq!(understood, 1, "the line that was the flood's own end is no line of the format");
        let tail = stderr.tail(|_| ());
        assert!(tail.starts_with('ä') && tail.ends_with("percent=4\nlast words"), "{tail}");
    }
}
