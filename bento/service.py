"""The service: `bentoml serve bento.service:Jaxresp`.

One process of BentoML's takes requests, and Gradio's queue lives in it. It has none of the networks: what is asked
about sounds is answered by processes of its own (bento/pool.py), as many as there are cores, up to four.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import bentoml
from starlette.responses import JSONResponse, Response

from bento import live, metrics
from bento.asgi import BodyLimit, LabelledService, TruePaths
from bento.errors import INTERNAL_ERROR, body_of, response_to
from bento.limits import LIMITS
from bento.load import Load
from bento.logs import use_json_logs
from bento.metrics_folder import forget_the_dead, use_own_folder
from bento.store import ABOUT, NAMES, StoredModel, check_store, tag_name
from bento.upload import ChosenForm, ExplainForm, Form, ManyForm, PatientForm, Upload
from bento.web import Holder, pages, ui
from jaxresp.errors import JaxrespError

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
use_own_folder()
_LOG = logging.getLogger("bentoml.jaxresp")


def answering(work: Callable[[Any, Form], Coroutine[Any, Any, dict[str, Any]]]) -> Callable[..., Awaitable[Any]]:
    """An endpoint: the form is read, the work done while its sender waits, and every error answered as JSON.

    A named error is counted and not logged: it is the sender's, and it is in the answer.
    """

    @functools.wraps(work)
    async def endpoint(self: Any, audio: Upload, **_: Any) -> Response:
        try:
            form = await audio.form()
            return JSONResponse(await audio.while_connected(work(self, form)))
        except JaxrespError as error:
            metrics.count_rejection(error)
            return response_to(error)
        except Exception:
            _LOG.exception("an answer failed")
            return JSONResponse(INTERNAL_ERROR, status_code=500)

    return endpoint


_LOAD = Load()
_HOLDER = Holder()  # the mounted pages are made before the service is; they find its engine here


@bentoml.service(
    name="jaxresp",
    service_class=LabelledService,
    workers=1,
    traffic={"timeout": LIMITS.max_upload_s + LIMITS.max_answer_s + 30},  # ours come first, and are answered as ours
    logging={"access": {"enabled": False}},  # RequestLog writes ours
    metrics={"duration": {"buckets": metrics.REQUEST_SECONDS}},
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
        use_json_logs()
        forget_the_dead()
        from bento.starting import start_engine  # it starts processes; that which only watches this one has none

        stored = {name: getattr(self, name.replace("-", "_")) for name in (*NAMES, ABOUT)}
        self.engine = start_engine(stored, _LOAD)
        _HOLDER.engine = self.engine
        self.stop_watching = live.watch()
        metrics.READY.set(1)

    async def __is_ready__(self) -> bool:
        """For /readyz."""
        return await self.engine.ready()

    @bentoml.on_deployment
    @staticmethod
    def check() -> None:
        """Before any worker starts: a worker that fails would be started again and again."""
        from bento.starting import n_processes

        n_processes()
        check_store()

    @bentoml.on_shutdown
    def close(self) -> None:
        """End the threads."""
        self.stop_watching()
        self.engine.close()

    @bentoml.api(route="/v1/classify", input_spec=PatientForm)
    @answering
    async def classify(self, form: Form) -> dict[str, Any]:
        """Classify a sound with the quick model: `curl -F audio=@recording.wav .../v1/classify`."""
        return (await self.engine.classify(form.sound, self.engine.quick, form.age_years)).prediction

    @bentoml.api(route="/v1/classify_with", input_spec=ChosenForm)
    @answering
    async def classify_with(self, form: Form) -> dict[str, Any]:
        """Classify a sound with the model for a task and features: `-F task=binary -F features=mfcc`."""
        name = self.engine.name_of(form.text("task"), form.text("features"))
        return (await self.engine.classify(form.sound, name, form.age_years)).prediction

    @bentoml.api(route="/v1/classify_many", input_spec=ManyForm)
    @answering
    async def classify_many(self, form: Form) -> dict[str, Any]:
        """Classify several sounds, each with an answer or an error of its own: `-F audio=@1.wav -F audio=@2.wav`."""
        answers = await self.engine.classify_many(form.sounds, self._chosen(form))
        for answer in answers:
            if isinstance(answer, JaxrespError):
                metrics.count_rejection(answer)
        return {
            "answers": [
                body_of(each) if isinstance(each, JaxrespError) else {"prediction": each.prediction} for each in answers
            ]
        }

    @bentoml.api(route="/v1/compare", input_spec=PatientForm)
    @answering
    async def compare(self, form: Form) -> dict[str, Any]:
        """What each of the six models says about a sound."""
        answers = await self.engine.compare(form.sound, form.age_years)
        return {"predictions": {name: answer.prediction for name, answer in answers.items()}}

    @bentoml.api(route="/v1/explain", input_spec=ExplainForm)
    @answering
    async def explain(self, form: Form) -> dict[str, Any]:
        """An answer, and which moments and bands spoke for it, or for another class: `-F class=abnormal`."""
        explained = await self.engine.explain(form.sound, self._chosen(form), form.fields.get("class"))
        explanation = await asyncio.to_thread(explained.explanation.to_json)
        return {"prediction": explained.prediction, "explanation": explanation}

    def _chosen(self, form: Form) -> str:
        """The model a form names; the quick one when it names none."""
        if not {"task", "features"} & form.fields.keys():
            return self.engine.quick
        return self.engine.name_of(form.text("task"), form.text("features"))


Jaxresp.add_asgi_middleware(TruePaths)  # type: ignore[attr-defined]  # the decorator has made it a Service
Jaxresp.add_asgi_middleware(BodyLimit, load=_LOAD)  # type: ignore[attr-defined]
