//! Large answers that their clients have not read yet. Each is memory for as long as its client likes, so they are counted, and
//! where there are too many the next is refused. Small ones go where the system keeps what it sends.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::counts::Counts;
use super::error::ApiError;
use crate::limits;
use crate::operation::TenantId;

/// Bytes of them, by whose they are.
#[derive(Debug, Default)]
pub(super) struct Unread(Counts<TenantId>);

impl Unread {
    /// 429 where the largest page may find no room any more: whoever does not read has none made for him in vain.
    pub(super) fn expect_page(&self, tenant: &TenantId) -> Result<(), ApiError> {
        fits(&self.0.lock(), tenant, limits::LIST_BYTES_MAX)
    }

    /// The bytes of an answer, counted until the last of them was handed on; 429 where as many as may are unread.
    pub(super) fn hold(self: &Arc<Self>, tenant: &TenantId, mut bytes: Vec<u8>) -> Result<Bytes, ApiError> {
        let size = bytes.len();
        if size < limits::UNREAD_COUNTED_BYTES_MIN {
            return Ok(bytes.into());
        }
        let mut counts = self.0.lock();
        fits(&counts, tenant, size)?;
        *counts.entry(tenant.clone()).or_default() += size;
        drop(counts);
        bytes.shrink_to_fit();
        Ok(Bytes::from_owner(Held { bytes, unread: self.clone(), tenant: tenant.clone() }))
    }
}

/// Whether so many bytes more may be unread.
fn fits(counts: &HashMap<TenantId, usize>, tenant: &TenantId, size: usize) -> Result<(), ApiError> {
    let (all, own) = (counts.values().sum::<usize>(), counts.get(tenant).copied().unwrap_or_default());
    if all + size > limits::UNREAD_BYTES_MAX || own + size > limits::UNREAD_BYTES_MAX / 2 {
        return Err(ApiError::too_many("as many bytes of answers as may are unread yet"));
    }
    Ok(())
}

/// One answer, which is counted while it is there.
struct Held {
    bytes: Vec<u8>,
    unread: Arc<Unread>,
    tenant: TenantId,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.unread.0.give_back(&self.tenant, self.bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::error::Code;

    const PART: usize = limits::UNREAD_BYTES_MAX / 8;

    #[test]
    fn a_tenant_has_half_of_the_room_and_all_have_no_more_than_there_is() {
        let unread = Arc::new(Unread::default());
        let [one, other, third] = ["one", "other", "third"].map(|name| TenantId::parse(name).unwrap());
        let take = |tenant: &TenantId, bytes| unread.hold(tenant, vec![b'x'; bytes]);
        let mut held: Vec<_> = (0..3).map(|_| take(&one, PART).unwrap()).collect();
        held.push(take(&one, PART - 1).unwrap());
        assert_eq!(take(&one, PART).unwrap_err().code(), Code::TooManyRequests);
        unread.expect_page(&other).unwrap();
        assert!(unread.expect_page(&one).is_err());
        // What is small is no matter.
        take(&one, limits::UNREAD_COUNTED_BYTES_MIN - 1).unwrap();
        let others: Vec<_> = (0..4).map(|_| take(&other, PART).unwrap()).collect();
        assert!(take(&third, PART).is_err());
        // A part of it is all of it.
        let rest = held.pop().unwrap().split_off(PART / 2);
        assert!(take(&one, PART).is_err());
        drop(rest);
        held.push(take(&one, PART).unwrap());
        drop((held, others));
        assert!(unread.0.lock().is_empty());
    }
}
