-- SPDX-License-Identifier: Apache-2.0
-- What of EC2's surface came after the first schema.

-- The guest has not been told of its newest metadata options yet.
ALTER TABLE instance ADD COLUMN metadata_pending boolean NOT NULL DEFAULT false;
ALTER TABLE instance ADD COLUMN cpu_credits text; -- standard, unlimited

-- Launch templates.  What a version holds is the caller's LaunchTemplateData, kept as JSON by the
-- model's names (virga_wire_to_json()), so that it reads back exactly as it was set.

CREATE TABLE launch_template (
    id              text PRIMARY KEY,
    account_id      text NOT NULL REFERENCES account,
    name            text NOT NULL,
    default_version bigint NOT NULL DEFAULT 1,
    versions        bigint NOT NULL DEFAULT 1, -- numbers given out; none is given twice
    created_by      text NOT NULL,
    created         timestamptz NOT NULL DEFAULT now(),
    UNIQUE (account_id, name)
);

CREATE TABLE launch_template_version (
    template_id text NOT NULL REFERENCES launch_template ON DELETE CASCADE,
    version     bigint NOT NULL,
    description text,
    data        text NOT NULL,
    created_by  text NOT NULL,
    created     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (template_id, version)
);

-- Images: whom they are shared with, and what their owners have said of them.
ALTER TABLE image ADD COLUMN of_cloud boolean NOT NULL DEFAULT false; -- brought by the operator
ALTER TABLE image ADD COLUMN deprecated timestamptz;                  -- from when on
ALTER TABLE image ADD COLUMN protection text NOT NULL DEFAULT 'disabled' CHECK
    (protection IN ('disabled', 'enabled-with-cooldown', 'enabled-without-cooldown'));
ALTER TABLE image ADD COLUMN protected_until timestamptz;             -- a cooldown's end
ALTER TABLE image ADD COLUMN last_launched timestamptz;               -- to the hour
UPDATE image SET of_cloud = is_public;

CREATE TABLE image_permission (
    image_id   text NOT NULL REFERENCES image ON DELETE CASCADE,
    account_id text NOT NULL REFERENCES account,
    PRIMARY KEY (image_id, account_id)
);
CREATE INDEX image_permission_account ON image_permission (account_id);

-- Placement groups.  Whoever launches into one holds its row, so that members are counted right.
CREATE TABLE placement_group (
    id           text PRIMARY KEY,
    account_id   text NOT NULL REFERENCES account,
    name         text NOT NULL,
    strategy     text NOT NULL CHECK (strategy IN ('cluster', 'spread', 'partition')),
    partitions   bigint NOT NULL DEFAULT 0,
    spread_level text,
    created      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (account_id, name)
);
ALTER TABLE instance ADD COLUMN placement_group_id text;
ALTER TABLE instance ADD COLUMN placement_group text; -- its name, for a group that is gone too
ALTER TABLE instance ADD COLUMN partition bigint NOT NULL DEFAULT 0;
CREATE INDEX instance_placement_group ON instance (placement_group_id)
    WHERE placement_group_id IS NOT NULL;

-- Fleets of the type "instant": what was asked for and what came of it, as JSON by the model's names.
-- Without a result its caller did not live to see one: a repetition carries on.
CREATE TABLE fleet (
    id         text PRIMARY KEY,
    account_id text NOT NULL REFERENCES account,
    request    text NOT NULL,
    result     text,
    deleted    timestamptz,
    created    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX fleet_account ON fleet (account_id);

-- What a caller waits to hear from a host: asked with its wish, answered by it, soon forgotten.
CREATE TABLE host_question (
    id          text PRIMARY KEY,
    host_id     text NOT NULL,
    instance_id text NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('screenshot', 'nmi', 'console')),
    answer      text,
    failure     text,
    answered    timestamptz,
    asked       timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX host_question_host ON host_question (host_id) WHERE answered IS NULL;

-- What accounts have (core/quota.h), and the configured limits; '*' is every account without its own.
CREATE TABLE quota (
    account_id text NOT NULL,
    resource   text NOT NULL,
    used       bigint NOT NULL CHECK (used >= 0),
    PRIMARY KEY (account_id, resource)
);
CREATE TABLE quota_limit (
    account_id text NOT NULL,
    resource   text NOT NULL,
    maximum    bigint NOT NULL,
    PRIMARY KEY (account_id, resource)
);
-- What the counts must be.
CREATE VIEW quota_actual AS
    SELECT account_id, 'instances' AS resource, count(*) AS used FROM instance
        WHERE host_id IS NOT NULL GROUP BY account_id
    UNION ALL SELECT account_id, 'vcpus', sum(vcpus)::bigint FROM instance WHERE claimed
        GROUP BY account_id
    UNION ALL SELECT account_id, 'volumes', count(*) FROM volume GROUP BY account_id
    UNION ALL SELECT account_id, 'volume-gib', sum(size_gib)::bigint FROM volume GROUP BY account_id
    UNION ALL SELECT account_id, 'snapshots', count(*) FROM snapshot GROUP BY account_id
    UNION ALL SELECT account_id, 'images', count(*) FROM image GROUP BY account_id
    UNION ALL SELECT account_id, 'key-pairs', count(*) FROM key_pair GROUP BY account_id
    UNION ALL SELECT account_id, 'elastic-ips', count(*) FROM public_address
        WHERE allocation_id IS NOT NULL GROUP BY account_id
    UNION ALL SELECT account_id, 'launch-templates', count(*) FROM launch_template
        GROUP BY account_id
    UNION ALL SELECT account_id, 'placement-groups', count(*) FROM placement_group
        GROUP BY account_id;
INSERT INTO quota (account_id, resource, used) SELECT account_id, resource, used FROM quota_actual;
