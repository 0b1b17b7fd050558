-- SPDX-License-Identifier: Apache-2.0
-- Snapshots of volumes.

ALTER TABLE snapshot
    -- Its file has what differs from this one; NULL: it has all.  Without a file (bytes = 0) it is
    -- the same as this one, or empty.
    ADD COLUMN parent_id text REFERENCES snapshot,
    ADD COLUMN host_id   text, -- who makes it, while it is pending
    ADD COLUMN cut       boolean NOT NULL DEFAULT true, -- its moment has passed
    ADD COLUMN progress  integer NOT NULL DEFAULT 100,
    ADD COLUMN completed timestamptz,
    ADD COLUMN message   text, -- why it failed
    ADD COLUMN is_public boolean NOT NULL DEFAULT false,
    -- Asked to go: shown to nobody, kept as long as something stands on it.
    ADD COLUMN deleted   boolean NOT NULL DEFAULT false;
UPDATE snapshot SET completed = created;
CREATE INDEX snapshot_account ON snapshot (account_id, id);
CREATE INDEX snapshot_parent ON snapshot (parent_id);
CREATE INDEX snapshot_pending ON snapshot (host_id) WHERE state = 'pending';
CREATE INDEX snapshot_volume ON snapshot (volume_id) WHERE state = 'pending';
CREATE INDEX snapshot_deleted ON snapshot (id) WHERE deleted;

-- Whom a snapshot is shared with, besides everybody.
CREATE TABLE snapshot_permission (
    snapshot_id text NOT NULL REFERENCES snapshot ON DELETE CASCADE,
    account_id  text NOT NULL REFERENCES account,
    PRIMARY KEY (snapshot_id, account_id)
);

-- The last snapshot of which the volume's host knows what has changed since.
ALTER TABLE volume ADD COLUMN tip_id text REFERENCES snapshot ON DELETE SET NULL;
CREATE INDEX volume_tip ON volume (tip_id);
CREATE INDEX volume_snapshot ON volume (snapshot_id) WHERE NOT made;

-- The files of which a snapshot's disk is made, the lowest one first, as hosts are told them.
CREATE FUNCTION snapshot_files(snapshot_id text) RETURNS json LANGUAGE sql STABLE AS $$
    WITH RECURSIVE chain AS (
        SELECT id, parent_id, bytes, sha256, 0 AS depth FROM snapshot WHERE id = $1
        UNION ALL SELECT s.id, s.parent_id, s.bytes, s.sha256, c.depth + 1
        FROM chain c JOIN snapshot s ON s.id = c.parent_id)
    SELECT json_agg(json_strip_nulls(json_build_object('id', id, 'bytes', bytes, 'sha256', sha256))
                    ORDER BY depth DESC) FROM chain WHERE bytes > 0
$$;

ALTER VIEW quota_actual RENAME TO quota_actual_with_deleted;
CREATE VIEW quota_actual AS
    SELECT account_id, resource, used - (SELECT count(*) FROM snapshot s
        WHERE s.deleted AND a.resource = 'snapshots' AND s.account_id = a.account_id) AS used
    FROM quota_actual_with_deleted a;
