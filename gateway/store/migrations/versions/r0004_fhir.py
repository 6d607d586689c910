"""FHIR resources, and statements about several stays in one message"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from gateway.store.tables import UtcTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("inbound_message") as batch_op:
        batch_op.add_column(sa.Column("standard", sa.String(), nullable=False, server_default="v2"))
    _statements(["message_id", "part"], ["index", "message_id", "part"])
    op.create_index(op.f("ix_stay_facts_part"), "stay_facts", ["part"])
    op.create_table(
        "fhir_resource",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("index", sa.String(), nullable=False),
        sa.Column("record", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.Integer(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("updated_at", UtcTime(), nullable=False),
        sa.Column("sealed_body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["inbound_message.id"], name=op.f("fk_fhir_resource_message_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fhir_resource")),
        sa.UniqueConstraint("index", name=op.f("uq_fhir_resource_index")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_fhir_resource_record"), "fhir_resource", ["record"])
    op.create_index(op.f("ix_fhir_resource_message_id"), "fhir_resource", ["message_id"])
    op.create_table(
        "fhir_identifier",
        sa.Column("index", sa.String(), nullable=False),
        sa.Column("resource_id", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("index", "resource_id", name=op.f("pk_fhir_identifier")),
    )
    op.create_index(op.f("ix_fhir_identifier_resource_id"), "fhir_identifier", ["resource_id"])
    op.create_table(
        "fhir_awaited",
        sa.Column("index", sa.String(), nullable=False),
        sa.Column("record", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("index", "record", name=op.f("pk_fhir_awaited")),
    )
    op.create_index(op.f("ix_fhir_awaited_record"), "fhir_awaited", ["record"])
    op.create_table(
        "fhir_due",
        sa.Column("message_id", sa.Integer(), nullable=False),
        sa.Column("record", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["inbound_message.id"], name=op.f("fk_fhir_due_message_id")),
        sa.PrimaryKeyConstraint("message_id", "record", name=op.f("pk_fhir_due")),
    )


def downgrade() -> None:
    for table in ("fhir_due", "fhir_awaited", "fhir_identifier", "fhir_resource"):
        op.drop_table(table)
    for table in ("waiting_key", "stay_facts"):
        op.execute(sa.text(f"DELETE FROM {table} WHERE part <> 0"))  # noqa: S608 - names of ours
    op.drop_index(op.f("ix_stay_facts_part"), "stay_facts")
    _statements(["message_id"], ["index", "message_id"])
    with op.batch_alter_table("inbound_message") as batch_op:
        batch_op.drop_column("standard")


def _statements(facts_key: list[str], waiting_key: list[str]) -> None:
    """Give ``stay_facts`` and ``waiting_key`` these primary keys, with or without the column ``part``."""
    for table, key in (("stay_facts", facts_key), ("waiting_key", waiting_key)):
        with op.batch_alter_table(table) as batch_op:
            if "part" in key:
                batch_op.add_column(sa.Column("part", sa.Integer(), nullable=False, server_default="0"))
            batch_op.drop_constraint(f"pk_{table}", type_="primary")
            if "part" not in key:
                batch_op.drop_column("part")
            batch_op.create_primary_key(f"pk_{table}", key)
