"""The pages of a console as a web application: addresses, sessions, headers; what they show is made by the views.

Every page is whole without its script. Nothing is asked of another site, and no other site can show, read or send
anything here: a policy forbids all but own styles and scripts, forms carry a token of their session, and without a
login only this machine's own names are answered to.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sparsewatch.pipelines.web_console.access import SESSION_S, Guard, new_session
from sparsewatch.pipelines.web_console.asked import Asked, NotThereError, RefusedError, Shown
from sparsewatch.pipelines.web_console.rendering import page, static
from sparsewatch.pipelines.web_console.views.pages import DECIDE, VIEWS
from sparsewatch.pipelines.web_console.watched import Watched
from sparsewatch.schemas.errors import SparsewatchError

SESSION = "sparsewatch-console"
#: Bytes of a form.
_MOST_BYTES = 64_000
_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
#: Paths that are answered without a login.
_OPEN = ("/login", "/-/healthy", "/static/")
_OWN_NAMES = ("localhost", "127.0.0.1", "::1")

View = Callable[[Asked], Shown]


@dataclass(frozen=True)
class Console:
    """All that pages are made from."""

    jobs: Mapping[str, Watched]
    guard: Guard
    docs: str = ""
    #: Names by which it may be called besides those of this machine; any if it asks for a login.
    is_secure: bool = False
    hosts: tuple[str, ...] = field(default=_OWN_NAMES)


def application(console: Console) -> ASGIApp:
    """The application of a console."""
    routes = [
        *(Route(path, _viewed(console, view), methods=["GET"]) for path, view in VIEWS.items()),
        *(Route(one.path, _decided(console, one.view), methods=["POST"]) for one in DECIDE),
        Route("/login", _login_page(console), methods=["GET"]),
        Route("/login", _login(console), methods=["POST"]),
        Route("/logout", _logout(console), methods=["POST"]),
        Route("/static/{name}", _static, methods=["GET"]),
        Route("/-/healthy", lambda _: PlainTextResponse("it runs\n"), methods=["GET"]),
        Route("/-/ready", _ready(console), methods=["GET"]),
    ]
    faults = {404: _not_there(console), 500: _failed}
    return _Gate(Starlette(routes=routes, exception_handlers=faults), console)


class _Gate:
    """Answers to its own names alone, lets nobody in without a login where there is one, and sets headers."""

    def __init__(self, app: ASGIApp, console: Console) -> None:
        self._app, self._console = app, console

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        refused = self._refused(request)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await (refused or self._app)(scope, receive, with_headers)

    def _refused(self, request: Request) -> Response | None:
        guard = self._console.guard
        if not guard.asks and _host(request) not in self._console.hosts:
            names = ", ".join(self._console.hosts)
            return PlainTextResponse(f"this console answers to {names} alone\n", status_code=421)
        path = request.url.path
        if guard.user(_session(request)) is None and not path.startswith(_OPEN):
            asked = f"{path}?{request.url.query}" if request.url.query else path
            return RedirectResponse(f"/login?next={quote(asked)}", status_code=303)
        return None


def _host(request: Request) -> str:
    try:
        return urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    except ValueError:
        return ""


def _session(request: Request) -> str:
    return request.cookies.get(SESSION, "")


Answer = Callable[[Request], Awaitable[Response]]


def _viewed(console: Console, view: View) -> Answer:
    async def answer(request: Request) -> Response:
        return await run_in_threadpool(_shown, console, request, lambda: view(_asked(console, request)))

    return answer


def _asked(console: Console, request: Request, form: Mapping[str, str] | None = None) -> Asked:
    user = console.guard.user(_session(request)) or ""
    query = dict(request.query_params)
    return Asked(console.jobs, request.path_params, query, form or {}, user, console.docs)


def _shown(console: Console, request: Request, make: Callable[[], Shown], status: int = 200) -> Response:
    """A page; it begins a session where there is none, since its forms belong to one."""
    asked, session = _asked(console, request), _session(request) or new_session()
    try:
        shown = make()
    except NotThereError as error:
        shown, status = Shown("fault.html", {"heading": "There is no such page", "says": str(error)}), 404
    except SparsewatchError as error:
        shown, status = Shown("fault.html", {"heading": "This cannot be shown now", "says": str(error)}), 503
    text = page(shown, asked, console.guard.token(session), can_leave=console.guard.asks)
    answer = HTMLResponse(text, status_code=status)
    if session != _session(request):
        _keep(console, answer, session)
    return answer


def _keep(console: Console, answer: Response, session: str) -> None:
    answer.set_cookie(
        SESSION, session, max_age=SESSION_S, httponly=True, samesite="strict", secure=console.is_secure, path="/"
    )


async def _form(console: Console, request: Request) -> dict[str, str] | None:
    """What a form of a page of ours sent; None if it is another's, or too long."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MOST_BYTES:
            return None
    form = dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True, max_num_fields=50))
    origin = request.headers.get("origin")
    is_here = origin in (None, "null") or urlsplit(origin).netloc == request.headers.get("host")
    return form if is_here and console.guard.is_own(_session(request), form.get("token", "")) else None


def _decided(console: Console, view: Callable[[Asked], str]) -> Answer:
    async def answer(request: Request) -> Response:
        form = await _form(console, request)
        if form is None:
            return await run_in_threadpool(_stale, console, request)
        return await run_in_threadpool(_decide, console, request, form, view)

    return answer


def _decide(console: Console, request: Request, form: Mapping[str, str], view: Callable[[Asked], str]) -> Response:
    try:
        return RedirectResponse(view(_asked(console, request, form)), status_code=303)
    except (NotThereError, RefusedError, SparsewatchError) as error:
        fault = Shown("fault.html", {"heading": "This was not done", "says": str(error)})
        return _shown(console, request, lambda: fault, 409)


def _stale(console: Console, request: Request) -> Response:
    says = "The form is not of this session: the console was started anew, or you logged in again. Open the page again."
    return _shown(console, request, lambda: Shown("fault.html", {"heading": "This was not done", "says": says}), 403)


def _login_page(console: Console, *, is_wrong: bool = False) -> Answer:
    async def answer(request: Request) -> Response:
        values = {"is_wrong": is_wrong, "next": request.query_params.get("next", "/")}
        return _shown(console, request, lambda: Shown("login.html", values), 403 if is_wrong else 200)

    return answer


def _login(console: Console) -> Answer:
    wrong = _login_page(console, is_wrong=True)

    async def answer(request: Request) -> Response:
        form = await _form(console, request) or {}
        session = await run_in_threadpool(console.guard.login, form.get("name", ""), form.get("password", ""))
        if session is None:
            return await wrong(request)
        to = form.get("next", "/")
        done = RedirectResponse(to if _is_ours(to) else "/", status_code=303)
        _keep(console, done, session)
        return done

    return answer


def _is_ours(path: str) -> bool:
    """Whether an address leads nowhere else."""
    return path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()


def _logout(console: Console) -> Answer:
    async def answer(request: Request) -> Response:
        if await _form(console, request) is not None:
            console.guard.logout(_session(request))
        done = RedirectResponse("/login", status_code=303)
        done.delete_cookie(SESSION, path="/")
        return done

    return answer


async def _static(request: Request) -> Response:
    found = static(request.path_params["name"])
    if found is None:
        return PlainTextResponse("there is no such file\n", status_code=404)
    text, kind = found
    return Response(text, media_type=kind, headers={"cache-control": "max-age=3600"})


def _ready(console: Console) -> Answer:
    async def answer(_: Request) -> Response:
        missing = [name for name, job in console.jobs.items() if not job.is_read]
        text = f"not read yet: {', '.join(missing)}\n" if missing else "the topics are read\n"
        return PlainTextResponse(text, status_code=503 if missing else 200)

    return answer


def _not_there(console: Console) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(request: Request, _: Exception) -> Response:
        says = f"Nothing lies at {request.url.path}."
        fault = Shown("fault.html", {"heading": "There is no such page", "says": says})
        return await run_in_threadpool(_shown, console, request, lambda: fault, 404)

    return answer


async def _failed(_request: Request, _error: Exception) -> Response:
    return PlainTextResponse("this page could not be made; the console's log says why\n", status_code=500)
