"""Which way a warp took."""

import pytest


@pytest.fixture
def counted(monkeypatch):
    """counted(module, name): a list that grows with each call of that function."""

    def count(module, name):
        calls, real = [], getattr(module, name)
        monkeypatch.setattr(module, name, lambda *arguments: (calls.append(1), real(*arguments))[1])
        return calls

    return count
