"""Faults on purpose: hostile and damaged input, kills and starvation, and a count of what survived.

``python -m tests.faults [--cases N] [--seed S]`` is the nightly command; the tests run a seeded few hundred of the same
cases. A case is a function of the seed and its number alone, so that one that is lost can be looked at again.
"""
