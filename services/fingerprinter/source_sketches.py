"""What each epoch changes in the source's sketches, next to the sums."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from datafingerprint.changes import NO_TRUNCATION, Changes, last_truncation
from datafingerprint.fingerprint import ZERO, Fingerprint
from datafingerprint.ledger import NO_SKETCH, SketchStep, StoredSketch, SumKey, apply_changes
from datafingerprint.partitions import partitioning
from datafingerprint.sketch import Sketch, zero
from datafingerprint.sketch_keys import SketchForm
from datafingerprint.sketching import HeldSketches, count_rows

CellsOf = Callable[[str], int]
"""By table, how many cells its sketches have; 0 for none."""


class SourceSketches:
    """Collects what an epoch changes in sketches while the epoch is read.

    A sketch holds all rows of its sum or does not exist. It begins where the sum is that of no rows. It ends where
    the sum becomes that, and where a change is of another form. Sums that a program without sketches stored have
    none until their table or partition is read again.

    Args:
        known: Sums that have a sketch, and its form.
        cells_of: The number of cells of a table's sketches.
    """

    def __init__(self, known: Mapping[SumKey, str], cells_of: CellsOf) -> None:
        self._forms = dict(known)
        self._cells_of = cells_of
        self._changes: HeldSketches[SumKey] = HeldSketches()
        self._begun: set[SumKey] = set()
        self._ended: set[SumKey] = set()

    def apply(
        self, sums: Mapping[SumKey, Fingerprint], kafka_partition: int, changes: Changes
    ) -> dict[SumKey, Fingerprint]:
        """The sums that changes alter. What they change in sketches is collected."""
        cells = self._cells_of(changes.table.table)
        if not cells:
            altered = apply_changes(sums, kafka_partition, changes)
            self.end(altered)
            return altered
        form = SketchForm.of(changes.table, cells)
        added: HeldSketches[str] = HeldSketches()
        altered = apply_changes(sums, kafka_partition, changes, lambda counting: _net(counting, form, added))
        is_reset = changes.partition is not None or last_truncation(changes) != NO_TRUNCATION
        for key, value in altered.items():
            if value == ZERO:
                self.end([key])
            elif is_reset or sums.get(key, ZERO) == ZERO:
                self._begin(key, form, added.get(key.partition))
            elif self._forms.get(key) == form.text:
                self._changes.add(key, added.get(key.partition) or zero(cells))
            else:
                self.end([key])
        return altered

    def end(self, keys: Iterable[SumKey]) -> None:
        """Ends the sketches of sums that have one."""
        for key in keys:
            if self._forms.pop(key, None) is not None:
                self._changes.remove(key)
                self._begun.discard(key)
                self._ended.add(key)

    def lacking(self, sums: Mapping[SumKey, Fingerprint]) -> list[SumKey]:
        """The sums of rows that have no sketch, and are to have one."""
        return [
            key for key, value in sums.items() if key not in self._forms and value != ZERO and self._cells_of(key.table)
        ]

    def adopt(self, forms: Mapping[SumKey, str]) -> None:
        """Takes in sketches that the store has begun, between two epochs."""
        self._forms.update(forms)

    def _begin(self, key: SumKey, form: SketchForm, sketch: Sketch | None) -> None:
        self._forms[key] = form.text
        self._changes.put(key, sketch or zero(form.cells))
        self._begun.add(key)
        self._ended.discard(key)

    def steps(self, epoch: int) -> list[SketchStep]:
        """What the epoch that was read changes; the next one is collected from here on."""
        steps = [
            SketchStep(epoch, key, StoredSketch(self._forms[key], cells), starts=key in self._begun)
            for key, cells in self._changes.take().items()
        ]
        steps += [SketchStep(epoch, key, NO_SKETCH, starts=True) for key in self._ended]
        self._begun, self._ended = set(), set()
        return steps


def _net(changes: Changes, form: SketchForm, added: HeldSketches[str]) -> dict[str, Fingerprint]:
    """As `ledger.net_sums`; what changes add to the sketches of partitions as well."""
    columns, parts = changes.table.columns, partitioning(changes.table)
    after = count_rows(changes.after, columns, parts, form)
    net = dict(after.sums)
    for name, sketch in after.sketches():
        added.add(name, sketch)
    before = count_rows(changes.before, columns, parts, form)
    for name, gone in before.sums.items():
        net[name] = net.get(name, ZERO) - gone
    for name, sketch in before.sketches():
        added.add(name, -sketch)
    return net
