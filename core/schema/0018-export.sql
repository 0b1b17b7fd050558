-- SPDX-License-Identifier: Apache-2.0
-- Volumes of one host's disk that are used on another: served by the one, for this attachment alone.

ALTER TABLE volume_attachment
    ADD COLUMN export_host_id text,    -- the volume's; NULL: its bytes are where its instance is
    ADD COLUMN export_port    integer, -- of that host's tunnel address
    ADD COLUMN export_key     text,    -- 64 hex digits, for the two hosts only
    ADD CHECK ((export_host_id IS NULL) = (export_port IS NULL)),
    ADD CHECK ((export_host_id IS NULL) = (export_key IS NULL)),
    ADD UNIQUE (export_host_id, export_port);

-- However an attachment ends, the host that serves it is to hear of it.
CREATE FUNCTION touch_exporter() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN
    UPDATE host SET generation = generation + 1 WHERE id = OLD.export_host_id;
    PERFORM pg_notify('virga_host', OLD.export_host_id);
    RETURN NULL;
END$$;
CREATE TRIGGER volume_attachment_exported AFTER DELETE ON volume_attachment
    FOR EACH ROW WHEN (OLD.export_host_id IS NOT NULL) EXECUTE FUNCTION touch_exporter();
