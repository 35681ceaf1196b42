"""What a retriever rewards that it should not, with a causal check. Reading order: `measures`, `pairs`, `auditor`."""

from .auditor import audit
from .suspicion import AuditReport, Carrier, Check, Suspicion

__all__ = ["AuditReport", "Carrier", "Check", "Suspicion", "audit"]
