"""Small data sets of the embedded digits: as arrays, and as a folder of IDX files for `--data mnist --data-dir`."""

import struct

import pytest

from stn_cli.learn.data import FILES, DataSet
from stn_cli.learn.digits import make_digits


@pytest.fixture(scope="session")
def few() -> DataSet:
    return DataSet("few digits", *make_digits(600, 1), *make_digits(120, 2))


@pytest.fixture
def idx_folder(few, tmp_path):
    folder = tmp_path / "idx"
    folder.mkdir()
    arrays = (few.train_images, few.train_labels, few.test_images, few.test_labels)
    for name, array in zip(FILES, arrays, strict=True):
        header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
        (folder / name).write_bytes(header + array.tobytes())
    return folder
