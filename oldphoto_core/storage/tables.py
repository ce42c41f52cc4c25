"""Tables as Parquet bytes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from oldphoto_core.errors import StorageError

if TYPE_CHECKING:
    import pandas as pd

    from oldphoto_core.storage.bucket import Bucket


def write_table(bucket: Bucket, key: str, frame: pd.DataFrame) -> str:
    """Writes the frame (without its index) as Parquet; returns the sha256 of the file."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, engine="pyarrow", index=False, compression="zstd")
    return bucket.write(key, buffer.getvalue())


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
