"""The command ``fhir``: stays out of front sheets, HL7 v2 and FHIR as FHIR R4 bundles, a file for each, without an installation.

Names of the files are made of the identity of the stay and show nothing of it; the same stay has the same name in every run. A CCRR content
bundle is about one primary tumour: a stay with two of them has two files, one without any has none. A CCRR message holds one of these; its
event and the address of the sender are agreed with the registry, no standard of ours knows them.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import click

from adapters.fhir.writing.bundles import (
    ccrr_content_bundle,
    ccrr_reporting_bundle,
    mcode_patient_bundle,
    plain_bundle,
    primaries_of,
)
from adapters.fhir.writing.names import Names
from adapters.fhir.writing.provenance import provenance
from adapters.fhir.writing.stay import resources_of
from adapters.fhir.writing.strict import NotFhir, Resource, as_json
from gateway.commands.files import ENCODING, ORGANISATION, ORGANISATION_NAME, PATHS, bench_of, exit_code
from gateway.commands.sources import SourcedCommand, sourced
from gateway.model.values import Coded
from gateway.store.ledger import now
from gateway.workbench import Made

_NAMESPACE: Final = uuid.UUID("6f1d5d3e-2f57-5c55-9d0c-7a6c1b6c7f12")
_MESSAGE: Final = "ccrr-message"


class _Agreed(NamedTuple):
    """What hospital and registry agree on: the event that messages tell, and the address of the system that sends them."""

    event: Coded
    endpoint: str


@click.command(cls=SourcedCommand, help="把病例写成 FHIR R4 文件，每例一个 / write stays as FHIR R4 bundles, a file for each")
@PATHS
@ENCODING
@ORGANISATION
@ORGANISATION_NAME
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="输出目录 / output folder")
@click.option(
    "--bundle",
    "kind",
    type=click.Choice(("plain", "mcode", "ccrr", _MESSAGE)),
    default="plain",
    show_default=True,
    help="mcode 按 mCODE 的患者集合；ccrr 为肿瘤登记报告的内容，每个原发肿瘤一个；ccrr-message 为带消息头的报告 / shape of the bundle",
)
@click.option("--event", metavar="SYSTEM|CODE", help="ccrr-message 的事件编码，与登记处约定 / event of the message, as agreed")
@click.option("--endpoint", metavar="URL", help="ccrr-message 的发送方地址，与登记处约定 / address of the sender, as agreed")
@click.option(
    "--base",
    default="http://zhibao.invalid/fhir",
    show_default=True,
    help="资源地址的前缀（FHIR 服务地址）/ address of the server that the resources are named by",
)
def fhir(
    paths: tuple[Path, ...],
    encoding: str | None,
    organisation: str,
    organisation_name: str,
    out: Path,
    kind: str,
    event: str | None,
    endpoint: str | None,
    base: str,
) -> int:
    agreed = _agreed(kind, event, endpoint)
    out.mkdir(parents=True, exist_ok=True)
    stays = written = refused = 0
    with bench_of(sourced(paths), encoding, organisation, organisation_name) as (bench, used, bad):
        for made in bench.made():
            stays += 1
            try:
                for name, bundle in _bundles(made, kind, base.rstrip("/"), agreed):
                    (out / f"{name}.json").write_text(as_json(bundle) + "\n", encoding="utf-8")
                    written += 1
            except NotFhir as error:
                refused += 1
                click.echo(f"{made.file}#{made.outcome.row}：{error}", err=True)
        refused += len(bench.refused_rows)
        left = [told for told in bench.left() if told.finding.blocks]
        for place, finding in left:
            click.echo(f"{place.file}#{place.number}：{finding.message}", err=True)
    click.echo(f"{stays} 例，写出 {written} 个文件，拒收 {refused} 例：{out}", err=True)
    return exit_code(used, bad, findings=bool(refused or left))


def _agreed(kind: str, event: str | None, endpoint: str | None) -> _Agreed | None:
    """What was agreed with the registry; None for bundles that are no messages. Raises UsageError for too little or too much."""
    if kind != _MESSAGE:
        if event is not None or endpoint is not None:
            raise click.UsageError(f"--event 和 --endpoint 只用于 --bundle {_MESSAGE} / only with --bundle {_MESSAGE}")
        return None
    system, _, code = (event or "").strip().rpartition("|")
    if ":" not in system or not code or not endpoint:
        raise click.UsageError(f"{_MESSAGE} 需要 --event 系统|编码 和 --endpoint / needs --event SYSTEM|CODE and --endpoint")
    return _Agreed(Coded(system, code), endpoint)


def _bundles(made: Made, kind: str, base: str, agreed: _Agreed | None) -> Iterator[tuple[str, Resource]]:
    """The bundles of a stay with the names of their files."""
    stay = made.stay
    names = Names(_id(*stay.identity), _id(*stay.identity[:2]), 1, now(), base)
    resources = resources_of(stay, names, withdrawn=made.cancelled)
    if kind in ("ccrr", _MESSAGE):
        for number, primary in enumerate(primaries_of(resources), start=1):
            content = ccrr_content_bundle(resources, names, stay.organisation, primary=primary)
            bundle = ccrr_reporting_bundle(content, names, stay.organisation, *agreed) if agreed is not None else content
            yield f"{names.id()}-{number}", bundle
        return
    resources.append(provenance(stay, names, resources))
    yield names.id(), (mcode_patient_bundle if kind == "mcode" else plain_bundle)(resources, names)


def _id(*identity: str | int) -> str:
    """An id that is the same for the same identity."""
    return str(uuid.uuid5(_NAMESPACE, "\x1f".join(map(str, identity))))
