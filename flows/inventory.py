"""What a collection is made of: checksums, formats and quality, a row per object; Dask over all cores, resumable."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.logging import get_run_logger
from pydantic import Field

from flows.progress import CountProgress
from oldphoto_core.inventory import InventoryReport
from tasks.inventory import take_stock


@flow(name="inventory", persist_result=False, retries=0, log_prints=False)
def inventory(
    source: Annotated[str, Field(description="Bucket of the collection; only ever read")],
    out: Annotated[str, Field(description="File or object that receives the table, .parquet or .csv")],
    dask: Annotated[str | None, Field(description="Address of a running Dask scheduler")] = None,
    limit: Annotated[int | None, Field(ge=1, description="At most this many objects of the source")] = None,
) -> InventoryReport:
    """Examine what is new; the figures are also a table artifact."""
    log = get_run_logger()
    with CountProgress("examining") as examined:

        def log_link(link: str) -> None:
            examined.note(f"Dask dashboard: {link}")
            log.info("Dask dashboard: %s", link)

        report = take_stock(source, out, dask, limit, lambda _row: examined.advance(), log_link)
    create_table_artifact(
        key="inventory",
        table=[{"what": name, "figure": figure} for name, figure in asdict(report).items()],
        description=f"Inventory of {source} in {out}",
    )
    return report
