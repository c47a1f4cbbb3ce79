"""Reading and changing namespaces through the official client; the decisions are in ``_namespaces``."""

from __future__ import annotations

from datetime import timedelta

from ansible_collections.zerospof.temporal.plugins.module_utils._frontend import Frontend
from ansible_collections.zerospof.temporal.plugins.module_utils._namespaces import Namespace, Plan

try:
    from google.protobuf.duration_pb2 import Duration
    from temporalio.api.enums.v1 import IndexedValueType
    from temporalio.api.namespace.v1 import NamespaceConfig, UpdateNamespaceInfo
    from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
    from temporalio.api.workflowservice.v1 import (
        DescribeNamespaceRequest,
        ListNamespacesRequest,
        RegisterNamespaceRequest,
        UpdateNamespaceRequest,
    )
except ImportError:  # The modules end with _frontend.require_library before anything here is used.
    pass

# Temporal's own; it is not an operator's to change.
SYSTEM_NAMESPACE = "temporal-system"
CALL_TIMEOUT = timedelta(seconds=10)
_TYPE_PREFIX = "INDEXED_VALUE_TYPE_"
_PAGE_SIZE = 100


def _type_name(value: int) -> str:
    """Return ``KeywordList`` for INDEXED_VALUE_TYPE_KEYWORD_LIST."""
    words = IndexedValueType.Name(value).removeprefix(_TYPE_PREFIX).split("_")
    return "".join(word.capitalize() for word in words)


def _type_value(name: str) -> int:
    """Return INDEXED_VALUE_TYPE_KEYWORD_LIST for ``KeywordList``."""
    words = "".join(f"_{letter}" if letter.isupper() else letter.upper() for letter in name).lstrip("_")
    return IndexedValueType.Value(f"{_TYPE_PREFIX}{words}")


async def read(frontend: Frontend, name: str) -> Namespace | None:
    """Return the namespace ``name``, ``None`` when there is none."""
    described = await frontend.call(
        f"read the namespace {name}",
        lambda client: client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=name), timeout=CALL_TIMEOUT
        ),
        absent="NOT_FOUND",
    )
    if described is None:
        return None
    attributes = await frontend.call(
        f"read the search attributes of the namespace {name}",
        lambda client: client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=name), timeout=CALL_TIMEOUT
        ),
        "NOT_FOUND",
    )
    return Namespace(
        name,
        described.config.workflow_execution_retention_ttl.ToTimedelta().days,
        described.namespace_info.description,
        {attribute: _type_name(value) for attribute, value in attributes.custom_attributes.items()},
    )


async def names(frontend: Frontend) -> list[str]:
    """Return the names of all namespaces except Temporal's own."""
    found: list[str] = []
    token = b""
    while True:
        page = await frontend.call(
            "list the namespaces",
            lambda client, token=token: client.workflow_service.list_namespaces(
                ListNamespacesRequest(page_size=_PAGE_SIZE, next_page_token=token), timeout=CALL_TIMEOUT
            ),
        )
        found += [namespace.namespace_info.name for namespace in page.namespaces]
        token = page.next_page_token
        if not token:
            return sorted(name for name in found if name != SYSTEM_NAMESPACE)


async def apply(frontend: Frontend, wanted: Namespace, plan: Plan) -> None:
    """Carry out ``plan`` so that the namespace is as ``wanted``."""
    name = wanted.name
    retention = Duration()
    retention.FromTimedelta(timedelta(days=wanted.retention_days))
    if plan.create:
        await frontend.call(
            f"create the namespace {name}",
            lambda client: client.workflow_service.register_namespace(
                RegisterNamespaceRequest(
                    namespace=name, description=wanted.description, workflow_execution_retention_period=retention
                ),
                timeout=CALL_TIMEOUT,
            ),
            # A repeated request finds what the one without an answer made.
            absent="ALREADY_EXISTS",
        )
    if plan.update:
        await frontend.call(
            f"change the namespace {name}",
            lambda client: client.workflow_service.update_namespace(
                UpdateNamespaceRequest(
                    namespace=name,
                    update_info=UpdateNamespaceInfo(description=wanted.description),
                    config=NamespaceConfig(workflow_execution_retention_ttl=retention),
                ),
                timeout=CALL_TIMEOUT,
            ),
        )
    if plan.add_search_attributes:
        attributes = {attribute: _type_value(kind) for attribute, kind in plan.add_search_attributes.items()}
        await frontend.call(
            f"add the search attributes {', '.join(attributes)} to the namespace {name}",
            lambda client: client.operator_service.add_search_attributes(
                AddSearchAttributesRequest(namespace=name, search_attributes=attributes), timeout=CALL_TIMEOUT
            ),
            "NOT_FOUND",
        )
