"""HL7 v2 messages and what they say of stays"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from gateway.store.tables import UtcTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "inbound_message",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("control_id", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("peer", sa.String(), nullable=False),
        sa.Column("received_at", UtcTime(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("again", sa.Boolean(), nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("stay_id", sa.Integer(), nullable=True),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_raw", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inbound_message")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_inbound_message_source_control_id", "inbound_message", ["source", "control_id"])
    op.create_index("ix_inbound_message_state", "inbound_message", ["state", "id"])
    op.create_index("ix_inbound_message_arrival", "inbound_message", ["source", "received_at", "state"])
    op.create_index("ix_inbound_message_lane", "inbound_message", ["lane", "state", "id"])
    op.create_index(op.f("ix_inbound_message_stay_id"), "inbound_message", ["stay_id"])
    op.create_table(
        "stay_key",
        sa.Column("index", sa.String(), nullable=False),
        sa.Column("stay_id", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("index", "stay_id", name=op.f("pk_stay_key")),
    )
    op.create_index(op.f("ix_stay_key_stay_id"), "stay_key", ["stay_id"])
    op.create_table(
        "stay_facts",
        sa.Column("message_id", sa.Integer(), nullable=False),
        sa.Column("stay_id", sa.Integer(), nullable=True),
        sa.Column("sealed_facts", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["inbound_message.id"], name=op.f("fk_stay_facts_message_id")),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_stay_facts")),
    )
    op.create_index(op.f("ix_stay_facts_stay_id"), "stay_facts", ["stay_id"])
    op.create_table(
        "waiting_key",
        sa.Column("index", sa.String(), nullable=False),
        sa.Column("message_id", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("index", "message_id", name=op.f("pk_waiting_key")),
    )
    op.create_index(op.f("ix_waiting_key_message_id"), "waiting_key", ["message_id"])
    op.create_table(
        "merged_number",
        sa.Column("index", sa.String(), nullable=False),
        sa.Column("sealed_number", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("index", name=op.f("pk_merged_number")),
    )
    op.create_table(
        "filed_stay",
        sa.Column("stay_id", sa.Integer(), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("filed_at", UtcTime(), nullable=False),
        sa.Column("sealed_body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("stay_id", name=op.f("pk_filed_stay")),
    )
    op.create_table(
        "stay_correction",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("stay_id", sa.Integer(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("sealed_body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stay_correction")),
    )
    op.create_index(op.f("ix_stay_correction_stay_id"), "stay_correction", ["stay_id"])
    with op.batch_alter_table("stay") as batch_op:
        batch_op.add_column(sa.Column("absorbed_into", sa.Integer(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("stay") as batch_op:
        batch_op.drop_column("absorbed_into")
    for table in ("stay_correction", "filed_stay", "merged_number", "waiting_key", "stay_facts", "stay_key", "inbound_message"):
        op.drop_table(table)
