"""The tables of a review, the same in a file and on a server, and how older ones are brought up to date.

Numbers of rows are given by us, never by the database: writes come one after another anyway, numbers so have
no gaps, and a copy of a review has those of the review.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import (
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    inspect,
)

VERSION = 7

metadata = MetaData()
meta = Table("meta", metadata, Column("key", Text, primary_key=True), Column("value", Text, nullable=False))
protocols = Table(
    "protocols",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("text", Text, nullable=False),
    Column("at", Text, nullable=False),
)
files = Table(
    "files",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("format", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("announced", Integer, nullable=False),
    Column("kept", Integer, nullable=False),
    Column("problems", Text, nullable=False),
    Column("at", Text, nullable=False),
    UniqueConstraint("sha256", "source"),
)
records = Table(
    "records",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("file_id", Integer, ForeignKey("files.id"), nullable=False),
    Column("line", Integer, nullable=False),
    Column("title", Text, nullable=False),
    Column("abstract", Text, nullable=False),
    Column("authors", Text, nullable=False),
    Column("year", Integer),
    Column("journal", Text, nullable=False),
    Column("doi", Text, nullable=False),
    Column("pmid", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("keywords", Text, nullable=False),
    Column("extra", Text, nullable=False),
    Column("content_hash", LargeBinary, nullable=False),
)
# What is asked of all records at once is read from this index, a hundredth of the table.
text_hashes = Index("records_text_hashes", records.c.id, records.c.content_hash)
events = Table(
    "events",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("record_id", Integer, ForeignKey("records.id")),
    Column("reviewer", Text, nullable=False),
    Column("label", Text),
    Column("reason", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("origin", Text),
    Column("pool_size", Integer),
    Column("ranking_id", Integer),
    Column("other_id", Integer, ForeignKey("records.id")),
    Column("undoes", Integer, ForeignKey("events.seq"), unique=True),
)
plans = Table(
    "plans",
    metadata,
    Column("seq", Integer, ForeignKey("events.seq"), primary_key=True),
    Column("stage", Text, nullable=False),
    Column("stratum", Integer, nullable=False),
    Column("permutation", LargeBinary, nullable=False),
    UniqueConstraint("stage", "stratum"),
)
# The seed of each audit permutation, apart from the log: a reviewer who reads the log cannot predict the draws to come.
seeds = Table(
    "seeds",
    metadata,
    Column("seq", Integer, ForeignKey("events.seq"), primary_key=True),
    Column("seed", Text, nullable=False),
)
# The order in which excluded records are judged again.
second_look_plans = Table(
    "second_look_plans",
    metadata,
    Column("seq", Integer, ForeignKey("events.seq"), primary_key=True),
    Column("stage", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("permutation", LargeBinary, nullable=False),
    UniqueConstraint("stage", "number"),
)
# The bytes of attached files, each kept once, by the digest that the log holds.
attachments = Table(
    "attachments", metadata, Column("sha256", Text, primary_key=True), Column("content", LargeBinary, nullable=False)
)
rankings = Table(
    "rankings",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("stage", Text, nullable=False),
    Column("as_of", Integer, nullable=False),
    Column("model", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("scores", LargeBinary),
    Index("rankings_by_stage", "stage", "id"),
)
# Who may come in, over the network. Only the hash of a token is kept, so that someone who reads a copy of the
# review cannot come in with what is in it.
people = Table(
    "people",
    metadata,
    Column("name", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("password_hash", Text),
    Column("created_at", Text, nullable=False),
    Column("withdrawn_at", Text),
    Column("removed_at", Text),
    Column("totp_secret", Text),
    Column("totp_used", Integer),
)
invitations = Table(
    "invitations",
    metadata,
    Column("token_hash", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("expires_at", Text, nullable=False),
    Column("used_at", Text),
    Column("cancelled_at", Text),
)
web_sessions = Table(
    "web_sessions",
    metadata,
    Column("token_hash", Text, primary_key=True),
    Column("person", Text, ForeignKey("people.name"), nullable=False),
    Column("created_at", Text, nullable=False),
    Column("last_seen", Text, nullable=False),
    Column("ended_at", Text),
)
api_tokens = Table(
    "api_tokens",
    metadata,
    Column("token_hash", Text, primary_key=True),
    Column("person", Text, ForeignKey("people.name"), nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("revoked_at", Text),
    Column("scope", Text, nullable=False, server_default="owner"),
    Column("expires_at", Text),
    UniqueConstraint("person", "name"),
)
# Who came in or tried to, and what was done about access. An owner can act for none of it in secret.
access_log = Table(
    "access_log",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("at", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("about", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("note", Text, nullable=False),
)

# What a reviewer said, and what it was said of, is never rewritten. In SQLite `INSERT OR REPLACE` deletes the
# row in its way without firing a DELETE trigger, so there an INSERT on a taken key is refused as well.
_APPEND_ONLY = {
    "events": "seq = NEW.seq OR (NEW.undoes IS NOT NULL AND undoes = NEW.undoes)",
    "plans": "seq = NEW.seq OR (stage = NEW.stage AND stratum = NEW.stratum)",
    "seeds": "seq = NEW.seq",
    "second_look_plans": "seq = NEW.seq OR (stage = NEW.stage AND number = NEW.number)",
    "protocols": "id = NEW.id",
    "files": "id = NEW.id OR (sha256 = NEW.sha256 AND source = NEW.source)",
    "records": "id = NEW.id",
    "attachments": "sha256 = NEW.sha256",
    "access_log": "seq = NEW.seq",
}


def _create_triggers(connection: Connection, tables: Collection[str] = _APPEND_ONLY) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(
            "CREATE OR REPLACE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE EXCEPTION USING MESSAGE = 'the table ' || TG_TABLE_NAME || ' is append-only'; END $$"
        )
        for table in tables:
            for when, what in (("update_or_delete", "UPDATE OR DELETE"), ("truncate", "TRUNCATE")):
                each = "STATEMENT" if when == "truncate" else "ROW"
                connection.exec_driver_sql(
                    f"CREATE TRIGGER {table}_no_{when} BEFORE {what} ON {table} FOR EACH {each} "
                    "EXECUTE FUNCTION append_only()"
                )
        return
    for table in tables:
        for when, condition in (
            ("UPDATE", ""),
            ("DELETE", ""),
            ("INSERT", f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {_APPEND_ONLY[table]})"),
        ):
            connection.exec_driver_sql(
                f"CREATE TRIGGER {table}_no_{when.lower()} BEFORE {when} ON {table} {condition} "
                f"BEGIN SELECT RAISE(ABORT, 'the table {table} is append-only'); END"
            )


def _first_schema(connection: Connection) -> None:
    metadata.create_all(connection)
    _create_triggers(connection)


def _index_text_hashes(connection: Connection) -> None:
    text_hashes.create(connection, checkfirst=True)


def _people_tables(connection: Connection) -> None:
    metadata.create_all(connection, tables=[people, invitations, web_sessions, api_tokens])


def _append_only_tables(connection: Connection, tables: Sequence[Table]) -> None:
    for table in tables:
        if not inspect(connection).has_table(table.name):  # a new review has it by the first schema
            table.create(connection)
            _create_triggers(connection, [table.name])


def _attachments_table(connection: Connection) -> None:
    _append_only_tables(connection, [attachments])


def _seeds_and_second_looks(connection: Connection) -> None:
    _append_only_tables(connection, [seeds, second_look_plans])


def _withdrawable_access(connection: Connection) -> None:
    for column, kind in (
        (people.c.withdrawn_at, "TEXT"),
        (people.c.removed_at, "TEXT"),
        (people.c.totp_secret, "TEXT"),
        (people.c.totp_used, "INTEGER"),
        (invitations.c.cancelled_at, "TEXT"),
        (api_tokens.c.scope, "TEXT NOT NULL DEFAULT 'owner'"),
        (api_tokens.c.expires_at, "TEXT"),
    ):
        table = column.table.name
        if column.name not in {known["name"] for known in inspect(connection).get_columns(table)}:
            connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {column.name} {kind}")
    _append_only_tables(connection, [access_log])


# The role of a team's server may insert events, and the database sees to their numbers and times: by its own clock, and
# in no table that a session puts in the place of this one.
_NEXT_EVENT = """
CREATE OR REPLACE FUNCTION next_event() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
  newest bigint;
BEGIN
  EXECUTE format('SELECT coalesce(max(seq), 0) FROM %I.%I', TG_TABLE_SCHEMA, TG_TABLE_NAME) INTO newest;
  IF NEW.seq <> newest + 1 THEN
    RAISE EXCEPTION USING MESSAGE = format('event %s is not the next of the log, which is %s', NEW.seq, newest + 1);
  END IF;
  IF NEW.at::timestamptz NOT BETWEEN transaction_timestamp() - interval '1 minute'
                                 AND clock_timestamp() + interval '1 minute' THEN
    NEW.at := to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"');
  END IF;
  RETURN NEW;
END $$
"""


def _numbered_by_the_server(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(_NEXT_EVENT.replace("%", "%%"))
        connection.exec_driver_sql(
            "CREATE TRIGGER events_are_next BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION next_event()"
        )


@contextmanager
def events_as_they_are(connection: Connection) -> Iterator[None]:
    """Keep the numbers and times of the events that are inserted in the block, as a copy does; its owner alone may."""
    on_server = connection.dialect.name == "postgresql"
    if on_server:
        connection.exec_driver_sql("ALTER TABLE events DISABLE TRIGGER events_are_next")
    yield
    if on_server:
        connection.exec_driver_sql("ALTER TABLE events ENABLE TRIGGER events_are_next")


# Migration i takes a review from schema version i to i + 1, in one transaction with the version's change.
_MIGRATIONS: tuple[Callable[[Connection], None], ...] = (
    _first_schema,
    _index_text_hashes,
    _people_tables,
    _attachments_table,
    _seeds_and_second_looks,
    _withdrawable_access,
    _numbered_by_the_server,
)


def migrate(connection: Connection, version: int) -> None:
    """Bring the tables up to date from a version; 0 makes them."""
    for migration in _MIGRATIONS[version:]:
        migration(connection)
