"""The configuration as a pydantic schema; the equation numbers are those of arXiv:2501.07400."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, Tag, model_validator

from truncflow_cli.config.clusterschema import Clusters
from truncflow_cli.config.errors import listed, shown, suggestion
from truncflow_cli.config.types import (
    FORM,
    LIST,
    WORD,
    Count,
    FromFile,
    Matrices,
    Matrix,
    Model,
    NormalEntries,
    NotNegative,
    Number,
    Positive,
    RandomOrthogonal,
    Scaled,
    Text,
    mistake,
    one_of,
    whole,
)

#: More saved times or layers than this are a slip of the pen.
MOST_TIMES = 10_000_000
MOST_LAYERS = 10_000

FlowName = Literal["separated", "general", "collapsed", "clustered"]
Method = Literal["separated", "collapsed", "clustered"]


Labels = Annotated[
    Annotated[Literal["identity"], Tag(WORD)]
    | Annotated[Matrix, Tag(LIST)]
    | Annotated[Scaled, Tag(FORM + "scale")]
    | Annotated[FromFile, Tag(FORM + "file")],
    one_of(
        "identity, {scale: a}, a list of C rows of Q numbers, {file: ...}", ("identity",), ("scale", "file")
    ),
]
OutputMap = Annotated[
    Annotated[Literal["identity"], Tag(WORD)]
    | Annotated[Matrix, Tag(LIST)]
    | Annotated[RandomOrthogonal, Tag(FORM + "random")]
    | Annotated[FromFile, Tag(FORM + "file")],
    one_of("identity, {random: orthogonal}, a Q×Q list, {file: ...}", ("identity",), ("random", "file")),
]
Rotation = Annotated[
    Annotated[Literal["identity", "random"], Tag(WORD)]
    | Annotated[Matrices, Tag(LIST)]
    | Annotated[FromFile, Tag(FORM + "file")],
    one_of("identity, random, a list of L matrices Q×Q, {file: ...}", ("identity", "random"), ("file",)),
]
Bias = Annotated[
    Annotated[Literal["zero"], Tag(WORD)]
    | Annotated[Matrix, Tag(LIST)]
    | Annotated[NormalEntries, Tag(FORM + "normal")]
    | Annotated[FromFile, Tag(FORM + "file")],
    one_of("zero, {normal: 0.5}, a list of L rows of Q numbers, {file: ...}", ("zero",), ("normal", "file")),
]
OutputWeight = Annotated[
    Annotated[Literal["identity"], Tag(WORD)]
    | Annotated[Matrix, Tag(LIST)]
    | Annotated[Scaled, Tag(FORM + "scale")]
    | Annotated[NormalEntries, Tag(FORM + "normal")]
    | Annotated[FromFile, Tag(FORM + "file")],
    one_of(
        "identity, {scale: a}, {normal: 0.5}, a Q×Q list, {file: ...}",
        ("identity",),
        ("scale", "normal", "file"),
    ),
]


class Construction(Model):
    """Rotations and biases made so that the hypotheses hold."""

    method: Method = Field(
        description="separated: layer l cuts cluster l and leaves the others in S_l^+ (3.3); collapsed: every "
        "cluster is mapped to the point -beta^(l) (8.1); clustered: no point is truncated in any layer (9.2)."
    )
    start: Literal["mixed", "full"] | None = Field(
        None,
        description="method: separated only. mixed (default): some points of cluster l are truncated by layer l; "
        "full: all are in S_l^-, mapped to -beta^(l) (Definition 2.1).",
    )
    margin: NotNegative | None = Field(
        None,
        description="Least distance of every point to the faces it must stay clear of; default: a "
        "quarter of the largest possible or more (mixed), the largest found (full, collapsed).",
    )

    @model_validator(mode="after")
    def _start_of_separated(self) -> Construction:
        if self.start is not None and self.method != "separated":
            raise mistake("belongs to method: separated only", "start")
        return self


def _method_alone(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value not in get_args(Method):
        allowed = listed(get_args(Method))
        hint = suggestion(value, get_args(Method))
        raise mistake(
            f"{shown(value)} is not allowed{hint}; allowed: {allowed}, {{method: ..., margin: ...}}"
        )
    return {"method": value}


class Initial(Model):
    """The state at s = 0."""

    rotation: Rotation | None = Field(
        None,
        description="R_l(0), the orthogonal cumulative weight of each layer (1.8); default: identity. random: Haar "
        "measure on SO(Q), each layer from a random stream of its own.",
    )
    bias: Bias | None = Field(
        None,
        description="Cumulative biases beta^(l)(0) of (1.8), a row of Q numbers a layer; default: zero. For the flow "
        "collapsed they are the columns of B (8.6), a row a cluster.",
    )
    construction: (
        Annotated[Construction, BeforeValidator(_method_alone, json_schema_input_type=Method | Construction)]
        | None
    ) = Field(
        None,
        alias="construct",
        description="Make rotation and bias so that the hypotheses hold, or say why that cannot be: separated (3.3), "
        "collapsed (8.1), clustered (9.2), or {method, start, margin}.",
    )
    output_weight: OutputWeight | None = Field(
        None,
        description="W_{Q+1}(0) of (8.7) and (9.7), for the flows collapsed and clustered; default: identity. A large "
        "one makes -I(0) > 0 in (8.21), and Theorem 8.4 gives a rate.",
    )

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

    s_end: NotNegative = Field(
        10.0, description="End of the run in flow time s (dimensionless); it starts at s = 0."
    )
    rtol: Annotated[Number, Field(ge=1e-14, le=0.1)] = Field(
        1e-9,
        description="Relative tolerance of the state. What was reached is seen in the energy balance D(s), zero if "
        "exact (3.27)-(3.29).",
    )
    atol: Annotated[Positive, Field(le=1.0)] = Field(1e-12, description="Absolute tolerance of the state.")
    freeze_rotation: bool = Field(
        False, description="Keep R fixed: the closed form of section 4.3, (4.44)-(4.49)."
    )
    events: Literal["exact", "batched", "auto"] = Field(
        "exact",
        description="exact: stop at every crossing of a surface z_r = 0 and go on from there; batched: step over many "
        "under error control and locate them afterwards, for very many points; auto: whichever suits.",
    )
    on_separation_lost: Literal["record", "stop", "switch"] = Field(
        "record",
        description="When a layer comes to truncate a foreign cluster, so that (3.3) fails: record it and go on, stop "
        "there, or switch to the flow general (Theorem 5.1). For collapsed: when (8.1) fails, record or stop.",
    )
    max_events: Count = Field(
        1_000_000,
        description="A run that meets more events than this fails, and keeps what it has. The default becomes ten for "
        "each coordinate of a point and layer where that is more.",
    )


class Save(Model):
    """What is saved; s = 0 and s_end always are."""

    count: Annotated[int, Field(ge=2, le=MOST_TIMES), BeforeValidator(whole)] | None = Field(
        None, description="Number of saved times, both ends included; default 401."
    )
    at: Annotated[list[NotNegative], Field(min_length=1)] | None = Field(
        None, description="The saved times themselves, increasing, from 0 to s_end; the two ends are added."
    )
    every: Positive | None = Field(None, description="Distance between saved times.")
    spacing: Literal["linear", "log"] | None = Field(
        None,
        description="With count. linear (default): evenly spaced; log: 0, then geometric from first to "
        "s_end.",
    )
    first: Positive | None = Field(
        None, description="With spacing: log, the first saved time after 0; default s_end/10^4."
    )
    checkpoint_every: NotNegative = Field(
        30.0, description="Seconds of wall time between points that --resume can go on from."
    )

    @model_validator(mode="after")
    def _one_rule(self) -> Save:
        rules = [key for key in ("count", "at", "every") if getattr(self, key) is not None]
        if len(rules) > 1:
            raise mistake(f"excludes {rules[0]}; give one of count, at, every (null unsets a key)", rules[1])
        if self.spacing is not None and rules not in ([], ["count"]):
            raise mistake("goes with count only", "spacing")
        if self.first is not None and self.spacing != "log":
            raise mistake("goes with spacing: log only", "first")
        for index, (before, time) in enumerate(zip(self.at or (), (self.at or ())[1:], strict=False)):
            if time <= before:
                raise mistake(
                    f"{time:g} does not come after {before:g}; saved times must increase", "at", index + 1
                )
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


class Config(Model):
    """A truncflow run."""

    name: Annotated[Text, Field(max_length=200), AfterValidator(_file_stem)] | None = Field(
        None, description="Name of the run; default: the stem of the configuration's file name."
    )
    flow: FlowName = Field(
        "separated",
        description="separated: Theorem 3.2, (3.22) and (3.25), cluster l is seen by layer l only; general: Theorem "
        "5.1, (5.4) and (5.6), every layer sees every cluster; collapsed: section 8, (8.6) and (8.7), every cluster "
        "is a point; clustered: section 9, (9.7), nothing is truncated.",
    )
    equations: Literal["exact", "printed"] = Field(
        "exact",
        description="exact: the gradient flow of the loss (2.26). printed: (3.25) as it stands in print, without the "
        "term -1/2 z z^T, which is not a gradient flow (separated only).",
    )
    seed: Annotated[int, Field(ge=0, lt=2**63), BeforeValidator(whole)] = Field(
        0, description="Every random choice derives from it, each from its own named stream."
    )
    clusters: Clusters | None = Field(
        None, description="The training inputs x_{j,i} in R^Q: a list of clusters, or one labelled table."
    )
    labels: Labels = Field(
        "identity", description="y_j in R^Q, one a cluster, of the loss (2.26); identity: y_j = e_j."
    )
    output_map: OutputMap = Field(
        "identity",
        description="W^(Q+1) of (1.15), invertible and fixed; separated and general see the pulled-back labels "
        "W^-1 y_j.",
    )
    point_weights: Literal["1/N", "1/N_j"] | None = Field(
        None,
        description="clustered only. 1/N (default): the loss weighs all points alike (9.3); 1/N_j: all clusters "
        "(2.22).",
    )
    layers: Annotated[int, Field(ge=1, le=MOST_LAYERS), BeforeValidator(whole)] | None = Field(
        None, description="general only: number of layers L; default: the number of clusters."
    )
    initial: Initial = Field(default_factory=lambda: Initial(), description="The state at s = 0.")
    integrator: Integrator = Field(
        default_factory=lambda: Integrator(), description="How the flow is integrated."
    )
    save: Save = Field(default_factory=lambda: Save(), description="Which times are saved.")
    output: Annotated[Text, AfterValidator(_template)] = Field(
        "runs/{name}.h5",
        description="Run file, relative to the current folder; {name} is the name of the run.",
    )

    @model_validator(mode="after")
    def _settings_fit_the_flow(self) -> Config:
        _check_flow(self)
        return self


#: Settings that mean something for some flows only: path, the value that means nothing, flows that know it.
_FLOW_SETTINGS: tuple[tuple[tuple[str, ...], object, tuple[str, ...]], ...] = (
    (("equations",), "exact", ("separated",)),
    (("point_weights",), None, ("clustered",)),
    (("layers",), None, ("general",)),
    (("integrator", "freeze_rotation"), False, ("separated",)),
    (("initial", "output_weight"), None, ("collapsed", "clustered")),
)
_CONSTRUCTIONS = {
    "separated": ("separated", "collapsed", "clustered"),
    "general": ("separated", "collapsed", "clustered"),
    "collapsed": ("collapsed",),
    "clustered": ("clustered",),
}


def _check_flow(config: Config) -> None:
    """Refuse settings that the chosen flow would silently ignore."""
    for path, unset, flows in _FLOW_SETTINGS:
        value: Any = config
        for key in path:
            value = getattr(value, key)
        if value != unset and config.flow not in flows:
            raise mistake(f"belongs to flow {' or '.join(flows)}; this is flow {config.flow}", *path)
    if config.integrator.on_separation_lost == "switch" and config.flow != "separated":
        raise mistake("switch belongs to flow separated", "integrator", "on_separation_lost")
    if config.integrator.events == "batched" and (
        config.flow != "separated" or config.integrator.freeze_rotation
    ):
        raise mistake(
            "batched belongs to flow separated with moving rotations; allowed here: exact, auto",
            "integrator",
            "events",
        )
    construct = config.initial.construction
    if construct is not None and construct.method not in _CONSTRUCTIONS[config.flow]:
        allowed = ", ".join(_CONSTRUCTIONS[config.flow])
        raise mistake(
            f"{construct.method} does not fit flow {config.flow}; allowed: {allowed}", "initial", "construct"
        )
    if config.clusters is None and (config.flow != "collapsed" or construct is not None):
        needs = "initial.construct" if config.flow == "collapsed" else f"flow {config.flow}"
        raise mistake(f"clusters is missing; {needs} needs it: a list of clusters or one labelled table")


def completed(config: Config) -> Config:
    """Return ``config`` with every default that depends on other settings written out."""
    initial, save = config.initial, config.save
    construct = initial.construction
    if construct is None and initial.bias is None and config.flow == "clustered":
        construct = Construction(method="clustered")
    if construct is not None and construct.method == "separated" and construct.start is None:
        construct = construct.model_copy(update={"start": "mixed"})
    constructs_rotation = construct is not None and construct.method != "clustered"
    has_weight = config.flow in ("collapsed", "clustered")
    initial = initial.model_copy(
        update={
            "construction": construct,
            "rotation": initial.rotation or (None if constructs_rotation else "identity"),
            "bias": initial.bias or ("zero" if construct is None else None),
            "output_weight": initial.output_weight or ("identity" if has_weight else None),
        }
    )
    if save.at is None and save.every is None:
        save = save.model_copy(update={"count": save.count or 401, "spacing": save.spacing or "linear"})
    n_listed = len(config.clusters) if isinstance(config.clusters, list) else None
    return config.model_copy(
        update={
            "point_weights": config.point_weights or ("1/N" if config.flow == "clustered" else None),
            "layers": config.layers or (n_listed if config.flow == "general" else None),
            "initial": initial,
            "save": save,
        }
    )


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a configuration, for editors.

    Titles are those of whole objects only (an editor shows a key's name anyway), and a default is one that can be
    written: null, which unsets a key, is taken but not offered.
    """
    schema = Config.model_json_schema()
    for part in (schema, *schema["$defs"].values()):
        for name, key in part.get("properties", {}).items():
            key.pop("title", None)
            if key.get("default", ...) is None:
                del key["default"]
            if name not in part.get("required", []):
                part["properties"][name] = _or_null(key, schema["$defs"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "truncflow configuration",
    }


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
