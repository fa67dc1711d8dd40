//! Names and identifiers. Each is made only by parsing, so one that exists is valid.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use crate::limits;

/// A text that is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be 1 to {} characters of A-Z a-z 0-9 . _ : - and begin with a letter or digit",
    limits::NAME_BYTES_MAX
)]
pub struct InvalidName;

fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() <= limits::NAME_BYTES_MAX
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._:-".contains(byte))
}

/// A name of the wire: `[A-Za-z0-9][A-Za-z0-9._:-]{0,127}`. Cheap to clone; compares by bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// Reads a name.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        if is_name(text) { Ok(Self(Arc::from(text))) } else { Err(InvalidName) }
    }

    /// The queue of what is submitted without one.
    pub fn default_queue() -> Self {
        Self(Arc::from("default"))
    }

    /// The type of what is submitted without one.
    pub fn default_type() -> Self {
        Self(Arc::from("noop"))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, out)
    }
}

impl serde::Serialize for Name {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Where operations of one concern wait.
pub type QueueName = Name;
/// Which handler carries an operation out.
pub type OperationType = Name;

/// Whose operations. Taken from the caller's credential only; every key of the store begins with it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TenantId(Name);

impl TenantId {
    /// Reads a tenant's name.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        Name::parse(text).map(Self)
    }

    /// The tenant's name as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, out)
    }
}

impl Default for TenantId {
    /// The tenant of a server on which no token was made.
    fn default() -> Self {
        Self(Name(Arc::from("default")))
    }
}

/// An operation's public identifier, a UUID; unique within its tenant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct OperationId(pub Uuid);

/// A text that is not a hyphenated UUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a UUID such as 7986a22f-a22f-7986-2fa2-86792fa28679")]
pub struct InvalidId;

impl OperationId {
    /// A fresh identifier (UUID version 7, which grows with time and so keeps indexes compact).
    pub fn fresh() -> Self {
        Self(Uuid::now_v7())
    }

    /// Reads a hyphenated UUID, in either case.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        // `Uuid` also reads braced, URN and bare forms, which would give one operation several URLs.
        if text.len() != 36 {
            return Err(InvalidId);
        }
        Uuid::try_parse(text).map(Self).map_err(|_| InvalidId)
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.0.as_hyphenated(), out)
    }
}

impl serde::Serialize for OperationId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde::Serialize::serialize(&self.0, serializer)
    }
}

/// The internal number of an operation in its store; never given twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Seq(pub i64);

/// The fencing token of one attempt; of one operation it only grows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct LeaseToken(pub i64);

impl LeaseToken {
    /// The token of the attempt after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A text that is not 1 to 128 printable ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to {} printable ASCII characters", limits::NAME_BYTES_MAX)]
pub struct InvalidTag;

/// What a worker calls itself, or one of its claims: 1 to 128 printable ASCII characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Tag(Arc<str>);

impl Tag {
    /// Reads a tag.
    pub fn parse(text: &str) -> Result<Self, InvalidTag> {
        let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if text.is_empty() || text.len() > limits::NAME_BYTES_MAX || !printable {
            return Err(InvalidTag);
        }
        Ok(Self(Arc::from(text)))
    }

    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One worker process, by a name that is fresh at each of its starts.
pub type WorkerId = Tag;
/// One claim of a worker, so that a lost answer can be asked for again.
pub type ClaimId = Tag;

/// What a claim asks for by: one queue's operations of one type, of one tenant.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Lane {
    /// Whose operations.
    pub tenant: TenantId,
    /// The queue.
    pub queue: QueueName,
    /// The type.
    pub operation_type: OperationType,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_the_wire_allows() {
        for good in ["a", "7", "media.thumbs:v2_x-1", &"n".repeat(128)] {
            assert!(Name::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", ".a", "a b", "a\0", "é", &"n".repeat(129)] {
            assert!(Name::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_id_is_a_hyphenated_uuid_written_in_lower_case() {
        let id = OperationId::parse("7986A22F-a22f-7986-2fa2-86792fa28679").unwrap();
        assert_eq!(id.to_string(), "7986a22f-a22f-7986-2fa2-86792fa28679");
        assert!(OperationId::parse("7986a22fa22f79862fa286792fa28679").is_err());
        assert!(OperationId::parse("{7986a22f-a22f-7986-2fa2-86792fa2867}").is_err());
    }
}
