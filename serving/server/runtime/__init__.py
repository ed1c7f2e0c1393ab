"""Running signatures: sessions, micro-batching, warm-up."""
