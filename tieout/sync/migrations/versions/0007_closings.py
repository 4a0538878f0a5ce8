"""since when a period is known to be closed, so that what was entered there later can be named."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "closing",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("entity_code", sa.Text(), nullable=False),
        sa.Column("through", sa.Text(), nullable=False),
        sa.Column("since", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "entity_code", "through"),
    )
