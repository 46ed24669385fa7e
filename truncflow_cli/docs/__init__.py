"""The documentation: the pages of ``truncflow docs``, and the picture of the README."""
