//! The schema of the marketplace, a large one, for tests.

use std::sync::LazyLock;

use super::{Class, PageSizes, SchemaProfile, Shedding};

/// The profile of the marketplace's schema, with a single class of work.
pub(crate) static MARKET: LazyLock<SchemaProfile> = LazyLock::new(|| {
    let class =
        |_, _: &[&str]| Class { name: "any", shed: Some(Shedding { from: 1.0, nearly_all_from: 4.0 }) };
    SchemaProfile::new(
        include_str!("../../../schema.graphql"),
        PageSizes { usual: 20, max: 100 },
        class,
        "to nobody",
    )
});
