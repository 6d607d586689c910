"""The simulated hub as a process of its own."""

from __future__ import annotations

import json
import secrets

import click

from conformance.simulators.server import listen, serve
from conformance.simulators.zhejiang_hub.behaviour import Behaviour
from conformance.simulators.zhejiang_hub.exchange import Signer
from conformance.simulators.zhejiang_hub.platform import PATH, Simulator


@click.command(help="模拟浙江省数据交换平台。Simulates the provincial data hub of Zhejiang.")
@click.option("--host", default="127.0.0.1", show_default=True, help="监听地址 address to listen on")
@click.option("--port", default=0, show_default=True, help="端口，0 为任一空闲端口 port, 0 for any free one")
@click.option("--system", default="YPGW", show_default=True, help="系统编码 system code")
@click.option("--account", default="", help="测试用户，缺省时生成 user")
@click.option("--secret", default="", help="密钥，缺省时生成 secret")
@click.option("--process-seconds", default=0.5, show_default=True, help="从接收到给出处理结果的秒数 seconds to an outcome")
def main(host: str, port: int, system: str, account: str, secret: str, process_seconds: float) -> None:
    """Serve in the foreground; the first line on standard output says where and with which account, as JSON."""
    signer = Signer(system, account or f"test-{secrets.token_hex(4)}", secret or secrets.token_urlsafe(18))
    simulator = Simulator(signer, behaviour=Behaviour(process_seconds=process_seconds))
    try:
        listener = listen(host, port)
    except OSError as error:
        raise click.ClickException(f"端口 {port} 不能使用 cannot listen: {error.strerror}") from None
    base = f"http://{host}:{listener.getsockname()[1]}"
    told = {"url": base + PATH, "base_url": base, "account": signer.user, "secret": signer.secret, "options": simulator.options}
    click.echo(json.dumps(told))
    serve(simulator.app, listener)


if __name__ == "__main__":
    main()
