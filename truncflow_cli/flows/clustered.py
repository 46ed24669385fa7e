"""The flow of section 9: standard loss, every cluster in the positive sector of every layer.

Then the layers map every point to itself (9.1), only W = W_{Q+1} moves, and the flow is linear:

    C̃ = ½ Σ_i w_i |W x_i − y(i)|²,    ∂_s W = −Σ_i w_i (W x_i − y(i)) x_iᵀ                (9.3), (9.7)

with weights w_i = 1/N, or 1/N_j in cluster j for the loss of (2.22). Let the matrix X̃ with rows √w_i x_iᵀ
have the singular value decomposition P diag(σ) Vᵀ, so that λ_a = σ_a² are the eigenvalues of
A = Σ w_i x_i x_iᵀ, and let Ỹ have rows √w_i y(i)ᵀ. Along each v_a the residual r_a = σ_a W v_a − Ỹᵀ p_a (Q,)
decays on its own:

    r_a(s) = e^{−λ_a s} r_a(0),    W(s) = W(0) − Σ_a ((1 − e^{−λ_a s}) / σ_a) r_a(0) v_aᵀ

which is (9.10) where X Xᵀ is invertible and leaves the kernel of X Xᵀ alone where it is not. Singular values
in place of eigenvalues of A resolve λ_a down to some 10⁻²⁸ of the largest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from truncflow_cli.errors import RunFailed
from truncflow_cli.events import Kind, event_log
from truncflow_cli.problem import Array, Problem
from truncflow_cli.saved_state import Chunk, Saved, State
from truncflow_cli.solver.assemble import Assembler, never
from truncflow_cli.solver.piece import ClosedForm, Counters

#: Largest number of entries in the arrays that evaluate one chunk.
CHUNK_ENTRIES = 1_000_000
EPS = float(np.finfo(np.float64).eps)
#: Bytes of memory for each byte of the trajectory, when it is certified, as measured.
_CERTIFYING = 3


def solve_clustered(
    problem: Problem,
    saved: Saved | None = None,
    due: Callable[[], bool] = never,
    take_points: bool = False,
) -> Iterator[Chunk]:
    """Solve (9.7) in closed form at the times to save, whatever they are; see ``solver.solve``.

    The event `rest` says that ∂_s W(0) is exactly zero. The loss is evaluated from W and the points' factors, the
    dissipation from the modes: "energy_balance" compares the two.
    """
    form = modes(problem)
    most = max(1, CHUNK_ENTRIES // max(form.factors.size, problem.dim**2))
    rests = not np.any(slope(problem, problem.W0))
    events = event_log([(0.0, Kind.REST, -1, -1, -1, -1, -1)] if rests else [])
    solver = ClosedForm(form, form.counters, events, problem.settings.s_end)
    return Assembler(problem, [solver], saved, most_samples=most).run(due)


def memory(problem: Problem, trajectory: int) -> int:
    """Return about how many bytes a run takes besides the program, with so many of trajectory; see ``resources``."""
    return 2 * (problem.x.nbytes + problem.cluster.nbytes) + _CERTIFYING * trajectory


@dataclass(frozen=True)
class Modes:
    """The closed form; n is the number of modes, C that of clusters.

    Attributes:
        W0: (Q, Q) W(0).
        sigma: (n,) singular values σ_a > 0; the kernel of X Xᵀ has no modes.
        v: (n, Q) the rows v_a.
        r0: (n, Q) the rows r_a(0).
        factors: (C, Q + 1, Q + 1) triangular F_j with C̃_j = ½ ‖F_j [W  −y_j]ᵀ‖², the loss of cluster j.
        y: (C, Q) labels.
        counters: work done.
    """

    W0: Array
    sigma: Array
    v: Array
    r0: Array
    factors: Array
    y: Array
    counters: Counters = field(default_factory=Counters)

    def state(self) -> State:
        """See ``flows.interface.DenseOutput.state``: nothing, the problem says it all."""
        return {}

    def sample(self, s: Array) -> dict[str, Array]:
        """See ``flows.interface.DenseOutput.sample``."""
        self.counters.evaluations += s.size
        W, Q = self.W_at(s), self.W0.shape[0]
        mapped = np.einsum("cap,tqp->tcaq", self.factors[:, :, :Q], W, optimize=True)
        residual = mapped - self.factors[:, :, Q:] * self.y[:, None, :]
        # ∫₀ˢ ‖∂_s W‖² ds', mode by mode.
        decay = -np.expm1(-2.0 * np.outer(s, self.sigma**2))
        dissipated = 0.5 * decay @ np.sum(self.r0**2, axis=1)
        return {"W": W, "loss_cluster": 0.5 * np.sum(residual**2, axis=(2, 3)), "energy": dissipated}

    def W_at(self, s: Array) -> Array:
        """Return W(s) (T, Q, Q) at the times s (T,)."""
        change = np.expm1(-np.outer(s, self.sigma**2)) / self.sigma
        W: Array = self.W0 + np.einsum("ta,ap,aq->tpq", change, self.r0, self.v, optimize=True)
        return W


def weights(problem: Problem) -> Array:
    """Return (C,): w_i of the points of each cluster, 1/N or one over the size of the cluster."""
    sizes = np.bincount(problem.cluster, minlength=problem.n_clusters)
    counted = np.full_like(sizes, problem.cluster.size) if problem.point_weights == "1/N" else sizes
    result: Array = 1.0 / np.maximum(counted, 1)
    return result


def slope(problem: Problem, W: Array) -> Array:
    """Return ∂_s W (Q, Q) of (9.7) at W (Q, Q), from the points themselves."""
    total = np.zeros_like(W)
    for j, weight in enumerate(weights(problem)):
        x = problem.x[problem.cluster == j]
        total -= weight * (x @ W.T - problem.y[j]).T @ x
    return total


def modes(problem: Problem) -> Modes:
    """Return the closed form; RunFailed says that points, labels or W(0) are so large that the loss overflows."""
    with np.errstate(over="ignore", invalid="ignore"):
        F = factors(problem)
        if not np.isfinite(F).all():
            raise RunFailed("the points are so large that their norms overflow", 0.0)
        # Rows of X̃ and Ỹ up to one orthogonal map; a cluster's Ỹ has rank one.
        X = F[:, :, :-1].reshape(-1, problem.dim)
        Y = (F[:, :, -1:] * problem.y[:, None, :]).reshape(-1, problem.dim)
        p, sigma, v = np.linalg.svd(X, full_matrices=False)
        kept = sigma > max(X.shape) * EPS * sigma.max(initial=0.0)
        p, sigma, v = p[:, kept], sigma[kept], v[kept]
        r0 = sigma[:, None] * (v @ problem.W0.T) - p.T @ Y
        if not np.isfinite(np.sum(r0**2) + np.sum(sigma**4)):
            raise RunFailed("the points, labels or W are so large that the loss overflows at s = 0", 0.0)
    return Modes(W0=problem.W0, sigma=sigma, v=v, r0=r0, factors=F, y=problem.y)


def factors(problem: Problem) -> Array:
    """Return F (C, Q + 1, Q + 1): per cluster, the triangular factor of the rows √w_i [x_iᵀ 1]."""
    Q = problem.dim
    F = np.zeros((problem.n_clusters, Q + 1, Q + 1))
    for j, weight in enumerate(weights(problem)):
        x = problem.x[problem.cluster == j]
        triangle = np.linalg.qr(np.column_stack([x, np.ones(len(x))]), mode="r")
        F[j, : len(triangle)] = np.sqrt(weight) * triangle
    return F
