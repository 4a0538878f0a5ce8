"""what happened to a difference, and what was sent in a period, is found without reading the whole log."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_index(
        "audit_discrepancy",
        "audit_event",
        ["object_id", "seq"],
        unique=False,
        sqlite_where=sa.text("object_type = 'discrepancy'"),
        postgresql_where=sa.text("object_type = 'discrepancy'"),
    )
    op.create_index("attempt_sent", "intent_attempt", ["sent_at"], unique=False)
