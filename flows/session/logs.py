"""Logs for machines: a JSON object a line, with run, shard and photo, where OLDPHOTO_LOG names a file ("-": stderr)."""

from __future__ import annotations

import json
import logging
import os
from datetime import UTC, datetime

from oldphoto_core.names import visible

VARIABLE = "OLDPHOTO_LOG"
FIELDS = ("run_id", "shard", "key", "status", "reason", "seconds", "megapixels")
LOGGER = "oldphoto"


class JsonLines(logging.Formatter):
    """time (UTC), level, logger, message, and those of FIELDS that the record has."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        said = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
        }
        return json.dumps({**said, **{name: getattr(record, name) for name in FIELDS if hasattr(record, name)}})


class OneLine(logging.Formatter):
    """Messages whose names cannot forge a line or act on the terminal."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """The line."""
        record.message = visible(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: logging._SysExcInfoType) -> str:  # noqa: N802 - logging's name
        """The traceback."""
        return "\n".join(map(visible, super().formatException(ei).split("\n")))


def log_safely() -> None:
    """Have Python's handler of last resort write warnings so: commands set up none, and libraries quote names."""
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(OneLine())


def log_as_asked() -> None:
    """Attach the handler that the environment asks for, once."""
    place = os.environ.get(VARIABLE, "")
    logger = logging.getLogger(LOGGER)
    if not place or any(isinstance(handler.formatter, JsonLines) for handler in logger.handlers):
        return
    handler = logging.StreamHandler() if place == "-" else logging.FileHandler(place, encoding="utf-8")
    handler.setFormatter(JsonLines())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
