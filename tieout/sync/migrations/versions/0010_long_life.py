"""what a run asks of the runs before it is found without looking at all of them."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_index("run_started", "run", ["pair", "started_at"], unique=False)
    op.create_index(
        "run_running",
        "run",
        ["pair"],
        unique=False,
        sqlite_where=sa.text("status = 'running'"),
        postgresql_where=sa.text("status = 'running'"),
    )
    op.create_index("snapshot_read", "snapshot", ["connection", "entity", "read_at"], unique=False)
    op.create_index("snapshot_dated", "snapshot", ["connection", "entity", "as_of", "read_at"], unique=False)
    op.create_index("plan_status", "plan", ["pair", "status"], unique=False)
    op.create_index("discrepancy_state", "discrepancy", ["pair", "state"], unique=False)
