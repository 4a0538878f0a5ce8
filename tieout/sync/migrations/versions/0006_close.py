"""who signed off which step of a close, and what customers promised to pay."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "sign_off",
        sa.Column("seq", sa.Integer(), autoincrement=True, nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("pair", "as_of", "step", "role", "by", "at")),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("figure", "figure_hash", "rules_hash", "note")),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index("sign_off_close", "sign_off", ["pair", "as_of"], unique=False)
    op.create_table(
        "promise",
        sa.Column("seq", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("invoice", sa.Text(), nullable=False),
        sa.Column("amount_micros", sa.BigInteger(), nullable=False),
        *(sa.Column(n, sa.Text(), nullable=False) for n in ("currency", "pays_on", "said_on", "by", "at", "note")),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index("promise_invoice", "promise", ["connection", "invoice"], unique=False)
