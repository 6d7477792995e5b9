"""The embedded PostgreSQL and Redis: real servers on unix sockets, for as long as anyone uses them.

    with running(home) as addresses:
        engine = create_engine(addresses.database_url(Role.APP))

`running` is the whole of it. Below it `place` decides where and as whom the servers run, `binaries` finds
their programs in the wheels, `server` is what both lifecycles share, and `postgres` and `redis` are the two.
"""

from nightread.servers.errors import ServersError
from nightread.servers.running import Addresses, running

__all__ = ["Addresses", "ServersError", "running"]
