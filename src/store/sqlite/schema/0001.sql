-- Instants are counts of 100 ns since 1970. Statuses, outcomes, holds, kinds and doors are the codes of codes.rs.
-- Users' JSON is kept as the bytes that were sent. Every key begins with the tenant, or with what only one tenant has.

-- The hot row. What nearly every row has stands first, what is rare last: a null at the end costs one byte.
CREATE TABLE operation (
    seq INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    id BLOB NOT NULL,
    lane INTEGER NOT NULL,
    status INTEGER NOT NULL,
    hold INTEGER NOT NULL,              -- 0: none; such a row, NotStarted, is ready
    urgency INTEGER NOT NULL,           -- the priority, negated: smaller goes first
    ready_at INTEGER,                   -- while NotStarted
    wake_at INTEGER,                    -- the earliest moment at which time itself acts on this row
    version INTEGER NOT NULL,
    cursor INTEGER NOT NULL,            -- of its last event
    token INTEGER NOT NULL,             -- the last one given
    attempts INTEGER NOT NULL,
    max_attempts INTEGER NOT NULL,
    external INTEGER NOT NULL,
    created INTEGER NOT NULL,           -- what the client says
    received INTEGER NOT NULL,          -- the server's own time of it
    last_action INTEGER NOT NULL,
    changed INTEGER NOT NULL,           -- the server's own time of the last change
    submitted_by TEXT NOT NULL,
    input BLOB,                         -- up to the inline limit; larger: null, and input_bytes
    fingerprint BLOB,
    key TEXT,
    started INTEGER,
    ended_token INTEGER,                -- the last report that ended an attempt: its token and status
    ended_status INTEGER,
    finished INTEGER,
    result BLOB,                        -- as input
    percent INTEGER,
    detail TEXT,
    told_count INTEGER,                 -- progress events so far, and the time of the last one
    told_at INTEGER,
    resource_location TEXT,
    releases INTEGER,                   -- null: 0
    outcome INTEGER,                    -- while Failed
    error TEXT,                         -- {code, message, full} while Failed
    last_error TEXT,                    -- the same, of the last attempt
    cancel_requested INTEGER,           -- null: no
    start_at INTEGER,
    expires INTEGER,
    timeout_seconds INTEGER,
    retry TEXT,                         -- [initial, factor, longest, jitter]; null: the default
    labels TEXT,                        -- {name: value}
    input_bytes INTEGER,                -- of an input that is kept in payload
    result_bytes INTEGER,
    -- Reserved, so that what comes later needs no rewrite of the table.
    parent INTEGER,
    concurrency_key TEXT,
    resource_id TEXT,
    traceparent TEXT,
    extra BLOB
) STRICT;

CREATE UNIQUE INDEX operation_id ON operation (tenant, id);
CREATE UNIQUE INDEX operation_key ON operation (tenant, key) WHERE key IS NOT NULL;
-- What a claim reads; whatever may not start yet is not in it, so a claim never skips a row. Its last column is seq, as of
-- every index; were that named, SQLite would not seek by it.
CREATE INDEX operation_ready ON operation (lane, urgency, ready_at) WHERE status = 0 AND hold = 0;
-- What the tick reads.
CREATE INDEX operation_wake ON operation (wake_at) WHERE wake_at IS NOT NULL;

-- Larger inputs and results, written once: in the row they would be written again at each transition.
CREATE TABLE payload (
    slot INTEGER PRIMARY KEY,           -- seq * 2: the input; seq * 2 + 1: the result
    json BLOB NOT NULL
) STRICT;

-- What the last attempt left for the next.
CREATE TABLE checkpoint (
    seq INTEGER PRIMARY KEY,
    json BLOB NOT NULL
) STRICT;

-- Interned: (tenant, queue, operation type). Numbers are never given twice.
CREATE TABLE lane (
    id INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    queue TEXT NOT NULL,
    operation_type TEXT NOT NULL,
    UNIQUE (tenant, queue, operation_type)
) STRICT;

-- A row exists iff a queued operation is Running. Heartbeats touch only this. The server keeps all of it in memory
-- too, so it has no index.
CREATE TABLE lease (
    seq INTEGER PRIMARY KEY,
    token INTEGER NOT NULL,
    until INTEGER NOT NULL,
    seconds INTEGER NOT NULL,
    own INTEGER NOT NULL,
    worker TEXT NOT NULL,
    claim TEXT NOT NULL,
    cap INTEGER,
    pending_until INTEGER,              -- progress that waits to become a change, and when it does
    pending_percent INTEGER,
    pending_detail TEXT
) STRICT;

-- Only appended to. `previous` chains the events of one operation, so its history needs no index.
CREATE TABLE event (
    cursor INTEGER PRIMARY KEY,
    seq INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    previous INTEGER NOT NULL,
    at INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    via INTEGER NOT NULL,
    actor TEXT NOT NULL,
    status_before INTEGER,
    -- The operation as it was after it.
    version INTEGER NOT NULL,
    status INTEGER NOT NULL,
    hold INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    token INTEGER NOT NULL,
    ready_at INTEGER,                   -- null while NotStarted: at
    last_action INTEGER,                -- null: at
    started INTEGER,
    finished INTEGER,                   -- null in a terminal status: at
    percent INTEGER,
    detail TEXT,
    resource_location TEXT,
    outcome INTEGER,
    error TEXT,
    cancel_requested INTEGER,
    start_at INTEGER,
    expires INTEGER,
    spec TEXT                           -- of a deleted operation: what never changed
) STRICT;

-- Attempts that ended badly.
CREATE TABLE attempt (
    seq INTEGER NOT NULL,
    token INTEGER NOT NULL,
    worker TEXT NOT NULL,
    started INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    outcome INTEGER NOT NULL,
    error TEXT,
    PRIMARY KEY (seq, token)
) STRICT, WITHOUT ROWID;

CREATE TABLE counter (
    tenant TEXT NOT NULL,
    queue TEXT NOT NULL,
    status INTEGER NOT NULL,
    held INTEGER NOT NULL,
    external INTEGER NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (tenant, queue, status, held, external)
) STRICT, WITHOUT ROWID;

-- Limits and pauses. Unused yet.
CREATE TABLE queue (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    paused INTEGER NOT NULL,
    max_running INTEGER,
    max_waiting INTEGER,
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE worker (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    queues TEXT,                        -- [name, …]; null: every one
    operation_types TEXT,
    at INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

-- Found by the public part of a token, before its tenant is known.
CREATE TABLE credential (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,               -- [word, …]
    queues TEXT,
    hash BLOB NOT NULL,
    created INTEGER NOT NULL,
    revoked INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- epoch, clock_mark, next_seq, next_cursor.
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
