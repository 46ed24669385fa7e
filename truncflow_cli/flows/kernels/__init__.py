"""Compiled inner loops: plain loops over arrays, compiled by numba on first use."""
