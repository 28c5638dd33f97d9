//! A builder for tables, with one method for each kind of column, so that a table reads as a list.

use sea_orm_migration::prelude::*;

/// A table that is being defined.
pub(crate) struct TableOf {
    create: TableCreateStatement,
    name: &'static str,
    indexes: Vec<IndexCreateStatement>,
}

/// Starts the definition of a table.
pub(crate) fn table(name: &'static str) -> TableOf {
    let mut create = Table::create();
    create.table(name);
    TableOf { create, name, indexes: Vec::new() }
}

impl TableOf {
    fn add(mut self, name: &'static str, make: impl FnOnce(&mut ColumnDef)) -> Self {
        let mut column = ColumnDef::new(name);
        column.not_null();
        make(&mut column);
        self.create.col(&mut column);
        self
    }

    fn add_nullable(mut self, name: &'static str, make: impl FnOnce(&mut ColumnDef)) -> Self {
        let mut column = ColumnDef::new(name);
        column.null();
        make(&mut column);
        self.create.col(&mut column);
        self
    }

    /// Adds the primary key `id`, a UUID.
    pub(crate) fn id(self) -> Self {
        self.add("id", |column| {
            column.uuid().primary_key();
        })
    }

    /// Adds a primary key of several columns.
    pub(crate) fn key(mut self, columns: &[&'static str]) -> Self {
        let mut index = Index::create();
        for column in columns {
            index.col(*column);
        }
        self.create.primary_key(&mut index);
        self
    }

    pub(crate) fn uuid(self, name: &'static str) -> Self {
        self.add(name, |column| {
            column.uuid();
        })
    }

    pub(crate) fn uuid_or_null(self, name: &'static str) -> Self {
        self.add_nullable(name, |column| {
            column.uuid();
        })
    }

    /// Adds a UUID that references the `id` of another table.
    pub(crate) fn of(mut self, name: &'static str, other: &'static str) -> Self {
        self = self.uuid(name);
        self.references(name, other)
    }

    /// Adds a nullable UUID that references the `id` of another table.
    pub(crate) fn of_or_null(mut self, name: &'static str, other: &'static str) -> Self {
        self = self.uuid_or_null(name);
        self.references(name, other)
    }

    /// Adds a UUID that references a row of another table. A row is deleted together with the row that it
    /// references.
    pub(crate) fn part_of(mut self, name: &'static str, other: &'static str) -> Self {
        self = self.uuid(name);
        let mut key = self.foreign_key(name, other);
        key.on_delete(ForeignKeyAction::Cascade);
        self.create.foreign_key(&mut key);
        self
    }

    fn references(mut self, name: &'static str, other: &'static str) -> Self {
        let mut key = self.foreign_key(name, other);
        self.create.foreign_key(&mut key);
        self
    }

    fn foreign_key(&self, name: &'static str, other: &'static str) -> ForeignKeyCreateStatement {
        let mut key = ForeignKey::create();
        key.name(format!("fk_{}_{name}", self.name)).from(self.name, name).to(other, "id");
        key
    }

    pub(crate) fn text(self, name: &'static str) -> Self {
        self.add(name, |column| {
            column.text();
        })
    }

    pub(crate) fn text_or_null(self, name: &'static str) -> Self {
        self.add_nullable(name, |column| {
            column.text();
        })
    }

    pub(crate) fn integer(self, name: &'static str) -> Self {
        self.add(name, |column| {
            column.integer();
        })
    }

    pub(crate) fn bigint(self, name: &'static str) -> Self {
        self.add(name, |column| {
            column.big_integer();
        })
    }

    pub(crate) fn bigint_or_null(self, name: &'static str) -> Self {
        self.add_nullable(name, |column| {
            column.big_integer();
        })
    }

    pub(crate) fn flag(self, name: &'static str) -> Self {
        self.add(name, |column| {
            column.boolean();
        })
    }

    pub(crate) fn bytes(self, name: &'static str) -> Self {
        self.add(name, |column| {
            column.binary();
        })
    }

    pub(crate) fn json(self, name: &'static str) -> Self {
        self.add(name, |column| {
            column.json_binary();
        })
    }

    pub(crate) fn at(self, name: &'static str) -> Self {
        self.add(name, |column| {
            column.timestamp_with_time_zone();
        })
    }

    pub(crate) fn at_or_null(self, name: &'static str) -> Self {
        self.add_nullable(name, |column| {
            column.timestamp_with_time_zone();
        })
    }

    pub(crate) fn date_or_null(self, name: &'static str) -> Self {
        self.add_nullable(name, |column| {
            column.date();
        })
    }

    /// Adds a check constraint, which every row must satisfy.
    pub(crate) fn check(mut self, condition: &'static str) -> Self {
        self.create.check(Expr::cust(condition));
        self
    }

    pub(crate) fn unique(self, columns: &[&'static str]) -> Self {
        self.indexed(columns, true)
    }

    pub(crate) fn index(self, columns: &[&'static str]) -> Self {
        self.indexed(columns, false)
    }

    fn indexed(mut self, columns: &[&'static str], unique: bool) -> Self {
        let mut index = Index::create();
        index.name(format!("ix_{}_{}", self.name, columns.join("_"))).table(self.name);
        for column in columns {
            index.col(*column);
        }
        if unique {
            index.unique();
        }
        self.indexes.push(index.to_owned());
        self
    }

    /// Creates the table and its indexes.
    pub(crate) async fn create(self, manager: &SchemaManager<'_>) -> Result<(), DbErr> {
        manager.create_table(self.create).await?;
        for index in self.indexes {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

/// Defines a migration that has only `up`, and runs in one transaction on both databases.
macro_rules! migration {
    (|$manager:ident| $up:block) => {
        #[derive(DeriveMigrationName)]
        pub(crate) struct Migration;

        #[async_trait::async_trait]
        impl MigrationTrait for Migration {
            fn use_transaction(&self) -> Option<bool> {
                Some(true)
            }

            async fn up(&self, $manager: &SchemaManager) -> Result<(), DbErr> {
                $up
            }
        }
    };
}
pub(crate) use migration;
