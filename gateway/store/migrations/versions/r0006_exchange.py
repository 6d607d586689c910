"""The exchange between two registry platforms"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from gateway.store.tables import UtcTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_NEW = ("exchange_month", "exchange_decision", "exchange_line", "exchange_row", "exchange_file")


def upgrade() -> None:
    op.create_table(
        "exchange_file",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("month", sa.String(), nullable=False),
        sa.Column("side", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("refused", sa.Integer(), nullable=False),
        sa.Column("piece", sa.Integer(), nullable=False),
        sa.Column("pieces", sa.Integer(), nullable=False),
        sa.Column("answers_to", sa.String(), nullable=False),
        sa.Column("source_file", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exchange_file")),
    )
    op.create_index(op.f("ix_exchange_file_month"), "exchange_file", ["month"])
    op.create_table(
        "exchange_row",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("file_id", sa.String(), nullable=False),
        sa.Column("row", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("sealed_body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["file_id"], ["exchange_file.id"], name=op.f("fk_exchange_row_file_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exchange_row")),
        sa.UniqueConstraint("file_id", "row", name=op.f("uq_exchange_row_file_id_row")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "exchange_line",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("file_id", sa.String(), nullable=False),
        sa.Column("row", sa.Integer(), nullable=False),
        sa.Column("entry", sa.String(), nullable=False),
        sa.Column("record", sa.String(), nullable=False),
        sa.Column("operation", sa.String(), nullable=False),
        sa.Column("fields", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("sealed_reason", sa.LargeBinary(), nullable=True),
        sa.Column("answered_at", UtcTime(), nullable=True),
        sa.Column("answered_by", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["file_id"], ["exchange_file.id"], name=op.f("fk_exchange_line_file_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exchange_line")),
        sa.UniqueConstraint("file_id", "row", name=op.f("uq_exchange_line_file_id_row")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_exchange_line_record"), "exchange_line", ["record"])
    op.create_table(
        "exchange_decision",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("left", sa.String(), nullable=False),
        sa.Column("right", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("choices", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exchange_decision")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_exchange_decision_left"), "exchange_decision", ["left"])
    op.create_table(
        "exchange_month",
        sa.Column("month", sa.String(), nullable=False),
        sa.Column("finished_at", UtcTime(), nullable=False),
        sa.Column("tumours", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("month", name=op.f("pk_exchange_month")),
    )


def downgrade() -> None:
    for table in _NEW:
        op.drop_table(table)
