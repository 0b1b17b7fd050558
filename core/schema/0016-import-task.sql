-- SPDX-License-Identifier: Apache-2.0
-- Imports of disk images that others have: each is worked on by one virgad at a time.

CREATE TABLE import_task (
    id           text PRIMARY KEY,
    account_id   text NOT NULL REFERENCES account,
    description  text,
    architecture text, -- of the image that is made; NULL: nothing but a snapshot is
    boot_mode    text,
    license      text,
    platform     text,
    -- 'deleting': to be ended; 'deleted': was ended, or the import of an image failed; 'error': that
    -- of a snapshot did.
    state        text NOT NULL DEFAULT 'active'
                 CHECK (state IN ('active', 'deleting', 'deleted', 'completed', 'error')),
    message      text,
    progress     bigint NOT NULL DEFAULT 0,
    image_id     text,
    created      timestamptz NOT NULL DEFAULT now(),
    ended        timestamptz,
    runner       text,        -- who works on it, …
    heard        timestamptz, -- … and was there then
    attempts     bigint NOT NULL DEFAULT 0
);
CREATE INDEX import_task_account ON import_task (account_id, id);
CREATE INDEX import_task_open ON import_task (created) WHERE state IN ('active', 'deleting');
CREATE INDEX import_task_ended ON import_task (ended) WHERE ended IS NOT NULL;

CREATE TABLE import_disk (
    task_id     text NOT NULL REFERENCES import_task ON DELETE CASCADE,
    position    bigint NOT NULL,
    url         text, -- NULL: the snapshot is there already
    format      text, -- as asked for, then as found
    device      text,
    description text,
    snapshot_id text,
    bytes       bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (task_id, position)
);
