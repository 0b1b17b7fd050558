-- SPDX-License-Identifier: Apache-2.0
-- Where a volume's bytes are kept: on its host's disk, or in a pool that all hosts share.

ALTER TABLE volume ADD COLUMN pool text NOT NULL DEFAULT 'local';
