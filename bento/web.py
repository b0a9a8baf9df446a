"""What is mounted beside BentoML's endpoints: the models, the API's own page at /docs, the Gradio page at /ui."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route

from bento.errors import UnknownModel, http_error, response_to
from bento.metrics import count_rejection

if TYPE_CHECKING:
    from bento.engine import Engine

# BentoML's own index page loads a tag manager from the net; this one loads nothing from anywhere.
_DOCS = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>jaxresp: API</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="static_content/swagger-ui.css"></head><body><div id="api"></div>
<script src="static_content/swagger-ui-bundle.js"></script>
<script>SwaggerUIBundle({url: "docs.json", dom_id: "#api", validatorUrl: null})</script></body></html>"""


_ICON = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 44 44" fill="none" stroke="#0f766e" stroke-width="4"
stroke-linecap="round" stroke-linejoin="round"><path d="M3 22h5l3-9 5 20 5-27 5 30 5-20 3 6h7"/></svg>"""


@dataclass
class Holder:
    """Where the pages find the engine once the service has made it."""

    engine: Engine | None = None

    def ready(self) -> Engine:
        """The engine; it exists before any request is taken."""
        if self.engine is None:
            raise RuntimeError("a page was asked for before the service was ready")
        return self.engine


def pages(holder: Holder) -> Starlette:
    """GET /v1/models, /v1/models/{name}, /docs, and / → /ui/."""

    async def models(_: Request) -> Response:
        return JSONResponse({"quick": holder.ready().quick, "models": holder.ready().describe()})

    async def model(request: Request) -> Response:
        try:
            return JSONResponse(holder.ready().describe_one(request.path_params["name"]))
        except UnknownModel as error:
            count_rejection(error)
            return response_to(error)

    async def docs(_: Request) -> Response:
        return HTMLResponse(_DOCS)

    async def home(_: Request) -> Response:
        return RedirectResponse("ui/")

    async def icon(_: Request) -> Response:
        return Response(_ICON, media_type="image/svg+xml")

    async def manifest(_: Request) -> Response:
        return JSONResponse({"name": "jaxresp", "start_url": "ui/", "display": "browser"})

    served = {
        "/v1/models": models,
        "/v1/models/{name}": model,
        "/docs": docs,
        "/": home,
        "/favicon.ico": icon,
        "/manifest.json": manifest,
    }
    routes = [Route(path, endpoint) for path, endpoint in served.items()]
    return Starlette(routes=routes, exception_handlers={HTTPException: http_error})


def ui(holder: Holder) -> Starlette:
    """The Gradio page, built when a worker starts: `bentoml serve`'s own process then never imports Gradio."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        from bento.ui import mount  # Gradio takes two seconds and 200 MB to import

        with mount(holder.ready()) as page:
            app.router.routes.append(Mount("/", page))
            async with page.router.lifespan_context(page):
                yield

    return Starlette(lifespan=lifespan)
