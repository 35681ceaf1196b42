"""The tables of a document store, and what is compared before a file is believed to be one."""

from collections.abc import Mapping
from pathlib import Path

from ...errors import IndexFolderError
from .checksums import State, remembered_commit
from .sqlite import Database, damaged

APPLICATION_ID = 0x73746565
"""ASCII "stee" in the header of the file, so that another program's database is refused."""
FORMAT_VERSION = 2
"""1 had no checksums."""
RESERVED = ("format_version", "d_in", "generation", "state")

# metadata stands before text: a filter then reads the beginning of a long row and not all of its overflow pages.
# AUTOINCREMENT: a rowid is never used again, so that it can be the label of a vector in an approximate index.
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


def watermark_of(path: Path) -> Path:
    """The file beside a database that says how many commits it had."""
    return path.with_name("commits")


def fill_schema(database: Database, d_in: int, meta: Mapping[str, str]) -> None:
    """Make the tables in an empty database, inside a transaction."""
    database.rows(f"PRAGMA application_id = {APPLICATION_ID}")
    for statement in _TABLES:
        database.rows(statement)
    own = {"format_version": str(FORMAT_VERSION), "d_in": str(d_in), "generation": "0", "state": str(State())}
    database.many("INSERT INTO meta VALUES (?, ?)", list({**meta, **own}.items()))


def check_schema(database: Database) -> int:
    """Check that a database is a whole store of this format, with every commit that was acknowledged.

    Returns:
        Width of its vectors.

    Raises:
        IndexFolderError: Not a store, of another format, damaged, or older than it should be.
    """
    path = database.path
    commits = remembered_commit(watermark_of(path))  # read first: another process may be committing
    if database.rows("PRAGMA application_id") != [(APPLICATION_ID,)]:
        raise IndexFolderError(f"{path} is not a database of steersearch: choose the folder of an index")
    meta = dict(database.rows("SELECT key, value FROM meta"))
    try:
        version, d_in, _ = (int(meta[key]) for key in RESERVED[:3])
        state = State.parse(meta["state"]) if version == FORMAT_VERSION else State()
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(path, f"no valid {error} in its meta table") from error
    if version > FORMAT_VERSION:
        raise IndexFolderError(
            f"{path} has format_version {version} and this steersearch reads up to {FORMAT_VERSION}: "
            "pip install --upgrade steersearch"
        )
    if version < FORMAT_VERSION:
        raise IndexFolderError(
            f"{path} has format_version {version}, which has no checksums: index the documents again in another folder"
        )
    tables = {sql for (sql,) in database.rows("SELECT sql FROM sqlite_master WHERE name IN ('meta', 'documents')")}
    if tables != set(_TABLES):  # a flipped type, TEXT for example, would compare ids in another way
        raise damaged(path, "its tables are not those of a store")
    if state.commits < commits:
        raise IndexFolderError(
            f"{path} has {state.commits} of {commits} commits: its log was lost or damaged, or it is an older copy; "
            f"restore the newest copy, or delete {watermark_of(path)} to go on with what is there"
        )
    return d_in
