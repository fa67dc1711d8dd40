//! Where in a trace an operation was submitted: the `traceparent` of W3C Trace Context.

use std::fmt;

use serde::ser::{Serialize, Serializer};

/// The span of the caller, which the work on its operation belongs below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traceparent {
    /// Of the whole trace; never all zeros.
    pub trace_id: [u8; 16],
    /// Of the caller's span; never all zeros.
    pub span_id: [u8; 8],
    /// The trace's flags; the lowest says that it is recorded.
    pub flags: u8,
}

impl Traceparent {
    /// Reads the header's value (Trace Context, 3.2). Of a version later than 00 the parts that it shares with it count.
    pub fn parse(text: &str) -> Option<Self> {
        let (version, rest) = text.split_once('-')?;
        let [version] = hex(version)?;
        let mut parts = rest.split('-');
        let (trace_id, span_id, flags) = (parts.next()?, parts.next()?, parts.next()?);
        let more = parts.next().is_some();
        let ([flags], trace_id, span_id) = (hex(flags)?, hex(trace_id)?, hex(span_id)?);
        let fits = version != 0xff && !(version == 0 && more);
        (fits && trace_id != [0; 16] && span_id != [0; 8]).then_some(Self { trace_id, span_id, flags })
    }

    /// Whether the caller records the trace: then so should everyone below it.
    pub fn is_sampled(&self) -> bool {
        self.flags & 1 == 1
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace_id, span_id) = (u128::from_be_bytes(self.trace_id), u64::from_be_bytes(self.span_id));
        write!(out, "00-{trace_id:032x}-{span_id:016x}-{:02x}", self.flags)
    }
}

impl Serialize for Traceparent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Bytes in lower-case hexadecimal digits, as many as there must be.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    if pairs.len() != N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_is_one_is_read_and_written_alike() {
        let read = Traceparent::parse(SAMPLED).unwrap();
        assert!(read.is_sampled());
        assert_eq!((read.trace_id[0], read.span_id[7]), (0x4b, 0xb7));
        assert_eq!(read.to_string(), SAMPLED);
        let later = Traceparent::parse("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-and-more");
        assert_eq!(later, Some(read));
        let unrecorded = Traceparent::parse(&SAMPLED.replace("-01", "-00")).unwrap();
        assert!(!unrecorded.is_sampled());
    }

    #[test]
    fn what_is_none_is_not() {
        for bad in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e47360-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\u{e9}",
        ] {
            assert_eq!(Traceparent::parse(bad), None, "{bad}");
        }
    }
}
