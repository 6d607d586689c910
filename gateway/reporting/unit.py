"""What a submission is about: a stay or a tumour of the ledger."""

from __future__ import annotations

from typing import Literal, NamedTuple

from gateway.store.tables import Submission, SubmissionVersion


class Unit(NamedTuple):
    """A stay or a tumour by its id. In ``submission`` and ``submission_version`` each kind has a column of its own."""

    kind: Literal["stay", "tumour"]
    id: int

    @classmethod
    def of(cls, row: Submission) -> Unit:
        """The unit of a submission."""
        if row.tumour_id is not None:
            return cls("tumour", row.tumour_id)
        assert row.stay_id is not None, "a submission is about a stay or a tumour"
        return cls("stay", row.stay_id)

    def of_stay(self, id: int) -> int | None:
        """``id`` for the column of stays, empty when the unit is none."""
        return id if self.kind == "stay" else None

    def of_tumour(self, id: int) -> int | None:
        """``id`` for the column of tumours, empty when the unit is none."""
        return id if self.kind == "tumour" else None

    def version_of(self, row: SubmissionVersion) -> int:
        """The version of the unit that a version of its submission was made from."""
        id = row.tumour_version_id if self.kind == "tumour" else row.stay_version_id
        assert id is not None, "a version of a submission is made from one of its unit"
        return id
