-- The schema of init.sql in SQLite's terms, version 1. Times are milliseconds since 1970 (SQLite has no time type).
-- Applied by SqliteSchema in one transaction; see docs/migration.md before changing anything.

CREATE TABLE server_state (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    epoch      INTEGER NOT NULL,
    session    INTEGER NOT NULL,
    clean_stop INTEGER NOT NULL
) STRICT;

-- NOCASE folds ASCII only, which is what addresses are.
CREATE TABLE users (
    id            INTEGER PRIMARY KEY,
    email         TEXT NOT NULL COLLATE NOCASE UNIQUE,
    username      TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    created_at    INTEGER NOT NULL
) STRICT;

CREATE TABLE rooms (
    id         INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL,
    last_seq   INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE room_members (
    id        INTEGER PRIMARY KEY,
    room_id   INTEGER NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    user_id   INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    joined_at INTEGER NOT NULL,
    UNIQUE (room_id, user_id)
) STRICT;
CREATE INDEX room_members_user_id_idx ON room_members (user_id);

-- A row without sender_id is a tombstone: it keeps the place of a message that could not be stored.
CREATE TABLE messages (
    id         INTEGER PRIMARY KEY,
    room_id    INTEGER NOT NULL REFERENCES rooms (id),
    seq        INTEGER NOT NULL,
    epoch      INTEGER NOT NULL,
    sender_id  INTEGER REFERENCES users (id),
    nonce      TEXT,
    content    TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (room_id, seq),
    CHECK (sender_id IS NOT NULL OR content = '')
) STRICT;

INSERT INTO server_state (id, epoch, session, clean_stop) VALUES (1, 1, 0, 1);

INSERT INTO rooms (id, name, created_at)
SELECT column1, column2, CAST(unixepoch('subsec') * 1000 AS INTEGER) FROM (VALUES (1, 'General'), (2, 'Random'), (3, 'Help'));
