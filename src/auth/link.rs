//! The link: what shows one operation to whoever has it, with no token.
//!
//! A link says itself what it opens, and a signature says that this server made it so. Nothing of it is stored: it ends
//! by its own time, with its operation, and when the links of that operation are ended, which the operation counts.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;

use crate::limits;
use crate::operation::{Operation, OperationId, Seq, TenantId, Timestamp};
use crate::store::credential::LinkKey;

/// What the first byte of a link says: how the others are to be read.
const VERSION: u8 = 1;
/// Bytes of a link's signature.
const TAG_BYTES: usize = 32;
/// Bytes of a link before the tenant's name: version, id, number, count, end.
const HEAD_BYTES: usize = 1 + 16 + 8 + 4 + 8;
/// Characters of the longest link.
const CHARS_MAX: usize = (HEAD_BYTES + limits::NAME_BYTES_MAX + TAG_BYTES).div_ceil(3) * 4;

/// What one link opens, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Whose operation.
    pub tenant: TenantId,
    /// Which, by its public name,
    pub id: OperationId,
    /// and by its number: what is made later under the same name is another one.
    pub seq: Seq,
    /// How often its links had been ended when this one was made.
    pub ended: u32,
    /// When it ends by itself.
    pub expires: Timestamp,
}

impl Link {
    /// One to this operation, until then.
    pub fn to(operation: &Operation, expires: Timestamp) -> Self {
        Self {
            tenant: operation.tenant().clone(),
            id: operation.spec.id,
            seq: operation.seq,
            ended: operation.links_ended,
            expires,
        }
    }

    /// Whether it opens an operation that was found by its tenant and name.
    pub fn opens(&self, operation: &Operation, now: Timestamp) -> bool {
        (self.seq, self.ended) == (operation.seq, operation.links_ended) && now < self.expires
    }
}

/// What makes links and knows its own.
#[derive(Clone)]
pub struct Links {
    key: Hmac<Sha256>,
}

impl Links {
    /// That of a store. With its epoch all links end: after a backup was restored nobody knows any more which had been
    /// ended since.
    pub fn new(key: LinkKey, epoch: u32) -> Self {
        let key = Hmac::new_from_slice(&key.0).map(|mut key: Hmac<Sha256>| {
            key.update(&epoch.to_be_bytes());
            key
        });
        // HMAC takes keys of any length.
        Self { key: key.unwrap_or_else(|_| unreachable!("a key of 32 bytes")) }
    }

    /// The text of a link, fit for a URL.
    pub fn write(&self, link: &Link) -> String {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + limits::NAME_BYTES_MAX + TAG_BYTES);
        bytes.push(VERSION);
        bytes.extend(link.id.0.as_bytes());
        bytes.extend(link.seq.0.to_be_bytes());
        bytes.extend(link.ended.to_be_bytes());
        bytes.extend(link.expires.ticks().to_be_bytes());
        bytes.extend(link.tenant.as_str().as_bytes());
        let tag = self.key.clone().chain_update(&bytes).finalize().into_bytes();
        bytes.extend(tag);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a link that was made here. What is not, and what was changed, is none: which of them is not told.
    pub fn read(&self, text: &str) -> Option<Link> {
        if text.len() > CHARS_MAX {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (said, tag) = bytes.split_at_checked(bytes.len().checked_sub(TAG_BYTES)?)?;
        // In constant time.
        self.key.clone().chain_update(said).verify_slice(tag).ok()?;
        let (version, said) = said.split_first()?;
        let (id, said) = said.split_first_chunk()?;
        let (seq, said) = said.split_first_chunk()?;
        let (ended, said) = said.split_first_chunk()?;
        let (expires, tenant) = said.split_first_chunk()?;
        (*version == VERSION).then_some(Link {
            tenant: TenantId::parse(std::str::from_utf8(tenant).ok()?).ok()?,
            id: OperationId(Uuid::from_bytes(*id)),
            seq: Seq(i64::from_be_bytes(*seq)),
            ended: u32::from_be_bytes(*ended),
            expires: Timestamp::from_ticks(i64::from_be_bytes(*expires)),
        })
    }
}

impl fmt::Debug for Links {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Links").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Link {
        Link {
            tenant: TenantId::parse("acme").unwrap(),
            id: OperationId::fresh(),
            seq: Seq(7),
            ended: 2,
            expires: Timestamp::from_ticks(1 << 60),
        }
    }

    #[test]
    fn a_link_is_read_as_it_was_written_and_fits_into_a_url() {
        let links = Links::new(LinkKey([7; 32]), 1);
        let longest = TenantId::parse(&"a".repeat(limits::NAME_BYTES_MAX)).unwrap();
        for link in [link(), Link { tenant: longest, ..link() }] {
            let text = links.write(&link);
            assert!(text.len() <= CHARS_MAX && text.len() < limits::URI_BYTES_MAX / 8);
            assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{text}");
            assert_eq!(links.read(&text), Some(link));
        }
    }

    #[test]
    fn whatever_is_changed_in_it_it_is_none() {
        let links = Links::new(LinkKey([7; 32]), 1);
        let text = links.write(&link());
        for at in 0..text.len() {
            for other in ['A', 'B', '-', '='] {
                let mut changed: Vec<char> = text.chars().collect();
                if std::mem::replace(&mut changed[at], other) != other {
                    let changed: String = changed.into_iter().collect();
                    assert_eq!(links.read(&changed), None, "{at}: {changed}");
                }
            }
        }
        for bad in ["", "A", &text[1..], &text[..text.len() - 1], &format!("{text}A"), &"A".repeat(9000)] {
            assert_eq!(links.read(bad), None, "{bad}");
        }
    }

    #[test]
    fn another_store_and_a_restored_one_know_none_of_it() {
        let text = Links::new(LinkKey([7; 32]), 1).write(&link());
        assert_eq!(Links::new(LinkKey([8; 32]), 1).read(&text), None);
        assert_eq!(Links::new(LinkKey([7; 32]), 2).read(&text), None);
    }

    #[test]
    fn neither_key_nor_signer_is_ever_printed() {
        assert_eq!(
            format!("{:?} {:?}", LinkKey([7; 32]), Links::new(LinkKey([7; 32]), 1)),
            "LinkKey Links { .. }"
        );
    }
}
