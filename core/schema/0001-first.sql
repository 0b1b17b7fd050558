-- SPDX-License-Identifier: Apache-2.0
-- The cloud's model.  Ids are EC2 ids (core/id.h).  What a launch needs is claimed by rows with
-- UNIQUE and CHECK constraints in the transaction that writes the wish.  Accounts are never deleted:
-- tables of which a launch writes rows do without a reference to them, since each costs a look-up.

CREATE TABLE account (
    id      text PRIMARY KEY CHECK (id ~ '^[0-9]{12}$'),
    name    text NOT NULL,
    created timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE access_key (
    id         text PRIMARY KEY CHECK (id ~ '^[A-Za-z0-9_]{4,128}$'),
    account_id text NOT NULL REFERENCES account,
    principal  text NOT NULL,  -- ARN
    user_id    text NOT NULL,
    secret     text NOT NULL,
    active     boolean NOT NULL DEFAULT true,
    created    timestamptz NOT NULL DEFAULT now()
);

-- Replicas keep keys in memory: whoever changes one tells them.
CREATE FUNCTION notify_key() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_notify('virga_key', ''); RETURN NULL; END $$;
CREATE TRIGGER access_key_changed AFTER UPDATE OR DELETE ON access_key
    FOR EACH STATEMENT EXECUTE FUNCTION notify_key();

-- Keys that the replicas share, such as the one that signs pagination tokens.
CREATE TABLE secret (
    name  text PRIMARY KEY,
    value text NOT NULL
);

-- A repeated request with the same token gets the first one's answer.
CREATE TABLE client_token (
    account_id  text NOT NULL REFERENCES account,
    action      text NOT NULL,
    token       text NOT NULL,
    digest      text NOT NULL,  -- of the request's other parameters
    resource_id text NOT NULL,
    created     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, action, token)
);

-- What happened to a resource, or why a request was refused: "virga why".
CREATE TABLE event (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT now(),
    subject  text NOT NULL,  -- resource or request id
    message  text NOT NULL
);
CREATE INDEX event_subject ON event (subject, sequence);

CREATE TABLE tag (
    resource_id   text NOT NULL,
    key           text NOT NULL CHECK (length(key) BETWEEN 1 AND 128),
    value         text NOT NULL CHECK (length(value) <= 256),
    account_id    text NOT NULL,
    resource_type text NOT NULL,
    PRIMARY KEY (resource_id, key)
);
CREATE INDEX tag_key ON tag (account_id, key, value);

CREATE TABLE host (
    id                 text PRIMARY KEY,
    name               text NOT NULL UNIQUE,
    zone               text NOT NULL,
    version            text NOT NULL,
    hypervisor         text NOT NULL,             -- kvm, qemu, fake
    vcpus              bigint NOT NULL,           -- promised at most, overcommit applied
    memory_mib         bigint NOT NULL,
    disk_free_gib      bigint NOT NULL,
    vcpus_claimed      bigint NOT NULL DEFAULT 0 CHECK (vcpus_claimed >= 0),
    memory_claimed_mib bigint NOT NULL DEFAULT 0 CHECK (memory_claimed_mib >= 0),
    trouble            text,                      -- what the host itself says is wrong
    tunnel_address     inet,                      -- for other hosts; NULL: it has none
    generation         bigint NOT NULL DEFAULT 1, -- of its wish; counted under the row's lock
    seen               timestamptz NOT NULL DEFAULT now(),
    joined             timestamptz NOT NULL DEFAULT now()
);

-- network ---------------------------------------------------------------------------------------

CREATE SEQUENCE vni MINVALUE 4096 MAXVALUE 16777215 CYCLE;

CREATE TABLE vpc (
    id         text PRIMARY KEY,
    account_id text NOT NULL REFERENCES account,
    cidr       cidr NOT NULL,
    is_default boolean NOT NULL DEFAULT false,
    vni        bigint NOT NULL UNIQUE DEFAULT nextval('vni'),
    generation bigint NOT NULL DEFAULT 1, -- of its plan: ports, groups, rules
    created    timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX vpc_default ON vpc (account_id) WHERE is_default;

CREATE TABLE subnet (
    id         text PRIMARY KEY,
    account_id text NOT NULL REFERENCES account,
    vpc_id     text NOT NULL REFERENCES vpc,
    zone       text NOT NULL,
    cidr       cidr NOT NULL,
    map_public boolean NOT NULL DEFAULT false,
    is_default boolean NOT NULL DEFAULT false,
    created    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX subnet_vpc ON subnet (vpc_id);

CREATE TABLE security_group (
    id          text PRIMARY KEY,
    account_id  text NOT NULL REFERENCES account,
    vpc_id      text NOT NULL REFERENCES vpc,
    name        text NOT NULL,
    description text NOT NULL,
    created     timestamptz NOT NULL DEFAULT now(),
    UNIQUE (vpc_id, name)
);

-- Ports as EC2 has them: -1 is "any"; of ICMP, the type and the code.
CREATE TABLE security_group_rule (
    id            text PRIMARY KEY,
    account_id    text NOT NULL REFERENCES account,
    group_id      text NOT NULL REFERENCES security_group ON DELETE CASCADE,
    is_egress     boolean NOT NULL,
    protocol      text NOT NULL, -- tcp, udp, icmp, -1 or a number
    from_port     integer NOT NULL,
    to_port       integer NOT NULL,
    cidr          cidr,
    peer_group_id text REFERENCES security_group,
    description   text,
    created       timestamptz NOT NULL DEFAULT now(),
    CHECK ((cidr IS NULL) <> (peer_group_id IS NULL))
);
CREATE UNIQUE INDEX security_group_rule_same ON security_group_rule
    (group_id, is_egress, protocol, from_port, to_port,
     coalesce(cidr::text, ''), coalesce(peer_group_id, ''));
CREATE INDEX security_group_rule_peer ON security_group_rule (peer_group_id);

CREATE TABLE network_interface (
    id                    text PRIMARY KEY,
    account_id            text NOT NULL,
    vpc_id                text NOT NULL, -- the subnet's
    subnet_id             text NOT NULL REFERENCES subnet,
    zone                  text NOT NULL,
    mac                   text NOT NULL UNIQUE,
    address               inet NOT NULL,
    description           text NOT NULL DEFAULT '',
    type                  text NOT NULL DEFAULT 'interface', -- "nat_gateway", …: the cloud's own
    requester_id          text, -- of an interface that the cloud made: who manages it
    secondary_count       integer NOT NULL DEFAULT 0, -- of network_interface_address
    source_dest_check     boolean NOT NULL DEFAULT true,
    wants_public          boolean NOT NULL DEFAULT false, -- an address of the pool while it runs
    attachment_id         text UNIQUE, -- of the cloud's own: without an instance
    instance_id           text, -- of the attachment
    device_index          integer,
    delete_on_termination boolean NOT NULL DEFAULT true,
    attached              timestamptz,
    former_attachment_id  text, -- of the attachment that ended last
    -- What its instance's host has still to do; NULL: nothing.
    transition            text CHECK (transition IN ('attaching', 'detaching')),
    force_detach          boolean NOT NULL DEFAULT false, -- without waiting for the guest
    created               timestamptz NOT NULL DEFAULT now(),
    UNIQUE (subnet_id, address),
    CHECK ((instance_id IS NULL) = (device_index IS NULL)),
    CHECK (transition IS NULL OR instance_id IS NOT NULL)
);
CREATE UNIQUE INDEX network_interface_instance ON network_interface (instance_id, device_index);
CREATE INDEX network_interface_transition ON network_interface (instance_id)
    WHERE transition IS NOT NULL;
CREATE INDEX network_interface_vpc ON network_interface (vpc_id);

-- Private addresses that an interface has besides its own.  Nobody's own address is one of these:
-- see virga_subnet_hold() in network/interface.h.
CREATE TABLE network_interface_address (
    subnet_id    text NOT NULL,
    address      inet NOT NULL,
    interface_id text NOT NULL REFERENCES network_interface ON DELETE CASCADE,
    assigned     bigint GENERATED ALWAYS AS IDENTITY, -- their order
    PRIMARY KEY (subnet_id, address)
);
CREATE INDEX network_interface_address_interface ON network_interface_address (interface_id);

CREATE TABLE network_interface_group (
    interface_id text NOT NULL REFERENCES network_interface ON DELETE CASCADE,
    group_id     text NOT NULL REFERENCES security_group,
    position     integer NOT NULL,
    PRIMARY KEY (interface_id, group_id)
);
CREATE INDEX network_interface_group_group ON network_interface_group (group_id);

-- One row for each address of the pool.  Free: no interface, no allocation.  One that an account has
-- allocated is an elastic IP and stays the account's, with or without an interface.
CREATE TABLE public_address (
    address         inet PRIMARY KEY,
    interface_id    text REFERENCES network_interface ON DELETE SET NULL,
    private_address inet, -- of the interface: its primary or a secondary one
    allocation_id   text,
    association_id  text, -- of an elastic IP that has an interface
    account_id      text,
    released        timestamptz NOT NULL DEFAULT '-infinity', -- the longest unused goes first
    CHECK (association_id IS NULL OR (allocation_id IS NOT NULL AND private_address IS NOT NULL))
);
CREATE UNIQUE INDEX public_address_interface ON public_address (interface_id, private_address);
CREATE UNIQUE INDEX public_address_allocation ON public_address (allocation_id)
    WHERE allocation_id IS NOT NULL;
CREATE UNIQUE INDEX public_address_association ON public_address (association_id)
    WHERE association_id IS NOT NULL;
CREATE INDEX public_address_account ON public_address (account_id) WHERE allocation_id IS NOT NULL;
CREATE INDEX public_address_free ON public_address (released, address)
    WHERE interface_id IS NULL AND allocation_id IS NULL;

-- storage ---------------------------------------------------------------------------------------

CREATE TABLE snapshot (
    id          text PRIMARY KEY,
    account_id  text NOT NULL REFERENCES account,
    volume_id   text,
    size_gib    bigint NOT NULL CHECK (size_gib > 0),
    description text NOT NULL DEFAULT '',
    state       text NOT NULL CHECK (state IN ('pending', 'completed', 'error')),
    sha256      text,
    source_sha256 text, -- of the file that it was imported from
    bytes       bigint NOT NULL DEFAULT 0, -- of the stored file
    created     timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE volume (
    id          text PRIMARY KEY,
    account_id  text NOT NULL,
    zone        text NOT NULL,
    host_id     text, -- who gives a host something holds its row
    size_gib    bigint NOT NULL CHECK (size_gib > 0),
    type        text NOT NULL,
    iops        bigint,
    throughput  bigint,
    snapshot_id text,
    encrypted   boolean NOT NULL DEFAULT false,
    made        boolean NOT NULL DEFAULT false, -- its bytes were made once: never again
    lost        boolean NOT NULL DEFAULT false,
    created     timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE volume_attachment (
    volume_id             text PRIMARY KEY REFERENCES volume ON DELETE CASCADE,
    instance_id           text NOT NULL,
    device                text NOT NULL,
    delete_on_termination boolean NOT NULL,
    attached              timestamptz NOT NULL DEFAULT now(),
    UNIQUE (instance_id, device)
);

-- compute ---------------------------------------------------------------------------------------

CREATE TABLE image (
    id               text PRIMARY KEY,
    account_id       text NOT NULL REFERENCES account,
    name             text NOT NULL,
    description      text,
    architecture     text NOT NULL,
    boot_mode        text NOT NULL CHECK (boot_mode IN ('legacy-bios', 'uefi', 'uefi-preferred')),
    root_device_name text NOT NULL,
    is_public        boolean NOT NULL DEFAULT false,
    ena_support      boolean NOT NULL DEFAULT true,
    imds_support     text,
    state            text NOT NULL DEFAULT 'available',
    created          timestamptz NOT NULL DEFAULT now(),
    UNIQUE (account_id, name)
);

CREATE TABLE image_device (
    image_id              text NOT NULL REFERENCES image ON DELETE CASCADE,
    device                text NOT NULL,
    snapshot_id           text REFERENCES snapshot,
    size_gib              bigint NOT NULL,
    volume_type           text NOT NULL,
    iops                  bigint,
    throughput            bigint,
    delete_on_termination boolean NOT NULL DEFAULT true,
    PRIMARY KEY (image_id, device)
);
CREATE INDEX image_device_snapshot ON image_device (snapshot_id);

CREATE TABLE key_pair (
    id          text PRIMARY KEY,
    account_id  text NOT NULL REFERENCES account,
    name        text NOT NULL,
    type        text NOT NULL CHECK (type IN ('rsa', 'ed25519')),
    fingerprint text NOT NULL,
    public_key  text NOT NULL,
    created     timestamptz NOT NULL DEFAULT now(),
    UNIQUE (account_id, name)
);

-- Each check is parsed and compiled anew by every statement that writes a row: those of the state
-- machine alone are worth it.
CREATE TABLE instance (
    id                     text PRIMARY KEY,
    account_id             text NOT NULL,
    reservation_id         text NOT NULL,
    launch_index           integer NOT NULL,
    client_token           text NOT NULL DEFAULT '',
    image_id               text NOT NULL,
    type                   text NOT NULL,
    vcpus                  bigint NOT NULL,
    memory_mib             bigint NOT NULL,
    bandwidth_mbit         bigint NOT NULL DEFAULT 0, -- of each interface, each way; 0: no limit
    architecture           text NOT NULL,
    boot_mode              text NOT NULL,
    root_device_name       text NOT NULL,
    zone                   text NOT NULL,
    vpc_id                 text NOT NULL, -- it may be gone before a terminated instance is
    subnet_id              text NOT NULL,
    key_name               text,
    public_key             text,
    user_data              text, -- base64
    shutdown_behavior      text NOT NULL,         -- stop, terminate
    disable_termination    boolean NOT NULL DEFAULT false,
    disable_stop           boolean NOT NULL DEFAULT false,
    ebs_optimized          boolean NOT NULL DEFAULT false,
    monitoring             boolean NOT NULL DEFAULT false,
    http_tokens            text NOT NULL,         -- optional, required
    http_endpoint          text NOT NULL,         -- enabled, disabled
    http_hops              integer NOT NULL,      -- 1 to 64
    http_tags              text NOT NULL,         -- enabled, disabled
    -- the wish
    wish                   text NOT NULL CHECK (wish IN ('run', 'stop', 'terminate')),
    force                  boolean NOT NULL DEFAULT false,       -- stop without asking the guest
    reboots                bigint NOT NULL DEFAULT 0,            -- asked for
    generation             bigint NOT NULL,                      -- the host's when last changed
    -- the facts
    state                  text NOT NULL CHECK (state IN
        ('pending', 'running', 'stopping', 'stopped', 'shutting-down', 'terminated')),
    reboots_done           bigint NOT NULL DEFAULT 0,
    ran                    boolean NOT NULL DEFAULT false,       -- was seen running once
    console                text,                                 -- its tail, base64
    console_at             timestamptz,
    reachable              text NOT NULL DEFAULT 'initializing', -- the instance status check
    reachable_since        timestamptz NOT NULL DEFAULT now(),
    reason_code            text,
    reason_message         text,
    transition_reason      text NOT NULL DEFAULT '',
    host_id                text,                   -- NULL once nothing of it is left there
    claimed                boolean NOT NULL,       -- counted in the host's claims
    launched               timestamptz NOT NULL DEFAULT now(),
    state_since            timestamptz NOT NULL DEFAULT now(),
    CHECK (NOT claimed OR host_id IS NOT NULL)
);
CREATE INDEX instance_account ON instance (account_id, reservation_id, launch_index); -- pages
CREATE INDEX instance_host ON instance (host_id, generation);
CREATE INDEX instance_host_vpc ON instance (host_id, vpc_id);
CREATE INDEX instance_transient ON instance (state_since)
    WHERE state NOT IN ('running', 'stopped');
