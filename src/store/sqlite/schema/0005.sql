-- How often the links to an operation were ended; null: never.
ALTER TABLE operation ADD COLUMN links_ended INTEGER;
-- What the server knows and tells nobody: the key that signs links.
CREATE TABLE secret (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
