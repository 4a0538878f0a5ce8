"""each report's figure for an account is kept, where two reports state one."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    # By copying: SQLite cannot change a key, and the name of the old one would be in the way on PostgreSQL.
    op.execute("CREATE TABLE control_total_before AS SELECT * FROM control_total")
    op.drop_table("control_total")
    op.create_table(
        "control_total",
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("report", sa.Text(), nullable=False),
        sa.Column("as_of", sa.Text(), nullable=False),
        sa.Column("amount_micros", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run", "connection", "account", "currency", "report"),
    )
    columns = "run, connection, account, currency, report, as_of, amount_micros"
    op.execute(f"INSERT INTO control_total ({columns}) SELECT {columns} FROM control_total_before")
    op.drop_table("control_total_before")
