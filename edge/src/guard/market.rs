//! For tests: the schema of the marketplace, which is a large one.

use std::sync::LazyLock;

use super::{Class, PageSizes, SchemaProfile, Shedding};

/// The profile of the marketplace's schema, where everything is of one class.
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
