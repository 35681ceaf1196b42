"""Every error that steersearch raises on purpose.

::

    SteersearchError
    |-- ConfigError (ValueError)            a setting is outside its range
    |-- DataError (ValueError)              documents, embeddings, pairs or queries cannot be used
    |-- CheckpointError                     model.pt is missing, damaged or newer than this version
    |-- ExportMismatchError                 the exported graphs do not reproduce the torch model
    |-- BundleError                         a bundle is missing, incomplete or unreadable
    |   |-- FormatVersionError              ... or newer than this version
    |   `-- ChecksumError                   ... or a file of it was altered
    |-- IndexFolderError                    an index folder is missing, damaged or does not fit its bundle
    |   `-- IndexLockedError                ... or another process is writing to it
    |-- StorageError (OSError)              the disk is full or cannot be written
    |-- EngineError                         the engine behind another vector store does not answer
    |-- EmbedderError                       an embedder from outside does not answer, or gives what cannot be used
    |-- UnknownFeatureError (LookupError)   a boost or a look-up names a feature that is not there
    |-- FilterError (ValueError)            a metadata filter has a syntax error
    `-- MissingExtraError (ImportError)     an optional dependency is not installed

    SteeringWarning (UserWarning)           a boost was applied, and is probably not what was meant

Every message names the value that was found, what was expected and the cure. The command line prints the message on one
line and ends with `exit_code`: 2 when the call itself was wrong, 1 when the call was right and the work failed.
"""

from .text import visible


class SteersearchError(Exception):
    """Base class: catch this to catch every error of the project."""

    exit_code = 1

    def __str__(self) -> str:
        """Return the message. A value in it that would steer a terminal is shown as escapes."""
        return visible(super().__str__(), lines=True)


class ConfigError(SteersearchError, ValueError):
    """A setting is outside its range."""

    exit_code = 2


class DataError(SteersearchError, ValueError):
    """Documents, embeddings, pairs or queries cannot be used as they are."""


class CheckpointError(SteersearchError):
    """A checkpoint is missing, damaged, or newer than this version of steersearch."""


class ExportMismatchError(SteersearchError):
    """The exported graphs do not reproduce the torch model within the tolerance."""


class BundleError(SteersearchError):
    """A bundle is missing, incomplete or unreadable."""


class FormatVersionError(BundleError):
    """A bundle was written by a newer steersearch than this one."""


class ChecksumError(BundleError):
    """A file of a bundle is not the file that was exported."""


class IndexFolderError(SteersearchError):
    """An index folder is missing, damaged, or does not fit its bundle."""


class IndexLockedError(IndexFolderError):
    """Another process is writing to this index."""


class StorageError(SteersearchError, OSError):
    """The disk is full or the folder cannot be written. Older content is unchanged."""


class EngineError(SteersearchError):
    """The engine behind another vector store does not answer. Nothing was changed."""


class EmbedderError(SteersearchError):
    """An embedder from outside does not answer, gives what cannot be used, or would cost more than was allowed."""


class UnknownFeatureError(SteersearchError, LookupError):
    """A boost or a look-up names a feature that the bundle does not have."""

    exit_code = 2


class FilterError(SteersearchError, ValueError):
    """A metadata filter has a syntax error."""

    exit_code = 2


class MissingExtraError(SteersearchError, ImportError):
    """An optional dependency is not installed. The message names the pip command."""

    exit_code = 2


class SteeringWarning(UserWarning):
    """A boost was applied as far as possible, and is probably not what was meant. The message says why."""
