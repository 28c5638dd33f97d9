//! Tests that every column of text, JSON or bytes is classified, and that the registers list only what
//! exists.
//!
//! `docs/operate/personal-data.md` is generated from the registers. `SMALLRUN_TEST_WRITE=1` rewrites it.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{collections::BTreeMap, fmt::Write, path::Path};

use domain::platform::{
    Db,
    personal_data::{
        BOOKS_YEARS, Classification, Erase, Export, FoundBy, KeepUntil, Person, PersonalContent, Register,
        RegisteredTable, RowErasure, RowOwner,
    },
};
use domain::registry::PERSONAL_DATA;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use testkit::{Kit, on_both};

/// Returns the registers of the program: those of the capabilities, the letters and the sandbox.
fn registers() -> Vec<&'static Register> {
    let others = [&workers::mail::personal_data::REGISTER, &::payments::sandbox::personal_data::REGISTER];
    PERSONAL_DATA.into_iter().chain(others).collect()
}

/// Types whose values alone do not describe a person: ids, numbers and times. Any other type, including a new
/// one in a later migration, is treated as text.
const SAFE_TYPES: [&str; 12] = [
    "bigint",
    "boolean",
    "date",
    "date_text",
    "integer",
    "smallint",
    "tinyint",
    "timestamp with time zone",
    "timestamp_with_timezone_text",
    "uuid",
    "uuid_text",
    "double precision",
];

/// Columns that link a row to a person.
const PERSON_COLUMNS: [&str; 2] = ["account_id", "guest_id"];

/// The columns of each table, with their types.
type Schema = BTreeMap<String, BTreeMap<String, String>>;

async fn schema(db: &Db) -> Schema {
    let sql = match db.backend() {
        DbBackend::Postgres => {
            "SELECT table_name::text, column_name::text, data_type::text FROM information_schema.columns
             WHERE table_schema = current_schema()"
        }
        _ => {
            "SELECT tables.name, columns.name, lower(columns.type)
             FROM sqlite_master AS tables, pragma_table_info(tables.name) AS columns
             WHERE tables.type = 'table' AND tables.name NOT LIKE 'sqlite_%'"
        }
    };
    let rows = db.reader().query_all_raw(Statement::from_string(db.backend(), sql)).await.unwrap();
    let mut schema = Schema::new();
    for row in rows {
        let text = |index| row.try_get_by_index::<String>(index).unwrap();
        schema.entry(text(0)).or_default().insert(text(1), text(2));
    }
    schema
}

fn tables() -> impl Iterator<Item = &'static RegisteredTable> {
    registers().into_iter().flat_map(|register| register.tables)
}

/// Compares the registers with a schema, and returns all differences and contradictions.
fn complaints(schema: &Schema) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut registered = BTreeMap::new();
    for table in tables() {
        if registered.insert(table.name, table).is_some() {
            complaints.push(format!("{} is registered twice", table.name));
        }
    }
    for (name, columns) in schema {
        let table = registered.get(name.as_str());
        let classified =
            |column: &str| table.is_some_and(|table| table.columns.iter().any(|(known, _)| *known == column));
        for (column, kind) in columns {
            if !SAFE_TYPES.contains(&kind.as_str()) && !classified(column) {
                complaints.push(format!("{name}.{column} ({kind}) is not classified"));
            }
            let of_person = table.is_some_and(|table| matches!(table.owner, RowOwner::Person { .. }));
            if PERSON_COLUMNS.contains(&column.as_str()) && !of_person {
                complaints
                    .push(format!("{name}.{column}: the rows belong to a person, and no register says so"));
            }
        }
    }
    let exists =
        |table: &str, column: &str| schema.get(table).is_some_and(|columns| columns.contains_key(column));
    for table in tables() {
        let of_person = matches!(table.owner, RowOwner::Person { .. });
        let row_is_deleted = matches!(table.owner, RowOwner::Person { erasure: RowErasure::Delete, .. });
        for (column, classification) in table.columns {
            if !exists(table.name, column) {
                complaints.push(format!("{}.{column} does not exist", table.name));
            }
            if let Classification::Personal(content) = classification
                && !of_person
                && !goes_by_itself(content)
            {
                complaints.push(format!("{}.{column} is personal, but its rows have no owner", table.name));
            }
            if let Classification::Personal(content) = classification
                && content.erase == Erase::WithRow
                && !row_is_deleted
                && !goes_by_itself(content)
            {
                complaints.push(format!(
                    "{}.{column} is to be deleted with its row, but the row is kept",
                    table.name
                ));
            }
        }
        if let RowOwner::Person { found_by, .. } = table.owner {
            for way in found_by {
                match way {
                    FoundBy::Id { column, .. } if exists(table.name, column) => {}
                    FoundBy::Through { column, other_table, other_column }
                        if exists(table.name, column)
                            && exists(other_table, other_column)
                            && is_of_person(&registered, other_table) => {}
                    FoundBy::Id { .. } | FoundBy::Through { .. } => {
                        complaints.push(format!("{}: {way:?} leads to no person", table.name));
                    }
                }
            }
        }
    }
    complaints
}

fn is_of_person(registered: &BTreeMap<&str, &RegisteredTable>, table: &str) -> bool {
    registered.get(table).is_some_and(|table| matches!(table.owner, RowOwner::Person { .. }))
}

/// Returns whether the column needs no owner, because it is deleted after some days and is not exported.
fn goes_by_itself(content: &PersonalContent) -> bool {
    matches!(
        (content.keep, content.erase, content.export),
        (KeepUntil::Days(_), Erase::WithRow, Export::Withheld(_))
    )
}

on_both! {
    async fn every_column_of_text_is_classified_and_every_classified_column_exists(kit: Kit) {
        assert_eq!(complaints(&schema(&kit.db).await), Vec::<String>::new());
    }

    async fn added_and_removed_tables_and_columns_are_detected(kit: Kit) {
        let bytes = if kit.db.backend() == DbBackend::Postgres { "bytea" } else { "blob" };
        for sql in [
            "CREATE TABLE newcomers (
                id bigint, account_id uuid_text, nickname text, face BYTES, settings jsonb, age integer
             )",
            "ALTER TABLE drops ADD COLUMN dedication varchar",
            "ALTER TABLE accounts RENAME COLUMN name TO full_name",
        ] {
            let uuid = if kit.db.backend() == DbBackend::Postgres { "uuid" } else { "uuid_text" };
            let sql = sql.replace("BYTES", bytes).replace("uuid_text", uuid);
            kit.db.schema_connection().execute_unprepared(&sql).await.unwrap();
        }
        let varchar = if kit.db.backend() == DbBackend::Postgres { "character varying" } else { "varchar" };
        let mut found = complaints(&schema(&kit.db).await);
        found.sort_unstable();
        let mut expected = [
            "accounts.full_name (text) is not classified".to_owned(),
            "accounts.name does not exist".to_owned(),
            format!("drops.dedication ({varchar}) is not classified"),
            "newcomers.account_id: the rows belong to a person, and no register says so".to_owned(),
            format!("newcomers.face ({bytes}) is not classified"),
            "newcomers.nickname (text) is not classified".to_owned(),
            "newcomers.settings (jsonb) is not classified".to_owned(),
        ];
        expected.sort_unstable();
        assert_eq!(found, expected);
    }
}

#[test]
fn the_page_shows_what_the_registers_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operate/personal-data.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let mark = "<!-- From here on the page is made of the registers. -->\n";
    let (words, listing) = page.split_once(mark).unwrap();
    let expected = registers().iter().map(|register| listing_of(register)).collect::<Vec<_>>().concat();
    if std::env::var_os("SMALLRUN_TEST_WRITE").is_some() {
        std::fs::write(&path, format!("{words}{mark}{expected}")).unwrap();
    } else {
        assert_eq!(listing, expected, "SMALLRUN_TEST_WRITE=1 rewrites docs/operate/personal-data.md");
    }
}

/// Returns the section of a register, or an empty string if the register lists no personal data.
fn listing_of(register: &Register) -> String {
    let mut lines = String::new();
    for table in register.tables {
        for (column, classification) in table.columns {
            if let Classification::Personal(content) = classification {
                line(&mut lines, &format!("`{}.{column}`", table.name), &whose(table.owner), content);
            }
        }
    }
    for store in register.stores {
        if let Classification::Personal(content) = &store.classification {
            line(&mut lines, store.name, "its recipient's", content);
        }
    }
    let rows: Vec<_> = register.tables.iter().filter_map(rows_that_go).collect();
    if lines.is_empty() && rows.is_empty() {
        return String::new();
    }
    let mut listing = format!("\n## {}\n", capitalised(register.capability));
    if !lines.is_empty() {
        listing += "\n| where | whose | what | export | erasure | kept, and why |\n";
        listing += "| --- | --- | --- | --- | --- | --- |\n";
        listing += &lines;
    }
    if !rows.is_empty() {
        write!(listing, "\nThe rows of {} are deleted with their person.\n", rows.join(", ")).unwrap();
    }
    listing
}

fn line(lines: &mut String, place: &str, whose: &str, content: &PersonalContent) {
    let export = match content.export {
        Export::AsItIs => "as it is".to_owned(),
        Export::Withheld(why) => format!("no: {why}"),
    };
    let erase = match content.erase {
        Erase::WithRow => "deleted",
        Erase::Null | Erase::Empty => "blanked",
        Erase::Replace => "replaced",
        Erase::Unlink => "kept, without a link to the person",
    };
    let keep = match content.keep {
        KeepUntil::Erasure => "until the person is erased".to_owned(),
        KeepUntil::Days(1) => "a day".to_owned(),
        KeepUntil::Days(days) => format!("{days} days"),
        KeepUntil::BooksAreClosed => {
            format!("{BOOKS_YEARS} years if money moved, otherwise until the person is erased")
        }
        KeepUntil::OperatorClears => "until an operator deletes it".to_owned(),
    };
    writeln!(
        lines,
        "| {place} | {whose} | {} | {export} | {erase} | {keep}: {} |",
        content.what, content.why
    )
    .unwrap();
}

fn whose(owner: RowOwner) -> String {
    let found_by = match owner {
        RowOwner::Person { found_by, .. } => found_by,
        RowOwner::Nobody => return "not linked to anybody".to_owned(),
    };
    let ways = found_by.iter().map(|way| match way {
        FoundBy::Id { person: Person::Account, .. } => "account",
        FoundBy::Id { person: Person::Guest, .. } => "guest",
        FoundBy::Through { other_table: "creator_members", .. } => "members of the creator",
        FoundBy::Through { .. } => "buyer",
    });
    ways.collect::<Vec<_>>().join(" or ")
}

/// Returns the table if its rows are deleted with their person and none of its columns is listed as personal.
fn rows_that_go(table: &RegisteredTable) -> Option<String> {
    let goes = matches!(table.owner, RowOwner::Person { erasure: RowErasure::Delete, .. });
    let shown =
        table.columns.iter().any(|(_, classification)| matches!(classification, Classification::Personal(_)));
    (goes && !shown).then(|| format!("`{}`", table.name))
}

fn capitalised(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
