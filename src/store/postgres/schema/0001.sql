-- The same columns as in the embedded store, in the same words: see its first schema for what each holds. Here a row of
-- a table may have been written by any of several nodes.
--
-- Text compares by bytes. Instants are counts of 100 ns since 1970.

CREATE TABLE longrun.operation (
    seq bigint PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    id bytea NOT NULL,
    lane bigint NOT NULL,
    status smallint NOT NULL,
    hold smallint NOT NULL,
    urgency smallint NOT NULL,
    external smallint NOT NULL,
    attempts integer NOT NULL,
    max_attempts integer NOT NULL,
    ready_at bigint,
    wake_at bigint,
    version bigint NOT NULL,
    cursor bigint NOT NULL,
    token bigint NOT NULL,
    created bigint NOT NULL,
    received bigint NOT NULL,
    last_action bigint NOT NULL,
    changed bigint NOT NULL,
    submitted_by text COLLATE "C" NOT NULL,
    input bytea,
    fingerprint bytea,
    key text COLLATE "C",
    started bigint,
    ended_token bigint,
    ended_status smallint,
    finished bigint,
    result bytea,
    percent smallint,
    detail text,
    told_count bigint,
    told_at bigint,
    resource_location text,
    releases integer,
    outcome smallint,
    error text,
    last_error text,
    cancel_requested smallint,
    start_at bigint,
    expires bigint,
    timeout_seconds bigint,
    retry text,
    labels text,
    input_bytes bigint,
    result_bytes bigint,
    -- Reserved, so that what comes later needs no rewrite of the table.
    parent bigint,
    concurrency_key text COLLATE "C",
    resource_id text COLLATE "C",
    traceparent text,
    extra bytea
) WITH (fillfactor = 90);

CREATE UNIQUE INDEX operation_id ON longrun.operation (tenant, id);
CREATE UNIQUE INDEX operation_key ON longrun.operation (tenant, key) WHERE key IS NOT NULL;
-- What a claim reads; whatever may not start yet is not in it, so a claim never skips a row.
CREATE INDEX operation_ready ON longrun.operation (lane, urgency, ready_at, seq) WHERE status = 0 AND hold = 0;
-- What the tick reads.
CREATE INDEX operation_wake ON longrun.operation (wake_at) WHERE wake_at IS NOT NULL;
-- Lists go along these.
CREATE INDEX operation_created ON longrun.operation (tenant, created, seq);
CREATE INDEX operation_failed ON longrun.operation (tenant, created, seq) WHERE status = 3;
-- Those that have not ended and are neither in the ready index nor under a lease.
CREATE INDEX operation_aside ON longrun.operation (tenant, created, seq)
    WHERE status < 2 AND (hold <> 0 OR external <> 0);
-- What retention reads.
CREATE INDEX operation_finished ON longrun.operation (finished, seq) WHERE finished IS NOT NULL;

-- Numbers of operations are given out in blocks, one to a node: this is where each begins.
CREATE SEQUENCE longrun.operation_seq INCREMENT BY 4096;

CREATE TABLE longrun.payload (
    slot bigint PRIMARY KEY,
    json bytea NOT NULL
);

CREATE TABLE longrun.checkpoint (
    seq bigint PRIMARY KEY,
    json bytea NOT NULL
);

CREATE TABLE longrun.lane (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    queue text COLLATE "C" NOT NULL,
    operation_type text COLLATE "C" NOT NULL,
    UNIQUE (tenant, queue, operation_type)
);

-- Heartbeats touch only this, and none of its indexed columns, so that they stay on the page. The tick scans it.
CREATE TABLE longrun.lease (
    seq bigint PRIMARY KEY,
    lane bigint NOT NULL,
    token bigint NOT NULL,
    until bigint NOT NULL,
    seconds bigint NOT NULL,
    own smallint NOT NULL,
    worker text COLLATE "C" NOT NULL,
    claim text COLLATE "C" NOT NULL,
    cap bigint,
    pending_until bigint,
    pending_percent smallint,
    pending_detail text
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

-- A claim that is repeated.
CREATE INDEX lease_claim ON longrun.lease (worker, claim);
-- How many run of a queue that is limited.
CREATE INDEX lease_lane ON longrun.lease (lane);

-- Only appended to, and dropped by whole partitions: nothing in it is ever dead. What belongs to operations that are gone
-- is passed over by readers.
CREATE TABLE longrun.event (
    cursor bigint PRIMARY KEY,
    seq bigint NOT NULL,
    lane bigint NOT NULL,
    previous bigint NOT NULL,
    at bigint NOT NULL,
    kind smallint NOT NULL,
    via smallint NOT NULL,
    actor text NOT NULL,
    status_before smallint,
    version bigint NOT NULL,
    status smallint NOT NULL,
    hold smallint NOT NULL,
    attempts integer NOT NULL,
    token bigint NOT NULL,
    ready_at bigint,
    last_action bigint,
    started bigint,
    finished bigint,
    percent smallint,
    detail text,
    resource_location text,
    outcome smallint,
    error text,
    cancel_requested smallint,
    start_at bigint,
    expires bigint,
    spec text
) PARTITION BY RANGE (cursor);

CREATE TABLE longrun.attempt (
    seq bigint NOT NULL,
    token bigint NOT NULL,
    worker text COLLATE "C" NOT NULL,
    started bigint NOT NULL,
    ended bigint NOT NULL,
    outcome smallint NOT NULL,
    error text,
    PRIMARY KEY (seq, token)
);

-- One row for each commit that changed a count, folded now and then; what is read is their sum. A row of its own for each
-- count would be the one that every commit waits for.
CREATE TABLE longrun.counter (
    tenant text COLLATE "C" NOT NULL,
    queue text COLLATE "C" NOT NULL,
    status smallint NOT NULL,
    held smallint NOT NULL,
    external smallint NOT NULL,
    n bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX counter_queue ON longrun.counter (tenant, queue);

CREATE TABLE longrun.queue (
    tenant text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    paused smallint NOT NULL,
    max_running bigint,
    max_waiting bigint,
    PRIMARY KEY (tenant, name)
);

CREATE TABLE longrun.worker (
    tenant text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    queues text,
    operation_types text,
    address text,
    at bigint NOT NULL,
    PRIMARY KEY (tenant, id)
);

-- Found by the public part of a token, before its tenant is known.
CREATE TABLE longrun.credential (
    id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    name text NOT NULL,
    scopes text NOT NULL,
    queues text,
    hash bytea NOT NULL,
    created bigint NOT NULL,
    revoked smallint NOT NULL
);

-- epoch, clock_mark, pruned_upto.
CREATE TABLE longrun.meta (
    key text COLLATE "C" PRIMARY KEY,
    value bigint NOT NULL
);

-- What users hand in inside their own transactions, until a node has taken it in; see longrun.submit.
CREATE TABLE longrun.inbox (
    n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    at bigint NOT NULL,
    -- As it was sent, which jsonb would not keep.
    request text NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

-- Ends a turn that met another state than it had loaded.
CREATE FUNCTION longrun.expect(met bigint, loaded bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF met <> loaded THEN
        RAISE EXCEPTION '% of % rows are as they were loaded', met, loaded USING ERRCODE = 'LR001';
    END IF;
END
$$;

-- The events of a commit are numbered from where the last commit's ended; until they are, they count from far beyond.
CREATE FUNCTION longrun.placed(n bigint) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN n < 4611686018427387904 THEN n
                ELSE n - 4611686018427387904 + current_setting('longrun.last_cursor')::bigint END
$$;

-- Hands an operation in as part of the caller's own transaction: the body of POST /v1.0/operations. One row, and a hint that
-- is sent if that transaction commits. What the body is worth is seen by the node that takes it in.
--
-- It runs with the rights of its owner, so that who may call it needs no right to any table.
CREATE FUNCTION longrun.submit(request json, tenant text DEFAULT 'default') RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    now_at CONSTANT timestamptz := clock_timestamp();
    random CONSTANT bytea := uuid_send(gen_random_uuid());
    chosen text;
    operation uuid;
BEGIN
    BEGIN
        chosen := request ->> 'id';
    EXCEPTION WHEN data_exception THEN
        -- It cannot be read as text of the database; whether it can be taken in is not decided here.
        chosen := NULL;
    END;
    IF chosen ~ '^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$' THEN
        operation := chosen::uuid;
    ELSE
        -- Of version 7, as all others: it grows with time.
        operation := encode(set_byte(
            overlay(random PLACING substring(int8send((extract(epoch FROM now_at) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
            6, get_byte(random, 6) & 15 | 112), 'hex')::uuid;
    END IF;
    -- Commits that notify wait for each other. While others wait in the inbox nodes look often by themselves. Only the latest are
    -- looked at: rows that were taken in may stay for as long as anybody keeps an old snapshot.
    PERFORM FROM longrun.inbox WHERE n > (SELECT last_value - 64 FROM longrun.inbox_n_seq) LIMIT 1;
    -- It does not go with PREPARE TRANSACTION: who needs that can do without.
    IF NOT FOUND AND coalesce(current_setting('longrun.notify', true), '') <> 'off' THEN
        PERFORM pg_notify('longrun', 'inbox');
    END IF;
    INSERT INTO longrun.inbox (id, tenant, at, request)
    VALUES (operation, tenant, (extract(epoch FROM now_at) * 10000000)::bigint, request::text);
    RETURN operation;
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA longrun FROM PUBLIC;
