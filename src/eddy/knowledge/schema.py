"""The tables of a gateway's knowledge base, in SQLite.

Identity of everything that a device said is (origin, stream, seq): the primary key of windows, events and verdicts, so that nothing is
there twice. Times called `time_ns` are sample time (when it was measured), times called `at_ns` are the gateway's clock (when it was
written). Scores and thresholds are Q16 (65536 = 1.0); features are integers in the order of `eddy.kernel.features.NAMES`. JSON columns hold
plain data. The ledger of the loop is `decisions`: one row for each step of a phase, with who, when, what and the evidence.
"""

VERSION = 2

TABLES = """
CREATE TABLE windows (
    origin TEXT, stream TEXT, seq INTEGER, term INTEGER, time_ns INTEGER, replayed INTEGER,
    position INTEGER,        -- index of the window at its origin
    score INTEGER,           -- the device's own, Q16; -1 while it was training
    label INTEGER,           -- 0 normal, 1 anomalous (both weak: the champion's opinion), 2 training
    model_sequence INTEGER,  -- sequence of the package whose model spoke
    features TEXT,
    PRIMARY KEY (origin, stream, seq)
) WITHOUT ROWID;
CREATE TABLE events (
    origin TEXT, stream TEXT, seq INTEGER, time_ns INTEGER, kind TEXT, value TEXT,
    PRIMARY KEY (origin, stream, seq)
) WITHOUT ROWID;
CREATE TABLE gaps (
    origin TEXT, stream TEXT, first INTEGER, last INTEGER, time_ns INTEGER, reason TEXT,
    PRIMARY KEY (origin, stream, first)
) WITHOUT ROWID;
CREATE TABLE verdicts (
    origin TEXT, stream TEXT, seq INTEGER, time_ns INTEGER, position INTEGER,
    label INTEGER,           -- what the champion said
    outcome INTEGER,         -- what the pool says
    strategy TEXT, weight INTEGER, total INTEGER,  -- weight of the voices for "anomalous", of all voices
    votes INTEGER, members INTEGER,                -- the plain count beside it
    rule INTEGER,            -- the second opinion: the plain rule on rms
    champion TEXT,           -- model that spoke on the device, NULL when the gateway does not hold it
    scores TEXT,             -- {model: Q16} of everyone who was ranked
    PRIMARY KEY (origin, stream, seq)
) WITHOUT ROWID;
CREATE INDEX false_positives ON verdicts (origin, champion, time_ns) WHERE label = 1 AND outcome = 0;
CREATE TABLE decisions (
    id INTEGER PRIMARY KEY, at_ns INTEGER, time_ns INTEGER, device TEXT,
    phase TEXT, who TEXT, what TEXT, evidence TEXT
);
CREATE TABLE models (
    id TEXT PRIMARY KEY,     -- SHA-256 over wire and features
    parent TEXT, origin TEXT, device TEXT, at_ns INTEGER,
    wire BLOB, features TEXT, parameters TEXT, metrics TEXT
) WITHOUT ROWID;
CREATE TABLE rankings (
    device TEXT, model TEXT REFERENCES models (id),
    role TEXT,               -- champion, candidate (could follow it), pool (judges, cannot run on the device), retired
    score INTEGER DEFAULT 0, seen INTEGER DEFAULT 0, generation INTEGER, blocked TEXT,
    PRIMARY KEY (device, model)
) WITHOUT ROWID;
CREATE TABLE champions (
    id INTEGER PRIMARY KEY, device TEXT, model TEXT, sequence INTEGER, since_ns INTEGER, until_ns INTEGER, why TEXT
);
CREATE TABLE deployments (
    device TEXT, sequence INTEGER, model TEXT, configuration TEXT, package BLOB,
    state TEXT,              -- wanted, packaged (goes out), installed; or refused, superseded
    who TEXT, why TEXT, at_ns INTEGER,
    PRIMARY KEY (device, sequence)
) WITHOUT ROWID;
CREATE TABLE announcements (  -- what the pool's judge must know, in order
    id INTEGER PRIMARY KEY, said BLOB
);
CREATE TABLE taken (  -- the last samples that were taken in, so that none is taken twice
    id INTEGER PRIMARY KEY, key TEXT, time_ns INTEGER, UNIQUE (key, time_ns)
);
CREATE TABLE alarms (
    id INTEGER PRIMARY KEY, device TEXT, detector TEXT,
    raised_position INTEGER, raised_ns INTEGER, cleared_position INTEGER, cleared_ns INTEGER
);
CREATE TABLE states (device TEXT PRIMARY KEY, state TEXT) WITHOUT ROWID;
"""
