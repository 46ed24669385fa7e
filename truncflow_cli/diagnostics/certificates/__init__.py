"""Statements of the paper, certified on a run: one module a theorem, each found by being there.

A certificate is a function of a run's analysis with the decorator ``certificate``, in any module of this package (or
of anybody who imports ``certificate``); nothing else has to know of it.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from truncflow_cli.diagnostics.outcome import Outcome
from truncflow_cli.run_data import Certificate

if TYPE_CHECKING:
    from truncflow_cli.diagnostics.analysis import RunAnalysis
    from truncflow_cli.run_data import Run

A = TypeVar("A", bound="RunAnalysis")


@dataclass(frozen=True)
class Statement:
    """A statement of the paper, and how it is certified.

    Attributes:
        name: a valid HDF5 link, and part of a column's name.
        source: number of the theorem or equation in the paper.
        text: what is claimed, in a sentence.
        meaning: what that is good for, in plain words.
        order: where it stands in reports, by the section of the paper.
        ways: functions that certify it, each with the analysis it is for and what it needs besides.
    """

    name: str
    source: str
    text: str
    meaning: str
    order: float
    ways: list[tuple[type[RunAnalysis], Sequence[Callable[[Any], str]], Callable[[Any], Outcome]]]

    def on(self, analysis: RunAnalysis) -> Outcome:
        """Return what it comes to on a run: the first function that is for this kind of run says so."""
        reason = ""
        for kind, needs, function in self.ways:
            if not isinstance(analysis, kind):
                reason = f"about {kind.about}; this run's flow is {analysis.flow.name}"
                continue
            reason = next(filter(None, (need(analysis) for need in needs)), "")
            if not reason:
                return function(analysis)
        return Outcome(reason, "not applicable")


#: Every statement that a module has brought so far, by name.
STATEMENTS: dict[str, Statement] = {}


def certificate(
    name: str,
    *,
    order: float,
    source: str,
    statement: str,
    meaning: str,
    applies: type[A],
    needs: Sequence[Callable[[A], str]] = (),
) -> Callable[[Callable[[A], Outcome]], Callable[[A], Outcome]]:
    """Make a certificate of a function that returns the outcome of a statement on a run.

    Args:
        name, order, source, statement, meaning: see ``Statement``; those of equal order come as they are defined.
        applies: the analysis that it needs, which is that of certain flows.
        needs: conditions besides, which return why the statement is not about a run, or nothing if it is.

    Raises:
        ValueError: there is one of this name.
    """
    if name in STATEMENTS:
        raise ValueError(f"there is a certificate {name!r} already")
    STATEMENTS[name] = Statement(name, source, statement, meaning, order, [])
    return another_way(name, applies=applies, needs=needs)


def another_way(
    name: str, *, applies: type[A], needs: Sequence[Callable[[A], str]] = ()
) -> Callable[[Callable[[A], Outcome]], Callable[[A], Outcome]]:
    """Have a function certify a statement that there is, for flows of another analysis."""

    def register(function: Callable[[A], Outcome]) -> Callable[[A], Outcome]:
        STATEMENTS[name].ways.append((applies, needs, function))
        return function

    return register


@cache
def _discover() -> None:
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")


def statements() -> list[Statement]:
    """Return every statement that can be certified, in the order of reports."""
    _discover()
    return sorted(STATEMENTS.values(), key=lambda statement: statement.order)


def names() -> list[str]:
    """Return the name of every certificate, in the order of reports."""
    return [statement.name for statement in statements()]


def meaning(name: str) -> str:
    """Return what a certificate is good for, in plain words; nothing if there is none of this name."""
    return next((statement.meaning for statement in statements() if statement.name == name), "")


def certify(run: Run) -> list[Certificate]:
    """Certify every statement on a run, in the order of reports, from its saved states alone.

    A statement about another flow comes out "not applicable", one whose hypothesis this run does not meet
    "hypothesis not met". A run that was stopped early is certified as far as it goes.
    """
    from truncflow_cli.diagnostics.analysis import (
        analysis_of,  # numpy and more: not for those who want names only
    )

    analysis = analysis_of(run)
    if not analysis.s.size:
        return []
    return [
        Certificate(name=each.name, statement=each.text, source=each.source, **vars(each.on(analysis)))
        for each in statements()
    ]
