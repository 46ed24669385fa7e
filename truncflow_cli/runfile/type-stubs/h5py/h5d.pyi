from typing import Any

import numpy as np
from h5py.h5g import GroupID
from h5py.h5p import DatasetCreation, LinkCreation
from h5py.h5s import SpaceID
from h5py.h5t import TypeID
from numpy.typing import NDArray

class DatasetID:
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    def get_type(self) -> TypeID: ...
    def get_space(self) -> SpaceID: ...
    def get_create_plist(self) -> DatasetCreation: ...
    def set_extent(self, shape: tuple[int, ...]) -> None: ...
    def read(
        self, memory: SpaceID | int, file: SpaceID | int, values: NDArray[Any], kind: TypeID
    ) -> None: ...
    def write(
        self, memory: SpaceID | int, file: SpaceID | int, values: NDArray[Any], kind: TypeID
    ) -> None: ...

def create(
    place: GroupID,
    path: bytes,
    kind: TypeID,
    space: SpaceID,
    creation: DatasetCreation | None = None,
    links: LinkCreation | None = None,
) -> DatasetID: ...
def open(place: GroupID, path: bytes) -> DatasetID: ...
