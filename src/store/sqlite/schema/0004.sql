-- From where a worker last asked.
ALTER TABLE worker ADD COLUMN address TEXT;
