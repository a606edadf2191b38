"""A page in headless Chromium, driven through the DevTools protocol: what a person does, and what the page answers."""

import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from websocket import create_connection

CANDIDATES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-quic", "--disable-extensions", "--remote-debugging-port=0", "--remote-allow-origins=*",
    "--force-device-scale-factor=1", "--hide-scrollbars",
)  # fmt: skip
PATIENCE = 30.0  # seconds


def chromium() -> str | None:
    """The path of a Chromium, if this machine has one."""
    return next((found for name in CANDIDATES if (found := shutil.which(name))), None)


class Browser:
    """One tab. `errors` holds what the console and exceptions said, `requests` every address that was asked for."""

    def __init__(self, width: int = 1100, height: int = 1000) -> None:
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        root = ("--no-sandbox",) if hasattr(os, "geteuid") and os.geteuid() == 0 else ()
        command = [
            chromium() or "",
            *FLAGS,
            *root,
            f"--user-data-dir={self.folder.name}",
            f"--window-size={width},{height}",
            "about:blank",
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.errors: list[str] = []
        self.requests: list[str] = []
        self._number = 0
        try:
            port, path = self._port()
            self.socket = create_connection(f"ws://127.0.0.1:{port}{path}", timeout=PATIENCE, suppress_origin=True)
            targets = self._send("Target.getTargets")["targetInfos"]
            page = next(target["targetId"] for target in targets if target["type"] == "page")
            self.session: str | None = self._send("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Network", "Log"):
                self.call(f"{domain}.enable")
        except BaseException:
            self.close()
            raise

    def _port(self) -> tuple[str, str]:
        file, end = Path(self.folder.name) / "DevToolsActivePort", time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if file.is_file() and len(lines := file.read_text().splitlines()) == 2:
                return lines[0], lines[1]
            time.sleep(0.05)
        raise TimeoutError("Chromium did not start")

    def _send(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if getattr(self, "session", None):
            message["sessionId"] = self.session
        self.socket.send(json.dumps(message))
        while True:
            answer = json.loads(self.socket.recv())
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self._heard(answer)

    call = _send

    def _heard(self, event: dict[str, Any]) -> None:
        method, said = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(said["exceptionDetails"])[:500])
        elif (method == "Runtime.consoleAPICalled" and said["type"] in ("error", "warning", "assert")) or (
            method == "Log.entryAdded" and said["entry"]["level"] in ("error", "warning")
        ):
            self.errors.append(json.dumps(said)[:500])
        elif method == "Network.requestWillBeSent":
            self.requests.append(said["request"]["url"])

    def open(self, path: Path) -> None:
        self.call("Page.navigate", url=path.as_uri())
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if self.value(f"location.href === {json.dumps(path.as_uri())} && document.readyState === 'complete'"):
                return
            time.sleep(0.05)
        raise TimeoutError(path)

    def value(self, expression: str) -> Any:
        """What a JavaScript expression gives, as JSON."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"])[:1000])
        return answer["result"].get("value")

    def mouse(self, kind: str, x: float, y: float, button: str = "none") -> None:
        pressed = 1 if kind == "mouseMoved" and button == "left" else 0
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, buttons=pressed, clickCount=1)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        self.mouse("mouseMoved", *start)
        self.mouse("mousePressed", *start, button="left")
        for share in (0.3, 0.7, 1.0):
            self.mouse("mouseMoved", *(a + (b - a) * share for a, b in zip(start, end, strict=True)), button="left")
        self.mouse("mouseReleased", *end, button="left")

    def key(self, key: str, shift: bool = False) -> None:
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, modifiers=8 if shift else 0)

    def picture(self) -> bytes:
        import base64

        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def resize(self, width: int, height: int, scale: float = 1.0, mobile: bool = False) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=mobile
        )

    def close(self) -> None:
        if hasattr(self, "socket"):
            self.socket.close()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.folder.cleanup()
