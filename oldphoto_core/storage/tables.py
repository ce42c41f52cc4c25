"""Tables as Parquet, exact, and as CSV, which spreadsheets open without running anything that it holds."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

from oldphoto_core.errors import StorageError

if TYPE_CHECKING:
    import pandas as pd

    from oldphoto_core.storage.bucket import Bucket

_COMPUTED = re.compile("'*(?:[\t\r\n]|\\s*[=+\\-@\uff1d\uff0b\uff0d\uff20])")
"""How a cell starts that a spreadsheet takes for a formula: with a sign, also full-width or behind blanks, a tab or a
line break. Behind a "'" too, so that what `as_text` added can be told from what was there."""


def write_table(bucket: Bucket, key: str, frame: pd.DataFrame) -> str:
    """Writes the frame (without its index) as Parquet; returns the sha256 of the file."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, engine="pyarrow", index=False, compression="zstd")
    return bucket.write(key, buffer.getvalue())


def write_csv(bucket: Bucket, key: str, frame: pd.DataFrame) -> None:
    """Writes the frame (without its index) as UTF-8 CSV whose texts are `as_text`."""
    texts = {str(name): frame[name].map(as_text) for name in frame.columns if frame[name].dtype.kind not in "biufc"}
    bucket.write(key, frame.assign(**texts).to_csv(index=False).encode("utf-8", "backslashreplace"))


def as_text(cell: Any) -> Any:
    """A CSV cell that a spreadsheet shows as text: a "'" before what it would compute, everything else as it is.

    Names of files stand in such cells, and `=HYPERLINK(...)` is a valid name. `raw_text` is the inverse.
    """
    return f"'{cell}" if isinstance(cell, str) and _COMPUTED.match(cell) else cell


def raw_text(cell: str) -> str:
    """The text of a cell that `as_text` made."""
    return cell[1:] if cell.startswith("'") and _COMPUTED.match(cell) else cell


def read_table(bucket: Bucket, key: str) -> pd.DataFrame:
    """Reads a Parquet file.

    Raises:
        StorageError: it is there, but no Parquet file.
        SourceMissing: it is not there.
    """
    import pandas as pd

    data = bucket.read(key)
    try:
        return pd.read_parquet(io.BytesIO(data), engine="pyarrow")
    except Exception as error:  # pandas and pyarrow raise of damaged files whatever they come upon
        raise StorageError(f"{bucket.url}/{key} is not a table that can be read: restore it or remove it") from error
