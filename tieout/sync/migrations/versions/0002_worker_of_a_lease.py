"""the process that holds a lease, so that one that was killed is known to be gone."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("lease", sa.Column("worker", sa.Text(), nullable=True))
