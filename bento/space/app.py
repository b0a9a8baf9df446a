"""What the Space runs: the service of jaxresp, with the six models in `run`, at the port that Spaces expect."""

import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
PORT = os.environ.get("GRADIO_SERVER_PORT", "7860")

sys.path.insert(0, str(HERE))  # jaxresp/ and bento/ lie beside this file
os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
os.environ.setdefault("BENTOML_HOME", tempfile.mkdtemp(prefix="jaxresp-models-"))
os.environ.setdefault("JAX_PLATFORMS", "cpu")

from jaxresp.cli import main  # noqa: E402 (the path must be set first)

if __name__ == "__main__":
    main(["serve", str(HERE / "run"), "--host", "0.0.0.0", "--port", PORT])
