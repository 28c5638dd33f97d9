//! Databases with the lifetime of a test.
//!
//! On PostgreSQL the migrations run once, into a template database that is copied for every test. The
//! template's name contains a hash of the migrations, so a changed migration creates a new template. Tests
//! run in separate processes, so an advisory lock guards the creation of the template.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use domain::platform::{DatabaseUrl, clock::SystemClock, entropy::SystemEntropy};
use migrations::Migrator;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr, Statement};
use sea_orm_migration::MigratorTrait;
use sha2::{Digest, Sha256};

/// The environment variable with the URL of a PostgreSQL server. Its user must be a superuser, because tests
/// create databases and roles.
pub const POSTGRES_VARIABLE: &str = "SMALLRUN_TEST_POSTGRES_URL";

/// An empty database for one test. It is removed on drop.
#[derive(Debug)]
pub struct TestDb {
    url: DatabaseUrl,
    place: TestDbLocation,
}

#[derive(Debug)]
enum TestDbLocation {
    Folder(PathBuf),
    Server { admin_url: String, name: String },
}

impl TestDb {
    /// Creates a migrated SQLite database in a folder of its own.
    pub async fn sqlite() -> Self {
        let folder = std::env::temp_dir().join(unique("smallrun-test"));
        std::fs::create_dir(&folder).expect("a folder for temporary files can be created");
        let url = DatabaseUrl::sqlite(folder.join("smallrun.db"));
        let this = Self { url, place: TestDbLocation::Folder(folder) };
        migrate(&this.url).await;
        this
    }

    /// Copies a SQLite database that is not open anywhere. The copy is kept in memory (`/dev/shm`) if the
    /// system has that, for tests that create thousands of databases.
    pub fn sqlite_copy(of: &Self) -> Self {
        let Some(original) = of.url.sqlite_file() else { panic!("only a file can be copied") };
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let folder = parent.join(unique("smallrun-test"));
        std::fs::create_dir(&folder).expect("a folder for temporary files can be created");
        let file = folder.join("smallrun.db");
        std::fs::copy(original, &file).expect("a database can be copied");
        Self { url: DatabaseUrl::sqlite(file), place: TestDbLocation::Folder(folder) }
    }

    /// Creates a migrated database on the server of [`POSTGRES_VARIABLE`].
    pub async fn postgres() -> Self {
        Self::on_server(async |admin, admin_url| format!("TEMPLATE {}", template(admin, admin_url).await))
            .await
    }

    /// Creates a database without tables on the server of [`POSTGRES_VARIABLE`], for tests of the migrations.
    pub async fn postgres_without_tables() -> Self {
        Self::on_server(async |_, _| String::new()).await
    }

    async fn on_server(options: impl AsyncFnOnce(&DatabaseConnection, &str) -> String) -> Self {
        let Ok(admin_url) = std::env::var(POSTGRES_VARIABLE) else {
            panic!("no PostgreSQL to test on: run scripts/test, or set {POSTGRES_VARIABLE}");
        };
        let admin = open(&admin_url).await;
        let options = options(&admin, &admin_url).await;
        let name = unique("smallrun_test");
        run(&admin, &format!("CREATE DATABASE {name} {options}")).await.expect("a database can be created");
        close(admin).await;
        let url = database_url(&admin_url, &name).parse().expect("a PostgreSQL URL");
        Self { url, place: TestDbLocation::Server { admin_url, name } }
    }

    /// Returns the URL of the database.
    pub fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// Returns the folder of a SQLite database. A test may write other files into it.
    pub fn folder(&self) -> Option<&Path> {
        match &self.place {
            TestDbLocation::Folder(folder) => Some(folder),
            TestDbLocation::Server { .. } => None,
        }
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        match &self.place {
            TestDbLocation::Folder(folder) => drop(std::fs::remove_dir_all(folder)),
            TestDbLocation::Server { admin_url, name } => {
                // `drop` cannot await a future, and the runtime of the test may be shutting down. A thread
                // with a runtime of its own does the work.
                let (admin_url, name) = (admin_url.clone(), name.clone());
                let removed = std::thread::spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                    runtime.block_on(async {
                        let admin = open(&admin_url).await;
                        drop(run(&admin, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await);
                        close(admin).await;
                    });
                    std::io::Result::Ok(())
                });
                drop(removed.join());
            }
        }
    }
}

/// Returns the name of the template. The first caller creates it.
async fn template(admin: &DatabaseConnection, admin_url: &str) -> String {
    let hash = migrations_hash();
    let name = format!("smallrun_template_{}", hex::encode(hash.iter().take(8).copied().collect::<Vec<_>>()));
    let exists = format!("SELECT 1 FROM pg_database WHERE datname = '{name}'");
    if found(admin, &exists).await {
        return name;
    }
    // The lock belongs to the session of `admin` and is released with it.
    let key = hash.iter().take(7).fold(0_i64, |key, byte| (key << 8) | i64::from(*byte));
    run(admin, &format!("SELECT pg_advisory_lock({key})")).await.expect("the lock is granted");
    if !found(admin, &exists).await {
        // The template has another name until it is complete, so an interrupted run leaves no partial
        // template.
        let unfinished = format!("{name}_unfinished");
        let steps = [
            format!("DROP DATABASE IF EXISTS {unfinished} WITH (FORCE)"),
            format!("CREATE DATABASE {unfinished}"),
        ];
        for step in steps {
            run(admin, &step).await.expect("a template can be created");
        }
        migrate(&database_url(admin_url, &unfinished).parse().expect("a PostgreSQL URL")).await;
        run(admin, &format!("ALTER DATABASE {unfinished} RENAME TO {name}"))
            .await
            .expect("the template can be renamed");
    }
    run(admin, &format!("SELECT pg_advisory_unlock({key})")).await.expect("the lock is released");
    name
}

/// Hashes the names and the contents of the migrations' source files.
fn migrations_hash() -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations/src");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the migrations are next to this crate")
        .map(|entry| entry.expect("the folder of the migrations can be listed").path())
        .collect();
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        hash.update(file.file_name().expect("a file has a name").as_encoded_bytes());
        hash.update(std::fs::read(&file).expect("a migration can be read"));
    }
    hash.finalize().to_vec()
}

/// Returns the URL of another database on the same server.
fn database_url(admin_url: &str, name: &str) -> String {
    let (url, options) =
        admin_url.split_once('?').map_or((admin_url, None), |(url, options)| (url, Some(options)));
    let server = url.split_once("://").map_or(url, |(_, rest)| rest).split('/').next().unwrap_or_default();
    let options = options.map(|options| format!("?{options}")).unwrap_or_default();
    format!("postgres://{server}/{name}{options}")
}

async fn migrate(url: &DatabaseUrl) {
    let db = domain::platform::connect(url, 1, Arc::new(SystemClock), Arc::new(SystemEntropy)).await;
    let db = db.expect("a new database can be opened");
    Migrator::up(db.schema_connection(), None).await.expect("the migrations run");
    close(db.schema_connection().clone()).await;
    close(db.reader().clone()).await;
}

async fn open(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    match Database::connect(options).await {
        Ok(connection) => connection,
        Err(error) => panic!("cannot connect to the PostgreSQL server of {POSTGRES_VARIABLE}: {error}"),
    }
}

async fn close(connection: DatabaseConnection) {
    drop(connection.close().await);
}

async fn run(connection: &DatabaseConnection, sql: &str) -> Result<(), DbErr> {
    connection.execute_raw(Statement::from_string(DbBackend::Postgres, sql)).await.map(drop)
}

async fn found(connection: &DatabaseConnection, sql: &str) -> bool {
    let row = connection.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await;
    row.expect("the server answers").is_some()
}

/// Returns a name that no other test uses, on this machine or on a shared server.
pub(crate) fn unique(prefix: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let mut random = [0_u8; 6];
    domain::platform::entropy::Entropy::fill(&SystemEntropy, &mut random);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}_{}_{count}_{}", std::process::id(), hex::encode(random))
}
