"""docker-compose.yml as Docker Compose reads it, and what may not be wrong with it."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from command_lines import refused
from jsonschema import Draft202012Validator

from nightread.servers.postgres import SETTINGS as NO_TEXT_IN_THE_LOG

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = Path(__file__).parent / "compose-spec" / "schema.json"
MEMBERS = ("scheduler", "intake", "label", "training")
ON_GPUS = ("label", "training")
# What the image's own entry point and health checks may call; the very programs are tried by an integration test.
PROGRAMS = {"postgres": {"psql"}, "redis": {"redis-server", "redis-cli", "grep"}}
REDIS_SETTINGS = {"appendonly yes", "maxmemory-policy noeviction"}
_VARIABLE = re.compile(r"\$(?:\$|(?P<plain>\w+)|\{(?P<name>\w+)(?:(?P<how>:?[-?])(?P<else>[^}]*))?\})")
Compose = dict[str, Any]


class Unset(Exception):
    """A variable that the file needs and nobody has set; the message is the file's own."""


def read(file: Path, environment: Mapping[str, str]) -> Compose:
    """The file with its variables filled in. Raises `Unset`."""
    found: Compose = filled(yaml.safe_load(file.read_text(encoding="utf-8")), environment)
    return found


def filled(value: Any, environment: Mapping[str, str]) -> Any:
    """`$$`, `$NAME`, `${NAME}`, `${NAME:-else}`, `${NAME:?why}`: in values, not in keys, as Compose does it."""
    match value:
        case dict():
            return {key: filled(one, environment) for key, one in value.items()}
        case list():
            return [filled(one, environment) for one in value]
        case str():
            return _VARIABLE.sub(lambda found: _value(found, environment), value)
    return value


def _value(found: re.Match[str], environment: Mapping[str, str]) -> str:
    if found[0] == "$$":
        return "$"
    name, how, otherwise = found["plain"] or found["name"], found["how"] or "", found["else"] or ""
    given = environment.get(name)
    if given or (given is not None and not how.startswith(":")):
        return given
    if how.endswith("-"):
        return otherwise
    raise Unset(f"{name}: {otherwise}" if how else f"{name} is not set, and no default is named")


def variables(file: Path) -> dict[str, str]:
    """Every variable of the file, and how an unset one is met: `?`, `-` or nothing."""
    text = "\n".join(
        line for line in file.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")
    )
    return {found["plain"] or found["name"]: (found["how"] or "")[-1:] for found in _VARIABLE.finditer(text)
            if found[0] != "$$"}  # fmt: skip


def problems(compose: Compose) -> list[str]:
    """All that is wrong with it: by the specification's schema first, then by our own rules."""
    validator = Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    by_schema = [f"schema: {error.json_path}: {error.message}" for error in validator.iter_errors(compose)]
    missing = {"postgres", "redis", "migrate", *MEMBERS} - compose.get("services", {}).keys()
    if by_schema or missing:
        return by_schema or [f"services are missing: {sorted(missing)}"]
    return [*_of_services(compose), *_of_order(compose), *_of_servers(compose), *_of_mounts(compose)]


def _of_services(compose: Compose) -> Iterator[str]:
    for name, service in compose["services"].items():
        if "command" in service and (why := _refused(name, service["command"])):
            yield f"{name}: {why}"
        if name in MEMBERS and service.get("command") != ["work", name]:
            yield f"{name}: runs {service.get('command')}"
        if name != "migrate":
            yield from _of_health(name, service)
        for port in service.get("ports", ()):
            if not str(port).startswith("127.0.0.1:"):
                yield f"{name}: publishes {port} beyond the loopback"
        if service.get("restart") != ("no" if name == "migrate" else "unless-stopped"):
            yield f"{name}: restart is {service.get('restart')!r}"
        if "stop_grace_period" not in service and name != "migrate":
            yield f"{name}: no time to stop in"
        if (name in ON_GPUS) != bool(_gpus(service)):
            yield f"{name}: {'no' if name in ON_GPUS else 'a'} GPU is reserved"


def _gpus(service: Compose) -> list[Any]:
    reserved = service.get("deploy", {}).get("resources", {}).get("reservations", {}).get("devices", [])
    return [one for one in reserved if "gpu" in one.get("capabilities", ())]


def _of_health(name: str, service: Compose) -> Iterator[str]:
    match service.get("healthcheck", {}).get("test"):
        case ["CMD", "nightread", *words]:
            if words != ["work", name, "--check"]:
                yield f"{name}: its health check asks for {words}"
            if why := refused(["nightread", *words]):
                yield f"{name}: health check: {why}"
        case ["CMD-SHELL", line]:
            for part in line.split("|"):
                program = next(word for word in shlex.split(part) if "=" not in word)
                if program not in PROGRAMS.get(name, set()):
                    yield f"{name}: its health check calls {program}"
        case other:
            yield f"{name}: no health check ({other})"


def _refused(name: str, command: list[str]) -> str | None:
    if name in PROGRAMS:
        return None if command[0] in PROGRAMS[name] else f"there is no {command[0]}"
    return refused(["nightread", *command])  # the image's entry point


def _of_order(compose: Compose) -> Iterator[str]:
    for name in MEMBERS:
        wanted = {
            "postgres": "service_healthy",
            "redis": "service_healthy",
            "migrate": "service_completed_successfully",
        }
        found = {one: how["condition"] for one, how in compose["services"][name].get("depends_on", {}).items()}
        if found != wanted:
            yield f"{name}: waits for {found}"
    if compose["services"]["migrate"].get("depends_on", {}).get("postgres", {}).get("condition") != "service_healthy":
        yield "migrate: does not wait for postgres"


def _of_servers(compose: Compose) -> Iterator[str]:
    services = compose["services"]
    redis = compose.get("configs", {}).get("redis", {}).get("content", "").splitlines()
    if lacking := REDIS_SETTINGS - set(redis):
        yield f"redis: is not told {sorted(lacking)}"
    if not any(re.fullmatch(r"requirepass \S{8,}", line) for line in redis):
        yield "redis: no password"
    holders = [name for name, service in services.items() if "OWNER" in str(sorted(service.get("environment", {})))]
    if sorted(holders) != ["migrate", "postgres"]:
        yield f"the owner's password is known to {sorted(holders)}"
    roles = (ROOT / "deploy" / "roles.sql").read_text(encoding="utf-8")
    for name, value in NO_TEXT_IN_THE_LOG.items():
        if name.startswith("log_") and name != "log_checkpoints" and f"SET {name} = " not in roles:
            yield f"postgres: roles.sql leaves {name} as it is, not {value}"


def _of_mounts(compose: Compose) -> Iterator[str]:
    services, named = compose["services"], compose.get("volumes", {})
    for name, service in services.items():
        for volume in service.get("volumes", ()):
            if isinstance(volume, dict):
                if volume["type"] == "bind" and not volume.get("read_only"):
                    yield f"{name}: could write to {volume['source']}"
                continue
            source, _, rest = volume.partition(":")
            if source.startswith("."):
                if not (ROOT / source).is_file() or not rest.endswith(":ro"):
                    yield f"{name}: mounts {volume}"
            elif source not in named:
                yield f"{name}: there is no volume {source}"
    for name, place in (("postgres", "/var/lib/postgresql"), ("redis", "/data")):
        if f"{name}:{place}" not in services[name].get("volumes", ()):
            yield f"{name}: its data are in no volume"
    if not any(volume["target"] == "/feeds" for volume in services["intake"]["volumes"] if isinstance(volume, dict)):
        yield "intake: no feeds"
