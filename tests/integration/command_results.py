"""What came of a command that was invoked: what it told, or why it refused."""

from typer.testing import Result

from pipeline.errors import NightreadError


def done(result: Result) -> str:
    assert result.exit_code == 0, (result.exception, result.output)
    return " ".join(result.output.split())


def refusal(result: Result) -> str:
    assert isinstance(result.exception, NightreadError), (result.exception, result.output)
    return str(result.exception)
