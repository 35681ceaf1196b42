"""Optional dependencies: a missing one is an error of one line that names the pip command."""

from importlib.util import find_spec

from .errors import MissingExtraError


def installed(module: str) -> bool:
    """Tell whether a top-level module can be imported; one blocked with ``sys.modules[name] = None`` cannot."""
    try:
        return find_spec(module) is not None
    except ValueError:
        return False


def require(extra: str, *modules: str) -> None:
    """Check that all top-level modules of an optional extra, for example ``"train"``, are installed.

    Raises:
        MissingExtraError: One of them is not.
    """
    missing = [name for name in modules if not installed(name)]
    if missing:
        raise MissingExtraError(f"{', '.join(missing)} is not installed: pip install 'steersearch[{extra}]'")
