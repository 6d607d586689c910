"""Clients at the API: who is calling, and the token endpoint of SMART backend services.

SMART App Launch 2.2.0, "Backend Services", "Conformance" (``.well-known/smart-configuration``); OAuth 2.0 (RFC 6749). The token endpoint
answers errors in OAuth's form; ``error_description`` is ASCII by RFC 6749 section 5.2, so the Chinese sentence stands beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse
from fastapi.security import APIKeyHeader

from gateway.access.assertions import ALGORITHMS
from gateway.access.clients import TOKEN_PREFIX, ClientAccess, Clients, GrantRefused
from gateway.access.registry import KEY_PREFIX
from gateway.access.scopes import Action
from gateway.model.errors import ConfigurationError, Forbidden
from gateway.web.bodies import chunks
from gateway.web.peer import certificate_of
from gateway.web.requests import Bearer, account_of

router = APIRouter(prefix="/fhir", tags=["clients 客户端"])

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LONGEST_FORM: Final = 64 << 10
"""Bytes of a request for a token."""

_PARAMETERS = ("grant_type", "client_assertion_type", "client_assertion", "scope")
_FORM = "application/x-www-form-urlencoded"
_api_key = APIKeyHeader(name="X-API-Key", auto_error=False, description="接口密钥 / API key: zhibao client key")


@dataclass(frozen=True, slots=True)
class Party:
    """Who is calling: a person, who may do everything for now, or a client. ``name`` is what the audit log calls it, ``source`` the source
    that a client sends for."""

    name: str
    source: str = ""
    client: ClientAccess | None = None

    def allows(self, kind: str, action: Action) -> bool:
        """Whether it may do ``action`` (a letter of ``cruds``) with resources of ``kind``."""
        return self.client is None or self.client.allows(kind, action)

    def demand(self, kind: str, action: Action) -> None:
        """Raises `Forbidden` unless it is allowed."""
        if not self.allows(kind, action):
            raise Forbidden(
                f"没有这项权限：system/{kind}.{action}",
                action="请管理员为该客户端登记权限，或在取令牌时请求它",
                english=f"missing scope: system/{kind}.{action}",
            )


def caller_of(request: Request, bearer: Bearer, api_key: Annotated[str | None, Depends(_api_key)]) -> Party:
    """Who is calling, by API key, bearer token (a person's session, a client's access token, an API key) or client certificate, in this
    order: what a request shows by itself counts before what its connection shows. Raises `AccessDenied`."""
    known: Clients = request.app.state.clients
    token = bearer.credentials if bearer is not None else ""
    key = api_key or (token if token.startswith(KEY_PREFIX) else "")
    if key:
        return _client(known.who_key(key, address=_address(request)))
    if token.startswith(TOKEN_PREFIX):
        return _client(known.who_token(token))
    if not token and "authorization" not in request.headers and (fingerprint := certificate_of(request)):
        return _client(known.who_certificate(fingerprint, address=_address(request)))
    return Party(account_of(request, bearer))


Caller = Annotated[Party, Depends(caller_of)]


def _client(access: ClientAccess) -> Party:
    return Party(f"client:{access.name}", access.source, access)


def _address(request: Request) -> str:
    return request.client.host if request.client is not None else ""


def _token_endpoint(request: Request) -> str:
    """The URL of the token endpoint, which assertions must name. It never comes from the request: whoever sends one could name any."""
    base: str = request.app.state.public_url
    if not base:
        raise ConfigurationError(
            "没有配置对外地址，无法确认客户端身份",
            action="请设置 server.public_url，如 https://zhibao.example.cn:8750",
            english="server.public_url is not set",
        )
    return f"{base}{router.prefix}/token"


async def _form(request: Request) -> dict[str, str]:
    """The parameters of a request for a token. Raises `GrantRefused`."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise _unusable("请求体应为表单", f"the body must be {_FORM}")
    body = b""
    async for chunk in chunks(request):
        body += chunk
        if len(body) > LONGEST_FORM:
            raise _unusable("请求体过长", "the body is too long")
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=32)
    except ValueError:
        raise _unusable("表单写法不正确", "the form is malformed") from None
    names = [name for name, _ in pairs]
    if any(names.count(name) > 1 for name in _PARAMETERS):
        raise _unusable("有参数重复出现", "a parameter occurs twice")
    return dict(pairs)


def _unusable(message: str, english: str) -> GrantRefused:
    return GrantRefused("invalid_request", message, english=english)


async def answer_refused_grant(_request: Request, error: Exception) -> JSONResponse:
    """A refusal of the token endpoint as OAuth 2.0 wants it."""
    assert isinstance(error, GrantRefused)
    body = {"error": error.code, "error_description": error.english, "message": str(error)}
    return JSONResponse(body, status_code=400, headers={"Pragma": "no-cache"})


_ASKED: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            _FORM: {
                "schema": {
                    "type": "object",
                    "required": list(_PARAMETERS),
                    "properties": {
                        "grant_type": {"type": "string", "enum": ["client_credentials"]},
                        "client_assertion_type": {"type": "string", "enum": [ASSERTION_TYPE]},
                        "client_assertion": {"type": "string", "description": "JWT, RS384 / ES384"},
                        "scope": {"type": "string", "description": "system/Patient.rs system/*.read"},
                    },
                }
            }
        },
    },
    "responses": {
        "400": {
            "description": "未签发，原因见 error（RFC 6749 5.2）/ not granted",
            "content": {"application/json": {"schema": {"type": "object", "required": ["error", "error_description", "message"]}}},
        }
    },
}


@router.post("/token", summary="客户端取得访问令牌 / access token for a client (SMART backend services)", openapi_extra=_ASKED)
def token(request: Request, form: Annotated[dict[str, str], Depends(_form)]) -> JSONResponse:
    """``client_credentials`` with a signed JWT. The token is good for five minutes and for the scopes that the answer names."""
    known: Clients = request.app.state.clients
    if missing := [name for name in _PARAMETERS[:3] if not form.get(name)]:
        raise _unusable(f"缺少 {'、'.join(missing)}", f"missing: {', '.join(missing)}")
    if form["grant_type"] != "client_credentials":
        raise GrantRefused("unsupported_grant_type", "只支持 client_credentials", english="only client_credentials is supported")
    if form["client_assertion_type"] != ASSERTION_TYPE:
        raise _unusable("client_assertion_type 不正确", f"client_assertion_type must be {ASSERTION_TYPE}")
    grant = known.token(form["client_assertion"], form.get("scope", ""), _token_endpoint(request), address=_address(request))
    body = {
        "access_token": grant.token,
        "token_type": "bearer",
        "expires_in": grant.seconds,
        "scope": " ".join(map(str, grant.scopes)),
    }
    return JSONResponse(body, headers={"Pragma": "no-cache"})


@router.get("/.well-known/smart-configuration", summary="SMART 配置 / SMART configuration")
def smart_configuration(request: Request) -> dict[str, Any]:
    """What a client needs to know to get a token here."""
    return {
        "token_endpoint": _token_endpoint(request),
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "grant_types_supported": ["client_credentials"],
        "scopes_supported": ["system/*.cruds", "system/*.read", "system/*.write", "system/*.*"],
        "capabilities": ["client-confidential-asymmetric", "permission-v1", "permission-v2"],
    }
