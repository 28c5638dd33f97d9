//! Tests of the second wall on PostgreSQL: what a creator's transactions can read and change when a query
//! forgets `WHERE creator_id = …`.
//!
//! Most tests execute a statement that such a mistake in our code would execute. The second wall does not
//! protect against injected SQL: an attacker who can execute any statement can also execute `SET ROLE NONE`.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    accounts::{AccountName, CreateAccount, CreateToken, Email, create_account, create_token},
    catalog::{
        imports::{StartImport, start_import},
        sheet::Sheet,
    },
    drops::{Drop, DropItem, UpdateDrop, queries::pickup_places_of, update},
    platform::{
        Db, EntityId, TENANT_ROLE,
        access::{Actor, CreatorScope, TokenKind},
        idempotency::{self, Claim},
        ids::{CheckoutId, CreatorId},
        in_tx, read_in, tasks,
        text::TextLine,
        timers,
    },
    reservations::tasks::{HoldLapse, LapseCheckout},
};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, RuntimeErr, Statement, sqlx};
use testkit::{
    Kit,
    market::{MadeDrop, item},
};
use uuid::Uuid;

use crate::reservations::market::{Market, buyer, creator, key, market, number, system};

/// SQLSTATE `insufficient_privilege`: the grant is missing, or the policy does not allow the new row.
const NOT_ALLOWED: &str = "42501";
/// SQLSTATE `read_only_sql_transaction`.
const READ_ONLY: &str = "25006";

/// The reviewed privileges of the role, and the rows that they cover. Every table for which the role has a
/// privilege needs a line here, so that somebody reviews it. So does every table with row-level security or a
/// `creator_id`. `own rows` means row-level security with a policy for reading and writing. `all rows` means
/// that the privilege covers the rows of all creators.
const ALLOWED: &[&str] = &[
    "accounts: SELECT (id, name); own rows",
    "api_tokens: SELECT, INSERT, UPDATE; own rows",
    "audit: INSERT; all rows",
    "creator_members: SELECT; own rows",
    "creators: SELECT, UPDATE; own rows",
    "demo_clock: SELECT; all rows",
    "drop_items: SELECT, INSERT, UPDATE, DELETE; own rows",
    "drop_pickup_places: SELECT, INSERT, DELETE; own rows",
    "drops: SELECT, INSERT, UPDATE; own rows",
    "ledger_entries: nothing; own rows",
    "outbox: INSERT; all rows",
    "pickup_places: SELECT, INSERT, UPDATE; own rows",
    "price_tiers: SELECT, INSERT, DELETE; own rows",
    "product_import_rows: SELECT, INSERT, UPDATE; own rows",
    "product_imports: SELECT, INSERT, UPDATE; own rows",
    "products: SELECT, INSERT, UPDATE; own rows",
    "reservations: SELECT; own rows",
    "shipping_tariffs: SELECT, INSERT, DELETE; own rows",
    "slugs: SELECT, INSERT; own rows",
    "stock_gates: SELECT, INSERT, UPDATE; own rows",
    "tags: SELECT, INSERT, DELETE; own rows",
    "variants: SELECT, INSERT, UPDATE; own rows",
];

/// Computes the lines that [`ALLOWED`] should have from the system catalogue of PostgreSQL, including the
/// privileges of `PUBLIC`.
/// `$1` is the role.
const ALLOWED_IN_DATABASE: &str = "
    SELECT c.relname || ': ' || coalesce(whole.privileges, single.privileges, 'nothing') || '; ' || CASE
        WHEN NOT c.relrowsecurity THEN 'all rows'
        WHEN c.relforcerowsecurity THEN 'not even the system''s rows'
        WHEN EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polcmd = '*' AND p.polpermissive
                     AND $1::regrole = ANY (p.polroles)
                     AND p.polqual IS NOT NULL AND p.polwithcheck IS NOT NULL)
            THEN 'own rows'
        ELSE 'no rows' END AS line
    FROM pg_class c
    CROSS JOIN LATERAL (
        SELECT string_agg(p, ', ' ORDER BY n) AS privileges
        FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER'])
            WITH ORDINALITY AS t(p, n)
        WHERE has_table_privilege($1, c.oid, p)) AS whole
    CROSS JOIN LATERAL (
        SELECT string_agg(p || ' (' || columns || ')', ', ' ORDER BY n) AS privileges
        FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE']) WITH ORDINALITY AS t(p, n)
        CROSS JOIN LATERAL (
            SELECT string_agg(a.attname, ', ' ORDER BY a.attnum) AS columns FROM pg_attribute a
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                AND has_column_privilege($1, c.oid, a.attnum, p)
        ) AS granted
        WHERE columns IS NOT NULL) AS single
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND (
        whole.privileges IS NOT NULL OR single.privileges IS NOT NULL OR c.relrowsecurity
        OR c.relname = 'creators' OR EXISTS (
            SELECT FROM pg_attribute a
            WHERE a.attrelid = c.oid AND a.attname = 'creator_id' AND NOT a.attisdropped))
    ORDER BY c.relname COLLATE \"C\"";

/// A creator with rows in every table that the second wall covers.
struct Tenant {
    scope: CreatorScope,
    drop: Drop,
    item: DropItem,
}

async fn tenant(kit: &Kit, name: &str) -> Tenant {
    let scope = creator(kit, name).await;
    let cup = item("CUP").prices(&[(4_000, Some(4)), (5_000, None)]);
    let MadeDrop { drop, mut items } = testkit::market::Market::over(&kit.db)
        .drop(&scope, &format!("Drop of {name}"))
        .with(cup)
        .open()
        .await;
    let tenant = Tenant { drop, scope, item: items.remove(0) };
    add_rows(kit, &tenant.scope, &tenant.drop, name).await;
    tenant
}

/// Adds the rows that a creator of the test market does not have by default: tags, a member, a token and an
/// import.
async fn add_rows(kit: &Kit, scope: &CreatorScope, drop: &Drop, name: &str) {
    let tags = UpdateDrop { tags: Some(vec!["clay".parse().unwrap()]), ..UpdateDrop::default() };
    update(&kit.db, scope, drop.id, tags).await.unwrap();
    let email = Email::new(&format!("member{}@shop.example", name.len())).unwrap();
    let request = CreateAccount {
        email,
        name: AccountName::new(&format!("Member of {name}")).unwrap(),
        password: None,
    };
    let member = create_account(&kit.db, &system(), request).await.unwrap().id;
    let values = format!("('{}', '{}', 'OWNER', now())", scope.creator().uuid(), member.uuid());
    execute(
        &kit.db,
        &format!("INSERT INTO creator_members (creator_id, account_id, role, created_at) VALUES {values}"),
    )
    .await;
    let token = CreateToken {
        name: TextLine::new("shop").unwrap(),
        kind: TokenKind::Publishable,
        permissions: Vec::new(),
        expires_at: None,
    };
    create_token(&kit.db, &system().as_tokens(Some(scope.creator())), token).await.unwrap();
    let sheet = Sheet::read(b"slug,title\nvase,Vase\n").unwrap();
    start_import(
        &kit.db,
        scope,
        StartImport { sheet, dry_run: true, key: key(&format!("import-{}", scope.creator())) },
    )
    .await
    .unwrap();
}

/// Opens a market with a second creator, and a checkout that holds units of both.
async fn two_tenants(kit: &Kit) -> (Tenant, Tenant) {
    let market = market(kit).await;
    add_rows(kit, &market.creator, &market.drop, "Salt Glaze").await;
    let theirs = tenant(kit, "Blue Loom").await;
    let ada = buyer(kit, "ada").await;
    market.held(&kit.db, &ada, &[(&market.cup, 1), (&theirs.item, 1)], "both").await;
    let Market { creator, drop, cup, .. } = market;
    (Tenant { scope: creator, drop, item: cup }, theirs)
}

/// Executes a statement as the owner of the tables, outside the wall.
async fn execute(db: &Db, sql: &str) {
    let done: Result<_, DbErr> =
        in_tx(db, Actor::System("test"), async |tx| tx.conn().execute_unprepared(sql).await).await;
    done.unwrap();
}

/// Executes a statement as a creator and commits it. Returns the number of changed rows, or the SQLSTATE of
/// the error.
async fn as_creator(db: &Db, scope: &CreatorScope, sql: &str) -> Result<u64, String> {
    let done: Result<_, DbErr> = in_tx(db, scope, async |tx| tx.conn().execute_unprepared(sql).await).await;
    done.map(|done| done.rows_affected()).map_err(|error| sqlstate(&error))
}

fn sqlstate(error: &DbErr) -> String {
    match error {
        DbErr::Exec(RuntimeErr::SqlxError(cause)) | DbErr::Query(RuntimeErr::SqlxError(cause)) => {
            match &**cause {
                sqlx::Error::Database(refusal) => refusal.code().unwrap().into_owned(),
                other => panic!("{other}"),
            }
        }
        other => panic!("{other}"),
    }
}

async fn texts(conn: &impl ConnectionTrait, sql: &str) -> Result<Vec<String>, DbErr> {
    let rows = conn.query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
    rows.iter().map(|row| row.try_get_by_index(0)).collect()
}

/// Returns the lines that the database says [`ALLOWED`] should have.
async fn actually_allowed(kit: &Kit) -> Vec<String> {
    let statement =
        Statement::from_sql_and_values(DbBackend::Postgres, ALLOWED_IN_DATABASE, [TENANT_ROLE.into()]);
    let rows = kit.db.reader().query_all_raw(statement).await.unwrap();
    rows.iter().map(|row| row.try_get("", "line").unwrap()).collect()
}

/// Returns the tables of [`ALLOWED`] with `own rows` for which the role has the given privilege. The values
/// are the columns that it may read: `*` or a list.
fn tables_with_own_rows(privilege: &str) -> BTreeMap<&'static str, &'static str> {
    let of = |line: &'static str| {
        let (table, rest) = line.split_once(": ").unwrap();
        let privileges = rest.strip_suffix("; own rows")?;
        let columns = match privileges.split_once(" (") {
            Some((_, columns)) => columns.trim_end_matches(')'),
            None => "*",
        };
        privileges.contains(privilege).then_some((table, columns))
    };
    ALLOWED.iter().copied().filter_map(of).collect()
}

/// Returns the rows of a table that a creator sees without any `WHERE`, as text.
async fn seen(kit: &Kit, scope: &CreatorScope, table: &str, columns: &str) -> BTreeSet<String> {
    let sql = format!("SELECT seen::text FROM (SELECT {columns} FROM {table}) AS seen");
    let rows: Result<_, DbErr> = read_in(&kit.db, scope, async |conn| texts(conn, &sql).await).await;
    rows.unwrap().into_iter().collect()
}

async fn the_role_may_do_what_was_reviewed_and_nothing_else(kit: Kit) {
    let actual = actually_allowed(&kit).await;
    let unreviewed: Vec<_> = actual.iter().filter(|line| !ALLOWED.contains(&line.as_str())).collect();
    let outdated: Vec<_> = ALLOWED.iter().filter(|line| !actual.iter().any(|found| found == *line)).collect();
    assert!(
        unreviewed.is_empty() && outdated.is_empty(),
        "only in the database: {unreviewed:#?}, only in `ALLOWED`: {outdated:#?}"
    );
    let role = format!(
        "SELECT rolname::text FROM pg_roles WHERE rolname = '{TENANT_ROLE}' AND NOT (rolcanlogin OR rolsuper \
         OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication)"
    );
    assert_eq!(texts(kit.db.reader(), &role).await.unwrap(), [TENANT_ROLE]);
    let functions =
        "SELECT count(*) FROM pg_proc WHERE pronamespace = current_schema()::regnamespace AND prosecdef";
    assert_eq!(
        number(&kit.db, functions).await,
        0,
        "a function that runs with its owner's privileges bypasses the wall"
    );
}

async fn a_forgotten_where_finds_no_rows_of_others(kit: Kit) {
    let (mine, theirs) = two_tenants(&kit).await;
    for (table, columns) in tables_with_own_rows("SELECT") {
        let (own, foreign) =
            (seen(&kit, &mine.scope, table, columns).await, seen(&kit, &theirs.scope, table, columns).await);
        assert!(!own.is_empty() && !foreign.is_empty(), "{table} has no rows to compare");
        assert!(own.is_disjoint(&foreign), "{table}");
        // Cross-check: the owner of the tables counts the creator's rows, with the condition that the query
        // above lacks.
        let of = |scope: &CreatorScope| scope.creator().uuid();
        let forgotten = match table {
            "creators" => format!("id = '{}'", of(&mine.scope)),
            "accounts" | "drop_pickup_places" | "price_tiers" | "slugs" | "stock_gates" | "tags" => continue,
            _ => format!("creator_id = '{}'", of(&mine.scope)),
        };
        let counted = number(&kit.db, &format!("SELECT count(*) FROM {table} WHERE {forgotten}")).await;
        assert_eq!(own.len(), usize::try_from(counted).unwrap(), "{table}");
    }
    // The rows of these tables belong to a creator through another table. The slugs are those of a drop, of
    // two products and of the creator itself.
    assert_eq!(seen(&kit, &mine.scope, "drop_pickup_places", "*").await.len(), 1);
    assert_eq!(seen(&kit, &mine.scope, "price_tiers", "*").await.len(), 3);
    assert_eq!(seen(&kit, &mine.scope, "stock_gates", "*").await.len(), 1);
    assert_eq!(seen(&kit, &mine.scope, "tags", "*").await.len(), 1);
    assert_eq!(seen(&kit, &mine.scope, "slugs", "*").await.len(), 4);
    assert_eq!(seen(&kit, &mine.scope, "accounts", "id, name").await.len(), 1);
}

async fn an_update_or_delete_without_where_touches_no_rows_of_others(kit: Kit) {
    let (mine, theirs) = two_tenants(&kit).await;
    for (table, columns) in tables_with_own_rows("UPDATE") {
        let column = format!(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum = 1"
        );
        let first = texts(kit.db.reader(), &column).await.unwrap().remove(0);
        let own = seen(&kit, &mine.scope, table, columns).await.len();
        let touched =
            as_creator(&kit.db, &mine.scope, &format!("UPDATE {table} SET {first} = {first}")).await;
        assert_eq!(touched, Ok(u64::try_from(own).unwrap()), "{table}");
    }
    // This creator has no reservations, so that all of its rows can be deleted.
    let empty = tenant(&kit, "Small Press").await;
    let kept: Vec<_> = all_seen(&kit, &mine.scope, &theirs.scope).await;
    let children_first = ["drop_pickup_places", "price_tiers", "drop_items", "shipping_tariffs", "tags"];
    assert_eq!(BTreeSet::from(children_first), tables_with_own_rows("DELETE").into_keys().collect());
    for table in children_first {
        let own = seen(&kit, &empty.scope, table, "*").await.len();
        let gone = as_creator(&kit.db, &empty.scope, &format!("DELETE FROM {table}")).await;
        assert_eq!(gone, Ok(u64::try_from(own).unwrap()), "{table}");
        assert!(own > 0 && seen(&kit, &empty.scope, table, "*").await.is_empty(), "{table}");
    }
    assert_eq!(all_seen(&kit, &mine.scope, &theirs.scope).await, kept);
}

/// Returns all rows that two creators see.
async fn all_seen(kit: &Kit, first: &CreatorScope, second: &CreatorScope) -> Vec<BTreeSet<String>> {
    let mut all = Vec::new();
    for (table, columns) in tables_with_own_rows("SELECT") {
        all.push(seen(kit, first, table, columns).await);
        all.push(seen(kit, second, table, columns).await);
    }
    all
}

async fn a_row_for_another_creator_is_refused(kit: Kit) {
    let (mine, theirs) = two_tenants(&kit).await;
    let other = theirs.scope.creator().uuid();
    let (drop, item) = (theirs.drop.id.uuid(), theirs.item.id.uuid());
    let places = pickup_places_of(&kit.db, &[theirs.drop.id]).await.unwrap();
    let place = places[&theirs.drop.id][0].id.uuid();
    let before = kit.state().await;
    for sql in [
        format!("UPDATE products SET creator_id = '{other}'"),
        format!("UPDATE drops SET creator_id = '{other}', slug = slug || '-mine'"),
        format!("UPDATE creators SET id = '{other}'"),
        format!(
            "INSERT INTO shipping_tariffs (creator_id, country, weight_grams_max, price_minor, currency) \
             VALUES ('{other}', 'FR', 9, 1, 'EUR')"
        ),
        format!(
            "INSERT INTO drop_items SELECT gen_random_uuid(), drop_id, '{other}', variant_id, 9, 1, 1, 0 \
             FROM drop_items LIMIT 1"
        ),
        format!("INSERT INTO price_tiers (drop_item_id, position, price_minor) VALUES ('{item}', 9, 1)"),
        format!(
            "INSERT INTO pickup_places (id, creator_id, name, line1, city, country, version, created_at, \
             updated_at) VALUES (gen_random_uuid(), '{other}', 'Mine', '1', 'Rome', 'IT', 1, now(), now())"
        ),
        format!(
            "INSERT INTO drop_pickup_places (drop_id, pickup_place_id, position) \
             SELECT '{drop}', id, 9 FROM pickup_places"
        ),
        format!(
            "INSERT INTO drop_pickup_places (drop_id, pickup_place_id, position) \
             SELECT id, '{place}', 9 FROM drops"
        ),
        format!("INSERT INTO stock_gates (drop_id, version) VALUES ('{drop}', 1)"),
        format!("INSERT INTO tags (kind, subject, tag) VALUES ('drop', '{drop}', 'mine')"),
        "INSERT INTO tags (kind, subject, tag) SELECT 'unheard-of', id, 'mine' FROM drops".to_owned(),
        format!(
            "INSERT INTO slugs (kind, owner, slug, subject, created_at) VALUES ('drop', '{other}', 'mine', \
             '{drop}', now())"
        ),
        format!(
            "INSERT INTO slugs (kind, owner, slug, subject, created_at) VALUES ('creator', '{}', 'mine', \
             '{other}', now())",
            uuid::Uuid::nil()
        ),
    ] {
        assert_eq!(as_creator(&kit.db, &mine.scope, &sql).await, Err(NOT_ALLOWED.to_owned()), "{sql}");
    }
    assert_eq!(kit.state().await, before);
}

async fn other_data_is_out_of_a_creators_reach(kit: Kit) {
    let (mine, _) = two_tenants(&kit).await;
    let before = kit.state().await;
    for sql in [
        "SELECT id FROM payments",
        "SELECT id FROM checkouts",
        "SELECT name FROM checkout_addresses",
        "SELECT email FROM accounts",
        "SELECT password_hash FROM accounts",
        "SELECT id FROM guests",
        "SELECT id FROM sessions",
        "SELECT id FROM tasks",
        "SELECT id FROM outbox",
        "SELECT id FROM audit",
        "SELECT amount_minor FROM ledger_entries",
        "UPDATE reservations SET units = 1",
        "UPDATE outbox SET position = 1",
        "DELETE FROM audit",
        "DELETE FROM products",
        "TRUNCATE products CASCADE",
        "CREATE TABLE mine (id uuid)",
    ] {
        assert_eq!(as_creator(&kit.db, &mine.scope, sql).await, Err(NOT_ALLOWED.to_owned()), "{sql}");
    }
    assert_eq!(kit.state().await, before);
}

async fn without_a_creator_the_role_sees_nothing(kit: Kit) {
    two_tenants(&kit).await;
    // There is only one connection. In the first round its setting of the current creator is absent. In the
    // second round it is empty, because a creator's transaction has used the connection.
    let db = kit.connect(1).await;
    let nonexistent = system().as_creator(CreatorId(uuid::Uuid::from_u128(1)));
    for _ in 0..2 {
        for (table, columns) in tables_with_own_rows("SELECT") {
            let found: Result<_, DbErr> = in_tx(&db, Actor::Public, async |tx| {
                tx.conn().execute_unprepared(&format!("SET LOCAL ROLE {TENANT_ROLE}")).await?;
                texts(tx.conn(), &format!("SELECT 'a row' FROM (SELECT {columns} FROM {table}) AS seen"))
                    .await
            })
            .await;
            assert_eq!(found.unwrap(), Vec::<String>::new(), "{table}");
        }
        as_creator(&db, &nonexistent, "SELECT").await.unwrap();
    }
}

async fn a_connection_is_restored_however_a_creators_transaction_ends(kit: Kit) {
    let (mine, _) = two_tenants(&kit).await;
    let scope = &mine.scope;
    let db = kit.connect(1).await;
    let session = "SELECT concat_ws(' ', pg_backend_pid(), current_user, \
               current_setting('transaction_read_only'), current_setting('smallrun.creator', true))";
    let before = texts(db.reader(), session).await.unwrap();
    let same = async |ending: &str| {
        let now = texts(db.reader(), session).await.unwrap();
        assert_eq!(now[0].trim_end(), before[0].trim_end(), "{ending}");
    };
    let within: Result<_, DbErr> =
        in_tx(&db, scope, async |tx| texts(tx.conn(), "SELECT current_user::text").await).await;
    assert_eq!(within.unwrap(), [TENANT_ROLE]);
    same("committed").await;
    let refused: Result<(), DbErr> = in_tx(&db, scope, async |_| Err(DbErr::Custom("no".to_owned()))).await;
    refused.unwrap_err();
    same("refused").await;
    as_creator(&db, scope, "SELECT id FROM payments").await.unwrap_err();
    same("failed").await;
    let read: Result<_, DbErr> =
        read_in(&db, scope, async |conn| texts(conn, "SELECT current_user::text").await).await;
    assert_eq!(read.unwrap(), [TENANT_ROLE]);
    same("read").await;
    // The task is aborted while its transaction is open.
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let task = tokio::spawn({
        let (db, scope) = (db.clone(), *scope);
        async move {
            let endless: Result<(), DbErr> = in_tx(&db, &scope, async |tx| {
                texts(tx.conn(), "SELECT current_user::text").await?;
                begun.send(()).unwrap();
                std::future::pending().await
            })
            .await;
            endless
        }
    });
    has_begun.await.unwrap();
    task.abort();
    task.await.unwrap_err();
    same("aborted").await;
}

/// The platform's tables belong to no creator. To write to them within a creator's transaction, the platform
/// leaves the tenant role for these statements, and takes it again afterwards.
async fn platform_tables_are_written_under_a_creators_scope(kit: Kit) {
    let (mine, _) = two_tenants(&kit).await;
    let (db, checkout, made) = (&kit.db, kit.db.new_id::<CheckoutId>(), Uuid::from_u128(1));
    let before = kit.state().await;
    let written: Result<_, DbErr> = in_tx(db, &mine.scope, async |tx| {
        let mut costs = Vec::new();
        let mut counted = db.statements();
        let mut spent = |now: u64| costs.push(now - std::mem::replace(&mut counted, now));
        tasks::enqueue(tx, LapseCheckout { checkout }).await?;
        spent(db.statements());
        timers::set::<HoldLapse>(tx, checkout, tx.now()).await?;
        spent(db.statements());
        for (expected, input) in [(Claim::Fresh, 1), (Claim::Replay(made), 1), (Claim::Mismatch, 2)] {
            assert_eq!(
                idempotency::claim(tx, tx.actor(), "test", &key("key"), &input, made).await?,
                expected
            );
        }
        timers::drop::<HoldLapse>(tx, checkout).await?;
        assert_eq!(texts(tx.conn(), "SELECT current_user::text").await?, [TENANT_ROLE]);
        Ok(costs)
    })
    .await;
    assert_eq!(
        written.unwrap(),
        [3, 3],
        "a write takes three statements: itself, and two that switch the role"
    );
    assert_eq!(testkit::tasks_of::<LapseCheckout>(&kit).await, [LapseCheckout { checkout }]);
    let after = kit.state().await;
    assert_eq!(after.count("timers"), before.count("timers"), "the timer was set and dropped");
    assert_eq!(after.count("idempotency_keys"), before.count("idempotency_keys") + 1);
}

async fn a_read_changes_nothing(kit: Kit) {
    let (mine, _) = two_tenants(&kit).await;
    let before = kit.state().await;
    let written: Result<_, DbErr> = read_in(&kit.db, &mine.scope, async |conn| {
        conn.execute_unprepared("UPDATE products SET title = 'x'").await
    })
    .await;
    assert_eq!(sqlstate(&written.unwrap_err()), READ_ONLY);
    assert_eq!(kit.state().await, before);
}

macro_rules! on_postgres {
    ($($name:ident),+ $(,)?) => {
        mod postgres {
            $(#[test]
            fn $name() {
                testkit::run(testkit::Kit::postgres(), super::$name);
            })+
        }
    };
}

on_postgres! {
    platform_tables_are_written_under_a_creators_scope,
    the_role_may_do_what_was_reviewed_and_nothing_else,
    a_forgotten_where_finds_no_rows_of_others,
    an_update_or_delete_without_where_touches_no_rows_of_others,
    a_row_for_another_creator_is_refused,
    other_data_is_out_of_a_creators_reach,
    without_a_creator_the_role_sees_nothing,
    a_connection_is_restored_however_a_creators_transaction_ends,
    a_read_changes_nothing,
}
