"""Control plane of the kie.ai twin, for tests and people; the services never call it.

GET    /__twin__/state                  everything that happened: orders, tasks, callbacks, credits, faults
GET    /__twin__/orders                 createTask calls; ?prompt= substring of the prompt
GET    /__twin__/orders/count           orders taken (paid) by prompt and by callback URL
GET    /__twin__/tasks                  tasks; GET /__twin__/tasks/{id} one
POST   /__twin__/tasks/{id}/finish      {"fail": "content"}: end a task now ({} = with success)
POST   /__twin__/tasks/{id}/callback    {"url", "overrides": {…}}: deliver one callback now; its attempt is answered
GET    /__twin__/callbacks              every attempt to deliver a callback
GET    /__twin__/faults                 faults in force and the catalogue
POST   /__twin__/faults                 one rule or a list of them (`sandbox.faults.FaultRule`)
DELETE /__twin__/faults                 all; DELETE /__twin__/faults/{id} one
POST   /__twin__/settings               any members of `KieConfig`; `credits` sets the balance
POST   /__twin__/reset                  back to how it was at the start
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.control import bad_request, body_of, fault_routes, refuse_bad_values
from sandbox.kie.tasks import Task, order_view, task_view

if TYPE_CHECKING:
    from sandbox.kie.app import KieTwin


def control_routes(twin: KieTwin) -> list[Route]:
    """Return the routes below `/__twin__` of a kie.ai twin."""
    control = _Control(twin)
    return [
        Route("/__twin__/state", control.state, methods=["GET"]),
        Route("/__twin__/orders", control.orders, methods=["GET"]),
        Route("/__twin__/orders/count", control.count, methods=["GET"]),
        Route("/__twin__/tasks", control.tasks, methods=["GET"]),
        Route("/__twin__/tasks/{id}", control.task, methods=["GET"]),
        Route("/__twin__/tasks/{id}/finish", refuse_bad_values(control.finish), methods=["POST"]),
        Route("/__twin__/tasks/{id}/callback", refuse_bad_values(control.callback), methods=["POST"]),
        Route("/__twin__/callbacks", control.callbacks, methods=["GET"]),
        Route("/__twin__/settings", refuse_bad_values(control.settings), methods=["POST"]),
        Route("/__twin__/reset", control.reset, methods=["POST"]),
        *fault_routes(twin.faults),
    ]


class _Control:
    def __init__(self, twin: KieTwin) -> None:
        self._twin = twin

    def _task(self, request: Request) -> Task | None:
        return self._twin.engine.tasks.get(request.path_params["id"])

    def _counts(self) -> dict[str, dict[str, int]]:
        taken = [order for order in self._twin.orders if order.task_id]
        return {
            "by_prompt": Counter(order.prompt for order in taken),
            "by_callback_url": Counter(order.callback_url for order in taken),
        }

    async def state(self, _: Request) -> Response:
        engine = self._twin.engine
        return JSONResponse(
            {
                "credits": engine.credits,
                "orders": [order_view(order) for order in self._twin.orders],
                "tasks": [task_view(task) for task in engine.tasks.values()],
                "callbacks": [asdict(delivery) for delivery in engine.callbacks.deliveries],
                "clips_rendered": engine.studio.rendered,
                "faults": self._twin.faults.snapshot(),
                "settings": self._twin.config.model_dump(exclude={"api_keys", "webhook_hmac_key"}),
            }
        )

    async def orders(self, request: Request) -> Response:
        part = request.query_params.get("prompt", "")
        return JSONResponse([order_view(order) for order in self._twin.orders if part in order.prompt])

    async def count(self, _: Request) -> Response:
        return JSONResponse(self._counts())

    async def tasks(self, _: Request) -> Response:
        return JSONResponse([task_view(task) for task in self._twin.engine.tasks.values()])

    async def task(self, request: Request) -> Response:
        task = self._task(request)
        return JSONResponse(task_view(task)) if task else bad_request("no such task", 404)

    async def finish(self, request: Request) -> Response:
        task, body = self._task(request), await body_of(request)
        if task is None:
            return bad_request("no such task", 404)
        await self._twin.engine.finish_by_hand(task, fail=str(body.get("fail") or ""))
        return JSONResponse(task_view(task))

    async def callback(self, request: Request) -> Response:
        task, body = self._task(request), await body_of(request)
        if task is None:
            return bad_request("no such task", 404)
        overrides: dict[str, Any] = body.get("overrides") or {}
        sender = self._twin.engine.callbacks
        return JSONResponse(asdict(await sender.deliver_by_hand(task, str(body.get("url") or ""), overrides)))

    async def callbacks(self, _: Request) -> Response:
        return JSONResponse([asdict(delivery) for delivery in self._twin.engine.callbacks.deliveries])

    async def settings(self, request: Request) -> Response:
        body = await body_of(request)
        config = type(self._twin.config)(**{**self._twin.config.model_dump(), **body})
        self._twin.reconfigure(config)
        if "credits" in body:
            self._twin.engine.credits = config.credits
        return JSONResponse(config.model_dump(exclude={"api_keys", "webhook_hmac_key"}))

    async def reset(self, _: Request) -> Response:
        await self._twin.reset()
        return JSONResponse({})
