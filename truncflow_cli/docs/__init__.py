"""The documentation: pages for ``truncflow docs``, some of them generated, and the picture of the README."""
