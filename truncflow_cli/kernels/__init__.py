"""The compiled inner loops: C, built when the package is installed, called with bundles of arrays."""
