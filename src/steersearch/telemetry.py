"""Telemetry of the libraries below: off, before any of them is imported.

onnxruntime from 1.29 on sends a device id, the user's folders and names of graphs some seconds after its import, and
keeps a queue in the user's cache folder. It reads its variable once, when it is imported: `disable_telemetry_events` is
too late. A value that the user has set stays, so ``ORT_DISABLE_TELEMETRY=0`` switches it on.
"""

import logging
import os
import sys

logger = logging.getLogger(__name__)

SWITCHES = {"ORT_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "RAY_USAGE_STATS_ENABLED": "0"}
"""Environment variables of onnxruntime, huggingface_hub and Ray, which steersearch starts; child processes get them
too. SECURITY.md says what other frameworks send."""


def switch_off() -> None:
    """Set each variable that has no value yet, and warn where that is too late."""
    if "onnxruntime" in sys.modules and "ORT_DISABLE_TELEMETRY" not in os.environ:
        logger.warning(
            "onnxruntime was imported before steersearch, too early for its telemetry to be switched off: import "
            "steersearch first, or start with ORT_DISABLE_TELEMETRY=1"
        )
    for name, value in SWITCHES.items():
        os.environ.setdefault(name, value)
