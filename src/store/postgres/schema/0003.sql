-- From when on a token opens nothing by itself; null: never. And when it was last used.
ALTER TABLE longrun.credential ADD COLUMN expires bigint;
ALTER TABLE longrun.credential ADD COLUMN used bigint;
