"""A stand-in for the national children's tumour surveillance platform (国家儿童肿瘤监测平台, ``ncpcs``).

The true interface of the platform is not public. This simulator speaks the messages that `gateway.delivery.channel` and
``mappings/platforms/ncpcs/profile.toml`` speak, over real HTTP, so that a demonstration, the tests and a hospital's readiness check
meet a platform that answers late, says no, repeats itself and breaks down. ``README.md`` beside this module describes every
address. Everything is kept in memory.

As a process of its own: ``python -m conformance.simulators.ncpcs --port 8760``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from ipaddress import ip_address
from types import TracebackType
from typing import Annotated, Any
from urllib.parse import unquote

import click
from fastapi import Depends, FastAPI, Header, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from conformance.simulators.accounts import Account, Accounts
from conformance.simulators.behaviour import Behaviour, Conduct, Misbehaving
from conformance.simulators.pages import overview, results
from conformance.simulators.receipts import Receipt
from conformance.simulators.records import Operation, Reason, Record, Refused, Submission
from conformance.simulators.server import BackgroundServer, listen, serve
from mappings.profile import Profile, profile

PLATFORM = "ncpcs"
FILES = "/files"
_WORDS = {401: "接口账号或密钥不正确", 403: "不允许访问", 404: "没有找到", 405: "不支持这种请求方式"}


class Simulator:
    """The platform, served from a thread of this process; use it in a ``with`` statement or call `start` and `stop`.

    What it has been sent survives `stop`, and `start` takes the same port again: that is how a platform goes down and comes back.
    Account and secret are made up where they are not given.
    """

    def __init__(
        self,
        *,
        account: str = "",
        secret: str = "",
        organisation_code: str = "99DEMO0001",
        organisation_name: str = "演示医院",
        behaviour: Behaviour | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.conduct = Conduct(behaviour or Behaviour())
        self.accounts = Accounts(profile(PLATFORM), self.conduct)
        opened = self.accounts.open(organisation_code, organisation_name, name=account, secret=secret)
        self.account, self.secret = opened.name, opened.secret
        self.app = application(self.accounts, self.conduct)
        self._server = BackgroundServer(self.app, host, port)

    @property
    def base_url(self) -> str:
        """Scheme, host and port: what a hospital enters as the platform's address."""
        return self._server.url

    def start(self) -> str:
        """Start, and return the base URL once the platform answers. Raises ``OSError`` when the port is taken."""
        return self._server.start()

    def stop(self) -> None:
        """Go down: connections are closed, later ones refused."""
        self._server.stop()

    def control(self, **changes: Any) -> Behaviour:
        """Change how the platform behaves, as ``POST /control`` does. Raises pydantic's ``ValidationError``."""
        return self.conduct.change(changes)

    def counts(self) -> dict[str, Any]:
        """What ``GET /control`` answers."""
        return _counts(self.accounts, self.conduct)

    def __enter__(self) -> Simulator:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


def application(accounts: Accounts, conduct: Conduct) -> ASGIApp:
    """The platform as an ASGI application. Dropping answers needs the server of `conformance.simulators.server`."""
    chosen = profile(PLATFORM)
    rest = chosen.settings["rest"]
    base = str(rest["base_path"])
    app = FastAPI(title=chosen.name, openapi_url=None)
    app.state.profile, app.state.accounts, app.state.conduct = chosen, accounts, conduct
    app.add_api_route(f"{base}/test-accounts", _open_account, methods=["POST"])
    app.add_api_route(base + str(rest["submit"]), _submit, methods=["POST"])
    app.add_api_route(base + str(rest["query"]), _ask, methods=["GET"])
    app.add_api_route(base + str(rest["receipts"]), _receipts, methods=["GET"])
    app.add_api_route(base + FILES, _upload, methods=["POST"])
    app.add_api_route(f"{base}{FILES}/{{file_id}}/receipts.csv", _results, methods=["GET"])
    loopback = [Depends(_only_loopback)]
    app.add_api_route("/", _page, methods=["GET"], dependencies=loopback)
    app.add_api_route("/control", _state, methods=["GET"], dependencies=loopback)
    app.add_api_route("/control", _control, methods=["POST"], dependencies=loopback)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _plain)
    return Misbehaving(app, conduct, base, (str(rest["submit"]), FILES))


# -- who asks


def _account(
    request: Request, credentials: Annotated[HTTPBasicCredentials | None, Depends(HTTPBasic(auto_error=False))]
) -> Account:
    accounts: Accounts = request.app.state.accounts
    account = accounts.find(credentials.username, credentials.password) if credentials is not None else None
    if account is None:
        raise HTTPException(401, headers={"WWW-Authenticate": "Basic"})
    return account


def _only_loopback(request: Request) -> None:
    if request.client is None or not ip_address(request.client.host).is_loopback:
        raise HTTPException(403)


async def _body(request: Request) -> bytes:
    return await request.body()


Known = Annotated[Account, Depends(_account)]
Body = Annotated[bytes, Depends(_body)]


# -- the platform's addresses


class Application(BaseModel):
    """What an organisation says when it applies for a test account."""

    organisation_code: str = Field(min_length=1, max_length=30)
    organisation_name: str = Field(min_length=1, max_length=80)


class Letter(BaseModel):
    """A submission as it arrives."""

    model_config = ConfigDict(extra="forbid")

    operation: Operation
    replaces: str | None = None
    fields: dict[str, str]


def _open_account(request: Request, application: Application) -> JSONResponse:
    accounts: Accounts = request.app.state.accounts
    account = accounts.open(application.organisation_code, application.organisation_name)
    answer = {
        "account": account.name,
        "secret": account.secret,
        "organisation_code": account.organisation_code,
        "organisation_name": account.organisation_name,
    }
    return JSONResponse(answer, 201)


def _submit(request: Request, account: Known, letter: Letter) -> JSONResponse:
    header = str(_profile(request).settings["rest"]["idempotency_header"])
    key = request.headers.get(header, "").strip()
    if not key:
        raise Refused(422, Reason(header, "缺少幂等键请求头"))
    fields = {code: text for code, text in letter.fields.items() if text}
    record, fresh = account.registry.submit(key, Submission(letter.operation, letter.replaces or "", fields))
    return JSONResponse({"record_id": record.record_id, "key": key, "status": "received"}, 202 if fresh else 200)


def _ask(account: Known, key: str) -> JSONResponse:
    record = account.registry.record(key)
    if record is None:
        raise HTTPException(404)
    return JSONResponse(_known(record))


def _receipts(account: Known, after: str = "", limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> JSONResponse:
    shown, cursor = account.registry.receipts(after, limit)
    return JSONResponse({"receipts": [_receipt(receipt) for receipt in shown], "cursor": cursor})


def _upload(account: Known, content: Body, name: str = "", x_file_name: Annotated[str, Header()] = "") -> JSONResponse:
    upload = account.registry.upload(content, name or unquote(x_file_name))
    refused = [
        {"row": number, "field": reason.field, "reason": reason.reason}
        for number, row in upload.refused.items()
        for reason in row.reasons
    ]
    answer = {"file_id": upload.file_id, "rows": upload.rows, "accepted_rows": len(upload.accepted), "refused": refused}
    return JSONResponse(answer, 202)


def _results(account: Known, file_id: str) -> Response:
    upload = account.registry.find_upload(file_id)
    if upload is None:
        raise HTTPException(404)
    headers = {"Content-Disposition": f'attachment; filename="{file_id}.csv"'}
    return Response(results(upload), media_type="text/csv; charset=utf-8", headers=headers)


# -- the simulator's own addresses


def _page(request: Request) -> HTMLResponse:
    accounts: Accounts = request.app.state.accounts
    return HTMLResponse(overview(_profile(request), accounts.all()))


def _state(request: Request) -> JSONResponse:
    return JSONResponse(_counts(request.app.state.accounts, request.app.state.conduct))


def _control(request: Request, changes: dict[str, Any]) -> JSONResponse:
    conduct: Conduct = request.app.state.conduct
    try:
        conduct.change(changes)
    except ValidationError as error:
        raise Refused(422, *(Reason(".".join(map(str, e["loc"])), e["msg"]) for e in error.errors())) from None
    return _state(request)


# -- how things are told


def _profile(request: Request) -> Profile:
    chosen: Profile = request.app.state.profile
    return chosen


def _reasons(reasons: tuple[Reason, ...]) -> list[dict[str, str]]:
    return [{"field": reason.field, "reason": reason.reason} for reason in reasons]


def _known(record: Record) -> dict[str, object]:
    return {
        "record_id": record.record_id,
        "key": record.key,
        "operation": record.submission.operation,
        "replaces": record.submission.replaces or None,
        "status": record.verdict.status,
        "reasons": _reasons(record.verdict.reasons),
        "received_at": record.received_at.isoformat(),
        "decided_at": record.decided_at.isoformat() if record.decided_at is not None else None,
        "fields": dict(record.submission.fields),
    }


def _receipt(receipt: Receipt) -> dict[str, object]:
    return {
        "receipt_id": receipt.receipt_id,
        "key": receipt.key,
        "status": receipt.verdict.status,
        "reasons": _reasons(receipt.verdict.reasons),
        "record_id": receipt.record_id,
        "issued_at": receipt.issued_at.isoformat(),
    }


def _counts(accounts: Accounts, conduct: Conduct) -> dict[str, Any]:
    counts = [account.registry.counts() for account in accounts.all()]
    verdicts: Counter[str] = Counter()
    submissions: dict[str, dict[str, int]] = {}
    for each in counts:
        verdicts += each.verdicts
        for key, (received, duplicates) in each.submissions.items():
            submissions[key] = {"received": received, "duplicates": duplicates}
    return {
        "accounts": len(counts),
        "records": sum(each.records for each in counts),
        "verdicts": dict(verdicts),
        "files": sum(each.files for each in counts),
        "submissions": submissions,
        "receipts_issued": sum(each.receipts_issued for each in counts),
        "receipts_published": sum(each.receipts_published for each in counts),
        "calls_failed": conduct.failed,
        "answers_dropped": conduct.dropped,
        "behaviour": conduct.now.model_dump(),
    }


def _errors(status: int, *reasons: Reason, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"errors": _reasons(reasons)}, status, headers=headers)


def _refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refused)
    return _errors(error.status, *error.reasons)


def _malformed(_: Request, error: Exception) -> JSONResponse:
    """Only where the fault is, never what was there: it may be patient data."""
    assert isinstance(error, RequestValidationError)
    return _errors(422, *(Reason(".".join(map(str, e["loc"][1:])), "缺少，或格式不正确") for e in error.errors()))


def _plain(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return _errors(error.status_code, Reason("", _WORDS.get(error.status_code, "不能办理")), headers=error.headers)


@click.command(help="模拟国家儿童肿瘤监测平台。Simulates the national children's tumour surveillance platform.")
@click.option("--host", default="127.0.0.1", show_default=True, help="监听地址 address to listen on")
@click.option("--port", default=0, show_default=True, help="端口，0 为任一空闲端口 port, 0 for any free one")
@click.option("--account", default="", help="测试账号，缺省时生成 account")
@click.option("--secret", default="", help="密钥，缺省时生成 secret")
@click.option("--review-seconds", default=0.5, show_default=True, help="从接收到审核结论的秒数 seconds to a verdict")
def main(host: str, port: int, account: str, secret: str, review_seconds: float) -> None:
    """Serve in the foreground; the first line on standard output says where and with which account, as JSON."""
    simulator = Simulator(account=account, secret=secret, behaviour=Behaviour(review_seconds=review_seconds))
    try:
        listener = listen(host, port)
    except OSError as error:
        raise click.ClickException(f"端口 {port} 不能使用 cannot listen: {error.strerror}") from None
    url = f"http://{host}:{listener.getsockname()[1]}"
    click.echo(json.dumps({"url": url, "account": simulator.account, "secret": simulator.secret}))
    serve(simulator.app, listener)


if __name__ == "__main__":
    main()
