"""Persons, tumours, and submissions of tumours"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from gateway.store.tables import UtcTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_NEW = ("handed_in", "card_edit", "registry_question", "registry_decision", "tumour_evidence", "tumour_version", "tumour")
_PEOPLE = ("sighting_key", "sighting", "person")


def upgrade() -> None:
    with op.batch_alter_table("stay_version") as batch_op:
        batch_op.add_column(sa.Column("cancelled", sa.Boolean(), nullable=False, server_default=sa.false()))
    _people()
    _tumours()
    _acts()
    with op.batch_alter_table("submission") as batch_op:
        batch_op.alter_column("stay_id", existing_type=sa.Integer(), nullable=True)
        batch_op.add_column(sa.Column("tumour_id", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("part", sa.String(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("parent", sa.String(), nullable=False, server_default=""))
        batch_op.create_foreign_key(op.f("fk_submission_tumour_id"), "tumour", ["tumour_id"], ["id"])
        batch_op.create_unique_constraint(op.f("uq_submission_platform_tumour_id_part"), ["platform", "tumour_id", "part"])
    op.create_index(op.f("ix_submission_tumour_id"), "submission", ["tumour_id"])
    with op.batch_alter_table("submission_version") as batch_op:
        batch_op.alter_column("stay_version_id", existing_type=sa.Integer(), nullable=True)
        batch_op.add_column(sa.Column("tumour_version_id", sa.Integer(), nullable=True))
        batch_op.create_foreign_key(
            op.f("fk_submission_version_tumour_version_id"), "tumour_version", ["tumour_version_id"], ["id"]
        )


def _people() -> None:
    op.create_table(
        "person",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("founding", sa.String(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person")),
        sa.UniqueConstraint("founding", name=op.f("uq_person_founding")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "sighting",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("sealed_body", sa.LargeBinary(), nullable=False),
        sa.Column("updated_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_sighting_person_id")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_sighting")),
    )
    op.create_index(op.f("ix_sighting_person_id"), "sighting", ["person_id"])
    op.create_table(
        "sighting_key",
        sa.Column("index", sa.String(), nullable=False),
        sa.Column("sighting", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("index", "sighting", name=op.f("pk_sighting_key")),
    )
    op.create_index(op.f("ix_sighting_key_sighting"), "sighting_key", ["sighting"])


def _tumours() -> None:
    op.create_table(
        "tumour",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("founding", sa.String(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("merged_into", sa.Integer(), nullable=True),
        sa.Column("window", sa.String(), nullable=False),
        sa.Column("current", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("updated_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_tumour_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tumour")),
        sa.UniqueConstraint("founding", name=op.f("uq_tumour_founding")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_tumour_person_id"), "tumour", ["person_id"])
    op.create_table(
        "tumour_version",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("tumour_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("made_by", sa.String(), nullable=False),
        sa.Column("sealed_body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["tumour_id"], ["tumour.id"], name=op.f("fk_tumour_version_tumour_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tumour_version")),
        sa.UniqueConstraint("tumour_id", "number", name=op.f("uq_tumour_version_tumour_id_number")),
    )
    op.create_table(
        "tumour_evidence",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("sighting", sa.String(), nullable=False),
        sa.Column("tumour_id", sa.Integer(), nullable=True),
        sa.Column("note", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_tumour_evidence")),
    )
    op.create_index(op.f("ix_tumour_evidence_sighting"), "tumour_evidence", ["sighting"])
    op.create_index(op.f("ix_tumour_evidence_tumour_id"), "tumour_evidence", ["tumour_id"])


def _acts() -> None:
    op.create_table(
        "registry_decision",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("left", sa.String(), nullable=False),
        sa.Column("right", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("revoked_at", UtcTime(), nullable=True),
        sa.Column("revoked_by", sa.String(), nullable=False),
        sa.Column("revoked_because", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registry_decision")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_registry_decision_left"), "registry_decision", ["left"])
    op.create_index(op.f("ix_registry_decision_right"), "registry_decision", ["right"])
    op.create_table(
        "registry_question",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("left", sa.String(), nullable=False),
        sa.Column("right", sa.String(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("score", sa.Integer(), nullable=False),
        sa.Column("sealed_detail", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("updated_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registry_question")),
        sa.UniqueConstraint("subject", "left", "right", name=op.f("uq_registry_question_subject_left_right")),
        sqlite_autoincrement=True,
    )
    for column in ("left", "right", "state"):
        op.create_index(op.f(f"ix_registry_question_{column}"), "registry_question", [column])
    op.create_table(
        "card_edit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("tumour_id", sa.Integer(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("sealed_body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["tumour_id"], ["tumour.id"], name=op.f("fk_card_edit_tumour_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_card_edit")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_card_edit_tumour_id"), "card_edit", ["tumour_id"])
    op.create_table(
        "handed_in",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("file_id", sa.String(), nullable=False),
        sa.Column("row", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("sealed_body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["file_id"], ["source_file.id"], name=op.f("fk_handed_in_file_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_handed_in")),
        sa.UniqueConstraint("file_id", "row", name=op.f("uq_handed_in_file_id_row")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_handed_in_digest"), "handed_in", ["digest"])


def downgrade() -> None:
    op.execute(sa.text("DELETE FROM submission_version WHERE tumour_version_id IS NOT NULL"))
    op.execute(sa.text("DELETE FROM submission WHERE tumour_id IS NOT NULL"))
    with op.batch_alter_table("submission_version") as batch_op:
        batch_op.drop_constraint(op.f("fk_submission_version_tumour_version_id"), type_="foreignkey")
        batch_op.drop_column("tumour_version_id")
        batch_op.alter_column("stay_version_id", existing_type=sa.Integer(), nullable=False)
    op.drop_index(op.f("ix_submission_tumour_id"), "submission")
    with op.batch_alter_table("submission") as batch_op:
        batch_op.drop_constraint(op.f("fk_submission_tumour_id"), type_="foreignkey")
        batch_op.drop_constraint(op.f("uq_submission_platform_tumour_id_part"), type_="unique")
        for column in ("parent", "part", "tumour_id"):
            batch_op.drop_column(column)
        batch_op.alter_column("stay_id", existing_type=sa.Integer(), nullable=False)
    for table in (*_NEW, *_PEOPLE):
        op.drop_table(table)
    with op.batch_alter_table("stay_version") as batch_op:
        batch_op.drop_column("cancelled")
