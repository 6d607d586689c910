"""Programs that speak to the API: clients, their credentials and access tokens"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from gateway.store.tables import UtcTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "client",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("scopes", sa.String(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_client")),
    )
    op.create_table(
        "client_credential",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("client", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("kid", sa.String(), nullable=False),
        sa.Column("public_key", sa.String(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("expires_at", UtcTime(), nullable=True),
        sa.ForeignKeyConstraint(["client"], ["client.name"], name=op.f("fk_client_credential_client")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_client_credential")),
        sa.UniqueConstraint("kind", "digest", name=op.f("uq_client_credential_kind_digest")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_client_credential_client"), "client_credential", ["client"])
    op.create_table(
        "client_token",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("client", sa.String(), nullable=False),
        sa.Column("scopes", sa.String(), nullable=False),
        sa.Column("expires_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["client"], ["client.name"], name=op.f("fk_client_token_client")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_client_token")),
    )
    op.create_table(
        "used_assertion",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("expires_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_used_assertion")),
    )


def downgrade() -> None:
    for table in ("used_assertion", "client_token", "client_credential", "client"):
        op.drop_table(table)
