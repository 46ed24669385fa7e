"""Building blocks of the schema: numbers, arrays, and values that can be written in several forms."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

#: Marks the parts of an error's location that name a form of a value instead of a key.
FORM = "\x1f"
WORD = FORM + "word"
LIST = FORM + "list"


def mistake(message: str, *inside: str | int) -> PydanticCustomError:
    """Return the error to raise in a validator; ``inside`` leads from the value to its wrong part."""
    return PydanticCustomError("mistake", "{message}", {"message": message, "inside": list(inside)})


class Model(BaseModel):
    """A mapping of the configuration: frozen, without other keys; ``null`` means that a key is not given.

    The texts below the keys are their descriptions in the JSON Schema and in the documentation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys_only(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        allowed = [field.alias or name for name, field in cls.model_fields.items()]
        for key in data:
            if key not in allowed:
                raise PydanticCustomError("unknown_key", "unknown key", {"key": key, "allowed": allowed})
        return {key: value for key, value in data.items() if value is not None}

    def replace(self, **changes: Any) -> Self:
        """Return these settings with some of them changed."""
        return self.model_copy(update=changes)

    def model_dump(self, **options: Any) -> dict[str, Any]:
        """Return the settings under the keys of the configuration, unless ``by_alias`` says otherwise."""
        return super().model_dump(**{"by_alias": True, **options})


def whole(value: object) -> object:
    """Take 1e6 for the integer it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _rectangular(rows: list[list[float]]) -> list[list[float]]:
    for index, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise mistake(f"has {len(row)} numbers where the first row has {len(rows[0])}", index)
    return rows


def _box(matrices: list[list[list[float]]]) -> list[list[list[float]]]:
    for index, matrix in enumerate(matrices):
        if len(matrix) != len(matrices[0]) or len(matrix[0]) != len(matrices[0][0]):
            shape, first = f"{len(matrix)}×{len(matrix[0])}", f"{len(matrices[0])}×{len(matrices[0][0])}"
            raise mistake(f"is {shape} where the first matrix is {first}", index)
    return matrices


Number = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(allow_inf_nan=False, gt=0)]
NotNegative = Annotated[float, Field(allow_inf_nan=False, ge=0)]
#: Up to 2^53: no count that can mean anything is larger, and a double holds it exactly.
Count = Annotated[int, Field(ge=1, le=2**53), BeforeValidator(whole)]
Vector = Annotated[list[Number], Field(min_length=1)]
Matrix = Annotated[list[Vector], Field(min_length=1), AfterValidator(_rectangular)]
Matrices = Annotated[list[Matrix], Field(min_length=1), AfterValidator(_box)]


def _printable(text: str) -> str:
    if not text or not text.isprintable():
        raise mistake("must be a text of printable characters, and not empty")
    return text


def _column(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise mistake("must be the name of a column, or its index from 0")
    return value


Column = Annotated[str | int, BeforeValidator(_column)]
Text = Annotated[str, AfterValidator(_printable), Field(min_length=1, max_length=4096)]


def one_of(allowed: str) -> Discriminator:
    """Return what tells the forms of a value apart, so that only the form that was meant can complain.

    Args:
        allowed: all the forms, as an error lists them: words (tagged ``WORD``), mappings by their first key, such as
            {scale: a} (tagged ``FORM`` + key), and what begins with "a " (tagged ``LIST``).
    """
    words, keys = re.findall(r"(?:^|, )(\w+)(?=,|$)", allowed), re.findall(r"\{(\w+):", allowed)

    def form(value: Any) -> str | None:
        if isinstance(value, str):
            return WORD if value in words else None
        if isinstance(value, list):
            return LIST
        return next((FORM + key for key in keys if has(value, key)), None)

    # The message is taken as it stands: validation_errors.py finds the allowed forms in it.
    return Discriminator(form, custom_error_type="form", custom_error_message=allowed)


def has(value: object, key: str) -> bool:
    """Whether a mapping, or the model made of it, has a key."""
    return key in value if isinstance(value, dict) else hasattr(value, key)


class FromFile(Model):
    """Numbers from a file."""

    file: Text
    """Data file, relative to the configuration: .npy, .npz:key, .csv or .h5:dataset. No pickles."""


class Scaled(Model):
    """A multiple of the identity."""

    scale: Number
    """The factor a."""


class NormalEntries(Model):
    """Independent normal entries."""

    normal: NotNegative
    """Standard deviation of the entries; their mean is 0."""


class RandomOrthogonal(Model):
    """A random orthogonal matrix."""

    random: Literal["orthogonal"]
    """Haar measure on O(Q)."""


#: Forms of a value, for ``one_of``.
Identity = Annotated[Literal["identity"], Tag(WORD)]
Rows = Annotated[Matrix, Tag(LIST)]
File = Annotated[FromFile, Tag(FORM + "file")]
Scale = Annotated[Scaled, Tag(FORM + "scale")]
Normal = Annotated[NormalEntries, Tag(FORM + "normal")]
Random = Annotated[RandomOrthogonal, Tag(FORM + "random")]
