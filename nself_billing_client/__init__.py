"""Send usage to nself-billing from any Python program: batches, retries under the same keys, no dependencies."""

from __future__ import annotations

from nself_billing_client.usage import (
    RecordRefused,
    Result,
    UsageBatch,
    UsageClient,
    UsageNotRecordedError,
    UsageRefusedError,
)

__all__ = ["RecordRefused", "Result", "UsageBatch", "UsageClient", "UsageNotRecordedError", "UsageRefusedError"]
