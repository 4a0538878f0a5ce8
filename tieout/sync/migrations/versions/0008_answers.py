"""what the answer to a write said, and what of a record was read back otherwise without anybody knowing why."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

TEXTS = '["email","memo","name","phone","po_number","reference"]'


def upgrade() -> None:
    op.add_column("intent", sa.Column("answer", sa.Text(), nullable=True))
    op.add_column("base", sa.Column("unsure", sa.Text(), nullable=False, server_default="[]"))
    # So far, any text of a record that tieout made was taken for one that somebody may have entered there.
    base = sa.table("base", *map(sa.column, ("subject", "connection", "unsure")))
    subject = sa.table("subject", *map(sa.column, ("id", "origin_connection", "created_by")))
    made = sa.select(subject.c.id).where(
        subject.c.id == base.c.subject,
        subject.c.created_by.is_not(None),
        subject.c.origin_connection != base.c.connection,
    )
    op.execute(base.update().where(sa.exists(made)).values(unsure=TEXTS))
