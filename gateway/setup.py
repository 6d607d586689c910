"""Setting up an installation: configuration, keys, the first administrator."""

from __future__ import annotations

from pathlib import Path

from gateway.access import accounts
from gateway.model.errors import ConfigurationError
from gateway.settings import CONFIG_NAME, load
from gateway.store.ledger import Ledger
from gateway.store.vault import Vault

ADMINISTRATOR = "admin"

TEMPLATE = """\
# 直报配置。相对路径以本文件所在目录为准；密钥不写在这里。
# Zhibao configuration. Relative paths count from this file's folder; secrets stand in files of their own.

data = "data"                 # 账本、原始文件；请定期备份，连同 zhibao.keys 分开保存
# dictionaries = "dictionaries"  # 补充字典，如 icd9cm3_3.0.csv

[server]
host = "127.0.0.1"            # 改为其他地址时必须配置 tls_certificate 和 tls_key
port = 8750
# public_url = "https://..."   # 客户端访问本机的地址；监听全部地址或经反向代理时必须填写，签名断言以它为准
# tls_client_ca = "clients.pem"  # 签发客户端证书的机构（双向 TLS，可选）

[intake]
inbox = "inbox"               # 把病案首页文件放进这里，导入后移到 inbox/done
workers = 2

# HL7 v2 来源：一个端口一个发送方。方言可先用 zhibao source probe 样本消息 生成。
# [sources.his]
# kind = "mllp"                  # mllp | folder | http
# host = "127.0.0.1"             # 其他地址须配置 allow 或 TLS 证书
# port = 2575
# allow = ["192.168.1.0/24"]
# dialect = "cn-a"               # standard、cn-a … cn-e 或方言文件
# organisation = "..."           # 机构代码，以执业许可证为准

# FHIR 来源：POST /fhir，客户端用 zhibao client add --source emr 登记。path 可另设一个放批量文件（NDJSON）的目录。
# [sources.emr]
# kind = "fhir"
# dialect = "standard"           # 或方言文件
# organisation = "..."
# path = "inbox-fhir"

# 国家儿童肿瘤监测平台。接口未公开：地址、账号以监测中心下发的为准。
# [platforms.ncpcs]
# url = "https://..."
# account = "..."
# secret_file = "ncpcs.secret"   # 只允许本用户读取（chmod 600）
# review = false                 # true：上报前由审核员逐条放行
# switches = { B4 = false }      # 打开或关闭范围规则，见 mappings/platforms/ncpcs/scope.csv
"""


def create(folder: Path) -> str:
    """Set up ``folder``; the administrator's one-time password, which is shown once and stored only as a hash. Raises
    `ConfigurationError` when there is an installation already."""
    config = folder / CONFIG_NAME
    if config.exists():
        raise ConfigurationError(f"{folder.name} 中已有配置文件", action="请换一个目录", english="already set up")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"无法建立目录 {folder.name}", action="请检查路径和权限", english=f"no folder: {type(error).__name__}"
        ) from None
    vault = Vault.create(folder / "zhibao.keys")
    config.write_text(TEMPLATE, "utf-8")
    settings = load(config)
    ledger = Ledger.open(settings.ledger_url, vault)
    try:
        with ledger.write() as session:
            return accounts.create(session, ADMINISTRATOR)
    finally:
        ledger.close()
