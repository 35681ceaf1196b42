"""The command line: one typer app, thin over the API."""


def main() -> None:
    """Run ``sae``."""


def main_export() -> None:
    """Run ``sae-export``."""
