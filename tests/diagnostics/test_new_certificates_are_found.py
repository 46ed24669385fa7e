"""A certificate is its function and nothing else: who defines one finds it in every report and run file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from certified_runs import TWO_CLUSTERS, clustered, separated
from command_line import truncflow

import truncflow_cli
from truncflow_cli.diagnostics import certificates, certify, meaning, names
from truncflow_cli.diagnostics.layered import LayeredAnalysis, one_layer_each
from truncflow_cli.diagnostics.outcome import Outcome, compare
from truncflow_cli.report.tables import run_json


@pytest.fixture(autouse=True)
def dummy():
    names()  # those that there are come first

    @certificates.certificate(
        "dummy",
        order=4.25,
        source="(0.1)",
        statement="the biases stay below a thousand",
        meaning="Nothing: it is a test.",
        applies=LayeredAnalysis,
        needs=(one_layer_each,),
    )
    def small_biases(ev: LayeredAnalysis) -> Outcome:
        return compare(ev.sampling(), np.abs(ev.beta).max(), 1000.0, {"size": ev.along(ev.s)})

    yield
    del certificates.STATEMENTS["dummy"]


def test_it_is_certified_in_its_place():
    found = {each.name: each for each in certify(separated())}
    assert list(found) == names()
    assert names()[names().index("bias_decay") + 1] == "dummy"
    assert found["dummy"].verdict == "holds"
    assert found["dummy"].margin == pytest.approx(1000.0 - np.abs(separated().beta).max())
    assert meaning("dummy").startswith("Nothing")


def test_where_it_does_not_apply_that_is_said():
    (found,) = [each for each in certify(clustered()) if each.name == "dummy"]
    assert found.verdict == "not applicable"
    assert found.hypothesis == "about hidden layers that move; this run's flow is clustered"


def test_it_is_in_the_file_and_in_the_report(tmp_path: Path):
    config = tmp_path / "two.yaml"
    config.write_text(TWO_CLUSTERS.format(flow="separated", equations="exact", frozen="false"))
    with truncflow_cli.run(config, out=tmp_path / "two.h5") as run:
        stored = run.certificates["dummy"]
        assert stored.verdict == "holds"
        np.testing.assert_array_equal(stored.series["size"], run.s)
        assert run_json(run)["certificates"]["dummy"]["verdict"] == "holds"
    # A program that does not know the certificate shows what the file says of it.
    report = json.loads(truncflow("report", "two.h5", "--json", cwd=tmp_path).stdout)
    assert report["certificates"]["dummy"]["verdict"] == "holds"


def test_a_name_is_given_once():
    with pytest.raises(ValueError, match="'dummy' already"):
        certificates.certificate(
            "dummy", order=0.0, source="", statement="", meaning="", applies=LayeredAnalysis
        )
