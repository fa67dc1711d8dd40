//! A place in the order of commits, opaque to clients: `<epoch>-<n>`.

use std::fmt;

/// Cursor of an event. `n` counts in commit order; the epoch changes when a backup is restored, so that an old cursor
/// is known to be of another history.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Cursor {
    /// 32 random bits of this history.
    pub epoch: u32,
    /// The event's number.
    pub n: i64,
}

/// A text that is not a cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of this server")]
pub struct InvalidCursor;

impl Cursor {
    /// Reads `<epoch>-<n>`, eight hexadecimal digits and a decimal count.
    pub fn parse(text: &str) -> Result<Self, InvalidCursor> {
        let (epoch, n) = text.split_once('-').ok_or(InvalidCursor)?;
        let plain = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if epoch.len() != 8 || !plain(epoch) || !plain(n) {
            return Err(InvalidCursor);
        }
        let epoch = u32::from_str_radix(epoch, 16).map_err(|_| InvalidCursor)?;
        let n = n.parse().map_err(|_| InvalidCursor)?;
        Ok(Self { epoch, n })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:08x}-{}", self.epoch, self.n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let cursor = Cursor { epoch: 0xBEEF, n: 42 };
        assert_eq!(cursor.to_string(), "0000beef-42");
        assert_eq!(Cursor::parse("0000beef-42"), Ok(cursor));
        for bad in ["", "42", "beef-42", "0000beef-", "0000beef--1", "0000beef-x", "+000beef-1"] {
            assert_eq!(Cursor::parse(bad), Err(InvalidCursor), "{bad}");
        }
    }
}
