-- SPDX-License-Identifier: Apache-2.0
-- What the scrubber knows.

ALTER TABLE snapshot
    ADD COLUMN checked    timestamptz, -- its file was read whole then
    ADD COLUMN checking   timestamptz, -- somebody reads it, and was at it then
    ADD COLUMN damaged    boolean NOT NULL DEFAULT false, -- its file is not what it was
    -- Its file or one that it stands on is damaged: that snapshot's id.
    ADD COLUMN damaged_by text;
CREATE INDEX snapshot_checked ON snapshot (coalesce(checked, completed, created)) WHERE bytes > 0;
CREATE INDEX snapshot_damaged ON snapshot (id) WHERE damaged;

-- Snapshots whose files this host has, and that are damaged here.
ALTER TABLE host ADD COLUMN damaged_bases text[];
