from typing import Any

import numpy as np

CSET_UTF8: int
NATIVE_DOUBLE: TypeID

class TypeID: ...

class TypeStringID(TypeID):
    def is_variable_str(self) -> bool: ...
    def get_cset(self) -> int: ...

def py_create(dtype: np.dtype[Any], logical: bool = False) -> TypeID: ...
