"""Which library's functions an array wants: the array API standard, NumPy spoken to directly."""

from types import ModuleType
from typing import Any


def array_namespace(array: Any) -> ModuleType:
    """The array API namespace of `array`.

    NumPy 2 is one itself; array_api_compat's wrapper of it imports f2py, unittest and more, 0.14 s at every start.
    """
    import numpy as np  # here: help pages do without

    if isinstance(array, np.ndarray | np.generic):
        return np
    import array_api_compat

    return array_api_compat.array_namespace(array)
