"""The service: `bentoml serve bento.service:Jaxresp`.

One process. JAX computes outside the interpreter lock and sounds are decoded in threads, so a second process would hold
the six networks and Gradio twice and gain little; Gradio's queue lives in one process anyway.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ParamSpec

import bentoml
from starlette.responses import JSONResponse

from bento import metrics
from bento.about import load_about
from bento.asgi import BodyLimit, LabelledService, TruePaths
from bento.engine import Engine
from bento.errors import BodyTooLarge, answer_to, body_of
from bento.store import ABOUT, CONTENT, NAMES, StoredModel, check_store, quick_name, tag_name
from bento.upload import AudioForm, ChosenAudioForm, Upload
from bento.web import Holder, pages, ui
from jaxresp.classifier import Classifier
from jaxresp.compilation import use_persistent_cache
from jaxresp.errors import JaxrespError

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

P = ParamSpec("P")


def answering_errors(endpoint: Callable[P, Awaitable[Any]]) -> Callable[P, Awaitable[Any]]:
    """Answer a named error as JSON, count it, and log nothing: it is the sender's, and it is in the answer."""

    @functools.wraps(endpoint)
    async def wrapped(*args: P.args, **kwargs: P.kwargs) -> Any:
        try:
            return await endpoint(*args, **kwargs)
        except JaxrespError as error:
            if not isinstance(error, BodyTooLarge):  # counted where the bytes are
                metrics.count_rejection(error)
            status, _ = answer_to(error)
            headers = {"Retry-After": "5"} if status == 503 else None
            return JSONResponse(body_of(error), status_code=status, headers=headers)

    return wrapped


_HOLDER = Holder()  # the mounted pages are made before the service is; they find its engine here


@bentoml.service(
    name="jaxresp",
    service_class=LabelledService,
    workers=1,
    traffic={"timeout": 120},
    logging={"access": {"request_content_type": False}},  # the one thing in a log line that its sender writes
    envs=[
        {"name": "BENTOML_DO_NOT_TRACK", "value": "True"},
        {"name": "GRADIO_ANALYTICS_ENABLED", "value": "False"},
    ],
)
@bentoml.asgi_app(ui(_HOLDER), path="/ui", name="ui")
@bentoml.asgi_app(pages(_HOLDER), path="/", name="pages")
class Jaxresp:
    """Respiratory sounds, classified. A research demonstration, not a medical device."""

    # BentoML bundles what it finds as class attributes, one by one.
    binary_mfcc = StoredModel(f"{tag_name('binary-mfcc')}:latest")
    binary_logmel = StoredModel(f"{tag_name('binary-logmel')}:latest")
    binary_augmented = StoredModel(f"{tag_name('binary-augmented')}:latest")
    multiclass_mfcc = StoredModel(f"{tag_name('multiclass-mfcc')}:latest")
    multiclass_logmel = StoredModel(f"{tag_name('multiclass-logmel')}:latest")
    multiclass_augmented = StoredModel(f"{tag_name('multiclass-augmented')}:latest")
    about = StoredModel(f"{tag_name(ABOUT)}:latest")

    def __init__(self) -> None:
        """Load, check and compile all six; requests are taken only afterwards."""
        use_persistent_cache()
        metrics.count_compilations()
        stored = {name: getattr(self, name.replace("-", "_")) for name in NAMES}
        classifiers = {name: Classifier.load(model.path_of(CONTENT)) for name, model in stored.items()}
        quick = quick_name(model.info.metadata for model in stored.values())
        with ThreadPoolExecutor() as threads:  # compiling is most of the start, and releases the interpreter lock
            list(threads.map(Classifier.warm_up, classifiers.values()))
        for name, classifier in classifiers.items():
            metrics.MODEL_INFO.labels(model=name, version=classifier.version, quick=str(name == quick).lower()).set(1)
        self.engine = Engine(classifiers, quick, about=load_about(Path(self.about.path_of(CONTENT))))
        _HOLDER.engine = self.engine
        metrics.READY.set(1)

    @bentoml.on_deployment
    @staticmethod
    def check() -> None:
        """Before any worker starts: a worker that fails would be started again and again."""
        check_store()

    @bentoml.on_shutdown
    def close(self) -> None:
        """End the threads."""
        self.engine.close()

    @bentoml.api(route="/classify", input_spec=AudioForm)
    @answering_errors
    async def classify(self, audio: Upload) -> dict[str, Any]:
        """Classify a sound with the quick model: `curl -F audio=@recording.wav .../classify`."""
        form = await audio.form()
        return (await self.engine.classify(form.sound, self.engine.quick)).prediction

    @bentoml.api(route="/classify_with", input_spec=ChosenAudioForm)
    @answering_errors
    async def classify_with(self, audio: Upload, task: str, features: str) -> dict[str, Any]:
        """Classify a sound with the model for a task and features: `-F task=binary -F features=mfcc`."""
        form = await audio.form()
        name = self.engine.name_of(form.text("task"), form.text("features"))
        return (await self.engine.classify(form.sound, name)).prediction


Jaxresp.add_asgi_middleware(TruePaths)  # type: ignore[attr-defined]  # the decorator has made it a Service
Jaxresp.add_asgi_middleware(BodyLimit)  # type: ignore[attr-defined]
