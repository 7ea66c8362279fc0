//! The durable, ordered, hash-chained log. Opaque bytes, no domain knowledge.
