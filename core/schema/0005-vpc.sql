-- SPDX-License-Identifier: Apache-2.0
-- What VPCs consist of.  Whoever changes one holds its row, so that what is counted or compared
-- within a VPC stays as it was seen; a subnet's row is taken before its VPC's, as launches do.

-- The zones in which the account was given a default subnet.  What it deletes stays deleted; a zone
-- that the cloud gets later is new to it.
ALTER TABLE account ADD COLUMN default_zones text[] NOT NULL DEFAULT '{}';
UPDATE account a SET default_zones = ARRAY(
    SELECT DISTINCT s.zone FROM subnet s WHERE s.account_id = a.id AND s.is_default);

-- NULL: not named; the domain of the default options is the region's.
CREATE TABLE dhcp_options (
    id                   text PRIMARY KEY,
    account_id           text NOT NULL REFERENCES account,
    is_default           boolean NOT NULL DEFAULT false, -- of new VPCs
    domain_name          text[],
    domain_name_servers  text[],
    ntp_servers          text[],
    netbios_name_servers text[],
    netbios_node_type    text[],
    created              timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX dhcp_options_account ON dhcp_options (account_id);
CREATE UNIQUE INDEX dhcp_options_default ON dhcp_options (account_id) WHERE is_default;

ALTER TABLE vpc ADD COLUMN dhcp_options_id text REFERENCES dhcp_options; -- NULL: "default"
ALTER TABLE vpc ADD COLUMN tenancy text NOT NULL DEFAULT 'default';
ALTER TABLE vpc ADD COLUMN dns_support boolean NOT NULL DEFAULT true;
ALTER TABLE vpc ADD COLUMN dns_hostnames boolean NOT NULL DEFAULT false;
ALTER TABLE vpc ADD COLUMN usage_metrics boolean NOT NULL DEFAULT false;
CREATE INDEX vpc_account ON vpc (account_id);
CREATE INDEX vpc_dhcp_options ON vpc (dhcp_options_id);
UPDATE vpc SET dns_hostnames = true WHERE is_default;

-- Blocks that a VPC has got besides its first.
CREATE TABLE vpc_cidr (
    id      text PRIMARY KEY, -- "vpc-cidr-assoc-0…"
    vpc_id  text NOT NULL REFERENCES vpc ON DELETE CASCADE,
    cidr    cidr NOT NULL,
    created timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX vpc_cidr_vpc ON vpc_cidr (vpc_id);
-- All blocks.  The first one's association has the VPC's digits.
CREATE VIEW vpc_block AS
    SELECT id AS vpc_id, 'vpc-cidr-assoc-' || substr(id, 5) AS association_id, cidr, created,
        true AS is_first FROM vpc
    UNION ALL SELECT vpc_id, id, cidr, created, false FROM vpc_cidr;

ALTER TABLE subnet ADD COLUMN hostname_type text NOT NULL DEFAULT 'ip-name';
ALTER TABLE subnet ADD COLUMN resource_name_a boolean NOT NULL DEFAULT false;
CREATE INDEX subnet_account ON subnet (account_id);

CREATE TABLE route_table (
    id         text PRIMARY KEY,
    account_id text NOT NULL REFERENCES account,
    vpc_id     text NOT NULL REFERENCES vpc,
    created    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX route_table_account ON route_table (account_id);
CREATE INDEX route_table_vpc ON route_table (vpc_id);

-- Subnets that are not named here have the main table.
CREATE TABLE route_table_association (
    id             text PRIMARY KEY, -- "rtbassoc-0…"
    vpc_id         text NOT NULL REFERENCES vpc,
    route_table_id text NOT NULL REFERENCES route_table,
    subnet_id      text UNIQUE REFERENCES subnet -- NULL: it makes the table the main one
);
CREATE INDEX route_table_association_table ON route_table_association (route_table_id);
CREATE UNIQUE INDEX route_table_association_main ON route_table_association (vpc_id)
    WHERE subnet_id IS NULL;

-- "local" is understood for the blocks of the VPC; one to exactly such a block takes its place.
-- A target that is gone leaves a black hole: no reference.
CREATE TABLE route (
    route_table_id text NOT NULL REFERENCES route_table ON DELETE CASCADE,
    destination    cidr NOT NULL,
    target         text NOT NULL CHECK (target ~ '^(igw|nat|eni)-'),
    PRIMARY KEY (route_table_id, destination)
);
CREATE INDEX route_target ON route (target);
-- Routes and what has become of their targets.
CREATE VIEW route_seen AS
    SELECT r.route_table_id, t.account_id, t.vpc_id, r.destination, r.target, n.instance_id,
        i.account_id AS instance_owner_id,
        EXISTS (SELECT 1 FROM vpc_block b WHERE b.vpc_id = t.vpc_id AND b.cidr = r.destination)
            AS is_local, -- in the place of the local one
        coalesce(CASE left(r.target, 4) WHEN 'igw-' THEN g.vpc_id = t.vpc_id
            WHEN 'nat-' THEN w.state IN ('pending', 'available')
            ELSE i.state IN ('pending', 'running') END, false) AS active
    FROM route r JOIN route_table t ON t.id = r.route_table_id
    LEFT JOIN internet_gateway g ON g.id = r.target LEFT JOIN nat_gateway w ON w.id = r.target
    LEFT JOIN network_interface n ON n.id = r.target LEFT JOIN instance i ON i.id = n.instance_id;

CREATE TABLE network_acl (
    id         text PRIMARY KEY,
    account_id text NOT NULL REFERENCES account,
    vpc_id     text NOT NULL REFERENCES vpc,
    is_default boolean NOT NULL DEFAULT false,
    created    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX network_acl_account ON network_acl (account_id);
CREATE INDEX network_acl_vpc ON network_acl (vpc_id);
CREATE UNIQUE INDEX network_acl_default ON network_acl (vpc_id) WHERE is_default;

-- Ports as in security_group_rule.
CREATE TABLE network_acl_entry (
    acl_id    text NOT NULL REFERENCES network_acl ON DELETE CASCADE,
    egress    boolean NOT NULL,
    number    integer NOT NULL CHECK (number BETWEEN 1 AND 32766),
    allow     boolean NOT NULL,
    protocol  text NOT NULL, -- tcp, udp, icmp, -1 or a number
    from_port integer NOT NULL,
    to_port   integer NOT NULL,
    cidr      cidr NOT NULL,
    PRIMARY KEY (acl_id, egress, number)
);
-- ACLs that let everything pass, whatever stands behind their first entries.
CREATE VIEW network_acl_open AS
    SELECT a.id FROM network_acl a WHERE 2 = (
        SELECT count(*) FROM network_acl_entry e WHERE e.acl_id = a.id AND e.allow
        AND e.protocol = '-1' AND e.cidr = '0.0.0.0/0' AND e.number = (
            SELECT min(f.number) FROM network_acl_entry f
            WHERE f.acl_id = a.id AND f.egress = e.egress));

-- Every subnet has one.
CREATE TABLE network_acl_association (
    id        text PRIMARY KEY, -- "aclassoc-0…"
    acl_id    text NOT NULL REFERENCES network_acl,
    subnet_id text NOT NULL UNIQUE REFERENCES subnet ON DELETE CASCADE
);
CREATE INDEX network_acl_association_acl ON network_acl_association (acl_id);

-- VPCs that were there before; what they get has their digits.
INSERT INTO dhcp_options (id, account_id, is_default, domain_name, domain_name_servers)
    SELECT 'dopt-' || substr(v.id, 5), v.account_id, true, NULL, '{AmazonProvidedDNS}'
    FROM vpc v WHERE v.is_default;
UPDATE vpc v SET dhcp_options_id = o.id FROM dhcp_options o WHERE o.account_id = v.account_id;
INSERT INTO internet_gateway (id, account_id, vpc_id)
    SELECT 'igw-' || substr(id, 5), account_id, id FROM vpc v
    WHERE NOT EXISTS (SELECT 1 FROM internet_gateway g WHERE g.vpc_id = v.id);
INSERT INTO route_table (id, account_id, vpc_id)
    SELECT 'rtb-' || substr(id, 5), account_id, id FROM vpc;
INSERT INTO route_table_association (id, vpc_id, route_table_id)
    SELECT 'rtbassoc-' || substr(id, 5), id, 'rtb-' || substr(id, 5) FROM vpc;
INSERT INTO route (route_table_id, destination, target)
    SELECT 'rtb-' || substr(v.id, 5), '0.0.0.0/0', g.id FROM vpc v
    JOIN internet_gateway g ON g.vpc_id = v.id;
INSERT INTO network_acl (id, account_id, vpc_id, is_default)
    SELECT 'acl-' || substr(id, 5), account_id, id, true FROM vpc;
INSERT INTO network_acl_entry (acl_id, egress, number, allow, protocol, from_port, to_port, cidr)
    SELECT id, e, 100, true, '-1', -1, -1, '0.0.0.0/0' FROM network_acl, unnest('{t,f}'::bool[]) e;
INSERT INTO network_acl_association (id, acl_id, subnet_id)
    SELECT 'aclassoc-' || substr(id, 8), 'acl-' || substr(vpc_id, 5), id FROM subnet;
UPDATE vpc SET generation = generation + 1;

ALTER VIEW quota_actual RENAME TO quota_actual_before_vpc;
CREATE VIEW quota_actual AS
    SELECT * FROM quota_actual_before_vpc
    UNION ALL SELECT account_id, 'vpcs', count(*) FROM vpc GROUP BY account_id
    UNION ALL SELECT account_id, 'internet-gateways', count(*) FROM internet_gateway
        GROUP BY account_id
    UNION ALL SELECT account_id, 'nat-gateways', count(*) FROM nat_gateway
        WHERE state IN ('pending', 'available', 'deleting') GROUP BY account_id
    UNION ALL SELECT account_id, 'dhcp-options', count(*) FROM dhcp_options GROUP BY account_id;
INSERT INTO quota (account_id, resource, used) SELECT account_id, resource, used FROM quota_actual
    WHERE resource IN ('vpcs', 'internet-gateways', 'dhcp-options');
