-- SPDX-License-Identifier: Apache-2.0
-- Locks of snapshots, and what an image was copied from.

-- For 'days' from 'started' on, or from when the snapshot is completed, or until 'until'.
CREATE TABLE snapshot_lock (
    snapshot_id    text PRIMARY KEY REFERENCES snapshot ON DELETE CASCADE,
    mode           text NOT NULL CHECK (mode IN ('compliance', 'governance')),
    created        timestamptz NOT NULL DEFAULT now(),
    started        timestamptz NOT NULL DEFAULT now(),
    cool_off_hours bigint NOT NULL DEFAULT 0,
    cool_off_until timestamptz, -- NULL: it has none
    days           bigint,
    until          timestamptz,
    CHECK ((days IS NULL) <> (until IS NULL))
);

-- What holds now.  'starts' and 'expires' are unknown until the snapshot is completed.
CREATE VIEW snapshot_lock_state AS
    SELECT l.*, s.account_id, t.starts, e.expires,
           CASE WHEN e.expires <= now() THEN 'expired'
                WHEN l.mode = 'compliance' AND l.cool_off_until > now() THEN 'compliance-cooloff'
                ELSE l.mode END AS state
    FROM snapshot_lock l JOIN snapshot s ON s.id = l.snapshot_id AND NOT s.deleted
    CROSS JOIN LATERAL (SELECT CASE WHEN s.state = 'completed'
        THEN greatest(l.started, s.completed) END AS starts) t
    CROSS JOIN LATERAL (SELECT coalesce(l.until, t.starts + l.days * interval '1 day') AS expires) e;

ALTER TABLE image ADD COLUMN source_image_id text; -- of which it is a copy
