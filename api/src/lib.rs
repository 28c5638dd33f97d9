//! The GraphQL schema and the HTTP surface.
