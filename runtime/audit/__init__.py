"""What a retriever rewards that it should not, with a causal check. Reading order: `measures`, `pairs`, `audit`."""
