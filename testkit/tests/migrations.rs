//! Tests of the migrations on PostgreSQL, where all databases of a server share its roles.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use domain::platform::{Db, clock::SystemClock, connect, entropy::SystemEntropy};
use futures_util::future::join_all;
use migrations::{Migrator, ROLE_MISSING, TENANT_ROLE, make_role};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, RuntimeErr, Statement, sqlx};
use sea_orm_migration::MigratorTrait;
use testkit::TestDb;
use tokio::sync::Barrier;

const AT_ONCE: usize = 8;

async fn open(store: &TestDb) -> Db {
    connect(store.url(), 1, Arc::new(SystemClock), Arc::new(SystemEntropy)).await.unwrap()
}

async fn count(db: &Db, sql: &str) -> i64 {
    let row = db.reader().query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap();
    row.unwrap().try_get_by_index(0).unwrap()
}

/// Runs the given futures in [`AT_ONCE`] tasks that start at the same moment.
async fn at_once<F: Future<Output = Result<(), DbErr>> + Send + 'static>(work: impl IntoIterator<Item = F>) {
    let barrier = Arc::new(Barrier::new(AT_ONCE));
    let tasks: Vec<_> = work
        .into_iter()
        .map(|work| {
            let barrier = Arc::clone(&barrier);
            tokio::spawn(async move {
                barrier.wait().await;
                work.await
            })
        })
        .collect();
    assert_eq!(tasks.len(), AT_ONCE);
    for done in join_all(tasks).await {
        done.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn databases_of_one_server_can_migrate_concurrently() {
    let stores = join_all((0..AT_ONCE).map(|_| TestDb::postgres_without_tables())).await;
    let databases = join_all(stores.iter().map(open)).await;
    at_once(
        databases.iter().cloned().map(|db| async move { Migrator::up(db.schema_connection(), None).await }),
    )
    .await;
    for db in &databases {
        assert_eq!(count(db, "SELECT count(*) FROM pg_policies WHERE tablename = 'products'").await, 1);
    }
}

/// Roles that do not exist yet, for users who are not superusers. The product's role already exists on the
/// test server. Roles belong to the server, so the test removes them at the end.
struct Roles {
    db: Db,
    names: Vec<String>,
}

impl Roles {
    /// Reserves names for roles of the given kinds; creates none.
    fn named(db: &Db, kinds: &[&str]) -> Self {
        let names = kinds.iter().map(|kind| format!("smallrun_test_{kind}_{}", std::process::id())).collect();
        Self { db: db.clone(), names }
    }

    async fn run(&self, sql: &str) {
        self.db.schema_connection().execute_unprepared(sql).await.unwrap();
    }

    async fn remove(self) {
        self.run("RESET SESSION AUTHORIZATION").await;
        for name in &self.names {
            self.run(&format!("DROP ROLE IF EXISTS {name}")).await;
        }
    }
}

/// Switches the database's only connection to another user.
async fn act_as(db: &Db, user: &str) {
    db.schema_connection().execute_unprepared(&format!("SET SESSION AUTHORIZATION {user}")).await.unwrap();
}

fn hint(error: &DbErr) -> (String, String) {
    let DbErr::Exec(RuntimeErr::SqlxError(cause)) = error else { panic!("{error}") };
    let sqlx::Error::Database(refusal) = &**cause else { panic!("{error}") };
    let refusal = refusal.downcast_ref::<sqlx::postgres::PgDatabaseError>();
    (refusal.code().to_owned(), refusal.hint().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_migrations_create_and_grant_the_role_once() {
    let stores = join_all((0..AT_ONCE).map(|_| TestDb::postgres_without_tables())).await;
    let databases = join_all(stores.iter().map(open)).await;
    let [first, ..] = databases.as_slice() else { panic!("no databases") };
    let roles = Roles::named(first, &["tenant", "maker"]);
    let [tenant, maker] = roles.names.as_slice() else { panic!("two names") };
    roles.run(&format!("CREATE ROLE {maker} CREATEROLE")).await;
    join_all(databases.iter().map(|db| act_as(db, maker))).await;
    at_once(databases.iter().cloned().map(|db| {
        let name = tenant.clone();
        async move { make_role(db.schema_connection(), &name).await }
    }))
    .await;
    // `make_role` does nothing if the role exists and is granted, and leaves the connection unchanged.
    make_role(first.schema_connection(), tenant).await.unwrap();
    let found = format!(
        "SELECT count(*) FROM pg_roles \
         WHERE rolname = '{tenant}' AND NOT (rolcanlogin OR rolsuper OR rolbypassrls)"
    );
    assert_eq!(count(first, &found).await, 1);
    let member = format!(
        "SELECT count(*) FROM pg_auth_members \
         WHERE roleid = '{tenant}'::regrole AND member = '{maker}'::regrole"
    );
    assert_eq!(count(first, &member).await, 1);
    assert_eq!(count(first, &format!("SELECT count(*) WHERE current_user = '{maker}'")).await, 1);
    roles.remove().await;
}

#[tokio::test]
async fn the_error_of_a_user_who_may_not_create_the_role_names_the_command_to_run() {
    let store = TestDb::postgres_without_tables().await;
    let db = open(&store).await;
    let roles = Roles::named(&db, &["missing", "plain"]);
    let [missing, plain] = roles.names.as_slice() else { panic!("two names") };
    roles.run(&format!("CREATE ROLE {plain}")).await;
    act_as(&db, plain).await;
    let (code, absent) = hint(&make_role(db.schema_connection(), missing).await.unwrap_err());
    assert_eq!(code, ROLE_MISSING);
    assert_eq!(
        absent,
        format!("Run as a superuser: `CREATE ROLE {missing} NOLOGIN; GRANT {missing} TO {plain}`")
    );
    roles.run(&format!("RESET SESSION AUTHORIZATION; CREATE ROLE {missing} NOLOGIN")).await;
    act_as(&db, plain).await;
    let (_, foreign) = hint(&make_role(db.schema_connection(), missing).await.unwrap_err());
    assert_eq!(foreign, format!("Run as a superuser: `GRANT {missing} TO {plain}`"));
    roles
        .run(&format!(
            "RESET SESSION AUTHORIZATION; GRANT {missing} TO {plain}; ALTER ROLE {missing} BYPASSRLS"
        ))
        .await;
    act_as(&db, plain).await;
    let (code, strong) = hint(&make_role(db.schema_connection(), missing).await.unwrap_err());
    assert_eq!(code, ROLE_MISSING);
    assert_eq!(strong, format!("Run as a superuser: `ALTER ROLE {missing} NOSUPERUSER NOBYPASSRLS`"));
    roles.run(&format!("RESET SESSION AUTHORIZATION; ALTER ROLE {missing} NOBYPASSRLS")).await;
    act_as(&db, plain).await;
    make_role(db.schema_connection(), missing).await.unwrap();
    roles.remove().await;
}

#[test]
fn the_role_has_one_name() {
    assert_eq!(TENANT_ROLE, domain::platform::TENANT_ROLE);
}
