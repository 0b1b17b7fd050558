-- SPDX-License-Identifier: Apache-2.0
-- The ways out of a VPC.

-- A VPC has at most one, and it is attached to at most one.
CREATE TABLE internet_gateway (
    id         text PRIMARY KEY,
    account_id text NOT NULL REFERENCES account,
    vpc_id     text UNIQUE REFERENCES vpc,
    created    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX internet_gateway_account ON internet_gateway (account_id);

-- Lets subnets without public addresses out under its own.  Its private address is that of an
-- interface of the cloud's own making; a host carries it (network/plan.h).
CREATE TABLE nat_gateway (
    id           text PRIMARY KEY,
    account_id   text NOT NULL REFERENCES account,
    vpc_id       text NOT NULL REFERENCES vpc,
    subnet_id    text NOT NULL,
    interface_id text,
    state        text NOT NULL CHECK (state IN ('pending', 'available', 'deleting', 'deleted', 'failed')),
    failure_code text,
    failure      text,
    host_id      text, -- that carries it; NULL: none
    created      timestamptz NOT NULL DEFAULT now(),
    deleted      timestamptz -- shown for an hour after
);
CREATE INDEX nat_gateway_account ON nat_gateway (account_id);
CREATE INDEX nat_gateway_vpc ON nat_gateway (vpc_id) WHERE state NOT IN ('deleted', 'failed');
