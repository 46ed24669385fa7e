"""What a flow takes is said in its entry of the registry: schema, checks and starters follow it."""

from __future__ import annotations

import pytest
from config_samples import ROWS_OF_TWO, complaint, read

from truncflow_cli import config, templates
from truncflow_cli.config.schema import Integrator as Settings
from truncflow_cli.errors import UserError
from truncflow_cli.flows.registry import FLOWS, Flow


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> Flow:
    """Have a flow more."""
    flow = Flow(
        name="toy",
        theorem="Remark 1",
        meaning="nothing moves",
        arrays=(),
        solve="nowhere:solve",
        acts_on="",
        equation="(0.1)",
        accepts=frozenset({"layers", "integrator.on_separation_lost=switch"}),
        constructions=("clustered",),
        needs_clusters=False,
        template="general.yaml",
    )
    monkeypatch.setitem(FLOWS, "toy", flow)
    return flow


def test_its_keys_and_values_are_taken_and_others_refused() -> None:
    taken = read("flow: toy\nlayers: 3\nintegrator: {on_separation_lost: switch}\n").config
    assert (taken.flow, taken.layers, taken.integrator.on_separation_lost) == ("toy", 3, "switch")
    assert "demo:2: equations: belongs to flow separated; this is flow toy" in complaint(
        f"flow: toy\nequations: printed\n{ROWS_OF_TWO}"
    )
    assert "layers: belongs to flow general or toy; this is flow clustered" in complaint(
        f"flow: clustered\nlayers: 3\n{ROWS_OF_TWO}"
    )
    assert "events: batched belongs to flow separated; this is flow toy" in complaint(
        f"flow: toy\nintegrator: {{events: batched}}\n{ROWS_OF_TWO}"
    )
    assert "separated does not fit flow toy; allowed: clustered" in complaint(
        f"flow: toy\ninitial: {{construct: separated}}\n{ROWS_OF_TWO}"
    )


def test_an_unknown_flow_is_told_the_nearest() -> None:
    said = (
        "demo:1: flow: 'tay' is not allowed (did you mean 'toy'?); allowed: separated, general, collapsed, "
    )
    assert said + "clustered, toy" in complaint(f"flow: tay\n{ROWS_OF_TWO}")


def test_the_schema_tells_of_it() -> None:
    properties = config.json_schema()["properties"]
    assert "toy" in properties["flow"]["anyOf"][0]["enum"]
    assert "toy: Remark 1, (0.1), nothing moves" in properties["flow"]["description"]
    assert properties["layers"]["description"].endswith("Flow general or toy only.")


def test_its_starter_is_written(toy: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    assert templates.text("toy").startswith("# Theorem 5.1")
    monkeypatch.setitem(FLOWS, "toy", Flow("toy", "", "", (), "nowhere:solve", ""))
    with pytest.raises(
        UserError, match="'toy' is not a flow; allowed: separated, general, collapsed, clustered"
    ):
        templates.text("toy")


def test_settings_are_the_section_of_the_config() -> None:

    settings = read(f"integrator: {{rtol: 1e-5}}\n{ROWS_OF_TWO}").config.integrator
    assert isinstance(settings, Settings)
    assert settings.replace(s_end=3.0) == Settings(s_end=3.0, rtol=1e-5)
