-- Lists go along these. As in the ready index, seq is not named and yet their last column.
CREATE INDEX operation_created ON operation (tenant, created);
-- Those that somebody has to look at are few among many.
CREATE INDEX operation_failed ON operation (tenant, created) WHERE status = 3;
-- Those that have not ended and are neither in the ready index nor under a lease: a plain create pays nothing for it.
CREATE INDEX operation_aside ON operation (tenant, created) WHERE status < 2 AND (hold <> 0 OR external <> 0);
