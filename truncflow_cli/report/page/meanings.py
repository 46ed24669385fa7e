"""What the certificates mean, in plain words."""

from __future__ import annotations

VERDICTS = {
    "violated": "The hypothesis is met on this run, yet the measured value lies beyond the bound.",
    "holds": "The hypothesis is met on this run, and the claim was found true within the bound.",
    "hypothesis not met": "The statement assumes something that is not so on this run: it says nothing about it.",
    "not applicable": "The statement is about another flow, or about something that this run does not have.",
}

MEANINGS = {
    "stored_loss": "The loss is worked out again from the saved states, by another way than the solver's. "
    "If it differs, the curve of the loss is not to be trusted.",
    "loss_monotone": "Along a gradient flow the loss can only fall. A rise beyond the tolerance would mean that "
    "what was integrated is not the gradient flow.",
    "gradient_parts": "Moving the biases alone lowers the loss, and so does turning the rotations alone: neither "
    "works against the other.",
    "energy_balance": "The run's own measure of its error: what the loss has lost against what the gradient has "
    "used up. It is zero for an exact solution, so it says how far the trajectory can be trusted.",
    "dissipation": "To travel a distance in a given time the flow has to use up a least amount of loss. A test on "
    "the saved states alone, which the solver cannot have built in.",
    "event_log": "Counting the truncated points at the saved times gives what the event log says: no event is "
    "missing and none is invented.",
    "orthogonality": "The cumulative weights stay rotations or reflections; nothing is stretched by mistake.",
    "separation": "The assumption of Theorem 3.2: each layer acts on its own cluster only. While it holds, the "
    "clusters evolve independently of one another.",
    "composition": "The network as a whole does to each cluster what its own layer does: the layers after it "
    "leave the images where they are.",
    "equilibrium": "Where nothing is truncated nothing moves; where all is truncated the rotation has no more "
    "effect and the cluster is one point.",
    "collapse_law": "Once a cluster is mapped to one point, that point goes straight to the label, exponentially "
    "with rate 1.",
    "full_truncation": "If the data start close enough to full truncation, the whole cluster is truncated after a "
    "finite time, and the theorem says by when at the latest.",
    "bias_decay": "Under the same condition the bias approaches minus the label at least at this rate.",
    "frozen_times": "With the rotation fixed, the times of all truncations are known in closed form; those of the "
    "run are compared with them.",
    "frozen_path": "With the rotation fixed, each coordinate decays at the rate given by the share of its points "
    "that are truncated.",
    "general_equals_separated": "While clusters are separated, the equations of the whole network are those of "
    "Theorem 3.2. Both are evaluated on the run and compared.",
    "collapsed_data": "The assumption of section 8: the layers map each cluster to a single point. Where it fails, "
    "the loss shown is not that of the network.",
    "invariant": "A quantity that the flow of biases and output weight conserves; how far it drifts is an error of "
    "the integration.",
    "propagators": "The linear maps that carry the state forward contract at the rate that the lemma gives.",
    "loss_bound": "The theorem's promise of exponential decay: the loss stays below its bound at all times.",
    "norm_bounds": "Bias and output weight stay bounded as the theorem says: neither runs away.",
    "limit": "The product of output weight and biases tends to minus the labels, and both factors converge.",
    "clustered_data": "The assumption of section 9: no layer truncates any point, so only the output weight acts.",
    "closed_form": "The closed form of the output weight is compared with an independent evaluation of the matrix "
    "exponential.",
    "least_squares": "The output weight tends to the best linear fit of the labels, at the rate of the slowest "
    "mode or faster.",
    "neural_collapse": "How far the images of one cluster lie apart against how far the clusters do: neural "
    "collapse is when the first vanishes.",
    "within_loss": "The spread of the images within clusters cannot outlive the loss: it is at most twice as large.",
}
