//! What a worker and a guard tell each other over the socket between them.
//!
//! The worker begins with a [`Parcel`] and may send [`TERMINATE`] later; its end of the socket closes when
//! it is gone. The guard answers in lines: `started PID`, and in the end `exited CODE`, `signaled NUMBER` or
//! `failed MESSAGE`.

use std::io::{self, Read};

/// The one order: SIGTERM now, SIGKILL [`KILL_AFTER`](super::super::KILL_AFTER).
pub(crate) const TERMINATE: &[u8] = b"t";
/// In place of the length of a checkpoint that is not there.
const ABSENT: u64 = u64::MAX;

/// What the program is to be given.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parcel {
    pub(crate) input: Vec<u8>,
    pub(crate) checkpoint: Option<Vec<u8>>,
}

impl Parcel {
    /// The two lengths, then the two contents.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let checkpoint = self.checkpoint.as_deref();
        let lengths = [self.input.len() as u64, checkpoint.map_or(ABSENT, |bytes| bytes.len() as u64)];
        let mut bytes: Vec<u8> = lengths.iter().flat_map(|length| length.to_be_bytes()).collect();
        bytes.extend_from_slice(&self.input);
        bytes.extend_from_slice(checkpoint.unwrap_or_default());
        bytes
    }

    /// The same, read.
    pub(super) fn read(from: &mut impl Read) -> io::Result<Self> {
        let (input, checkpoint) = (read_length(from)?, read_length(from)?);
        let input = read_content(from, input)?;
        let checkpoint = (checkpoint != ABSENT).then(|| read_content(from, checkpoint)).transpose()?;
        Ok(Self { input, checkpoint })
    }
}

fn read_length(from: &mut impl Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    from.read_exact(&mut bytes)?;
    Ok(u64::from_be_bytes(bytes))
}

fn read_content(from: &mut impl Read, length: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    from.take(length).read_to_end(&mut content)?;
    if content.len() as u64 == length { Ok(content) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// What the guard says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// The program runs, as the leader of the process group of this number.
    Started(u32),
    /// It has ended by itself, with this status, and nothing is left of it.
    Exited(i32),
    /// It has ended by a signal of this number, and nothing is left of it.
    Signaled(i32),
    /// It was not run, or its end could not be seen.
    Failed(String),
}

impl Said {
    pub(super) fn line(&self) -> String {
        match self {
            Self::Started(group) => format!("started {group}\n"),
            Self::Exited(code) => format!("exited {code}\n"),
            Self::Signaled(signal) => format!("signaled {signal}\n"),
            Self::Failed(message) => format!("failed {}\n", message.replace('\n', " ")),
        }
    }

    /// Reads a line.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let (word, value) = line.trim_end_matches('\n').split_once(' ')?;
        match word {
            "started" => value.parse().ok().map(Self::Started),
            "exited" => value.parse().ok().map(Self::Exited),
            "signaled" => value.parse().ok().map(Self::Signaled),
            "failed" => Some(Self::Failed(value.to_owned())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        for checkpoint in [None, Some(Vec::new()), Some(b"{}".to_vec())] {
            let parcel = Parcel { input: b"[1]".to_vec(), checkpoint };
            let bytes = parcel.bytes();
            assert_eq!(Parcel::read(&mut bytes.as_slice()).unwrap(), parcel);
            assert!(Parcel::read(&mut &bytes[..bytes.len() - 1]).is_err(), "half a parcel is none");
        }
        for said in [Said::Started(7), Said::Exited(-1), Said::Signaled(9), Said::Failed("a b".to_owned())] {
            assert_eq!(Said::parse(&said.line()), Some(said));
        }
        assert_eq!(Said::parse("gone 1\n"), None);
    }
}
