"""what the last read of everything left to be doubted."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("cursor", sa.Column("doubt", sa.Text(), nullable=True))
