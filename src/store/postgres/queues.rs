//! How the queues stand that a turn concerns. A queue with controls is locked by every turn that concerns it, so that what
//! runs of it is counted by one node at a time.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::columns::{Value, fields};
use super::error::Result;
use super::link::{Answers, Pipeline, Place};
use super::load::{Loading, seqs};
use super::operations::{UNDER_CLAIMS, by_id, by_key};
use crate::operation::{Controls, QueueName, Seq, TenantId};
use crate::store::queue::Standing;
use crate::store::stored::{registry, text};
use crate::store::turn::Touches;

/// The queues of named lanes and claims; of the tenants whose claims ask for every queue; and of the operations that are
/// named by id, key, claim and number.
static CONCERNED: LazyLock<String> = LazyLock::new(|| {
    format!(
        "(q.tenant, q.name) IN (SELECT * FROM unnest($1::text[], $2::text[])) \
         OR q.tenant = ANY ($3) \
         OR (q.tenant, q.name) IN (SELECT l.tenant, l.queue FROM longrun.lane l WHERE l.id IN ( \
             SELECT o.lane FROM longrun.operation o {} \
             UNION ALL SELECT o.lane FROM longrun.operation o {} \
             UNION ALL SELECT le.lane FROM unnest($8::text[], $9::text[], $10::text[]) AS named (tenant, worker, claim) \
                 {UNDER_CLAIMS} JOIN longrun.lane ll ON ll.id = le.lane AND ll.tenant = named.tenant \
             UNION ALL SELECT o.lane FROM longrun.operation o WHERE o.seq = ANY ($11)))",
        by_id([4, 5]),
        by_key([6, 7])
    )
});
static LOCK: LazyLock<String> = LazyLock::new(|| {
    format!("SELECT 1 FROM longrun.queue q WHERE {} ORDER BY q.tenant, q.name FOR UPDATE OF q", *CONCERNED)
});
/// How many of a queue run, and how many wait.
const RUNNING: &str = "(SELECT count(*) FROM longrun.lane l JOIN longrun.lease le ON le.lane = l.id \
     WHERE l.tenant = q.tenant AND l.queue = q.name)";
const WAITING: &str = "(SELECT coalesce(sum(c.n), 0)::bigint FROM longrun.counter c \
     WHERE c.tenant = q.tenant AND c.queue = q.name AND c.status = 0 AND c.external = 0)";
static READ: LazyLock<String> = LazyLock::new(|| {
    let columns = registry::QUEUE.map(|name| format!("q.{name}")).join(", ");
    format!(
        "SELECT {columns}, {RUNNING}, \
         CASE WHEN q.max_waiting IS NULL THEN 0 ELSE {WAITING} END FROM longrun.queue q WHERE {}",
        *CONCERNED
    )
});
/// Those whose controls change, whether they have any or not.
static CHANGING: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT q.tenant, q.name, {RUNNING}, {WAITING} FROM unnest($1::text[], $2::text[]) AS q (tenant, name)"
    )
});
const CONTROLLED_OF: &str =
    "SELECT tenant, count(*) FROM longrun.queue WHERE tenant = ANY ($1) GROUP BY tenant";

/// A queue that gets its first controls has no row that could be locked. So who sets controls waits for all turns with claims,
/// and those that come wait for it: each then sees what the other did.
const SETTING: &str = "LOCK TABLE longrun.queue IN EXCLUSIVE MODE";
const CLAIMING: &str = "LOCK TABLE longrun.queue IN ROW SHARE MODE";

/// The statements about queues.
pub(super) struct Asked {
    concerned: Option<Place>,
    changing: Option<(Place, Place)>,
}

/// Asks for them; where no queue has controls there is nothing to ask.
pub(super) fn ask<'a>(
    pipeline: &mut Pipeline<'a>,
    touches: &'a Touches,
    due: &[Seq],
    controls: bool,
) -> Asked {
    if !touches.queues.is_empty() {
        pipeline.call(SETTING, Vec::new());
    } else if !(touches.wants.is_empty() && touches.waiting.is_empty()) {
        pipeline.call(CLAIMING, Vec::new());
    }
    if !controls {
        return Asked { concerned: None, changing: None };
    }
    let Touches { ids, keys, claims, wants, waiting, queues, lanes, .. } = touches;
    let mut named: HashSet<(&TenantId, &QueueName)> =
        lanes.iter().map(|lane| (&lane.tenant, &lane.queue)).collect();
    named.extend(queues.iter().map(|(tenant, queue)| (tenant, queue)));
    let mut whole: HashSet<&TenantId> = HashSet::new();
    for want in wants.iter().chain(waiting) {
        match &want.queues {
            Some(queues) => named.extend(queues.iter().map(|queue| (&want.tenant, queue))),
            None => {
                whole.insert(&want.tenant);
            }
        }
    }
    let nothing = named.is_empty() && whole.is_empty() && due.is_empty();
    let nothing = nothing && ids.is_empty() && keys.is_empty() && claims.is_empty();
    let concerned = (!nothing).then(|| {
        let values = || {
            vec![
                Value::texts(named.iter().map(|(tenant, _)| tenant.as_str())),
                Value::texts(named.iter().map(|(_, queue)| queue.as_str())),
                Value::texts(whole.iter().map(|tenant| tenant.as_str())),
                Value::texts(ids.iter().map(|(tenant, _)| tenant.as_str())),
                Value::Blobs(ids.iter().map(|(_, id)| Some(&id.0.as_bytes()[..])).collect()),
                Value::texts(keys.iter().map(|(tenant, _)| tenant.as_str())),
                Value::texts(keys.iter().map(|(_, key)| &**key)),
                Value::texts(claims.iter().map(|(tenant, ..)| tenant.as_str())),
                Value::texts(claims.iter().map(|(_, worker, _)| worker.as_str())),
                Value::texts(claims.iter().map(|(.., claim)| claim.as_str())),
                seqs(due),
            ]
        };
        pipeline.call(&LOCK, values());
        pipeline.call(&READ, values())
    });
    let changing = (!queues.is_empty()).then(|| {
        let tenants = || Value::texts(queues.iter().map(|(tenant, _)| tenant.as_str()));
        let changing = Value::texts(queues.iter().map(|(_, queue)| queue.as_str()));
        let standing = pipeline.call(&CHANGING, vec![tenants(), changing]);
        (standing, pipeline.call(CONTROLLED_OF, vec![tenants()]))
    });
    Asked { concerned, changing }
}

impl Loading<'_> {
    /// Keeps how the queues stand. What waits is told where something may come to wait.
    pub(super) fn take_queues(&mut self, answers: &Answers, asked: &Asked) -> Result<()> {
        let loaded = self.set.operations.values().map(|operation| &operation.spec.lane);
        let entered: HashSet<(TenantId, QueueName)> =
            loaded.chain(&self.touches.lanes).map(|lane| (lane.tenant.clone(), lane.queue.clone())).collect();
        for row in asked.concerned.map_or(&[][..], |place| answers.of(place)) {
            let mut fields = fields(row);
            let queue = registry::queue(&mut fields)?;
            let running = fields.small()?;
            let waiting: u64 = fields.small()?;
            let place = (queue.tenant, queue.name);
            let waiting = if entered.contains(&place) { waiting } else { 0 };
            let standing = Standing { controls: queue.controls, running, waiting };
            self.set.queues.insert(&place.0, &place.1, standing);
        }
        let Some((standing, controlled_of)) = asked.changing else { return Ok(()) };
        for row in answers.of(standing) {
            let mut fields = fields(row);
            let (tenant, name) = (text::tenant(fields.text()?)?, text::name(fields.text()?)?);
            let (running, waiting) = (fields.small()?, fields.small()?);
            let known = self.set.queues.get(&tenant, &name);
            let controls = known.map_or(Controls::default(), |standing| standing.controls);
            self.set.queues.insert(&tenant, &name, Standing { controls, running, waiting });
        }
        for (tenant, _) in &self.touches.queues {
            self.set.controlled_of.insert(tenant.clone(), 0);
        }
        for row in answers.of(controlled_of) {
            let mut fields = fields(row);
            self.set.controlled_of.insert(text::tenant(fields.text()?)?, fields.small()?);
        }
        Ok(())
    }
}
