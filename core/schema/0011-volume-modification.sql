-- SPDX-License-Identifier: Apache-2.0
-- The last change of each volume that was ever changed.

CREATE TABLE volume_modification (
    volume_id           text PRIMARY KEY REFERENCES volume ON DELETE CASCADE,
    state               text NOT NULL CHECK (state IN ('modifying', 'completed')),
    original_type       text NOT NULL,
    original_size_gib   bigint NOT NULL,
    original_iops       bigint NOT NULL, -- as they were shown; 0: the type has none
    original_throughput bigint NOT NULL,
    target_type         text NOT NULL,
    target_size_gib     bigint NOT NULL,
    target_iops         bigint NOT NULL,
    target_throughput   bigint NOT NULL,
    started             timestamptz NOT NULL DEFAULT now(),
    ended               timestamptz
);
CREATE INDEX volume_modification_open ON volume_modification (volume_id) WHERE state = 'modifying';
