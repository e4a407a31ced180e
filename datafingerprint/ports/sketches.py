"""The sketches in the state store.

Every method may raise `Unavailable` and `StateError`, as those of `StateStore`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from datafingerprint.fingerprint import Fingerprint
from datafingerprint.ledger import SumKey
from datafingerprint.schema import TableSchema
from datafingerprint.sketch import Sketch


@dataclass(frozen=True, slots=True)
class SketchedPartition:
    """Both sides of a partition at one epoch.

    Attributes:
        definition: The table's definition in force.
        epoch: The epoch.
        snapshot_id: The snapshot of the lake table that is counted; None when it has none.
        source: The source's sum.
        lake: The lake's sum.
        form: The form of both sketches; empty where they cannot be compared.
        difference: The source's sketch less the lake's; None where one of them is missing.
        unavailable: Why it is None; empty otherwise.
    """

    definition: TableSchema
    epoch: int
    snapshot_id: int | None
    source: Fingerprint
    lake: Fingerprint
    form: str
    difference: Sketch | None
    unavailable: str


class SketchStore(Protocol):
    """Where sketches are kept.

    `StateStore.advance` stores the steps of the source's sketches, `save_lake` those of files.
    """

    def sketched(self) -> Mapping[SumKey, str]:
        """Running sums that have a sketch at the last epoch stored, with the sketch's form."""

    def adopt_sketches(self, keys: Sequence[SumKey]) -> Mapping[SumKey, str]:
        """Begins sketches of sums that have none with those of the lake, where both sums are equal.

        So a store of a program without sketches gets them, without a re-snapshot.

        Returns:
            The sums that have one now, with the sketch's form.
        """

    def fold_sketches(self, epoch: int) -> bool:
        """Adds steps up to an epoch to their sketches; no earlier epoch can be asked for afterwards.

        Returns:
            True if there are more steps than are folded at once.
        """
