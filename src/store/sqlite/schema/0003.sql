-- What retention reads: what has ended, in the order in which it did. It grows at its end and shrinks at its beginning.
CREATE INDEX operation_finished ON operation (finished) WHERE finished IS NOT NULL;
