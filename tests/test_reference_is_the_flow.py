"""The reference is right: the limit of plain gradient descent, with the derivatives of the loss."""

from __future__ import annotations

import numpy as np
import pytest
from reference import problems
from reference.descent import descend
from reference.flow import Flow
from reference.gradient import descent_field, gradient
from reference.loss import all_pre_activations, cluster_losses_general, cluster_losses_separated
from reference.network import loss_and_gradient, surface_gradient
from reference.problems import (
    coincident,
    equal_layers,
    general_normal,
    on_surfaces,
    separated_normal,
)
from reference.runs import networks


@pytest.mark.parametrize(
    ("problem", "pinned"),
    [
        (separated_normal(63), True),
        (coincident(separated_normal(2, 8), 2), True),
        (on_surfaces(separated_normal(48, 8), 48), True),
        (general_normal(10, 10, 2, 2, 2), True),
        (general_normal(5, 12, 3, 3, 3), True),
        (equal_layers(1, 6, 3, 2, 1, 2.0), True),
        (separated_normal(6), False),
    ],
    ids=["separated", "coincident", "starts pinned", "general", "three layers", "equal layers", "no pin"],
)
def test_reference_is_the_limit_of_explicit_gradient_descent(problem, pinned):
    net, start, _ = networks(problem)[0]
    s_end = 1.2
    run = Flow(net, start).go(s_end)
    assert any(event[1] == "pin" for event in run.events) == pinned
    apart = [np.abs(descend(net, start, s_end, step) - run.state).max() for step in (2e-3, 2e-4)]
    assert apart[1] < 5e-4
    assert apart[1] < apart[0] / 3  # first order: a sliding motion comes out as ever finer chatter


def random_problems(flow: str) -> list[problems.Problem]:
    shapes = [(2, 2, 2), (3, 3, 2), (3, 1, 1), (4, 2, 3)]
    return [
        problems.normal(flow, 50 + k, 12, dim, clusters if flow == "separated" else layers, clusters)
        for k, (dim, layers, clusters) in enumerate(shapes)
    ]


@pytest.mark.parametrize("flow", ["separated", "general"])
def test_its_gradient_agrees_with_the_complex_step(flow):
    losses = cluster_losses_general if flow == "general" else cluster_losses_separated
    for problem in random_problems(flow):
        args = (problem.x, problem.cluster, problem.y_tilde)
        wanted = descent_field(lambda b, R, args=args: losses(*args, b, R).sum(), problem.beta0, problem.R0)
        for part, (net, state, _) in enumerate(networks(problem)):
            layers = slice(None) if flow == "general" else slice(part, part + 1)
            beta, R = problem.beta0[layers], problem.R0[layers]
            h = (all_pre_activations(net.x, beta, R) > 0).astype(float)
            tangent = -loss_and_gradient(net, state, h)[1]
            assert np.abs(tangent[: beta.size].reshape(beta.shape) - wanted[0][layers]).max() < 1e-13
            assert np.abs(tangent[beta.size :].reshape(R.shape) - wanted[1][layers]).max() < 1e-13


def test_its_surface_gradient_agrees_with_the_complex_step():
    problem = general_normal(5, 6, 3, 3, 2)
    ((net, state, _),) = networks(problem)
    h = (all_pre_activations(net.x, problem.beta0, problem.R0) > 0).astype(float)
    h[0, 2, 1] = 0.4  # weights of pinned surfaces are allowed
    for surface in [(0, 1, 2), (1, 2, 0), (2, 2, 1), (2, 5, 2)]:
        wanted = gradient(
            lambda b, R, k=surface: all_pre_activations(problem.x, b, R, h)[k], problem.beta0, problem.R0
        )
        got = surface_gradient(net, state, h, surface)
        assert np.abs(got - np.concatenate([part.ravel() for part in wanted])).max() < 1e-13
