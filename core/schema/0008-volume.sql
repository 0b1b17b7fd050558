-- SPDX-License-Identifier: Apache-2.0
-- Volumes that live apart from instances.

-- Asked to go; the row goes when its host says that the bytes have.
ALTER TABLE volume ADD COLUMN deleting boolean NOT NULL DEFAULT false;
CREATE INDEX volume_deleting ON volume (host_id) WHERE deleting;

-- 'attaching' until the running guest has the disk, 'detaching' until it has let go of it.
ALTER TABLE volume_attachment ADD COLUMN transition text;
CREATE INDEX volume_attachment_transition ON volume_attachment (instance_id)
    WHERE transition IS NOT NULL;
