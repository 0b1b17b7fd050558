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
-- interface of the cloud's own making; a host carries it (network/plan.h).  What it had is still
-- shown when it has failed or is deleted: its row lives longer than the interface and the VPC.
CREATE TABLE nat_gateway (
    id              text PRIMARY KEY,
    account_id      text NOT NULL REFERENCES account,
    vpc_id          text NOT NULL,
    subnet_id       text NOT NULL,
    zone            text NOT NULL,
    is_public       boolean NOT NULL,
    interface_id    text,
    private_address inet,
    allocation_id   text, -- of a public one, as are the next two
    association_id  text,
    public_address  inet,
    state           text NOT NULL CHECK (state IN ('pending', 'available', 'deleting', 'deleted', 'failed')),
    failure_code    text,
    failure         text,
    host_id         text,                      -- that carries it; NULL: none
    generation      bigint NOT NULL DEFAULT 0, -- the VPC's of its newest wish: have it, or not
    created         timestamptz NOT NULL DEFAULT now(),
    since           timestamptz NOT NULL DEFAULT now() -- of its state
);
CREATE INDEX nat_gateway_account ON nat_gateway (account_id);
CREATE INDEX nat_gateway_vpc ON nat_gateway (vpc_id) WHERE state NOT IN ('deleted', 'failed');
CREATE INDEX nat_gateway_host ON nat_gateway (host_id) WHERE state NOT IN ('deleted', 'failed');
