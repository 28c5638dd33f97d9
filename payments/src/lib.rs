//! The payment gateways.
