"""The manifest behind a URL: rows stand in a journal in the user's cache while a run goes on, and are put at its end."""

import os
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any

from stn_cli.errors import FileError, OptionError
from stn_cli.folders.atomic import left_behind, own_name
from stn_cli.folders.manifest import Journal, Row, as_bytes, locked, parsed, read_manifest
from stn_cli.folders.remote import Remote, names_in


class RemoteJournal(Journal):
    """`Journal` for an output folder behind a URL.

    A run that died on this machine is taken over by the next into the same URL. Runs of one machine take turns at the
    manifest; a bucket has no lock for those of two.
    """

    def __init__(self, manifest: Remote) -> None:
        self._remote = manifest
        self._rows()  # a manifest of somebody else's is told before anything is written
        import platformdirs

        cache = Path(os.environ.get("STN_CACHE_DIR") or platformdirs.user_cache_dir("stn", appauthor=False))
        self._staging = cache / "journals" / sha256(manifest.url.encode()).hexdigest()[:16]
        try:
            self._staging.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(self._staging, f"the journal cannot be kept there ({error.strerror})") from error
        self.path = self._staging / own_name("journal")
        self._file: int | None = None
        self._closed = self._torn = False
        self._lock = Lock()
        self._merge(left_behind(self._staging, "journal"))

    def add(self, row: Any, temporary: Path | None) -> None:
        """Note the row of an output that is about to be put."""
        self._write(as_bytes({**row, "temporary": ""}))

    def _rows(self) -> list[Row]:
        return read_manifest(self._remote) if self._remote.exists() else []

    def _merge(self, journals: list[Path]) -> None:
        if not journals:
            return
        with locked(self._staging):
            noted: dict[str, Row] = {}
            for journal in (journal for journal in journals if journal.exists()):
                for row in parsed(journal):
                    if row.pop("temporary") is None:
                        noted.pop(row["output"], None)
                    else:
                        noted[row["output"]] = row
            try:
                there = names_in(self._remote.parent, "--out") if noted else set()
                merged = {row["output"]: row for row in self._rows()}
                merged |= {output: row for output, row in noted.items() if output in there}
                if noted and merged:
                    ordered = sorted(merged.values(), key=lambda row: (row["source"], row["output"]))
                    self._remote.put(b"".join(map(as_bytes, ordered)), overwrite=True)
            except OptionError as error:
                raise FileError(self._remote, f"the manifest cannot be written: {error}") from error
            for journal in journals:
                journal.unlink(missing_ok=True)
