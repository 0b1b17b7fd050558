-- SPDX-License-Identifier: Apache-2.0
-- Encryption of volumes and snapshots at rest.

-- What the files of a volume and of its snapshots are encrypted with.
CREATE TABLE volume_key (
    id      text PRIMARY KEY,
    kek_id  text, -- of the key-encryption key by which it is wrapped
    wrapped text, -- NULL: nothing was ever encrypted with it
    created timestamptz NOT NULL DEFAULT now(),
    CHECK ((kek_id IS NULL) = (wrapped IS NULL))
);

ALTER TABLE account ADD COLUMN encrypts boolean NOT NULL DEFAULT false; -- all new volumes
ALTER TABLE volume ADD COLUMN key_id text REFERENCES volume_key,
    ADD CHECK (encrypted = (key_id IS NOT NULL));
CREATE INDEX volume_key_id ON volume (key_id) WHERE key_id IS NOT NULL;

ALTER TABLE snapshot
    ADD COLUMN key_id       text REFERENCES volume_key,
    -- Holds the same as this one, which is not encrypted, until it has a file of its own.
    ADD COLUMN source_id    text REFERENCES snapshot,
    ADD COLUMN worker       text, -- which virgad makes that file, …
    ADD COLUMN worker_until timestamptz; -- … and until when nobody else does
CREATE INDEX snapshot_key_id ON snapshot (key_id) WHERE key_id IS NOT NULL;
CREATE INDEX snapshot_source ON snapshot (source_id) WHERE source_id IS NOT NULL;

-- Of devices without a snapshot.
ALTER TABLE image_device ADD COLUMN encrypted boolean NOT NULL DEFAULT false;

-- A key goes with the last that has it.  Whoever takes one away waits for others that do: the last
-- of them sees that nothing is left.
CREATE FUNCTION drop_volume_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM volume_key WHERE id = OLD.key_id FOR UPDATE;
    DELETE FROM volume_key k WHERE k.id = OLD.key_id
        AND NOT EXISTS (SELECT 1 FROM volume WHERE key_id = k.id)
        AND NOT EXISTS (SELECT 1 FROM snapshot WHERE key_id = k.id);
    RETURN NULL;
END $$;
CREATE TRIGGER volume_gone AFTER DELETE ON volume
    FOR EACH ROW WHEN (OLD.key_id IS NOT NULL) EXECUTE FUNCTION drop_volume_key();
CREATE TRIGGER snapshot_gone AFTER DELETE ON snapshot
    FOR EACH ROW WHEN (OLD.key_id IS NOT NULL) EXECUTE FUNCTION drop_volume_key();
