-- SPDX-License-Identifier: Apache-2.0
-- Shared directories of guests: file systems on one host each, and the addresses that serve them.

CREATE TABLE file_system (
    id               text PRIMARY KEY,
    account_id       text NOT NULL REFERENCES account,
    creation_token   text NOT NULL,
    performance_mode text NOT NULL,
    throughput_mode  text NOT NULL,
    zone             text, -- it is for this one alone; NULL: for all
    host_id          text, -- that keeps its bytes; NULL: it never had any
    size_gib         bigint NOT NULL CHECK (size_gib > 0), -- that it may have
    bytes            bigint NOT NULL DEFAULT 0,            -- that it has
    deleting         boolean NOT NULL DEFAULT false,
    created          timestamptz NOT NULL DEFAULT now(),
    UNIQUE (account_id, creation_token)
);
CREATE INDEX file_system_host ON file_system (host_id);

-- One for each zone, all in one VPC.
CREATE TABLE mount_target (
    id             text PRIMARY KEY,
    file_system_id text NOT NULL REFERENCES file_system,
    subnet_id      text NOT NULL REFERENCES subnet,
    zone           text NOT NULL,
    interface_id   text NOT NULL UNIQUE REFERENCES network_interface,
    serving        boolean NOT NULL DEFAULT false, -- its host has said so
    created        timestamptz NOT NULL DEFAULT now(),
    UNIQUE (file_system_id, zone)
);

ALTER VIEW quota_actual RENAME TO quota_actual_without_file_systems;
CREATE VIEW quota_actual AS
    SELECT * FROM quota_actual_without_file_systems
    UNION ALL SELECT account_id, 'file-systems', count(*) FROM file_system GROUP BY account_id;
