"""What is known of a run or a problem: statements of the paper certified, and hypotheses checked."""

from truncflow_cli.certificate import Certificate, Verdict
from truncflow_cli.diagnostics.certificates import certify, meaning, names

__all__ = ["Certificate", "Verdict", "certify", "meaning", "names"]
