"""What became of a model's results in the eyes of curators: how many were accepted, rejected and sent back."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from oldphoto_core.reviews.decision import Decision
from oldphoto_core.reviews.store import Reviews
from oldphoto_core.storage import Bucket
from oldphoto_core.storage.ledger import rows_of_all_runs
from oldphoto_core.storage.parallel import SMALL_THREADS, map_objects


@dataclass(frozen=True, kw_only=True, slots=True)
class Reviewed:
    """Derivatives of one model that curators decided about; of each the last decision counts."""

    accepted: int
    rejected: int
    sent_back: int

    @property
    def decided(self) -> int:
        """All of them."""
        return self.accepted + self.rejected + self.sent_back

    def __str__(self) -> str:
        return f"{self.accepted} of {self.decided} results accepted ({self.accepted / self.decided:.0%})"


def reviewed_by_model(targets: Iterable[Bucket]) -> dict[str, Reviewed]:
    """Digest of the weights -> what was decided about the derivatives that it made, over all of these targets."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for target in targets:
        rows = rows_of_all_runs(target)
        made = rows[(rows["status"] == "restored") & (rows["output_sha256"] != "")]
        models = dict(zip(made["key"] + "\0" + made["output_sha256"], made["model"], strict=True))
        for decision in _last_of_each_derivative(target):
            if model := models.get(f"{decision.key}\0{decision.seen}"):
                counts[model][decision.verdict] += 1
    return {
        model: Reviewed(accepted=found["accept"], rejected=found["reject"], sent_back=found["redo"])
        for model, found in counts.items()
    }


def _last_of_each_derivative(target: Bucket) -> Iterator[Decision]:
    """A photo that was restored again has a decision about each of its derivatives, perhaps by different models."""
    reviews = Reviews(target)
    last, _ = reviews.all()
    for history in map_objects(reviews.history, last, SMALL_THREADS):
        yield from {decision.seen: decision for decision in history if decision.seen}.values()
