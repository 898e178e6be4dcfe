"""The values of a network on samples, computed in parts: each part starts from what earlier ones have kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from onnxruntime_ep_sparsecpu.tools import sessions
from onnxruntime_ep_sparsecpu.tools.errors import UserError
from onnxruntime_ep_sparsecpu.tools.one_shot.graph import Graph
from onnxruntime_ep_sparsecpu.tools.one_shot.store import Store
from onnxruntime_ep_sparsecpu.tools.samples import Sample
from onnxruntime_ep_sparsecpu.tools.source import Source

Array = npt.NDArray[Any]


class Activations:
    """changed: arrays by the identity of the model's tensors that they replace; the caller adds to it."""

    def __init__(self, graph: Graph, source: Source, changed: Mapping[int, Array], store: Store) -> None:
        self._graph, self._source, self._changed, self._store = graph, source, changed, store
        self._labels: list[str] = []
        self._inputs: set[str] = set()  # of the model: they stay, and whatever is not kept can be had from them
        self._kept: set[str] = set()

    def add(self, samples: Iterable[Sample]) -> None:
        """Raises UserError if there are none."""
        for label, feeds in samples:
            for name, array in feeds.items():
                self._store[len(self._labels), name] = array
            self._labels.append(label)
            self._inputs = set(feeds)
        if not self._labels:
            raise UserError("there are no samples to calibrate with; expected some inputs of the model")

    @property
    def samples(self) -> int:
        return len(self._labels)

    def run(
        self, wanted: set[str], later: set[str], lasts: Callable[[str], bool]
    ) -> Iterator[tuple[str, dict[str, Array]]]:
        """The label of each sample, with the wanted values and the inputs of the model.

        later: values that will be wanted. What they can be computed from is kept, as long as it lasts: a value does
        not whose layers will change after this run.
        """
        given = self._inputs | self._kept
        nodes, used = self._graph.way_to(wanted, given)
        lasting = {value for value in given | self._graph.made_by(nodes) if lasts(value)} | self._inputs
        _, kept = self._graph.way_to(later, lasting)
        outputs = sorted((wanted | kept) - given)
        session = None
        for place, label in enumerate(self._labels):
            feeds = {name: self._store[place, name] for name in used}
            values = {name: self._store[place, name] for name in (wanted & given) | self._inputs}
            if outputs:
                if session is None:
                    part = self._source.changed(self._graph.part(nodes, feeds, outputs, self._changed))
                    session = sessions.create(part, sessions.CPU_PROVIDER)
                try:
                    results = dict(zip(outputs, sessions.run(session, feeds, self._source), strict=True))
                except UserError as error:
                    raise UserError(f"{label}: {error}") from error
                values |= {name: results[name] for name in wanted - given}
                # A sequence cannot be kept: it is computed again from what can.
                kept = {name for name in kept if name in given or isinstance(results[name], np.ndarray)}
                for name in kept - given:
                    self._store[place, name] = results[name]
            yield label, values
            for name in self._kept - kept:
                del self._store[place, name]
        self._kept = kept - self._inputs
