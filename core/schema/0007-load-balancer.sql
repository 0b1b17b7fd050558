-- SPDX-License-Identifier: Apache-2.0
-- Load balancers.  A column "plan" is what a host needs of the row, as members of network/balancer.h;
-- "shown" is what the caller has set, as JSON by the model's names.

CREATE TABLE load_balancer (
    id         text PRIMARY KEY,
    account_id text NOT NULL REFERENCES account,
    name       text NOT NULL,
    type       text NOT NULL CHECK (type IN ('application', 'network')),
    scheme     text NOT NULL CHECK (scheme IN ('internal', 'internet-facing')),
    vpc_id     text NOT NULL REFERENCES vpc,
    dns_name   text NOT NULL UNIQUE,
    attributes jsonb NOT NULL DEFAULT '{}', -- those that differ from their defaults
    plan       jsonb NOT NULL,
    ready_from bigint NOT NULL,             -- the VPC's generation that has it
    active     boolean NOT NULL DEFAULT false,
    created    timestamptz NOT NULL DEFAULT now(),
    UNIQUE (account_id, name)
);
CREATE INDEX load_balancer_vpc ON load_balancer (vpc_id);

-- One for each subnet; its interface is of the cloud's making, and a host carries it.
CREATE TABLE load_balancer_node (
    load_balancer_id text NOT NULL REFERENCES load_balancer ON DELETE CASCADE,
    subnet_id        text NOT NULL REFERENCES subnet,
    zone             text NOT NULL,
    interface_id     text NOT NULL UNIQUE REFERENCES network_interface,
    allocation_id    text, -- of an elastic IP that the caller has named
    host_id          text, -- that carries it; NULL: none
    PRIMARY KEY (load_balancer_id, subnet_id)
);
CREATE INDEX load_balancer_node_host ON load_balancer_node (host_id);

CREATE TABLE target_group (
    id          text PRIMARY KEY,
    account_id  text NOT NULL REFERENCES account,
    name        text NOT NULL,
    target_type text NOT NULL CHECK (target_type IN ('instance', 'ip')),
    protocol    text NOT NULL,
    version     text, -- of HTTP
    port        integer NOT NULL,
    vpc_id      text NOT NULL REFERENCES vpc,
    shown       text NOT NULL, -- its health check
    attributes  jsonb NOT NULL DEFAULT '{}',
    plan        jsonb NOT NULL,
    created     timestamptz NOT NULL DEFAULT now(),
    UNIQUE (account_id, name)
);
CREATE INDEX target_group_vpc ON target_group (vpc_id);

CREATE TABLE target (
    target_group_id text NOT NULL REFERENCES target_group ON DELETE CASCADE,
    target_id       text NOT NULL, -- an instance or an address
    port            integer NOT NULL,
    zone            text,          -- as the caller said: a zone or "all"
    draining_until  timestamptz,   -- of a target that goes
    registered      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (target_group_id, target_id, port)
);
CREATE INDEX target_target ON target (target_id);
CREATE INDEX target_draining ON target (draining_until) WHERE draining_until IS NOT NULL;

CREATE TABLE listener (
    id               text PRIMARY KEY,
    load_balancer_id text NOT NULL REFERENCES load_balancer ON DELETE CASCADE,
    protocol         text NOT NULL,
    port             integer NOT NULL,
    ssl_policy       text,
    alpn_policy      text,
    attributes       jsonb NOT NULL DEFAULT '{}',
    plan             jsonb NOT NULL,
    created          timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX listener_load_balancer ON listener (load_balancer_id);
-- TCP and UDP have ports of their own.
CREATE UNIQUE INDEX listener_tcp ON listener (load_balancer_id, port) WHERE protocol <> 'UDP';
CREATE UNIQUE INDEX listener_udp ON listener (load_balancer_id, port)
    WHERE protocol IN ('UDP', 'TCP_UDP');

CREATE TABLE listener_rule (
    id          text PRIMARY KEY,
    listener_id text NOT NULL REFERENCES listener ON DELETE CASCADE,
    priority    integer NOT NULL CHECK (priority BETWEEN 0 AND 50000), -- 0: the default
    shown       text NOT NULL,
    plan        jsonb NOT NULL,
    UNIQUE (listener_id, priority) DEFERRABLE
);

-- The target groups that a rule forwards to.
CREATE TABLE listener_rule_target_group (
    rule_id         text NOT NULL REFERENCES listener_rule ON DELETE CASCADE,
    target_group_id text NOT NULL REFERENCES target_group,
    PRIMARY KEY (rule_id, target_group_id)
);
CREATE INDEX listener_rule_target_group_group ON listener_rule_target_group (target_group_id);

-- Certificates with their keys, as IAM keeps them.
CREATE TABLE server_certificate (
    id          text PRIMARY KEY,
    account_id  text NOT NULL REFERENCES account,
    name        text NOT NULL,
    path        text NOT NULL DEFAULT '/',
    body        text NOT NULL,
    chain       text,
    private_key text NOT NULL,
    expires     timestamptz NOT NULL,
    uploaded    timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX server_certificate_name ON server_certificate (account_id, lower(name));

CREATE TABLE listener_certificate (
    listener_id    text NOT NULL REFERENCES listener ON DELETE CASCADE,
    certificate_id text NOT NULL REFERENCES server_certificate,
    is_default     boolean NOT NULL,
    added          bigint GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (listener_id, certificate_id)
);
CREATE INDEX listener_certificate_certificate ON listener_certificate (certificate_id);
CREATE UNIQUE INDEX listener_certificate_default ON listener_certificate (listener_id)
    WHERE is_default;

-- What hosts that carry a node say of targets.
CREATE TABLE target_health (
    target_group_id text NOT NULL REFERENCES target_group ON DELETE CASCADE,
    address         inet NOT NULL,
    port            integer NOT NULL,
    host_id         text NOT NULL,
    state           text NOT NULL CHECK (state IN ('initial', 'healthy', 'unhealthy')),
    reason          text,
    code            integer,
    PRIMARY KEY (target_group_id, address, port, host_id)
);
CREATE INDEX target_health_host ON target_health (host_id);

-- What accounts have of these, beside the rest (0003-surface.sql).
ALTER VIEW quota_actual RENAME TO quota_actual_of_compute;
CREATE VIEW quota_actual AS
    SELECT account_id, resource, used FROM quota_actual_of_compute
    UNION ALL SELECT account_id, 'load-balancers', count(*) FROM load_balancer GROUP BY account_id
    UNION ALL SELECT account_id, 'target-groups', count(*) FROM target_group GROUP BY account_id;
