"""Ask a jaxresp service about sounds. One file that needs nothing but Python 3.11: copy it into your project.

    python jaxresp_client.py http://localhost:3000 recording.wav another.wav

Waits and asks again when the service is busy (429, 503) or cannot be reached for a moment. A research demonstration,
not a medical device.
"""

from __future__ import annotations

import email.utils
import http.client
import json
import random
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Sound = str | Path | bytes
BUSY = {429, 503}


class Refused(Exception):
    """The service gave no answer.

    Attributes:
        status: the HTTP status.
        kind: the error's name, such as "AudioTooShort".
        request_id: what the service's log knows the request by.
    """

    def __init__(self, status: int, kind: str, message: str, request_id: str | None) -> None:
        super().__init__(f"{kind}: {message}")
        self.status, self.kind, self.request_id = status, kind, request_id


class Client:
    """A jaxresp service. A sound is a path or the bytes of a file; its file name is not sent.

    Args:
        url: where the service is, such as "http://localhost:3000".
        tries: how often a request is sent before it is given up.
        timeout_s: seconds one try may take.
        longest_wait_s: seconds between two tries at most, whatever the service asks for.
        sleep: waits that many seconds.
    """

    def __init__(
        self,
        url: str,
        *,
        tries: int = 5,
        timeout_s: float = 120.0,
        longest_wait_s: float = 60.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url, self.tries, self.timeout_s = url.rstrip("/"), tries, timeout_s
        self.longest_wait_s, self._sleep = longest_wait_s, sleep

    def classify(self, sound: Sound, age_years: float | None = None) -> dict[str, Any]:
        """The prediction of the quick model."""
        return self._send("/v1/classify", [sound], age_years=age_years)

    def classify_with(self, sound: Sound, task: str, features: str, age_years: float | None = None) -> dict[str, Any]:
        """The prediction of the model for a task (binary, multiclass) and features (mfcc, logmel, augmented)."""
        return self._send("/v1/classify_with", [sound], task=task, features=features, age_years=age_years)

    def classify_many(
        self, sounds: Iterable[Sound], task: str | None = None, features: str | None = None
    ) -> list[dict[str, Any]]:
        """For each sound {"prediction": …} or {"error": …}, in their order; one bad sound does not spoil the others."""
        answers: list[dict[str, Any]] = self._send("/v1/classify_many", list(sounds), task=task, features=features)[
            "answers"
        ]
        return answers

    def compare(self, sound: Sound, age_years: float | None = None) -> dict[str, dict[str, Any]]:
        """The prediction of every model, by its name."""
        predictions: dict[str, dict[str, Any]] = self._send("/v1/compare", [sound], age_years=age_years)["predictions"]
        return predictions

    def explain(
        self, sound: Sound, task: str | None = None, features: str | None = None, of_class: str | None = None
    ) -> dict[str, Any]:
        """{"prediction": …, "explanation": …}: which part of the sound spoke for the class."""
        return self._send("/v1/explain", [sound], task=task, features=features, **{"class": of_class})

    def models(self) -> list[dict[str, Any]]:
        """The models that answer."""
        models: list[dict[str, Any]] = self._ask(urllib.request.Request(f"{self.url}/v1/models"))["models"]
        return models

    def model(self, name: str) -> dict[str, Any]:
        """One model, with its card."""
        return self._ask(urllib.request.Request(f"{self.url}/v1/models/{name}"))

    def _send(self, route: str, sounds: list[Sound], **fields: str | float | None) -> dict[str, Any]:
        files = [sound if isinstance(sound, bytes) else Path(sound).read_bytes() for sound in sounds]
        given = {name: str(value) for name, value in fields.items() if value is not None}
        body, content_type = _form(files, given)
        return self._ask(urllib.request.Request(self.url + route, body, {"Content-Type": content_type}))

    def _ask(self, request: urllib.request.Request) -> dict[str, Any]:
        for attempt in range(1, self.tries + 1):
            last = attempt == self.tries
            pause_s = 2 ** (attempt - 1) * random.uniform(0.5, 1)  # so that not everybody comes back at once
            try:
                with urllib.request.urlopen(request, timeout=self.timeout_s) as response:
                    answer: dict[str, Any] = json.load(response)
                    return answer
            except urllib.error.HTTPError as error:
                with error:
                    if last or error.code not in BUSY:
                        raise _refusal(error) from None
                    pause_s = max(pause_s, _retry_after_s(error.headers.get("Retry-After")))
            except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError):
                if last:
                    raise
            self._sleep(min(pause_s, self.longest_wait_s))
        raise ValueError("tries must be at least 1")


def _form(files: list[bytes], fields: dict[str, str]) -> tuple[bytes, str]:
    boundary = uuid.uuid4().hex
    parts = [(f'name="{name}"', value.encode()) for name, value in fields.items()]
    parts += [('name="audio"; filename="audio"\r\nContent-Type: application/octet-stream', data) for data in files]
    lines = [
        b"--%s\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % (boundary.encode(), head.encode(), data)
        for head, data in parts
    ]
    return b"".join(lines) + b"--%s--\r\n" % boundary.encode(), f"multipart/form-data; boundary={boundary}"


def _retry_after_s(value: str | None) -> float:
    """Seconds of a Retry-After header: a number of them, or a date."""
    if not value:
        return 0.0
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return 0.0


def _refusal(error: urllib.error.HTTPError) -> Refused:
    request_id = error.headers.get("X-Request-ID")
    try:
        told = json.load(error)["error"]
        return Refused(error.code, told["type"], told["message"], request_id)
    except (ValueError, KeyError, TypeError):  # a proxy's page, not ours
        return Refused(error.code, "HTTPError", str(error.reason), request_id)


def main(arguments: list[str]) -> int:
    """Print one line per file; 1 when one of them has no answer."""
    url, *paths = arguments or ["http://localhost:3000"]
    failed = 0
    client = Client(url)
    for path in paths:
        try:
            prediction = client.classify(path)
        except Refused as error:
            failed = 1
            print(f"{path}: {error}")
        else:
            label = prediction["label"] or f"no label ({prediction['reason']})"
            sure = max(prediction["probabilities"].values())
            print(f"{path}: {label}, {sure:.0%}")
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
