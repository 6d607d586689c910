"""The command ``fhir``: stays out of front sheets, HL7 v2 and FHIR as FHIR R4 bundles, a file for each, without an installation.

Names of the files are made of the identity of the stay and show nothing of it; the same stay has the same name in every run. A CCRR content
bundle is about one primary tumour: a stay with two of them has two files, one without any has none.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from adapters.fhir.writing.bundles import ccrr_content_bundle, mcode_patient_bundle, plain_bundle, primaries_of
from adapters.fhir.writing.names import Names
from adapters.fhir.writing.provenance import provenance
from adapters.fhir.writing.stay import resources_of
from adapters.fhir.writing.strict import NotFhir, Resource, as_json
from gateway.commands.files import ENCODING, ORGANISATION, ORGANISATION_NAME, PATHS, bench_of, exit_code
from gateway.commands.sources import SourcedCommand, sourced
from gateway.store.ledger import now
from gateway.workbench import Made

_NAMESPACE: Final = uuid.UUID("6f1d5d3e-2f57-5c55-9d0c-7a6c1b6c7f12")


@click.command(cls=SourcedCommand, help="把病例写成 FHIR R4 文件，每例一个 / write stays as FHIR R4 bundles, a file for each")
@PATHS
@ENCODING
@ORGANISATION
@ORGANISATION_NAME
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="输出目录 / output folder")
@click.option(
    "--bundle",
    "kind",
    type=click.Choice(("plain", "mcode", "ccrr")),
    default="plain",
    show_default=True,
    help="mcode 按 mCODE 的患者集合；ccrr 为肿瘤登记报告的内容，每个原发肿瘤一个 / shape of the bundle",
)
@click.option(
    "--base",
    default="http://zhibao.invalid/fhir",
    show_default=True,
    help="资源地址的前缀（FHIR 服务地址）/ address of the server that the resources are named by",
)
def fhir(
    paths: tuple[Path, ...], encoding: str | None, organisation: str, organisation_name: str, out: Path, kind: str, base: str
) -> int:
    out.mkdir(parents=True, exist_ok=True)
    stays = written = refused = 0
    with bench_of(sourced(paths), encoding, organisation, organisation_name) as (bench, used, bad):
        for made in bench.made():
            stays += 1
            try:
                for name, bundle in _bundles(made, kind, base.rstrip("/")):
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


def _bundles(made: Made, kind: str, base: str) -> Iterator[tuple[str, Resource]]:
    """The bundles of a stay with the names of their files."""
    stay = made.stay
    names = Names(_id(*stay.identity), _id(*stay.identity[:2]), 1, now(), base)
    resources = resources_of(stay, names, withdrawn=made.cancelled)
    if kind == "ccrr":
        for number, primary in enumerate(primaries_of(resources), start=1):
            content = ccrr_content_bundle(resources, names, stay.organisation, primary=primary)
            yield f"{names.id()}-{number}", content
        return
    resources.append(provenance(stay, names, resources))
    yield names.id(), (mcode_patient_bundle if kind == "mcode" else plain_bundle)(resources, names)


def _id(*identity: str | int) -> str:
    """An id that is the same for the same identity."""
    return str(uuid.uuid5(_NAMESPACE, "\x1f".join(map(str, identity))))
