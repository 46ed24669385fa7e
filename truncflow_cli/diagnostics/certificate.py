"""The result type of every certificate (defined in ``model``, which the run file's reader may import)."""

from truncflow_cli.certificate import Certificate, Verdict

__all__ = ["Certificate", "Verdict"]
