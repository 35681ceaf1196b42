"""One line that says how to install what is missing, in place of a traceback."""

from importlib.util import find_spec

from .errors import MissingExtraError


def installed(module: str) -> bool:
    """Tell whether a top-level module can be imported, without importing it.

    A module that was blocked with ``sys.modules[name] = None`` counts as missing.
    """
    try:
        return find_spec(module) is not None
    except ValueError:
        return False


def require(extra: str, *modules: str) -> None:
    """Raise when a module of an optional extra is missing.

    Args:
        extra: Name of the extra in pyproject.toml, for example ``"train"``.
        modules: Top-level import names that the extra brings.

    Raises:
        MissingExtraError: One of them is not installed.
    """
    missing = [name for name in modules if not installed(name)]
    if missing:
        raise MissingExtraError(f"{', '.join(missing)} is not installed: pip install 'steersearch[{extra}]'")
