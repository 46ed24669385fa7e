"""Writes what is out of date: ``python -m tests.docs.generate`` after a change of what pages show."""

from __future__ import annotations

from tests.docs.generate.parts import outdated, write

for path in write(outdated()):
    print(path)
