-- SPDX-License-Identifier: Apache-2.0
-- Images of instances.

-- A running guest is to be switched off for the moment, and started again.
ALTER TABLE snapshot ADD COLUMN halt boolean NOT NULL DEFAULT false;

-- 'pending' until its snapshots are completed; 'failed' if one of them was not.
ALTER TABLE image
    ADD COLUMN source_instance_id text,
    ADD COLUMN state_reason       text;
