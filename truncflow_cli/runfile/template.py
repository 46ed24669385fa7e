"""Run files of small runs: filled in at once, in memory, on a form that is kept for the next run of the same kind.

What takes long about a small run file is its structure: some hundred objects to be made, one by one. A form is a
finished file that stays open in memory. The next run writes its own numbers and texts over those that are there, and
the bytes of it all are the run file.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from truncflow_cli.certificate import Certificate
from truncflow_cli.events import EventLog
from truncflow_cli.problem import Problem
from truncflow_cli.runfile import checkpoint, contents
from truncflow_cli.runfile.checkpoint import Checkpoint
from truncflow_cli.runfile.contents import Provenance
from truncflow_cli.runfile.handles import Sheet
from truncflow_cli.runfile.structure import in_memory, sizes_of

#: Forms that are kept; each takes as much memory as a small run file, and as much again.
_KEPT = 16

_forms: OrderedDict[Hashable, Sheet] = OrderedDict()
_lock = threading.Lock()


@dataclass(frozen=True)
class Filling:
    """All that a finished run file holds.

    Attributes:
        problem: what has been solved.
        provenance: where it came from.
        attributes: the root attributes.
        counters: statistics of the work done.
        samples: the trajectory, by the names of its datasets.
        events: the event log.
        certificates: of the run.
        checkpoint: what the run can be gone on from; None if it cannot.
        elapsed: how long the run has taken; asked when everything else is in the file.
    """

    problem: Problem
    provenance: Provenance
    attributes: Mapping[str, Any]
    counters: Mapping[str, int]
    samples: Mapping[str, NDArray[Any]]
    events: EventLog
    certificates: Sequence[Certificate]
    checkpoint: Checkpoint | None
    elapsed: Callable[[], float]

    @property
    def kind(self) -> Hashable:
        """Everything on which it depends what there is in the file: two runs of one kind differ in values alone."""
        return (
            self.problem.flow,
            tuple(sizes_of(self.problem).items()),
            len(self.samples["s"]),
            tuple(self.samples),
            *(
                tuple((name, type(value)) for name, value in group.items())
                for group in (self.attributes, self.provenance.notes, self.counters)
            ),
            tuple((certificate.name, *certificate.series) for certificate in self.certificates),
            len(self.provenance.config.encode()),
            None if self.checkpoint is None else self.checkpoint.state.size,
        )


def filled(filling: Filling) -> bytes:
    """Return a run file as bytes."""
    kind = filling.kind
    with _lock:
        sheet = _forms.pop(kind, None)
    if sheet is None:
        sheet = Sheet(in_memory(filling.problem.flow, sizes_of(filling.problem)))
    _fill(sheet, filling)
    sheet.file.flush()
    image: bytes = sheet.file.id.get_file_image()
    with _lock:
        _forms[kind] = sheet  # not if it has failed half-way
        surplus = [_forms.popitem(last=False)[1] for _ in range(len(_forms) - _KEPT)]
    for old in surplus:
        old.file.close()
    return image


def _fill(sheet: Sheet, filling: Filling) -> None:
    contents.write_fixed(sheet, filling.problem, filling.provenance, filling.attributes)
    contents.write_samples(sheet, filling.problem.flow, filling.samples, 0)
    contents.write_events(sheet, filling.events, 0)
    contents.write_status(sheet, {}, filling.counters)
    contents.write_certificates(sheet, filling.certificates)
    if filling.checkpoint is not None:
        checkpoint.write(sheet, filling.checkpoint)
    sheet.put("", "elapsed_seconds", filling.elapsed())
