"""`jaxresp serve`: BentoML's server with our service, after the checks that make its failures easy to read."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

from jaxresp import shipped
from jaxresp.errors import JaxrespError

_SERVICE = "bento.service:Jaxresp"
_READY = """
  Ready. Page {at}/ui/ · API {at}/docs · metrics {at}/metrics · Ctrl-C stops.
"""
_PATIENCE_S = 300.0  # for the ready message; compiling six networks takes a minute on a slow computer
_GRACE_S = 20  # for requests under way when the service is stopped


class PortInUse(JaxrespError):
    """Something else answers at the address."""


def check_port(port: int, host: str) -> None:
    """Is the address free?

    Raises:
        PortInUse: no, or we may not have it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that closed a second ago does not count
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or str(error)
            other = port + 1 if 0 < port < 65535 else 3001
            raise PortInUse(
                f"port {port} on {host} cannot be used ({why}); stop what is using it, or choose another: "
                f"jaxresp serve --port {other}"
            ) from error


def serve(port: int = 3000, host: str = "127.0.0.1", *, ready_message: bool = True) -> int:
    """Serve the six models of the model store until Ctrl-C.

    Args:
        port: of the API, the page and the metrics.
        host: the address to listen at; "0.0.0.0" lets others in.
        ready_message: print the page's address once requests are answered.

    Returns:
        The server's exit code; 0 after Ctrl-C.

    Raises:
        PortInUse: the port is taken.
        ModelsNotReady: a model is missing from the store or was altered.
    """
    check_port(port, host)
    environment = {"BENTOML_DO_NOT_TRACK": "True", "GRADIO_ANALYTICS_ENABLED": "False"} | os.environ
    root = str(shipped.root())
    command = [sys.executable, "-m", "bentoml", "serve", _SERVICE, "--working-dir", root]
    command += ["--host", host, "--port", str(port)]
    # Without it an open page, whose connection never ends by itself, would keep the service from ending.
    command += ["--timeout-graceful-shutdown", str(_GRACE_S)]
    server = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        from bento.store import check_store  # takes most of a second, in which the server imports as much

        check_store()  # the server does it too, before it takes anything on, and says it less plainly
    except BaseException:  # Ctrl-C too: nothing may stay behind
        server.terminate()
        server.wait()
        raise
    stopped = threading.Event()

    def stop(*_: object) -> None:
        stopped.set()
        server.send_signal(signal.SIGINT)

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    if ready_message:
        threading.Thread(target=_announce, args=(server, port, host, stopped), daemon=True).start()
    try:
        code = server.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return 0 if stopped.is_set() else code


def _announce(server: subprocess.Popen[bytes], port: int, host: str, stopped: threading.Event) -> None:
    """Print the addresses once the service is ready."""
    name = "127.0.0.1" if host == "0.0.0.0" else "[::1]" if host == "::" else f"[{host}]" if ":" in host else host
    at = f"http://{name}:{port}"
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline and server.poll() is None and not stopped.is_set():
        try:
            with urllib.request.urlopen(f"{at}/readyz", timeout=5):
                print(_READY.format(at=at), flush=True)
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
