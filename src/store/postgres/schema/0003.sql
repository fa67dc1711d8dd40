-- From when on a token opens nothing by itself; null: never. And when it was last used.
ALTER TABLE longrun.credential ADD COLUMN expires bigint;
ALTER TABLE longrun.credential ADD COLUMN used bigint;
-- Lookups by id and key find nothing else that begins as these do: an index that begins with the tenant reads all that the
-- tenant has, and with statistics of an empty table the planner takes one for as good as the other.
CREATE UNIQUE INDEX operation_by_id ON longrun.operation (id, tenant);
CREATE UNIQUE INDEX operation_by_key ON longrun.operation (key, tenant) WHERE key IS NOT NULL;
DROP INDEX longrun.operation_id;
DROP INDEX longrun.operation_key;
