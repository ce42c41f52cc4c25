"""Which faults Prefect retries: a lost connection to a Dask cluster, and nothing that would fail again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect import flow

from oldphoto_core import inventory
from oldphoto_core.errors import ClusterAway
from tasks.inventory import take_stock

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Exception]:
    """Faults that the next calls of the core end with; when none is left, it works."""
    faults: list[Exception] = []
    real: Callable[..., Any] = inventory.take_stock

    def failing(*arguments: Any, **options: Any) -> inventory.InventoryReport:
        if faults:
            raise faults.pop(0)
        return real(*arguments, **options)

    monkeypatch.setattr(inventory, "take_stock", failing)
    return faults


@flow(name="retries", persist_result=False)
def stock(source: str, out: str) -> inventory.InventoryReport:
    """The task of the inventory, retried at once."""
    return take_stock.with_options(retry_delay_seconds=0)(
        source, out, None, None, lambda _row: None, lambda _link: None
    )


def test_an_inventory_goes_on_after_its_cluster_was_lost(calls: list[Exception], tmp_path: Path) -> None:
    from distributed.comm import CommClosedError

    (tmp_path / "scans").mkdir()
    (tmp_path / "scans/note.txt").write_text("a note\n")
    calls += [CommClosedError("the scheduler went away")]
    assert stock(str(tmp_path / "scans"), str(tmp_path / "table.parquet")).found == 1
    assert calls == []


def test_an_inventory_ends_at_once_when_the_cluster_never_answered(calls: list[Exception], tmp_path: Path) -> None:
    calls += [ClusterAway("the Dask scheduler at tcp://127.0.0.1:9 does not answer"), OSError("a second call")]
    with pytest.raises(ClusterAway):
        stock(str(tmp_path), str(tmp_path / "table.parquet"))
    assert len(calls) == 1
