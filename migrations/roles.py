"""The roles that a database must have before its tables can be made."""

from sqlalchemy import Connection, text

from pipeline.errors import NightreadError
from pipeline.names import Role

_GRANT_TEMPORARY = f"GRANT TEMPORARY ON DATABASE %I TO {Role.APP}"


class RolesMissing(NightreadError):
    """Roles are missing and this login may not create them; the message holds the SQL for the DBA."""


def become_owner(connection: Connection) -> None:
    """Make sure that the roles exist and act as the owner from here on.

    Raises `RolesMissing` with the SQL an administrator has to run, if this login may not do it itself.
    """
    login, may_create, superuser = connection.execute(
        text("SELECT current_user, rolsuper OR rolcreaterole, rolsuper FROM pg_roles WHERE rolname = current_user")
    ).one()
    missing = _missing(connection)
    if missing and not may_create:
        raise RolesMissing(_for_the_dba(login, missing))
    for role in missing:
        connection.execute(text(f"CREATE ROLE {role} NOLOGIN"))
        if not superuser:
            # Since PostgreSQL 16 the creator may administer a role but not act as it.
            connection.execute(text(f'GRANT {role} TO "{login}"'))
    if login != Role.OWNER:
        is_member, may_make_tables = connection.execute(
            text("SELECT pg_has_role(:owner, 'MEMBER'), has_schema_privilege(:owner, 'public', 'CREATE')"),
            {"owner": Role.OWNER},
        ).one()
        if not may_make_tables:
            may_grant = connection.execute(
                text("SELECT has_schema_privilege('public', 'CREATE WITH GRANT OPTION')")
            ).scalar_one()
            if not (superuser or may_grant):
                raise RolesMissing(_for_the_dba(login, missing))
            connection.execute(text(f"GRANT USAGE, CREATE ON SCHEMA public TO {Role.OWNER}"))
        if not is_member:
            raise RolesMissing(_for_the_dba(login, missing))
    _grant_temporary(connection, login, missing, may_grant=superuser)
    if login != Role.OWNER:
        connection.execute(text(f"SET ROLE {Role.OWNER}"))
    connection.commit()


def _grant_temporary(connection: Connection, login: str, missing: list[Role], *, may_grant: bool) -> None:
    """Bulk writes go through temporary tables, which a careful administrator may have taken from PUBLIC."""
    may, owns = connection.execute(
        text(
            "SELECT has_database_privilege(:app, datname, 'TEMPORARY'), pg_has_role(datdba, 'MEMBER') "
            "FROM pg_database WHERE datname = current_database()"
        ),
        {"app": Role.APP},
    ).one()
    if may:
        return
    if not (may_grant or owns):
        raise RolesMissing(_for_the_dba(login, missing))
    connection.execute(text(f"DO $$ BEGIN EXECUTE format({_GRANT_TEMPORARY!r}, current_database()); END $$"))


def _missing(connection: Connection) -> list[Role]:
    found = set(connection.scalars(text("SELECT rolname FROM pg_roles")))
    return [role for role in Role if role not in found]


def _for_the_dba(login: str, missing: list[Role]) -> str:
    """`missing` includes the roles that this transaction made: they go with it."""
    statements = [
        *(f"CREATE ROLE {role} NOLOGIN;" for role in missing),
        f'GRANT {", ".join(Role)} TO "{login}";',
        f"GRANT USAGE, CREATE ON SCHEMA public TO {Role.OWNER};",
        f"DO $$ BEGIN EXECUTE format({_GRANT_TEMPORARY!r}, current_database()); END $$;",
    ]
    return "\n".join(
        [f"{login} may not create Nightread's roles; let an administrator run in this database:", *statements]
    )
