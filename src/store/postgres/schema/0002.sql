-- How often the links to an operation were ended; null: never.
ALTER TABLE longrun.operation ADD COLUMN links_ended bigint;
-- What the nodes know and tell nobody: the key that signs links.
CREATE TABLE longrun.secret (
    name text COLLATE "C" PRIMARY KEY,
    value bytea NOT NULL
);
