"""Records of a run in the forms that archives exchange."""

from __future__ import annotations

from typing import Annotated

from prefect import flow
from prefect.logging import get_run_logger
from pydantic import Field

from oldphoto_core.reports.exports.run import ExportOptions, ExportResult, export_records
from oldphoto_core.storage import Bucket


@flow(name="export", persist_result=False, retries=0, log_prints=False)
def export(
    target: Annotated[str, Field(description="Bucket that holds photos/, masks/, records/ and runs/")],
    run_id: Annotated[str, Field(description="Of a finished run; empty for everything in the target")] = "",
    premis: Annotated[bool, Field(description="PREMIS 3 objects, events and agents")] = False,
    bagit: Annotated[bool, Field(description="A BagIt bag whose payload stays where it is")] = False,
    dublin_core: Annotated[bool, Field(description="A table of Dublin Core elements")] = False,
    iiif: Annotated[str, Field(description="Where the target is served: a IIIF manifest with it")] = "",
    originals: Annotated[str, Field(description="Where the masters are served")] = "",
) -> ExportResult:
    """Writes TARGET/runs/<run id>/exports/, or TARGET/exports/; again gives the same."""
    options = ExportOptions(premis=premis, bagit=bagit, dublin_core=dublin_core, iiif=iiif, originals=originals)
    result = export_records(Bucket(target), run_id, options)
    get_run_logger().info("exported %d photos of %s into %s", result["photos"], target, ", ".join(result["written"]))
    return result
