"""What is known of a run or a problem: statements of the paper certified, and hypotheses checked."""

from truncflow_cli.diagnostics.certificates import certify, meaning, names
from truncflow_cli.run_data import Certificate, Verdict

__all__ = ["Certificate", "Verdict", "certify", "meaning", "names"]
