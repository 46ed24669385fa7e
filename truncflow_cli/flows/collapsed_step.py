"""Steps of the collapsed flow (8.6), (8.7) by exponential Gauss collocation.

The mismatch E = W B + Y obeys, exactly, the linear equation

    ∂_s E = −(W Wᵀ) E − E (BᵀB)                                                            (8.8)

which carries all of the flow's stiffness: with ‖W‖, ‖B‖ ~ 10³ its rates reach 10⁶, while B and W, which
move by −WᵀE and −E Bᵀ, are slow once E is small. A step freezes W Wᵀ and BᵀB at its start, in whose
eigenbases (8.8) is a set of scalar decays e^{−μ_ij s}, treated exactly. What is left of (8.8), and B and W,
are polynomials through Gauss nodes, found by fixed-point sweeps. What that gives:

* I = B Bᵀ − WᵀW is conserved to rounding from step to step, whatever the tolerance (which it meets in
  between): its derivative, a polynomial of degree 2m − 1, vanishes at the Gauss nodes for any E there;
* stiffness does not limit the step, and O(Q³) operations replace the O(Q⁶) of a Newton method's Jacobian;
* E keeps its relative accuracy however small it gets, where W B + Y ends in rounding error.

There is no closed form to use instead: Z = [B Wᵀ] obeys Z' = −½ ZZᵀZ + ½ I Z J − Z Ŷ with J = diag(1, −1)
and Ŷ = [0 Yᵀ; Y 0], a matrix Riccati equation for ZᵀZ if I is a multiple of the identity, but not otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from truncflow_cli.errors import RunFailed
from truncflow_cli.flows.exponential import Rule, integrals, rule
from truncflow_cli.problem import Array
from truncflow_cli.saved_state import Saved, number, under
from truncflow_cli.saved_state import State as Arrays

#: Needs the fewest sweeps in all of 8, 12, 16, 20 nodes on problems of every stiffness.
NODES = 16
#: Sweeps converge like (h‖E‖)ⁿ/n! and amplify rounding by e^{h‖E‖}; this bound on h‖E‖ keeps both harmless.
MAX_REACH = 2.0
MAX_SWEEPS = 40
EPS = float(np.finfo(np.float64).eps)
#: Stands for zero in denominators.
TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class State:
    """Where the flow is.

    Attributes:
        s: flow time.
        B: (Q, C) columns β^(ℓ).
        W: (Q, Q) output weight W_{Q+1}.
        E: (Q, C) mismatch W B + Y, more accurate than that sum once it is small.
        dissipated: ∫₀ˢ (‖∂_s B‖² + ‖∂_s W‖²) ds'.
    """

    s: float
    B: Array
    W: Array
    E: Array
    dissipated: float

    def state(self) -> Arrays:
        """Return it as a saved state; see ``flows.interface.DenseOutput.state``."""
        place = {"s": number(self.s), "dissipated": number(self.dissipated)}
        return {"B": self.B, "W": self.W, "E": self.E, **place}

    def sample(self, t: Array) -> dict[str, Array]:
        """Return the trajectory's arrays where nothing moves; see ``flows.interface.DenseOutput.sample``."""
        B, W, E = (np.tile(M, (t.size, 1, 1)) for M in (self.B, self.W, self.E))
        return samples(B, W, E, np.full(t.size, self.dissipated))


def samples(B: Array, W: Array, E: Array, dissipated: Array) -> dict[str, Array]:
    """Return the trajectory's arrays at T times, with B (T, Q, C), W (T, Q, Q), E (T, Q, C) and dissipated (T,)."""
    return {"B": B, "W": W, "loss_cluster": 0.5 * np.sum(E**2, axis=1), "energy": dissipated}


def restored_state(saved: Saved, dim: int, n_clusters: int) -> State:
    """Return what ``State.state`` has given of B (Q, C) and W (Q, Q); a UserError says that it does not fit."""
    B, W, E = (saved.array(name, "f8", (dim, dim if name == "W" else n_clusters)) for name in ("B", "W", "E"))
    return State(saved.number("s"), B, W, E, saved.number("dissipated"))


@dataclass(frozen=True)
class Frame:
    """A state in the eigenbases of its W Wᵀ and BᵀB, where (8.8) decouples.

    Attributes:
        U: (Q, Q) eigenvectors of W Wᵀ.
        G: (C, C) eigenvectors of BᵀB.
        rates: (Q, C) μ_ij, the i-th eigenvalue of W Wᵀ plus the j-th of BᵀB.
        W: (Q, Q) UᵀW.
        B: (Q, C) B G.
        E: (Q, C) UᵀE G.
        Y: (Q, C) UᵀY G.
    """

    U: Array
    G: Array
    rates: Array
    W: Array
    B: Array
    E: Array
    Y: Array

    @cached_property
    def size(self) -> float:
        """The largest entry of B and W."""
        return float(max(np.abs(self.B).max(), np.abs(self.W).max()))

    @cached_property
    def rounding(self) -> float:
        """The error that W B + Y has from rounding alone, generously."""
        product = np.linalg.norm(self.W) * np.linalg.norm(self.B)
        return float(16.0 * EPS * (product + np.linalg.norm(self.Y)))


@dataclass(frozen=True)
class Step:
    """An accepted step with the solution on all of it; polynomials are in the basis of ``frame``.

    Attributes:
        start: state at the beginning.
        stop: flow time at the end.
        frame: the eigenbases of ``start``.
        dB: (m, Q, C) Legendre coefficients of ∂_s B.
        dW: (m, Q, Q) those of ∂_s W.
        rest: (m, Q, C) those of ∂_s E + rates · E.
        power: (m,) those of ‖∂_s B‖² + ‖∂_s W‖².
        error: largest relative error estimated.
        sweeps: fixed-point sweeps it took.
    """

    start: State
    stop: float
    frame: Frame
    dB: Array
    dW: Array
    rest: Array
    power: Array
    error: float = 0.0
    sweeps: int = 0

    @property
    def h(self) -> float:
        """The length."""
        return self.stop - self.start.s

    def at(self, t: Array) -> tuple[Array, Array, Array, Array]:
        """Return B (T, Q, C), W (T, Q, Q), E (T, Q, C) and dissipated (T,) at times t (T,) into the step."""
        gauss, frame = rule(NODES), self.frame
        theta = np.clip(t / self.h, 0.0, 1.0)
        z = self.h * frame.rates
        passed = self.h * integrals(NODES, theta)
        response = np.einsum("tkqc,kqc->tqc", gauss.moments(z, theta), self.rest)
        share = theta[:, None, None]
        dB, dW, E = self._reconcile(
            self.h * share,
            np.tensordot(passed, self.dB, 1),
            np.tensordot(passed, self.dW, 1),
            np.exp(-share * z) * frame.E + self.h * response,
        )
        B, W = self.start.B + dB @ frame.G.T, self.start.W + frame.U @ dW
        return B, W, frame.U @ E @ frame.G.T, self.start.dissipated + passed @ self.power

    @cached_property
    def end(self) -> State:
        """The state at the end of the step."""
        B, W, E, dissipated = self.at(np.array([self.h]))
        return State(self.stop, B[0], W[0], E[0], float(dissipated[0]))

    def sample(self, t: Array) -> dict[str, Array]:
        """See ``flows.interface.DenseOutput.sample``."""
        return samples(*self.at(t))

    def state(self) -> Arrays:
        """See ``flows.interface.DenseOutput.state``."""
        series = {"dB": self.dB, "dW": self.dW, "rest": self.rest, "power": self.power}
        return {**under("start", self.start.state()), "stop": number(self.stop), **series}

    def speed_bound(self) -> Array:
        """Return (C,) bounds on |∂_s β^(ℓ)| over the step."""
        # |P_k| ≤ 1 on the step, so the norms of a polynomial's Legendre coefficients add up to a bound on it.
        bound: Array = np.linalg.norm(self.dB @ self.frame.G.T, axis=1).sum(axis=0)
        return bound

    def _reconcile(self, t: Array, dB: Array, dW: Array, E: Array) -> tuple[Array, Array, Array]:
        """Make B, W and E agree at times ``t`` (T, 1, 1) into the step, given their changes and E itself.

        W B + Y − E is damped as the flow would damp it, with rates μ_ij and along directions that leave I
        unchanged. Where it is then no more than rounding E stands, being the more accurate; elsewhere E
        becomes W B + Y, so that the two cannot drift apart.
        """
        frame = self.frame
        W, B = frame.W + dW, frame.B + dB
        X = t * (W @ B + frame.Y - E) / (1.0 + t * frame.rates)
        dB, dW = dB - _T(W) @ X, dW - X @ _T(B)
        difference = (frame.W + dW) @ (frame.B + dB) + frame.Y - E
        return dB, dW, np.where(np.abs(difference) <= frame.rounding, E, E + difference)


def restored_step(saved: Saved, Y: Array) -> Step:
    """Return what ``Step.state`` has given, for labels Y (Q, C); a UserError says that it does not fit."""
    dim, n_clusters = Y.shape
    start = restored_state(saved.part("start"), dim, n_clusters)
    shapes = {"dB": (dim, n_clusters), "dW": (dim, dim), "rest": (dim, n_clusters), "power": ()}
    dB, dW, rest, power = (saved.array(name, "f8", (NODES, *shape)) for name, shape in shapes.items())
    return Step(start, saved.number("stop"), frame_of(start, Y), dB, dW, rest, power)


def next_step(
    state: State, Y: Array, s_end: float, rtol: float, loss0: float, h: float
) -> tuple[Step, float]:
    """Return the step from ``state``, which is not at rest, and the size that the next one is to have.

    The error is held below rtol times the largest entry of B and W, in E below rtol times that of E. There is no
    absolute part: near the saddle B = W = 0 errors grow along with the state, which vanishes at rest only.

    Y (Q, C) are the labels as columns, ``loss0`` is the loss at s = 0, ``h`` the size to try: NaN for what the rates at
    ``state`` suggest.

    Raises:
        RunFailed: no step size works, because the state overflows or its rates do.
    """
    tolerance = max(rtol, 10.0 * EPS)
    frame = frame_of(state, Y)
    if np.isnan(h):
        h = 0.5 / float(frame.rates.max() + np.linalg.norm(state.E, 2))
    while True:
        stop = min(state.s + h, s_end)
        if not stop > state.s * (1.0 + 8.0 * EPS):
            raise RunFailed(
                f"the flow cannot be followed beyond s = {state.s:.6g}: it changes too fast", state.s
            )
        step = attempt(state, frame, stop, loss0)
        if step is None:
            h = 0.4 * (stop - state.s)
            continue
        # Errors go like the NODES-th power of the size.
        h = step.h * float(np.clip(0.9 * (tolerance / max(step.error, TINY)) ** (1.0 / NODES), 0.1, 4.0))
        if step.error <= tolerance:
            return step, h


def frame_of(state: State, Y: Array) -> Frame:
    """Return ``state`` and the labels ``Y`` (Q, C) in the state's own eigenbases."""
    U, w, _ = np.linalg.svd(state.W)
    _, b, Gt = np.linalg.svd(state.B)
    G = Gt.T
    rates = (w**2)[:, None] + np.pad(b**2, (0, len(G) - len(b)))
    return Frame(U, G, rates, U.T @ state.W, state.B @ G, U.T @ state.E @ G, U.T @ Y @ G)


def attempt(start: State, frame: Frame, stop: float, loss0: float) -> Step | None:
    """Return the step to time ``stop`` with its error estimate, or None where the sweeps do not converge."""
    gauss, h = rule(NODES), stop - start.s
    with np.errstate(over="ignore", invalid="ignore"):
        nodes = sweep(frame, h, gauss)
        if nodes is None:
            return None
        slope_B, slope_W, rest, sweeps = nodes
        power = np.sum(slope_B**2, axis=(1, 2)) + np.sum(slope_W**2, axis=(1, 2))
        dB, dW, rest, power = (np.tensordot(gauss.to_legendre, f, 1) for f in (slope_B, slope_W, rest, power))
        # What the highest polynomials contribute to the integrals; the true error is that of the next ones.
        highest = h / (2.0 * (2 * NODES - 1))
        error = max(
            highest * max(np.abs(dB[-1]).max(), np.abs(dW[-1]).max()) / frame.size,
            highest * np.abs(rest[-1] / (1.0 + h * frame.rates)).max() / max(np.abs(frame.E).max(), TINY),
            highest * abs(power[-1]) / max(loss0, TINY),
        )
    if not np.isfinite(error):
        return None
    return Step(start, stop, frame, dB, dW, rest, power, float(error), sweeps)


def sweep(frame: Frame, h: float, gauss: Rule) -> tuple[Array, Array, Array, int] | None:
    """Solve a step's collocation equations by fixed-point sweeps; None where they do not converge.

    Else ∂_s B (m, Q, C), ∂_s W (m, Q, Q) and ∂_s E + rates · E (m, Q, C) at the nodes, and the number of sweeps.
    """
    z = h * frame.rates
    kernel = h * gauss.kernels(z)
    E = decayed = np.exp(-gauss.nodes[:, None, None] * z) * frame.E
    dB, dW = np.zeros((gauss.size, *frame.B.shape)), np.zeros((gauss.size, *frame.W.shape))
    change = np.inf
    for count in range(1, MAX_SWEEPS + 1):
        W, B = frame.W + dW, frame.B + dB
        K_change = dW @ _T(W) + frame.W @ _T(dW)
        L_change = _T(dB) @ B + frame.B.T @ dB
        rest = -K_change @ E - E @ L_change
        E = decayed + np.einsum("ijqc,jqc->iqc", kernel, rest)
        slope_B, slope_W = -_T(W) @ E, -E @ _T(B)
        previous_B, previous_W, previous = dB, dW, change
        dB, dW = (h * np.tensordot(gauss.integrate, slope, 1) for slope in (slope_B, slope_W))
        change = max(np.abs(dB - previous_B).max(), np.abs(dW - previous_W).max()) / frame.size
        if change <= 2.0 * EPS or (change <= 1e3 * EPS and change >= previous):
            return slope_B, slope_W, rest, count
        if not np.isfinite(change):
            return None
    return None


def _T(M: Array) -> Array:
    return np.swapaxes(M, -1, -2)
