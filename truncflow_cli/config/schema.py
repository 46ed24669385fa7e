"""The configuration as a pydantic schema; the equation numbers are those of arXiv:2501.07400."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, Tag, model_validator

from truncflow_cli.config.clusterschema import Clusters
from truncflow_cli.config.errors import listed, shown, suggestion
from truncflow_cli.config.types import (
    LIST,
    WORD,
    Count,
    File,
    Identity,
    Matrices,
    Model,
    Normal,
    NotNegative,
    Number,
    Positive,
    Random,
    Rows,
    Scale,
    Text,
    mistake,
    one_of,
    whole,
)
from truncflow_cli.flows.registry import FLOWS, flow_named, keys_of_some_flows

#: More saved times or layers than this are a slip of the pen.
MOST_TIMES = 10_000_000
MOST_LAYERS = 10_000

Method = Literal["separated", "collapsed", "clustered"]


Labels = Annotated[
    Identity | Rows | Scale | File,
    one_of("identity, {scale: a}, a list of C rows of Q numbers, {file: ...}"),
]
OutputMap = Annotated[
    Identity | Rows | Random | File,
    one_of("identity, {random: orthogonal}, a Q×Q list, {file: ...}"),
]
Rotation = Annotated[
    Annotated[Literal["identity", "random"], Tag(WORD)] | Annotated[Matrices, Tag(LIST)] | File,
    one_of("identity, random, a list of L matrices Q×Q, {file: ...}"),
]
Bias = Annotated[
    Annotated[Literal["zero"], Tag(WORD)] | Rows | Normal | File,
    one_of("zero, {normal: 0.5}, a list of L rows of Q numbers, {file: ...}"),
]
OutputWeight = Annotated[
    Identity | Rows | Scale | Normal | File,
    one_of("identity, {scale: a}, {normal: 0.5}, a Q×Q list, {file: ...}"),
]


class Construction(Model):
    """Rotations and biases made so that the hypotheses hold."""

    method: Method
    """separated: layer l cuts cluster l and leaves the others in S_l^+ (3.3); collapsed: every cluster is
    mapped to the point -beta^(l) (8.1); clustered: no point is truncated in any layer (9.2)."""
    start: Literal["mixed", "full"] | None = None
    """method: separated only. mixed (default): some points of cluster l are truncated by layer l; full:
    all are in S_l^-, mapped to -beta^(l) (Definition 2.1)."""
    margin: NotNegative | None = None
    """Least distance of every point to the faces it must stay clear of; default: a quarter of the largest
    possible or more (mixed), the largest found (full, collapsed)."""

    @model_validator(mode="after")
    def _start_of_separated(self) -> Construction:
        if self.start is not None and self.method != "separated":
            raise mistake("belongs to method: separated only", "start")
        return self


def _method_alone(value: object) -> object:
    if isinstance(value, str) and value not in get_args(Method):
        raise mistake(_not_allowed(value, get_args(Method)) + ", {method: ..., margin: ...}")
    return {"method": value} if isinstance(value, str) else value


def _not_allowed(value: str, allowed: Iterable[str]) -> str:
    return f"{shown(value)} is not allowed{suggestion(value, allowed)}; allowed: {listed(allowed)}"


class Initial(Model):
    """The state at s = 0."""

    rotation: Rotation | None = None
    """R_l(0), the orthogonal cumulative weight of each layer (1.8); default: identity. random: Haar
    measure on SO(Q), each layer from a random stream of its own."""
    bias: Bias | None = None
    """Cumulative biases beta^(l)(0) of (1.8), a row of Q numbers a layer; default: zero. For the flow
    collapsed they are the columns of B (8.6), a row a cluster."""
    construction: (
        Annotated[Construction, BeforeValidator(_method_alone, json_schema_input_type=Method | Construction)]
        | None
    ) = Field(None, alias="construct")
    """Make rotation and bias so that the hypotheses hold, or say why that cannot be: separated (3.3),
    collapsed (8.1), clustered (9.2), or {method, start, margin}."""
    output_weight: OutputWeight | None = None
    """W_{Q+1}(0) of (8.7) and (9.7); default: identity. A large one makes -I(0) > 0 in (8.21), and Theorem
    8.4 gives a rate."""

    @model_validator(mode="after")
    def _constructed_or_given(self) -> Initial:
        if self.construction is not None:
            if self.bias is not None:
                raise mistake("construct makes the bias; give one of the two", "bias")
            if self.rotation is not None and self.construction.method != "clustered":
                raise mistake("construct makes the rotations; give one of the two", "rotation")
        return self


class Integrator(Model):
    """How the flow is integrated."""

    s_end: NotNegative = 10.0
    """End of the run in flow time s (dimensionless); it starts at s = 0."""
    rtol: Annotated[Number, Field(ge=1e-14, le=0.1)] = 1e-9
    """Relative tolerance of the state. What was reached is seen in the energy balance D(s), zero if exact
    (3.27)-(3.29)."""
    atol: Annotated[Positive, Field(le=1.0)] = 1e-12
    """Absolute tolerance of the state."""
    freeze_rotation: bool = False
    """Keep R fixed: the closed form of section 4.3, (4.44)-(4.49)."""
    events: Literal["exact", "batched", "auto"] = "exact"
    """exact: stop at every crossing of a surface z_r = 0 and go on from there; batched: step over many
    under error control and locate them afterwards, for very many points; auto: whichever suits."""
    on_separation_lost: Literal["record", "stop", "switch"] = "record"
    """When a layer comes to truncate a foreign cluster, so that (3.3) fails: record it and go on, stop
    there, or switch to the flow general (Theorem 5.1). For collapsed: when (8.1) fails, record or stop."""
    max_events: Count = 1_000_000
    """A run that meets more events than this fails, and keeps what it has. The default becomes ten for
    each coordinate of a point and layer where that is more."""

    backend: Literal["auto", "compiled", "numpy"] = "auto"
    """What does the work of the flows separated and general: compiled code, or numpy, which gives the same
    results many times slower; auto: compiled code where it is there."""

    @model_validator(mode="after")
    def _batched_moves(self) -> Integrator:
        if self.events == "batched" and self.backend == "numpy":
            raise mistake("batched needs compiled code; allowed with backend numpy: exact, auto", "events")
        if self.events == "batched" and self.freeze_rotation:
            raise mistake("batched belongs to moving rotations; allowed here: exact, auto", "events")
        return self


class Save(Model):
    """What is saved; s = 0 and s_end always are."""

    count: Annotated[int, Field(ge=2, le=MOST_TIMES), BeforeValidator(whole)] | None = None
    """Number of saved times, both ends included; default 401."""
    at: Annotated[list[NotNegative], Field(min_length=1)] | None = None
    """The saved times themselves, increasing, from 0 to s_end; the two ends are added."""
    every: Positive | None = None
    """Distance between saved times."""
    spacing: Literal["linear", "log"] | None = None
    """With count. linear (default): evenly spaced; log: 0, then geometric from first to s_end."""
    first: Positive | None = None
    """With spacing: log, the first saved time after 0; default s_end/10^4."""
    checkpoint_every: NotNegative = 30.0
    """Seconds of wall time between points that --resume can go on from."""

    @model_validator(mode="after")
    def _one_rule(self) -> Save:
        rules = [key for key in ("count", "at", "every") if getattr(self, key) is not None]
        if len(rules) > 1:
            raise mistake(f"excludes {rules[0]}; give one of count, at, every (null unsets a key)", rules[1])
        if self.spacing is not None and rules not in ([], ["count"]):
            raise mistake("goes with count only", "spacing")
        if self.first is not None and self.spacing != "log":
            raise mistake("goes with spacing: log only", "first")
        for index, (before, time) in enumerate(pairwise(self.at or ()), 1):
            if time <= before:
                what = f"{time:g} does not come after {before:g}; saved times must increase"
                raise mistake(what, "at", index)
        return self


def _template(text: str) -> str:
    bare = text.replace("{name}", "")
    if "{" in bare or "}" in bare:
        raise mistake("may contain {name} and no other braces")
    return text


def _file_stem(text: str) -> str:
    if "/" in text or text in (".", ".."):
        raise mistake("becomes part of a file name: it cannot contain /")
    return text


def _flow(name: str) -> str:
    if name not in FLOWS:
        raise mistake(_not_allowed(name, FLOWS))
    return name


def _tell_flows(key: dict[str, Any]) -> None:
    """Complete the schema of the key `flow` from the registry."""
    about = [f"{flow.name}: {flow.theorem}, {flow.equation}, {flow.meaning}" for flow in FLOWS.values()]
    key.update(enum=list(FLOWS), description="; ".join(about) + ".")


class Config(Model):
    """A truncflow run."""

    name: Annotated[Text, Field(max_length=200), AfterValidator(_file_stem)] | None = None
    """Name of the run; default: the stem of the configuration's file name."""
    flow: Annotated[str, AfterValidator(_flow)] = Field("separated", json_schema_extra=_tell_flows)
    equations: Literal["exact", "printed"] = "exact"
    """exact: the gradient flow of the loss (2.26). printed: (3.25) as it stands in print, without the term
    -1/2 z z^T, which is not a gradient flow."""
    seed: Annotated[int, Field(ge=0, lt=2**63), BeforeValidator(whole)] = 0
    """Every random choice derives from it, each from its own named stream."""
    clusters: Clusters | None = None
    """The training inputs x_{j,i} in R^Q: a list of clusters, or one labelled table."""
    labels: Labels = "identity"
    """y_j in R^Q, one a cluster, of the loss (2.26); identity: y_j = e_j."""
    output_map: OutputMap = "identity"
    """W^(Q+1) of (1.15), invertible and fixed; separated and general see the pulled-back labels W^-1 y_j."""
    point_weights: Literal["1/N", "1/N_j"] | None = None
    """1/N (default): the loss weighs all points alike (9.3); 1/N_j: all clusters (2.22)."""
    layers: Annotated[int, Field(ge=1, le=MOST_LAYERS), BeforeValidator(whole)] | None = None
    """Number of layers L; default: the number of clusters."""
    initial: Initial = Field(default_factory=lambda: Initial())
    """The state at s = 0."""
    integrator: Integrator = Field(default_factory=lambda: Integrator())
    """How the flow is integrated."""
    save: Save = Field(default_factory=lambda: Save())
    """Which times are saved."""
    output: Annotated[Text, AfterValidator(_template)] = "runs/{name}.h5"
    """Run file, relative to the current folder; {name} is the name of the run."""

    @model_validator(mode="after")
    def _fits_the_flow(self) -> Config:
        """Refuse settings that the chosen flow would silently ignore."""
        flow = flow_named(self.flow)
        for setting, flows in keys_of_some_flows().items():
            if self.flow not in flows and _gives(self, setting):
                path, _, value = setting.partition("=")
                what = f"{value} belongs to flow {' or '.join(flows)}; this is flow {self.flow}".lstrip()
                raise mistake(what, *path.split("."))
        construct = self.initial.construction
        if construct is not None and construct.method not in flow.constructions:
            allowed = listed(flow.constructions) or "none"
            what = f"{construct.method} does not fit flow {self.flow}; allowed: {allowed}"
            raise mistake(what, "initial", "construct")
        if self.clusters is None and (flow.needs_clusters or construct is not None):
            needs = f"flow {self.flow}" if flow.needs_clusters else "initial.construct"
            raise mistake(f"clusters is missing; {needs} needs it: a list of clusters or one labelled table")
        return self


def _gives(config: Config, setting: str) -> bool:
    """Whether a key ("key.path") is not at its default, or has a certain value ("key.path=value")."""
    path, _, wanted = setting.partition("=")
    *sections, name = path.split(".")
    section: Any = config
    for each in sections:
        section = getattr(section, each)
    value = getattr(section, name)
    return value == wanted if wanted else bool(value != type(section).model_fields[name].default)


def completed(config: Config) -> Config:
    """Return ``config`` with every default that depends on other settings written out."""
    flow, initial, save = flow_named(config.flow), config.initial, config.save
    construct = initial.construction
    if construct is None and initial.bias is None and flow.constructs is not None:
        construct = Construction.model_validate({"method": flow.constructs})
    if construct is not None and construct.method == "separated" and construct.start is None:
        construct = construct.replace(start="mixed")
    constructs_rotation = construct is not None and construct.method != "clustered"
    weight = "identity" if "initial.output_weight" in flow.accepts else None
    initial = initial.replace(
        construction=construct,
        rotation=initial.rotation or (None if constructs_rotation else "identity"),
        bias=initial.bias or ("zero" if construct is None else None),
        output_weight=initial.output_weight or weight,
    )
    if save.at is None and save.every is None:
        save = save.replace(count=save.count or 401, spacing=save.spacing or "linear")
    n_listed = len(config.clusters) if isinstance(config.clusters, list) else None
    return config.replace(
        point_weights=config.point_weights or ("1/N" if "point_weights" in flow.accepts else None),
        layers=config.layers or (n_listed if "layers" in flow.accepts else None),
        initial=initial,
        save=save,
    )


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a configuration, for editors.

    Titles are those of whole objects only (an editor shows a key's name anyway), and a default is one that can be
    written: null, which unsets a key, is taken but not offered. A key that only some flows have says which ones.
    """
    schema = Config.model_json_schema()
    for setting, flows in keys_of_some_flows().items():
        path, _, value = setting.partition("=")
        only = f"flow {' or '.join(flows)} only."
        part = schema
        for name in path.split("."):
            key = part["properties"][name]
            part = schema["$defs"].get(key.get("$ref", "").rpartition("/")[2], {})
        key["description"] += f" {value}: {only}" if value else f" {only.capitalize()}"
    for part in (schema, *schema["$defs"].values()):
        for name, key in part.get("properties", {}).items():
            key.pop("title", None)
            if "description" in key:
                key["description"] = " ".join(key["description"].split())
            if key.get("default", ...) is None:
                del key["default"]
            if name not in part.get("required", []):
                part["properties"][name] = _or_null(key, schema["$defs"])
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, **schema, "title": "truncflow configuration"}


def _or_null(key: dict[str, Any], models: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a key that null unsets: a section, say, of which every key is commented out."""
    if {"type": "null"} in key.get("anyOf", []):
        return key
    about: dict[str, Any] = {word: key[word] for word in ("description", "default") if word in key}
    if "description" not in about:
        about["description"] = models[key["$ref"].rpartition("/")[2]]["description"]
    form = {word: value for word, value in key.items() if word not in about}
    forms = form["anyOf"] if list(form) == ["anyOf"] else [form]
    return {"anyOf": [*forms, {"type": "null"}], **about}
