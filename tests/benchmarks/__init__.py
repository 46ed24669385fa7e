"""Measurements of speed and memory; see README.md. Nothing here is a test."""
