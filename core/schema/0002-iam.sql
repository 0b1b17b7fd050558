-- SPDX-License-Identifier: Apache-2.0
-- IAM: users, groups, roles, instance profiles and managed policies.  They share their names, paths
-- and tags, so they are rows of one table.

CREATE TABLE iam_entity (
    id              text PRIMARY KEY CHECK (id ~ '^A(IDA|GPA|ROA|IPA|NPA)[A-Z2-7]{17}$'),
    account_id      text NOT NULL REFERENCES account,
    kind            text NOT NULL CHECK
        (kind IN ('user', 'group', 'role', 'instance-profile', 'policy')),
    name            text NOT NULL CHECK (length(name) BETWEEN 1 AND 128),
    path            text NOT NULL CHECK (path ~ '^/([!-~]*/)?$' AND length(path) <= 512),
    description     text,     -- of roles and policies
    boundary        text,     -- of users and roles: ARN of the policy that bounds their rights
    trust           text,     -- of roles: who may assume it
    trusted         text[],   -- of roles: ARN, id, ARN, id of the users and roles that it names
    session_max_s   bigint,   -- of roles
    default_version bigint,   -- of policies
    versions_made   bigint,   -- of policies: numbers are never used twice
    created         timestamptz NOT NULL DEFAULT now(),
    updated         timestamptz NOT NULL DEFAULT now(),
    CHECK ((kind = 'role') = (trust IS NOT NULL AND session_max_s IS NOT NULL)),
    CHECK ((kind = 'policy') = (default_version IS NOT NULL AND versions_made IS NOT NULL))
);
-- Names are not told apart by their case.
CREATE UNIQUE INDEX iam_entity_name ON iam_entity (account_id, kind, lower(name));

CREATE TABLE iam_tag (
    entity_id text NOT NULL REFERENCES iam_entity ON DELETE CASCADE,
    key       text NOT NULL CHECK (length(key) BETWEEN 1 AND 128),
    value     text NOT NULL CHECK (length(value) <= 256),
    PRIMARY KEY (entity_id, key)
);

CREATE TABLE iam_member (
    group_id text NOT NULL REFERENCES iam_entity,
    user_id  text NOT NULL REFERENCES iam_entity,
    added    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, group_id)
);
CREATE INDEX iam_member_group ON iam_member (group_id);

-- An instance profile hands one role to instances.
CREATE TABLE iam_profile_role (
    profile_id text PRIMARY KEY REFERENCES iam_entity,
    role_id    text NOT NULL REFERENCES iam_entity
);
CREATE INDEX iam_profile_role_role ON iam_profile_role (role_id);

-- Policies that lie in a user, group or role.
CREATE TABLE iam_inline_policy (
    entity_id text NOT NULL REFERENCES iam_entity,
    name      text NOT NULL,
    document  text NOT NULL,
    PRIMARY KEY (entity_id, name)
);

CREATE TABLE iam_policy_version (
    policy_id text NOT NULL REFERENCES iam_entity ON DELETE CASCADE,
    version   bigint NOT NULL,
    document  text NOT NULL,
    created   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (policy_id, version)
);

-- Managed policies that users, groups and roles have.  AWS's own have no row: their ARN is all.
CREATE TABLE iam_attachment (
    entity_id  text NOT NULL REFERENCES iam_entity,
    policy_arn text NOT NULL,
    policy_id  text REFERENCES iam_entity,  -- NULL: AWS's
    PRIMARY KEY (entity_id, policy_arn)
);
CREATE INDEX iam_attachment_policy ON iam_attachment (policy_arn);
CREATE INDEX iam_attachment_policy_id ON iam_attachment (policy_id);

CREATE TABLE iam_alias (
    account_id text PRIMARY KEY REFERENCES account,
    alias      text NOT NULL UNIQUE
);

-- NULL: a key of the account's administrator.
ALTER TABLE access_key ADD COLUMN owner_id text REFERENCES iam_entity;
CREATE INDEX access_key_owner ON access_key (owner_id);
CREATE INDEX access_key_account ON access_key (account_id);

-- Apart from access_key: a key that is used has not changed.
CREATE TABLE access_key_use (
    key_id  text PRIMARY KEY REFERENCES access_key ON DELETE CASCADE,
    used    timestamptz NOT NULL,
    region  text NOT NULL,
    service text NOT NULL
);

-- Replicas keep the policies of callers in memory, together with their keys.
CREATE TRIGGER iam_entity_changed AFTER UPDATE OR DELETE ON iam_entity
    FOR EACH STATEMENT EXECUTE FUNCTION notify_key();
CREATE TRIGGER iam_tag_changed AFTER INSERT OR UPDATE OR DELETE ON iam_tag
    FOR EACH STATEMENT EXECUTE FUNCTION notify_key();
CREATE TRIGGER iam_member_changed AFTER INSERT OR DELETE ON iam_member
    FOR EACH STATEMENT EXECUTE FUNCTION notify_key();
CREATE TRIGGER iam_inline_policy_changed AFTER INSERT OR UPDATE OR DELETE ON iam_inline_policy
    FOR EACH STATEMENT EXECUTE FUNCTION notify_key();
CREATE TRIGGER iam_policy_version_changed AFTER UPDATE OR DELETE ON iam_policy_version
    FOR EACH STATEMENT EXECUTE FUNCTION notify_key();
CREATE TRIGGER iam_attachment_changed AFTER INSERT OR DELETE ON iam_attachment
    FOR EACH STATEMENT EXECUTE FUNCTION notify_key();

-- What an instance profile hands to an instance.  A profile may be deleted while instances have it:
-- they are told that it is gone.
ALTER TABLE instance ADD COLUMN profile_id text;
ALTER TABLE instance ADD COLUMN profile_arn text;
ALTER TABLE instance ADD COLUMN profile_association_id text;
ALTER TABLE instance ADD COLUMN profile_since timestamptz;
ALTER TABLE instance ADD CHECK ((profile_id IS NULL) = (profile_association_id IS NULL));
CREATE UNIQUE INDEX instance_profile_association ON instance (profile_association_id)
    WHERE profile_association_id IS NOT NULL;
