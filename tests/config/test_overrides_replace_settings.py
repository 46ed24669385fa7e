"""--set key.path=value: YAML values, list indices, the same checks and messages as in the file."""

from __future__ import annotations

import pytest
from config_samples import GOOD, complaint, read


def test_values_are_yaml_and_paths_go_through_lists() -> None:
    config = read(
        GOOD,
        "clusters.0.size=50",
        "clusters.1.points.1.0=7e-1",
        "labels=[[1, 2], [3, 4]]",
        "integrator.rtol=1e-6",
        "save={count: 5, spacing: log}",
        "name=other",
        "integrator.s_end=1",
        "integrator.s_end=2",
    ).config
    assert config.clusters[0].size == 50
    assert config.clusters[1].points == [[0.1, 1.9], [0.7, 2.1]]
    assert config.labels == [[1, 2], [3, 4]]
    assert config.integrator.rtol == 1e-6
    assert (config.save.count, config.save.at) == (5, None)
    assert config.name == "other"
    assert config.integrator.s_end == 2


def test_mappings_on_the_way_are_made() -> None:
    text = "clusters: [{points: [[1]]}]\nsave:\n"
    assert read(text, "integrator.rtol=1e-3").config.integrator.rtol == 1e-3
    assert read(text, "save.every=0.5").config.save.every == 0.5
    assert read(text, "labels.scale=3").config.labels.scale == 3


def test_an_option_can_unset_a_key() -> None:
    assert read(GOOD, "save.at=null", "save.every=1").config.save.every == 1


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("integrator.rtol", "--set 'integrator.rtol': write it as key.path=value"),
        ("=3", "write it as key.path=value"),
        ("a..b=3", "write it as key.path=value"),
        (".".join("a" * 1000) + "=3", "write it as key.path=value"),
        (
            "intergrator.rtol=1",
            "--set intergrator.rtol=1: intergrator: unknown key (did you mean 'integrator'?)",
        ),
        ("integrator.rtl=1", "--set integrator.rtl=1: integrator.rtl: unknown key (did you mean 'rtol'?)"),
        ("integrator.rtol=-1", "--set integrator.rtol=-1: integrator.rtol: must be at least 1e-14, not -1"),
        ("clusters.7.size=50", "clusters is a list; after it comes an index from 0 to 1, not '7'"),
        ("clusters.-1.size=50", "an index from 0 to 1, not '-1'"),
        ("clusters.x=3", "an index from 0 to 1, not 'x'"),
        ("clusters.0.siz=3", "--set clusters.0.siz=3: clusters.0.siz: unknown key (did you mean 'size'?)"),
        ("flow.x=3", "flow is 'separated', which has no key 'x'; set flow as a whole"),
        ("seed=[", "--set seed=[: not valid YAML"),
        ("seed=!!python/none", "--set seed=!!python/none: tag"),
        ("seed={a: 1, a: 2}", "--set seed={a: 1, a: 2}: key 'a' appears twice"),
        ("seed=1e999", "--set seed=1e999: '1e999' is too large"),
        ("seed=\n- x", "seed: must be an integer, not a list"),
        ("seed=" + "9" * 5000, "is too large"),
        ("seed=\x00", "is not allowed in YAML"),
        ("labels=" + "[" * 500, "nested deeper than 32 levels"),
        (
            "labels={file: nowhere.npy}",
            "--set labels={file: nowhere.npy}: labels: /nowhere/nowhere.npy: no such file",
        ),
    ],
)
def test_wrong_options_are_named_as_they_were_typed(option: str, said: str) -> None:
    assert said in complaint(GOOD, option)


def test_other_settings_keep_their_lines() -> None:
    assert complaint(GOOD + "integratr: 1\n", "seed=2").startswith("demo:14: integratr: unknown key")
