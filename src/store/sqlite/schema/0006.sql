-- From when on a token opens nothing by itself; null: never. And when it was last used.
ALTER TABLE credential ADD COLUMN expires INTEGER;
ALTER TABLE credential ADD COLUMN used INTEGER;
