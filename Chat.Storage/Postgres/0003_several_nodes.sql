-- Version 3: several servers may share the database.

-- shared: the session is that of several servers, which others may join. cluster: what tells them apart from those of another database that
-- use the same Redis.
ALTER TABLE server_state
    ADD COLUMN shared  boolean NOT NULL DEFAULT false,
    ADD COLUMN cluster text    NOT NULL DEFAULT md5(random()::text || clock_timestamp()::text);

-- Message ids that no two servers give: a server takes a block of 2^20, and numbers messages with it before they are stored. The session that is not
-- shared, and shared ones after it, begin above the highest id there is.
CREATE SEQUENCE message_id_blocks;
