-- SPDX-License-Identifier: Apache-2.0
-- Lists of all of an account's instances read attachments without their volumes.

ALTER TABLE volume_attachment ADD COLUMN account_id text;
UPDATE volume_attachment SET account_id = volume.account_id FROM volume
    WHERE volume.id = volume_attachment.volume_id;
ALTER TABLE volume_attachment ALTER COLUMN account_id SET NOT NULL;
