"""The demo: a sample hospital, a stand-in for the children's platform, and the gateway between them.

Nothing here is staged inside the gateway. A real server listens on loopback; an invented clerk signs in and works over the API: hands
in the files, corrects what the checks block and what the platform returns (from the paper chart, which is the sample's clean
record), closes and confirms the HQMS files. Before the last month's file is there, the HIS has sent its children's stays as HL7 v2
messages; both become one stay and one report. A second hospital speaks only FHIR: its children's stays are posted as bundles and reported
like the others. The platform misbehaves on purpose: it is busy, loses answers, repeats receipts.
"""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from conformance.sample.feed import messages_of, send
from conformance.sample.fhir_feed import bundle_of
from conformance.sample.files import write_sample
from conformance.sample.hospital import SEED, generate
from conformance.simulators.behaviour import Behaviour, Failing
from conformance.simulators.ncpcs import Simulator
from gateway import convert as commands
from gateway import setup
from gateway.access.registry import issue_key, register
from gateway.access.scopes import parse_scopes
from gateway.audit.log import verify
from gateway.model.errors import ConfigurationError
from gateway.reporting.tally import Tally
from gateway.runtime import Gateway
from gateway.serving import served
from gateway.settings import CONFIG_NAME, load
from gateway.web.overview import COLUMNS, column_of

MARK = ".zhibao-demo"
PASSWORD = "demo-Zhibao-2026"  # noqa: S105 - of an account that lives as long as the demo
PATIENCE = 600.0

CHILD = 20
"""Age below which the sample hospital's HIS is connected: a children's ward."""

SECOND = {"A01": "990200000000000026", "A02": "岚桥县妇幼保健院（演示）"}
"""The hospital that speaks only FHIR."""

CONFIG = """
[sources.his]
dialect = "cn-a"
organisation = "{organisation}"

[sources.emr]
kind = "fhir"
organisation = "{second}"
organisation_name = "{second_name}"

[platforms.ncpcs]
url = "{url}"
account = "{account}"
secret_file = "ncpcs.secret"
concurrency = 8
per_second = 100
retry_first_seconds = 0.2
retry_longest_seconds = 3
receipts_seconds = 0.5

[platforms.hqms]
transport = "folder"
"""


def run(folder: Path, *, stays: int, port: int, once: bool) -> int:
    """Run the demo in ``folder``; the exit code. Raises `ConfigurationError` for a folder that holds something else."""
    console = Console(stderr=False)
    _prepare(folder)
    months = _last_months(date.today(), 3)  # noqa: DTZ011 - the calendar of whoever looks at it
    files = write_sample(folder / "sample", stays=stays, months=months)
    behaviour = Behaviour(review_seconds=0.4, fail=Failing(calls=3, path="/records"), drop_answers=2, repeat_receipts=2)
    with Simulator(behaviour=behaviour, organisation_name="直报演示医院") as platform:
        password = setup.create(folder / "hospital")
        config = folder / "hospital" / CONFIG_NAME
        secret = folder / "hospital" / "ncpcs.secret"
        secret.touch(mode=0o600)
        secret.write_text(platform.secret, "utf-8")
        records = list(generate(stays, SEED, months))
        second = list(second_hospital(stays, months))
        told = CONFIG.format(
            url=platform.base_url,
            account=platform.account,
            organisation=records[0]["A01"],
            second=SECOND["A01"],
            second_name=SECOND["A02"],
        )
        text = config.read_text("utf-8").replace("port = 8750", f"port = {port}") + told
        config.write_text(text, "utf-8")
        with served(load(config)) as (gateway, url):
            console.print(f"[bold]直报演示[/bold]  总览页 {url}  ·  接口文档 {url}/docs  ·  平台模拟器 {platform.base_url}")
            charts = {_key(record): record for record in (*records, *second)}
            story = _Story(
                console, url, password, files, charts, gateway.listening.addresses["his"], second, _key_of_client(gateway)
            )
            with story.client:
                code = story.tell(folder)
            if not once:
                console.print(f"\n演示继续运行：{url}（按 Ctrl-C 结束）")
                _until_interrupted()
    return code


def second_hospital(stays: int, months: list[str]) -> Iterator[dict[str, str]]:
    """The children's stays of the last month at the hospital that speaks only FHIR."""
    for record in generate(stays // 2, SEED + 1, months):
        if int(record["A14"]) < CHILD and record["B15"][:7] == months[-1]:
            yield {**record, **SECOND, "A48": f"2{record['A48'][1:]}"}


def _key_of_client(gateway: Gateway) -> str:
    """A new API key of the second hospital's system, as `zhibao client add` and `zhibao client key` give it."""
    with gateway.ledger.write() as session:
        register(session, "emr", parse_scopes("system/*.cruds"), source="emr", actor="demo")
        return issue_key(session, "emr", actor="demo")


def _prepare(folder: Path) -> None:
    """An empty folder, or one that an earlier demo left."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARK).is_file():
            raise ConfigurationError(
                f"{folder} 不是空目录，也不是以前的演示目录", action="请用 --out 换一个目录", english="not a demo folder"
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()


def _last_months(today: date, count: int) -> list[str]:
    """The last complete months, oldest first."""
    months: list[str] = []
    last = today.replace(day=1)
    while len(months) < count:
        last = (last - timedelta(days=1)).replace(day=1)
        months.insert(0, f"{last:%Y-%m}")
    return months


def _key(record: dict[str, str]) -> tuple[str, str]:
    return record["A48"], record["A49"]


def _until_interrupted() -> None:
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        return


@dataclass
class _Story:
    """The demo as the clerk lives it."""

    console: Console
    url: str
    password: str
    files: list[Path]
    charts: dict[tuple[str, str], dict[str, str]]
    his: tuple[str, int]
    second: list[dict[str, str]]
    key: str

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=self.url, trust_env=False, timeout=30)

    def tell(self, folder: Path) -> int:
        """The whole story; the exit code."""
        token = self._post("/api/session", account="admin", password=self.password, new_password=PASSWORD)["token"]
        self.client.headers["Authorization"] = f"Bearer {token}"
        fed = self._feed(self.files[-1])
        self._post_bundles(fed)
        handed_in = [self._hand_in(path) for path in self.files]
        again = self._hand_in(self.files[0])
        self._wait_for_files(handed_in)
        self._show_files(handed_in, again)
        self._show_joined(fed)
        self._wait_until_settled("发送上报、等待平台审核")
        before = self._tallies()
        self._show_reasons()
        self._show_work()
        returned, blocked = self._correct_all()
        self._report_hqms_files()
        self._wait_until_settled("更正后重新上报")
        self._show_result(before)
        self._show_second()
        self.console.print(f"录入员更正：平台退回 {returned} 例，校验未通过 {blocked} 例")
        return self._prove(folder, returned)

    # -- steps

    def _feed(self, last: Path) -> int:
        """The HIS sends its children's stays of the last month, days before the file; how many stays."""
        month = last.stem.rpartition("_")[2].replace("M", "-")
        own = (r for r in self.charts.values() if r["A01"] != SECOND["A01"])
        children = [r for r in own if r["B15"][:7] == month and int(r["A14"]) < CHILD]
        messages = [message for record in children for message in messages_of(record)]
        answers = Counter(b"AA" if b"MSA|AA" in answer else b"other" for answer in send(self.his, messages))
        for _ in _patiently("messages were not assembled in time"):
            if sum(item["count"] for item in self._get("/api/tallies") if item["platform"] == "hqms") == len(children):
                break
        blocked = self._tallies()["ncpcs"]["blocked"]
        self.console.print(
            f"HL7 v2：HIS 经 MLLP 发来 {len(messages)} 条消息，{answers[b'AA']} 条保存后应答 AA，组成 {len(children)} 例住院；"
            f"其中 {blocked} 例应报儿童肿瘤平台，等首页补齐费用等项目"
        )
        return len(children)

    def _post_bundles(self, before: int) -> None:
        """The second hospital posts a FHIR transaction for every stay, with the key of its own system."""
        with httpx.Client(base_url=self.url, trust_env=False, timeout=30, headers={"X-API-Key": self.key}) as emr:
            resources = 0
            for record in self.second:
                answer = self._json(emr.post("/fhir", content=bundle_of(record), headers={"Content-Type": "application/fhir+json"}))
                resources += sum(entry["response"]["status"].startswith("201") for entry in answer["entry"])
            for _ in _patiently("bundles were not read in time"):
                if sum(item["count"] for item in self._get("/api/tallies") if item["platform"] == "hqms") == before + len(
                    self.second
                ):
                    break
            found = self._json(emr.get("/fhir/Encounter", params={"_count": 200}))
        own = sum(entry["resource"]["id"].startswith("zb-") for entry in found["entry"])
        self.console.print(
            f"FHIR：{SECOND['A02']}只有 FHIR 接口，提交 {len(self.second)} 个 Bundle（{resources} 个资源，R4 与 R5），"
            f"组成 {len(self.second)} 例住院；规范病例可再以 FHIR 检索：GET /fhir/Encounter 有 {own} 条，能力声明 {self.url}/fhir/metadata"
        )

    def _show_second(self) -> None:
        """What became of the second hospital's stays at the children's platform."""
        numbers = {record["A48"] for record in self.second}
        states: Counter[str] = Counter()
        for item in self._every("/api/submissions", platform="ncpcs"):
            if self._get(f"/api/submissions/{item['id']}/trace/A48")["value"] in numbers:
                states[item["theirs"]] += 1
        told = "，".join(f"{state} {count} 例" for state, count in sorted(states.items()))
        self.console.print(f"只用 FHIR 的医院：应报儿童肿瘤平台 {states.total()} 例，平台状态：{told}")
        assert states["accepted"], "no stay of the FHIR hospital was accepted"

    def _show_joined(self, fed: int) -> None:
        """Stays that both the feed and the files told of are there once."""
        per_stay = Counter(item["stay"] for item in self._every("/api/submissions", platform="hqms"))
        assert max(per_stay.values()) == 1, "a stay was drafted twice"
        self.console.print(f"消息与首页合并：{fed} 例住院先由消息组成，首页到达后并入同一病例；共 {len(per_stay)} 例，没有重复")

    def _hand_in(self, path: Path) -> dict[str, Any]:
        with path.open("rb") as content:
            file: dict[str, Any] = self._json(self.client.post("/api/files", params={"name": path.name}, content=content))
        return file

    def _wait_for_files(self, files: list[dict[str, Any]]) -> None:
        with Progress(console=self.console, transient=True) as progress:
            task = progress.add_task("读入病案首页文件", total=len(files))
            for _ in _patiently("files were not read in time"):
                states = [self._get(f"/api/files/{file['id']}")["state"] for file in files]
                progress.update(task, completed=sum(state in ("done", "refused") for state in states))
                if progress.finished:
                    return

    def _show_files(self, files: list[dict[str, Any]], again: dict[str, Any]) -> None:
        table = Table("文件", "版式", "编码", "读入", "拒收", "拒收原因", title="来源文件", title_justify="left")
        for item in files:
            file = self._get(f"/api/files/{item['id']}")
            refused = self._get(f"/api/files/{item['id']}/rows", outcome="refused")
            why = "\n".join(f"第 {row['row']} 行：{row['note'] or row['reason']}" for row in refused[:3])
            table.add_row(file["name"], file["layout"], file["encoding"], str(file["rows_read"]), str(file["rows_refused"]), why)
        self.console.print(table)
        if again["repeated"]:
            self.console.print(f"再次上传 {again['name']}：内容相同，没有重复入库")

    def _wait_until_settled(self, label: str) -> None:
        """Until nothing is on its way and the platform has answered everything that reached it by its interface."""
        with Progress(console=self.console, transient=True) as progress:
            task = progress.add_task(label, total=None)
            for _ in _patiently("receipts did not come in time"):
                counts = self._tallies()["ncpcs"]
                open_ = counts["waiting"] + counts["underway"] + counts["trouble"] + counts["unanswered"]
                progress.update(task, total=counts.total(), completed=counts.total() - open_)
                if counts.total() and not open_:
                    return

    def _show_reasons(self) -> None:
        """Why stays are due to the children's platform, and why not, from the same decision that `zhibao explain` prints."""
        table = Table(
            "例数", "上报", "规则", "理由（举例）", title=f"儿童肿瘤平台：{self.files[-1].name} 逐例判断", title_justify="left"
        )
        groups: dict[tuple[bool, str], list[str]] = {}
        for batch in commands.run(self.files[-1], "explain", platform="ncpcs", workers=1):
            for line in map(json.loads, batch.lines):
                groups.setdefault((line["due"], " ".join(line["rules"])), []).append(line["reason"])
        for (due, rules), reasons in sorted(groups.items(), key=lambda group: (not group[0][0], -len(group[1])))[:12]:
            table.add_row(str(len(reasons)), "是" if due else "否", rules, reasons[0])
        self.console.print(table)

    def _show_work(self) -> None:
        table = Table("平台", "事项", "字段", "怎么办", title="待办（举例）", title_justify="left")
        shown: Counter[str] = Counter()
        names = {
            "blocked": "校验未通过",
            "review": "待审核",
            "returned": "平台退回",
            "rejected": "平台不通过",
            "failed": "发送失败",
        }
        for item in self._work():
            kind = names.get(item["kind"], item["kind"])
            shown[kind] += 1
            if shown[kind] <= 4:
                reason = item["reasons"][0] if item["reasons"] else {"fields": [], "message": item["version"]["reason"]}
                table.add_row(item["version"]["platform"], kind, " ".join(reason["fields"]), reason["message"])
        self.console.print(table)

    def _correct_all(self) -> tuple[int, int]:
        """Correct every returned stay, and every other one of the blocked, from the paper chart."""
        returned = blocked = 0
        seen: set[int] = set()
        for item in self._work():
            version, fields = item["version"], {f for reason in item["reasons"] for f in reason["fields"]}
            if version["stay"] in seen or item["kind"] not in ("returned", "blocked"):
                continue
            seen.add(version["stay"])
            if item["kind"] == "blocked":
                blocked += 1
                if blocked % 2 == 0:
                    continue
            chart = self.charts[self._identity(version["id"])]
            corrections = [{"field": field, "value": chart.get(field, "")} for field in sorted(fields)]
            reason = "平台退回，按病历更正" if item["kind"] == "returned" else "校验未通过，按病历更正"
            done = self._post(f"/api/stays/{version['stay']}/corrections", corrections=corrections, reason=reason)
            returned += item["kind"] == "returned" and done["changed"]
        return returned, (blocked + 1) // 2

    def _identity(self, submission: str) -> tuple[str, str]:
        """病案号 and 住院次数 of a submission, which the clerk needs to find the paper chart."""
        number, time_ = (self._get(f"/api/submissions/{submission}/trace/{field}")["value"] for field in ("A48", "A49"))
        return number, time_

    def _report_hqms_files(self) -> None:
        """Close, upload (here: nobody is on the other side) and confirm the HQMS file of every month."""
        for month in sorted({item["window"] for item in self._get("/api/submissions", platform="hqms", ours="ready", limit=1000)}):
            batch = self._post("/api/platforms/hqms/batches", window=month)
            self._post(f"/api/batches/{batch['id']}/confirm")
            self.console.print(f"HQMS {month}：文件 {batch['file_name']}（{batch['members']} 例）已生成并确认上传")

    def _show_result(self, before: dict[str, Counter[str]]) -> None:
        table = Table("状态", title="上报结果", title_justify="left")
        after = self._tallies()
        for platform in after:
            table.add_column(f"{platform} 更正前", justify="right")
            table.add_column(f"{platform} 更正后", justify="right", style="bold")
        for key, zh, _ in COLUMNS:
            cells = [str(when[platform][key]) for platform in after for when in (before, after)]
            table.add_row(zh, *cells)
        table.add_section()
        table.add_row("应报合计", *(str(when[platform].total()) for platform in after for when in (before, after)))
        self.console.print(table)

    def _prove(self, folder: Path, returned: int) -> int:
        """Export and verify the audit log; 0 when the story ended as it should."""
        exported = folder / "audit.jsonl"
        with self.client.stream("GET", "/api/audit/export") as answer, exported.open("wb") as out:
            for block in answer.iter_bytes():
                out.write(block)
        verified = verify(exported)
        self.console.print(f"审计日志 {verified.entries} 条，已导出并校验：zhibao audit verify {exported}")
        amended = [s for s in self._get("/api/submissions", platform="ncpcs", theirs="accepted", limit=1000) if s["number"] > 1]
        for item in amended[:1]:
            config = folder / "hospital"
            self.console.print(f"追溯一个值的来源：zhibao trace {item['id']} A26 --config {config}", soft_wrap=True)
        ended_well = returned > 0 and any(item["operation"] == "amend" for item in amended)
        return 0 if ended_well else 1

    # -- the API

    def _tallies(self) -> dict[str, Counter[str]]:
        found: dict[str, Counter[str]] = {"ncpcs": Counter(), "hqms": Counter()}
        for item in self._get("/api/tallies"):
            tally = Tally(**item)
            found[tally.platform][column_of(tally)] += tally.count
        return found

    def _work(self) -> Iterator[dict[str, Any]]:
        after = ""
        while page := self._get("/api/work", after=after, limit=200):
            yield from page
            after = page[-1]["version"]["id"]

    def _every(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        after = ""
        while page := self._get(path, after=after, limit=1000, **query):
            yield from page
            after = page[-1]["id"]

    def _get(self, path: str, **query: Any) -> Any:
        return self._json(self.client.get(path, params=query))

    def _post(self, path: str, **body: Any) -> Any:
        return self._json(self.client.post(path, json=body))

    @staticmethod
    def _json(answer: httpx.Response) -> Any:
        if answer.is_error:
            raise ConfigurationError(f"演示中断：接口答复 {answer.status_code}", english=answer.text)
        return answer.json()


def _patiently(complaint: str) -> Iterator[None]:
    """Looks at growing intervals, and gives up with an error rather than hang."""
    deadline, pause = time.monotonic() + PATIENCE, 0.05
    while time.monotonic() < deadline:
        yield
        time.sleep(pause)
        pause = min(pause * 1.3, 0.5)
    raise ConfigurationError("演示没有在规定时间内完成", english=complaint)
