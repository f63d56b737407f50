-- Version 2: where the messages of a room are is kept for runs of them, which the server writes some seconds after the messages
-- (IndexBacklog). A constraint of messages had to be changed with every message: a page for each busy room in each commit.

-- Every message with a smaller id is in message_runs. 0: the next session puts all of them there.
ALTER TABLE server_state ADD COLUMN unindexed_from INTEGER NOT NULL DEFAULT 0;

-- Runs of a room follow each other without holes from seq 1 on.
CREATE TABLE message_runs (
    room_id   INTEGER NOT NULL,
    last_seq  INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    ids       TEXT    NOT NULL, -- a JSON array: the id of first_seq, of the next seq, ...; 100 at most
    PRIMARY KEY (room_id, last_seq)
) STRICT, WITHOUT ROWID;

-- As in version 1, without UNIQUE (room_id, seq). That each seq is given once is seen by rooms.last_seq, which every batch raises from
-- the seq before its first.
CREATE TABLE messages_2 (
    id         INTEGER PRIMARY KEY,
    room_id    INTEGER NOT NULL REFERENCES rooms (id),
    seq        INTEGER NOT NULL,
    epoch      INTEGER NOT NULL,
    sender_id  INTEGER REFERENCES users (id),
    nonce      TEXT,
    content    TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    CHECK (sender_id IS NOT NULL OR content = '')
) STRICT;
INSERT INTO messages_2 (id, room_id, seq, epoch, sender_id, nonce, content, created_at)
SELECT id, room_id, seq, epoch, sender_id, nonce, content, created_at FROM messages ORDER BY id;
DROP TABLE messages;
ALTER TABLE messages_2 RENAME TO messages;
