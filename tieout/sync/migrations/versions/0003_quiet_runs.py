"""what a run need not look at again."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    for name in ("quiet_hash", "quiet_rules", "quiet_at"):
        op.add_column("base", sa.Column(name, sa.Text(), nullable=True))
    op.create_table(
        "comparison",
        sa.Column("pair", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("compared_at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("pair", "purpose"),
    )
    op.create_index("intent_state", "intent", ["state", "connection"], unique=False)
    op.create_index("intent_marker", "intent", ["marker"], unique=False)
    op.create_index(
        "audit_opened",
        "audit_event",
        ["object_id", "seq"],
        unique=False,
        sqlite_where=sa.text("action = 'opened_company'"),
        postgresql_where=sa.text("action = 'opened_company'"),
    )
