"""The tables, and how a file gets from any older version to this one.

A job is two rows with the same `seq`. `jobs` is what was submitted and never changes, so that a payload is written
once; `states` is what changes, kept narrow, so that a change of state rewrites some sixty bytes.

`states.state` is finer than core's: a pending row is DUE (in the claim index) or LATER (in the timer's), and nothing
but the timer moves it from one to the other. So the claim index never holds a row that cannot be claimed.
"""

import apsw

from supervisor.core.job import State
from supervisor.errors import StartError

APPLICATION_ID = 0x53544F4B  # "STOK", in the file's header: `file stoker.db` and we can tell whose it is

DUE, LATER, RUNNING, DONE, FAILED, CANCELLED, EXPIRED = 1, 2, 3, 4, 5, 6, 7

STATE_OF: dict[int, State] = {
    DUE: State.PENDING,
    LATER: State.PENDING,
    RUNNING: State.RUNNING,
    DONE: State.DONE,
    FAILED: State.FAILED,
    CANCELLED: State.CANCELLED,
    EXPIRED: State.EXPIRED,
}

CODES_OF: dict[State, tuple[int, ...]] = {
    state: tuple(code for code, of in STATE_OF.items() if of is state) for state in State
}

# The numbers of the states are spelled out: a migration says what it did then, whatever the constants say later.
_VERSION_1 = """
CREATE TABLE meta (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  epoch INTEGER NOT NULL,
  touched_at INTEGER NOT NULL,
  last_seq INTEGER NOT NULL  -- no seq up to this one is ever used again; the newest rows may be deleted
) STRICT;
INSERT INTO meta VALUES (1, 0, 0, 0);

CREATE TABLE queues (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  paused INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE jobs (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  max_attempts INTEGER,
  timeout REAL,
  client TEXT,
  key TEXT,
  name TEXT,
  tags TEXT,     -- a JSON array
  payload BLOB   -- last: what comes before it is read without its overflow pages
) STRICT;
CREATE UNIQUE INDEX jobs_id ON jobs (id);
CREATE UNIQUE INDEX jobs_key ON jobs (client, key) WHERE key IS NOT NULL;
CREATE INDEX jobs_client ON jobs (client) WHERE client IS NOT NULL;

CREATE TABLE tags (
  tag TEXT NOT NULL,
  seq INTEGER NOT NULL,
  PRIMARY KEY (tag, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE states (
  seq INTEGER PRIMARY KEY,
  queue INTEGER NOT NULL,
  urgency INTEGER NOT NULL,  -- minus the priority, so that claim order is ascending
  state INTEGER NOT NULL,
  attempt INTEGER NOT NULL DEFAULT 0,
  stamp INTEGER NOT NULL DEFAULT 0,  -- of the statement that wrote this row last: whom a batch's fence let through
  run_at INTEGER NOT NULL,
  wake_at INTEGER,  -- when the timer must look at a pending row: run_at if still to come, or expires_at
  expires_at INTEGER,
  started_at INTEGER,
  finished_at INTEGER,
  charged INTEGER NOT NULL DEFAULT 0,
  crashes INTEGER NOT NULL DEFAULT 0,
  interruptions INTEGER NOT NULL DEFAULT 0,
  uniq TEXT,
  progress BLOB,
  error TEXT,
  result BLOB
) STRICT;
CREATE INDEX states_due ON states (queue, urgency, seq) WHERE state = 1;
CREATE INDEX states_later ON states (wake_at, queue) WHERE state = 2;
CREATE INDEX states_expiring ON states (wake_at) WHERE state = 1 AND wake_at IS NOT NULL;
CREATE INDEX states_running ON states (queue, seq) WHERE state = 3;
CREATE INDEX states_dead ON states (state, seq, queue) WHERE state > 4;
CREATE UNIQUE INDEX states_unique ON states (queue, uniq) WHERE uniq IS NOT NULL AND state < 4;

CREATE TABLE attempts (
  seq INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  record TEXT NOT NULL,  -- core's Attempt as JSON
  PRIMARY KEY (seq, attempt)
) STRICT, WITHOUT ROWID;

-- How many rows of a queue are in which state: a count of a million rows on every `status` would cost more than this.
CREATE TABLE counts (
  queue INTEGER NOT NULL,
  state INTEGER NOT NULL,
  n INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (queue, state)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER queues_counted AFTER INSERT ON queues BEGIN
  INSERT INTO counts (queue, state) VALUES
    (NEW.id, 1), (NEW.id, 2), (NEW.id, 3), (NEW.id, 4), (NEW.id, 5), (NEW.id, 6), (NEW.id, 7);
END;
CREATE TRIGGER states_counted_in AFTER INSERT ON states BEGIN
  UPDATE counts SET n = n + 1 WHERE queue = NEW.queue AND state = NEW.state;
END;
CREATE TRIGGER states_counted_on AFTER UPDATE OF state ON states WHEN NEW.state <> OLD.state BEGIN
  UPDATE counts SET n = n - 1 WHERE queue = OLD.queue AND state = OLD.state;
  UPDATE counts SET n = n + 1 WHERE queue = NEW.queue AND state = NEW.state;
END;
CREATE TRIGGER states_counted_out AFTER DELETE ON states BEGIN
  UPDATE counts SET n = n - 1 WHERE queue = OLD.queue AND state = OLD.state;
END;
"""

# Made anew, since a column that is added stands behind the payload.
_BACKOFF_OF_A_JOB = """
CREATE TABLE jobs_new (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  max_attempts INTEGER,
  timeout REAL,
  backoff TEXT,  -- the configuration's Backoff as JSON
  client TEXT,
  key TEXT,
  name TEXT,
  tags TEXT,     -- a JSON array
  payload BLOB   -- last: what comes before it is read without its overflow pages
) STRICT;
INSERT INTO jobs_new (seq, id, created_at, max_attempts, timeout, client, key, name, tags, payload)
  SELECT seq, id, created_at, max_attempts, timeout, client, key, name, tags, payload FROM jobs;
DROP TABLE jobs;
ALTER TABLE jobs_new RENAME TO jobs;
CREATE UNIQUE INDEX jobs_id ON jobs (id);
CREATE UNIQUE INDEX jobs_key ON jobs (client, key) WHERE key IS NOT NULL;
CREATE INDEX jobs_client ON jobs (client) WHERE client IS NOT NULL;
"""

# Filters by name and by cause. `error` is core's JobError as JSON, and failed jobs alone are in the second one.
_FILTERS = """
CREATE INDEX jobs_name ON jobs (name) WHERE name IS NOT NULL;
CREATE INDEX states_cause ON states (json_extract(error, '$.cause'), seq, queue) WHERE state = 5;
"""

# In the order in which retention lets go of them: without it every sweep would read all of a queue's history. It makes
# the end of a job a twentieth dearer in SQLite, which is little of the whole.
_RETENTION = """
CREATE INDEX states_ended ON states (queue, state, finished_at) WHERE state > 3;
"""

# No gap between two numbers, and no number twice: each is the highest and one, and the newest row is never removed. A
# deleted job's public id is kept by its last event alone, which is why that is indexed, and nothing else of the journal
# is: see journal.py.
_JOURNAL = """
CREATE TABLE events (
  n INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  job INTEGER NOT NULL,  -- the seq
  queue INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  data TEXT  -- a JSON object, where there is something to say
) STRICT;
CREATE INDEX events_deleted ON events (job) WHERE kind = 12;
CREATE INDEX events_deleted_id ON events (data ->> '$.id') WHERE kind = 12;
ALTER TABLE queues ADD COLUMN silent INTEGER NOT NULL DEFAULT 0;
"""

# Its own index: the one by cause holds failed jobs alone.
_REPLACED = """
CREATE INDEX states_replaced ON states (seq, queue) WHERE state = 6 AND json_extract(error, '$.cause') = 'replaced';
"""

# A job's keys as core.keys.lane_of them, or NULL: so a queue that limits no keys pays for no index. `keyed` is a queue
# in which every job that waits has a lane, and be it that of jobs without keys.
_LANES = """
ALTER TABLE states ADD COLUMN lane TEXT;
ALTER TABLE queues ADD COLUMN keyed INTEGER NOT NULL DEFAULT 0;
CREATE INDEX states_lanes ON states (queue, lane, urgency, seq) WHERE state = 1 AND lane IS NOT NULL;
"""

_VERSION_2 = _BACKOFF_OF_A_JOB + _FILTERS + _RETENTION + _REPLACED + _JOURNAL + _LANES

# MIGRATIONS[n] makes version n + 1 of version n; append, never edit.
MIGRATIONS: tuple[str, ...] = (_VERSION_1, _VERSION_2)


def migrate(connection: apsw.Connection, path: str, migrations: tuple[str, ...] = MIGRATIONS) -> None:
    """Bring the file to the newest version, each step in a transaction of its own.

    Raises StartError for a file that is not stoker's, or that a newer stoker has written.
    """
    version = _version(connection, path)
    if version > len(migrations):
        raise StartError(
            f"{path} was written by a newer stoker (its schema is version {version}, this one knows "
            f"{len(migrations)}); install that version again, or start with another state_dir"
        )
    for number, script in enumerate(migrations[version:], start=version + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute(script)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _version(connection: apsw.Connection, path: str) -> int:
    """The schema version of the file, 0 for an empty one."""
    application = connection.pragma("application_id")
    version = connection.pragma("user_version")
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").get
    if application != APPLICATION_ID and (application or version or tables):
        raise StartError(
            f"{path} is a SQLite database but not one of stoker's; move it away, or name another in store.url"
        )
    assert isinstance(version, int)
    return version
