"""What the worker of the tests serves."""

from temporalio import activity


@activity.defn
async def greet(name: str) -> str:
    """Return a greeting."""
    return f"Hello {name}"
