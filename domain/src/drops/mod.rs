//! Drops: one preorder run each, from draft to completion.
