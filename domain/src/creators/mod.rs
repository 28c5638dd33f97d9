//! Creators: the tenants, with their public profile.
