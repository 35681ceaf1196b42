"""The tables of a document store, and the checks of a file before it is used as one."""

from collections.abc import Mapping
from pathlib import Path

from ...errors import DataError, IndexFolderError
from ...files import check_format
from .checksums import State, load_commit_count
from .epochs import Epochs
from .owners import TABLE as MADE_UP
from .revisions import METADATA, REVISION
from .row_encoding import check_strings
from .sqlite import Database, damaged

APPLICATION_ID = 0x73746565
"""ASCII "stee" in the header of the file, so that databases of other programs are rejected."""
FORMAT_VERSION = 2
"""Version 1 had no checksums."""
RESERVED = ("format_version", "d_in", "generation", "state", "epochs", REVISION, METADATA)

# The metadata column precedes the text, so that a filter reads the start of a long row and not its overflow pages.
# AUTOINCREMENT never reuses a row id, so that it can label a vector in an approximate index.
_TABLES = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT)",
    """CREATE TABLE documents (
        rowid INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        checks BLOB NOT NULL,
        metadata TEXT NOT NULL,
        text TEXT NOT NULL,
        vector BLOB NOT NULL,
        latents BLOB NOT NULL,
        values_ BLOB NOT NULL
    )""",
)
# SQLite makes the others itself, the last two for ANALYZE.
_OBJECTS = {
    ("table", "meta"),
    ("index", "sqlite_autoindex_meta_1"),
    ("table", "documents"),
    ("index", "sqlite_autoindex_documents_1"),
    ("table", "made_up"),
    ("table", "sqlite_sequence"),
    ("table", "sqlite_stat1"),
    ("table", "sqlite_stat4"),
}


def watermark_of(path: Path) -> Path:
    """Return the path of the file next to a database that records its number of commits."""
    return path.with_name("commits")


def fill_schema(database: Database, d_in: int, meta: Mapping[str, str]) -> None:
    """Create the tables of an empty database; the caller holds a transaction."""
    database.rows(f"PRAGMA application_id = {APPLICATION_ID}")
    for statement in _TABLES:
        database.rows(statement)
    own = {"format_version": str(FORMAT_VERSION), "d_in": str(d_in), "generation": "0", "state": str(State())}
    own["epochs"] = str(Epochs().begin(0))
    database.many("INSERT INTO meta VALUES (?, ?)", list({**meta, **own}.items()))


def check_schema(database: Database) -> int:
    """Check that a database is a complete store with every acknowledged commit, and return the width of its vectors.

    Raises:
        IndexFolderError: The file is not a store, has another format, is damaged, or is an older copy.
    """
    path = database.path
    # Read first, because another process may be committing.
    commits = load_commit_count(watermark_of(path))
    if database.rows("PRAGMA application_id") != [(APPLICATION_ID,)]:
        raise IndexFolderError(f"{path} is not a database of steersearch: choose the folder of an index")
    # First, because a view called meta would run the SQL of whoever made the file.
    objects = database.rows("SELECT type, name, sql FROM sqlite_master ORDER BY name")
    for kind, name, _ in objects:
        if (kind, name) not in _OBJECTS:
            raise IndexFolderError(
                f"{path} holds the {kind} {name!r:.80}, which no index has: SQL in it could run, so it is not used; "
                "ask whoever made the file, or index the documents again"
            )
    meta = dict(database.rows("SELECT key, value FROM meta"))
    try:
        version, d_in, _ = (int(meta[key]) for key in RESERVED[:3])
        state = State.parse(meta["state"]) if version == FORMAT_VERSION else State()
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(path, f"no valid {error} in its meta table") from error
    check_format(path, version, FORMAT_VERSION, error=IndexFolderError)
    if version < FORMAT_VERSION:
        raise IndexFolderError(
            f"{path} has format_version {version}, which has no checksums: index the documents again in another folder"
        )
    tables = {sql for _, name, sql in objects if name in ("meta", "documents", "made_up")} - {MADE_UP}
    # With an altered column type, ids would compare differently.
    if tables != set(_TABLES):
        raise damaged(path, "its tables are not those of a store")
    if state.commits < commits:
        raise IndexFolderError(
            f"{path} has {state.commits} of {commits} commits: its log was lost or damaged, or it is an older copy; "
            f"restore the newest copy, or delete {watermark_of(path)} to go on with what is there"
        )
    return d_in


def check_meta(meta: Mapping[str, str]) -> None:
    """Check values that a caller keeps next to the documents; a DataError for a key that the store keeps itself."""
    check_strings("meta", [*meta.keys(), *meta.values()])
    for key in RESERVED:
        if key in meta:
            raise DataError(f"meta has the key {key!r}, which the store keeps itself: choose another")
