"""The numerical work of `separated` and `general`, compiled or in numpy; see ``interface``.

Numpy and what is compiled are imported when they are first needed: the command line starts without them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from truncflow_cli.errors import UserError

if TYPE_CHECKING:
    from truncflow_cli.kernels.interface import Array, LayerKernel, NetworkKernel

#: What a config may ask for, and what does the work.
Asked = Literal["auto", "compiled", "numpy"]
Backend = Literal["compiled", "numpy"]


def available() -> bool:
    """Return whether the compiled code can be used."""
    return not _obstacle()


def _obstacle() -> str:
    """Return why the compiled code cannot be used; nothing if it can."""
    from truncflow_cli.kernels.library import library

    try:
        library()
    except (UserError, OSError) as error:
        return str(error)
    return ""


def chosen(asked: Asked) -> Backend:
    """Return what does the work where a config asks for this.

    Raises:
        UserError: it asks for compiled code, which cannot be used.
    """
    if asked == "numpy":
        return "numpy"
    obstacle = _obstacle()
    if obstacle and asked == "compiled":
        raise UserError(f"integrator.backend: compiled cannot be had: {obstacle}; auto or numpy does without")
    return "numpy" if obstacle else "compiled"


def prepare(asked: Asked, say: Callable[[str], None]) -> None:
    """Compile the C code if it is wanted and has not been; say so if numpy has to do without it.

    Raises:
        UserError: a config asks for compiled code, which cannot be had.
    """
    from truncflow_cli.kernels import compiling, library

    if asked == "numpy":
        return
    if compiling.compiler() is not None or not compiling.outdated():
        try:
            library.prepare(say)
        except UserError:
            if asked == "compiled":
                raise
    if chosen(asked) == "numpy":
        say("no compiled code: numpy does the work, many times slower (a C compiler helps: gcc or clang)")


def layer_kernel(backend: Backend) -> Callable[..., LayerKernel]:
    """Return what makes the kernel of one layer of `separated`, see ``compiled_layer.CompiledLayer``."""
    if backend == "numpy":
        from truncflow_cli.kernels.reference_layer import ReferenceLayer

        return ReferenceLayer
    from truncflow_cli.kernels.compiled_layer import CompiledLayer

    return CompiledLayer


def network_kernel(backend: Backend) -> Callable[..., NetworkKernel]:
    """Return what makes the kernel of `general`, see ``compiled_network.CompiledNetwork``."""
    if backend == "numpy":
        from truncflow_cli.kernels.reference_network import ReferenceNetwork

        return ReferenceNetwork
    from truncflow_cli.kernels.compiled_network import CompiledNetwork

    return CompiledNetwork


def cluster_losses(x: Array, weight: Array, total: float, y_tilde: Array, R: Array, b: Array) -> Array:
    """Return ½ mean_i |σ(R x_i + b) − (b + Rỹ)|² of a cluster in several states (T,), its part of the loss (3.18).

    Args:
        x: (M, Q) positions of the own points, and others after them.
        weight: (own,) multiplicities of the own points.
        total: their sum.
        y_tilde: (Q,) ỹ.
        R, b: (T, Q, Q), (T, Q).
    """
    if available():
        from truncflow_cli.kernels.compiled_layer import cluster_losses as losses
    else:
        from truncflow_cli.kernels.reference_series import cluster_losses as losses
    return losses(x, weight, total, y_tilde, R, b)
