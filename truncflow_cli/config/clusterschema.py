"""The part of the schema that says where the training inputs come from."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from truncflow_cli.config.types import (
    FORM,
    LIST,
    Column,
    Count,
    FromFile,
    Matrix,
    Model,
    NotNegative,
    Positive,
    Text,
    Vector,
    has,
    mistake,
    one_of,
)


class ListedCluster(Model):
    """A cluster whose points are written out."""

    name: Text | None = None
    """Name of the cluster; its random stream follows the name."""
    points: Matrix
    """The points, N_j rows of Q numbers."""


class FileCluster(FromFile):
    """A cluster whose points are in a file, one point a row."""

    name: Text | None = None
    """Name of the cluster."""


class ShapedCluster(Model):
    """A cluster of random points."""

    name: Text | None = None
    """Name of the cluster; its random stream follows the name."""
    shape: Literal["ball", "sphere", "gaussian"]
    """ball: uniform in the ball; sphere: uniform on its surface; gaussian: independent normal coordinates."""
    center: Vector
    """Center, Q numbers."""
    radius: NotNegative | None = None
    """Radius of the ball or sphere."""
    std: NotNegative | None = None
    """Standard deviation of each coordinate (gaussian)."""
    size: Count
    """Number of points N_j."""

    @model_validator(mode="after")
    def _one_length(self) -> ShapedCluster:
        wanted, other = ("std", "radius") if self.shape == "gaussian" else ("radius", "std")
        if getattr(self, other) is not None:
            raise mistake(f"shape {self.shape} takes {wanted}, not {other}", other)
        if getattr(self, wanted) is None:
            raise mistake(f"{wanted} is missing (shape {self.shape} needs it)")
        return self


class Reduction(Model):
    """Fewer coordinates."""

    method: Literal["pca"] = "pca"
    """Principal components of the centred table."""
    to: Count
    """Number of coordinates kept, the Q of the run."""


class LabelledTable(Model):
    """All clusters from one CSV table: a class is a cluster, in the order of the sorted labels."""

    file: Text
    """CSV file, relative to the configuration; comma, semicolon or tab between values."""
    label_column: Column
    """Column with the classes: its name in the header, or its index from 0 (negative from the end)."""
    columns: Annotated[list[Column], Field(min_length=1)] | None = None
    """Columns to use as coordinates, by name or index; default: all but the label."""
    standardize: bool = False
    """Shift and scale each column to mean 0 and standard deviation 1."""
    reduce: Reduction | None = None
    """Reduce the number of coordinates, after standardizing."""
    scale: Positive = 1.0
    """Factor on all coordinates, applied last."""


def _cluster_form(value: Any) -> str:
    return FORM + next((key for key in ("points", "file") if has(value, key)), "shape")


Cluster = Annotated[
    Annotated[ListedCluster, Tag(FORM + "points")]
    | Annotated[FileCluster, Tag(FORM + "file")]
    | Annotated[ShapedCluster, Tag(FORM + "shape")],
    Discriminator(_cluster_form),
]
Clusters = Annotated[
    Annotated[list[Cluster], Field(min_length=1), Tag(LIST)] | Annotated[LabelledTable, Tag(FORM + "file")],
    one_of("a list of clusters, or one labelled table {file: ..., label_column: ...}"),
]
